"""Folders on disk -> pictures with their labels, through torchvision, and a list of all that was left out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchvision.datasets import ImageFolder

from pyclassify.errors import DataError
from pyclassify.examples import Examples, Skipped, check_part_names, label_counts
from pyclassify.image.transform import EXTENSIONS

_JUNK = {"thumbs.db", "desktop.ini", "__macosx", "@eadir"}


@dataclass(frozen=True, slots=True)
class Found:
    """What one folder of label folders holds, before a picture is opened."""

    labels: tuple[str, ...]
    examples: Examples[Path]
    skipped: tuple[Skipped, ...]


class _LabelFolder(ImageFolder):  # type: ignore[misc]  # torchvision has no types
    """torchvision's ImageFolder without hidden folders and loops, and with empty labels left to our own check."""

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """The visible folders, sorted by name."""
        names = [each.name for each in visible_folders(Path(directory))]
        return names, {name: index for index, name in enumerate(names)}

    @staticmethod
    def make_dataset(directory: str | Path, class_to_idx: dict[str, int], *_: Any, **__: Any) -> list[tuple[str, int]]:
        """Paths of pictures with their label ids, in the order of the original."""
        return [
            (str(file), class_to_idx[label])
            for label in sorted(class_to_idx)
            for file in _files(Path(directory, label), [])
            if file.suffix.lower() in EXTENSIONS and file.is_file()
        ]


def visible_folders(path: Path) -> list[Path]:
    """The folders in a folder that a person put there, sorted by name.

    Raises:
        DataError: the folder cannot be read.
    """
    try:
        return sorted(each for each in path.iterdir() if each.is_dir() and not _is_junk(each.name))
    except OSError as error:
        raise DataError(f"cannot read the folder {path}: {error.strerror}.") from error


def find_parts(path: Path) -> dict[str, Path]:
    """The folders train, val and test of those that there are; none where there is no train.

    Raises:
        DataError: it looks as if the parts were there by other names, which would be taken for labels or passed over.
    """
    folders = {each.name: each for each in visible_folders(path)}
    check_part_names(path, folders)
    return {name: folders[name] for name in ("train", "val", "test") if name in folders} if "train" in folders else {}


def find(path: Path) -> Found:
    """All pictures in a folder with a folder per label.

    Raises:
        DataError: there is no label folder, or one whose name cannot be kept.
    """
    folders = visible_folders(path)
    if not folders:
        raise DataError(f"{path} has no folders in it; make one folder per label and put the pictures there.")
    odd = [each.name for each in folders if _cannot_be_kept(each.name)]
    if odd:
        raise DataError(f"the name of the folder {odd[0]!r} in {path} is no UTF-8 or has several lines; rename it.")
    samples = _LabelFolder(str(path), allow_empty=True).samples
    skipped: list[Skipped] = []
    for label in folders:
        for file in _files(label, skipped):
            if file.suffix.lower() not in EXTENSIONS:
                skipped.append(Skipped(_short(file, path), f"its name ends in none of {', '.join(EXTENSIONS)}"))
            elif not file.is_file():
                skipped.append(Skipped(_short(file, path), "not a file"))
    examples = Examples(tuple(Path(file) for file, _ in samples), tuple(index for _, index in samples))
    return Found(tuple(each.name for each in folders), examples, tuple(skipped))


def _short(file: Path, path: Path) -> str:
    return str(file.relative_to(path.parent))


def _is_junk(name: str) -> bool:
    return name.startswith(".") or name.lower() in _JUNK


def _cannot_be_kept(label: str) -> bool:
    return len(label.splitlines()) != 1 or any("\ud800" <= character <= "\udfff" for character in label)


def _files(folder: Path, unreadable: list[Skipped]) -> Iterator[Path]:
    """What lies in a folder at any depth, without junk; a folder that links lead to again is entered once."""
    here = Path(os.path.realpath(folder))
    entered = {str(here), *map(str, here.parents)}
    errors: list[OSError] = []
    found = []
    for place, folders, files in os.walk(folder, followlinks=True, onerror=errors.append):
        fresh = []
        for name in sorted(folders):
            real = os.path.realpath(os.path.join(place, name))
            if not _is_junk(name) and real not in entered:
                entered.add(real)
                fresh.append(name)
        folders[:] = fresh
        found.append((place, sorted(name for name in files if not _is_junk(name))))
    unreadable += [Skipped(str(each.filename), f"a folder that cannot be read: {each.strerror}") for each in errors]
    for place, files in sorted(found):
        yield from (Path(place, name) for name in files)


def check_counts(found: Found, path: Path) -> None:
    """Check that there is something to learn.

    Raises:
        DataError: there is no picture, a single label, or a label with fewer than three pictures.
    """
    if not len(found.examples):
        raise DataError(f"{path} has no pictures in its folders; files ending in {', '.join(EXTENSIONS)} are read.")
    if len(found.labels) < 2:
        raise DataError(f"{path} has one label only, {found.labels[0]}; there must be two or more to tell apart.")
    few = [label for label, count in label_counts(found.examples, found.labels).items() if count < 3]
    if few:
        raise DataError(
            f"too few pictures in {path} for {', '.join(few)}: each label needs at least 3,"
            " so that there is one each to train on, to choose by and to test with."
        )


def check_same_labels(labels: Sequence[str], found: Found, path: Path) -> None:
    """Check a part against the labels of train/.

    Raises:
        DataError: it has no pictures or other labels, or it is test/ and a label has no pictures there.
    """
    if not len(found.examples):
        raise DataError(f"{path} has no pictures in its folders; fill it, or remove it and a part of train/ is used.")
    differing = sorted(set(labels) ^ set(found.labels))
    if differing:
        raise DataError(f"{path} and train/ must have the same labels; they differ in {', '.join(differing)}.")
    empty = [label for label, count in label_counts(found.examples, found.labels).items() if not count]
    if empty and path.name == "test":
        raise DataError(
            f"{path} has no pictures for {', '.join(empty)}; without them nothing can be said of that label."
        )
