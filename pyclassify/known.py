"""How unlike the training data an input is: what pictures and text have in common.

Several views each give an input one number. On validation data each number gets a scale: how surprising it is, which is
minus the logarithm of the share of validation examples that are as far out. So views become comparable, whatever they
measure, and what lies beyond all validation data still has an order among itself.

The strangeness of an input is the sum of the surprises of all views of the network's own answer, as in Fisher's test of
several p-values, plus the largest surprise among the views of its surface: one thing that is plainly wrong is enough
there, and views that see the same must not count twice.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

REFUSED_SHARE: Final = 0.05
"""Of the validation data: what is stranger than all the rest of it is refused."""

OUTER: Final = 0.1
"""The share of validation examples at each end of a scale that is replaced by a straight line: an exponential tail."""

LEVELS: Final = 81
Keep = Callable[[Tensor], Tensor]

MOST: Final = 1e6
"""Any strangeness is below; so that it can always be written and compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One number of each input, the higher the stranger.

    Args:
        name: for the configuration and for reports.
        is_surface: whether it looks at the input, and not at the network's answer.
        is_two_sided: whether a low number is as strange as a high one.
        least_excess: the smallest step beyond the outer level that may count as one unit of surprise.
    """

    name: str
    is_surface: bool
    is_two_sided: bool = False
    least_excess: float = 1e-6

    def surprises(self) -> Tensor:
        """(LEVELS + 2,): at each knot of the scale, from its low end to its high end."""
        share = torch.linspace(OUTER, 1 - OUTER, LEVELS, dtype=torch.float64)
        if self.is_two_sided:
            inner = -(2 * torch.minimum(share, 1 - share)).log()
            low = inner[:1] + 1
        else:
            inner = -(1 - share).log()
            low = inner[:1]
        return torch.cat([low, inner, inner[-1:] + 1]).float()


def fit_scale(values: Tensor, views: Sequence[View]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Measure the scales and the threshold on validation data.

    Args:
        values: (N, V) of N validation examples, of which there may be as few as one.
        views: V of them.

    Returns:
        Plain data and tensors for `Scale`.
    """
    values = values.double()
    share = torch.linspace(OUTER, 1 - OUTER, LEVELS, dtype=torch.float64)
    knots = torch.stack([_knots(each, share, view) for each, view in zip(values.T, views, strict=True)])
    tensors = {"knots": knots.float()}
    config = {"views": [view.name for view in views], "validation": len(values), "threshold": 0.0}
    strangeness = Scale(config, tensors, views)(values.float())
    config["threshold"] = torch.quantile(strangeness.double(), 1 - REFUSED_SHARE).item()
    return config, tensors


def _knots(values: Tensor, share: Tensor, view: View) -> Tensor:
    """(LEVELS + 2,): the values at which the surprise is known; the two at the ends give the tails their slope."""
    inner = torch.quantile(values, share)
    spread = 1e-3 * values.std(correction=0).item() + view.least_excess
    below, above = inner[0] - values[values < inner[0]], values[values > inner[-1]] - inner[-1]
    steps = [max(spread, each.mean().item() if len(each) else 0.0) for each in (below, above)]
    return torch.cat([inner[:1] - steps[0], inner, inner[-1:] + steps[1]])


class Scale:
    """From what the views say to one strangeness.

    Args:
        config: of `fit_scale`.
        tensors: of `fit_scale`, where the network is.
        views: V of them, as when it was measured.

    Raises:
        ValueError: what is given does not fit together.
    """

    def __init__(self, config: Mapping[str, Any], tensors: Mapping[str, Tensor], views: Sequence[View]) -> None:
        names = [view.name for view in views]
        if config.get("views") != names:
            raise ValueError(f"the views of the training data are {config.get('views')}, but {names} are needed")
        self.threshold = number(config, "threshold")
        self._knots = checked(tensors, "knots", (len(views), LEVELS + 2)).float()
        if not (self._knots.diff(dim=1) >= 0).all():
            raise ValueError("knots do not rise")
        self._surprises = torch.stack([view.surprises() for view in views]).to(self._knots.device)
        surface = torch.tensor([view.is_surface for view in views], device=self._knots.device)
        self._surface, self._network = surface.float().unsqueeze(1), (~surface).float().unsqueeze(1)

    def surprises(self, values: Tensor) -> Tensor:
        """(N, V) to (N, V), each from 0 up."""
        values = values.float().nan_to_num(nan=MOST, posinf=MOST, neginf=-MOST).T.contiguous()
        above = torch.searchsorted(self._knots, values).clamp_(1, LEVELS + 1)
        x0, x1 = self._knots.gather(1, above - 1), self._knots.gather(1, above)
        y0, y1 = self._surprises.gather(1, above - 1), self._surprises.gather(1, above)
        # beyond the last knots the line goes on
        found = y0 + (y1 - y0) * (values - x0) / (x1 - x0).clamp_(min=1e-12)
        return found.clamp_(0.0, MOST / 10).T

    def __call__(self, values: Tensor) -> Tensor:
        """(N, V) to (N,), the higher the less like the training data."""
        found = self.surprises(values).T
        return ((found * self._network).sum(dim=0) + (found * self._surface).amax(dim=0)).clamp_(max=MOST)


class Taps:
    """Runs a network and keeps what passes at some of its layers, for the thread that runs it alone.

    Hooks are set once, and do nothing in any other call of the network.

    Args:
        model: the network.
        outputs: for a layer's name, what is kept of its output.
        inputs: for a layer's name, what is kept of its first input.

    Raises:
        ValueError: the network has no such layer.
    """

    def __init__(self, model: nn.Module, *, outputs: Mapping[str, Keep], inputs: Mapping[str, Keep]) -> None:
        self._model = model
        self._local = local = threading.local()
        layers = dict(model.named_modules())
        for name in (*outputs, *inputs):
            if name not in layers:
                raise ValueError(f"the network has no layer {name!r}")
        self._hooks = [layers[name].register_forward_hook(_after(local, name, keep)) for name, keep in outputs.items()]
        self._hooks += [
            layers[name].register_forward_pre_hook(_before(local, name, keep)) for name, keep in inputs.items()
        ]

    def remove(self) -> None:
        """Leave the network as it was."""
        for hook in self._hooks:
            hook.remove()

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The network's answer, and what was kept, by the layers' names; of a layer that ran twice, the last."""
        seen: dict[str, Tensor] = {}
        self._local.seen = seen
        try:
            return self._model(*inputs), seen
        finally:
            self._local.seen = None


def _after(local: threading.local, name: str, keep: Keep) -> Callable[..., None]:
    def hook(_: nn.Module, __: Any, output: Tensor) -> None:
        if (seen := getattr(local, "seen", None)) is not None:
            seen[name] = keep(output)

    return hook


def _before(local: threading.local, name: str, keep: Keep) -> Callable[..., None]:
    def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if (seen := getattr(local, "seen", None)) is not None:
            seen[name] = keep(inputs[0])

    return hook


def energy(logits: Tensor) -> Tensor:
    """(N, K) to (N,): how little any label fits (Liu et al. 2020, "Energy-based Out-of-distribution Detection")."""
    return -logits.float().logsumexp(dim=1)


def device_of(model: nn.Module) -> torch.device:
    """Where the network is."""
    return next(model.parameters()).device


def checked(tensors: Mapping[str, Tensor], name: str, shape: tuple[int, ...]) -> Tensor:
    """A tensor of this shape with finite numbers.

    Raises:
        ValueError: it is missing, of another shape, or holds something that is no number.
    """
    if name not in tensors:
        raise ValueError(f"{name} is missing")
    found = tensors[name]
    if tuple(found.shape) != shape:
        raise ValueError(f"{name} has shape {tuple(found.shape)}, but {shape} is needed")
    if not found.isfinite().all():
        raise ValueError(f"{name} holds something that is no number")
    return found


def number(config: Mapping[str, Any], name: str) -> float:
    """A finite number.

    Raises:
        ValueError: it is missing or something else.
    """
    found = config.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise ValueError(f"{name} must be a number, got {found!r}")
    return float(found)
