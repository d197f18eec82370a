"""Muon for the convolutions of a network, stochastic gradient descent for the rest of it, as one optimizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

ITERATIONS = 5
QUINTIC = (3.4445, -4.7750, 2.0315)
"""Steepest at zero, so that five iterations bring even small singular values near 1 (into about 0.7 to 1.2)."""


class Muon(torch.optim.SGD):
    """Orthogonalised momentum (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks").

    A group with `"matrices": True` has each weight (O, ...) read as a matrix (O, I). Its Nesterov momentum is replaced
    by about the nearest matrix with orthonormal rows or columns, times sqrt(max(1, O / I)), so that all directions
    are learned at the same pace. Weight decay is decoupled there; in a group with `"normalised": True`, for weights
    before a batch norm, which makes their size immaterial, each is brought back to the norm sqrt(O) instead, so that
    the rate alone says how fast they turn. Other groups are stepped as by torch's SGD.

    Args:
        groups: as for SGD, each with the key "matrices".
        lr, momentum, nesterov: as for SGD, where a group has none of its own.
    """

    def __init__(self, groups: Sequence[dict[str, Any]], *, lr: float, momentum: float, nesterov: bool) -> None:
        super().__init__(groups, lr=lr, momentum=momentum, nesterov=nesterov)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step; the gradients of the matrices are used up by it.

        Raises:
            ValueError: there is a closure, which Muon has no use for.
        """
        if closure is not None:
            raise ValueError("Muon takes no closure")
        for group in self.param_groups:
            if group["matrices"]:
                self._step_matrices(group)
        super().step()  # passes over what has no gradient

    def _step_matrices(self, group: dict[str, Any]) -> None:
        rate, momentum = group["lr"], group["momentum"]
        for weight in group["params"]:
            if weight.grad is None:
                continue
            state = self.state[weight]
            if "average" not in state:
                state["average"] = torch.zeros_like(weight)
            average = state["average"].lerp_(weight.grad, 1 - momentum)
            ahead = weight.grad.lerp(average, momentum) if group["nesterov"] else average
            update = orthogonalised(ahead.reshape(len(weight), -1))
            scale = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
            if group.get("normalised"):
                weight.mul_(len(weight) ** 0.5 / weight.norm().clamp(min=1e-7))
            else:
                weight.mul_(1 - rate * group["weight_decay"])
            weight.add_(update.view(weight.shape), alpha=-rate * scale)
            weight.grad = None


def orthogonalised(matrix: Tensor) -> Tensor:
    """About the nearest matrix whose singular values are all 1, by Newton-Schulz iterations.

    Args:
        matrix: (O, I).

    Returns:
        (O, I) of the same type.
    """
    # bfloat16 is enough and fast on a GPU; many a CPU only imitates it
    x = matrix.to(torch.bfloat16 if matrix.is_cuda else torch.float32)
    x = x / x.norm().clamp(min=1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    a, b, c = QUINTIC
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).to(matrix.dtype)


def hidden_convolutions(model: nn.Module) -> set[Tensor]:
    """The weights (O, I, H, W) of all two-dimensional convolutions but the first, which reads the pixels."""
    weights = [each.weight for each in model.modules() if isinstance(each, nn.Conv2d)]
    return set(weights[1:])
