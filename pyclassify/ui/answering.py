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

if TYPE_CHECKING:  # only the names: the page works with whatever honours them, and never imports torch
    from gradio.events import Dependency

    from pyclassify.classifier import Classifier, Prediction

log = logging.getLogger(__name__)

LABELS_SHOWN = 5

# All events that run a model wait in one line, so that many visitors share the processor fairly.
ONE_LINE: dict[str, Any] = {"concurrency_id": "models", "concurrency_limit": 2}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one question: a prediction, or a problem in words.

    Plain data, because on hosts that lend a GPU per call the question is answered in another process.
    """

    prediction: Prediction | None = None
    milliseconds: float = 0.0
    device: str = ""
    problem: str = ""


Ask = Callable[[str, str], Outcome]


def asker(classifiers: Mapping[str, Classifier]) -> Ask:
    """A function that puts one input to the named classifier and never raises."""

    def ask(name: str, item: str) -> Outcome:
        classifier = classifiers.get(name) if isinstance(name, str) else None
        if classifier is None:  # a program's mistake, or a page that was open while the server changed
            return Outcome(problem=wording.unknown_checkpoint(name, list(classifiers)))
        start = time.perf_counter()
        try:
            (prediction,) = classifier.predict([item])
        except InputError as error:
            return Outcome(problem=wording.sentence(str(error)))
        except Exception:
            log.exception("checkpoint %s failed", name)
            return Outcome(problem=wording.UNEXPECTED)
        return Outcome(prediction, 1000 * (time.perf_counter() - start), str(classifier.device))

    return ask


def as_json(outcome: Outcome, checkpoint: str) -> dict[str, Any]:
    """The answer of an endpoint.

    Raises:
        gr.Error: with the problem in words, which Gradio hands to the program that asked.
    """
    if outcome.prediction is None:
        raise gr.Error(outcome.problem, title=wording.TITLE, print_exception=False)
    return {
        "label": outcome.prediction.label,
        "probabilities": dict(outcome.prediction.probabilities),
        "milliseconds": round(outcome.milliseconds, 2),
        "notes": list(outcome.prediction.notes),
        "checkpoint": checkpoint,
    }


@dataclass(frozen=True, slots=True)
class AnswerPanel:
    """The right half of a tab: the ranked answer with remarks, the menu of checkpoints and a line about the chosen."""

    answer: gr.Label
    remarks: gr.HTML
    menu: gr.Dropdown
    about: gr.HTML

    @property
    def outputs(self) -> list[Any]:
        """What an event that answers fills, in the order of `shown`."""
        return [self.answer, self.remarks]


def answer_panel(classifiers: Mapping[str, Classifier], *, waiting: str) -> AnswerPanel:
    """Draw the panel where the page stands now."""
    names = list(classifiers)
    rows = min(LABELS_SHOWN, max(len(each.labels) for each in classifiers.values()))
    with gr.Group():
        # The class reserves the height of the longest answer, so that nothing jumps when it comes.
        answer = gr.Label(label=wording.ANSWER, num_top_classes=LABELS_SHOWN, elem_classes=["answer", f"rows-{rows}"])
        remarks = gr.HTML(_said(waiting), elem_classes="remarks", padding=False)
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
    return AnswerPanel(answer, remarks, menu, about)


def answer_events(
    triggers: Sequence[Callable[..., Dependency]],
    source: gr.Image | gr.Textbox,
    panel: AnswerPanel,
    *,
    answer: Callable[..., tuple[dict[str, float] | None, str]],
    endpoint: Callable[..., dict[str, Any]],
    description: str,
    show_progress: Literal["minimal", "hidden"],
) -> list[Dependency]:
    """Answer whenever the input or the checkpoint changes, and offer the same to programs under the endpoint's name.

    Nothing is preprocessed by Gradio: what came in is put into words here if it cannot be used.
    """
    inputs = [source, panel.menu]
    on_the_page = gr.on(
        [*triggers, panel.menu.change],
        answer,
        inputs,
        panel.outputs,
        preprocess=False,
        show_progress=show_progress,
        show_progress_on=panel.answer,
        trigger_mode="always_last",
        api_visibility="private",
        **ONE_LINE,
    )
    for_programs = gr.on(
        [],
        endpoint,
        inputs,
        gr.JSON(visible=False),
        preprocess=False,
        api_name=endpoint.__name__,
        api_description=description,
        **ONE_LINE,
    )
    return [on_the_page, for_programs]


def shown(outcome: Outcome | None, *, waiting: str) -> tuple[dict[str, float] | None, str]:
    """The ranked list and the remarks under it; without an outcome the panel waits."""
    if outcome is None:
        return None, _said(waiting)
    if outcome.prediction is None:
        return None, f'<p class="problem" role="alert">{escape(outcome.problem)}</p>'
    said = [wording.small_print(outcome.device, outcome.milliseconds), *map(wording.sentence, outcome.prediction.notes)]
    return dict(outcome.prediction.probabilities), "".join(map(_said, said))


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
