"""File formats: what is a picture, table, archive or junk, and how large it may be, in training, page and API alike."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final

from pyclassify.errors import InputError

PICTURE_FORMATS: Final[dict[str, tuple[str, ...]]] = {
    "JPEG": (".jpg", ".jpeg", ".jfif"),
    "PNG": (".png",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm"),
    "AVIF": (".avif",),
    "HEIF": (".heic", ".heif"),
}
"""Pillow's formats that may be decoded, with their suffixes. Pillow knows more, and each is one more way to attack."""

PICTURE_SUFFIXES: Final = tuple(suffix for suffixes in PICTURE_FORMATS.values() for suffix in suffixes)
TABLE_SUFFIXES: Final = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".txt", ".xlsx")
"""Suffixes of tables; each but the last may be followed by `.gz`."""

ARCHIVE_SUFFIXES: Final = (".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz")
SPREADSHEET_SUFFIXES: Final = (".xls", ".ods")

MAX_PICTURE_BYTES: Final = 20_000_000
MAX_PIXELS: Final = 100_000_000
"""A larger picture is refused before it is decoded: decoded, it takes at least 3 bytes per pixel."""

MAX_TABLE_BYTES: Final = 1_000_000_000
MAX_SHEET_BYTES: Final = 200_000_000
"""Limit of a spreadsheet's content once it is unpacked."""

MAX_TEXT_CHARACTERS: Final = 1_000_000
"""A longer text is refused before any work is done on it."""

_JUNK: Final = frozenset({"thumbs.db", "desktop.ini", "__macosx", "@eadir"})
_SIGNATURES: Final = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM"),
    *(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),  # TIFF and BigTIFF
    *(b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"),
)
_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis"})
"""Brands in the header of HEIC and AVIF; films use the same container with other brands."""


def is_junk(name: str) -> bool:
    """Return whether a file or folder is hidden or was left behind by an operating system."""
    return (name.startswith(".") and name != "..") or name.lower() in _JUNK


def without_junk(names: Iterable[str]) -> list[str]:
    """Return the names of files or folders that are not junk, sorted."""
    return sorted(name for name in names if not is_junk(name))


def is_junk_path(path: str) -> bool:
    """Return whether any part of a path is junk; folders may be separated by either slash."""
    return any(map(is_junk, PurePosixPath(path.replace("\\", "/")).parts))


def junk_below(folder: Path) -> tuple[str, ...]:
    """Return the paths of junk below a folder, relative to it; the content of junk folders is not listed."""
    paths = []
    for place, folders, names in os.walk(folder):
        junk = sorted(name for name in (*folders, *names) if is_junk(name))
        paths += [os.path.relpath(os.path.join(place, name), folder) for name in junk]
        folders[:] = without_junk(folders)
    return tuple(paths)


def suffix_of(name: str) -> str:
    """Return the suffix of a file name in small letters, with its dot; empty without one."""
    return PurePosixPath(name).suffix.lower()


def table_suffix(name: str) -> str:
    """Return the suffix that tells the format of a table, such as `.csv` of `a.csv.gz`; empty for other files."""
    is_packed = name.lower().endswith(".gz")
    suffix = suffix_of(name[:-3] if is_packed else name)
    return suffix if suffix in TABLE_SUFFIXES and not (is_packed and suffix == ".xlsx") else ""


def check_picture_file(path: Path) -> None:
    """Check size, suffix and signature of a file before anything decodes it.

    Raises:
        InputError: it is too large, or not a picture of one of PICTURE_FORMATS.
    """
    if path.stat().st_size > MAX_PICTURE_BYTES:
        raise InputError("picture_file_too_large", limit_mb=MAX_PICTURE_BYTES // 1_000_000)
    with path.open("rb") as file:
        head = file.read(16)
    suffix = suffix_of(path.name)
    if (suffix and suffix not in PICTURE_SUFFIXES) or not _has_signature(head):
        raise InputError("picture_format_unknown")


def is_picture(path: Path) -> bool:
    """Return whether a file is a picture by its suffix, or by its first bytes if it has none."""
    if suffix := suffix_of(path.name):
        return suffix in PICTURE_SUFFIXES
    try:
        with path.open("rb") as file:
            return _has_signature(file.read(16))
    except OSError:
        return False


def register_heif() -> None:
    """Teach Pillow to read HEIC, the format of iPhones."""
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False)


def _has_signature(head: bytes) -> bool:
    if head[4:8] == b"ftyp":
        return head[8:12] in _BRANDS
    return head.startswith(_SIGNATURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
