"""Examples that are there twice, the same or nearly the same: which they are, and splits that keep them together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyclassify.errors import DataError
from pyclassify.examples import Examples, Integers, Splits, copies, split_positions

WINDOW = 100
"""Within one bucket an example is compared with so many that follow: time stays in proportion to the examples."""

TRAIN, VALIDATION, TEST = range(3)
"""The sides that an example may stand on, in the order of `Splits.parts`."""

Mask = np.ndarray[Any, np.dtype[np.bool_]]
Selection = tuple[Integers, Integers, Integers]
"""For train, validation and test the positions that they are to hold, counted through all three in this order."""


@dataclass(frozen=True, slots=True)
class Twins:
    """Which of N examples are the same, and which nearly.

    Args:
        copies: (N,) int64, the number of each example's content; equal numbers are equal contents.
        near: (P, 2) int64, pairs of numbers whose contents are nearly the same; each pair once, the smaller first.
    """

    copies: Integers
    near: Integers

    def take(self, positions: Integers) -> Twins:
        """The twins among the examples at these positions."""
        return Twins(self.copies[positions], self.near)

    def groups(self) -> Integers:
        """(N,) int64: the same number for all that are linked by a chain of twins."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        ones = np.ones(len(self.near), dtype=np.int64)
        links = coo_array((ones, (self.near[:, 0], self.near[:, 1])), shape=(self.size, self.size))
        numbers: Integers = connected_components(links, directed=False)[1].astype(np.int64)
        return numbers[self.copies]

    @property
    def size(self) -> int:
        """One more than the largest number of a content."""
        return 1 + max(int(self.copies.max(initial=-1)), int(self.near.max(initial=-1)))


def candidates(keys: np.ndarray[Any, Any]) -> Iterator[tuple[Integers, Integers]]:
    """Pairs of rows that are equal in some column, as in locality-sensitive hashing (Indyk and Motwani 1998).

    In each column the rows are sorted, and each is paired with those that follow with the same key, WINDOW at most.
    A pair may come several times.

    Args:
        keys: (U, B) of any integer type. Its order decides what a crowded bucket pairs, so callers sort by content.

    Yields:
        Two arrays of row numbers, pair by pair.
    """
    for column in keys.T:
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        for step in range(1, min(WINDOW, len(order) - 1) + 1):
            equal = ordered[step:] == ordered[:-step]
            if not equal.any():
                break
            yield order[:-step][equal], order[step:][equal]


def unique_pairs(pairs: Iterable[tuple[Integers, Integers]]) -> Integers:
    """(P, 2) int64: each pair once, the smaller number first, in ascending order."""
    found = [np.stack([np.minimum(a, b), np.maximum(a, b)], axis=1) for a, b in pairs]
    return np.unique(np.concatenate([np.empty((0, 2), dtype=np.int64), *found]), axis=0)


def keep_together(
    splits: Splits[Any], twins: Twins, *, validation_fraction: float, test_fraction: float
) -> Selection | None:
    """Split anew where twins stand on two sides of a split that was made here.

    A chain of twins counts as one example with copies, see `examples.split`. Parts that came apart stay as they are.

    Args:
        splits: N examples in all.
        twins: of the examples of train, validation and test, in this order.
        validation_fraction: share of what is no test that goes into the validation part, where that is made here.
        test_fraction: share of all that goes into the test part, where that is made here.

    Returns:
        None where nothing has to move: splits of data without twins stay as they are.

    Raises:
        DataError: a label has too few different examples for this.
    """
    names = tuple(splits.parts)
    sides, label_ids = sides_of(splits), all_label_ids(splits)
    numbers = twins.groups()
    ours = np.isin(sides, [names.index(name) for name in ("train", *splits.made)])
    if len(np.unique(numbers[ours])) == len(np.unique(np.stack([numbers[ours], sides[ours]]), axis=1).T):
        return None
    left = np.flatnonzero(ours)
    _check_enough(splits, Examples(tuple(numbers[left].tolist()), tuple(label_ids[left].tolist())))
    chosen = {name: np.flatnonzero(sides == number) for number, name in enumerate(names)}
    for shift, (name, fraction) in enumerate((("test", test_fraction), ("validation", validation_fraction))):
        if name in splits.made:
            pool = Examples(tuple(numbers[left].tolist()), tuple(label_ids[left].tolist()))
            rest, part = split_positions(pool, fraction=fraction, seed=splits.seed + shift)
            left, chosen[name] = left[rest], left[part]
    return left, chosen["validation"], chosen["test"]


def _check_enough(splits: Splits[Any], pool: Examples[int]) -> None:
    needed = 1 + len(splits.made)
    counts = np.bincount(copies(pool)[1], minlength=len(splits.labels))
    few = [label for label, count in zip(splits.labels, counts, strict=True) if count < needed]
    if few:
        raise DataError(
            f"too few different examples of {', '.join(few)}: but for those that are nearly the same, which stay on one"
            f" side of a split, each label needs {needed}. Add others, or bring a test part of your own."
        )


def sides_of(splits: Splits[Any]) -> Integers:
    """(N,) int64: 0 for each example of train, 1 of validation, 2 of test, in this order."""
    return np.repeat(np.arange(3), [len(part) for part in splits.parts.values()])


def all_label_ids(splits: Splits[Any]) -> Integers:
    """(N,) int64: the label ids of train, validation and test, in this order."""
    return np.concatenate([np.asarray(part.label_ids, dtype=np.int64) for part in splits.parts.values()])


def selected(splits: Splits[Any], selection: Selection) -> tuple[Examples[Any], Examples[Any], Examples[Any]]:
    """The examples of train, validation and test that a selection asks for."""
    items: Sequence[Any] = [item for part in splits.parts.values() for item in part.items]
    whole = Examples(tuple(items), tuple(all_label_ids(splits).tolist()))
    train, validation, test = (whole.take(positions.tolist()) for positions in selection)
    return train, validation, test


class Surroundings:
    """For each of N examples, what there is of its content and of those that are nearly the same.

    Not through chains: of three pictures of which each is like the next, the first is not said to be like the last.

    Args:
        splits: N examples in all.
        twins: of the examples of train, validation and test, in this order.
    """

    def __init__(self, splits: Splits[Any], twins: Twins) -> None:
        self.twins = twins
        self.sides, self.label_ids = sides_of(splits), all_label_ids(splits)

    def at_sides(self) -> Integers:
        """(N, 3): how many there are of each example, itself included, in train, validation and test."""
        table: Integers = self._counts(self.sides, values=3).toarray()
        return table[self.twins.copies]

    def is_leaked(self, side: int) -> Mask:
        """(N,) bool: stands on this side, and the same or nearly the same on one before it."""
        leaked: Mask = (self.sides == side) & (self.at_sides()[:, :side].sum(axis=1) > 0)
        return leaked

    def agreement(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """(N,): of all that are the same or nearly, the share that carries the example's own label."""
        table = self._counts(self.label_ids, values=int(self.label_ids.max(initial=0)) + 1)
        alike: Integers = np.asarray(table[self.twins.copies, self.label_ids]).ravel()
        there: Integers = np.asarray(table.sum(axis=1)).ravel()[self.twins.copies]
        return alike / there

    def is_twin_of(self, position: int) -> Mask:
        """(N,) bool: which others are the same as the example at this position, or nearly."""
        number, near = self.twins.copies[position], self.twins.near
        result = np.isin(self.twins.copies, [number, *near[(near == number).any(axis=1)].ravel()])
        result[position] = False
        return result

    def _counts(self, numbers: Integers, *, values: int) -> Any:
        """(U, values) sparse: how often each value stands at a content and at those near it."""
        from scipy.sparse import coo_array, eye_array

        size, near = self.twins.size, self.twins.near
        ones = np.ones(len(numbers), dtype=np.int64)
        own = coo_array((ones, (self.twins.copies, numbers)), shape=(size, values)).tocsr()
        ones = np.ones(len(near), dtype=np.int64)
        links = coo_array((ones, (near[:, 0], near[:, 1])), shape=(size, size)).tocsr()
        return (links + links.T + eye_array(size, dtype=np.int64, format="csr")) @ own


def further_copies(twins: Twins, positions: Integers) -> Mask:
    """(len(positions),) bool: whether an earlier one of these examples is the same."""
    result = np.ones(len(positions), dtype=bool)
    result[np.unique(twins.copies[positions], return_index=True)[1]] = False
    return result
