"""Labelled examples and their splits: what pictures and texts have in common."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from pyclassify.errors import DataError

Item = TypeVar("Item", bound=Hashable)
Integers = np.ndarray[Any, np.dtype[np.int64]]

_PARTS = {
    **{name: name for name in ("train", "val", "test")},
    **{"training": "train", "testing": "test", "valid": "val", "validation": "val"},
}


@dataclass(frozen=True, slots=True)
class Examples(Generic[Item]):
    """Items with the index of their label, in the same order.

    Args:
        items: pictures as paths, or texts.
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
        """The examples at these positions, in this order."""
        return Examples(
            tuple(self.items[i] for i in positions),
            tuple(self.label_ids[i] for i in positions),
        )


@dataclass(frozen=True, slots=True)
class Skipped:
    """One file or row that was left out, and why; both can be printed and written as UTF-8."""

    name: str
    reason: str

    def __post_init__(self) -> None:
        for field in ("name", "reason"):
            object.__setattr__(self, field, printable(getattr(self, field)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits(Generic[Item]):
    """A whole data set: train and validation for every choice, test for the report alone."""

    name: str
    labels: tuple[str, ...]
    train: Examples[Item]
    validation: Examples[Item]
    test: Examples[Item]
    skipped: tuple[Skipped, ...] = ()
    seed: int = 0
    made: tuple[str, ...] = ()
    """Which of "validation" and "test" were split off here; the others came apart and stay as they came."""

    @property
    def parts(self) -> dict[str, Examples[Item]]:
        """Train, validation and test by name, in this order."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


@dataclass(frozen=True, slots=True)
class Prepared:
    """One input as the network takes it, with what a person should know about how it was read.

    Args:
        tensor: a picture (3, H, W) uint8, or a text (L,) int64.
        notes: one short sentence each, such as "only the first 1,024 of 3,201 words were read".
    """

    tensor: Tensor
    notes: tuple[str, ...] = ()


class Batches(Protocol):
    """Examples in batches, pass after pass.

    `epoch(seed)` gives one pass: pairs of the model's inputs and (N,) int64 label ids. The same seed gives the same
    pass; without a seed the order is fixed and nothing is augmented.
    """

    @property
    def examples(self) -> int:
        """How many examples one pass has."""

    def __len__(self) -> int:
        """How many batches one pass has."""

    def epoch(self, seed: int | None = None) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        """One pass over all examples."""


class PlacedBatches(Batches, Protocol):
    """Batches that say which example is which."""

    @property
    def positions(self) -> Sequence[int]:
        """Where each example of a pass without a seed stands among the examples that the batches were made of."""


def split(examples: Examples[Item], *, fraction: float, seed: int) -> tuple[Examples[Item], Examples[Item]]:
    """Split off a stratified part, keeping identical items on one side.

    Each label gives `fraction` of its items, rounded, but at least one and never its last one. Identical items
    (equal by `==`) move together, with the label that most of them carry, so that the part never holds a copy of
    what is left. An item with more copies than the part is to hold stays where it is and is not counted: of texts
    that are mostly one text, the part gets `fraction` of the others.

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
    """As `split`, but the positions in `examples` of what is left and of the part, in ascending order."""
    groups, group_labels = copies(examples)
    sizes = np.bincount(groups)
    generator = np.random.default_rng(seed)
    drawn = np.zeros(len(sizes), dtype=bool)
    for label in np.unique(group_labels):
        of_label = np.flatnonzero(group_labels == label)
        if len(of_label) < 2:
            raise DataError(f"label number {label} has a single different example, too few to split")
        drawn[of_label[_draw(sizes[of_label], fraction, generator)]] = True
    part = drawn[groups]
    return np.flatnonzero(~part), np.flatnonzero(part)


def copies(examples: Examples[Item]) -> tuple[Integers, Integers]:
    """Number the different items, in the order in which they first appear.

    Returns:
        For each example the number of its item, (N,), and for each different item the label that most of its copies
        carry, of equals the first, (G,).
    """
    numbers: dict[Item, int] = {}
    groups = np.fromiter((numbers.setdefault(each, len(numbers)) for each in examples.items), np.int64, len(examples))
    label_ids = np.asarray(examples.label_ids, dtype=np.int64)
    labels = int(label_ids.max(initial=0)) + 1
    pairs, first, counts = np.unique(groups * labels + label_ids, return_index=True, return_counts=True)
    pairs = pairs[np.lexsort((first, -counts, pairs // labels))]
    starts = np.flatnonzero(np.diff(pairs // labels, prepend=-1))
    return groups, pairs[starts] % labels


def _draw(sizes: Integers, fraction: float, generator: np.random.Generator) -> list[int]:
    """Positions in `sizes` of groups that together have about `fraction` of the examples; never all of them."""
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
        if size <= 2 * missing:  # else the part would be farther from what is wanted than without it
            drawn.append(index)
            missing -= size
    return drawn or [min(order, key=lambda index: int(sizes[index]))]


def check_part_names(path: Path, folders: Iterable[str]) -> None:
    """Check that the parts of a data set are called as they should be.

    Args:
        path: of the data set.
        folders: the names of the folders in it.

    Raises:
        DataError: one seems to be a part by another name, which would be taken for a label or passed over.
    """
    meant = {name: _PARTS.get(name.lower(), "") for name in folders}
    renamed = ", ".join(f"{name} to {part}" for name, part in meant.items() if part not in ("", name))
    # `Train` beside `Bus` and `Car` is a label; beside `train`, or with nothing but `Test`, it is none
    if renamed and ("train" in meant or {"train"} < set(meant.values()) <= set(_PARTS.values())):
        raise DataError(f"{path} seems to hold parts by other names than train, val and test: rename {renamed}.")


def printable(text: str) -> str:
    """The text in one line of UTF-8: line breaks and what a file name holds of other encodings are spelled out."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def label_counts(examples: Examples[Item], labels: Sequence[str]) -> dict[str, int]:
    """How many examples each label has, in the order of `labels`."""
    counts = np.bincount(np.asarray(examples.label_ids, dtype=np.int64), minlength=len(labels))
    return {label: int(count) for label, count in zip(labels, counts, strict=True)}


def label_tensor(examples: Examples[Item]) -> Tensor:
    """(N,) int64."""
    return torch.tensor(examples.label_ids, dtype=torch.int64)
