"""What stands beside a text in its row, as plain data."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

_LARGEST_EXACT = 2**53
"""Of whole numbers, in the programs that read all numbers as floating point."""


def beside(pairs: Iterable[tuple[str, object]], column: str) -> dict[str, Any]:
    """All but the column of the texts."""
    return {name: _plain(cell) for name, cell in pairs if name != column}


def _plain(cell: object) -> str | int | float | bool | None:
    """What any reader of JSON takes; the rest as it is written."""
    if cell is None or isinstance(cell, (str, bool)):
        return cell
    if isinstance(cell, (int, float)) and abs(cell) < _LARGEST_EXACT:
        return cell
    try:
        return json.dumps(cell, ensure_ascii=False)
    except RecursionError:
        return None
