"""Optimizers, learning rate schedules and the moving average of weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from pyclassify.training.config import FitConfig

_NEWTON_SCHULZ_STEPS: Final = 5
_QUINTIC: Final = (3.4445, -4.7750, 2.0315)
"""Steepest at zero, so that five iterations bring even small singular values near 1 (into about 0.7 to 1.2)."""


@runtime_checkable
class HasParameterGroups(Protocol):
    """A network whose parts need different learning rates."""

    def parameter_groups(self, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
        """Return parameter groups as torch's optimizers take them."""


def parameter_groups(network: nn.Module, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
    """Group all trainable parameters; biases, norms and other vectors have no weight decay."""
    if isinstance(network, HasParameterGroups):
        return network.parameter_groups(learning_rate, weight_decay)
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trainable if p.ndim > 1], "lr": learning_rate, "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "lr": learning_rate, "weight_decay": 0.0},
    ]


def make_optimizer(network: nn.Module, config: FitConfig) -> torch.optim.Optimizer:
    """Make the optimizer that the configuration names, over the network's parameter groups."""
    groups = parameter_groups(network, config.learning_rate, config.weight_decay)
    groups = [group for group in groups if group["params"]]
    nesterov = config.nesterov and config.momentum > 0
    if config.optimizer == "muon":
        matrices = hidden_convolutions(network)
        groups = [part for group in groups for part in _split_for_muon(group, matrices, config)]
        return Muon(groups, lr=config.learning_rate, momentum=config.momentum, nesterov=nesterov)
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum, nesterov=nesterov)
    make = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return make(groups, lr=config.learning_rate)


def _split_for_muon(group: dict[str, Any], matrices: set[Tensor], config: FitConfig) -> list[dict[str, Any]]:
    """Split a group into the parameters for Muon and those for SGD; empty parts are left out."""
    muon = {
        "params": [parameter for parameter in group["params"] if parameter in matrices],
        "matrices": True,
        "lr": group.get("lr", config.learning_rate) * config.muon_rate,
        "momentum": config.muon_momentum,
        "nesterov": config.muon_momentum > 0,
        "weight_decay": config.muon_weight_decay,
    }
    sgd = {"params": [parameter for parameter in group["params"] if parameter not in matrices], "matrices": False}
    return [part for part in ({**group, **muon}, {**group, **sgd}) if part["params"]]


def hidden_convolutions(network: nn.Module) -> set[Tensor]:
    """Return the weights (O, I, H, W) of all two-dimensional convolutions but the first, which reads the pixels."""
    weights = [module.weight for module in network.modules() if isinstance(module, nn.Conv2d)]
    return set(weights[1:])


class Muon(torch.optim.SGD):
    """Orthogonalized momentum (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks").

    A group with `"matrices": True` has each weight (O, ...) read as a matrix (O, I). Its Nesterov momentum is replaced
    by approximately the nearest matrix with orthonormal rows or columns, times sqrt(max(1, O / I)), so that all
    directions are learned at the same pace. Weight decay is decoupled there. A group with `"normalised": True`, for
    weights before a batch norm, has each weight brought back to the norm sqrt(O) instead: its size does not matter
    there, and so the learning rate alone decides how fast it turns. Other groups are stepped as by torch's SGD.

    `torch.optim.Muon` (2.12) raises ValueError for parameters that are not two-dimensional, so it cannot take
    convolutions, and it has no fallback for the other parameters.

    Args:
        groups: as for SGD, each with the key "matrices".
        lr: as for SGD, for groups without their own.
        momentum: as for SGD, for groups without their own.
        nesterov: as for SGD, for groups without their own.
    """

    def __init__(self, groups: Sequence[dict[str, Any]], *, lr: float, momentum: float, nesterov: bool) -> None:
        super().__init__(groups, lr=lr, momentum=momentum, nesterov=nesterov)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step; the gradients of the matrices are set to None.

        Raises:
            ValueError: there is a closure, which is not supported.
        """
        if closure is not None:
            raise ValueError("Muon takes no closure")
        for group in self.param_groups:
            if group["matrices"]:
                self._step_matrices(group)
        super().step()  # skips parameters without a gradient

    def _step_matrices(self, group: dict[str, Any]) -> None:
        rate, momentum = group["lr"], group["momentum"]
        for weight in group["params"]:
            if weight.grad is None:
                continue
            state = self.state[weight]
            if "average" not in state:
                state["average"] = torch.zeros_like(weight)
            average = state["average"].lerp_(weight.grad, 1 - momentum)
            lookahead = weight.grad.lerp(average, momentum) if group["nesterov"] else average
            update = orthogonalize(lookahead.reshape(len(weight), -1))
            scale = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
            if group.get("normalised"):
                weight.mul_(len(weight) ** 0.5 / weight.norm().clamp(min=1e-7))
            else:
                weight.mul_(1 - rate * group["weight_decay"])
            weight.add_(update.view(weight.shape), alpha=-rate * scale)
            weight.grad = None


def orthogonalize(matrix: Tensor) -> Tensor:
    """Return approximately the nearest matrix whose singular values are all 1, by Newton-Schulz iterations.

    Args:
        matrix: (O, I).

    Returns:
        (O, I) of the same dtype.
    """
    # bfloat16 is precise enough and fast on a GPU; many CPUs only emulate it
    x = matrix.to(torch.bfloat16 if matrix.is_cuda else torch.float32)
    x = x / x.norm().clamp(min=1e-7)
    is_tall = x.shape[0] > x.shape[1]
    x = x.T if is_tall else x
    a, b, c = _QUINTIC
    for _ in range(_NEWTON_SCHULZ_STEPS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.T if is_tall else x).to(matrix.dtype)


def set_learning_rates(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Set each group's learning rate to this share of its first one, which is its highest."""
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * share


def schedule_share(schedule: str, progress: float, per_step: float) -> float:
    """Return the share of the highest learning rate at a point of the schedule.

    Args:
        schedule: one of SCHEDULES.
        progress: from 0 before the first step to 1 after the last.
        per_step: progress of one step.
    """
    if schedule == "constant":
        return 1.0
    if schedule == "linear":
        return max(0.0, 1 - progress)
    # one cycle (Smith 2018); torch's OneCycleLR divides by zero if there are only a few steps
    rise = max(per_step, 0.2)
    if progress < rise:
        return 0.04 + 0.96 * progress / rise
    return max(1e-4, (1 - progress) / max(per_step, 1 - rise))


def moving_average(decay: float) -> Callable[[Any, Any, Any], None]:
    """Return an exponential moving average for AveragedModel.

    Its decay grows with the steps, so that short trainings, too, gain from it.
    """

    def update(averaged: Any, current: Any, count: Any) -> None:
        step = int(count)
        weight = 1 - min(decay, (1 + step) / (10 + step))
        for old, new in zip(averaged, current, strict=True):
            if old.is_floating_point():
                old.lerp_(new.to(old.dtype), weight)
            else:
                old.copy_(new)

    return update
