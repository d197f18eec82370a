"""torchvision's networks, adapted to new labels: the last layer first, then all of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from itertools import islice
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.models import get_model

from pyclassify.errors import ConfigError
from pyclassify.examples import Batches
from pyclassify.image.data import drawing_shares
from pyclassify.image.weights import load_body

BODY_RATE = 0.1
"""The learning rate of all layers before the last, as a share of the last one's."""

HEAD_DECAY = 10.0
"""Weight decay of the last layer's fit, on the scale of features of variance 1; divided by the number of pictures."""


MOMENTUM = 0.1
"""Least share of a batch in the statistics of batch norms; mnasnet's own 0.0003 suits the millions of steps on ImageNet
and would leave them nearly as they are in the few hundred here."""

MEASURED = 8
"""Batches that the first statistics are measured on."""


class Pretrained(nn.Module):
    """One of torchvision's networks with a last layer for K labels.

    With weights to begin with (`adapt`), training goes in two steps, as fine-tuning from a random last layer would
    distort features that are good already (Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features"): `prepare`
    fits the last layer alone on the features of the training pictures, and then all layers learn, those before the last
    at a lower rate (Howard and Ruder 2018). Batch norms keep the statistics that they came with: those of a few
    pictures are worse. Without weights it is trained like any other network, but for its batch norms' first statistics:
    those of random weights are so far from 0 and 1 that a short training would be evaluated with what is left of these.

    Args:
        name: one of `weights.names()`.
        labels: K.
        size_px: height and width of the pictures; most networks take any.

    Raises:
        ConfigError: the network cannot have this size.
    """

    def __init__(self, *, name: str, labels: int, size_px: int) -> None:
        super().__init__()
        self.is_adapted = False
        self._name = name
        try:
            self.network = _build(name, labels, size_px)
        except (TypeError, ValueError, AssertionError) as error:
            raise ConfigError(f"{name} cannot be built for pictures of {size_px} pixels: {error}.") from error
        for each in self.modules():
            if isinstance(each, _BatchNorm):
                each.momentum = max(each.momentum or 0.0, MOMENTUM)

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, K)."""
        logits: Tensor = self.network(pictures)
        return logits

    @property
    def head(self) -> nn.Linear | nn.Conv2d:
        """The last layer with weights: a linear one, or a convolution of 1 x 1 in squeezenet."""
        return self._named_head()[1]

    def _named_head(self) -> tuple[str, nn.Linear | nn.Conv2d]:
        layers = [
            (name, each) for name, each in self.network.named_modules() if isinstance(each, nn.Linear | nn.Conv2d)
        ]
        return layers[-1]

    def adapt(self, weights: Mapping[str, Tensor] | None) -> None:
        """Begin with these weights, and train as it suits them.

        Args:
            weights: of the same network with any number of labels; none where a training goes on whose state has them.

        Raises:
            DataError: they are those of another network, or some are missing.
        """
        if weights is not None:
            load_body(self.network, weights, head=self._named_head()[0], name=self._name)
        self.is_adapted = True

    def prepare(self, batches: Batches) -> None:
        """Fit the last layer on the features of all training pictures, unchanged by augmentation.

        Of a network without weights, measure the statistics of its batch norms instead.
        """
        if self.is_adapted:
            fit_head(self.head, *self._features(batches))
        else:
            self._measure_norms(batches)

    @torch.no_grad()
    def _measure_norms(self, batches: Batches) -> None:
        norms = [each for each in self.modules() if isinstance(each, _BatchNorm)]
        momenta = [each.momentum for each in norms]
        device = next(self.parameters()).device
        for each in norms:
            each.reset_running_stats()
            each.momentum = None  # the mean over all batches
        self.train()
        for (pictures,), _ in islice(batches.epoch(0), MEASURED if norms else 0):
            self.network(pictures.to(device))
        for each, momentum in zip(norms, momenta, strict=True):
            each.momentum = momentum

    @torch.no_grad()
    def _features(self, batches: Batches) -> tuple[Tensor, Tensor]:
        """What the last layer sees, averaged over places, (N, D); and the label ids (N,)."""
        seen: list[Tensor] = []
        label_ids: list[Tensor] = []
        device = next(self.parameters()).device
        hook = self.head.register_forward_pre_hook(lambda _, inputs: seen.append(_pooled(inputs[0])))
        self.eval()
        try:
            for (pictures,), ids in batches.epoch():
                self.network(pictures.to(device))
                label_ids.append(ids.to(device))
        finally:
            hook.remove()
        return torch.cat(seen), torch.cat(label_ids)

    def parameter_groups(self, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
        """Groups for the optimizer; biases, norms and other vectors without weight decay."""
        own = {id(each) for each in self.head.parameters()}
        learning = [each for each in self.parameters() if each.requires_grad]
        body_rate = learning_rate * (BODY_RATE if self.is_adapted else 1.0)
        groups = []
        for rate, part in (
            (body_rate, [p for p in learning if id(p) not in own]),
            (learning_rate, [p for p in learning if id(p) in own]),
        ):
            groups.append({"params": [p for p in part if p.ndim > 1], "lr": rate, "weight_decay": weight_decay})
            groups.append({"params": [p for p in part if p.ndim <= 1], "lr": rate, "weight_decay": 0.0})
        return groups

    def train(self, mode: bool = True) -> Self:
        """As any module; the batch norms of a network that is adapted stay as in evaluation."""
        super().train(mode)
        for each in self.modules():
            if self.is_adapted and isinstance(each, _BatchNorm):
                each.eval()
        return self

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As any module; a state without notes of torch's releases, as in safetensors, is taken for one of today."""
        if not hasattr(state_dict, "_metadata"):  # mnasnet refuses it without
            state_dict = OrderedDict(state_dict)
            state_dict._metadata = self.state_dict()._metadata  # type: ignore[attr-defined]
        return super().load_state_dict(state_dict, strict=strict, assign=assign)


def _build(name: str, labels: int, size_px: int) -> nn.Module:
    more: dict[str, Any] = {}
    if name.startswith("vit_"):
        more["image_size"] = size_px
    elif name.startswith("maxvit_"):
        more["input_size"] = (size_px, size_px)
    elif name in ("googlenet", "inception_v3"):
        # the second outputs are for training from nothing; the weights expect pictures on their own scale
        more.update(aux_logits=False, transform_input=True, init_weights=True)
    if name.startswith("regnet_"):
        # its widths are worked out with tensors, which the meta device, where checkpoints are built, does not hold
        with torch.device("cpu"):
            return _network(name, labels, more)
    return _network(name, labels, more)


def _network(name: str, labels: int, more: Mapping[str, Any]) -> nn.Module:
    network: nn.Module = get_model(name, weights=None, num_classes=labels, **more)
    return network


def _pooled(features: Tensor) -> Tensor:
    return features.mean(dim=(2, 3)) if features.ndim == 4 else features


def fit_head(head: nn.Linear | nn.Conv2d, features: Tensor, label_ids: Tensor) -> None:
    """Set a last layer to the multinomial logistic regression of the labels on the features, with a little decay.

    The features are brought to mean 0 and variance 1, so that one decay suits all networks, and this is folded back
    into the layer. Rare labels weigh as much as they are drawn later (`drawing_shares`).

    Args:
        head: with K outputs.
        features: (N, D) float32.
        label_ids: (N,) int64.
    """
    spread = features.std(dim=0, correction=0)
    scale = spread.clamp(min=max(1e-6, 0.1 * spread.mean().item()))  # what never varied must not be blown up later
    center = features.mean(dim=0) if head.bias is not None else torch.zeros_like(spread)
    inputs = (features - center) / scale
    weight, bias = _regression(inputs, label_ids, labels=head.weight.shape[0], with_bias=head.bias is not None)
    if isinstance(head, nn.Conv2d):  # squeezenet sets what is below 0 to 0, where nothing could be learned any more
        bias = bias - functional.linear(inputs, weight, bias).min()
    with torch.no_grad():
        head.weight.copy_((weight / scale).view_as(head.weight))
        if head.bias is not None:
            head.bias.copy_(bias - (weight / scale) @ center)


def _regression(inputs: Tensor, label_ids: Tensor, *, labels: int, with_bias: bool) -> tuple[Tensor, Tensor]:
    """Weight (K, D) and bias (K,) of the regression on inputs (N, D), by L-BFGS from zero."""
    count, width = inputs.shape
    shares = drawing_shares(label_ids.cpu())
    per_picture = torch.full((count,), 1 / count) if shares is None else shares.float()
    per_picture = per_picture.to(inputs.device)
    weight = torch.zeros(labels, width, device=inputs.device, requires_grad=True)
    bias = torch.zeros(labels, device=inputs.device, requires_grad=with_bias)
    optimizer = torch.optim.LBFGS(
        [weight, bias] if with_bias else [weight], max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-5
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        losses = functional.cross_entropy(functional.linear(inputs, weight, bias), label_ids, reduction="none")
        total = (losses * per_picture).sum() + HEAD_DECAY / (2 * count) * weight.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()
