"""Labelled pictures to decoded examples, splits and batches."""

from __future__ import annotations

import copy
import math
import os
import statistics
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pyclassify.errors import DataError, InputError
from pyclassify.examples import Examples, Skipped, Splits, label_counts, label_tensor, printable, split
from pyclassify.image.augment import Augmentation
from pyclassify.image.files import check_counts, check_same_labels, find, find_parts
from pyclassify.image.transform import ImageTransform

SIZES_PX = (32, 64, 128, 160, 224)
IN_MEMORY_BYTES = 4 * 2**30
"""Decoded pictures beyond this many bytes are kept in a temporary file that is mapped into memory."""


def read(path: Path, *, validation_fraction: float = 0.1, test_fraction: float = 0.2, seed: int = 0) -> Splits[Path]:
    """List the pictures of a folder and split them; no picture is opened yet.

    Args:
        path: a folder with `train/` and `test/` (and `val/` if there is one), each with a folder per label; or one
            folder per label without a split, which is then made here.
        validation_fraction: share of the training pictures that choices are made on, where there is no `val/`.
        test_fraction: share of all pictures that is kept for the report, where there is no `test/`.
        seed: the same seed gives the same splits.

    Raises:
        DataError: the folder is missing, empty, or cannot be learned from.
    """
    if not path.is_dir():
        raise DataError(f"{path} is not a folder. Give --data a folder with train/<label>/ and test/<label>/ in it.")
    parts = find_parts(path) or {"train": path}
    train = find(parts["train"])
    check_counts(train, parts["train"])
    named = {name: find(parts[name]) for name in ("val", "test") if name in parts}
    for name, found in named.items():
        check_same_labels(train.labels, found, parts[name])
    rest, validation = train.examples, named["val"].examples if "val" in named else None
    if "test" in named:
        test = named["test"].examples
    else:
        rest, test = split(rest, fraction=test_fraction, seed=seed)
    if validation is None:
        rest, validation = split(rest, fraction=validation_fraction, seed=seed + 1)
    skipped = (train, *named.values())
    return Splits(
        name=printable(path.resolve().name),
        labels=train.labels,
        train=rest,
        validation=validation,
        test=test,
        skipped=tuple(each for found in skipped for each in found.skipped),
        seed=seed,
    )


def choose_size_px(examples: Examples[Path]) -> int:
    """The input size that fits the data: the largest of SIZES_PX that the median picture fills, at most 128.

    Beyond 128 pixels training on a CPU takes hours; whoever has a GPU asks for 160 or 224.
    """
    step = max(1, len(examples) // 256)
    sides = [side for path in examples.items[::step] if (side := _shorter_side(path))]
    median = statistics.median(sides) if sides else SIZES_PX[0]
    return max((size for size in SIZES_PX if size <= min(median, 128)), default=SIZES_PX[0])


def _shorter_side(path: Path) -> int:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a picture that is too large is no matter yet
            with Image.open(path) as image:
                return min(image.size)
    except Exception:  # the scan will name the file and the reason; here it just has no say
        return 0


@dataclass(frozen=True, slots=True)
class Decoded:
    """Pictures in memory: (N, 3, H, W) uint8, with the examples that they came from and what could not be read."""

    pixels: Tensor
    examples: Examples[Path]
    skipped: tuple[Skipped, ...]


def decode(
    examples: Examples[Path], transform: ImageTransform, *, on_picture: Callable[[], None] | None = None
) -> Decoded:
    """Decode every picture once; what cannot be read is left out and listed with the reason.

    Args:
        examples: N pictures.
        transform: the one that serving will use.
        on_picture: called after each picture, for a progress bar.
    """
    pixels = _room_for(len(examples), transform.size_px)
    skipped: list[Skipped] = []
    kept: list[int] = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:  # Pillow decodes outside the interpreter's lock
        for position, result in enumerate(_in_order(pool, examples.items, transform)):
            if isinstance(result, Tensor):
                pixels[len(kept)] = result
                kept.append(position)
            else:
                skipped.append(Skipped(str(examples.items[position]), str(result)))
            if on_picture:
                on_picture()
    return Decoded(pixels[: len(kept)], examples.take(kept), tuple(skipped))


def _in_order(
    pool: ThreadPoolExecutor, paths: Sequence[Path], transform: ImageTransform, window: int = 512
) -> Iterator[Tensor | InputError]:
    """Like `pool.map`, which would hold the pictures of all files that are decoded ahead."""

    def one(path: Path) -> Tensor | InputError:
        try:
            return transform(path).tensor
        except InputError as error:
            return error

    for start in range(0, len(paths), window):
        yield from pool.map(one, paths[start : start + window])


def _room_for(count: int, size_px: int) -> Tensor:
    shape = (count, 3, size_px, size_px)
    if math.prod(shape) <= IN_MEMORY_BYTES:
        return torch.empty(shape, dtype=torch.uint8)
    with tempfile.TemporaryFile(prefix="pyclassify-") as file:  # the map keeps what it holds when the file is closed
        return torch.from_numpy(np.memmap(file, dtype=np.uint8, mode="w+", shape=shape))


def check_readable(splits: Splits[Path]) -> None:
    """Check again once unreadable pictures are left out.

    Raises:
        DataError: a label has no picture left to train on or to test with, or none is left to choose by.
    """
    for part, use in ((splits.train, "train on"), (splits.test, "test with")):
        empty = [label for label, count in label_counts(part, splits.labels).items() if not count]
        if empty:
            raise DataError(f"no readable picture is left to {use} for {', '.join(empty)}; the list above says why.")
    if not len(splits.validation):
        raise DataError("no readable picture is left to choose by; the list above says why.")


class ImageBatches:
    """Decoded pictures in batches, augmented a whole batch at a time; honours `examples.Batches`.

    Args:
        decoded: N pictures.
        transform: gives the network's inputs, (B, 3, H, W) float32.
        batch_size: B, smaller for the last batch.
        device: where the batches are made.
    """

    def __init__(
        self,
        decoded: Decoded,
        transform: ImageTransform,
        *,
        batch_size: int,
        device: torch.device | None = None,
    ) -> None:
        self._pixels = decoded.pixels
        self._label_ids = label_tensor(decoded.examples)
        self._transform = transform
        self._batch_size = batch_size
        self._augmentation: Augmentation | None = None
        self._device = device or torch.device("cpu")

    def with_augmentation(self, augmentation: Augmentation | None) -> ImageBatches:
        """The same batches, augmented in each epoch that has a seed."""
        result = copy.copy(self)
        result._augmentation = augmentation
        return result

    @property
    def examples(self) -> int:
        """N."""
        return len(self._label_ids)

    def __len__(self) -> int:
        return math.ceil(self.examples / self._batch_size)

    def epoch(self, seed: int | None = None) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        """One pass: shuffled and augmented with a seed, in order and as they are without."""
        generator = torch.Generator().manual_seed(seed) if seed is not None else None
        order = torch.arange(self.examples) if generator is None else torch.randperm(self.examples, generator=generator)
        for positions in torch.split(order, self._batch_size):
            pixels = self._pixels[positions].to(self._device)
            if generator is not None and self._augmentation is not None:
                pixels = self._augmentation(pixels, generator)
            yield (self._transform.normalise(pixels),), self._label_ids[positions].to(self._device)
