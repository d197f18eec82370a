"""The whole page: its tabs, and the options that it is served with."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any, Final

import gradio as gr

from pyclassify.locales import LANGUAGES, Message
from pyclassify.ui.api import describe
from pyclassify.ui.batch_tab import batch_tab
from pyclassify.ui.classify_tab import WIDGETS, classify_tab, make_explain, with_command
from pyclassify.ui.compare_tab import compare_tab
from pyclassify.ui.gradio_patches import disable_statistics, separate_requests
from pyclassify.ui.header import draw_header
from pyclassify.ui.i18n import TITLE, Translations, say
from pyclassify.ui.models_tab import models_tab
from pyclassify.ui.serving import Ask, Outcome, make_ask
from pyclassify.ui.theme import CSS, FAVICON, HEAD, JS, theme
from pyclassify.ui.uploads import MAX_FILE_SIZE, is_readable

if TYPE_CHECKING:  # the page never imports torch
    from pyclassify.classifier import Classifier

MAX_WAITING: Final = 64
MAX_BATCH: Final = 32
UPLOADS_KEPT_S: Final = 3600

STATUS_EVERY_S: Final = 1.0
"""By default each answer tells all who wait that they have moved up: with 50 of them, most of the server's work."""

SESSIONS_KEPT: Final = 500
"""Gradio copies the page's settings for each; a program that calls without a session makes one per call."""


def build_page(
    classifiers: Mapping[str, Classifier],
    broken: Mapping[str, Message],
    *,
    accelerate: Callable[[Any], Any] = lambda function: function,
    max_batch: int = MAX_BATCH,
    answer_ms: Mapping[str, float] | None = None,
) -> gr.Blocks:
    """Lay out the page.

    Args:
        classifiers: by the name of their checkpoint; the first of each kind answers until another is chosen.
        broken: for each checkpoint that could not be loaded the reason, which the page shows.
        accelerate: wraps the functions that run models, for hosts that lend a GPU per call.
        max_batch: so many waiting visitors at most are answered together; 1 answers one after the other.
        answer_ms: by name, milliseconds that an answer takes here, of the checkpoints that were measured.
    """
    # Gradio's variable still decides where somebody has set it; unset means that nothing is reported to anyone.
    analytics = None if "GRADIO_ANALYTICS_ENABLED" in os.environ else False
    page = gr.Blocks(title=TITLE, analytics_enabled=analytics, delete_cache=(UPLOADS_KEPT_S // 6, UPLOADS_KEPT_S))
    by_kind = {kind: {n: c for n, c in classifiers.items() if c.kind == kind} for kind in WIDGETS}
    translations, asks = Translations(), {}
    with page:
        header = draw_header(translations)
        if broken:
            _draw_broken(broken, translations)
        with gr.Tabs(elem_id="tabs") as tabs:
            for kind, fitting in by_kind.items():
                with header.tab(kind, translations.fixed(f"page.tabs.{kind}")):
                    if fitting:
                        asks[kind], explain = accelerate(make_ask(fitting)), accelerate(make_explain(fitting))
                        classify_tab(kind, fitting, asks[kind], explain, header, translations, max_batch=max_batch)
                    else:
                        _draw_no_checkpoint(kind, translations)
            with header.tab("batch", translations.fixed("page.batch.tab")):
                if classifiers:
                    batch_tab(page, classifiers, _ask_any(asks, classifiers), header, translations)
                else:
                    _draw_no_checkpoint(next(iter(WIDGETS)), translations)
            if classifiers:
                with header.tab("compare", translations.fixed("page.compare.tab")):
                    compare_tab(by_kind, asks, header, translations, max_batch=max_batch)
                with header.tab("models", translations.fixed("page.models.tab")):
                    models_tab(classifiers, answer_ms or {}, header, translations)
        header.connect(page, tabs)
    page.i18n_instance = translations.table()
    page.queue(max_size=MAX_WAITING, api_open=False, status_update_rate=STATUS_EVERY_S)
    disable_statistics(page)
    separate_requests(page, is_readable)
    describe(page)
    return page


def _ask_any(asks: Mapping[str, Ask], classifiers: Mapping[str, Classifier]) -> Ask:
    """Ask whichever checkpoint is named; through the functions of the tabs, so that no host wraps another one."""

    def ask(name: str, items: list[Any]) -> list[Outcome]:
        kind = classifiers[name].kind if name in classifiers else next(iter(asks))
        return asks[kind](name, items)

    return ask


def _draw_broken(broken: Mapping[str, Message], translations: Translations) -> None:
    """Draw a box that names the checkpoints that could not be loaded."""

    def box(language: str) -> str:
        items = "".join(
            f"<li><strong>{escape(name)}</strong>: {escape(problem.text(language))}</li>"
            for name, problem in broken.items()
        )
        heading = escape(say("page.broken", language))
        return f'<div class="notice" role="status"><p>{heading}</p><ul>{items}</ul></div>'

    gr.HTML(translations.add("page.broken", {language: box(language) for language in LANGUAGES}), padding=False)


def _draw_no_checkpoint(kind: str, translations: Translations) -> None:
    """Draw what a tab without a checkpoint has: the command that makes one."""
    gr.HTML(with_command(str(translations.fixed(f"page.no_checkpoint.{kind}")), kind))


def launch_options(page: gr.Blocks) -> dict[str, Any]:
    """Return what `page.launch` needs for the page to look and behave as it is meant to.

    Run history is off: nothing that a visitor shows is kept, neither here nor in the browser. Errors of Gradio itself
    reach the visitor in words instead of "null"; ours are put into words before.
    """
    languages = f"window.pyclassify = {{ languages: {json.dumps(LANGUAGES)} }};\n"
    return {
        "theme": theme(),
        "css_paths": CSS,
        "head": f"<script>{languages}{HEAD.read_text(encoding='utf-8')}</script>",
        "i18n": page.i18n_instance,
        "js": JS.read_text(encoding="utf-8"),
        "favicon_path": FAVICON,
        "footer_links": ["api", "settings"],
        "run_history": False,
        "max_file_size": MAX_FILE_SIZE,
        "enable_monitoring": False,
        "state_session_capacity": SESSIONS_KEPT,
        "show_error": True,
    }
