"""Calibration, prediction sets and scores, against counts by hand and draws from a known distribution."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pyclassify import evaluation
from pyclassify.manifest import COVERAGES, Scores
from pyclassify.modality import BaselineAnswers

LABELS = ["cat", "dog", "eel"]


def _score(truth: list[int], answers: list[int]) -> evaluation.BasicScores:
    logits = torch.nn.functional.one_hot(torch.tensor(answers), 3).float()
    return evaluation.score(logits, torch.tensor(truth), labels=LABELS, majority_id=0)


def _draw(count: int, *, num_labels: int = 4, sharpness: float = 1.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits, and label ids drawn from the softmax of the logits divided by `sharpness`."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(count, num_labels, generator=generator)
    label_ids = torch.multinomial(logits.softmax(dim=1), 1, generator=generator).flatten()
    return sharpness * logits, label_ids


def test_scores_by_hand() -> None:
    scores = _score([0, 0, 0, 1], [0, 0, 1, 1])
    assert scores.accuracy == 0.75
    assert scores.majority_accuracy == 0.75
    assert scores.num_examples == 4
    assert scores.confusion == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]
    cat = scores.per_label["cat"]
    assert (cat.precision, cat.recall, cat.f1, cat.num_examples) == pytest.approx((1.0, 2 / 3, 0.8, 3))
    assert scores.per_label["eel"].f1 == 0
    assert scores.macro_f1 == pytest.approx((0.8 + 2 / 3 + 0) / 3)


def test_basic_scores_are_fields_of_the_manifest() -> None:
    assert set(evaluation.BasicScores.__slots__) <= set(Scores.model_fields)


def test_interval_is_wilsons() -> None:
    interval = _score([0] * 100, [0] * 90 + [1] * 10).accuracy_interval
    assert interval == pytest.approx((0.8256, 0.9448), abs=1e-4)
    assert evaluation.accuracy_with_interval(90, 100) == (0.9, interval)


@pytest.mark.parametrize("total", [1, 7, 100])
def test_interval_contains_the_accuracy_at_the_edges(total: int) -> None:
    accuracy, (_, high) = evaluation.accuracy_with_interval(total, total)
    assert accuracy == high == 1
    accuracy, (low, _) = evaluation.accuracy_with_interval(0, total)
    assert accuracy == low == 0


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_temperature_undoes_over_and_underconfidence(sharpness: float) -> None:
    assert evaluation.fit_temperature(*_draw(20_000, sharpness=sharpness)) == pytest.approx(sharpness, rel=0.05)


@given(count=st.integers(1, 99), seed=st.integers(0, 9))
@settings(max_examples=20, deadline=None)
def test_fewer_than_a_hundred_answers_never_make_it_surer(count: int, seed: int) -> None:
    logits, label_ids = _draw(count, sharpness=0.3, seed=seed)
    assert evaluation.fit_temperature(logits, label_ids) >= 1
    assert evaluation.fit_temperature(torch.eye(3), torch.arange(3)) == 1


def test_a_hundred_answers_may_make_it_surer() -> None:
    assert 0.05 <= evaluation.fit_temperature(torch.eye(100), torch.arange(100)) < 0.5


@given(count=st.integers(1, 5_000), num_labels=st.integers(2, 1_000), seed=st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_no_probability_is_above_what_the_examples_support(count: int, num_labels: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 10 ** (4 * torch.rand(1, generator=generator) - 2) * torch.randn(20, num_labels, generator=generator)
    ceiling = evaluation.ceiling(count)
    probabilities = evaluation.calibrate(logits, 0.7, ceiling)
    assert probabilities.max().item() <= ceiling + 1e-12
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(20, dtype=torch.float64))
    plain = evaluation.calibrate(logits, 0.7)
    steps = probabilities.gather(1, plain.argsort(dim=1)).diff(dim=1)
    assert (steps >= -1e-15).all(), "the order stays"


def test_certainty_becomes_the_ceiling() -> None:
    certain = torch.tensor([[1e4, 0.0, 0.0]])
    assert evaluation.ceiling(18) == 0.95
    assert evaluation.calibrate(certain, 1.0, 0.95).tolist() == [pytest.approx([0.95, 0.025, 0.025])]
    assert evaluation.calibrate(certain, 1.0).tolist() == [[1.0, 0.0, 0.0]]
    score = evaluation.calibration_score(certain, torch.tensor([0]), temperature=1.0, ceiling=0.95)
    assert (score.ece_before, score.ece_after) == (0, pytest.approx(0.05))


def test_calibrated_probabilities_sum_to_one_in_double_precision() -> None:
    probabilities = evaluation.calibrate(torch.randn(10, 3), 0.05)
    assert probabilities.dtype == torch.float64
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(10, dtype=torch.float64))


def test_calibration_lowers_the_error_and_bins_hold_every_answer() -> None:
    logits, label_ids = _draw(5_000, sharpness=4.0, seed=1)
    score = evaluation.calibration_score(logits, label_ids, temperature=4.0)
    assert score.ece_before > 0.1
    assert score.ece_after < 0.03
    assert sum(bin_.num_examples for bin_ in score.bins) == 5_000
    right = sum(bin_.accuracy * bin_.num_examples for bin_ in score.bins)
    assert right == pytest.approx(int((logits.argmax(dim=1) == label_ids).sum()))


@pytest.mark.parametrize("label_id", [0, 1])
def test_certain_answers_have_a_calibration_score(label_id: int) -> None:
    logits = torch.tensor([[1000.0, 0.0]]).repeat(7, 1)
    score = evaluation.calibration_score(logits, torch.full((7,), label_id), temperature=0.05)
    assert (score.ece_after, score.bins[0].confidence, score.bins[0].accuracy) == (label_id, 1, 1 - label_id)


@pytest.mark.parametrize("coverage", COVERAGES)
def test_prediction_sets_hold_the_true_label_as_often_as_promised(coverage: str) -> None:
    logits, label_ids = _draw(4_000)
    thresholds = evaluation.fit_thresholds(logits.softmax(dim=1), label_ids)
    logits, label_ids = _draw(20_000, seed=1)
    scores = evaluation.set_scores(logits.softmax(dim=1), label_ids, thresholds=thresholds, labels="abcd")
    assert scores[coverage].coverage == pytest.approx(float(coverage), abs=0.015)
    assert 1 <= scores[coverage].mean_size <= 4
    assert set(scores[coverage].per_label) == set("abcd")


def test_labels_without_examples_have_no_coverage() -> None:
    probabilities, label_ids = torch.tensor([[0.7, 0.2, 0.1]]), torch.tensor([0])
    scores = evaluation.set_scores(probabilities, label_ids, thresholds={"0.90": 0.2}, labels=LABELS)
    assert scores["0.90"].per_label == {"cat": 1.0}
    assert (scores["0.90"].mean_size, scores["0.90"].single) == (2, 0)


def test_a_higher_coverage_takes_larger_sets() -> None:
    logits, label_ids = _draw(2_000)
    probabilities = logits.softmax(dim=1)
    thresholds = evaluation.fit_thresholds(probabilities, label_ids)
    scores = evaluation.set_scores(probabilities, label_ids, thresholds=thresholds, labels="abcd")
    sizes = [scores[coverage].mean_size for coverage in COVERAGES]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


@given(count=st.integers(1, 200))
@settings(max_examples=30, deadline=None)
def test_too_few_examples_put_all_labels_into_the_set(count: int) -> None:
    logits, label_ids = _draw(count)
    thresholds = evaluation.fit_thresholds(logits.softmax(dim=1), label_ids)
    assert [thresholds[coverage] == 0 for coverage in COVERAGES] == [count < 9, count < 19, count < 99]


def test_a_prediction_set_is_never_empty() -> None:
    mask = evaluation.prediction_set_mask(torch.tensor([[0.4, 0.35, 0.25], [0.9, 0.05, 0.05]]), 0.95)
    assert mask.tolist() == [[True, False, False], [True, False, False]]


def test_mcnemar_counts_only_where_the_two_differ() -> None:
    truth = torch.zeros(100, dtype=torch.int64)
    ours, theirs = truth.clone(), truth.clone()
    ours[:2], theirs[2:22] = 1, 1
    baseline = BaselineAnswers(name="coin", fields={"side_px": "16"}, label_ids=theirs)
    comparison = evaluation.compare(baseline, ours, truth)
    assert (comparison.name, comparison.fields) == ("coin", {"side_px": "16"})
    assert (comparison.only_ours, comparison.only_baseline, comparison.accuracy) == (20, 2, 0.8)
    assert comparison.p_value < 0.001 < evaluation.SIGNIFICANT
    same = evaluation.compare(BaselineAnswers(name="itself", fields={}, label_ids=ours), ours, truth)
    assert same.p_value == 1


@pytest.mark.parametrize(("p_value", "text"), [(0.0, "p < 1e-99"), (1e-120, "p < 1e-99"), (0.0123, "p = 0.012")])
def test_a_p_value_is_never_written_as_zero(p_value: float, text: str) -> None:
    assert evaluation.format_p_value(p_value) == text


def test_mistakes_are_sorted_by_their_probability() -> None:
    probabilities = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.99, 0.01]])
    label_ids = torch.tensor([1, 1, 1, 0])
    mistakes = evaluation.mistakes(probabilities, label_ids, labels=["ham", "spam"], name="text {}".format)
    assert [(mistake.position, mistake.name, mistake.answer, mistake.label) for mistake in mistakes] == [
        (0, "text 0", "ham", "spam"),
        (1, "text 1", "ham", "spam"),
    ]
    assert mistakes[0].probability == pytest.approx(0.9)
    assert len(evaluation.mistakes(probabilities, label_ids, labels=["ham", "spam"], name=str, most=1)) == 1
