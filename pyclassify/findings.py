"""A look at the data before anything is learned from it: counts, sizes, and what a person should know or mend."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pyclassify.examples import Integers, Splits, label_counts, printable
from pyclassify.twins import TEST, TRAIN, VALIDATION, Mask, Surroundings, Twins, further_copies

MOST_NAMES = 10
"""A finding names so many examples at most; its count says how many there are."""

FEW_EXAMPLES = 30
"""A label with fewer examples to train on is said to have few."""

UNEVEN = 5.0
"""More than so many times the examples of another label is said to be uneven."""

_JUNK = {"thumbs.db", "desktop.ini", "__macosx", "@eadir"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was noticed.

    Args:
        kind: a short word for it, the same in all data sets.
        summary: what it is, in one sentence.
        advice: what to do, in one sentence.
        examples: names of what is meant, MOST_NAMES at most.
        count: how many there are.
        is_fixable: whether `fix` mends it.
    """

    kind: str
    summary: str
    advice: str
    examples: tuple[str, ...]
    count: int
    is_fixable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The smallest, the middle and the largest of some numbers."""

    minimum: float
    median: float
    maximum: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DataLook:
    """What a data set looks like; plain data throughout.

    Args:
        counts: for train, validation and test the examples per label.
        sizes: ranges by what was measured, such as "width_px" or "characters".
        findings: the gravest first.
        leaked_test: positions in `Splits.test` of examples that are also, the same or nearly the same, in train or
            validation.
    """

    counts: Mapping[str, Mapping[str, int]]
    sizes: Mapping[str, Range]
    findings: tuple[Finding, ...]
    leaked_test: tuple[int, ...]


def look(
    splits: Splits[Any],
    twins: Twins,
    *,
    sizes: Mapping[str, Sequence[int]],
    name: Callable[[Any], str],
    things: str,
    hidden: Sequence[str] = (),
) -> DataLook:
    """Look at a whole data set.

    Args:
        splits: N examples in all.
        twins: of the examples of train, validation and test, in this order.
        sizes: numbers to give the ranges of.
        name: what to call one item.
        things: "pictures" or "texts".
        hidden: files that were passed over without a word.
    """
    around = _Named(splits, twins, name)
    findings = (
        _contradictions(around, things),
        *_leaks(around, splits, things),
        _repeats(around, things),
        _few(splits, things),
        _uneven(splits, things),
        _unreadable(splits),
        _hidden(hidden),
    )
    return DataLook(
        counts={part: label_counts(examples, splits.labels) for part, examples in splits.parts.items()},
        sizes={what: Range(minimum=min(n), median=statistics.median(n), maximum=max(n)) for what, n in sizes.items()},
        findings=tuple(each for each in findings if each.count),
        leaked_test=tuple(np.flatnonzero(around.is_leaked(TEST)[around.sides == TEST]).tolist()),
    )


class _Named(Surroundings):
    """What stands around each example, with names for a person to find it by."""

    def __init__(self, splits: Splits[Any], twins: Twins, name: Callable[[Any], str]) -> None:
        super().__init__(splits, twins)
        self._labels, self._name = splits.labels, name
        self._items = [item for part in splits.parts.values() for item in part.items]

    def pairs(self, positions: Integers, is_partner: Mask) -> tuple[str, ...]:
        """For the first MOST_NAMES positions the example and one of its twins, with their labels."""
        return tuple(self.pair(position, is_partner) for position in positions[:MOST_NAMES].tolist())

    def pair(self, position: int, is_partner: Mask) -> str:
        """The example at a position and the first of its twins that may be its partner."""
        others = np.flatnonzero(self.is_twin_of(position) & is_partner)
        return " and ".join(self._named(each) for each in (position, *others[:1].tolist()))

    def _named(self, position: int) -> str:
        return printable(f"{self._name(self._items[position])} ({self._labels[self.label_ids[position]]})")


def _contradictions(around: _Named, things: str) -> Finding:
    positions = np.flatnonzero(around.agreement() < 1)
    ids = around.label_ids
    return Finding(
        kind="contradiction",
        summary=f"{len(positions):,} {things} are there under two labels, the same or nearly the same.",
        advice="Decide which label is right; --fix leaves out those outside the test whose label is not beyond doubt.",
        examples=tuple(around.pair(each, ids != ids[each]) for each in positions[:MOST_NAMES].tolist()),
        count=len(positions),
        is_fixable=bool((around.sides[positions] != TEST).any()),
    )


def _leaks(around: _Named, splits: Splits[Any], things: str) -> tuple[Finding, Finding]:
    found = []
    for side, name, use in ((TEST, "test", "test with"), (VALIDATION, "validation", "choose by")):
        positions = np.flatnonzero(around.is_leaked(side))
        found.append(
            Finding(
                kind=f"leak_{name}",
                summary=f"{len(positions):,} of the {things} to {use} are also among those to learn from, the same or"
                " nearly the same: the score flatters.",
                advice=f"Collect others for the {name} part; --fix leaves their twins out of the training.",
                examples=around.pairs(positions, around.sides < side),
                count=len(positions),
                is_fixable=name not in splits.made,
            )
        )
    return found[0], found[1]


def _repeats(around: _Named, things: str) -> Finding:
    is_train = around.sides == TRAIN
    positions = np.flatnonzero(is_train & (around.at_sides()[:, TRAIN] > 1))
    further = int(further_copies(around.twins, np.flatnonzero(is_train)).sum())
    return Finding(
        kind="repetition",
        summary=f"{len(positions):,} of the {things} to train on are there more than once, the same or nearly the same;"
        f" {further:,} of them are further copies.",
        advice="Keep one of each unless it is meant to count more; --fix keeps the first of equal ones.",
        examples=around.pairs(positions, is_train),
        count=len(positions),
        is_fixable=further > 0,
    )


def _few(splits: Splits[Any], things: str) -> Finding:
    few = {label: n for label, n in label_counts(splits.train, splits.labels).items() if n < FEW_EXAMPLES}
    return Finding(
        kind="few_examples",
        summary=f"{_listed(few)} {'has' if len(few) == 1 else 'have'} fewer than {FEW_EXAMPLES} {things} to train on.",
        advice="Add examples of these labels, or leave the labels out.",
        examples=tuple(f"{label}: {n:,}" for label, n in few.items())[:MOST_NAMES],
        count=len(few),
    )


def _uneven(splits: Splits[Any], things: str) -> Finding:
    counts = label_counts(splits.train, splits.labels)
    rare, common = min(counts, key=lambda label: counts[label]), max(counts, key=lambda label: counts[label])
    ratio = counts[common] / max(1, counts[rare])
    return Finding(
        kind="imbalance",
        summary=f"{common} has {counts[common]:,} {things} to train on and {rare} only {counts[rare]:,}.",
        advice="Add examples of the rare labels, and read the score of each label rather than the accuracy.",
        examples=(common, rare),
        count=int(ratio > UNEVEN),
    )


def _unreadable(splits: Splits[Any]) -> Finding:
    skipped = splits.skipped
    return Finding(
        kind="unreadable",
        summary=f"{len(skipped):,} {'file or row' if len(skipped) == 1 else 'files or rows'} cannot be used and"
        f" {'was' if len(skipped) == 1 else 'were'} left out.",
        advice="Mend what should be there by the reason given for each; the rest can stay, as it is never read.",
        examples=tuple(f"{each.name}: {each.reason}" for each in skipped[:MOST_NAMES]),
        count=len(skipped),
    )


def _hidden(hidden: Sequence[str]) -> Finding:
    return Finding(
        kind="hidden",
        summary=f"{len(hidden):,} hidden {'file was' if len(hidden) == 1 else 'files or folders were'} passed over.",
        advice="Rename those that are data; the others may stay.",
        examples=tuple(map(printable, hidden[:MOST_NAMES])),
        count=len(hidden),
    )


def _listed(labels: Sequence[str] | Mapping[str, int]) -> str:
    names = list(labels)
    return ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")


def hidden_files(path: Path) -> tuple[str, ...]:
    """What lies under a folder with a name that begins with a dot, or one that systems leave behind; not inside it."""
    found = []
    for place, folders, files in os.walk(path):
        for name in sorted([*folders, *files]):
            if name.startswith(".") or name.lower() in _JUNK:
                found.append(os.path.relpath(os.path.join(place, name), path))
        folders[:] = sorted(each for each in folders if not each.startswith(".") and each.lower() not in _JUNK)
    return tuple(found)
