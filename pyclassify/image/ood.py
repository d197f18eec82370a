"""Out-of-distribution detection for pictures.

Two views are of the network's answer: its energy, and the size of the features that the last layer sees, which shrink
where nothing familiar is in the picture. The others are of the surface: at a few layers from the first on, the mean and
the spread of each map, and how far these are from those of training pictures (Mahalanobis distance, as in Lee et al.
2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples"); too near, as for an even colour, is as
unusual as too far. For noise, flat colours and pages of text they tell more than the network's answer.

The features of a network that was trained on many kinds of things before show the difference themselves. There, the
only view is the distance from the nearest training pictures (Sun et al. 2022, "Out-of-Distribution Detection with Deep
Nearest Neighbors").
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Final

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from pyclassify.dataset import Batches
from pyclassify.image.features import Extractor, ImageNetwork, average_places
from pyclassify.manifest import Ood, Section
from pyclassify.ood import Scale, View, checked_tensor, device_of, energy, fit_scale

LAYERS: Final = 4
"""Layers that the surface is seen at: the first, and those after a quarter, a half and three quarters of the rest."""

DIRECTIONS: Final = 32
"""Directions in which the statistics of a layer vary most over the training pictures."""

MAX_STATISTICS: Final = 2048
"""Most statistics of a layer; of more, neighbours are averaged, so that the tensors of a network stay below 600 kB."""

NEIGHBOURS: Final = 3
"""Rank of the training picture that the distance is taken from: the nearest may be an outlier."""

FEW_SAMPLES: Final = 24
"""Number of training pictures below which the nearest is taken: there may be no third of the same kind."""

BANK_SAMPLES: Final = 1_500
"""Maximum number of training pictures whose features are kept."""

MIN_HELD_OUT: Final = 100
"""Minimum number of held-out pictures for scale and threshold."""

_NEIGHBOUR_VIEWS: Final = (View(name="neighbours", is_surface=False),)

TRAINING_SAMPLES: Final = 5_000
VALIDATION_SAMPLES: Final = 10_000


class Settings(Section):
    """Settings of the detector in the manifest.

    Args:
        layers: names of the layers that the surface is seen at.
        head: name of the last layer.
    """

    layers: list[str]
    head: str


class NeighbourSettings(Section):
    """Settings of the detector by neighbours in the manifest.

    Args:
        neighbours: rank of the training picture that the distance is taken from.
        head: name of the last layer.
    """

    neighbours: Annotated[int, Field(ge=1)]
    head: str


def load(network: nn.Module, settings: Ood, tensors: Mapping[str, Tensor]) -> ImageOod | NeighbourOod:
    """Make the detector that the settings are of. Raises ValueError if the parts do not fit together."""
    if "neighbours" in settings.settings:
        return NeighbourOod(network, settings, tensors)
    return ImageOod(network, settings, tensors)


class _Detector(ABC):
    """Answers, and scores how unlike the training pictures each picture is; implements `modality.OodDetector`.

    Any number of threads may use it at once.

    Args:
        settings: from the fit.
        scale: fitted with it.
    """

    def __init__(self, settings: Ood, scale: Scale) -> None:
        self._scale = scale
        self.threshold: float = settings.threshold
        self.views: Sequence[str] = settings.views

    @abstractmethod
    def _measure(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, K) and the values of the views (N, V)."""

    @torch.inference_mode()
    def answer(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, K) and OOD scores (N,) of pictures (N, 3, H, W)."""
        logits, values = self._measure(*inputs)
        return logits, self._scale(values.tolist())

    @torch.inference_mode()
    def surprises(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, K) and the surprise of each view (N, V) of pictures (N, 3, H, W)."""
        logits, values = self._measure(*inputs)
        return logits, torch.tensor(self._scale.surprises(values.tolist()))


def _checked_network(network: nn.Module, head: str) -> ImageNetwork:
    """Return the network. Raises ValueError if it is none for pictures, or has another last layer."""
    if not isinstance(network, ImageNetwork):
        raise ValueError(f"a {type(network).__name__} is not a network for pictures")
    if head != network.head_name:
        raise ValueError(f"the last layer is {network.head_name!r}, not {head!r}")
    return network


class ImageOod(_Detector):
    """The detector that looks at the network's answer and at surfaces.

    Make it when the network is where it will run.

    Args:
        network: the one that `fit` was given, in evaluation mode.
        settings: from `fit`.
        tensors: from `fit`.

    Raises:
        ValueError: the parts do not fit together.
    """

    def __init__(self, network: nn.Module, settings: Ood, tensors: Mapping[str, Tensor]) -> None:
        own = Settings.model_validate(settings.settings)
        checked = _checked_network(network, own.head)
        here = {name: tensor.to(device_of(network)) for name, tensor in tensors.items()}
        self._measures = _Measures(checked, own.layers, here)
        super().__init__(settings, Scale(settings.threshold, settings.views, here, self._measures.views))

    def _measure(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self._measures(images)


class NeighbourOod(_Detector):
    """The detector that looks at the distance from the nearest training pictures.

    Args:
        network: the one that `fit_neighbours` was given, in evaluation mode.
        settings: from `fit_neighbours`.
        tensors: from `fit_neighbours`.

    Raises:
        ValueError: the parts do not fit together.
    """

    def __init__(self, network: nn.Module, settings: Ood, tensors: Mapping[str, Tensor]) -> None:
        own = NeighbourSettings.model_validate(settings.settings)
        self._extract = _checked_network(network, own.head).extractor(())
        bank = tensors.get("bank")
        if bank is None or bank.ndim != 2 or not len(bank) or bank.dtype != torch.int8:
            raise ValueError("the features of training pictures are missing")
        self._bank = functional.normalize(bank.to(device_of(network)).float(), dim=1)
        self._neighbours = min(own.neighbours, len(bank))
        super().__init__(settings, Scale(settings.threshold, settings.views, tensors, _NEIGHBOUR_VIEWS))

    def _measure(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self._extract(images)
        pooled = _flat(features.pooled)
        if pooled.shape[1] != self._bank.shape[1]:
            raise ValueError(f"a picture has {pooled.shape[1]} features, but training pictures {self._bank.shape[1]}")
        return features.logits, _distances(_similarity(pooled, self._bank), self._neighbours).unsqueeze(1)


def _flat(pooled: Tensor) -> Tensor:
    """Return features as (N, D) float32."""
    return average_places(pooled.float()).flatten(1)


def _similarity(features: Tensor, bank: Tensor) -> Tensor:
    """Return the cosine of each row of features (N, D) with each row of a normalised bank (M, D): (N, M)."""
    return functional.normalize(features, dim=1) @ bank.T


def _distances(similarity: Tensor, neighbours: int) -> Tensor:
    """Return 1 minus the cosine with the neighbour of this rank, (N,), of similarities (N, M)."""
    return 1 - similarity.topk(neighbours, dim=1).values[:, -1]


def _bank_features(network: ImageNetwork, extract: Extractor, train: Batches) -> Tensor:
    """Return the features (N, D) of at most BANK_SAMPLES training pictures, spread over all."""
    fitted = network.fitted_features()
    if fitted is not None and len(fitted) == train.num_examples:
        return fitted[:: -(-len(fitted) // BANK_SAMPLES)].float()
    return torch.cat([_flat(extract(images).pooled) for images in _samples(train, BANK_SAMPLES, device_of(network))])


@torch.inference_mode()
def fit_neighbours(network: ImageNetwork, train: Batches, held_out: Batches) -> tuple[Ood, dict[str, Tensor]]:
    """Fit the detector by neighbours, for a network that began with weights trained before.

    Args:
        network: logits (N, K) = network(images); set to evaluation mode.
        train: training pictures, of which BANK_SAMPLES are kept as features.
        held_out: pictures that the network was not trained on, for scale and threshold; if there are fewer than
            MIN_HELD_OUT, each training picture is compared with the others instead.

    Returns:
        Settings and tensors for `NeighbourOod`: a byte per feature, at most 2 MB.
    """
    extract = network.eval().for_inference().extractor(())
    device = device_of(network)
    features = _bank_features(network, extract, train)
    stored = (127 * features / features.abs().amax(dim=1, keepdim=True).clamp(min=1e-12)).round().to(torch.int8)
    bank = functional.normalize(stored.float(), dim=1)
    neighbours = NEIGHBOURS if len(bank) >= FEW_SAMPLES else 1
    if held_out.num_examples >= MIN_HELD_OUT:
        batches = _samples(held_out, VALIDATION_SAMPLES, device)
        similarity = torch.cat([_similarity(_flat(extract(images).pooled), bank) for images in batches])
    else:
        similarity = _similarity(features, bank).fill_diagonal_(-1)
    distances = _distances(similarity, neighbours)
    threshold, knots = fit_scale(distances.unsqueeze(1).tolist(), _NEIGHBOUR_VIEWS)
    settings = Ood(
        threshold=threshold,
        views=[view.name for view in _NEIGHBOUR_VIEWS],
        num_examples=len(distances),
        settings=NeighbourSettings(neighbours=neighbours, head=network.head_name).model_dump(),
    )
    return settings, {"bank": stored.cpu().contiguous(), **knots}


def fit(network: ImageNetwork, train: Batches, validation: Batches) -> tuple[Ood, dict[str, Tensor]]:
    """Fit the detector of a trained network.

    Args:
        network: logits (N, K) = network(images); set to evaluation mode.
        train: training pictures, of which TRAINING_SAMPLES are measured.
        validation: pictures that the network was not trained on, for scales and threshold.

    Returns:
        Settings and small tensors for `ImageOod`.
    """
    network.eval()
    layers = _choose_layers(network, next(_samples(train, 2, device_of(network))))
    tensors: dict[str, Tensor] = {}
    for name, statistics in _measure_statistics(network, layers, train).items():
        tensors |= {f"{name}.{part}": tensor for part, tensor in _main_directions(statistics).items()}
    measures = _Measures(network, layers, tensors)
    with torch.inference_mode():
        batches = _samples(validation, VALIDATION_SAMPLES, device_of(network))
        values = torch.cat([measures(images)[1] for images in batches]).tolist()
    threshold, knots = fit_scale(values, measures.views)
    settings = Ood(
        threshold=threshold,
        views=[view.name for view in measures.views],
        num_examples=len(values),
        settings=Settings(layers=layers, head=network.head_name).model_dump(),
    )
    return settings, {**{name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, **knots}


class _Measures:
    """The value of each view for each picture."""

    def __init__(self, network: ImageNetwork, layers: Sequence[str], tensors: Mapping[str, Tensor]) -> None:
        self._layers = [_Layer(network, name, tensors) for name in layers]
        self._extract = network.extractor(layers)
        surface = [View(name=name, is_surface=True, is_two_sided=True) for name in layers]
        self.views = [View(name="energy", is_surface=False), View(name="size", is_surface=False), *surface]

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, K) and values (N, V)."""
        features = self._extract(images)
        size = torch.linalg.vector_norm(features.pooled.flatten(1).float(), dim=1)
        distances = [layer.distance(features.maps) for layer in self._layers]
        return features.logits, torch.stack([energy(features.logits), -size, *distances], dim=1)


class _Layer:
    """The distance of a layer's statistics from those of the training pictures."""

    def __init__(self, network: ImageNetwork, name: str, tensors: Mapping[str, Tensor]) -> None:
        self._name, self._module = name, dict(network.named_modules()).get(name)
        outputs = getattr(self._module, "out_channels", None) or getattr(self._module, "out_features", None)
        if not isinstance(outputs, int) or name == network.head_name:
            raise ValueError(f"the network has no layer {name!r} with statistics")
        count = min(2 * outputs, MAX_STATISTICS)
        center = checked_tensor(tensors, f"{name}.center", (count,)).float()
        scale = checked_tensor(tensors, f"{name}.scale", (count,)).float()
        stored = tensors.get(f"{name}.directions")
        width = stored.shape[1] if stored is not None and stored.ndim == 2 else 0
        self._directions = scale.unsqueeze(1) * checked_tensor(tensors, f"{name}.directions", (count, width)).float()
        self._center = center @ self._directions
        self._width = max(1, width)

    def distance(self, maps: Mapping[str, Tensor]) -> Tensor:
        """Return the logarithm of the mean squared distance along the main directions, (N,)."""
        statistics = _statistics(maps[self._name], is_linear=isinstance(self._module, nn.Linear))
        squares = (statistics @ self._directions - self._center).square().sum(dim=1)
        return (squares / self._width + 1e-6).log()


def _statistics(maps: Tensor, *, is_linear: bool) -> Tensor:
    """Return mean and spread of each map, (N, S), of (N, C, H, W) or, from a linear layer, (N, ..., C)."""
    maps = maps.float()
    places = tuple(range(1, maps.ndim - 1)) if is_linear else tuple(range(2, maps.ndim))
    mean = maps.mean(dim=places) if places else maps
    # torch.var would copy maps whose channels come last, at ten times the cost
    square = (maps * maps).mean(dim=places) if places else maps * maps
    statistics = torch.cat([mean, (square - mean * mean).clamp(min=0).sqrt()], dim=1)
    if statistics.shape[1] <= MAX_STATISTICS:
        return statistics
    return functional.adaptive_avg_pool1d(statistics, MAX_STATISTICS)


def _samples(batches: Batches, most: int, device: torch.device) -> Iterator[Tensor]:
    """Iterate over about `most` pictures, spread over all batches, without augmentation."""
    share = min(1.0, most / batches.num_examples)
    for (images,), label_ids in batches.epoch():
        yield images[: max(1, round(share * len(label_ids)))].to(device)


@torch.inference_mode()
def _choose_layers(network: ImageNetwork, images: Tensor) -> list[str]:
    """Return the names of the layers to look at, in the order in which they run."""
    # a layer that works on parts of pictures, such as windows, has another first size
    names = [name for name, maps in network.extractor()(images).maps.items() if len(maps) == len(images)]
    positions = {round(step * (len(names) - 1) / LAYERS) for step in range(LAYERS)} if names else set()
    return [names[position] for position in sorted(positions)]


@torch.inference_mode()
def _measure_statistics(network: ImageNetwork, layers: Sequence[str], train: Batches) -> dict[str, Tensor]:
    """Return the statistics (N, S) of each layer."""
    modules, extract = dict(network.named_modules()), network.extractor(layers)
    rows: dict[str, list[Tensor]] = {name: [] for name in layers}
    for images in _samples(train, TRAINING_SAMPLES, device_of(network)):
        maps = extract(images).maps
        for name in layers:
            rows[name].append(_statistics(maps[name], is_linear=isinstance(modules[name], nn.Linear)))
    return {name: torch.cat(parts) for name, parts in rows.items()}


def _main_directions(statistics: Tensor) -> dict[str, Tensor]:
    """Return the mean of (N, S), 1 over the spread, and the directions of largest variance, scaled to variance 1."""
    center, spread = statistics.mean(dim=0), statistics.std(dim=0, correction=0)
    scale = 1 / spread.clamp(min=max(1e-6, 1e-2 * spread.mean().item()))
    inputs = ((statistics - center) * scale).double()
    variances, directions = torch.linalg.eigh(inputs.T @ inputs / len(inputs))
    width = max(1, min(DIRECTIONS, len(center), len(inputs) // 8))
    variances, directions = variances[-width:], directions[:, -width:]
    lengths = variances.clamp(min=max(1e-6, 1e-4 * variances[-1].item())).rsqrt()
    return {"center": center, "scale": scale, "directions": (directions * lengths).half()}
