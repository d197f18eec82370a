"""Uploaded files, one after the other; a zip is opened and read entry by entry."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO, Final

from pyclassify.errors import InputError
from pyclassify.formats import (
    ARCHIVE_SUFFIXES,
    MAX_PICTURE_BYTES,
    MAX_TABLE_BYTES,
    SPREADSHEET_SUFFIXES,
    is_junk_path,
    suffix_of,
    table_suffix,
)
from pyclassify.locales import Message
from pyclassify.tables import READ_ERRORS, guess_encoding, unreadable

MAX_UNPACKED_BYTES: Final = 4_000_000_000
"""Limit for all entries of a zip together; those beyond it are not unpacked."""

MAX_DIRECTORY_BYTES: Final = 16_000_000
"""Limit for the list of entries of a zip, which is read as a whole: some hundred thousand names."""

_ZIP: Final = ".zip"
_END, _END_64, _END_BYTES = b"PK\5\6", b"PK\6\7", 22
_ENCRYPTED: Final = 0x1
_UTF8_NAME: Final = 0x800


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on disk.

    Args:
        name: as its owner calls it, with the folders that it lay in.
        path: where it lies here.
    """

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Source:
    """One file to read, or why it cannot be read.

    Args:
        name: as in `Upload`; of an entry of a zip, after the name of the zip.
        path: of the file, or of the zip that it is in.
        entry: its name in the zip; empty for a file of its own.
        size: in bytes, unpacked.
        problem: why it cannot be read.
        archive: the zip while it is open.
    """

    name: str
    path: Path
    entry: str = ""
    size: int = 0
    problem: Message | None = None
    archive: zipfile.ZipFile | None = field(default=None, repr=False)

    @property
    def is_table(self) -> bool:
        """True if it holds rows, judged by its name."""
        return bool(table_suffix(self.name))

    def open(self) -> IO[bytes]:
        """Open the content.

        Raises:
            InputError: it is gone or damaged.
        """
        try:
            return self.archive.open(self.entry) if self.archive else self.path.open("rb")
        except (*READ_ERRORS, ValueError, KeyError, RuntimeError) as error:
            raise unreadable(self.name, error) from error


def sources(uploads: Iterable[Upload]) -> Iterator[Source]:
    """Yield every file in the order of the uploads, without junk.

    An entry of a zip can be read until the next source is requested.
    """
    for upload in uploads:
        if is_junk_path(upload.name):
            continue
        if suffix_of(upload.path.name) == _ZIP:
            yield from _entries(upload)
        else:
            yield _file(upload)


def survey(uploads: Iterable[Upload]) -> tuple[int, int]:
    """Return the number of sources and their bytes; nothing but the lists of zips is read."""
    count = size = 0
    for source in sources(uploads):
        count, size = count + 1, size + source.size
    return count, size


def _file(upload: Upload) -> Source:
    try:
        size = upload.path.stat().st_size
    except OSError as error:
        return Source(upload.name, upload.path, problem=unreadable(upload.name, error).message)
    return Source(upload.name, upload.path, size=size, problem=_refusal(upload.name, size))


def _refusal(name: str, size: int) -> Message | None:
    """Return why a file is not read, by its name and size."""
    suffix, is_table = suffix_of(name), bool(table_suffix(name))
    limit = MAX_TABLE_BYTES if is_table else MAX_PICTURE_BYTES
    if suffix in (_ZIP, *ARCHIVE_SUFFIXES) and not is_table:
        return Message("errors.archive_not_opened", {"name": name})
    if suffix in SPREADSHEET_SUFFIXES:
        return Message("errors.spreadsheet_not_opened", {"name": name})
    if size > limit:
        fields = {"name": name, "size_mb": round(size / 1e6), "limit_mb": limit // 1_000_000}
        return Message("errors.file_too_large", fields)
    return None if size else Message("errors.file_empty", {"name": name})


def _entries(upload: Upload) -> Iterator[Source]:
    try:
        with upload.path.open("rb") as file:
            _check_directory(file, upload.name)
            with closing(zipfile.ZipFile(file)) as archive:
                yield from _archived(upload, archive)
    except InputError as error:
        yield Source(upload.name, upload.path, problem=error.message)
    except (*READ_ERRORS, ValueError) as error:
        yield Source(upload.name, upload.path, problem=unreadable(upload.name, error).message)


def _check_directory(file: BinaryIO, name: str) -> None:
    """Refuse a zip whose list of entries would fill the memory before one of them is read.

    Raises:
        InputError: the list is too long, or of the form for archives beyond 4 GB.
    """
    size = file.seek(0, 2)
    file.seek(max(0, size - _END_BYTES - 65_536))
    tail = file.read()
    end = tail.rfind(_END)
    listed = int.from_bytes(tail[end + 12 : end + 16], "little") if end >= 0 else 0
    if listed > MAX_DIRECTORY_BYTES or (end >= 20 and tail[end - 20 : end].startswith(_END_64)):
        raise InputError("zip_too_many_files", name=name)
    file.seek(0)


def _archived(upload: Upload, archive: zipfile.ZipFile) -> Iterator[Source]:
    unpacked = 0
    for info in archive.infolist():
        inner = entry_name(info)
        if info.is_dir() or is_junk_path(inner):
            continue
        name = f"{upload.name}/{inner}"
        unpacked += info.file_size
        problem = _refusal(name, info.file_size)
        if info.flag_bits & _ENCRYPTED:
            problem = Message("errors.zip_locked", {"name": name})
        elif unpacked > MAX_UNPACKED_BYTES:
            fields = {"name": upload.name, "limit_gb": MAX_UNPACKED_BYTES // 1_000_000_000}
            problem = Message("errors.zip_too_large", fields)
        yield Source(name, upload.path, info.filename, info.file_size, problem, archive)


def entry_name(info: zipfile.ZipInfo) -> str:
    """Return the name of an entry for people.

    Zips made by Korean Windows hold names in its own encoding and do not say so.
    """
    name = info.filename
    if not info.flag_bits & _UTF8_NAME and not name.isascii():
        raw = name.encode("cp437", "replace")
        name = raw.decode(guess_encoding(raw) or "cp437", "replace")
    return re.sub(r"[\x00-\x1f\x7f]", " ", name.replace("\\", "/"))
