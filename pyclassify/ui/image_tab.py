"""The tab where a picture is dropped and answered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from pyclassify.ui.answering import answer_events, answer_panel, checkpoint_menu, shown
from pyclassify.ui.asking import Ask, as_json, outcomes
from pyclassify.ui.frame import Frame
from pyclassify.ui.uploads import picture_path, take_uploads_only
from pyclassify.ui.why import Explain, why_events
from pyclassify.ui.wording import fixed
from pyclassify.ui.wording.en import English

if TYPE_CHECKING:
    from gradio.events import Dependency

    from pyclassify.classifier import Classifier

EXAMPLES = Path(__file__).with_name("examples")


def image_tab(
    classifiers: Mapping[str, Classifier], ask: Ask, explain: Explain, frame: Frame, *, max_batch: int
) -> list[Dependency]:
    """Draw the tab for at least one classifier of pictures and return its events."""
    with gr.Row(elem_classes="sides"):
        with gr.Column(min_width=320):
            picture = picture_box("picture", height=400)
            menu = checkpoint_menu(classifiers, frame.language)
            pictures = [[str(path)] for path in sorted(EXAMPLES.glob("*.*g"))]
            gr.Examples(
                pictures,
                picture,
                label=fixed(lambda words: words.EXAMPLES),
                elem_id="pictures",
                api_visibility="private",
            )
        with gr.Column(min_width=320):
            panel = answer_panel(classifiers, asked="picture", waiting=lambda words: words.WAITING_FOR_PICTURE)
    take_uploads_only(picture, EXAMPLES / "cat.jpg")

    def answer(picture: list[Any], name: list[str], language: list[str]) -> tuple[list[Any], ...]:
        return shown(outcomes(ask, picture, name, read), language, waiting=lambda words: words.WAITING_FOR_PICTURE)

    def classify_image(picture: list[Any], checkpoint: list[str], language: list[str]) -> tuple[list[dict[str, Any]]]:
        """Classify one picture.

        Args:
            picture: The picture, uploaded here first; a tool takes a data: URL or the address of an upload.
            checkpoint: Which model answers; left out, the first one of the page.
            language: Of the message, the notes and the problems; en or ko.

        Returns:
            label, probabilities, known, labels_set, message, milliseconds, notes and checkpoint, as JSON.
        """
        return as_json(outcomes(ask, picture, checkpoint, read), checkpoint, language, missing=English.NO_PICTURE)

    answered = answer_events(
        [picture.change],
        picture,
        menu,
        frame.language,
        panel,
        answer=answer,
        endpoint=classify_image,
        show_progress="minimal",  # decoding a large photo takes a moment
        max_batch=max_batch,
    )
    frame.linked.update({"image.checkpoint": menu})
    return [*answered, *why_events(picture, menu, frame.language, panel, classifiers, explain, read)]


def picture_box(elem_id: str, *, height: int) -> gr.Image:
    """Draw where a picture is dropped; its height is in pixels."""
    return gr.Image(
        label=fixed(lambda words: words.PICTURE),
        placeholder=str(fixed(lambda words: words.PICTURE_HINT)),
        sources=["upload", "webcam", "clipboard"],
        type="filepath",
        image_mode=None,
        buttons=["fullscreen"],
        height=height,
        alt_text=str(fixed(lambda words: words.PICTURE_ALT)),
        elem_id=elem_id,
    )


def read(picture: Mapping[str, Any] | None) -> str | None:
    """The path of an upload.

    Raises:
        InputError: it is none, or no picture of a format on the list.
    """
    return picture_path(picture) if picture else None
