"""The tab with a card for each checkpoint: what it knows, how good and how fast it is, and how it was made.

The browser translates the text of a card. Its figures are drawn on the server, in the visitor's language, when the
card is opened.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Final

import gradio as gr

from pyclassify import plots
from pyclassify.evaluation import SIGNIFICANT
from pyclassify.locales import LANGUAGES, Message, number, percent
from pyclassify.ui.i18n import Translations, checkpoint_key, language_of, milliseconds, say, title

if TYPE_CHECKING:
    from gradio.events import Dependency

    from pyclassify.classifier import Classifier
    from pyclassify.manifest import Baseline, Manifest, Scores, Training
    from pyclassify.ui.header import Header

log = logging.getLogger(__name__)

MAX_TABLE_LABELS: Final = 12
"""With more, the table would be wider than any page; the pairs that are confused most are listed instead."""

MAX_LABELS_NAMED: Final = 60
MAX_PAIRS: Final = 10

_PROCESSORS: Final = {"cpu": "CPU", "cuda": "GPU", "mps": "Apple GPU", "xpu": "Intel GPU"}

_FIGURES = '<div class="figures"></div>'
_WITH_FIGURES = "${value.replace('" + _FIGURES + "', () => figures || '" + _FIGURES + "')}"

# A card that is drawn anew, in another language or with its figures, stays as open as it was.
_DRAW_WHEN_OPEN = """
const card = element.querySelector("details");
let open = card.open;
const draw = () => { if (open && card.querySelector(".figures")) trigger("click"); };
card.addEventListener("toggle", () => {
  if (card.open === open) return;
  open = card.open;
  draw();
});
watch("value", () => { card.open = open; draw(); });
watch("figures", () => { card.open = open; });
draw();
"""


def models_tab(
    classifiers: Mapping[str, Classifier],
    answer_ms: Mapping[str, float],
    header: Header,
    translations: Translations,
) -> list[Dependency]:
    """Draw a card for each classifier, the first one open, and return the events of the tab.

    Args:
        classifiers: by name.
        answer_ms: milliseconds that an answer takes here, of the checkpoints that were tried.
        header: for the language of the visitor.
        translations: takes the words of the cards.
    """
    gr.HTML(f"<p>{translations.fixed('page.models.intro')}</p>", elem_classes="intro", padding=False)
    events = []
    for position, (name, classifier) in enumerate(classifiers.items()):
        words = {
            language: card(name, classifier, language, answer_ms=answer_ms.get(name), is_open=position == 0)
            for language in LANGUAGES
        }
        box = gr.HTML(
            translations.add(checkpoint_key(name, "card"), words),
            html_template=_WITH_FIGURES,
            js_on_load=_DRAW_WHEN_OPEN,
            padding=False,
            figures="",
        )
        drawn = box.click(
            _draw(classifier.manifest),
            header.language,
            box,
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )
        events.append(drawn)
    return events


def _draw(manifest: Manifest) -> Callable[[str], dict[str, object]]:
    """Make the function that fills in the figures of a card; each language is drawn once."""

    @cache
    def drawn(language: str) -> str:
        return figures(manifest, language)

    return lambda language: gr.update(figures=drawn(language_of(language)))


def card(
    name: str, classifier: Classifier, language: str, *, answer_ms: float | None = None, is_open: bool = False
) -> str:
    """Write the card of a checkpoint as HTML, with an empty place for its figures.

    Args:
        name: of the checkpoint on the page.
        classifier: to describe; what its manifest does not record is left out.
        language: one of LANGUAGES.
        answer_ms: milliseconds that an answer takes here.
        is_open: whether more than the heading is shown at first.
    """
    manifest = classifier.manifest
    heading = title(name, manifest, language)
    folder = f" <small>{escape(name)}</small>" if heading != name else ""
    has_figures = bool(figure_parts(manifest))
    command = manifest.training.command if manifest.training else ""
    return (
        f'<details class="model"{" open" if is_open else ""}><summary><h2>{escape(heading)}{folder}</h2>'
        f"<span>{escape(_in_short(manifest, language))}</span></summary>"
        f"{_labels(manifest, language)}"
        f"{_list(say('page.models.scores.title', language), _scores(manifest, language))}"
        f"{_FIGURES if has_figures else ''}"
        f"{_list(say('page.models.findings', language), _findings(manifest, language))}"
        f"{_list(say('page.models.facts.title', language), _facts(classifier, answer_ms, language))}"
        f"{_command(command, language)}</details>"
    )


def _in_short(manifest: Manifest, language: str) -> str:
    return (
        _correct(manifest.scores, manifest.kind, language) if manifest.scores else _number_of_labels(manifest, language)
    )


def _correct(scores: Scores, kind: str, language: str) -> str:
    accuracy = percent(scores.accuracy, language, digits=1)
    return say("page.models.correct", language, accuracy=accuracy, counted=_counted(kind, scores.num_examples))


def _number_of_labels(manifest: Manifest, language: str) -> str:
    items = Message(f"kinds.{manifest.kind}.plural")
    return say("page.models.labels", language, items=items, count=len(manifest.labels))


def _counted(kind: str, count: int) -> Message:
    return Message(f"items.{kind}", {"count": count})


def _labels(manifest: Manifest, language: str) -> str:
    names = list(manifest.label_names(language).values())
    shown = names[:MAX_LABELS_NAMED]
    if len(names) > len(shown):
        shown.append(say("page.models.more", language, count=len(names) - len(shown)))
    items = "".join(f"<li>{escape(name)}</li>" for name in shown)
    return f'{_heading(_number_of_labels(manifest, language))}<ul class="labels">{items}</ul>'


def _scores(manifest: Manifest, language: str) -> list[str]:
    data, scores, kind = manifest.data, manifest.scores, manifest.kind
    sentences = []
    if data and data.train:
        counted = _counted(kind, data.train)
        sentences.append(say("page.models.scores.data", language, counted=counted, name=data.name))
    if scores:
        low, high = scores.accuracy_interval
        sentences += [
            say(
                "page.models.scores.correct",
                language,
                accuracy=percent(scores.accuracy, language, digits=1),
                counted=_counted(kind, scores.num_examples),
                low=percent(low, language, digits=1),
                high=percent(high, language, digits=1),
                majority=percent(scores.majority_accuracy, language, digits=1),
            ),
        ]
        if baseline := scores.baseline:
            sentences.append(_if_known(lambda: _baseline(baseline, kind, language)))
        if scores.without_leaked:
            counted = _counted(kind, scores.without_leaked.leaked)
            accuracy = percent(scores.without_leaked.accuracy, language, digits=1)
            sentences.append(say("page.models.scores.without_leaked", language, counted=counted, accuracy=accuracy))
        if manifest.ood:
            share = percent(scores.refused, language, digits=1)
            sentences.append(say("page.models.scores.refused", language, share=share))
    return sentences or [say("page.models.no_record", language)]


def _baseline(baseline: Baseline, kind: str, language: str) -> str:
    low, high = baseline.accuracy_interval
    if baseline.p_value >= SIGNIFICANT:
        verdict = "undecided"
    else:
        verdict = "better" if baseline.only_ours > baseline.only_baseline else "worse"
    return say(
        f"page.models.scores.baseline.{verdict}",
        language,
        name=baseline.title(language),
        accuracy=percent(baseline.accuracy, language, digits=1),
        low=percent(low, language, digits=1),
        high=percent(high, language, digits=1),
        only_ours=_counted(kind, baseline.only_ours),
        only_baseline=_counted(kind, baseline.only_baseline),
    )


def _findings(manifest: Manifest, language: str) -> list[str]:
    findings = manifest.data_report.findings if manifest.data_report else []
    return [_if_known(lambda finding=finding: finding.summary(manifest.kind, language)) for finding in findings]  # type: ignore[misc]


def _if_known(write: Callable[[], str]) -> str:
    """Write a sentence whose key and fields a checkpoint names; empty if this version has no such sentence."""
    try:
        return write()
    except (LookupError, TypeError, ValueError) as error:
        log.info("a sentence of a checkpoint is left out: %s: %s", type(error).__name__, error)
        return ""


def _facts(classifier: Classifier, answer_ms: float | None, language: str) -> list[str]:
    manifest, facts = classifier.manifest, []
    if answer_ms is not None:
        device = str(classifier.device)
        processor = _PROCESSORS.get(device.partition(":")[0], device)
        time = milliseconds(answer_ms, language)
        facts.append(say("page.models.facts.speed", language, time=time, processor=processor))
    if measured := manifest.measured:
        time = milliseconds(measured.answer_ms, language)
        facts.append(
            say("page.models.facts.measured", language, date=measured.date, hardware=measured.hardware, time=time)
        )
    if training := manifest.training:
        network = {"network": manifest.network.name, "parameters": training.num_parameters}
        if manifest.size_bytes:
            megabytes = number(manifest.size_bytes / 1e6, language, digits=1)
            facts.append(say("page.models.facts.network_and_size", language, megabytes=megabytes, **network))
        else:
            facts.append(say("page.models.facts.network", language, **network))
        if training.origin:
            facts.append(training.origin)
    if training and (manifest.data is None or manifest.data.train):
        facts.append(
            say(
                "page.models.facts.trained",
                language,
                date=training.date,
                duration=_duration(training.duration_s),
                hardware=training.hardware,
            )
        )
    return facts


def _duration(seconds: float) -> Message:
    if seconds >= 120:
        return Message("page.models.facts.minutes", {"count": round(seconds / 60)})
    return Message("page.models.facts.seconds", {"count": round(seconds)})


def _command(command: str, language: str) -> str:
    if not command:
        return ""
    heading = _heading(say("page.models.command", language))
    return f'{heading}<pre tabindex="0"><code>{escape(command)}</code></pre>'


# Figures


def figure_parts(manifest: Manifest) -> list[Callable[[str], str]]:
    """Return a function per figure that the manifest has numbers for; each draws in a language."""
    scores, training, parts = manifest.scores, manifest.training, []
    if scores and _is_square(scores.confusion, len(manifest.labels)):
        parts.append(lambda language: _confusion(scores, manifest, language))
    if scores and any(part.num_examples for part in scores.calibration.bins):
        parts.append(lambda language: _reliability(scores, language))
    if training and training.epochs:
        parts.append(lambda language: _curves(training, language, has_validation=manifest.has_validation))
    return parts


def figures(manifest: Manifest, language: str) -> str:
    """Draw what a checkpoint mixes up, how far its percentages can be trusted, and how it learned, as HTML."""
    return f'<div class="figures">{"".join(part(language) for part in figure_parts(manifest))}</div>'


def _is_square(counts: Sequence[Sequence[int]], side: int) -> bool:
    return len(counts) == side and all(len(row) == side for row in counts)


def _confusion(scores: Scores, manifest: Manifest, language: str) -> str:
    names, heading = list(manifest.label_names(language).values()), say("page.models.confusion.title", language)
    if len(names) <= MAX_TABLE_LABELS:
        table = confusion_table(
            scores.confusion,
            names,
            caption=say("page.models.confusion.caption", language),
            true_label=say("page.models.confusion.true_label", language),
            answer=say("page.models.confusion.answer", language),
        )
        # a table that is wider than the card is scrolled, with the keyboard too
        wide = f'<div class="wide" role="region" tabindex="0" aria-label="{escape(heading)}">{table}</div>'
        return _figure(heading, wide, say("page.models.confusion.hint", language))
    pairs = [
        say("page.models.confusion.pair", language, label=label, answer=answer, count=count, total=total)
        for label, answer, count, total in most_confused(scores.confusion, names, most=MAX_PAIRS)
    ]
    items = "".join(f"<li>{escape(pair)}</li>" for pair in pairs)
    return _figure(heading, f"<ol>{items}</ol>", say("page.models.confusion.pairs_hint", language)) if pairs else ""


def confusion_table(
    counts: Sequence[Sequence[int]], labels: Sequence[str], *, caption: str, true_label: str, answer: str
) -> str:
    """Write a confusion matrix as a table with shaded cells.

    Args:
        counts: (K, K); row: true label, column: answer.
        labels: K names.
        caption: of the table.
        true_label: heading of the rows.
        answer: heading of the columns.
    """
    columns = "".join(f'<th scope="col"><span>{escape(label)}</span></th>' for label in labels)
    rows = []
    for position, (label, row) in enumerate(zip(labels, counts, strict=True)):
        total = max(1, sum(row))
        cells = "".join(_cell(count / total, count, column == position) for column, count in enumerate(row))
        rows.append(f'<tr><th scope="row">{escape(label)}</th>{cells}</tr>')
    upright = " upright" if len(labels) > 3 else ""
    return (
        f'<table class="confusion{upright}"><caption>{escape(caption)}</caption><thead>'
        f'<tr><td></td><th scope="colgroup" colspan="{len(labels)}">{escape(answer)}</th></tr>'
        f'<tr><th scope="col" class="corner">{escape(true_label)}</th>{columns}</tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _cell(share: float, count: int, is_right: bool) -> str:
    # the root lets rare mistakes, which are what the table is for, be seen beside the many right answers
    shade = f' style="--share:{math.sqrt(share):.2f}"' if count else ""
    right = ' class="right"' if is_right else ""
    return f"<td{right}{shade}>{count:,}</td>"


def most_confused(
    counts: Sequence[Sequence[int]], labels: Sequence[str], *, most: int
) -> list[tuple[str, str, int, int]]:
    """List the pairs of labels that are confused most often.

    Returns:
        True label, answer, how often, and how many examples the true label has; the most frequent first.
    """
    pairs = [
        (labels[i], labels[j], count, sum(row))
        for i, row in enumerate(counts)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return sorted(pairs, key=lambda pair: -pair[2])[:most]


def _reliability(scores: Scores, language: str) -> str:
    score, heading = scores.calibration, say("page.models.reliability.title", language)
    largest = max(score.bins, key=lambda part: part.num_examples)
    error = number(100 * score.ece_after, language, digits=1)
    labels = {
        "title": heading,
        "description": say(
            "page.models.reliability.description",
            language,
            confidence=percent(largest.confidence, language, digits=1),
            accuracy=percent(largest.accuracy, language, digits=1),
            error=error,
        ),
        "confidence": say("page.models.reliability.confidence", language),
        "accuracy": say("page.models.reliability.accuracy", language),
    }
    before = number(100 * score.ece_before, language, digits=1)
    return _figure(
        heading,
        plots.reliability_svg(score, labels),
        say("page.models.reliability.hint", language),
        say("page.models.reliability.error", language, after=error, before=before),
    )


def _curves(training: Training, language: str, *, has_validation: bool) -> str:
    labels = {key: say(f"page.models.curves.{key}", language) for key in ("epoch", "accuracy", "loss")}
    first, last = training.epochs[0], training.epochs[-1]
    split = "val" if has_validation else "train"
    accuracies = (getattr(epoch, f"{split}_accuracy") for epoch in (first, last))
    losses = (getattr(epoch, f"{split}_loss") for epoch in (first, last))
    values = {
        "accuracy": [percent(share, language, digits=1) for share in accuracies],
        "loss": [number(loss, language, digits=3) for loss in losses],
    }
    described = "page.models.curves.description" if has_validation else "page.models.curves.description_training"
    for measure, (start, end) in values.items():
        labels[f"{measure}_description"] = say(described, language, first=start, last=end, epoch=str(last.epoch))
    shown = ("training", "validation", "kept") if has_validation else ("training", "kept")
    keys = "".join(
        f'<span class="key {key}">{escape(say(f"page.models.curves.{key}", language))}</span>' for key in shown
    )
    drawn = plots.curves_svg(training, labels, has_validation=has_validation)
    charts = f'<div class="pair">{drawn}</div><p class="keys">{keys}</p>'
    hint = say("page.models.curves.hint", language) if has_validation else ""
    return _figure(say("page.models.curves.title", language), charts, hint)


def _heading(words: str) -> str:
    return f"<h3>{escape(words)}</h3>"


def _list(heading: str, sentences: Sequence[str]) -> str:
    """Write sentences below a heading; nothing if there are none."""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences if sentence)
    return f"{_heading(heading)}<ul>{items}</ul>" if items else ""


def _figure(heading: str, content: str, *hints: str) -> str:
    caption = "".join(f"<p>{escape(hint)}</p>" for hint in hints if hint)
    return f"<figure>{_heading(heading)}{content}<figcaption>{caption}</figcaption></figure>"
