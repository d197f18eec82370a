"""A model's logits for many examples."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyclassify.examples import Batches


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[Any]:
    """The context in which a forward pass runs in the given precision."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, getattr(torch, precision))


def to_device(batch: tuple[tuple[Tensor, ...], Tensor], device: torch.device) -> tuple[tuple[Tensor, ...], Tensor]:
    """The same batch where the model is."""
    inputs, label_ids = batch
    return tuple(each.to(device, non_blocking=True) for each in inputs), label_ids.to(device, non_blocking=True)


def evaluate(model: nn.Module, batches: Batches, *, precision: str = "float32") -> tuple[float, float]:
    """Mean cross-entropy and accuracy over all examples."""
    logits, label_ids = predict_logits(model, batches, precision=precision)
    loss = functional.cross_entropy(logits, label_ids).item()
    return loss, (logits.argmax(dim=1) == label_ids).float().mean().item()


@torch.inference_mode()
def predict_logits(model: nn.Module, batches: Batches, *, precision: str = "float32") -> tuple[Tensor, Tensor]:
    """Logits (N, K) float32 and label ids (N,) of all examples, on the CPU, in the order that the batches come in."""
    model.eval()
    rows: list[Tensor] = []
    label_ids: list[Tensor] = []
    device = next(model.parameters()).device
    for batch in batches.epoch():
        inputs, ids = to_device(batch, device)
        with autocast(ids.device, precision):
            rows.append(model(*inputs).float())
        label_ids.append(ids)
    return torch.cat(rows).cpu(), torch.cat(label_ids).cpu()
