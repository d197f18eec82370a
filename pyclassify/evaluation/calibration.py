"""Percentages that mean what they say: of the answers given with 80 %, four in five are right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

BINS = 15
LEAST, MOST = 0.05, 20.0
"""Bounds of the temperature: where all validation answers are right, an ever lower one would be likelier still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """The answers whose probability lies in one of BINS equal parts of 0 to 1.

    Args:
        confidence: mean probability of the answers.
        accuracy: share of them that are right.
        examples: how many they are.
    """

    confidence: float
    accuracy: float
    examples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How far probabilities are from the shares of right answers, on M examples.

    Args:
        ece_before: expected calibration error (Guo et al. 2017) of the network's own probabilities, 0 to 1.
        ece_after: of those that are shown.
        bins: of those that are shown; bins without an answer are left out.
    """

    ece_before: float
    ece_after: float
    bins: list[ReliabilityBin]


def fit_temperature(logits: Tensor, label_ids: Tensor) -> float:
    """What logits are to be divided by for the labels to be likeliest (Guo et al. 2017, temperature scaling).

    Args:
        logits: (N, K) of validation data, N at least 1.
        label_ids: (N,) int64.

    Returns:
        A number from LEAST to MOST; above 1 where the network is too sure of itself. A weak pull to 1 (a normal prior
        on its logarithm) decides where there is next to no data.
    """
    from scipy.optimize import minimize_scalar  # only a training needs it

    exact = logits.double()

    def loss(log_temperature: float) -> float:
        total = functional.cross_entropy(exact / np.exp(log_temperature), label_ids, reduction="sum").item()
        return total + 0.5 * log_temperature**2

    found = minimize_scalar(loss, bounds=(np.log(LEAST), np.log(MOST)), method="bounded")
    return float(np.exp(found.x))


def calibrated(logits: Tensor, temperature: float) -> Tensor:
    """(N, K) logits to probabilities, in double precision."""
    return (logits.double() / temperature).softmax(dim=1)


def calibration(logits: Tensor, label_ids: Tensor, *, temperature: float) -> Calibration:
    """Compare probabilities with the shares of right answers.

    Args:
        logits: (M, K) of examples that the temperature was not fitted on.
        label_ids: (M,) int64.
        temperature: from `fit_temperature`.
    """
    after = calibrated(logits, temperature)
    return Calibration(
        ece_before=_error(logits.double().softmax(dim=1), label_ids),
        ece_after=_error(after, label_ids),
        bins=_bins(after, label_ids),
    )


def _error(probabilities: Tensor, label_ids: Tensor) -> float:
    # imported here: only a training needs it, and it takes its time
    from torchmetrics.functional.classification import multiclass_calibration_error

    labels = probabilities.shape[1]
    return float(multiclass_calibration_error(probabilities.float(), label_ids, num_classes=labels, n_bins=BINS))


def _bins(probabilities: Tensor, label_ids: Tensor) -> list[ReliabilityBin]:
    confidences, answers = probabilities.max(dim=1)
    right = (answers == label_ids).double()
    numbers = (confidences * BINS).ceil().long().clamp(1, BINS) - 1
    counts = torch.bincount(numbers, minlength=BINS)
    sums = [torch.bincount(numbers, weights=each, minlength=BINS) for each in (confidences, right)]
    return [
        ReliabilityBin(confidence=confidence / count, accuracy=hits / count, examples=count)
        for confidence, hits, count in zip(sums[0].tolist(), sums[1].tolist(), counts.tolist(), strict=True)
        if count
    ]
