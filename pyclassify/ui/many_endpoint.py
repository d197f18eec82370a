"""Many inputs at once for programs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from pyclassify.errors import InputError
from pyclassify.many import Spool, as_dict
from pyclassify.ui.batching import PROBLEM
from pyclassify.ui.many_work import Work
from pyclassify.ui.uploads import uploaded_files
from pyclassify.ui.wording import words
from pyclassify.ui.wording.en import English

MAX_ROWS = 10_000


def files_endpoint(work: Work) -> Callable[..., dict[str, Any]]:
    """The function behind `/classify_files`; what its docstring says is what programs are told."""

    def classify_files(files: list[dict[str, Any]], checkpoint: str, column: str, language: str) -> dict[str, Any]:
        """Classify many pictures, zips of pictures, or tables of texts.

        Args:
            files: of uploads.
            checkpoint: its name; without one the first of the page answers.
            column: of tables, with the texts; without one it is guessed.
            language: "en" or "ko", for problems.

        Returns:
            `counts` of all that was answered, at most MAX_ROWS `rows` in the order of the input, and a `note`, empty
            where these are all.
        """
        said = words(language)
        try:
            uploads = uploaded_files(files)
            if not uploads:
                raise InputError(English.MANY_NOTHING)
            work.check(checkpoint)
        except InputError as error:
            return {PROBLEM: said.sentence(str(error))}
        labels = work.classifiers[checkpoint].labels
        with tempfile.TemporaryDirectory(dir=work.runs.root) as folder:
            spool = Spool(Path(folder) / "answers.db", labels)
            with closing(work.steps(uploads, checkpoint, column, spool)) as steps:
                for step in steps:
                    if step.done > MAX_ROWS:
                        break
            rows, counts = spool.read(limit=MAX_ROWS), spool.counts()
        return {
            "counts": {
                "rows": counts.rows,
                "unsure": counts.unsure,
                "unknown": counts.unknown,
                "problems": counts.problems,
                "labels": counts.labels,
            },
            "rows": [as_dict(row, tuple(labels)) for row in rows],
            "note": said.many_limit(MAX_ROWS) if counts.rows > MAX_ROWS else "",
        }

    return classify_files
