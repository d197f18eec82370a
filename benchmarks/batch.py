"""Time of batch runs, and the growth of memory with the number of inputs: `python -m benchmarks.batch`."""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import resource
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyclassify
from benchmarks import results, tables
from pyclassify import Classifier
from pyclassify.batch.export import write_csv, write_json
from pyclassify.batch.files import Upload
from pyclassify.batch.run import Progress, predict_each
from pyclassify.batch.run import run as run_batch
from pyclassify.batch.store import AnswerStore
from pyclassify.device import pick

MODULE: Final = "benchmarks.batch"
PART: Final = 10
"""Each run is made with a tenth of the inputs first: further growth of the memory is due to the number of inputs."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to hand in inputs.

    Args:
        checkpoint: that answers.
        count: inputs.
        make_uploads: writes files for so many inputs to a folder.
    """

    checkpoint: Path
    count: int
    make_uploads: Callable[[int, Path], list[Upload]]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, save and print the table."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    options = _parse(arguments)
    record = results.Record(
        benchmark="batch", module=MODULE, arguments=arguments, device=pick(options.device), folder=options.results
    )
    record.save({"rows": measure(options)})
    print(tables.batch(options.results))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--image", type=Path, default=Path("checkpoints/cifar10"), metavar="DIR", help="checkpoint")
    parser.add_argument("--text", type=Path, default=Path("checkpoints/sms-spam"), metavar="DIR", help="checkpoint")
    parser.add_argument("--picture-data", type=Path, default=Path("data/cifar10/test"), metavar="DIR")
    parser.add_argument("--text-data", type=Path, default=Path("data/sms-spam/sms.tsv"), metavar="FILE")
    parser.add_argument("--pictures", type=int, default=1000, metavar="N", help="default: 1000")
    parser.add_argument(
        "--texts", type=int, default=100_000, metavar="N", help="rows of the data, repeated (default: 100000)"
    )
    parser.add_argument("--device", default="auto", metavar="NAME")
    parser.add_argument("--results", type=Path, default=results.FOLDER, metavar="DIR", help="where the JSON goes")
    options = parser.parse_args(arguments)
    if min(options.pictures, options.texts) < PART:
        parser.error(f"--pictures and --texts must be at least {PART}")
    return options


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Run each way to hand in inputs with a tenth of them and with all, each run in a process of its own."""
    ways = {
        "pictures, as files": Way(options.image, options.pictures, lambda n, _: image_files(options.picture_data, n)),
        "pictures, as one zip": Way(
            options.image, options.pictures, lambda n, folder: [zipped(image_files(options.picture_data, n), folder)]
        ),
        "short texts": Way(options.text, options.texts, lambda n, folder: [table(options.text_data, n, folder)]),
    }
    return [
        {
            "what": name,
            "checkpoint": way.checkpoint.name,
            "runs": [_run_alone(way, count, options.device) for count in (way.count // PART, way.count)],
        }
        for name, way in ways.items()
    ]


def _run_alone(way: Way, count: int, device: str) -> dict[str, Any]:
    # the peak of a process's memory never falls, so that each run needs a process of its own
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, context.Pool(1) as pool:
        uploads = way.make_uploads(count, Path(folder))
        return pool.apply(run, (uploads, way.checkpoint, device, Path(folder)))


# Uploads


def image_files(data: Path, count: int) -> list[Upload]:
    """Choose so many pictures, evenly spread over the files in a folder."""
    files = sorted(path for path in data.rglob("*") if path.is_file())
    chosen = [files[number * len(files) // count] for number in range(count)]
    return [Upload(path.name, path) for path in chosen]


def zipped(uploads: Sequence[Upload], folder: Path) -> Upload:
    """Pack uploads into one zip."""
    path = folder / "pictures.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, upload in enumerate(uploads):
            archive.write(upload.path, f"{number}{upload.path.suffix}")
    return Upload(path.name, path)


def table(source: Path, count: int, folder: Path) -> Upload:
    """Write a table of so many rows, those of a table with a header over and over."""
    path = folder / "texts.tsv"
    header, *lines = source.read_text(encoding="utf-8").splitlines()
    repeated = itertools.islice(itertools.cycle(lines), count)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in itertools.chain([header], repeated))
    return Upload(path.name, path)


# Running


def run(uploads: list[Upload], checkpoint: Path, device: str, folder: Path) -> dict[str, Any]:
    """Answer all inputs and write both files, after a first batch that is not measured.

    Returns:
        Inputs, seconds, problems, and the growth of the peak memory in MB (10^6 bytes) after the first batch.
    """
    classifier = pyclassify.load(checkpoint, device=device)
    first = AnswerStore(folder / "first.db", classifier.labels)
    next(itertools.islice(_progress(uploads[:1], classifier, first), 1, None))
    before_mb, start = _peak_mb(), time.perf_counter()
    store = AnswerStore(folder / "answers.db", classifier.labels)
    for _ in _progress(uploads, classifier, store):
        pass
    seconds = time.perf_counter() - start
    write_csv(store, folder / "answers.csv")
    write_json(store, folder / "answers.json")
    counts = store.counts()
    grown_mb = _peak_mb() - before_mb
    return {"inputs": counts.rows, "seconds": seconds, "problems": counts.problems, "grown_mb": grown_mb}


def _progress(uploads: list[Upload], classifier: Classifier, store: AnswerStore) -> Iterator[Progress]:
    return run_batch(
        uploads,
        modality=classifier.modality,
        column="",
        answer=lambda inputs: predict_each(classifier, inputs),
        store=store,
        clock=time.monotonic,
    )


def _peak_mb() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    main()
