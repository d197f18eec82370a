"""Explanations of pictures: which parts speak for a label and which against it, and drawing them over the picture."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from pyclassify.image.transform import ImageSource, ImageTransform, open_image, upright_size

STEPS: Final = 4
"""Pictures between the blurred and the whole one whose gradients are averaged; on validation pictures, 8 ranked the
parts no better."""

MAX_MULTIPLICATIONS: Final = 7_000_000_000
"""Limit for the forward passes of all steps together: a large network takes fewer steps, so that nobody waits long."""

BLUR: Final = 0.1
"""Standard deviation of the blur, as a share of the picture's side. It removes the shapes and, unlike grey or black,
keeps the light and the colours."""

GRAIN: Final = 1 / 32
"""Standard deviation of the smoothing, as a share of the picture's side: gradients of single pixels are grainy."""

ROUNDING: Final = 1e-4
"""Less than a fiftieth of one level of brightness: the blur of a plain surface counts as that surface."""

MAX_SIDE_PX: Final = 1600
"""Longer side of the largest picture that is drawn; no screen shows more."""

STRENGTH: Final = 0.75
_FOR, _AGAINST = (230, 110, 0), (0, 90, 200)
"""Orange and blue, which people with any of the usual colour blindnesses tell apart."""

Heat = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class ImageExplanation:
    """Evidence for and against a label in the parts of a picture.

    Args:
        label: the one that is explained.
        probability: of the label.
        seen: (S, S) float32 from -1 to 1, the heat of what the network saw: above 0 for the label, below against it.
        box: left, top, right and bottom of what the network saw, as shares of the picture's width and height.
        size_px: width and height of the picture as a person sees it.
    """

    label: str
    probability: float
    seen: Heat
    box: tuple[float, float, float, float]
    size_px: tuple[int, int]

    @property
    def heat(self) -> Heat:
        """(H, W) float32 from -1 to 1 at the picture's own size; 0 where the network did not look."""
        return self.scaled(*self.size_px)

    def scaled(self, width_px: int, height_px: int) -> Heat:
        """Return the heat of the whole picture at another size, (height_px, width_px) float32."""
        left, right = (round(share * width_px) for share in self.box[::2])
        top, bottom = (round(share * height_px) for share in self.box[1::2])
        size = (max(1, right - left), max(1, bottom - top))
        inside = Image.fromarray(self.seen).resize(size, Image.Resampling.BILINEAR)
        result = np.zeros((height_px, width_px), dtype=np.float32)
        part = result[top : top + inside.height, left : left + inside.width]
        part[...] = np.asarray(inside)[: part.shape[0], : part.shape[1]]
        return result

    def over(self, source: ImageSource, *, strength: float = STRENGTH) -> Image.Image:
        """Draw the heat over the picture that was explained; see `overlay`."""
        return self.layers(source, strength=strength)[1]

    def layers(self, source: ImageSource, *, strength: float = STRENGTH) -> tuple[Image.Image, Image.Image]:
        """Return the picture that was explained and the same with the heat over it, to fade from one to the other."""
        image = open_to_draw(source)
        return image, overlay(image, self.scaled(*image.size), strength=strength)


def open_to_draw(source: ImageSource) -> Image.Image:
    """Read a picture as a person sees it, RGB, with no side longer than MAX_SIDE_PX.

    Raises:
        InputError: it cannot be read.
    """
    longer, shorter = sorted(upright_size(source), reverse=True) if isinstance(source, str | Path) else (0, 0)
    # a JPEG decodes several times as fast at a reduced scale
    at_least_px = math.ceil(MAX_SIDE_PX * shorter / longer) if longer > MAX_SIDE_PX else 0
    image, _ = open_image(source, at_least_px=at_least_px)
    image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
    return image


def overlay(image: Image.Image, heat: Heat, *, strength: float = STRENGTH) -> Image.Image:
    """Draw heat over a picture: orange where it speaks for the label, blue where it speaks against it.

    The picture's own colours are paled by half, so that these two stand out.

    Args:
        image: of any size.
        heat: (H, W) from -1 to 1, of the whole picture at any size.
        strength: how much the strongest places are covered, from 0 to 1.
    """
    if heat.shape != (image.height, image.width):
        heat = np.asarray(Image.fromarray(heat.astype(np.float32)).resize(image.size, Image.Resampling.BILINEAR))
    pale = Image.blend(image.convert("RGB"), image.convert("L").convert("RGB"), 0.5)
    for colour, sign in ((_FOR, 1), (_AGAINST, -1)):
        opacity = Image.fromarray(((sign * heat).clip(0, 1) * (255 * strength)).astype(np.uint8))
        pale.paste(colour, (0, 0), opacity)
    return pale


def seen_part(transform: ImageTransform, size_px: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of what the network sees, as shares of a picture of this width and height."""
    if transform.fit == "stretch":
        return (0.0, 0.0, 1.0, 1.0)
    side = transform.crop * min(size_px)
    width, height = (side / length for length in size_px)
    return ((1 - width) / 2, (1 - height) / 2, (1 + width) / 2, (1 + height) / 2)


def attribute(
    network: nn.Module, transform: ImageTransform, pixels: Tensor, label_id: int, *, device: torch.device
) -> Heat:
    """Compute smoothed integrated gradients of a label's log-odds, from the blurred picture to the picture.

    Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks". Gradients are taken for the picture alone:
    nothing in the network changes, so that other threads may use it meanwhile.

    Args:
        network: in evaluation mode, without weights that require a gradient.
        transform: that the picture was read with.
        pixels: (3, S, S) uint8.
        label_id: position of the label among the logits.
        device: of the network.

    Returns:
        (S, S) from -1 to 1; all 0 where the picture is one plain surface.
    """
    from captum.attr import IntegratedGradients  # takes seconds to import

    (image,) = (tensor.to(device) for tensor in transform.collate([pixels]))
    plain = blur(image, BLUR * transform.size_px)
    plain = torch.where((plain - image).abs() < ROUNDING, image, plain)
    gradients = IntegratedGradients(lambda images: log_odds(network(images), label_id))
    steps = count_steps(network, transform.size_px, device)
    parts: Tensor = gradients.attribute(image, baselines=plain, n_steps=steps)
    smooth = blur(parts.sum(dim=1, keepdim=True), GRAIN * transform.size_px)[0, 0]
    heat: Heat = (smooth / smooth.abs().max().clamp(min=1e-12)).float().cpu().numpy()
    return heat


def log_odds(logits: Tensor, label_id: int) -> Tensor:
    """Return a label's log-odds against all others, (N, K) to (N,); unlike a probability, they do not saturate."""
    others = torch.cat([logits[:, :label_id], logits[:, label_id + 1 :]], dim=1)
    return logits[:, label_id] - others.logsumexp(dim=1)


def blur(images: Tensor, sigma_px: float) -> Tensor:
    """Blur (N, C, H, W) float32 by a Gaussian; outside, the edge is repeated."""
    reach = math.ceil(3 * sigma_px)
    places = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    weights = (-places.square() / (2 * sigma_px**2)).exp()
    weights = weights / weights.sum()
    flat = images.flatten(0, 1).unsqueeze(1)
    for kernel, padding in (
        (weights.view(1, 1, 1, -1), (reach, reach, 0, 0)),
        (weights.view(1, 1, -1, 1), (0, 0, reach, reach)),
    ):
        flat = functional.conv2d(functional.pad(flat, padding, mode="replicate"), kernel)
    return flat.reshape(images.shape)


_STEPS: Final[WeakKeyDictionary[nn.Module, int]] = WeakKeyDictionary()


def count_steps(network: nn.Module, size_px: int, device: torch.device) -> int:
    """Return how many steps a network takes in the time that a person waits; the same on every machine."""
    if network not in _STEPS:
        multiplications = max(1, _count_multiplications(network, size_px, device))
        _STEPS[network] = max(1, min(STEPS, MAX_MULTIPLICATIONS // multiplications))
    return _STEPS[network]


@torch.no_grad()
def _count_multiplications(network: nn.Module, size_px: int, device: torch.device) -> int:
    """Count the multiplications of a forward pass with one picture, in convolutions and linear layers."""
    total = 0

    def count(layer: nn.Module, _: Any, result: Tensor) -> None:
        nonlocal total
        total += result.numel() * layer.weight[0].numel()  # type: ignore[index]

    # hooks are set on a copy that shares all parameters, since other threads may be using the network
    own = copy.deepcopy(network, {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())})
    for layer in own.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    own(torch.zeros(1, 3, size_px, size_px, device=device))
    return total
