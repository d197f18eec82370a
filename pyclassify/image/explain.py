"""Which parts of a picture speak for a label, and which against it; drawn over the picture."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from pyclassify.image.transform import ImageTransform, Picture, open_picture, upright_size

STEPS = 4
"""Pictures between the blurred and the whole one whose gradients are averaged; on validation pictures 8 of them ranked
the parts no better."""

MOST_MULTIPLICATIONS = 7_000_000_000
"""Of the forward passes of all steps together: a large network takes fewer steps, so that nobody waits for long."""

BLUR = 0.1
"""Of the picture's side: the standard deviation of the blur. It takes the shapes away and leaves what grey or black
would change as well, the light and the colours."""

GRAIN = 1 / 32
"""Of the picture's side: the standard deviation of the smoothing, as the gradients of single pixels are grainy."""

ROUNDING = 1e-4
"""Less than a fiftieth of the step from one brightness to the next: the blur of a plain surface is that surface."""

LONGEST_PX = 1600
"""The longer side of the largest picture that is drawn; no screen shows more."""

STRENGTH = 0.75
_FOR, _AGAINST = (230, 110, 0), (0, 90, 200)
"""Orange and blue, which people with any of the usual colour blindnesses tell apart."""

Heat = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class PictureExplanation:
    """Which parts of a picture speak for a label.

    Args:
        label: the one that is explained.
        probability: what the classifier gives it.
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
        """The heat of the whole picture at another size: (height_px, width_px) float32."""
        left, right = (round(each * width_px) for each in self.box[::2])
        top, bottom = (round(each * height_px) for each in self.box[1::2])
        inside = Image.fromarray(self.seen).resize(
            (max(1, right - left), max(1, bottom - top)), Image.Resampling.BILINEAR
        )
        result = np.zeros((height_px, width_px), dtype=np.float32)
        part = result[top : top + inside.height, left : left + inside.width]
        part[...] = np.asarray(inside)[: part.shape[0], : part.shape[1]]
        return result

    def over(self, picture: Picture, *, strength: float = STRENGTH) -> Image.Image:
        """The heat drawn over the picture that was explained; see `overlay`."""
        return self.layers(picture, strength=strength)[1]

    def layers(self, picture: Picture, *, strength: float = STRENGTH) -> tuple[Image.Image, Image.Image]:
        """The picture that was explained and the same with the heat over it, for fading from one to the other."""
        image = open_to_draw(picture)
        return image, overlay(image, self.scaled(*image.size), strength=strength)


def open_to_draw(picture: Picture) -> Image.Image:
    """A picture as a person sees it, RGB, with no side longer than LONGEST_PX.

    Raises:
        InputError: it cannot be read.
    """
    longer, shorter = sorted(upright_size(picture), reverse=True) if isinstance(picture, str | Path) else (0, 0)
    # a JPEG's decoder is several times as fast where it may leave out what would not be drawn
    least_px = math.ceil(LONGEST_PX * shorter / longer) if longer > LONGEST_PX else 0
    image, _ = open_picture(picture, at_least_px=least_px)
    image.thumbnail((LONGEST_PX, LONGEST_PX))
    return image


def overlay(picture: Image.Image, heat: Heat, *, strength: float = STRENGTH) -> Image.Image:
    """A picture with its heat over it: orange where it speaks for the label, blue where it speaks against it.

    The picture's own colours are taken back by half, so that these two stand out.

    Args:
        picture: of any size.
        heat: (H, W) from -1 to 1, of the whole picture at any size.
        strength: how much the strongest places are covered, from 0 to 1.
    """
    if heat.shape != (picture.height, picture.width):
        heat = np.asarray(Image.fromarray(heat.astype(np.float32)).resize(picture.size, Image.Resampling.BILINEAR))
    pale = Image.blend(picture.convert("RGB"), picture.convert("L").convert("RGB"), 0.5)
    for colour, sign in ((_FOR, 1), (_AGAINST, -1)):
        opacity = Image.fromarray(((sign * heat).clip(0, 1) * (255 * strength)).astype(np.uint8))
        pale.paste(colour, (0, 0), opacity)
    return pale


def seen_part(transform: ImageTransform, size_px: tuple[int, int]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what the network sees, as shares of a picture of this width and height."""
    if transform.fit == "stretch":
        return (0.0, 0.0, 1.0, 1.0)
    side = transform.crop * min(size_px)
    width, height = (side / each for each in size_px)
    return ((1 - width) / 2, (1 - height) / 2, (1 + width) / 2, (1 + height) / 2)


def heat(
    model: nn.Module, transform: ImageTransform, pixels: Tensor, label_id: int, *, steps: int, device: torch.device
) -> Heat:
    """Integrated gradients of the label's log-odds from the blurred picture to the picture, smoothed.

    Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks". Gradients go to the picture alone: nothing is
    changed in the network, so that other threads may use it meanwhile.

    Args:
        model: in evaluation mode, no weight of which asks for a gradient.
        transform: the one that the picture was read with.
        pixels: (3, S, S) uint8.
        label_id: the label's position among the logits.
        steps: as `steps_for` says.
        device: where the network is.

    Returns:
        (S, S) from -1 to 1; all 0 where the picture is one plain surface.
    """
    from captum.attr import IntegratedGradients  # takes seconds to import

    (picture,) = (each.to(device) for each in transform.collate([pixels]))
    plain = blurred(picture, BLUR * transform.size_px)
    plain = torch.where((plain - picture).abs() < ROUNDING, picture, plain)
    gradients = IntegratedGradients(lambda pictures: log_odds(model(pictures), label_id))
    parts: Tensor = gradients.attribute(picture, baselines=plain, n_steps=steps)
    smooth = blurred(parts.sum(dim=1, keepdim=True), GRAIN * transform.size_px)[0, 0]
    found: Heat = (smooth / smooth.abs().max().clamp(min=1e-12)).float().cpu().numpy()
    return found


def log_odds(logits: Tensor, label_id: int) -> Tensor:
    """(N, K) to (N,): the label's logit over all others together; it grows on where a probability stands still."""
    others = torch.cat([logits[:, :label_id], logits[:, label_id + 1 :]], dim=1)
    return logits[:, label_id] - others.logsumexp(dim=1)


def blurred(pictures: Tensor, sigma_px: float) -> Tensor:
    """(N, C, H, W) float32 to the same shape, blurred by a Gaussian; what lies outside is the edge repeated."""
    reach = math.ceil(3 * sigma_px)
    places = torch.arange(-reach, reach + 1, device=pictures.device, dtype=pictures.dtype)
    weights = (-places.square() / (2 * sigma_px**2)).exp()
    weights = weights / weights.sum()
    flat = pictures.flatten(0, 1).unsqueeze(1)
    for kernel, padding in (
        (weights.view(1, 1, 1, -1), (reach, reach, 0, 0)),
        (weights.view(1, 1, -1, 1), (0, 0, reach, reach)),
    ):
        flat = functional.conv2d(functional.pad(flat, padding, mode="replicate"), kernel)
    return flat.view_as(pictures) if flat.is_contiguous() else flat.reshape(pictures.shape)


def steps_for(model: nn.Module, size_px: int, device: torch.device) -> int:
    """How many steps a network can take in the time that a person waits; the same on every machine."""
    return max(1, min(STEPS, MOST_MULTIPLICATIONS // max(1, _multiplications(model, size_px, device))))


@torch.no_grad()
def _multiplications(model: nn.Module, size_px: int, device: torch.device) -> int:
    """Of a forward pass with one picture, in convolutions and linear layers."""
    total = 0

    def count(layer: nn.Module, _: Any, result: Tensor) -> None:
        nonlocal total
        total += result.numel() * layer.weight[0].numel()  # type: ignore[index]

    own = copy.deepcopy(model, {id(each): each for each in (*model.parameters(), *model.buffers())})
    for layer in own.modules():  # of the copy, which shares all numbers: others may be using the network
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    own(torch.zeros(1, 3, size_px, size_px, device=device))
    return total
