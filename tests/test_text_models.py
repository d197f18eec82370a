"""The networks for text: what padding, batches and repetition must not change, and what training must."""

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

from pyclassify.text import models, ngrams
from pyclassify.text.ngrams import NgramTable

VOCABULARY = 30
NO_DEADLINE = settings(deadline=None, max_examples=12)


@dataclass
class FewBatches:
    """Batches over token lists that stand in memory."""

    texts: list[list[int]]
    label_ids: list[int]
    batch_size: int = 4

    @property
    def examples(self) -> int:
        return len(self.texts)

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


def small_arguments(name: str, labels: int = 2, tokens: str = "words") -> dict[str, Any]:
    arguments = models.arguments_for(
        name, vocabulary_size=VOCABULARY, labels=labels, tokens=tokens, examples=8, total_tokens=100
    )
    if name == "lstm":
        return arguments | {"embedding_size": 16, "hidden_size": 24}
    return arguments | {"buckets": 2**10}


def drawn_batches(labels: int) -> FewBatches:
    generator = torch.Generator().manual_seed(5)
    texts = [torch.randint(1, VOCABULARY, (3 + i,), generator=generator).tolist() for i in range(8)]
    # Each text twice: n-grams of a single text are left out of the table.
    return FewBatches(texts + texts, [i % labels for i in range(8)] * 2)


def make(name: str, labels: int = 2, tokens: str = "words") -> nn.Module:
    torch.manual_seed(0)
    model = models.build(name, labels=labels, **small_arguments(name, labels, tokens))
    if isinstance(model, models.WideDeep):
        model.prepare(drawn_batches(labels))
    return model


MODELS = {(name, labels): make(name, labels).eval() for name in models.NAMES for labels in (2, 5)}
texts_of_ids = st.lists(st.lists(st.integers(1, VOCABULARY - 1), min_size=1, max_size=12), min_size=1, max_size=5)
any_model = pytest.mark.parametrize("model", MODELS.values(), ids=[f"{name}-{labels}" for name, labels in MODELS])


@any_model
@NO_DEADLINE
@given(texts=texts_of_ids)
def test_batch_equals_singles(model: nn.Module, texts: list[list[int]]) -> None:
    with torch.no_grad():
        singles = torch.cat([model(*pad([text])) for text in texts])
        torch.testing.assert_close(model(*pad(texts)), singles, atol=1e-5, rtol=1e-5)


@any_model
@NO_DEADLINE
@given(texts=texts_of_ids, extra=st.integers(1, 40), junk=st.integers(0, VOCABULARY - 1))
def test_padding_changes_nothing(model: nn.Module, texts: list[list[int]], extra: int, junk: int) -> None:
    ids, lengths = pad(texts)
    longer, _ = pad(texts, extra)
    longer[torch.arange(longer.shape[1]) >= lengths.unsqueeze(1)] = junk
    with torch.no_grad():
        torch.testing.assert_close(model(longer, lengths), model(ids, lengths), atol=1e-5, rtol=1e-5)


@any_model
def test_an_empty_text_gets_finite_logits(model: nn.Module) -> None:
    with torch.no_grad():
        logits = model(torch.zeros(2, 3, dtype=torch.int64), torch.tensor([0, 3]))
    assert logits.isfinite().all()


@pytest.mark.parametrize("labels", [2, 5])
@pytest.mark.parametrize("tokens", ["words", "characters"])
@pytest.mark.parametrize("name", models.NAMES)
def test_logits_have_a_column_per_label(name: str, tokens: str, labels: int) -> None:
    model = make(name, labels, tokens)
    for training in (True, False):
        assert model.train(training)(*pad([[2, 3, 4], [5]])).shape == (2, labels)


def test_lstm_reads_the_last_valid_step() -> None:
    model = models.build("lstm", labels=2, **small_arguments("lstm")).eval()
    ids, lengths = pad([[2, 3, 4], [5, 6, 7, 8, 9]])
    with torch.no_grad():
        steps, _ = model.lstm(model.embedding(ids[:1, :3]))
        expected = model.output(steps[:, -1])
        torch.testing.assert_close(model(ids, lengths)[:1], expected)


@NO_DEADLINE
@given(texts=texts_of_ids)
def test_lstm_is_the_same_packed_and_padded(texts: list[list[int]]) -> None:
    model = MODELS["lstm", 2]
    with torch.no_grad():
        packed, padded = model._last_of_packed(*pad(texts)), model._last_of_padded(*pad(texts))
    torch.testing.assert_close(packed, padded, atol=1e-6, rtol=1e-5)


def test_lstm_starts_from_vectors() -> None:
    model = models.build("lstm", labels=2, vocabulary_size=4, embedding_size=3, hidden_size=2)
    vectors = torch.arange(12.0).view(4, 3)
    model.load_vectors(vectors)
    torch.testing.assert_close(model.embedding.weight.detach(), vectors)
    assert model.embedding.weight.requires_grad
    with pytest.raises(ValueError, match=r"\(3, 4\).*\(4, 3\)"):
        model.load_vectors(vectors.T)


def fit(name: str, labels: int, steps: int = 40) -> tuple[nn.Module, list[float]]:
    model, batches, losses = make(name, labels), drawn_batches(labels), []
    model.train()
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=0.01)
    torch.manual_seed(1)
    for _ in range(steps):
        for inputs, label_ids in batches.epoch():
            loss = nn.functional.cross_entropy(model(*inputs), label_ids)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return model.eval(), losses


@pytest.mark.parametrize("labels", [2, 5])
@pytest.mark.parametrize("name", models.NAMES)
def test_eight_examples_can_be_overfitted(name: str, labels: int) -> None:
    model, _ = fit(name, labels)
    with torch.no_grad():
        for inputs, label_ids in drawn_batches(labels).epoch():
            assert model(*inputs).argmax(dim=1).tolist() == label_ids.tolist()


@pytest.mark.parametrize("part", ["wide", "deep"])
def test_each_part_learns_by_itself(part: str) -> None:
    model, _ = fit("wide_deep", 5)
    with torch.no_grad():
        for inputs, label_ids in drawn_batches(5).epoch():
            assert getattr(model, part)(*inputs).argmax(dim=1).tolist() == label_ids.tolist()


@pytest.mark.parametrize("name", models.NAMES)
def test_the_same_seed_gives_the_same_losses(name: str) -> None:
    assert fit(name, 5, steps=3)[1] == fit(name, 5, steps=3)[1]


def test_preparing_alone_tells_labels_apart() -> None:
    table = NgramTable(labels=3, buckets=2**10, order=2)
    table.fit(FewBatches([[2, 3], [2, 3], [4, 5], [4, 5], [6, 7], [6, 7]], [0, 0, 1, 1, 2, 2]))
    assert table(*pad([[2, 9, 3], [5, 4], [7]])).argmax(dim=1).tolist() == [0, 1, 2]


def test_repeating_a_word_changes_no_score() -> None:
    table = NgramTable(labels=2, buckets=2**10, order=1)
    table.fit(FewBatches([[2], [2], [3], [3]], [0, 0, 1, 1]))
    once, often = table(*pad([[2, 3], [2, 3, 3, 2, 3]]))
    torch.testing.assert_close(once, often)


def test_unknown_ngrams_have_no_say() -> None:
    table = NgramTable(labels=2, buckets=2**10, order=3)
    table.fit(FewBatches([[2, 3], [2, 3], [4, 5], [4, 5], [6, 7]], [0, 0, 1, 1, 1]))
    scores = table(*pad([[8, 9], [10, 11, 12]]))
    torch.testing.assert_close(scores, torch.stack([-table.bias / 2, table.bias / 2], dim=1).expand(2, 2))


def test_prepared_weights_travel_in_the_state_dict() -> None:
    model = make("wide_deep")
    again = models.build("wide_deep", labels=2, **small_arguments("wide_deep")).eval()
    again.load_state_dict(model.eval().state_dict())
    torch.testing.assert_close(again(*pad([[2, 3, 4]])), model(*pad([[2, 3, 4]])))


def test_order_of_words_matters() -> None:
    model = MODELS["wide_deep", 2].wide
    keys = model.keys(*pad([[2, 3], [3, 2]]))
    assert set(keys[0, :2].tolist()) == set(keys[1, :2].tolist())
    assert keys[0, 2] != keys[1, 2]


def test_hash_products_are_exact_in_doubles() -> None:
    assert (ngrams.PRIME - 1) * ngrams.STEP + 2**32 < 2**53
    assert (ngrams.PRIME - 1) * ngrams.SPREAD < 2**53


@pytest.mark.parametrize("labels", [2, 3, 20, 1000])
@pytest.mark.parametrize(("examples", "total_tokens"), [(2, 10), (500, 10_000), (500_000, 100_000_000)])
@pytest.mark.parametrize("tokens", ["words", "characters"])
def test_sizes_stay_bounded(labels: int, examples: int, total_tokens: int, tokens: str) -> None:
    arguments = models.arguments_for(
        "wide_deep",
        vocabulary_size=30_000,
        labels=labels,
        tokens=tokens,
        examples=examples,
        total_tokens=total_tokens,
    )
    assert json.loads(json.dumps(arguments)) == arguments
    with torch.device("meta"):
        model = models.build("wide_deep", labels=labels, **arguments)
    half_bytes = sum(
        v.numel() * (2 if v.is_floating_point() else v.element_size()) for v in model.state_dict().values()
    )
    assert half_bytes < 11e6
    assert arguments["buckets"] & (arguments["buckets"] - 1) == 0


def test_half_a_million_texts_are_read_in_fewer_and_larger_steps() -> None:
    def steps(examples: int) -> float:
        defaults = models.training_defaults(models.DEFAULT, examples=examples)
        return float(defaults["epochs"] * examples / defaults["batch_size"])

    assert steps(500_000) < steps(200_000) < 2 * steps(100_000) + 1


@pytest.mark.parametrize("pretrained", [False, True])
@pytest.mark.parametrize("name", models.NAMES)
def test_training_defaults_are_complete(name: str, pretrained: bool) -> None:
    defaults = models.training_defaults(name, pretrained=pretrained)
    assert set(defaults) - {"clip_norm"} == {
        "optimizer",
        "learning_rate",
        "weight_decay",
        "batch_size",
        "epochs",
        "schedule",
        "label_smoothing",
        "average_decay",
    }
    assert defaults["optimizer"] in {"adam", "adamw", "sgd"}
    assert defaults["schedule"] in {"constant", "one_cycle", "linear"}


def test_the_table_is_found_once_and_the_network_learns() -> None:
    model = make("wide_deep", 5)
    learning = {name.partition(".")[0] for name, each in model.named_parameters() if each.requires_grad}
    assert learning == {"deep"}
    table = model.wide.table.weight.clone()
    fit("wide_deep", 5, steps=2)
    assert torch.equal(model.wide.table.weight, table)


def test_tuning_prefers_the_part_that_is_right() -> None:
    model = make("wide_deep", 2).eval()
    batches = drawn_batches(2)
    with torch.no_grad():
        model.deep.output.weight.zero_()  # knows nothing
    model.tune(batches)
    assert model.shares[0] > 1
    assert model.shares.min() >= 0
    shuffled = FewBatches(batches.texts, [1 - each for each in batches.label_ids])
    model.tune(shuffled)  # a part that is always wrong gets no say
    assert model.shares[0] == 0


def test_unknown_names_and_a_single_label_are_refused() -> None:
    with pytest.raises(ValueError, match="wide_deep"):
        models.build("transformer", labels=2)
    with pytest.raises(ValueError, match="at least 2"):
        models.build("lstm", labels=1, vocabulary_size=5)
