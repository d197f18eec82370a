"""How long many inputs at once take, and whether the memory grows with their number: `benchmarks.many`."""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import resource
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyclassify
from benchmarks import results, tables
from pyclassify import many
from pyclassify.device import pick

MODULE = "benchmarks.many"
LEAST_PART = 10
"""Each is run with a tenth of the inputs first: what the memory grows by from there is what the inputs take."""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, save and print the table."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    options = _parse(arguments)
    record = results.Record(
        benchmark="many", module=MODULE, arguments=arguments, device=pick(options.device), folder=options.results
    )
    record.save({"rows": measure(options)})
    print(tables.many(options.results))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--image", type=Path, default=Path("checkpoints/cifar10"), metavar="DIR", help="checkpoint")
    parser.add_argument("--text", type=Path, default=Path("checkpoints/sms-spam"), metavar="DIR", help="checkpoint")
    parser.add_argument("--picture-data", type=Path, default=Path("data/cifar10/test"), metavar="DIR")
    parser.add_argument("--text-data", type=Path, default=Path("data/sms-spam/sms.tsv"), metavar="FILE")
    parser.add_argument("--pictures", type=int, default=1000, metavar="N")
    parser.add_argument("--texts", type=int, default=100_000, metavar="N", help="rows of the data, over and over")
    parser.add_argument("--device", default="auto", metavar="NAME")
    parser.add_argument("--results", type=Path, default=results.FOLDER, metavar="DIR", help="where the JSON goes")
    options = parser.parse_args(arguments)
    if min(options.pictures, options.texts) < LEAST_PART:
        parser.error(f"--pictures and --texts must be at least {LEAST_PART}")
    return options


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row per way to hand inputs in, with all of them and with a tenth, each in a program of its own."""
    rows = []
    ways = (
        ("pictures, as files", options.image),
        ("pictures, as one zip", options.image),
        ("short texts", options.text),
    )
    for what, checkpoint in ways:
        count = options.texts if what == "short texts" else options.pictures
        found = [_alone(what, checkpoint, each, options) for each in (count // LEAST_PART, count)]
        rows.append({"what": what, "checkpoint": checkpoint.name, "runs": found})
    return rows


def _alone(what: str, checkpoint: Path, count: int, options: argparse.Namespace) -> dict[str, Any]:
    # A program of its own: what one has held at most is otherwise also what the next one has.
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, context.Pool(1) as pool:
        uploads = make_uploads(what, count, Path(folder), options)
        return pool.apply(run, (uploads, checkpoint, options.device, Path(folder)))


def make_uploads(what: str, count: int, folder: Path, options: argparse.Namespace) -> list[many.Upload]:
    """So many inputs, as they would be handed in."""
    if what == "short texts":
        return [many.Upload("texts.tsv", _table(options.text_data, folder / "texts.tsv", count))]
    files = sorted(path for path in options.picture_data.rglob("*") if path.is_file())
    chosen = [files[number * len(files) // count] for number in range(count)]
    if what == "pictures, as files":
        return [many.Upload(path.name, path) for path in chosen]
    with zipfile.ZipFile(folder / "pictures.zip", "w") as archive:
        for number, path in enumerate(chosen):
            archive.write(path, f"{number}{path.suffix}")
    return [many.Upload("pictures.zip", folder / "pictures.zip")]


def _table(source: Path, path: Path, count: int) -> Path:
    head, *lines = source.read_text(encoding="utf-8").splitlines()
    repeated: Iterator[str] = itertools.islice(itertools.cycle(lines), count)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in itertools.chain([head], repeated))
    return path


def run(uploads: list[many.Upload], checkpoint: Path, device: str, folder: Path) -> dict[str, Any]:
    """Answer all of it and write both files, after one answer that is not measured.

    Returns:
        Inputs, seconds, problems, and by how many MB (10^6 bytes) the most memory that was held is beyond that of the
        first answer.
    """
    classifier = pyclassify.load(checkpoint, device=device)
    first = [many.Upload(each.name, each.path) for each in uploads[:1]]
    spool = many.Spool(folder / "first.db", classifier.labels)
    next(itertools.islice(_steps(first, classifier, spool), 1, None))
    before_mb, start = _peak_mb(), time.perf_counter()
    spool = many.Spool(folder / "answers.db", classifier.labels)
    for _ in _steps(uploads, classifier, spool):
        pass
    seconds = time.perf_counter() - start
    many.write_csv(spool, folder / "answers.csv")
    many.write_json(spool, folder / "answers.json")
    counts = spool.counts()
    grown_mb = _peak_mb() - before_mb
    return {"inputs": counts.rows, "seconds": seconds, "problems": counts.problems, "grown_mb": grown_mb}


def _steps(uploads: list[many.Upload], classifier: pyclassify.Classifier, spool: many.Spool) -> Iterator[many.Progress]:
    def answer(inputs: list[str]) -> list[Any]:
        return many.predict_each(classifier, inputs, str)

    return many.run(uploads, kind=classifier.kind, column="", answer=answer, spool=spool, clock=time.monotonic)


def _peak_mb() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    main()
