"""Folders and tables of labelled texts -> pairs of text and label, and a list of all that was left out.

A row or file that cannot be used is skipped with the reason; a table or folder that is no use as a whole is an error.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from pyclassify.errors import DataError
from pyclassify.examples import Skipped
from pyclassify.text.encodings import decode, is_binary, is_damaged, not_readable
from pyclassify.text.transform import MAX_CHARACTERS, normalize

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
_UNLABELLED = {"unsup", "__MACOSX"}
_LITTER = {"thumbs.db", "desktop.ini"}
_MAX_LINES_PER_ROW = 1000
_SURROGATE = re.compile("[\ud800-\udfff]")
_END = "\0end\0"
"""A line after the last one that no table holds: read as a row of its own, every quotation mark is closed."""


@dataclass(frozen=True, slots=True)
class Found:
    """Pairs of text and label in the order of the source, and what was left out."""

    pairs: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


class _BadRowError(Exception):
    """One row that is left out; the message is the reason."""


def label_folders(folder: Path) -> list[Path]:
    """The folders in a folder that stand for labels; hidden ones and `unsup`, whose texts have no label, do not."""
    return sorted(
        entry
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith(".") and entry.name not in _UNLABELLED
    )


def read_folder(folder: Path, *, encoding: str = "utf-8") -> Found:
    """Read `<label>/*.txt`, one text per file, sorted by name.

    Raises:
        DataError: no text can be read, or the files are in another encoding.
    """
    found = Found()
    damaged: list[bytes] = []
    try:
        labels = label_folders(folder)
        odd = [each.name for each in labels if _SURROGATE.search(each.name)]
        if odd:
            raise DataError(f"the name of the folder {odd[0]!r} in {folder} is no UTF-8: rename it")
        paths = [path for directory in labels for path in sorted(directory.iterdir())]
    except OSError as error:
        raise DataError(f"cannot read {error.filename}: {error.strerror}") from error
    for path in paths:
        if path.name.startswith(".") or path.name.lower() in _LITTER:
            continue
        try:
            found.pairs.append((_checked(_file_text(path, encoding, damaged)), _label(path.parent.name)))
        except (OSError, _BadRowError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            found.skipped.append(Skipped(path.relative_to(folder.parent).as_posix(), reason or str(error)))
    if _too_many(len(damaged), len(found.pairs) + len(found.skipped)):
        raise not_readable(folder, encoding, b"\n".join(damaged), f"{len(damaged):,} of its files are")
    return _some(found, folder, "it needs a folder per label with .txt files in it")


def _file_text(path: Path, encoding: str, damaged: list[bytes]) -> str:
    if path.is_dir():
        raise _BadRowError("a folder, not a text")
    if not path.is_file():
        raise _BadRowError("not a file")
    if path.suffix.lower() != ".txt":
        raise _BadRowError("not a .txt file")
    data = path.read_bytes()
    if is_binary(data, encoding):
        raise _BadRowError("binary, not text")
    text = decode(data, encoding, path)
    if is_damaged(text):
        damaged.append(data[:10_000])
        raise _BadRowError(f"not {encoding}")
    return text


def read_table(path: Path, *, text_column: str = "text", label_column: str = "label", encoding: str = "utf-8") -> Found:
    """Read a table with a row per text, by its extension.

    `.csv` is read with the usual quotes, `.tsv` without any, so that a quotation mark in it is just that; the first
    line names the columns. `.jsonl`, `.ndjson` and `.json` hold one object per line; `.json` may also be one list of
    objects.

    Raises:
        DataError: the file as a whole cannot be used.
    """
    columns = (text_column, label_column)
    if text_column == label_column:
        raise DataError(f"text and label cannot both be the column '{text_column}': name two")
    if path.suffix.lower() not in TABLES:
        raise DataError(f"{path} is no table that can be read: its name should end in {', '.join(TABLES)}")
    text = _table_text(path, encoding)
    suffix = path.suffix.lower()
    if suffix == ".tsv":
        rows, pick = _tsv(path, text, columns)
    elif suffix == ".csv":
        rows, pick = _csv(path, text, columns)
    else:
        rows, pick = _json(path, text, columns)
    found = Found()
    for name, row in rows:
        try:
            row_text, label = pick(row)
            found.pairs.append((_checked(row_text, encoding), _label(label)))
        except _BadRowError as reason:
            found.skipped.append(Skipped(f"{path.name} {name}", str(reason)))
    return _some(found, path, "it needs rows with a text and a label")


Rows = Iterator[tuple[str, object]]
Pick = Callable[[object], tuple[str, str]]


def _table_text(path: Path, encoding: str) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    if is_binary(data, encoding):
        raise DataError(f"{path} is a binary file, not a table: save it as UTF-8 text in the form {', '.join(TABLES)}")
    text = decode(data, encoding, path)
    if not text.strip():
        raise DataError(f"{path} is empty: it needs rows with a text and a label")
    if is_damaged(text):
        lines = text.split("\n")
        damaged = sum(map(is_damaged, lines))
        if is_damaged(lines[0]) or _too_many(damaged, len(lines)):
            raise not_readable(path, encoding, data, f"{damaged:,} of its lines are")
    return text if "\n" in text else text.replace("\r", "\n")


def _too_many(damaged: int, total: int) -> bool:
    """A stray damaged row is skipped; more than one in a hundred means that the encoding is another one."""
    return damaged > max(1, total // 100)


def _tsv(path: Path, text: str, columns: tuple[str, str]) -> tuple[Rows, Pick]:
    lines = text.split("\n")
    header = lines[0].rstrip("\r").split("\t")
    rows = ((f"line {n}", line.rstrip("\r").split("\t")) for n, line in enumerate(lines[1:], 2) if line.strip())
    return rows, _picker(path, header, columns)


def _csv(path: Path, text: str, columns: tuple[str, str]) -> tuple[Rows, Pick]:
    first = text.split("\n", 1)[0]
    # Spreadsheets of half the world write ; between the cells of a .csv, as their decimal sign is the comma.
    separator = next((mark for mark in ",;\t" if set(columns) <= set(_cells(first, mark))), ",")
    return _csv_rows(path, text, separator), _picker(path, _cells(first, separator), columns)


def _cells(line: str, separator: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line[:10_000]], delimiter=separator), [])]


def _csv_rows(path: Path, text: str, separator: str) -> Rows:
    with _field_size_limit():
        reader = csv.reader(chain(io.StringIO(text, newline=""), [_END]), delimiter=separator)
        last = 0
        for row in reader:
            first, last = last + 1, reader.line_num
            if row == [_END]:
                return
            if last - first > _MAX_LINES_PER_ROW or (row[-1:] and row[-1].endswith(_END)):
                raise DataError(
                    f"{path}: a quotation mark opened in line {first} is never closed; double it or close it"
                )
            if first > 1 and any(row):
                yield f"line {first}", row


@contextmanager
def _field_size_limit() -> Iterator[None]:
    """Let the csv module read any cell, without leaving that setting changed for the rest of the program."""
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _picker(path: Path, header: list[str], columns: tuple[str, str]) -> Pick:
    header = [name.strip() for name in header]
    _require(path, header, columns)
    text, label = map(header.index, columns)

    def pick(row: object) -> tuple[str, str]:
        assert isinstance(row, list)
        if len(row) != len(header):
            raise _BadRowError(f"{len(row)} {'cell' if len(row) == 1 else 'cells'} instead of {len(header)}")
        return row[text], row[label]

    return pick


def _require(path: Path, names: list[str], columns: tuple[str, str]) -> None:
    for column, option in zip(columns, ("--text-column", "--label-column"), strict=True):
        if column not in names:
            there = ", ".join(f"'{name[:40]}'" for name in names[:20])
            raise DataError(
                f"{path} has no column '{column}', only {there or 'none'}: name the right one with {option}"
            )


def _json(path: Path, text: str, columns: tuple[str, str]) -> tuple[Rows, Pick]:
    if path.suffix.lower() == ".json" and text.lstrip().startswith("["):
        try:
            rows = [(f"item {n}", row) for n, row in enumerate(json.loads(text), 1)]
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path} is not valid JSON: {error}") from error
    else:
        rows = [(f"line {n}", _json_row(line)) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    seen = {name: None for _, row in rows if isinstance(row, dict) for name in row}
    if seen:
        _require(path, list(seen), columns)

    def pick(row: object) -> tuple[str, str]:
        if not isinstance(row, dict):
            raise _BadRowError(row if isinstance(row, _Invalid) else "not a JSON object")
        for column in columns:
            if column not in row:
                raise _BadRowError(f"no '{column}'")
        text, label = (row[column] for column in columns)
        if not isinstance(text, str):
            raise _BadRowError(f"'{columns[0]}' is not a text")
        if not isinstance(label, str | int | float):
            raise _BadRowError(f"'{columns[1]}' is neither a text nor a number")
        return text, str(label)

    return iter(rows), pick


class _Invalid(str):
    """Why a line is not JSON, in the place of its value."""


def _json_row(line: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return _Invalid("not valid JSON")


def _checked(text: str, encoding: str = "utf-8") -> str:
    """The text without white space at its ends, where it can be learned from."""
    if len(text) > MAX_CHARACTERS:
        raise _BadRowError(f"{len(text):,} characters, more than {MAX_CHARACTERS:,}")
    if "\0" in text:
        raise _BadRowError("binary, not text")
    if is_damaged(text):
        raise _BadRowError(f"not {encoding}")
    text = text.strip()
    # Most texts show at a glance that they are not empty; one of line breaks alone takes the whole rule.
    if ("<" in text or not re.search(r"\w", text)) and not normalize(text, lowercase=False):
        raise _BadRowError("empty text")
    return text


def _label(label: str) -> str:
    label = " ".join(label.split())
    if not label:
        raise _BadRowError("empty label")
    if is_damaged(label):
        raise _BadRowError("label in another encoding")
    if _SURROGATE.search(label):
        raise _BadRowError("half a character in the label")
    return label


def _some(found: Found, path: Path, wanted: str) -> Found:
    if found.pairs:
        return found
    if not found.skipped:
        raise DataError(f"{path} holds no labelled text: {wanted}")
    first = found.skipped[0]
    listed = f"{len(found.skipped):,} left out, the first ({first.name}) because: {first.reason}"
    raise DataError(f"no text in {path} can be used: {listed}")
