"""The whole page: what it shows, and how it is served."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from pyclassify.ui import wording
from pyclassify.ui.answering import Ask, asker, empty_tab, notice
from pyclassify.ui.image_tab import image_tab
from pyclassify.ui.text_tab import text_tab
from pyclassify.ui.theme import CSS, FAVICON, JS, theme
from pyclassify.ui.uploads import MAX_FILE_SIZE

if TYPE_CHECKING:
    from pyclassify.classifier import Classifier

MAX_WAITING = 64
UPLOADS_KEPT_S = 3600


def build_page(
    classifiers: Mapping[str, Classifier],
    broken: Mapping[str, str],
    *,
    accelerate: Callable[[Ask], Ask] = lambda ask: ask,
) -> gr.Blocks:
    """Lay out the page for what it is handed.

    Args:
        classifiers: by the name that the menus show; the first of each kind answers until another is chosen.
        broken: name of each checkpoint that could not be loaded -> why, to be shown on the page.
        accelerate: wraps the functions that run models, for hosts that lend a GPU per call.
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
                    draw(fitting, accelerate(asker(fitting)))
                else:
                    empty_tab(kind)
    page.queue(max_size=MAX_WAITING, api_open=False)
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
        "show_error": True,
    }
