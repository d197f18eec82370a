"""Data sets that torchvision downloads, written as folders of labelled pictures."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

from torchvision import datasets

from pyclassify.errors import DataError
from pyclassify.training.config import IMAGE_DATASETS

Open = Callable[[str, bool], Any]
"""From a folder and "is it the training split" to a torchvision data set of (PIL image, label id)."""


def _by_train(dataset: Any) -> Open:
    return lambda root, is_train: dataset(root, train=is_train, download=True)


def _by_split(dataset: Any, train: str = "train") -> Open:
    return lambda root, is_train: dataset(root, split=train if is_train else "test", download=True)


_DATASETS: Mapping[str, Open] = {
    "cifar10": _by_train(datasets.CIFAR10),
    "cifar100": _by_train(datasets.CIFAR100),
    "mnist": _by_train(datasets.MNIST),
    "fashion-mnist": _by_train(datasets.FashionMNIST),
    "kmnist": _by_train(datasets.KMNIST),
    "svhn": _by_split(datasets.SVHN),
    "stl10": _by_split(datasets.STL10),
    "gtsrb": _by_split(datasets.GTSRB),
    "flowers102": _by_split(datasets.Flowers102),
    "food101": _by_split(datasets.Food101),
    "dtd": _by_split(datasets.DTD),
    "oxford-iiit-pet": _by_split(datasets.OxfordIIITPet, train="trainval"),
}

_FAILURES: Final = (OSError, RuntimeError, EOFError, HTTPException, tarfile.TarError, zipfile.BadZipFile, zlib.error)
"""Raised by downloading and unpacking; torchvision lets all of them through and adds a RuntimeError of its own."""


def fetch(name: str, root: Path) -> Path:
    """Download a data set and write it as `root/name/{train,test}/<label>/NNNNN.png`, unless it is there.

    Args:
        name: one of IMAGE_DATASETS.
        root: folder of all data sets.

    Returns:
        The folder, for `data.read_splits`.

    Raises:
        DataError: the name is unknown, or the data set cannot be downloaded or written.
    """
    target = root / name
    if (target / "train").is_dir() and (target / "test").is_dir():
        return target
    if name not in _DATASETS:
        raise DataError("image_dataset_unknown", name=name, known=IMAGE_DATASETS)
    raw = root / f"{name}.download"
    try:
        splits = {"train": _DATASETS[name](str(raw), True), "test": _DATASETS[name](str(raw), False)}
    except _FAILURES as error:
        reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        raise DataError("image_dataset_download", name=name, reason=reason, raw=raw, folder=target) from error
    try:
        _write(splits, target)
    except OSError as error:
        raise DataError("image_dataset_write", folder=target, reason=error.strerror or str(error)) from error
    return target


def _write(splits: Mapping[str, Any], target: Path) -> None:
    """Write the splits beside the target and rename them, so that the target is whole or not there."""
    unfinished = target.with_name(f".{target.name}.writing-")
    shutil.rmtree(unfinished, ignore_errors=True)
    for split, dataset in splits.items():
        names = _label_names(dataset)
        counts: Counter[int] = Counter()
        for image, label_id in dataset:
            folder = unfinished / split / names.get(int(label_id), str(int(label_id)))
            folder.mkdir(parents=True, exist_ok=True)
            image.save(folder / f"{counts[int(label_id)]:05}.png")
            counts[int(label_id)] += 1
    shutil.rmtree(target, ignore_errors=True)
    unfinished.rename(target)


def _label_names(dataset: Any) -> dict[int, str]:
    """Return the names of labels by id; torchvision's older data sets have only numbers."""
    names = getattr(dataset, "classes", None) or []
    return {number: str(name).replace("/", "-").strip() for number, name in enumerate(names)}
