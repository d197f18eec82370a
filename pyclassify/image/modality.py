"""Pictures as a kind of input."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import numpy as np
import torch
from PIL import ExifTags, Image, ImageDraw
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn import functional

from pyclassify import archives
from pyclassify.dataset import calibration_positions
from pyclassify.dedup import Duplicates, Selection, selected
from pyclassify.device import fast_dtype
from pyclassify.errors import ConfigError
from pyclassify.image import explain, networks, ood
from pyclassify.image.explain import ImageExplanation
from pyclassify.image.features import ImageNetwork
from pyclassify.image.transform import ImageTransform, upright_size
from pyclassify.locales import Message
from pyclassify.manifest import Network, Ood
from pyclassify.modality import (
    BaselineAnswers,
    Corpus,
    Loaded,
    LoadStart,
    Modality,
    OnStep,
    OodDetector,
    SelfTestSource,
    Task,
)
from pyclassify.training.config import (
    AUTO,
    FEW_EXAMPLES,
    IMAGE_DATASETS,
    IMAGE_NETWORKS,
    IMAGE_SIZES_PX,
    PHOTO_SIDE_PX,
    FitConfig,
    ImageConfig,
)

if TYPE_CHECKING:  # what only a training needs imports torchvision, which takes more than a second
    from pydantic import JsonValue

    from pyclassify.dataset import Examples, Splits
    from pyclassify.image.data import Decoded

DATASETS: Final = Path("data")
"""Folder that data sets are downloaded to."""

TUTORIAL_NETWORK: Final = "simple_cnn"
"""The network of the tutorial that the project began with. It is trained as there: pictures are stretched, and neither
augmented nor oversampled."""

IMAGENET: Final = Path(__file__).parents[2] / "checkpoints" / "imagenet"
"""Checkpoint that trainings on photos begin with."""

SMALL_SIZE_PX: Final = 128
"""Size that pictures below PHOTO_SIDE_PX are enlarged to for a network that was trained on photos."""

MIN_COMPARED: Final = 100
"""Minimum number of validation pictures to show that fine-tuning is better than fitting the last layer alone."""

TRAINED_FROM_NOTHING: Final = ("whitened_convnet", "small_convnet", "simple_cnn")
"""Networks with settings of their own for random weights."""

HALF: Final = (0.5, 0.5, 0.5)
MEAN: Final = (0.485, 0.456, 0.406)
STD: Final = (0.229, 0.224, 0.225)
"""Per channel over ImageNet: close enough for any photos, and the same for every data set."""

GRID: Final = 8
"""Cells of a reading, each way."""

LEVELS: Final = 1.0
"""Largest difference of two readings of a picture, in levels of 255, on average over the grid.

Decoders of JPEG differ by a level here and there, which is 0.3 on average, and 0.7 where a cell is one pixel. Another
filter for resizing is 1.8 off; pictures that are not turned, are cut elsewhere or have swapped colours are tens off.
"""

_DRAWING_PX: Final = (96, 72)
_ON_ITS_SIDE: Final = 6
"""EXIF orientation of a picture that must be turned clockwise to stand upright."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """Network, first weights and transform of a training.

    Args:
        name: of the network.
        network: with its first weights.
        transform: that it reads pictures with.
        source: where trained weights came from: a checkpoint's name, "default" for torchvision's, or a path; empty for
            none.
        remarks: sentences on it.
        origin: of those weights, for the card.
    """

    name: str
    network: ImageNetwork
    transform: ImageTransform
    source: str = ""
    remarks: tuple[Message, ...] = ()
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadImages:
    """Decoded pictures of a corpus, and what was chosen before they were decoded.

    Args:
        parts: for train, validation and test.
        beginning: chosen before the pictures are decoded, which takes long: weights or sizes that do not fit are
            refused at once. None where nothing will be trained.
    """

    parts: tuple[Decoded, Decoded, Decoded]
    beginning: Beginning | None = None


class ImageModality(Modality):
    """Pictures: files that are decoded to square pixels, classified by a convnet, and explained by their regions."""

    kind: ClassVar[str] = "image"
    reads: ClassVar[Literal["files", "rows"]] = "files"
    batch_size: ClassVar[int] = 32

    # Serving

    def make_transform(self, settings: Mapping[str, JsonValue], files: Mapping[str, bytes]) -> ImageTransform:
        """Make the transform of a checkpoint. Raises ConfigError or ValueError for settings that cannot work."""
        return TypeAdapter(ImageTransform).validate_json(json.dumps(dict(settings)))

    def build(self, settings: Network, *, num_labels: int) -> ImageNetwork:
        """Make a network with random weights. Raises ConfigError for settings that cannot work."""
        arguments: dict[str, Any] = dict(settings.arguments)
        return networks.build(settings.name, num_labels=num_labels, **arguments)

    def for_inference(self, network: nn.Module) -> nn.Module:
        """Return the network with its batch norms folded into the convolutions, if it can be."""
        return network.for_inference() if isinstance(network, ImageNetwork) else network

    def load_ood(self, network: nn.Module, settings: Ood, tensors: Mapping[str, Tensor]) -> OodDetector:
        """Make the OOD detector of a checkpoint. Raises ValueError if the parts do not fit together."""
        return ood.load(network, settings, tensors)

    def explain(
        self,
        network: nn.Module,
        transform: Any,
        item: Any,
        tensor: Tensor,
        *,
        label: str,
        label_id: int,
        probability: float,
        device: torch.device,
    ) -> ImageExplanation:
        """Attribute the log-odds of a label to the regions of a picture."""
        size_px = upright_size(item)
        heat = explain.attribute(network, transform, tensor, label_id, device=device)
        return ImageExplanation(label, probability, heat, explain.seen_part(transform, size_px), size_px)

    def sample(self) -> np.ndarray[Any, Any]:
        """Return a black picture."""
        return np.zeros((8, 8, 3), np.uint8)

    def selftest_sources(self, transform: Any) -> list[SelfTestSource]:
        """Return a drawing as PNG, and as a phone would write it: a JPEG on its side, with an EXIF tag that says so."""
        drawing = _draw()
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = _ON_ITS_SIDE
        upright, rotated = io.BytesIO(), io.BytesIO()
        drawing.save(upright, "PNG", optimize=True)
        # without subsampled colours, which every decoder enlarges in its own way
        on_its_side = drawing.transpose(Image.Transpose.ROTATE_90)
        on_its_side.save(rotated, "JPEG", quality=90, subsampling=0, exif=exif)
        return [
            SelfTestSource(name="upright_drawing", file="selftest-upright.png", content=upright.getvalue()),
            SelfTestSource(name="rotated_drawing", file="selftest-rotated.jpg", content=rotated.getvalue()),
        ]

    def reading(self, tensor: Tensor) -> dict[str, JsonValue]:
        """Return a digest of the pixels, and mean and contrast of each channel in GRID x GRID cells, in hexadecimal.

        One level more or less changes the digest, but little in the cells.
        """
        pixels = tensor.double()
        mean = functional.adaptive_avg_pool2d(pixels, GRID)
        contrast = (functional.adaptive_avg_pool2d(pixels.square(), GRID) - mean.square()).clamp(min=0).sqrt()
        grid = torch.stack([mean, contrast]).round().to(torch.uint8)
        digest = hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()[:16]
        return {"pixels": digest, "grid": bytes(grid.flatten().tolist()).hex()}

    def compare_readings(
        self, noted: Mapping[str, JsonValue], now: Mapping[str, JsonValue]
    ) -> tuple[bool, Message | None]:
        """Compare two readings; answers may be compared while the pixels differ by at most LEVELS.

        Raises:
            KeyError, TypeError, ValueError: one of the two is not a reading.
        """
        if noted["pixels"] == now["pixels"]:
            return True, None
        levels = _levels_apart(noted["grid"], now["grid"])
        if levels <= LEVELS:
            return False, None
        return False, Message("selftest.pixels_differ", {"levels": f"{levels:.1f}", "limit": f"{LEVELS:g}"})

    # Training

    def check(self, config: ImageConfig) -> None:
        """Refuse options that cannot work, before any data is read. Raises ConfigError."""
        if config.start not in (None, "none") and config.network not in (AUTO, *IMAGE_NETWORKS):
            raise ConfigError("start_or_weights", network=config.network)
        choices = {"size_px": IMAGE_SIZES_PX, "dataset": IMAGE_DATASETS}
        for option, known in choices.items():
            value = getattr(config, option)
            if value is not None and value not in known:
                raise ConfigError("option_unknown", option=option, known=list(map(str, known)), value=repr(value))
        if config.network != AUTO:
            networks.check_name(config.network)
        if config.network not in (AUTO, *IMAGE_NETWORKS):
            from pyclassify.image import pretrained

            pretrained.preset(config.network, config.size_px)
        elif config.weights is not None:
            raise ConfigError("weights_need_torchvision", network=config.network)

    def read(
        self,
        config: ImageConfig,
        *,
        inspect_only: bool = False,
        on_step: OnStep | None = None,
        load_start: LoadStart | None = None,
    ) -> Corpus[Path]:
        """Locate, download if asked for, split and decode the data; see `Modality.read` for errors."""
        from pyclassify.image import data, dedup

        if config.dataset is not None:
            from pyclassify.image.datasets import fetch

            root = fetch(config.dataset, DATASETS)
        else:
            assert config.data is not None  # see `TrainingConfig`
            root = archives.unpack(config.data)
        fractions = {"validation_fraction": config.validation_fraction, "test_fraction": config.test_fraction}
        splits = data.read_splits(
            root, **fractions, seed=config.seed, ignore_case=config.ignore_case, leave_out=config.leave_out
        )
        splits = replace(splits, name=config.data_name or splits.name)
        begin = None
        if inspect_only:
            transform = ImageTransform(size_px=dedup.SIDE_PX)
        else:
            begin = _choose_beginning(config, splits, load_start)
            transform = begin.transform

        before, total = 0, sum(map(len, splits.parts.values()))

        def on_progress(done: int) -> None:
            if on_step:
                on_step("reading", before + done, total)

        parts = []
        for part in splits.parts.values():
            parts.append(data.decode(part, transform, on_progress=on_progress))
            before += len(part)
        train, validation, test = parts
        unreadable = [skipped for part in (train, validation, test) for skipped in part.skipped]
        splits = replace(
            splits,
            train=train.examples,
            validation=validation.examples,
            test=test.examples,
            skipped=(*splits.skipped, *unreadable),
        )
        data.check_readable(splits, unreadable)
        decoded = ReadImages(parts=(train, validation, test), beginning=begin)
        return Corpus(splits=splits, root=root, decoded=decoded)

    def find_duplicates(self, corpus: Corpus[Path], *, on_step: OnStep | None = None) -> Duplicates:
        """Find copies by equal pixels, and near-duplicates by a perceptual hash."""
        from pyclassify.image import dedup

        on_progress = partial(on_step, "comparing") if on_step else None
        return dedup.find([part.pixels for part in corpus.decoded.parts], on_progress=on_progress)

    def select(self, corpus: Corpus[Path], selection: Selection) -> Corpus[Path]:
        """Return the corpus with the pictures that a selection gives to each split."""
        from pyclassify.image import dedup

        train, validation, test = selected(corpus.splits, selection)
        decoded = replace(corpus.decoded, parts=dedup.regroup(corpus.decoded.parts, selection))
        splits = replace(corpus.splits, train=train, validation=validation, test=test)
        return replace(corpus, splits=splits, decoded=decoded)

    def sizes(self, corpus: Corpus[Path]) -> dict[str, Sequence[int]]:
        """Measure width and height of every picture, in pixels."""
        from pyclassify.image.data import stored_sizes

        paths = [path for part in corpus.splits.parts.values() for path in part.items]
        widths, heights = zip(*stored_sizes(paths), strict=True)
        return {"width_px": widths, "height_px": heights}

    def item_name(self, corpus: Corpus[Path], item: Path) -> str:
        """Return the path of a picture below the folder of the data set."""
        return str(item.relative_to(corpus.root))

    def mistake_name(self, item: Path, position: int) -> str:
        """Return the folder and file of a picture."""
        return "/".join(item.parts[-2:])

    def cross_validates(self, config: ImageConfig, corpus: Corpus[Path]) -> bool:
        """Return whether the last layer alone is fitted; epochs or minutes that are asked for need validation data."""
        begin = corpus.decoded.beginning
        return begin is not None and begin.network.is_adapted and config.epochs is None and config.minutes is None

    def prepare(
        self, config: ImageConfig, corpus: Corpus[Path], device: torch.device, *, on_step: OnStep | None = None
    ) -> Task:
        """Choose settings for the data and make the batches; the network was made when the data was read."""
        from pyclassify.image import data

        begin: Beginning = corpus.decoded.beginning
        transform, num_examples = begin.transform, len(corpus.splits.train)
        train, validation, test = corpus.decoded.parts
        choosing, calibrating = validation, None
        if halves := calibration_positions(validation.examples, seed=config.seed):
            choosing, calibrating = validation.take(halves[0]), validation.take(halves[1])
        fit = _fit_config(config, begin, num_examples, len(validation.examples), device)
        batches = partial(data.ImageBatches, transform=transform, batch_size=fit.batch_size, device=device)
        if begin.name == TUTORIAL_NETWORK and not begin.network.is_adapted:
            train_batches = batches(train)
        else:
            augmentation = data.choose_augmentation(
                transform.size_px,
                num_examples=num_examples,
                epochs=fit.epochs,
                mirror=config.mirror,
                is_adapted=begin.network.is_adapted,
            )
            train_batches = batches(train, augmentation=augmentation, oversample=True)
        return Task(
            network=begin.network.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
            settings=Network(name=begin.name, arguments={"size_px": transform.size_px}),
            transform=transform,
            train=train_batches,
            validation=batches(choosing),
            calibration=batches(calibrating) if calibrating is not None else None,
            test=batches(test),
            fit=fit,
            variant=_variant(config, begin),
            remarks=_remarks(config, begin, is_oversampled=train_batches.is_oversampled),
            origin=begin.origin,
        )

    def fit_ood(self, network: nn.Module, task: Task) -> tuple[Ood, dict[str, Tensor]]:
        """Fit the OOD detector on training data; scales and threshold on data that chose nothing, if there is some.

        Networks that began with trained weights compare pictures by their features; others look at surfaces, too.
        """
        assert isinstance(network, ImageNetwork)
        held_out = task.calibration or task.validation
        if network.is_adapted:
            return ood.fit_neighbours(network, task.train, held_out)
        return ood.fit(network, task.train, held_out)

    def fit_baseline(self, corpus: Corpus[Path], task: Task) -> BaselineAnswers:
        """Train a logistic regression on small versions of the same pictures and answer the test data."""
        return BaselineAnswers(
            name="linear_pixels",
            fields={"side_px": str(networks.BASELINE_SIDE_PX)},
            label_ids=networks.fit_baseline(task.train, task.test),
        )


def _levels_apart(noted: Any, now: Any) -> float:
    """Return the mean difference of two grids in levels of 255, of their means or, if larger, of their contrasts."""
    one, other = bytes.fromhex(noted), bytes.fromhex(now)
    if len(one) != len(other):
        raise ValueError(f"a grid of {len(one)} numbers")
    differences = torch.tensor([abs(a - b) for a, b in zip(one, other, strict=True)], dtype=torch.float32)
    return float(differences.view(2, -1).mean(dim=1).max())


def _draw() -> Image.Image:
    """Draw a picture without symmetries and with fine lines, so that turning, mirroring and blurring show."""
    width, height = _DRAWING_PX
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    sky = np.stack([90 + y, 140 + y // 2, 220 - x // 3], axis=2)
    image = Image.fromarray(sky.astype(np.uint8))
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 50, 95, 71), fill=(60, 120, 50))
    pen.ellipse((8, 6, 26, 24), fill=(250, 220, 60))
    pen.polygon([(40, 34), (58, 14), (76, 34)], fill=(170, 40, 40))
    pen.rectangle((44, 34, 72, 60), fill=(230, 210, 180))
    pen.rectangle((48, 44, 56, 60), fill=(80, 50, 30))
    for left in range(0, 40, 3):
        pen.line((left, 54, left, 70), fill=(240, 240, 240))
    for top in range(2, 70, 4):
        pen.line((80, top, 94, top + 3), fill=(20, 20, 60))
    return image


def _choose_beginning(config: ImageConfig, splits: Splits[Path], load_start: LoadStart | None) -> Beginning:
    """Choose network, transform and first weights by the options and the pictures.

    Raises:
        ConfigError, DataError: something does not fit.
        CheckpointError: the checkpoint to begin with cannot be loaded.
    """
    if config.start != "none" and (config.start is not None or config.network == AUTO) and load_start is not None:
        is_photo = _are_photos(splits.train)
        source = config.start or _default_start(is_photo, len(splits.train))
        if source is not None:
            return _from_checkpoint(config, load_start(source), splits, is_photo=is_photo)
    name = IMAGE_NETWORKS[0] if config.network == AUTO else config.network
    transform = _make_transform(config, name, splits.train)
    weights: Mapping[str, Tensor] | None = None
    remarks: tuple[Message, ...] = ()
    origin = "" if name in IMAGE_NETWORKS or config.weights == "none" else config.weights or "default"
    if origin:
        from pyclassify.image import pretrained

        remarks = (pretrained.origin(name, origin),)
        weights = None if _has_own_weights(config) else pretrained.read_weights(name, origin)
    network = _build(config, name, transform, splits)
    if origin:
        network.adapt(weights)
    return Beginning(name=name, network=network, transform=transform, source=origin, remarks=remarks)


def _are_photos(examples: Examples[Path]) -> bool:
    from pyclassify.image.data import median_side_px

    return median_side_px(examples) >= PHOTO_SIDE_PX


def _default_start(is_photo: bool, num_examples: int) -> str | None:
    """Return the checkpoint that photos and few small pictures begin with, if it is there."""
    return str(IMAGENET) if (is_photo or num_examples < FEW_EXAMPLES) and IMAGENET.is_dir() else None


def _from_checkpoint(config: ImageConfig, start: Loaded, splits: Splits[Path], *, is_photo: bool) -> Beginning:
    """Begin with the network of a checkpoint, all but its last layer."""
    manifest, before = start.manifest, start.transform
    if manifest.kind != ImageModality.kind or not isinstance(before, ImageTransform):
        raise ConfigError("start_of_other_kind", name=start.name, kind=manifest.kind)
    if config.network not in (AUTO, manifest.network.name):
        raise ConfigError("start_of_other_network", name=start.name, network=manifest.network.name)
    transform = _adapted_transform(config, before, is_photo=is_photo)
    network = _build(config, manifest.network.name, transform, splits)
    network.adapt(None if _has_own_weights(config) else start.network.state_dict())
    counted = Message("items.image", {"count": len(splits.train) + len(splits.validation)})
    origin = manifest.training.origin if manifest.training is not None else ""
    return Beginning(
        name=manifest.network.name,
        network=network,
        transform=transform,
        source=start.name,
        remarks=(Message("notes.began_with_checkpoint", {"name": start.name, "counted": counted}),),
        origin=Message("notes.origin_of_start", {"name": start.name, "origin": origin}).text() if origin else "",
    )


def _adapted_transform(config: ImageConfig, before: ImageTransform, *, is_photo: bool) -> ImageTransform:
    """Return the transform of a checkpoint at the size that is asked for, or that suits small pictures."""
    size_px = config.size_px or (before.size_px if is_photo else min(before.size_px, SMALL_SIZE_PX))
    if size_px == before.size_px:
        return before
    return replace(before, size_px=size_px, crop=1.0)  # small pictures have no margin to spare


def _has_own_weights(config: ImageConfig) -> bool:
    return config.resume or config.measure_only


def _build(config: ImageConfig, name: str, transform: ImageTransform, splits: Splits[Path]) -> ImageNetwork:
    torch.manual_seed(config.seed)
    network = networks.build(name, num_labels=len(splits.labels), size_px=transform.size_px)
    if config.size_px is not None:
        networks.check_size(network, transform.size_px)
    return network


def _make_transform(config: ImageConfig, name: str, examples: Examples[Path]) -> ImageTransform:
    if name == TUTORIAL_NETWORK:
        return ImageTransform(size_px=config.size_px or 32, mean=HALF, std=HALF, fit="stretch")
    if name not in IMAGE_NETWORKS:
        from pyclassify.image.pretrained import preset

        return preset(name, config.size_px)
    from pyclassify.image.data import choose_size_px

    return ImageTransform(size_px=config.size_px or choose_size_px(examples), mean=MEAN, std=STD)


def _fit_config(
    config: ImageConfig, begin: Beginning, num_examples: int, num_validation: int, device: torch.device
) -> FitConfig:
    """Return the defaults of the network with the options that were given."""
    if begin.name in TRAINED_FROM_NOTHING and not begin.network.is_adapted:
        settings = networks.fit_defaults(begin.name, num_examples=num_examples)
    else:
        from pyclassify.image import pretrained

        settings = pretrained.fit_defaults(
            num_examples=num_examples, size_px=begin.transform.size_px, is_adapted=begin.network.is_adapted
        )
        if begin.network.is_adapted and num_validation < MIN_COMPARED:
            settings["epochs"] = 0
    if config.minutes is not None:
        settings["epochs"] = max(1, settings["epochs"])
    return config.fit_config(settings, precision=str(fast_dtype(device)).removeprefix("torch."))


def _variant(config: ImageConfig, begin: Beginning) -> dict[str, Any]:
    mirror = {} if config.mirror else {"mirror": False}
    return {**mirror, "weights": begin.source} if begin.source else mirror


def _remarks(config: ImageConfig, begin: Beginning, *, is_oversampled: bool) -> tuple[str, ...]:
    """Return sentences on the training that whoever starts it and whoever reads the card should know."""
    remarks = list(begin.remarks)
    if is_oversampled:
        remarks.append(Message("notes.rare_labels_oversampled"))
    return tuple(remark.text() for remark in remarks)
