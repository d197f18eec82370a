"""Trainings on people's own photos: `python -m benchmarks.photos --photos DIR`.

Photos of one object often have neighbouring numbers. A data set without splits is therefore split by the order of its
names, the first half of each label for training and the second for the test: a split by chance would show the same
object on both sides.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import fastai_recipe, results
from pyclassify import Classifier, ImageConfig, InputError, Prediction, checkpoint, recipe
from pyclassify.dataset import find_parts, visible_folders
from pyclassify.device import pick
from pyclassify.evaluation import accuracy_with_interval
from pyclassify.formats import PICTURE_SUFFIXES, without_junk
from pyclassify.training.config import DEVICES

MODULE: Final = "benchmarks.photos"
ROOT: Final = Path(__file__).parents[1]
COVERAGE: Final = "0.95"
MINUTES: Final = 3.0

DEFAULT: Final = "default"
NOTHING: Final = "default, from nothing"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for and write the results after each training."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    options = _parser().parse_args(arguments)
    peers = _peers(options.weights)
    folders = find_sets(options.photos, options.only, without=(options.other, options.web))
    record = results.Record(
        benchmark="photos", module=MODULE, arguments=arguments, device=pick(options.device), folder=options.results
    )
    content: dict[str, Any] = {"minutes": options.minutes, "rows": [], "other": None, "web": None}
    others = None if options.other is None else list_photos(options.other)
    if others is not None:
        content["other"] = {"name": options.other.resolve().name, "photos": len(others)}
    if options.web is not None:
        content["web"] = answer_web(options.web, options.checkpoint, options.device)
        record.save(content)
        print(
            f"{content['web']['checkpoint']} on {content['web']['name']}: {content['web']['accuracy']:.4f}", flush=True
        )
    for folder in folders:
        with tempfile.TemporaryDirectory() as place:
            data = with_splits(folder, Path(place))
            for program in (DEFAULT, NOTHING, *peers):
                if program in peers:
                    row = _fine_tune(data, *peers[program], options)
                else:
                    row = _train(data, program, others or [], options)
                content["rows"].append({"set": folder.name, "program": program, **row})
                record.save(content)
                print(f"{folder.name}, {program}: {row['accuracy']:.4f} in {row['seconds']:.0f} s", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--photos",
        type=Path,
        required=True,
        metavar="DIR",
        help="data sets: SET/LABEL, or SET/train/LABEL and SET/test/LABEL",
    )
    parser.add_argument("--only", nargs="+", metavar="SET", help="some of the data sets")
    parser.add_argument(
        "--minutes",
        type=float,
        default=MINUTES,
        metavar="N",
        help=f"of the training from nothing (default: {MINUTES:g})",
    )
    parser.add_argument(
        "--weights",
        nargs="+",
        default=[],
        metavar="NAME=FILE",
        help="fine-tune these networks of torchvision, such as resnet34=resnet34.pth, as fastai does",
    )
    parser.add_argument("--other", type=Path, metavar="DIR", help="photos of other things, which should be refused")
    parser.add_argument("--web", type=Path, metavar="DIR", help="photos in a folder per label of --checkpoint")
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "checkpoints" / "cifar10", metavar="DIR")
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--results", type=Path, default=results.FOLDER, metavar="DIR", help="where the JSON goes")
    return parser


def _peers(weights: Sequence[str]) -> dict[str, tuple[str, Path]]:
    """Return name and file of the networks to fine-tune, by what the table calls them."""
    peers = {}
    for option in weights:
        name, _, file = option.partition("=")
        if not fastai_recipe.NAMES.fullmatch(name) or not Path(file).is_file():
            sys.exit(f"--weights {option}: give the name of a ResNet of torchvision and the file of its weights.")
        peers[f"{name}, fine-tuned as by fastai"] = (name, Path(file))
    return peers


# Photos


def find_sets(root: Path, only: Sequence[str] | None, *, without: Iterable[Path | None] = ()) -> list[Path]:
    """Return the folders of the data sets in a folder; leave with a sentence if there are none.

    Args:
        root: where they are.
        only: names of those that are asked for; None for all.
        without: folders that are something else.
    """
    if not root.is_dir():
        sys.exit(f"There is no folder {root}; give --photos a folder of data sets.")
    if only is not None:
        folders = [root / name for name in only]
        if missing := [folder.name for folder in folders if not folder.is_dir()]:
            sys.exit(f"--only: {root} has no folder {', '.join(missing)}.")
        return folders
    excluded = {path.resolve() for path in without if path is not None}
    folders = [path for path in visible_folders(root) if path.resolve() not in excluded and visible_folders(path)]
    if not folders:
        sys.exit(f"{root} has no folder with a folder per label.")
    return folders


def list_photos(folder: Path) -> list[Path]:
    """Return the photos in a folder, sorted by name and number: 2.jpg stands before 10.jpg.

    Leave with a sentence if there are none.
    """
    if not folder.is_dir():
        sys.exit(f"There is no folder {folder}.")
    names = without_junk(path.name for path in folder.iterdir())
    photos = [folder / name for name in sorted(names, key=_by_number) if Path(name).suffix.lower() in PICTURE_SUFFIXES]
    if not photos:
        sys.exit(f"{folder} holds no photos.")
    return photos


def _by_number(name: str) -> list[str | int]:
    return [int(part) if number % 2 else part for number, part in enumerate(re.split(r"(\d+)", name))]


def with_splits(folder: Path, place: Path) -> Path:
    """Return a folder with train/LABEL and test/LABEL: this one, or one of links to the halves of its labels.

    Args:
        folder: of the data set.
        place: for the links.
    """
    splits = find_parts(folder).folders
    if splits:
        if "test" not in splits:
            sys.exit(f"{folder} has a folder train, but no folder test.")
        return folder
    data = place / folder.name
    for label in visible_folders(folder):
        photos = list_photos(label)
        half = (len(photos) + 1) // 2
        for name, part in (("train", photos[:half]), ("test", photos[half:])):
            (data / name / label.name).mkdir(parents=True)
            for photo in part:
                (data / name / label.name / photo.name).symlink_to(photo.resolve())
    return data


# Trainings


def _train(data: Path, program: str, others: Sequence[Path], options: argparse.Namespace) -> dict[str, Any]:
    """Train our default, from nothing if the program says so, and return its figures."""
    bounds: dict[str, Any] = {"start": "none", "minutes": options.minutes} if program == NOTHING else {}
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        trained = recipe.train(ImageConfig(data=data, out=out, device=options.device, **bounds)).manifest
        seconds = time.perf_counter() - began
        refused = None
        if program == DEFAULT and others:
            classifier = Classifier(checkpoint.load(out), pick(options.device))
            refused = refused_share([prediction for _, prediction in predictions(classifier, others)])
    scores, counts = trained.scores, trained.data
    assert scores is not None
    assert counts is not None
    return {
        "network": trained.network.name,
        "accuracy": scores.accuracy,
        "accuracy_interval": scores.accuracy_interval,
        "train": counts.train + counts.validation,
        "test": scores.num_examples,
        "seconds": seconds,
        "refused": scores.refused,
        "other_refused": refused,
        "coverage": scores.sets[COVERAGE].coverage if scores.sets else None,
        "set_size": scores.sets[COVERAGE].mean_size if scores.sets else None,
        "ece": scores.calibration.ece_after,
    }


def _fine_tune(data: Path, name: str, weights: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Fine-tune a network of torchvision and return its figures; it knows neither refusals nor prediction sets."""
    began = time.perf_counter()
    settings = fastai_recipe.Settings(device=pick(options.device))
    answers, label_ids = fastai_recipe.answer(name, weights, data, settings)
    seconds = time.perf_counter() - began
    right = sum(answer == label_id for answer, label_id in zip(answers, label_ids, strict=True))
    accuracy, interval = accuracy_with_interval(right, len(label_ids))
    return {
        "network": name,
        "accuracy": accuracy,
        "accuracy_interval": interval,
        "train": sum(len(list_photos(label)) for label in visible_folders(data / "train")),
        "test": len(label_ids),
        "seconds": seconds,
        **dict.fromkeys(("refused", "other_refused", "coverage", "set_size", "ece")),
    }


# Answers


def predictions(classifier: Classifier, photos: Iterable[Path]) -> Iterator[tuple[Path, Prediction]]:
    """Answer photos one by one; those that cannot be read are left out."""
    for photo in photos:
        try:
            (prediction,) = classifier.predict([photo])
        except InputError:
            continue
        yield photo, prediction


def refused_share(answers: Sequence[Prediction]) -> float:
    """Return the share of answers that say that the input is unlike the training data."""
    return sum(prediction.known is False for prediction in answers) / len(answers)


def answer_web(folder: Path, path: Path, device: str) -> dict[str, Any]:
    """Answer photos in a folder per label by a checkpoint; leave with a sentence if it does not know a label.

    Args:
        folder: with a folder per label.
        path: of the checkpoint.
        device: of the network.
    """
    classifier = Classifier(checkpoint.load(path), pick(device))
    photos = [photo for label in visible_folders(folder) for photo in list_photos(label)]
    if unknown := {photo.parent.name for photo in photos} - set(classifier.labels):
        sys.exit(f"--web: {classifier.name} has no label {', '.join(sorted(unknown))}.")
    answers = list(predictions(classifier, photos))
    right = sum(prediction.label == photo.parent.name for photo, prediction in answers)
    accuracy, interval = accuracy_with_interval(right, len(answers))
    return {
        "name": folder.resolve().name,
        "checkpoint": classifier.name,
        "accuracy": accuracy,
        "accuracy_interval": interval,
        "photos": len(answers),
        "refused": refused_share([prediction for _, prediction in answers]),
    }


if __name__ == "__main__":
    main()
