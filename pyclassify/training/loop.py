"""The loop itself."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyclassify.errors import DataError
from pyclassify.examples import Batches
from pyclassify.training.config import EpochResult, Progress, TrainConfig
from pyclassify.training.inference import autocast, evaluate, to_device
from pyclassify.training.state import Run, read_state, start, write_state


@runtime_checkable
class Prepares(Protocol):
    """A model that wants to see all training examples once before the first step."""

    def prepare(self, batches: Batches) -> None:
        """Count, or whatever is needed."""


@runtime_checkable
class Tunes(Protocol):
    """A model with a few numbers that are set on validation data after each epoch."""

    def tune(self, batches: Batches) -> None:
        """Set them."""


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

    Yields:
        One result per epoch.

    Raises:
        ConfigError: there is nothing to resume, or what there is was begun with another fingerprint.
        CheckpointError: `state_path` cannot be written.
        DataError: the loss is no longer a number.
    """
    device = device or torch.device("cpu")
    model.to(device)
    if not resume and isinstance(model, Prepares):
        _seeded(config.seed, lambda: model.prepare(train))
    run = start(model, config, steps=max(1, config.epochs * len(train)))
    if resume:
        run.restore(read_state(state_path, fingerprint, device))
        yield from run.results
    while len(run.results) < config.epochs and not _is_stuck(run.results, config.patience):
        run.results.append(_one_epoch(run, train, validation, config, on_batch))
        if run.results[-1].is_best:
            run.best_weights = copy.deepcopy(run.evaluated.state_dict())
        if state_path is not None:
            write_state(state_path, {"fingerprint": fingerprint, **run.state()})
        yield run.results[-1]
    model.load_state_dict(run.best_weights)
    model.eval()


def _seeded(seed: int, call: Callable[[], Any]) -> Any:
    """Run `call` with every random generator set from the seed, and set back afterwards."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        return call()


def _is_stuck(results: list[EpochResult], patience: int) -> bool:
    return bool(patience) and len(results) > patience and not any(each.is_best for each in results[-patience:])


def _one_epoch(
    run: Run,
    train: Batches,
    validation: Batches,
    config: TrainConfig,
    on_batch: Callable[[Progress], None] | None,
) -> EpochResult:
    epoch = len(run.results) + 1
    seed = config.seed * 1_000_003 + epoch
    began = time.perf_counter()
    rate = max(group["lr"] for group in run.optimizer.param_groups)
    loss, accuracy, train_s = _seeded(seed, lambda: _pass_over(run, train, config, epoch, seed, on_batch))
    if isinstance(run.evaluated, Tunes):
        run.evaluated.tune(validation)
    validation_loss, validation_accuracy = evaluate(run.evaluated, validation, precision=config.precision)
    _check_finite(validation_loss, epoch)
    best = max(((r.validation_accuracy, -r.validation_loss) for r in run.results), default=(-1.0, 0.0))
    return EpochResult(
        epoch=epoch,
        epochs=config.epochs,
        train_loss=loss,
        train_accuracy=accuracy,
        validation_loss=validation_loss,
        validation_accuracy=validation_accuracy,
        learning_rate=rate,
        examples_per_s=train.examples / train_s,
        duration_s=time.perf_counter() - began,
        is_best=(validation_accuracy, -validation_loss) > best,
    )


def _pass_over(
    run: Run,
    train: Batches,
    config: TrainConfig,
    epoch: int,
    seed: int,
    on_batch: Callable[[Progress], None] | None,
) -> tuple[float, float, float]:
    """One pass with steps; mean loss, accuracy and seconds."""
    run.model.train()
    device = next(run.model.parameters()).device
    loss_sum, hits, seen = torch.zeros((), device=device), torch.zeros((), device=device), 0
    began = time.perf_counter()
    every = max(1, len(train) // 100)  # reading a number from a GPU stalls it: now and then is enough
    for number, batch in enumerate(train.epoch(seed), start=1):
        inputs, label_ids = to_device(batch, device)
        loss, logits = _step(run, inputs, label_ids, config)
        loss_sum += loss.detach() * len(label_ids)
        hits += (logits.detach().argmax(dim=1) == label_ids).sum()
        seen += len(label_ids)
        if number % every and number != len(train):
            continue
        mean_loss, accuracy = loss_sum.item() / seen, hits.item() / seen
        _check_finite(mean_loss, epoch)
        if on_batch:
            pace = seen / (time.perf_counter() - began)
            on_batch(
                Progress(
                    epoch=epoch,
                    batch=number,
                    batches=len(train),
                    examples=seen,
                    loss=mean_loss,
                    accuracy=accuracy,
                    examples_per_s=pace,
                )
            )
    return loss_sum.item() / seen, hits.item() / seen, time.perf_counter() - began


def _check_finite(loss: float, epoch: int) -> None:
    if not math.isfinite(loss):
        raise DataError(f"the loss is no longer a number in epoch {epoch}; try a lower --learning-rate.")


def _step(run: Run, inputs: tuple[Tensor, ...], label_ids: Tensor, config: TrainConfig) -> tuple[Tensor, Tensor]:
    with autocast(label_ids.device, config.precision):
        logits = run.model(*inputs)
    loss = functional.cross_entropy(logits.float(), label_ids, label_smoothing=config.label_smoothing)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    if config.clip_norm:
        nn.utils.clip_grad_norm_(run.model.parameters(), config.clip_norm)
    run.optimizer.step()
    if run.schedule is not None:
        run.schedule.step()
    if run.averaged is not None:
        run.averaged.update_parameters(run.model)
    return loss, logits
