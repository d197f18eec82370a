"""The answers of many inputs at once, for each visitor who asked for them, and their end."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyclassify.many import ALL, Spool, Upload
from pyclassify.ui.naming import naming

if TYPE_CHECKING:
    from pyclassify.classifier import Classifier

KEPT_S = 3600


@dataclass(slots=True)
class View:
    """Which rows of a run a visitor looks at."""

    which: str = ALL
    label: str = ""
    order: str = "position"
    descending: bool = False
    page: int = 0


@dataclass(slots=True)
class Run:
    """What a visitor asked for, while it goes on and after.

    Args:
        folder: holds all that is written for it.
        spool: the answers.
        checkpoint: who answers.
        naming: of the checkpoint's labels, for `label_names`.
        inputs: the files that it is of.
        view: what the visitor looks at.
        began_s: when, by `time.monotonic`.
        took_s: from the beginning to the end; None until then.
        stop: set to end it after the batch that is being answered.
        gone: set when nobody can look at it any more.
        going: whether it still writes.
    """

    folder: Path
    spool: Spool
    checkpoint: str
    naming: Mapping[str, Any]
    inputs: tuple[Path, ...] = ()
    view: View = field(default_factory=View)
    began_s: float = field(default_factory=time.monotonic)
    took_s: float | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    gone: threading.Event = field(default_factory=threading.Event)
    going: bool = True


class Runs:
    """One run for each visitor; a new one takes the place of the last."""

    def __init__(self, kept_s: float = KEPT_S) -> None:
        self._kept_s = kept_s
        self._runs: dict[str, Run] = {}
        self._lock = threading.Lock()
        self.root = Path(tempfile.mkdtemp(prefix="pyclassify-runs-"))
        weakref.finalize(self, shutil.rmtree, self.root, ignore_errors=True)

    def begin(self, session: str, classifier: Classifier, inputs: tuple[Path, ...] = ()) -> Run:
        """A new run of these files; the visitor's last one and those of long ago that have ended are deleted."""
        now = time.monotonic()
        for old in [key for key, run in list(self._runs.items()) if not run.going and now - run.began_s > self._kept_s]:
            self.forget(old)
        self.forget(session)
        folder = Path(tempfile.mkdtemp(dir=self.root))
        run = Run(folder, Spool(folder / "answers.db", classifier.labels), classifier.name, naming(classifier), inputs)
        with self._lock:
            self._runs[session] = run
        return run

    def of(self, session: str) -> Run | None:
        """The visitor's run, as long as it is kept."""
        return self._runs.get(session)

    def end(self, run: Run) -> None:
        """Nothing is written any more."""
        with self._lock:
            run.going = False
            gone = run.gone.is_set()
        if gone:
            shutil.rmtree(run.folder, ignore_errors=True)

    def forget(self, session: str) -> None:
        """End a visitor's run and delete all of it, at once or as soon as its last batch is answered."""
        with self._lock:
            run = self._runs.pop(session, None)
            if run is None:
                return
            run.stop.set()
            run.gone.set()
            going = run.going
        if not going:
            shutil.rmtree(run.folder, ignore_errors=True)


def keep(uploads: list[Upload], folder: Path) -> list[Upload]:
    """The same files under names of the run's own: uploads are deleted after a while, however long a run takes."""
    kept = []
    for number, upload in enumerate(uploads):
        link = folder / f"{number}{upload.path.suffix}"
        try:
            os.link(upload.path, link)
        except OSError:  # another file system, or one without links: what it needs is there for the time being
            link = upload.path
        kept.append(Upload(upload.name, link))
    return kept
