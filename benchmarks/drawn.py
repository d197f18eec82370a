"""Inputs of the benchmarks: pictures and texts that are drawn here, the same each time."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

PHOTO_PX: Final = (4000, 3000)
ICON_PX: Final = (32, 32)
WORDS: Final = (20, 200, 2000)
"""Words of the texts that answers are timed with."""

VOCABULARY: Final = (
    "a the of and to in it was is that this but not with for as on at from so film story scene actor music night day"
    " street house river mother friend teacher doctor winter summer morning letter window garden train city village"
    " slow quick bright dark quiet loud funny sad strange simple clever honest old new long short good bad fine poor"
    " walks speaks laughs waits opens finds loses brings leaves remembers never always almost again maybe together"
)


def photo(size_px: tuple[int, int], *, seed: int = 0) -> Image.Image:
    """Draw soft shapes of many colours with grain on them, so that decoding costs as much as a camera's picture.

    Args:
        size_px: width and height.
        seed: the same seed draws the same picture.
    """
    generator = np.random.default_rng(seed)
    layers = np.zeros((size_px[1], size_px[0], 3), dtype=np.float32)
    for cells, strength in ((6, 70), (60, 35), (400, 15)):
        coarse = generator.integers(0, 256, (max(2, cells * 3 // 4), cells, 3), dtype=np.uint8)
        soft = Image.fromarray(coarse).resize(size_px, Image.Resampling.BICUBIC)
        layers += (np.asarray(soft, dtype=np.float32) - 128) * (strength / 64)
    layers += generator.normal(0, 4, layers.shape).astype(np.float32)
    return Image.fromarray((layers + 128).clip(0, 255).astype(np.uint8))


def images(folder: Path) -> dict[str, Path]:
    """Draw a small PNG and a large JPEG into a folder; return their paths by what they are."""
    large = photo(PHOTO_PX)
    megapixels = PHOTO_PX[0] * PHOTO_PX[1] / 1e6
    icon, jpeg = folder / "icon.png", folder / "photo.jpg"
    large.resize(ICON_PX, Image.Resampling.LANCZOS).save(icon)
    large.save(jpeg, quality=90)
    return {f"picture, PNG of {ICON_PX[0]} px": icon, f"picture, JPEG of {megapixels:.3g} megapixels": jpeg}


def icons(folder: Path, count: int) -> list[Path]:
    """Draw so many small PNGs into a folder, all different."""
    paths = [folder / f"icon-{seed}.png" for seed in range(count)]
    for seed, path in enumerate(paths):
        photo((64, 64), seed=seed).resize(ICON_PX, Image.Resampling.LANCZOS).save(path)
    return paths


def text(num_words: int, *, seed: int = 0) -> str:
    """Draw words at random; the same seed draws the same words."""
    return " ".join(random.Random(seed).choices(VOCABULARY.split(), k=num_words))


def texts(_: Path | None = None) -> dict[str, str]:
    """Draw a text of each length in WORDS; return them by what they are."""
    return {f"text of {num_words:,} words": text(num_words) for num_words in WORDS}


INPUTS: Final[Mapping[str, Callable[[Path], Mapping[str, Any]]]] = {"image": images, "text": texts}
"""By kind: draws inputs, some into a folder, and returns them by what they are."""
