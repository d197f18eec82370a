"""Planning of epochs by a wall-clock budget: arithmetic on seconds, steps and the progress of the schedule."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pyclassify import locales
from pyclassify.locales import Message
from pyclassify.training.config import MAX_EPOCHS_FACTOR, FitConfig

if TYPE_CHECKING:
    from pyclassify.manifest import Epoch

TOLERANCE: Final = 0.05
"""Share of the budget that may be missed for the sake of whole epochs."""

MIN_EPOCH: Final = 0.02
"""Share of an epoch that runs even without any time left, so that the schedule comes to its end."""

RELIABLE_AFTER: Final = 0.1
"""Share of its time after which the pace of the running epoch is trusted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds per training step, and per evaluation of the validation data."""

    step_s: float
    validation_s: float

    def epoch_s(self, num_batches: int) -> float:
        """Return the seconds of an epoch with so many steps."""
        return num_batches * self.step_s + self.validation_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One epoch: its number, its steps, and the part of the schedule that it runs through.

    Args:
        epoch: its number, from 1.
        epochs: how many there will be.
        num_batches: steps of this epoch.
        start: progress of the schedule before the first step, from 0.
        end: progress after the last step, up to 1.
        per_step: progress of one step, which bends the schedule of a training with few steps; 0 in long ones.
    """

    epoch: int
    epochs: int
    num_batches: int
    start: float
    end: float
    per_step: float

    def progress(self, batch: int) -> float:
        """Return the progress of the schedule before a step of this epoch, counted from 0."""
        return self.start + (self.end - self.start) * batch / self.num_batches


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """Time by which the steps of an epoch must be over.

    Args:
        steps_s: seconds that they may take.
        validation_s: seconds of an evaluation; another epoch needs at least as much.
        slack_s: seconds by which the last epoch may miss the deadline.
        max_batches: steps of a whole epoch.
    """

    steps_s: float
    validation_s: float
    slack_s: float
    max_batches: int

    def revise(self, plan: Plan, batch: int, elapsed_s: float) -> Plan:
        """Return the plan of the running epoch, changed if it would miss the deadline.

        The last epoch becomes shorter or longer. An earlier epoch becomes the last if it would take all the time
        alone. Either way the schedule continues from where it is and comes to its end.

        Args:
            plan: of the running epoch.
            batch: steps that were taken.
            elapsed_s: seconds that they took.
        """
        if batch >= plan.num_batches or elapsed_s < RELIABLE_AFTER * self.steps_s:
            return plan
        step_s = elapsed_s / batch
        late_s = step_s * plan.num_batches - self.steps_s
        in_time = -self.slack_s <= late_s <= self.slack_s if plan.end == 1 else late_s <= -self.validation_s
        if in_time:
            return plan
        at_least = max(1, int(MIN_EPOCH * self.max_batches))
        count = min(self.max_batches, batch + max(at_least, int((self.steps_s - elapsed_s) / step_s)))
        slope = (1 - plan.progress(batch)) / (count - batch)
        return replace(plan, epochs=plan.epoch, num_batches=count, start=1 - slope * count, end=1.0)


def plan_epoch(
    config: FitConfig, *, epochs_done: int, progress: float, left_s: float, num_batches: int, pace: Pace | None
) -> Plan:
    """Plan the next epoch.

    Without a budget the epochs share the schedule equally. With one, the rest of the schedule is spread over the steps
    that still fit. An epoch is cut if whole epochs would miss the budget by more than TOLERANCE.

    Args:
        config: of the training.
        epochs_done: finished epochs.
        progress: of the schedule, from 0 to 1.
        left_s: seconds left of the budget.
        num_batches: steps of a whole epoch.
        pace: measured or estimated; None without a budget.
    """
    if not config.minutes or pace is None:
        return Plan(
            epoch=epochs_done + 1,
            epochs=config.epochs,
            num_batches=num_batches,
            start=epochs_done / config.epochs,
            end=(epochs_done + 1) / config.epochs,
            per_step=1 / (config.epochs * num_batches),
        )
    count = _steps_that_fit(pace, num_batches, left_s, slack_s=TOLERANCE * 60 * config.minutes)
    count = max(1, min(count, (MAX_EPOCHS_FACTOR * config.epochs - epochs_done) * num_batches))
    share = min(1.0, num_batches / count)
    return Plan(
        epoch=epochs_done + 1,
        epochs=epochs_done + math.ceil(count / num_batches),
        num_batches=min(num_batches, count),
        start=progress,
        end=1.0 if count <= num_batches else progress + (1 - progress) * share,
        per_step=0.0 if epochs_done else 1 / count,
    )


def deadline(config: FitConfig, *, left_s: float, num_batches: int, pace: Pace | None) -> Deadline | None:
    """Return the deadline of the next epoch; None without a budget. The arguments are those of `plan_epoch`."""
    if not config.minutes or pace is None:
        return None
    return Deadline(
        steps_s=max(0.0, left_s - pace.validation_s),
        validation_s=pace.validation_s,
        slack_s=TOLERANCE * 60 * config.minutes,
        max_batches=num_batches,
    )


def _steps_that_fit(pace: Pace, num_batches: int, left_s: float, *, slack_s: float) -> int:
    epoch_s = pace.epoch_s(num_batches)
    whole, rest_s = divmod(max(0.0, left_s), epoch_s)
    nearest = max(1, round(left_s / epoch_s))
    if abs(nearest * epoch_s - left_s) <= slack_s:
        return nearest * num_batches
    cut = max(0.0, (rest_s - pace.validation_s) / pace.step_s)
    return int(max(whole * num_batches + cut, MIN_EPOCH * num_batches))


def measured_pace(epochs: Sequence[Epoch], *, num_examples: int, num_batches: int) -> Pace:
    """Return the mean pace of the last three epochs, without the first one, which is slow on many devices.

    Args:
        epochs: finished epochs, at least one.
        num_examples: training examples.
        num_batches: steps of a whole epoch.
    """
    recent = epochs[1:][-3:] or epochs
    train_s = statistics.fmean(num_examples / epoch.examples_per_s for epoch in recent)
    whole_s = statistics.fmean(epoch.duration_s for epoch in recent)
    return Pace(step_s=max(1e-9, train_s / num_batches), validation_s=max(0.0, whole_s - train_s))


def describe(plan: Plan, config: FitConfig, *, num_batches: int, pace: Pace) -> Message:
    """Return a sentence on what a budget amounts to, for the time before the first epoch."""
    minutes = f"{config.minutes:g}"
    epoch_minutes = pace.epoch_s(num_batches) / 60
    if plan.epochs == 1 and plan.num_batches < num_batches:
        fields = {"epoch_minutes": locales.number(epoch_minutes, digits=1), "minutes": minutes}
        return Message("notes.budget_part", {**fields, "batches": plan.num_batches, "all_batches": num_batches})
    if plan.epochs >= MAX_EPOCHS_FACTOR * config.epochs:
        spent = locales.number(plan.epochs * epoch_minutes, digits=1)
        return Message("notes.budget_maximum", {"count": plan.epochs, "spent": spent, "minutes": minutes})
    return Message("notes.budget_planned", {"count": plan.epochs, "minutes": minutes})
