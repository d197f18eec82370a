"""The loop: what it learns, keeps, repeats and resumes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pyclassify import training
from pyclassify.errors import CheckpointError, ConfigError, DataError
from pyclassify.training import TrainConfig


@dataclass
class TensorBatches:
    """The real protocol over tensors."""

    x: Tensor
    y: Tensor
    batch_size: int = 4

    @property
    def examples(self) -> int:
        return len(self.y)

    def __len__(self) -> int:
        return -(-len(self.y) // self.batch_size)

    def epoch(self, seed: int | None = None) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        generator = torch.Generator().manual_seed(seed or 0)
        order = torch.randperm(len(self.y), generator=generator) if seed is not None else torch.arange(len(self.y))
        for part in order.split(self.batch_size):
            yield (self.x[part],), self.y[part]


def _data(count: int = 24, seed: int = 0) -> TensorBatches:
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % 3
    return TensorBatches(torch.randn(count, 6, generator=generator) + 2 * nn.functional.one_hot(y, 6), y)


def _model(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))


CONFIGS = {
    "sgd": TrainConfig(epochs=5, learning_rate=0.1, average_decay=0.9, weight_decay=1e-3),
    "adam": TrainConfig(epochs=5, optimizer="adam", learning_rate=0.01, schedule="constant"),
    "adamw": TrainConfig(epochs=5, optimizer="adamw", learning_rate=0.01, schedule="linear", clip_norm=1.0),
}


def _fit(config: TrainConfig, **options: Any) -> tuple[nn.Module, list[training.EpochResult]]:
    model = _model()
    return model, list(training.fit(model, _data(), _data(seed=1), config, **options))


def _without_times(results: list[training.EpochResult]) -> list[tuple[float, ...]]:
    return [(r.train_loss, r.train_accuracy, r.validation_loss, r.validation_accuracy, r.is_best) for r in results]


@pytest.mark.parametrize("name", CONFIGS)
def test_the_same_seed_gives_the_same_losses_and_weights(name: str) -> None:
    (a, first), (b, second) = _fit(CONFIGS[name]), _fit(CONFIGS[name])
    assert _without_times(first) == _without_times(second)
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("stop_after", [1, 4])
def test_resumed_equals_uninterrupted(tmp_path: Path, name: str, stop_after: int) -> None:
    whole, results = _fit(CONFIGS[name])
    state = tmp_path / "some" / "state.pt"
    running = training.fit(_model(), _data(), _data(seed=1), CONFIGS[name], state_path=state, fingerprint="f")
    for _ in range(stop_after):
        next(running)
    running.close()
    resumed = _model(seed=99)  # its own weights must not matter
    again = list(
        training.fit(resumed, _data(), _data(seed=1), CONFIGS[name], state_path=state, resume=True, fingerprint="f")
    )
    assert _without_times(again) == _without_times(results)
    pairs = zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_eight_examples_can_be_overfitted() -> None:
    data = _data(8)
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 3))
    config = TrainConfig(epochs=60, optimizer="adam", learning_rate=0.02, schedule="constant")
    assert list(training.fit(model, data, data, config))[-1].train_loss < 0.01


def test_the_best_epoch_is_kept() -> None:
    config = TrainConfig(epochs=8, learning_rate=0.5, schedule="constant", momentum=0.0)
    model, results = _fit(config)
    best = max(results, key=lambda r: (r.validation_accuracy, -r.validation_loss))
    assert [r for r in results if r.is_best][-1] == best
    loss, accuracy = training.evaluate(model, _data(seed=1))
    assert (accuracy, loss) == pytest.approx((best.validation_accuracy, best.validation_loss))


def test_patience_stops_early() -> None:
    data = TensorBatches(torch.zeros(8, 6), torch.arange(8) % 2)  # nothing to learn
    model = nn.Linear(6, 2)
    config = TrainConfig(epochs=50, patience=3, learning_rate=1e-9, schedule="constant", optimizer="sgd")
    assert len(list(training.fit(model, data, data, config))) < 50


def test_a_loss_that_is_no_number_is_an_error_with_a_way_out() -> None:
    data = TensorBatches(torch.full((8, 6), float("inf")), torch.arange(8) % 2)
    with pytest.raises(DataError, match="lower --learning-rate"):
        list(training.fit(nn.Linear(6, 2), data, data, TrainConfig(epochs=1)))


def test_weights_that_are_no_numbers_are_not_kept() -> None:
    config = TrainConfig(epochs=1, learning_rate=1e38, batch_size=24, optimizer="sgd", schedule="constant")
    with pytest.raises(DataError, match="lower --learning-rate"):  # the last step of the epoch spoils them
        list(training.fit(_model(), _data(), _data(seed=1), config))


def test_progress_counts_the_examples() -> None:
    seen: list[training.Progress] = []
    _fit(CONFIGS["adam"], on_batch=seen.append)
    assert [p.examples for p in seen if p.batch == p.batches] == [24] * 5
    assert all(p.examples_per_s > 0 and 0 <= p.accuracy <= 1 for p in seen)


def test_the_callers_random_numbers_are_left_alone() -> None:
    model = _model()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    list(training.fit(model, _data(), _data(seed=1), CONFIGS["sgd"]))
    assert torch.equal(torch.rand(3), expected)


def test_resuming_something_else_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state.pt"
    with pytest.raises(ConfigError, match="nothing to resume"):
        _fit(CONFIGS["sgd"], state_path=state, resume=True)
    _fit(CONFIGS["sgd"], state_path=state, fingerprint="one")
    with pytest.raises(ConfigError, match="other options or other data"):
        _fit(CONFIGS["sgd"], state_path=state, resume=True, fingerprint="two")
    for other in ({"epoch": 3}, [1]):
        torch.save(other, state)
        with pytest.raises(ConfigError, match="other options or other data"):
            _fit(CONFIGS["sgd"], state_path=state, resume=True, fingerprint="one")
    state.write_bytes(b"junk")
    with pytest.raises(ConfigError, match="damaged"):
        _fit(CONFIGS["sgd"], state_path=state, resume=True, fingerprint="one")


def test_a_state_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where a folder should be")
    with pytest.raises(CheckpointError, match=r"cannot write .*state\.pt"):
        _fit(CONFIGS["sgd"], state_path=tmp_path / "taken" / "state.pt")


@pytest.mark.parametrize(
    "values",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"momentum": 1.0},
        {"label_smoothing": -0.1},
        {"optimizer": "lion"},
        {"schedule": "wave"},
        {"precision": "int8"},
        {"patience": -1},
    ],
)
def test_options_that_cannot_work_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(values))):
        TrainConfig(**values)


def test_a_model_may_prepare_and_choose_its_groups() -> None:
    class Choosy(nn.Linear):
        prepared = 0

        def prepare(self, batches: TensorBatches) -> None:
            self.prepared += batches.examples

        def parameter_groups(self, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
            return [{"params": [self.weight], "lr": learning_rate, "weight_decay": weight_decay}]

    model = Choosy(6, 3)
    bias = model.bias.detach().clone()
    list(training.fit(model, _data(), _data(seed=1), TrainConfig(epochs=2)))
    assert model.prepared == 24
    assert torch.equal(model.bias, bias)


def test_bfloat16_learns_too() -> None:
    config = TrainConfig(epochs=30, learning_rate=0.1, precision="bfloat16")
    data = _data()
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
    results = list(training.fit(model, data, data, config))
    assert results[-1].train_loss < results[0].train_loss / 2
