"""Duplicates: groups, bucket search, and splits that keep them together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyclassify.dataset import Examples, Splits, split
from pyclassify.dedup import (
    TEST,
    VALIDATION,
    WINDOW,
    Duplicates,
    Neighbours,
    candidates,
    further_copies,
    group_splits,
    selected,
    unique_pairs,
)
from pyclassify.errors import DataError

FRACTIONS = {"validation_fraction": 0.2, "test_fraction": 0.2}
NO_PAIRS = np.empty((0, 2), dtype=np.int64)


def _splits(count: int, seed: int, derived: tuple[str, ...] = ("test", "validation")) -> Splits[str]:
    whole = Examples(tuple(f"item {i}" for i in range(count)), tuple(i % 2 for i in range(count)))
    rest, test = split(whole, fraction=0.2, seed=seed)
    train, validation = split(rest, fraction=0.2, seed=seed + 1)
    return Splits(
        name="x", labels=("a", "b"), train=train, validation=validation, test=test, seed=seed, derived=derived
    )


def _duplicates(splits: Splits[str], pairs: list[tuple[int, int]]) -> Duplicates:
    """Near-duplicates "item 3" and "item 5" for a pair (3, 5), wherever they stand."""
    numbers = np.array([int(item.split()[1]) for part in splits.parts.values() for item in part.items])
    return Duplicates(numbers, unique_pairs([(np.array([a]), np.array([b])) for a, b in pairs if a != b]))


@given(st.integers(0, 5))
@settings(deadline=None)
def test_splits_without_duplicates_stay_as_they_are(seed: int) -> None:
    splits = _splits(40, seed)
    assert group_splits(splits, _duplicates(splits, []), **FRACTIONS) is None


PAIRS = st.lists(st.tuples(st.integers(0, 59), st.integers(0, 59)), max_size=12)


@given(PAIRS, st.integers(0, 3), st.sampled_from([("test", "validation"), ("validation",), ("test",)]))
@settings(deadline=None)
def test_duplicates_end_on_one_side_of_derived_splits(
    pairs: list[tuple[int, int]], seed: int, derived: tuple[str, ...]
) -> None:
    splits = _splits(60, seed, derived)
    duplicates = _duplicates(splits, pairs)
    selection = group_splits(splits, duplicates, **FRACTIONS)
    if selection is None:
        train, validation, test = np.split(np.arange(60), np.cumsum([len(splits.train), len(splits.validation)]))
        selection = train, validation, test
    parts = dict(zip(splits.parts, selected(splits, selection), strict=True))
    groups = duplicates.groups()
    movable = [
        set(groups[positions].tolist())
        for name, positions in zip(parts, selection, strict=True)
        if name in ("train", *derived)
    ]
    assert sum(map(len, movable)) == len(set.union(*movable))
    assert sorted(item for part in parts.values() for item in part.items) == sorted(f"item {i}" for i in range(60))
    for name in {"validation", "test"} - set(derived):
        assert parts[name] == splits.parts[name]
    for name, part in parts.items():
        assert abs(len(part) - len(splits.parts[name])) <= 14


def test_too_few_different_examples_are_an_error_that_names_the_label() -> None:
    splits = _splits(20, 0)
    chain = [(i, i + 2) for i in range(1, 18, 2)]
    with pytest.raises(DataError) as error:
        group_splits(splits, _duplicates(splits, chain), **FRACTIONS)
    assert error.value.code == "too_few_distinct_examples"
    assert error.value.fields == {"labels": ["b"], "needed": 3}


def test_a_chain_is_one_group_but_its_ends_are_no_duplicates() -> None:
    examples = Examples(("p", "q", "r"), (0, 0, 1))
    none: Examples[str] = Examples((), ())
    splits = Splits(name="x", labels=("a", "b"), train=examples, validation=none, test=none)
    duplicates = Duplicates(np.array([0, 1, 2]), np.array([[0, 1], [1, 2]]))
    assert len(set(duplicates.groups().tolist())) == 1
    neighbours = Neighbours(splits, duplicates)
    assert neighbours.is_duplicate_of(0).tolist() == [False, True, False]
    assert neighbours.agreement() == pytest.approx([1, 2 / 3, 1 / 2])


def test_neighbours_count_by_split_and_tell_leaks() -> None:
    splits = Splits(
        name="x",
        labels=("a", "b"),
        train=Examples(("p", "q"), (0, 1)),
        validation=Examples(("p",), (0,)),
        test=Examples(("r", "Q"), (0, 1)),
    )
    neighbours = Neighbours(splits, Duplicates(np.array([0, 1, 0, 2, 3]), np.array([[1, 3]])))
    assert neighbours.counts_by_split().tolist() == [[1, 1, 0], [1, 0, 1], [1, 1, 0], [0, 0, 1], [1, 0, 1]]
    assert neighbours.is_leaked(VALIDATION).tolist() == [False, False, True, False, False]
    assert neighbours.is_leaked(TEST).tolist() == [False, False, False, False, True]


def test_only_the_first_of_equal_examples_is_no_further_copy() -> None:
    duplicates = Duplicates(np.array([5, 5, 2, 5, 2]), NO_PAIRS)
    assert further_copies(duplicates, np.array([1, 2, 3])).tolist() == [False, False, True]
    assert duplicates.take(np.array([0, 2])).copies.tolist() == [5, 2]


def test_no_examples_have_no_duplicates() -> None:
    duplicates = Duplicates(np.empty(0, dtype=np.int64), NO_PAIRS)
    assert duplicates.size == 0
    assert len(duplicates.groups()) == 0


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
@settings(deadline=None)
def test_candidates_are_just_the_rows_that_share_a_column(rows: list[tuple[int, int]]) -> None:
    keys = np.array(rows)
    pairs = {tuple(pair) for pair in unique_pairs(candidates(keys)).tolist()}
    count = len(rows)
    assert pairs == {(i, j) for i in range(count) for j in range(i + 1, count) if (keys[i] == keys[j]).any()}


def test_a_crowded_bucket_costs_no_more_than_its_window() -> None:
    assert sum(len(a) for a, _ in candidates(np.zeros((5000, 1), dtype=np.int64))) <= WINDOW * 5000
