"""A wall-clock budget: planning, keeping and resuming it, on a clock that only the batches move."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from pyclassify.locales import Message
from pyclassify.manifest import Epoch
from pyclassify.training.budget import Deadline, Pace, Plan, plan_epoch
from pyclassify.training.config import MAX_EPOCHS_FACTOR, MAX_MINUTES, SCHEDULES, FitConfig
from pyclassify.training.optim import schedule_share
from pyclassify.training.trainer import BatchProgress, fit
from tests.test_trainer import CONFIGS, TensorBatches, make_batches, make_network, without_times

NUM_BATCHES = 10


@given(
    minutes=st.floats(0.01, 1000),
    step_s=st.floats(1e-4, 100),
    validation_s=st.floats(0, 100),
    num_batches=st.integers(1, 1000),
    epochs_done=st.integers(0, 20),
    progress=st.floats(0, 0.99),
    left=st.floats(-0.5, 1),
)
def test_every_plan_moves_the_schedule_forward(
    minutes: float,
    step_s: float,
    validation_s: float,
    num_batches: int,
    epochs_done: int,
    progress: float,
    left: float,
) -> None:
    plan = plan_epoch(
        FitConfig(epochs=10, minutes=minutes),
        epochs_done=epochs_done,
        progress=progress,
        left_s=60 * minutes * left,
        num_batches=num_batches,
        pace=Pace(step_s=step_s, validation_s=validation_s),
    )
    assert 1 <= plan.num_batches <= num_batches
    assert progress == plan.start < plan.end <= 1
    assert plan.epoch == epochs_done + 1 <= plan.epochs
    assert (plan.end == 1) == (plan.epochs == plan.epoch) or plan.num_batches == num_batches


@given(batch=st.integers(1, 99), elapsed_s=st.floats(0.01, 1000), end=st.sampled_from([0.5, 1.0]))
def test_revised_plan_continues_from_where_it_is(batch: int, elapsed_s: float, end: float) -> None:
    deadline = Deadline(steps_s=60, validation_s=5, slack_s=3, max_batches=100)
    plan = Plan(epoch=2, epochs=3, num_batches=100, start=0.25, end=end, per_step=0)
    revised = deadline.revise(plan, batch, elapsed_s)
    assert revised.progress(batch) == pytest.approx(plan.progress(batch))
    assert batch < revised.num_batches <= 100
    assert revised == plan or (revised.end == 1 and revised.epochs == revised.epoch)


@dataclass
class Clock:
    """A clock that stands still unless it is moved; `slowness` is how slow the machine is at a time."""

    now: float = 0.0
    slowness: Callable[[float], float] = lambda _: 1.0

    def __call__(self) -> float:
        return self.now

    def work(self, seconds: float) -> None:
        self.now += seconds * self.slowness(self.now)


@dataclass
class TimedBatches(TensorBatches):
    """Batches that take time."""

    clock: Clock = field(default_factory=Clock)
    batch_s: float = 1.0

    def epoch(self, seed: int | None = None) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        for batch in super().epoch(seed):
            self.clock.work(self.batch_s)
            yield batch


@dataclass
class Fitting:
    """The outcome of one fit: `shares` are the learning rates of its steps, as shares of the highest."""

    epochs: list[Epoch]
    shares: list[float]
    notes: list[Message]
    spent_s: float
    reports: list[BatchProgress]


def run_fit(
    config: FitConfig,
    *,
    slowness: Callable[[float], float] = lambda _: 1.0,
    stop_after: int | None = None,
    **options: Any,
) -> Fitting:
    """Fit with 10 batches of a second each, and two seconds of validation."""
    clock = Clock(slowness=slowness)
    data, other = make_batches(4 * NUM_BATCHES), make_batches(8, seed=1)
    reports: list[BatchProgress] = []
    notes: list[Message] = []
    running = fit(
        make_network(),
        TimedBatches(data.x, data.y, clock=clock),
        TimedBatches(other.x, other.y, clock=clock),
        config,
        clock=clock,
        on_note=notes.append,
        on_batch=reports.append,
        **options,
    )
    epochs = [epoch for epoch, _ in zip(running, range(stop_after or 10**6), strict=False)]
    shares = [report.learning_rate / config.learning_rate for report in reports]
    return Fitting(epochs, shares, notes, clock.now, reports)


def falls_to_the_end(shares: list[float]) -> bool:
    falling = shares[shares.index(max(shares)) :]
    return falling == sorted(falling, reverse=True)


def expected_one_cycle(step: int, steps: int) -> float:
    rise = max(1.0, 0.2 * steps)
    return 0.04 + 0.96 * step / rise if step < rise else max(1e-4, (steps - step) / max(1.0, steps - rise))


@pytest.mark.parametrize(("epochs", "count"), [(1, 4), (1, 20), (2, 4), (3, 28), (7, 52)])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_without_a_budget_the_rates_are_those_of_the_step_count(schedule: str, epochs: int, count: int) -> None:
    reports: list[BatchProgress] = []
    config = FitConfig(epochs=epochs, schedule=schedule, learning_rate=0.01)
    results = list(fit(make_network(), make_batches(count), make_batches(seed=1), config, on_batch=reports.append))
    steps = epochs * count // 4
    expected = {
        "constant": [1.0] * steps,
        "linear": [1 - step / steps for step in range(steps)],
        "one_cycle": [expected_one_cycle(step, steps) for step in range(steps)],
    }[schedule]
    assert [report.learning_rate / 0.01 for report in reports] == pytest.approx(expected, rel=1e-12)
    assert [epoch.learning_rate for epoch in results] == pytest.approx(
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
def test_budget_is_kept_and_schedule_ends(slowness: str, schedule: str) -> None:
    config = FitConfig(epochs=20, minutes=3, schedule=schedule, learning_rate=0.01)
    done = run_fit(config, slowness=SLOWNESS[slowness])
    assert done.spent_s == pytest.approx(180, rel=0.1)
    assert [epoch.epoch for epoch in done.epochs] == list(range(1, len(done.epochs) + 1))
    assert done.epochs[-1].epochs == len(done.epochs)
    assert falls_to_the_end(done.shares)
    assert 0 < done.shares[-1] < 0.05


@pytest.mark.parametrize("minutes", [0.5, 0.6, 0.75, 1.0, 1.2, 3.1, 5.0])
def test_any_budget_of_a_steady_machine_is_kept(minutes: float) -> None:
    done = run_fit(FitConfig(epochs=20, minutes=minutes, learning_rate=0.01))
    assert done.spent_s == pytest.approx(60 * minutes, rel=0.1)
    assert done.notes[0].key == "notes.budget_planned"
    assert all(done.notes[0].text(language) for language in ("en", "ko"))


def test_budget_for_whole_epochs_equals_a_training_of_these_epochs() -> None:
    budget = replace(CONFIGS["sgd"], minutes=1.5)
    planned = run_fit(budget)
    counted = run_fit(replace(CONFIGS["sgd"], epochs=len(planned.epochs)))
    assert {epoch.epochs for epoch in planned.epochs} == {len(planned.epochs)}
    assert planned.shares == pytest.approx(counted.shares, rel=1e-9)
    pairs = zip(without_times(planned.epochs), without_times(counted.epochs), strict=True)
    assert all(a == pytest.approx(b, rel=1e-4) for a, b in pairs)


def test_epoch_that_does_not_fit_is_cut_and_told() -> None:
    done = run_fit(FitConfig(epochs=20, minutes=0.2, batch_size=4))
    last = done.reports[-1]
    assert done.spent_s == pytest.approx(12, rel=0.1)
    assert [epoch.epochs for epoch in done.epochs] == [1]
    assert last.num_batches == last.batch < NUM_BATCHES
    assert last.examples == last.num_examples == 4 * last.batch
    assert done.notes[0].key == "notes.budget_part"
    assert (done.notes[0].fields["batches"], done.notes[0].fields["all_batches"]) == (last.num_batches, 10)
    assert "0.2 min" in done.notes[0].text()


CHANGES: dict[str, Callable[[float], float]] = {
    "slower in the first epoch": lambda now: 1.0 if now < 8 else 2.0,
    "slower in the last epoch": lambda now: 1.0 if now < 20 else 3.0,
    "faster in the first epoch": lambda now: 4.0 if now < 20 else 1.0,
    "slow during the trial run": lambda now: 4.0 if now < 6 else 1.0,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("minutes", [0.5, 0.75, 1.0])
def test_few_epochs_keep_to_the_time_too(change: str, minutes: float) -> None:
    done = run_fit(FitConfig(epochs=20, minutes=minutes, learning_rate=0.01), slowness=CHANGES[change])
    # a validation takes up to 6 seconds here, and its time is known only from before the machine got slower
    assert done.spent_s <= 1.1 * 60 * minutes + 6
    assert done.epochs[-1].epochs == len(done.epochs)
    assert falls_to_the_end(done.shares)
    assert done.shares[-1] < max(done.shares) or len(done.shares) < 5


def test_no_time_at_all_is_at_least_one_step() -> None:
    done = run_fit(FitConfig(epochs=20, minutes=1e-6))
    assert len(done.shares) == len(done.epochs) == 1


def test_large_budget_is_not_used_up() -> None:
    done = run_fit(FitConfig(epochs=2, minutes=MAX_MINUTES))
    assert len(done.epochs) == 2 * MAX_EPOCHS_FACTOR
    assert done.notes[0].key == "notes.budget_maximum"
    assert done.notes[0].text().startswith("8 epochs are planned, the maximum for this data")


@pytest.mark.parametrize("stop_after", [1, 3])
def test_resumed_with_a_budget_equals_uninterrupted(tmp_path: Path, stop_after: int) -> None:
    config = FitConfig(epochs=20, minutes=1.7, learning_rate=0.05, average_decay=0.9)

    def slowness(now: float) -> float:
        return 1.0 if now < 60 else 1.5

    whole = run_fit(config, slowness=slowness)
    part = run_fit(config, stop_after=stop_after, state_path=tmp_path / "state.pt", slowness=slowness)
    rest = run_fit(
        config,
        slowness=lambda now: slowness(now + part.spent_s),
        state_path=tmp_path / "state.pt",
        resume=True,
    )
    assert without_times(rest.epochs) == without_times(whole.epochs)
    assert [epoch.epochs for epoch in rest.epochs] == [epoch.epochs for epoch in whole.epochs]
    assert rest.notes == []
    assert part.spent_s + rest.spent_s == pytest.approx(whole.spent_s)


def test_trial_run_leaves_network_and_random_numbers_alone() -> None:
    network, batches = make_network(), make_batches()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)

    class FirstStep(Exception):
        pass

    def check(_: Message) -> None:  # the note comes after the trial run and before the first step
        assert torch.equal(torch.rand(3), expected)
        assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
        raise FirstStep

    with pytest.raises(FirstStep):
        next(fit(network, batches, batches, FitConfig(minutes=1), on_note=check))


def test_preparing_counts() -> None:
    clock = Clock()

    class Slow(nn.Linear):
        def prepare(self, batches: TensorBatches) -> None:
            clock.work(40)

    data = make_batches(4 * NUM_BATCHES)
    train = TimedBatches(data.x, data.y, clock=clock)
    list(fit(Slow(6, 3), train, train, FitConfig(epochs=20, minutes=3), clock=clock))
    assert clock.now == pytest.approx(180, rel=0.1)


def test_real_clock() -> None:
    batches = make_batches(400)
    began = time.perf_counter()
    epochs = list(fit(make_network(), batches, make_batches(seed=1), FitConfig(epochs=10_000, minutes=0.02)))
    assert 0.6 < time.perf_counter() - began < 3  # 1.2 s, on a machine that may be busy
    assert epochs[-1].epochs == len(epochs) < 10_000


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedule_of_one_step_moves(schedule: str) -> None:
    assert 0 < schedule_share(schedule, 0.0, 1.0) <= 1
