"""Why an answer was given: the parts of a picture, or the words of a text, that speak for a label."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Callable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr
from PIL import Image

from pyclassify.errors import InputError
from pyclassify.ui.answering import AnswerPanel, problem
from pyclassify.ui.asking import BATCHES_AT_ONCE, Read
from pyclassify.ui.naming import label_names, naming
from pyclassify.ui.wording import words
from pyclassify.ui.wording.en import English

if TYPE_CHECKING:
    from gradio.events import Dependency

    from pyclassify import Classifier, Explanation, PictureExplanation, TextExplanation

log = logging.getLogger(__name__)

LEAST_PX, MOST_PX = 320, 720
"""Of the longer side of the picture that is drawn: small ones are enlarged."""

WORDS_NAMED = 5
FAINT = 0.1
"""Words with less than this share of the greatest weight are left without a colour."""

Explain = Callable[[str, str, str, str], str]
"""From a checkpoint's name, an input, a label, or "" for the likeliest, and a language to HTML; never raises."""


def explainer(classifiers: Mapping[str, Classifier]) -> Explain:
    """A function that asks the named classifier why."""

    def explain(name: str, item: str, label: str, language: str) -> str:
        said = words(language)
        classifier = classifiers.get(name) if isinstance(name, str) else None
        if classifier is None:
            return problem(said.unknown_checkpoint(name, list(classifiers)))
        try:
            found = classifier.explain(item, label or None)
            called = label_names(naming(classifier), said)[found.label]
            drawn = _picture if classifier.kind == "image" else _text
            return drawn(found, item, called, said)
        except InputError as error:
            return problem(said.sentence(str(error)))
        except Exception:
            log.exception("checkpoint %s could not say why", name)
            return problem(said.UNEXPECTED)

    return explain


def why_events(
    source: gr.Image | gr.Textbox,
    menu: gr.Dropdown,
    language: gr.Radio,
    panel: AnswerPanel,
    classifiers: Mapping[str, Classifier],
    explain: Explain,
    read: Read,
) -> list[Dependency]:
    """Answer the question why, and offer the labels of the checkpoint that is chosen."""

    def why(value: Any, name: str, label: str | None, language: str) -> str:
        try:
            item = read(value)
        except InputError as error:
            return problem(words(language).sentence(str(error)))
        return explain(name, item, label if isinstance(label, str) else "", language) if item is not None else ""

    inputs = [source, menu, panel.labels, language]
    as_models_are: dict[str, Any] = {
        "preprocess": False,
        "trigger_mode": "always_last",
        "api_visibility": "private",
        "concurrency_id": "models",
        "concurrency_limit": BATCHES_AT_ONCE,
    }
    asked = gr.on(
        [panel.ask.click, panel.labels.input], why, inputs, panel.why, show_progress="minimal", **as_models_are
    )
    # where reasons are shown they are said anew; only the browser knows whether there are any
    spoken = language.input(
        why,
        inputs,
        panel.why,
        js=f"(source, ...others) => [document.querySelector('#{panel.why.elem_id} .why') ? source : null, ...others]",
        show_progress="hidden",
        **as_models_are,
    )
    offered = gr.on(
        [menu.change, language.input],
        lambda name, language: gr.update(
            choices=[(called, each) for each, called in label_names(naming(classifiers[name]), words(language)).items()]
        ),
        [menu, language],
        panel.labels,
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )
    return [asked, spoken, offered]


def _picture(found: Explanation, path: str, label: str, words: type[English]) -> str:
    explained: PictureExplanation = found  # type: ignore[assignment]  # the classifier is one of pictures
    photo, coloured = map(_embedded, explained.layers(path))
    alt, fade = escape(words.why_picture(label)), escape(words.FADE)
    return (
        f'<figure class="why"><div class="layers"><img alt="" src="{photo}"><img alt="{alt}" src="{coloured}"></div>'
        f'<label class="fade">{fade}<input type="range" min="0" max="100" value="100"></label>'
        f"<figcaption>{_legend(label, words)}<p>{escape(words.WHY_HINT)}</p></figcaption></figure>"
    )


def _embedded(drawn: Image.Image) -> str:
    """A picture of a size that suits the page, as an address that holds its content."""
    drawn.thumbnail((MOST_PX, MOST_PX))
    if max(drawn.size) < LEAST_PX:
        factor = LEAST_PX / max(drawn.size)
        drawn = drawn.resize((round(drawn.width * factor), round(drawn.height * factor)), Image.Resampling.BICUBIC)
    content = io.BytesIO()
    drawn.save(content, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"


def _text(found: Explanation, text: str, label: str, words: type[English]) -> str:
    explained: TextExplanation = found  # type: ignore[assignment]  # the classifier is one of texts
    most = max((abs(weight) for *_, weight in explained.spans), default=0.0) or 1.0
    parts, end = [], 0
    for start, stop, weight in explained.spans:
        parts += [escape(text[end:start]), _word(text[start:stop], weight / most)]
        end = stop
    marked = "".join([*parts, escape(text[end:])])
    said = escape(words.why_words(label, *(_strongest(explained, text, sign) for sign in (1, -1))))
    return f'<div class="why"><p>{said}</p><p class="words">{marked}</p><p>{_legend(label, words)}</p></div>'


def _word(word: str, share: float) -> str:
    if abs(share) < FAINT:
        return escape(word)
    side = "for" if share > 0 else "against"
    return f'<span class="{side}" style="--share: {abs(share):.2f}">{escape(word)}</span>'


def _strongest(explained: TextExplanation, text: str, sign: int) -> list[str]:
    """The words with the most weight on one side, each once."""
    most = max((abs(weight) for *_, weight in explained.spans), default=0.0)
    ranked = sorted(explained.spans, key=lambda span: -sign * span[2])
    words = [text[start:stop] for start, stop, weight in ranked if sign * weight > FAINT * most]
    return list(dict.fromkeys(words))[:WORDS_NAMED]


def _legend(label: str, words: type[English]) -> str:
    pro, contra = words.legend(label)
    return f"{_word(pro, 1.0)} {_word(contra, -1.0)}"
