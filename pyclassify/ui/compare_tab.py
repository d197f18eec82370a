"""The tab where two checkpoints answer the same input, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final, Literal

import gradio as gr

from pyclassify.message import percent
from pyclassify.ui import image_tab, text_tab
from pyclassify.ui.answering import answer_box, latest, shown, too_few_box
from pyclassify.ui.asking import BATCHES_AT_ONCE, Ask, Outcome, Read, outcomes
from pyclassify.ui.frame import Frame
from pyclassify.ui.naming import choices, titles
from pyclassify.ui.uploads import take_uploads_only
from pyclassify.ui.wording import LANGUAGES, Said, fixed, words
from pyclassify.ui.wording.en import English

if TYPE_CHECKING:
    from gradio.events import Dependency

    from pyclassify.classifier import Classifier, Prediction

Kind = Literal["image", "text"]

Columns = tuple[list[Any], ...]


def compare_tab(
    classifiers: Mapping[Kind, Mapping[str, Classifier]], asks: Mapping[Kind, Ask], frame: Frame, *, max_batch: int
) -> list[Dependency]:
    """Draw the tab and return its events.

    Args:
        classifiers: of pictures and of text, by name.
        asks: from `asker`, for each kind that has classifiers.
        frame: around the tabs.
        max_batch: as for the other tabs.
    """
    shown_first: Kind = "text" if len(classifiers["image"]) < 2 <= len(classifiers["text"]) else "image"
    gr.HTML(fixed(lambda words: f"<p>{escape(words.COMPARE_INTRO)}</p>"), elem_classes="intro", padding=False)
    kind = gr.Radio(
        [(fixed(lambda words: words.A_PICTURE), "pictures"), (fixed(lambda words: words.A_TEXT), "texts")],
        value=_VALUES[shown_first],
        label=fixed(lambda words: words.COMPARE_KIND),
        elem_id="compare-kind",
    )
    frame.linked["compare.kind"] = kind
    sides, events = [], []
    for each in ("image", "text"):
        # out of sight and not left out, so that a link can fill it
        with gr.Column(elem_classes=["compare"] if each == shown_first else ["compare", "away"]) as side:
            sides.append(side)
            if len(classifiers[each]) < 2:
                too_few_box(each, list(classifiers[each]))
            else:
                events.append(_side(each, classifiers[each], asks[each], frame, max_batch=max_batch))
    # in the browser, because it is only about what is seen
    switched = kind.change(None, kind, sides, js=_SWITCH, api_visibility="private")
    return [*events, switched]


_VALUES: Final[Mapping[Kind, str]] = {"image": "pictures", "text": "texts"}
"""Of the switch; Gradio looks a value up among its own words, and takes "image" for a whole section of them."""

_SWITCH = """(kind) => ["pictures", "texts"].map(
    (each) => ({__type__: "update", elem_classes: each === kind ? ["compare"] : ["compare", "away"]}))"""


def _side(kind: Kind, classifiers: Mapping[str, Classifier], ask: Ask, frame: Frame, *, max_batch: int) -> Dependency:
    """Draw the input, the two menus with their answers and what can be said of both, and return the event."""
    source, read, waiting = _picture() if kind == "image" else _text(classifiers)
    names = list(classifiers)
    menus: list[gr.Dropdown] = []
    boxes: list[gr.Label | gr.HTML] = []
    verdict = gr.HTML(elem_classes=["verdict", "live"], padding=False)  # what both say, in words, before the bars
    with gr.Row(elem_classes="sides-by-side"):
        for name, label in zip(names, (_first, _second), strict=False):
            with gr.Column(min_width=320):
                menus.append(gr.Dropdown(choices(classifiers), value=name, label=fixed(label)))
                boxes += answer_box(classifiers, waiting=waiting)
    behind = "" if kind == "text" else "-picture"
    frame.linked.update({f"compare.first{behind}": menus[0], f"compare.second{behind}": menus[1]})

    def answer(value: list[Any], first: list[str], second: list[str], language: list[str]) -> Columns:
        return both(ask, classifiers, read, waiting, value, first, second, language)

    if isinstance(source, gr.Textbox):
        frame.linked["compare.text"] = source
    asked: Dependency = gr.on(
        [source.change, *(menu.change for menu in menus), frame.language.input],
        answer,
        [source, *menus, frame.language],
        [*boxes, verdict],
        preprocess=False,
        postprocess=False,
        show_progress="minimal" if kind == "image" else "hidden",
        show_progress_on=[boxes[0], boxes[2]],
        trigger_mode="always_last",
        js=latest(source),
        api_visibility="private",
        concurrency_id="models",
        concurrency_limit=BATCHES_AT_ONCE if max_batch > 1 else 1,
        batch=True,
        max_batch_size=max_batch,
    )
    return asked


def both(
    ask: Ask,
    classifiers: Mapping[str, Classifier],
    read: Read,
    waiting: Said,
    values: Sequence[Any],
    firsts: Sequence[str],
    seconds: Sequence[str],
    languages: Sequence[Any],
) -> Columns:
    """Ask both checkpoints for all who wait, each checkpoint once.

    Args:
        ask: from `asker`.
        classifiers: by name.
        read: makes an input of a value.
        waiting: what the answers say as long as nothing was sent.
        values: what visitors sent, one each.
        firsts: the checkpoint that each chose on the left.
        seconds: the one on the right.
        languages: of each.

    Returns:
        Columns: ranked list and remarks of the first, the same of the second, and what can be said of both.
    """
    found = outcomes(ask, [*values, *values], [*firsts, *seconds], read)
    left, right = found[: len(values)], found[len(values) :]
    called = {code: titles(classifiers, each) for code, each in LANGUAGES.items()}
    verdicts = []
    for first, second, one, other, language in zip(firsts, seconds, left, right, languages, strict=True):
        said = words(language)
        names = called[said.CODE]
        verdicts.append(_said_of_both((names.get(first, first), names.get(second, second)), (one, other), said))
    return *shown(left, languages, waiting=waiting)[:2], *shown(right, languages, waiting=waiting)[:2], verdicts


def verdict(names: tuple[str, str], predictions: tuple[Prediction, Prediction], words: type[English]) -> str:
    """Whether two checkpoints agree, and how far apart they are, in words.

    Args:
        names: that the checkpoints go by on the page.
        predictions: of each, with their labels as they are called there.
        words: of the language.
    """
    if names[0] == names[1]:
        return words.SAME_CHECKPOINT
    both = list(zip(names, predictions, strict=True))
    answering = [(name, each) for name, each in both if each.known is not False]
    if not answering:
        return words.NEITHER_KNOWS
    if len(answering) == 1:
        ((name, found),) = answering
        (other,) = set(names) - {name}
        return words.only(name, found.label, _share(found, found.label, words), other)
    return _compared(names, *predictions, words)


def _compared(names: tuple[str, str], first: Prediction, second: Prediction, words: type[English]) -> str:
    answers = [
        (name, each.label, _share(each, each.label, words)) for name, each in zip(names, (first, second), strict=True)
    ]
    if not first.probabilities.keys() & second.probabilities.keys():
        return words.unlike(answers)
    apart = words.apart(_points(first, second)) if first.label in second.probabilities else ""
    if first.label == second.label:
        return words.agree(first.label, names, (answers[0][2], answers[1][2]), apart)
    others = (_share(second, first.label, words), _share(first, second.label, words))
    return words.disagree([(*answer, other) for answer, other in zip(answers, others, strict=True)])


def _points(first: Prediction, second: Prediction) -> float:
    """Percentage points between what the two give to the first one's label."""
    return 100 * abs(first.probabilities[first.label] - second.probabilities[first.label])


def _share(prediction: Prediction, label: str, words: type[English]) -> str:
    found = prediction.probabilities.get(label)
    return words.NO_SHARE if found is None else percent(found, language=words.CODE)


def _said_of_both(names: tuple[str, str], found: tuple[Outcome | None, Outcome | None], words: type[English]) -> str:
    first, second = (each.said_in(words) if each else None for each in found)
    return f"<p>{escape(verdict(names, (first, second), words))}</p>" if first and second else ""


def _picture() -> tuple[gr.Image, Read, Said]:
    picture = image_tab.picture_box("compare-picture", height=260)
    gr.Examples(
        [[str(path)] for path in sorted(image_tab.EXAMPLES.glob("*.*g"))],
        picture,
        label=fixed(lambda words: words.EXAMPLES),
        elem_id="compare-pictures",
        api_visibility="private",
    )
    take_uploads_only(picture)
    return picture, image_tab.read, lambda words: words.WAITING_FOR_PICTURE


def _text(classifiers: Mapping[str, Classifier]) -> tuple[gr.Textbox, Read, Said]:
    text = text_tab.text_box("compare-text", lines=3)
    samples = text_tab.fitting_examples(classifiers)
    if samples:
        gr.Examples(
            [[sentence] for sentence, _ in samples],
            text,
            label=fixed(lambda words: words.EXAMPLES),
            elem_id="compare-sentences",
            api_visibility="private",
        )
    return text, text_tab.read, lambda words: words.WAITING_FOR_TEXT


def _first(words: type[English]) -> str:
    return words.FIRST


def _second(words: type[English]) -> str:
    return words.SECOND
