"""Where the parts of a data set lie, and whether a classifier can be learned from what they hold."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from pyclassify.errors import DataError
from pyclassify.examples import Examples, check_part_names, copies, printable
from pyclassify.text.files import TABLES, label_folders


def find_parts(path: Path, test: Path | None) -> dict[str, Path]:
    """The places of `train` and, where there are any, `validation` and `test`.

    Raises:
        DataError: one of the two paths does not exist, or there is no training data.
    """
    for place, option in ((path, "--data"), (test, "--test")):
        if place is not None and not os.path.exists(place):
            raise DataError(f"{place} does not exist: give the folder or table with the labelled texts by {option}")
    parts = {"train": path}
    if path.is_dir():
        try:
            parts = _folder_parts(path)
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from error
    return parts if test is None else {**parts, "test": test}


def _folder_parts(path: Path) -> dict[str, Path]:
    check_part_names(path, (each.name for each in label_folders(path)))
    places = {"train": path / "train", "validation": path / "val", "test": path / "test"}
    parts = {part: place for part, place in places.items() if place.is_dir()}
    if "train" in parts:
        return parts
    if parts:
        raise DataError(f"{path} has a folder {next(iter(parts.values())).name} but none named train beside it")
    tables = sorted(entry.name for entry in path.iterdir() if entry.suffix.lower() in TABLES)
    if tables and not label_folders(path):
        raise DataError(f"{path} has no folder per label, but tables: name one, such as {path / tables[0]}")
    return {"train": path}


def data_name(path: Path) -> str:
    """What to call a data set: `train.tsv` in a folder `naver` is naver."""
    path = path.resolve()
    if path.is_file():
        return printable(path.parent.name if path.stem.lower() in ("train", "training", "data") else path.stem)
    return printable(path.name)


def check_labels(labels: tuple[str, ...], found: dict[str, set[str]], parts: dict[str, Path]) -> None:
    """Training and test texts must have the same labels, at least two; validation texts no others.

    Raises:
        DataError: they have not.
    """
    if len(labels) < 2:
        raise DataError(f"{parts['train']} has the single label '{labels[0]}': there must be two to choose between")
    for part, there in found.items():
        extra, missing = there - set(labels), set(labels) - there
        if extra:
            raise DataError(f"{_some(extra)} in {parts[part]} but not in {parts['train']}: make the labels equal")
        if missing and part == "test":
            raise DataError(f"{_some(missing)} in {parts['train']} but not in {parts[part]}: make the labels equal")


def _some(labels: Iterable[str]) -> str:
    names = [f"'{label[:40]}'" for label in sorted(labels)]
    listed = ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
    return f"{'the label' if len(names) == 1 else 'the labels'} {listed} {'is' if len(names) == 1 else 'are'}"


def check_enough(examples: Examples[str], labels: tuple[str, ...], needed: int) -> None:
    """Each label needs `needed` different texts; one that occurs under several labels counts for its commonest.

    Raises:
        DataError: a label has fewer.
    """
    _, group_labels = copies(examples)
    counts = np.bincount(group_labels, minlength=len(labels))
    few = [label for label_id, label in enumerate(labels) if counts[label_id] < needed]
    if few:
        raise DataError(f"{_some(few)} too rare: each label needs {needed} different texts; add some or leave it out")
