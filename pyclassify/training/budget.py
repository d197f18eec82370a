"""How many epochs fit into a wall-clock budget, and which part of the schedule the next one runs through."""

from __future__ import annotations

import copy
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

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

SURE = 0.1
"""Share of its time that an epoch has to run before its own pace is believed."""

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
            per_step=1 / (config.epochs * batches),
        )
    count = _steps_that_fit(pace, batches, _left_s(run, config), slack_s=TOLERANCE * 60 * config.minutes)
    count = max(1, min(count, (MOST_EPOCHS * config.epochs - done) * batches))
    share = min(1.0, batches / count)
    return Plan(
        epoch=done + 1,
        epochs=done + math.ceil(count / batches),
        batches=min(batches, count),
        start=run.progress,
        end=1.0 if count <= batches else run.progress + (1 - run.progress) * share,
        per_step=0.0 if done else 1 / count,
    )


def _left_s(run: Run, config: TrainConfig) -> float:
    return 60 * config.minutes - run.other_s - sum(each.duration_s for each in run.results)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """When the steps of an epoch must be over.

    Args:
        steps_s: seconds that they may take.
        validation_s: seconds of another epoch's validation, without which there is no time for another epoch.
        slack_s: seconds by which the last epoch may miss it.
        most_batches: steps of a whole epoch.
    """

    steps_s: float
    validation_s: float
    slack_s: float
    most_batches: int

    def kept(self, plan: Plan, batch: int, elapsed_s: float) -> Plan:
        """The plan of the running epoch after some of its steps, changed where it would miss the deadline.

        The last epoch gets shorter or longer, and one before it becomes the last where it alone would take too long;
        the schedule goes on from where it stands and comes to its end.
        """
        if batch >= plan.batches or elapsed_s < SURE * self.steps_s:
            return plan
        step_s = elapsed_s / batch
        late_s = step_s * plan.batches - self.steps_s
        in_time = -self.slack_s <= late_s <= self.slack_s if plan.end == 1 else late_s <= -self.validation_s
        if in_time:
            return plan
        least = max(1, int(LEAST_EPOCH * self.most_batches))
        count = min(self.most_batches, batch + max(least, int((self.steps_s - elapsed_s) / step_s)))
        slope = (1 - plan.progress(batch)) / (count - batch)
        return replace(plan, epochs=plan.epoch, batches=count, start=1 - slope * count, end=1.0)


def deadline(run: Run, config: TrainConfig, train: Batches, pace: Pace | None) -> Deadline | None:
    """When the steps of the next epoch must be over at the latest; none without a budget."""
    if not config.minutes or pace is None:
        return None
    return Deadline(
        steps_s=max(0.0, _left_s(run, config) - pace.validation_s),
        validation_s=pace.validation_s,
        slack_s=TOLERANCE * 60 * config.minutes,
        most_batches=len(train),
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
    few = _First(validation, 1)
    if len(seconds) > WARM_UP:
        evaluate(trial.evaluated, few, precision=config.precision)
        few = _First(validation, WARM_UP)
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
