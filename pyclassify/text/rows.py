"""The text of a table -> its rows, one at a time, and how to pick text and label from one.

Each reader takes the path, which it needs for messages alone, all that the file holds, and the names of the columns of
texts and of labels. Nothing here makes a list of all rows: beside the texts that are kept, it would be the whole file
once more.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from pyclassify.errors import DataError

Rows = Iterator[tuple[str, object]]
Pick = Callable[[object], tuple[str, str]]

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_FILLED_LINE = re.compile(r"[^\n]+")
_MAX_LINES_PER_ROW = 1000
_END = "\0end\0"
"""A line after the last one that no table holds: read as a row of its own, every quotation mark is closed."""


class BadRowError(Exception):
    """One row that is left out; the message is the reason."""


def tsv_rows(path: Path, text: str, columns: tuple[str, str]) -> tuple[Rows, Pick]:
    """Cells with tabs between, a row per line; quotation marks are like any other."""
    header = _first_line(text).rstrip("\r").split("\t")
    rows = ((name, line.rstrip("\r").split("\t")) for name, line in _lines(text) if name != "line 1")
    return rows, _picker(path, header, columns)


def _first_line(text: str) -> str:
    end = text.find("\n")
    return text if end < 0 else text[:end]


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """The lines that hold anything but white space, with their numbers."""
    number, counted = 1, 0
    for line in _FILLED_LINE.finditer(text):
        number += text.count("\n", counted, line.start())
        counted = line.start()
        if not line[0].isspace():
            yield f"line {number}", line[0]


def csv_rows(path: Path, text: str, columns: tuple[str, str]) -> tuple[Rows, Pick]:
    """Cells with commas between, or what else the first line has there; in quotation marks a cell may hold any."""
    first = _first_line(text)
    # Spreadsheets of half the world write ; between the cells of a .csv, as their decimal sign is the comma.
    separator = next((mark for mark in ",;\t" if set(columns) <= set(_cells(first, mark))), ",")
    return _quoted_rows(path, text, separator), _picker(path, _cells(first, separator), columns)


def _cells(line: str, separator: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line[:10_000]], delimiter=separator), [])]


def _quoted_rows(path: Path, text: str, separator: str) -> Rows:
    with _field_size_limit():
        # not by io.StringIO, which takes four bytes for each character
        lines = (line[0] for line in _LINE.finditer(text))
        reader = csv.reader(chain(lines, [_END]), delimiter=separator)
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
            raise BadRowError(f"{len(row)} {'cell' if len(row) == 1 else 'cells'} instead of {len(header)}")
        return row[text], row[label]

    return pick


def _require(path: Path, names: list[str], columns: tuple[str, str]) -> None:
    for column, option in zip(columns, ("--text-column", "--label-column"), strict=True):
        if column not in names:
            there = ", ".join(f"'{name[:40]}'" for name in names[:20])
            raise DataError(
                f"{path} has no column '{column}', only {there or 'none'}: name the right one with {option}"
            )


def json_rows(path: Path, text: str, columns: tuple[str, str]) -> tuple[Rows, Pick]:
    """An object per line, or in a `.json` one list of objects."""
    rows: Rows
    if path.suffix.lower() == ".json" and re.match(r"\s*\[", text):
        try:
            rows = ((f"item {n}", row) for n, row in enumerate(json.loads(text), 1))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path} is not valid JSON: {error}") from error
    else:
        rows = ((name, _json_row(line)) for name, line in _lines(text))

    def pick(row: object) -> tuple[str, str]:
        if not isinstance(row, dict):
            raise BadRowError(row if isinstance(row, _Invalid) else "not a JSON object")
        for column in columns:
            if column not in row:
                raise BadRowError(f"no '{column}'")
        text, label = (row[column] for column in columns)
        if not isinstance(text, str):
            raise BadRowError(f"'{columns[0]}' is not a text")
        if not isinstance(label, str | int | float):
            raise BadRowError(f"'{columns[1]}' is neither a text nor a number")
        return text, str(label)

    return _with_columns(path, rows, columns), pick


def _with_columns(path: Path, rows: Rows, columns: tuple[str, str]) -> Rows:
    """The rows as they come; in the end, an error where none had a column of one of these names."""
    seen: dict[str, None] = {}
    for name, row in rows:
        if isinstance(row, dict):
            seen.update(dict.fromkeys(row))
        yield name, row
    if seen:
        _require(path, list(seen), columns)


class _Invalid(str):
    """Why a line is not JSON, in the place of its value."""


def _json_row(line: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return _Invalid("not valid JSON")
