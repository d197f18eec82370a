"""Networks for pictures; all take (N, 3, H, W) float32 and return logits (N, K)."""

from __future__ import annotations

import difflib
from typing import Any

import torch
from torch import Tensor, nn

from pyclassify.errors import ConfigError
from pyclassify.examples import printable
from pyclassify.image.whitened import WhitenedConvNet

DEFAULT = "whitened_convnet"

LOGIT_SCALE = 8.0
"""The largest of each map is large; undivided, the logits of the first steps would saturate the softmax."""


class SimpleCnn(nn.Module):
    """The tutorial's network: one 3x3 convolution with 32 maps, ReLU, 2x2 max pool and one linear layer.

    Args:
        labels: K.
        size_px: height and width of the pictures.
    """

    def __init__(self, *, labels: int, size_px: int = 32) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 32, kernel_size=3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.linear = nn.Linear(32 * (size_px // 2) ** 2, labels)

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, size_px, size_px) to (N, K)."""
        maps = self.pool(torch.relu(self.convolution(pictures)))
        logits: Tensor = self.linear(maps.flatten(1))
        return logits


class SmallConvNet(nn.Module):
    """A stem and three stages of two convolutions, each stage halving the sides, then the largest of each map.

    The layout follows what trains fastest on small pictures (Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single
    GPU"): wide, shallow, pooling early, batch norm after each convolution and a scaled linear head; here with a
    shortcut around each second convolution, and a stem that brings any input size down to about 32 x 32.

    Args:
        labels: K.
        size_px: height and width of the pictures, at least 32.
        widths: maps of the three stages.
    """

    def __init__(self, *, labels: int, size_px: int = 32, widths: tuple[int, int, int] = (64, 256, 256)) -> None:
        super().__init__()
        self.stem = _stem(max(1, size_px // 32), 32)
        before = (32, *widths[:-1])
        self.stages = nn.Sequential(*(_Stage(a, b) for a, b in zip(before, widths, strict=True)))
        self.linear = nn.Linear(widths[-1], labels)
        nn.init.zeros_(self.linear.bias)

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, K)."""
        maps = self.stages(self.stem(pictures))
        logits: Tensor = self.linear(maps.amax(dim=(2, 3)))
        return logits / LOGIT_SCALE


def _stem(stride: int, width: int) -> nn.Sequential:
    if stride == 1:
        return nn.Sequential(_Convolution(3, width), nn.GELU())
    patch = min(stride, 4)
    layers: list[nn.Module] = [nn.Conv2d(3, width, kernel_size=patch, stride=patch, bias=False), nn.BatchNorm2d(width)]
    layers.append(nn.GELU())
    if stride > patch:
        layers.append(nn.MaxPool2d(2, ceil_mode=True))
    return nn.Sequential(*layers)


class _Convolution(nn.Sequential):
    def __init__(self, before: int, after: int) -> None:
        super().__init__(
            nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(after),
        )


class _Stage(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False)
        self.pool = nn.MaxPool2d(2)
        self.norm = nn.BatchNorm2d(after)
        self.second = _Convolution(after, after)
        self.activation = nn.GELU()

    def forward(self, maps: Tensor) -> Tensor:
        halved = self.activation(self.norm(self.pool(self.first(maps))))
        result: Tensor = halved + self.activation(self.second(halved))
        return result


_NETWORKS: dict[str, type[nn.Module]] = {
    "simple_cnn": SimpleCnn,
    "small_convnet": SmallConvNet,
    DEFAULT: WhitenedConvNet,
}
NAMES = tuple(_NETWORKS)


def check_name(name: str) -> None:
    """Check that there is such a network, here or in torchvision.

    Raises:
        ConfigError: there is none; names that come near are told.
    """
    if name in NAMES:
        return
    from pyclassify.image import weights  # torchvision takes a second to import, and our own networks do without

    known = (*NAMES, *weights.names())
    if name not in known:
        near = difflib.get_close_matches(name[:100], known, n=5, cutoff=0.5)
        meant = f"perhaps {', '.join(near)}" if near else f"there are {', '.join(NAMES)}, resnet18"
        raise ConfigError(
            f"there is no network for pictures named {printable(name[:100])!r}; {meant}, or any other of torchvision's"
            " networks for classification."
        )


def build(name: str, *, labels: int, **arguments: Any) -> nn.Module:
    """A new network with random weights.

    Args:
        name: one of NAMES, or of torchvision's networks (`weights.names`).
        labels: K, the number of logits.
        arguments: what the network takes besides, such as size_px.

    Raises:
        ConfigError: the name is unknown or an argument does not fit.
    """
    check_name(name)
    if "widths" in arguments:  # JSON has lists
        arguments["widths"] = tuple(arguments["widths"])
    try:
        if name in _NETWORKS:
            return _NETWORKS[name](labels=labels, **arguments)
        from pyclassify.image.pretrained import Pretrained

        return Pretrained(name=name, labels=labels, **arguments)
    except TypeError as error:
        raise ConfigError(f"the network {name} cannot be built: {error}.") from error


@torch.no_grad()
def check_takes(model: nn.Module, size_px: int) -> None:
    """Check that a network has an answer to pictures of this size.

    Raises:
        ConfigError: it has none, as its layers leave nothing of so small a picture.
    """
    was_training = model.training
    try:
        model.eval()(torch.zeros(1, 3, size_px, size_px))
    except RuntimeError as error:
        raise ConfigError(f"the network cannot take pictures of {size_px} pixels; give a larger --size.") from error
    finally:
        model.train(was_training)
