"""The interface of the networks for pictures: logits together with the features that they are made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pyclassify.dataset import Batches
from pyclassify.errors import DataError
from pyclassify.image.transfer import HeadFit, fit_head

BODY_RATE: Final = 0.1
"""Learning rate of all layers before the last, as a share of the last one's, while training pictures are few."""

MANY_EXAMPLES: Final = 5_000
"""From so many training pictures on, all layers learn at the same rate."""


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
    """Base class of the networks for pictures.

    With weights to begin with (`adapt`), training takes two steps, since fine-tuning from a random last layer distorts
    features that are good already (Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features"): `prepare` fits
    the last layer alone to the features of the training pictures, and then, if there are epochs, all layers learn,
    those before the last at a lower rate (Howard and Ruder 2018).
    """

    is_adapted = False
    """Flag of transfer learning: the training begins with weights that were trained before."""
    is_fine_tuned = False
    """Flag of fine-tuning: all layers of an adapted network were trained after the cross-validation of the last."""
    logit_scale = 1.0
    """Divisor of the last layer's outputs."""
    _adapts_body = False
    _head_fit: HeadFit | None = None
    _fitted_features: Tensor | None = None

    @property
    def head_name(self) -> str:
        """Name of the last layer with weights."""
        return "linear"

    @property
    def head(self) -> nn.Linear | nn.Conv2d:
        """The last layer with weights: a linear one, or a 1 x 1 convolution in squeezenet."""
        head: Any = self.get_submodule(self.head_name)
        return head  # type: ignore[no-any-return]

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

    def for_inference(self) -> ImageNetwork:
        """Return a network with the same answers that may be faster and cannot be trained."""
        return self

    # Transfer learning

    def adapt(self, weights: Mapping[str, Tensor] | None) -> None:
        """Begin with the weights of all layers but the last, and train in two steps.

        Args:
            weights: of the same network with any number of labels; None if they are loaded later, from the state of a
                training or from a checkpoint.

        Raises:
            DataError: they are those of another network, or some are missing.
        """
        if weights is not None:
            self._load_body(weights)
        self.is_adapted = True

    def _load_body(self, weights: Mapping[str, Tensor]) -> None:
        body = OrderedDict((key, value) for key, value in weights.items() if not key.startswith(f"{self.head_name}."))
        load_body(self, body, head=self.head_name, name=type(self).__name__)

    def prepare(self, batches: Batches) -> None:
        """Fit the last layer of an adapted network to the features of all training pictures and their mirror images.

        Whether pictures are mirrored is up to the batches.
        """
        if not self.is_adapted:
            return
        self._adapts_body = batches.num_examples >= MANY_EXAMPLES
        # twice the time, which many pictures do not need
        mirrors = getattr(batches, "mirrors", False) and not self._adapts_body
        views, label_ids = self._head_inputs(batches, mirrors=mirrors)
        self._head_fit = fit_head(self.head, views, label_ids)
        self._fitted_features = views[0]
        with torch.no_grad():
            for parameter in self.head.parameters():
                parameter.mul_(self.logit_scale)

    def out_of_fold(self) -> tuple[Tensor, Tensor] | None:
        """Return logits (M, K) of M training pictures, each by a last layer fitted without it, and label ids (M,)."""
        if self._head_fit is None or self.is_fine_tuned:
            return None
        return self._head_fit.logits, self._head_fit.label_ids

    def fitted_features(self) -> Tensor | None:
        """Return the features (N, D) that the last layer was fitted to; None without any, or after fine-tuning."""
        return None if self.is_fine_tuned else self._fitted_features

    @torch.no_grad()
    def _head_inputs(self, batches: Batches, *, mirrors: bool) -> tuple[Tensor, Tensor]:
        """Return the inputs of the last layer, (V, N, D), upright and mirrored if asked for, and label ids (N,)."""
        network, device = self.eval().for_inference(), next(self.parameters()).device
        views: list[list[Tensor]] = [[], []] if mirrors else [[]]
        seen: list[Tensor] = []
        label_ids = []
        hook = network.head.register_forward_pre_hook(lambda _, inputs: seen.append(average_places(inputs[0])))
        try:
            for (images,), ids in batches.epoch():
                label_ids.append(ids)
                for view, is_mirrored in zip(views, (False, True), strict=False):
                    network(images.flip(3).to(device) if is_mirrored else images.to(device))
                    view.append(seen.pop())
        finally:
            hook.remove()
        return torch.stack([torch.cat(view) for view in views]), torch.cat(label_ids).to(device)

    def parameter_groups(self, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
        """Return groups for the optimizer; biases, norms and other vectors without weight decay."""
        head_ids = {id(parameter) for parameter in self.head.parameters()}
        learning = [parameter for parameter in self.parameters() if parameter.requires_grad]
        body_rate = learning_rate * (BODY_RATE if self.is_adapted and not self._adapts_body else 1.0)
        groups = []
        for rate, part in (
            (body_rate, [p for p in learning if id(p) not in head_ids]),
            (learning_rate, [p for p in learning if id(p) in head_ids]),
        ):
            groups.append({"params": [p for p in part if p.ndim > 1], "lr": rate, "weight_decay": weight_decay})
            groups.append({"params": [p for p in part if p.ndim <= 1], "lr": rate, "weight_decay": 0.0})
        return groups

    def train(self, mode: bool = True) -> Self:
        """Set the mode as in any module; the batch norms of an adapted network stay in evaluation mode.

        The statistics that they came with are better than those of a few pictures, and no worse than those of many.
        """
        super().train(mode)
        if self.is_adapted:
            for layer in self.modules():
                if isinstance(layer, _BatchNorm):
                    layer.eval()
        return self


def average_places(features: Tensor) -> Tensor:
    """Average (N, D, H, W) over places to (N, D); (N, D) stays as it is."""
    return features.mean(dim=(2, 3)) if features.ndim == 4 else features


def load_body(
    network: nn.Module, body: Mapping[str, Tensor], *, head: str, name: str, optional: tuple[str, ...] = ()
) -> None:
    """Load weights into all of a network but its last layer, whose labels are others.

    Args:
        network: to load them into.
        body: weights by name, without those of the last layer.
        head: name of the last layer.
        name: of the network, for errors.
        optional: endings of the names that may be missing.

    Raises:
        DataError: they are those of another network, or some are missing.
    """
    try:
        missing, unknown = network.load_state_dict(body, strict=False)
    except (RuntimeError, ValueError) as error:
        raise DataError("weights_mismatch", name=name, reason=_first_mismatch(error)) from error
    missing = [key for key in missing if not key.startswith(f"{head}.") and not key.endswith(optional)]
    if missing or unknown:
        counts = {"missing": len(missing), "unknown": len(unknown)}
        raise DataError("weights_incomplete", name=name, example=(missing + unknown)[0], **counts)


def _first_mismatch(error: Exception) -> str:
    """Return the first of the mismatches that torch lists line by line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[min(1, len(lines) - 1)].rstrip(".") if lines else type(error).__name__
