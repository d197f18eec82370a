"""Networks for pictures, from (N, 3, H, W) float32 to logits (N, K), and the baseline that they are compared with."""

from __future__ import annotations

import copy
import difflib
import math
import warnings
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pyclassify.dataset import Batches, printable
from pyclassify.errors import ConfigError
from pyclassify.image.features import Extractor, Features, ImageNetwork
from pyclassify.training.config import IMAGE_NETWORKS

SMALL_LOGIT_SCALE: Final = 8.0
WHITENED_LOGIT_SCALE: Final = 9.0
"""Divisors of logits: maxima of maps are large and, undivided, would saturate the softmax in the first steps."""

VARIANCE_FLOOR: Final = 5e-4
"""Added to the variances of patches, or whitening would amplify the noise in directions where patches hardly differ."""

WHITENING_SAMPLES: Final = 5_000
"""Pictures that patches are taken from."""

BIAS_RATE: Final = 0.08
"""Learning rate of the biases after convolutions, as a share of the last layer's."""

MIN_STEPS: Final = 1200
"""Steps that a small network needs to settle; small data sets get more epochs for it."""

MANY_EXAMPLES: Final = 20_000
"""Training data beyond this size gets more label smoothing."""

LITE_STEM, LITE_FEATURES = 32, 1280
LITE_STAGES: Final = (
    *((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3)),
    *((6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3)),
)
"""Stages of EfficientNet: expansion, maps, blocks, stride of the first block, kernel."""

BASELINE_SIDE_PX: Final = 16
BASELINE_SAMPLES: Final = 50_000
"""Larger training data are thinned out evenly for the baseline, which then takes a minute at most."""


class SimpleCnn(ImageNetwork):
    """The tutorial's network: a 3x3 convolution with 32 maps, ReLU, 2x2 max-pooling and a linear layer.

    Args:
        num_labels: K.
        size_px: height and width of the pictures.
    """

    def __init__(self, *, num_labels: int, size_px: int = 32) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 32, kernel_size=3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.linear = nn.Linear(32 * (size_px // 2) ** 2, num_labels)

    def features(self, images: Tensor) -> Features:
        """Run the network on (N, 3, size_px, size_px)."""
        maps = self.convolution(images)
        pooled = self.pool(torch.relu(maps)).flatten(1)
        return Features(self.linear(pooled), pooled, {"convolution": maps})


class SmallConvNet(ImageNetwork):
    """A stem, three stages of two convolutions that each halve the sides, global max-pooling and a linear layer.

    The layout follows Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU": wide, shallow, early pooling,
    batch norm after each convolution and scaled logits; here with a shortcut around each second convolution, and a stem
    that brings any input size down to about 32 x 32.

    Args:
        num_labels: K.
        size_px: height and width of the pictures, at least 32.
        widths: maps of the three stages.
    """

    logit_scale = SMALL_LOGIT_SCALE

    def __init__(self, *, num_labels: int, size_px: int = 32, widths: tuple[int, int, int] = (64, 256, 256)) -> None:
        super().__init__()
        self.stem = _stem(max(1, size_px // 32), 32)
        inputs = (32, *widths[:-1])
        self.stages = nn.ModuleList(_ResidualStage(a, b) for a, b in zip(inputs, widths, strict=True))
        self.linear = nn.Linear(widths[-1], num_labels)
        nn.init.zeros_(self.linear.bias)

    def features(self, images: Tensor) -> Features:
        """Run the network on (N, 3, H, W)."""
        maps: dict[str, Tensor] = {}
        x = _run(self.stem, images, "stem", maps)
        for number, stage in enumerate(self.stages):
            x = stage(x, f"stages.{number}", maps)
        pooled = x.amax(dim=(2, 3))
        return Features(self.linear(pooled) / self.logit_scale, pooled, maps)


def _stem(stride: int, width: int) -> nn.Sequential:
    if stride == 1:
        return nn.Sequential(_normed_convolution(3, width), nn.GELU())
    patch = min(stride, 4)
    layers: list[nn.Module] = [nn.Conv2d(3, width, kernel_size=patch, stride=patch, bias=False), nn.BatchNorm2d(width)]
    layers.append(nn.GELU())
    if stride > patch:
        layers.append(nn.MaxPool2d(2, ceil_mode=True))
    return nn.Sequential(*layers)


def _normed_convolution(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(outputs))


def _run(layers: nn.Sequential, x: Tensor, name: str, maps: dict[str, Tensor]) -> Tensor:
    """Run layers and keep the outputs of convolutions under their names."""
    for key, layer in layers.named_children():
        if isinstance(layer, nn.Sequential):
            x = _run(layer, x, f"{name}.{key}", maps)
        else:
            x = layer(x)
            if isinstance(layer, nn.Conv2d):
                maps[f"{name}.{key}"] = x
    return x


class _ResidualStage(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False)
        self.pool = nn.MaxPool2d(2)
        self.norm = nn.BatchNorm2d(outputs)
        self.second = _normed_convolution(outputs, outputs)
        self.activation = nn.GELU()

    def forward(self, x: Tensor, name: str, maps: dict[str, Tensor]) -> Tensor:
        first = maps[f"{name}.first"] = self.first(x)
        halved = self.activation(self.norm(self.pool(first)))
        result: Tensor = halved + self.activation(_run(self.second, halved, f"{name}.second", maps))
        return result


class WhitenedConvNet(ImageNetwork):
    """The default: whitened patches, three stages of two convolutions that each halve the sides, global max-pooling.

    Layout and initialisation are those of Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU": the first
    layer is computed from the training pictures and hardly learns, convolutions begin as the identity, batch norms have
    a bias and no gain. One thing differs: larger pictures are cut into larger patches, so that the stages always see
    about 32 x 32 of them.

    Args:
        num_labels: K.
        size_px: height and width of the pictures, at least 32.
        widths: maps of the three stages.
    """

    logit_scale = WHITENED_LOGIT_SCALE

    def __init__(self, *, num_labels: int, size_px: int = 32, widths: tuple[int, int, int] = (64, 256, 256)) -> None:
        super().__init__()
        self.patches = _Patches(max(1, size_px // 32))
        inputs = (self.patches.width, *widths[:-1])
        self.stages = nn.ModuleList(_Stage(a, b) for a, b in zip(inputs, widths, strict=True))
        self.linear = nn.Linear(widths[-1], num_labels, bias=False)

    def prepare(self, batches: Batches) -> None:
        """Compute the first layer from pictures spread over all training data, before the first epoch."""
        if self.is_adapted:
            super().prepare(batches)
            return
        share = WHITENING_SAMPLES / max(batches.num_examples, WHITENING_SAMPLES)
        device = next(self.parameters()).device
        samples = [images[: max(1, round(share * len(images)))] for (images,), _ in batches.epoch()]
        self.patches.whiten(torch.cat(samples).to(device))

    def parameter_groups(self, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
        """Return filters, biases and the last layer with their own rates; computed and fixed weights are left out."""
        if self.is_adapted:
            return super().parameter_groups(learning_rate, weight_decay)
        layers = list(self.stages.modules())
        filters = [layer.weight for layer in layers if isinstance(layer, nn.Conv2d)]
        biases = [layer.bias for layer in layers if isinstance(layer, nn.BatchNorm2d)]
        slow = {"lr": BIAS_RATE * learning_rate, "weight_decay": weight_decay / BIAS_RATE}
        return [
            {"params": filters, "lr": learning_rate, "weight_decay": weight_decay, "normalised": True},
            {"params": [self.patches.convolution.bias, *biases], **slow},
            {"params": [self.linear.weight], "lr": learning_rate, "weight_decay": weight_decay},
        ]

    def features(self, images: Tensor) -> Features:
        """Run the network on (N, 3, H, W)."""
        patches = self.patches.convolution(images)
        maps = {"patches.convolution": patches}
        x = self.patches.shrink(functional.gelu(patches))
        for number, stage in enumerate(self.stages):
            x = stage(x, f"stages.{number}", maps)
        pooled = x.amax(dim=(2, 3))
        return Features(self.linear(pooled) / self.logit_scale, pooled, maps)


class _Patches(nn.Module):
    """A convolution to the directions in which patches differ most, and to their negatives."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        side, step = (2, 1) if stride == 1 else (min(stride, 4), min(stride, 4))
        directions = min(24, 3 * side * side)
        self.width = 2 * directions
        self.convolution = nn.Conv2d(3, self.width, kernel_size=side, stride=step)
        self.convolution.weight.requires_grad_(False)
        nn.init.zeros_(self.convolution.bias)  # type: ignore[arg-type]
        self._shrink = stride // step

    @torch.no_grad()
    def whiten(self, images: Tensor) -> None:
        """Set the filters so that their outputs for these pictures (N, 3, H, W) are uncorrelated and of variance 1."""
        side = self.convolution.kernel_size[0]
        patches = functional.unfold(images, side, stride=self.convolution.stride)
        patches = patches.transpose(1, 2).reshape(-1, 3 * side * side)
        variances, directions = torch.linalg.eigh((patches.T @ patches).double() / len(patches))
        filters = (directions / (variances + VARIANCE_FLOOR).sqrt()).T.flip(0)[: self.width // 2]
        filters = filters.reshape(-1, 3, side, side)
        self.convolution.weight.copy_(torch.cat([filters, -filters]))

    def shrink(self, maps: Tensor) -> Tensor:
        """Bring the maps of large pictures down to about 32 x 32."""
        return functional.max_pool2d(maps, self._shrink, ceil_mode=True) if self._shrink > 1 else maps


class _Stage(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = _identity_convolution(inputs, outputs)
        self.first_norm = _gainless_norm(outputs)
        self.second = _identity_convolution(outputs, outputs)
        self.second_norm = _gainless_norm(outputs)

    def forward(self, x: Tensor, name: str, maps: dict[str, Tensor]) -> Tensor:
        first = maps[f"{name}.first"] = self.first(x)
        halved = functional.gelu(self.first_norm(functional.max_pool2d(first, 2)))
        second = maps[f"{name}.second"] = self.second(halved)
        return functional.gelu(self.second_norm(second))


def _identity_convolution(inputs: int, outputs: int) -> nn.Conv2d:
    convolution = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False)
    with torch.no_grad():
        nn.init.dirac_(convolution.weight[: min(inputs, outputs)])
    return convolution


def _gainless_norm(width: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(width, momentum=0.2)
    norm.weight.requires_grad_(False)  # the next convolution can do whatever a gain would do
    return norm


class EfficientNetLite(ImageNetwork):
    """A stem, seven stages of inverted residual blocks, a 1x1 convolution to 1280 maps, their means, a linear layer.

    Tan and Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", in the variants for
    small processors: ReLU6, no squeeze-and-excitation, and a stem and head of the same width at every scale. Padding is
    TensorFlow's, which the published weights were trained with.

    Args:
        num_labels: K.
        size_px: height and width of the pictures; any size works.
        width: factor of the number of maps.
        depth: factor of the number of blocks.
        dropout: share of the means that are set to zero in training.
    """

    def __init__(
        self, *, num_labels: int, size_px: int = 224, width: float = 1.0, depth: float = 1.0, dropout: float = 0.2
    ) -> None:
        super().__init__()
        del size_px
        self.stem = _lite_convolution(3, LITE_STEM, kernel=3, stride=2, group=1)
        blocks: list[nn.Module] = []
        inputs = LITE_STEM
        for number, (expansion, outputs, repeats, stride, kernel) in enumerate(LITE_STAGES):
            outputs = _rounded_width(outputs * width)
            is_scaled = 0 < number < len(LITE_STAGES) - 1
            for repeat in range(math.ceil(repeats * depth) if is_scaled else repeats):
                blocks.append(
                    _InvertedResidual(inputs, outputs, expansion, kernel=kernel, stride=1 if repeat else stride)
                )
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.last = _lite_convolution(inputs, LITE_FEATURES, kernel=1, stride=1, group=1)
        self.dropout = dropout
        self.linear = nn.Linear(LITE_FEATURES, num_labels)

    def features(self, images: Tensor) -> Features:
        """Run the network on (N, 3, H, W)."""
        return self._features(images, None)

    def extractor(self, layers: Collection[str] | None = None) -> Extractor:
        """Return a function like `features` that keeps the named maps alone: all of a batch are gigabytes."""
        return partial(self._features, layers=layers)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K)."""
        return self._features(images, ()).logits

    def _features(self, images: Tensor, layers: Collection[str] | None) -> Features:
        maps: dict[str, Tensor] = {}

        def run(layer: nn.Sequential, x: Tensor, name: str) -> Tensor:
            normed = layer[2](layer[1](layer[0](x)))  # where batch norms are folded, there is nothing before them
            if layers is None or name in layers:
                maps[name] = normed
            result: Tensor = layer[3](normed)
            return result

        x = run(self.stem, images, "stem.1")
        for number, block in enumerate(self.blocks):
            before = x
            for name, layer in block.named_children():
                x = run(layer, x, f"blocks.{number}.{name}.1")  # type: ignore[arg-type]
            if block.has_shortcut:
                x = x + before
        pooled = run(self.last, x, "last.1").mean(dim=(2, 3))
        logits: Tensor = self.linear(functional.dropout(pooled, self.dropout, self.training))
        return Features(logits, pooled, maps)

    def for_inference(self) -> ImageNetwork:
        """Return a copy whose batch norms are folded into the convolutions before them."""
        folded = copy.deepcopy(self).eval()
        for layer in folded.modules():
            if isinstance(layer, nn.Sequential) and isinstance(layer[2], nn.BatchNorm2d):
                layer[1] = fuse_conv_bn_eval(layer[1], layer[2])  # type: ignore[type-var]
                layer[2] = nn.Identity()
        return folded.requires_grad_(False)


class _InvertedResidual(nn.Module):
    """More maps, a convolution of each by itself, fewer maps; and the input added where the shape is the same."""

    def __init__(self, inputs: int, outputs: int, expansion: int, *, kernel: int, stride: int) -> None:
        super().__init__()
        inner = inputs * expansion
        if expansion > 1:
            self.expand = _lite_convolution(inputs, inner, kernel=1, stride=1, group=1)
        self.spread = _lite_convolution(inner, inner, kernel=kernel, stride=stride, group=inner)
        self.project = _lite_convolution(inner, outputs, kernel=1, stride=1, group=1, is_linear=True)
        self.has_shortcut = stride == 1 and inputs == outputs


def _lite_convolution(
    inputs: int, outputs: int, *, kernel: int, stride: int, group: int, is_linear: bool = False
) -> nn.Sequential:
    """Return padding, convolution, batch norm and activation."""
    padding = 0 if stride > 1 else kernel // 2
    return nn.Sequential(
        _SamePadding(kernel, stride) if stride > 1 else nn.Identity(),
        (_Depthwise if group > 1 else nn.Conv2d)(
            inputs, outputs, kernel, stride=stride, padding=padding, groups=group, bias=False
        ),
        nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01),
        nn.Identity() if is_linear else nn.ReLU6(),
    )


class _Depthwise(nn.Conv2d):
    """A convolution of each map by itself; in float32 on a CPU, where bfloat16 takes several times as long."""

    def forward(self, input: Tensor) -> Tensor:
        if input.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.float())


class _SamePadding(nn.Module):
    """TensorFlow's padding for strides: as much as the last window needs, the odd row and column at the end."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self._kernel, self._stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        for side in (x.shape[3], x.shape[2]):
            total = max(0, (-(-side // self._stride) - 1) * self._stride + self._kernel - side)
            pads += [total // 2, total - total // 2]
        return functional.pad(x, pads)


def _rounded_width(width: float) -> int:
    """Round to a multiple of 8, by less than a tenth downwards."""
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * width else rounded


_NETWORKS: Final[dict[str, Callable[..., ImageNetwork]]] = {
    "whitened_convnet": WhitenedConvNet,
    "small_convnet": SmallConvNet,
    "simple_cnn": SimpleCnn,
    "efficientnet_lite0": EfficientNetLite,
    "efficientnet_lite2": partial(EfficientNetLite, width=1.1, depth=1.2, dropout=0.3),
}


def check_name(name: str) -> None:
    """Check that a network is one of IMAGE_NETWORKS or one of torchvision's.

    Raises:
        ConfigError: it is neither; similar names are in the message.
    """
    if name in _NETWORKS:
        return
    from pyclassify.image import pretrained  # torchvision takes more than a second to import

    known = (*IMAGE_NETWORKS, *pretrained.names())
    if name not in known:
        similar = difflib.get_close_matches(name[:100], known, n=5, cutoff=0.5) or [*IMAGE_NETWORKS, "resnet18"]
        raise ConfigError("image_network_unknown", name=printable(name[:100]), similar=similar)


def build(name: str, *, num_labels: int, **arguments: Any) -> ImageNetwork:
    """Make a network with random weights.

    Args:
        name: one of IMAGE_NETWORKS, or of torchvision's networks (`pretrained.names`).
        num_labels: K.
        arguments: of the network's constructor, such as size_px.

    Raises:
        ConfigError: the name is unknown or an argument does not fit.
    """
    check_name(name)
    if "widths" in arguments:  # JSON has no tuples
        arguments["widths"] = tuple(arguments["widths"])
    try:
        if name in _NETWORKS:
            return _NETWORKS[name](num_labels=num_labels, **arguments)
        from pyclassify.image.pretrained import Pretrained

        return Pretrained(name=name, num_labels=num_labels, **arguments)
    except TypeError as error:
        raise ConfigError("image_network_arguments", name=name, reason=str(error)) from error


def fit_defaults(name: str, *, num_examples: int) -> dict[str, Any]:
    """Return the settings of `FitConfig` that suit one of IMAGE_NETWORKS and the number of training pictures."""
    if name == "simple_cnn":
        return {
            "epochs": 10,
            "batch_size": 64,
            "optimizer": "sgd",
            "learning_rate": 0.01,
            "momentum": 0.9,
            "nesterov": False,
            "schedule": "constant",
        }
    batch_size = 2 ** max(4, min(9, round(math.log2(max(1, num_examples / 80)))))
    epochs = min(80, max(12, math.ceil(MIN_STEPS / math.ceil(num_examples / batch_size))))
    if name == "small_convnet":
        return {
            "epochs": epochs,
            "batch_size": batch_size,
            "optimizer": "sgd",
            "learning_rate": 0.4 * batch_size / 512,
            "weight_decay": 5e-4,
            "label_smoothing": 0.1,
            "average_decay": 0.99,
        }
    # rates, momentum and decay as Jordan 2024 tuned them for few epochs with batches of 2,000
    learning_rate = 0.67 * math.sqrt(batch_size / 2000)
    return {
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": "muon",
        "learning_rate": learning_rate,
        "momentum": 0.85,
        "muon_rate": 0.36,
        "muon_momentum": 0.6,
        "weight_decay": 2e-6 * batch_size / learning_rate,
        "schedule": "linear",
        "label_smoothing": 0.2 if num_examples > MANY_EXAMPLES else 0.1,
        "average_decay": 0.99,
    }


@torch.no_grad()
def check_size(network: nn.Module, size_px: int) -> None:
    """Check that a network answers pictures of this size.

    Raises:
        ConfigError: its layers leave nothing of so small a picture.
    """
    was_training = network.training
    try:
        network.eval()(torch.zeros(1, 3, size_px, size_px))
    except RuntimeError as error:
        raise ConfigError("image_size_too_small", size_px=str(size_px)) from error
    finally:
        network.train(was_training)


def fit_baseline(train: Batches, test: Batches) -> Tensor:
    """Train scikit-learn's logistic regression on small versions of the same pictures and answer the test data.

    Args:
        train: pictures with at least two labels.
        test: M pictures.

    Returns:
        (M,) int64 label ids in the order of an epoch without a seed.
    """
    from sklearn.exceptions import ConvergenceWarning  # takes seconds to import
    from sklearn.linear_model import LogisticRegression

    pixels, label_ids = _small_pixels(train)
    step = -(-len(pixels) // BASELINE_SAMPLES)
    mean, spread = pixels.mean(dim=0), pixels.std(dim=0) + 1e-6
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # nearly optimal generalises as well
        model = LogisticRegression(C=0.01, max_iter=100, tol=1e-3)
        model.fit(((pixels - mean) / spread)[::step].numpy(), label_ids[::step].numpy())
    answers = model.predict(((_small_pixels(test)[0] - mean) / spread).numpy())
    return torch.from_numpy(answers).long()


def _small_pixels(batches: Batches) -> tuple[Tensor, Tensor]:
    """Return (N, 3 * BASELINE_SIDE_PX ** 2) float32 and label ids (N,)."""
    rows, label_ids = [], []
    for (pixels,), ids in batches.epoch():
        rows.append(functional.adaptive_avg_pool2d(pixels.float(), BASELINE_SIDE_PX).flatten(1).cpu())
        label_ids.append(ids.cpu())
    return torch.cat(rows), torch.cat(label_ids)
