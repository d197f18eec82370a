"""The data of the shipped checkpoints, split as when they were trained."""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from pyclassify.checkpoint import Checkpoint
from pyclassify.examples import Examples, Splits
from pyclassify.image import data as image_data
from pyclassify.text import data as text_data
from pyclassify.text import twins
from pyclassify.twins import keep_together, selected
from train import image as train_image
from train import text as train_text


def command(loaded: Checkpoint, root: Path) -> argparse.Namespace:
    """The options that a checkpoint was trained with.

    Args:
        loaded: the checkpoint.
        root: the folder that the paths in its command begin at.
    """
    parser = train_image.parser() if loaded.kind == "image" else train_text.parser()
    options = parser.parse_args(shlex.split(loaded.info["training"]["command"])[3:])
    if options.data is None:
        sys.exit(f"{loaded.name} was trained on a data set by name, which is not fetched here.")
    options.data = root / options.data
    return options


def test_pictures(loaded: Checkpoint, root: Path) -> Examples[Path]:
    """Those of a data set that has a test part of its own."""
    options = command(loaded, root)
    return image_data.read(options.data, validation_fraction=options.validation_fraction, seed=options.seed).test


def texts(loaded: Checkpoint, root: Path) -> Splits[str]:
    """All parts, with near-twins on one side as in the training."""
    options = command(loaded, root)
    return read_texts(
        options.data,
        None if options.test is None else root / options.test,
        validation_fraction=options.validation_fraction,
        test_fraction=options.test_fraction,
        seed=options.seed,
    )


def read_texts(
    path: Path, test: Path | None, *, validation_fraction: float = 0.1, test_fraction: float = 0.2, seed: int = 0
) -> Splits[str]:
    """Read texts and split them as `train.text` does."""
    splits = text_data.read(
        path, test=test, seed=seed, validation_fraction=validation_fraction, test_fraction=test_fraction
    )
    found = twins.find([text for part in splits.parts.values() for text in part.items])
    chosen = keep_together(splits, found, validation_fraction=validation_fraction, test_fraction=test_fraction)
    if chosen is None:
        return splits
    train, validation, held_out = selected(splits, chosen)
    return replace(splits, train=train, validation=validation, test=held_out)
