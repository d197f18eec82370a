"""The batch runs of the visitors: their answers on disk, which rows they look at, and when all of it is deleted."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyclassify.batch.files import Upload
from pyclassify.batch.store import ALL, AnswerStore

if TYPE_CHECKING:
    from pyclassify.classifier import Classifier

KEPT_S: Final = 3600


@dataclass(slots=True)
class View:
    """The rows of a run that a visitor looks at: a filter, an order and a page."""

    which: str = ALL
    label: str = ""
    order: str = "position"
    descending: bool = False
    page: int = 0

    def filter(self, which: str, label: str) -> None:
        """Show other rows, from their first page on."""
        self.which, self.label, self.page = which, label, 0

    def turn(self, action: str, orders: Sequence[str]) -> None:
        """Go to another page ("previous" or "next") or sort by one of `orders`, the second time in reverse."""
        if action in ("previous", "next"):
            self.page += 1 if action == "next" else -1
        elif action in orders:
            # the lowest probabilities are what one wants to look at first
            self.descending = not self.descending if self.order == action else False
            self.order, self.page = action, 0


@dataclass(slots=True)
class Run:
    """A batch run of a visitor, while it goes on and afterwards.

    Args:
        folder: holds everything that is written for the run.
        store: the answers.
        classifier: that answers.
        inputs: paths of the uploads.
        view: what the visitor looks at.
        started_s: by `time.monotonic`.
        took_s: from start to end; None until then.
        stop: set to end the run after the current batch.
        abandoned: set when nobody can look at it any more.
        is_running: whether it still writes.
    """

    folder: Path
    store: AnswerStore
    classifier: Classifier
    inputs: tuple[Path, ...] = ()
    view: View = field(default_factory=View)
    started_s: float = field(default_factory=time.monotonic)
    took_s: float | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    abandoned: threading.Event = field(default_factory=threading.Event)
    is_running: bool = True


class Runs:
    """The runs by visitor, one each: a new one replaces the last.

    Args:
        kept_s: runs that ended and began longer ago are deleted when the next one begins.
    """

    def __init__(self, kept_s: float = KEPT_S) -> None:
        self._kept_s = kept_s
        self._runs: dict[str, Run] = {}
        self._lock = threading.Lock()
        self.root = Path(tempfile.mkdtemp(prefix="pyclassify-runs-"))
        weakref.finalize(self, shutil.rmtree, self.root, ignore_errors=True)

    def begin(self, session: str, classifier: Classifier, inputs: tuple[Path, ...] = ()) -> Run:
        """Begin a run of these files; the visitor's last one and expired ones are deleted."""
        now = time.monotonic()
        expired = [
            key for key, run in list(self._runs.items()) if not run.is_running and now - run.started_s > self._kept_s
        ]
        for key in (*expired, session):
            self.forget(key)
        folder = Path(tempfile.mkdtemp(dir=self.root))
        run = Run(folder, AnswerStore(folder / "answers.db", classifier.labels), classifier, inputs)
        with self._lock:
            self._runs[session] = run
        return run

    def get(self, session: str) -> Run | None:
        """Return the visitor's run, as long as it is kept."""
        return self._runs.get(session)

    def end(self, run: Run) -> None:
        """Note that a run has ended, and delete it if its visitor has left."""
        with self._lock:
            run.is_running = False
            is_abandoned = run.abandoned.is_set()
        if is_abandoned:
            shutil.rmtree(run.folder, ignore_errors=True)

    def forget(self, session: str) -> None:
        """Stop a visitor's run and delete all of it, at once or as soon as its last batch is answered."""
        with self._lock:
            run = self._runs.pop(session, None)
            if run is None:
                return
            run.stop.set()
            run.abandoned.set()
            is_running = run.is_running
        if not is_running:
            shutil.rmtree(run.folder, ignore_errors=True)


def keep_uploads(uploads: Sequence[Upload], folder: Path) -> list[Upload]:
    """Link uploads into the folder of a run: Gradio deletes its own after a while, however long a run takes."""
    kept = []
    for position, upload in enumerate(uploads):
        link = folder / f"{position}{upload.path.suffix}"
        try:
            os.link(upload.path, link)
        except OSError:  # another file system, or one without links
            link = upload.path
        kept.append(Upload(upload.name, link))
    return kept
