"""Transfer learning: fit a new last layer to the features of a trained network.

The last layer is a multinomial logistic regression. Cross-validation chooses its regularisation, and its out-of-fold
answers calibrate it, so that a few dozen pictures need no validation split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyclassify.dataset import FOLDS, stratified_folds

DECAYS: Final = (1.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Weight decays to choose from, for features of variance 1; divided by the number of pictures."""

CHOOSING_EXAMPLES: Final = 4_000
"""Maximum number of pictures that choose the decay, evenly spaced among all."""

TOLERANCE: Final = 1e-5
STEPS: Final = 200
"""Limits of the optimizer: largest gradient at the end, and iterations."""


@dataclass(frozen=True, slots=True)
class HeadFit:
    """A fitted last layer.

    Args:
        decay: the one of DECAYS that was chosen.
        logits: (M, K) of M pictures, each from a fit to the other folds.
        label_ids: (M,) int64.
    """

    decay: float
    logits: Tensor
    label_ids: Tensor


def fit_head(
    head: nn.Linear | nn.Conv2d, features: Tensor, label_ids: Tensor, *, decays: Sequence[float] = DECAYS
) -> HeadFit:
    """Set a last layer to the multinomial logistic regression of labels on features.

    Features are standardised, so that one decay suits all networks, and this is folded back into the layer. Rare labels
    weigh as much as they are drawn later (`sampling_weights`).

    Args:
        head: with K outputs.
        features: (V, N, D) float32: V views of N pictures, such as upright and mirrored; or (N, D).
        label_ids: (N,) int64.
        decays: to choose from, by the loss of out-of-fold answers.
    """
    views = features if features.ndim == 3 else features.unsqueeze(0)
    num_labels, with_bias = head.weight.shape[0], head.bias is not None
    step = -(-views.shape[1] // CHOOSING_EXAMPLES)
    few, few_ids = views[:, ::step], label_ids[::step]
    folds = fold_numbers(few_ids)
    best: HeadFit | None = None
    for decay in sorted(decays, reverse=True):
        logits = _out_of_fold(few, few_ids, folds, num_labels=num_labels, with_bias=with_bias, decay=decay)
        found = HeadFit(decay, logits, few_ids)
        # of nearly equal ones the stronger decay is kept: its answers to unlike pictures are less certain
        if best is None or _loss(found) < _loss(best) - 1e-4:
            best = found
    assert best is not None
    weight, bias = _fit(views, label_ids, num_labels=num_labels, with_bias=with_bias, decay=best.decay)
    if isinstance(head, nn.Conv2d):  # squeezenet sets negative outputs to 0, where no gradient would be left
        bias = bias - functional.linear(views[0], weight, bias).min()
    with torch.no_grad():
        head.weight.copy_(weight.view_as(head.weight))
        if head.bias is not None:
            head.bias.copy_(bias)
    return best


def fold_numbers(label_ids: Tensor) -> Tensor:
    """Assign examples to folds, stratified by label: (N,) int64, always the same for the same labels (N,)."""
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(label_ids), generator=generator)
    return torch.from_numpy(stratified_folds(label_ids.cpu().numpy(), order.numpy()))


def _out_of_fold(
    views: Tensor, label_ids: Tensor, folds: Tensor, *, num_labels: int, with_bias: bool, decay: float
) -> Tensor:
    """Return logits (N, K) of the first view, each from a fit to the other folds."""
    logits = torch.zeros(len(label_ids), num_labels)
    for fold in range(FOLDS):
        inside = (folds == fold).to(views.device)
        if not inside.any() or inside.all():
            continue
        weight, bias = _fit(
            views[:, ~inside], label_ids[~inside], num_labels=num_labels, with_bias=with_bias, decay=decay
        )
        logits[inside.cpu()] = functional.linear(views[0, inside], weight, bias).cpu()
    return logits


def _loss(fit: HeadFit) -> float:
    return functional.cross_entropy(fit.logits, fit.label_ids.cpu()).item()


def _fit(views: Tensor, label_ids: Tensor, *, num_labels: int, with_bias: bool, decay: float) -> tuple[Tensor, Tensor]:
    """Return weight (K, D) and bias (K,) for features as they are."""
    features, label_ids = views.flatten(0, 1), label_ids.repeat(len(views))
    spread = features.std(dim=0, correction=0)
    scale = spread.clamp(min=max(1e-6, 0.1 * spread.mean().item()))  # features that never vary must not be amplified
    center = features.mean(dim=0) if with_bias else torch.zeros_like(spread)
    weight, bias = _regression(
        (features - center) / scale,
        label_ids,
        num_labels=num_labels,
        with_bias=with_bias,
        decay=decay / views.shape[1],
    )
    weight = weight / scale
    return weight, bias - weight @ center


def _regression(
    inputs: Tensor, label_ids: Tensor, *, num_labels: int, with_bias: bool, decay: float
) -> tuple[Tensor, Tensor]:
    """Return weight (K, D) and bias (K,) of the regression on inputs (N, D), by L-BFGS from zero."""
    from pyclassify.image.data import sampling_weights  # torchvision takes more than a second to import

    count, width = inputs.shape
    shares = sampling_weights(label_ids.cpu())
    per_image = torch.full((count,), 1 / count) if shares is None else shares.float()
    per_image = per_image.to(inputs.device)
    weight = torch.zeros(num_labels, width, device=inputs.device, requires_grad=True)
    bias = torch.zeros(num_labels, device=inputs.device, requires_grad=with_bias)
    optimizer = torch.optim.LBFGS(
        [weight, bias] if with_bias else [weight],
        max_iter=STEPS,
        line_search_fn="strong_wolfe",
        tolerance_grad=TOLERANCE,
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        losses = functional.cross_entropy(functional.linear(inputs, weight, bias), label_ids, reduction="none")
        total = (losses * per_image).sum() + decay / 2 * weight.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()
