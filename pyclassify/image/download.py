"""Data sets that torchvision downloads, laid out as folders of labelled pictures."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any

from torchvision import datasets

from pyclassify.errors import DataError

Open = Callable[[str, bool], Any]
"""From a folder and "is it the training part" to a torchvision data set of (PIL image, label id)."""


def _by_train(dataset: Any, **arguments: Any) -> Open:
    return lambda root, train: dataset(root, train=train, download=True, **arguments)


def _by_split(dataset: Any, test: str = "test", **arguments: Any) -> Open:
    return lambda root, train: dataset(root, split="train" if train else test, download=True, **arguments)


_SETS: Mapping[str, Open] = {
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
    "oxford-iiit-pet": lambda root, train: datasets.OxfordIIITPet(
        root, split="trainval" if train else "test", download=True
    ),
}
NAMES = tuple(_SETS)
FAILURES = (OSError, RuntimeError, EOFError, HTTPException, tarfile.TarError, zipfile.BadZipFile, zlib.error)
"""What a download and the unpacking of it raise; torchvision lets all through and adds its own "not found"."""


def fetch(name: str, root: Path) -> Path:
    """Download a data set and lay it out as `root/name/{train,test}/<label>/NNNNN.png`; nothing to do if it is there.

    Args:
        name: one of NAMES.
        root: folder of all data sets.

    Returns:
        The folder that `image.data.read` reads.

    Raises:
        DataError: it cannot be downloaded or written.
    """
    target = root / name
    if (target / "train").is_dir() and (target / "test").is_dir():
        return target
    raw = root / f"{name}.download"
    try:
        parts = {"train": _SETS[name](str(raw), True), "test": _SETS[name](str(raw), False)}
    except FAILURES as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(
            f"the data set {name} cannot be downloaded ({reason}). Put its original files into {raw} by hand and repeat"
            f" the command, or lay its pictures out as {target}/train/<label>/ and {target}/test/<label>/."
        ) from error
    try:
        _lay_out(parts, target)
    except OSError as error:
        raise DataError(f"cannot write {target}: {error}.") from error
    return target


def _lay_out(parts: Mapping[str, Any], target: Path) -> None:
    beside = target.with_name(f".{target.name}.writing-")
    shutil.rmtree(beside, ignore_errors=True)
    for part, dataset in parts.items():
        names = _label_names(dataset)
        counts: Counter[int] = Counter()
        for image, label_id in dataset:
            folder = beside / part / names.get(int(label_id), str(int(label_id)))
            folder.mkdir(parents=True, exist_ok=True)
            image.save(folder / f"{counts[int(label_id)]:05}.png")
            counts[int(label_id)] += 1
    shutil.rmtree(target, ignore_errors=True)
    beside.rename(target)


def _label_names(dataset: Any) -> dict[int, str]:
    """Names where the data set has them; torchvision's older ones have numbers alone."""
    names = getattr(dataset, "classes", None) or []
    return {number: str(name).replace("/", "-").strip() for number, name in enumerate(names)}
