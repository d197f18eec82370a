"""Folders and tables of labelled texts -> pairs of text and label, and a list of all that was left out.

A row or file that cannot be used is skipped with the reason; a table or folder that is no use as a whole is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from pyclassify.errors import DataError
from pyclassify.examples import Skipped
from pyclassify.text.encodings import decode, is_binary, is_damaged, not_readable
from pyclassify.text.rows import BadRowError, csv_rows, json_rows, tsv_rows
from pyclassify.text.transform import MAX_CHARACTERS, normalize

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
_UNLABELLED = {"unsup", "__MACOSX"}
_LITTER = {"thumbs.db", "desktop.ini"}
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Found:
    """Pairs of text and label in the order of the source, and what was left out."""

    pairs: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


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
        except (OSError, BadRowError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            found.skipped.append(Skipped(path.relative_to(folder.parent).as_posix(), reason or str(error)))
    if _too_many(len(damaged), len(found.pairs) + len(found.skipped)):
        raise not_readable(folder, encoding, b"\n".join(damaged), f"{len(damaged):,} of its files are")
    return _some(found, folder, "it needs a folder per label with .txt files in it")


def _file_text(path: Path, encoding: str, damaged: list[bytes]) -> str:
    if path.is_dir():
        raise BadRowError("a folder, not a text")
    if not path.is_file():
        raise BadRowError("not a file")
    if path.suffix.lower() != ".txt":
        raise BadRowError("not a .txt file")
    data = path.read_bytes()
    if is_binary(data, encoding):
        raise BadRowError("binary, not text")
    text = decode(data, encoding, path)
    if is_damaged(text):
        damaged.append(data[:10_000])
        raise BadRowError(f"not {encoding}")
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
    form = {".tsv": tsv_rows, ".csv": csv_rows}.get(path.suffix.lower(), json_rows)
    rows, pick = form(path, text, columns)
    del text  # the rows hold it as long as they need it
    found = Found()
    labels: dict[str, str] = {}  # one string per label, not one per row
    for name, row in rows:
        try:
            row_text, label = pick(row)
            row_text = _checked(row_text, encoding)
            found.pairs.append((row_text, labels.get(label) or labels.setdefault(label, _label(label))))
        except BadRowError as reason:
            found.skipped.append(Skipped(f"{path.name} {name}", str(reason)))
    return _some(found, path, "it needs rows with a text and a label")


def _table_text(path: Path, encoding: str) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    if is_binary(data, encoding):
        raise DataError(f"{path} is a binary file, not a table: save it as UTF-8 text in the form {', '.join(TABLES)}")
    text = decode(data, encoding, path)
    if not text or text.isspace():
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


def _checked(text: str, encoding: str = "utf-8") -> str:
    """The text without white space at its ends, where it can be learned from."""
    if len(text) > MAX_CHARACTERS:
        raise BadRowError(f"{len(text):,} characters, more than {MAX_CHARACTERS:,}")
    if "\0" in text:
        raise BadRowError("binary, not text")
    if is_damaged(text):
        raise BadRowError(f"not {encoding}")
    text = text.strip()
    # Most texts show at a glance that they are not empty; one of line breaks alone takes the whole rule.
    if ("<" in text or not re.search(r"\w", text)) and not normalize(text, lowercase=False):
        raise BadRowError("empty text")
    return text


def _label(label: str) -> str:
    label = " ".join(label.split())
    if not label:
        raise BadRowError("empty label")
    if is_damaged(label):
        raise BadRowError("label in another encoding")
    if _SURROGATE.search(label):
        raise BadRowError("half a character in the label")
    return label


def _some(found: Found, path: Path, wanted: str) -> Found:
    if found.pairs:
        return found
    if not found.skipped:
        raise DataError(f"{path} holds no labelled text: {wanted}")
    first = found.skipped[0]
    listed = f"{len(found.skipped):,} left out, the first ({first.name}) because: {first.reason}"
    raise DataError(f"no text in {path} can be used: {listed}")
