"""All that changes while a model is fitted, and the file that it can be gone on from."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from pyclassify.errors import CheckpointError, ConfigError
from pyclassify.examples import Batches
from pyclassify.training.config import EpochResult, TrainConfig
from pyclassify.training.optimisation import make_optimizer, moving_average


@runtime_checkable
class Prepares(Protocol):
    """A model that wants to see all training examples once before the first step."""

    def prepare(self, batches: Batches) -> None:
        """Count, or whatever is needed."""


@runtime_checkable
class Tunes(Protocol):
    """A model with a few numbers that are set on validation data after each epoch."""

    def tune(self, batches: Batches) -> None:
        """Set them."""


@dataclass(slots=True)
class Run:
    """Everything that changes while a model is fitted, and so everything that is saved for going on.

    Args:
        forward: calls the model in a step; the model itself, or a compiled one that shares its weights.
        progress: of the schedule, from 0 to 1.
        other_s: seconds of the fitting that belong to no epoch, such as those in which this is saved.
    """

    model: nn.Module
    averaged: AveragedModel | None
    optimizer: torch.optim.Optimizer
    forward: Callable[..., Tensor]
    results: list[EpochResult] = field(default_factory=list)
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    progress: float = 0.0
    other_s: float = 0.0
    compiled: bool = False

    @property
    def evaluated(self) -> nn.Module:
        """The model whose results count: the averaged one where there is one."""
        return self.averaged.module if self.averaged is not None else self.model

    def state(self) -> dict[str, Any]:
        """Tensors and plain data that `restore` goes on from."""
        return {
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict() if self.averaged is not None else None,
            "optimizer": self.optimizer.state_dict(),
            "results": [asdict(each) for each in self.results],
            "best_weights": self.best_weights,
            "progress": self.progress,
            "other_s": self.other_s,
            "compiled": self.compiled,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])
        self.results = [EpochResult(**each) for each in state["results"]]
        self.best_weights = state["best_weights"]
        self.progress, self.other_s, self.compiled = state["progress"], state["other_s"], state["compiled"]


def start(model: nn.Module, config: TrainConfig) -> Run:
    """A run before its first step."""
    averaged = None
    if config.average_decay:
        averaged = AveragedModel(model, multi_avg_fn=moving_average(config.average_decay), use_buffers=True)
    return Run(model, averaged, make_optimizer(model, config), model)


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write the file whole or not at all.

    Raises:
        CheckpointError: the disk is full or may not be written.
    """
    # a name of its own: two trainings with the same --out must not write into one file
    beside = path.with_suffix(f".{os.getpid()}.writing")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, beside)
        os.replace(beside, path)
    except (OSError, RuntimeError) as error:  # torch says of a full disk that a writer failed
        with contextlib.suppress(OSError):
            beside.unlink()
        raise CheckpointError(f"cannot write {path}: {error}.") from error


def read_state(path: Path | None, fingerprint: str, device: torch.device) -> dict[str, Any]:
    """Read what `write_state` wrote.

    Raises:
        ConfigError: there is no such file, it is damaged, or it was begun with another fingerprint.
    """
    if path is None or not path.is_file():
        raise ConfigError(f"there is nothing to resume in {path}; leave out --resume to begin anew.")
    try:
        state: Any = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch reports a damaged file in many ways
        raise ConfigError(f"{path} is damaged; leave out --resume to begin anew.") from error
    begun = state.get("fingerprint") if isinstance(state, dict) else None
    if begun != fingerprint:
        raise ConfigError(
            f"{path.parent} was begun with other options or other data ({begun}, now {fingerprint});"
            " repeat the command with which it was begun, or leave out --resume to begin anew."
        )
    found: dict[str, Any] = state
    return found
