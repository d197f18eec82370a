"""Fits any model on any examples: one loop for pictures and for text. Yields a result per epoch, prints nothing."""

from pyclassify.training.config import (
    COMPILING,
    MOST_EPOCHS,
    MOST_MINUTES,
    OPTIMIZERS,
    PRECISIONS,
    SCHEDULES,
    EpochResult,
    Progress,
    TrainConfig,
)
from pyclassify.training.inference import autocast, evaluate, predict_logits
from pyclassify.training.loop import fit

__all__ = [
    "COMPILING",
    "MOST_EPOCHS",
    "MOST_MINUTES",
    "OPTIMIZERS",
    "PRECISIONS",
    "SCHEDULES",
    "EpochResult",
    "Progress",
    "TrainConfig",
    "autocast",
    "evaluate",
    "fit",
    "predict_logits",
]
