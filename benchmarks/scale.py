"""What many texts cost: seconds and memory of `python -m train.text` on tables that are made up: `benchmarks.scale`."""

from __future__ import annotations

import argparse
import csv
import functools
import json
import multiprocessing
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import results
from pyclassify.device import pick

MODULE = "benchmarks.scale"
ROWS = (500, 500_000)
WORDS = (20,)
KNOWN_WORDS = 50_000
TELLING_WORDS = 200
"""Words of each label: one in ten words of a text is one of them, and of these two in three are of its own label."""


@dataclass(slots=True, kw_only=True)
class Cost:
    """What one training took.

    Args:
        rows: texts in the table, those to choose by and to test with included.
        words: in a text, on average.
        table_bytes: of the file.
        seconds: from the first line of the program to the last, the imports included.
        processor_s: seconds that the processor worked for it; fewer than `seconds` where other programs had it, more
            where several threads did.
        steps_s: seconds of each step.
        peaks_bytes: the most memory that was held until the end of each step.
        epochs_s: seconds of each epoch.
        peak_bytes: the most memory that was held at all.
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
            with tempfile.TemporaryDirectory() as scratch:
                costs.append(measure(Path(scratch), rows=rows, words=words, more=options.more))
            record.save([asdict(each) for each in costs])
    print(table(costs))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS, metavar="N", help="texts in a table")
    parser.add_argument("--words", type=int, nargs="+", default=WORDS, metavar="N", help="words in a text, on average")
    parser.add_argument("--results", type=Path, default=results.FOLDER, metavar="DIR", help="where the JSON goes")
    parser.add_argument("--more", nargs="...", default=["--epochs", "1"], metavar="OPTION", help="for the training")
    return parser.parse_args(arguments)


def measure(folder: Path, *, rows: int, words: int, more: Sequence[str]) -> Cost:
    """Make a table and train on it, in a process of its own: memory that was once held would count for the next."""
    path = write_table(folder / "table.csv", rows=rows, words=words)
    cost = Cost(rows=rows, words=words, table_bytes=path.stat().st_size)
    arguments = ["--data", str(path), "--out", str(folder / "checkpoint"), "--device", "cpu", *more]
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_train, (cost, arguments))


def write_table(path: Path, *, rows: int, words: int, seed: int = 0) -> Path:
    """A .csv of two labels; the words are as frequent as in a language (Zipf's law)."""
    generator = np.random.default_rng(seed)
    names = np.array(_names(KNOWN_WORDS))
    shares = 1 / np.arange(1, KNOWN_WORDS - 2 * TELLING_WORDS + 1)
    cumulated = np.cumsum(shares / shares.sum())
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for start in range(0, rows, 10_000):
            count = min(10_000, rows - start)
            writer.writerows(_some_rows(count, words, names, cumulated, generator))
    return path


def _names(count: int) -> list[str]:
    """Made-up words of two to six letters and more, each another."""
    consonants, vowels = "bcdfghklmnprstvw", "aeiou"
    syllables = [a + b for a in consonants for b in vowels]
    return [
        syllables[i % 80] + syllables[i // 80 % 80] + (syllables[i // 6400] if i >= 6400 else "") for i in range(count)
    ]


def _some_rows(
    count: int, words: int, names: np.ndarray[Any, Any], cumulated: np.ndarray[Any, Any], generator: np.random.Generator
) -> Iterator[tuple[str, str]]:
    label_ids = generator.integers(0, 2, count)
    lengths = generator.integers(max(1, words // 2), words + words // 2 + 1, count)
    drawn = np.searchsorted(cumulated, generator.random(lengths.sum()))
    own = np.repeat(label_ids, lengths)
    of_label = np.where(generator.random(len(drawn)) < 2 / 3, own, 1 - own)
    telling = KNOWN_WORDS - (1 + of_label) * TELLING_WORDS + generator.integers(0, TELLING_WORDS, len(drawn))
    drawn = np.where(generator.random(len(drawn)) < 0.1, telling, drawn)
    texts = np.split(names[drawn], np.cumsum(lengths)[:-1])
    return ((" ".join(text), ("bad", "good")[label_id]) for text, label_id in zip(texts, label_ids, strict=True))


def _train(cost: Cost, arguments: Sequence[str]) -> Cost:
    """Run the command with a clock at each step, and fill in what it took."""
    start, start_processor = time.perf_counter(), time.process_time()
    from pyclassify.text import data, ngrams
    from train import pipeline
    from train import text as command

    def clocked(step: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def run(*positional: Any, **named: Any) -> Any:
            began = time.perf_counter()
            result = call(*positional, **named)
            cost.steps_s[step] = cost.steps_s.get(step, 0.0) + time.perf_counter() - began
            cost.peaks_bytes[step] = _peak_bytes()
            return result

        return run

    cost.steps_s["imports"] = time.perf_counter() - start
    steps: list[tuple[str, Any, str]] = [
        ("reading", data, "read"),
        ("vocabulary", data, "build_vocabulary"),
        ("encoding", data.TextBatches, "__init__"),
        ("n-gram table", ngrams.NgramTable, "fit"),
        ("training, testing and writing", pipeline, "run"),
    ]
    for step, owner, name in steps:
        setattr(owner, name, clocked(step, getattr(owner, name)))
    command.main(arguments)
    cost.seconds, cost.processor_s = time.perf_counter() - start, time.process_time() - start_processor
    cost.peak_bytes = _peak_bytes()
    out = Path(arguments[arguments.index("--out") + 1])
    info = json.loads((out / "config.json").read_text(encoding="utf-8"))
    cost.epochs_s = [each["duration_s"] for each in info["training"]["epochs"]]
    cost.accuracy = info["scores"]["accuracy"]
    return cost


def _peak_bytes() -> int:
    """The most memory that this process held at a time."""
    status = Path("/proc/self/status")
    if status.is_file():
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8"))
        if found:
            return int(found[1]) * 1024
    import resource  # Linux has it above, and Windows has it not

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on macOS


def table(costs: Sequence[Cost]) -> str:
    """A row per training."""
    steps = list(dict.fromkeys(step for each in costs for step in each.steps_s))
    head = ["texts", "words each", "table", *steps, "an epoch", "all", "processor", "memory at most", "accuracy"]
    rows = [
        [
            f"{each.rows:,}",
            f"{each.words:,}",
            f"{each.table_bytes / 1e6:,.1f} MB",
            *(results.duration(each.steps_s.get(step, 0.0)) for step in steps),
            results.duration(sum(each.epochs_s) / len(each.epochs_s)),
            results.duration(each.seconds),
            results.duration(each.processor_s),
            f"{each.peak_bytes / 1e9:.2f} GB",
            f"{each.accuracy:.4f}",
        ]
        for each in costs
    ]
    return results.markdown(head, rows)


if __name__ == "__main__":
    main()
