"""The tab where every checkpoint has a card: what it knows, how good it is, how fast, and how it was made."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from pyclassify.evaluation.comparison import SURE
from pyclassify.ui.figures import Line, chart, confusion_table, count_axis, most_confused, value_axis
from pyclassify.ui.naming import label_names, naming, title
from pyclassify.ui.wording import fixed
from pyclassify.ui.wording.en import English

if TYPE_CHECKING:
    from pyclassify.classifier import Classifier

log = logging.getLogger(__name__)

MOST_IN_TABLE = 12
"""Labels; of more the table would be wider than any page, and the pairs that are confused most are named instead."""

MOST_LABELS_NAMED = 60
MOST_DOTTED = 12
"""Epochs; the dots of more would run into one another."""

PAIRS_NAMED = 10

Draw = Callable[[Mapping[str, Any], type[English]], str]
"""From a checkpoint's config.json and the words of a language to HTML; "" where there is nothing to draw."""


def models_tab(classifiers: Mapping[str, Classifier], answer_ms: Mapping[str, float]) -> None:
    """Draw a card for each classifier, the first one open.

    Args:
        classifiers: by name.
        answer_ms: milliseconds that one answer takes here, of those that were asked.
    """
    gr.HTML(fixed(lambda words: f"<p>{escape(words.MODELS_INTRO)}</p>"), elem_classes="intro", padding=False)
    for number, (name, classifier) in enumerate(classifiers.items()):
        gr.HTML(fixed(_of(name, classifier, answer_ms.get(name), is_open=not number)), padding=False)


def card(
    name: str,
    classifier: Classifier,
    words: type[English],
    *,
    answer_ms: float | None = None,
    is_open: bool = False,
) -> str:
    """The card of one checkpoint as HTML; what its config.json lacks, or has in another form, is left out.

    Args:
        name: of the checkpoint on the page.
        classifier: which answers.
        words: of the language.
        answer_ms: milliseconds that one answer takes here.
        is_open: whether more than its head is shown at first.
    """
    labels = list(label_names(naming(classifier), words).values())
    info = {**classifier.info, "kind": classifier.kind, "labels": labels}
    called = title(name, classifier.info, words)
    beside = f" <small>{escape(name)}</small>" if called != name else ""
    figures = "".join(_part(draw, info, words) for draw in (_confusion, _reliability, _curves))
    here = words.speed(classifier.kind, answer_ms, str(classifier.device)) if answer_ms is not None else ""
    return (
        f'<details class="model"{" open" if is_open else ""}><summary><h2>{escape(called)}{beside}</h2>'
        f"<span>{_part(_line, info, words)}</span></summary>"
        f'{_part(_knows, info, words)}{_part(_scores, info, words)}<div class="figures">{figures}</div>'
        f"{_part(_findings, info, words)}"
        f"{_list(words.FACTS, [here, *(_part(fact, info, words) for fact in (_recorded, _size, _made))])}"
        f"{_part(_command, info, words)}</details>"
    )


def _of(name: str, classifier: Classifier, answer_ms: float | None, *, is_open: bool) -> Callable[[type[English]], str]:
    return lambda words: card(name, classifier, words, answer_ms=answer_ms, is_open=is_open)


def _part(draw: Draw, info: Mapping[str, Any], words: type[English]) -> str:
    """One part of a card, or nothing: config.json may be of an earlier day, or by somebody else."""
    try:
        return draw(info, words)
    except (KeyError, TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
        log.info("a part of a card is left out: %s: %s", type(error).__name__, error)
        return ""


def _line(info: Mapping[str, Any], words: type[English]) -> str:
    return escape(words.right_on(info) or words.number_of_labels(info))


def _knows(info: Mapping[str, Any], words: type[English]) -> str:
    named = [escape(label) for label in info["labels"][:MOST_LABELS_NAMED]]
    more = len(info["labels"]) - len(named)
    items = "".join(f"<li>{label}</li>" for label in [*named, *([escape(words.more(more))] if more else [])])
    return f'{_heading(words.number_of_labels(info))}<ul class="labels">{items}</ul>'


def _scores(info: Mapping[str, Any], words: type[English]) -> str:
    parts: tuple[Draw, ...] = (_about, _baseline, _without_leaked, _refused)
    return _list(words.SCORES, [_part(part, info, words) for part in parts])


def _about(info: Mapping[str, Any], words: type[English]) -> str:
    return escape(words.about(info))


def _baseline(info: Mapping[str, Any], words: type[English]) -> str:
    row = info["scores"]["baseline"]
    differs = None if row["p_value"] >= SURE else row["only_ours"] > row["only_other"]
    return escape(words.baseline(row, differs))


def _without_leaked(info: Mapping[str, Any], words: type[English]) -> str:
    row = info["scores"]["without_leaked"]
    return escape(words.without_leaked(row, info["kind"])) if row else ""


def _refused(info: Mapping[str, Any], words: type[English]) -> str:
    return escape(words.refused(info["scores"]["refused"], info["kind"]))


def _confusion(info: Mapping[str, Any], words: type[English]) -> str:
    labels, counts = info["labels"], info["scores"]["confusion"]
    if len(labels) <= MOST_IN_TABLE:
        table = confusion_table(
            counts, labels, caption=words.CONFUSION_CAPTION, true=words.TRUE_LABEL, answer=words.ANSWER
        )
        # a table wider than the card is scrolled, with the keyboard too
        scrolled = f'<div class="wide" role="region" tabindex="0" aria-label="{escape(words.CONFUSION)}">{table}</div>'
        return _figure(words.CONFUSION, scrolled, words.CONFUSION_HINT)
    pairs = most_confused(counts, labels, most=PAIRS_NAMED)
    items = "".join(f"<li>{escape(words.confused(*pair))}</li>" for pair in pairs)
    return _figure(words.CONFUSION, f"<ol>{items}</ol>", words.PAIRS_HINT) if pairs else ""


def _reliability(info: Mapping[str, Any], words: type[English]) -> str:
    row = info["scores"]["calibration"]
    bins = row["bins"]
    most = max(each["examples"] for each in bins)
    points = [(each["confidence"], each["accuracy"]) for each in bins]
    lines = [
        Line("ideal", [(0.0, 0.0), (1.0, 1.0)]),
        Line("measured", points, [each["examples"] / most for each in bins]),
    ]
    across, up = (value_axis(title, (0.0, 1.0), scale=100) for title in (words.SURE_AXIS, words.RIGHT_AXIS))
    largest = max(bins, key=lambda each: each["examples"])
    said = words.reliability_seen(largest["confidence"], largest["accuracy"], row["ece_after"])
    drawn = chart(lines, across, up, title=words.RELIABILITY, description=said)
    return _figure(words.RELIABILITY, drawn, words.RELIABILITY_HINT, words.calibrated(row))


def _curves(info: Mapping[str, Any], words: type[English]) -> str:
    epochs = info["training"]["epochs"]
    drawn = "".join(
        _curve(epochs, measure, title, words)
        for measure, title in (("accuracy", words.ACCURACY_AXIS), ("loss", words.LOSS_AXIS))
    )
    legend = "".join(
        f'<span class="key {kind}">{escape(said)}</span>'
        for kind, said in (("training", words.ON_TRAINING), ("measured", words.ON_VALIDATION), ("kept", words.KEPT))
    )
    return _figure(words.CURVES, f'<div class="pair">{drawn}</div><p class="keys">{legend}</p>', words.CURVES_HINT)


def _curve(epochs: Sequence[Mapping[str, Any]], measure: str, title: str, words: type[English]) -> str:
    parts = [
        (kind, [(float(each["epoch"]), float(each[f"{part}_{measure}"])) for each in epochs])
        for kind, part in (("training", "train"), ("measured", "validation"))
    ]
    scale = 100.0 if measure == "accuracy" else 1.0
    up = value_axis(title, [value for _, points in parts for _, value in points], scale=scale)
    kept = [each["epoch"] for each in epochs if each.get("is_best")][-1:]
    dots = [0.0] * len(epochs) if len(epochs) <= MOST_DOTTED else ()
    lines = [
        *(Line("kept", [(float(epoch), up.low), (float(epoch), up.high)]) for epoch in kept),
        *(Line(kind, points, dots) for kind, points in parts),
    ]
    across = count_axis(words.EPOCH_AXIS, int(epochs[-1]["epoch"]))
    first, last = (parts[1][1][index][1] * scale for index in (0, -1))
    return chart(lines, across, up, title=title, description=words.curve_seen(first, last, len(epochs)))


def _findings(info: Mapping[str, Any], words: type[English]) -> str:
    found = info["findings"]["findings"]
    return _list(words.FINDINGS, [escape(words.finding(each, info["kind"])) for each in found])


def _recorded(info: Mapping[str, Any], words: type[English]) -> str:
    return escape(words.recorded_speed(info["measured"]))


def _size(info: Mapping[str, Any], words: type[English]) -> str:
    return escape(words.size(info.get("size_bytes"), info["training"]["parameters"], info["model"]["name"]))


def _made(info: Mapping[str, Any], words: type[English]) -> str:
    return escape(words.made(info["training"]))


def _command(info: Mapping[str, Any], words: type[English]) -> str:
    command = escape(info["training"]["command"])
    return f'{_heading(words.COMMAND)}<pre tabindex="0"><code>{command}</code></pre>'


def _heading(said: str) -> str:
    return f"<h3>{escape(said)}</h3>"


def _list(heading: str, items: Sequence[str]) -> str:
    """A heading over sentences that are HTML already; nothing where there are none."""
    said = "".join(f"<li>{item}</li>" for item in items if item)
    return f"{_heading(heading)}<ul>{said}</ul>" if said else ""


def _figure(heading: str, drawn: str, *hints: str) -> str:
    said = "".join(f"<p>{escape(hint)}</p>" for hint in hints if hint)
    return f"<figure>{_heading(heading)}{drawn}<figcaption>{said}</figcaption></figure>"
