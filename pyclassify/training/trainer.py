"""Fitting a network to batches: the training loop, the state that it resumes from, and logits for many examples."""

from __future__ import annotations

import contextlib
import copy
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from pyclassify.dataset import Batches
from pyclassify.errors import CheckpointError, ConfigError, DataError
from pyclassify.locales import Message
from pyclassify.manifest import Epoch
from pyclassify.training import budget
from pyclassify.training.budget import Deadline, Pace, Plan
from pyclassify.training.config import FitConfig
from pyclassify.training.optim import make_optimizer, moving_average, schedule_share, set_learning_rates

MAX_CHANCE: Final = 0.05
"""Significance level at which weights count as better."""

COMPILE_PAYS_AFTER_S: Final = 120.0
"""Compiling takes tens of seconds, which a shorter training would not win back."""

_WARM_UP_STEPS, _TIMED_STEPS = 3, 12
"""Steps of the trial run: the first ones of a device are slow and do not count."""
_TRIAL_SHARE: Final = 0.03
"""Share of the budget after which the trial run makes do with the steps that it has."""

OnNote = Callable[[Message], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchProgress:
    """Progress of a running epoch; loss and accuracy are means over its examples so far.

    Args:
        epoch: its number, from 1.
        batch: steps that were taken.
        num_batches: steps of this epoch.
        examples: examples that were seen.
        num_examples: examples of this epoch, about as many if it is cut.
        loss: cross-entropy.
        accuracy: share of right answers.
        learning_rate: the highest of all groups in the last step.
        examples_per_s: in this epoch.
    """

    epoch: int
    batch: int
    num_batches: int
    examples: int
    num_examples: int
    loss: float
    accuracy: float
    learning_rate: float
    examples_per_s: float


@runtime_checkable
class Prepares(Protocol):
    """A network that sees all training examples once before the first step."""

    def prepare(self, batches: Batches) -> None:
        """Count, or set weights from statistics."""


@runtime_checkable
class CrossFits(Protocol):
    """A network that cross-validates on the training examples, so that it can be judged without other data."""

    def out_of_fold(self) -> tuple[Tensor, Tensor] | None:
        """Return logits (N, K) of training examples, each from a fit without it, and label ids (N,) int64.

        None if there was no cross-validation.
        """


@runtime_checkable
class Adapts(Protocol):
    """A network that may begin with trained weights, and then answers once it is prepared.

    The weights of the epochs are kept only if they are significantly better than those before the first epoch.
    """

    is_adapted: bool
    is_fine_tuned: bool


@runtime_checkable
class Tunes(Protocol):
    """A network with a few numbers that are set on validation data after each epoch."""

    def tune(self, batches: Batches) -> None:
        """Set them."""


@runtime_checkable
class Settles(Protocol):
    """A network that can tell after an epoch that further ones would change nothing."""

    def settled(self, num_epochs: int) -> Message | None:
        """Return the reason to stop after so many epochs, or None to go on."""


def fit(
    network: nn.Module,
    train: Batches,
    validation: Batches,
    config: FitConfig,
    *,
    lessons: Batches | None = None,
    device: torch.device | None = None,
    state_path: Path | None = None,
    resume: bool = False,
    fingerprint: str = "",
    on_batch: Callable[[BatchProgress], None] | None = None,
    on_note: OnNote | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Epoch]:
    """Fit a network, epoch after epoch; when the iteration ends, it has the weights of the best epoch.

    With zero epochs it is only prepared. A network that `Adapts` goes back to its state before the first epoch unless
    the best epoch is significantly better.

    The best epoch has the highest validation accuracy, and of equals the lowest validation loss. Four methods of a
    network are optional: `prepare(batches)` gets the training batches before the first epoch, `tune(batches)` the
    validation batches after each one, `settled(num_epochs)` may end the training, and
    `parameter_groups(learning_rate, weight_decay)` returns groups for the optimizer. A resumed training gives the same
    weights as one that was never interrupted.

    Args:
        network: returns logits (N, K) for the inputs of `train`; it is moved to the device.
        train: shuffled in each epoch by the seed and the number of the epoch alone.
        validation: every choice is made on it.
        config: how to fit.
        lessons: batches that the epochs are trained on instead of `train`; they may have a teacher's probabilities
            (N, K) in place of label ids.
        device: by default the CPU.
        state_path: file that a training can be resumed from, written after each epoch.
        resume: continue from `state_path`; earlier epochs are yielded again from the file.
        fingerprint: of data and options; a state with another one is refused.
        on_batch: called about a hundred times per epoch.
        on_note: called with sentences for a person, such as what a budget amounts to.
        clock: seconds from any start.

    Yields:
        Each epoch when it is finished.

    Raises:
        ConfigError: there is nothing to resume, or it was begun with another fingerprint.
        CheckpointError: `state_path` cannot be written.
        DataError: the loss is not finite.
    """
    device, on_note = device or torch.device("cpu"), on_note or (lambda _: None)
    state = read_state(state_path, fingerprint, device) if resume else None
    began = clock()
    network.to(device)
    if state is None and isinstance(network, Prepares):
        with seeded(config.seed):
            network.prepare(train)
    if not config.epochs:
        network.eval()
        return
    run = _Run(network, train if lessons is None else lessons, validation, config, clock)
    if state is None and isinstance(network, Adapts) and network.is_adapted:
        run.first_weights = copy.deepcopy(network.state_dict())
    pace = run.restore(state) if state is not None else run.try_out()
    if run.compiled:
        run.forward = Compiled(network, on_note)
    run.other_s += clock() - began
    if config.minutes and pace is not None and not run.epochs:
        on_note(budget.describe(run.plan(pace), config, num_batches=len(run.train), pace=pace))
    yield from run.epochs
    idle_since = clock()
    while run.progress < 1 and not _is_stuck(run.epochs, config.patience) and not run.settled():
        run.other_s += clock() - idle_since
        epoch = _run_epoch(run, pace, on_batch)
        idle_since, pace = clock(), run.measured_pace()
        if epoch.is_best:
            run.best_weights = copy.deepcopy(run.evaluated.state_dict())
        if state_path is not None:
            write_state(state_path, {"fingerprint": fingerprint, **run.state()})
        yield epoch
    if run.progress < 1 and (reason := run.settled()) is not None:
        on_note(reason)
    network.load_state_dict(run.best_weights)
    network.eval()
    if run.first_weights:
        _choose_weights(run, on_note)


def _choose_weights(run: _Run, on_note: OnNote) -> None:
    """Go back to the weights before the first epoch unless those of the best one are better by more than chance.

    Both answer the validation data; McNemar's exact test (1947), one-sided, decides.
    """
    from scipy.stats import binomtest

    network = run.network
    assert isinstance(network, Adapts)
    is_right = []
    for weights in (run.first_weights, run.best_weights):
        network.load_state_dict(weights)
        logits, label_ids = predict_logits(network, run.validation, precision=run.config.precision)
        is_right.append(logits.argmax(dim=1) == label_ids)
    before, after = is_right
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    network.is_fine_tuned = (
        gained > lost and binomtest(gained, gained + lost, alternative="greater").pvalue < MAX_CHANCE
    )
    if not network.is_fine_tuned:
        network.load_state_dict(run.first_weights)
    counts = {"before": int(before.sum()), "after": int(after.sum()), "total": len(before)}
    on_note(Message("notes.fine_tuned" if network.is_fine_tuned else "notes.not_fine_tuned", counts))


def _is_stuck(epochs: list[Epoch], patience: int) -> bool:
    return bool(patience) and len(epochs) > patience and not any(epoch.is_best for epoch in epochs[-patience:])


def _run_epoch(run: _Run, pace: Pace | None, on_batch: Callable[[BatchProgress], None] | None) -> Epoch:
    """Run the next epoch: its steps, then an evaluation of the validation data."""
    config, train, clock, device = run.config, run.train, run.clock, run.device
    began = clock()
    plan, deadline = run.plan(pace), run.deadline(pace)
    seed = config.seed * 1_000_003 + plan.epoch
    learning_rate = run.set_learning_rate(plan, 0)
    loss_sum, hits, seen = torch.zeros((), device=device), torch.zeros((), device=device), 0
    report_every = max(1, plan.num_batches // 100)  # reading a number from a GPU waits for it

    run.network.train()
    with seeded(seed):
        steps_began = clock()
        for number, batch in enumerate(train.epoch(seed), start=1):
            step_rate = run.set_learning_rate(plan, number - 1)
            inputs, label_ids = to_device(batch, device)
            loss, logits = run.take_step(inputs, label_ids)
            loss_sum += loss.detach() * len(label_ids)
            truth = label_ids.argmax(dim=1) if label_ids.dim() == 2 else label_ids
            hits += (logits.detach().argmax(dim=1) == truth).sum()
            seen += len(label_ids)
            if number % report_every and number != plan.num_batches:
                continue
            mean_loss, accuracy = loss_sum.item() / seen, hits.item() / seen
            _check_finite(mean_loss, plan.epoch)
            steps_s = max(1e-9, clock() - steps_began)
            if deadline is not None:
                plan = deadline.revise(plan, number, steps_s)
            if on_batch is not None:
                on_batch(
                    BatchProgress(
                        epoch=plan.epoch,
                        batch=number,
                        num_batches=plan.num_batches,
                        examples=seen,
                        num_examples=round(train.num_examples * plan.num_batches / len(train)),
                        loss=mean_loss,
                        accuracy=accuracy,
                        learning_rate=step_rate,
                        examples_per_s=seen / steps_s,
                    )
                )
            if number >= plan.num_batches:
                break
        steps_s = max(1e-9, clock() - steps_began)

    run.progress = plan.end
    if isinstance(run.evaluated, Tunes):
        run.evaluated.tune(run.validation)
    val_loss, val_accuracy = evaluate(run.evaluated, run.validation, precision=config.precision)
    _check_finite(val_loss, plan.epoch)
    best = max(((epoch.val_accuracy, -epoch.val_loss) for epoch in run.epochs), default=(-1.0, 0.0))
    run.epochs.append(
        Epoch(
            epoch=plan.epoch,
            epochs=plan.epochs,
            train_loss=loss_sum.item() / seen,
            train_accuracy=hits.item() / seen,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            learning_rate=learning_rate,
            examples_per_s=seen / steps_s,
            duration_s=clock() - began,
            is_best=(val_accuracy, -val_loss) > best,
        )
    )
    return run.epochs[-1]


def _check_finite(loss: float, epoch: int) -> None:
    if not math.isfinite(loss):
        raise DataError("loss_not_finite", epoch=epoch)


class _Run:
    """A training: its parts, and everything that changes, which is what the state file holds.

    Args:
        network: on its device.
        train: training batches.
        validation: validation batches.
        config: how to fit.
        clock: seconds.
    """

    def __init__(
        self, network: nn.Module, train: Batches, validation: Batches, config: FitConfig, clock: Callable[[], float]
    ) -> None:
        self.network, self.train, self.validation, self.config, self.clock = network, train, validation, config, clock
        self.forward: Callable[..., Tensor] = network
        """Calls the network in a step; a compiled one shares its weights."""
        self.averaged: AveragedModel | None = None
        if config.average_decay:
            average = moving_average(config.average_decay)
            self.averaged = AveragedModel(network, multi_avg_fn=average, use_buffers=True)
        self.optimizer = make_optimizer(network, config)
        self.epochs: list[Epoch] = []
        self.first_weights: dict[str, Tensor] = {}
        """State before the first epoch of a network that `Adapts` with trained weights; empty for others."""
        self.best_weights: dict[str, Tensor] = {}
        self.progress = 0.0
        """Position in the schedule, from 0 to 1."""
        self.other_s = 0.0
        """Seconds outside of epochs, such as those in which the state is written."""
        self.compiled = False

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return next(self.network.parameters()).device

    @property
    def evaluated(self) -> nn.Module:
        """The network that is evaluated and kept: the moving average if there is one."""
        return self.averaged.module if self.averaged is not None else self.network

    def settled(self) -> Message | None:
        """Return the network's reason to stop, if it has one."""
        return self.evaluated.settled(len(self.epochs)) if isinstance(self.evaluated, Settles) else None

    def take_step(self, inputs: tuple[Tensor, ...], label_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step of the optimizer; return the loss and the logits (N, K)."""
        config = self.config
        with autocast(label_ids.device, config.precision):
            logits = self.forward(*inputs)
        loss = functional.cross_entropy(logits.float(), label_ids, label_smoothing=config.label_smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if config.clip_norm:
            nn.utils.clip_grad_norm_(self.network.parameters(), config.clip_norm)
        self.optimizer.step()
        if self.averaged is not None:
            self.averaged.update_parameters(self.network)
        return loss, logits

    def set_learning_rate(self, plan: Plan, batch: int) -> float:
        """Set the learning rates for a step, counted from 0; return the highest of them."""
        share = schedule_share(self.config.schedule, plan.progress(batch), plan.per_step)
        set_learning_rates(self.optimizer, share)
        return float(max(group["lr"] for group in self.optimizer.param_groups))

    def left_s(self) -> float:
        """Return the seconds that are left of the budget."""
        return 60 * self.config.minutes - self.other_s - sum(epoch.duration_s for epoch in self.epochs)

    def plan(self, pace: Pace | None) -> Plan:
        """Plan the next epoch."""
        return budget.plan_epoch(
            self.config,
            epochs_done=len(self.epochs),
            progress=self.progress,
            left_s=self.left_s(),
            num_batches=len(self.train),
            pace=pace,
        )

    def deadline(self, pace: Pace | None) -> Deadline | None:
        """Return the deadline of the next epoch; None without a budget."""
        return budget.deadline(self.config, left_s=self.left_s(), num_batches=len(self.train), pace=pace)

    def measured_pace(self) -> Pace:
        """Return the pace of the finished epochs."""
        return budget.measured_pace(self.epochs, num_examples=self.train.num_examples, num_batches=len(self.train))

    def try_out(self) -> Pace | None:
        """Estimate the pace if it is needed to plan the epochs, and decide whether to compile the steps."""
        config, pace = self.config, None
        if config.minutes or (config.compile == "auto" and self.device.type == "cuda"):
            pace = _trial_pace(self)
        planned_s = 60 * config.minutes or (config.epochs * pace.epoch_s(len(self.train)) if pace else 0.0)
        self.compiled = should_compile(config, self.device, planned_s)
        return pace

    def state(self) -> dict[str, Any]:
        """Return tensors and plain data that `restore` takes."""
        return {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict() if self.averaged is not None else None,
            "optimizer": self.optimizer.state_dict(),
            "epochs": [epoch.model_dump() for epoch in self.epochs],
            "first_weights": self.first_weights,
            "best_weights": self.best_weights,
            "progress": self.progress,
            "other_s": self.other_s,
            "compiled": self.compiled,
        }

    def restore(self, state: dict[str, Any]) -> Pace:
        """Continue from a state; return the pace of its epochs."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])
        self.epochs = [Epoch(**epoch) for epoch in state["epochs"]]
        self.first_weights, self.best_weights = state["first_weights"], state["best_weights"]
        self.progress, self.other_s, self.compiled = state["progress"], state["other_s"], state["compiled"]
        return self.measured_pace()


def _trial_pace(run: _Run) -> Pace:
    """Measure a few steps and validation batches on a copy of the network; no random state is changed."""
    config, clock = run.config, run.clock
    with seeded(config.seed):
        trial = _Run(copy.deepcopy(run.network), run.train, run.validation, config, clock)
        trial.network.train()
        step_times: list[float] = []
        began = clock()
        for batch in FirstBatches(run.train, _WARM_UP_STEPS + _TIMED_STEPS).epoch(config.seed):
            loss, _ = trial.take_step(*to_device(batch, run.device))
            loss.item()  # waits for the device
            step_times.append(clock() - began)
            began = clock()
            if config.minutes and len(step_times) > 1 and sum(step_times) > _TRIAL_SHARE * 60 * config.minutes:
                break
        few = FirstBatches(run.validation, 1)
        if len(step_times) > _WARM_UP_STEPS:
            evaluate(trial.evaluated, few, precision=config.precision)
            few = FirstBatches(run.validation, _WARM_UP_STEPS)
        began = clock()
        if isinstance(trial.evaluated, Tunes):
            trial.evaluated.tune(few)
        evaluate(trial.evaluated, few, precision=config.precision)
        validation_s = (clock() - began) * len(run.validation) / len(few)
    timed = step_times[min(_WARM_UP_STEPS, len(step_times) // 2) :]
    return Pace(step_s=max(1e-9, statistics.median(timed)), validation_s=validation_s)


@dataclass(frozen=True, slots=True)
class FirstBatches:
    """The first few batches of a shuffled epoch, as `dataset.Batches`.

    Args:
        batches: to take them from.
        at_most: number of batches.
    """

    batches: Batches
    at_most: int

    @property
    def num_examples(self) -> int:
        """Number of examples in these batches."""
        return min(self.batches.num_examples, sum(len(label_ids) for _, label_ids in self.epoch()))

    @property
    def positions(self) -> Sequence[int]:
        """Not known. Raises NotImplementedError."""
        raise NotImplementedError("the batches are shuffled")

    def __len__(self) -> int:
        return min(self.at_most, len(self.batches))

    def epoch(self, seed: int | None = None) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        """Iterate over these batches, by seed 0 without a seed."""
        # always shuffled: the first of sorted texts would be the shortest
        for _, batch in zip(range(len(self)), self.batches.epoch(seed or 0), strict=False):
            yield batch


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Set every random generator of torch from a seed, and set them back afterwards."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


# Compiling


def should_compile(config: FitConfig, device: torch.device, planned_s: float) -> bool:
    """Return whether the steps should be compiled.

    Args:
        config: with the option.
        device: of the steps.
        planned_s: how long all epochs would take without it.
    """
    if config.compile == "auto":
        return device.type == "cuda" and planned_s > COMPILE_PAYS_AFTER_S
    return config.compile == "on"


class Compiled:
    """Calls a network in compiled form, or as it is once compiling has failed; it has the network's own weights.

    Args:
        network: any.
        on_note: called with a sentence if compiling fails.
    """

    def __init__(self, network: nn.Module, on_note: OnNote) -> None:
        self._network, self._on_note = network, on_note
        self._compiled: Callable[..., Tensor] | None = torch.compile(network)

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Return the logits."""
        if self._compiled is not None:
            try:
                return self._compiled(*inputs)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # compilers fail in many ways; most often there is no C compiler
                self._compiled = None
                self._on_note(Message("notes.compile_failed", {"error": type(error).__name__}))
        logits: Tensor = self._network(*inputs)
        return logits


# The state file


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write the file whole or not at all.

    Raises:
        CheckpointError: the disk is full, or writing is not permitted.
    """
    # the process id is in the name, as two trainings with the same `out` must not write into one file
    temporary = path.with_suffix(f".{os.getpid()}.writing")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, temporary)
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError on a full disk
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise CheckpointError("state_unwritable", path=path, reason=str(error)) from error


def read_state(path: Path | None, fingerprint: str, device: torch.device) -> dict[str, Any]:
    """Read what `write_state` wrote.

    Raises:
        ConfigError: there is no such file, it is damaged, or it was begun with another fingerprint.
    """
    if path is None or not path.is_file():
        raise ConfigError("nothing_to_resume", path=path)
    try:
        state: Any = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch reports damaged files in many ways
        raise ConfigError("state_damaged", path=path) from error
    if not isinstance(state, dict) or state.get("fingerprint") != fingerprint:
        raise ConfigError("state_of_other_training", folder=path.parent)
    return state


# Inference


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[Any]:
    """Return the context in which a forward pass runs in a number format."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, getattr(torch, precision))


def to_device(batch: tuple[tuple[Tensor, ...], Tensor], device: torch.device) -> tuple[tuple[Tensor, ...], Tensor]:
    """Move a batch to a device."""
    inputs, label_ids = batch
    return tuple(tensor.to(device, non_blocking=True) for tensor in inputs), label_ids.to(device, non_blocking=True)


@torch.inference_mode()
def predict_logits(network: nn.Module, batches: Batches, *, precision: str = "float32") -> tuple[Tensor, Tensor]:
    """Predict all examples, in the order of the batches.

    Returns:
        Logits (N, K) float32 and label ids (N,) int64, on the CPU.
    """
    network.eval()
    logits: list[Tensor] = []
    label_ids: list[Tensor] = []
    device = next(network.parameters()).device
    for batch in batches.epoch():
        inputs, ids = to_device(batch, device)
        with autocast(ids.device, precision):
            logits.append(network(*inputs).float())
        label_ids.append(ids)
    return torch.cat(logits).cpu(), torch.cat(label_ids).cpu()


def evaluate(network: nn.Module, batches: Batches, *, precision: str = "float32") -> tuple[float, float]:
    """Return the mean cross-entropy and the accuracy over all examples."""
    logits, label_ids = predict_logits(network, batches, precision=precision)
    loss = functional.cross_entropy(logits, label_ids).item()
    return loss, (logits.argmax(dim=1) == label_ids).float().mean().item()
