"""How to fit a model, and what is told of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pyclassify.errors import ConfigError

OPTIMIZERS = ("sgd", "adam", "adamw", "muon")
SCHEDULES = ("constant", "linear", "one_cycle")
PRECISIONS = ("float32", "bfloat16")
COMPILING = ("auto", "on", "off")
MOST_MINUTES = 1_000_000
MOST_EPOCHS = 4
"""A budget plans at most this many times the epochs that would be run without one: more would learn by heart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """How to fit a model.

    Args:
        epochs: passes over the training examples.
        minutes: wall-clock budget of the fitting, by which the number of epochs is planned instead; 0 for none.
        batch_size: examples per step.
        optimizer: "sgd" (Nesterov where there is momentum), "adam", "adamw", or "muon" for the convolutions but the
            first, with sgd for the rest.
        learning_rate: its highest value.
        momentum: of sgd.
        weight_decay: not applied to biases and norms.
        muon_rate: of what muon updates, as a multiple of learning_rate.
        muon_momentum: of what muon updates.
        muon_weight_decay: of what muon updates, in place of weight_decay; decoupled from the gradient.
        schedule: "constant"; "linear" down to zero; "one_cycle" up for a fifth of the steps, then down (Smith 2018).
        label_smoothing: share of each label that is spread over all labels.
        clip_norm: largest norm of all gradients together; 0 leaves them.
        average_decay: exponential moving average of the weights, which is what is evaluated and kept; 0 for none.
        patience: stop after this many epochs without a better validation result; 0 never stops early.
        precision: "float32", or "bfloat16" for autocast.
        compiling: "on" for torch.compile in the training steps, "off", or "auto": on a GPU, where it is worth its time.
        seed: of the order, the augmentation and the dropout.
    """

    epochs: int = 10
    minutes: float = 0.0
    batch_size: int = 256
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 0.0
    muon_rate: float = 0.05
    muon_momentum: float = 0.95
    muon_weight_decay: float = 0.0
    schedule: str = "one_cycle"
    label_smoothing: float = 0.0
    clip_norm: float = 0.0
    average_decay: float = 0.0
    patience: int = 0
    precision: str = "float32"
    compiling: str = "off"
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"epochs": 1, "batch_size": 1, "patience": 0, "seed": 0, "clip_norm": 0}
        least |= {"weight_decay": 0, "muon_weight_decay": 0}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ConfigError(f"{name} must be at least {low}, got {getattr(self, name)}")
        for name in ("learning_rate", "muon_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("momentum", "muon_momentum", "label_smoothing", "average_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 0 and below 1, got {getattr(self, name)}")
        if not 0 <= self.minutes <= MOST_MINUTES:
            raise ConfigError(f"minutes must be at least 0 and at most {MOST_MINUTES:,}, got {self.minutes}")
        names = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES, "precision": PRECISIONS, "compiling": COMPILING}
        for name, known in names.items():
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a running epoch stands; loss and accuracy are over the examples of this epoch so far."""

    epoch: int
    batch: int
    batches: int
    examples: int
    loss: float
    accuracy: float
    examples_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochResult:
    """One finished epoch; `is_best` says that its weights are the ones kept so far."""

    epoch: int
    epochs: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    examples_per_s: float
    duration_s: float
    is_best: bool
