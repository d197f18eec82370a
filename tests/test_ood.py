"""The scale that turns the values of several views into one OOD score."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from pyclassify.ood import LEVELS, Scale, View, checked_tensor, device_of, energy, fit_scale

VIEWS = [View(name="one", is_surface=False), View(name="two", is_surface=True, is_two_sided=True)]


def _scale(values: list[list[float]], views: list[View]) -> Scale:
    threshold, tensors = fit_scale(values, views)
    return Scale(threshold, [view.name for view in views], tensors, views)


@pytest.mark.parametrize("num_examples", [10, 20, 50])
def test_few_validation_examples_do_not_refuse_ordinary_inputs(num_examples: int) -> None:
    views = [View(name=str(number), is_surface=number == 1, is_two_sided=number == 1) for number in range(6)]
    generator, refused = np.random.default_rng(0), []
    for _ in range(40):
        mix = generator.normal(size=(6, 6))
        validation, new = (generator.normal(size=(count, 6)) @ mix for count in (num_examples, 100))
        scale = _scale(validation.tolist(), views)
        refused.append((scale(new.tolist()) > scale.threshold).float().mean().item())
    assert 0.01 < np.mean(refused) < 0.08


def test_the_scale_is_even_and_goes_on_beyond_its_end() -> None:
    values = [[value, value] for value in torch.linspace(0, 1, 1001).tolist()]
    scale = _scale(values, VIEWS)
    assert fit_scale(values, VIEWS)[1]["knots"].shape == (2, LEVELS + 2)
    surprises = torch.tensor(scale.surprises([[value, value] for value in (0.5, 0.9, 0.1, 2.0, 3.0, -1.0)]))
    assert surprises[:3, 0].tolist() == pytest.approx([np.log(2), np.log(10), -np.log(0.9)], abs=0.02)
    assert surprises[:3, 1].tolist() == pytest.approx([0, np.log(5), np.log(5)], abs=0.02)
    assert (surprises[4] > surprises[3]).all()
    assert surprises[5, 0] < 0.2
    assert surprises[5, 1] > 5


def test_the_score_is_the_sum_over_the_network_and_the_largest_of_the_surface() -> None:
    views = [*VIEWS, View(name="three", is_surface=True), View(name="four", is_surface=False)]
    scale = _scale(np.random.default_rng(0).normal(size=(100, 4)).tolist(), views)
    row = [0.3, 2.0, 1.0, -0.5]
    ((one, two, three, four),) = scale.surprises([row])
    assert scale([row]).item() == pytest.approx(one + four + max(two, three))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e30, -1e30])
def test_scores_are_finite_whatever_the_values(value: float) -> None:
    scale = _scale([[0.1, 0.2], [0.3, 0.4], [value, 0.1]], VIEWS)
    assert scale([[value, 0.5], [0.5, value], [value, value]]).isfinite().all()
    assert np.isfinite(scale.threshold)


@pytest.mark.parametrize("num_examples", [1, 2, 18])
def test_the_threshold_of_few_examples_is_their_highest_score(num_examples: int) -> None:
    values = np.random.default_rng(0).normal(size=(num_examples, 2)).tolist()
    scale = _scale(values, VIEWS)
    assert (scale(values) <= scale.threshold).all()


def test_equal_values_make_a_scale() -> None:
    scale = _scale([[1.0, 1.0]] * 30, VIEWS)
    assert scale([[1.0, 1.0]]) <= scale.threshold < scale([[2.0, 2.0]])


def test_tensors_can_be_written_and_read() -> None:
    values = np.random.default_rng(0).normal(size=(50, 2)).tolist()
    threshold, tensors = fit_scale(values, VIEWS)
    read = Scale(threshold, ["one", "two"], safetensors.torch.load(safetensors.torch.save(tensors)), VIEWS)
    assert torch.equal(read(values), _scale(values, VIEWS)(values))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("knots"), "knots is missing"),
        (lambda tensors: tensors.update(knots=torch.zeros(2, 2)), "knots has shape"),
        (lambda tensors: tensors.update(knots=-tensors["knots"]), "do not rise"),
        (lambda tensors: tensors["knots"].fill_(float("nan")), "not finite"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(change: Callable[[dict[str, Tensor]], object], message: str) -> None:
    threshold, tensors = fit_scale([[0.1, 0.2], [0.3, 0.4]], VIEWS)
    change(tensors)
    with pytest.raises(ValueError, match=message):
        Scale(threshold, ["one", "two"], tensors, VIEWS)


def test_other_views_and_thresholds_without_end_are_refused() -> None:
    threshold, tensors = fit_scale([[0.1, 0.2], [0.3, 0.4]], VIEWS)
    with pytest.raises(ValueError, match="views"):
        Scale(threshold, ["two", "one"], tensors, VIEWS)
    with pytest.raises(ValueError, match="threshold"):
        Scale(float("inf"), ["one", "two"], tensors, VIEWS)


def test_energy_is_high_where_no_label_fits() -> None:
    energies = energy(torch.tensor([[10.0, 0.0], [0.1, 0.0]], dtype=torch.float16))
    assert energies.tolist() == pytest.approx([-10, -np.log(np.exp(0.1) + 1)], abs=1e-3)


def test_a_network_has_the_device_of_its_parameters() -> None:
    assert device_of(nn.Linear(1, 1)) == torch.device("cpu")


def test_a_checked_tensor_is_the_tensor_itself() -> None:
    tensors = {"mean": torch.ones(2)}
    assert checked_tensor(tensors, "mean", (2,)) is tensors["mean"]
