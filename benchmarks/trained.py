"""What one training came to: of the tutorial's programs, of ours, or as a shipped checkpoint's card has it."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pyclassify import evaluation

PARTS = ("train", "val", "test")
NO_LABELS = ("unsup",)

Batch = tuple[tuple[Tensor, ...], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is the same for all trainings of a run.

    Args:
        epochs: of the tutorial's networks.
        device: where they run.
        budget_s: no epoch is begun that would, by the time of those before, end later than this; None: no limit.
        max_tokens: longer texts are cut to this by the tutorial's networks; None: as each program does by itself.
        seed: of weights and order.
    """

    epochs: int
    device: torch.device
    budget_s: float | None = None
    max_tokens: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """One row of the comparison.

    Args:
        program: whose, and with which network.
        accuracy: on the test data, which were read once, after the training.
        accuracy_interval: its 95 % interval.
        test_examples: how many it was measured on.
        train_examples: how many were trained on, without those that an epoch was chosen by.
        epochs: how many were run.
        training_s: the epochs alone, without what a model finds out before the first. The tutorial's picture program
            decodes each picture in each epoch; ours decodes before, and its epochs include a look at the validation
            data.
        whole_s: all of the program, from reading the data to the test score; None where only a card tells.
        parameters: numbers in the network.
        reads_zeros: the share of test texts for which the last layer is handed nothing but zeros.
        notes: what a reader must know to judge the figures.
    """

    program: str
    accuracy: float
    accuracy_interval: tuple[float, float]
    test_examples: int
    train_examples: int
    epochs: int
    training_s: float
    whole_s: float | None
    parameters: int
    reads_zeros: float | None = None
    notes: tuple[str, ...] = ()


def fit(
    model: nn.Module, batches: Callable[[], Iterable[Batch]], optimizer: torch.optim.Optimizer, settings: Settings
) -> list[float]:
    """The tutorial's loop, which is the same for pictures and text: cross-entropy, no validation, no schedule.

    Args:
        model: logits (N, K) = model(*inputs); trained in place.
        batches: gives one pass over the training data.
        optimizer: of the model's parameters.
        settings: see there.

    Returns:
        How long each epoch took, in seconds.
    """
    loss_of = nn.CrossEntropyLoss()
    seconds: list[float] = []
    model.train()
    while len(seconds) < settings.epochs and _has_time(seconds, settings.budget_s):
        start = time.perf_counter()
        total, examples = 0.0, 0
        for inputs, label_ids in batches():
            optimizer.zero_grad()
            loss = loss_of(model(*inputs), label_ids)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(label_ids)
            examples += len(label_ids)
        seconds.append(time.perf_counter() - start)
        print(f"epoch {len(seconds)}/{settings.epochs}  loss {total / examples:.4f}  {seconds[-1]:.0f} s", flush=True)
    return seconds


def _has_time(seconds: Sequence[float], budget_s: float | None) -> bool:
    if budget_s is None or not seconds:
        return True
    return sum(seconds) + max(seconds) <= budget_s


def majority(label_ids: Sequence[int]) -> int:
    """The most frequent label."""
    return int(torch.tensor(label_ids).bincount().argmax())


def row(
    program: str,
    scores: evaluation.Scores,
    *,
    model: nn.Module,
    train_examples: int,
    epochs_s: Sequence[float],
    whole_s: float,
    settings: Settings,
    reads_zeros: float | None = None,
    notes: Sequence[str] = (),
) -> Trained:
    """The row of one of the tutorial's programs, with a note where the budget ended it."""
    cut = [f"stopped after {len(epochs_s)} of {settings.epochs} epochs to keep to the time"]
    return Trained(
        program=program,
        accuracy=scores.accuracy,
        accuracy_interval=scores.accuracy_interval,
        test_examples=scores.examples,
        train_examples=train_examples,
        epochs=len(epochs_s),
        training_s=sum(epochs_s),
        whole_s=whole_s,
        parameters=sum(each.numel() for each in model.parameters()),
        reads_zeros=reads_zeros,
        notes=(*notes, *(cut if len(epochs_s) < settings.epochs else [])),
    )


def ours(
    program: str,
    main: Callable[[Sequence[str]], None],
    arguments: Sequence[str],
    out: Path,
    notes: Sequence[str] = (),
) -> Trained:
    """Train with one of our command lines and read the figures from the checkpoint that it writes.

    Args:
        program: for the row.
        main: of `train.image` or `train.text`.
        arguments: all but --out.
        out: a folder for the checkpoint, which the caller removes.
        notes: for the row.
    """
    start = time.perf_counter()
    main([*arguments, "--out", str(out)])
    whole_s = time.perf_counter() - start
    return _from_info(program, _info(out), whole_s=whole_s, notes=notes)


def from_card(program: str, checkpoint: Path, notes: Sequence[str] = ()) -> Trained:
    """The figures that a shipped checkpoint has of its own training."""
    info = _info(checkpoint)
    training = info["training"]
    at = f" at commit {training['commit']}" if training.get("commit") else ""
    note = (
        f"from the card of the shipped `{checkpoint.name}`: trained on {training['date']}{at}, {training['hardware']}"
    )
    return _from_info(program, info, whole_s=None, notes=[note, *notes])


def _info(checkpoint: Path) -> dict[str, Any]:
    info: dict[str, Any] = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    return info


def _from_info(program: str, info: dict[str, Any], *, whole_s: float | None, notes: Sequence[str]) -> Trained:
    scores, training = info["scores"], info["training"]
    low, high = scores["accuracy_interval"]
    return Trained(
        program=f"{program} `{info['model']['name']}`",
        accuracy=scores["accuracy"],
        accuracy_interval=(low, high),
        test_examples=scores["examples"],
        train_examples=info["data"]["train"],
        epochs=len(training["epochs"]),
        training_s=training["duration_s"],
        whole_s=whole_s,
        parameters=training["parameters"],
        notes=tuple(notes),
    )


def limited(source: Path, target: Path, *, limit: int) -> Path:
    """Copy part of a data set, the same number of files of each label, evenly spread over their names.

    Args:
        source: a folder with train/<label>/ and test/<label>/.
        target: the folder to make.
        limit: files in each of the parts, at least one per label.

    Returns:
        The new folder.
    """
    for part in (source / name for name in PARTS if (source / name).is_dir()):
        labels = [each for each in sorted(part.iterdir()) if each.is_dir() and each.name not in NO_LABELS]
        for label in labels:
            files = sorted(label.iterdir())
            wanted = min(len(files), max(1, limit // len(labels)))
            folder = target / part.name / label.name
            folder.mkdir(parents=True)
            for position in range(wanted):
                chosen = files[position * len(files) // wanted]
                shutil.copyfile(chosen, folder / chosen.name)
    return target
