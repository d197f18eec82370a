"""Splits: stratified, seeded, and with identical items on one side."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyclassify.errors import DataError
from pyclassify.examples import Examples, Skipped, copies, label_counts, printable, split

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


def _with_copies(sizes: list[list[int]]) -> Examples[str]:
    """For each label a list of how many copies each of its items has."""
    pairs = [
        (f"{label} {i}", label)
        for label, of_label in enumerate(sizes)
        for i, n in enumerate(of_label)
        for _ in range(n)
    ]
    items, label_ids = zip(*pairs, strict=True)
    return Examples(items, label_ids)


SIZES = st.lists(st.lists(st.sampled_from([1, 1, 1, 2, 3, 10, 200]), min_size=2, max_size=40), min_size=1, max_size=3)


@given(SIZES, st.floats(0.05, 0.6), st.integers(0, 5))
def test_a_split_with_copies_is_as_near_as_they_allow(sizes: list[list[int]], fraction: float, seed: int) -> None:
    rest, part = split(_with_copies(sizes), fraction=fraction, seed=seed)
    assert not set(rest.items) & set(part.items)
    for label, of_label in enumerate(sizes):
        drawn = part.label_ids.count(label)
        assert 1 <= drawn < sum(of_label)
        assert abs(drawn - fraction * sum(of_label)) <= max(of_label)
        # a group larger than all that is wanted is taken only where there is no smaller one
        largest = max(part.items.count(item) for item in set(part.items) if item.startswith(f"{label} "))
        assert largest <= max(min(of_label), 2, 2 * round(fraction * sum(of_label)))


@pytest.mark.parametrize("seed", range(20))
def test_a_text_that_is_most_of_the_data_stays_with_what_is_left(seed: int) -> None:
    examples = _with_copies([[9000] + [1] * 1000, [1] * 100])
    rest, part = split(examples, fraction=0.2, seed=seed)
    assert label_counts(part, ["mostly one", "all different"]) == {"mostly one": 200, "all different": 20}
    assert rest.items.count("0 0") == 9000


def test_a_part_of_large_groups_alone_takes_the_smallest() -> None:
    _, part = split(_with_copies([[900, 50, 60], [3] * 10]), fraction=0.01, seed=0)
    assert part.items.count("0 1") == 50
    assert part.label_ids.count(0) == 50


def test_copies_carry_the_label_of_most_of_them_and_of_equals_the_first() -> None:
    groups, labels = copies(Examples(tuple("abacbaab"), (0, 2, 1, 1, 2, 1, 0, 0)))
    assert groups.tolist() == [0, 1, 0, 2, 1, 0, 0, 1]
    assert labels.tolist() == [0, 2, 1]
    assert [each.size for each in copies(Examples((), ()))] == [0, 0]
