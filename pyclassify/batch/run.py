"""From uploads to answers in a store, a batch at a time, until the end or until nobody asks for the next one."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pyclassify import tables
from pyclassify.batch.files import Source, Upload, sources, survey
from pyclassify.batch.store import AnswerStore, Row
from pyclassify.errors import InputError
from pyclassify.locales import Message

if TYPE_CHECKING:
    from pyclassify.classifier import Classifier, Prediction
    from pyclassify.modality import Modality

Answer = Callable[[list[str]], "Sequence[Prediction | Message]"]
"""From paths or texts to a prediction, or a problem, for each."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Item:
    """One input, or why there is none.

    Args:
        row: without its answer.
        value: for the classifier; None if there is a problem.
        bytes_read: of all uploads, up to its end.
        unpacked: a file in a folder of its own, which is deleted once it is answered.
    """

    row: Row
    value: str | None
    bytes_read: int
    unpacked: Path | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a run.

    Args:
        done: rows in the store.
        total: of all; None if it is known only at the end, as with tables.
        share: of the work that is done, from 0 to 1.
        seconds_left: until the end; None until it can be estimated.
    """

    done: int
    total: int | None
    share: float
    seconds_left: float | None


def run(
    uploads: Sequence[Upload],
    *,
    modality: Modality,
    column: str,
    answer: Answer,
    store: AnswerStore,
    clock: Callable[[], float],
) -> Iterator[Progress]:
    """Answer all inputs. A caller that stops iterating ends the run; what was answered stays in the store.

    Args:
        uploads: pictures, tables, and zips of them.
        modality: of the classifier.
        column: of tables, with the texts; empty to guess it for each table.
        answer: answers a batch; does not raise.
        store: takes the rows.
        clock: returns seconds, such as `time.monotonic`.

    Yields:
        The progress at the start, and after each batch.
    """
    reads_files = modality.reads == "files"
    count, size = survey(uploads)
    total, start, done = (count if reads_files else None), clock(), 0
    yield Progress(0, total, 0.0, None)
    with tempfile.TemporaryDirectory(prefix="pyclassify-batch-") as folder:
        items = file_items(uploads, Path(folder)) if reads_files else row_items(uploads, column)
        while batch := list(islice(items, modality.batch_size)):
            store.add(_answered(batch, answer, store.labels))
            for item in batch:
                if item.unpacked:
                    shutil.rmtree(item.unpacked.parent, ignore_errors=True)
            done += len(batch)
            # what was read ahead is not answered yet: only the last progress is the whole
            share = min(0.99, done / total if total else batch[-1].bytes_read / max(1, size))
            seconds_left = (clock() - start) * (1 - share) / share if share > 0 else None
            yield Progress(done, total, share, seconds_left)
    yield Progress(done, done, 1.0, 0.0)


def _answered(batch: Sequence[Item], answer: Answer, labels: Sequence[str]) -> list[Row]:
    values = [item.value for item in batch if item.value is not None]
    answers = iter(answer(values) if values else [])
    return [item.row if item.value is None else _with_answer(item.row, next(answers), labels) for item in batch]


def _with_answer(row: Row, answer: Prediction | Message, labels: Sequence[str]) -> Row:
    return replace(row, problem=answer) if isinstance(answer, Message) else row.answered(answer, labels)


def file_items(uploads: Sequence[Upload], folder: Path) -> Iterator[Item]:
    """Yield every file, whatever it holds: the classifier refuses what it cannot read.

    Args:
        uploads: files and zips.
        folder: for the entries of zips, each in a folder of its own.
    """
    bytes_read = 0
    for number, source in enumerate(sources(uploads)):
        bytes_read += source.size
        row, unpacked, problem = Row(source.name), None, source.problem
        if source.entry and not problem:
            try:
                unpacked = _unpack(source, folder / str(number))
            except InputError as error:
                problem = error.message
        if problem:
            yield Item(replace(row, problem=problem), None, bytes_read)
        else:
            row = replace(row, path=str(source.path), entry=source.entry)
            yield Item(row, str(unpacked or source.path), bytes_read, unpacked)


def _unpack(source: Source, folder: Path) -> Path:
    """Write an entry of a zip to a folder, under the last part of its name, which messages tell. Raises InputError."""
    name = PurePosixPath(source.name).name[-100:]
    path = folder / (name.encode("utf-8", "replace")[-200:].decode("utf-8", "ignore") or "file")
    folder.mkdir()
    try:
        with source.open() as packed, path.open("wb") as file:
            shutil.copyfileobj(packed, file)
    except (*tables.READ_ERRORS, ValueError) as error:
        raise tables.unreadable(source.name, error) from error
    return path


def row_items(uploads: Sequence[Upload], column: str) -> Iterator[Item]:
    """Yield every row of every table; a file that is no table, or what cannot be read of one, is one row.

    Args:
        uploads: tables and zips of them.
        column: with the texts; empty to guess it for each table.
    """
    start = 0
    for source in sources(uploads):
        end = start + source.size
        if source.problem:
            yield Item(Row(source.name, problem=source.problem), None, end)
        else:
            try:
                for row in tables.read_rows(source, text_column=column or tables.guess_text_column(source)):
                    name = f"{source.name} {row.place}"
                    item = Row(name, row.text or "", problem=row.problem, others=row.others)
                    yield Item(item, row.text, min(end, start + row.bytes_read))
            except InputError as error:
                yield Item(Row(source.name, problem=error.message), None, end)
        start = end


def predict_each(classifier: Classifier, inputs: Sequence[Any]) -> list[Prediction | Message]:
    """Predict a batch of which some inputs may be unreadable; those are found by bisection.

    Returns:
        A prediction or a problem per input, in the same order.
    """
    try:
        return list(classifier.predict(inputs))
    except Exception as error:
        if len(inputs) == 1:
            if isinstance(error, InputError):
                return [error.message]
            _log.exception("%s failed on an input", classifier.name)
            return [Message("errors.unexpected")]
        half = len(inputs) // 2
        return [*predict_each(classifier, inputs[:half]), *predict_each(classifier, inputs[half:])]
