"""The tab in which two checkpoints answer the same input, side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

import gradio as gr

from pyclassify.locales import LANGUAGES, Message, percent
from pyclassify.ui.classify_tab import (
    WIDGETS,
    Columns,
    answer_columns,
    batched,
    draw_answer,
    draw_examples,
    latest,
    paragraph,
    with_command,
)
from pyclassify.ui.header import Header
from pyclassify.ui.i18n import Translations, checkpoint_choices, language_of, say, titles
from pyclassify.ui.serving import Ask, Outcome, outcomes

if TYPE_CHECKING:
    from gradio.events import Dependency

    from pyclassify.classifier import Classifier, Prediction

_PLACES: Final = ("first", "second")

_SWITCH: Final = """(value) => %s.map(
    (other) => ({__type__: "update", elem_classes: other === value ? ["compare"] : ["compare", "away"]}))"""
"""Shows the input and the answers of the kind that is chosen; in the browser, since it is only about what is seen."""


def compare_tab(
    classifiers: Mapping[str, Mapping[str, Classifier]],
    asks: Mapping[str, Ask],
    header: Header,
    translations: Translations,
    *,
    max_batch: int,
) -> list[Dependency]:
    """Draw the tab, and return its events.

    Args:
        classifiers: by kind and name.
        asks: from `make_ask`, for each kind that has classifiers.
        header: above the tabs.
        translations: of the page.
        max_batch: as for the other tabs.
    """
    first = next((kind for kind in WIDGETS if len(classifiers[kind]) >= 2), next(iter(WIDGETS)))
    intro = translations.fixed("page.compare.intro")
    gr.HTML(f"<p>{intro}</p>", elem_classes="intro", padding=False)
    switch = gr.Radio(
        [(translations.fixed(f"page.compare.kinds.{kind}"), _value(kind)) for kind in WIDGETS],
        value=_value(first),
        label=translations.fixed("page.compare.kind"),
        elem_id="compare-kind",
    )
    header.linked["compare.kind"] = switch
    sides, events = [], []
    for kind in WIDGETS:
        # out of sight and not left out, so that a link can fill it
        with gr.Column(elem_classes=["compare"] if kind == first else ["compare", "away"]) as side:
            sides.append(side)
            if len(classifiers[kind]) < 2:
                _draw_too_few(kind, list(classifiers[kind]), translations)
            else:
                events.append(
                    _draw_side(kind, classifiers[kind], asks[kind], header, translations, max_batch=max_batch)
                )
    values = json.dumps([_value(kind) for kind in WIDGETS])
    switched = switch.change(None, switch, sides, js=_SWITCH % values, api_visibility="private")
    return [*events, switched]


def _value(kind: str) -> str:
    """Return the value of the switch: Gradio looks values up among its own words, where "image" is a whole section."""
    return f"{kind}s"


def _draw_too_few(kind: str, names: list[str], translations: Translations) -> None:
    """Say that there are not two checkpoints of a kind, with the command that makes one."""
    number = "one" if names else "none"
    fields = {"name": escape(names[0])} if names else {}
    sentence = translations.fixed(f"page.compare.too_few.{kind}.{number}", **fields)
    gr.HTML(with_command(str(sentence), kind))


def _draw_side(
    kind: str,
    classifiers: Mapping[str, Classifier],
    ask: Ask,
    header: Header,
    translations: Translations,
    *,
    max_batch: int,
) -> Dependency:
    """Draw the input, the two menus with their answers and the verdict on both, and return the event."""
    widget = WIDGETS[kind]
    source = widget.draw(f"compare-{kind}", translations, small=True)
    rows = [row[:1] for row in widget.examples(classifiers)]
    draw_examples(rows, [source], f"compare-{kind}-examples", translations)
    menus: list[gr.Dropdown] = []
    boxes: list[gr.Label | gr.HTML] = []
    verdict = gr.HTML(elem_classes=["verdict", "live"], padding=False)  # what both say, in words, before the bars
    with gr.Row(elem_classes="sides-by-side"):
        for name, place in zip(classifiers, _PLACES, strict=False):
            with gr.Column(min_width=320):
                label = translations.fixed(f"page.compare.{place}")
                menu = gr.Dropdown(checkpoint_choices(classifiers, translations), value=name, label=label)
                header.linked[f"compare.{place}-{kind}"] = menu
                menus.append(menu)
                with gr.Group():
                    boxes += draw_answer(kind, classifiers, translations)
    if widget.in_links:
        header.linked[f"compare.{kind}"] = source  # type: ignore[assignment]

    def answer(values: list[Any], first: list[str], second: list[str], languages: list[str]) -> Columns:
        return answer_both(kind, ask, classifiers, values, first, second, languages)

    answered: Dependency = gr.on(
        [source.change, *(menu.change for menu in menus), header.language.input],
        answer,
        [source, *menus, header.language],
        [*boxes, verdict],
        preprocess=False,
        postprocess=False,
        show_progress=widget.show_progress,
        show_progress_on=[boxes[0], boxes[2]],
        trigger_mode="always_last",
        js=latest(source),
        api_visibility="private",
        **batched(max_batch),
    )
    return answered


def answer_both(
    kind: str,
    ask: Ask,
    classifiers: Mapping[str, Classifier],
    values: Sequence[Any],
    firsts: Sequence[str],
    seconds: Sequence[str],
    languages: Sequence[Any],
) -> Columns:
    """Ask both checkpoints for all who wait, each checkpoint once.

    Args:
        kind: of the inputs.
        ask: from `make_ask`.
        classifiers: by name.
        values: what visitors sent, one each.
        firsts: the checkpoint that each chose on the left.
        seconds: the checkpoint that each chose on the right.
        languages: of each.

    Returns:
        Columns: ranked lists and remarks of the first, the same of the second, and verdicts.
    """
    results = outcomes(ask, [*values, *values], [*firsts, *seconds], WIDGETS[kind].read)
    left, right = results[: len(values)], results[len(values) :]
    called = {language: titles(classifiers, language) for language in LANGUAGES}
    verdicts = []
    for first, second, one, other, code in zip(firsts, seconds, left, right, languages, strict=True):
        language = language_of(code)
        names = (called[language].get(first, first), called[language].get(second, second))
        verdicts.append(_verdict_html(names, (one, other), language))
    columns = [answer_columns(side, languages, kind=kind)[:2] for side in (left, right)]
    return *columns[0], *columns[1], verdicts


def verdict(names: tuple[str, str], predictions: tuple[Prediction, Prediction], language: str) -> str:
    """Write whether two checkpoints agree, and how far apart they are.

    Args:
        names: of the checkpoints on the page.
        predictions: of each, with their labels as they are called there.
        language: of the visitor.
    """
    if names[0] == names[1]:
        return say("page.compare.same", language)
    answering = [pair for pair in zip(names, predictions, strict=True) if pair[1].known is not False]
    if not answering:
        return say("page.compare.neither", language)
    if len(answering) == 1:
        ((name, prediction),) = answering
        (other,) = set(names) - {name}
        share = _share(prediction, prediction.label, language)
        return say("page.compare.only", language, name=name, label=prediction.label, percent=share, other=other)
    return _compared(names, *predictions, language)


def _compared(names: tuple[str, str], first: Prediction, second: Prediction, language: str) -> str:
    own = (_share(first, first.label, language), _share(second, second.label, language))
    fields = {"first": names[0], "second": names[1], "first_percent": own[0], "second_percent": own[1]}
    if first.label == second.label and not (first.has_percentage and second.has_percentage):
        return say("page.compare.agree_without_distance", language, label=first.label, **fields)
    if first.label == second.label:
        points = 100 * abs(first.probabilities[first.label] - second.probabilities[first.label])
        many = Message("page.compare.points", {"count": round(points)})
        apart = many if points >= 1 else Message("page.compare.under_point")
        return say("page.compare.agree", language, label=first.label, apart=apart, **fields)
    fields |= {"first_label": first.label, "second_label": second.label}
    if not first.probabilities.keys() & second.probabilities.keys():
        return say("page.compare.unlike", language, **fields)
    others = {
        "first_other": _share(second, first.label, language),
        "second_other": _share(first, second.label, language),
    }
    return say("page.compare.disagree", language, **fields, **others)


def _share(prediction: Prediction, label: str, language: str) -> str:
    if label not in prediction.probabilities:
        return say("page.compare.no_label", language)
    share = prediction.shown_share(label)
    return say("answer.too_few", language) if share is None else percent(share, language)


def _verdict_html(names: tuple[str, str], results: tuple[Outcome | None, Outcome | None], language: str) -> str:
    first, second = (outcome.named(language) if outcome else None for outcome in results)
    return paragraph(verdict(names, (first, second), language)) if first and second else ""
