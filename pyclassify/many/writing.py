"""The answers of a run as a file to take home, written row by row."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from pyclassify.many.spool import Row, Spool

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the beginning of a formula, in both widths."""


def write_csv(spool: Spool, path: Path) -> None:
    """A table that a spreadsheet opens with all scripts right and without running anything.

    A cell that would be a formula begins with an apostrophe.
    """
    # Excel takes UTF-8 for another encoding unless the file begins with a byte order mark
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        shares = [f"p({label})" for label in spool.labels]
        head = ["name", "text", "label", "probability", "set", "known", "problem", *shares]
        writer.writerow(map(_safe, head))
        for row in spool.all_rows():
            writer.writerow(_cells(row, len(shares)))


def write_json(spool: Spool, path: Path) -> None:
    """One list of objects, each in a line of its own."""
    with path.open("w", encoding="utf-8") as file:
        separator = "[\n"
        for row in spool.all_rows():
            file.write(separator + json.dumps(as_dict(row, spool.labels), ensure_ascii=False))
            separator = ",\n"
        file.write("\n]\n" if separator == ",\n" else "[]\n")


def as_dict(row: Row, labels: tuple[str, ...]) -> dict[str, Any]:
    """A row as plain data, with all probabilities, best first."""
    named = {"name": row.name} | ({"text": row.text} if row.text else {})
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


def _number(share: float) -> str:
    return f"{share:.6f}"


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.lstrip(" ").startswith(_FORMULA) else cell
