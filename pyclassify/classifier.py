"""Load once, predict many, from many threads: what the page, the benchmarks and users call."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyclassify import checkpoint
from pyclassify.checkpoint import Checkpoint
from pyclassify.device import pick
from pyclassify.errors import WAY_OUT, CheckpointError, ConfigError, InputError
from pyclassify.evaluation import COVERAGES
from pyclassify.examples import Prepared
from pyclassify.image import explain as image_explain
from pyclassify.image import known as image_known
from pyclassify.image.explain import PictureExplanation
from pyclassify.image.transform import ImageTransform, upright_size
from pyclassify.message import message
from pyclassify.text import explain as text_explain
from pyclassify.text import known as text_known
from pyclassify.text.explain import TextExplanation

BATCH_SIZE = 64

Explanation = PictureExplanation | TextExplanation


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one input.

    Args:
        label: the most probable one.
        probabilities: of every label, best first; they sum to 1.
        notes: what a person should know of how the input was read, such as "only the first 1,024 of 3,201 words were
            read"; mostly empty.
        known: whether the input is like what was trained on; None where the checkpoint cannot tell.
        labels_set: the labels that it may be, best first: for nine in ten inputs like the validation data, or as many
            as `load(..., coverage=...)` says, the true one is among them. Empty where the checkpoint promises nothing.
    """

    label: str
    probabilities: dict[str, float]
    notes: tuple[str, ...] = ()
    known: bool | None = None
    labels_set: tuple[str, ...] = ()

    def message(self, language: str = "en") -> str:
        """The answer with all its doubt, in one sentence for a person.

        Args:
            language: "en" or "ko".

        Raises:
            ValueError: it is another language.
        """
        share = self.probabilities[self.label]
        return message(self.label, share, labels_set=self.labels_set, known=self.known, language=language)


class Classifier:
    """A checkpoint on a device, ready to answer.

    Nothing in it changes after it is made, so any number of threads may call it at once.

    Args:
        loaded: from `checkpoint.load`; its network is moved to the device.
        device: where the network runs.
        coverage: share of inputs whose set of labels is to hold the true one, one of COVERAGES.

    Raises:
        CheckpointError: what the checkpoint holds does not fit together.
    """

    def __init__(self, loaded: Checkpoint, device: torch.device, *, coverage: str = COVERAGES[0]) -> None:
        self.name = loaded.name
        self.kind = loaded.kind
        self.labels = loaded.labels
        self.info: dict[str, Any] = loaded.info
        self.device = device
        self._transform = loaded.transform
        self._steps: int | None = None  # counted by the first explanation of a picture; whoever counts gets the same
        # convolutions over pictures are half as fast again in this order of memory, and so are those of a batch
        self._model = loaded.model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._trust = loaded.trust
        self._known = known_of(loaded)
        self._least = loaded.trust.sets.get(coverage)

    def __repr__(self) -> str:
        return f"<Classifier {self.name}: {self.kind}, {len(self.labels)} labels, on {self.device}>"

    def predict(self, inputs: Iterable[Any]) -> list[Prediction]:
        """Answer each input; a batch gives the answers that its members would get alone.

        Args:
            inputs: for pictures: paths, PIL images, or arrays (H, W), (H, W, 3) or (H, W, 4); for text: str.

        Returns:
            One prediction per input, in the same order.

        Raises:
            InputError: one of the inputs cannot be read; or `inputs` is itself a single input.
        """
        if _is_single(inputs):
            raise InputError("predict takes a list of inputs; put a single one into a list: predict([it]).")
        prepared: list[Prepared] = [self._transform(each) for each in inputs]
        if not prepared:
            return []
        rows = self._rows([each.tensor for each in prepared])
        return [self._named(*row, each.notes) for row, each in zip(rows, prepared, strict=True)]

    def explain(self, input: Any, label: str | None = None) -> Explanation:
        """Say which parts of one input speak for a label, and which against it.

        Args:
            input: a single one of what `predict` takes a list of.
            label: one of `labels`; the most probable one where none is given.

        Raises:
            InputError: the input cannot be read, or there is no such label.
        """
        if label is not None and label not in self.labels:
            raise InputError(f"there is no label {label!r}; there are {', '.join(self.labels)}.")
        prepared = self._transform(input)
        ((row, _),) = self._rows([prepared.tensor])
        label_id = row.index(max(row)) if label is None else self.labels.index(label)
        shown, probability = self.labels[label_id], row[label_id]
        if isinstance(self._transform, ImageTransform):
            size_px = upright_size(input)
            if self._steps is None:
                self._steps = image_explain.steps_for(self._model, self._transform.size_px, self.device)
            heat = image_explain.heat(
                self._model, self._transform, prepared.tensor, label_id, steps=self._steps, device=self.device
            )
            box = image_explain.seen_part(self._transform, size_px)
            return PictureExplanation(shown, probability, heat, box, size_px)
        found = text_explain.spans(self._model, self._transform, input, prepared.tensor, label_id, self.device)
        return TextExplanation(shown, probability, found)

    def warm_up_explanations(self) -> None:
        """Import what `explain` needs, which takes seconds, so that the first person who asks does not wait for it."""
        self.explain(np.zeros((8, 8, 3), np.uint8) if isinstance(self._transform, ImageTransform) else "a")

    @torch.inference_mode()
    def _rows(self, tensors: Sequence[Tensor]) -> list[tuple[list[float], bool | None]]:
        """For each the probabilities (K,), and whether it is known; those of like length together: little is padded."""
        order = sorted(range(len(tensors)), key=lambda i: tensors[i].shape[-1])
        rows: list[tuple[list[float], bool | None]] = [([], None)] * len(tensors)
        for start in range(0, len(order), BATCH_SIZE):
            members = order[start : start + BATCH_SIZE]
            batch = self._transform.collate([tensors[i] for i in members])
            logits, known = self._answer(*(each.to(self.device) for each in batch))
            # in double precision the probabilities sum to 1 to the last digit that anyone prints
            for i, *row in zip(members, self._trust.probabilities(logits).cpu().tolist(), known, strict=True):
                rows[i] = (row[0], row[1])
        return rows

    def _answer(self, *inputs: Tensor) -> tuple[Tensor, list[bool | None]]:
        """Logits (N, K), and for each input whether it is known."""
        if self._known is None:
            logits: Tensor = self._model(*inputs)
            return logits, [None] * len(logits)
        logits, strangeness = self._known.answer(*inputs)
        return logits, (strangeness <= self._known.threshold).tolist()

    def _named(self, row: list[float], known: bool | None, notes: tuple[str, ...]) -> Prediction:
        ranked = sorted(zip(self.labels, row, strict=True), key=lambda pair: -pair[1])
        least = self._least
        inside = () if least is None else tuple(label for label, share in ranked if share >= least) or (ranked[0][0],)
        return Prediction(ranked[0][0], dict(ranked), notes, known, inside)


def _is_single(inputs: object) -> bool:
    """Whether it is no series of inputs; an array is one of pictures where it has a dimension more than they have."""
    if isinstance(inputs, np.ndarray):
        return inputs.ndim in (0, 2) or (inputs.ndim == 3 and inputs.shape[2] in (1, 3, 4))
    return isinstance(inputs, (str, bytes, Path)) or not isinstance(inputs, Iterable)


def known_of(loaded: Checkpoint) -> image_known.Known | text_known.Known | None:
    """What tells inputs like the training data from others, on the device that the network is on by now.

    Returns:
        None where the checkpoint has nothing to tell them apart by.

    Raises:
        CheckpointError: what it has does not fit together.
    """
    if "known" not in loaded.info:
        return None
    kind = image_known.Known if loaded.kind == "image" else text_known.Known
    try:
        return kind(loaded.model, loaded.info["known"], loaded.known)
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        raise CheckpointError(
            f"what {loaded.name} knows of its training data is damaged ({error}). {WAY_OUT}"
        ) from error


def load(source: str | os.PathLike[str], *, device: str = "auto", coverage: float = 0.9) -> Classifier:
    """Load a checkpoint for predicting.

    Args:
        source: a folder, or "user/name" of a model on the Hub.
        device: "auto", "cuda", "mps", "xpu" or "cpu".
        coverage: how often the set of labels of a prediction is to hold the true one: 0.9, 0.95 or 0.99.

    Raises:
        CheckpointError: the checkpoint is missing, damaged, altered or too new.
        ConfigError: this machine has no such device, or there are no sets of that coverage.
    """
    chosen = pick(device)
    wanted = f"{coverage:.2f}" if isinstance(coverage, (int, float)) else str(coverage)
    if wanted not in COVERAGES or float(wanted) != coverage:
        raise ConfigError(f"coverage must be one of {', '.join(COVERAGES)}, got {coverage}")
    return Classifier(checkpoint.load(os.fspath(source)), chosen, coverage=wanted)
