"""The tab where a text is written and answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr

from pyclassify.ui.answering import answer_events, answer_panel, checkpoint_menu, shown
from pyclassify.ui.asking import Ask, as_json, outcomes
from pyclassify.ui.frame import Frame
from pyclassify.ui.why import Explain, why_events
from pyclassify.ui.wording import fixed
from pyclassify.ui.wording.en import English

if TYPE_CHECKING:
    from gradio.events import Dependency

    from pyclassify.classifier import Classifier

# Written for this project. Each goes to the checkpoint that was trained on such texts, where the page has it.
EXAMPLES = (
    (
        "imdb",
        "I went in expecting very little and came out grinning. The two leads are a joy, and the ending is perfect.",
    ),
    (
        "imdb",
        "Two hours of people whispering in the dark. I have seen paint dry with more suspense, and better lighting.",
    ),
    ("naver", "기대 없이 봤는데 마지막 장면에서 펑펑 울었어요. 올해 최고의 영화입니다."),
    ("naver", "배우들이 아깝다. 이야기는 산으로 가고 두 시간이 너무 길었다."),
    (
        "sms-spam",
        "Congratulations! You have won a free holiday. Text CLAIM to 80012 now, offer ends today, 1.50 per message.",
    ),
    ("sms-spam", "Running ten minutes late, sorry. Could you order me a tea and keep the seat by the window?"),
)


def text_tab(
    classifiers: Mapping[str, Classifier], ask: Ask, explain: Explain, frame: Frame, *, max_batch: int
) -> list[Dependency]:
    """Draw the tab for at least one classifier of texts and return its events."""
    with gr.Row(elem_classes="sides"):
        with gr.Column(min_width=320):
            text = text_box("text", lines=8)
            menu = checkpoint_menu(classifiers, frame.language)
            below = gr.Column()
        with gr.Column(min_width=320):
            panel = answer_panel(classifiers, asked="text", waiting=lambda words: words.WAITING_FOR_TEXT)
    samples = fitting_examples(classifiers)
    if samples:
        with below:  # drawn last, because an example also chooses from the menu
            gr.Examples(
                samples,
                [text, menu],
                label=fixed(lambda words: words.EXAMPLES),
                elem_id="sentences",
                visible_columns=[0],
                api_visibility="private",
            )

    def answer(text: list[Any], name: list[str], language: list[str]) -> tuple[list[Any], ...]:
        return shown(outcomes(ask, text, name, read), language, waiting=lambda words: words.WAITING_FOR_TEXT)

    def classify_text(text: list[Any], checkpoint: list[str], language: list[str]) -> tuple[list[dict[str, Any]]]:
        """Classify one text.

        Args:
            text: The text to classify.
            checkpoint: Which model answers; left out, the first one of the page.
            language: Of the message, the notes and the problems; en or ko.

        Returns:
            label, probabilities, known, labels_set, message, milliseconds, notes and checkpoint, as JSON.
        """
        return as_json(outcomes(ask, text, checkpoint, read), checkpoint, language, missing=English.NO_TEXT)

    answered = answer_events(
        [text.change, text.submit],
        text,
        menu,
        frame.language,
        panel,
        answer=answer,
        endpoint=classify_text,
        show_progress="hidden",  # it would flicker with every letter
        max_batch=max_batch,
    )
    frame.linked.update({"text.checkpoint": menu, "text.text": text})
    return [*answered, *why_events(text, menu, frame.language, panel, classifiers, explain, read)]


def text_box(elem_id: str, *, lines: int) -> gr.Textbox:
    """Draw where a text is written; it grows to twice its lines."""
    return gr.Textbox(
        label=fixed(lambda words: words.TEXT),
        placeholder=fixed(lambda words: words.TEXT_HINT),
        lines=lines,
        max_lines=2 * lines,
        elem_id=elem_id,
    )


def read(text: object) -> str | None:
    """The text, where there is something to read in it."""
    return text if isinstance(text, str) and text.strip() else None


def fitting_examples(classifiers: Mapping[str, Classifier]) -> list[list[str]]:
    """Sentences with the name of the checkpoint that knows such texts."""
    names = {str((each.info.get("data") or {}).get("name")): name for name, each in reversed(list(classifiers.items()))}
    names |= {name: name for name in classifiers}
    return [[text, names[data]] for data, text in EXAMPLES if data in names]
