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
from pyclassify.text import explain, models
from pyclassify.text.ngrams import NgramTable
from pyclassify.text.places import words
from pyclassify.text.transform import UNKNOWN_ID, TextTransform, Tokens, compose, normalize, tokenize

VOCABULARY = ("<pad>", "<unk>", *"abcdefghij")
SIZES = {"vocabulary_size": 12, "buckets": 64, "order": 3, "embedding_size": 6, "channels": 8}

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


def _network(name: str = "wide_deep", labels: int = 3, **changed: int) -> torch.nn.Module:
    torch.manual_seed(0)
    sizes = {"vocabulary_size": 12} if name == "lstm" else {**SIZES, **changed}
    network = models.build(name, labels=labels, **sizes)
    if isinstance(network, models.WideDeep):
        network.shares.copy_(torch.tensor([2.0, 0.5]))
        _fill(network.wide)
    return network.eval().requires_grad_(False)


def _fill(table: NgramTable) -> None:
    table.fingerprints.copy_(torch.randint(0, 4, table.fingerprints.shape))
    table.table.weight.copy_(torch.randn_like(table.table.weight))
    table.bias.copy_(torch.randn_like(table.bias))


def _shown(explanation: pyclassify.Explanation, text: str) -> dict[str, float]:
    assert isinstance(explanation, TextExplanation)
    return {text[start:end]: weight for start, end, weight in explanation.spans}


def _classifier(network: torch.nn.Module, labels: list[str], transform: TextTransform) -> Classifier:
    info = {"kind": "text", "labels": labels}
    return Classifier(Checkpoint(name="t", info=info, model=network, transform=transform), torch.device("cpu"))


def test_a_word_that_decides_has_the_largest_weight(reviews: Classifier) -> None:
    text = "I saw a Wonderful film on monday"
    weights = _shown(reviews.explain(text, "good"), text)
    assert list(weights) == text.split()
    assert max(weights, key=lambda word: weights[word]) == "Wonderful"
    against = _shown(reviews.explain(text, "bad"), text)
    assert min(against, key=lambda word: against[word]) == "Wonderful"


def test_the_label_is_the_most_probable_one_or_the_one_asked_for(reviews: Classifier) -> None:
    (prediction,) = reviews.predict(["a terrible film"])
    assert (explained := reviews.explain("a terrible film")).label == prediction.label
    assert explained.probability == pytest.approx(prediction.probabilities[prediction.label])
    asked = reviews.explain("a terrible film", "good")
    assert (asked.label, asked.probability) == ("good", pytest.approx(prediction.probabilities["good"]))


@pytest.mark.parametrize("labels", [2, 4])
@pytest.mark.parametrize("count", [1, 2, 9])
def test_what_ngrams_bring_adds_up_to_the_tables_answer(labels: int, count: int) -> None:
    table = _network(labels=labels).wide
    ids = torch.randint(2, 6, (count,))  # few tokens, so that n-grams come twice
    answer = table(ids.unsqueeze(0), torch.tensor([count]))[0]
    bias = table(torch.tensor([[0]]), torch.tensor([0]))[0]
    torch.testing.assert_close(table.token_scores(ids).sum(dim=0), answer - bias)


@pytest.mark.parametrize("labels", [2, 4])
@pytest.mark.parametrize(("name", "sizes"), [("wide_deep", {}), ("wide_deep", {"top_channels": 4}), ("lstm", {})])
def test_weights_add_up_to_what_the_words_bring(name: str, sizes: dict[str, int], labels: int) -> None:
    """From a text of unknown words to the text itself, where the log-odds are taken as linear in the logits."""
    network = _network(name, labels, **sizes)
    ids, lengths = torch.randint(2, 12, (1, 9)), torch.tensor([9])
    pulls = explain._pulls(network(ids, lengths)[0], 1)
    unknown = torch.full_like(ids, UNKNOWN_ID)
    if isinstance(network, models.WideDeep):
        bias = network.wide(ids, torch.tensor([0]))
        wide = network.shares[0] * (network.wide(ids, lengths) - bias)
        brought = wide + network.shares[1] * (network.deep(ids, lengths) - network.deep(unknown, lengths))
    else:
        brought = network(ids, lengths) - network(unknown, lengths)
    weights = explain.token_weights(network, ids, lengths, 1)
    assert weights.sum().item() == pytest.approx((brought[0] @ pulls).item(), abs=0.02)
    assert weights.abs().max() > 1e-3


def test_log_odds_change_with_the_logits_as_is_said() -> None:
    logits = torch.randn(5, requires_grad=True)
    odds = logits[2] - logits[[0, 1, 3, 4]].logsumexp(dim=0)
    odds.backward()
    torch.testing.assert_close(explain._pulls(logits.detach(), 2), logits.grad)


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
    found = words(text, TextTransform(VOCABULARY, tokens="words"))
    assert [text[each.start : each.end] for each in found] == expected


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
    found = words(text, TextTransform(VOCABULARY, tokens="characters"))
    assert [text[each.start : each.end] for each in found] == expected


@given(WRITTEN, st.sampled_from(["words", "characters"]), st.booleans())
@settings(deadline=None, max_examples=300)
def test_a_words_place_gives_its_tokens(text: str, tokens: Tokens, lowercase: bool) -> None:
    assume(all(len(compose(letter)) == 1 for letter in text))  # what comes apart has one place for two tokens
    found = words(text, TextTransform(VOCABULARY, tokens=tokens, lowercase=lowercase, max_tokens=1000))
    everything = tokenize(text, tokens=tokens, lowercase=lowercase)
    assert all(first.end <= second.start for first, second in pairwise(found))
    for each in found:
        own = "".join(everything[each.first : each.last])
        # a final sigma is written otherwise in the middle of a word
        alone = normalize(text[each.start : each.end], lowercase=lowercase)
        assert own.replace("ς", "σ") in alone.replace("ς", "σ")
    if tokens == "characters":
        read = "".join("".join(everything[each.first : each.last]) for each in found)
        assert read == "".join(each for each in everything if each != " ")


def test_what_was_cut_off_weighs_nothing() -> None:
    for tokens, kept in (("words", 3), ("characters", 1)):
        transform = TextTransform(VOCABULARY, tokens=tokens, max_tokens=3)  # type: ignore[arg-type]
        found = explain.spans(_network(), transform, "a b c d e", transform("a b c d e").tensor, 0, torch.device("cpu"))
        assert [weight != 0 for _, _, weight in found] == [position < kept for position in range(5)]


def test_explaining_from_many_threads_while_predicting(reviews: Classifier) -> None:
    texts = [f"a {('wonderful', 'terrible')[i % 2]} film number {i}" for i in range(24)]
    explained, predicted = [reviews.explain(each) for each in texts], [reviews.predict([each]) for each in texts]
    with ThreadPoolExecutor(8) as pool:
        asked = [(pool.submit(reviews.explain, each), pool.submit(reviews.predict, [each])) for each in texts]
        assert [(a.result(), b.result()) for a, b in asked] == list(zip(explained, predicted, strict=True))


@pytest.mark.parametrize(("name", "labels"), [("wide_deep", 2), ("lstm", 3)])
def test_explaining_leaves_the_network_as_it_was(name: str, labels: int) -> None:
    network = _network(name, labels)
    before = copy.deepcopy(network.state_dict())
    explain.token_weights(network, torch.tensor([[2, 3, 4]]), torch.tensor([3]), 0)
    assert all(torch.equal(each, before[key]) for key, each in network.state_dict().items())
    for each in network.modules():
        assert not each.training
        assert not each._forward_hooks | each._forward_pre_hooks | each._backward_hooks
    assert not any(each.requires_grad or each.grad is not None for each in network.parameters())


def test_a_copy_takes_no_memory_for_its_numbers() -> None:
    network = _network("lstm")
    own = explain._own(network)
    assert own is not network
    pairs = zip(network.parameters(), own.parameters(), strict=True)
    assert all(ours.data_ptr() == theirs.data_ptr() for ours, theirs in pairs)


def test_any_of_many_labels_can_be_asked_for() -> None:
    classifier = _classifier(_network(labels=4), list("wxyz"), TextTransform(VOCABULARY, tokens="words"))
    found = {label: classifier.explain("a b c d e f", label) for label in "wxyz"}
    assert sum(each.probability for each in found.values()) == pytest.approx(1)
    assert len({each.spans for each in found.values()}) == 4  # type: ignore[union-attr]


@pytest.mark.parametrize("bad", ["", " \n", None, 3, ["a text"], b"bytes", "x" * 1_000_001])
def test_what_is_no_text_is_refused(reviews: Classifier, bad: object) -> None:
    with pytest.raises(InputError):
        reviews.explain(bad)


@pytest.mark.parametrize("label", ["", "Good", "ham", 0])
def test_an_unknown_label_is_refused_with_those_there_are(reviews: Classifier, label: object) -> None:
    with pytest.raises(InputError, match="there are bad, good"):
        reviews.explain("a text", label)  # type: ignore[arg-type]


@given(st.text(st.characters(), min_size=1, max_size=40))
@settings(deadline=None, max_examples=30)
def test_any_text_has_an_explanation_or_none_to_read(text: str) -> None:
    transform = TextTransform(VOCABULARY, tokens="characters", max_tokens=12)
    classifier = _classifier(_network(labels=2), ["no", "yes"], transform)
    try:
        explanation = classifier.explain(text)
    except InputError:
        return
    assert isinstance(explanation, TextExplanation)
    assert all(0 <= start < end <= len(text) for start, end, _ in explanation.spans)
