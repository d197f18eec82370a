"""Shares of right answers, as a whole and per label, and the mistakes."""

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
    # imported here: serving does not need it, and it takes its time to import
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    truth, answers = label_ids.numpy(), logits.argmax(dim=1).numpy()
    numbers = np.arange(len(labels))
    right = int((truth == answers).sum())
    accuracy, interval = accuracy_with_interval(right, len(truth))
    columns: Any = precision_recall_fscore_support(truth, answers, labels=numbers, zero_division=0.0)
    return Scores(
        accuracy=accuracy,
        accuracy_interval=interval,
        macro_f1=float(columns[2].mean()),
        majority_accuracy=float((truth == majority_id).mean()),
        examples=len(truth),
        per_label={
            label: LabelScore(precision=float(p), recall=float(r), f1=float(f), examples=int(n))
            for label, p, r, f, n in zip(labels, *columns, strict=True)
        },
        confusion=confusion_matrix(truth, answers, labels=numbers).tolist(),
    )


def accuracy_with_interval(right: int, examples: int) -> tuple[float, tuple[float, float]]:
    """The share of right answers and its 95 % interval (Wilson 1927)."""
    from scipy.stats import binomtest  # only a training needs it

    interval = binomtest(right, examples).proportion_ci(0.95, method="wilson")
    return right / examples, (float(interval.low), float(interval.high))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A wrong answer.

    Args:
        position: of the example among the M.
        label: the true one.
        answer: the one given.
        probability: that it was given with.
    """

    position: int
    label: str
    answer: str
    probability: float


def mistakes(probabilities: Tensor, label_ids: Tensor, *, labels: Sequence[str], most: int = 20) -> list[Mistake]:
    """The wrong answers that were given with the highest probability, highest first.

    Args:
        probabilities: (M, K).
        label_ids: (M,) int64.
        labels: K names.
        most: how many to list.
    """
    sure, answers = probabilities.max(dim=1)
    wrong = (answers != label_ids).nonzero().flatten().tolist()
    return [
        Mistake(
            position=i,
            label=labels[int(label_ids[i])],
            answer=labels[int(answers[i])],
            probability=float(sure[i]),
        )
        for i in sorted(wrong, key=lambda i: -float(sure[i]))[:most]
    ]
