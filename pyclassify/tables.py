"""The reader of CSV, TSV, JSON, JSON Lines, TXT and XLSX: the same for training, page and API, a row at a time.

The suffix names the format; `.gz` may follow it. The first line of a CSV or TSV names its columns. A CSV has commas,
semicolons or tabs between its cells, which may stand in quotation marks; in a TSV a quotation mark is a character like
any other. JSON Lines hold one object per line, a `.json` file does so too or is one list of objects or an object of
columns. In a TXT, or a file without a suffix, every line is a text, unless the lines have tabs, as in a TSV, or begin
with the label, as for fastText. Of an XLSX the first sheet that is not empty is read.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import lzma
import re
import struct
import tempfile
import threading
import zipfile
import zlib
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, Final, Protocol, cast

from pyclassify.dataset import normalize_label
from pyclassify.errors import InputError
from pyclassify.formats import MAX_SHEET_BYTES, MAX_TABLE_BYTES, MAX_TEXT_CHARACTERS, suffix_of, table_suffix
from pyclassify.locales import Message

MAX_ROW_CHARACTERS: Final = 8_000_000
"""A longer row is passed over. JSON may write a character as six, so this holds any text of the permitted length."""

MAX_LINES_PER_ROW: Final = 1000
READ_ERRORS: Final = (
    *(OSError, EOFError, NotImplementedError),
    *(struct.error, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
"""Raised while files and entries of zips are read that are gone or damaged."""

_TEXT_COLUMNS: Final = (
    *("text", "texts", "document", "sentence", "review", "message", "comment", "content", "body", "tweet"),
    *("텍스트", "본문", "내용", "문장", "리뷰", "후기", "댓글", "메시지"),
)
_LABEL_COLUMNS: Final = (
    *("label", "labels", "category", "class", "target", "sentiment", "intent", "topic", "tag"),
    *("라벨", "레이블", "분류", "범주", "감정"),
)
_MAX_LABELS: Final = 50
_LABEL_CHARACTERS: Final = 40
_LABEL_ROWS: Final = 1000
"""Limits for a column to be taken for the labels: different values, characters of each, and rows that are read."""

_OBJECTS: Final = frozenset({".jsonl", ".ndjson", ".json", ".fasttext"})
_FASTTEXT: Final = "__label__"
_DELIMITERS: Final = (",", ";", "\t")
_BLOCK: Final = 1_000_000
_CHUNK: Final = 65_536
_SAMPLE_ROWS: Final = 50
_SPOOLED: Final = 10_000_000
"""Unpacked content beyond this many bytes is kept on disk."""

_LISTED_COLUMNS: Final = 20
_LARGEST_EXACT: Final = 2**53
"""Above it, programs that read all numbers as floating point change a whole number."""

_END: Final = "\0end\0"
"""A line after the last one that no table holds: if it is a row of its own, every quotation mark is closed."""

_NAME_CHARACTERS: Final = 60
"""Length above which a cell is no name of a column."""

_DELIMITER_LINES: Final = 5
"""First lines of a CSV that its delimiter is found by."""

_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?%?")
_SEPARATOR_LINE = re.compile(r"\ufeff?sep=(.)[\r\n]*")
_ESCAPED = re.compile("[\udc80-\udcff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACE = re.compile(r"[ \t\r\n]*")
_CSV_LOCK = threading.Lock()


class TableSource(Protocol):
    """A file with a table: on disk, in a zip, or anywhere else that can be read from the beginning more than once."""

    @property
    def name(self) -> str:
        """The name for messages; its suffix tells the format."""

    @property
    def size(self) -> int:
        """Size in bytes."""

    def open(self) -> IO[bytes]:
        """Open the content, which must be seekable. Raises OSError or InputError."""


@dataclass(frozen=True, slots=True)
class PathSource:
    """A table on disk.

    Args:
        path: of the file.
    """

    path: Path

    @property
    def name(self) -> str:
        """The path as it was given."""
        return str(self.path)

    @property
    def size(self) -> int:
        """Size in bytes. Raises OSError."""
        return self.path.stat().st_size

    def open(self) -> IO[bytes]:
        """Open the file. Raises OSError."""
        return self.path.open("rb")


@dataclass(slots=True)
class Row:
    """One row of a table: a text and perhaps its label, or a problem.

    Args:
        line: number of its first line, from 1; of an item of a JSON list, its number in the list.
        text: as it stands in the table; None if there is a problem.
        label: with its white space collapsed; None if there is a problem, or no label column.
        others: the cells of the other columns by name, as plain JSON.
        problem: why the row cannot be used.
        bytes_read: of the file, up to the end of this row or a little further.
        is_item: whether it is an item of a JSON list.
    """

    line: int
    text: str | None = None
    label: str | None = None
    others: dict[str, Any] = field(default_factory=dict)
    problem: Message | None = None
    bytes_read: int = 0
    is_item: bool = False

    @property
    def place(self) -> str:
        """Where the row stands in its file, such as "line 3" or "item 3"."""
        return f"{'item' if self.is_item else 'line'} {self.line}"


# Rows


def column_names(source: TableSource) -> tuple[str, ...]:
    """Return the names of the columns; empty for a TXT.

    Raises:
        InputError: the file cannot be read as a table.
    """
    return _sample(source)[0]


def guess_text_column(source: TableSource) -> str:
    """Return the column that most likely holds the texts: by its name, or else the one with the longest content.

    Returns:
        Empty for a TXT, and for a table without columns.

    Raises:
        InputError: the file cannot be read as a table.
    """
    names, rows = _sample(source)
    by_name = [name for usual in _TEXT_COLUMNS for name in names if name.strip().lower() == usual]
    if by_name or not names:
        return by_name[0] if by_name else ""
    texts = [{name: cell for name, cell in row.items() if isinstance(cell, str)} for row in rows]
    return max(names, key=lambda name: sum(len(row.get(name, "")) for row in texts))


def label_columns(source: TableSource, text_column: str) -> tuple[str, ...]:
    """Return the columns that may hold the labels: by a usual name one of them, or else all with few, short values.

    Args:
        source: the table.
        text_column: column of the texts.

    Raises:
        InputError: the file cannot be read as a table.
    """
    names, rows = _sample(source, num_rows=_LABEL_ROWS)
    others = [name for name in dict.fromkeys(names) if name.strip() and name != text_column]
    by_name = [name for usual in _LABEL_COLUMNS for name in others if name.strip().lower() == usual]
    return tuple(by_name[:1] or [name for name in others if _is_label_like([row.get(name) for row in rows])])


def _is_label_like(cells: Sequence[Any]) -> bool:
    """Return whether the cells of a column are few different short values that recur."""
    values = [str(cell).strip() for cell in cells if isinstance(cell, str | int | float) and str(cell).strip()]
    different = set(values)
    return 1 < len(different) <= min(_MAX_LABELS, len(values) // 3) and max(map(len, different)) <= _LABEL_CHARACTERS


def _sample(source: TableSource, num_rows: int = _SAMPLE_ROWS) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """Return the names of the columns and the first rows."""
    with _open(source) as table:
        if table.suffix == ".txt":
            return (), []
        records = (cells for _, cells in islice(table.records(), num_rows))
        if table.suffix in _OBJECTS:
            objects = [cells for cells in records if isinstance(cells, dict)]
            return tuple(dict.fromkeys(name for cells in objects for name in cells)), objects
        rows = list(records)
        layout = _Layout.of(rows)
        cells_of_rows = (cells for cells in rows[layout.first_row :] if isinstance(cells, list))
        return layout.names, [dict(zip(layout.names, cells, strict=False)) for cells in cells_of_rows]


@dataclass(frozen=True, slots=True)
class _Layout:
    """The columns of a CSV or TSV.

    Args:
        names: of the columns, each different from the others.
        first_row: position of the first row of data.
        titles: positions of rows above the names that are no data.
    """

    names: tuple[str, ...]
    first_row: int
    titles: tuple[int, ...] = ()

    @classmethod
    def of(cls, rows: Sequence[Cells], wanted: Collection[str] = ()) -> _Layout:
        """Find the row of names among the first rows; without one the columns are numbered.

        Lines of one cell above rows with several are titles. The row is data, too, if a cell is a number, is long or
        recurs below, unless it has one of the usual names or of the wanted ones.
        """
        filled = {
            position: [cell.strip() for cell in cells]
            for position, cells in enumerate(rows)
            if isinstance(cells, list) and any(map(str.strip, cells))
        }
        if not filled:
            return cls((), len(rows))
        counts = {position: sum(map(bool, cells)) for position, cells in filled.items()}
        is_wide = 2 * sum(count > 1 for count in counts.values()) > len(counts)
        at = next((position for position, count in counts.items() if count > 1 or not is_wide), min(filled))
        titles = tuple(position for position in filled if position < at)
        first = filled[at]
        known = {*wanted, *_TEXT_COLUMNS, *_LABEL_COLUMNS}
        if not known & {name.lower() for name in first} | ({*wanted} & {*first}):
            below = [cells for position, cells in filled.items() if position > at]
            if any(_is_data(name, [cells[i] for cells in below if i < len(cells)]) for i, name in enumerate(first)):
                return cls(tuple(f"column {number}" for number in range(1, len(first) + 1)), at, titles)
        return cls(_numbered(first), at + 1, titles)


def _is_data(cell: str, below: Sequence[str]) -> bool:
    """Return whether the first cell of a column belongs to its data."""
    return bool(cell) and (bool(_NUMBER.fullmatch(cell)) or len(cell) > _NAME_CHARACTERS or cell in below)


def _numbered(names: Sequence[str]) -> tuple[str, ...]:
    """Tell columns of one name apart by numbers: the second one gets (2)."""
    seen: Counter[str] = Counter()
    result = []
    for name in names:
        seen[name] += 1
        result.append(f"{name} ({seen[name]})" if seen[name] > 1 else name)
    return tuple(result)


def read_rows(
    source: TableSource, *, text_column: str, label_column: str | None = None, encoding: str | None = None
) -> Iterator[Row]:
    """Read a table row by row; a row that cannot be used has a problem, and the others are read.

    Args:
        source: the table.
        text_column: column of the texts; not needed for a TXT.
        label_column: column of the labels. Labels that are numbers become strings.
        encoding: of the file; by default it is detected. If more than one line in a hundred, or the first, is not in
            this encoding, it is the wrong one.

    Raises:
        InputError: the file cannot be read as a table, lacks a column or is in another encoding; some rows may have
            been read by then.
    """
    if text_column == label_column:
        raise InputError("columns_equal", column=text_column)
    wanted = [text_column] if label_column is None else [text_column, label_column]
    clean = cache(clean_label)  # one string is kept for each label, not one for each row
    with _open(source, encoding) as table:
        if label_column is not None and table.suffix == ".txt":
            raise InputError("table_without_labels", name=source.name)
        for number, cells in _by_column(table, wanted):
            row = Row(number, bytes_read=table.file.tell(), is_item=table.is_list)
            if isinstance(cells, Message):
                row.problem = cells
            else:
                row.others = {name: _plain(cell) for name, cell in cells.items() if name not in wanted}
                row.problem = _cells_problem(cells, text_column, label_column)
                if row.problem is None and label_column is not None:
                    label = clean(str(cells[label_column]))
                    row.label, row.problem = (None, label) if isinstance(label, Message) else (label, None)
                row.text = cells[text_column] if row.problem is None else None
            yield row
        table.check_encoding()
        if table.is_empty:
            raise InputError("table_empty", name=source.name)


def _by_column(table: _Table, wanted: Sequence[str]) -> Iterator[tuple[int, dict[str, Any] | Message]]:
    """Read the rows that follow the header, with their cells by column."""
    records = table.records(wanted)
    if table.suffix in _OBJECTS:
        yield from _objects_by_column(records, table.name, wanted)
        return
    header: Sequence[str] = list(wanted)
    if table.suffix != ".txt":
        head = list(islice(records, _SAMPLE_ROWS))
        layout = _Layout.of([cells for _, cells in head], wanted)
        header = layout.names
        if not header:
            raise InputError("table_empty", name=table.name)
        for column in wanted:
            if column not in header:
                raise _column_missing(table.name, column, header)
        for position in layout.titles:
            yield head[position][0], Message("errors.row_above_header")
        records = chain(head[layout.first_row :], records)
    positions = {name: position for position, name in enumerate(header)}
    for number, cells in records:
        if not isinstance(cells, list):
            yield number, cells
        elif len(cells) == len(header):
            yield number, {name: cells[position] for name, position in positions.items()}
        else:
            yield number, Message("errors.row_cells", {"count": len(cells), "expected": len(header)})


def _objects_by_column(
    records: Records, name: str, wanted: Sequence[str]
) -> Iterator[tuple[int, dict[str, Any] | Message]]:
    """Read JSON objects; at the end, raise InputError if none of them has a wanted column."""
    columns: dict[str, None] = {}
    for number, cells in records:
        assert not isinstance(cells, list)
        if isinstance(cells, dict):
            columns.update(dict.fromkeys(cells if len(columns) < _LISTED_COLUMNS else cells.keys() & set(wanted)))
        yield number, cells
    for column in wanted if columns else ():
        if column not in columns:
            raise _column_missing(name, column, list(columns))


def _column_missing(name: str, column: str, columns: Sequence[str]) -> InputError:
    listed = tuple(f"'{other[:40]}'" for other in columns[:_LISTED_COLUMNS])
    return InputError("column_missing", name=name, column=column, columns=listed)


def _cells_problem(cells: Mapping[str, Any], text_column: str, label_column: str | None) -> Message | None:
    for column in (text_column, label_column):
        if column is not None and column not in cells:
            return Message("errors.row_lacks_column", {"column": column})
    if not isinstance(cells[text_column], str):
        return Message("errors.row_not_text", {"column": text_column})
    if label_column is not None and not isinstance(cells[label_column], str | int | float):
        return Message("errors.row_label_no_value", {"column": label_column})
    return text_problem(cells[text_column])


def text_problem(text: str) -> Message | None:
    """Return why a text that was read from a file cannot be used; None if it can."""
    if len(text) > MAX_TEXT_CHARACTERS:
        return Message("errors.row_text_too_long", {"count": len(text), "limit": MAX_TEXT_CHARACTERS})
    if "\0" in text:
        return Message("errors.row_binary")
    if is_damaged(text):
        return Message("errors.row_damaged")
    return Message("errors.row_empty") if not text or text.isspace() else None


def clean_label(label: str) -> str | Message:
    """Return a label as `normalize_label` writes it, or why it cannot be used."""
    label = normalize_label(label)
    if not label:
        return Message("errors.row_label_empty")
    if is_damaged(label):
        return Message("errors.row_label_damaged")
    return Message("errors.row_label_half_character") if _SURROGATE.search(label) else label


def _plain(cell: object) -> str | int | float | bool | None:
    """Return what any reader of JSON takes; the rest as it is written."""
    if cell is None or isinstance(cell, str | bool):
        return cell
    if isinstance(cell, int | float) and abs(cell) < _LARGEST_EXACT:
        return cell
    try:
        return json.dumps(cell, ensure_ascii=False)
    except RecursionError:
        return None


# Open tables

Cells = list[str] | dict[str, Any] | Message
Records = Iterator[tuple[int, Cells]]
"""The number of a row's first line, from 1, and its cells, or why there are none."""


@contextmanager
def _open(source: TableSource, encoding: str | None = None) -> Iterator[_Table]:
    """Open a table and find out its encoding, its line ends and whether it is a JSON list."""
    suffix = table_suffix(source.name) if suffix_of(source.name) else ".txt"
    if not suffix:
        raise InputError("not_a_table", name=source.name)
    try:
        with _content(source) as file:
            if suffix == ".xlsx":
                suffix, encoding = ".csv", "utf-8"
            first = file.read(_BLOCK)
            if is_binary(first, encoding or "utf-8"):
                raise InputError("table_is_binary", name=source.name)
            likely = guess_encoding(_first_beyond_ascii(file, first)) if encoding is None else encoding
            codec = _codec("utf-8" if likely is None else likely)
            file.seek(0)
            head = first.decode(codec, "replace").lstrip("\ufeff \t\r\n")
            # a carriage return is a character like any other, but in a CSV, and in old files without line feeds
            newline = "\n" if suffix != ".csv" and "\n" in head else ""
            # damaged bytes stay as marks where the encoding has such; a wide one that was detected has a replacement
            errors = "replace" if encoding is None and codec in ("utf-16", "utf-32") else "surrogateescape"
            with io.TextIOWrapper(file, codec, errors=errors, newline=newline) as text:
                if suffix == ".txt":
                    suffix = _format_of_text(head)
                is_list = suffix == ".json" and head.startswith("[")
                table = _Table(source.name, suffix, file, text, newline, is_list, counts_damage=encoding is not None)
                if suffix == ".json" and head.startswith("{"):
                    table.columns = _json_columns(text)
                    text.seek(0)
                yield table
    except UnicodeError as error:
        with _content(source) as file:
            raise encoding_error(source.name, encoding or "utf-8", _first_beyond_ascii(file)) from error
    except READ_ERRORS as error:
        raise unreadable(source.name, error) from error


def _format_of_text(head: str) -> str:
    """Return the suffix of what a text file holds: a TSV, lines of fastText, or a text per line."""
    lines = [line for line in head.splitlines()[:_SAMPLE_ROWS] if line.strip()]
    if lines and all(line.startswith(_FASTTEXT) for line in lines):
        return ".fasttext"
    counts = {line.count("\t") for line in lines[: max(1, len(lines) - 1)]}  # the last one may be cut
    return ".tsv" if len(lines) > 1 and len(counts) == 1 and counts != {0} else ".txt"


def _json_columns(text: IO[str]) -> list[dict[str, Any]] | None:
    """Return the rows of a JSON object with a list or an object of cells per column, as pandas writes; None if not."""
    try:
        content = json.loads(text.read(MAX_SHEET_BYTES))
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or not content:
        return None
    columns = {name: [*cells.values()] if isinstance(cells, dict) else cells for name, cells in content.items()}
    if not all(isinstance(cells, list) for cells in columns.values()) or len(set(map(len, columns.values()))) > 1:
        return None
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


@contextmanager
def _content(source: TableSource) -> Iterator[IO[bytes]]:
    """Open the content of a table: unpacked, and of a spreadsheet the first sheet that is not empty, as a CSV.

    Raises:
        InputError: it is damaged, or too large once it is unpacked.
    """
    is_sheet = table_suffix(source.name) == ".xlsx"
    if not is_sheet and not source.name.lower().endswith(".gz"):
        with source.open() as file:
            yield file
        return
    with source.open() as packed, tempfile.SpooledTemporaryFile(max_size=_SPOOLED) as spool:
        if is_sheet:
            _write_sheet(packed, cast(IO[bytes], spool), source.name)
        else:
            _write_unpacked(gzip.GzipFile(fileobj=packed), cast(IO[bytes], spool), source.name)
        spool.seek(0)
        yield cast(IO[bytes], spool)


def _write_unpacked(packed: gzip.GzipFile, spool: IO[bytes], name: str) -> None:
    while block := packed.read(_BLOCK):
        spool.write(block)
        if spool.tell() > MAX_TABLE_BYTES:
            raise InputError("table_unpacks_too_large", name=name, limit_mb=MAX_TABLE_BYTES // 1_000_000)


def _write_sheet(packed: IO[bytes], spool: IO[bytes], name: str) -> None:
    import openpyxl

    with zipfile.ZipFile(packed) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > MAX_SHEET_BYTES:
            raise InputError("table_unpacks_too_large", name=name, limit_mb=MAX_SHEET_BYTES // 1_000_000)
    packed.seek(0)
    lines = io.StringIO(newline="")
    writer = csv.writer(lines)
    try:
        book = openpyxl.load_workbook(packed, read_only=True, data_only=True)
        try:
            for sheet in book.worksheets:
                width = 0
                for cells in sheet.iter_rows(values_only=True):
                    row = [_cell_text(cell) for cell in cells]
                    while row and not row[-1]:
                        row.pop()
                    width = width or len(row)
                    if row:
                        writer.writerow(row + [""] * (width - len(row)))
                        spool.write(lines.getvalue().encode("utf-8", "surrogateescape"))
                        lines.seek(0)
                        lines.truncate()
                if width:
                    break
        finally:
            book.close()
    except Exception as error:  # openpyxl raises many kinds for damaged files
        raise InputError("file_unreadable", name=name, reason=type(error).__name__) from error


def _cell_text(cell: object) -> str:
    """Return the content of a cell as a CSV would hold it; whole numbers without a decimal point."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < _LARGEST_EXACT:
        return str(int(cell))
    return str(cell)


def unreadable(name: str, error: Exception) -> InputError:
    """Return the error for a file that cannot be read; it does not tell where the file lies."""
    return InputError("file_unreadable", name=name, reason=str(getattr(error, "strerror", None) or error))


@dataclass(slots=True)
class _Table:
    """An open table.

    Args:
        name: for messages.
        suffix: tells the format.
        file: the content as bytes.
        text: the content as characters.
        newline: a line feed if nothing else ends a line; empty if carriage returns do so too.
        is_list: whether it is a JSON list.
        counts_damage: whether to count the lines that are not in the expected encoding.
        is_empty: whether no row was read yet.
        columns: the rows of a JSON object of columns.
    """

    name: str
    suffix: str
    file: IO[bytes]
    text: io.TextIOWrapper
    newline: str
    is_list: bool
    counts_damage: bool
    is_empty: bool = True
    columns: list[dict[str, Any]] | None = None
    _lines: int = 0
    _damaged: int = 0

    def records(self, wanted: Collection[str] = ()) -> Records:
        """Read the rows, the header included, without those that are empty.

        Args:
            wanted: columns by which the delimiter of a CSV is found.
        """
        if self.columns is not None:
            records: Records = enumerate(self.columns, 1)
        elif self.is_list:
            records = self._items()
        elif self.suffix == ".csv":
            records = _csv_records(self.lines(), wanted)
        else:
            records = self._line_records()
        for record in records:
            self.is_empty = False
            yield record

    def _line_records(self) -> Records:
        for number, line in enumerate(self.lines(), 1):
            if isinstance(line, Message):
                yield number, line
            elif not line.isspace():
                line = line.rstrip("\r\n")
                if self.suffix == ".tsv":
                    yield number, line.split("\t")
                elif self.suffix == ".fasttext":
                    yield number, _parse_fasttext(line)
                else:
                    yield number, [line] if self.suffix == ".txt" else _parse_object(line)

    def _items(self) -> Records:
        for number, (written, item) in enumerate(_JsonList(self.text, self.name), 1):
            self._count(written)
            yield number, item if isinstance(item, dict) else Message("errors.row_not_object")

    def lines(self) -> Iterator[str | Message]:
        """Read lines with their ends; a message takes the place of one that is too long."""
        ends = "\n" if self.newline else ("\n", "\r")
        while line := self.text.readline(MAX_ROW_CHARACTERS + 1):
            self._count(line)
            if len(line) <= MAX_ROW_CHARACTERS:
                yield line
                continue
            while line and not (line.endswith(ends) or len(line) <= MAX_ROW_CHARACTERS):
                line = self.text.readline(MAX_ROW_CHARACTERS + 1)
            yield Message("errors.row_too_long", {"limit": MAX_ROW_CHARACTERS})

    def _count(self, line: str) -> None:
        if self.counts_damage:
            self._lines += 1
            if is_damaged(line):
                self._damaged += 1
                if self._lines == 1:
                    raise UnicodeError("the first line is in another encoding")

    def check_encoding(self) -> None:
        """Check that no more than stray lines are damaged. Raises UnicodeError."""
        if is_other_encoding(self._damaged, self._lines):
            raise UnicodeError(f"{self._damaged} lines are in another encoding")


def _parse_fasttext(line: str) -> Cells:
    words = line.split()
    labels = [word.removeprefix(_FASTTEXT) for word in words if word.startswith(_FASTTEXT)]
    text = " ".join(word for word in words if not word.startswith(_FASTTEXT))
    return {"text": text, "label": "|".join(labels)}


def _parse_object(line: str) -> Cells:
    try:
        item = json.loads(line)
    except (ValueError, RecursionError):
        return Message("errors.row_not_json")
    return item if isinstance(item, dict) else Message("errors.row_not_object")


class _JsonList:
    """A JSON list that is decoded item by item; no more of it is held than one item and the chunk that it ends in.

    Args:
        text: the open file.
        name: for messages.
    """

    def __init__(self, text: IO[str], name: str) -> None:
        self._text = text
        self._name = name
        self._number = 1
        self._buffer = ""
        self._position = 0
        self._decoder = json.JSONDecoder()

    def __iter__(self) -> Iterator[tuple[str, object]]:
        """Yield each item as it is written, and decoded. Raises InputError if the list is not valid JSON."""
        mark = self._take()
        if self._peek() == "]":
            mark = self._take()
        while mark != "]":
            yield self._item()
            self._number += 1
            mark = self._take()
            if mark not in (",", "]"):
                raise self._invalid()
        if self._peek():
            raise self._invalid()

    def _invalid(self) -> InputError:
        return InputError("json_invalid", name=self._name, number=self._number)

    def _read_more(self) -> bool:
        """Read as much again as is held, so that the time for a long item stays proportional to its length."""
        rest = self._buffer[self._position :]
        chunk = self._text.read(max(_CHUNK, len(rest)))
        self._buffer, self._position = rest + chunk, 0
        return bool(chunk)

    def _peek(self) -> str:
        """Skip white space and return the next character; empty at the end."""
        while True:
            if space := _SPACE.match(self._buffer, self._position):
                self._position = space.end()
            if self._position < len(self._buffer):
                return self._buffer[self._position]
            if not self._read_more():
                return ""

    def _take(self) -> str:
        mark = self._peek()
        self._position += 1
        return mark

    def _item(self) -> tuple[str, object]:
        self._peek()
        while True:
            try:
                item, end = self._decoder.raw_decode(self._buffer, self._position)
            except (ValueError, RecursionError):
                if len(self._buffer) - self._position > MAX_ROW_CHARACTERS:
                    raise self._invalid() from None
            else:
                if end < len(self._buffer):  # a number at the end of the buffer may go on
                    written = self._buffer[self._position : end]
                    self._position = end
                    return written, item
            if not self._read_more():
                raise self._invalid()


class _RowTooLongError(Exception):
    """A row has more lines or characters than rows have."""


class _CsvLines:
    """Hands lines to the csv module and holds those of the row that it is reading, to read them again if need be."""

    def __init__(self, lines: Iterator[str | Message]) -> None:
        self.held: list[str | Message] = []
        self.again: deque[str | Message] = deque()
        self._lines = lines
        self._characters = 0
        self._has_ended = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.again.popleft() if self.again else next(self._lines, None)
        if line is None:
            if self._has_ended:
                raise StopIteration
            self._has_ended = True
            return _END
        self.held.append(line)
        if isinstance(line, Message):
            raise _RowTooLongError
        self._characters += len(line)
        if len(self.held) > MAX_LINES_PER_ROW or self._characters > MAX_ROW_CHARACTERS:
            raise _RowTooLongError
        return line

    def end_row(self) -> int:
        """Forget the lines that are held and return how many they were."""
        count = len(self.held)
        self.held.clear()
        self._characters = 0
        return count

    def drop_first(self) -> None:
        """Drop the first line of the row, and read the others again."""
        self.again.extendleft(reversed(self.held[1:]))
        self._has_ended = False
        self.end_row()


def _csv_records(lines: Iterator[str | Message], wanted: Collection[str]) -> Records:
    """Read the rows of a CSV.

    A quotation mark that is never closed is one bad row; the lines after it are read as if it were not there.
    """
    feed = _CsvLines(lines)
    first = next(lines, None)
    if first is None:
        return
    feed.again.append(first)
    number = 1
    named = None if isinstance(first, Message) else _SEPARATOR_LINE.fullmatch(first)
    if named:  # written by Excel and for it
        delimiter, number = named[1], 2
        feed.again.clear()
    else:
        feed.again.extend(line for line in islice(lines, _DELIMITER_LINES - 1))
        sample = [line[:10_000] for line in feed.again if isinstance(line, str)]
        delimiter = _delimiter(sample, wanted)
    reader = csv.reader(feed, delimiter=delimiter)
    while True:
        problem = None
        try:
            row = _next_row(reader)
        except _RowTooLongError:
            if isinstance(feed.held[0], Message):
                problem = feed.held[0]
            elif len(feed.held) == 1:
                problem = Message("errors.row_too_long", {"limit": MAX_ROW_CHARACTERS})
            else:
                problem = Message("errors.row_quote_open")
        except csv.Error:
            problem = Message("errors.row_damaged")
        else:
            if row is None or row == [_END]:
                return
            if row and row[-1].endswith(_END):
                problem = Message("errors.row_quote_open")
        if problem:
            feed.drop_first()
            yield number, problem
            number, reader = number + 1, csv.reader(feed, delimiter=delimiter)
        else:
            assert row is not None
            if any(row):
                yield number, row
            number += feed.end_row()


def _next_row(reader: Iterator[list[str]]) -> list[str] | None:
    """Parse one row under a limit of our own; the csv module has one limit for the whole program."""
    with _CSV_LOCK:
        before = csv.field_size_limit(MAX_ROW_CHARACTERS)
        try:
            return next(reader, None)
        finally:
            csv.field_size_limit(before)


def _delimiter(lines: Sequence[str], wanted: Collection[str]) -> str:
    """Find what stands between the cells: what yields the wanted columns in a line, or else the most cells."""
    # spreadsheets write semicolons wherever the comma is the decimal sign
    headers = {
        mark: [[cell.strip() for cell in next(csv.reader([line], delimiter=mark), [])] for line in lines]
        for mark in _DELIMITERS
    }
    by_name = [mark for mark in _DELIMITERS if wanted and any(set(wanted) <= set(cells) for cells in headers[mark])]
    first = {mark: next((len(cells) for cells in rows if len(cells) > 1), 1) for mark, rows in headers.items()}
    return by_name[0] if by_name else max(_DELIMITERS, key=first.__getitem__)


# Encodings

_BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WIDE_MARKS: Final = tuple(mark for mark, _ in _BYTE_ORDER_MARKS)
_COMMON: Final = {
    "cp949": bytes([0xA1, 0xA4, *range(0xB0, 0xC9)]),
    "cp932": bytes([0x81, 0x82, 0x83, *range(0x88, 0x98)]),
    "gb18030": bytes([0xA1, 0xA3, *range(0xB0, 0xD8)]),
    "big5": bytes([0xA1, *range(0xA4, 0xC7)]),
}
"""First bytes of the common characters: text in one of these encodings is well-formed in the others too, but its
characters are rare there. The order decides between equals."""


def decode(data: bytes, encoding: str, name: str) -> str:
    """Decode a whole file; stray bytes that are not in this encoding stay as marks that `is_damaged` finds.

    A byte order mark is left out.

    Args:
        data: the content.
        encoding: that is expected.
        name: of the file, for messages.

    Raises:
        InputError: there is no such encoding, or the content has another structure.
    """
    codec = _codec(encoding)
    try:
        return data.decode(codec, "surrogateescape")
    except UnicodeError as error:
        raise encoding_error(name, encoding, data) from error


def is_damaged(text: str) -> bool:
    """Return whether some bytes of a text could not be decoded."""
    return not text.isascii() and _ESCAPED.search(text) is not None


def detect_encoding(source: TableSource) -> str:
    """Return the likely encoding of a table, UTF-8 if nothing else fits better.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with _content(source) as file:
            first = file.read(_BLOCK)
            return (
                guess_encoding(first if first.startswith(_WIDE_MARKS) else _first_beyond_ascii(file, first)) or "utf-8"
            )
    except READ_ERRORS as error:
        raise unreadable(source.name, error) from error


def is_binary(data: bytes, encoding: str) -> bool:
    """Return whether data is no text; in UTF-16 and UTF-32, zeros are part of the text."""
    is_wide = "16" in encoding or "32" in encoding or any(data.startswith(mark) for mark, _ in _BYTE_ORDER_MARKS)
    start = data[:8192]
    # one byte in 256 of compressed data is zero, and many more of a picture or program; a stray one is left to its row
    return not is_wide and start.count(0) * 500 > len(start)


def is_other_encoding(damaged: int, total: int) -> bool:
    """Return whether so many damaged lines or files mean that all are in another encoding: more than one in 100."""
    return damaged > max(1, total // 100)


def encoding_error(name: str, encoding: str, data: bytes) -> InputError:
    """Return the error for a file in another encoding than expected, with the likely one."""
    likely = guess_encoding(data)
    if likely is None or codecs.lookup(likely) == codecs.lookup(encoding):
        return InputError("encoding_wrong", name=name, encoding=encoding)
    return InputError("encoding_other", name=name, encoding=encoding, likely=likely)


def guess_encoding(data: bytes) -> str | None:
    """Return the likely encoding of a text that has characters beyond ASCII; None if nothing fits."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return encoding
    lines = [line for line in data[:_BLOCK].split(b"\n") if not line.isascii()][:500]
    sample = b"\n".join(lines)
    if _beyond_ascii(sample, "utf-8"):
        return "utf-8"
    shares = {encoding: _common_share(sample, encoding) for encoding in _COMMON}
    likely = max(shares, key=lambda encoding: shares[encoding])
    if shares[likely] > 0.8:
        return likely
    # Western and Cyrillic text use the same bytes, but only in Cyrillic text they are most of the letters
    text = _beyond_ascii(sample, "cp1252")
    if not text:
        return None
    return "cp1251" if len(text) * 2 > len(re.findall(rb"[A-Za-z\x80-\xff]", sample)) else "cp1252"


def _beyond_ascii(sample: bytes, encoding: str) -> str:
    """Return the characters beyond ASCII; empty if the sample is not in this encoding but for a stray byte."""
    text = "".join(character for character in sample.decode(encoding, "replace") if not character.isascii())
    return "" if text.count("\ufffd") * 50 > len(text) else text


def _common_share(sample: bytes, encoding: str) -> float:
    text = _beyond_ascii(sample, encoding)
    common = sum(character.encode(encoding, "replace")[0] in _COMMON[encoding] for character in text)
    return common / len(text) if text else 0.0


def _first_beyond_ascii(file: IO[bytes], block: bytes = b"") -> bytes:
    """Return the first block that has characters beyond ASCII; empty if there is none.

    Args:
        file: open at the end of the block.
        block: that was read already.
    """
    while block.isascii():
        block = file.read(_BLOCK)
        if not block:
            break
    return block


def _codec(encoding: str) -> str:
    """Return Python's name of an encoding; UTF-8 with or without a byte order mark. Raises InputError."""
    try:
        io.TextIOWrapper(io.BytesIO(), encoding)  # refuses codecs that are not for text, such as base64
        name = codecs.lookup(encoding).name
    except (LookupError, ValueError):
        raise InputError("encoding_unknown", encoding=repr(encoding)) from None
    return "utf-8-sig" if name == "utf-8" else name
