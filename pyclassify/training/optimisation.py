"""Optimizer, schedule and averaged weights, as the options ask for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from pyclassify.training.config import TrainConfig
from pyclassify.training.muon import Muon, hidden_convolutions


@runtime_checkable
class ChoosesGroups(Protocol):
    """A model whose parts need different rates."""

    def parameter_groups(self, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
        """Groups as the optimizers of torch take them."""


def moving_average(decay: float) -> Callable[[Any, Any, Any], None]:
    """An exponential moving average that forgets its first steps, so that short trainings gain from it too."""

    def update(averaged: Any, current: Any, count: Any) -> None:
        step = int(count)
        weight = 1 - min(decay, (1 + step) / (10 + step))
        for old, new in zip(averaged, current, strict=True):
            if old.is_floating_point():
                old.lerp_(new.to(old.dtype), weight)
            else:
                old.copy_(new)

    return update


def parameter_groups(model: nn.Module, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
    """All parameters that learn; biases, norms and other vectors without weight decay."""
    if isinstance(model, ChoosesGroups):
        return model.parameter_groups(learning_rate, weight_decay)
    learning = [each for each in model.parameters() if each.requires_grad]
    return [
        {"params": [p for p in learning if p.ndim > 1], "lr": learning_rate, "weight_decay": weight_decay},
        {"params": [p for p in learning if p.ndim <= 1], "lr": learning_rate, "weight_decay": 0.0},
    ]


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimizer that the options name, over the model's parameter groups."""
    groups = [g for g in parameter_groups(model, config.learning_rate, config.weight_decay) if g["params"]]
    nesterov = config.nesterov and config.momentum > 0
    if config.optimizer == "muon":
        matrices = hidden_convolutions(model)
        groups = [part for group in groups for part in _divided(group, matrices, config)]
        return Muon(groups, lr=config.learning_rate, momentum=config.momentum, nesterov=nesterov)
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum, nesterov=nesterov)
    make = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return make(groups, lr=config.learning_rate)


def _divided(group: dict[str, Any], matrices: set[Tensor], config: TrainConfig) -> list[dict[str, Any]]:
    """A group's parameters for muon and those for sgd, as one group each where there are any."""
    rate = group.get("lr", config.learning_rate)
    by_muon = {
        "params": [each for each in group["params"] if each in matrices],
        "matrices": True,
        "lr": rate * config.muon_rate,
        "momentum": config.muon_momentum,
        "nesterov": config.muon_momentum > 0,
        "weight_decay": config.muon_weight_decay,
    }
    by_sgd = {"params": [each for each in group["params"] if each not in matrices], "matrices": False}
    return [part for part in ({**group, **by_muon}, {**group, **by_sgd}) if part["params"]]


def set_rates(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Set each group's rate to this share of its highest, which is the one that it began with."""
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * share


def rate_share(schedule: str, progress: float, per_step: float) -> float:
    """Share of the highest rate at a point of the schedule.

    Args:
        schedule: one of SCHEDULES.
        progress: from 0 before the first step to 1 after the last.
        per_step: progress of one step.
    """
    if schedule == "constant":
        return 1.0
    return max(0.0, 1 - progress) if schedule == "linear" else _one_cycle(progress, per_step)


def _one_cycle(progress: float, per_step: float) -> float:
    """Up from a twenty-fifth in a fifth of the steps, then down to nearly nothing.

    By hand, as torch's OneCycleLR divides by zero where there are only a few steps.
    """
    rise = max(per_step, 0.2)
    if progress < rise:
        return 0.04 + 0.96 * progress / rise
    return max(1e-4, (1 - progress) / max(per_step, 1 - rise))
