"""A wall-clock budget: how it is planned, kept and resumed, on a clock that only the batches move."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pyclassify import training
from pyclassify.errors import ConfigError
from pyclassify.training import TrainConfig, passes
from pyclassify.training.optimisation import rate_share
from tests.test_training import CONFIGS, TensorBatches, _data, _model, _without_times

BATCHES = 10


@dataclass
class Clock:
    """Stands still unless it is moved; `slowness` says how much slower the machine is at a time."""

    now: float = 0.0
    slowness: Callable[[float], float] = lambda _: 1.0

    def __call__(self) -> float:
        return self.now

    def work(self, seconds: float) -> None:
        self.now += seconds * self.slowness(self.now)


@dataclass
class TimedBatches(TensorBatches):
    """Each batch takes its time."""

    clock: Clock = field(default_factory=Clock)
    batch_s: float = 1.0

    def epoch(self, seed: int | None = None) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        for batch in super().epoch(seed):
            self.clock.work(self.batch_s)
            yield batch


@dataclass
class Fitting:
    """Everything that one fit leaves to be looked at."""

    results: list[training.EpochResult]
    shares: list[float]
    notes: list[str]
    spent_s: float


def _fit(
    monkeypatch: pytest.MonkeyPatch,
    config: TrainConfig,
    *,
    slowness: Callable[[float], float] = lambda _: 1.0,
    stop_after: int | None = None,
    **options: Any,
) -> Fitting:
    """Train on 10 batches of a second each, with validation of two seconds."""
    clock = Clock(slowness=slowness)
    data, other = _data(4 * BATCHES), _data(8, seed=1)
    shares: list[float] = []
    original = passes.set_rates

    def noted(optimizer: torch.optim.Optimizer, share: float) -> None:
        shares.append(share)
        original(optimizer, share)

    monkeypatch.setattr(passes, "set_rates", noted)
    notes: list[str] = []
    running = training.fit(
        _model(),
        TimedBatches(data.x, data.y, clock=clock),
        TimedBatches(other.x, other.y, clock=clock),
        config,
        clock=clock,
        on_note=notes.append,
        **options,
    )
    results = [result for result, _ in zip(running, range(stop_after or 10**6), strict=False)]
    monkeypatch.setattr(passes, "set_rates", original)
    return Fitting(results, shares, notes, clock.now)


def _old_one_cycle(step: int, steps: int) -> float:
    rise = max(1.0, 0.2 * steps)
    return 0.04 + 0.96 * step / rise if step < rise else max(1e-4, (steps - step) / max(1.0, steps - rise))


@pytest.mark.parametrize(("epochs", "count"), [(1, 4), (1, 20), (2, 4), (3, 28), (7, 52)])
@pytest.mark.parametrize("schedule", training.SCHEDULES)
def test_without_a_budget_the_rates_are_those_of_the_step_count(
    monkeypatch: pytest.MonkeyPatch, schedule: str, epochs: int, count: int
) -> None:
    shares: list[float] = []
    monkeypatch.setattr(passes, "set_rates", lambda _, share: shares.append(share))
    config = TrainConfig(epochs=epochs, schedule=schedule, learning_rate=0.01)
    results = list(training.fit(_model(), _data(count), _data(seed=1), config))
    steps = epochs * count // 4
    expected = {
        "constant": [1.0] * steps,
        "linear": [1 - step / steps for step in range(steps)],
        "one_cycle": [_old_one_cycle(step, steps) for step in range(steps)],
    }[schedule]
    assert shares == pytest.approx(expected, rel=1e-12)
    assert [each.learning_rate for each in results] == pytest.approx(
        [0.01 * share for share in expected[:: count // 4]], rel=1e-12
    )


SLOWNESS: dict[str, Callable[[float], float]] = {
    "steady": lambda _: 1.0,
    "slower half way": lambda now: 1.0 if now < 90 else 2.0,
    "faster half way": lambda now: 1.0 if now < 90 else 0.5,
    "ever slower": lambda now: 1.0 + now / 180,
    "slow at first": lambda now: 3.0 if now < 40 else 1.0,
}


@pytest.mark.parametrize("slowness", SLOWNESS)
@pytest.mark.parametrize("schedule", ["linear", "one_cycle"])
def test_the_budget_is_kept_and_the_schedule_ends(
    monkeypatch: pytest.MonkeyPatch, slowness: str, schedule: str
) -> None:
    config = TrainConfig(epochs=20, minutes=3, schedule=schedule, learning_rate=0.01)
    done = _fit(monkeypatch, config, slowness=SLOWNESS[slowness])
    assert done.spent_s == pytest.approx(180, rel=0.1)
    assert [each.epoch for each in done.results] == list(range(1, len(done.results) + 1))
    assert done.results[-1].epochs == len(done.results)
    falling = done.shares[done.shares.index(max(done.shares)) :]
    assert falling == sorted(falling, reverse=True)
    assert 0 < falling[-1] < 0.05


@pytest.mark.parametrize("minutes", [0.5, 0.6, 0.75, 1.0, 1.2, 3.1, 5.0])
def test_any_budget_of_a_steady_machine_is_kept(monkeypatch: pytest.MonkeyPatch, minutes: float) -> None:
    done = _fit(monkeypatch, TrainConfig(epochs=20, minutes=minutes, learning_rate=0.01))
    assert done.spent_s == pytest.approx(60 * minutes, rel=0.1)


def test_a_budget_for_whole_epochs_gives_what_these_epochs_give(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = replace(CONFIGS["sgd"], minutes=1.5)
    planned = _fit(monkeypatch, budget)
    counted = _fit(monkeypatch, replace(CONFIGS["sgd"], epochs=len(planned.results)))
    assert {each.epochs for each in planned.results} == {len(planned.results)}
    assert planned.shares == pytest.approx(counted.shares, rel=1e-9)
    pairs = zip(_without_times(planned.results), _without_times(counted.results), strict=True)
    assert all(a == pytest.approx(b, rel=1e-4) for a, b in pairs)


def test_what_does_not_fit_is_cut_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[training.Progress] = []
    done = _fit(monkeypatch, TrainConfig(epochs=20, minutes=0.2, batch_size=4), on_batch=seen.append)
    assert done.spent_s == pytest.approx(12, rel=0.1)
    assert [each.epochs for each in done.results] == [1]
    assert seen[-1].batches == seen[-1].batch < BATCHES
    assert seen[-1].examples == 4 * seen[-1].batch
    assert f"only {seen[-1].batches} of its 10 batches are run in 0.2 minutes." in done.notes[0]


CHANGES: dict[str, Callable[[float], float]] = {
    "slower in the first epoch": lambda now: 1.0 if now < 8 else 2.0,
    "slower in the last epoch": lambda now: 1.0 if now < 20 else 3.0,
    "faster in the first epoch": lambda now: 4.0 if now < 20 else 1.0,
    "slow while it is tried": lambda now: 4.0 if now < 6 else 1.0,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("minutes", [0.5, 0.75, 1.0])
def test_a_few_epochs_keep_to_the_time_too(monkeypatch: pytest.MonkeyPatch, change: str, minutes: float) -> None:
    config = TrainConfig(epochs=20, minutes=minutes, learning_rate=0.01)
    done = _fit(monkeypatch, config, slowness=CHANGES[change])
    # a validation takes up to 6 seconds here, and its time is known only from before the machine got slower
    assert done.spent_s <= 1.1 * 60 * minutes + 6
    assert done.results[-1].epochs == len(done.results)
    falling = done.shares[done.shares.index(max(done.shares)) :]
    assert falling == sorted(falling, reverse=True)
    assert falling[-1] < falling[0] or len(done.shares) < 5


def test_no_time_at_all_is_at_least_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    done = _fit(monkeypatch, TrainConfig(epochs=20, minutes=1e-6))
    assert len(done.shares) == len(done.results) == 1


def test_a_large_budget_is_not_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    done = _fit(monkeypatch, TrainConfig(epochs=2, minutes=training.MOST_MINUTES))
    assert len(done.results) == 2 * training.MOST_EPOCHS
    assert done.notes[0].startswith("8 epochs are planned, the most for these data")


@pytest.mark.parametrize("stop_after", [1, 3])
def test_resumed_with_a_budget_equals_uninterrupted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stop_after: int
) -> None:
    config = TrainConfig(epochs=20, minutes=1.7, learning_rate=0.05, average_decay=0.9)
    slower: dict[str, Any] = {"slowness": lambda now: 1.0 if now < 60 else 1.5}
    whole = _fit(monkeypatch, config, **slower)
    part = _fit(monkeypatch, config, stop_after=stop_after, state_path=tmp_path / "state.pt", **slower)
    until = part.spent_s
    rest = _fit(
        monkeypatch,
        config,
        slowness=lambda now: slower["slowness"](now + until),
        state_path=tmp_path / "state.pt",
        resume=True,
    )
    assert _without_times(rest.results) == _without_times(whole.results)
    assert [each.epochs for each in rest.results] == [each.epochs for each in whole.results]
    assert rest.notes == []
    assert until + rest.spent_s == pytest.approx(whole.spent_s)


def test_the_trial_leaves_the_model_and_the_random_numbers_alone() -> None:
    model, data = _model(), _data()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    config = TrainConfig(minutes=1)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run = training.state.start(model, config)
    pace = training.budget.tried_pace(run, data, data, config, time.perf_counter)
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    assert not run.optimizer.state
    assert 0 < pace.step_s < 1


def test_preparing_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()

    class Slow(nn.Linear):
        def prepare(self, batches: TensorBatches) -> None:
            clock.work(40)

    data = _data(4 * BATCHES)
    train = TimedBatches(data.x, data.y, clock=clock)
    list(training.fit(Slow(6, 3), train, train, TrainConfig(epochs=20, minutes=3), clock=clock))
    assert clock.now == pytest.approx(180, rel=0.1)


def test_a_real_clock() -> None:
    data = _data(400)
    began = time.perf_counter()
    results = list(training.fit(_model(), data, _data(seed=1), TrainConfig(epochs=10_000, minutes=0.02)))
    assert 0.6 < time.perf_counter() - began < 3  # 1.2 s, on a machine that may be busy
    assert results[-1].epochs == len(results) < 10_000


@pytest.mark.parametrize("minutes", [-1.0, float("nan"), float("inf")])
def test_no_budget(minutes: float) -> None:
    with pytest.raises(ConfigError, match="minutes"):
        TrainConfig(minutes=minutes)


@pytest.mark.parametrize("schedule", training.SCHEDULES)
def test_a_schedule_of_one_step_moves(schedule: str) -> None:
    assert 0 < rate_share(schedule, 0.0, 1.0) <= 1
