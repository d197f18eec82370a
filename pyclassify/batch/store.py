"""The answers of a run in a file, so that they take no memory and can be sorted, filtered and counted."""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pyclassify.locales import Message

if TYPE_CHECKING:
    from pyclassify.classifier import Prediction

ALL, UNSURE, UNKNOWN, PROBLEMS, LABEL = "all", "unsure", "unknown", "problems", "label"
"""Filters; LABEL is for the rows of one label."""

_ANSWERED: Final = "problem = '' AND known IS NOT 0"
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
    "set": "num_possible",
    "known": "CASE WHEN known = 0 THEN 2 ELSE unsure END",  # sure, unsure, unknown
}
ORDERS: Final = tuple(_ORDERS)

_TABLE: Final = """
CREATE TABLE rows (
    id INTEGER PRIMARY KEY, name TEXT, text TEXT, path TEXT, entry TEXT, label TEXT, probability REAL,
    prediction_set TEXT, shown_share REAL, possible TEXT, num_possible INTEGER, known INTEGER, unsure INTEGER,
    shares BLOB, problem TEXT, others TEXT
)
"""
_COLUMNS: Final = (
    "id, name, text, path, entry, label, probability, prediction_set, shown_share, possible, known, unsure, shares,"
    " problem, others"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One answer, or why there is none.

    Args:
        name: of the file; of a row of a table, the file and the line.
        text: empty for an input that is a file.
        path: of the file that was answered, to show a picture by; empty for texts.
        entry: in the zip that `path` is; empty if it is none.
        label: the most probable one; empty if there is a problem.
        probability: of the label.
        prediction_set: the labels that it may be; empty if the checkpoint has no prediction sets.
        known: whether it is like the training data; None if the checkpoint cannot tell.
        shares: the probability of each label, in the order of the store's labels.
        shown_share: the probability for display; None without an answer, or with too few calibration examples.
        possible: other labels to show with the answer.
        unsure: whether the answer is uncertain; see `Prediction.is_unsure`.
        problem: why there is no answer.
        others: of a row of a table, the cells beside the text by column.
        position: from 1, in the order of the input; 0 before it is in the store.
    """

    name: str
    text: str = ""
    path: str = ""
    entry: str = ""
    label: str = ""
    probability: float = 0.0
    prediction_set: tuple[str, ...] = ()
    known: bool | None = None
    shares: tuple[float, ...] = ()
    shown_share: float | None = None
    possible: tuple[str, ...] = ()
    unsure: bool = False
    problem: Message | None = None
    others: Mapping[str, Any] = field(default_factory=dict)
    position: int = 0

    @property
    def unknown(self) -> bool:
        """True if it is unlike the training data; its label is then the nearest one and not an answer."""
        return self.problem is None and self.known is False

    def answered(self, prediction: Prediction, labels: Sequence[str]) -> Row:
        """Return the row with its answer."""
        return replace(
            self,
            label=prediction.label,
            probability=prediction.probabilities[prediction.label],
            prediction_set=tuple(prediction.prediction_set),
            known=prediction.known,
            shares=tuple(prediction.probabilities[label] for label in labels),
            shown_share=prediction.shown_share(prediction.label),
            possible=prediction.possible,
            unsure=prediction.is_unsure,
        )


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of rows.

    Args:
        rows: of labels, unknown and problems together.
        unsure: of those with a label.
        unknown: unlike the training data, and so without a label.
        problems: without an answer.
        labels: by label, in the order of the store's labels, without those that no row has.
    """

    rows: int = 0
    unsure: int = 0
    unknown: int = 0
    problems: int = 0
    labels: dict[str, int] = field(default_factory=dict)


class AnswerStore:
    """Rows in an SQLite file that is opened for each call: any thread may write or read at any time.

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
            # the file lives no longer than the run: nothing has to outlive a crash
            database.execute("PRAGMA synchronous = OFF")
            yield database

    def add(self, rows: Iterable[Row]) -> None:
        """Append rows."""
        rows = list(rows)
        for row in rows:
            self._columns.update(dict.fromkeys(map(_storable, row.others)))
        values = [
            (
                *(_storable(text) for text in (row.name, row.text, row.path, row.entry, row.label)),
                row.probability if row.problem is None else None,
                json.dumps(row.prediction_set),
                row.shown_share,
                json.dumps(row.possible),
                len(row.possible),
                row.known,
                row.unsure,
                array("d", row.shares).tobytes(),
                _storable(json.dumps(_encoded(row.problem), ensure_ascii=False)) if row.problem else "",
                _storable(json.dumps(row.others, ensure_ascii=False)) if row.others else "",
            )
            for row in rows
        ]
        with self._database() as database:
            database.executemany(f"INSERT INTO rows VALUES (NULL{', ?' * 15})", values)

    def counts(self) -> Counts:
        """Count all rows."""
        sums = ", ".join(f"coalesce(sum({_CONDITIONS[which]}), 0)" for which in (UNSURE, UNKNOWN, PROBLEMS))
        by_label = f"SELECT label, count(*) FROM rows WHERE {_ANSWERED} GROUP BY label"
        with self._database() as database:
            rows, unsure, unknown, problems = database.execute(f"SELECT count(*), {sums} FROM rows").fetchone()
            counts = dict(database.execute(by_label).fetchall())
        labels = {label: counts[label] for label in self.labels if label in counts}
        return Counts(rows, unsure, unknown, problems, labels)

    def count(self, which: str = ALL, label: str = "") -> int:
        """Count the rows that `read` gives without a limit. Raises ValueError if there is no such filter."""
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
        """Return the rows that pass a filter, sorted over all of them.

        Args:
            which: ALL, UNSURE, UNKNOWN, PROBLEMS or LABEL.
            label: for the filter LABEL.
            order: one of ORDERS.
            descending: put the greatest first; rows without an answer are last in any case.
            limit: largest number of rows; -1 for all.
            offset: number of rows to leave out first.

        Raises:
            ValueError: there is no such filter or order.
        """
        query, values = _sorted(which, label, order, descending)
        with self._database() as database:
            return [_row(record) for record in database.execute(f"{query} LIMIT ? OFFSET ?", (*values, limit, offset))]

    def stream(
        self, which: str = ALL, label: str = "", *, order: str = "position", descending: bool = False
    ) -> Iterator[Row]:
        """Yield the rows that `read` returns; nothing can be added meanwhile.

        Raises:
            ValueError: there is no such filter or order.
        """
        query, values = _sorted(which, label, order, descending)
        with self._database() as database:
            yield from map(_row, database.execute(query, values))

    def columns(self) -> tuple[str, ...]:
        """Return the names of the columns beside the texts, in the order of their first appearance."""
        return tuple(self._columns)

    def all_rows(self, *, chunk: int = 1000) -> Iterator[Row]:
        """Yield every row in the order of the input; a run that goes on may add some meanwhile."""
        last = 0
        query = f"SELECT {_COLUMNS} FROM rows WHERE id > ? ORDER BY id LIMIT ?"
        while True:
            with self._database() as database:
                records = database.execute(query, (last, chunk)).fetchall()
            if not records:
                return
            yield from map(_row, records)
            last = records[-1][0]


def _sorted(which: str, label: str, order: str, descending: bool) -> tuple[str, tuple[str, ...]]:
    if order not in _ORDERS:
        raise ValueError(f"order must be one of {', '.join(_ORDERS)}, got {order!r}")
    condition, values = _where(which, label)
    problems_last = "" if order in ("position", "name") else "(problem <> ''), "
    by = f"{problems_last}{_ORDERS[order]} {'DESC' if descending else 'ASC'}, id"
    return f"SELECT {_COLUMNS} FROM rows WHERE {condition} ORDER BY {by}", values


def _where(which: str, label: str) -> tuple[str, tuple[str, ...]]:
    if which not in _CONDITIONS:
        raise ValueError(f"filter must be one of {', '.join(_CONDITIONS)}, got {which!r}")
    return _CONDITIONS[which], (label,) if which == LABEL else ()


def _row(record: tuple[Any, ...]) -> Row:
    position, name, text, path, entry, label, probability, *answer, shares, problem, others = record
    prediction_set, shown_share, possible, known, unsure = answer
    numbers = array("d")
    numbers.frombytes(shares)
    return Row(
        name=name,
        text=text,
        path=path,
        entry=entry,
        label=label,
        probability=probability or 0.0,
        prediction_set=tuple(json.loads(prediction_set)),
        known=None if known is None else bool(known),
        shares=tuple(numbers),
        shown_share=shown_share,
        possible=tuple(json.loads(possible)),
        unsure=bool(unsure),
        problem=_decoded(json.loads(problem)) if problem else None,
        others=json.loads(others) if others else {},
        position=position,
    )


def _encoded(value: Any) -> Any:
    """Return a message, or a value of one of its fields, as plain JSON; only messages become objects."""
    match value:
        case Message():
            fields = {name: _encoded(content) for name, content in value.fields.items()}
            return {"key": value.key, "fields": fields}
        case str() | int() | None:
            return value
        case Sequence():
            return [_encoded(item) for item in value]
        case _:
            return str(value)


def _decoded(value: Any) -> Any:
    if isinstance(value, dict):
        return Message(value["key"], {name: _decoded(content) for name, content in value["fields"].items()})
    return tuple(map(_decoded, value)) if isinstance(value, list) else value


def _storable(text: str) -> str:
    """Replace half characters, which a file name or a JSON text may hold: they cannot be stored or sent."""
    return text.encode("utf-8", "replace").decode("utf-8")
