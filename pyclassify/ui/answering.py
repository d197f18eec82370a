"""What both tabs share: asking a classifier, and showing what it said."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal

import gradio as gr

from pyclassify.errors import InputError
from pyclassify.ui import wording
from pyclassify.ui.batching import PROBLEM

if TYPE_CHECKING:  # only the names: the page works with whatever honours them, and never imports torch
    from gradio.events import Dependency

    from pyclassify.classifier import Classifier, Prediction

log = logging.getLogger(__name__)

LABELS_SHOWN = 5
SURE = 0.994
"""The browser shows whole percent, and would round what is above up to certainty."""

BATCHES_AT_ONCE = 2
"""One is computed while the pictures of the next are decoded and its answers sent."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one question: a prediction, or a problem in words.

    Plain data, because on hosts that lend a GPU per call the question is answered in another process.
    """

    prediction: Prediction | None = None
    milliseconds: float = 0.0
    device: str = ""
    problem: str = ""


Ask = Callable[[str, list[str]], list[Outcome]]

Read = Callable[[Any], "str | None"]
"""From what a visitor sent to what a classifier takes; None where nothing was sent. Raises InputError."""


def asker(classifiers: Mapping[str, Classifier]) -> Ask:
    """A function that puts inputs to the named classifier together and never raises; one outcome per input."""

    def ask(name: str, items: list[str]) -> list[Outcome]:
        classifier = classifiers.get(name) if isinstance(name, str) else None
        if classifier is None:  # a program's mistake, or a page that was open while the server changed
            return [Outcome(problem=wording.unknown_checkpoint(name, list(classifiers)))] * len(items)
        start = time.perf_counter()
        found = _predict(classifier, items)
        milliseconds, device = 1000 * (time.perf_counter() - start), str(classifier.device)
        return [
            Outcome(problem=each) if isinstance(each, str) else Outcome(each, milliseconds, device) for each in found
        ]

    return ask


def _predict(classifier: Classifier, items: list[str]) -> list[Prediction | str]:
    """A prediction or a problem per input; one that cannot be answered is found by asking the halves anew."""
    try:
        return list(classifier.predict(items))
    except Exception as error:
        if len(items) > 1:
            half = len(items) // 2
            return [*_predict(classifier, items[:half]), *_predict(classifier, items[half:])]
        if isinstance(error, InputError):
            return [wording.sentence(str(error))]
        log.exception("checkpoint %s failed", classifier.name)
        return [wording.UNEXPECTED]


def outcomes(ask: Ask, values: Sequence[Any], names: Sequence[str], read: Read) -> list[Outcome | None]:
    """Ask each named classifier once for all that is meant for it.

    Args:
        ask: from `asker`.
        values: what visitors sent, one each.
        names: the checkpoint that each of them chose.
        read: makes an input of a value.

    Returns:
        One per value, in the same order; None where nothing was sent.
    """
    found: list[Outcome | None] = [None] * len(values)
    inputs: dict[str, dict[int, str]] = {}
    for position, (value, name) in enumerate(zip(values, names, strict=True)):
        try:
            item = read(value)
        except InputError as error:
            found[position] = Outcome(problem=str(error))
        else:
            if item is not None:
                inputs.setdefault(str(name), {})[position] = item
    for name, items in inputs.items():
        for position, outcome in zip(items, ask(name, list(items.values())), strict=True):
            found[position] = outcome
    return found


def as_json(found: Sequence[Outcome | None], names: Sequence[str], *, missing: str) -> tuple[list[dict[str, Any]]]:
    """The answers of an endpoint, as the column that Gradio expects of a batch.

    Args:
        found: from `outcomes`.
        names: the checkpoint of each.
        missing: the problem where nothing was sent.
    """
    return ([_as_json(each or Outcome(problem=missing), name) for each, name in zip(found, names, strict=True)],)


def _as_json(outcome: Outcome, checkpoint: str) -> dict[str, Any]:
    if outcome.prediction is None:
        return {PROBLEM: outcome.problem}
    return {
        "label": outcome.prediction.label,
        "probabilities": dict(outcome.prediction.probabilities),
        "known": outcome.prediction.known,
        "labels_set": list(outcome.prediction.labels_set),
        "message": outcome.prediction.message(),
        "milliseconds": round(outcome.milliseconds, 2),
        "notes": list(outcome.prediction.notes),
        "checkpoint": checkpoint,
    }


@dataclass(frozen=True, slots=True)
class AnswerPanel:
    """The right half of a tab: the ranked answer with remarks and reasons, the menu of checkpoints and a line on it."""

    answer: gr.Label
    remarks: gr.HTML
    ask: gr.Button
    labels: gr.Dropdown
    why: gr.HTML
    menu: gr.Dropdown
    about: gr.HTML

    @property
    def outputs(self) -> list[Any]:
        """What an event that answers fills, in the order of `shown`; the reasons for what was before go."""
        return [self.answer, self.remarks, self.why]


def answer_panel(classifiers: Mapping[str, Classifier], *, waiting: str) -> AnswerPanel:
    """Draw the panel where the page stands now."""
    names = list(classifiers)
    rows = min(LABELS_SHOWN, max(len(each.labels) for each in classifiers.values()))
    with gr.Group():
        # The class reserves the height of the longest answer, so that nothing jumps when it comes.
        answer = gr.Label(label=wording.ANSWER, num_top_classes=LABELS_SHOWN, elem_classes=["answer", f"rows-{rows}"])
        remarks = gr.HTML(_said(waiting), elem_classes="remarks", padding=False)
        with gr.Row(elem_classes="ask", equal_height=True):
            ask = gr.Button(wording.WHY, size="sm", scale=0, min_width=96)
            labels = gr.Dropdown(
                label_choices(classifiers[names[0]].labels),
                value="",
                label=wording.WHY_LABEL,
                container=False,
                scale=1,
                min_width=140,
            )
        why = gr.HTML(elem_classes="reasons", padding=False)
    with gr.Group():
        menu = gr.Dropdown(names, value=names[0], label=wording.CHECKPOINT, info=wording.CHECKPOINT_HINT)
        about = gr.HTML(_about(classifiers[names[0]]), elem_classes="about", padding=False)
    menu.change(
        lambda name: _about(classifiers[name]),
        menu,
        about,
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )
    return AnswerPanel(answer, remarks, ask, labels, why, menu, about)


def label_choices(labels: Sequence[str]) -> list[tuple[str, str | int | float]]:
    """The answer, whatever it is, and every label, as what is shown and what is sent."""
    return [(wording.THE_ANSWER, ""), *((label, label) for label in labels)]


def answer_events(
    triggers: Sequence[Callable[..., Dependency]],
    source: gr.Image | gr.Textbox,
    panel: AnswerPanel,
    *,
    answer: Callable[..., tuple[list[Any], ...]],
    endpoint: Callable[..., tuple[list[Any]]],
    description: str,
    show_progress: Literal["minimal", "hidden"],
    max_batch: int,
) -> list[Dependency]:
    """Answer whenever the input or the checkpoint changes, and offer the same to programs under the endpoint's name.

    Gradio prepares neither what comes in, which is put into words here if it cannot be used, nor what goes out, each of
    which it would hand to another thread. Both functions take a list per input and return a list per output, with all
    that waited when the processor became free.
    """
    inputs = [source, panel.menu]
    # All events that run a model wait in one line, so that many visitors share the processor fairly.
    one_line: dict[str, Any] = {
        "concurrency_id": "models",
        "concurrency_limit": BATCHES_AT_ONCE if max_batch > 1 else 1,
        "batch": True,
        "max_batch_size": max_batch,
    }
    on_the_page = gr.on(
        [*triggers, panel.menu.change],
        answer,
        inputs,
        panel.outputs,
        preprocess=False,
        postprocess=False,
        show_progress=show_progress,
        show_progress_on=panel.answer,
        trigger_mode="always_last",
        api_visibility="private",
        **one_line,
    )
    for_programs = gr.on(
        [],
        endpoint,
        inputs,
        gr.JSON(visible=False),
        preprocess=False,
        postprocess=False,
        api_name=endpoint.__name__,
        api_description=description,
        **one_line,
    )
    return [on_the_page, for_programs]


def shown(found: Sequence[Outcome | None], *, waiting: str) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    """The ranked lists, the remarks under them and no reasons yet, as columns; without an outcome the panel waits."""
    rows = [(_ranked(each.prediction), _remarks(each)) if each else (_ranked(None), _said(waiting)) for each in found]
    return [ranked for ranked, _ in rows], [remarks for _, remarks in rows], [""] * len(rows)


def _ranked(prediction: Prediction | None) -> dict[str, Any]:
    """What `gr.Label` sends to the browser."""
    if prediction is None:
        return {}
    best = list(prediction.probabilities.items())[:LABELS_SHOWN]
    return {
        "label": wording.UNKNOWN if prediction.known is False else prediction.label,
        "confidences": [{"label": name, "confidence": min(share, SURE)} for name, share in best],
    }


def _remarks(outcome: Outcome) -> str:
    if outcome.prediction is None:
        return problem(outcome.problem)
    said = [wording.small_print(outcome.device, outcome.milliseconds), *map(wording.sentence, outcome.prediction.notes)]
    if outcome.prediction.known is False:
        said.insert(0, wording.NEAREST)
    return f'<p class="message">{escape(outcome.prediction.message())}</p>' + "".join(map(_said, said))


def problem(said: str) -> str:
    """What went wrong, as HTML that is read out at once."""
    return f'<p class="problem" role="alert">{escape(said)}</p>'


def notice(heading: str, lines: Mapping[str, str]) -> str:
    """A box that names what does not work, as HTML."""
    items = "".join(f"<li><strong>{escape(name)}</strong>: {escape(said)}</li>" for name, said in lines.items())
    return f'<div class="notice" role="status"><p>{escape(heading)}</p><ul>{items}</ul></div>'


def empty_tab(kind: str) -> None:
    """Draw a tab without a checkpoint: which command makes one."""
    said, command = wording.no_checkpoint(kind)
    gr.HTML(f'<div class="no-checkpoint"><p>{escape(said)}</p><pre><code>{escape(command)}</code></pre></div>')


def _said(sentence: str) -> str:
    return f"<p>{escape(sentence)}</p>"


def _about(classifier: Classifier) -> str:
    return _said(wording.about(classifier.info))
