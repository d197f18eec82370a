"""A look at the data, and what --fix leaves out."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from pyclassify.errors import DataError
from pyclassify.examples import Examples, Skipped, Splits
from pyclassify.findings import MOST_NAMES, DataLook, hidden_files, look
from pyclassify.fixes import fix
from pyclassify.text import twins
from pyclassify.twins import selected


def _part(*pairs: tuple[str, int]) -> Examples[str]:
    return Examples(tuple(text for text, _ in pairs), tuple(label for _, label in pairs))


def _many(start: int, count: int) -> tuple[tuple[str, int], ...]:
    return tuple((f"text {i}", i % 2) for i in range(start, start + count))


def _splits(train: tuple[tuple[str, int], ...] = (), test: tuple[tuple[str, int], ...] = ()) -> Splits[str]:
    return Splits(
        name="x",
        labels=("bad", "good"),
        train=_part(*_many(0, 80), *train),
        validation=_part(*_many(80, 10)),
        test=_part(*_many(90, 10), *test),
        made=("validation",),
    )


def _look(splits: Splits[str], hidden: tuple[str, ...] = ()) -> DataLook:
    texts = [text for part in splits.parts.values() for text in part.items]
    sizes = {"characters": [len(text) for text in texts]}
    return look(splits, twins.find(texts), sizes=sizes, name=str, things="texts", hidden=hidden)


def _fixed(splits: Splits[str]) -> tuple[list[Examples[str]], tuple[str, ...]]:
    texts = [text for part in splits.parts.values() for text in part.items]
    selection, sentences = fix(splits, twins.find(texts), things="texts")
    return list(selected(splits, selection)), sentences


def _kinds(seen: DataLook) -> dict[str, int]:
    return {each.kind: each.count for each in seen.findings}


def test_good_data_give_counts_and_no_finding() -> None:
    seen = _look(_splits())
    assert seen.findings == ()
    assert seen.leaked_test == ()
    assert seen.counts["train"] == {"bad": 40, "good": 40}
    assert asdict(seen.sizes["characters"]) == {"minimum": 6, "median": 7, "maximum": 7}


def test_a_leak_is_told_by_its_place_in_the_test_part() -> None:
    seen = _look(_splits(test=(("new", 0), ("Text 3!", 1), ("text 81", 1))))
    assert seen.leaked_test == (11, 12)
    (leak,) = seen.findings
    assert (leak.kind, leak.count, leak.is_fixable) == ("leak_test", 2, True)
    assert leak.examples == ("Text 3! (good) and text 3 (good)", "text 81 (good) and text 81 (good)")


def test_a_contradiction_counts_both_and_names_the_pair() -> None:
    seen = _look(_splits(train=(("TEXT 4", 1),)))
    assert _kinds(seen) == {"contradiction": 2, "repetition": 2}
    assert seen.findings[0].examples[0] == "text 4 (bad) and TEXT 4 (good)"


def test_few_and_uneven_labels() -> None:
    splits = _splits()
    rare = Examples(("a", "b", *splits.train.items[::2]), (1, 1, *(0,) * 40))
    seen = _look(Splits(**{**{name: getattr(splits, name) for name in splits.__slots__}, "train": rare}))
    assert _kinds(seen) == {"few_examples": 1, "imbalance": 1}
    assert seen.findings[0].examples == ("good: 2",)


def test_what_was_not_read_is_a_finding() -> None:
    splits = _splits()
    skipped = tuple(Skipped(f"line {i}", "empty text") for i in range(12))
    seen = _look(
        Splits(**{**{name: getattr(splits, name) for name in splits.__slots__}, "skipped": skipped}), (".DS_Store",)
    )
    assert _kinds(seen) == {"unreadable": 12, "hidden": 1}
    assert len(seen.findings[0].examples) == MOST_NAMES


def test_a_look_is_plain_data() -> None:
    seen = _look(_splits(train=(("text 4", 1),), test=(("text 3", 1),)), hidden=(".hidden\n",))
    assert json.loads(json.dumps(asdict(seen)))["leaked_test"] == [10]


def test_each_finding_says_what_to_do() -> None:
    seen = _look(_splits(train=(("text 4", 1),), test=(("text 3", 1),)), hidden=("x",))
    for each in seen.findings:
        assert each.summary.endswith(".")
        assert each.advice.endswith(".")


def test_fixing_leaves_nothing_fixable_and_the_test_as_it_is() -> None:
    train = (("text 4", 1), ("text 6!", 0), ("text 6", 0), ("in test", 1))
    splits = _splits(train=train, test=(("In test.", 1), ("text 81", 1)))
    (kept, validation, test), sentences = _fixed(splits)
    assert test == splits.test
    assert "text 4" not in kept.items
    assert [text for text in kept.items if twins.key(text) == "text 6"] == ["text 6"]
    assert "in test" not in kept.items
    assert "text 81" not in validation.items
    assert [int(each.split()[3]) for each in sentences] == [2, 2, 2]
    fixed = Splits(name="x", labels=splits.labels, train=kept, validation=validation, test=test)
    assert not any(each.is_fixable for each in _look(fixed).findings)
    assert _look(fixed).leaked_test == ()


def test_a_slip_among_many_copies_goes_alone() -> None:
    train = (*((f"text 2{'!' * i}", 0) for i in range(1, 20)), ("text 2", 1))
    (kept, _, _), _ = _fixed(_splits(train=train))
    labels = [label for text, label in zip(kept.items, kept.label_ids, strict=True) if twins.key(text) == "text 2"]
    assert labels == [0]


def test_fixing_good_data_changes_nothing() -> None:
    splits = _splits()
    assert _fixed(splits) == ([splits.train, splits.validation, splits.test], ())


def test_nothing_left_is_an_error() -> None:
    splits = _splits()
    same = Splits(name="x", labels=splits.labels, train=splits.train, validation=splits.validation, test=splits.train)
    with pytest.raises(DataError, match="nothing to train on for bad, good"):
        _fixed(same)


def test_hidden_files_are_listed_once_and_not_entered(tmp_path: Path) -> None:
    for name in (".git/config", "train/cat/.DS_Store", "train/cat/1.png", "train/Thumbs.db"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert sorted(hidden_files(tmp_path)) == sorted([".git", "train/Thumbs.db", "train/cat/.DS_Store"])
    assert hidden_files(tmp_path / "train" / "cat" / "1.png") == ()


def test_an_empty_neighbourhood_is_the_example_alone() -> None:
    splits = _splits()
    found = twins.find([text for part in splits.parts.values() for text in part.items])
    assert np.array_equal(np.unique(found.copies), np.arange(100))
    assert len(found.near) == 0
