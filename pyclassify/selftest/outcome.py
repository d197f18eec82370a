"""What comes out of a checkpoint step by step, short enough to be noted, and how far two outcomes are apart."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyclassify.errors import WAY_OUT, CheckpointError
from pyclassify.image.transform import ImageTransform
from pyclassify.text.transform import TextTransform

Transform = ImageTransform | TextTransform

GRID = 8
SHORT_TOKENS = 256
LEAST = 1e-9
"""Probabilities below this are all the same."""


def settings(info: Mapping[str, Any], transform: Transform, path: Path) -> dict[str, str]:
    """A digest of each setting that answers depend on: what config.json says and has no hash of.

    Args:
        info: the content of config.json.
        transform: made from it.
        path: of config.json, for messages.

    Raises:
        CheckpointError: the temperature is none.
        KeyError, TypeError: a setting is missing, or no plain data.
    """
    parts = {
        "labels": info["labels"],
        "model": info["model"],
        "transform": info["transform"],
        "temperature": temperature(info, path),
    }
    if isinstance(transform, TextTransform):
        parts["vocabulary"] = "\n".join(transform.vocabulary)
    return {name: _digest(json.dumps(part, sort_keys=True).encode()) for name, part in parts.items()}


def temperature(info: Mapping[str, Any], path: Path) -> float:
    """What the logits are divided by; 1 where nothing was calibrated.

    Raises:
        CheckpointError: it is no number above 0.
    """
    calibration = info.get("calibration", {})
    found: Any = calibration.get("temperature", 1.0) if isinstance(calibration, dict) else None
    if type(found) not in (int, float) or not 0 < found < math.inf:
        raise CheckpointError(f"{path} notes no number above 0 as the temperature: {found!r}. {WAY_OUT}")
    return float(found)


def reading(tensor: Tensor) -> dict[str, Any]:
    """What a transform gave, in short.

    Args:
        tensor: a picture (3, H, W) uint8, H and W at least GRID, or a text (L,) int64.

    Returns:
        For a picture a digest of its pixels and, as hexadecimal digits, the mean and the contrast of each channel in
        each of GRID x GRID cells, in which a level more or less changes little. For a text how many tokens it has, and
        a digest of their ids.
    """
    if tensor.ndim == 1:
        return {"tokens": len(tensor), "ids": _digest(json.dumps(tensor.tolist()).encode())}
    pixels = tensor.double()
    mean = F.adaptive_avg_pool2d(pixels, GRID)
    contrast = (F.adaptive_avg_pool2d(pixels.square(), GRID) - mean.square()).clamp(min=0).sqrt()
    grid = torch.stack([mean, contrast]).round().to(torch.uint8)
    return {"pixels": _digest(tensor.contiguous().numpy().tobytes()), "grid": bytes(grid.flatten().tolist()).hex()}


def levels_apart(noted: str, now: str) -> float:
    """How far two pictures are apart by their grids, of 255: on average in their means or, if more, contrasts.

    Raises:
        TypeError, ValueError: `noted` is no grid.
    """
    one, other = bytes.fromhex(noted), bytes.fromhex(now)
    if len(one) != len(other):
        raise ValueError(f"a grid of {len(one)} numbers")
    apart = torch.tensor([abs(a - b) for a, b in zip(one, other, strict=True)], dtype=torch.float32)
    return float(apart.view(2, -1).mean(dim=1).max())


def ratio(noted: float, now: float) -> float:
    """How many times one probability is the other, at least 1."""
    return math.exp(abs(math.log(max(noted, LEAST) / max(now, LEAST))))


def probabilities(
    model: nn.Module, transform: Transform, tensors: Sequence[Tensor], info: Mapping[str, Any], path: Path
) -> list[list[float]]:
    """Answers as whoever uses the checkpoint gets them.

    Args:
        model: in evaluation mode.
        transform: its own.
        tensors: N inputs as the transform gave them.
        info: the content of config.json.
        path: of config.json, for messages.

    Returns:
        (N, K).

    Raises:
        CheckpointError: there is no answer, or none in numbers.
    """
    rows: list[list[float]] = [[] for _ in tensors]
    # Pictures are one batch; short texts, padded to a long one, would take several times as long.
    for is_long in (False, True):
        members = [i for i, each in enumerate(tensors) if (each.ndim == 1 and len(each) > SHORT_TOKENS) == is_long]
        if members:
            found = logits(model, transform, [tensors[i] for i in members], len(info["labels"]), path)
            for i, row in zip(members, (found.double() / temperature(info, path)).softmax(dim=1).tolist(), strict=True):
                rows[i] = row
    return rows


@torch.inference_mode()
def logits(model: nn.Module, transform: Transform, tensors: Sequence[Tensor], labels: int, path: Path) -> Tensor:
    """(N, K) for N inputs.

    Raises:
        CheckpointError: there is no answer, or none in numbers.
    """
    try:
        found: Tensor = model(*transform.collate(tensors))
    except Exception as error:  # whatever a network's layers raise
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise CheckpointError(f"{path} does not describe a usable model ({reason}). {WAY_OUT}") from error
    if found.shape != (len(tensors), labels) or not found.isfinite().all():
        raise CheckpointError(f"{path} does not describe a usable model: its answers are no numbers. {WAY_OUT}")
    return found


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
