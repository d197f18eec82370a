"""Calibration, prediction sets and scores of a trained network, as the sections of the manifest.

Temperature and prediction sets are fitted on examples that the weights were not: the part of the validation data that
nothing was chosen by, or the answers that cross-validation gave. Scores are of test data, which no choice was made on.
The libraries for scores are imported inside functions: serving needs none of them, and they import slowly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pyclassify.manifest import (
    COVERAGES,
    Baseline,
    Calibration,
    CalibrationScore,
    CalibrationSource,
    LabelScore,
    Mistake,
    ReliabilityBin,
    SetScore,
)

if TYPE_CHECKING:
    from pyclassify.modality import BaselineAnswers

SIGNIFICANT: Final = 0.05
"""Below this p-value, two models are said to differ."""

NUM_BINS: Final = 15
MIN_TEMPERATURE: Final = 0.05
MAX_TEMPERATURE: Final = 20.0
"""Bounds of the temperature: if all validation answers are right, the likelihood would push it to zero."""

SHARPENED_FROM: Final = 100
"""Number of examples below which the temperature is at least 1: so few cannot show that a network is underconfident."""

_MIN_P_VALUE: Final = 1e-99


# Calibration


def fit_temperature(logits: Tensor, label_ids: Tensor) -> float:
    """Fit the temperature that makes the labels likeliest (Guo et al. 2017, temperature scaling).

    A weak pull to 1 (a normal prior on the logarithm of the temperature) decides if there is next to no data.

    Args:
        logits: (N, K) of examples that the weights were not fitted on, N at least 1.
        label_ids: (N,) int64.

    Returns:
        A number from MIN_TEMPERATURE to MAX_TEMPERATURE; above 1 for a network that is overconfident. At least 1 if N
        is below SHARPENED_FROM.
    """
    from scipy.optimize import minimize_scalar

    logits = logits.double()

    def loss(log_temperature: float) -> float:
        total = functional.cross_entropy(logits / np.exp(log_temperature), label_ids, reduction="sum").item()
        return total + 0.5 * log_temperature**2

    bounds = (np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE))
    temperature = float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))
    return max(1.0, temperature) if len(label_ids) < SHARPENED_FROM else temperature


def ceiling(num_examples: int) -> float:
    """Return the largest probability that n examples support: (n + 1) / (n + 2).

    It is the probability that the next answer is right if n of n were right (rule of succession, Laplace 1774).

    Args:
        num_examples: that the calibration was fitted on, at least 1.
    """
    return (num_examples + 1) / (num_examples + 2)


def calibrate(logits: Tensor, temperature: float, ceiling: float = 1.0) -> Tensor:
    """Turn logits into calibrated probabilities.

    They are mixed with the uniform distribution, so that none is above the ceiling; their order stays the same.

    Args:
        logits: (N, K).
        temperature: that the logits are divided by.
        ceiling: largest probability, above 1 / K.

    Returns:
        (N, K) float64; each row sums to 1.
    """
    probabilities = (logits.double() / temperature).softmax(dim=1)
    num_labels = logits.shape[1]
    equal_share = (1 - ceiling) / (1 - 1 / num_labels)
    return (1 - equal_share) * probabilities + equal_share / num_labels


def fit_calibration(logits: Tensor, label_ids: Tensor, *, source: CalibrationSource = "validation") -> Calibration:
    """Fit temperature, ceiling and prediction sets.

    Args:
        logits: (N, K) of examples that the weights were not fitted on, N at least 1.
        label_ids: (N,) int64.
        source: of the examples.
    """
    temperature, most = fit_temperature(logits, label_ids), ceiling(len(label_ids))
    thresholds: Any = fit_thresholds(calibrate(logits, temperature, most), label_ids)
    return Calibration(
        temperature=temperature, thresholds=thresholds, num_examples=len(label_ids), source=source, ceiling=most
    )


def calibration_score(
    logits: Tensor, label_ids: Tensor, *, temperature: float, ceiling: float = 1.0
) -> CalibrationScore:
    """Compare probabilities with the shares of right answers.

    Args:
        logits: (M, K) of examples that the temperature was not fitted on.
        label_ids: (M,) int64.
        temperature: from `fit_temperature`.
        ceiling: from `ceiling`.
    """
    probabilities = calibrate(logits, temperature, ceiling)
    return CalibrationScore(
        ece_before=_calibration_error(logits.double().softmax(dim=1), label_ids),
        ece_after=_calibration_error(probabilities, label_ids),
        bins=_reliability_bins(probabilities, label_ids),
    )


def _calibration_error(probabilities: Tensor, label_ids: Tensor) -> float:
    from torchmetrics.functional.classification import multiclass_calibration_error

    error = multiclass_calibration_error(
        probabilities.float(), label_ids, num_classes=probabilities.shape[1], n_bins=NUM_BINS
    )
    return min(1.0, float(error))  # rounding may take it above


def _reliability_bins(probabilities: Tensor, label_ids: Tensor) -> list[ReliabilityBin]:
    """Group the answers by their probability into NUM_BINS equal parts of 0 to 1; empty bins are left out."""
    confidences, answers = probabilities.max(dim=1)
    is_right = (answers == label_ids).double()
    bin_ids = (confidences * NUM_BINS).ceil().long().clamp(1, NUM_BINS) - 1
    counts = torch.bincount(bin_ids, minlength=NUM_BINS)
    confidence_sums = torch.bincount(bin_ids, weights=confidences, minlength=NUM_BINS)
    right_sums = torch.bincount(bin_ids, weights=is_right, minlength=NUM_BINS)
    # rounding may take a mean above 1
    return [
        ReliabilityBin(confidence=min(1.0, confidence / count), accuracy=right / count, num_examples=count)
        for confidence, right, count in zip(confidence_sums.tolist(), right_sums.tolist(), counts.tolist(), strict=True)
        if count
    ]


# Prediction sets


def fit_thresholds(probabilities: Tensor, label_ids: Tensor) -> dict[str, float]:
    """Fit for each of COVERAGES the least probability that puts a label into the prediction set.

    For inputs like these examples, a set holds the true label with that coverage, on average over all labels and
    not for each (split-conformal prediction, Vovk et al. 2005; least ambiguous sets, Sadinle, Lei and Wasserman 2019).

    Args:
        probabilities: (N, K) of examples that nothing was fitted on or chosen by.
        label_ids: (N,) int64.

    Returns:
        Thresholds by coverage; 0, which takes all labels in, where N is too small for the coverage: below 9, 19 and 99.
    """
    ranked = probabilities[torch.arange(len(label_ids)), label_ids].sort().values.tolist()
    thresholds = {}
    for coverage in COVERAGES:
        # of N + 1 examples, the new one included, at most this many may lie below
        below = math.floor((len(ranked) + 1) * (1 - float(coverage)) + 1e-9)
        thresholds[coverage] = ranked[below - 1] if below else 0.0
    return thresholds


def prediction_set_mask(probabilities: Tensor, threshold: float) -> Tensor:
    """Return as (N, K) bool which labels are in the prediction sets; the likeliest label always is.

    Args:
        probabilities: (N, K).
        threshold: least probability of a label in the set.
    """
    mask = probabilities >= threshold
    mask[torch.arange(len(probabilities)), probabilities.argmax(dim=1)] = True
    return mask


def set_scores(
    probabilities: Tensor, label_ids: Tensor, *, thresholds: Mapping[str, float], labels: Sequence[str]
) -> dict[str, SetScore]:
    """Measure how often the prediction sets hold the true label, and how large they are.

    Args:
        probabilities: (M, K) of examples that `thresholds` were not fitted on.
        label_ids: (M,) int64.
        thresholds: from `fit_thresholds`.
        labels: K names.
    """
    scores = {}
    for coverage, threshold in thresholds.items():
        mask = prediction_set_mask(probabilities, threshold)
        is_covered = mask[torch.arange(len(label_ids)), label_ids].double()
        sizes = mask.sum(dim=1).double()
        scores[coverage] = SetScore(
            coverage=is_covered.mean().item(),
            mean_size=sizes.mean().item(),
            single=(sizes == 1).double().mean().item(),
            per_label={
                label: is_covered[label_ids == label_id].mean().item()
                for label_id, label in enumerate(labels)
                if (label_ids == label_id).any()
            },
        )
    return scores


# Scores


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicScores:
    """The scores that follow from answers alone; fields as in `manifest.Scores`."""

    accuracy: float
    accuracy_interval: tuple[float, float]
    macro_f1: float
    majority_accuracy: float
    num_examples: int
    per_label: dict[str, LabelScore]
    confusion: list[list[int]]


def score(logits: Tensor, label_ids: Tensor, *, labels: Sequence[str], majority_id: int) -> BasicScores:
    """Score M answers.

    Args:
        logits: (M, K), M at least 1.
        label_ids: (M,) int64, the true labels.
        labels: K names.
        majority_id: the most frequent label of the training examples.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    truth, answers = label_ids.numpy(), logits.argmax(dim=1).numpy()
    all_ids = np.arange(len(labels))
    accuracy, interval = accuracy_with_interval(int((truth == answers).sum()), len(truth))
    columns: Any = precision_recall_fscore_support(truth, answers, labels=all_ids, zero_division=0.0)
    return BasicScores(
        accuracy=accuracy,
        accuracy_interval=interval,
        macro_f1=float(columns[2].mean()),
        majority_accuracy=float((truth == majority_id).mean()),
        num_examples=len(truth),
        per_label={
            label: LabelScore(precision=float(precision), recall=float(recall), f1=float(f1), num_examples=int(count))
            for label, precision, recall, f1, count in zip(labels, *columns, strict=True)
        },
        confusion=confusion_matrix(truth, answers, labels=all_ids).tolist(),
    )


def accuracy_with_interval(right: int, total: int) -> tuple[float, tuple[float, float]]:
    """Return the share of right answers and its 95% interval (Wilson 1927)."""
    from scipy.stats import binomtest

    interval = binomtest(right, total).proportion_ci(0.95, method="wilson")
    return right / total, (float(interval.low), float(interval.high))


def compare(baseline: BaselineAnswers, answers: Tensor, label_ids: Tensor) -> Baseline:
    """Compare our answers with those of a simple model by McNemar's exact test (1947).

    Args:
        baseline: the simple model's answers to the same M examples.
        answers: (M,) label ids that our network gave.
        label_ids: (M,) int64, the true labels.
    """
    from scipy.stats import binomtest

    ours, theirs = answers == label_ids, baseline.label_ids == label_ids
    only_ours, only_baseline = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    differing = only_ours + only_baseline
    accuracy, interval = accuracy_with_interval(int(theirs.sum()), len(label_ids))
    return Baseline(
        name=baseline.name,
        fields=dict(baseline.fields),
        accuracy=accuracy,
        accuracy_interval=interval,
        only_ours=only_ours,
        only_baseline=only_baseline,
        p_value=float(binomtest(only_ours, differing, 0.5).pvalue) if differing else 1.0,
    )


def format_p_value(p_value: float) -> str:
    """Write a p-value such as "p = 0.012"; one that is too small for floating point numbers becomes "p < 1e-99"."""
    return f"p < {_MIN_P_VALUE:g}" if p_value < _MIN_P_VALUE else f"p = {p_value:.2g}"


def mistakes(
    probabilities: Tensor, label_ids: Tensor, *, labels: Sequence[str], name: Callable[[int], str], most: int = 20
) -> list[Mistake]:
    """List the wrong answers with the highest probability, highest first.

    Args:
        probabilities: (M, K).
        label_ids: (M,) int64.
        labels: K names.
        name: returns the name of the example at a position.
        most: how many to list.
    """
    confidences, answers = probabilities.max(dim=1)
    wrong = (answers != label_ids).nonzero().flatten().tolist()
    wrong.sort(key=lambda position: -float(confidences[position]))
    return [
        Mistake(
            position=position,
            name=name(position),
            label=labels[int(label_ids[position])],
            answer=labels[int(answers[position])],
            probability=float(confidences[position]),
        )
        for position in wrong[:most]
    ]
