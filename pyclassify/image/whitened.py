"""The default network for pictures: whitened patches, then three wide stages."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyclassify.examples import Batches

LOGIT_SCALE = 9.0
"""The largest of each map is large; undivided, the logits of the first steps would saturate the softmax."""

LEAST_VARIANCE = 5e-4
"""Added to the variances that are divided by: directions in which patches hardly differ would be blown up to noise."""

SAMPLES = 5_000
"""Pictures that the patches are measured on."""

BIAS_RATE = 0.08
"""Of the rate of the last layer: the rate of the biases after the convolutions."""


class WhitenedConvNet(nn.Module):
    """Whitened patches, three stages of two convolutions, each stage halving the sides, then the largest of each map.

    The layout and its start are those of Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU": the first
    layer is found from the training pictures and hardly learns, convolutions begin by handing on what they get, batch
    norms have a bias and no gain. With one difference: larger pictures are cut into larger patches, so that the stages
    always see about 32 x 32 of them.

    Args:
        labels: K.
        size_px: height and width of the pictures, at least 32.
        widths: maps of the three stages.
    """

    def __init__(self, *, labels: int, size_px: int = 32, widths: tuple[int, int, int] = (64, 256, 256)) -> None:
        super().__init__()
        stride = max(1, size_px // 32)
        self.patches = _Patches(stride)
        before = (self.patches.maps, *widths[:-1])
        self.stages = nn.Sequential(*(_Stage(a, b) for a, b in zip(before, widths, strict=True)))
        self.linear = nn.Linear(widths[-1], labels, bias=False)

    def prepare(self, batches: Batches) -> None:
        """Find the first layer from pictures spread over all training data, before the first epoch."""
        share = SAMPLES / max(batches.examples, SAMPLES)
        device = next(self.parameters()).device
        taken = [pictures[: max(1, round(share * len(pictures)))] for (pictures,), _ in batches.epoch()]
        self.patches.whiten(torch.cat(taken).to(device))

    def parameter_groups(self, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
        """Filters, biases and the last layer, each with its own rate; what is found or fixed is left out."""
        layers = list(self.stages.modules())
        filters = [each.weight for each in layers if isinstance(each, nn.Conv2d)]
        biases = [self.patches.convolution.bias, *(each.bias for each in layers if isinstance(each, nn.BatchNorm2d))]
        slow = {"lr": BIAS_RATE * learning_rate, "weight_decay": weight_decay / BIAS_RATE}
        return [
            {"params": filters, "lr": learning_rate, "weight_decay": weight_decay, "normalised": True},
            {"params": biases, **slow},
            {"params": [self.linear.weight], "lr": learning_rate, "weight_decay": weight_decay},
        ]

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, K)."""
        maps = self.stages(self.patches(pictures))
        logits: Tensor = self.linear(maps.amax(dim=(2, 3)))
        return logits / LOGIT_SCALE


class _Patches(nn.Module):
    """Each patch as its share of the directions in which patches differ most, and as the negatives of these."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        side, step = (2, 1) if stride == 1 else (min(stride, 4), min(stride, 4))
        directions = min(24, 3 * side * side)
        self.maps = 2 * directions
        self.convolution = nn.Conv2d(3, self.maps, kernel_size=side, stride=step)
        self.convolution.weight.requires_grad_(False)
        nn.init.zeros_(self.convolution.bias)  # type: ignore[arg-type]
        self.shrink = stride // step

    @torch.no_grad()
    def whiten(self, pictures: Tensor) -> None:
        """Set the filters so that what they give for these pictures is uncorrelated and of variance 1.

        Args:
            pictures: (N, 3, H, W) as the network gets them.
        """
        side = self.convolution.kernel_size[0]
        patches = F.unfold(pictures, side, stride=self.convolution.stride).transpose(1, 2).reshape(-1, 3 * side * side)
        variances, directions = torch.linalg.eigh((patches.T @ patches).double() / len(patches))
        filters = (directions / (variances + LEAST_VARIANCE).sqrt()).T.flip(0)[: self.maps // 2]
        filters = filters.reshape(-1, 3, side, side)
        self.convolution.weight.copy_(torch.cat([filters, -filters]))

    def forward(self, pictures: Tensor) -> Tensor:
        maps = F.gelu(self.convolution(pictures))
        return F.max_pool2d(maps, self.shrink, ceil_mode=True) if self.shrink > 1 else maps


class _Stage(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = _convolution(before, after)
        self.first_norm = _norm(after)
        self.second = _convolution(after, after)
        self.second_norm = _norm(after)

    def forward(self, maps: Tensor) -> Tensor:
        halved = F.gelu(self.first_norm(F.max_pool2d(self.first(maps), 2)))
        return F.gelu(self.second_norm(self.second(halved)))


def _convolution(before: int, after: int) -> nn.Conv2d:
    result = nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False)
    with torch.no_grad():
        nn.init.dirac_(result.weight[: min(before, after)])
    return result


def _norm(width: int) -> nn.BatchNorm2d:
    result = nn.BatchNorm2d(width, momentum=0.2)
    result.weight.requires_grad_(False)  # the next convolution is as free without it
    return result
