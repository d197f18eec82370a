"""What the events of the tab for many inputs at once do."""

from __future__ import annotations

import itertools
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from pyclassify import many
from pyclassify.errors import InputError
from pyclassify.many import LABEL, ORDERS, PROBLEMS, UNSURE, Spool, Upload
from pyclassify.ui import image_tab, many_view, text_tab
from pyclassify.ui.answering import problem
from pyclassify.ui.asking import Ask
from pyclassify.ui.batching import PROBLEM
from pyclassify.ui.runs import Run, Runs
from pyclassify.ui.uploads import uploaded_files
from pyclassify.ui.wording import words
from pyclassify.ui.wording.en import English

if TYPE_CHECKING:
    from pyclassify.classifier import Classifier

SHOWN_EVERY_S = 0.5
MAX_ROWS = 10_000
SOURCES_LOOKED_AT = 100

Update = dict[Any, Any]


@dataclass(frozen=True, slots=True)
class Parts:
    """What the tab consists of."""

    files: gr.File
    folder: gr.UploadButton
    menu: gr.Dropdown
    column: gr.Dropdown
    start: gr.Button
    stop: gr.Button
    example: gr.Button
    progress: gr.HTML
    said: gr.HTML
    counts: gr.HTML
    show: gr.Dropdown
    table: gr.HTML
    csv: gr.Button
    json: gr.Button
    file: gr.File


class Work:
    """What the events of the tab do."""

    def __init__(self, classifiers: Mapping[str, Classifier], ask: Ask, runs: Runs, parts: Parts) -> None:
        self.classifiers, self.runs, self.parts = classifiers, runs, parts
        self._ask = ask
        self._turn = threading.Lock()  # of all runs one batch is answered at a time: single answers come between

    def offered(self, payload: object, name: str, language: str) -> Update:
        """Offer the columns of a table, and a checkpoint for what was uploaded."""
        parts = self.parts
        try:
            uploads = uploaded_files(payload)
        except InputError as error:
            return {parts.said: problem(words(language).sentence(str(error)))}
        looked_at = itertools.islice(many.sources(uploads), SOURCES_LOOKED_AT)
        tables = [each.is_table for each in looked_at if not each.problem]
        update: Update = {parts.column: gr.update(visible=False, choices=[], value=None), parts.said: ""}
        if not tables:
            return update
        kind = "text" if 2 * sum(tables) > len(tables) else "image"
        fitting = [key for key, each in self.classifiers.items() if each.kind == kind]
        if fitting and name not in fitting:
            update[parts.menu] = fitting[0]
        if kind == "text":
            update[parts.column] = self._columns(uploads)
        return update

    def _columns(self, uploads: list[Upload]) -> Any:
        for source in itertools.islice(many.sources(uploads), SOURCES_LOOKED_AT):
            if source.is_table and not source.problem:
                try:
                    names, guess = many.columns(source), many.guess_column(source)
                except InputError:
                    continue  # a row of the run will say why
                # Gradio would look for names such as "label" among its own words
                choices = [(f"\N{ZERO WIDTH SPACE}{each}", each) for each in names]
                return gr.update(visible=bool(names), choices=choices, value=guess or None)
        return gr.update(visible=False, choices=[], value=None)

    def start(self, payload: object, name: str, column: str, language: str, request: gr.Request) -> Iterator[Update]:
        """Answer what was uploaded."""
        said = words(language)
        try:
            uploads = uploaded_files(payload)
            if not uploads:
                raise InputError(English.MANY_NOTHING)
            self._check(name)
        except InputError as error:
            yield {self.parts.said: problem(said.sentence(str(error)))}
            return
        yield from self._shown(lambda folder: uploads, name, column, said, str(request.session_hash))

    def example(self, name: str, language: str, request: gr.Request) -> Iterator[Update]:
        """Answer the pictures or sentences of the other tabs."""
        classifier = self.classifiers[self._check(name)]

        def uploads(folder: Path) -> list[Upload]:
            if classifier.kind == "image":
                return [Upload(path.name, path) for path in sorted(image_tab.EXAMPLES.glob("*.*g"))]
            own = text_tab.fitting_examples({name: classifier})
            texts = [text for text, _ in own] or [text for _, text in text_tab.EXAMPLES]
            path = folder / "examples.jsonl"
            path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
            return [Upload(path.name, path)]

        yield from self._shown(uploads, name, "", words(language), str(request.session_hash))

    def _check(self, name: str) -> str:
        if name not in self.classifiers:
            raise InputError(English.unknown_checkpoint(name, list(self.classifiers)))
        return name

    def _shown(
        self, uploads: Callable[[Path], list[Upload]], name: str, column: str, said: type[English], session: str
    ) -> Iterator[Update]:
        """Run to the end or until it is stopped, and show now and then how far it is."""
        run, parts = self.runs.begin(session, self.classifiers[name]), self.parts
        yield self._cleared()
        shown_s, rows_shown = 0.0, False
        try:
            with closing(self._steps(uploads(run.folder), name, column, run.spool)) as steps:
                for step in steps:
                    if run.stop.is_set():
                        break
                    if time.monotonic() - shown_s > SHOWN_EVERY_S:
                        update: Update = {parts.progress: many_view.progress(step, said)}
                        if step.done and not rows_shown:  # a look at the first, while the others are answered
                            update |= {parts.table: many_view.table(run.spool, run.view, said)}
                            rows_shown = True
                        yield update
                        shown_s = time.monotonic()
            if not run.gone.is_set():
                yield self._ended(run, said)
        finally:
            self.runs.end(run)

    def _steps(self, uploads: list[Upload], name: str, column: str, spool: Spool) -> Any:
        def answer(items: list[str]) -> list[Any]:
            with self._turn:
                return [each.prediction or each.problem for each in self._ask(name, items)]

        kind = self.classifiers[name].kind
        return many.run(uploads, kind=kind, column=column or "", answer=answer, spool=spool, clock=time.monotonic)

    def _cleared(self) -> Update:
        parts = self.parts
        hidden = gr.update(visible=False)
        return {
            **dict.fromkeys((parts.said, parts.counts, parts.table, parts.progress), ""),
            **dict.fromkeys((parts.show, parts.csv, parts.json), hidden),
            parts.start: gr.update(interactive=False),
            parts.example: gr.update(interactive=False),
            parts.stop: gr.update(interactive=True),
        }

    def _ended(self, run: Run, said: type[English]) -> Update:
        parts, counts = self.parts, run.spool.counts()
        seconds, stopped = time.monotonic() - run.began_s, run.stop.is_set()
        there = gr.update(visible=counts.rows > 0)
        return {
            parts.progress: "" if not stopped else gr.skip(),
            parts.said: f"<p>{said.many_done(counts.rows, seconds, stopped=stopped)}</p>",
            parts.counts: many_view.summary(counts, said),
            parts.show: gr.update(visible=counts.rows > 0, choices=many_view.filters(counts, said), value=""),
            parts.table: many_view.table(run.spool, run.view, said),
            parts.csv: there,
            parts.json: there,
            parts.start: gr.update(interactive=True),
            parts.example: gr.update(interactive=True),
            parts.stop: gr.update(interactive=False),
        }

    def stop(self, request: gr.Request) -> None:
        """End the visitor's run after its batch; what is done is kept."""
        run = self.runs.of(str(request.session_hash))
        if run:
            run.stop.set()

    def filtered(self, wanted: str, language: str, request: gr.Request) -> str:
        """Show the rows of one sort."""
        run, said = self.runs.of(str(request.session_hash)), words(language)
        if run is None:
            return problem(said.MANY_GONE)
        which, _, label = (wanted or "").partition(":")
        run.view.which = which if which in (UNSURE, PROBLEMS, LABEL) else many.ALL
        run.view.label, run.view.page = label, 0
        return many_view.table(run.spool, run.view, said)

    def spoken(self, language: str, request: gr.Request) -> Update:
        """Say in another language what is shown."""
        run, said, parts = self.runs.of(str(request.session_hash)), words(language), self.parts
        if run is None or run.going:
            return {parts.said: ""}
        counts = run.spool.counts()
        return {
            parts.said: "",
            parts.counts: many_view.summary(counts, said),
            parts.show: gr.update(choices=many_view.filters(counts, said)),
            parts.table: many_view.table(run.spool, run.view, said),
        }

    def turned(self, language: str, request: gr.Request, event: gr.EventData) -> str:
        """Show another page, or the rows in another order."""
        run, said = self.runs.of(str(request.session_hash)), words(language)
        if run is None:
            return problem(said.MANY_GONE)
        many_view.turned(run.view, str((event._data or {}).get("do")), ORDERS)
        return many_view.table(run.spool, run.view, said)

    def written(self, form: str, request: gr.Request) -> str | None:
        """The path of a file to take home."""
        run = self.runs.of(str(request.session_hash))
        if run is None:
            return None
        path = run.folder / f"pyclassify-{run.checkpoint}.{form}"
        {"csv": many.write_csv, "json": many.write_json}[form](run.spool, path)
        return str(path)

    def classify_files(
        self, files: list[dict[str, Any]], checkpoint: str, column: str, language: str
    ) -> dict[str, Any]:
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
            self._check(checkpoint)
        except InputError as error:
            return {PROBLEM: said.sentence(str(error))}
        labels = self.classifiers[checkpoint].labels
        with tempfile.TemporaryDirectory(dir=self.runs.root) as folder:
            spool = Spool(Path(folder) / "answers.db", labels)
            with closing(self._steps(uploads, checkpoint, column, spool)) as steps:
                for step in steps:
                    if step.done > MAX_ROWS:
                        break
            rows, counts = spool.read(limit=MAX_ROWS), spool.counts()
        return {
            "counts": {
                "rows": counts.rows,
                "unsure": counts.unsure,
                "problems": counts.problems,
                "labels": counts.labels,
            },
            "rows": [many.as_dict(row, tuple(labels)) for row in rows],
            "note": said.many_limit(MAX_ROWS) if counts.rows > MAX_ROWS else "",
        }
