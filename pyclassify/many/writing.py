"""The answers of a run as a file to take home, written row by row."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pyclassify.many.spool import Row, Spool

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula, in both widths."""


_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
"""Begins like a formula and is none."""

OWN = ("name", "text", "label", "probability", "set", "known", "problem")
"""The first columns of a CSV."""


def write_csv(spool: Spool, path: Path, rows: Iterable[Row] | None = None) -> None:
    """A table that a spreadsheet opens with all scripts right and without running anything.

    A cell that would be a formula begins with an apostrophe. What stood beside the texts comes last; a column of the
    same name as one of ours has `input_` before it.

    Args:
        spool: with the answers.
        path: of the file.
        rows: those to write; all in the order in which they were read where they are left out.
    """
    # Excel takes UTF-8 for another encoding unless the file begins with a byte order mark
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        shares = [f"p({label})" for label in spool.labels]
        head, others = [*OWN, *shares], spool.columns()
        beside = [f"input_{name}" if name in head else name for name in others]
        writer.writerow(map(_safe, [*head, *beside]))
        for row in spool.all_rows() if rows is None else rows:
            writer.writerow([*_cells(row, len(shares)), *(_other(row.others.get(name)) for name in others)])


def write_json(spool: Spool, path: Path, rows: Iterable[Row] | None = None) -> None:
    """One list of objects, each in a line of its own; the arguments are those of `write_csv`."""
    with path.open("w", encoding="utf-8") as file:
        separator = "[\n"
        for row in spool.all_rows() if rows is None else rows:
            file.write(separator + json.dumps(as_dict(row, spool.labels), ensure_ascii=False))
            separator = ",\n"
        file.write("\n]\n" if separator == ",\n" else "[]\n")


def as_dict(row: Row, labels: tuple[str, ...]) -> dict[str, Any]:
    """A row as plain data, with all probabilities, best first, and what stood beside its text as `input`."""
    named: dict[str, Any] = {"name": row.name} | ({"text": row.text} if row.text else {})
    if row.others:
        named["input"] = dict(row.others)
    if row.problem:
        return named | {"problem": row.problem}
    ranked = sorted(zip(labels, row.shares, strict=True), key=lambda pair: -pair[1])
    return named | {
        "label": row.label,
        "probability": row.probability,
        "labels_set": list(row.labels_set),
        "known": row.known,
        "probabilities": dict(ranked),
    }


def _cells(row: Row, labels: int) -> list[Any]:
    words = [_safe(row.name), _safe(row.text)]
    if row.problem:
        return [*words, "", "", "", "", _safe(row.problem), *[""] * labels]
    known = "" if row.known is None else "yes" if row.known else "no"
    sets = _safe("; ".join(row.labels_set))
    return [*words, _safe(row.label), _number(row.probability), sets, known, "", *map(_number, row.shares)]


def _other(cell: Any) -> str:
    if cell is None:
        return ""
    written = cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False)
    return written if _NUMBER.fullmatch(written) else _safe(written)


def _number(share: float) -> str:
    return f"{share:.6f}"


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell
