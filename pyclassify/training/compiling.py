"""Compiled training steps, where they pay, and never at the price of a training that fails."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pyclassify.training.config import TrainConfig

PAYS_AFTER_S = 120.0
"""Compiling takes tens of seconds; a shorter training would not win them back."""


def pays(config: TrainConfig, device: torch.device, planned_s: float) -> bool:
    """Whether the steps should be compiled.

    Args:
        config: with what was asked for.
        device: where the steps are taken.
        planned_s: how long all epochs would take without it.
    """
    if config.compiling == "auto":
        return device.type == "cuda" and planned_s > PAYS_AFTER_S
    return config.compiling == "on"


class Compiled:
    """Calls a model in compiled form, or as it is once compiling has failed. The model's own weights are used.

    Args:
        model: any.
        say: is told of a failure in one sentence.
    """

    def __init__(self, model: nn.Module, say: Callable[[str], None]) -> None:
        self._model, self._say = model, say
        self._fast: Callable[..., Tensor] | None = torch.compile(model)

    def __call__(self, *inputs: Tensor) -> Tensor:
        """What the model gives for these inputs."""
        if self._fast is not None:
            try:
                return self._fast(*inputs)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # compilers fail in many ways, a missing C compiler is the usual one
                self._fast = None
                self._say(f"compiling failed ({type(error).__name__}), so the training goes on without it.")
        logits: Tensor = self._model(*inputs)
        return logits
