"""Small data that the tests draw and write themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"blue": (40, 60, 220), "green": (30, 200, 60), "red": (220, 40, 40)}
GOOD = ("a wonderful film with great acting", "great story and a wonderful end", "I loved it, great fun")
BAD = ("a terrible film with awful acting", "awful story and a terrible end", "I hated it, awful waste")


def picture(colour: tuple[int, int, int], seed: int, size_px: int = 32) -> Image.Image:
    """A noisy square of nearly one colour."""
    generator = np.random.default_rng(seed)
    pixels = np.asarray(colour) + generator.normal(0, 20, (size_px, size_px, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def picture_folder(root: Path, *, per_label: int = 8, parts: tuple[str, ...] = ("train", "test")) -> Path:
    """Folders root/part/label, or root/label where there are no parts."""
    for number, part in enumerate(parts or ("",)):
        for label, colour in COLOURS.items():
            folder = root / part / label
            folder.mkdir(parents=True)
            for i in range(per_label):
                picture(colour, seed=1000 * number + i).save(folder / f"{i}.png")
    return root


def reviews(count: int) -> list[tuple[str, str]]:
    """Pairs of label and text, all different."""
    pairs = []
    for i in range(count):
        label, words = (("good", GOOD), ("bad", BAD))[i % 2]
        pairs.append((label, f"{words[i // 2 % len(words)]} number {i}"))
    return pairs


def review_file(path: Path, *, count: int = 40) -> Path:
    """A TSV file with the columns label and text."""
    rows = "".join(f"{label}\t{text}\n" for label, text in reviews(count))
    path.write_text(f"label\ttext\n{rows}", encoding="utf-8")
    return path
