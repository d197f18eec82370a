"""The whole page: what it shows, and how it is served."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from pyclassify.ui import wording
from pyclassify.ui.answering import asker, empty_tab, notice
from pyclassify.ui.batching import keep_apart
from pyclassify.ui.image_tab import image_tab
from pyclassify.ui.text_tab import text_tab
from pyclassify.ui.theme import CSS, FAVICON, JS, theme
from pyclassify.ui.uploads import MAX_FILE_SIZE, readable
from pyclassify.ui.why import explainer

if TYPE_CHECKING:
    from pyclassify.classifier import Classifier

MAX_WAITING = 64
MAX_BATCH = 32
UPLOADS_KEPT_S = 3600

STATUS_EVERY_S = 1.0
"""By default each answer tells all who wait that they have moved up: with 50 of them, most of the server's work."""

SESSIONS_KEPT = 500
"""Gradio copies the page's settings for each; a program that calls without a session makes one per call."""


def build_page(
    classifiers: Mapping[str, Classifier],
    broken: Mapping[str, str],
    *,
    accelerate: Callable[[Any], Any] = lambda ask: ask,
    max_batch: int = MAX_BATCH,
) -> gr.Blocks:
    """Lay out the page for what it is handed.

    Args:
        classifiers: by the name that the menus show; the first of each kind answers until another is chosen.
        broken: name of each checkpoint that could not be loaded -> why, to be shown on the page.
        accelerate: wraps the functions that run models, for hosts that lend a GPU per call.
        max_batch: at most so many waiting visitors are answered together; 1 answers one after the other.
    """
    # Gradio's variable still decides where somebody has set it; unset means that nothing is reported to anyone.
    analytics = None if "GRADIO_ANALYTICS_ENABLED" in os.environ else False
    page = gr.Blocks(
        title=wording.TITLE, analytics_enabled=analytics, delete_cache=(UPLOADS_KEPT_S // 6, UPLOADS_KEPT_S)
    )
    with page:
        gr.HTML(f"<header><h1>{escape(wording.TITLE)}</h1><p>{escape(wording.SUBTITLE)}</p></header>", padding=False)
        if broken:
            gr.HTML(notice(wording.BROKEN_HEADING, broken), padding=False)
        for kind, title, draw in (("image", wording.IMAGE_TAB, image_tab), ("text", wording.TEXT_TAB, text_tab)):
            fitting = {name: each for name, each in classifiers.items() if each.kind == kind}
            with gr.Tab(title, id=kind):
                if fitting:
                    draw(fitting, accelerate(asker(fitting)), accelerate(explainer(fitting)), max_batch=max_batch)
                else:
                    empty_tab(kind)
    page.queue(max_size=MAX_WAITING, api_open=False, status_update_rate=STATUS_EVERY_S)
    # Gradio sums up all noted events after each new one, for a page of statistics that is off here.
    page._queue.ANALYTICS_MAX_EVENTS, page._queue.ANAYLTICS_CACHE_FREQUENCY = 1, sys.maxsize
    keep_apart(page, readable)
    return page


def launch_options() -> dict[str, Any]:
    """What `launch` needs for the page to look and behave as it is meant to.

    Run history is off: nothing that a visitor shows is kept, neither here nor in the browser. Errors of Gradio itself
    reach the visitor in words instead of "null"; ours are put into words before.
    """
    return {
        "theme": theme(),
        "css_paths": CSS,
        "js": JS.read_text(encoding="utf-8"),
        "favicon_path": FAVICON,
        "footer_links": ["api", "settings"],
        "run_history": False,
        "max_file_size": MAX_FILE_SIZE,
        "enable_monitoring": False,
        "state_session_capacity": SESSIONS_KEPT,
        "show_error": True,
    }
