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
from pyclassify.ui import wording
from pyclassify.ui.answering import BATCHES_AT_ONCE, AnswerPanel, Read, label_choices, problem

if TYPE_CHECKING:
    from gradio.events import Dependency

    from pyclassify import Classifier, Explanation, PictureExplanation, TextExplanation

log = logging.getLogger(__name__)

LEAST_PX, MOST_PX = 320, 720
"""Of the longer side of the picture that is drawn: small ones are enlarged."""

WORDS_NAMED = 5
FAINT = 0.1
"""Words with less than this share of the greatest weight are left without a colour."""

Explain = Callable[[str, str, str], str]
"""From a checkpoint's name, an input and a label, or "" for the likeliest, to HTML; never raises."""


def explainer(classifiers: Mapping[str, Classifier]) -> Explain:
    """A function that asks the named classifier why."""

    def explain(name: str, item: str, label: str) -> str:
        classifier = classifiers.get(name) if isinstance(name, str) else None
        if classifier is None:
            return problem(wording.unknown_checkpoint(name, list(classifiers)))
        try:
            found = classifier.explain(item, label or None)
            return _picture(found, item) if classifier.kind == "image" else _text(found, item)
        except InputError as error:
            return problem(wording.sentence(str(error)))
        except Exception:
            log.exception("checkpoint %s could not say why", name)
            return problem(wording.UNEXPECTED)

    return explain


def why_events(
    source: gr.Image | gr.Textbox,
    panel: AnswerPanel,
    classifiers: Mapping[str, Classifier],
    explain: Explain,
    read: Read,
) -> list[Dependency]:
    """Answer the question why, and offer the labels of the checkpoint that is chosen."""

    def why(value: Any, name: str, label: str) -> str:
        try:
            item = read(value)
        except InputError as error:
            return problem(str(error))
        return explain(name, item, label if isinstance(label, str) else "") if item is not None else ""

    asked = gr.on(
        [panel.ask.click, panel.labels.input],
        why,
        [source, panel.menu, panel.labels],
        panel.why,
        preprocess=False,
        show_progress="minimal",
        trigger_mode="always_last",
        api_visibility="private",
        concurrency_id="models",
        concurrency_limit=BATCHES_AT_ONCE,
    )
    offered = panel.menu.change(
        lambda name: gr.update(choices=label_choices(classifiers[name].labels), value=""),
        panel.menu,
        panel.labels,
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )
    return [asked, offered]


def _picture(found: Explanation, path: str) -> str:
    explained: PictureExplanation = found  # type: ignore[assignment]  # the classifier is one of pictures
    drawn = explained.over(path)
    drawn.thumbnail((MOST_PX, MOST_PX))
    if max(drawn.size) < LEAST_PX:
        factor = LEAST_PX / max(drawn.size)
        drawn = drawn.resize((round(drawn.width * factor), round(drawn.height * factor)), Image.Resampling.BICUBIC)
    content = io.BytesIO()
    drawn.save(content, "JPEG", quality=88)
    source = base64.b64encode(content.getvalue()).decode()
    alt = escape(wording.why_picture(explained.label))
    return (
        f'<figure class="why"><img alt="{alt}" src="data:image/jpeg;base64,{source}">'
        f"<figcaption>{_legend(explained.label)}</figcaption></figure>"
    )


def _text(found: Explanation, text: str) -> str:
    explained: TextExplanation = found  # type: ignore[assignment]  # the classifier is one of texts
    most = max((abs(weight) for *_, weight in explained.spans), default=0.0) or 1.0
    parts, end = [], 0
    for start, stop, weight in explained.spans:
        parts += [escape(text[end:start]), _word(text[start:stop], weight / most)]
        end = stop
    words = "".join([*parts, escape(text[end:])])
    said = escape(wording.why_words(explained.label, *(_strongest(explained, text, sign) for sign in (1, -1))))
    return f'<div class="why"><p>{said}</p><p class="words">{words}</p><p>{_legend(explained.label)}</p></div>'


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


def _legend(label: str) -> str:
    pro, contra = wording.legend(label)
    return f"{_word(pro, 1.0)} {_word(contra, -1.0)}"
