"""Pictures that are the same or nearly the same: by a perceptual hash, confirmed on the pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from pyclassify.examples import Examples, Integers
from pyclassify.image.data import Decoded, room_for
from pyclassify.twins import Selection, Twins, candidates, unique_pairs

LOOK_PX = 32
"""Larger pictures are compared at this size."""

HASH_SIDE = 16
"""256 bits: half of the 32 frequencies each way. Of 64 bits too many agree by chance in 60,000 pictures."""

MOST_BITS, FEW_BITS, LEAST_BITS = 64, 32, 8
"""Most bits that may differ: at best, of data too few to say what chance does, and of pictures that are all alike."""

ENOUGH = 50
"""From so many different pictures on, they themselves say how far apart two of them are."""

FAR = 6.0
"""Standard deviations below the distance of any two pictures: chance alone reaches it once in a billion pairs."""

MOST_RESIDUE = 0.2
"""Share of the two pictures' contrast that may be left when one is subtracted from the other."""

MOST_SHIFT = 45.0
"""Mean difference of pixels, of 255, which is mostly how much brighter one picture is than the other."""

MOST_CAST = 16.0
"""By how much more than the others one colour may differ, of 255: a thing in another colour is another thing."""

Bits = np.ndarray[Any, np.dtype[np.uint8]]


def find(parts: Sequence[Tensor], *, on_picture: Callable[[], None] | None = None) -> Twins:
    """Find copies by equal pixels, and near-twins by the discrete cosine transform's signs (Zauner 2010, pHash).

    Two pictures are near when their hashes differ in few bits, few meaning far fewer than between any two pictures of
    the same data, and when their pixels agree too. So brightness, compression and scale make no difference; another
    colour, a shift by two pixels of 32 or a mirror image does; and pictures without contrast are twins only when equal.

    Args:
        parts: (n, 3, H, W) uint8 each, N pictures in all; the same H and W.
        on_picture: called after each different picture is hashed, for a progress bar.
    """
    digests = [hashlib.blake2b(each.numpy().tobytes(), digest_size=16).digest() for part in parts for each in part]
    numbers = {each: number for number, each in enumerate(sorted(set(digests)))}
    copies = np.fromiter((numbers[each] for each in digests), np.int64, len(digests))
    first = np.unique(copies, return_index=True)[1]
    looks = _looks(parts, first)
    hashes = np.empty((len(first), HASH_SIDE**2 // 8), dtype=np.uint8)
    for row, look in enumerate(looks):
        hashes[row] = _hash(look)
        if on_picture:
            on_picture()
    return Twins(copies, _near(looks, hashes))


def regroup(parts: Sequence[Decoded], selection: Selection) -> tuple[Decoded, Decoded, Decoded]:
    """The decoded pictures that a selection asks for; a part that stays as it is keeps its pixels where they are."""
    ends = np.cumsum([len(part.examples) for part in parts])
    train, validation, test = (
        part
        if np.array_equal(positions, np.arange(end - len(part.examples), end))
        else _gathered(parts, positions, part)
        for part, positions, end in zip(parts, selection, ends, strict=True)
    )
    return train, validation, test


def _gathered(parts: Sequence[Decoded], positions: Integers, part: Decoded) -> Decoded:
    items = [item for each in parts for item in each.examples.items]
    label_ids = [label_id for each in parts for label_id in each.examples.label_ids]
    pixels = room_for(len(positions), part.pixels.shape[-1])
    for row, picture in enumerate(_rows([each.pixels for each in parts], positions)):
        pixels[row] = picture
    return Decoded(pixels, Examples(tuple(items), tuple(label_ids)).take(positions.tolist()), part.skipped)


def _looks(parts: Sequence[Tensor], positions: Integers) -> Tensor:
    """(U, 3, LOOK_PX, LOOK_PX) uint8, or smaller where the pictures are: those at the positions, of all parts."""
    looks = room_for(len(positions), min(LOOK_PX, parts[0].shape[-1]))
    for row, picture in enumerate(_rows(parts, positions)):
        looks[row] = _small(picture)
    return looks


def _rows(parts: Sequence[Tensor], positions: Integers) -> Iterator[Tensor]:
    """The pictures at these positions, counted through all parts."""
    starts = np.cumsum([0, *map(len, parts)])
    for position in positions.tolist():
        number = int(np.searchsorted(starts, position, side="right")) - 1
        yield parts[number][position - int(starts[number])]


def _small(pixels: Tensor) -> Tensor:
    if pixels.shape[-1] <= LOOK_PX:
        return pixels
    return functional.adaptive_avg_pool2d(pixels.float(), LOOK_PX).round().to(torch.uint8)


def _hash(pixels: Tensor) -> Bits:
    """(32,) uint8: 256 bits."""
    import imagehash

    image = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    return np.packbits(imagehash.phash(image, hash_size=HASH_SIDE, highfreq_factor=LOOK_PX // HASH_SIDE).hash)


def _near(looks: Tensor, hashes: Bits) -> Integers:
    limit = _most_bits(hashes)
    found = []
    for a, b in candidates(_bands(hashes)):
        close = _distance(hashes, a, b) <= limit
        found.append((a[close], b[close]))
    pairs = unique_pairs(found)
    blocks = [_agree(looks, block) for block in _blocks(pairs)]
    near: Integers = pairs[np.concatenate([np.empty(0, dtype=bool), *blocks])]
    return near


def _blocks(pairs: Integers, size: int = 2048) -> Iterator[Integers]:
    for start in range(0, len(pairs), size):
        yield pairs[start : start + size]


def _distance(hashes: Bits, a: Integers, b: Integers) -> Integers:
    distances: Integers = np.bitwise_count(hashes[a] ^ hashes[b]).sum(axis=1, dtype=np.int64)
    return distances


def _most_bits(hashes: Bits) -> float:
    """What chance does not reach in these data: photos differ in 128 bits give or take 9, digits far more unevenly.

    By the median and the median deviation, which the twins that are sought do not move.
    """
    if len(hashes) < ENOUGH:
        return FEW_BITS
    generator = np.random.default_rng(0)
    a, b = generator.integers(0, len(hashes), (2, 100_000))
    distances = _distance(hashes, a[a != b], b[a != b])
    median = np.median(distances)
    deviation = 1.4826 * np.median(np.abs(distances - median))
    return float(np.clip(median - FAR * deviation, LEAST_BITS, MOST_BITS))


def _bands(hashes: Bits) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """(U, 48) uint16: the 256 bits in three orders, cut into sixteen each.

    Two hashes that differ in 15 bits always share one of the first sixteen; with 40, all three find 96 % of the pairs.
    """
    bits = np.unpackbits(hashes, axis=1)
    generator = np.random.default_rng(0)
    orders = [np.arange(bits.shape[1]), *(generator.permutation(bits.shape[1]) for _ in range(2))]
    turned = [np.ascontiguousarray(np.packbits(bits[:, order], axis=1)) for order in orders]
    return np.concatenate([each.view(np.uint16) for each in turned], axis=1)


def _agree(looks: Tensor, pairs: Integers) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(P,) bool: whether the pixels of the pairs confirm what their hashes say."""
    a, b = (looks[pairs[:, side]].flatten(2).float() for side in (0, 1))
    shift = (a - b).abs().mean(dim=(1, 2))
    colours = a.mean(dim=2) - b.mean(dim=2)
    cast = (colours - colours.mean(dim=1, keepdim=True)).abs().amax(dim=1)
    a, b = (each - each.mean(dim=2, keepdim=True) for each in (a, b))
    contrast = (a.square() + b.square()).mean(dim=(1, 2))
    residue = (a - b).square().mean(dim=(1, 2))
    is_same = (residue <= MOST_RESIDUE * contrast) & (cast <= MOST_CAST)
    return (is_same & (shift <= (contrast / 2).sqrt().clamp(max=MOST_SHIFT))).numpy()
