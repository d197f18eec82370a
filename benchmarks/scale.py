"""Seconds and memory of `python -m train.text` on made-up tables of any size: `python -m benchmarks.scale`."""

from __future__ import annotations

import argparse
import csv
import functools
import multiprocessing
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks import results
from pyclassify.cli.train import TerminalProgress, make_config, make_parser
from pyclassify.device import pick

MODULE: Final = "benchmarks.scale"
ROWS: Final = (500, 500_000)
WORDS: Final = (20,)
NUM_WORDS: Final = 50_000
"""Different words in all texts."""

WORDS_PER_LABEL: Final = 200
"""Words that tell a label: one in ten words of a text is one of these, and two in three of those are of its label."""

Array = np.ndarray[Any, Any]


@dataclass(slots=True, kw_only=True)
class Cost:
    """Time and memory of one training.

    Args:
        rows: texts in the table, validation and test included.
        words: in a text, on average.
        table_bytes: size of the file.
        seconds: from the first line of the program to the last, with the imports.
        processor_s: processor time; less than `seconds` if other programs had it, more if several threads ran.
        steps_s: seconds of each step.
        peaks_bytes: peak of the memory until the end of each step.
        epochs_s: seconds of each epoch.
        peak_bytes: peak of the memory.
        accuracy: on the test texts.
    """

    rows: int
    words: int
    table_bytes: int
    seconds: float = 0.0
    processor_s: float = 0.0
    steps_s: dict[str, float] = field(default_factory=dict)
    peaks_bytes: dict[str, int] = field(default_factory=dict)
    epochs_s: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    accuracy: float = 0.0

    def add(self, step: str, seconds: float) -> None:
        """Note that a step has ended; its times add up."""
        self.steps_s[step] = self.steps_s.get(step, 0.0) + seconds
        self.peaks_bytes[step] = _peak_bytes()


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for and print a table."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    options = _parse(arguments)
    record = results.Record(
        benchmark="scale", module=MODULE, arguments=arguments, device=pick("cpu"), folder=options.results
    )
    costs = []
    for words in options.words:
        for rows in options.rows:
            with tempfile.TemporaryDirectory() as folder:
                costs.append(measure(Path(folder), rows=rows, words=words, more=options.more))
            record.save([asdict(cost) for cost in costs])
    print(table(costs))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS, metavar="N", help="texts in a table")
    parser.add_argument("--words", type=int, nargs="+", default=WORDS, metavar="N", help="words in a text, on average")
    parser.add_argument("--results", type=Path, default=results.FOLDER, metavar="DIR", help="where the JSON goes")
    parser.add_argument("--more", nargs="...", default=["--epochs", "1"], metavar="OPTION", help="of the training")
    return parser.parse_args(arguments)


def measure(folder: Path, *, rows: int, words: int, more: Sequence[str]) -> Cost:
    """Write a table and train on it, in a process of its own: the peak of a process's memory never falls.

    Args:
        folder: for the table and the checkpoint.
        rows: texts in the table.
        words: in a text, on average.
        more: options of the training.
    """
    path = write_table(folder / "table.csv", rows=rows, words=words)
    cost = Cost(rows=rows, words=words, table_bytes=path.stat().st_size)
    arguments = ["--data", str(path), "--out", str(folder / "checkpoint"), "--device", "cpu", *more]
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_train, (cost, arguments))


# The table


def write_table(path: Path, *, rows: int, words: int, seed: int = 0) -> Path:
    """Write a .csv of two labels whose words are as frequent as in a language (Zipf's law)."""
    generator = np.random.default_rng(seed)
    vocabulary = np.array(make_words(NUM_WORDS))
    shares = 1 / np.arange(1, NUM_WORDS - 2 * WORDS_PER_LABEL + 1)
    cumulated = np.cumsum(shares / shares.sum())
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for start in range(0, rows, 10_000):
            count = min(10_000, rows - start)
            writer.writerows(_draw_rows(count, words, vocabulary, cumulated, generator))
    return path


def make_words(count: int) -> list[str]:
    """Make up different words of four letters and more."""
    consonants, vowels = "bcdfghklmnprstvw", "aeiou"
    syllables = [a + b for a in consonants for b in vowels]
    return [
        syllables[i % 80] + syllables[i // 80 % 80] + (syllables[i // 6400] if i >= 6400 else "") for i in range(count)
    ]


def _draw_rows(
    count: int, words: int, vocabulary: Array, cumulated: Array, generator: np.random.Generator
) -> Iterator[tuple[str, str]]:
    label_ids = generator.integers(0, 2, count)
    lengths = generator.integers(max(1, words // 2), words + words // 2 + 1, count)
    word_ids = np.searchsorted(cumulated, generator.random(lengths.sum()))
    own = np.repeat(label_ids, lengths)
    of_label = np.where(generator.random(len(word_ids)) < 2 / 3, own, 1 - own)
    first_id = NUM_WORDS - (1 + of_label) * WORDS_PER_LABEL
    telling_ids = first_id + generator.integers(0, WORDS_PER_LABEL, len(word_ids))
    word_ids = np.where(generator.random(len(word_ids)) < 0.1, telling_ids, word_ids)
    texts = np.split(vocabulary[word_ids], np.cumsum(lengths)[:-1])
    return ((" ".join(text), ("bad", "good")[label_id]) for text, label_id in zip(texts, label_ids, strict=True))


# The training


def _train(cost: Cost, arguments: Sequence[str]) -> Cost:
    """Train with a clock at each step, and fill in the cost."""
    start, start_processor = time.perf_counter(), time.process_time()
    from pyclassify import recipe
    from pyclassify.text import data, ngrams

    cost.steps_s["imports"] = time.perf_counter() - start
    steps: list[tuple[str, Any, str]] = [
        ("reading", data, "read_dataset"),
        ("vocabulary", data, "build_vocabulary"),
        ("encoding", data.TextBatches, "__init__"),
        ("n-gram table", ngrams.NgramTable, "fit"),
    ]
    for step, owner, name in steps:
        setattr(owner, name, _clocked(cost, step, getattr(owner, name)))
    command = shlex.join(["python", "-m", "train.text", *arguments])
    config = make_config("text", make_parser("text", MODULE).parse_args(arguments), command=command)
    ready_s = 0.0

    def on_progress(event: recipe.Event) -> None:
        nonlocal ready_s
        if isinstance(event, recipe.Ready):
            ready_s = time.perf_counter()
        progress(event)

    with closing(TerminalProgress("text")) as progress:
        trained = recipe.train(config, on_progress=on_progress).manifest
    cost.add("training, testing and writing", time.perf_counter() - ready_s)
    cost.seconds, cost.processor_s = time.perf_counter() - start, time.process_time() - start_processor
    cost.peak_bytes = _peak_bytes()
    assert trained.training is not None
    assert trained.scores is not None
    cost.epochs_s = [epoch.duration_s for epoch in trained.training.epochs]
    cost.accuracy = trained.scores.accuracy
    return cost


def _clocked(cost: Cost, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function so that its time is added to a step."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        result = function(*args, **kwargs)
        cost.add(step, time.perf_counter() - began)
        return result

    return run


def _peak_bytes() -> int:
    """Return the peak of this process's memory."""
    status = Path("/proc/self/status")
    if status.is_file():
        match = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8"))
        if match:
            return int(match[1]) * 1024
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on macOS


def table(costs: Sequence[Cost]) -> str:
    """Write a Markdown table with a row per training."""
    steps = list(dict.fromkeys(step for cost in costs for step in cost.steps_s))
    head = ["texts", "words each", "table", *steps, "an epoch", "all", "processor", "memory at most", "accuracy"]
    rows = [
        [
            f"{cost.rows:,}",
            f"{cost.words:,}",
            f"{cost.table_bytes / 1e6:,.1f} MB",
            *(results.duration(cost.steps_s.get(step, 0.0)) for step in steps),
            results.duration(sum(cost.epochs_s) / len(cost.epochs_s)),
            results.duration(cost.seconds),
            results.duration(cost.processor_s),
            f"{cost.peak_bytes / 1e9:.2f} GB",
            f"{cost.accuracy:.4f}",
        ]
        for cost in costs
    ]
    return results.markdown(head, rows)


if __name__ == "__main__":
    main()
