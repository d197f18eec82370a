"""Pictures and texts that a model was not trained on, made from a seed, for `benchmarks.known`.

While `pyclassify.known` was written it was tried out on other things, such as shuffled, turned and inverted training
pictures and shuffled or reversed training texts; with one exception: English reviews beside the Korean ones, which
showed that surprise in order alone is not enough.
"""

from __future__ import annotations

import importlib.util
import random
import string
import sys
import sysconfig
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmarks import sentences

Make = Callable[[random.Random], Image.Image]

PHOTOS = (
    *("astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "coffee.png", "coins.png", "grass.png"),
    *("gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png", "retina.jpg", "rocket.jpg"),
)
"""Of scikit-image; a cat, a motorcycle and a rocket are among them, which are near to some models' labels."""

MORE_PHOTOS = ("china.jpg", "flower.jpg")
"""Of scikit-learn."""

FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSansMono", "STIXGeneral")
"""Of matplotlib."""

KEYS = ("qwertyuiop", "asdfghjkl;", "zxcvbnm,.")
MODULES = (
    *("argparse", "ast", "bisect", "calendar", "codecs", "configparser", "copy", "csv", "datetime", "decimal"),
    *("difflib", "enum", "fractions", "functools", "gettext", "heapq", "inspect", "locale", "mailbox", "pickle"),
    *("pprint", "queue", "random", "shutil", "socket", "statistics", "tarfile", "textwrap", "threading", "zipfile"),
)


def pictures(count: int, size_px: int, seed: int = 0) -> dict[str, list[Image.Image]]:
    """So many pictures of each kind.

    Args:
        count: of each.
        size_px: what the network sees; noise is made at this size, and at four times it.
        seed: the same seed gives the same pictures.
    """
    photos = photographs()
    kinds: dict[str, Make] = {
        "noise": lambda generator: noise(generator, size_px),
        "flat colour": lambda generator: Image.new("RGB", (64, 64), _colour(generator)),
        "text screenshots": screenshot,
        "other photos": lambda generator: crop(generator.choice(photos), generator),
        "drawn shapes": shapes,
    }
    return {name: [make(random.Random(f"{name} {seed} {i}")) for i in range(count)] for name, make in kinds.items()}


def noise(generator: random.Random, size_px: int) -> Image.Image:
    """Uniform, or normal of one of several contrasts about a colour, in colour or in grey."""
    drawn = np.random.default_rng(generator.randrange(2**32))
    side = size_px * generator.choice((1, 4))
    shape = (side, side, generator.choice((1, 3)))
    deviation = generator.choice((0, 10, 25, 50, 100))
    if deviation:
        pixels: np.ndarray[Any, Any] = np.asarray(_colour(generator)) + drawn.normal(0, deviation, shape)
    else:
        pixels = drawn.integers(0, 256, shape).astype(np.float64)
    return Image.fromarray(np.broadcast_to(pixels, (side, side, 3)).clip(0, 255).astype(np.uint8))


def _colour(generator: random.Random) -> tuple[int, int, int]:
    return generator.randrange(256), generator.randrange(256), generator.randrange(256)


def screenshot(generator: random.Random) -> Image.Image:
    """Lines of text, dark on light or light on dark."""
    import matplotlib

    width, height = generator.randrange(160, 640), generator.randrange(160, 640)
    ground, ink = generator.randrange(200, 256), generator.randrange(0, 80)
    if generator.random() < 0.5:
        ground, ink = ink, ground
    image = Image.new("RGB", (width, height), (ground, ground, ground))
    size = generator.randrange(9, 40)
    path = Path(matplotlib.get_data_path(), "fonts", "ttf", f"{generator.choice(FONTS)}.ttf")
    font, pen = ImageFont.truetype(str(path), size), ImageDraw.Draw(image)
    for top in range(generator.randrange(size), height, round(1.3 * size)):
        pen.text((0.5 * size, top), " ".join(generator.sample(sentences.FRENCH, 3)), fill=(ink, ink, ink), font=font)
    return image


def shapes(generator: random.Random) -> Image.Image:
    """A few discs, bars and triangles of plain colours on a plain ground."""
    image = Image.new("RGB", (128, 128), _colour(generator))
    pen = ImageDraw.Draw(image)
    for _ in range(generator.randrange(1, 6)):
        radius, x, y = generator.uniform(8, 50), generator.uniform(0, 128), generator.uniform(0, 128)
        box, kind = (x - radius, y - radius, x + radius, y + radius), generator.choice(("disc", "bar", "triangle"))
        if kind == "disc":
            pen.ellipse(box, fill=_colour(generator))
        elif kind == "bar":
            pen.rectangle((box[0], y - radius / 3, box[2], y + radius / 3), fill=_colour(generator))
        else:
            pen.regular_polygon((x, y, radius), 3, rotation=generator.randrange(360), fill=_colour(generator))
    return image


def photographs() -> list[Image.Image]:
    """Those that scikit-image and scikit-learn bring with them."""
    places = [("skimage", Path("data"), PHOTOS), ("sklearn", Path("datasets", "images"), MORE_PHOTOS)]
    found = []
    for package, folder, names in places:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            sys.exit(f"there is no {package}; install what requirements-bench.txt names")
        for name in names:
            with Image.open(Path(spec.submodule_search_locations[0]) / folder / name) as image:
                found.append(image.convert("RGB"))
    return found


def crop(photo: Image.Image, generator: random.Random) -> Image.Image:
    """A square part of a photo, at least 64 pixels wide."""
    side = generator.randrange(64, min(photo.size) + 1)
    left, top = generator.randrange(photo.width - side + 1), generator.randrange(photo.height - side + 1)
    return photo.crop((left, top, left + side, top + side))


def texts(count: int, lengths: Sequence[int], other: dict[str, Sequence[str]], seed: int = 0) -> dict[str, list[str]]:
    """So many texts of each kind, as long as ordinary ones.

    Args:
        count: of each.
        lengths: of ordinary texts, in characters, to draw from.
        other: texts of other data sets, by what they are.
        seed: the same seed gives the same texts.
    """
    languages = {
        "German": sentences.GERMAN,
        "French": sentences.FRENCH,
        "Spanish": sentences.SPANISH,
        "Turkish": sentences.TURKISH,
    }
    found = {}
    for name, source in {**other, **languages, "code": code()}.items():
        generator = random.Random(f"{name} {seed}")
        separator = "\n" if name == "code" else " "
        found[name] = [_joined(source, generator.choice(lengths), separator, generator) for _ in range(count)]
    generator = random.Random(f"gibberish {seed}")
    found["keyboard gibberish"] = [gibberish(generator.choice(lengths), generator) for _ in range(count)]
    found["single letters"] = [generator.choice(string.ascii_letters) for _ in range(count)]
    return found


def _joined(source: Sequence[str], length: int, separator: str, generator: random.Random) -> str:
    """From any place on, one after the other, cut where the length is reached."""
    start = generator.randrange(len(source))
    parts: list[str] = []
    for each in cycle([*source[start:], *source[:start]]):
        parts.append(each)
        if sum(map(len, parts)) + len(parts) > length:
            break
    return separator.join(parts)[:length].strip() or parts[0].strip()[:1]


def code() -> list[str]:
    """The lines of some modules of Python's own library that are not empty."""
    library = Path(sysconfig.get_path("stdlib"))
    lines = (line for name in MODULES for line in (library / f"{name}.py").read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line.strip()]


def gibberish(length: int, generator: random.Random) -> str:
    """What fingers leave that wander over a keyboard, with a space now and then."""
    found: list[str] = []
    row, column = generator.randrange(3), generator.randrange(9)
    while len(found) < length:
        row = min(2, max(0, row + generator.choice((-1, 0, 0, 0, 1))))
        column = (column + generator.choice((-2, -1, 1, 2))) % 9
        found.append(" " if generator.random() < 0.12 else KEYS[row][column])
    return "".join(found).strip() or "k"
