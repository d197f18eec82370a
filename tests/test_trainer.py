"""The training loop: learning, the best epoch, repeating, resuming, compiling."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pyclassify.errors import CheckpointError, ConfigError, DataError
from pyclassify.locales import Message
from pyclassify.manifest import Epoch
from pyclassify.training import trainer
from pyclassify.training.config import FitConfig
from pyclassify.training.trainer import BatchProgress, Compiled, fit, should_compile

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@dataclass
class TensorBatches:
    """Batches of tensors, as `dataset.Batches`."""

    x: Tensor
    y: Tensor
    batch_size: int = 4

    @property
    def num_examples(self) -> int:
        return len(self.y)

    @property
    def positions(self) -> Sequence[int]:
        return range(len(self.y))

    def __len__(self) -> int:
        return -(-len(self.y) // self.batch_size)

    def epoch(self, seed: int | None = None) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        generator = torch.Generator().manual_seed(seed or 0)
        order = torch.randperm(len(self.y), generator=generator) if seed is not None else torch.arange(len(self.y))
        for part in order.split(self.batch_size):
            yield (self.x[part],), self.y[part]


def make_batches(count: int = 24, seed: int = 0) -> TensorBatches:
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % 3
    return TensorBatches(torch.randn(count, 6, generator=generator) + 2 * nn.functional.one_hot(y, 6), y)


def make_network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))


CONFIGS = {
    "sgd": FitConfig(epochs=5, learning_rate=0.1, average_decay=0.9, weight_decay=1e-3),
    "adam": FitConfig(epochs=5, optimizer="adam", learning_rate=0.01, schedule="constant"),
    "adamw": FitConfig(epochs=5, optimizer="adamw", learning_rate=0.01, schedule="linear", clip_norm=1.0),
}


def fit_network(config: FitConfig, **options: Any) -> tuple[nn.Module, list[Epoch]]:
    network = make_network()
    return network, list(fit(network, make_batches(), make_batches(seed=1), config, **options))


def without_times(epochs: Sequence[Epoch]) -> list[tuple[float, ...]]:
    return [(e.train_loss, e.train_accuracy, e.val_loss, e.val_accuracy, e.is_best) for e in epochs]


def have_equal_weights(a: nn.Module, b: nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("name", CONFIGS)
def test_same_seed_gives_same_losses_and_weights(name: str) -> None:
    (a, first), (b, second) = fit_network(CONFIGS[name]), fit_network(CONFIGS[name])
    assert without_times(first) == without_times(second)
    assert have_equal_weights(a, b)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("stop_after", [1, 4])
def test_resumed_equals_uninterrupted(tmp_path: Path, name: str, stop_after: int) -> None:
    whole, epochs = fit_network(CONFIGS[name])
    options = {"state_path": tmp_path / "new folder" / "state.pt", "fingerprint": "f"}
    running = fit(make_network(), make_batches(), make_batches(seed=1), CONFIGS[name], **options)
    for _ in range(stop_after):
        next(running)
    running.close()
    resumed = make_network(seed=99)  # its own weights must not matter
    again = list(fit(resumed, make_batches(), make_batches(seed=1), CONFIGS[name], resume=True, **options))
    assert without_times(again) == without_times(epochs)
    assert have_equal_weights(whole, resumed)


def test_eight_examples_can_be_overfitted() -> None:
    batches = make_batches(8)
    network = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 3))
    config = FitConfig(epochs=60, optimizer="adam", learning_rate=0.02, schedule="constant")
    assert list(fit(network, batches, batches, config))[-1].train_loss < 0.01


def test_best_epoch_is_kept() -> None:
    network, epochs = fit_network(FitConfig(epochs=8, learning_rate=0.5, schedule="constant", momentum=0.0))
    best = max(epochs, key=lambda epoch: (epoch.val_accuracy, -epoch.val_loss))
    assert [epoch for epoch in epochs if epoch.is_best][-1] == best
    loss, accuracy = trainer.evaluate(network, make_batches(seed=1))
    assert (accuracy, loss) == pytest.approx((best.val_accuracy, best.val_loss))


def test_patience_stops_early() -> None:
    batches = TensorBatches(torch.zeros(8, 6), torch.arange(8) % 2)  # nothing to learn
    config = FitConfig(epochs=50, patience=3, learning_rate=1e-9, schedule="constant")
    assert len(list(fit(nn.Linear(6, 2), batches, batches, config))) < 50


def test_infinite_loss_is_an_error() -> None:
    batches = TensorBatches(torch.full((8, 6), float("inf")), torch.arange(8) % 2)
    with pytest.raises(DataError) as error:
        list(fit(nn.Linear(6, 2), batches, batches, FitConfig(epochs=1)))
    assert (error.value.code, error.value.fields) == ("loss_not_finite", {"epoch": 1})


def test_weights_that_are_not_finite_are_not_kept() -> None:
    config = FitConfig(epochs=1, learning_rate=1e38, batch_size=24, schedule="constant")
    with pytest.raises(DataError) as error:  # the last step of the epoch spoils them
        list(fit(make_network(), make_batches(), make_batches(seed=1), config))
    assert error.value.code == "loss_not_finite"


def test_progress_counts_examples() -> None:
    reports: list[BatchProgress] = []
    fit_network(CONFIGS["adam"], on_batch=reports.append)
    assert [report.examples for report in reports if report.batch == report.num_batches] == [24] * 5
    assert all(report.num_examples == 24 for report in reports)
    assert all(report.examples_per_s > 0 and 0 <= report.accuracy <= 1 for report in reports)


def test_random_numbers_of_the_caller_are_left_alone() -> None:
    network = make_network()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    list(fit(network, make_batches(), make_batches(seed=1), CONFIGS["sgd"]))
    assert torch.equal(torch.rand(3), expected)


def test_resuming_another_training_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state.pt"

    def code_of_resuming(fingerprint: str) -> str:
        with pytest.raises(ConfigError) as error:
            fit_network(CONFIGS["sgd"], state_path=state, resume=True, fingerprint=fingerprint)
        assert error.value.text()
        return error.value.code

    assert code_of_resuming("one") == "nothing_to_resume"
    fit_network(CONFIGS["sgd"], state_path=state, fingerprint="one")
    assert code_of_resuming("two") == "state_of_other_training"
    for content in ({"epoch": 3}, [1]):
        torch.save(content, state)
        assert code_of_resuming("one") == "state_of_other_training"
    state.write_bytes(b"junk")
    assert code_of_resuming("one") == "state_damaged"


def test_state_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where a folder should be")
    with pytest.raises(CheckpointError) as error:
        fit_network(CONFIGS["sgd"], state_path=tmp_path / "taken" / "state.pt")
    assert error.value.code == "state_unwritable"
    assert error.value.fields["path"] == tmp_path / "taken" / "state.pt"


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"epochs": -1}, "option_too_small"),
        ({"batch_size": 0}, "option_too_small"),
        ({"patience": -1}, "option_too_small"),
        ({"learning_rate": 0.0}, "option_not_positive"),
        ({"learning_rate": float("nan")}, "option_not_positive"),
        ({"momentum": 1.0}, "option_not_below_one"),
        ({"label_smoothing": -0.1}, "option_not_below_one"),
        ({"optimizer": "lion"}, "option_unknown"),
        ({"schedule": "wave"}, "option_unknown"),
        ({"precision": "int8"}, "option_unknown"),
        ({"compile": "perhaps"}, "option_unknown"),
        ({"minutes": -1.0}, "option_out_of_range"),
        ({"minutes": float("nan")}, "option_out_of_range"),
        ({"minutes": float("inf")}, "option_out_of_range"),
    ],
)
def test_options_that_cannot_work_are_refused(values: dict[str, Any], code: str) -> None:
    with pytest.raises(ConfigError) as error:
        FitConfig(**values)
    assert error.value.code == code
    assert error.value.fields["option"] == next(iter(values))


def test_network_may_prepare_and_choose_its_groups() -> None:
    class Choosy(nn.Linear):
        prepared = 0

        def prepare(self, batches: TensorBatches) -> None:
            self.prepared += batches.num_examples

        def parameter_groups(self, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
            return [{"params": [self.weight], "lr": learning_rate, "weight_decay": weight_decay}]

    network = Choosy(6, 3)
    bias = network.bias.detach().clone()
    list(fit(network, make_batches(), make_batches(seed=1), FitConfig(epochs=2)))
    assert network.prepared == 24
    assert torch.equal(network.bias, bias)


def test_network_may_tune_itself_after_each_epoch() -> None:
    class Tuned(nn.Linear):
        tuned: tuple[int, ...] = ()

        def tune(self, batches: TensorBatches) -> None:
            self.tuned = (*self.tuned, batches.num_examples)

    network = Tuned(6, 3)
    list(fit(network, make_batches(), make_batches(9, seed=1), FitConfig(epochs=2)))
    assert network.tuned == (9, 9)


def test_bfloat16_learns_too() -> None:
    network, batches = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)), make_batches()
    epochs = list(fit(network, batches, batches, FitConfig(epochs=30, learning_rate=0.1, precision="bfloat16")))
    assert epochs[-1].train_loss < epochs[0].train_loss / 2


# Compiling


@pytest.mark.parametrize(
    ("option", "device", "planned_s", "expected"),
    [
        ("auto", CPU, 1e6, False),
        ("auto", CUDA, 60, False),
        ("auto", CUDA, 300, True),
        ("on", CPU, 0, True),
        ("off", CUDA, 1e6, False),
    ],
)
def test_compiling_only_where_it_pays(option: str, device: torch.device, planned_s: float, expected: bool) -> None:
    assert should_compile(FitConfig(compile=option), device, planned_s) is expected


@pytest.fixture
def compiled_networks(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    """Use the real front end of torch.compile without code generation; return the networks that it gets."""
    networks: list[nn.Module] = []
    torch_compile = torch.compile

    def eager_compile(network: nn.Module) -> Any:
        networks.append(network)
        return torch_compile(network, backend="eager")

    monkeypatch.setattr(torch, "compile", eager_compile)
    return networks


@pytest.mark.filterwarnings("default")
def test_compiled_training_is_the_same_and_resumes(compiled_networks: list[nn.Module], tmp_path: Path) -> None:
    notes: list[Message] = []

    def run(network: nn.Module, compile_mode: str, **options: Any) -> list[Epoch]:
        config = FitConfig(epochs=3, learning_rate=0.05, average_decay=0.9, compile=compile_mode)
        return list(fit(network, make_batches(), make_batches(seed=1), config, on_note=notes.append, **options))

    plain, compiled, resumed = make_network(), make_network(), make_network(seed=9)
    expected = run(plain, "off")
    epochs = run(compiled, "on", state_path=tmp_path / "state.pt")
    assert compiled_networks == [compiled]
    assert notes == []
    for a, b in zip(without_times(epochs), without_times(expected), strict=True):
        assert a == pytest.approx(b, rel=1e-4)
    assert list(compiled.state_dict()) == list(plain.state_dict())
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert list(state["network"]) == list(state["best_weights"]) == list(plain.state_dict())
    again = run(resumed, "on", state_path=tmp_path / "state.pt", resume=True)
    assert without_times(again) == without_times(epochs)


def _failing_compile(error: Exception) -> Callable[..., Any]:
    def compile_(_: nn.Module) -> Callable[..., Any]:
        def call(*_: Any) -> Any:
            raise error

        return call

    return compile_


def test_training_goes_on_if_compiling_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", _failing_compile(RuntimeError("no compiler\nin many lines")))
    notes: list[Message] = []
    _, epochs = fit_network(FitConfig(epochs=2, compile="on"), on_note=notes.append)
    _, expected = fit_network(FitConfig(epochs=2))
    assert without_times(epochs) == without_times(expected)
    assert notes == [Message("notes.compile_failed", {"error": "RuntimeError"})]
    assert notes[0].text("ko") != notes[0].text("en")


def test_lack_of_memory_is_not_a_failure_to_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", _failing_compile(torch.OutOfMemoryError("out of memory")))
    with pytest.raises(torch.OutOfMemoryError):
        Compiled(make_network(), print)(torch.zeros(2, 6))
