"""Nearly the same pictures: what is, what is not, and that order makes no difference."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from pyclassify.examples import Examples
from pyclassify.image import twins
from pyclassify.image.data import Decoded
from tests import drawing

SIZE_PX = 64


def _scene(seed: int) -> Image.Image:
    """Blobs of colour, as little alike as two photos are."""
    generator = np.random.default_rng(seed)
    small = generator.integers(0, 256, (9, 9, 3)).astype(np.uint8)
    return Image.fromarray(small).resize((SIZE_PX, SIZE_PX), Image.Resampling.BICUBIC)


def _jpeg(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=50)
    return Image.open(file).convert("RGB")


def _tensor(images: list[Image.Image]) -> torch.Tensor:
    return torch.stack([torch.from_numpy(np.array(each)).permute(2, 0, 1) for each in images])


def _pairs(images: list[Image.Image], order: list[int] | None = None) -> set[frozenset[int]]:
    order = order or list(range(len(images)))
    found = twins.find([_tensor([images[i] for i in order])])
    at: dict[int, list[int]] = {}
    for place, number in zip(order, found.copies.tolist(), strict=True):
        at.setdefault(number, []).append(place)
    same = [(a, b) for group in at.values() for a in group for b in group if a != b]
    near = [(a, b) for i, j in found.near.tolist() for a in at[i] for b in at[j]]
    return {frozenset(pair) for pair in same + near}


SCENES = [_scene(seed) for seed in range(60)]


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.copy(),
        _jpeg,
        lambda image: image.resize((40, 40)).resize((SIZE_PX, SIZE_PX)),
        lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    ],
    ids=["copy", "JPEG", "scale", "brightness"],
)
def test_a_changed_copy_is_a_twin_and_nothing_else_is(change: Callable[[Image.Image], Image.Image]) -> None:
    changed = [change(image) for image in SCENES[:8]]
    assert _pairs(SCENES + changed) == {frozenset((i, len(SCENES) + i)) for i in range(8)}


def test_noisy_pictures_of_one_colour_are_no_twins() -> None:
    noisy = [drawing.picture(colour, seed=seed) for colour in drawing.COLOURS.values() for seed in range(30)]
    assert _pairs(noisy) == set()


def test_flat_pictures_are_twins_only_when_equal() -> None:
    flat = [Image.new("RGB", (32, 32), (grey,) * 3) for grey in (0, 3, 100, 110, 100)]
    assert _pairs(flat) == {frozenset((2, 4))}


def test_shapes_of_one_kind_are_no_twins() -> None:
    shapes = [drawing.shape(name, seed) for name in drawing.SHAPES for seed in range(40)]
    assert _pairs(shapes) == set()


def test_what_looks_alike_all_over_must_be_closer_to_be_a_twin() -> None:
    common = np.random.default_rng(0).integers(0, 256, (256,)) < 128
    flips = np.random.default_rng(1).random((200, 256)) < 0.1
    alike = np.packbits(common ^ flips, axis=1)
    apart = np.packbits(np.random.default_rng(2).random((200, 256)) < 0.5, axis=1)
    assert twins._most_bits(alike) < 32 < twins._most_bits(apart) == twins.MOST_BITS


def test_order_does_not_change_the_pairs() -> None:
    images = SCENES + [_jpeg(image) for image in SCENES[:20]]
    order = np.random.default_rng(0).permutation(len(images)).tolist()
    assert _pairs(images) == _pairs(images, order)


def test_parts_are_one_sequence_and_can_be_regrouped() -> None:
    pixels = _tensor(SCENES[:9])
    decoded = [
        Decoded(each, Examples(tuple(Path(f"{start + i}") for i in range(3)), (0, 1, 0)), ())
        for start, each in ((0, pixels[:3]), (3, pixels[3:6]), (6, pixels[6:]))
    ]
    assert len(set(twins.find([each.pixels for each in decoded]).copies.tolist())) == 9
    train, validation, test = twins.regroup(decoded, (np.array([0, 2, 4, 5]), np.array([1, 3]), np.array([6, 7, 8])))
    assert torch.equal(train.pixels, pixels[[0, 2, 4, 5]])
    assert train.examples.items == (Path("0"), Path("2"), Path("4"), Path("5"))
    assert train.examples.label_ids == (0, 0, 1, 0)
    assert torch.equal(validation.pixels, pixels[[1, 3]])
    assert test is decoded[2]
