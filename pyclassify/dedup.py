"""Duplicates and near-duplicates: which examples they are, and splits that keep them on one side.

How pictures and texts are compared stands in `image/dedup.py` and `text/dedup.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pyclassify.dataset import Examples, Integers, Splits, group_copies, split_positions
from pyclassify.errors import DataError

WINDOW: Final = 100
"""Within one bucket an example is compared with at most this many that follow, which keeps the time linear."""

PAIRS_AT_ONCE: Final = 1_000_000

TRAIN, VALIDATION, TEST = range(3)
"""Ids of the splits, in the order of `Splits.parts`."""

Mask = np.ndarray[Any, np.dtype[np.bool_]]
Selection = tuple[Integers, Integers, Integers]
"""For train, validation and test the positions of their examples, counted through all three in this order."""


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Copies and near-duplicates among N examples.

    Args:
        copies: (N,) int64, the number of each example's content; equal numbers are equal contents.
        near: (P, 2) int64, pairs of numbers whose contents are nearly equal; each pair once, the smaller first.
    """

    copies: Integers
    near: Integers

    def take(self, positions: Integers) -> Duplicates:
        """Return the duplicates among the examples at these positions."""
        return Duplicates(self.copies[positions], self.near)

    def groups(self) -> Integers:
        """Return (N,) int64: the same number for all examples that a chain of duplicates links."""
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
    """Iterate over pairs of rows that are equal in a column, as in locality-sensitive hashing (Indyk and Motwani 1998).

    In each column the rows are sorted, and each is paired with those that follow with the same key, WINDOW at most.
    A pair may come several times.

    Args:
        keys: (U, B) of any integer type. Its order decides what a crowded bucket pairs, so callers sort by content.

    Yields:
        Two arrays of row numbers, pair by pair; about PAIRS_AT_ONCE pairs if there are so many.
    """
    first: list[Integers] = []
    second: list[Integers] = []
    for column in keys.T:
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        for step in range(1, min(WINDOW, len(order) - 1) + 1):
            equal = ordered[step:] == ordered[:-step]
            if not equal.any():
                break
            first.append(order[:-step][equal])
            second.append(order[step:][equal])
        if sum(map(len, first)) >= PAIRS_AT_ONCE:
            yield np.concatenate(first), np.concatenate(second)
            first, second = [], []
    if first:
        yield np.concatenate(first), np.concatenate(second)


def unique_pairs(pairs: Iterable[tuple[Integers, Integers]]) -> Integers:
    """Return (P, 2) int64: each pair once, the smaller number first, in ascending order."""
    stacked = [np.stack([np.minimum(a, b), np.maximum(a, b)], axis=1) for a, b in pairs]
    return np.unique(np.concatenate([np.empty((0, 2), dtype=np.int64), *stacked]), axis=0)


def group_splits(
    splits: Splits[Any], duplicates: Duplicates, *, validation_fraction: float, test_fraction: float
) -> Selection | None:
    """Split anew if duplicates stand on two sides of a split that was made here.

    A chain of duplicates counts as one example with copies, see `dataset.split`. Splits that came with the data stay as
    they are.

    Args:
        splits: N examples in all.
        duplicates: among the examples of train, validation and test, in this order.
        validation_fraction: share of the examples outside test that goes into a derived validation split.
        test_fraction: share of all examples that goes into a derived test split.

    Returns:
        None if nothing has to move: splits without duplicates stay as they are.

    Raises:
        DataError: a label has too few different examples.
    """
    names = tuple(splits.parts)
    split_ids, label_ids = split_ids_of(splits), label_ids_of(splits)
    groups = duplicates.groups()
    is_movable = np.isin(split_ids, [names.index(name) for name in ("train", *splits.derived)])
    placed = np.unique(np.stack([groups[is_movable], split_ids[is_movable]]), axis=1)
    if len(np.unique(groups[is_movable])) == placed.shape[1]:
        return None
    rest = np.flatnonzero(is_movable)
    _check_distinct(splits, Examples(tuple(groups[rest].tolist()), tuple(label_ids[rest].tolist())))
    chosen = {name: np.flatnonzero(split_ids == split_id) for split_id, name in enumerate(names)}
    for shift, (name, fraction) in enumerate((("test", test_fraction), ("validation", validation_fraction))):
        if name in splits.derived:
            pool = Examples(tuple(groups[rest].tolist()), tuple(label_ids[rest].tolist()))
            remaining, part = split_positions(pool, fraction=fraction, seed=splits.seed + shift)
            rest, chosen[name] = rest[remaining], rest[part]
    return rest, chosen["validation"], chosen["test"]


def _check_distinct(splits: Splits[Any], pool: Examples[int]) -> None:
    needed = 1 + len(splits.derived)
    counts = np.bincount(group_copies(pool)[1], minlength=len(splits.labels))
    few = [label for label, count in zip(splits.labels, counts, strict=True) if count < needed]
    if few:
        raise DataError("too_few_distinct_examples", labels=few, needed=needed)


def split_ids_of(splits: Splits[Any]) -> Integers:
    """Return (N,) int64: TRAIN, VALIDATION or TEST for each example, in this order."""
    return np.repeat(np.arange(3), [len(part) for part in splits.parts.values()])


def label_ids_of(splits: Splits[Any]) -> Integers:
    """Return (N,) int64: the label ids of train, validation and test, in this order."""
    return np.concatenate([np.asarray(part.label_ids, dtype=np.int64) for part in splits.parts.values()])


def selected(splits: Splits[Any], selection: Selection) -> tuple[Examples[Any], Examples[Any], Examples[Any]]:
    """Return the examples that a selection gives to train, validation and test."""
    items: Sequence[Any] = [item for part in splits.parts.values() for item in part.items]
    whole = Examples(tuple(items), tuple(label_ids_of(splits).tolist()))
    train, validation, test = (whole.take(positions.tolist()) for positions in selection)
    return train, validation, test


class Neighbours:
    """For each of N examples the counts of its duplicates, itself included.

    Chains are not followed: of three pictures of which each is like the next, the first is no duplicate of the last.

    Args:
        splits: N examples in all.
        duplicates: among the examples of train, validation and test, in this order.
    """

    def __init__(self, splits: Splits[Any], duplicates: Duplicates) -> None:
        self.duplicates = duplicates
        self.split_ids, self.label_ids = split_ids_of(splits), label_ids_of(splits)

    def counts_by_split(self) -> Integers:
        """Return (N, 3): the duplicates of each example, itself included, in train, validation and test."""
        table: Integers = self._counts(self.split_ids, num_values=3).toarray()
        return table[self.duplicates.copies]

    def is_leaked(self, split_id: int) -> Mask:
        """Return (N,) bool: in this split, with a duplicate in one before it."""
        earlier = self.counts_by_split()[:, :split_id].sum(axis=1)
        leaked: Mask = (self.split_ids == split_id) & (earlier > 0)
        return leaked

    def agreement(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return (N,): of the duplicates of each example, itself included, the share with its own label."""
        table = self._counts(self.label_ids, num_values=int(self.label_ids.max(initial=0)) + 1)
        same_label: Integers = np.asarray(table[self.duplicates.copies, self.label_ids]).ravel()
        total: Integers = np.asarray(table.sum(axis=1)).ravel()[self.duplicates.copies]
        return same_label / total

    def is_duplicate_of(self, position: int) -> Mask:
        """Return (N,) bool: which other examples are equal or nearly equal to the one at this position."""
        number, near = self.duplicates.copies[position], self.duplicates.near
        result = np.isin(self.duplicates.copies, [number, *near[(near == number).any(axis=1)].ravel()])
        result[position] = False
        return result

    def _counts(self, values: Integers, *, num_values: int) -> Any:
        """Count for each of U contents how often each value stands at it and its near-duplicates, (U, V) sparse."""
        from scipy.sparse import coo_array, eye_array

        size, near = self.duplicates.size, self.duplicates.near
        ones = np.ones(len(values), dtype=np.int64)
        own = coo_array((ones, (self.duplicates.copies, values)), shape=(size, num_values)).tocsr()
        ones = np.ones(len(near), dtype=np.int64)
        links = coo_array((ones, (near[:, 0], near[:, 1])), shape=(size, size)).tocsr()
        return (links + links.T + eye_array(size, dtype=np.int64, format="csr")) @ own


def further_copies(duplicates: Duplicates, positions: Integers) -> Mask:
    """Return for each of these positions whether an earlier one holds an equal example."""
    result = np.ones(len(positions), dtype=bool)
    result[np.unique(duplicates.copies[positions], return_index=True)[1]] = False
    return result
