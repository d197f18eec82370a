"""One step, and one pass of steps over the training examples."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyclassify.errors import DataError
from pyclassify.examples import Batches
from pyclassify.training.config import Progress, TrainConfig
from pyclassify.training.inference import autocast, to_device
from pyclassify.training.optimisation import rate_share, set_rates
from pyclassify.training.state import Run

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One epoch: its number, how many there will be, its steps, and the part of the schedule that it runs through.

    Args:
        start: the schedule's progress before the first step, from 0.
        end: and after the last, up to 1.
        per_step: progress of a step where the training has only a few, which bends the schedule; else next to nothing.
    """

    epoch: int
    epochs: int
    batches: int
    start: float
    end: float
    per_step: float

    def progress(self, batch: int) -> float:
        """Before the step with this number, counted from 0."""
        return self.start + (self.end - self.start) * batch / self.batches


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """One pass: mean loss and accuracy over its examples, how long it took, and the plan as it was in the end."""

    plan: Plan
    loss: float
    accuracy: float
    examples: int
    duration_s: float


def seeded(seed: int, call: Callable[[], Result]) -> Result:
    """Run `call` with every random generator set from the seed, and set back afterwards."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        return call()


def one_pass(
    run: Run,
    train: Batches,
    config: TrainConfig,
    plan: Plan,
    *,
    seed: int,
    keep: Callable[[Plan, int, float], Plan],
    on_batch: Callable[[Progress], None] | None,
    clock: Callable[[], float],
) -> Passed:
    """Take the steps of an epoch.

    Args:
        run: is moved on.
        train: the training batches.
        config: how to step.
        plan: how many steps, and the part of the schedule that they run through.
        seed: of the order.
        keep: changes the plan after a number of steps and seconds, now and then.
        on_batch: called as often.
        clock: seconds.

    Raises:
        DataError: the loss is no longer a number.
    """
    run.model.train()
    device = next(run.model.parameters()).device
    loss_sum, hits, seen = torch.zeros((), device=device), torch.zeros((), device=device), 0
    began = clock()
    every = max(1, plan.batches // 100)  # reading a number from a GPU stalls it: now and then is enough
    for number, batch in enumerate(train.epoch(seed), start=1):
        set_rates(run.optimizer, rate_share(config.schedule, plan.progress(number - 1), plan.per_step))
        inputs, label_ids = to_device(batch, device)
        loss, logits = take_step(run, inputs, label_ids, config)
        loss_sum += loss.detach() * len(label_ids)
        hits += (logits.detach().argmax(dim=1) == label_ids).sum()
        seen += len(label_ids)
        if number % every and number != plan.batches:
            continue
        mean_loss, accuracy = loss_sum.item() / seen, hits.item() / seen
        check_finite(mean_loss, plan.epoch)
        duration_s = max(1e-9, clock() - began)
        plan = keep(plan, number, duration_s)
        if on_batch:
            on_batch(_progress(plan, number, seen, mean_loss, accuracy, duration_s))
        if number >= plan.batches:
            break
    duration_s = max(1e-9, clock() - began)
    return Passed(
        plan=plan, loss=loss_sum.item() / seen, accuracy=hits.item() / seen, examples=seen, duration_s=duration_s
    )


def _progress(plan: Plan, batch: int, examples: int, loss: float, accuracy: float, duration_s: float) -> Progress:
    return Progress(
        epoch=plan.epoch,
        batch=batch,
        batches=plan.batches,
        examples=examples,
        loss=loss,
        accuracy=accuracy,
        examples_per_s=examples / duration_s,
    )


def check_finite(loss: float, epoch: int) -> None:
    """Stop a training that has come apart.

    Raises:
        DataError: the loss is no number.
    """
    if not math.isfinite(loss):
        raise DataError(f"the loss is no longer a number in epoch {epoch}; try a lower --learning-rate.")


def take_step(run: Run, inputs: tuple[Tensor, ...], label_ids: Tensor, config: TrainConfig) -> tuple[Tensor, Tensor]:
    """One step of the optimizer; the loss, and the logits (N, K)."""
    with autocast(label_ids.device, config.precision):
        logits = run.forward(*inputs)
    loss = functional.cross_entropy(logits.float(), label_ids, label_smoothing=config.label_smoothing)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    if config.clip_norm:
        nn.utils.clip_grad_norm_(run.model.parameters(), config.clip_norm)
    run.optimizer.step()
    if run.averaged is not None:
        run.averaged.update_parameters(run.model)
    return loss, logits
