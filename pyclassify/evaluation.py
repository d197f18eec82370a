"""What a trained model's answers are worth, measured on examples that no choice was made on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelScore:
    """How one label fares: of those called so the share that are (precision), of those that are the share found."""

    precision: float
    recall: float
    f1: float
    examples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """The scores of one model on M test examples with K labels.

    Args:
        accuracy: share of right answers.
        accuracy_interval: its 95 % interval (Wilson 1927).
        macro_f1: mean of the labels' F1, each label counting the same.
        majority_accuracy: share that would be right by always answering the most frequent training label.
        examples: M.
        per_label: in the order of the labels.
        confusion: (K, K) counts; row: the true label, column: the answer.
    """

    accuracy: float
    accuracy_interval: tuple[float, float]
    macro_f1: float
    majority_accuracy: float
    examples: int
    per_label: dict[str, LabelScore]
    confusion: list[list[int]]


def score(logits: Tensor, label_ids: Tensor, *, labels: Sequence[str], majority_id: int) -> Scores:
    """Score M answers.

    Args:
        logits: (M, K), M at least 1.
        label_ids: (M,) int64, the true labels.
        labels: K names.
        majority_id: the most frequent label of the training examples.
    """
    # imported here: serving needs neither library, and both take their time to import
    from scipy.stats import binomtest
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    truth, answers = label_ids.numpy(), logits.argmax(dim=1).numpy()
    numbers = np.arange(len(labels))
    right = int((truth == answers).sum())
    interval = binomtest(right, len(truth)).proportion_ci(0.95, method="wilson")
    columns: Any = precision_recall_fscore_support(truth, answers, labels=numbers, zero_division=0.0)
    return Scores(
        accuracy=right / len(truth),
        accuracy_interval=(float(interval.low), float(interval.high)),
        macro_f1=float(columns[2].mean()),
        majority_accuracy=float((truth == majority_id).mean()),
        examples=len(truth),
        per_label={
            label: LabelScore(precision=float(p), recall=float(r), f1=float(f), examples=int(n))
            for label, p, r, f, n in zip(labels, *columns, strict=True)
        },
        confusion=confusion_matrix(truth, answers, labels=numbers).tolist(),
    )
