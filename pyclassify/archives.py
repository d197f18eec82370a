"""Archives of labelled examples: a zip or tar of folders, unpacked for as long as the program runs."""

from __future__ import annotations

import atexit
import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Final

from pyclassify.errors import DataError
from pyclassify.formats import without_junk

SUFFIXES: Final = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
MAX_BYTES: Final = 50_000_000_000
"""Limit of the content of an archive, once it is unpacked."""

_ERRORS: Final = (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, KeyError, zipfile.BadZipFile)


def unpack(path: Path) -> Path:
    """Unpack an archive into a temporary folder; return any other path as it is.

    Args:
        path: of a file or folder.

    Returns:
        The folder with the content; if that is a single folder or file, its path.

    Raises:
        DataError: the archive is damaged or too large, or leads out of its folder.
    """
    name = path.name.lower()
    suffix = next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)
    if suffix is None or not path.is_file():
        return path
    temporary = Path(tempfile.mkdtemp(prefix="pyclassify-"))
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    folder = temporary / path.name[: -len(suffix)]
    folder.mkdir()
    try:
        if suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                _check_size(path, sum(entry.file_size for entry in archive.infolist()))
                archive.extractall(folder)  # keeps names with .. inside
        else:
            with tarfile.open(path) as tar:
                _check_size(path, sum(member.size for member in tar))
                tar.extractall(folder, filter="data")
    except (*_ERRORS, zlib.error, lzma.LZMAError, tarfile.TarError) as error:
        reason = str(getattr(error, "strerror", None) or error).partition("\n")[0].rstrip(".")
        raise DataError("archive_unreadable", path=path, reason=reason or type(error).__name__) from error
    while True:
        inside = without_junk(entry.name for entry in folder.iterdir())
        if len(inside) != 1:
            return folder
        folder /= inside[0]
        if folder.is_file():
            return folder


def _check_size(path: Path, size: int) -> None:
    if size > MAX_BYTES:
        raise DataError("archive_too_large", path=path, limit_gb=MAX_BYTES // 10**9)
