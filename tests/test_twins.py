"""Twins: groups, bucket search and splits that keep them together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyclassify.errors import DataError
from pyclassify.examples import Examples, Splits, split
from pyclassify.twins import Surroundings, Twins, candidates, keep_together, selected, unique_pairs

FRACTIONS = {"validation_fraction": 0.2, "test_fraction": 0.2}


def _splits(count: int, seed: int, made: tuple[str, ...] = ("test", "validation")) -> Splits[str]:
    whole = Examples(tuple(f"item {i}" for i in range(count)), tuple(i % 2 for i in range(count)))
    rest, test = split(whole, fraction=0.2, seed=seed)
    train, validation = split(rest, fraction=0.2, seed=seed + 1)
    return Splits(name="x", labels=("a", "b"), train=train, validation=validation, test=test, seed=seed, made=made)


def _twins(splits: Splits[str], pairs: list[tuple[int, int]]) -> Twins:
    """Those of "item 3" and "item 5" for a pair (3, 5), wherever they stand."""
    numbers = np.array([int(item.split()[1]) for part in splits.parts.values() for item in part.items])
    near = unique_pairs([(np.array([a]), np.array([b])) for a, b in pairs if a != b])
    return Twins(numbers, near)


@given(st.integers(0, 5))
@settings(deadline=None)
def test_splits_without_twins_stay_as_they_are(seed: int) -> None:
    splits = _splits(40, seed)
    assert keep_together(splits, _twins(splits, []), **FRACTIONS) is None


PAIRS = st.lists(st.tuples(st.integers(0, 59), st.integers(0, 59)), max_size=12)


@given(PAIRS, st.integers(0, 3), st.sampled_from([("test", "validation"), ("validation",), ("test",)]))
@settings(deadline=None)
def test_twins_end_on_one_side_of_splits_made_here(
    pairs: list[tuple[int, int]], seed: int, made: tuple[str, ...]
) -> None:
    splits = _splits(60, seed, made)
    twins = _twins(splits, pairs)
    selection = keep_together(splits, twins, **FRACTIONS)
    if selection is None:
        selection = tuple(np.split(np.arange(60), np.cumsum([len(splits.train), len(splits.validation)])))
    parts = dict(zip(splits.parts, selected(splits, selection), strict=True))
    groups = twins.groups()
    ours = [
        set(groups[where].tolist()) for name, where in zip(parts, selection, strict=True) if name in ("train", *made)
    ]
    assert sum(map(len, ours)) == len(set.union(*ours))
    assert sorted(item for part in parts.values() for item in part.items) == sorted(f"item {i}" for i in range(60))
    for name in {"validation", "test"} - set(made):
        assert parts[name] == splits.parts[name]
    for name, part in parts.items():
        assert abs(len(part) - len(splits.parts[name])) <= 14


def test_too_few_different_examples_are_an_error_that_names_the_label() -> None:
    splits = _splits(20, 0)
    chain = [(i, i + 2) for i in range(1, 18, 2)]
    with pytest.raises(DataError, match="too few different examples of b:"):
        keep_together(splits, _twins(splits, chain), **FRACTIONS)


def test_a_chain_is_one_group_but_its_ends_are_no_twins() -> None:
    examples = Examples(("p", "q", "r"), (0, 0, 1))
    none = Examples((), ())
    splits = Splits(name="x", labels=("a", "b"), train=examples, validation=none, test=none)
    twins = Twins(np.array([0, 1, 2]), np.array([[0, 1], [1, 2]]))
    assert len(set(twins.groups().tolist())) == 1
    around = Surroundings(splits, twins)
    assert around.is_twin_of(0).tolist() == [False, True, False]
    assert around.agreement() == pytest.approx([1, 2 / 3, 1 / 2])


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
@settings(deadline=None)
def test_candidates_are_just_the_rows_that_share_a_column(rows: list[tuple[int, int]]) -> None:
    keys = np.array(rows)
    found = {tuple(pair) for pair in unique_pairs(candidates(keys)).tolist()}
    count = len(rows)
    assert found == {(i, j) for i in range(count) for j in range(i + 1, count) if (keys[i] == keys[j]).any()}


def test_a_crowded_bucket_costs_no_more_than_its_window() -> None:
    assert sum(len(a) for a, _ in candidates(np.zeros((5000, 1), dtype=np.int64))) <= 100 * 5000
