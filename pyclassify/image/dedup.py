"""Duplicate pictures: equal pixels, and near-duplicates by a perceptual hash that is confirmed on the pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
from PIL import Image
from torch import Tensor
from torch.nn import functional

from pyclassify.dataset import Examples, Integers
from pyclassify.dedup import Duplicates, Selection, candidates, unique_pairs
from pyclassify.image.data import REPORT_EVERY, Decoded, allocate

SIDE_PX: Final = 32
"""Larger pictures are compared at this size."""

HASH_SIDE: Final = 16
"""256 bits: half of the 32 frequencies each way. Of 64 bits, too many agree by chance in 60,000 pictures."""

MAX_BITS, FEW_BITS, MIN_BITS = 64, 32, 8
"""Most bits that may differ: at best; in data too small to measure what chance does; in pictures that are all alike."""

MEASURABLE: Final = 50
"""Different pictures that are enough to measure how far apart two of them are."""

DEVIATIONS: Final = 6.0
"""Standard deviations below the usual distance of two pictures: chance reaches it once in a billion pairs."""

MAX_RESIDUE: Final = 0.2
"""Share of two pictures' contrast that may remain when one is subtracted from the other."""

MAX_SHIFT: Final = 45.0
"""Mean difference of pixels, of 255 levels, which is mostly a difference in brightness."""

MAX_CAST: Final = 16.0
"""By how many levels of 255 one channel may differ more than the others: a thing in another colour is another thing."""

Bits = np.ndarray[Any, np.dtype[np.uint8]]


def find(parts: Sequence[Tensor], *, on_progress: Callable[[int, int], None] | None = None) -> Duplicates:
    """Find copies by equal pixels, and near-duplicates by signs of the discrete cosine transform (Zauner 2010, pHash).

    Two pictures are near-duplicates when their hashes differ in few bits, far fewer than those of any two pictures of
    the same data, and when their pixels agree too. So brightness, compression and scale make no difference; another
    colour, a shift by two pixels of 32 or a mirror image does; and pictures without contrast are duplicates only when
    they are equal.

    Args:
        parts: (n, 3, H, W) uint8 each, N pictures in all; the same H and W.
        on_progress: called now and then with how many different pictures are hashed and how many there are.
    """
    digests = [hashlib.blake2b(image.numpy().tobytes(), digest_size=16).digest() for part in parts for image in part]
    numbers = {digest: number for number, digest in enumerate(sorted(set(digests)))}
    copies = np.fromiter((numbers[digest] for digest in digests), np.int64, len(digests))
    thumbnails = _thumbnails(parts, np.unique(copies, return_index=True)[1])
    hashes = np.empty((len(thumbnails), HASH_SIDE**2 // 8), dtype=np.uint8)
    for row, thumbnail in enumerate(thumbnails):
        hashes[row] = _hash(thumbnail)
        if on_progress and (row % REPORT_EVERY == 0 or row + 1 == len(thumbnails)):
            on_progress(row + 1, len(thumbnails))
    return Duplicates(copies, _near(thumbnails, hashes))


def regroup(parts: Sequence[Decoded], selection: Selection) -> tuple[Decoded, Decoded, Decoded]:
    """Return the pictures that a selection gives to each split; an unchanged split keeps its pixels where they are."""
    ends = np.cumsum([len(part.examples) for part in parts])
    train, validation, test = (
        part if np.array_equal(positions, np.arange(end - len(part.examples), end)) else _gather(parts, positions, part)
        for part, positions, end in zip(parts, selection, ends, strict=True)
    )
    return train, validation, test


def _gather(parts: Sequence[Decoded], positions: Integers, part: Decoded) -> Decoded:
    items = tuple(item for other in parts for item in other.examples.items)
    label_ids = tuple(label_id for other in parts for label_id in other.examples.label_ids)
    pixels = allocate(len(positions), part.pixels.shape[-1])
    for row, image in enumerate(_images([other.pixels for other in parts], positions)):
        pixels[row] = image
    return Decoded(pixels, Examples(items, label_ids).take(positions.tolist()), part.skipped)


def _images(parts: Sequence[Tensor], positions: Integers) -> Iterator[Tensor]:
    """Iterate over the pictures at these positions, counted through all parts."""
    starts = np.cumsum([0, *map(len, parts)])
    for position in positions.tolist():
        number = int(np.searchsorted(starts, position, side="right")) - 1
        yield parts[number][position - int(starts[number])]


def _thumbnails(parts: Sequence[Tensor], positions: Integers) -> Tensor:
    """Return the pictures at these positions as (U, 3, S, S) uint8, S at most SIDE_PX."""
    thumbnails = allocate(len(positions), min(SIDE_PX, parts[0].shape[-1]))
    for row, image in enumerate(_images(parts, positions)):
        is_small = image.shape[-1] <= SIDE_PX
        thumbnails[row] = image if is_small else functional.adaptive_avg_pool2d(image.float(), SIDE_PX).round()
    return thumbnails


def _hash(pixels: Tensor) -> Bits:
    """Return the 256 bits of a picture's hash as (32,) uint8."""
    import imagehash

    image = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    return np.packbits(imagehash.phash(image, hash_size=HASH_SIDE, highfreq_factor=SIDE_PX // HASH_SIDE).hash)


def _near(thumbnails: Tensor, hashes: Bits) -> Integers:
    limit = _max_bits(hashes)
    close_pairs = []
    for a, b in candidates(_bands(hashes)):
        is_close = _distance(hashes, a, b) <= limit
        close_pairs.append((a[is_close], b[is_close]))
    pairs = unique_pairs(close_pairs)
    agree = [_pixels_agree(thumbnails, block) for block in _blocks(pairs)]
    near: Integers = pairs[np.concatenate([np.empty(0, dtype=bool), *agree])]
    return near


def _blocks(pairs: Integers, size: int = 2048) -> Iterator[Integers]:
    for start in range(0, len(pairs), size):
        yield pairs[start : start + size]


def _distance(hashes: Bits, a: Integers, b: Integers) -> Integers:
    distances: Integers = np.bitwise_count(hashes[a] ^ hashes[b]).sum(axis=1, dtype=np.int64)
    return distances


def _max_bits(hashes: Bits) -> float:
    """Return the bits that may differ, which chance does not reach in these data.

    Photos differ in 128 bits give or take 9, digits far more unevenly. Median and median deviation are not moved by the
    duplicates that are sought.
    """
    if len(hashes) < MEASURABLE:
        return FEW_BITS
    generator = np.random.default_rng(0)
    a, b = generator.integers(0, len(hashes), (2, 100_000))
    distances = _distance(hashes, a[a != b], b[a != b])
    median = np.median(distances)
    deviation = 1.4826 * np.median(np.abs(distances - median))
    return float(np.clip(median - DEVIATIONS * deviation, MIN_BITS, MAX_BITS))


def _bands(hashes: Bits) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """Cut the 256 bits in three orders into sixteen bands each: (U, 48) uint16.

    Two hashes that differ in 15 bits always share one of the first sixteen; with 40, all three find 96% of the pairs.
    """
    bits = np.unpackbits(hashes, axis=1)
    generator = np.random.default_rng(0)
    orders = [np.arange(bits.shape[1]), *(generator.permutation(bits.shape[1]) for _ in range(2))]
    permuted = [np.ascontiguousarray(np.packbits(bits[:, order], axis=1)) for order in orders]
    return np.concatenate([rows.view(np.uint16) for rows in permuted], axis=1)


def _pixels_agree(thumbnails: Tensor, pairs: Integers) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return (P,) bool: whether the pixels of each pair confirm what the hashes say."""
    a, b = (thumbnails[pairs[:, side]].flatten(2).float() for side in (0, 1))
    shift = (a - b).abs().mean(dim=(1, 2))
    colours = a.mean(dim=2) - b.mean(dim=2)
    cast = (colours - colours.mean(dim=1, keepdim=True)).abs().amax(dim=1)
    a, b = (pixels - pixels.mean(dim=2, keepdim=True) for pixels in (a, b))
    contrast = (a.square() + b.square()).mean(dim=(1, 2))
    residue = (a - b).square().mean(dim=(1, 2))
    is_same = (residue <= MAX_RESIDUE * contrast) & (cast <= MAX_CAST)
    is_same &= shift <= (contrast / 2).sqrt().clamp(max=MAX_SHIFT)
    return is_same.numpy()
