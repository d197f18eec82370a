"""How unlike the training pictures a picture is.

Two views are of the network's answer: its energy, and how large the numbers are that the last layer sees, which shrink
where nothing known is in the picture. The others are of its surface: at a few layers from the first on, the mean and
the spread of each map, and how far these are from what they are on training pictures (Mahalanobis, as in Lee et al.
2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples"); too near, as an even colour can be, is as
strange as too far. Of noise, flat colour and text on a page they know more than the network's answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from pyclassify.examples import Batches
from pyclassify.known import Scale, Taps, View, checked, device_of, energy, fit_scale

LAYERS: Final = 4
"""Layers that the surface is seen at: the first, and those after a quarter, a half and three quarters of the rest."""

DIRECTIONS: Final = 32
"""Of the statistics of a layer: those that vary most over the training pictures."""

MOST_STATISTICS: Final = 2048
"""Of more, neighbours are averaged, so that what is kept of any network stays below 600 kB."""

SAMPLES: Final = 5_000
"""Training pictures that statistics are measured on."""

MOST_VALIDATION: Final = 10_000

KINDS: Final = (nn.Conv2d, nn.Linear)


def fit(
    model: nn.Module, train: Batches, validation: Batches, *, transform: object = None
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Measure what training pictures look like, and from which strangeness on a picture is to be refused.

    Args:
        model: logits (N, K) = model(*inputs), trained.
        train: what it was trained on; SAMPLES of them are looked at.
        validation: what it was not trained on; sets the scales and the threshold.
        transform: not needed here; the twin for text has it.

    Returns:
        Plain data and small tensors, for `Known`.
    """
    del transform
    model.eval()
    names = _layers(model, next(_some(train, 2, device_of(model))))
    config: dict[str, Any] = {"layers": names[:-1], "head": names[-1]}
    tensors: dict[str, Tensor] = {}
    for name, found in _statistics(model, names, train).items():
        tensors.update({f"{name}.{part}": each for part, each in _main_directions(found).items()})
    views = _Views(model, config, tensors)
    with torch.inference_mode():
        values = torch.cat([views(*inputs)[1] for inputs in _some(validation, MOST_VALIDATION, device_of(model))])
    views.remove()
    scale, knots = fit_scale(values.tolist(), views.all)
    return {**config, **scale}, {**{name: each.cpu().contiguous() for name, each in tensors.items()}, **knots}


class Known:
    """Answers, and says how unlike the training pictures each picture is.

    Any number of threads may ask at once. Made where the network is to run: later moves are not followed.

    Args:
        model: the network that `fit` was given, in evaluation mode.
        config: of `fit`.
        tensors: of `fit`.

    Raises:
        ValueError: what is given does not fit together.
    """

    def __init__(self, model: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        here = {name: each.to(device_of(model)) for name, each in tensors.items()}
        self._views = _Views(model, config, here)
        self._scale = Scale(config, here, self._views.all)
        self.threshold = self._scale.threshold
        self.names = [view.name for view in self._views.all]

    @torch.inference_mode()
    def answer(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The network's inputs to its logits (N, K), and the strangeness (N,); above `threshold` it is refused."""
        logits, values = self._views(*inputs)
        return logits, self._scale(values.tolist())

    @torch.inference_mode()
    def surprises(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The same with the surprise of each view by itself, (N, V), in the order of `names`."""
        logits, values = self._views(*inputs)
        return logits, torch.tensor(self._scale.surprises(values.tolist()))


class _Views:
    def __init__(self, model: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        names, head = config.get("layers"), config.get("head")
        if not isinstance(names, list) or not all(isinstance(each, str) for each in (*names, head)):
            raise ValueError("layers and head must be names of layers")
        self._head, self._surface = str(head), list(names)
        modules = dict(model.named_modules())
        outputs = {name: _statistics_of(modules[name]) for name in names if name in modules}
        self._taps = Taps(model, outputs=outputs, inputs={self._head: _size})
        self._layers = [_Layer(modules.get(name), name, tensors) for name in names]
        self.all = [View(name="energy", is_surface=False), View(name="size", is_surface=False)]
        self.all += [View(name=name, is_surface=True, is_two_sided=True) for name in names]

    def remove(self) -> None:
        """Leave the network as it was."""
        self._taps.remove()

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, K), and what each view says (N, V)."""
        logits, seen = self._taps(*inputs)
        far = [layer(seen[name]) for name, layer in zip(self._surface, self._layers, strict=True)]
        return logits, torch.stack([energy(logits), -seen[self._head], *far], dim=1)


class _Layer:
    """How far a layer's statistics are from those of the training pictures."""

    def __init__(self, module: nn.Module | None, name: str, tensors: Mapping[str, Tensor]) -> None:
        outputs = getattr(module, "out_channels", None) or getattr(module, "out_features", None)
        if not isinstance(outputs, int):
            raise ValueError(f"the network has no layer {name!r} that statistics are taken of")
        count = min(2 * outputs, MOST_STATISTICS)
        center = checked(tensors, f"{name}.center", (count,)).float()
        scale = checked(tensors, f"{name}.scale", (count,)).float()
        given = tensors.get(f"{name}.directions")
        width = given.shape[1] if given is not None and given.ndim == 2 else 0
        self._directions = scale.unsqueeze(1) * checked(tensors, f"{name}.directions", (count, width)).float()
        self._center = center @ self._directions
        self._width = max(1, width)

    def __call__(self, statistics: Tensor) -> Tensor:
        """(N, S) to (N,): the logarithm of the mean squared distance along the main directions."""
        squares = (statistics @ self._directions - self._center).square().sum(dim=1)
        distance: Tensor = (squares / self._width + 1e-6).log()
        return distance


def _size(features: Tensor) -> Tensor:
    size: Tensor = torch.linalg.vector_norm(features.flatten(1).float(), dim=1)
    return size


def _statistics_of(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    """The mean and the spread of each map: of (N, C, H, W) of a convolution, of (N, ..., C) of a linear layer."""

    def of_maps(output: Tensor) -> Tensor:
        maps = output.float()
        places = tuple(range(1, maps.ndim - 1)) if isinstance(layer, nn.Linear) else tuple(range(2, maps.ndim))
        mean = maps.mean(dim=places) if places else maps
        # torch.var would copy maps whose channels come last, at ten times the cost
        square = (maps * maps).mean(dim=places) if places else maps * maps
        found = torch.cat([mean, (square - mean * mean).clamp(min=0).sqrt()], dim=1)
        return found if found.shape[1] <= MOST_STATISTICS else functional.adaptive_avg_pool1d(found, MOST_STATISTICS)

    return of_maps


def _some(batches: Batches, most: int, device: torch.device) -> Iterator[tuple[Tensor, ...]]:
    """About so many inputs, spread over all batches, as they are without augmentation."""
    share = min(1.0, most / batches.examples)
    for inputs, label_ids in batches.epoch():
        count = max(1, round(share * len(label_ids)))
        yield tuple(each[:count].to(device) for each in inputs)


@torch.inference_mode()
def _layers(model: nn.Module, inputs: tuple[Tensor, ...]) -> list[str]:
    """The names of the layers to look at, in the order in which they run; the last of all comes last."""
    ran: dict[str, None] = {}

    def note(name: str) -> Callable[[Any, Any, Tensor], None]:
        # what works on parts of pictures, as windows, has another first size
        return lambda _, __, output: ran.setdefault(name) if len(output) == len(inputs[0]) else None

    hooks = [each.register_forward_hook(note(name)) for name, each in model.named_modules() if isinstance(each, KINDS)]
    try:
        model(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    *before, head = ran
    chosen = {round(step * (len(before) - 1) / LAYERS) for step in range(LAYERS)} if before else set()
    return [*(before[position] for position in sorted(chosen)), head]


@torch.inference_mode()
def _statistics(model: nn.Module, names: list[str], train: Batches) -> dict[str, Tensor]:
    """The statistics (N, S) of each layer but the last."""
    modules = dict(model.named_modules())
    taps = Taps(model, outputs={name: _statistics_of(modules[name]) for name in names[:-1]}, inputs={})
    rows = [taps(*inputs)[1] for inputs in _some(train, SAMPLES, device_of(model))]
    taps.remove()
    return {name: torch.cat([row[name] for row in rows]) for name in names[:-1]}


def _main_directions(statistics: Tensor) -> dict[str, Tensor]:
    """Of (N, S): the mean, 1 over the spread, and the directions of the largest variance, brought to variance 1."""
    center, spread = statistics.mean(dim=0), statistics.std(dim=0, correction=0)
    scale = 1 / spread.clamp(min=max(1e-6, 1e-2 * spread.mean().item()))
    inputs = ((statistics - center) * scale).double()
    variances, directions = torch.linalg.eigh(inputs.T @ inputs / len(inputs))
    width = max(1, min(DIRECTIONS, len(center), len(inputs) // 8))
    variances, directions = variances[-width:], directions[:, -width:]
    lengths = variances.clamp(min=max(1e-6, 1e-4 * variances[-1].item())).rsqrt()
    return {"center": center, "scale": scale, "directions": (directions * lengths).half()}
