"""Self-test of a checkpoint: a few inputs of our own making, and their answers when it was made.

Hashes show that a file is the one that was written. They do not show that this machine computes the same from it:
another Pillow may decode differently, another Unicode may split words differently. So when a checkpoint is loaded, the
inputs go the whole way from a file or a text to probabilities, and the first step that differs is named.

It is a sample: a damaged row of weights that no input touches is not seen.
"""

from __future__ import annotations

import math
import re
import tempfile
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import torch
from torch import Tensor

from pyclassify import manifest
from pyclassify.errors import CheckpointError, InputError
from pyclassify.evaluation import calibrate
from pyclassify.locales import DEFAULT, Message, sentences
from pyclassify.manifest import SelfTest, SelfTestInput
from pyclassify.modality import Loaded, Modality, SelfTestSource

FILES: Final = "selftest-*"
"""Pattern of the names of a self-test's files."""

MAX_FILE_BYTES: Final = 50_000
MAX_CHARACTERS: Final = 100_000
"""A checkpoint may come from anyone, so that its inputs must be small."""

_FILE_NAME: Final = re.compile(r"selftest-[a-z0-9-]+\.[a-z0-9]+")
_SHORT: Final = 256
"""Inputs are answered in two batches, of those up to this length and of longer ones."""
_LEAST_PROBABILITY: Final = 1e-9
"""Smaller probabilities are taken for equal."""


class Checkpoint(Loaded, Protocol):
    """The part of a checkpoint that a self-test needs; the network is on the CPU."""

    @property
    def modality(self) -> Modality:
        """The modality of its kind."""

    @property
    def labels(self) -> list[str]:
        """The labels in the order of the logits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """Limits within which two probabilities count as the same.

    Args:
        difference: of a probability from the noted one.
        ratio: of the two. Where a network is sure, damage may move no probability far, but shows in the small ones.
    """

    difference: float
    ratio: float

    def allows(self, noted: float, now: float) -> bool:
        """Return whether a probability is close enough to the noted one."""
        ratio = math.exp(abs(math.log(max(noted, _LEAST_PROBABILITY) / max(now, _LEAST_PROBABILITY))))
        return abs(now - noted) <= self.difference and ratio <= self.ratio


SAME_INPUT: Final = Tolerance(difference=0.005, ratio=1.05)
"""For float32 on the CPU. Other instructions (AVX512, AVX2, neither), another number of threads and another order of
memory move a probability by less than 0.000001, and by a factor of 1.00001."""

NEAR_INPUT: Final = Tolerance(difference=0.05, ratio=1.5)
"""For pictures that another decoder reads a little differently: each pixel one level more, less or the same, drawn at
random, moves a probability by 0.02 and by a factor of 1.15."""


def make(checkpoint: Checkpoint) -> tuple[SelfTest, dict[str, bytes]]:
    """Run the inputs of a kind through a checkpoint and note the answers.

    Args:
        checkpoint: on the CPU, with the weights and the transform that are shipped.

    Returns:
        The self-test for the manifest, and its files by name.

    Raises:
        CheckpointError: the network gives no answers, or none in finite numbers.
    """
    sources = checkpoint.modality.selftest_sources(checkpoint.transform)
    files = {source.file: source.content for source in sources if source.file}
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        tensors = [checkpoint.transform(_item(source, Path(folder))).tensor for source in sources]
    inputs = [
        SelfTestInput(
            name=source.name,
            file=source.file,
            text=source.text,
            times=source.times,
            reading=checkpoint.modality.reading(tensor),
            probabilities={label: float(f"{value:.6g}") for label, value in zip(checkpoint.labels, row, strict=True)},
        )
        for source, tensor, row in zip(
            sources, tensors, _probabilities(checkpoint, tensors, Path(checkpoint.name)), strict=True
        )
    ]
    return SelfTest(versions=_versions(), inputs=inputs), files


def check(checkpoint: Checkpoint, folder: Path) -> None:
    """Compare the answers of a checkpoint with the noted ones; without a self-test, ask for any answer.

    Args:
        checkpoint: as loaded, on the CPU.
        folder: that it was loaded from.

    Raises:
        CheckpointError: something differs, or the self-test cannot be used.
    """
    noted = checkpoint.manifest.selftest
    if noted is None:
        _probabilities(checkpoint, [checkpoint.transform(checkpoint.modality.sample()).tensor], folder)
        return
    try:
        tensors = [_read(checkpoint, source, folder) for source in noted.inputs]
        tolerances = [_compare_reading(checkpoint, *pair, folder) for pair in zip(noted.inputs, tensors, strict=True)]
        rows = _probabilities(checkpoint, tensors, folder)
        for source, row, tolerance in zip(noted.inputs, rows, tolerances, strict=True):
            _compare_answer(checkpoint, source, row, tolerance, folder)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError) as error:
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        raise CheckpointError("selftest_invalid", folder=folder, reason=reason) from error


def file_names(content: manifest.Manifest) -> list[str]:
    """Return the names of a self-test's files. A name cannot lead out of the folder."""
    inputs = content.selftest.inputs if content.selftest else []
    return [source.file for source in inputs if source.file and _FILE_NAME.fullmatch(source.file)]


def _item(source: SelfTestSource | SelfTestInput, folder: Path) -> Path | str:
    """Return what the transform takes. Raises ValueError or OSError if it is too large or missing."""
    if source.file is not None:
        path = folder / source.file
        if not _FILE_NAME.fullmatch(source.file) or path.stat().st_size > MAX_FILE_BYTES:
            raise ValueError(f"the file {source.file!r} is not one of a self-test")
        return path
    if source.text is None or len(source.text) * source.times > MAX_CHARACTERS:
        raise ValueError(f"the text has more than {MAX_CHARACTERS} characters, or is none")
    return source.text * source.times


def _read(checkpoint: Checkpoint, source: SelfTestInput, folder: Path) -> Tensor:
    try:
        return checkpoint.transform(_item(source, folder)).tensor
    except InputError as error:
        raise CheckpointError(
            "selftest_input_unreadable", folder=folder, input=_title(source), reason=error.message
        ) from error


def _compare_reading(checkpoint: Checkpoint, source: SelfTestInput, tensor: Tensor, folder: Path) -> Tolerance:
    is_same, difference = checkpoint.modality.compare_readings(source.reading, checkpoint.modality.reading(tensor))
    if difference is not None:
        raise CheckpointError(
            "selftest_reading_differs",
            folder=folder,
            input=_title(source),
            difference=difference,
            versions=_compare_versions(checkpoint),
        )
    return SAME_INPUT if is_same else NEAR_INPUT


def _compare_answer(
    checkpoint: Checkpoint, source: SelfTestInput, row: Sequence[float], tolerance: Tolerance, folder: Path
) -> None:
    """Compare the probabilities, beginning with the one that moved most."""
    noted = source.probabilities
    now = dict(zip(checkpoint.labels, row, strict=True))
    if now.keys() != noted.keys():
        raise ValueError("its labels are not those of the checkpoint")
    for label in sorted(now, key=lambda label: -abs(now[label] - noted[label])):
        if not tolerance.allows(noted[label], now[label]):
            raise CheckpointError(
                "selftest_answer_differs",
                folder=folder,
                input=_title(source),
                label=label,
                noted=f"{noted[label]:.3g}",
                now=f"{now[label]:.3g}",
                versions=_compare_versions(checkpoint),
            )


def _title(source: SelfTestInput) -> Message | str:
    title = Message(f"selftest.inputs.{source.name}")
    return title if title.key in sentences(DEFAULT) else source.name


def _versions() -> dict[str, str]:
    return {**manifest.versions("pillow", "numpy"), "unicode": unicodedata.unidata_version}


def _compare_versions(checkpoint: Checkpoint) -> Message:
    """Say which versions differ from those that the self-test was made with, as the likely cause."""
    noted = checkpoint.manifest.selftest.versions if checkpoint.manifest.selftest else {}
    here = _versions()
    differences = [f"{name} {noted[name]} ({here.get(name, '-')})" for name in noted if noted[name] != here.get(name)]
    return (
        Message("selftest.other_versions", {"differences": differences})
        if differences
        else Message("selftest.same_versions")
    )


def _probabilities(checkpoint: Checkpoint, tensors: Sequence[Tensor], folder: Path) -> list[list[float]]:
    """Return the calibrated probabilities of N inputs, (N, K)."""
    rows: list[list[float]] = [[] for _ in tensors]
    # short texts, padded to a long one, would take several times as long
    for is_long in (False, True):
        members = [i for i, tensor in enumerate(tensors) if (tensor.shape[-1] > _SHORT) == is_long]
        if members:
            logits = _logits(checkpoint, [tensors[i] for i in members], folder)
            calibration = checkpoint.manifest.calibration
            probabilities = calibrate(logits, calibration.temperature, calibration.ceiling)
            for i, row in zip(members, probabilities.tolist(), strict=True):
                rows[i] = row
    return rows


@torch.inference_mode()
def _logits(checkpoint: Checkpoint, tensors: Sequence[Tensor], folder: Path) -> Tensor:
    try:
        logits: Tensor = checkpoint.network(*checkpoint.transform.collate(tensors))
    except Exception as error:  # whatever the layers of a network raise
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}."
        raise CheckpointError("checkpoint_unusable", path=folder, reason=reason) from error
    if logits.shape != (len(tensors), len(checkpoint.labels)) or not logits.isfinite().all():
        raise CheckpointError("checkpoint_answers_not_finite", path=folder)
    return logits
