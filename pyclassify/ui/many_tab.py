"""The tab where many pictures or texts are answered at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr

from pyclassify.ui import many_view
from pyclassify.ui.answering import checkpoint_menu
from pyclassify.ui.asking import Ask
from pyclassify.ui.frame import Frame
from pyclassify.ui.many_endpoint import files_endpoint
from pyclassify.ui.many_work import Parts, Work
from pyclassify.ui.runs import Runs
from pyclassify.ui.uploads import FILE_META, take_uploads_only
from pyclassify.ui.wording import fixed
from pyclassify.ui.wording.en import English

if TYPE_CHECKING:
    from gradio.events import Dependency

    from pyclassify.classifier import Classifier

AT_ONCE = 2
"""Runs that go on at the same time; the others wait in a line of their own, apart from single answers."""


def many_tab(page: gr.Blocks, classifiers: Mapping[str, Classifier], ask: Ask, frame: Frame) -> list[Dependency]:
    """Draw the tab for at least one classifier and return its events.

    Args:
        page: a visitor who leaves it ends what goes on.
        classifiers: all of the page.
        ask: any of them.
        frame: for the language of the visitor.
    """
    parts, runs = _draw(classifiers, frame), Runs()
    for component in (parts.files, parts.folder):
        take_uploads_only(component)
        component.example_payload = lambda: [{"path": "cat.jpg", "meta": FILE_META}]  # type: ignore[method-assign]

    def leave(request: gr.Request) -> None:
        runs.forget(str(request.session_hash))

    page.unload(leave)
    work = Work(classifiers, ask, runs, parts)
    frame.linked["many.checkpoint"] = parts.menu
    return [*_running_events(work, frame), *_looking_events(work, frame), _endpoint(work, frame)]


def _draw(classifiers: Mapping[str, Classifier], frame: Frame) -> Parts:
    gr.HTML(fixed(lambda words: f'<p class="many-hint">{words.MANY_HINT}</p>'), padding=False)
    with gr.Row(elem_classes="sides"):
        with gr.Column(min_width=320), gr.Column():  # together on a phone as well
            files = gr.File(
                label=fixed(lambda words: words.MANY_FILES), file_count="multiple", height=220, elem_id="many-files"
            )
            folder = gr.UploadButton(
                str(fixed(lambda words: words.MANY_FOLDER)),
                file_count="directory",
                size="sm",
                elem_id="many-folder",
            )
        with gr.Column(min_width=320):
            menu = checkpoint_menu(classifiers, frame.language)
            column = gr.Dropdown(
                [],
                label=fixed(lambda words: words.MANY_COLUMN),
                info=fixed(lambda words: words.MANY_COLUMN_HINT),
                visible=False,
                elem_id="many-column",
            )
            with gr.Row():
                start = gr.Button(fixed(lambda words: words.MANY_START), variant="primary", elem_id="many-start")
                stop = gr.Button(fixed(lambda words: words.MANY_STOP), interactive=False, elem_id="many-stop")
                example = gr.Button(fixed(lambda words: words.MANY_EXAMPLE), elem_id="many-example")
    progress = gr.HTML(padding=False, elem_id="many-progress")
    said = gr.HTML(padding=False, elem_classes="live", elem_id="many-said")
    show = gr.Radio([], label=fixed(lambda words: words.MANY_SHOW), visible=False, elem_id="many-show")
    pick = gr.Dropdown([], label=fixed(lambda words: words.MANY_SHOW), visible=False, elem_id="many-pick")
    table = gr.HTML(padding=False, js_on_load=many_view.CLICKS, elem_id="many-table")
    with gr.Row(elem_id="many-downloads"):
        downloads = {
            (form, shown): gr.Button(visible=False, size="sm", elem_id=f"many-{form}{'-shown' if shown else ''}")
            for shown in (False, True)
            for form in many_view.FORMS
        }
    file = gr.File(visible="hidden", interactive=False)
    return Parts(files, folder, menu, column, start, stop, example, progress, said, show, pick, table, downloads, file)


_IN_LINE: dict[str, Any] = {"concurrency_id": "many", "concurrency_limit": AT_ONCE, "preprocess": False}
_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


def _running_events(work: Work, frame: Frame) -> list[Dependency]:
    parts = work.parts
    shown = [
        *(parts.progress, parts.said, parts.show, parts.pick, parts.table),
        *(*parts.downloads.values(), parts.start, parts.example, parts.stop),
    ]
    given = [parts.files, parts.menu, parts.column, frame.language]
    return [
        parts.folder.upload(
            lambda files: files, parts.folder, parts.files, preprocess=False, postprocess=False, queue=False, **_QUIET
        ),
        parts.files.change(
            work.offered,
            [parts.files, parts.menu, frame.language],
            [parts.column, parts.menu, parts.said, *work.of_a_run],
            preprocess=False,
            **_QUIET,
        ),
        parts.start.click(work.start, given, shown, **_IN_LINE, **_QUIET),
        parts.example.click(work.example, [parts.menu, frame.language], shown, **_IN_LINE, **_QUIET),
        parts.stop.click(work.stop, None, None, queue=False, **_QUIET),
    ]


_SAVE = """(file) => {
  if (file) Object.assign(document.createElement("a"), { href: file.url, download: file.orig_name }).click();
}"""


def _looking_events(work: Work, frame: Frame) -> list[Dependency]:
    parts, language = work.parts, frame.language
    filtered = [parts.table, *parts.downloads.values()]
    events = [
        *(
            each.input(work.filtered, [each, language], filtered, preprocess=False, **_QUIET)
            for each in (parts.show, parts.pick)
        ),
        language.input(work.spoken, language, [parts.said, *work.of_a_run], preprocess=False, **_QUIET),
        parts.table.click(work.turned, [language], parts.table, preprocess=False, **_QUIET),
    ]
    for (form, shown), button in parts.downloads.items():

        def written(request: gr.Request, form: str = form, shown: bool = shown) -> str | None:
            return work.written(form, request, shown=shown)

        made = button.click(written, None, parts.file, **_QUIET)
        events += [made, made.then(None, parts.file, None, js=_SAVE, **_QUIET)]
    return events


def _endpoint(work: Work, frame: Frame) -> Dependency:
    parts = work.parts
    endpoint: Dependency = gr.on(
        [],
        files_endpoint(work),
        [parts.files, parts.menu, parts.column, frame.language],
        gr.JSON(visible=False),
        api_name="classify_files",
        api_description=English.API_FILES,
        postprocess=False,
        **_IN_LINE,
    )
    return endpoint
