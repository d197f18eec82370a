"""Labelled examples and their splits: train, validation and test."""

from __future__ import annotations

import math
import os
import re
import unicodedata
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np

from pyclassify.errors import DataError
from pyclassify.formats import without_junk
from pyclassify.locales import Message

if TYPE_CHECKING:
    from torch import Tensor

Item = TypeVar("Item", bound=Hashable)
Integers = np.ndarray[Any, np.dtype[np.int64]]

SPLITS = ("train", "validation", "test")
FOLDS = 5
"""Parts of the examples in cross-validation."""

MIN_HALVED = 200
"""Minimum size of a validation split that is halved: one half to choose by, the other to calibrate on."""

_PART_NAMES = {
    "train": ("train", "training", "trn", "learn", "fit"),
    "validation": ("val", "valid", "validation", "validate", "dev", "development", "eval", "evaluation"),
    "test": ("test", "testing", "tst", "holdout"),
}
_SPLIT_OF = {name: split for split, names in _PART_NAMES.items() for name in names}
_FILLERS = frozenset({"", "set", "data", "dataset", "split", "part", "images", "pictures", "photos", "texts", "files"})
"""Words that say nothing about which split a folder or row belongs to."""

_LISTED = 5

_DECIMAL_ZEROS = re.compile(r"\.0+$")
"""Added where whole numbers went through a column with missing values, as in pandas."""


@dataclass(frozen=True, slots=True)
class Examples(Generic[Item]):
    """Items with the index of their label, in the same order.

    Args:
        items: paths of pictures, or texts.
        label_ids: for each item the position of its label in `Splits.labels`.
    """

    items: tuple[Item, ...]
    label_ids: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.items) != len(self.label_ids):
            raise ValueError(f"{len(self.items)} items but {len(self.label_ids)} label ids")

    def __len__(self) -> int:
        return len(self.items)

    def take(self, positions: Sequence[int]) -> Examples[Item]:
        """Return the examples at these positions, in this order."""
        return Examples(tuple(self.items[i] for i in positions), tuple(self.label_ids[i] for i in positions))

    def label_tensor(self) -> Tensor:
        """Return the label ids as (N,) int64."""
        import torch

        return torch.tensor(self.label_ids, dtype=torch.int64)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or row that was left out, and why.

    Args:
        name: of the file or row, in one line of UTF-8.
        reason: a sentence.
    """

    name: str
    reason: Message

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", printable(self.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits(Generic[Item]):
    """A whole data set. Every choice is made on train and validation; test is for the report alone.

    Args:
        name: of the data set.
        labels: K of them, in the order of their ids.
        train: the examples to learn from.
        validation: the examples to choose by.
        test: the examples to score with.
        skipped: what was left out.
        seed: of the splits that were made here.
        derived: which of "validation" and "test" were split off here; the others came with the data and stay as is.
        notes: how the source was understood, where that is not obvious.
    """

    name: str
    labels: tuple[str, ...]
    train: Examples[Item]
    validation: Examples[Item]
    test: Examples[Item]
    skipped: tuple[Skipped, ...] = ()
    seed: int = 0
    derived: tuple[str, ...] = ()
    notes: tuple[Message, ...] = ()

    @property
    def parts(self) -> dict[str, Examples[Item]]:
        """Train, validation and test by name, in this order."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


@dataclass(frozen=True, slots=True)
class Prepared:
    """One input as the network takes it.

    Args:
        tensor: a picture (3, H, W) uint8, or a text (L,) int64.
        notes: what a person should know about how it was read, such as that only its beginning was.
    """

    tensor: Tensor
    notes: tuple[Message, ...] = field(default=())


class Batches(Protocol):
    """Examples in batches, epoch after epoch.

    `epoch(seed)` yields pairs of the network's inputs and (N,) int64 label ids. The same seed gives the same epoch;
    without a seed the order is fixed and nothing is augmented.
    """

    @property
    def num_examples(self) -> int:
        """Number of examples in an epoch."""

    @property
    def positions(self) -> Sequence[int]:
        """For each example of an epoch without a seed, its position in the examples that the batches were made of."""

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""

    def epoch(self, seed: int | None = None) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        """Iterate over all examples once."""


def split(examples: Examples[Item], *, fraction: float, seed: int) -> tuple[Examples[Item], Examples[Item]]:
    """Split off a stratified part, keeping identical items on one side.

    Each label gives `fraction` of its items, rounded, but at least one and never its last. Identical items (equal by
    `==`) move together, under the label that most of them have, so that the part never holds a copy of what is left. An
    item with more copies than the part should hold stays where it is and is not counted: of texts that are mostly one
    text, the part gets `fraction` of the others.

    Args:
        examples: at least two different items per label.
        fraction: share of each label that goes into the part, between 0 and 1.
        seed: the same seed and examples give the same split.

    Returns:
        What is left, and the part; each in the order of `examples`.

    Raises:
        DataError: a label has fewer than two different items.
    """
    rest, part = split_positions(examples, fraction=fraction, seed=seed)
    return examples.take(rest.tolist()), examples.take(part.tolist())


def split_positions(examples: Examples[Item], *, fraction: float, seed: int) -> tuple[Integers, Integers]:
    """Split like `split`, but return positions in `examples`, in ascending order."""
    groups, group_labels = group_copies(examples)
    sizes = np.bincount(groups)
    generator = np.random.default_rng(seed)
    is_drawn = np.zeros(len(sizes), dtype=bool)
    for label_id in np.unique(group_labels):
        members = np.flatnonzero(group_labels == label_id)
        if len(members) < 2:
            raise DataError("label_has_one_example", number=int(label_id))
        is_drawn[members[_draw(sizes[members], fraction, generator)]] = True
    in_part = is_drawn[groups]
    return np.flatnonzero(~in_part), np.flatnonzero(in_part)


def calibration_positions(examples: Examples[Item], seed: int) -> tuple[list[int], list[int]] | None:
    """Halve a validation split: examples that were used to choose the network would make calibration too optimistic.

    Both halves have the same labels as nearly as can be, and copies stay on one side. Labels with a single item are
    treated as one label.

    Args:
        examples: of the validation split.
        seed: the same seed and examples give the same halves.

    Returns:
        The positions to choose by and those to calibrate on, each in ascending order; None for fewer than MIN_HALVED
        examples, or if all of them are copies of one item.
    """
    groups, group_labels = group_copies(examples)
    if len(examples) < MIN_HALVED or len(group_labels) < 2:
        return None
    counts = np.bincount(group_labels)
    strata = np.where(counts[group_labels] < 2, len(counts), group_labels)
    if (strata == len(counts)).sum() == 1:
        strata[strata == len(counts)] = counts.argmax()
    chosen, calibrating = split_positions(
        Examples(examples.items, tuple(strata[groups].tolist())), fraction=0.5, seed=seed
    )
    return chosen.tolist(), calibrating.tolist()


def group_copies(examples: Examples[Item]) -> tuple[Integers, Integers]:
    """Number the different items in the order of their first appearance.

    Returns:
        For each example the number of its item, (N,), and for each different item the label that most of its copies
        have, the first of equals, (G,).
    """
    groups = number_copies(examples.items)
    label_ids = np.asarray(examples.label_ids, dtype=np.int64)
    num_labels = int(label_ids.max(initial=0)) + 1
    pairs, first, counts = np.unique(groups * num_labels + label_ids, return_index=True, return_counts=True)
    pairs = pairs[np.lexsort((first, -counts, pairs // num_labels))]
    starts = np.flatnonzero(np.diff(pairs // num_labels, prepend=-1))
    return groups, pairs[starts] % num_labels


def number_copies(items: Iterable[Hashable]) -> Integers:
    """Number the different items in the order of their first appearance: return the number of each item, (N,)."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(item, len(numbers)) for item in items], dtype=np.int64)


def stratified_folds(label_ids: Integers, order: Integers) -> Integers:
    """Assign each of N examples to one of FOLDS folds that have the same labels as nearly as can be.

    Args:
        label_ids: (N,).
        order: (N,) positions in random order, which decides among the examples of a label.

    Returns:
        (N,) from 0 to FOLDS - 1.
    """
    folds = np.empty(len(order), dtype=np.int64)
    folds[order[np.argsort(label_ids[order], kind="stable")]] = np.arange(len(order)) % FOLDS
    return folds


def _draw(sizes: Integers, fraction: float, generator: np.random.Generator) -> list[int]:
    """Draw groups that together have about `fraction` of the examples, never all of them."""
    counted, wanted = sizes, max(1, round(fraction * int(sizes.sum())))
    while (counted > wanted).any():
        counted = counted[counted <= wanted]
        wanted = max(1, round(fraction * int(counted.sum())))
    order = generator.permutation(len(sizes)).tolist()
    drawn: list[int] = []
    missing = wanted
    for index, size in zip(order, sizes[order].tolist(), strict=True):
        if missing <= 0 or len(drawn) == len(sizes) - 1:
            break
        if size <= 2 * missing:  # a larger group would take the part farther from its size than leaving it out
            drawn.append(index)
            missing -= size
    return drawn or [min(order, key=lambda index: int(sizes[index]))]


def visible_folders(path: Path) -> list[Path]:
    """Return the folders in a folder, sorted by name, without junk.

    Raises:
        DataError: the folder cannot be read.
    """
    try:
        return [path / name for name in without_junk(entry.name for entry in path.iterdir() if entry.is_dir())]
    except OSError as error:
        raise DataError("folder_unreadable", path=path, reason=error.strerror or str(error)) from error


@dataclass(frozen=True, slots=True)
class Parts:
    """Folders of a data set that is split.

    Args:
        folders: by "train", "validation" and "test"; empty for a data set that is not split.
        skipped: folders beside them that belong to no split.
        notes: which folder is read as which split, where its name is not the usual one.
    """

    folders: dict[str, Path] = field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[Message, ...] = ()


def split_named(name: str) -> str:
    """Return the split that a name stands for, such as "validation" for "dev_set"; empty if it stands for none."""
    words = [word.removesuffix("set") for word in re.split(r"[^a-z]+", name.lower())]
    meant = [word for word in words if word not in _FILLERS]
    return _SPLIT_OF.get(meant[0], "") if len(meant) == 1 else ""


def find_parts(path: Path) -> Parts:
    """Find the folders of the splits: they are named like splits and hold the folders of the labels.

    A folder that is named like a split but holds no folders, such as the label `Train` beside `Bus`, is none. Where
    `train/` exists, a `test/` without label folders is skipped.

    Raises:
        DataError: the folder cannot be read, two folders are named like the same split, or folders hold the same
            labels, so that they must be splits, but it is unknown which.
    """
    folders = visible_folders(path)
    inner = {folder: _inner_folders(folder) for folder in folders}
    named: dict[str, list[Path]] = {}
    for folder in folders:
        split_name = split_named(folder.name)
        if split_name and (inner[folder] or split_name != "train"):
            named.setdefault(split_name, []).append(folder)
    others = [folder for folder in folders if not split_named(folder.name)]
    # `Train` beside `Bus` and `Car` is a label even if it holds folders
    if not any(inner[folder] for folder in named.get("train", ())) or (
        named["train"][0].name != "train" and len(named) == 1 and others
    ):
        _check_not_parts(path, inner)
        return Parts()
    for split_name, candidates in named.items():
        if len(candidates) > 1:
            names = [folder.name for folder in candidates]
            raise DataError("parts_of_one_split", path=path, folders=names, split=split_name)
    parts = {name: named[name][0] for name in SPLITS if name in named and inner[named[name][0]]}
    skipped = [
        Skipped(f"{folder.name}/", Message("notes.beside_splits", {"count": count_files(folder)})) for folder in others
    ]
    for (folder,) in named.values():
        if not inner[folder]:
            reason = Message("notes.split_without_labels", {"count": count_files(folder)})
            skipped.append(Skipped(f"{folder.name}/", reason))
    notes = [
        Message("notes.read_as_split", {"folder": folder.name, "split": Message(f"splits.{name}")})
        for name, folder in parts.items()
        if folder.name != _PART_NAMES[name][0]
    ]
    return Parts(parts, tuple(skipped), tuple(notes))


def derived_notes(parts: Parts, derived: Sequence[str], test_fraction: float) -> list[Message]:
    """Return a note if the data is split into folders but has no test data, which many would not expect."""
    if len(parts.folders) < 2 or "test" not in derived:
        return []
    split_name = Message("splits.test")
    return [Message("notes.split_derived", {"split": split_name, "percent": f"{test_fraction:.0%}"})]


def _check_not_parts(path: Path, inner: dict[Path, list[Path]]) -> None:
    """Raise DataError if several folders hold the same folders: these are the labels, and the outer ones are splits."""
    names = [{normalize_label(folder.name) for folder in folders} for folders in inner.values()]
    if len(names) > 1 and len(names[0]) > 1 and all(other == names[0] for other in names):
        raise DataError("parts_unnamed", path=path, folders=[folder.name for folder in inner][:_LISTED])


def _inner_folders(folder: Path) -> list[Path]:
    """Return the visible folders in a folder; none if it cannot be read, which is reported with its files."""
    try:
        return visible_folders(folder)
    except DataError:
        return []


def count_files(folder: Path) -> int:
    """Count the files below a folder, without junk and without folders that cannot be read."""
    return sum(len(without_junk(files)) for _, _, files in os.walk(folder))


def normalize_label(label: str) -> str:
    """Return a label in Unicode's composed form with its white space collapsed, so that what looks equal is equal."""
    return " ".join(unicodedata.normalize("NFC", label).split())


def sorted_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Sort labels: by value if all of them are numbers, otherwise by their characters."""
    names = sorted(labels)
    return tuple(sorted(names, key=float)) if all(map(is_number, names)) else tuple(names)


def join_labels(counts: Mapping[str, int], *, ignore_case: bool = False) -> dict[str, str]:
    """Return for each label the one that it is read as: different forms of one number are one label.

    >>> join_labels({"0": 9, "1": 5, "1.0": 2})
    {'0': '0', '1': '1', '1.0': '1'}

    Args:
        counts: examples of each label, after `normalize_label`.
        ignore_case: whether labels that differ in capitals alone are one, too; the most frequent form stays.
    """
    if all(map(is_number, counts)):
        short = {label: _DECIMAL_ZEROS.sub("", label) for label in counts}
        forms: dict[float, str] = {}
        for label in sorted(short.values(), key=lambda label: (len(label), label)):
            forms.setdefault(float(label), label)
        return {label: forms[float(label)] for label in counts}
    if not ignore_case:
        return {label: label for label in counts}
    frequent: dict[str, str] = {}
    for label in sorted(counts, key=lambda label: (-counts[label], label)):
        frequent.setdefault(label.casefold(), label)
    return {label: frequent[label.casefold()] for label in counts}


def is_number(text: str) -> bool:
    """Return whether a text is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def label_counts(examples: Examples[Item], labels: Sequence[str]) -> dict[str, int]:
    """Count the examples of each label, in the order of `labels`."""
    counts = np.bincount(np.asarray(examples.label_ids, dtype=np.int64), minlength=len(labels))
    return {label: int(count) for label, count in zip(labels, counts, strict=True)}


def is_storable(text: str) -> bool:
    """Return whether a label or name is one line of valid UTF-8, so that a checkpoint can hold it."""
    return text.splitlines() == [text] and not any("\ud800" <= character <= "\udfff" for character in text)


def printable(text: str) -> str:
    """Return the text as one line of UTF-8: other characters are written as escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
