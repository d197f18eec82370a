"""What was handed in, one file after the other; a zip is opened, and read entry by entry."""

from __future__ import annotations

import re
import struct
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from pyclassify.errors import InputError
from pyclassify.text.encodings import guess

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".txt")
MAX_PICTURE_BYTES = 20_000_000
MAX_TABLE_BYTES = 1_000_000_000
MAX_UNPACKED_BYTES = 4_000_000_000
"""Of all entries of a zip together; what comes after them is not unpacked."""

MAX_DIRECTORY_BYTES = 16_000_000
"""Of a zip's list of entries, which is read as a whole: some hundred thousand names."""

_ARCHIVES = {".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz"}
_LITTER = {"__macosx", "@eadir", "thumbs.db", "desktop.ini"}
_END, _END_64, _END_BYTES = b"PK\5\6", b"PK\6\7", 22
_ENCRYPTED = 0x1
_UTF8_NAME = 0x800


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on disk.

    Args:
        name: what whoever handed it in calls it, with the folders that it lay in.
        path: where it lies here.
    """

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Source:
    """One file to read, or why it cannot be read.

    Args:
        name: as in `Upload`; of an entry of a zip, the zip's name before it.
        path: of the file, or of the zip that it is in.
        entry: its name in the zip; empty where it is a file of its own.
        size: in bytes, unpacked.
        problem: why it cannot be read; empty where it can.
        archive: the zip while it is open.
    """

    name: str
    path: Path
    entry: str = ""
    size: int = 0
    problem: str = ""
    archive: zipfile.ZipFile | None = field(default=None, repr=False)

    @property
    def suffix(self) -> str:
        """The ending of the name in small letters, with its dot."""
        return PurePosixPath(self.name).suffix.lower()

    @property
    def is_table(self) -> bool:
        """Whether it holds many texts, by its name."""
        return self.suffix in TABLES

    def open(self) -> IO[bytes]:
        """Its content from the beginning.

        Raises:
            InputError: it is gone or damaged.
        """
        try:
            return self.archive.open(self.entry) if self.archive else self.path.open("rb")
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise InputError(unreadable(self.name, error)) from error


def unreadable(name: str, error: Exception) -> str:
    """Why a file cannot be read, without the place where it lies."""
    return f"{name} cannot be read: {getattr(error, 'strerror', None) or error}."


def sources(uploads: Iterable[Upload]) -> Iterator[Source]:
    """Every file in the order in which they were handed in; those that a system put there by itself are passed over.

    An entry of a zip can be read until the next source is asked for.
    """
    for upload in uploads:
        if _is_litter(upload.name):
            continue
        if upload.path.suffix.lower() == ".zip":
            yield from _entries(upload)
        else:
            yield _file(upload)


def survey(uploads: Iterable[Upload]) -> tuple[int, int]:
    """How many sources there are, and how many bytes they have together; nothing but the lists of zips is read."""
    count = size = 0
    for source in sources(uploads):
        count, size = count + 1, size + source.size
    return count, size


def _file(upload: Upload) -> Source:
    try:
        size = upload.path.stat().st_size
    except OSError as error:
        return Source(upload.name, upload.path, problem=unreadable(upload.name, error))
    return Source(upload.name, upload.path, size=size, problem=_refused(upload.name, size))


def _refused(name: str, size: int) -> str:
    suffix = PurePosixPath(name).suffix.lower()
    limit = MAX_TABLE_BYTES if suffix in TABLES else MAX_PICTURE_BYTES
    if suffix in _ARCHIVES:
        return f"{name} is an archive that is not opened here; unpack it, or pack its files into one zip."
    if suffix in {".xlsx", ".xls", ".ods"}:
        return f"{name} is a spreadsheet; save it as CSV first."
    if size > limit:
        return f"{name} has {size / 1e6:,.0f} MB; at most {limit / 1e6:,.0f} MB are read."
    return "" if size else f"{name} is empty."


def _entries(upload: Upload) -> Iterator[Source]:
    try:
        with upload.path.open("rb") as file:
            _check_directory(file, upload.name)
            archive = zipfile.ZipFile(file)
            with closing(archive):
                yield from _opened(upload, archive)
    except InputError as error:
        yield Source(upload.name, upload.path, problem=str(error))
    except (OSError, ValueError, struct.error, zipfile.BadZipFile, NotImplementedError) as error:
        yield Source(upload.name, upload.path, problem=unreadable(upload.name, error))


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
        raise InputError(f"{name} holds more than 65,535 files, or more than 4 GB; pack fewer into one zip.")
    file.seek(0)


def _opened(upload: Upload, archive: zipfile.ZipFile) -> Iterator[Source]:
    unpacked = 0
    for info in archive.infolist():
        inner = _entry_name(info)
        if info.is_dir() or _is_litter(inner):
            continue
        name = f"{upload.name}/{inner}"
        unpacked += info.file_size
        problem = _refused(name, info.file_size)
        if info.flag_bits & _ENCRYPTED:
            problem = f"{name} is locked with a password; pack it without one."
        elif unpacked > MAX_UNPACKED_BYTES:
            problem = f"{upload.name} holds more than {MAX_UNPACKED_BYTES / 1e9:.0f} GB; pack fewer into one zip."
        yield Source(name, upload.path, info.filename, info.file_size, problem, archive)


def _entry_name(info: zipfile.ZipInfo) -> str:
    """The name for people: zips of Korean Windows hold names in its own encoding and do not say so."""
    name = info.filename
    if not info.flag_bits & _UTF8_NAME and not name.isascii():
        raw = name.encode("cp437", "replace")
        name = raw.decode(guess(raw) or "cp437", "replace")
    return re.sub(r"[\x00-\x1f\x7f]", " ", name.replace("\\", "/"))


def _is_litter(name: str) -> bool:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return any((part.startswith(".") and part != "..") or part.lower() in _LITTER for part in parts)
