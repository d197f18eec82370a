"""How many epochs fit into a wall-clock budget, and which part of the schedule the next one runs through."""

from __future__ import annotations

import copy
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from pyclassify.examples import Batches
from pyclassify.training.config import MOST_EPOCHS, EpochResult, TrainConfig
from pyclassify.training.inference import evaluate, to_device
from pyclassify.training.passes import Plan, seeded, take_step
from pyclassify.training.state import Run, Tunes, start

TOLERANCE = 0.05
"""Share of the budget that may be missed for the sake of whole epochs."""

LEAST_EPOCH = 0.02
"""Share of an epoch that is run even where no time is left, so that the schedule comes to its end."""

WARM_UP, TRIES = 3, 12
"""Steps of the trial that are left out, as a device's first ones are slow, and those that are timed."""

TRIAL = 0.03
"""Share of the budget after which the trial makes do with the steps that it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds per step, and per look at the validation data."""

    step_s: float
    validation_s: float

    def epoch_s(self, batches: int) -> float:
        """Seconds of an epoch with this many steps."""
        return batches * self.step_s + self.validation_s


def plan_epoch(run: Run, config: TrainConfig, train: Batches, pace: Pace | None) -> Plan:
    """The next epoch.

    Without a budget the epochs share the schedule equally. With one, what is left of the schedule is spread over the
    steps that still fit, by the pace of the epochs so far; where the last of them is no whole epoch by more than
    TOLERANCE, it is cut.

    Args:
        run: where the training stands.
        config: with the budget.
        train: the training batches.
        pace: an estimate for the first epoch.
    """
    done, batches = len(run.results), len(train)
    if not config.minutes or pace is None:
        return Plan(
            epoch=done + 1,
            epochs=config.epochs,
            batches=batches,
            start=done / config.epochs,
            end=(done + 1) / config.epochs,
        )
    budget_s = 60 * config.minutes
    left_s = budget_s - run.other_s - sum(each.duration_s for each in run.results)
    count = _steps_that_fit(pace, batches, left_s, slack_s=TOLERANCE * budget_s)
    count = max(1, min(count, (MOST_EPOCHS * config.epochs - done) * batches))
    share = min(1.0, batches / count)
    return Plan(
        epoch=done + 1,
        epochs=done + math.ceil(count / batches),
        batches=min(batches, count),
        start=run.progress,
        end=1.0 if count <= batches else run.progress + (1 - run.progress) * share,
    )


def _steps_that_fit(pace: Pace, batches: int, left_s: float, *, slack_s: float) -> int:
    epoch_s = pace.epoch_s(batches)
    whole, rest_s = divmod(max(0.0, left_s), epoch_s)
    nearest = max(1, round(left_s / epoch_s))
    if abs(nearest * epoch_s - left_s) <= slack_s:
        return nearest * batches
    cut = max(0.0, (rest_s - pace.validation_s) / pace.step_s)
    return int(max(whole * batches + cut, LEAST_EPOCH * batches))


def measured_pace(results: Sequence[EpochResult], train: Batches) -> Pace:
    """The pace of the last three epochs, without the first, which is slow on many devices, where there are others."""
    recent = results[1:][-3:] or results
    train_s = statistics.fmean(train.examples / each.examples_per_s for each in recent)
    whole_s = statistics.fmean(each.duration_s for each in recent)
    return Pace(step_s=max(1e-9, train_s / len(train)), validation_s=max(0.0, whole_s - train_s))


def tried_pace(run: Run, train: Batches, validation: Batches, config: TrainConfig, clock: Callable[[], float]) -> Pace:
    """The pace of a few steps and validation batches, on a copy that is thrown away; no random state is changed."""
    return seeded(config.seed, lambda: _tried_pace(run, train, validation, config, clock))


def _tried_pace(run: Run, train: Batches, validation: Batches, config: TrainConfig, clock: Callable[[], float]) -> Pace:
    trial = start(copy.deepcopy(run.model), config)
    trial.model.train()
    device = next(trial.model.parameters()).device
    seconds: list[float] = []
    began = clock()
    for batch in _First(train, WARM_UP + TRIES).epoch(config.seed):
        loss, _ = take_step(trial, *to_device(batch, device), config)
        loss.item()  # waits for the device
        seconds.append(clock() - began)
        began = clock()
        if config.minutes and len(seconds) > 1 and sum(seconds) > TRIAL * 60 * config.minutes:
            break
    few = _First(validation, WARM_UP)
    evaluate(trial.evaluated, _First(validation, 1), precision=config.precision)
    began = clock()
    if isinstance(trial.evaluated, Tunes):
        trial.evaluated.tune(few)
    evaluate(trial.evaluated, few, precision=config.precision)
    validation_s = (clock() - began) * len(validation) / len(few)
    timed = seconds[min(WARM_UP, len(seconds) // 2) :]
    return Pace(step_s=max(1e-9, statistics.median(timed)), validation_s=validation_s)


@dataclass(frozen=True, slots=True)
class _First:
    """The first few batches of a shuffled pass; honours `examples.Batches`."""

    batches: Batches
    most: int

    @property
    def examples(self) -> int:
        return min(self.batches.examples, sum(len(label_ids) for _, label_ids in self.epoch()))

    def __len__(self) -> int:
        return min(self.most, len(self.batches))

    def epoch(self, seed: int | None = None) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        # shuffled in any case: sorted texts would begin with the shortest
        for _, batch in zip(range(len(self)), self.batches.epoch(seed or 0), strict=False):
            yield batch


def explanation(plan: Plan, config: TrainConfig, train: Batches, pace: Pace) -> str:
    """What a budget comes to, in a sentence, before the first epoch."""
    time = f"{config.minutes:g} {'minute' if config.minutes == 1 else 'minutes'}"
    epoch_minutes = pace.epoch_s(len(train)) / 60
    if plan.epochs == 1 and plan.batches < len(train):
        return (
            f"one epoch would take about {epoch_minutes:.1f} minutes, so only {plan.batches:,} of its {len(train):,}"
            f" batches are run in {time}."
        )
    if plan.epochs >= MOST_EPOCHS * config.epochs:
        spent = plan.epochs * epoch_minutes
        return f"{plan.epochs} epochs are planned, the most for these data, in about {spent:.1f} of {time}."
    return f"about {plan.epochs} {'epoch' if plan.epochs == 1 else 'epochs'} are planned in {time}."
