"""A table -> its rows, a line at a time: whatever its size, no more of it than one row is held.

Delimiters, encodings and what is wrong with a row are found out as for the tables that are trained on, with the
difference that a file may be of any encoding, because nobody is there to name it.
"""

from __future__ import annotations

import csv
import io
import json
from collections import deque
from collections.abc import Iterable, Iterator
from typing import IO, Any

from pyclassify.errors import InputError
from pyclassify.many.beside import beside
from pyclassify.many.reading import Source
from pyclassify.text.encodings import guess, is_binary, is_damaged

MAX_LINE = 1_000_000
"""Characters; what follows in such a line is passed over."""

MAX_LINES_PER_ROW = 1000
TEXT_NAMES = ("text", "texts", "document", "sentence", "review", "message", "comment", "content", "body", "tweet")
TEXT_NAMES_KO = ("텍스트", "본문", "내용", "문장", "리뷰", "후기", "댓글", "메시지")

_BLOCK = 1_000_000
_SAMPLE_ROWS = 50
_LAST = "\0last\0"
"""A line after the last one that no table holds: read as a row of its own, every quotation mark is closed."""

_PLAIN = (".txt",)
_OBJECTS = (".jsonl", ".ndjson", ".json")
_TOO_LONG = f"more than {MAX_LINE:,} characters in one line"


class BadRow(str):
    """Why a row cannot be used, in its place."""


Cells = list[str] | dict[str, object] | BadRow
Records = Iterator[tuple[int, Cells]]
"""The number of a row's first line, from 1, and what is in it."""

Found = Iterator[tuple[int, "str | BadRow", dict[str, Any]]]


def columns(source: Source) -> tuple[str, ...]:
    """The names of a table's columns; none where every line is a text.

    Raises:
        InputError: the file cannot be read as a table.
    """
    if source.suffix in _PLAIN:
        return ()
    with source.open() as file:
        return tuple(_columns(_records(file, source)))


def guess_column(source: Source) -> str:
    """The column that most likely holds the texts: by its name, or else the one with the longest content.

    Returns:
        "" where every line is a text.

    Raises:
        InputError: the file cannot be read as a table.
    """
    if source.suffix in _PLAIN:
        return ""
    with source.open() as file:
        sample = [cells for (_, cells), _ in zip(_records(file, source), range(_SAMPLE_ROWS), strict=False)]
    names = _columns(iter(enumerate(sample)))
    named = [name for wanted in (*TEXT_NAMES, *TEXT_NAMES_KO) for name in names if name.strip().lower() == wanted]
    if named or not names:
        return named[0] if named else ""
    found = [_texts(cells, names) for cells in (sample if source.suffix in _OBJECTS else sample[1:])]
    return max(names, key=lambda name: sum(len(texts.get(name, "")) for texts in found))


def texts(file: IO[bytes], source: Source, column: str = "") -> Found:
    """The line that each row begins in, its text or why it has none, and what stands beside the text, by column.

    Args:
        file: the open source.
        source: for its ending, which says how it is read, and its name, which messages need.
        column: the one that holds the texts; it is not needed where every line is a text.

    Raises:
        InputError: the file cannot be read as a table, or has no such column.
    """
    records = _records(file, source)
    if source.suffix in _PLAIN:
        for line, cells in records:
            yield line, cells if isinstance(cells, BadRow) else _usable(next(iter(cells))), {}
    elif source.suffix in _OBJECTS:
        for line, cells in records:
            others = beside(cells.items(), column) if isinstance(cells, dict) else {}
            yield line, cells if isinstance(cells, BadRow) else _of_object(cells, column), others
    else:
        yield from _of_cells(records, source, column)


def _of_cells(records: Records, source: Source, column: str) -> Found:
    names = _columns(records)
    if column not in names:
        there = ", ".join(f"'{name[:40]}'" for name in names[:20])
        raise InputError(f"{source.name} has no column '{column}', only {there or 'none'}.")
    at = names.index(column)
    for line, cells in records:
        if isinstance(cells, BadRow):
            yield line, cells, {}
        elif len(cells) != len(names):
            counted = f"{len(cells)} {'cell' if len(cells) == 1 else 'cells'}"
            yield line, BadRow(f"{counted} instead of {len(names)}"), {}
        else:
            filled = list(cells)
            pairs = [pair for n, pair in enumerate(zip(names, filled, strict=True)) if n != at]
            yield line, _usable(filled[at]), dict(pairs)


def _of_object(cells: object, column: str) -> str | BadRow:
    if not isinstance(cells, dict):
        return BadRow("not a JSON object")
    if column not in cells:
        return BadRow(f"no '{column}'")
    text = cells[column]
    return _usable(text) if isinstance(text, str) else BadRow(f"'{column}' is not a text")


def _usable(text: str) -> str | BadRow:
    if is_damaged(text):
        return BadRow("damaged characters")
    return text if text.strip() else BadRow("empty text")


def _columns(records: Records) -> list[str]:
    """The header of cells, or the names in the first objects."""
    names: dict[str, None] = {}
    for (_, cells), _ in zip(records, range(_SAMPLE_ROWS), strict=False):
        if isinstance(cells, list):
            return [name.strip() for name in cells]
        if isinstance(cells, dict):
            names.update(dict.fromkeys(cells))
    return list(names)


def _texts(cells: Cells, names: list[str]) -> dict[str, str]:
    pairs = cells.items() if isinstance(cells, dict) else zip(names, cells, strict=False)
    return {name: text for name, text in pairs if isinstance(text, str)}


def _records(file: IO[bytes], source: Source) -> Records:
    encoding = _encoding(file, source)
    # Only line feeds end a line, as in the tables that are trained on; very old files have but carriage returns.
    with io.TextIOWrapper(file, encoding, errors=_errors(encoding), newline="") as text:
        lines = _lines(text)
        if source.suffix == ".csv":
            yield from _csv_records(lines)
        elif source.suffix == ".tsv":
            yield from ((n, each if isinstance(each, BadRow) else each.split("\t")) for n, each in _filled(lines))
        elif source.suffix in _OBJECTS:
            yield from ((n, each if isinstance(each, BadRow) else _object(each)) for n, each in _filled(lines))
        else:
            yield from ((n, each if isinstance(each, BadRow) else [each]) for n, each in _filled(lines))


def _errors(encoding: str) -> str:
    """Damaged bytes stay as marks where the encoding has such, and become question marks in the others."""
    return "replace" if encoding in {"utf-16", "utf-32"} else "surrogateescape"


def _encoding(file: IO[bytes], source: Source) -> str:
    """Found out from the first block that has characters beyond ASCII.

    Raises:
        InputError: the file is no text.
    """
    first = file.read(_BLOCK)
    if is_binary(first, "utf-16" if guess(first[:4]) in {"utf-16", "utf-32"} else "utf-8"):
        raise InputError(f"{source.name} is no table of texts; save it as CSV in UTF-8.")
    if source.suffix == ".json" and first.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        raise InputError(f"{source.name} is one list; save it as JSON Lines, with one object in each line.")
    block = first
    while block and block.isascii():
        block = file.read(_BLOCK)
    found = guess(block) or "utf-8"
    file.seek(0)
    return "utf-8-sig" if found == "utf-8" else found


def _lines(text: io.TextIOWrapper) -> Iterator[str | BadRow]:
    """Lines with their ends; of one that is too long nothing but that."""
    while line := text.readline(MAX_LINE + 1):
        too_long = len(line) > MAX_LINE
        while line and len(line) > MAX_LINE and not line.endswith(("\n", "\r")):
            line = text.readline(MAX_LINE + 1)
        yield BadRow(_TOO_LONG) if too_long else line


def _filled(lines: Iterable[str | BadRow]) -> Iterator[tuple[int, str | BadRow]]:
    """The lines that hold anything but white space, without their ends, and their numbers."""
    for number, line in enumerate(lines, 1):
        if isinstance(line, BadRow):
            yield number, line
        elif not line.isspace():
            yield number, line.rstrip("\r\n")


def _object(line: str) -> Cells:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return BadRow("not valid JSON")
    return found if isinstance(found, dict) else BadRow("not a JSON object")


class _TooLongError(Exception):
    """A row does not end where rows do."""


class _Feed:
    """Hands lines to the csv module and holds those of the row that it is reading, to read them anew where need be."""

    def __init__(self, lines: Iterator[str | BadRow]) -> None:
        self.held: list[str | BadRow] = []
        self.again: deque[str | BadRow] = deque()
        self._lines = lines
        self._characters = 0
        self._ended = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.again.popleft() if self.again else next(self._lines, None)
        if line is None:
            if self._ended:
                raise StopIteration
            self._ended = True
            return _LAST
        self.held.append(line)
        self._characters += len(line)
        if isinstance(line, BadRow) or len(self.held) > MAX_LINES_PER_ROW or self._characters > MAX_LINE:
            raise _TooLongError
        return line

    def row_ends(self) -> int:
        """Forget the lines that were held, and say how many they were."""
        count = len(self.held)
        self.held.clear()
        self._characters = 0
        return count

    def begin_anew(self) -> str | BadRow:
        """Take back all lines of the row but the first, which is handed out."""
        self.again.extendleft(reversed(self.held[1:]))
        self._ended = False
        first = self.held[0]
        self.row_ends()
        return first


def _csv_records(lines: Iterator[str | BadRow]) -> Records:
    """Cells with commas between, or what else the first line has there; in quotation marks a cell may hold any.

    A quotation mark that is never closed is one bad row; the lines after it are read as if it were not there.
    """
    feed = _Feed(lines)
    first = next(lines, "")
    feed.again.append(first)
    mark = max(",;\t", key=lambda each: len(next(csv.reader([first[:10_000]], delimiter=each), [])))
    number, reader = 1, csv.reader(feed, delimiter=mark)
    row: list[str] | None
    while True:
        reason = ""
        try:
            row = next(reader)
        except StopIteration:
            return
        except (_TooLongError, csv.Error) as error:
            alone = len(feed.held) == 1
            row, reason = None, str(error) if isinstance(error, csv.Error) else _TOO_LONG if alone else _OPEN
        else:
            if row == [_LAST]:
                return
            if row and row[-1].endswith(_LAST):
                row, reason = None, _OPEN
        if row is None:
            feed.begin_anew()
            yield number, BadRow(reason)
            number, reader = number + 1, csv.reader(feed, delimiter=mark)
        else:
            if any(row):
                yield number, row
            number += feed.row_ends()


_OPEN = "a quotation mark that is never closed; double it or close it"
