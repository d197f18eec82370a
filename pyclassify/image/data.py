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
EVEN_ENOUGH = 5.0
"""Up to this ratio of the most frequent label to the rarest, pictures are drawn as often as they are there."""

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
        made=tuple(name for name, part in (("test", "test"), ("validation", "val")) if part not in named),
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
    pixels = room_for(len(examples), transform.size_px)
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


def room_for(count: int, size_px: int) -> Tensor:
    """(count, 3, size_px, size_px) uint8 with nothing in it yet; in a mapped file where memory might not hold it."""
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


def _near(pixels: Tensor, device: torch.device | None) -> Tensor:
    """The pictures on the GPU where a third of what is free there holds them: no epoch copies them again."""
    if device is None or device.type != "cuda":
        return pixels
    free, _ = torch.cuda.mem_get_info(device)
    return pixels.to(device) if 3 * pixels.nbytes <= free else pixels


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
        self._pixels = _near(decoded.pixels, device)
        self._label_ids = label_tensor(decoded.examples)
        self._transform = transform
        self._batch_size = batch_size
        self._augmentation: Augmentation | None = None
        self._shares: Tensor | None = None
        self._device = device or torch.device("cpu")

    def with_augmentation(self, augmentation: Augmentation | None) -> ImageBatches:
        """The same batches, augmented in each epoch that has a seed."""
        result = copy.copy(self)
        result._augmentation = augmentation
        return result

    def with_rare_labels_more_often(self) -> ImageBatches:
        """The same batches, drawn by `drawing_shares` in each epoch that has a seed."""
        result = copy.copy(self)
        result._shares = drawing_shares(self._label_ids)
        return result

    @property
    def examples(self) -> int:
        """N."""
        return len(self._label_ids)

    @property
    def positions(self) -> Sequence[int]:
        """0 to N - 1."""
        return range(self.examples)

    def __len__(self) -> int:
        return math.ceil(self.examples / self._batch_size)

    def epoch(self, seed: int | None = None) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        """One pass: shuffled and augmented with a seed, in order and as they are without.

        With a seed the batches are as large as each other, give or take one: a last one of a single picture would weigh
        as much as a full one, and batch norm could make nothing of it.
        """
        generator = torch.Generator().manual_seed(seed) if seed is not None else None
        order = torch.arange(self.examples) if generator is None else self._order(generator)
        mirrored = self._mirrored(seed or 0)
        parts = torch.split(order, self._batch_size) if generator is None else torch.tensor_split(order, len(self))
        for positions in parts:
            pixels = self._pixels[positions.to(self._pixels.device)].to(self._device)
            if generator is not None and self._augmentation is not None:
                pixels = self._augmentation(pixels, generator, mirrored[positions])
            yield (self._transform.normalise(pixels),), self._label_ids[positions].to(self._device)

    def _mirrored(self, seed: int) -> Tensor:
        """(N,) bool: half of all pictures, and the other half with the next seed.

        So each is seen from both sides in two epochs, which takes fewer epochs than a draw for each anew (Jordan 2024,
        "94% on CIFAR-10 in 3.29 seconds on a single GPU").
        """
        first = torch.randint(0, 2, (self.examples,), generator=torch.Generator().manual_seed(0)).bool()
        return first if seed % 2 else ~first

    def _order(self, generator: torch.Generator) -> Tensor:
        order = torch.randperm(self.examples, generator=generator)
        return order if self._shares is None else _drawn(order, self._shares, generator)


def drawing_shares(label_ids: Tensor) -> Tensor | None:
    """How often each picture is to be drawn while training, where some labels are far rarer than others.

    A label with n pictures is drawn in proportion to the square root of n: at 1 to 50 the rare label fills an eighth of
    the batches instead of a fiftieth, and its few pictures are repeated seven times as often as the others, not fifty
    times, which would have them learned by heart (Mikolov et al. 2013 and Mahajan et al. 2018 draw so for the same
    reason). Only the training is drawn so: validation and test data stay as they are.

    Args:
        label_ids: (N,) int64.

    Returns:
        (N,) float64 that sums to 1; none where no label has more than EVEN_ENOUGH times the pictures of another.
    """
    counts = torch.bincount(label_ids).double()
    present = counts[counts > 0]
    if not len(present) or present.max() <= EVEN_ENOUGH * present.min():
        return None
    shares = counts[label_ids].rsqrt()
    return shares / shares.sum()


def _drawn(order: Tensor, shares: Tensor, generator: torch.Generator) -> Tensor:
    """As many positions as there are in `order`, each as often as its share says, give or take one.

    One random start and then equal steps along the cumulated shares (systematic sampling, Madow and Madow 1944): an
    independent draw for each place would leave out a third of the rare pictures by chance.
    """
    count = len(order)
    ends = shares[order].cumsum(0)
    points = (torch.arange(count) + torch.rand(1, generator=generator)) / count
    drawn = torch.searchsorted(ends / ends[-1], points.double(), right=True).clamp(max=count - 1)
    return order[drawn][torch.randperm(count, generator=generator)]
