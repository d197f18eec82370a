"""The tab where a picture is dropped and answered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from pyclassify.errors import InputError
from pyclassify.ui import wording
from pyclassify.ui.answering import Ask, Outcome, answer_events, answer_panel, as_json, shown
from pyclassify.ui.uploads import picture_path, take_uploads_only

if TYPE_CHECKING:
    from gradio.events import Dependency

    from pyclassify.classifier import Classifier

EXAMPLES = Path(__file__).with_name("examples")


def image_tab(classifiers: Mapping[str, Classifier], ask: Ask) -> list[Dependency]:
    """Draw the tab for at least one classifier of pictures and return its events."""
    with gr.Row(elem_classes="sides"):
        with gr.Column(min_width=320):
            picture = gr.Image(
                label=wording.PICTURE,
                placeholder=wording.PICTURE_HINT,
                sources=["upload", "webcam", "clipboard"],
                type="filepath",
                image_mode=None,
                buttons=["fullscreen"],
                height=400,
                alt_text=wording.PICTURE_ALT,
                elem_id="picture",
            )
            pictures = [[str(path)] for path in sorted(EXAMPLES.glob("*.*g"))]
            gr.Examples(pictures, picture, label=wording.EXAMPLES, elem_id="pictures", api_visibility="private")
        with gr.Column(min_width=320):
            panel = answer_panel(classifiers, waiting=wording.WAITING_FOR_PICTURE)
    take_uploads_only(picture)

    def answer(picture: dict[str, Any] | None, name: str) -> tuple[dict[str, float] | None, str]:
        outcome = _outcome(ask, picture, name) if picture else None
        return shown(outcome, waiting=wording.WAITING_FOR_PICTURE)

    def classify_image(picture: dict[str, Any], checkpoint: str) -> dict[str, Any]:
        return as_json(_outcome(ask, picture, checkpoint), checkpoint)

    return answer_events(
        [picture.change],
        picture,
        panel,
        answer=answer,
        endpoint=classify_image,
        description=wording.API_IMAGE,
        show_progress="minimal",  # decoding a large photo takes a moment
    )


def _outcome(ask: Ask, picture: Mapping[str, Any] | None, name: str) -> Outcome:
    try:
        return ask(name, picture_path(picture))
    except InputError as error:
        return Outcome(problem=str(error))
