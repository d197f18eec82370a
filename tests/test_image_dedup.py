"""Duplicate pictures: which are, which are not, and that their order makes no difference."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from pyclassify.dataset import Examples
from pyclassify.image import dedup
from pyclassify.image.data import Decoded
from tests import drawing

SIZE_PX = 64


def scene(seed: int) -> Image.Image:
    """Blobs of colour, as different as two photos are."""
    generator = np.random.default_rng(seed)
    small = generator.integers(0, 256, (9, 9, 3)).astype(np.uint8)
    return Image.fromarray(small).resize((SIZE_PX, SIZE_PX), Image.Resampling.BICUBIC)


def jpeg(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=50)
    return Image.open(file).convert("RGB")


def stack(images: list[Image.Image]) -> torch.Tensor:
    return torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in images])


def duplicate_pairs(images: list[Image.Image], order: list[int] | None = None) -> set[frozenset[int]]:
    order = order or list(range(len(images)))
    duplicates = dedup.find([stack([images[i] for i in order])])
    positions: dict[int, list[int]] = {}
    for position, number in zip(order, duplicates.copies.tolist(), strict=True):
        positions.setdefault(number, []).append(position)
    copies = [(a, b) for group in positions.values() for a in group for b in group if a != b]
    near = [(a, b) for i, j in duplicates.near.tolist() for a in positions[i] for b in positions[j]]
    return {frozenset(pair) for pair in copies + near}


SCENES = [scene(seed) for seed in range(60)]


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.copy(),
        jpeg,
        lambda image: image.resize((40, 40)).resize((SIZE_PX, SIZE_PX)),
        lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    ],
    ids=["copy", "JPEG", "scale", "brightness"],
)
def test_a_changed_copy_is_a_duplicate_and_nothing_else_is(change: Callable[[Image.Image], Image.Image]) -> None:
    changed = [change(image) for image in SCENES[:8]]
    assert duplicate_pairs(SCENES + changed) == {frozenset((i, len(SCENES) + i)) for i in range(8)}


def test_noisy_pictures_of_one_colour_are_not_duplicates() -> None:
    noisy = [drawing.image(colour, seed=seed) for colour in drawing.COLOURS.values() for seed in range(30)]
    assert duplicate_pairs(noisy) == set()


def test_flat_pictures_are_duplicates_only_when_equal() -> None:
    flat = [Image.new("RGB", (32, 32), (grey,) * 3) for grey in (0, 3, 100, 110, 100)]
    assert duplicate_pairs(flat) == {frozenset((2, 4))}


def test_different_drawings_of_one_shape_are_not_duplicates() -> None:
    shapes = [drawing.shape(name, seed) for name in drawing.SHAPES for seed in range(40)]
    assert duplicate_pairs(shapes) == set()


def test_pictures_that_are_all_alike_must_be_closer_to_be_duplicates() -> None:
    """Of scans of one form, each filled in differently, two would be near-duplicates among photos."""
    form, generator = np.asarray(scene(0)).astype(int), np.random.default_rng(1)

    def fill_in() -> Image.Image:
        filled = form.copy()
        row, column = generator.integers(0, SIZE_PX - 12, 2)
        filled[row : row + 12, column : column + 12] += generator.integers(-60, 60)
        return Image.fromarray(filled.clip(0, 255).astype(np.uint8))

    forms = [fill_in() for _ in range(60)]
    assert duplicate_pairs(SCENES[1:] + forms[:2]) == {frozenset((59, 60))}
    pairs = duplicate_pairs(forms)
    assert frozenset((0, 1)) not in pairs
    assert len(pairs) < 0.1 * 60 * 59 / 2


def test_the_order_does_not_change_the_pairs() -> None:
    images = SCENES + [jpeg(image) for image in SCENES[:20]]
    order = np.random.default_rng(0).permutation(len(images)).tolist()
    assert duplicate_pairs(images) == duplicate_pairs(images, order)


def test_progress_counts_different_pictures() -> None:
    steps: list[tuple[int, int]] = []
    dedup.find([stack(SCENES[:3]), stack(SCENES[2:4])], on_progress=lambda *step: steps.append(step))
    assert steps == [(1, 4), (4, 4)]


def test_parts_are_one_sequence_and_can_be_regrouped() -> None:
    pixels = stack(SCENES[:9])
    decoded = [
        Decoded(part, Examples(tuple(Path(f"{start + i}") for i in range(3)), (0, 1, 0)))
        for start, part in ((0, pixels[:3]), (3, pixels[3:6]), (6, pixels[6:]))
    ]
    assert len(set(dedup.find([part.pixels for part in decoded]).copies.tolist())) == 9
    train, validation, test = dedup.regroup(decoded, (np.array([0, 2, 4, 5]), np.array([1, 3]), np.array([6, 7, 8])))
    assert torch.equal(train.pixels, pixels[[0, 2, 4, 5]])
    assert train.examples.items == (Path("0"), Path("2"), Path("4"), Path("5"))
    assert train.examples.label_ids == (0, 0, 1, 0)
    assert torch.equal(validation.pixels, pixels[[1, 3]])
    assert test is decoded[2]
