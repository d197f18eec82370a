"""Compiled steps: the same training, the same names of weights, and none the worse where compiling fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pyclassify import training
from pyclassify.training import TrainConfig
from pyclassify.training.compiling import Compiled, pays
from tests.test_training import _data, _model, _without_times

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("compiling", "device", "planned_s", "expected"),
    [
        ("auto", CPU, 1e6, False),
        ("auto", CUDA, 60, False),
        ("auto", CUDA, 300, True),
        ("on", CPU, 0, True),
        ("off", CUDA, 1e6, False),
    ],
)
def test_where_it_pays(compiling: str, device: torch.device, planned_s: float, expected: bool) -> None:
    assert pays(TrainConfig(compiling=compiling), device, planned_s) is expected


def _eager(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    """torch.compile with its real front end and no code generation; the models that it was given."""
    given: list[nn.Module] = []
    real = torch.compile

    def compile_(model: nn.Module) -> Any:
        given.append(model)
        return real(model, backend="eager")

    monkeypatch.setattr(torch, "compile", compile_)
    return given


@pytest.mark.filterwarnings("default")
def test_a_compiled_training_is_the_same_and_resumes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = _eager(monkeypatch)
    notes: list[str] = []

    def fit(model: nn.Module, compiling: str, **options: Any) -> list[training.EpochResult]:
        config = TrainConfig(epochs=3, learning_rate=0.05, average_decay=0.9, compiling=compiling)
        return list(training.fit(model, _data(), _data(seed=1), config, on_note=notes.append, **options))

    plain, fast, again = _model(), _model(), _model(seed=9)
    expected = fit(plain, "off")
    found = fit(fast, "on", state_path=tmp_path / "state.pt")
    assert given == [fast]
    assert notes == []
    for a, b in zip(_without_times(found), _without_times(expected), strict=True):
        assert a == pytest.approx(b, rel=1e-4)
    assert list(fast.state_dict()) == list(plain.state_dict())
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert list(state["model"]) == list(state["best_weights"]) == list(plain.state_dict())
    assert _without_times(fit(again, "on", state_path=tmp_path / "state.pt", resume=True)) == _without_times(found)


def _failing(error: Exception) -> Callable[..., Any]:
    def compile_(_: nn.Module) -> Callable[..., Any]:
        def call(*_: Any) -> Any:
            raise error

        return call

    return compile_


def test_a_failure_is_one_line_and_the_training_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", _failing(RuntimeError("no compiler\nin many lines")))
    notes: list[str] = []
    config = TrainConfig(epochs=2, compiling="on")
    results = list(training.fit(_model(), _data(), _data(seed=1), config, on_note=notes.append))
    expected = list(training.fit(_model(), _data(), _data(seed=1), TrainConfig(epochs=2)))
    assert _without_times(results) == _without_times(expected)
    assert notes == ["compiling failed (RuntimeError), so the training goes on without it."]


def test_a_lack_of_memory_is_no_failure_to_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", _failing(torch.OutOfMemoryError("out of memory")))
    with pytest.raises(torch.OutOfMemoryError):
        Compiled(_model(), print)(torch.zeros(2, 6))
