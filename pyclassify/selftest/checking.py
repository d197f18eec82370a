"""Make the self-test of a checkpoint, and compare with it."""

from __future__ import annotations

import tempfile
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pyclassify import provenance
from pyclassify.errors import WAY_OUT, CheckpointError, InputError
from pyclassify.image.transform import ImageTransform
from pyclassify.selftest import outcome
from pyclassify.selftest.inputs import KEY, MOST_INPUTS, given, pictures, texts
from pyclassify.selftest.outcome import Transform
from pyclassify.text.transform import TextTransform

LEVELS = 1.0
"""How far the pixels of a picture may be from those noted, of 255, on average over a grid.

Decoders of JPEG differ by a level here and there, which is 0.3 on average, and 0.7 where a cell is one pixel. Another
filter for resizing is 1.8 off; what is not turned, is cut otherwise or has its colours in another order is tens off.
"""

SETTINGS = {
    "labels": "the labels in {config} are not those",
    "model": "the network that {config} describes is not the one",
    "transform": "the transform that {config} describes is not the one",
    "temperature": "the temperature in {config} is not the one",
    "vocabulary": "the tokens in {vocabulary} are not those",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What an answer may be off.

    Args:
        share: how far a probability may be from the one noted.
        ratio: how many times one may be the other. Where a network is sure, a damage may move no probability far; how
            small the small ones are shows it.
    """

    share: float
    ratio: float


SAME_INPUT = Tolerance(share=0.005, ratio=1.05)
"""Compared is float32 on the CPU. Other instructions (AVX512, AVX2, neither), another number of threads and another
order of memory move a probability by less than 0.000001, and by 1.00001 times."""

NEAR_INPUT = Tolerance(share=0.05, ratio=1.5)
"""Each pixel a level more, a level less or the same, drawn by chance, moves one by 0.02 and by 1.15 times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Noted:
    """One input and what came out for it.

    Args:
        name: for people, such as "a drawing".
        given: what the transform takes.
        reading: what the transform gave, as from `outcome.reading`.
        probabilities: by label.
    """

    name: str
    given: Path | str
    reading: Mapping[str, Any]
    probabilities: dict[str, float]


def make(
    model: nn.Module, transform: Transform, info: Mapping[str, Any], path: Path
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Draw and write the inputs, and note what comes out for them.

    Args:
        model: with the weights that are shipped, in evaluation mode, float32, on the CPU.
        transform: the one that is shipped.
        info: the content of config.json.
        path: of config.json, for messages.

    Returns:
        What belongs into config.json under KEY, and files by name.

    Raises:
        CheckpointError: there is no answer to them, or none in numbers.
    """
    drawn = pictures() if isinstance(transform, ImageTransform) else []
    inputs = texts(transform) if isinstance(transform, TextTransform) else [each for each, _ in drawn]
    files = {each["file"]: content for each, content in drawn}
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        tensors = [transform(given(each, Path(folder))).tensor for each in inputs]  # type: ignore[arg-type]
    rows = outcome.probabilities(model, transform, tensors, info, path)
    noted = [
        {**each, "reading": outcome.reading(tensor), "probabilities": _by_label(info, row)}
        for each, tensor, row in zip(inputs, tensors, rows, strict=True)
    ]
    return {"versions": _versions(), "settings": outcome.settings(info, transform, path), "inputs": noted}, files


def check(model: nn.Module, transform: Transform, info: Mapping[str, Any], path: Path) -> None:
    """Compare what comes out for the inputs with what is noted.

    Args:
        model: as loaded, in evaluation mode, on the CPU.
        transform: as loaded.
        info: the content of config.json, with KEY.
        path: of config.json.

    Raises:
        CheckpointError: something came out otherwise, and why; or the self-test itself cannot be read.
    """
    try:
        noted = _parse(info, path.parent)
        _check_settings(transform, info, path)
        tensors = [_read(each, transform, path) for each in noted]
        tolerances = [_check_reading(*each, info, path) for each in zip(noted, tensors, strict=True)]
        rows = outcome.probabilities(model, transform, tensors, info, path)
        for each, row, tolerance in zip(noted, rows, tolerances, strict=True):
            _check_answer(each, _by_label(info, row), tolerance, info, path)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError) as error:
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        raise CheckpointError(f"the self-test in {path} is incomplete or wrong ({reason}). {WAY_OUT}") from error


def try_out(model: nn.Module, transform: Transform, info: Mapping[str, Any], path: Path) -> None:
    """One answer to nothing much, where there is no self-test.

    What does not fit together shows here, and not with the first visitor.

    Raises:
        CheckpointError: there is no answer, or none in numbers.
    """
    size_px = transform.size_px if isinstance(transform, ImageTransform) else 0
    sample = torch.zeros((3, size_px, size_px), dtype=torch.uint8) if size_px else torch.ones(1, dtype=torch.int64)
    outcome.logits(model, transform, [sample], len(info["labels"]), path)


def _by_label(info: Mapping[str, Any], row: list[float]) -> dict[str, float]:
    return {label: float(f"{each:.6g}") for label, each in zip(info["labels"], row, strict=True)}


def _parse(info: Mapping[str, Any], folder: Path) -> list[_Noted]:
    inputs = info[KEY]["inputs"]
    if not isinstance(inputs, list) or not 1 <= len(inputs) <= MOST_INPUTS:
        raise ValueError(f"a self-test has from 1 to {MOST_INPUTS} inputs")
    return [
        _Noted(
            name=str(each["name"]),
            given=given(each, folder),
            reading=each["reading"],
            probabilities={str(label): float(value) for label, value in each["probabilities"].items()},
        )
        for each in inputs
    ]


def _check_settings(transform: Transform, info: Mapping[str, Any], path: Path) -> None:
    noted = info[KEY]["settings"]
    for part, digest in outcome.settings(info, transform, path).items():
        if noted.get(part, digest) != digest:  # a part that is not noted was no setting when this was made
            what = SETTINGS[part].format(config=path, vocabulary=path.with_name("vocab.txt"))
            raise CheckpointError(
                f"{what} that the checkpoint was made with: the file was edited or damaged. {WAY_OUT} If the change is"
                " meant, pyclassify.checkpoint.add_selftest(folder) notes it."
            )


def _read(noted: _Noted, transform: Transform, path: Path) -> Tensor:
    try:
        return transform(noted.given).tensor  # type: ignore[arg-type]  # the kind decides which of both it is
    except InputError as error:
        raise CheckpointError(
            f"{path.parent} does not pass its self-test: {noted.name} cannot be read here. {error}"
        ) from error


def _check_reading(noted: _Noted, tensor: Tensor, info: Mapping[str, Any], path: Path) -> Tolerance:
    now, before = outcome.reading(tensor), noted.reading
    exact = "pixels" if tensor.ndim == 3 else "ids"
    if now[exact] == before[exact]:
        return SAME_INPUT
    if tensor.ndim == 3:
        apart = outcome.levels_apart(before["grid"], now["grid"])
        if apart <= LEVELS:
            return NEAR_INPUT
        how = f"its pixels are {apart:.1f} levels of 255 off on average, where {LEVELS:g} is allowed"
        cause = "Pillow or numpy reads pictures otherwise here, or another PyClassify does"
    else:
        how = f"{before['tokens']} tokens have become {now['tokens']}"
        if before["tokens"] == now["tokens"]:
            how = f"its {now['tokens']} tokens have other ids"
        cause = "another tokeniser or another Unicode is at work here"
    raise CheckpointError(
        f"{path.parent} does not pass its self-test: {noted.name} is read otherwise than when the checkpoint was made,"
        f" {how}. All files and settings are the same, so {cause}. {_compared(info)}"
    )


def _check_answer(
    noted: _Noted, now: Mapping[str, float], tolerance: Tolerance, info: Mapping[str, Any], path: Path
) -> None:
    """Compare the probabilities, beginning with the one that moved most."""
    for label, after in sorted(now.items(), key=lambda pair: -abs(pair[1] - noted.probabilities[pair[0]])):
        before = noted.probabilities[label]
        if abs(after - before) > tolerance.share or not outcome.ratio(before, after) <= tolerance.ratio:
            raise CheckpointError(
                f"{path.parent} does not pass its self-test: to {noted.name} the probability of {label!r} was"
                f" {before:.3g} and is {after:.3g}, where {tolerance.share:g} more or less is allowed, and"
                f" {tolerance.ratio:g} times. It was read as it should be, so model.safetensors is damaged although its"
                f" SHA-256 fits, or torch or PyClassify computes otherwise here. {_compared(info)}"
            )


def _versions() -> dict[str, str]:
    return {**provenance.versions("pillow", "numpy"), "unicode": unicodedata.unidata_version}


def _compared(info: Mapping[str, Any]) -> str:
    """What is installed in another version than when the self-test was made, and the way out."""
    noted, here = info[KEY].get("versions") or info.get("versions") or {}, _versions()
    differing = [
        f"{name} {noted[name]} then, {here.get(name, 'none')} here" for name in noted if noted[name] != here.get(name)
    ]
    if not differing:
        return f"All versions are those of then. {WAY_OUT}"
    return f"Versions: {'; '.join(differing)}. Install those of then, train it again or download it anew."
