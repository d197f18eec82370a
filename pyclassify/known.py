"""How unlike the training data an input is: what pictures and text have in common.

Several views each give an input one number. On validation data each number gets a scale: how surprising it is, which is
minus the logarithm of the share of validation examples that are as far out. So views become comparable, whatever they
measure, and what lies beyond all validation data still has an order among itself.

The strangeness of an input is the sum of the surprises of all views of the network's own answer, as in Fisher's test of
several p-values, plus the largest surprise among the views of its surface: one thing that is plainly wrong is enough
there, and views that see the same must not count twice.
"""

from __future__ import annotations

import bisect
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

REFUSED_SHARE: Final = 0.05
"""Of the validation data: what is stranger than all the rest of it is refused."""

OUTER: Final = 0.1
"""The share of validation examples at each end of a scale that is replaced by a straight line: an exponential tail."""

LEVELS: Final = 81
FOLDS: Final = 20
Keep = Callable[[Tensor], Tensor]
Rows = Sequence[Sequence[float]]
Floats = np.ndarray[Any, np.dtype[np.float64]]

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

    def surprises(self) -> Floats:
        """(LEVELS + 2,): at each knot of the scale, from its low end to its high end."""
        share = np.linspace(OUTER, 1 - OUTER, LEVELS)
        inner = -np.log(2 * np.minimum(share, 1 - share)) if self.is_two_sided else -np.log(1 - share)
        low = inner[0] + 1 if self.is_two_sided else inner[0]
        return np.array([low, *inner, inner[-1] + 1])


def fit_scale(values: Rows, views: Sequence[View]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Measure the scales and the threshold on validation data.

    Args:
        values: N rows, one per validation example, of V values; there may be as few as one.
        views: V of them.

    Returns:
        Plain data and tensors for `Scale`.
    """
    rows = [[_finite(each) for each in row] for row in values]
    tensors = _scales(rows, views)
    config = {"views": [view.name for view in views], "validation": len(values), "threshold": _threshold(rows, views)}
    return config, tensors


def _scales(rows: Rows, views: Sequence[View]) -> dict[str, Tensor]:
    columns = np.array(rows).T
    return {
        "knots": torch.from_numpy(np.stack([_knots(each, view) for each, view in zip(columns, views, strict=True)]))
    }


def _threshold(rows: Rows, views: Sequence[View]) -> float:
    """The strangeness that one in twenty inputs like the validation data is above.

    Each example is judged by the scales of the others, because none is as strange to scales that it had a part in: of
    ten examples, what came after them would be refused every other time. So many of n are below that one more would be
    so with the share that is wanted (the quantile of split conformal prediction), or all of them where n is below 19.
    """
    folds = min(len(rows), FOLDS)
    found = []
    for fold in range(folds):
        others = [row for at, row in enumerate(rows) if at % folds != fold] or rows
        config = {"views": [view.name for view in views], "threshold": 0.0}
        found.append(Scale(config, _scales(others, views), views)(rows[fold::folds]))
    ranked = torch.cat(found).double().sort().values
    rank = min(len(rows), math.ceil((len(rows) + 1) * (1 - REFUSED_SHARE)))
    return float(ranked[rank - 1])


def _knots(values: Floats, view: View) -> Floats:
    """(LEVELS + 2,): the values at which the surprise is known; the two at the ends give the tails their slope."""
    inner = np.quantile(values, np.linspace(OUTER, 1 - OUTER, LEVELS))
    least = 1e-3 * values.std() + view.least_excess
    below, above = inner[0] - values[values < inner[0]], values[values > inner[-1]] - inner[-1]
    low, high = (max(least, each.mean()) if len(each) else least for each in (below, above))
    return np.array([inner[0] - low, *inner, inner[-1] + high])


def _finite(value: float) -> float:
    return MOST if math.isnan(value) else min(MOST, max(-MOST, value))


class Scale:
    """From what the views say to one strangeness.

    Args:
        config: of `fit_scale`.
        tensors: of `fit_scale`.
        views: V of them, as when it was measured.

    Raises:
        ValueError: what is given does not fit together.
    """

    def __init__(self, config: Mapping[str, Any], tensors: Mapping[str, Tensor], views: Sequence[View]) -> None:
        names = [view.name for view in views]
        if config.get("views") != names:
            raise ValueError(f"the views of the training data are {config.get('views')}, but {names} are needed")
        self.threshold = number(config, "threshold")
        knots = checked(tensors, "knots", (len(views), LEVELS + 2)).double().cpu()
        steps = knots.diff(dim=1)
        if (steps < 0).any() or (steps[:, [0, -1]] <= 0).any():
            raise ValueError("knots do not rise")
        self._lines = [(view, row, view.surprises().tolist()) for view, row in zip(views, knots.tolist(), strict=True)]

    def surprises(self, values: Rows) -> list[list[float]]:
        """N rows of V values to N rows of V surprises, each from 0 up."""
        # plain numbers: for the few inputs of a request this is a tenth of the time that arrays take
        return [
            [
                _on_line(_finite(value), knots, surprises)
                for value, (_, knots, surprises) in zip(row, self._lines, strict=True)
            ]
            for row in values
        ]

    def __call__(self, values: Rows) -> Tensor:
        """N rows of V values to (N,) float32 on the CPU, the higher the less like the training data."""
        return torch.tensor([self._together(row) for row in self.surprises(values)], dtype=torch.float32)

    def _together(self, surprises: Sequence[float]) -> float:
        network, surface = 0.0, 0.0
        for found, (view, _, _) in zip(surprises, self._lines, strict=True):
            if view.is_surface:
                surface = max(surface, found)
            else:
                network += found
        return min(MOST, network + surface)


def _on_line(value: float, knots: Sequence[float], surprises: Sequence[float]) -> float:
    """The surprise on the line between the knots beside a value; beyond the last ones the line goes on."""
    above = min(max(bisect.bisect_right(knots, value), 1), len(knots) - 1)
    x0, x1, y0, y1 = knots[above - 1], knots[above], surprises[above - 1], surprises[above]
    return min(MOST, max(0.0, y0 + (y1 - y0) * (value - x0) / max(x1 - x0, 1e-12)))


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
