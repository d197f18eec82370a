"""What the events of the tab for many inputs at once do."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from pyclassify import many
from pyclassify.errors import InputError
from pyclassify.many import LABEL, ORDERS, PROBLEMS, UNKNOWN, UNSURE, Spool, Upload
from pyclassify.ui import image_tab, many_view, text_tab
from pyclassify.ui.answering import problem
from pyclassify.ui.asking import Ask
from pyclassify.ui.naming import label_names
from pyclassify.ui.runs import Run, Runs, keep
from pyclassify.ui.uploads import uploaded_files
from pyclassify.ui.wording import words
from pyclassify.ui.wording.en import English

if TYPE_CHECKING:
    from pyclassify.classifier import Classifier

SHOWN_EVERY_S = 0.5
SOURCES_LOOKED_AT = 100
FILTERS_SHOWN = 16

Update = dict[Any, Any]


@dataclass(frozen=True, slots=True)
class Parts:
    """What the tab consists of.

    A few labels are filters to see at once (`show`), many are a menu (`pick`). The downloads are by their form, and
    whether they are of what the filter shows alone.
    """

    files: gr.File
    folder: gr.UploadButton
    menu: gr.Dropdown
    column: gr.Dropdown
    start: gr.Button
    stop: gr.Button
    example: gr.Button
    progress: gr.HTML
    said: gr.HTML
    show: gr.Radio
    pick: gr.Dropdown
    table: gr.HTML
    downloads: dict[tuple[str, bool], gr.Button]
    file: gr.File


class Work:
    """What the events of the tab do."""

    def __init__(self, classifiers: Mapping[str, Classifier], ask: Ask, runs: Runs, parts: Parts) -> None:
        self.classifiers, self.runs, self.parts = classifiers, runs, parts
        self._ask = ask
        self._turn = threading.Lock()  # of all runs one batch is answered at a time: single answers come between

    @property
    def of_a_run(self) -> list[Any]:
        """What shows a run that has ended."""
        return [self.parts.progress, self.parts.show, self.parts.pick, self.parts.table, *self.parts.downloads.values()]

    def offered(self, payload: object, name: str, language: str, request: gr.Request) -> Update:
        """Offer the columns of a table, and a checkpoint for what was uploaded; answers to other files go."""
        parts = self.parts
        try:
            uploads = uploaded_files(payload)
        except InputError as error:
            return {parts.said: problem(words(language).sentence(str(error)))}
        run = self.runs.of(str(request.session_hash))
        update = self._offered(uploads, name)
        if run is None:
            return {parts.said: "", **update}
        if run.going or not uploads or tuple(each.path for each in uploads) == run.inputs:
            return update
        self.runs.forget(str(request.session_hash))
        return self._nothing_shown() | update

    def _offered(self, uploads: list[Upload], name: str) -> Update:
        parts = self.parts
        looked_at = itertools.islice(many.sources(uploads), SOURCES_LOOKED_AT)
        tables = [each.is_table for each in looked_at if not each.problem]
        update: Update = {parts.column: gr.update(visible=False, choices=[], value=None)}
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
            self.check(name)
        except InputError as error:
            yield {self.parts.said: problem(said.sentence(str(error)))}
            return
        inputs = tuple(each.path for each in uploads)
        yield from self._shown(partial(keep, uploads), name, column, said, str(request.session_hash), inputs)

    def example(self, name: str, language: str, request: gr.Request) -> Iterator[Update]:
        """Answer the pictures or sentences of the other tabs."""
        classifier = self.classifiers[self.check(name)]

        def uploads(folder: Path) -> list[Upload]:
            if classifier.kind == "image":
                return [Upload(path.name, path) for path in sorted(image_tab.EXAMPLES.glob("*.*g"))]
            own = text_tab.fitting_examples({name: classifier})
            texts = [text for text, _ in own] or [text for _, text in text_tab.EXAMPLES]
            path = folder / "examples.jsonl"
            path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
            return [Upload(path.name, path)]

        yield from self._shown(uploads, name, "", words(language), str(request.session_hash))

    def check(self, name: str) -> str:
        """The name, where there is such a checkpoint.

        Raises:
            InputError: there is none.
        """
        if name not in self.classifiers:
            raise InputError(English.unknown_checkpoint(name, list(self.classifiers)))
        return name

    def _shown(
        self,
        uploads: Callable[[Path], list[Upload]],
        name: str,
        column: str,
        said: type[English],
        session: str,
        inputs: tuple[Path, ...] = (),
    ) -> Iterator[Update]:
        """Run to the end or until it is stopped, and show now and then how far it is."""
        run, parts = self.runs.begin(session, self.classifiers[name], inputs), self.parts
        yield self._cleared()
        shown_s, rows_shown = 0.0, False
        try:
            with closing(self.steps(uploads(run.folder), name, column, run.spool)) as steps:
                for step in steps:
                    if run.stop.is_set():
                        break
                    if time.monotonic() - shown_s > SHOWN_EVERY_S:
                        update: Update = {parts.progress: many_view.progress(step, said)}
                        if step.done and not rows_shown:  # a look at the first, while the others are answered
                            update |= {parts.table: self._table(run, said)}
                            rows_shown = True
                        yield update
                        shown_s = time.monotonic()
            run.took_s = time.monotonic() - run.began_s
            if not run.gone.is_set():
                yield self._nothing_going() | self._ended(run, said)
        finally:
            self.runs.end(run)

    def steps(self, uploads: list[Upload], name: str, column: str, spool: Spool) -> Any:
        """The progress of a run that goes on while the next one is asked for."""

        def answer(items: list[str]) -> list[Any]:
            with self._turn:
                return [each.prediction or each.problem for each in self._ask(name, items)]

        kind = self.classifiers[name].kind
        return many.run(uploads, kind=kind, column=column or "", answer=answer, spool=spool, clock=time.monotonic)

    def _cleared(self) -> Update:
        parts = self.parts
        return self._nothing_shown() | {
            parts.start: gr.update(interactive=False),
            parts.example: gr.update(interactive=False),
            parts.stop: gr.update(interactive=True),
        }

    def _nothing_shown(self) -> Update:
        parts, hidden = self.parts, gr.update(visible=False)
        return {
            **dict.fromkeys((parts.said, parts.table, parts.progress), ""),
            **dict.fromkeys((parts.show, parts.pick, *parts.downloads.values()), hidden),
        }

    def _nothing_going(self) -> Update:
        parts = self.parts
        return {
            parts.start: gr.update(interactive=True),
            parts.example: gr.update(interactive=True),
            parts.stop: gr.update(interactive=False),
        }

    def _ended(self, run: Run, said: type[English]) -> Update:
        """All that is said of a run that has ended."""
        parts, counts, stopped = self.parts, run.spool.counts(), run.stop.is_set()
        choices = many_view.filters(counts, label_names(run.naming, said), said)
        few, there = len(choices) <= FILTERS_SHOWN, counts.rows > 0
        chosen = run.view.which if run.view.which != LABEL else f"{LABEL}:{run.view.label}"
        done = said.many_done(counts.rows, run.took_s or 0.0, stopped=stopped)
        return {
            parts.progress: "" if not stopped else gr.skip(),
            parts.said: f"<p>{done}</p>",
            parts.show: gr.update(visible=there and few, choices=choices, value=chosen),
            parts.pick: gr.update(visible=there and not few, choices=choices, value=chosen),
            parts.table: self._table(run, said),
            **self._downloads(run, counts.rows, said),
        }

    def _table(self, run: Run, said: type[English]) -> str:
        return many_view.table(run.spool, run.view, label_names(run.naming, said), said)

    def _downloads(self, run: Run, rows: int, said: type[English]) -> Update:
        """A button for all rows, and where some are filtered out one for the others."""
        shown = run.spool.count(run.view.which, run.view.label)
        return {
            button: gr.update(
                value=said.many_download(form.upper(), shown if only_shown else rows, shown=only_shown),
                visible=0 < shown < rows if only_shown else rows > 0,
            )
            for (form, only_shown), button in self.parts.downloads.items()
        }

    def stop(self, request: gr.Request) -> None:
        """End the visitor's run after its batch; what is done is kept."""
        run = self.runs.of(str(request.session_hash))
        if run:
            run.stop.set()

    def filtered(self, wanted: str, language: str, request: gr.Request) -> Update:
        """Show the rows of one sort, and offer them as a file."""
        run, said = self.runs.of(str(request.session_hash)), words(language)
        if run is None:
            return {self.parts.table: problem(said.MANY_GONE)}
        which, _, label = (wanted or "").partition(":")
        run.view.which = which if which in (UNSURE, UNKNOWN, PROBLEMS, LABEL) else many.ALL
        run.view.label, run.view.page = label, 0
        rows = run.spool.count()
        return {self.parts.table: self._table(run, said), **self._downloads(run, rows, said)}

    def spoken(self, language: str, request: gr.Request) -> Update:
        """Say in another language what is shown."""
        run = self.runs.of(str(request.session_hash))
        return {self.parts.said: ""} if run is None or run.took_s is None else self._ended(run, words(language))

    def turned(self, language: str, request: gr.Request, event: gr.EventData) -> str:
        """Show another page, or the rows in another order."""
        run, said = self.runs.of(str(request.session_hash)), words(language)
        if run is None:
            return problem(said.MANY_GONE)
        many_view.turned(run.view, str((event._data or {}).get("do")), ORDERS)
        return self._table(run, said)

    def written(self, form: str, request: gr.Request, *, shown: bool = False) -> str | None:
        """The path of a file to take home, with all rows or those that are shown, in their order."""
        run = self.runs.of(str(request.session_hash))
        if run is None:
            return None
        path = run.folder / f"pyclassify-{run.checkpoint}.{form}"
        view = run.view
        rows = run.spool.each(view.which, view.label, order=view.order, descending=view.descending) if shown else None
        many_view.FORMS[form](run.spool, path, rows)
        return str(path)
