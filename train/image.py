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
from tqdm import tqdm

from pyclassify.device import pick
from pyclassify.examples import Splits
from pyclassify.image import data, download, models
from pyclassify.image.augment import Augmentation
from pyclassify.image.transform import ImageTransform
from train import options as shared
from train import pipeline

MODULE = "train.image"
HALF = (0.5, 0.5, 0.5)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Per channel over ImageNet: near enough for any photos, and the same for every data set."""

STEPS = 1200
"""Steps that a small network needs to settle; small data sets get more epochs for it."""


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
    shared.add_common(result, models=models.NAMES, default=models.DEFAULT)
    pictures = result.add_argument_group("pictures")
    pictures.add_argument(
        "--size",
        type=int,
        choices=data.SIZES_PX,
        metavar="PX",
        help=f"input of the network: {', '.join(map(str, data.SIZES_PX))} (default: from the data, at most 128)",
    )
    pictures.add_argument(
        "--no-mirror", action="store_true", help="never mirror while training: for digits, letters and signs"
    )
    return result


def train(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Check, read, fit, measure, write.

    Raises:
        PyClassifyError: something that a person can mend.
    """
    shared.check_common(options)
    path = options.data or download.fetch(options.dataset, Path("data"))
    splits = data.read(
        path,
        validation_fraction=options.validation_fraction,
        test_fraction=options.test_fraction,
        seed=options.seed,
    )
    splits = replace(splits, name=options.data_name or splits.name)
    transform = _transform(options, splits)
    splits, decoded = _scan(splits, transform)
    config = shared.train_config(options, _defaults(options.model, len(splits.train)), autocast=True)
    device = pick(options.device)
    augmentation = None if options.model == "simple_cnn" else _augmentation(transform, mirror=not options.no_mirror)
    torch.manual_seed(options.seed)
    model_arguments = {"size_px": transform.size_px}
    model = models.build(options.model, labels=len(splits.labels), **model_arguments)
    train_batches, validation, test = (
        data.ImageBatches(part, transform, batch_size=config.batch_size, device=device) for part in decoded
    )
    pipeline.run(
        pipeline.Job(
            out=options.out,
            kind="image",
            splits=splits,
            model_name=options.model,
            arguments=model_arguments,
            model=model.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
            transform=transform,
            train=train_batches.with_augmentation(augmentation),
            validation=validation,
            test=test,
            config=config,
            device=device,
            command=shared.command_line(MODULE, arguments),
            resume=options.resume,
            variant={"mirror": False} if options.no_mirror else {},
            about=options.about,
            data_license=options.data_license,
        )
    )


def _transform(options: argparse.Namespace, splits: Splits[Path]) -> ImageTransform:
    if options.model == "simple_cnn":
        return ImageTransform(size_px=options.size or 32, mean=HALF, std=HALF, fit="stretch")
    return ImageTransform(size_px=options.size or data.choose_size_px(splits.train), mean=MEAN, std=STD)


def _scan(
    splits: Splits[Path], transform: ImageTransform
) -> tuple[Splits[Path], tuple[data.Decoded, data.Decoded, data.Decoded]]:
    """Decode everything once, leave out what cannot be read and say so."""
    total = len(splits.train) + len(splits.validation) + len(splits.test)
    with tqdm(total=total, desc="reading", unit=" pictures", disable=None, leave=False) as bar:
        parts = (splits.train, splits.validation, splits.test)
        train_part, validation, test = (data.decode(p, transform, on_picture=lambda: bar.update()) for p in parts)
    bad = [each for part in (train_part, validation, test) for each in part.skipped]
    for each in (*splits.skipped, *bad):
        print(f"left out {each.name}: {each.reason}", file=sys.stderr)
    read = replace(
        splits,
        train=train_part.examples,
        validation=validation.examples,
        test=test.examples,
        skipped=(*splits.skipped, *bad),
    )
    data.check_readable(read)
    print(
        f"{splits.name}: {len(read.labels)} labels; {len(read.train):,} pictures to train on, {len(read.validation):,}"
        f" to choose by, {len(read.test):,} to test with, {len(read.skipped):,} left out; read at"
        f" {transform.size_px} x {transform.size_px} pixels",
        flush=True,
    )
    return read, (train_part, validation, test)


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
    return {
        "epochs": min(80, max(10, math.ceil(STEPS / steps))),
        "batch_size": batch_size,
        "optimizer": "sgd",
        "learning_rate": 0.4 * batch_size / 512,
        "weight_decay": 5e-4,
        "label_smoothing": 0.1,
        "average_decay": 0.99,
    }


def _augmentation(transform: ImageTransform, *, mirror: bool) -> Augmentation:
    if transform.size_px <= 32:
        return Augmentation(mirror=mirror, shift=0.125, blank=0.25)
    return Augmentation(mirror=mirror, shift=0.1, zoom=0.4, blank=0.25)


if __name__ == "__main__":
    main()
