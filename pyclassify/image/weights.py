"""torchvision's networks for pictures: their names, what they were trained to see, and the weights to begin with."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from functools import cache
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import safetensors.torch
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import get_model_weights, list_models
from torchvision.transforms import InterpolationMode

from pyclassify.errors import ConfigError, DataError
from pyclassify.image.transform import ImageTransform

FIXED_SIZE = ("vit_", "maxvit_")
"""Networks that have a weight for each place of the picture, and so take one size alone."""

_INTERPOLATIONS = {InterpolationMode.BILINEAR: "bilinear", InterpolationMode.BICUBIC: "bicubic"}
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
"""torchvision's files for densenet call `norm1` and `conv1` by the names that they had in its first releases."""


@cache
def names() -> tuple[str, ...]:
    """All of torchvision's networks that give a picture a label."""
    return tuple(list_models(module=torchvision.models))


def _default(name: str) -> Any:
    return get_model_weights(name).DEFAULT


def preset(name: str, size_px: int | None = None) -> ImageTransform:
    """Pictures as torchvision's weights of this network expect them.

    Args:
        name: one of `names()`.
        size_px: height and width, if not the size that the weights were trained for.

    Raises:
        ConfigError: the network takes one size alone.
    """
    shown = _default(name).transforms()
    (own_px,) = shown.crop_size
    if size_px is not None and size_px != own_px and name.startswith(FIXED_SIZE):
        raise ConfigError(
            f"{name} takes pictures of {own_px} x {own_px} pixels alone, not of {size_px}; leave out --size or choose"
            " another --model."
        )
    return ImageTransform(
        size_px=size_px or own_px,
        mean=tuple(shown.mean),
        std=tuple(shown.std),
        crop=own_px / shown.resize_size[0],
        interpolation=_INTERPOLATIONS[shown.interpolation],
    )


def origin(name: str, source: str) -> str:
    """A sentence for the checkpoint's card: where the training began.

    Args:
        name: one of `names()`.
        source: "default", "none" or a path.
    """
    if source == "none":
        return ""
    if source != "default":
        return f"The training began with the weights in {Path(source).name}."
    weights = _default(name)
    terms = weights.meta.get("license")
    return f"The training began with torchvision's {weights}, trained on ImageNet" + (
        f", whose licence is at {terms}." if terms else "."
    )


def read(name: str, source: str) -> Mapping[str, Tensor]:
    """Weights to begin with, as a state_dict.

    Args:
        name: one of `names()`.
        source: "default" for torchvision's own, which are downloaded where they are not there yet; or a .pth or
            .safetensors file.

    Raises:
        DataError: they cannot be downloaded, or the file is missing, damaged or something else.
    """
    found = _download(name) if source == "default" else _read_file(Path(source))
    tensors = OrderedDict((str(key), each) for key, each in found.items() if isinstance(each, Tensor))
    if not tensors or len(tensors) < len(found):
        raise DataError(
            f"the file of weights given for {name}, {source}, is no state_dict: it holds more than tensors."
        )
    if hasattr(found, "_metadata"):  # by which a layer knows that its weights have the names of an older release
        tensors._metadata = found._metadata  # type: ignore[attr-defined]
    return tensors


def _download(name: str) -> Any:
    weights = _default(name)
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(weights.url).path).name
    way_out = (
        f"Fetch {weights.url} elsewhere and put it there, or give --weights FILE, or --weights none to begin with"
        " random ones."
    )
    try:
        return weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except (OSError, HTTPException, RuntimeError) as error:  # RuntimeError: the hash of what came is another
        if file.is_file():
            raise DataError(f"{file} is damaged ({_first_line(error)}); delete it and repeat the command.") from error
        raise DataError(
            f"the weights of {name} are not in {file} and cannot be downloaded ({_first_line(error)}). {way_out}"
        ) from error
    except Exception as error:  # torch reports a damaged file in many ways
        raise DataError(f"{file} is damaged ({_first_line(error)}); delete it and repeat the command.") from error


def _read_file(path: Path) -> Any:
    if not path.is_file():
        raise DataError(f"there is no file {path}; --weights takes default, none, or a .pth or .safetensors file.")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors report a damaged file in many ways
        reason = _first_line(error)
        raise DataError(f"{path} is damaged or holds more than weights ({reason}); --weights needs another.") from error
    if not isinstance(found, Mapping):
        raise DataError(f"{path} holds no state_dict but a {type(found).__name__}; --weights needs a state_dict.")
    return found


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")[:200] or type(error).__name__


def load_body(network: nn.Module, weights: Mapping[str, Tensor], *, head: str, name: str) -> None:
    """Put weights into all of a network but its last layer, whose labels are others.

    Args:
        network: one of torchvision's.
        weights: of the same network with any number of labels; with or without layers that only its training needs.
        head: the name of the last layer.
        name: of the network, for errors.

    Raises:
        DataError: they are those of another network, or some are missing.
    """
    given = OrderedDict((_current(key), each) for key, each in weights.items())
    body = OrderedDict((key, each) for key, each in given.items() if not key.startswith((f"{head}.", "aux", "Aux")))
    # Without a note of the release, as in safetensors, the names are taken for those of today; and so is the whole
    # network always, as mnasnet would change its layers to those of its first release.
    today = network.state_dict()._metadata  # type: ignore[attr-defined]
    body._metadata = {**getattr(weights, "_metadata", today), "": today[""]}  # type: ignore[attr-defined]
    try:
        missing, unknown = network.load_state_dict(body, strict=False)
    except (RuntimeError, ValueError) as error:
        raise DataError(f"the weights are not those of {name}: {_shapes(error)}.") from error
    missing = [key for key in missing if not key.startswith(f"{head}.") and not key.endswith("num_batches_tracked")]
    if missing or unknown:
        what = f"{len(missing)} of its tensors are missing, {len(unknown)} are strange to it"
        raise DataError(f"the weights are not those of {name}: {what}, such as {(missing + unknown)[0]}.")


def _current(key: str) -> str:
    """A key as it is called today, with what our own checkpoints and parallel trainings put before it taken off."""
    return _OLD_DENSENET.sub(r"\1\2", key.removeprefix("module.").removeprefix("network."))


def _shapes(error: Exception) -> str:
    """The first of the mismatches that torch lists a line each."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[min(1, len(lines) - 1)].rstrip(".") if lines else type(error).__name__
