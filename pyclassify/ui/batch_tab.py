"""The tab where many pictures or texts are classified at once, and the endpoint that does the same for programs."""

from __future__ import annotations

import base64
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from html import escape
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import gradio as gr

from pyclassify.batch.export import as_dict, thumbnails, write_csv, write_json
from pyclassify.batch.files import Upload, sources
from pyclassify.batch.run import Progress, run
from pyclassify.batch.store import ALL, LABEL, ORDERS, PROBLEMS, UNKNOWN, UNSURE, AnswerStore, Counts, Row
from pyclassify.errors import InputError
from pyclassify.locales import Message, number, percent
from pyclassify.tables import column_names, guess_text_column
from pyclassify.ui.batch_runs import Run, Runs, View, keep_uploads
from pyclassify.ui.classify_tab import WIDGETS, checkpoint_menu, problem_html
from pyclassify.ui.gradio_patches import set_api_example, take_uploads_only
from pyclassify.ui.i18n import Translations, language_of, say
from pyclassify.ui.serving import PROBLEM, Ask
from pyclassify.ui.uploads import FILE_META, uploaded_files

if TYPE_CHECKING:
    from gradio.events import Dependency

    from pyclassify.classifier import Classifier, Prediction
    from pyclassify.ui.header import Header

CONCURRENT_RUNS: Final = 2
"""Runs that go on at the same time; others wait in a queue of their own, apart from single answers."""

MAX_API_ROWS: Final = 10_000
ROWS_PER_PAGE: Final = 50
MAX_TEXT_SHOWN: Final = 300
MAX_RADIO_FILTERS: Final = 16
"""With more filters, because of many labels, they become a menu."""

SHOW_EVERY_S: Final = 0.5
MAX_SOURCES_TRIED: Final = 100
"""Files that are looked at to find out what was uploaded."""

EXPORTS: Final = {"csv": write_csv, "json": write_json}
NONE: Final = "–"

_QUEUE: Final[dict[str, Any]] = {"concurrency_id": "batch", "concurrency_limit": CONCURRENT_RUNS}
_PRIVATE: Final[dict[str, Any]] = {"show_progress": "hidden", "api_visibility": "private", "preprocess": False}

# The headings and the buttons for the pages are the only ones in the table; a click names its action.
_TABLE_CLICKS = """
let last = "";
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-action]");
  if (!button) return;
  last = button.dataset.action;
  trigger("click", { action: last });
});
watch("value", () => { if (last) element.querySelector(`[data-action="${last}"]`)?.focus({ preventScroll: true }); });
"""

_SAVE = """(file) => {
  if (file) Object.assign(document.createElement("a"), { href: file.url, download: file.orig_name }).click();
}"""

Update = dict[Any, Any]
"""New values by component."""


@dataclass(frozen=True, slots=True)
class Widgets:
    """The components of the tab.

    A few filters are radio buttons (`radio`), many are a menu (`pick`). The download buttons are by format and whether
    they write only the rows that are shown.
    """

    files: gr.File
    folder: gr.UploadButton
    menu: gr.Dropdown
    column: gr.Dropdown
    start: gr.Button
    stop: gr.Button
    example: gr.Button
    progress: gr.HTML
    status: gr.HTML
    radio: gr.Radio
    pick: gr.Dropdown
    table: gr.HTML
    downloads: dict[tuple[str, bool], gr.Button]
    file: gr.File

    @property
    def results(self) -> list[Any]:
        """Components that show a run that has ended."""
        return [self.progress, self.status, self.radio, self.pick, self.table, *self.downloads.values()]


def batch_tab(
    page: gr.Blocks, classifiers: Mapping[str, Classifier], ask: Ask, header: Header, translations: Translations
) -> list[Dependency]:
    """Draw the tab for at least one classifier and return its events.

    Args:
        page: a visitor who leaves it ends the run.
        classifiers: all of the page, by name.
        ask: any of them.
        header: for the language of the visitor, and for links.
        translations: for the fixed words.
    """
    widgets, runs = _draw(classifiers, header, translations), Runs()
    for component in (widgets.files, widgets.folder):
        take_uploads_only(component)
        set_api_example(component, [{"path": "cat.jpg", "meta": FILE_META}])

    def leave(request: gr.Request) -> None:
        runs.forget(str(request.session_hash))

    page.unload(leave)
    batch = Batch(classifiers, ask, runs, widgets)
    header.linked["batch.checkpoint"] = widgets.menu
    return [*_run_events(batch, header), *_view_events(batch, header), _endpoint(batch, header)]


def _draw(classifiers: Mapping[str, Classifier], header: Header, translations: Translations) -> Widgets:
    fixed: Callable[[str], Any] = lambda key: translations.fixed(f"page.batch.{key}")  # noqa: E731
    gr.HTML(f'<p class="batch-hint">{fixed("hint")}</p>', padding=False)
    with gr.Row(elem_classes="sides"):
        with gr.Column(min_width=320), gr.Column():  # together on a phone as well
            files = gr.File(label=fixed("files"), file_count="multiple", height=220, elem_id="batch-files")
            folder = gr.UploadButton(str(fixed("folder")), file_count="directory", size="sm", elem_id="batch-folder")
        with gr.Column(min_width=320):
            menu = checkpoint_menu(classifiers, header, translations)
            column = gr.Dropdown(
                [], label=fixed("column"), info=fixed("column_hint"), visible=False, elem_id="batch-column"
            )
            with gr.Row():
                start = gr.Button(fixed("start"), variant="primary", elem_id="batch-start")
                stop = gr.Button(fixed("stop"), interactive=False, elem_id="batch-stop")
                example = gr.Button(fixed("example"), elem_id="batch-example")
    progress = gr.HTML(padding=False, elem_id="batch-progress")
    status = gr.HTML(padding=False, elem_classes="live", elem_id="batch-status")
    radio = gr.Radio([], label=fixed("show"), visible=False, elem_id="batch-show")
    pick = gr.Dropdown([], label=fixed("show"), visible=False, elem_id="batch-pick")
    table = gr.HTML(padding=False, js_on_load=_TABLE_CLICKS, elem_id="batch-table")
    with gr.Row(elem_id="batch-downloads"):
        downloads = {
            (form, only_shown): gr.Button(
                visible=False, size="sm", elem_id=f"batch-{form}{'-shown' if only_shown else ''}"
            )
            for only_shown in (False, True)
            for form in EXPORTS
        }
    file = gr.File(visible="hidden", interactive=False)
    return Widgets(
        *(files, folder, menu, column, start, stop, example, progress, status, radio, pick, table, downloads, file)
    )


def _run_events(batch: Batch, header: Header) -> list[Dependency]:
    widgets = batch.widgets
    inputs = [widgets.files, widgets.menu, widgets.column, header.language]
    outputs = [*widgets.results, widgets.start, widgets.example, widgets.stop]
    return [
        widgets.folder.upload(
            lambda files: files, widgets.folder, widgets.files, postprocess=False, queue=False, **_PRIVATE
        ),
        widgets.files.change(
            batch.on_files,
            [widgets.files, widgets.menu, header.language],
            [widgets.column, widgets.menu, *widgets.results],
            **_PRIVATE,
        ),
        widgets.start.click(batch.on_start, inputs, outputs, **_QUEUE, **_PRIVATE),
        widgets.example.click(batch.on_example, [widgets.menu, header.language], outputs, **_QUEUE, **_PRIVATE),
        widgets.stop.click(batch.on_stop, None, None, queue=False, **_PRIVATE),
    ]


def _view_events(batch: Batch, header: Header) -> list[Dependency]:
    widgets, language = batch.widgets, header.language
    filtered = [widgets.table, *widgets.downloads.values()]
    events = [
        *(
            component.input(batch.on_filter, [component, language], filtered, **_PRIVATE)
            for component in (widgets.radio, widgets.pick)
        ),
        language.input(batch.on_language, language, widgets.results, **_PRIVATE),
        widgets.table.click(batch.on_table_click, [language], widgets.table, **_PRIVATE),
    ]
    for (form, only_shown), button in widgets.downloads.items():

        def write(language: str, request: gr.Request, form: str = form, only_shown: bool = only_shown) -> str | None:
            return batch.export(form, language, request, only_shown=only_shown)

        written = button.click(write, language, widgets.file, **_PRIVATE)
        events += [written, written.then(None, widgets.file, None, js=_SAVE, **_PRIVATE)]
    return events


def _endpoint(batch: Batch, header: Header) -> Dependency:
    widgets = batch.widgets
    endpoint: Dependency = gr.on(
        [],
        make_endpoint(batch),
        [widgets.files, widgets.menu, widgets.column, header.language],
        gr.JSON(visible=False),
        api_name="classify_files",
        api_description=say("page.batch.api", "en"),
        preprocess=False,
        postprocess=False,
        **_QUEUE,
    )
    return endpoint


class Batch:
    """The functions behind the events of the tab.

    Args:
        classifiers: by name.
        ask: any of them.
        runs: of all visitors.
        widgets: to fill.
    """

    def __init__(self, classifiers: Mapping[str, Classifier], ask: Ask, runs: Runs, widgets: Widgets) -> None:
        self.classifiers, self.runs, self.widgets = classifiers, runs, widgets
        self._ask = ask
        self._turn = threading.Lock()  # one batch of all runs is answered at a time: single answers come between

    def check(self, name: str) -> None:
        """Raise InputError if there is no checkpoint of a name."""
        if name not in self.classifiers:
            raise InputError("no_such_checkpoint", name=str(name), checkpoints=list(self.classifiers))

    def run(self, uploads: list[Upload], name: str, column: str, store: AnswerStore) -> Iterator[Progress]:
        """Answer everything; the run goes on as long as the next progress is asked for."""

        def answer(items: list[Any]) -> list[Prediction | Message]:
            with self._turn:
                return [outcome.prediction or outcome.problem for outcome in self._ask(name, items)]  # type: ignore[misc]

        modality = self.classifiers[name].modality
        return run(uploads, modality=modality, column=column or "", answer=answer, store=store, clock=time.monotonic)

    # Choosing files

    def on_files(self, payload: object, name: str, language: str, request: gr.Request) -> Update:
        """Offer the columns of a table, and a checkpoint that fits the uploads; answers to other files go."""
        widgets = self.widgets
        try:
            uploads = uploaded_files(payload)
        except InputError as error:
            return {widgets.status: problem_html(error.message, language)}
        current = self.runs.get(str(request.session_hash))
        update = self._offer(uploads, name)
        if current is None:
            return {widgets.status: "", **update}
        if current.is_running or not uploads or tuple(upload.path for upload in uploads) == current.inputs:
            return update
        self.runs.forget(str(request.session_hash))
        return self._without_results() | update

    def _offer(self, uploads: list[Upload], name: str) -> Update:
        widgets = self.widgets
        update: Update = {widgets.column: gr.update(visible=False, choices=[], value=None)}
        tried = list(islice(sources(uploads), MAX_SOURCES_TRIED))
        are_tables = [source.is_table for source in tried if not source.problem]
        if not are_tables:
            return update
        reads = "rows" if 2 * sum(are_tables) > len(are_tables) else "files"
        fitting = [key for key, classifier in self.classifiers.items() if classifier.modality.reads == reads]
        if fitting and name not in fitting:
            update[widgets.menu] = fitting[0]
        if reads == "rows":
            update[widgets.column] = self._columns(uploads)
        return update

    def _columns(self, uploads: list[Upload]) -> Any:
        # an entry of a zip can be read until the next source is asked for
        for source in islice(sources(uploads), MAX_SOURCES_TRIED):
            if source.is_table and not source.problem:
                try:
                    names, guess = column_names(source), guess_text_column(source)
                except InputError:
                    continue  # a row of the run will say why
                # Gradio would look for names such as "label" among its own words
                choices = [(f"\N{ZERO WIDTH SPACE}{name}", name) for name in names]
                return gr.update(visible=bool(names), choices=choices, value=guess or None)
        return gr.update(visible=False, choices=[], value=None)

    # Running

    def on_start(self, payload: object, name: str, column: str, language: str, request: gr.Request) -> Iterator[Update]:
        """Answer what was uploaded."""
        try:
            uploads = uploaded_files(payload)
            if not uploads:
                raise InputError("no_files")
            self.check(name)
        except InputError as error:
            yield {self.widgets.status: problem_html(error.message, language)}
            return
        inputs = tuple(upload.path for upload in uploads)
        yield from self._run_and_show(partial(keep_uploads, uploads), name, column, language, request, inputs)

    def on_example(self, name: str, language: str, request: gr.Request) -> Iterator[Update]:
        """Answer the examples of the other tabs."""
        self.check(name)
        classifier = self.classifiers[name]
        examples = partial(WIDGETS[classifier.kind].example_uploads, name, classifier)
        yield from self._run_and_show(examples, name, "", language, request)

    def _run_and_show(
        self,
        make_uploads: Callable[[Path], list[Upload]],
        name: str,
        column: str,
        language: str,
        request: gr.Request,
        inputs: tuple[Path, ...] = (),
    ) -> Iterator[Update]:
        """Run to the end or until it is stopped, and show the progress now and then."""
        language, widgets = language_of(language), self.widgets
        current = self.runs.begin(str(request.session_hash), self.classifiers[name], inputs)
        yield self._without_results() | self._buttons(is_running=True)
        shown_s, has_rows = 0.0, False
        try:
            with closing(self.run(make_uploads(current.folder), name, column, current.store)) as steps:  # type: ignore[type-var]
                for step in steps:
                    if current.stop.is_set():
                        break
                    if time.monotonic() - shown_s > SHOW_EVERY_S:
                        update: Update = {widgets.progress: progress_html(step, language)}
                        if step.done and not has_rows:  # the first rows can be read while the others are answered
                            update[widgets.table] = self._table(current, language)
                            has_rows = True
                        yield update
                        shown_s = time.monotonic()
            current.took_s = time.monotonic() - current.started_s
            if not current.abandoned.is_set():
                yield self._buttons(is_running=False) | self._results(current, language)
        finally:
            self.runs.end(current)

    def on_stop(self, request: gr.Request) -> None:
        """End the visitor's run after its batch; what is answered is kept."""
        current = self.runs.get(str(request.session_hash))
        if current:
            current.stop.set()

    def _buttons(self, *, is_running: bool) -> Update:
        widgets = self.widgets
        return {
            widgets.start: gr.update(interactive=not is_running),
            widgets.example: gr.update(interactive=not is_running),
            widgets.stop: gr.update(interactive=is_running),
        }

    def _without_results(self) -> Update:
        widgets, hidden = self.widgets, gr.update(visible=False)
        return {
            **dict.fromkeys((widgets.status, widgets.table, widgets.progress), ""),
            **dict.fromkeys((widgets.radio, widgets.pick, *widgets.downloads.values()), hidden),
        }

    # Looking at the answers

    def _results(self, current: Run, language: str) -> Update:
        """Show a run that has ended."""
        widgets, counts, is_stopped = self.widgets, current.store.counts(), current.stop.is_set()
        choices = filters(counts, current.classifier.manifest.label_names(language), language)
        has_few, has_rows, view = len(choices) <= MAX_RADIO_FILTERS, counts.rows > 0, current.view
        chosen = f"{LABEL}:{view.label}" if view.which == LABEL else view.which
        seconds = current.took_s or 0.0
        key = "page.batch.took" if seconds >= 0.1 else "page.batch.took_no_time"
        took = Message(key, {"seconds": number(seconds, language, digits=1)})
        status = say(f"page.batch.{'stopped' if is_stopped else 'done'}", language, count=counts.rows, time=took)
        return {
            widgets.progress: gr.skip() if is_stopped else "",
            widgets.status: f"<p>{escape(status)}</p>",
            widgets.radio: gr.update(visible=has_rows and has_few, choices=choices, value=chosen),
            widgets.pick: gr.update(visible=has_rows and not has_few, choices=choices, value=chosen),
            widgets.table: self._table(current, language),
            **self._download_buttons(current, counts.rows, language),
        }

    def _table(self, current: Run, language: str) -> str:
        names = current.classifier.manifest.label_names(language)
        return table_html(current.store, current.view, names, language)

    def _download_buttons(self, current: Run, rows: int, language: str) -> Update:
        """Offer all rows, and if some are filtered out also the others alone."""
        shown = current.store.count(current.view.which, current.view.label)
        update = {}
        for (form, only_shown), button in self.widgets.downloads.items():
            key, count = ("download_shown", shown) if only_shown else ("download_all", rows)
            words = say(f"page.batch.{key}", language, count=count, format=form.upper())
            update[button] = gr.update(value=words, visible=0 < shown < rows if only_shown else rows > 0)
        return update

    def on_filter(self, chosen: str, language: str, request: gr.Request) -> Update:
        """Show some of the rows, and offer them as a file."""
        current, language = self.runs.get(str(request.session_hash)), language_of(language)
        if current is None:
            return {self.widgets.table: problem_html(Message("page.batch.expired"), language)}
        which, _, label = (chosen or "").partition(":")
        current.view.filter(which if which in (UNSURE, UNKNOWN, PROBLEMS, LABEL) else ALL, label)
        rows = current.store.count()
        return {self.widgets.table: self._table(current, language), **self._download_buttons(current, rows, language)}

    def on_language(self, language: str, request: gr.Request) -> Update:
        """Write in another language what is shown."""
        current = self.runs.get(str(request.session_hash))
        if current is None or current.took_s is None:
            return {self.widgets.status: ""}
        return self._results(current, language_of(language))

    def on_table_click(self, language: str, request: gr.Request, event: gr.EventData) -> str:
        """Show another page, or the rows in another order."""
        current, language = self.runs.get(str(request.session_hash)), language_of(language)
        if current is None:
            return problem_html(Message("page.batch.expired"), language)
        current.view.turn(str((event._data or {}).get("action")), ORDERS)
        return self._table(current, language)

    def export(self, form: str, language: str, request: gr.Request, *, only_shown: bool = False) -> str | None:
        """Write a file with all rows, or with those that are shown in their order, and return its path."""
        current = self.runs.get(str(request.session_hash))
        if current is None:
            return None
        path, view = current.folder / f"pyclassify-{current.classifier.name}.{form}", current.view
        rows = None
        if only_shown:
            rows = current.store.stream(view.which, view.label, order=view.order, descending=view.descending)
        EXPORTS[form](current.store, path, rows, language=language_of(language))
        return str(path)


# HTML


def progress_html(step: Progress, language: str) -> str:
    """Write a bar with the count and the time left."""
    share = percent(step.share, language, digits=0)
    if step.total:
        words = say("page.batch.progress.known", language, done=step.done, total=step.total, share=share)
    elif 0 < step.share < 1:
        total = round(step.done / step.share)
        words = say("page.batch.progress.estimated", language, done=step.done, total=total, share=share)
    else:
        words = say("page.batch.progress.unknown", language, done=step.done, share=share)
    if (seconds := step.seconds_left) is not None:
        unit, count = ("minutes", round(seconds / 60)) if seconds >= 90 else ("seconds", max(1, round(seconds)))
        left = Message(f"page.batch.{unit}", {"count": count})
        words = say("page.batch.progress.left", language, progress=words, time=left)
    bar = f'<progress max="1" value="{step.share:.4f}" aria-label="{escape(words)}"></progress>'
    return f'<div class="batch-progress">{bar}<p>{escape(words)}</p></div>'


def filters(counts: Counts, names: Mapping[str, str], language: str) -> list[tuple[str, str]]:
    """Return the choices of a filter that have rows: words with their number, and the value that is sent.

    Args:
        counts: of all rows.
        names: of the labels; the most frequent labels come first.
        language: one of LANGUAGES.
    """
    by_frequency = sorted(counts.labels.items(), key=lambda pair: -pair[1])
    choices = [
        ("all", "", ALL, counts.rows),
        *(("label", names.get(label, label), f"{LABEL}:{label}", count) for label, count in by_frequency),
        ("unsure", "", UNSURE, counts.unsure),
        ("unknown", "", UNKNOWN, counts.unknown),
        ("problems", "", PROBLEMS, counts.problems),
    ]
    return [
        (say(f"page.batch.filter.{key}", language, label=label, count=count), value)
        for key, label, value, count in choices
        if count or value == ALL
    ]


def table_html(store: AnswerStore, view: View, names: Mapping[str, str], language: str) -> str:
    """Write the page of rows that a visitor looks at; the headings sort all rows, not only those of the page.

    Args:
        store: with all rows.
        view: its page is corrected if there is none of that number.
        names: of the labels.
        language: one of LANGUAGES.
    """
    total = store.count(view.which, view.label)
    view.page = max(0, min(view.page, (total - 1) // ROWS_PER_PAGE))
    first = view.page * ROWS_PER_PAGE
    rows = store.read(
        view.which, view.label, order=view.order, descending=view.descending, limit=ROWS_PER_PAGE, offset=first
    )
    if not rows:
        return f'<p class="batch-empty">{escape(say("page.batch.empty", language))}</p>'
    has_pictures = any(row.path for row in rows)
    pictures = thumbnails(rows) if has_pictures else [None] * len(rows)
    body = "".join(_row_html(row, picture, names, language) for row, picture in zip(rows, pictures, strict=True))
    head = ("<td></td>" if has_pictures else "") + "".join(_headings(view, language))
    caption = f"<caption>{escape(say('page.batch.table', language))}</caption>"
    legend = f'<p class="batch-legend">{escape(say("page.batch.legend", language))}</p>'
    table = f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    pages = _pages(first, len(rows), total, language)
    return f'{legend}<div class="batch-table" tabindex="0">{table}</div>{pages}'


def _headings(view: View, language: str) -> Iterator[str]:
    for order in ("name", "label", "probability", "set", "known"):
        direction = ("descending" if view.descending else "ascending") if view.order == order else "none"
        arrow = {"descending": " ▼", "ascending": " ▲", "none": ""}[direction]
        words = escape(say(f"page.batch.heading.{order}", language))
        button = f'<button type="button" data-action="{order}">{words}<span aria-hidden="true">{arrow}</span></button>'
        yield f'<th scope="col" aria-sort="{direction}">{button}</th>'


def _row_html(row: Row, picture: bytes | None, names: Mapping[str, str], language: str) -> str:
    cells = []
    if picture is not None:
        source = f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"
        cells.append(f'<td>{f"""<img alt="" src="{source}">""" if picture else ""}</td>')
    content = row.text or row.name
    shown = content[:MAX_TEXT_SHOWN] + ("…" if len(content) > MAX_TEXT_SHOWN else "")
    cells.append(f'<td class="name" title="{escape(row.name)}">{escape(shown)}</td>')
    if row.problem:
        cells.append(f'<td class="problem" colspan="4">{escape(row.problem.text(language))}</td>')
    else:
        cells += [f"<td>{escape(cell)}</td>" for cell in _answer_cells(row, names, language)]
    mark = ' class="unknown"' if row.unknown else ' class="unsure"' if row.unsure else ""
    return f"<tr{mark}>{''.join(cells)}</tr>"


def _answer_cells(row: Row, names: Mapping[str, str], language: str) -> list[str]:
    """Write answer, probability, the labels to name beside the answer, and remark."""
    label = names.get(row.label, row.label)
    if row.unknown:  # a probability of what is no answer would be taken for a measure of it
        nearest = say("page.batch.nearest", language, label=label)
        return [nearest, NONE, NONE, say("page.batch.remark.unknown", language)]
    share = NONE if row.shown_share is None else percent(row.shown_share, language)
    others = [names.get(other, other) for other in row.possible]
    remark = say("page.batch.remark.unsure", language) if row.unsure else NONE
    return [label, share, ", ".join(others) or NONE, remark]


def _pages(first: int, count: int, total: int, language: str) -> str:
    rows = say("page.batch.rows", language, first=first + 1, last=first + count, total=total)
    buttons = {}
    for action, is_enabled in (("previous", first > 0), ("next", first + count < total)):
        words, state = escape(say(f"page.batch.{action}", language)), "" if is_enabled else " disabled"
        buttons[action] = f'<button type="button" data-action="{action}"{state}>{words}</button>'
    return f'<p class="batch-pages">{buttons["previous"]}<span>{escape(rows)}</span>{buttons["next"]}</p>'


# The endpoint


def make_endpoint(batch: Batch) -> Callable[..., dict[str, Any]]:
    """Make the function behind `/classify_files`; programs are told what its docstring says."""

    def classify_files(files: list[dict[str, Any]], checkpoint: str, column: str, language: str) -> dict[str, Any]:
        """Classify many pictures, zips of pictures, or tables of texts.

        Args:
            files: The uploaded files.
            checkpoint: The model to use; by default the first one of the page.
            column: Of tables, with the texts; by default it is guessed.
            language: Of the problems; en or ko.

        Returns:
            counts of all that was answered, at most 10,000 rows in the order of the input, and a note, which is empty
            if these are all rows.
        """
        language = language_of(language)
        try:
            uploads = uploaded_files(files)
            if not uploads:
                raise InputError("no_files")
            batch.check(checkpoint)
        except InputError as error:
            return {PROBLEM: error.text(language)}
        labels = batch.classifiers[checkpoint].labels
        with tempfile.TemporaryDirectory(dir=batch.runs.root) as folder:
            store = AnswerStore(Path(folder) / "answers.db", labels)
            with closing(batch.run(uploads, checkpoint, column, store)) as steps:  # type: ignore[type-var]
                for step in steps:
                    if step.done > MAX_API_ROWS:
                        break
            rows, counts = store.read(limit=MAX_API_ROWS), store.counts()
        is_cut = counts.rows > MAX_API_ROWS
        return {
            "counts": {
                "rows": counts.rows,
                "unsure": counts.unsure,
                "unknown": counts.unknown,
                "problems": counts.problems,
                "labels": counts.labels,
            },
            "rows": [as_dict(row, labels, language) for row in rows],
            "note": say("page.batch.row_limit", language, limit=MAX_API_ROWS) if is_cut else "",
        }

    return classify_files
