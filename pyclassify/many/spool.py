"""The answers of a run in a file beside, so that they take no memory and can be sorted, filtered and counted."""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pyclassify.classifier import Prediction

ALL, UNSURE, PROBLEMS, LABEL = "all", "unsure", "problems", "label"

_CONDITIONS: Final = {
    ALL: "1",
    UNSURE: "unsure = 1",
    PROBLEMS: "problem <> ''",
    LABEL: "label = ? AND problem = ''",
}
_ORDERS: Final = {
    "position": "id",
    "name": "CASE WHEN text = '' THEN name ELSE text END COLLATE NOCASE",
    "label": "label",
    "probability": "probability",
    "set": "size",
    "known": "known",
}
ORDERS = tuple(_ORDERS)

_TABLE = """
CREATE TABLE rows (
    id INTEGER PRIMARY KEY, name TEXT, text TEXT, path TEXT, entry TEXT, label TEXT, probability REAL,
    labels_set TEXT, size INTEGER, known INTEGER, unsure INTEGER, shares BLOB, problem TEXT
)
"""
_COLUMNS = "id, name, text, path, entry, label, probability, labels_set, known, shares, problem"


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
    position: int = 0

    @property
    def unsure(self) -> bool:
        """Whether there are several labels that it may be, or it is unlike what was trained on."""
        return not self.problem and (len(self.labels_set) > 1 or self.known is False)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows there are, of each label, unsure and with a problem; a row with a problem has no label."""

    rows: int = 0
    unsure: int = 0
    problems: int = 0
    labels: dict[str, int] = field(default_factory=dict)


def answered(
    prediction: Prediction, labels: Sequence[str], *, name: str, text: str = "", path: str = "", entry: str = ""
) -> Row:
    """The row of an answer."""
    return Row(
        name=name,
        text=text,
        path=path,
        entry=entry,
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
        values = [
            (
                *(_clean(each) for each in (row.name, row.text, row.path, row.entry, row.label)),
                row.probability if not row.problem else None,
                json.dumps(row.labels_set, ensure_ascii=False),
                len(row.labels_set),
                row.known,
                row.unsure,
                array("d", row.shares).tobytes(),
                _clean(row.problem),
            )
            for row in rows
        ]
        with self._database() as database:
            database.executemany(f"INSERT INTO rows VALUES (NULL{', ?' * 12})", values)

    def counts(self) -> Counts:
        """Of all rows."""
        sums = "SELECT count(*), coalesce(sum(unsure), 0), coalesce(sum(problem <> ''), 0) FROM rows"
        by_label = "SELECT label, count(*) FROM rows WHERE problem = '' GROUP BY label"
        with self._database() as database:
            rows, unsure, problems = database.execute(sums).fetchone()
            found = dict(database.execute(by_label).fetchall())
        return Counts(rows, unsure, problems, {label: found[label] for label in self.labels if label in found})

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
            which: ALL, UNSURE, PROBLEMS or LABEL.
            label: the one to look for, where `which` is LABEL.
            order: one of ORDERS.
            descending: whether the greatest comes first; rows without an answer are last in any case.
            limit: at most so many; -1 for all.
            offset: so many are left out first.

        Raises:
            ValueError: there is no such filter or order.
        """
        if order not in _ORDERS:
            raise ValueError(f"rows are sorted by {', '.join(_ORDERS)}, not by {order!r}")
        condition, values = _where(which, label)
        last = "" if order in ("position", "name") else "(problem <> ''), "
        by = f"{last}{_ORDERS[order]} {'DESC' if descending else 'ASC'}, id"
        query = f"SELECT {_COLUMNS} FROM rows WHERE {condition} ORDER BY {by} LIMIT ? OFFSET ?"
        with self._database() as database:
            return [_row(each) for each in database.execute(query, (*values, limit, offset))]

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


def _where(which: str, label: str) -> tuple[str, tuple[str, ...]]:
    if which not in _CONDITIONS:
        raise ValueError(f"rows are filtered by {', '.join(_CONDITIONS)}, not by {which!r}")
    return _CONDITIONS[which], (label,) if which == LABEL else ()


def _row(values: tuple[object, ...]) -> Row:
    position, name, text, path, entry, label, probability, labels_set, known, shares, problem = values
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
        position=int(position),  # type: ignore[call-overload]
    )


def _clean(text: str) -> str:
    """Half characters, which a file's name or a JSON text may hold, cannot be stored or sent."""
    return text.encode("utf-8", "replace").decode("utf-8")
