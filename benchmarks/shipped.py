"""The data of a checkpoint, split as when it was trained."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pyclassify import data_report, modality
from pyclassify.checkpoint import Checkpoint, read_manifest
from pyclassify.cli.train import make_config, make_parser
from pyclassify.dataset import Splits
from pyclassify.dedup import group_splits
from pyclassify.training.config import TrainingConfig


def has_training_data(folder: Path) -> bool:
    """Return whether a checkpoint was trained, and not converted from published weights."""
    data = read_manifest(folder).data
    return data is None or data.train > 0


def training_config(loaded: Checkpoint, root: Path) -> TrainingConfig:
    """Parse the command that a checkpoint was trained with; leave with a sentence if it names no data.

    Args:
        loaded: from `checkpoint.load`.
        root: folder that the command was run in.
    """
    training = loaded.manifest.training
    command = shlex.split(training.command) if training else []
    # `python -m train.KIND` and `pyclassify train KIND`; a call from Python is one or two words
    program, arguments = command[:3], command[3:]
    if not arguments:
        sys.exit(f"{loaded.name} was not trained by a command, so that its data is unknown.")
    options = make_parser(loaded.kind, shlex.join(program)).parse_args(arguments)
    config = make_config(loaded.kind, options, command=shlex.join(command))
    if config.data is None:
        sys.exit(f"{loaded.name} was trained on a data set that is downloaded by name, which is not done here.")
    paths = {name: getattr(config, name, None) for name in ("data", "test")}
    return replace(config, **{name: root / path for name, path in paths.items() if path is not None})


def read_splits(loaded: Checkpoint, root: Path) -> Splits[Any]:
    """Read the data that a checkpoint was trained on and split it in the same way.

    Args:
        loaded: from `checkpoint.load`.
        root: folder that the training command was run in.

    Raises:
        DataError: the data is missing or unreadable.
    """
    config = training_config(loaded, root)
    kind, data = modality.of(config), loaded.manifest.data
    corpus = kind.read(config, inspect_only=True)
    is_grouped = data is None or data.duplicates_grouped
    if not (is_grouped or config.fix):
        return corpus.splits
    duplicates = kind.find_duplicates(corpus)
    if is_grouped:
        fractions = {"validation_fraction": config.validation_fraction, "test_fraction": config.test_fraction}
        grouped = group_splits(corpus.splits, duplicates, **fractions)
        if grouped is not None:
            corpus, duplicates = kind.select(corpus, grouped), duplicates.take(np.concatenate(grouped))
    if config.fix:
        kept, _ = data_report.drop_unsafe(corpus.splits, duplicates)
        corpus = kind.select(corpus, kept)
    return corpus.splits
