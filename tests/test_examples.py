"""Splits: stratified, seeded, and with identical items on one side."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyclassify.errors import DataError
from pyclassify.examples import Examples, Skipped, label_counts, printable, split

LABELLED = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2)), min_size=12, max_size=80)


def _examples(pairs: list[tuple[int, int]]) -> Examples[str]:
    # two different items of each label make every draw splittable
    sure = [(f"only {label} {i}", label) for label in range(3) for i in range(2)]
    items, label_ids = zip(*([(str(item), label) for item, label in pairs] + sure), strict=True)
    return Examples(tuple(items), tuple(label_ids))


@given(LABELLED, st.floats(0.05, 0.6), st.integers(0, 5))
def test_split_loses_nothing_and_shares_nothing(pairs: list[tuple[int, int]], fraction: float, seed: int) -> None:
    examples = _examples(pairs)
    rest, part = split(examples, fraction=fraction, seed=seed)
    both = sorted(zip(rest.items + part.items, rest.label_ids + part.label_ids, strict=True))
    assert both == sorted(zip(examples.items, examples.label_ids, strict=True))
    assert not set(rest.items) & set(part.items)
    assert len(rest)
    assert len(part)


def test_same_seed_gives_same_split_and_another_does_not() -> None:
    examples = Examples(tuple(map(str, range(100))), tuple(i % 2 for i in range(100)))
    assert split(examples, fraction=0.3, seed=1) == split(examples, fraction=0.3, seed=1)
    assert split(examples, fraction=0.3, seed=1) != split(examples, fraction=0.3, seed=2)


def test_split_is_stratified() -> None:
    examples = Examples(tuple(map(str, range(110))), (0,) * 100 + (1,) * 10)
    _, part = split(examples, fraction=0.2, seed=0)
    assert label_counts(part, ["many", "few"]) == {"many": 20, "few": 2}


def test_a_label_with_one_different_item_cannot_be_split() -> None:
    with pytest.raises(DataError, match="too few"):
        split(Examples(("a", "a", "b", "c"), (0, 0, 1, 1)), fraction=0.5, seed=0)


def test_examples_must_pair_up() -> None:
    with pytest.raises(ValueError, match="2 items but 1"):
        Examples(("a", "b"), (0,))


@given(st.text())
def test_what_was_left_out_is_always_one_line_of_utf_8(name: str) -> None:
    shown = Skipped(name, "damaged").name
    assert shown.encode().decode() == shown == printable(shown)
    assert len(shown.splitlines()) <= 1


def test_names_in_any_script_stay_as_they_are() -> None:
    assert printable("고양이 1 ❤.png") == "고양이 1 ❤.png"
    assert printable("a\nb\udcff") == r"a\nb\udcff"
