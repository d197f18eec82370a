"""The answers of a run in a file beside, so that they take no memory and can be sorted, filtered and counted."""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pyclassify.classifier import Prediction

ALL, UNSURE, UNKNOWN, PROBLEMS, LABEL = "all", "unsure", "unknown", "problems", "label"

_ANSWERED = "problem = '' AND known IS NOT 0"
_CONDITIONS: Final = {
    ALL: "1",
    UNSURE: "unsure = 1",
    UNKNOWN: "known = 0",
    PROBLEMS: "problem <> ''",
    LABEL: f"label = ? AND {_ANSWERED}",
}
_ORDERS: Final = {
    "position": "id",
    "name": "CASE WHEN text = '' THEN name ELSE text END COLLATE NOCASE",
    "label": "label",
    "probability": "probability",
    "set": "size",
    "known": "CASE WHEN known = 0 THEN 2 ELSE unsure END",  # sure, not sure, not known
}
ORDERS = tuple(_ORDERS)

_TABLE = """
CREATE TABLE rows (
    id INTEGER PRIMARY KEY, name TEXT, text TEXT, path TEXT, entry TEXT, label TEXT, probability REAL,
    labels_set TEXT, size INTEGER, known INTEGER, unsure INTEGER, shares BLOB, problem TEXT, others TEXT
)
"""
_COLUMNS = "id, name, text, path, entry, label, probability, labels_set, known, shares, problem, others"


@dataclass(frozen=True, slots=True)
class Row:
    """One answer, or why there is none.

    Args:
        name: of the file; of a text, the file and the line that it stands in.
        text: empty where a picture was asked for.
        path: the file, to show a picture by; empty for texts.
        entry: in the zip that `path` is; empty where it is none.
        label: the most probable one; empty where there is a problem.
        probability: of the label.
        labels_set: the labels that it may be; empty where the checkpoint promises nothing.
        known: whether it is like what was trained on; None where the checkpoint cannot tell.
        shares: the probability of each label, in the order of the spool's labels.
        problem: why there is no answer; empty where there is one.
        others: of a table, what stands in the row beside the text, by column.
        position: from 1, in the order in which they were read; 0 before it is in the spool.
    """

    name: str
    text: str = ""
    path: str = ""
    entry: str = ""
    label: str = ""
    probability: float = 0.0
    labels_set: tuple[str, ...] = ()
    known: bool | None = None
    shares: tuple[float, ...] = ()
    problem: str = ""
    others: Mapping[str, Any] = field(default_factory=dict)
    position: int = 0

    @property
    def unsure(self) -> bool:
        """Whether there are several labels that it may be."""
        return not self.problem and self.known is not False and len(self.labels_set) > 1

    @property
    def unknown(self) -> bool:
        """Whether it is unlike what was trained on: its label is the nearest one, and no answer."""
        return not self.problem and self.known is False


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows there are, and of which sort.

    Args:
        rows: of labels, unknown and problems together.
        unsure: of those with a label.
        unknown: unlike what was trained on, and so of no label.
        problems: without an answer.
        labels: of each that there is.
    """

    rows: int = 0
    unsure: int = 0
    unknown: int = 0
    problems: int = 0
    labels: dict[str, int] = field(default_factory=dict)


def answered(prediction: Prediction, labels: Sequence[str], row: Row) -> Row:
    """The row with its answer."""
    return replace(
        row,
        label=prediction.label,
        probability=prediction.probabilities[prediction.label],
        labels_set=tuple(prediction.labels_set),
        known=prediction.known,
        shares=tuple(prediction.probabilities[label] for label in labels),
    )


class Spool:
    """Rows in a database of one file, which is opened for each call: any thread may write or read at any time.

    Args:
        path: of the file, which is made anew.
        labels: of the checkpoint.
    """

    def __init__(self, path: Path, labels: Sequence[str]) -> None:
        self.path = path
        self.labels = tuple(labels)
        self._columns: dict[str, None] = {}
        path.unlink(missing_ok=True)
        with self._database() as database:
            database.execute(_TABLE)

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=30)) as database, database:
            # the file is gone when the run is: nothing has to outlive a crash
            database.execute("PRAGMA synchronous = OFF")
            yield database

    def add(self, rows: Iterable[Row]) -> None:
        """Put rows after those that are there."""
        rows = list(rows)
        for row in rows:
            self._columns.update(dict.fromkeys(map(_clean, row.others)))
        values = [
            (
                *(_clean(each) for each in (row.name, row.text, row.path, row.entry, row.label)),
                row.probability if not row.problem else None,
                json.dumps(row.labels_set),
                len(row.labels_set),
                row.known,
                row.unsure,
                array("d", row.shares).tobytes(),
                _clean(row.problem),
                _clean(json.dumps(row.others, ensure_ascii=False)) if row.others else "",
            )
            for row in rows
        ]
        with self._database() as database:
            database.executemany(f"INSERT INTO rows VALUES (NULL{', ?' * 13})", values)

    def counts(self) -> Counts:
        """Of all rows."""
        sums = ", ".join(f"coalesce(sum({_CONDITIONS[each]}), 0)" for each in (UNSURE, UNKNOWN, PROBLEMS))
        by_label = f"SELECT label, count(*) FROM rows WHERE {_ANSWERED} GROUP BY label"
        with self._database() as database:
            rows, unsure, unknown, problems = database.execute(f"SELECT count(*), {sums} FROM rows").fetchone()
            found = dict(database.execute(by_label).fetchall())
        labels = {label: found[label] for label in self.labels if label in found}
        return Counts(rows, unsure, unknown, problems, labels)

    def count(self, which: str = ALL, label: str = "") -> int:
        """How many rows `read` would give without a limit."""
        condition, values = _where(which, label)
        with self._database() as database:
            return int(database.execute(f"SELECT count(*) FROM rows WHERE {condition}", values).fetchone()[0])

    def read(
        self,
        which: str = ALL,
        label: str = "",
        *,
        order: str = "position",
        descending: bool = False,
        limit: int = -1,
        offset: int = 0,
    ) -> list[Row]:
        """Rows that fit, sorted over all of them.

        Args:
            which: ALL, UNSURE, UNKNOWN, PROBLEMS or LABEL.
            label: the one to look for, where `which` is LABEL.
            order: one of ORDERS.
            descending: whether the greatest comes first; rows without an answer are last in any case.
            limit: at most so many; -1 for all.
            offset: so many are left out first.

        Raises:
            ValueError: there is no such filter or order.
        """
        query, values = _sorted(which, label, order, descending)
        with self._database() as database:
            return [_row(each) for each in database.execute(f"{query} LIMIT ? OFFSET ?", (*values, limit, offset))]

    def each(
        self, which: str = ALL, label: str = "", *, order: str = "position", descending: bool = False
    ) -> Iterator[Row]:
        """What `read` gives, one row after the other; nothing can be added meanwhile.

        Raises:
            ValueError: there is no such filter or order.
        """
        query, values = _sorted(which, label, order, descending)
        with self._database() as database:
            yield from map(_row, database.execute(query, values))

    def columns(self) -> tuple[str, ...]:
        """The columns that stood beside the texts, in the order in which they came."""
        return tuple(self._columns)

    def all_rows(self, *, chunk: int = 1000) -> Iterator[Row]:
        """Every row in the order in which they were read; a run that goes on may add some meanwhile."""
        last = 0
        query = f"SELECT {_COLUMNS} FROM rows WHERE id > ? ORDER BY id LIMIT ?"
        while True:
            with self._database() as database:
                found = database.execute(query, (last, chunk)).fetchall()
            if not found:
                return
            yield from map(_row, found)
            last = found[-1][0]


def _sorted(which: str, label: str, order: str, descending: bool) -> tuple[str, tuple[str, ...]]:
    if order not in _ORDERS:
        raise ValueError(f"rows are sorted by {', '.join(_ORDERS)}, not by {order!r}")
    condition, values = _where(which, label)
    last = "" if order in ("position", "name") else "(problem <> ''), "
    by = f"{last}{_ORDERS[order]} {'DESC' if descending else 'ASC'}, id"
    return f"SELECT {_COLUMNS} FROM rows WHERE {condition} ORDER BY {by}", values


def _where(which: str, label: str) -> tuple[str, tuple[str, ...]]:
    if which not in _CONDITIONS:
        raise ValueError(f"rows are filtered by {', '.join(_CONDITIONS)}, not by {which!r}")
    return _CONDITIONS[which], (label,) if which == LABEL else ()


def _row(values: tuple[object, ...]) -> Row:
    position, name, text, path, entry, label, probability, labels_set, known, shares, problem, others = values
    numbers = array("d")
    numbers.frombytes(shares)  # type: ignore[arg-type]
    return Row(
        name=str(name),
        text=str(text),
        path=str(path),
        entry=str(entry),
        label=str(label),
        probability=float(probability or 0),  # type: ignore[arg-type]
        labels_set=tuple(json.loads(str(labels_set))),
        known=None if known is None else bool(known),
        shares=tuple(numbers),
        problem=str(problem),
        others=json.loads(str(others)) if others else {},
        position=int(position),  # type: ignore[call-overload]
    )


def _clean(text: str) -> str:
    """Half characters, which a file's name or a JSON text may hold, cannot be stored or sent."""
    return text.encode("utf-8", "replace").decode("utf-8")
