"""Load a checkpoint once, predict many inputs from many threads: what the page, the benchmarks and users call."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor

from pyclassify import checkpoint
from pyclassify.checkpoint import Checkpoint
from pyclassify.dataset import Prepared
from pyclassify.device import pick
from pyclassify.errors import ConfigError, InputError
from pyclassify.evaluation import calibrate
from pyclassify.locales import DEFAULT, Message, alternatives, percent, text
from pyclassify.manifest import COVERAGES

if TYPE_CHECKING:
    from pyclassify.image.explain import ImageExplanation
    from pyclassify.text.explain import TextExplanation

BATCH_SIZE: Final = 64

COVERAGE: Final = "0.95"
"""Share of inputs whose prediction set holds the true label, unless another one is asked for; one of COVERAGES."""

SURE_FROM: Final = 0.6
"""Probability below which a message begins with "Not sure"."""

SHOWN_FROM: Final = 20
"""Number of calibration examples below which no percentage is shown: it would be a guess."""

_OTHERS_NAMED: Final = 2
"""Labels that a message names beside the most probable one; of further ones it says the number."""

_ALMOST_CERTAIN: Final = 0.99
"""Probability above which "over 99%" is shown."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one input.

    Args:
        label: the most probable one.
        probabilities: of every label, best first; they sum to 1.
        notes: on how the input was read, such as that only its beginning was; mostly empty.
        known: whether the input is like the training data; None where the checkpoint cannot tell.
        prediction_set: the labels that it may be, best first: it holds the true label for 95% of inputs like the
            validation data, or as many as `load(..., coverage=...)` says. Empty where the checkpoint promises nothing.
        ceiling: largest probability that the calibration examples support.
        has_percentage: whether there are enough calibration examples to show a percentage.
    """

    label: str
    probabilities: dict[str, float]
    notes: tuple[Message, ...] = ()
    known: bool | None = None
    prediction_set: tuple[str, ...] = ()
    ceiling: float = 1.0
    has_percentage: bool = True

    @property
    def possible(self) -> tuple[str, ...]:
        """Other labels of the prediction set to show with the answer; none beside "over 99%"."""
        if self.has_percentage and self.probabilities[self.label] > _ALMOST_CERTAIN:
            return ()
        return tuple(label for label in self.prediction_set if label != self.label)

    @property
    def is_doubtful(self) -> bool:
        """Low confidence: below 60% when it is rounded for display."""
        return math.floor(100 * self.probabilities[self.label] + 0.5) < 100 * SURE_FROM

    @property
    def is_unsure(self) -> bool:
        """Uncertainty of an answer to known input: low confidence, or other possible labels."""
        return self.known is not False and (self.is_doubtful or bool(self.possible))

    def shown_share(self, label: str) -> float | None:
        """Return the probability of a label for display in whole percent.

        Returns:
            A probability that rounding does not take above the ceiling; None if there are too few calibration examples.
        """
        if not self.has_percentage:
            return None
        share = self.probabilities[label]
        if self.ceiling > _ALMOST_CERTAIN:
            return share
        return min(share, math.floor(100 * self.ceiling + 1e-9) / 100)

    def message(self, language: str = DEFAULT, *, names: Mapping[str, str] | None = None) -> str:
        """Write the answer with all its doubt in one or two sentences.

        Args:
            language: one of `locales.LANGUAGES`.
            names: of the labels, where they are called otherwise.

        Raises:
            ValueError: the language is unknown.
        """
        if self.known is False:
            return text("answer.unknown", language)
        names, share = names or {}, self.shown_share(self.label)
        fields: dict[str, Any] = {
            "label": names.get(self.label, self.label),
            "percent": Message("answer.too_few") if share is None else percent(share, language),
        }
        others = [names.get(other, other) for other in self.possible]
        if not others:
            certainty = "unsure" if self.is_doubtful else "few" if share is None else "sure"
            return text(f"answer.{certainty}", language, **fields)
        named, more = others[:_OTHERS_NAMED], len(others) - _OTHERS_NAMED
        fields["others"] = alternatives(named, language)
        if more > 0:
            fields["others"] = Message("answer.more", {"named": named, "count": more})
        return text("answer.unsure_between" if self.is_doubtful else "answer.likely", language, **fields)


class Classifier:
    """A checkpoint on a device, ready to answer.

    Nothing in it changes after it is made, so that any number of threads may call it at once.

    Args:
        loaded: from `checkpoint.load`; its network is moved to the device.
        device: that the network runs on.
        coverage: share of inputs whose prediction set holds the true label, one of COVERAGES.

    Raises:
        CheckpointError: the OOD detector does not fit the network.
    """

    def __init__(self, loaded: Checkpoint, device: torch.device, *, coverage: str = COVERAGE) -> None:
        loaded = loaded.to(device)
        self.name = loaded.name
        self.kind = loaded.kind
        self.labels = loaded.labels
        self.manifest = loaded.manifest
        self.modality = loaded.modality
        self.device = device
        self._network = loaded.network
        self._transform = loaded.transform
        self._ood = loaded.ood
        self._calibration = calibration = loaded.manifest.calibration
        self._threshold = dict(calibration.thresholds).get(coverage)  # type: ignore[call-overload]
        # a checkpoint without the number of examples keeps its percentages
        self._has_percentage = not 0 < calibration.num_examples < SHOWN_FROM

    @property
    def is_latin(self) -> bool:
        """True if most of its vocabulary is ASCII, as of English; also for pictures, which need no script."""
        vocabulary = getattr(self._transform, "vocabulary", ())
        return 2 * sum(map(str.isascii, vocabulary)) >= len(vocabulary)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self.kind}, {len(self.labels)} labels, on {self.device}>"

    def predict(self, inputs: Iterable[Any]) -> list[Prediction]:
        """Answer each input; a batch gives the answers that its members would get alone.

        Args:
            inputs: for images paths, PIL images, or arrays (H, W), (H, W, 3) or (H, W, 4); for text str.

        Returns:
            One prediction per input, in the same order.

        Raises:
            InputError: one of the inputs cannot be read; or `inputs` is itself a single input.
        """
        if _is_single(inputs):
            raise InputError("predict_takes_a_list")
        prepared: list[Prepared] = [self._transform(item) for item in inputs]
        rows = self._answer([example.tensor for example in prepared])
        return [self._prediction(*row, example.notes) for row, example in zip(rows, prepared, strict=True)]

    def explain(self, input: Any, label: str | None = None) -> ImageExplanation | TextExplanation:
        """Attribute the log-odds of a label to the parts of one input.

        Args:
            input: a single one of what `predict` takes a list of.
            label: one of `labels`; the most probable one by default.

        Raises:
            InputError: the input cannot be read, or there is no such label.
        """
        if label is not None and label not in self.labels:
            raise InputError("label_unknown", label=repr(label), labels=self.labels)
        tensor = self._transform(input).tensor
        ((row, _),) = self._answer([tensor])
        label_id = row.index(max(row)) if label is None else self.labels.index(label)
        explanation: ImageExplanation | TextExplanation = self.modality.explain(
            self._network,
            self._transform,
            input,
            tensor,
            label=self.labels[label_id],
            label_id=label_id,
            probability=row[label_id],
            device=self.device,
        )
        return explanation

    def warm_up_explanations(self) -> None:
        """Import what `explain` needs, which takes seconds, so that no visitor waits for it."""
        self.explain(self.modality.sample())

    @torch.inference_mode()
    def _answer(self, tensors: Sequence[Tensor]) -> list[tuple[list[float], bool | None]]:
        """Return the probabilities (K,) of each input, and whether it is like the training data."""
        # inputs of similar length go together, so that little is padded
        order = sorted(range(len(tensors)), key=lambda i: tensors[i].shape[-1])
        rows: list[tuple[list[float], bool | None]] = [([], None)] * len(tensors)
        for start in range(0, len(order), BATCH_SIZE):
            members = order[start : start + BATCH_SIZE]
            batch = [part.to(self.device) for part in self._transform.collate([tensors[i] for i in members])]
            known: list[bool | None] = [None] * len(members)
            if self._ood is None:
                logits: Tensor = self._network(*batch)
            else:
                logits, ood_scores = self._ood.answer(*batch)
                known = (ood_scores <= self._ood.threshold).tolist()
            # in double precision the probabilities sum to 1 to the last digit that anyone prints
            probabilities = calibrate(logits.cpu(), self._calibration.temperature, self._calibration.ceiling).tolist()
            for i, row, is_known in zip(members, probabilities, known, strict=True):
                rows[i] = (row, is_known)
        return rows

    def _prediction(self, row: Sequence[float], known: bool | None, notes: tuple[Message, ...]) -> Prediction:
        ranked = sorted(zip(self.labels, row, strict=True), key=lambda pair: -pair[1])
        inside: tuple[str, ...] = ()
        if self._threshold is not None:
            inside = tuple(label for label, share in ranked if share >= self._threshold) or (ranked[0][0],)
        return Prediction(
            ranked[0][0],
            dict(ranked),
            notes,
            known,
            inside,
            ceiling=self._calibration.ceiling,
            has_percentage=self._has_percentage,
        )


def _is_single(inputs: object) -> bool:
    """Return whether this is one input: an array is a list of images if it has a dimension more than they have."""
    if isinstance(inputs, np.ndarray):
        return inputs.ndim in (0, 2) or (inputs.ndim == 3 and inputs.shape[2] in (1, 3, 4))
    is_file = hasattr(inputs, "read")
    return isinstance(inputs, (str, bytes, Path)) or is_file or not isinstance(inputs, Iterable)


def load(source: str | os.PathLike[str], *, device: str = "auto", coverage: float = float(COVERAGE)) -> Classifier:
    """Load a checkpoint for predicting.

    Args:
        source: a folder, or "user/name" of a model on the Hub.
        device: "auto", "cuda", "mps", "xpu" or "cpu".
        coverage: share of inputs whose prediction set holds the true label: 0.9, 0.95 or 0.99.

    Raises:
        CheckpointError: the checkpoint is missing, damaged, altered or of another format.
        ConfigError: this machine has no such device, or there are no prediction sets of that coverage.
    """
    chosen = pick(device)
    wanted = f"{coverage:.2f}" if isinstance(coverage, (int, float)) else str(coverage)
    if wanted not in COVERAGES or float(wanted) != coverage:
        raise ConfigError("coverage_unknown", known=COVERAGES, value=str(coverage))
    return Classifier(checkpoint.load(source), chosen, coverage=wanted)
