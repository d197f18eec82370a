"""Optimizer, schedule and averaged weights, as the options ask for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from pyclassify.training.config import TrainConfig


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
    if config.optimizer == "sgd":
        nesterov = config.nesterov and config.momentum > 0
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum, nesterov=nesterov)
    make = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return make(groups, lr=config.learning_rate)


def make_schedule(optimizer: torch.optim.Optimizer, config: TrainConfig, steps: int) -> LRScheduler | None:
    """The schedule over this many steps, or none where the rate is constant."""
    if config.schedule == "constant":
        return None
    if config.schedule == "linear":
        return LambdaLR(optimizer, lambda step: max(0.0, 1 - step / steps))
    return LambdaLR(optimizer, lambda step: _one_cycle(step, steps))


def _one_cycle(step: int, steps: int) -> float:
    """Share of the highest rate: up from a twenty-fifth in a fifth of the steps, then down to nearly nothing.

    By hand, as torch's OneCycleLR divides by zero where there are only a few steps.
    """
    rise = max(1.0, 0.2 * steps)
    if step < rise:
        return 0.04 + 0.96 * step / rise
    return max(1e-4, (steps - step) / max(1.0, steps - rise))
