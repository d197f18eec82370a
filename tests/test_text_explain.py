"""Explanations of texts: weights that add up, on the words as they were written."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import pyclassify
from pyclassify import Classifier, InputError, TextExplanation
from pyclassify.checkpoint import Checkpoint
from pyclassify.manifest import Manifest, Network
from pyclassify.text import networks
from pyclassify.text.explain import log_odds_gradient, token_weights, word_weights, words
from pyclassify.text.ngrams import NgramTable
from pyclassify.text.transform import UNKNOWN_ID, TextTransform, Tokens, compose, normalize, tokenize

VOCABULARY = ("<pad>", "<unk>", *"abcdefghij")
ARGUMENTS = {
    "wide_deep": {"vocabulary_size": 12, "buckets": 64, "order": 3, "embedding_size": 6, "channels": 8},
    "lstm": {"vocabulary_size": 12},
}
CPU = torch.device("cpu")

PIECES = [
    *"aB .'\n&;",
    "<br/>",
    "<BR >",
    "\u00a0",
    "\u2019",
    "\u0301",
    "\u0301" * 120,
    "\u212b",
    "\ud83d",
    "\udc4d",
]
LETTERS = [
    "\u1112\u1161\u11ab",
    "\ud55c",
    "\u1161",
    "\u00e9",
    "e\u0301",
    "\u0130",
    "\u03a3",
    "\U0001f44d\U0001f3fd",
]
WRITTEN = st.lists(st.sampled_from(PIECES + LETTERS), max_size=20).map("".join) | st.text(st.characters(), max_size=30)


@pytest.fixture(scope="module")
def reviews(text_checkpoint: Path) -> Classifier:
    return pyclassify.load(text_checkpoint, device="cpu")


def make_network(name: str = "wide_deep", num_labels: int = 3) -> torch.nn.Module:
    torch.manual_seed(0)
    network = networks.build(name, num_labels=num_labels, **ARGUMENTS[name])
    if isinstance(network, networks.WideDeep):
        network.shares.copy_(torch.tensor([2.0, 0.5]))
        fill(network.wide)
    return network.eval().requires_grad_(False)


def fill(table: NgramTable) -> None:
    table.fingerprints.copy_(torch.randint(0, 4, table.fingerprints.shape))
    table.table.weight.copy_(torch.randn_like(table.table.weight))
    table.bias.copy_(torch.randn_like(table.bias))


def weights_of(explanation: object, text: str) -> dict[str, float]:
    assert isinstance(explanation, TextExplanation)
    return {text[start:end]: weight for start, end, weight in explanation.spans}


def make_classifier(labels: list[str], transform: TextTransform) -> Classifier:
    manifest = Manifest(
        kind="text",
        labels=labels,
        network=Network(name="wide_deep", arguments=dict(ARGUMENTS["wide_deep"])),
        transform=transform.settings(),
    )
    network = make_network(num_labels=len(labels))
    return Classifier(Checkpoint(name="t", manifest=manifest, network=network, transform=transform), CPU)


def test_a_word_that_decides_has_the_largest_weight(reviews: Classifier) -> None:
    text = "I saw a Wonderful film on monday"
    weights = weights_of(reviews.explain(text, "good"), text)
    assert list(weights) == text.split()
    assert max(weights, key=lambda word: weights[word]) == "Wonderful"
    against = weights_of(reviews.explain(text, "bad"), text)
    assert min(against, key=lambda word: against[word]) == "Wonderful"


def test_the_label_is_the_most_probable_one_or_the_one_asked_for(reviews: Classifier) -> None:
    (prediction,) = reviews.predict(["a terrible film"])
    assert (explained := reviews.explain("a terrible film")).label == prediction.label
    assert explained.probability == pytest.approx(prediction.probabilities[prediction.label])
    asked = reviews.explain("a terrible film", "good")
    assert (asked.label, asked.probability) == ("good", pytest.approx(prediction.probabilities["good"]))


@pytest.mark.parametrize("num_labels", [2, 4])
@pytest.mark.parametrize("count", [1, 2, 9])
def test_scores_of_tokens_add_up_to_the_tables_answer(num_labels: int, count: int) -> None:
    table = make_network(num_labels=num_labels).wide
    ids = torch.randint(2, 6, (count,))  # few tokens, so that n-grams come twice
    answer = table(ids.unsqueeze(0), torch.tensor([count]))[0]
    bias = table(torch.tensor([[0]]), torch.tensor([0]))[0]
    torch.testing.assert_close(table.token_scores(ids).sum(dim=0), answer - bias)


@pytest.mark.parametrize("num_labels", [2, 4])
@pytest.mark.parametrize("name", ["wide_deep", "lstm"])
def test_weights_add_up_to_the_change_of_the_log_odds(name: str, num_labels: int) -> None:
    """From a text of unknown tokens to the text itself, with log-odds that are linear in the logits."""
    network = make_network(name, num_labels)
    ids, lengths = torch.randint(2, 12, (1, 9)), torch.tensor([9])
    gradient = log_odds_gradient(network(ids, lengths)[0], 1)
    unknown = torch.full_like(ids, UNKNOWN_ID)
    if isinstance(network, networks.WideDeep):
        bias = network.wide(ids, torch.tensor([0]))
        wide = network.shares[0] * (network.wide(ids, lengths) - bias)
        change = wide + network.shares[1] * (network.deep(ids, lengths) - network.deep(unknown, lengths))
    else:
        change = network(ids, lengths) - network(unknown, lengths)
    weights = token_weights(network, ids, lengths, 1)
    assert weights.sum().item() == pytest.approx((change[0] @ gradient).item(), abs=0.02)
    assert weights.abs().max() > 1e-3


def test_the_gradient_of_the_log_odds() -> None:
    logits = torch.randn(5, requires_grad=True)
    odds = logits[2] - logits[[0, 1, 3, 4]].logsumexp(dim=0)
    odds.backward()
    torch.testing.assert_close(log_odds_gradient(logits.detach(), 2), logits.grad)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don\u2019t &amp; stop", ["Don\u2019t", "&", "amp", ";", "stop"]),
        ("fine<br />BAD<BR>end", ["fine", "BAD", "end"]),
        ("\u1112\u1161\u11ab\u1100\u1173\u11af 좋아요", ["\u1112\u1161\u11ab\u1100\u1173\u11af", "좋아요"]),
        ("İstanbul 👍🏽 e\u0301te\u0301", ["İstanbul", "👍", "🏽", "e\u0301te\u0301"]),
        ("so \ud83d\udc4d good", ["so", "\ud83d\udc4d", "good"]),
        ("x" + "\u0301" * 150 + " y", ["x" + "\u0301" * 150, "y"]),
        ("ΟΔΟΣ ok", ["ΟΔΟΣ", "ok"]),
        ("\u2adca b\ufb1d!", ["\u2adc", "a", "b\ufb1d", "!"]),
    ],
)
def test_words_are_cut_from_the_text_as_it_was_written(text: str, expected: list[str]) -> None:
    places = words(text, TextTransform(VOCABULARY, tokens="words"))
    assert [text[word.start : word.end] for word in places] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  So\u3000good!! ", ["So", "good!!"]),
        ("\u1112\u1161\u11ab글이다 좋아", ["\u1112\u1161\u11ab글이다", "좋아"]),
        ("好きです ok", ["好", "き", "で", "す", "ok"]),
        ("a<br>İb", ["a", "İb"]),
    ],
)
def test_words_of_characters_stand_between_spaces(text: str, expected: list[str]) -> None:
    places = words(text, TextTransform(VOCABULARY, tokens="characters"))
    assert [text[word.start : word.end] for word in places] == expected


@given(WRITTEN, st.sampled_from(["words", "characters"]), st.booleans())
@settings(deadline=None, max_examples=300)
def test_a_words_place_gives_its_tokens(text: str, tokens: Tokens, lowercase: bool) -> None:
    assume(all(len(compose(letter)) == 1 for letter in text))  # what comes apart has one place for two tokens
    places = words(text, TextTransform(VOCABULARY, tokens=tokens, lowercase=lowercase, max_tokens=1000))
    everything = tokenize(text, tokens=tokens, lowercase=lowercase)
    assert all(first.end <= second.start for first, second in pairwise(places))
    for word in places:
        own = "".join(everything[word.first : word.last])
        # a final sigma is written otherwise in the middle of a word
        alone = normalize(text[word.start : word.end], lowercase=lowercase)
        assert own.replace("ς", "σ") in alone.replace("ς", "σ")
    if tokens == "characters":
        read = "".join("".join(everything[word.first : word.last]) for word in places)
        assert read == "".join(token for token in everything if token != " ")


@pytest.mark.parametrize(("tokens", "kept"), [("words", 3), ("characters", 1)])
def test_words_that_were_cut_off_weigh_nothing(tokens: Tokens, kept: int) -> None:
    transform = TextTransform(VOCABULARY, tokens=tokens, max_tokens=3)
    spans = word_weights(make_network(), transform, "a b c d e", transform("a b c d e").tensor, 0, CPU)
    assert [weight != 0 for _, _, weight in spans] == [position < kept for position in range(5)]


def test_explaining_from_many_threads_while_predicting(reviews: Classifier) -> None:
    texts = [f"a {('wonderful', 'terrible')[i % 2]} film number {i}" for i in range(24)]
    explanations, predictions = [reviews.explain(text) for text in texts], [reviews.predict([text]) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        pairs = [(pool.submit(reviews.explain, text), pool.submit(reviews.predict, [text])) for text in texts]
        results = [(first.result(), second.result()) for first, second in pairs]
    assert results == list(zip(explanations, predictions, strict=True))


@pytest.mark.parametrize(("name", "num_labels"), [("wide_deep", 2), ("lstm", 3)])
def test_explaining_leaves_the_network_as_it_was(name: str, num_labels: int) -> None:
    network = make_network(name, num_labels)
    before = copy.deepcopy(network.state_dict())
    token_weights(network, torch.tensor([[2, 3, 4]]), torch.tensor([3]), 0)
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())
    for module in network.modules():
        assert not module.training
        assert not module._forward_hooks | module._forward_pre_hooks | module._backward_hooks
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in network.parameters())


def test_any_of_many_labels_can_be_explained() -> None:
    classifier = make_classifier(list("wxyz"), TextTransform(VOCABULARY, tokens="words"))
    explanations = {label: classifier.explain("a b c d e f", label) for label in "wxyz"}
    assert sum(explanation.probability for explanation in explanations.values()) == pytest.approx(1)
    assert len({explanation.spans for explanation in explanations.values()}) == 4  # type: ignore[union-attr]


@pytest.mark.parametrize("bad", ["", " \n", None, 3, ["a text"], b"bytes", "x" * 1_000_001])
def test_other_inputs_are_refused(reviews: Classifier, bad: object) -> None:
    with pytest.raises(InputError):
        reviews.explain(bad)


@pytest.mark.parametrize("label", ["", "Good", "ham", 0])
def test_an_unknown_label_is_refused_with_those_there_are(reviews: Classifier, label: object) -> None:
    with pytest.raises(InputError) as error:
        reviews.explain("a text", label)  # type: ignore[arg-type]
    assert error.value.fields["labels"] == ["bad", "good"]


@given(st.text(st.characters(), min_size=1, max_size=40))
@settings(deadline=None, max_examples=30)
def test_any_text_has_an_explanation_or_none_to_read(text: str) -> None:
    transform = TextTransform(VOCABULARY, tokens="characters", max_tokens=12)
    classifier = make_classifier(["no", "yes"], transform)
    try:
        explanation = classifier.explain(text)
    except InputError:
        return
    assert isinstance(explanation, TextExplanation)
    assert all(0 <= start < end <= len(text) for start, end, _ in explanation.spans)
