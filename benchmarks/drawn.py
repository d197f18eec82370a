"""What the benchmarks ask the classifiers: pictures and texts that are drawn here, the same each time."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
from PIL import Image

PHOTO_PX = (4000, 3000)
ICON_PX = (32, 32)
VOCABULARY = (
    "a the of and to in it was is that this but not with for as on at from so film story scene actor music night day"
    " street house river mother friend teacher doctor winter summer morning letter window garden train city village"
    " slow quick bright dark quiet loud funny sad strange simple clever honest old new long short good bad fine poor"
    " walks speaks laughs waits opens finds loses brings leaves remembers never always almost again maybe together"
)


def photo(size_px: tuple[int, int] = PHOTO_PX, *, seed: int = 0) -> Image.Image:
    """Soft shapes of many colours with grain on them, so that decoding it costs what a camera's picture does.

    Args:
        size_px: width and height.
        seed: the same one draws the same picture.
    """
    generator = np.random.default_rng(seed)
    layers = np.zeros((size_px[1], size_px[0], 3), dtype=np.float32)
    for cells, strength in ((6, 70), (60, 35), (400, 15)):
        coarse = generator.integers(0, 256, (max(2, cells * 3 // 4), cells, 3), dtype=np.uint8)
        soft = Image.fromarray(coarse).resize(size_px, Image.Resampling.BICUBIC)
        layers += (np.asarray(soft, dtype=np.float32) - 128) * (strength / 64)
    layers += generator.normal(0, 4, layers.shape).astype(np.float32)
    return Image.fromarray((layers + 128).clip(0, 255).astype(np.uint8))


def pictures(folder: Path, *, photo_px: tuple[int, int] = PHOTO_PX) -> dict[str, Path]:
    """Draw a small PNG and a large JPEG into a folder; their descriptions with their paths."""
    large = photo(photo_px)
    megapixels = photo_px[0] * photo_px[1] / 1e6
    paths = {
        f"picture, PNG of {ICON_PX[0]} px": folder / "icon.png",
        f"picture, JPEG of {megapixels:.3g} megapixels": folder / "photo.jpg",
    }
    icon, jpeg = paths.values()
    large.resize(ICON_PX, Image.Resampling.LANCZOS).save(icon)
    large.save(jpeg, quality=90)
    return paths


def icons(folder: Path, count: int) -> list[Path]:
    """Draw so many small PNGs into a folder, all different."""
    paths = [folder / f"icon-{seed}.png" for seed in range(count)]
    for seed, path in enumerate(paths):
        photo((64, 64), seed=seed).resize(ICON_PX, Image.Resampling.LANCZOS).save(path)
    return paths


def text(words: int, *, seed: int = 0) -> str:
    """So many words, drawn at random."""
    return " ".join(random.Random(seed).choices(VOCABULARY.split(), k=words))
