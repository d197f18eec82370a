"""What goes into a self-test: two small files for pictures, three texts for text."""

from __future__ import annotations

import io
import math
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageDraw

from pyclassify.text.transform import TextTransform

KEY = "selftest"
"""Where the self-test stands in config.json."""

FILES = "selftest-*"
"""The files of a self-test, as a pattern of names."""

MOST_INPUTS = 16
MOST_BYTES = 50_000
MOST_CHARACTERS = 100_000
LONG_TOKENS = 1024
"""An over-long text has more tokens than a transform takes, but no more than it needs to be cut here."""

SENTENCE = "The first half was slow, but I don\u2019t think that anyone will forget the END!"
KOREAN = "처음에는 지루했지만, 마지막 장면은 정말 좋았어요!"

_FILE = re.compile(r"selftest-[a-z0-9-]+\.(png|jpg)")
_WIDTH_PX, _HEIGHT_PX = 96, 72
_ON_ITS_SIDE = 6
"""The EXIF orientation of a picture that has to be turned clockwise to stand upright."""


def pictures() -> list[tuple[dict[str, Any], bytes]]:
    """A drawing as PNG, and as a phone would write it: JPEG, on its side, with an EXIF tag that says so.

    Returns:
        What config.json says of each, and the files' content.
    """
    drawing = _drawing()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = _ON_ITS_SIDE
    upright, turned = io.BytesIO(), io.BytesIO()
    drawing.save(upright, "PNG", optimize=True)
    # without colours at half the resolution, of which each decoder makes something else
    side = drawing.transpose(Image.Transpose.ROTATE_90)
    side.save(turned, "JPEG", quality=90, subsampling=0, exif=exif)
    return [
        ({"name": "a drawing", "file": "selftest-upright.png"}, upright.getvalue()),
        ({"name": "the drawing on its side, with an EXIF tag", "file": "selftest-rotated.jpg"}, turned.getvalue()),
    ]


def texts(transform: TextTransform) -> list[dict[str, Any]]:
    """A sentence, Hangul in decomposed form, and an over-long text of tokens that the vocabulary has.

    Returns:
        What config.json says of each. A text that is a shorter one many times over is noted as that.
    """
    base = _known(transform)
    tokens = min(transform.max_tokens, LONG_TOKENS) + 1
    return [
        {"name": "a sentence", "text": SENTENCE},
        {"name": "Hangul in decomposed form", "text": unicodedata.normalize("NFD", KOREAN)},
        {"name": "an over-long text", "text": base, "times": math.ceil(tokens / len(transform(base).tensor)) + 1},
    ]


def file_names(info: Mapping[str, Any]) -> list[str]:
    """The files that the self-test of a config.json names; none where it has none, or is no self-test.

    A name is no more than a name: it cannot lead out of the folder.
    """
    noted = info.get(KEY)
    inputs = noted.get("inputs") if isinstance(noted, dict) else None
    found = [each.get("file") for each in inputs if isinstance(each, dict)] if isinstance(inputs, list) else []
    return [name for name in found if isinstance(name, str) and _FILE.fullmatch(name)]


def given(described: Mapping[str, Any], folder: Path) -> Path | str:
    """What the transform takes, and no more than a little of it: a checkpoint may come from anyone.

    Raises:
        KeyError, TypeError, ValueError, OSError: there is no such input.
    """
    if "file" in described:
        if not _FILE.fullmatch(described["file"]):
            raise ValueError(f"a file named {described['file']!r}")
        path = folder / str(described["file"])
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"{path.name} has more than {MOST_BYTES} bytes")
        return path
    text, times = str(described["text"]), int(described.get("times", 1))
    if len(text) * times > MOST_CHARACTERS:
        raise ValueError(f"a text of more than {MOST_CHARACTERS} characters")
    return text * times


def _drawing() -> Image.Image:
    """Nothing in it is symmetric, and it has fine lines, so that whatever turns, mirrors or blurs it shows."""
    x, y = np.meshgrid(np.arange(_WIDTH_PX), np.arange(_HEIGHT_PX))
    sky = np.stack([90 + y, 140 + y // 2, 220 - x // 3], axis=2)
    image = Image.fromarray(sky.astype(np.uint8))
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 50, 95, 71), fill=(60, 120, 50))
    pen.ellipse((8, 6, 26, 24), fill=(250, 220, 60))
    pen.polygon([(40, 34), (58, 14), (76, 34)], fill=(170, 40, 40))
    pen.rectangle((44, 34, 72, 60), fill=(230, 210, 180))
    pen.rectangle((48, 44, 56, 60), fill=(80, 50, 30))
    for left in range(0, 40, 3):
        pen.line((left, 54, left, 70), fill=(240, 240, 240))
    for top in range(2, 70, 4):
        pen.line((80, top, 94, top + 3), fill=(20, 20, 60))
    return image


def _known(transform: TextTransform) -> str:
    """Two dozen tokens, from the most frequent to rarer ones, of letters and digits: those are the same everywhere."""
    tokens = [each for each in transform.vocabulary[2:2002] if each.isalnum()]
    chosen = tokens[:: max(1, len(tokens) // 24)][:24] or [SENTENCE]
    return "".join(chosen) + " " if transform.tokens == "characters" else " ".join(chosen) + " "
