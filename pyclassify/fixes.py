"""Leaving out what a look at the data found, where that is safe."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyclassify.errors import DataError
from pyclassify.examples import Splits, label_counts
from pyclassify.twins import TEST, TRAIN, VALIDATION, Selection, Surroundings, Twins, further_copies, selected

CLEAR_SHARE = 0.9
"""Where this share of all copies carries one label, the others are slips, and only they are left out."""


def fix(splits: Splits[Any], twins: Twins, *, things: str) -> tuple[Selection, tuple[str, ...]]:
    """Leave out what contradicts, leaks or repeats; the test part is never changed.

    1. What is to be trained on or chosen by, and is there under another label too; but where CLEAR_SHARE of the copies
       carry one label, those with this label stay.
    2. What is to be trained on and has a twin to choose by or to test with, and what is to choose by and has a twin to
       test with.
    3. What is to be trained on and is the same as another that is; of nearly the same all stay.

    Args:
        splits: N examples in all.
        twins: of the examples of train, validation and test, in this order.
        things: "pictures" or "texts".

    Returns:
        The positions that stay, and a sentence for each step that left anything out.

    Raises:
        DataError: nothing would be left to train on for a label, or to choose by.
    """
    around = Surroundings(splits, twins)
    sides, at_sides = around.sides, around.at_sides()
    torn = (sides != TEST) & (around.agreement() < CLEAR_SHARE)
    at_later = np.where(sides == TRAIN, at_sides[:, VALIDATION] + at_sides[:, TEST], at_sides[:, TEST])
    leaked = (sides != TEST) & (at_later > 0) & ~torn
    left = np.flatnonzero((sides == TRAIN) & ~torn & ~leaked)
    further = np.zeros(len(sides), dtype=bool)
    further[left] = further_copies(twins, left)
    steps = (
        (torn, "there is a copy under another label"),
        (leaked, "there is a copy to choose by or to test with"),
        (further, "the very same is trained on already"),
    )
    kept = ~(torn | leaked | further)
    train, validation, test = (np.flatnonzero(kept & (sides == side)) for side in (TRAIN, VALIDATION, TEST))
    _check_left(splits, (train, validation, test))
    sentences = (f"Fixed: left out {int(out.sum()):,} {things} of which {why}." for out, why in steps if out.any())
    return (train, validation, test), tuple(sentences)


def _check_left(splits: Splits[Any], selection: Selection) -> None:
    train, validation, _ = selected(splits, selection)
    empty = [label for label, count in label_counts(train, splits.labels).items() if not count]
    if empty:
        raise DataError(f"--fix would leave nothing to train on for {', '.join(empty)}: mend these data by hand.")
    if not len(validation):
        raise DataError("--fix would leave nothing to choose by: mend these data by hand.")
