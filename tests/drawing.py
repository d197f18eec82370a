"""Small data sets that the tests draw and write themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

COLOURS = {"blue": (40, 60, 220), "green": (30, 200, 60), "red": (220, 40, 40)}
GOOD = ("a wonderful film with great acting", "great story and a wonderful end", "I loved it, great fun")
BAD = ("a terrible film with awful acting", "awful story and a terrible end", "I hated it, awful waste")


def image(colour: tuple[int, int, int], seed: int, size_px: int = 32) -> Image.Image:
    """Draw a noisy square of nearly one colour."""
    generator = np.random.default_rng(seed)
    pixels = np.asarray(colour) + generator.normal(0, 20, (size_px, size_px, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def image_folder(root: Path, *, per_label: int = 8, splits: tuple[str, ...] = ("train", "test")) -> Path:
    """Write pictures to root/split/label, or to root/label without splits."""
    for number, split in enumerate(splits or ("",)):
        for label, colour in COLOURS.items():
            folder = root / split / label
            folder.mkdir(parents=True)
            for i in range(per_label):
                image(colour, seed=1000 * number + i).save(folder / f"{i}.png")
    return root


SHAPES = ("disc", "square", "triangle")


def shape(name: str, seed: int, size_px: int = 48) -> Image.Image:
    """Draw one of SHAPES in any colour, place and size, on noise: only the outline tells them apart."""
    generator = np.random.default_rng([SHAPES.index(name), seed])
    ground, colour = generator.integers(0, 100, 3), generator.integers(140, 256, 3)
    noise = generator.normal(0, 15, (size_px, size_px, 3))
    drawn = Image.fromarray((ground + noise).clip(0, 255).astype(np.uint8))
    radius = size_px * generator.uniform(0.2, 0.35)
    x, y = generator.uniform(radius, size_px - radius, 2)
    pen, fill = ImageDraw.Draw(drawn), tuple(int(level) for level in colour)
    if name == "disc":
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
    else:
        pen.regular_polygon((x, y, radius), 3 if name == "triangle" else 4, rotation=0, fill=fill)
    return drawn


def shape_folder(root: Path, counts: dict[str, dict[str, int]]) -> Path:
    """Write shapes to root/split/label: so many, such as {"train": {"disc": 20, "square": 20}}."""
    for number, (split, labels) in enumerate(counts.items()):
        for label, count in labels.items():
            folder = root / split / label
            folder.mkdir(parents=True)
            for i in range(count):
                shape(label, seed=10_000 * number + i).save(folder / f"{i}.png")
    return root


def reviews(count: int) -> list[tuple[str, str]]:
    """Return pairs of label and text, all different."""
    pairs = []
    for i in range(count):
        label, words = (("good", GOOD), ("bad", BAD))[i % 2]
        pairs.append((label, f"{words[i // 2 % len(words)]} number {i}"))
    return pairs


def review_file(path: Path, *, count: int = 40) -> Path:
    """Write a TSV file with the columns label and text."""
    rows = "".join(f"{label}\t{text}\n" for label, text in reviews(count))
    path.write_text(f"label\ttext\n{rows}", encoding="utf-8")
    return path


def photo(width_px: int, height_px: int) -> Image.Image:
    """Draw soft shapes of many colours."""
    coarse = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width_px, height_px), Image.Resampling.BICUBIC)
