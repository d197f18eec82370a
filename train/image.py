"""Train on labelled pictures: `python -m train.image --data data/cifar10 --out checkpoints/cifar10`."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pyclassify.device import pick
from pyclassify.errors import ConfigError
from pyclassify.examples import Splits, label_tensor
from pyclassify.image import baseline, data, download, models, weights
from pyclassify.image.augment import Augmentation
from pyclassify.image.pretrained import Pretrained
from pyclassify.image.transform import ImageTransform
from pyclassify.image.twins import LOOK_PX
from train import options as shared
from train import pictures, pipeline
from train.names import given_names

MODULE = "train.image"
HALF = (0.5, 0.5, 0.5)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Per channel over ImageNet: near enough for any photos, and the same for every data set."""

FEW_PICTURES = 20_000
FEW_EPOCHS = 16

STEPS = 1200
"""Steps that a small network needs to settle; small data sets get more epochs for it."""
STEPS_WITH_WEIGHTS = 300
"""Steps for a network that begins with trained weights and a fitted last layer."""


def main(argv: Sequence[str] | None = None) -> None:
    """Train as the command line says."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    options = parser().parse_args(arguments)
    shared.run_command(MODULE, arguments, lambda: train(options, arguments), lambda: options.out)


def parser() -> argparse.ArgumentParser:
    """The options, with their help."""
    result = argparse.ArgumentParser(
        prog=f"python -m {MODULE}",
        description="Train a classifier of pictures and write it as a checkpoint that app.py and pyclassify.load read.",
        epilog="example: python -m train.image --data data/cifar10 --out checkpoints/cifar10",
    )
    source = result.add_argument_group("data (one of the two)").add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="a folder with train/<label>/ and test/<label>/ (and val/<label>/ if there is one), or with one folder per"
        " label, of which a part is kept for testing",
    )
    source.add_argument(
        "--dataset", choices=download.NAMES, metavar="NAME", help=f"download one: {', '.join(download.NAMES)}"
    )
    shared.add_common(
        result,
        default=models.DEFAULT,
        model_help=f"{' or '.join(models.NAMES)}, which learn from nothing; or any of torchvision's networks for"
        f" classification, such as resnet18, mobilenet_v3_small, convnext_tiny or vit_b_16 (default: {models.DEFAULT})",
    )
    seen = result.add_argument_group("pictures")
    seen.add_argument(
        "--size",
        type=int,
        choices=data.SIZES_PX,
        metavar="PX",
        help=f"input of the network: {', '.join(map(str, data.SIZES_PX))} (default: from the data, at most 128; of"
        " torchvision's networks the size that their weights were trained for)",
    )
    seen.add_argument(
        "--weights",
        metavar="FILE",
        help="what a network of torchvision begins with: default (its own weights, downloaded once), none (random"
        " ones), or a .pth or .safetensors file of the same network with any labels (default: default)",
    )
    seen.add_argument(
        "--no-mirror", action="store_true", help="never mirror while training: for digits, letters and signs"
    )
    return result


def train(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Check, read, fit, measure, write.

    Raises:
        PyClassifyError: something that a person can mend.
    """
    shared.check_common(options)
    source = _source(options)
    path = options.data or download.fetch(options.dataset, Path("data"))
    splits = _splits(options, path)
    if options.check:
        pictures.look_at(options, path, *pictures.scan(splits, ImageTransform(size_px=LOOK_PX)))
        return
    begin = None if source == "none" or options.resume or options.measure else weights.read(options.model, source)
    transform = _transform(options, splits)
    model = _model(options, len(splits.labels), transform.size_px)
    if isinstance(model, Pretrained) and source != "none":
        model.adapt(begin)
    splits, decoded, seen = pictures.look_at(options, path, *pictures.scan(splits, transform))
    _announce(splits, transform)
    defaults = _defaults(options.model, len(splits.train))
    if isinstance(model, Pretrained):
        defaults = _torchvision_defaults(len(splits.train), transform.size_px, is_adapted=model.is_adapted)
    config = shared.train_config(options, defaults, autocast=True)
    device = pick(options.device)
    train_batches, validation, test = (
        data.ImageBatches(part, transform, batch_size=config.batch_size, device=device) for part in decoded
    )
    if options.model != "simple_cnn":  # which is to be what the tutorial has
        augmentation = _augmentation(transform, len(splits.train), config.epochs, mirror=not options.no_mirror)
        train_batches = train_batches.with_augmentation(augmentation).with_rare_labels_more_often()
    remarks = _remarks(options, source, splits)
    for remark in remarks:
        print(remark, flush=True)
    pipeline.run(
        pipeline.Job(
            out=options.out,
            kind="image",
            splits=splits,
            model_name=options.model,
            arguments={"size_px": transform.size_px},
            model=model.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
            transform=transform,
            train=train_batches,
            validation=validation,
            test=test,
            config=config,
            device=device,
            command=shared.command_line(MODULE, arguments),
            baseline=lambda: baseline.fit_and_answer(train_batches, test),
            resume=options.resume,
            measure_only=options.measure,
            variant=_variant(options, source),
            about=" ".join((options.about, *remarks)).strip(),
            data_license=options.data_license,
            hub_dataset=options.hub_dataset,
            names=given_names(options, splits.labels),
            findings=seen,
        )
    )


def _splits(options: argparse.Namespace, path: Path) -> Splits[Path]:
    splits = data.read(
        path,
        validation_fraction=options.validation_fraction,
        test_fraction=options.test_fraction,
        seed=options.seed,
    )
    given_names(options, splits.labels)  # which are refused before the training, not after it
    return replace(splits, name=options.data_name or splits.name)


def _announce(splits: Splits[Path], transform: ImageTransform) -> None:
    print(
        f"{splits.name}: {len(splits.labels)} labels; {len(splits.train):,} pictures to train on,"
        f" {len(splits.validation):,} to choose by, {len(splits.test):,} to test with, {len(splits.skipped):,} left"
        f" out; read at {transform.size_px} x {transform.size_px} pixels",
        flush=True,
    )


def _model(options: argparse.Namespace, labels: int, size_px: int) -> nn.Module:
    torch.manual_seed(options.seed)
    model = models.build(options.model, labels=labels, size_px=size_px)
    if options.size:
        models.check_takes(model, size_px)
    return model


def _source(options: argparse.Namespace) -> str:
    """What the network begins with: "default", "none" or the path of a file.

    Raises:
        ConfigError: there is no such network, or it does not go with --weights or --size.
    """
    models.check_name(options.model)
    if options.model in models.NAMES:
        if options.weights is not None:
            raise ConfigError(
                f"--weights is for torchvision's networks, such as --model resnet18; {options.model} learns from"
                " nothing."
            )
        return "none"
    weights.preset(options.model, options.size)
    return options.weights or "default"


def _variant(options: argparse.Namespace, source: str) -> dict[str, Any]:
    """What changes the result beside all that the configuration holds."""
    mirror = {"mirror": False} if options.no_mirror else {}
    return mirror if source == "none" else {**mirror, "weights": source}


def _remarks(options: argparse.Namespace, source: str, splits: Splits[Path]) -> list[str]:
    """Sentences on the training that whoever starts it and whoever reads the card should know."""
    remarks = [weights.origin(options.model, source)] if source != "none" else []
    if options.model != "simple_cnn" and data.drawing_shares(label_tensor(splits.train)) is not None:
        remarks.append(
            "Some labels have far fewer pictures than others and were shown more often while training, by the square"
            " root of their numbers, so percentages lean towards them."
        )
    return remarks


def _transform(options: argparse.Namespace, splits: Splits[Path]) -> ImageTransform:
    if options.model == "simple_cnn":
        return ImageTransform(size_px=options.size or 32, mean=HALF, std=HALF, fit="stretch")
    if options.model not in models.NAMES:
        return weights.preset(options.model, options.size)
    return ImageTransform(size_px=options.size or data.choose_size_px(splits.train), mean=MEAN, std=STD)


def _defaults(model: str, examples: int) -> dict[str, Any]:
    if model == "simple_cnn":
        return {
            "epochs": 10,
            "batch_size": 64,
            "optimizer": "sgd",
            "learning_rate": 0.01,
            "momentum": 0.9,
            "nesterov": False,
            "schedule": "constant",
        }
    batch_size = 2 ** max(4, min(9, round(math.log2(max(1, examples / 80)))))
    steps = math.ceil(examples / batch_size)
    epochs = min(80, max(12, math.ceil(STEPS / steps)))
    if model == "small_convnet":
        return {
            "epochs": epochs,
            "batch_size": batch_size,
            "optimizer": "sgd",
            "learning_rate": 0.4 * batch_size / 512,
            "weight_decay": 5e-4,
            "label_smoothing": 0.1,
            "average_decay": 0.99,
        }
    # rates, momentum and decay as tuned for few epochs by Jordan 2024 (airbench), at batches of 2,000
    rate = 0.67 * math.sqrt(batch_size / 2000)
    return {
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": "muon",
        "learning_rate": rate,
        "momentum": 0.85,
        "muon_rate": 0.36,
        "muon_momentum": 0.6,
        "weight_decay": 2e-6 * batch_size / rate,
        "schedule": "linear",
        "label_smoothing": 0.2 if examples > FEW_PICTURES else 0.1,
        "average_decay": 0.99,
    }


def _torchvision_defaults(examples: int, size_px: int, *, is_adapted: bool) -> dict[str, Any]:
    """A large network takes small steps, and batches of at most 32 at 224 px so that a laptop's memory holds them."""
    most = max(2, min(6, math.floor(math.log2(32 * (224 / size_px) ** 2))))
    batch_size = 2 ** min(most, max(3, round(math.log2(max(1, examples / 20)))))
    steps = math.ceil(examples / batch_size)
    wanted, least, limit = (STEPS_WITH_WEIGHTS, 3, 20) if is_adapted else (STEPS, 10, 80)
    return {
        "epochs": min(limit, max(least, math.ceil(wanted / steps))),
        "batch_size": batch_size,
        "optimizer": "adamw",
        "learning_rate": 1e-3,
        "weight_decay": 0.05,
        "label_smoothing": 0.1,
        "clip_norm": 1.0,
        "average_decay": 0.99,
    }


def _augmentation(transform: ImageTransform, examples: int, epochs: int, *, mirror: bool) -> Augmentation:
    """What is seen in many epochs must look different each time; what is seen a few times is learned sooner as is."""
    if transform.size_px > 32:
        return Augmentation(mirror=mirror, shift=0.1, zoom=0.4, blank=0.25)
    if examples > FEW_PICTURES and epochs <= FEW_EPOCHS:
        return Augmentation(mirror=mirror, shift=0.0625)
    return Augmentation(mirror=mirror, shift=0.125, blank=0.25)


if __name__ == "__main__":
    main()
