"""Networks for text: padding, batches and repetition change nothing, and training does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pyclassify.dataset import Examples
from pyclassify.text import english, networks, ngrams
from pyclassify.text.data import TextBatches, build_vocabulary
from pyclassify.text.networks import WideDeep
from pyclassify.text.ngrams import NgramTable
from pyclassify.text.transform import TextTransform, Tokens
from pyclassify.text.word_scores import WordScores, known_tokens
from pyclassify.training.config import TEXT_NETWORKS, FitConfig

VOCABULARY = 30
NO_DEADLINE = settings(deadline=None, max_examples=12)


@dataclass
class FewBatches:
    """Batches of token ids in memory."""

    texts: list[list[int]]
    label_ids: list[int]
    batch_size: int = 4

    @property
    def num_examples(self) -> int:
        return len(self.texts)

    @property
    def positions(self) -> list[int]:
        return list(range(len(self.texts)))

    def __len__(self) -> int:
        return -(-len(self.texts) // self.batch_size)

    def epoch(self, seed: int | None = None) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        for start in range(0, len(self.texts), self.batch_size):
            part = slice(start, start + self.batch_size)
            yield pad(self.texts[part]), torch.tensor(self.label_ids[part])


def pad(texts: list[list[int]], extra: int = 0) -> tuple[Tensor, Tensor]:
    ids = torch.zeros(len(texts), max(map(len, texts)) + extra, dtype=torch.int64)
    for row, text in zip(ids, texts, strict=True):
        row[: len(text)] = torch.tensor(text)
    return ids, torch.tensor([len(text) for text in texts])


def small_arguments(name: str, num_labels: int = 2, tokens: str = "words") -> dict[str, Any]:
    arguments = networks.arguments_for(
        name, vocabulary_size=VOCABULARY, num_labels=num_labels, tokens=tokens, num_examples=8, num_tokens=100
    )
    if name == "lstm":
        return arguments | {"embedding_size": 16, "hidden_size": 24}
    return arguments | {"buckets": 2**10}


def drawn_batches(num_labels: int) -> FewBatches:
    generator = torch.Generator().manual_seed(5)
    texts = [torch.randint(1, VOCABULARY, (3 + i,), generator=generator).tolist() for i in range(8)]
    return FewBatches(texts + texts, [i % num_labels for i in range(8)] * 2)


def make(name: str, num_labels: int = 2, tokens: str = "words") -> nn.Module:
    torch.manual_seed(0)
    network = networks.build(name, num_labels=num_labels, **small_arguments(name, num_labels, tokens))
    if isinstance(network, networks.WideDeep):
        network.prepare(drawn_batches(num_labels))
    return network


NETWORKS = {(name, num_labels): make(name, num_labels).eval() for name in TEXT_NETWORKS for num_labels in (2, 5)}
texts_of_ids = st.lists(st.lists(st.integers(1, VOCABULARY - 1), min_size=1, max_size=12), min_size=1, max_size=5)
any_network = pytest.mark.parametrize(
    "network", NETWORKS.values(), ids=[f"{name}-{num_labels}" for name, num_labels in NETWORKS]
)


@any_network
@NO_DEADLINE
@given(texts=texts_of_ids)
def test_batch_equals_singles(network: nn.Module, texts: list[list[int]]) -> None:
    with torch.no_grad():
        singles = torch.cat([network(*pad([text])) for text in texts])
        torch.testing.assert_close(network(*pad(texts)), singles, atol=1e-5, rtol=1e-5)


@any_network
@NO_DEADLINE
@given(texts=texts_of_ids, extra=st.integers(1, 40), junk=st.integers(0, VOCABULARY - 1))
def test_padding_changes_nothing(network: nn.Module, texts: list[list[int]], extra: int, junk: int) -> None:
    ids, lengths = pad(texts)
    longer, _ = pad(texts, extra)
    longer[torch.arange(longer.shape[1]) >= lengths.unsqueeze(1)] = junk
    with torch.no_grad():
        torch.testing.assert_close(network(longer, lengths), network(ids, lengths), atol=1e-5, rtol=1e-5)


@any_network
def test_an_empty_text_gets_finite_logits(network: nn.Module) -> None:
    with torch.no_grad():
        logits = network(torch.zeros(2, 3, dtype=torch.int64), torch.tensor([0, 3]))
    assert logits.isfinite().all()


@pytest.mark.parametrize("num_labels", [2, 5])
@pytest.mark.parametrize("tokens", ["words", "characters"])
@pytest.mark.parametrize("name", TEXT_NETWORKS)
def test_logits_have_a_column_per_label(name: str, tokens: str, num_labels: int) -> None:
    network = make(name, num_labels, tokens)
    for training in (True, False):
        assert network.train(training)(*pad([[2, 3, 4], [5]])).shape == (2, num_labels)


def test_lstm_reads_the_last_valid_step() -> None:
    network = networks.build("lstm", num_labels=2, **small_arguments("lstm")).eval()
    ids, lengths = pad([[2, 3, 4], [5, 6, 7, 8, 9]])
    with torch.no_grad():
        steps, _ = network.lstm(network.embedding(ids[:1, :3]))
        expected = network.output(steps[:, -1])
        torch.testing.assert_close(network(ids, lengths)[:1], expected)


@NO_DEADLINE
@given(texts=texts_of_ids)
def test_lstm_is_the_same_packed_and_padded(texts: list[list[int]]) -> None:
    network = NETWORKS["lstm", 2]
    with torch.no_grad():
        packed, padded = network._last_of_packed(*pad(texts)), network._last_of_padded(*pad(texts))
    torch.testing.assert_close(packed, padded, atol=1e-6, rtol=1e-5)


def test_lstm_starts_from_vectors() -> None:
    network = networks.build("lstm", num_labels=2, vocabulary_size=4, embedding_size=3, hidden_size=2)
    vectors = torch.arange(12.0).view(4, 3)
    network.load_vectors(vectors)
    torch.testing.assert_close(network.embedding.weight.detach(), vectors)
    assert network.embedding.weight.requires_grad
    with pytest.raises(ValueError, match=r"\(3, 4\).*\(4, 3\)"):
        network.load_vectors(vectors.T)


def fit(name: str, num_labels: int, steps: int = 40) -> tuple[nn.Module, list[float]]:
    network, batches, losses = make(name, num_labels), drawn_batches(num_labels), []
    network.train()
    optimizer = torch.optim.AdamW([parameter for parameter in network.parameters() if parameter.requires_grad], lr=0.01)
    torch.manual_seed(1)
    for _ in range(steps):
        for inputs, label_ids in batches.epoch():
            loss = nn.functional.cross_entropy(network(*inputs), label_ids)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return network.eval(), losses


@pytest.mark.parametrize("num_labels", [2, 5])
@pytest.mark.parametrize("name", TEXT_NETWORKS)
def test_eight_examples_can_be_overfitted(name: str, num_labels: int) -> None:
    network, _ = fit(name, num_labels)
    with torch.no_grad():
        for inputs, label_ids in drawn_batches(num_labels).epoch():
            assert network(*inputs).argmax(dim=1).tolist() == label_ids.tolist()


def test_each_part_learns_by_itself() -> None:
    network, _ = fit("wide_deep", 5)
    table = NgramTable(num_labels=5, buckets=2**10, order=3)
    table.fit(drawn_batches(5))
    with torch.no_grad():
        for inputs, label_ids in drawn_batches(5).epoch():
            for part in (network.deep, table):
                assert part(*inputs).argmax(dim=1).tolist() == label_ids.tolist()


@pytest.mark.parametrize("name", TEXT_NETWORKS)
def test_the_same_seed_gives_the_same_losses(name: str) -> None:
    assert fit(name, 5, steps=3)[1] == fit(name, 5, steps=3)[1]


def test_preparing_alone_tells_labels_apart() -> None:
    table = NgramTable(num_labels=3, buckets=2**10, order=2)
    table.fit(FewBatches([[2, 3], [2, 3], [4, 5], [4, 5], [6, 7], [6, 7]], [0, 0, 1, 1, 2, 2]))
    assert table(*pad([[2, 9, 3], [5, 4], [7]])).argmax(dim=1).tolist() == [0, 1, 2]


def test_repeating_a_word_changes_no_score() -> None:
    table = NgramTable(num_labels=2, buckets=2**10, order=1)
    table.fit(FewBatches([[2], [2], [3], [3]], [0, 0, 1, 1]))
    once, often = table(*pad([[2, 3], [2, 3, 3, 2, 3]]))
    torch.testing.assert_close(once, often)


def test_unknown_ngrams_have_no_say() -> None:
    table = NgramTable(num_labels=2, buckets=2**10, order=3)
    table.fit(FewBatches([[2, 3], [2, 3], [4, 5], [4, 5], [6, 7]], [0, 0, 1, 1, 1]))
    scores = table(*pad([[8, 9], [10, 11, 12]]))
    torch.testing.assert_close(scores, torch.stack([-table.bias / 2, table.bias / 2], dim=1).expand(2, 2))


def test_prepared_weights_travel_in_the_state_dict() -> None:
    network = make("wide_deep")
    again = networks.build("wide_deep", num_labels=2, **small_arguments("wide_deep")).eval()
    again.load_state_dict(network.eval().state_dict())
    torch.testing.assert_close(again(*pad([[2, 3, 4]])), network(*pad([[2, 3, 4]])))


def test_order_of_words_matters() -> None:
    network = NETWORKS["wide_deep", 2].wide
    keys = network.keys(*pad([[2, 3], [3, 2]]))
    assert set(keys[0, :2].tolist()) == set(keys[1, :2].tolist())
    assert keys[0, 2] != keys[1, 2]


def test_hash_products_are_exact_in_doubles() -> None:
    assert (ngrams.PRIME - 1) * ngrams.STEP + 2**32 < 2**53
    assert (ngrams.PRIME - 1) * ngrams.SPREAD < 2**53


@pytest.mark.parametrize("num_labels", [2, 3, 20, 1000])
@pytest.mark.parametrize(("num_examples", "num_tokens"), [(2, 10), (500, 10_000), (500_000, 100_000_000)])
@pytest.mark.parametrize("tokens", ["words", "characters"])
def test_sizes_stay_bounded(num_labels: int, num_examples: int, num_tokens: int, tokens: str) -> None:
    arguments = networks.arguments_for(
        "wide_deep",
        vocabulary_size=30_000,
        num_labels=num_labels,
        tokens=tokens,
        num_examples=num_examples,
        num_tokens=num_tokens,
    )
    assert json.loads(json.dumps(arguments)) == arguments
    with torch.device("meta"):
        network = networks.build("wide_deep", num_labels=num_labels, **arguments)
    half_bytes = sum(
        v.numel() * (2 if v.is_floating_point() else v.element_size()) for v in network.state_dict().values()
    )
    assert half_bytes < 11e6
    assert arguments["buckets"] & (arguments["buckets"] - 1) == 0


def test_half_a_million_texts_are_read_in_fewer_and_larger_steps() -> None:
    def steps(num_examples: int) -> float:
        defaults = networks.fit_defaults(TEXT_NETWORKS[0], num_examples=num_examples)
        return float(defaults["epochs"] * num_examples / defaults["batch_size"])

    assert steps(500_000) < steps(200_000) < 2 * steps(100_000) + 1


@pytest.mark.parametrize("name", TEXT_NETWORKS)
def test_fit_defaults_can_be_fitted_with(name: str) -> None:
    defaults = networks.fit_defaults(name)
    assert defaults.keys() >= {"optimizer", "learning_rate", "weight_decay", "batch_size", "epochs", "schedule"}
    assert FitConfig(**defaults).epochs == defaults["epochs"]


def test_the_lstm_is_the_tutorials() -> None:
    config = FitConfig(**networks.fit_defaults("lstm"))
    assert (config.epochs, config.batch_size, config.learning_rate) == (10, 64, 0.001)
    assert (config.optimizer, config.schedule, config.average_decay) == ("adam", "constant", 0)
    network = networks.build("lstm", num_labels=2, vocabulary_size=50)
    assert tuple(network.get_parameter("embedding.weight").shape) == (50, 300)
    assert network.get_submodule("lstm").hidden_size == 256


def test_the_table_is_found_once_and_the_network_learns() -> None:
    network = make("wide_deep", 5)
    learning = {name.partition(".")[0] for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert learning == {"deep"}
    table = network.wide.table.weight.clone()
    fit("wide_deep", 5, steps=2)
    assert torch.equal(network.wide.table.weight, table)


def test_tuning_prefers_the_part_that_is_right() -> None:
    arguments = small_arguments("wide_deep") | {"cross_validated": False}
    network: Any = networks.build("wide_deep", num_labels=2, **arguments)
    network.prepare(drawn_batches(2))
    batches = drawn_batches(2)
    with torch.no_grad():
        network.deep.output.weight.zero_()  # knows nothing
    network.tune(batches)
    assert network.shares[0] > 1
    assert network.shares.min() >= 0
    shuffled = FewBatches(batches.texts, [1 - label_id for label_id in batches.label_ids])
    network.tune(shuffled)  # a part that is always wrong gets no say
    assert network.shares[0] == 0


def rare_batches(seed: int, count: int = 120) -> FewBatches:
    """Texts of 14 random tokens; one in six has the second label, and then often one of three telling tokens."""
    generator = torch.Generator().manual_seed(seed)
    texts = torch.randint(5, VOCABULARY, (count, 14), generator=generator)
    label_ids = [int(i % 6 == 0) for i in range(count)]
    for i in range(0, count, 6):
        texts[i, :2] = torch.randint(2, 5, (2,), generator=generator)
    return FewBatches(texts.tolist(), label_ids, batch_size=16)


def answers_of(network: nn.Module, batches: FewBatches) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        logits = torch.cat([network(*inputs) for inputs, _ in batches.epoch()])
    return logits, torch.tensor(batches.label_ids)


def cross_validated(**arguments: Any) -> Any:
    torch.manual_seed(0)
    arguments = {"cross_validated": True, "channels": 0, "order": 1, **arguments}
    return networks.build("wide_deep", num_labels=2, **(small_arguments("wide_deep") | arguments)).eval()


def test_a_rare_label_is_found_as_often_as_it_occurs() -> None:
    network = cross_validated(order=3)
    network.prepare(rare_batches(0))
    test = rare_batches(1, 600)
    logits, label_ids = answers_of(network, test)
    table = NgramTable(num_labels=2, buckets=2**10, order=3)
    table.fit(rare_batches(0))
    raw, _ = answers_of(table, test)
    recall = [float((part.argmax(dim=1) == 1)[label_ids == 1].float().mean()) for part in (raw, logits)]
    assert recall[1] > max(0.8, recall[0] + 0.1)
    assert (logits.argmax(dim=1) == 1).float().mean() == pytest.approx(1 / 6, abs=0.05)


def test_answers_of_folds_are_those_of_texts_that_were_not_seen() -> None:
    network, batches = cross_validated(), rare_batches(2)
    assert network.out_of_fold() is None
    network.prepare(batches)
    logits, label_ids = network.out_of_fold()
    assert logits.shape == (120, 2)
    assert label_ids.tolist() == batches.label_ids
    loss = nn.functional.cross_entropy
    on_training, on_new = (loss(*answers_of(network, part)) for part in (batches, rare_batches(3, 600)))
    assert on_training < loss(logits, label_ids)
    assert loss(logits, label_ids) == pytest.approx(float(on_new), abs=0.1)


def test_copies_of_a_text_are_in_one_fold() -> None:
    groups = [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]
    label_ids = torch.tensor([0, 0, 0, 1, 1, 1] * 2)
    folds = ngrams.fold_numbers(groups, label_ids)
    assert folds[:6].tolist() == folds[6:].tolist()
    assert all(len(set(folds[:6][label_ids[:6] == label].tolist())) == 3 for label in (0, 1))


def test_noise_is_answered_with_the_shares_of_the_labels() -> None:
    generator = torch.Generator().manual_seed(0)
    texts = torch.randint(2, VOCABULARY, (60, 8), generator=generator).tolist()
    network = cross_validated()
    network.prepare(FewBatches(texts, [int(i % 4 == 0) for i in range(60)]))
    logits, label_ids = network.out_of_fold()
    assert logits.softmax(dim=1)[:, 1].mean() == pytest.approx(0.25, abs=0.05)
    assert nn.functional.cross_entropy(logits, label_ids) < 0.65


def test_a_label_with_a_single_text_does_no_harm() -> None:
    batches = FewBatches([[2, 3], [2, 4], [2, 5], [6, 7], [6, 8], [9, 10]], [0, 0, 0, 1, 1, 2])
    network = networks.build(
        "wide_deep", num_labels=3, **(small_arguments("wide_deep", 3) | {"cross_validated": True, "channels": 0})
    )
    network.prepare(batches)
    assert network.out_of_fold()[0].isfinite().all()


def test_a_network_without_a_share_ends_the_training() -> None:
    network = cross_validated(channels=8)
    network.prepare(rare_batches(0))
    with torch.no_grad():
        network.deep.output.weight.zero_()
    network.tune(rare_batches(1))
    assert network.shares.tolist() == [1, 0]
    assert network.settled(2) is None
    reason = network.settled(3)
    assert all(reason.text(language) for language in ("en", "ko"))
    assert network.out_of_fold() is not None
    network.shares[1] = 0.5
    assert network.settled(8) is None
    assert network.out_of_fold() is None


def test_nothing_to_tune_by_changes_nothing() -> None:
    network = cross_validated(channels=8)
    network.prepare(rare_batches(0))
    before = network.shares.clone()
    network.tune(FewBatches([], []))
    assert torch.equal(network.shares, before)


def test_biases_are_tuned_where_texts_are_many() -> None:
    arguments = small_arguments("wide_deep") | {"cross_validated": False, "biases": True, "order": 3}
    network: Any = networks.build("wide_deep", num_labels=2, **arguments)
    network.prepare(rare_batches(0))
    network.tune(rare_batches(1, 600))
    logits, _ = answers_of(network.eval(), rare_batches(2, 600))
    assert network.biases[0] != network.biases[1]
    assert (logits.argmax(dim=1) == 1).float().mean() == pytest.approx(1 / 6, abs=0.05)
    again = networks.build("wide_deep", num_labels=2, **arguments).eval()
    again.load_state_dict(network.state_dict())
    torch.testing.assert_close(answers_of(again, rare_batches(2))[0], answers_of(network, rare_batches(2))[0])


def test_few_texts_get_short_ngrams() -> None:
    order = networks.choose_order(rare_batches(0, 60), tokens="words", num_labels=2, buckets=2**10)
    assert order == 1


def test_unknown_names_and_a_single_label_are_refused() -> None:
    with pytest.raises(ValueError, match="wide_deep"):
        networks.build("transformer", num_labels=2)
    with pytest.raises(ValueError, match="at least 2"):
        networks.build("lstm", num_labels=1, vocabulary_size=5)


@pytest.mark.parametrize(("tokens", "word"), [("words", "film"), ("characters", "f")])
def test_the_baseline_tells_labels_apart(tokens: str, word: str) -> None:
    texts = tuple(f"good {word} {i}" if i % 2 else f"bad {word} {i}" for i in range(20))
    train = Examples(texts, tuple(i % 2 for i in range(20)))
    answers = networks.fit_baseline(train, [f"bad {word}", f"good {word}"], tokens=tokens)
    assert answers.dtype == torch.int64
    assert answers.tolist() == [0, 1]


def test_the_baseline_reads_texts_without_words() -> None:
    train = Examples(("!", "?") * 5, (0, 1) * 5)
    assert networks.fit_baseline(train, ["?", "!"], tokens="words").tolist() == [1, 0]


WORDS = ["the", "good", "great", "nice", "bad", "awful", "poor"]
PRAISE, BLAME = ["good", "great"], ["bad", "awful"]


def small_vectors() -> english.WordVectors:
    """Return vectors of words of praise, of blame, and of one that is neither."""
    vectors = torch.tensor([[0, 0, 9], *[[90, i, 0] for i in range(3)], *[[-90, i, 0] for i in range(3)]])
    words = torch.tensor(list("\n".join(WORDS).encode()), dtype=torch.uint8)
    return english.WordVectors({"words": words, "vectors": vectors.to(torch.int8)})


def make_words(tokens: Tokens, *, num_labels: int = 2) -> tuple[WideDeep, TextTransform]:
    """Return a network for texts of "the" and one other word, fitted without "nice" and "poor"."""
    texts = [f"the {word}" for word in PRAISE + BLAME] * 3
    label_ids = ([0] * len(PRAISE) + [1] * len(BLAME)) * 3
    vectors = small_vectors()
    vocabulary = build_vocabulary(texts, tokens=tokens, max_size=100)
    vocabulary = (*vocabulary, *(token for token in known_tokens(vectors, tokens) if token not in vocabulary))
    transform = TextTransform(vocabulary, tokens=tokens)
    size = len(vocabulary)
    words = {"words": size} if tokens == "words" else {"words": len(WORDS) + 1, "characters": size}
    network = networks.build(
        "wide_deep",
        num_labels=num_labels,
        vocabulary_size=size,
        buckets=2**8,
        order=1,
        channels=0,
        cross_validated=True,
        words=words,
    )
    assert isinstance(network, WideDeep)
    assert network.words is not None
    network.words.load_vectors(vectors, vocabulary)
    if num_labels > 2:
        label_ids = [i % num_labels for i in range(len(texts))]
    network.prepare(TextBatches(Examples(tuple(texts), tuple(label_ids)), transform, batch_size=5))
    return network.eval(), transform


def logits_of(network: nn.Module, transform: TextTransform, *texts: str) -> Tensor:
    with torch.no_grad():
        logits: Tensor = network(*transform.collate([transform(text).tensor for text in texts]))
    return logits


both_tokens = pytest.mark.parametrize("tokens", ["words", "characters"])


@both_tokens
def test_words_that_no_training_text_has_count_by_their_vectors(tokens: Tokens) -> None:
    network, transform = make_words(tokens)
    assert logits_of(network, transform, "the nice", "the poor").argmax(dim=1).tolist() == [0, 1]
    assert network.words is not None
    # letters that belong to a longer word, or to one with a digit or an unknown letter in it, are another word
    unknown = ["nicely", "unnice", "nice1", "nice\u00f1", "nice" * 30]
    nothing = logits_of(network.words, transform, *unknown)
    torch.testing.assert_close(nothing, logits_of(network.words, transform, "42").expand(len(unknown), 2))
    for text in ("NICE!", '"nice"', "nice, nice"):
        torch.testing.assert_close(
            logits_of(network.words, transform, text), logits_of(network.words, transform, "nice")
        )
    answers = network.out_of_fold()
    assert answers is not None
    assert (answers[0].argmax(dim=1) == answers[1]).all()


@both_tokens
@pytest.mark.parametrize("num_labels", [2, 3])
def test_scores_of_words_depend_on_the_text_alone(tokens: Tokens, num_labels: int) -> None:
    network, transform = make_words(tokens, num_labels=num_labels)
    texts = ["the good", "bad", "so nice, nice and poor: the best", "?"]
    singles = torch.cat([logits_of(network, transform, text) for text in texts])
    ids, lengths = transform.collate([transform(text).tensor for text in texts])
    torch.testing.assert_close(network(ids, lengths), singles)
    junk = torch.cat([ids, ids], dim=1)
    junk[torch.arange(junk.shape[1]) >= lengths.unsqueeze(1)] = len(transform.vocabulary) - 1
    torch.testing.assert_close(network(junk, lengths), singles)
    assert network(torch.zeros(2, 3, dtype=torch.int64), torch.tensor([0, 3])).isfinite().all()
    arguments = {"words": network.words.words, "characters": network.words.characters} if network.words else None
    again = networks.build(
        "wide_deep",
        num_labels=num_labels,
        vocabulary_size=len(transform.vocabulary),
        buckets=2**8,
        order=1,
        channels=0,
        cross_validated=True,
        words=arguments,
    ).eval()
    again.load_state_dict(network.state_dict())
    torch.testing.assert_close(again(ids, lengths), singles)


@both_tokens
def test_words_share_out_their_scores(tokens: Tokens) -> None:
    network, transform = make_words(tokens, num_labels=3)
    assert network.words is not None
    ids = transform("nice, nice and poor: the best").tensor
    scores = network.words.token_scores(ids)
    assert scores.shape == (len(ids), 3)
    total = logits_of(network.words, transform, "nice, nice and poor: the best")[0] - network.words.bias
    torch.testing.assert_close(scores.sum(dim=0), total)
    size = 1 if tokens == "words" else 4
    first = 0 if tokens == "words" else 1
    torch.testing.assert_close(scores[first], scores[first + size - 1])
    assert not scores[first + size].any()  # the comma


def test_scores_of_words_need_vectors_to_be_fitted() -> None:
    network = cross_validated(words={"words": VOCABULARY})
    with pytest.raises(ValueError, match="word vectors"):
        network.prepare(drawn_batches(2))


def test_words_are_left_out_where_they_do_not_help() -> None:
    vectors = small_vectors()
    texts = ["the film", "the end"] * 20  # none of the words that tell them apart has a vector
    vocabulary = (*build_vocabulary(texts, tokens="words", max_size=100), "good")
    batches = TextBatches(Examples(tuple(texts), (0, 1) * 20), TextTransform(vocabulary, tokens="words"), batch_size=8)
    words = WordScores(num_labels=2, words=len(vocabulary))
    words.load_vectors(vectors, vocabulary)
    assert not networks.needs_words(words, NgramTable(num_labels=2, buckets=2**8, order=1), batches)
