"""Percentages that mean what they say, sets that hold the true label as promised, and how they are kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import pyclassify
from pyclassify import evaluation
from pyclassify.errors import CheckpointError, ConfigError
from pyclassify.evaluation import Trust
from tests import fakes


def _drawn(count: int, *, labels: int = 4, sharpness: float = 1.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits whose softmax, once divided by `sharpness`, is how the label ids are drawn."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(count, labels, generator=generator)
    label_ids = torch.multinomial(logits.softmax(dim=1), 1, generator=generator).flatten()
    return sharpness * logits, label_ids


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_too_much_or_too_little_confidence(sharpness: float) -> None:
    assert evaluation.fit_temperature(*_drawn(20_000, sharpness=sharpness)) == pytest.approx(sharpness, rel=0.05)


def test_a_handful_of_right_answers_does_not_make_it_sure_of_everything() -> None:
    temperature = evaluation.fit_temperature(torch.eye(3), torch.arange(3))
    assert 0.3 < temperature < 1


def test_calibration_lowers_the_error_and_bins_hold_every_answer() -> None:
    logits, label_ids = _drawn(5_000, sharpness=4.0, seed=1)
    found = evaluation.calibration(logits, label_ids, temperature=4.0)
    assert found.ece_before > 0.1
    assert found.ece_after < 0.03
    assert sum(each.examples for each in found.bins) == 5_000
    right = sum(each.accuracy * each.examples for each in found.bins)
    assert right == pytest.approx(int((logits.argmax(dim=1) == label_ids).sum()))


@pytest.mark.parametrize("coverage", evaluation.COVERAGES)
def test_sets_hold_the_true_label_as_often_as_promised(coverage: str) -> None:
    logits, label_ids = _drawn(4_000)
    sets = evaluation.fit_sets(logits.softmax(dim=1), label_ids)
    logits, label_ids = _drawn(20_000, seed=1)
    found = evaluation.score_sets(logits.softmax(dim=1), label_ids, sets=sets, labels="abcd")[coverage]
    assert found.coverage == pytest.approx(float(coverage), abs=0.015)
    assert 1 <= found.mean_size <= 4
    assert set(found.per_label) == set("abcd")


def test_a_higher_promise_takes_larger_sets() -> None:
    logits, label_ids = _drawn(2_000)
    sets = evaluation.fit_sets(logits.softmax(dim=1), label_ids)
    sizes = [
        each.mean_size
        for each in evaluation.score_sets(logits.softmax(dim=1), label_ids, sets=sets, labels="abcd").values()
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


@given(count=st.integers(1, 200))
@settings(max_examples=30, deadline=None)
def test_too_few_examples_promise_nothing_but_all_labels(count: int) -> None:
    logits, label_ids = _drawn(count)
    sets = evaluation.fit_sets(logits.softmax(dim=1), label_ids)
    assert [sets[each] == 0 for each in evaluation.COVERAGES] == [count < 9, count < 19, count < 99]


def test_a_set_is_never_empty() -> None:
    inside = evaluation.members(torch.tensor([[0.4, 0.35, 0.25], [0.9, 0.05, 0.05]]), 0.95)
    assert inside.tolist() == [[True, False, False], [True, False, False]]


def test_mcnemar_counts_only_where_the_two_differ() -> None:
    truth = torch.zeros(100, dtype=torch.int64)
    ours, other = truth.clone(), truth.clone()
    ours[:2], other[2:22] = 1, 1
    found = evaluation.compare("a coin", ours, other, truth)
    assert (found.only_ours, found.only_other, found.accuracy) == (20, 2, 0.8)
    assert found.p_value < 0.001
    assert found.verdict().startswith("Better than it (20 ")
    same = evaluation.compare("itself", ours, ours, truth)
    assert same.p_value == 1
    assert same.verdict().startswith("Not shown to differ")


def test_a_p_value_is_never_shown_as_zero() -> None:
    assert evaluation.p_shown(0.0) == "p < 1e-99"
    assert evaluation.p_shown(0.0123) == "p = 0.012"


def test_mistakes_come_with_the_surest_first() -> None:
    probabilities = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.99, 0.01]])
    found = evaluation.mistakes(probabilities, torch.tensor([1, 1, 1, 0]), labels=["ham", "spam"])
    assert [(each.position, each.answer, each.label) for each in found] == [(0, "ham", "spam"), (1, "ham", "spam")]
    assert found[0].probability == pytest.approx(0.9)


def test_trust_is_read_back_as_it_was_written() -> None:
    trust = Trust(temperature=1.25, sets={"0.90": 0.5, "0.95": 0.25, "0.99": 0.0}, examples=100)
    assert Trust.from_info({"calibration": json.loads(json.dumps(trust.config()))}) == trust
    assert Trust.from_info({}) == Trust()


def _edited(path: Path, **changes: Any) -> Path:
    info = json.loads((path / "config.json").read_text(encoding="utf-8"))
    info["calibration"] = {
        "temperature": 2.0,
        "sets": {"0.90": 0.3, "0.95": 0.2, "0.99": 0.0},
        "examples": 100,
        **changes,
    }
    (path / "config.json").write_text(json.dumps(info), encoding="utf-8")
    return path


def test_probabilities_are_those_of_the_cooled_logits(tmp_path: Path) -> None:
    plain = fakes.write_text_checkpoint(tmp_path / "plain")
    before = pyclassify.load(plain).predict(["good film"])[0]
    after = pyclassify.load(_edited(plain)).predict(["good film"])[0]
    ratio = torch.tensor(list(before.probabilities.values())).log().diff()
    assert torch.tensor(list(after.probabilities.values())).log().diff() == pytest.approx(ratio / 2, abs=1e-5)
    assert before.labels_set == ()
    assert before.known is None


def test_the_set_follows_the_coverage_that_was_asked_for(tmp_path: Path) -> None:
    path = _edited(fakes.write_image_checkpoint(tmp_path / "pets"), sets={"0.90": 1.0, "0.95": 0.2, "0.99": 0.0})
    picture = torch.randint(0, 255, (8, 8, 3), dtype=torch.uint8).numpy()
    sizes = []
    for coverage in (0.9, 0.95, 0.99):
        (found,) = pyclassify.load(path, coverage=coverage).predict([picture])
        assert found.labels_set[0] == found.label
        assert list(found.labels_set) == [each for each in found.probabilities if each in found.labels_set]
        sizes.append(len(found.labels_set))
    assert sizes[0] == 1
    assert sizes[2] == 3
    for wrong in (0.5, 0.901, "much"):
        with pytest.raises(ConfigError, match=r"0\.90, 0\.95, 0\.99"):
            pyclassify.load(path, coverage=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [{"temperature": 0}, {"temperature": "warm"}, {"temperature": float("nan")}, {"sets": {}}, {"sets": {"0.90": 2}}],
)
def test_numbers_that_are_none_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = _edited(fakes.write_text_checkpoint(tmp_path / "plain"), **changes)
    with pytest.raises(CheckpointError):
        pyclassify.load(path)
