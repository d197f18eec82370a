"""Splits: stratified, seeded, and with identical items on one side; and the folders that stand for splits."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyclassify.dataset import (
    Examples,
    Parts,
    Skipped,
    Splits,
    calibration_positions,
    find_parts,
    group_copies,
    is_storable,
    join_labels,
    label_counts,
    printable,
    sorted_labels,
    split,
    visible_folders,
)
from pyclassify.errors import DataError
from pyclassify.locales import Message

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


@given(st.integers(0, 9), st.integers(1, 40), st.integers(0, 60))
def test_halves_of_validation_are_alike_and_share_no_copy(seed: int, num_labels: int, num_copies: int) -> None:
    items = [*map(str, range(200)), *(str(i // 2) for i in range(num_copies))]
    examples = Examples(tuple(items), tuple(int(item) % num_labels for item in items))
    halves = calibration_positions(examples, seed)
    assert halves is not None
    assert halves == calibration_positions(examples, seed)
    chosen, calibrating = (examples.take(positions) for positions in halves)
    assert sorted(halves[0] + halves[1]) == list(range(len(items)))
    assert not set(chosen.items) & set(calibrating.items)
    labels = [str(label) for label in range(num_labels)]
    counts = zip(label_counts(chosen, labels).values(), label_counts(calibrating, labels).values(), strict=True)
    assert all(abs(a - b) <= 4 for a, b in counts)


def test_labels_with_one_item_are_shared_out_among_the_halves() -> None:
    examples = Examples(tuple(map(str, range(201))), (*(0,) * 150, *range(1, 52)))
    halves = calibration_positions(examples, 0)
    assert halves is not None
    assert [sum(examples.label_ids[i] > 0 for i in half) for half in halves] == [25, 26]
    lonely = Examples(examples.items, (*(0,) * 200, 1))
    halves = calibration_positions(lonely, 0)
    assert halves is not None
    assert abs(len(halves[0]) - len(halves[1])) <= 1


def test_what_is_too_small_to_halve_stays_whole() -> None:
    few = Examples(tuple(map(str, range(199))), tuple(i % 2 for i in range(199)))
    assert calibration_positions(few, 0) is None
    assert calibration_positions(Examples(("same",) * 300, (0,) * 300), 0) is None


def test_a_label_with_one_different_item_cannot_be_split() -> None:
    with pytest.raises(DataError) as error:
        split(Examples(("b", "c", "a", "a"), (0, 0, 1, 1)), fraction=0.5, seed=0)
    assert (error.value.code, error.value.fields) == ("label_has_one_example", {"number": 1})


def test_examples_must_pair_up() -> None:
    with pytest.raises(ValueError, match="2 items but 1"):
        Examples(("a", "b"), (0,))


def test_examples_are_taken_in_the_order_of_positions() -> None:
    assert Examples(("a", "b", "c"), (0, 1, 2)).take([2, 0]) == Examples(("c", "a"), (2, 0))
    assert Examples(("a", "b"), (0, 1)).label_tensor().tolist() == [0, 1]


def test_parts_are_in_order() -> None:
    train, validation, test = (Examples((name,), (0,)) for name in "abc")
    splits = Splits(name="x", labels=("a", "b"), train=train, validation=validation, test=test)
    assert list(splits.parts.items()) == [("train", train), ("validation", validation), ("test", test)]


@given(st.text())
def test_the_name_of_a_skipped_file_is_one_line_of_utf_8(name: str) -> None:
    shown = Skipped(name, Message("errors.picture_format_unknown")).name
    assert shown.encode().decode() == shown == printable(shown)
    assert len(shown.splitlines()) <= 1


def test_names_in_any_script_stay_as_they_are() -> None:
    assert printable("고양이 1 ❤.png") == "고양이 1 ❤.png"
    assert printable("a\nb\udcff") == r"a\nb\udcff"


@pytest.mark.parametrize(
    ("label", "expected"), [("고양이", True), ("", False), ("a\nb", False), ("a\n", False), ("a\udcff", False)]
)
def test_labels_are_one_line_of_utf_8(label: str, expected: bool) -> None:
    assert is_storable(label) is expected


# Copies


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
def test_a_text_that_is_most_of_the_data_stays_in_the_rest(seed: int) -> None:
    examples = _with_copies([[9000] + [1] * 1000, [1] * 100])
    rest, part = split(examples, fraction=0.2, seed=seed)
    assert label_counts(part, ["mostly one", "all different"]) == {"mostly one": 200, "all different": 20}
    assert rest.items.count("0 0") == 9000


def test_a_part_of_large_groups_alone_takes_the_smallest() -> None:
    _, part = split(_with_copies([[900, 50, 60], [3] * 10]), fraction=0.01, seed=0)
    assert part.items.count("0 1") == 50
    assert part.label_ids.count(0) == 50


def test_copies_have_the_label_of_most_of_them_and_of_equals_the_first() -> None:
    groups, label_ids = group_copies(Examples(tuple("abacbaab"), (0, 2, 1, 1, 2, 1, 0, 0)))
    assert groups.tolist() == [0, 1, 0, 2, 1, 0, 0, 1]
    assert label_ids.tolist() == [0, 2, 1]
    assert [array.size for array in group_copies(Examples((), ()))] == [0, 0]


# Folders


def _folders(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).mkdir(parents=True)
    return root


def test_folders_are_sorted_and_junk_is_passed_over(tmp_path: Path) -> None:
    _folders(tmp_path, "dog", "cat", ".git", "__MACOSX", "@eaDir")
    (tmp_path / "notes.txt").touch()
    assert [folder.name for folder in visible_folders(tmp_path)] == ["cat", "dog"]


def test_a_folder_that_is_missing_or_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(DataError) as error:
            visible_folders(path)
        assert (error.value.code, error.value.fields["path"]) == ("folder_unreadable", path)


def _labelled(path: Path, *names: str, labels: tuple[str, ...] = ("cat", "dog"), files: int = 2) -> Path:
    for name in names:
        for label in labels:
            (path / name / label).mkdir(parents=True)
            for number in range(files):
                (path / name / label / f"{number}.txt").touch()
    return path


@pytest.mark.parametrize(
    "names",
    [
        {"train": "train", "val": "validation", "test": "test"},
        {"Training": "train", "Testing": "test"},
        {"training_set": "train", "test_set": "test"},
        {"train-images": "train", "dev": "validation", "holdout": "test"},
        {"trainset": "train", "eval": "validation"},
        {"TRAIN": "train", "Valid": "validation", "tst data": "test"},
    ],
)
def test_splits_are_found_by_the_names_of_their_folders(tmp_path: Path, names: dict[str, str]) -> None:
    parts = find_parts(_labelled(tmp_path, *names))
    assert parts.folders == {split_name: tmp_path / name for name, split_name in names.items()}
    assert not parts.skipped
    said = {note.fields["folder"] for note in parts.notes}
    assert said == set(names) - {"train", "val", "test"}


def test_what_belongs_to_no_split_is_named_with_its_number_of_files(tmp_path: Path) -> None:
    _labelled(tmp_path, "train", "more")
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "1.jpg").touch()
    parts = find_parts(tmp_path)
    assert list(parts.folders) == ["train"]
    assert [(skipped.name, skipped.reason.key, skipped.reason.fields["count"]) for skipped in parts.skipped] == [
        ("more/", "notes.beside_splits", 4),
        ("test/", "notes.split_without_labels", 1),
    ]


@pytest.mark.parametrize("names", [("cat", "dog"), ("val", "test"), ("Train", "Bus"), ()])
def test_labels_are_no_splits(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert find_parts(_folders(tmp_path, *names)) == Parts()


def test_a_label_with_folders_of_its_own_is_no_split(tmp_path: Path) -> None:
    _labelled(tmp_path, "Train", labels=("steam", "electric"))
    _labelled(tmp_path, "Bus", labels=("red", "blue"))
    assert find_parts(tmp_path) == Parts()


@pytest.mark.parametrize(
    ("names", "code"), [(("train", "training", "test"), "parts_of_one_split"), (("first", "second"), "parts_unnamed")]
)
def test_splits_that_cannot_be_told_apart(tmp_path: Path, names: tuple[str, ...], code: str) -> None:
    with pytest.raises(DataError) as error:
        find_parts(_labelled(tmp_path, *names))
    assert error.value.code == code
    assert error.value.text("en") != error.value.text("ko")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["10", "9", "-1"], ("-1", "9", "10")),
        (["10", "9", "a"], ("10", "9", "a")),
        (["0.5", "nan", "1"], ("0.5", "1", "nan")),
    ],
)
def test_labels_that_are_numbers_are_ordered_by_value(labels: list[str], expected: tuple[str, ...]) -> None:
    assert sorted_labels(labels) == expected


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"0.0": 5, "1.0": 3}, ["0", "1"]),
        ({"1": 5, "1.0": 1, "01": 1, "1.5": 2}, ["1", "1", "1", "1.5"]),
        ({"007": 1, "012": 1}, ["007", "012"]),
        ({"1.0": 1, "1": 1, "one": 1}, ["1.0", "1", "one"]),
        ({"Yes": 1, "yes": 3}, ["Yes", "yes"]),
    ],
)
def test_forms_of_a_number_are_one_label(counts: dict[str, int], expected: list[str]) -> None:
    assert list(join_labels(counts).values()) == expected


def test_capitals_are_joined_where_that_is_asked_for() -> None:
    counts = {"POSITIVE": 1, "Positive": 2, "positive": 2, "Negative": 9}
    assert join_labels(counts, ignore_case=True) == {
        "POSITIVE": "Positive",
        "Positive": "Positive",
        "positive": "Positive",
        "Negative": "Negative",
    }
