"""The loop itself."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pyclassify.examples import Batches
from pyclassify.training.budget import Pace, deadline, explanation, measured_pace, plan_epoch, tried_pace
from pyclassify.training.compiling import Compiled, pays
from pyclassify.training.config import EpochResult, Progress, TrainConfig
from pyclassify.training.inference import evaluate
from pyclassify.training.optimisation import rate_share, set_rates
from pyclassify.training.passes import check_finite, one_pass, seeded
from pyclassify.training.state import Prepares, Run, Tunes, read_state, start, write_state


def fit(
    model: nn.Module,
    train: Batches,
    validation: Batches,
    config: TrainConfig,
    *,
    device: torch.device | None = None,
    state_path: Path | None = None,
    resume: bool = False,
    fingerprint: str = "",
    on_batch: Callable[[Progress], None] | None = None,
    on_note: Callable[[str], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[EpochResult]:
    """Fit the model, epoch after epoch; when the iteration ends, the model has the weights of the best epoch.

    The best epoch is the one with the highest validation accuracy, and of equals the one with the lowest validation
    loss. A model with a method `prepare(batches)` is handed the training batches once before the first epoch, one with
    `tune(batches)` the validation batches after each; one with `parameter_groups(learning_rate, weight_decay)` chooses
    its own parameter groups.

    Args:
        model: returns logits (N, K) for the inputs that `train` gives; it is moved to the device.
        train: shuffled anew in each epoch, from the seed and the number of the epoch alone.
        validation: what every choice is made on.
        config: how to fit.
        device: where; the CPU if none is given.
        state_path: file that holds all that is needed to go on, written anew after each epoch.
        resume: go on from `state_path`; earlier epochs are yielded again from the file.
        fingerprint: names data and options; going on with another one is refused.
        on_batch: called now and then while an epoch runs.
        on_note: told in a sentence what a person should know, such as what a budget comes to.
        clock: seconds from any beginning.

    Yields:
        One result per epoch.

    Raises:
        ConfigError: there is nothing to resume, or what there is was begun with another fingerprint.
        CheckpointError: `state_path` cannot be written.
        DataError: the loss is no longer a number.
    """
    device = device or torch.device("cpu")
    task = _Task(train, validation, config, on_batch, on_note or (lambda _: None), clock)
    run, pace = _begin(model.to(device), task, read_state(state_path, fingerprint, device) if resume else None)
    yield from run.results
    since = clock()
    while run.progress < 1 and not _is_stuck(run.results, config.patience):
        run.other_s += clock() - since
        run.results.append(_one_epoch(run, task, pace))
        since, pace = clock(), measured_pace(run.results, train)
        if run.results[-1].is_best:
            run.best_weights = copy.deepcopy(run.evaluated.state_dict())
        if state_path is not None:
            write_state(state_path, {"fingerprint": fingerprint, **run.state()})
        yield run.results[-1]
    model.load_state_dict(run.best_weights)
    model.eval()


@dataclass(frozen=True, slots=True)
class _Task:
    """What stays the same while a model is fitted."""

    train: Batches
    validation: Batches
    config: TrainConfig
    on_batch: Callable[[Progress], None] | None
    say: Callable[[str], None]
    clock: Callable[[], float]


def _begin(model: nn.Module, task: _Task, state: dict[str, Any] | None) -> tuple[Run, Pace | None]:
    """A run before its next epoch, and the pace that this epoch is planned by where one is needed."""
    config, began = task.config, task.clock()
    if state is None and isinstance(model, Prepares):
        seeded(config.seed, lambda: model.prepare(task.train))
    run = start(model, config)
    device = next(model.parameters()).device
    pace = None
    if state is not None:
        run.restore(state)
        pace = measured_pace(run.results, task.train)
    elif config.minutes or (config.compiling == "auto" and device.type == "cuda"):
        pace = tried_pace(run, task.train, task.validation, config, task.clock)
    if state is None:
        planned_s = 60 * config.minutes or (config.epochs * pace.epoch_s(len(task.train)) if pace else 0.0)
        run.compiled = pays(config, device, planned_s)
    if run.compiled:
        run.forward = Compiled(model, task.say)
    run.other_s += task.clock() - began
    if state is None and pace is not None and config.minutes:
        task.say(explanation(plan_epoch(run, config, task.train, pace), config, task.train, pace))
    return run, pace


def _is_stuck(results: list[EpochResult], patience: int) -> bool:
    return bool(patience) and len(results) > patience and not any(each.is_best for each in results[-patience:])


def _one_epoch(run: Run, task: _Task, pace: Pace | None) -> EpochResult:
    config, began = task.config, task.clock()
    plan, until = plan_epoch(run, config, task.train, pace), deadline(run, config, task.train, pace)
    seed = config.seed * 1_000_003 + plan.epoch
    set_rates(run.optimizer, rate_share(config.schedule, plan.start, plan.per_step))
    rate = max(group["lr"] for group in run.optimizer.param_groups)
    passed = seeded(
        seed,
        lambda: one_pass(
            run,
            task.train,
            config,
            plan,
            seed=seed,
            keep=until.kept if until else lambda unchanged, *_: unchanged,
            on_batch=task.on_batch,
            clock=task.clock,
        ),
    )
    run.progress = passed.plan.end
    if isinstance(run.evaluated, Tunes):
        run.evaluated.tune(task.validation)
    loss, accuracy = evaluate(run.evaluated, task.validation, precision=config.precision)
    check_finite(loss, plan.epoch)
    best = max(((r.validation_accuracy, -r.validation_loss) for r in run.results), default=(-1.0, 0.0))
    return EpochResult(
        epoch=plan.epoch,
        epochs=passed.plan.epochs,
        train_loss=passed.loss,
        train_accuracy=passed.accuracy,
        validation_loss=loss,
        validation_accuracy=accuracy,
        learning_rate=rate,
        examples_per_s=passed.examples / passed.duration_s,
        duration_s=task.clock() - began,
        is_best=(accuracy, -loss) > best,
    )
