"""Scores against counts done by hand."""

from __future__ import annotations

import pytest
import torch

from pyclassify import evaluation

LABELS = ["cat", "dog", "eel"]


def _scores(truth: list[int], answers: list[int]) -> evaluation.Scores:
    logits = torch.nn.functional.one_hot(torch.tensor(answers), 3).float()
    return evaluation.score(logits, torch.tensor(truth), labels=LABELS, majority_id=0)


def test_scores_by_hand() -> None:
    scores = _scores([0, 0, 0, 1], [0, 0, 1, 1])
    assert scores.accuracy == 0.75
    assert scores.majority_accuracy == 0.75
    assert scores.examples == 4
    assert scores.confusion == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]
    cat = scores.per_label["cat"]
    assert (cat.precision, cat.recall, cat.f1, cat.examples) == pytest.approx((1.0, 2 / 3, 0.8, 3))
    assert scores.per_label["eel"].f1 == 0
    assert scores.macro_f1 == pytest.approx((0.8 + 2 / 3 + 0) / 3)


def test_interval_is_wilsons() -> None:
    low, high = _scores([0] * 100, [0] * 90 + [1] * 10).accuracy_interval
    assert (low, high) == pytest.approx((0.8256, 0.9448), abs=1e-4)


def test_interval_holds_the_accuracy_at_the_edges() -> None:
    assert _scores([0], [0]).accuracy_interval[1] == pytest.approx(1)
    assert _scores([0], [1]).accuracy_interval[0] == pytest.approx(0)
