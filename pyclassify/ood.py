"""Out-of-distribution detection: the scale that pictures and texts share.

Several views turn each input into one number each. On validation data every number gets a scale: how surprising it is,
which is minus the logarithm of the share of validation examples that are as far out. That makes views comparable,
whatever they measure, and orders inputs that lie beyond all validation data.

The OOD score of an input is the sum of the surprises of all views of the network's answer, as in Fisher's test of
several p-values, plus the largest surprise among the views of its surface: one thing that is plainly wrong is enough
there, and views that see the same thing must not count twice.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

REFUSED_SHARE: Final = 0.05
"""Share of inputs like the validation data that has a score above the threshold."""

OUTER: Final = 0.1
"""Share of validation examples at each end of a scale that is replaced by a straight line: an exponential tail."""

LEVELS: Final = 81
FOLDS: Final = 20

MAX_SCORE: Final = 1e6
"""Upper bound of scores and surprises, which keeps them finite."""

Rows = Sequence[Sequence[float]]
Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One number per input; the higher, the less like the training data.

    Args:
        name: in the manifest.
        is_surface: whether it looks at the input instead of the network's answer.
        is_two_sided: whether a low number is as unusual as a high one.
        least_excess: smallest step beyond the outer level that may count as one unit of surprise.
    """

    name: str
    is_surface: bool
    is_two_sided: bool = False
    least_excess: float = 1e-6

    def surprises(self) -> Floats:
        """Return the surprise at each knot of the scale, (LEVELS + 2,), from its low end to its high end."""
        share = np.linspace(OUTER, 1 - OUTER, LEVELS)
        inner = -np.log(2 * np.minimum(share, 1 - share)) if self.is_two_sided else -np.log(1 - share)
        low = inner[0] + 1 if self.is_two_sided else inner[0]
        return np.array([low, *inner, inner[-1] + 1])


def fit_scale(
    values: Rows, views: Sequence[View], *, refused_share: float = REFUSED_SHARE
) -> tuple[float, dict[str, Tensor]]:
    """Fit scales and threshold on validation data.

    Args:
        values: N rows of V values, one row per validation example, N at least 1.
        views: V of them.
        refused_share: share of inputs like the validation data that has a score above the threshold.

    Returns:
        The threshold and the tensors for `Scale`.
    """
    rows = [[_finite(value) for value in row] for row in values]
    return _fit_threshold(rows, views, refused_share), _fit_knots(rows, views)


def _fit_knots(rows: Rows, views: Sequence[View]) -> dict[str, Tensor]:
    columns = np.array(rows).T
    knots = [_knots(column, view) for column, view in zip(columns, views, strict=True)]
    return {"knots": torch.from_numpy(np.stack(knots))}


def _knots(values: Floats, view: View) -> Floats:
    """Return the values at which the surprise is known, (LEVELS + 2,); the outer two give the tails their slope."""
    inner = np.quantile(values, np.linspace(OUTER, 1 - OUTER, LEVELS))
    least = 1e-3 * values.std() + view.least_excess
    below, above = inner[0] - values[values < inner[0]], values[values > inner[-1]] - inner[-1]
    low, high = (max(least, excess.mean()) if len(excess) else least for excess in (below, above))
    return np.array([inner[0] - low, *inner, inner[-1] + high])


def _fit_threshold(rows: Rows, views: Sequence[View], refused_share: float) -> float:
    """Return the score that `refused_share` of inputs like the validation data exceeds.

    Each example is scored by scales of the others, since no example is far out on a scale that it had a part in: with
    ten examples, every other new input would be refused. The threshold is the quantile of split-conformal prediction,
    which is the highest score for fewer than 19 examples.
    """
    folds = min(len(rows), FOLDS)
    names = [view.name for view in views]
    scores = []
    for fold in range(folds):
        others = [row for position, row in enumerate(rows) if position % folds != fold] or rows
        scores.append(Scale(0.0, names, _fit_knots(others, views), views)(rows[fold::folds]))
    ranked = torch.cat(scores).double().sort().values
    rank = min(len(rows), math.ceil((len(rows) + 1) * (1 - refused_share)))
    return float(ranked[rank - 1])


def _finite(value: float) -> float:
    return MAX_SCORE if math.isnan(value) else min(MAX_SCORE, max(-MAX_SCORE, value))


class Scale:
    """Turns the values of the views into one OOD score.

    Args:
        threshold: from `fit_scale`.
        view_names: names of the views that the scale was fitted with.
        tensors: from `fit_scale`.
        views: V of them, the same as when the scale was fitted.

    Raises:
        ValueError: the parts do not fit together.
    """

    def __init__(
        self, threshold: float, view_names: Sequence[str], tensors: Mapping[str, Tensor], views: Sequence[View]
    ) -> None:
        names = [view.name for view in views]
        if list(view_names) != names:
            raise ValueError(f"the scale was fitted with the views {list(view_names)}, but {names} are needed")
        if not math.isfinite(threshold):
            raise ValueError(f"threshold must be finite, got {threshold}")
        knots = checked_tensor(tensors, "knots", (len(views), LEVELS + 2)).double().cpu()
        steps = knots.diff(dim=1)
        if (steps < 0).any() or (steps[:, [0, -1]] <= 0).any():
            raise ValueError("knots do not rise")
        self.threshold = threshold
        self._lines = [(view, row, view.surprises().tolist()) for view, row in zip(views, knots.tolist(), strict=True)]

    def surprises(self, values: Rows) -> list[list[float]]:
        """Turn N rows of V values into N rows of V surprises, each at least 0."""
        # plain numbers: for the few inputs of a request they take a tenth of the time of arrays
        return [
            [
                _interpolate(_finite(value), knots, surprises)
                for value, (_, knots, surprises) in zip(row, self._lines, strict=True)
            ]
            for row in values
        ]

    def __call__(self, values: Rows) -> Tensor:
        """Turn N rows of V values into OOD scores, (N,) float32 on the CPU."""
        return torch.tensor([self._total(row) for row in self.surprises(values)], dtype=torch.float32)

    def _total(self, surprises: Sequence[float]) -> float:
        network, surface = 0.0, 0.0
        for surprise, (view, _, _) in zip(surprises, self._lines, strict=True):
            if view.is_surface:
                surface = max(surface, surprise)
            else:
                network += surprise
        return min(MAX_SCORE, network + surface)


def _interpolate(value: float, knots: Sequence[float], surprises: Sequence[float]) -> float:
    """Interpolate the surprise of a value between its neighbouring knots; the outer lines go on beyond the knots."""
    above = min(max(bisect.bisect_right(knots, value), 1), len(knots) - 1)
    x0, x1, y0, y1 = knots[above - 1], knots[above], surprises[above - 1], surprises[above]
    return min(MAX_SCORE, max(0.0, y0 + (y1 - y0) * (value - x0) / max(x1 - x0, 1e-12)))


def energy(logits: Tensor) -> Tensor:
    """Return the energy of logits (N, K) as (N,): high where no label fits (Liu et al. 2020)."""
    return -logits.float().logsumexp(dim=1)


def device_of(network: nn.Module) -> torch.device:
    """Return the device of a network's parameters."""
    return next(network.parameters()).device


def checked_tensor(tensors: Mapping[str, Tensor], name: str, shape: tuple[int, ...]) -> Tensor:
    """Return a tensor after checking its shape and that its numbers are finite.

    Raises:
        ValueError: it is missing, has another shape, or holds NaN or infinity.
    """
    if name not in tensors:
        raise ValueError(f"{name} is missing")
    tensor = tensors[name]
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}, but {shape} is needed")
    if not tensor.isfinite().all():
        raise ValueError(f"{name} holds numbers that are not finite")
    return tensor
