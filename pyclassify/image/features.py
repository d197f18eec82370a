"""The interface of the networks for pictures: logits together with the features that they are made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from typing import NamedTuple

from torch import Tensor, nn


class Features(NamedTuple):
    """Intermediate results of a network.

    Args:
        logits: (N, K).
        pooled: input of the last layer, (N, ...).
        maps: output of each convolution and linear layer before the last one, by the name of the module, in the order
            in which they run; (N, C, H, W) or (N, ..., C).
    """

    logits: Tensor
    pooled: Tensor
    maps: dict[str, Tensor]


Extractor = Callable[[Tensor], Features]


class ImageNetwork(nn.Module, ABC):
    """Base class of the networks for pictures."""

    @property
    def head_name(self) -> str:
        """Name of the last layer with weights."""
        return "linear"

    @abstractmethod
    def features(self, images: Tensor) -> Features:
        """Run the network on (N, 3, H, W) and return what it computes on the way."""

    def extractor(self, layers: Collection[str] | None = None) -> Extractor:
        """Return a function like `features` that is fast when it is called often and that many threads may call.

        Make it when the network is where it will run: it need not follow the network to another device.

        Args:
            layers: names of the maps that are needed; by default all.
        """
        del layers  # `features` of a network of our own costs nothing more than its logits
        return self.features

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K)."""
        return self.features(images).logits
