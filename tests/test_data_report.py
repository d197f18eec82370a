"""The data report, and the examples that `--fix` leaves out."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from pyclassify.data_report import MAX_NAMES, Inspection, drop_unsafe, expectation, inspect
from pyclassify.dataset import Examples, Skipped, Splits, split
from pyclassify.dedup import Duplicates, group_splits, selected
from pyclassify.errors import DataError
from pyclassify.locales import LANGUAGES, Message, text
from pyclassify.manifest import DataReport, Range

Pairs = tuple[tuple[str, int], ...]


def _part(*pairs: tuple[str, int]) -> Examples[str]:
    return Examples(tuple(text for text, _ in pairs), tuple(label_id for _, label_id in pairs))


def _texts(start: int, count: int) -> Pairs:
    return tuple((f"text {i}", i % 2) for i in range(start, start + count))


def _splits(train: Pairs = (), test: Pairs = ()) -> Splits[str]:
    return Splits(
        name="x",
        labels=("bad", "good"),
        train=_part(*_texts(0, 80), *train),
        validation=_part(*_texts(80, 10)),
        test=_part(*_texts(90, 10), *test),
        derived=("validation",),
    )


def _key(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def _duplicates(splits: Splits[str]) -> Duplicates:
    """Texts of equal words are equal; those that differ in a final "again" are nearly so."""
    keys = [_key(text) for part in splits.parts.values() for text in part.items]
    numbers = {key: number for number, key in enumerate(sorted(set(keys)))}
    near = sorted(
        sorted((number, numbers[f"{key} again"])) for key, number in numbers.items() if f"{key} again" in numbers
    )
    return Duplicates(np.array([numbers[key] for key in keys]), np.array(near, dtype=np.int64).reshape(-1, 2))


def _inspect(splits: Splits[str], junk: tuple[str, ...] = ()) -> Inspection:
    sizes = {"characters": [len(text) for part in splits.parts.values() for text in part.items]}
    return inspect(splits, _duplicates(splits), sizes=sizes, junk=junk, item_name=str)


def _fix(splits: Splits[str]) -> tuple[list[Examples[str]], list[tuple[str, int]]]:
    selection, dropped = drop_unsafe(splits, _duplicates(splits))
    return list(selected(splits, selection)), dropped


def _counts(inspection: Inspection) -> dict[str, int]:
    return {finding.code: finding.count for finding in inspection.report.findings}


def test_good_data_give_counts_and_no_finding() -> None:
    inspection = _inspect(_splits())
    assert inspection.report.findings == []
    assert inspection.examples == {}
    assert inspection.leaked_test == ()
    assert inspection.report.counts["train"] == {"bad": 40, "good": 40}
    assert inspection.report.sizes["characters"] == Range(minimum=6, median=7, maximum=7)


def test_a_leak_is_told_by_its_position_in_the_test_split() -> None:
    inspection = _inspect(_splits(test=(("new", 0), ("Text 3!", 1), ("text 81", 1), ("text 5 again", 1))))
    assert inspection.leaked_test == (11, 12, 13)
    assert inspection.report.leaked_test == 3
    (leak,) = inspection.report.findings
    assert (leak.code, leak.count, leak.is_fixable) == ("leak_test", 3, True)
    assert inspection.examples["leak_test"] == (
        "Text 3! (good) and text 3 (good)",
        "text 81 (good) and text 81 (good)",
        "text 5 again (good) and text 5 (good)",
    )


def test_a_leak_between_derived_splits_is_not_fixable() -> None:
    inspection = _inspect(_splits(train=(("text 80", 0),)))
    (leak,) = inspection.report.findings
    assert (leak.code, leak.count, leak.is_fixable) == ("leak_validation", 1, False)


def test_a_contradiction_counts_both_and_names_the_pair() -> None:
    inspection = _inspect(_splits(train=(("TEXT 4", 1),)))
    assert _counts(inspection) == {"contradiction": 2, "repetition": 2}
    assert inspection.examples["contradiction"][0] == "text 4 (bad) and TEXT 4 (good)"
    assert inspection.report.findings[1].fields == {"further": 1}


def test_few_and_imbalanced_labels() -> None:
    splits = _splits()
    rare = Examples(("a", "b", *splits.train.items[::2]), (1, 1, *(0,) * 40))
    inspection = _inspect(replace(splits, train=rare))
    assert _counts(inspection) == {"few_examples": 1, "imbalance": 1}
    few, imbalance = inspection.report.findings
    assert few.fields == {"labels": "good", "limit": 30}
    assert imbalance.fields == {"common": "bad", "common_count": 40, "rare": "good", "rare_count": 2}
    assert inspection.examples["few_examples"] == ("good: 2",)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", ["image", "text"])
def test_what_to_expect_depends_on_the_rarest_label(kind: str, language: str) -> None:
    def expected(*counts: int) -> str:
        counted = {"train": dict(zip("abc", counts, strict=False))}
        return expectation(DataReport(counts=counted, sizes={}, findings=[]), kind).text(language)

    sentences = [expected(100_000, count) for count in (1, 10, 100, 1_000, 10_000)]
    assert len({sentence.partition(".")[2] for sentence in sentences}) == 5
    for count, sentence in zip((1, 10, 100, 1_000, 10_000), sentences, strict=True):
        assert text(f"items.{kind}", language, count=count) in sentence
        assert sentence.endswith(".")
    assert expected(98, 99) == expected(99, 98)


def test_only_some_of_many_labels_are_named() -> None:
    labels = tuple("abcdefgh")
    examples = Examples(tuple(f"{label} {i}" for label in labels for i in range(3)), tuple(i // 3 for i in range(24)))
    none: Examples[str] = Examples((), ())
    splits = Splits(name="x", labels=labels, train=examples, validation=none, test=none)
    (few,) = _inspect(splits).report.findings
    assert (few.count, few.fields["labels"]) == (8, "a, b, c, d, e, …")


def test_unread_files_are_findings() -> None:
    reason = Message("errors.picture_format_unknown")
    skipped = tuple(Skipped(f"{i}.heic", reason) for i in range(12))
    inspection = _inspect(replace(_splits(), skipped=skipped), (".DS_Store\n",))
    assert _counts(inspection) == {"unreadable": 12, "hidden": 1}
    assert len(inspection.examples["unreadable"]) == MAX_NAMES
    assert inspection.examples["unreadable"][0] == f"0.heic: {reason}"
    assert inspection.examples["hidden"] == (r".DS_Store\n",)


def test_a_report_survives_json() -> None:
    splits = _splits(train=(("text 4", 1),), test=(("text 3", 1),))
    report = _inspect(splits, junk=(".hidden",)).report
    assert DataReport.model_validate_json(report.model_dump_json()) == report


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", ["image", "text"])
def test_each_finding_tells_what_it_is_and_what_to_do(language: str, kind: str) -> None:
    train = (("text 4", 1), ("text 80", 0), *((f"more {i}", 0) for i in range(300)))
    splits = replace(
        _splits(train, test=(("text 3", 1),)), skipped=(Skipped("1", Message("errors.picture_format_unknown")),)
    )
    findings = _inspect(splits, junk=(".hidden",)).report.findings
    few = Examples(("a", "b"), (0, 1))
    findings += _inspect(replace(_splits(), train=few)).report.findings
    assert {finding.code for finding in findings} == {
        *("contradiction", "leak_test", "leak_validation", "repetition"),
        *("few_examples", "imbalance", "unreadable", "hidden"),
    }
    for finding in findings:
        assert finding.summary(kind, language).endswith(".")
        assert finding.advice(kind, language).endswith(".")


def test_fixing_leaves_nothing_fixable_and_the_test_split_as_it_is() -> None:
    train = (("text 4", 1), ("text 6!", 0), ("text 6", 0), ("in test", 1))
    splits = _splits(train=train, test=(("In test.", 1), ("text 81", 1)))
    (kept, validation, test), dropped = _fix(splits)
    assert test == splits.test
    assert "text 4" not in kept.items
    assert [text for text in kept.items if _key(text) == "text 6"] == ["text 6"]
    assert "in test" not in kept.items
    assert "text 81" not in validation.items
    assert dropped == [("contradiction", 2), ("leak", 2), ("repetition", 2)]
    fixed = _inspect(replace(splits, train=kept, validation=validation, test=test))
    assert not any(finding.is_fixable for finding in fixed.report.findings)
    assert fixed.leaked_test == ()


@pytest.mark.parametrize("fix", [False, True])
def test_grouped_splits_do_not_leak_and_fixing_drops_the_copies(fix: bool) -> None:
    texts = [(f"text {i}{mark}", i % 2) for i in range(30) for mark in ("", "!")]
    rest, test = split(_part(*texts), fraction=0.2, seed=0)
    train, validation = split(rest, fraction=0.2, seed=1)
    derived = ("validation", "test")
    splits = Splits(name="x", labels=("bad", "good"), train=train, validation=validation, test=test, derived=derived)
    assert _inspect(splits).leaked_test
    selection = group_splits(splits, _duplicates(splits), validation_fraction=0.2, test_fraction=0.2)
    assert selection is not None
    train, validation, test = selected(splits, selection)
    splits = replace(splits, train=train, validation=validation, test=test)
    if fix:
        (train, validation, test), dropped = _fix(splits)
        assert dropped == [("repetition", len(splits.train) // 2)]
        splits = replace(splits, train=train, validation=validation, test=test)
    inspection = _inspect(splits)
    assert inspection.leaked_test == ()
    assert not {"leak_test", "leak_validation"} & _counts(inspection).keys()
    assert ("repetition" in _counts(inspection)) is not fix


def test_near_duplicates_stay_in_training() -> None:
    (kept, _, _), dropped = _fix(_splits(train=(("text 6 again", 0),)))
    assert {"text 6", "text 6 again"} <= set(kept.items)
    assert dropped == []


def test_a_slip_among_many_copies_goes_alone() -> None:
    train = (*((f"text 2{'!' * i}", 0) for i in range(1, 20)), ("text 2", 1))
    (kept, _, _), _ = _fix(_splits(train=train))
    assert [label_id for text, label_id in zip(kept.items, kept.label_ids, strict=True) if _key(text) == "text 2"] == [
        0
    ]


def test_fixing_good_data_changes_nothing() -> None:
    splits = _splits()
    assert _fix(splits) == ([splits.train, splits.validation, splits.test], [])


def test_nothing_left_to_train_on_is_an_error() -> None:
    splits = _splits()
    with pytest.raises(DataError) as error:
        _fix(replace(splits, test=splits.train))
    assert (error.value.code, error.value.fields) == ("fix_leaves_label_empty", {"labels": ["bad", "good"]})


def test_nothing_left_to_validate_with_is_an_error() -> None:
    splits = _splits()
    with pytest.raises(DataError) as error:
        _fix(replace(splits, test=splits.validation))
    assert error.value.code == "fix_leaves_no_validation"


def test_without_validation_examples_there_is_nothing_to_lose() -> None:
    splits = _splits(train=(("text 4", 1),))
    splits = replace(splits, validation=splits.validation.take([]))
    inspection = _inspect(splits)
    assert inspection.report.counts["validation"] == {"bad": 0, "good": 0}
    (_, validation, _), dropped = _fix(splits)
    assert (len(validation), dropped) == (0, [("contradiction", 2)])
