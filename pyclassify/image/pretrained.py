"""torchvision's networks for new labels: their weights and transforms, and training in two steps."""

from __future__ import annotations

import math
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from functools import cache
from http.client import HTTPException
from itertools import islice
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlparse

import safetensors.torch
import torch
import torchvision
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.models import get_model, get_model_weights, list_models
from torchvision.transforms import InterpolationMode

from pyclassify.dataset import Batches
from pyclassify.errors import ConfigError, DataError
from pyclassify.image import features
from pyclassify.image.features import Extractor, Features, ImageNetwork
from pyclassify.image.transform import ImageTransform
from pyclassify.locales import Message

MOMENTUM: Final = 0.1
"""Least share of a batch in the statistics of batch norms. The 0.0003 of mnasnet suits the millions of steps on
ImageNet and would leave the statistics nearly unchanged in the few hundred steps here."""

NORM_BATCHES: Final = 8
"""Batches that the first statistics of batch norms are measured on."""

STEPS, STEPS_FROM_SCRATCH = 300, 1200
"""Steps that a training takes with trained weights and a fitted last layer, and without."""

FIXED_SIZE: Final = ("vit_", "maxvit_")
"""Prefixes of networks that have a weight for each place of the picture, and so take only one size."""

_INTERPOLATIONS: Final = {InterpolationMode.BILINEAR: "bilinear", InterpolationMode.BICUBIC: "bicubic"}
_OLD_DENSENET: Final = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
"""torchvision's files for densenet call `norm1` and `conv1` by the names of its first releases."""


@cache
def names() -> tuple[str, ...]:
    """Return the names of torchvision's classification networks."""
    return tuple(list_models(module=torchvision.models))


def preset(name: str, size_px: int | None = None) -> ImageTransform:
    """Return the transform that torchvision's weights of a network expect.

    Args:
        name: one of `names()`.
        size_px: height and width, by default those that the weights were trained with.

    Raises:
        ConfigError: the network takes only one size.
    """
    transform = _default_weights(name).transforms()
    (own_px,) = transform.crop_size
    if size_px is not None and size_px != own_px and name.startswith(FIXED_SIZE):
        raise ConfigError("image_size_fixed", name=name, own_px=str(own_px), size_px=str(size_px))
    return ImageTransform(
        size_px=size_px or own_px,
        mean=tuple(transform.mean),
        std=tuple(transform.std),
        crop=own_px / transform.resize_size[0],
        interpolation=_INTERPOLATIONS[transform.interpolation],
    )


def fit_defaults(*, num_examples: int, size_px: int, is_adapted: bool) -> dict[str, Any]:
    """Return the settings of `FitConfig` that suit the training data.

    Large networks take small steps, in batches of at most 32 at 224 px so that a laptop's memory holds them.

    Args:
        num_examples: training pictures.
        size_px: height and width of the pictures.
        is_adapted: whether the training begins with trained weights.
    """
    largest = max(2, min(6, math.floor(math.log2(32 * (224 / size_px) ** 2))))
    batch_size = 2 ** min(largest, max(3, round(math.log2(max(1, num_examples / 20)))))
    steps, least, most = (STEPS, 3, 20) if is_adapted else (STEPS_FROM_SCRATCH, 10, 80)
    return {
        "epochs": min(most, max(least, math.ceil(steps / math.ceil(num_examples / batch_size)))),
        "batch_size": batch_size,
        "optimizer": "adamw",
        "learning_rate": 1e-3,
        "weight_decay": 0.05,
        "label_smoothing": 0.1,
        "clip_norm": 1.0,
        "average_decay": 0.99,
    }


def _default_weights(name: str) -> Any:
    return get_model_weights(name).DEFAULT


def origin(name: str, source: str) -> Message:
    """Return a sentence for the card on where the training began.

    Args:
        name: one of `names()`.
        source: "default" or a path.
    """
    if source != "default":
        return Message("notes.began_with_file", {"name": Path(source).name})
    weights = _default_weights(name)
    if terms := weights.meta.get("license"):
        return Message("notes.began_with_torchvision_licensed", {"weights": str(weights), "license": terms})
    return Message("notes.began_with_torchvision", {"weights": str(weights)})


def read_weights(name: str, source: str) -> Mapping[str, Tensor]:
    """Read weights to begin with, as a state_dict.

    Args:
        name: one of `names()`.
        source: "default" for torchvision's own, which are downloaded once; or a .pth or .safetensors file.

    Raises:
        DataError: they cannot be downloaded, or the file is missing, damaged or something else.
    """
    state = _download(name) if source == "default" else _read_file(Path(source))
    tensors = OrderedDict((str(key), value) for key, value in state.items() if isinstance(value, Tensor))
    if not tensors or len(tensors) < len(state):
        raise DataError("weights_not_a_state_dict", file=source)
    if hasattr(state, "_metadata"):  # tells a layer that its weights have the names of an older release
        tensors._metadata = state._metadata  # type: ignore[attr-defined]
    return tensors


def _download(name: str) -> Any:
    weights = _default_weights(name)
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(weights.url).path).name
    try:
        return weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except Exception as error:  # torch reports a damaged file in many ways
        is_download = isinstance(error, OSError | HTTPException | RuntimeError)  # RuntimeError: another hash
        reason = _first_line(error)
        if is_download and not file.is_file():
            raise DataError("weights_download", name=name, file=file, reason=reason, url=weights.url) from error
        raise DataError("weights_download_damaged", file=file, reason=reason) from error


def _read_file(path: Path) -> Any:
    if not path.is_file():
        raise DataError("weights_missing", file=path)
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors report a damaged file in many ways
        raise DataError("weights_damaged", file=path, reason=_first_line(error)) from error
    if not isinstance(state, Mapping):
        raise DataError("weights_not_a_state_dict", file=path)
    return state


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")[:200] or type(error).__name__


def load_body(network: nn.Module, weights: Mapping[str, Tensor], *, head: str, name: str) -> None:
    """Load weights into all of a network but its last layer, whose labels are others.

    Args:
        network: one of torchvision's.
        weights: of the same network with any number of labels; with or without layers that only its training needs.
        head: name of the last layer.
        name: of the network, for errors.

    Raises:
        DataError: they are those of another network, or some are missing.
    """
    current = OrderedDict((_current_name(key), tensor) for key, tensor in weights.items())
    body = OrderedDict((key, value) for key, value in current.items() if not key.startswith((f"{head}.", "aux", "Aux")))
    # Without versions, as from safetensors, the names are taken for those of today; and those of the network as a whole
    # always are, since mnasnet would change its layers to those of its first release.
    today = network.state_dict()._metadata  # type: ignore[attr-defined]
    body._metadata = {**getattr(weights, "_metadata", today), "": today[""]}  # type: ignore[attr-defined]
    features.load_body(network, body, head=head, name=name, optional=("num_batches_tracked",))


def _current_name(key: str) -> str:
    """Return the name of today, without the prefixes of our own checkpoints and of parallel trainings."""
    return _OLD_DENSENET.sub(r"\1\2", key.removeprefix("module.").removeprefix("network."))


class Pretrained(ImageNetwork):
    """One of torchvision's networks with a last layer for K labels.

    Without weights it is trained like any other network, but for the first statistics of its batch norms: those of
    random weights are so far from 0 and 1 that a short training would be evaluated with what is left of them.

    Args:
        name: one of `names()`.
        num_labels: K.
        size_px: height and width of the pictures; most networks take any.

    Raises:
        ConfigError: the network cannot have this size.
    """

    def __init__(self, *, name: str, num_labels: int, size_px: int) -> None:
        super().__init__()
        self._name = name
        try:
            self.network = _build(name, num_labels, size_px)
        except (TypeError, ValueError, AssertionError) as error:
            raise ConfigError("image_network_size", name=name, size_px=str(size_px), reason=str(error)) from error
        for layer in self.modules():
            if isinstance(layer, _BatchNorm):
                layer.momentum = max(layer.momentum or 0.0, MOMENTUM)

    @property
    def head_name(self) -> str:
        """Name of the last layer with weights."""
        layers: list[str] = [name for name, layer in self.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
        return layers[-1]

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K)."""
        logits: Tensor = self.network(images)
        return logits

    def features(self, images: Tensor) -> Features:
        """Run the network on (N, 3, H, W); it is traced anew in each call, unlike in `extractor`."""
        return self.extractor()(images)

    def extractor(self, layers: Collection[str] | None = None) -> Extractor:
        """Trace the network in evaluation mode and return a function like `features`, with the same parameters.

        torchvision's own `create_feature_extractor` does not see the layers inside the blocks of `torchvision.ops`. A
        network that cannot be traced is a closed box: it has no maps, and its logits stand for the last layer's input.

        Args:
            layers: names of the maps that are needed; by default all.
        """
        try:
            graph = _trace(self.network)
        except Exception:  # tracing code that depends on values fails in many ways
            return lambda images: Features((logits := self(images)), logits, {})
        outputs = {}
        for node in graph.nodes:
            if node.op == "call_module" and isinstance(self.network.get_submodule(node.target), nn.Linear | nn.Conv2d):
                outputs[f"network.{node.target}"] = node
        pooled = outputs.pop(self.head_name).args[0]
        maps = {}
        for name, node in outputs.items():
            if layers is None or name in layers:
                with graph.inserting_after(node):  # a copy, as many an activation overwrites its input
                    maps[name] = graph.call_function(torch.clone, (node,))
        answer = graph.output_node()
        answer.args = ((answer.args[0], pooled, maps),)
        traced = fx.GraphModule(self.network, graph)
        return lambda images: Features(*traced(images))

    def _load_body(self, weights: Mapping[str, Tensor]) -> None:
        load_body(self.network, weights, head=self.head_name.removeprefix("network."), name=self._name)

    def prepare(self, batches: Batches) -> None:
        """Fit the last layer as any adapted network does; without weights, measure the statistics of batch norms."""
        if self.is_adapted:
            super().prepare(batches)
        else:
            self._measure_norms(batches)

    @torch.no_grad()
    def _measure_norms(self, batches: Batches) -> None:
        norms = [layer for layer in self.modules() if isinstance(layer, _BatchNorm)]
        momenta = [norm.momentum for norm in norms]
        device = next(self.parameters()).device
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches
        self.train()
        for (images,), _ in islice(batches.epoch(0), NORM_BATCHES if norms else 0):
            self.network(images.to(device))
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load as in any module; a state without versions, as from safetensors, is taken for one of today."""
        if not hasattr(state_dict, "_metadata"):  # mnasnet refuses it without
            state_dict = OrderedDict(state_dict)
            state_dict._metadata = self.state_dict()._metadata  # type: ignore[attr-defined]
        return super().load_state_dict(state_dict, strict=strict, assign=assign)


def _build(name: str, num_labels: int, size_px: int) -> nn.Module:
    more: dict[str, Any] = {}
    if name.startswith("vit_"):
        more["image_size"] = size_px
    elif name.startswith("maxvit_"):
        more["input_size"] = (size_px, size_px)
    elif name in ("googlenet", "inception_v3"):
        # the second outputs are for training from scratch; the weights expect pictures on a scale of their own
        more.update(aux_logits=False, transform_input=True, init_weights=True)

    def network() -> nn.Module:
        built: nn.Module = get_model(name, weights=None, num_classes=num_labels, **more)
        return built

    if name.startswith("regnet_"):
        # its widths are computed with tensors, which the meta device, where checkpoints are built, does not hold
        with torch.device("cpu"):
            return network()
    return network()


class _Tracer(fx.Tracer):
    """fx's tracer, deaf to other threads: while it traces, it replaces methods of `nn.Module` for all of them."""

    def __init__(self) -> None:
        super().__init__(autowrap_modules=())  # type: ignore[arg-type]  # or it would patch modules, too
        self._thread = threading.get_ident()

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if threading.get_ident() != self._thread:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        if threading.get_ident() != self._thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)


_TRACING: Final = threading.Lock()


def _trace(network: nn.Module) -> fx.Graph:
    with _TRACING:
        return _Tracer().trace(network)
