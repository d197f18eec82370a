"""From uploads to answers in a spool, a batch at a time, until the end or until nobody asks for the next one."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pyclassify.errors import InputError
from pyclassify.many.reading import Source, Upload, sources, survey, unreadable
from pyclassify.many.spool import Row, Spool, answered
from pyclassify.many.tables import BadRow, guess_column, texts

if TYPE_CHECKING:
    from pyclassify.classifier import Prediction

PICTURES_PER_BATCH = 32
TEXTS_PER_BATCH = 256

Answer = Callable[[list[str]], "Sequence[Prediction | str]"]
"""From paths or texts to a prediction, or a problem in words, for each."""


@dataclass(frozen=True, slots=True)
class Item:
    """One input, or why there is none.

    Args:
        row: as it stands in the spool, without its answer.
        value: what a classifier takes; None where there is a problem.
        read: how many bytes of all uploads lie before its end.
        spare: a file that is to be deleted once it is answered.
    """

    row: Row
    value: str | None
    read: int
    spare: Path | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Args:
        done: rows in the spool.
        total: of all; None where it is known only at the end, as with tables.
        share: of the work that is done, from 0 to 1.
        seconds_left: until the end; None until something can be said.
    """

    done: int
    total: int | None
    share: float
    seconds_left: float | None


def run(
    uploads: Sequence[Upload], *, kind: str, column: str, answer: Answer, spool: Spool, clock: Callable[[], float]
) -> Iterator[Progress]:
    """Answer everything; whoever stops asking for the next progress ends the run and keeps what is in the spool.

    Args:
        uploads: pictures, tables and zips with such.
        kind: "image" or "text".
        column: of tables; empty to take for each the likeliest.
        answer: what answers a batch; it does not raise.
        spool: takes the rows.
        clock: seconds, such as `time.monotonic`.

    Yields:
        The progress after each batch, and first of all.
    """
    count, size = survey(uploads)
    total, start, done = (count if kind == "image" else None), clock(), 0
    yield Progress(0, total, 0.0, None)
    with tempfile.TemporaryDirectory(prefix="pyclassify-many-") as spare:
        found = pictures(uploads, Path(spare)) if kind == "image" else rows(uploads, column)
        while batch := list(itertools.islice(found, PICTURES_PER_BATCH if kind == "image" else TEXTS_PER_BATCH)):
            spool.add(_answered(batch, answer, spool.labels))
            for each in batch:
                if each.spare:
                    shutil.rmtree(each.spare.parent, ignore_errors=True)
            done += len(batch)
            # what is read ahead is not answered yet: only the last progress is the whole
            share = min(0.99, done / total if total else batch[-1].read / max(1, size))
            yield Progress(done, total, share, _left(clock() - start, share))
    yield Progress(done, done, 1.0, 0.0)


def _left(seconds: float, share: float) -> float | None:
    return seconds * (1 - share) / share if share > 0 else None


def _answered(batch: Sequence[Item], answer: Answer, labels: Sequence[str]) -> list[Row]:
    values = [each.value for each in batch if each.value is not None]
    found = iter(answer(values) if values else [])
    return [each.row if each.value is None else _row(each.row, next(found), labels) for each in batch]


def _row(row: Row, found: Prediction | str, labels: Sequence[str]) -> Row:
    if isinstance(found, str):
        return replace(row, problem=found)
    return answered(found, labels, row)


def pictures(uploads: Sequence[Upload], spare: Path) -> Iterator[Item]:
    """Every file as a picture, which it may not be: the classifier says so.

    Args:
        uploads: files and zips.
        spare: a folder for the entries of zips, each in a folder of its own.
    """
    read = 0
    for number, source in enumerate(sources(uploads)):
        read += source.size
        row = Row(source.name, path=str(source.path), entry=source.entry)
        problem, place = source.problem, None
        if not problem and source.entry:
            problem, place = _unpacked(source, spare / str(number))
        if problem:
            yield Item(Row(source.name, problem=problem), None, read)
        else:
            yield Item(row, str(place or source.path), read, place)


def _unpacked(source: Source, folder: Path) -> tuple[str, Path]:
    # its own last name, because messages name it; never its folders
    name = PurePosixPath(source.name).name[-100:]
    place = folder / (name.encode("utf-8", "replace")[-200:].decode("utf-8", "ignore") or "file")
    folder.mkdir()
    try:
        with source.open() as packed, place.open("wb") as file:
            shutil.copyfileobj(packed, file)
    except InputError as error:
        return str(error), place
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        return unreadable(source.name, error), place
    return "", place


def rows(uploads: Sequence[Upload], column: str) -> Iterator[Item]:
    """Every row of every table; a file that is none, and what of one cannot be read, is one row.

    Args:
        uploads: tables and zips with such.
        column: empty to take for each table the likeliest.
    """
    before = 0
    for source in sources(uploads):
        problem = source.problem
        if not problem and not source.is_table:
            problem = f"{source.name} is no table of texts; CSV, TSV, JSON Lines and TXT files are read."
        if problem:
            yield Item(Row(source.name, problem=problem), None, before + source.size)
        else:
            yield from _table(source, column, before)
        before += source.size


def _table(source: Source, column: str, before: int) -> Iterator[Item]:
    try:
        wanted = column or guess_column(source)
        with source.open() as file:
            for line, text, others in texts(file, source, wanted):
                read = before + min(source.size, file.tell())
                name = f"{source.name} line {line}"
                if isinstance(text, BadRow):
                    yield Item(Row(name, problem=f"{text}.", others=others), None, read)
                else:
                    yield Item(Row(name, text, others=others), text, read)
    except InputError as error:
        yield Item(Row(source.name, problem=str(error)), None, before + source.size)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        yield Item(Row(source.name, problem=unreadable(source.name, error)), None, before + source.size)
