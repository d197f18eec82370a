"""Number formats that weights are stored in: float32, float16, or int8 with one scale per output.

A network always computes with float32. What is stored as int8 are matrices, kernels and embeddings with at least
`MIN_NUMBERS_PER_OUTPUT` numbers per output, beside a tensor NAME.scale; everything else is float16 there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import torch
from torch import Tensor

NumberFormat = Literal["int8", "float16", "float32"]

MIN_NUMBERS_PER_OUTPUT: Final = 16
"""Below this the scales would take much of what int8 saves, as in depthwise convolutions, and those suffer most."""

WORTH_INT8: Final = 1_000_000
"""Numbers that int8 has to halve at least; smaller files are small enough."""

_SCALE: Final = ".scale"
_LARGEST: Final = 127


def formats_for(weights: Mapping[str, Tensor]) -> tuple[NumberFormat, ...]:
    """Return the formats that make the file smaller by much, the smallest first."""
    halved_again = sum(tensor.numel() for tensor in weights.values() if _suits_int8(tensor))
    return ("int8", "float16") if halved_again >= WORTH_INT8 else ("float16",)


def pack(weights: Mapping[str, Tensor], number_format: NumberFormat) -> dict[str, Tensor]:
    """Return the tensors to store; integers stay as they are.

    Args:
        weights: a state_dict in float32.
        number_format: what `unpack` returns is the weights rounded to it.
    """
    if number_format == "float32":
        return dict(weights)
    packed = {}
    for name, tensor in weights.items():
        if number_format == "int8" and _suits_int8(tensor):
            packed[name], packed[name + _SCALE] = _to_int8(tensor)
        else:
            packed[name] = tensor.half() if tensor.is_floating_point() else tensor
    return packed


def unpack(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state_dict in float32 of the tensors that `pack` returned."""
    weights = {}
    for name, tensor in tensors.items():
        scale = tensors.get(name + _SCALE)
        if scale is not None:
            weights[name] = tensor.float() * scale.view(-1, *[1] * (tensor.dim() - 1))
        elif name.removesuffix(_SCALE) == name or name.removesuffix(_SCALE) not in tensors:
            weights[name] = tensor.float() if tensor.is_floating_point() else tensor
    return weights


def _suits_int8(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.dim() > 1 and tensor.shape[1:].numel() >= MIN_NUMBERS_PER_OUTPUT


def _to_int8(tensor: Tensor) -> tuple[Tensor, Tensor]:
    """Round to integers from -127 to 127; return them with the scale (outputs,) float32 that gives the numbers back."""
    rows = tensor.flatten(start_dim=1)
    scale = rows.abs().amax(dim=1) / _LARGEST
    # a row of zeros stays one
    rounded = (rows / scale.clamp_min(torch.finfo(scale.dtype).tiny)[:, None]).round().clamp(-_LARGEST, _LARGEST)
    return rounded.to(torch.int8).view_as(tensor), scale
