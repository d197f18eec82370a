"""The tutorial's two programs beside ours on the same data: `python -m benchmarks.tutorial`.

Every result is written as soon as it is there, to results/tutorial-pictures.json and results/tutorial-text.json.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from benchmarks import results, tables
from benchmarks.tutorial_programs import Result, Settings, run_images, run_text
from pyclassify import ImageConfig, TextConfig, recipe
from pyclassify.checkpoint import read_manifest
from pyclassify.cli.train import TerminalProgress
from pyclassify.device import pick
from pyclassify.manifest import Manifest
from pyclassify.training.config import TrainingConfig

MODULE: Final = "benchmarks.tutorial"
EPOCHS: Final = 10
OURS: Final = "ours,"
OURS_DEFAULT: Final = "ours, the default:"

SPLITS: Final = ("train", "val", "test")
UNLABELLED: Final = ("unsup",)

TrainPrograms = Callable[[Path, argparse.Namespace, Settings, Path], Iterator[Result]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Programs that are compared on one kind of data.

    Args:
        data: name of the data set, and of the shipped checkpoint for it.
        train: takes the folder of the data, the options, the settings and a folder for checkpoints; trains and tests
            one program after the other.
    """

    data: str
    train: TrainPrograms


def main(argv: Sequence[str] | None = None) -> None:
    """Run what the command line asks for and print the table."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    options = _parse(arguments)
    device = pick(options.device)
    settings = Settings(
        epochs=options.epochs or EPOCHS,
        device=device,
        budget_s=options.budget_s,
        max_tokens=options.max_tokens,
        seed=options.seed,
    )
    for name in _chosen(options):
        record = results.Record(
            benchmark=f"tutorial-{name}", module=MODULE, arguments=arguments, device=device, folder=options.results
        )
        with tempfile.TemporaryDirectory() as scratch:
            _compare(name, options, settings, record, Path(scratch))
    print(tables.tutorial(options.results))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--pictures", type=Path, default=Path("data/cifar10"), metavar="DIR", help="train/ and test/")
    parser.add_argument("--text", type=Path, default=Path("data/imdb/aclImdb"), metavar="DIR", help="train/ and test/")
    parser.add_argument("--only", choices=tuple(COMPARISONS), help="default: both")
    parser.add_argument("--epochs", type=int, metavar="N", help=f"of the tutorial's networks (default: {EPOCHS})")
    parser.add_argument("--default-epochs", type=int, metavar="N", help="of our default models (default: theirs)")
    parser.add_argument("--limit", type=int, metavar="N", help="examples in train and in test (default: all)")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="cut texts for the tutorial's network")
    parser.add_argument(
        "--budget-s",
        type=float,
        metavar="S",
        help="time for one training of the tutorial's network; the other networks run as many epochs as it does",
    )
    parser.add_argument(
        "--shipped",
        type=Path,
        nargs="?",
        const=Path("checkpoints"),
        metavar="DIR",
        help="take the figures of our default models from the shipped checkpoints' cards (default DIR: checkpoints)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--device", default="auto", metavar="NAME")
    parser.add_argument("--results", type=Path, default=results.FOLDER, metavar="DIR", help="where the JSON goes")
    options = parser.parse_args(arguments)
    _check(parser, options)
    return options


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Find out before hours of training what is missing after them."""
    for option in ("epochs", "default_epochs", "limit", "max_tokens"):
        if (value := getattr(options, option)) is not None and value < 1:
            parser.error(f"--{option.replace('_', '-')} must be at least 1")
    for name in _chosen(options):
        folder = getattr(options, name)
        if not ((folder / "train").is_dir() and (folder / "test").is_dir()):
            parser.error(f"{folder} has no folders train and test")
        if options.shipped and not (options.shipped / COMPARISONS[name].data / "config.json").is_file():
            parser.error(f"there is no checkpoint {options.shipped / COMPARISONS[name].data}")


def _chosen(options: argparse.Namespace) -> tuple[str, ...]:
    return (options.only,) if options.only else tuple(COMPARISONS)


def _compare(name: str, options: argparse.Namespace, settings: Settings, record: results.Record, scratch: Path) -> None:
    """Train one program after the other and write its result."""
    comparison, folder = COMPARISONS[name], getattr(options, name)
    if options.limit:
        folder = limited(folder, scratch / comparison.data, limit=options.limit)
    chosen = {option: getattr(options, option) for option in ("epochs", "limit", "max_tokens", "budget_s", "seed")}
    rows: list[dict[str, Any]] = []
    for result in comparison.train(folder, options, settings, scratch):
        rows.append(asdict(result))
        path = record.save({"data": comparison.data, "options": chosen, "rows": rows})
        accuracy = f"test accuracy {result.accuracy:.4f}"
        print(f"== {name}: {result.program}: {accuracy}; written to {path.name}\n", flush=True)


def limited(source: Path, target: Path, *, limit: int) -> Path:
    """Copy part of a data set: the same number of files of each label, evenly spread over their names.

    Args:
        source: a folder with train/LABEL/ and test/LABEL/.
        target: folder to make.
        limit: files in each split, at least one per label.

    Returns:
        The new folder.
    """
    for split in (source / name for name in SPLITS if (source / name).is_dir()):
        labels = [entry for entry in sorted(split.iterdir()) if entry.is_dir() and entry.name not in UNLABELLED]
        for label in labels:
            files = sorted(label.iterdir())
            count = min(len(files), max(1, limit // len(labels)))
            folder = target / split.name / label.name
            folder.mkdir(parents=True)
            for position in range(count):
                file = files[position * len(files) // count]
                shutil.copyfile(file, folder / file.name)
    return target


# Programs


def _train_on_images(folder: Path, options: argparse.Namespace, settings: Settings, scratch: Path) -> Iterator[Result]:
    first = run_images(folder, settings)
    yield first
    common = _common_options(folder, settings)
    yield train(OURS, ImageConfig(**common, network="simple_cnn", epochs=first.epochs, out=scratch / "simple_cnn"))
    config = ImageConfig(**common, epochs=options.default_epochs, out=scratch / "default")
    yield _default("pictures", config, options)


def _train_on_texts(folder: Path, options: argparse.Namespace, settings: Settings, scratch: Path) -> Iterator[Result]:
    first = run_text(folder, settings, step="last padded")
    yield first
    same_epochs = replace(settings, epochs=first.epochs, budget_s=None)
    yield run_text(folder, same_epochs, step="last valid")
    common = _common_options(folder, settings)
    lstm = TextConfig(**common, network="lstm", epochs=first.epochs, out=scratch / "lstm")
    if settings.max_tokens:
        lstm = replace(lstm, max_tokens=settings.max_tokens)
    note = f"texts are cut to {lstm.max_tokens:,} words and marks; the best epoch on validation data is kept"
    yield train(OURS, lstm, [note])
    config = TextConfig(**common, epochs=options.default_epochs, out=scratch / "default")
    yield _default("text", config, options)


COMPARISONS: Final[Mapping[str, Comparison]] = {
    "pictures": Comparison("cifar10", _train_on_images),
    "text": Comparison("imdb", _train_on_texts),
}


def _common_options(folder: Path, settings: Settings) -> dict[str, Any]:
    return {"data": folder, "seed": settings.seed, "device": str(settings.device)}


def _default(name: str, config: TrainingConfig, options: argparse.Namespace) -> Result:
    """Train our default network, or take its result from the card of the shipped checkpoint."""
    if options.shipped:
        return from_card(options.shipped / COMPARISONS[name].data)
    return train(OURS_DEFAULT, config)


def train(program: str, config: TrainingConfig, notes: Sequence[str] = ()) -> Result:
    """Train one of our networks and take the result from the checkpoint.

    Args:
        program: for the row.
        config: of the training.
        notes: for the row.
    """
    start = time.perf_counter()
    with closing(TerminalProgress(config.kind)) as progress:
        trained = recipe.train(config, on_progress=progress)
    return _from_manifest(program, trained.manifest, whole_s=time.perf_counter() - start, notes=notes)


def from_card(path: Path) -> Result:
    """Return the result that a shipped checkpoint has of its own training."""
    manifest = read_manifest(path)
    training = manifest.training
    assert training is not None
    commit = f" at commit {training.commit}" if training.commit else ""
    note = f"from the card of the shipped `{path.name}`: trained on {training.date}{commit}, {training.hardware}"
    return _from_manifest(OURS_DEFAULT, manifest, whole_s=None, notes=[note])


def _from_manifest(program: str, manifest: Manifest, *, whole_s: float | None, notes: Sequence[str]) -> Result:
    scores, training, data = manifest.scores, manifest.training, manifest.data
    assert scores is not None
    assert training is not None
    assert data is not None
    return Result(
        program=f"{program} `{manifest.network.name}`",
        accuracy=scores.accuracy,
        accuracy_interval=scores.accuracy_interval,
        test_examples=scores.num_examples,
        train_examples=data.train,
        epochs=len(training.epochs),
        training_s=training.duration_s,
        whole_s=whole_s,
        parameters=training.num_parameters,
        notes=tuple(notes),
    )


if __name__ == "__main__":
    main()
