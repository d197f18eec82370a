"""The whole page: what it shows, and how it is served."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import gradio as gr

from pyclassify.ui.answering import empty_tab, notice
from pyclassify.ui.asking import Ask, Outcome, asker
from pyclassify.ui.batching import keep_apart
from pyclassify.ui.compare_tab import Kind, compare_tab
from pyclassify.ui.frame import frame, frame_events
from pyclassify.ui.image_tab import image_tab
from pyclassify.ui.many_tab import many_tab
from pyclassify.ui.models_tab import models_tab
from pyclassify.ui.programs import describe
from pyclassify.ui.text_tab import text_tab
from pyclassify.ui.theme import CSS, FAVICON, HEAD, JS, theme
from pyclassify.ui.uploads import MAX_FILE_SIZE, readable
from pyclassify.ui.why import explainer
from pyclassify.ui.wording import Said, table
from pyclassify.ui.wording.en import English

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
    answer_ms: Mapping[str, float] | None = None,
) -> gr.Blocks:
    """Lay out the page for what it is handed.

    Args:
        classifiers: by the name that the menus show; the first of each kind answers until another is chosen.
        broken: name of each checkpoint that could not be loaded -> why, to be shown on the page.
        accelerate: wraps the functions that run models, for hosts that lend a GPU per call.
        max_batch: at most so many waiting visitors are answered together; 1 answers one after the other.
        answer_ms: name of a checkpoint -> milliseconds that it takes here for one answer, of those that were asked.
    """
    # Gradio's variable still decides where somebody has set it; unset means that nothing is reported to anyone.
    analytics = None if "GRADIO_ANALYTICS_ENABLED" in os.environ else False
    page = gr.Blocks(
        title=English.TITLE, analytics_enabled=analytics, delete_cache=(UPLOADS_KEPT_S // 6, UPLOADS_KEPT_S)
    )
    of_kind: dict[Kind, dict[str, Classifier]] = {kind: _of_kind(classifiers, kind) for kind in _TABS}
    asks: dict[Kind, Ask] = {}
    with page:
        around = frame()
        if broken:
            notice(broken)
        with gr.Tabs(elem_id="tabs") as tabs:
            for kind, (draw, name) in _TABS.items():
                with around.tab(kind, name):
                    if of_kind[kind]:
                        asks[kind], explained = accelerate(asker(of_kind[kind])), accelerate(explainer(of_kind[kind]))
                        draw(of_kind[kind], asks[kind], explained, around, max_batch=max_batch)
                    else:
                        empty_tab(kind)
            with around.tab("many", lambda words: words.MANY_TAB):
                if classifiers:
                    many_tab(page, classifiers, _any_of(asks, of_kind["image"]), around)
                else:
                    empty_tab("image")
            if classifiers:
                with around.tab("compare", lambda words: words.COMPARE_TAB):
                    compare_tab(of_kind, asks, around, max_batch=max_batch)
                with around.tab("models", lambda words: words.MODELS_TAB):
                    models_tab(classifiers, answer_ms or {})
        frame_events(page, tabs, around)
    page.queue(max_size=MAX_WAITING, api_open=False, status_update_rate=STATUS_EVERY_S)
    # Gradio sums up all noted events after each new one, for a page of statistics that is off here.
    page._queue.ANALYTICS_MAX_EVENTS, page._queue.ANAYLTICS_CACHE_FREQUENCY = 1, sys.maxsize
    keep_apart(page, readable)
    describe(page)
    return page


_TABS: Final[Mapping[Kind, tuple[Callable[..., Any], Said]]] = {
    "image": (image_tab, lambda words: words.IMAGE_TAB),
    "text": (text_tab, lambda words: words.TEXT_TAB),
}
"""What draws the tab of a kind, and what stands on it."""


def _any_of(asks: Mapping[Kind, Ask], pictures: Mapping[str, Classifier]) -> Ask:
    """Asks whichever classifier is named; the askers are those of the tabs, so that no host wraps another one."""

    def ask(name: str, items: list[str]) -> list[Outcome]:
        fitting = asks.get("image" if name in pictures else "text") or next(iter(asks.values()))
        return fitting(name, items)

    return ask


def _of_kind(classifiers: Mapping[str, Classifier], kind: str) -> dict[str, Classifier]:
    return {name: each for name, each in classifiers.items() if each.kind == kind}


def launch_options() -> dict[str, Any]:
    """What `launch` needs for the page to look and behave as it is meant to.

    Run history is off: nothing that a visitor shows is kept, neither here nor in the browser. Errors of Gradio itself
    reach the visitor in words instead of "null"; ours are put into words before.
    """
    return {
        "theme": theme(),
        "css_paths": CSS,
        "head": f"<script>{HEAD.read_text(encoding='utf-8')}</script>",
        "i18n": table(),
        "js": JS.read_text(encoding="utf-8"),
        "favicon_path": FAVICON,
        "footer_links": ["api", "settings"],
        "run_history": False,
        "max_file_size": MAX_FILE_SIZE,
        "enable_monitoring": False,
        "state_session_capacity": SESSIONS_KEPT,
        "show_error": True,
    }
