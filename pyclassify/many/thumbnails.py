"""A small picture of a row, made only when it is looked at."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from PIL import Image, ImageOps

from pyclassify.many.spool import Row

SIDE_PX = 64
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")


def thumbnails(rows: Sequence[Row], side_px: int = SIDE_PX) -> list[bytes]:
    """A JPEG for each row, no wider and no higher than `side_px`.

    Returns:
        Nothing for a row that has no picture that was answered, or whose upload is gone by now.
    """
    with ExitStack() as stack:
        archives: dict[str, zipfile.ZipFile] = {}  # the list of a zip's entries is read once
        return [_small(row, side_px, archives, stack) for row in rows]


def _small(row: Row, side_px: int, archives: dict[str, zipfile.ZipFile], stack: ExitStack) -> bytes:
    if row.problem or not row.path:
        return b""
    try:
        if row.entry and row.path not in archives:
            archives[row.path] = stack.enter_context(zipfile.ZipFile(row.path))
        content = archives[row.path].read(row.entry) if row.entry else Path(row.path).read_bytes()
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            image.draft("RGB", (side_px, side_px))
            image.thumbnail((side_px, side_px))
            small = io.BytesIO()
            ImageOps.exif_transpose(image).convert("RGB").save(small, "JPEG", quality=80)
            return small.getvalue()
    except (OSError, ValueError, KeyError, EOFError, SyntaxError, zipfile.BadZipFile, zlib.error):
        return b""  # it was answered; that it is not shown is no loss
