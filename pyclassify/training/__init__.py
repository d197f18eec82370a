"""Fits any model on any examples: one loop for pictures and for text. Yields a result per epoch, prints nothing."""

from pyclassify.training.config import OPTIMIZERS, PRECISIONS, SCHEDULES, EpochResult, Progress, TrainConfig
from pyclassify.training.inference import autocast, evaluate, predict_logits
from pyclassify.training.loop import fit

__all__ = [
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
