"""A look at the data before a training: what is told, what is left out, and splits that keep near-twins together."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from typing import Any

import numpy as np

from pyclassify.checkpoint import CONFIG
from pyclassify.examples import Splits
from pyclassify.findings import DataLook
from pyclassify.fixes import fix
from pyclassify.twins import Selection, Twins, keep_together, selected

TOGETHER = "twins_together"
"""What config.json calls it that near-twins are on one side of the splits."""

NAMES_SHOWN = 3


def settle(
    options: argparse.Namespace, splits: Splits[Any], twins: Twins, things: str
) -> tuple[Splits[Any], Twins, Selection]:
    """Keep twins on one side of the splits that were made here, and with --fix leave out what is safe.

    Returns:
        The splits after that, the twins in them, and for each part the positions where its examples stood before.

    Raises:
        DataError: too few examples differ, or too little would be left.
    """
    before = np.arange(len(twins.copies))
    ends = np.cumsum([len(part) for part in splits.parts.values()])
    selection: Selection = (before[: ends[0]], before[ends[0] : ends[1]], before[ends[1] :])
    apart = None
    if not was_split_otherwise(options):
        apart = keep_together(
            splits, twins, validation_fraction=options.validation_fraction, test_fraction=options.test_fraction
        )
    if apart is not None:
        print(f"Some {things} are nearly the same as others; the split was drawn so that they stay together.")
        splits, twins, selection = _taken(splits, twins, selection, apart)
    if options.fix:
        kept, sentences = fix(splits, twins, things=things)
        print("\n".join(sentences) or "Nothing had to be fixed.", flush=True)
        splits, twins, selection = _taken(splits, twins, selection, kept)
    return splits, twins, selection


def was_split_otherwise(options: argparse.Namespace) -> bool:
    """Whether a checkpoint is to be measured whose training did not yet keep near-twins together."""
    if not options.measure:
        return False
    try:
        info = json.loads((options.out / CONFIG).read_text(encoding="utf-8"))
        return not info["data"].get(TOGETHER, False)
    except (OSError, ValueError, KeyError, TypeError):
        return False  # what is wrong with it is said when it is loaded


def _taken(
    splits: Splits[Any], twins: Twins, before: Selection, chosen: Selection
) -> tuple[Splits[Any], Twins, Selection]:
    train, validation, test = selected(splits, chosen)
    whole = np.concatenate(before)
    first, second, third = (whole[positions] for positions in chosen)
    taken = replace(splits, train=train, validation=validation, test=test)
    return taken, twins.take(np.concatenate(chosen)), (first, second, third)


def show(seen: DataLook, things: str, *, is_whole: bool) -> None:
    """Print a line per finding; of a whole look the counts, the sizes and some names too."""
    if is_whole:
        _show_counts(seen)
    if not seen.findings:
        print(f"A look at the {things} found nothing to mend.", flush=True)
        return
    print(f"A look at the {things}:")
    for finding in seen.findings:
        print(f"- {finding.summary} {finding.advice}")
        for name in finding.examples[:NAMES_SHOWN] if is_whole else ():
            print(f"    {name}")
    sys.stdout.flush()


def _show_counts(seen: DataLook) -> None:
    labels = list(seen.counts["train"])
    width = max(map(len, (*labels, "label")))
    print(f"{'label':{width}}" + "".join(f"{part:>12}" for part in seen.counts))
    for label in labels:
        print(f"{label:{width}}" + "".join(f"{counts[label]:>12,}" for counts in seen.counts.values()))
    for what, size in seen.sizes.items():
        print(f"{what}: {size.minimum:,g} to {size.maximum:,g}, median {size.median:,g}")
