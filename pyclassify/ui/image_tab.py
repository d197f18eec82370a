"""The tab where a picture is dropped and answered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from pyclassify.ui import wording
from pyclassify.ui.answering import Ask, answer_events, answer_panel, as_json, outcomes, shown
from pyclassify.ui.uploads import picture_path, take_uploads_only
from pyclassify.ui.why import Explain, why_events

if TYPE_CHECKING:
    from gradio.events import Dependency

    from pyclassify.classifier import Classifier

EXAMPLES = Path(__file__).with_name("examples")


def image_tab(classifiers: Mapping[str, Classifier], ask: Ask, explain: Explain, *, max_batch: int) -> list[Dependency]:
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

    def answer(picture: list[Any], name: list[str]) -> tuple[list[dict[str, Any]], list[str], list[str]]:
        return shown(outcomes(ask, picture, name, read), waiting=wording.WAITING_FOR_PICTURE)

    def classify_image(picture: list[Any], checkpoint: list[str]) -> tuple[list[dict[str, Any]]]:
        return as_json(outcomes(ask, picture, checkpoint, read), checkpoint, missing=wording.NO_PICTURE)

    answered = answer_events(
        [picture.change],
        picture,
        panel,
        answer=answer,
        endpoint=classify_image,
        description=wording.API_IMAGE,
        show_progress="minimal",  # decoding a large photo takes a moment
        max_batch=max_batch,
    )
    return [*answered, *why_events(picture, panel, classifiers, explain, read)]


def read(picture: Mapping[str, Any] | None) -> str | None:
    """The path of an upload.

    Raises:
        InputError: it is none, or no picture of a format on the list.
    """
    return picture_path(picture) if picture else None
