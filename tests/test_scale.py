"""Many texts take memory in proportion to their size, and sizes that no machine could bear are refused."""

from __future__ import annotations

import csv
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import scale
from pyclassify import checkpoint
from pyclassify.dataset import Examples, Splits
from pyclassify.errors import CheckpointError
from pyclassify.manifest import Network
from pyclassify.text import data, networks, ngrams
from pyclassify.text.ngrams import NgramTable
from pyclassify.text.transform import TextTransform
from pyclassify.training.config import TextConfig
from tests.fakes import WORDS, edit_config, write_text_checkpoint
from tests.test_text_networks import FewBatches, drawn_batches

ROWS = 4_000


def peak_bytes(call: Callable[[], Any]) -> tuple[int, Any]:
    """Return the peak of the memory of Python and numpy during a call, and its result."""
    tracemalloc.start()
    try:
        result = call()
        return tracemalloc.get_traced_memory()[1], result
    finally:
        tracemalloc.stop()


def read(path: Path) -> Splits[str]:
    return data.read_dataset(TextConfig(data=path))[0]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scale.write_table(tmp_path_factory.mktemp("scale") / "table.csv", rows=ROWS, words=60)


# Memory


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".json"])
def test_reading_holds_the_texts_but_no_more(tmp_path: Path, table: Path, suffix: str) -> None:
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    path = tmp_path / f"table{suffix}"
    if suffix == ".csv":
        path = table
    elif suffix == ".tsv":
        path.write_text("text\tlabel\n" + "".join(f"{row['text']}\t{row['label']}\n" for row in rows))
    elif suffix == ".jsonl":
        path.write_text("".join(json.dumps({**row, "more": "x" * 200}) + "\n" for row in rows))
    else:
        path.write_text(json.dumps([{**row, "more": "x" * 200} for row in rows]))
    read(path)  # imports are not counted
    held, splits = peak_bytes(lambda: read(path))
    texts = [text for part in splits.parts.values() for text in part.items]
    assert sorted(texts) == sorted(row["text"] for row in rows)
    # and the objects of a row, and the reader's buffer
    assert held < 1.5 * sum(map(len, texts)) + 500 * ROWS + 1_000_000


def test_encoded_texts_take_four_bytes_a_token(table: Path) -> None:
    splits = read(table)
    vocabulary = data.build_vocabulary(splits.train.items, tokens="words", max_size=30_000)
    transform = TextTransform(vocabulary, tokens="words")
    held, batches = peak_bytes(lambda: data.TextBatches(splits.train, transform, batch_size=32))
    assert held < 9 * batches.num_tokens + 40 * batches.num_examples  # once while it grows, once to keep
    held, count = peak_bytes(lambda: sum(len(label_ids) for _, label_ids in batches.epoch(1)))
    assert count == len(splits.train)
    assert held < 300 * batches.num_examples


def test_the_ids_are_those_of_the_transform(table: Path) -> None:
    splits = read(table)
    vocabulary = data.build_vocabulary(splits.train.items, tokens="characters", max_size=20)
    transform = TextTransform(vocabulary, tokens="characters", max_tokens=90)
    examples = Examples(splits.validation.items[:50], splits.validation.label_ids[:50])
    batches = data.TextBatches(examples, transform, batch_size=7)
    rows = [row[:n].tolist() for (ids, lengths), _ in batches.epoch(2) for row, n in zip(ids, lengths, strict=True)]
    assert sorted(rows) == sorted(transform(text).tensor.tolist() for text in examples.items)


def test_batches_come_in_few_shapes() -> None:
    texts = tuple("w " * n for n in range(1, 1025))
    transform = TextTransform(("<pad>", "<unk>", "w"), tokens="words")
    batches = data.TextBatches(Examples(texts, (0, 1) * 512), transform, batch_size=1)
    longest = [(ids.shape[1], int(lengths[0])) for (ids, lengths), _ in batches.epoch()]
    assert len({width for width, _ in longest}) < 75
    assert all(length <= width <= 1.125 * length for width, length in longest)


# The n-gram table


class SeededBatches(FewBatches):
    """Notes the seeds of its epochs; with a seed, the order is reversed."""

    seeds: list[int | None]

    def epoch(self, seed: int | None = None) -> Iterator[tuple[tuple[torch.Tensor, ...], torch.Tensor]]:
        self.seeds.append(seed)
        yield from super().epoch() if seed is None else reversed(list(super().epoch()))


def _fit_table(monkeypatch: pytest.MonkeyPatch, most: int | None) -> tuple[NgramTable, list[int | None], list[Any]]:
    """Return a table, the seeds of the epochs that it was fitted in, and the inputs of the solver."""
    inputs: list[Any] = []
    solve = ngrams.solve
    monkeypatch.setattr(ngrams, "solve", lambda *args, **kwargs: (inputs.append(args), solve(*args, **kwargs))[1])
    if most is not None:
        monkeypatch.setattr(ngrams, "MAX_ENTRIES", most)
    few = drawn_batches(2)
    batches = SeededBatches(few.texts, few.label_ids)
    batches.seeds = []
    table = NgramTable(num_labels=2, buckets=2**12, order=3)
    table.fit(batches)
    return table, batches.seeds, inputs


def test_the_solver_gets_every_ngram_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    table, seeds, ((matrix, label_ids),) = _fit_table(monkeypatch, None)
    assert seeds == [None, None]
    assert matrix.dtype == np.float64
    assert matrix.shape == (16, 2**12)
    assert label_ids.tolist() == drawn_batches(2).label_ids
    counts = [int((table._weighted_buckets(*inputs)[1] > 0).sum()) for inputs, _ in drawn_batches(2).epoch()]
    assert matrix.nnz == len(matrix.data) == sum(counts)


def test_of_too_many_ngrams_whole_batches_of_drawn_texts_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, ((whole, _),) = _fit_table(monkeypatch, None)
    table, seeds, ((matrix, label_ids),) = _fit_table(monkeypatch, int(whole.nnz * 0.8))
    assert seeds == [None, 0]
    assert 0 < matrix.nnz <= 0.8 * whole.nnz
    assert len(label_ids) == matrix.shape[0] == 8
    assert table.table.weight.isfinite().all()


@pytest.mark.parametrize("order", [0, -1, 17, 10**9, 2.0, True, "3", None])
def test_an_impossible_order_is_refused(order: Any) -> None:
    with pytest.raises(ValueError, match="order of an n-gram table must be a whole number from 1 to 16"):
        NgramTable(num_labels=2, buckets=16, order=order)


@pytest.mark.parametrize("buckets", [0, -4, 2**26 + 1, 10**30, 4.0])
def test_an_impossible_number_of_buckets_is_refused(buckets: Any) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=r"buckets of an n-gram table .* to 67,108,864"):
        NgramTable(num_labels=2, buckets=buckets, order=1)


@pytest.mark.parametrize("hostile", [{"order": 10**9}, {"order": 100_000}, {"buckets": 2**40}, {"buckets": -1}])
def test_a_hostile_checkpoint_is_refused_at_once(tmp_path: Path, hostile: dict[str, int]) -> None:
    arguments = networks.arguments_for(
        "wide_deep", vocabulary_size=len(WORDS), num_labels=2, tokens="words", num_examples=8, num_tokens=9
    )
    path = write_text_checkpoint(tmp_path / "hostile", network=Network(name="wide_deep", arguments=arguments))
    checkpoint.load(path)
    edit_config(path, lambda config: config["network"]["arguments"].update(hostile))
    start = time.perf_counter()
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(path)
    assert time.perf_counter() - start < 2
    assert caught.value.code == "checkpoint_unusable"
    assert "of an n-gram table must be a whole number" in str(caught.value.fields["reason"])


# The benchmark


def test_made_up_tables_are_the_same_each_time_and_can_be_learned(tmp_path: Path) -> None:
    paths = [scale.write_table(tmp_path / f"{n}.csv", rows=300, words=20) for n in range(2)]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    splits = read(paths[0])
    texts = [text for part in splits.parts.values() for text in part.items]
    assert len(texts) == 300
    assert splits.labels == ("bad", "good")
    assert 18 < np.mean([len(text.split()) for text in texts]) < 22
    assert len(set(scale.make_words(scale.NUM_WORDS))) == scale.NUM_WORDS


@pytest.mark.slow
def test_the_benchmark_measures_each_step(tmp_path: Path) -> None:
    cost = scale.measure(tmp_path, rows=200, words=20, more=["--epochs", "2"])
    assert set(cost.steps_s) == {
        *("imports", "reading", "vocabulary", "encoding", "n-gram table", "training, testing and writing")
    }
    assert len(cost.epochs_s) == 2
    assert 0 < sum(cost.epochs_s) < cost.steps_s["training, testing and writing"] < cost.seconds
    assert max(cost.peaks_bytes.values()) <= cost.peak_bytes
    assert 0 <= cost.accuracy <= 1
    assert scale.table([cost]).count("\n") == 2
