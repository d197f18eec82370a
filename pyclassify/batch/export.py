"""The answers of a run as CSV and JSON, written row by row, and thumbnails of pictures."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageOps

from pyclassify.batch.store import AnswerStore, Row
from pyclassify.formats import PICTURE_FORMATS, register_heif
from pyclassify.locales import DEFAULT

register_heif()

OWN_COLUMNS: Final = ("name", "text", "label", "probability", "set", "known", "problem")
"""The first columns of a CSV."""

SIDE_PX: Final = 64

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Characters that begin a formula in spreadsheets, in both widths."""

_NUMBER: Final = re.compile(r"[+-]?\d+([.,]\d+)?")
"""A cell that begins like a formula and is none."""


def write_csv(store: AnswerStore, path: Path, rows: Iterable[Row] | None = None, *, language: str = DEFAULT) -> None:
    """Write a CSV that a spreadsheet opens with all scripts intact and without running anything.

    A cell that would be a formula begins with an apostrophe. The columns of the input come last; one with the name of
    a column of ours is prefixed with `input_`.

    Args:
        store: with the answers.
        path: of the file.
        rows: to write; by default all, in the order of the input.
        language: of the problems.
    """
    # spreadsheets take UTF-8 for another encoding unless the file begins with a byte order mark
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        head, others = [*OWN_COLUMNS, *(f"p({label})" for label in store.labels)], store.columns()
        writer.writerow(map(_safe, [*head, *(f"input_{name}" if name in head else name for name in others)]))
        for row in store.all_rows() if rows is None else rows:
            own = _own_cells(row, len(store.labels), language)
            writer.writerow([*own, *(_other_cell(row.others.get(name)) for name in others)])


def write_json(store: AnswerStore, path: Path, rows: Iterable[Row] | None = None, *, language: str = DEFAULT) -> None:
    """Write one JSON list with an object per line; the arguments are those of `write_csv`."""
    with path.open("w", encoding="utf-8") as file:
        separator = "[\n"
        for row in store.all_rows() if rows is None else rows:
            file.write(separator + json.dumps(as_dict(row, store.labels, language), ensure_ascii=False))
            separator = ",\n"
        file.write("\n]\n" if separator == ",\n" else "[]\n")


def as_dict(row: Row, labels: Sequence[str], language: str = DEFAULT) -> dict[str, Any]:
    """Return a row as plain data.

    Args:
        row: of a store.
        labels: of the store.
        language: of the problem.

    Returns:
        `name`; `text` and `input` (the cells beside it) for rows of tables; then either `problem`, or `label`,
        `probability`, `prediction_set`, `known` and `probabilities` (best first).
    """
    named: dict[str, Any] = {"name": row.name} | ({"text": row.text} if row.text else {})
    if row.others:
        named["input"] = dict(row.others)
    if row.problem:
        return named | {"problem": row.problem.text(language)}
    return named | {
        "label": row.label,
        "probability": row.probability,
        "prediction_set": list(row.prediction_set),
        "known": row.known,
        "probabilities": dict(sorted(zip(labels, row.shares, strict=True), key=lambda pair: -pair[1])),
    }


def _own_cells(row: Row, num_labels: int, language: str) -> list[str]:
    cells = [_safe(row.name), _safe(row.text)]
    if row.problem:
        return [*cells, "", "", "", "", _safe(row.problem.text(language)), *[""] * num_labels]
    known = "" if row.known is None else "yes" if row.known else "no"
    prediction_set = _safe("; ".join(row.prediction_set))
    answer = [_safe(row.label), f"{row.probability:.6f}", prediction_set, known, ""]
    return [*cells, *answer, *(f"{share:.6f}" for share in row.shares)]


def _other_cell(cell: Any) -> str:
    if cell is None:
        return ""
    written = cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False)
    return written if _NUMBER.fullmatch(written) else _safe(written)


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell


def thumbnails(rows: Sequence[Row], side_px: int = SIDE_PX) -> list[bytes]:
    """Return a JPEG per row, no wider and no higher than `side_px`.

    Returns:
        Empty bytes for a row without a picture that was answered, and for one whose upload is gone.
    """
    with ExitStack() as stack:
        archives: dict[str, zipfile.ZipFile] = {}  # the list of entries of a zip is read once
        return [_thumbnail(row, side_px, archives, stack) for row in rows]


def _thumbnail(row: Row, side_px: int, archives: dict[str, zipfile.ZipFile], stack: ExitStack) -> bytes:
    if row.problem or not row.path:
        return b""
    try:
        if row.entry and row.path not in archives:
            archives[row.path] = stack.enter_context(zipfile.ZipFile(row.path))
        content = archives[row.path].read(row.entry) if row.entry else Path(row.path).read_bytes()
        with Image.open(io.BytesIO(content), formats=tuple(PICTURE_FORMATS)) as image:
            image.draft("RGB", (side_px, side_px))
            image.thumbnail((side_px, side_px))
            jpeg = io.BytesIO()
            ImageOps.exif_transpose(image).convert("RGB").save(jpeg, "JPEG", quality=80)
            return jpeg.getvalue()
    except (OSError, ValueError, KeyError, EOFError, SyntaxError, zipfile.BadZipFile, zlib.error):
        return b""  # it was answered; the page shows it without a thumbnail
