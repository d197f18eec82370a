"""The data report: counts, sizes and problems of a data set before training, and the repairs that are safe."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pyclassify.dataset import Splits, label_counts, printable
from pyclassify.dedup import TEST, TRAIN, VALIDATION, Duplicates, Mask, Neighbours, Selection, further_copies, selected
from pyclassify.errors import DataError
from pyclassify.locales import Message
from pyclassify.manifest import DataReport, Finding, Range

MAX_NAMES: Final = 10
"""So many examples of a finding are named at most; its count says how many there are."""

FEW_EXAMPLES: Final = 30
"""Labels with fewer training examples are reported."""

IMBALANCE: Final = 5.0
"""Reported if a label has more than this many times the training examples of another."""

CLEAR_SHARE: Final = 0.9
"""If this share of all copies has one label, the other labels are slips, and only their copies are dropped."""

_MAX_LABELS: Final = 5

_MISSING: Final = frozenset({"nan", "none", "null", "na", "n/a", "#n/a", "<na>", "-", "?"})
"""Labels that stand for a missing value, in small letters."""

_BANDS: Final = ((10, "handful"), (100, "tens"), (1_000, "hundreds"), (10_000, "thousands"))
"""Upper limits of the number of examples, and names of the bands below them, for `expectation`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """The result of looking at a data set.

    Args:
        report: for the manifest, without names of examples: those of texts are texts, which nobody may publish.
        examples: by the code of a finding the names of some examples, for the terminal.
        leaked_test: positions in the test split of examples with a duplicate in train or validation.
    """

    report: DataReport
    examples: Mapping[str, tuple[str, ...]]
    leaked_test: tuple[int, ...]


def inspect(
    splits: Splits[Any],
    duplicates: Duplicates,
    *,
    sizes: Mapping[str, Sequence[int]],
    junk: Sequence[str],
    item_name: Callable[[Any], str],
) -> Inspection:
    """Look for problems in a data set.

    Args:
        splits: N examples in all.
        duplicates: among the examples of train, validation and test, in this order.
        sizes: measurements of the items, such as their widths, to summarize.
        junk: paths of files that were ignored without a word.
        item_name: returns the name of an item for a person.
    """
    neighbours = Neighbours(splits, duplicates)
    pairs = _Pairs(splits, neighbours, item_name)
    findings = (
        _contradiction(neighbours, pairs),
        _leak(neighbours, pairs, splits, TEST),
        _leak(neighbours, pairs, splits, VALIDATION),
        _repetition(neighbours, pairs),
        _few_examples(splits),
        _imbalance(splits),
        _labels_alike(splits),
        _missing_labels(splits),
        _unreadable(splits),
        _hidden(junk),
    )
    leaked_test = np.flatnonzero(neighbours.is_leaked(TEST)[neighbours.split_ids == TEST])
    report = DataReport(
        counts={name: label_counts(part, splits.labels) for name, part in splits.parts.items()},
        sizes={name: _range(values) for name, values in sizes.items()},
        findings=[finding for finding, _ in findings if finding.count],
        leaked_test=len(leaked_test),
    )
    examples = {finding.code: names for finding, names in findings if finding.count}
    return Inspection(report=report, examples=examples, leaked_test=tuple(leaked_test.tolist()))


def expectation(report: DataReport, kind: str) -> Message:
    """Return what to expect from training, by the number of examples of the rarest label.

    The sentences stand under `report.expected.<kind>` in the locale files.

    Args:
        report: of the data.
        kind: of its items.
    """
    rarest = min(report.counts["train"].values())
    band = next((name for limit, name in _BANDS if rarest < limit), "plenty")
    return Message(f"report.expected.{kind}.{band}", {"counted": Message(f"items.{kind}", {"count": rarest})})


def _range(values: Sequence[int]) -> Range:
    return Range(minimum=min(values), median=statistics.median(values), maximum=max(values))


_NamedFinding = tuple[Finding, tuple[str, ...]]


class _Pairs:
    """Names examples together with one of their duplicates."""

    def __init__(self, splits: Splits[Any], neighbours: Neighbours, item_name: Callable[[Any], str]) -> None:
        self._neighbours, self._labels, self._item_name = neighbours, splits.labels, item_name
        self._items = [item for part in splits.parts.values() for item in part.items]

    def names(self, positions: Iterable[int], is_partner: Callable[[int], Mask]) -> tuple[str, ...]:
        """Name the first MAX_NAMES examples, each with the first duplicate that may be its partner."""
        names = []
        for position in list(positions)[:MAX_NAMES]:
            partners = np.flatnonzero(self._neighbours.is_duplicate_of(position) & is_partner(position))
            names.append(" and ".join(self._name(member) for member in (position, *partners[:1].tolist())))
        return tuple(names)

    def _name(self, position: int) -> str:
        label = self._labels[self._neighbours.label_ids[position]]
        return printable(f"{self._item_name(self._items[position])} ({label})")


def _contradiction(neighbours: Neighbours, pairs: _Pairs) -> _NamedFinding:
    positions = np.flatnonzero(neighbours.agreement() < 1)
    label_ids = neighbours.label_ids
    finding = Finding(
        code="contradiction",
        count=len(positions),
        is_fixable=bool((neighbours.split_ids[positions] != TEST).any()),
    )
    return finding, pairs.names(positions.tolist(), lambda position: label_ids != label_ids[position])


def _leak(neighbours: Neighbours, pairs: _Pairs, splits: Splits[Any], split_id: int) -> _NamedFinding:
    positions = np.flatnonzero(neighbours.is_leaked(split_id))
    name = tuple(splits.parts)[split_id]
    is_earlier = neighbours.split_ids < split_id
    finding = Finding(code=f"leak_{name}", count=len(positions), is_fixable=name not in splits.derived)
    return finding, pairs.names(positions.tolist(), lambda _: is_earlier)


def _repetition(neighbours: Neighbours, pairs: _Pairs) -> _NamedFinding:
    is_train = neighbours.split_ids == TRAIN
    positions = np.flatnonzero(is_train & (neighbours.counts_by_split()[:, TRAIN] > 1))
    further = int(further_copies(neighbours.duplicates, np.flatnonzero(is_train)).sum())
    finding = Finding(code="repetition", count=len(positions), fields={"further": further}, is_fixable=further > 0)
    return finding, pairs.names(positions.tolist(), lambda _: is_train)


def _few_examples(splits: Splits[Any]) -> _NamedFinding:
    few = {label: n for label, n in label_counts(splits.train, splits.labels).items() if n < FEW_EXAMPLES}
    labels = ", ".join([*few][:_MAX_LABELS]) + (", …" if len(few) > _MAX_LABELS else "")
    finding = Finding(code="few_examples", count=len(few), fields={"labels": labels, "limit": FEW_EXAMPLES})
    return finding, tuple(f"{label}: {n:,}" for label, n in few.items())[:MAX_NAMES]


def _imbalance(splits: Splits[Any]) -> _NamedFinding:
    counts = label_counts(splits.train, splits.labels)
    common, rare = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    finding = Finding(
        code="imbalance",
        count=int(counts[common] > IMBALANCE * max(1, counts[rare])),
        fields={"common": common, "common_count": counts[common], "rare": rare, "rare_count": counts[rare]},
    )
    return finding, (common, rare)


def _labels_alike(splits: Splits[Any]) -> _NamedFinding:
    """Find labels that differ in capitals alone."""
    forms: dict[str, list[str]] = {}
    for label in splits.labels:
        forms.setdefault(label.casefold(), []).append(label)
    alike = [", ".join(labels) for labels in forms.values() if len(labels) > 1]
    return Finding(code="labels_alike", count=len(alike), fields={"labels": "; ".join(alike[:_MAX_LABELS])}), ()


def _missing_labels(splits: Splits[Any]) -> _NamedFinding:
    """Find labels that programs write where a value is missing."""
    missing = [label for label in splits.labels if label.casefold() in _MISSING]
    count = sum(label_counts(part, splits.labels)[label] for part in splits.parts.values() for label in missing)
    option = " ".join(f"'{label}'" for label in missing)
    return Finding(code="missing_labels", count=count, fields={"labels": ", ".join(missing), "option": option}), ()


def _unreadable(splits: Splits[Any]) -> _NamedFinding:
    names = [printable(f"{skipped.name}: {skipped.reason}") for skipped in splits.skipped[:MAX_NAMES]]
    return Finding(code="unreadable", count=len(splits.skipped)), tuple(names)


def _hidden(junk: Sequence[str]) -> _NamedFinding:
    return Finding(code="hidden", count=len(junk)), tuple(map(printable, junk[:MAX_NAMES]))


def drop_unsafe(splits: Splits[Any], duplicates: Duplicates) -> tuple[Selection, list[tuple[str, int]]]:
    """Choose which examples to drop because they contradict others, leak or repeat; the test split stays as it is.

    In this order are dropped:

    1. contradiction: examples of train and validation with a duplicate under another label, except those with the
       label of at least CLEAR_SHARE of the copies.
    2. leak: examples of train with a duplicate in validation or test, and of validation with one in test.
    3. repetition: examples of train that equal an earlier one; near-duplicates stay.

    Args:
        splits: N examples in all.
        duplicates: among the examples of train, validation and test, in this order.

    Returns:
        The positions that stay, and for each reason that applied its code and the number of examples dropped. The
        sentences stand under `report.fixed.<code>` in the locale files.

    Raises:
        DataError: a label would have no training examples left, or there would be no validation examples.
    """
    neighbours = Neighbours(splits, duplicates)
    split_ids, counts = neighbours.split_ids, neighbours.counts_by_split()
    contradicts = (split_ids != TEST) & (neighbours.agreement() < CLEAR_SHARE)
    in_later = np.where(split_ids == TRAIN, counts[:, VALIDATION] + counts[:, TEST], counts[:, TEST])
    leaks = (split_ids != TEST) & (in_later > 0) & ~contradicts
    rest = np.flatnonzero((split_ids == TRAIN) & ~contradicts & ~leaks)
    repeats = np.zeros(len(split_ids), dtype=bool)
    repeats[rest] = further_copies(duplicates, rest)
    kept = ~(contradicts | leaks | repeats)
    train, validation, test = (np.flatnonzero(kept & (split_ids == split_id)) for split_id in (TRAIN, VALIDATION, TEST))
    _check_enough_left(splits, (train, validation, test))
    dropped = {"contradiction": contradicts, "leak": leaks, "repetition": repeats}
    return (train, validation, test), [(code, int(mask.sum())) for code, mask in dropped.items() if mask.any()]


def _check_enough_left(splits: Splits[Any], selection: Selection) -> None:
    train, validation, _ = selected(splits, selection)
    empty = [label for label, count in label_counts(train, splits.labels).items() if not count]
    if empty:
        raise DataError("fix_leaves_label_empty", labels=empty)
    if len(splits.validation) and not len(validation):
        raise DataError("fix_leaves_no_validation")
