"""What the tabs share: the answer, the menu of checkpoints, and the events that fill them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal

import gradio as gr

from pyclassify.message import percent
from pyclassify.ui.asking import BATCHES_AT_ONCE, Outcome
from pyclassify.ui.naming import choices, label_choices, label_names, naming
from pyclassify.ui.programs import ANSWER
from pyclassify.ui.wording import Said, fixed, words
from pyclassify.ui.wording.en import English

if TYPE_CHECKING:  # only the names: the page works with whatever honours them, and never imports torch
    from gradio.events import Dependency

    from pyclassify.classifier import Classifier, Prediction

LABELS_SHOWN = 5
NEAREST_NAMED = 2
LEAST_SHOWN = 0.005
"""Of a label below the first: the browser would round what is less to nothing."""

SURE = 0.994
"""The browser shows whole percent, and would round what is above up to certainty."""


@dataclass(frozen=True, slots=True)
class AnswerPanel:
    """The right half of a tab: the ranked answer with remarks, and the reasons on demand."""

    answer: gr.Label
    remarks: gr.HTML
    ask: gr.Button
    labels: gr.Dropdown
    why: gr.HTML

    @property
    def said(self) -> list[Any]:
        """The first of the outputs: what is in words."""
        return self.outputs[:2]

    @property
    def outputs(self) -> list[Any]:
        """What an event that answers fills, in the order of `shown`; the reasons for what was before go."""
        return [self.answer, self.remarks, self.why, self.labels]


def answer_panel(classifiers: Mapping[str, Classifier], *, asked: str, waiting: Said) -> AnswerPanel:
    """Draw the panel where the page stands now, for what is asked: a "picture" or a "text"."""
    first = next(iter(classifiers.values()))
    with gr.Group(elem_classes="answering"):
        answer, remarks = _answer(classifiers, waiting)
        with gr.Row(elem_classes="ask", equal_height=True):
            ask = gr.Button(fixed(lambda words: words.WHY), size="sm", scale=0, min_width=96)
            labels = gr.Dropdown(
                label_choices(first),
                value=None,
                label=fixed(lambda words: words.WHY_LABEL),
                container=False,
                scale=1,
                min_width=140,
            )
        why = gr.HTML(elem_classes=["reasons", "live"], padding=False, elem_id=f"why-{asked}")
    return AnswerPanel(answer, remarks, ask, labels, why)


def answer_box(classifiers: Mapping[str, Classifier], *, waiting: Said) -> tuple[gr.Label, gr.HTML]:
    """Draw the ranked answer and the remarks under it, without the question why."""
    with gr.Group():
        return _answer(classifiers, waiting)


def _answer(classifiers: Mapping[str, Classifier], waiting: Said) -> tuple[gr.Label, gr.HTML]:
    rows = min(LABELS_SHOWN, max(len(each.labels) for each in classifiers.values()))
    # The class reserves the height of the longest answer, so that nothing jumps when it comes.
    answer = gr.Label(
        label=fixed(lambda words: words.ANSWER),
        num_top_classes=LABELS_SHOWN,
        elem_classes=["answer", f"rows-{rows}"],
    )
    return answer, gr.HTML(fixed(lambda words: _said(waiting(words))), elem_classes=["remarks", "live"], padding=False)


def checkpoint_menu(classifiers: Mapping[str, Classifier], language: gr.Radio) -> gr.Dropdown:
    """Draw the menu of checkpoints with a line on the one that is chosen."""
    names = list(classifiers)
    with gr.Group(elem_classes="checkpoint"):
        menu = gr.Dropdown(
            choices(classifiers),
            value=names[0],
            label=fixed(lambda words: words.CHECKPOINT),
        )
        first = classifiers[names[0]]
        about = gr.HTML(fixed(lambda words: _about(first, words)), elem_classes="about", padding=False)
    gr.on(
        [menu.change, language.input],
        lambda name, language: _about(classifiers[name], words(language)),
        [menu, language],
        about,
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )
    return menu


def answer_events(
    triggers: Sequence[Callable[..., Dependency]],
    source: gr.Image | gr.Textbox,
    menu: gr.Dropdown,
    language: gr.Radio,
    panel: AnswerPanel,
    *,
    answer: Callable[..., tuple[list[Any], ...]],
    endpoint: Callable[..., tuple[list[Any]]],
    show_progress: Literal["minimal", "hidden"],
    max_batch: int,
) -> list[Dependency]:
    """Answer whenever the input or the checkpoint changes, and offer the same to programs under the endpoint's name.

    Gradio prepares neither what comes in, which is put into words here if it cannot be used, nor what goes out, each of
    which it would hand to another thread. Both functions take a list per input and return a list per output, with all
    that waited when the processor became free. What the endpoint's docstring says is what programs are told.
    """
    inputs = [source, menu, language]
    # All events that run a model wait in one line, so that many visitors share the processor fairly.
    one_line: dict[str, Any] = {
        "concurrency_id": "models",
        "concurrency_limit": BATCHES_AT_ONCE if max_batch > 1 else 1,
        "batch": True,
        "max_batch_size": max_batch,
    }
    on_the_page: dict[str, Any] = {
        "preprocess": False,
        "postprocess": False,
        "show_progress": show_progress,
        "show_progress_on": panel.answer,
        "trigger_mode": "always_last",
        "api_visibility": "private",
        **one_line,
    }
    answered = gr.on([*triggers, menu.change], answer, inputs, panel.outputs, js=latest(source), **on_the_page)
    # the same in another language; the reasons stay, and are said anew as well
    spoken = language.input(lambda *columns: answer(*columns)[: len(panel.said)], inputs, panel.said, **on_the_page)
    answers = gr.JSON(visible=False, label="answer")
    answers.api_info = lambda: ANSWER  # type: ignore[method-assign]
    for_programs = gr.on(
        [],
        endpoint,
        inputs,
        answers,
        preprocess=False,
        postprocess=False,
        api_name=endpoint.__name__,
        **one_line,
    )
    return [answered, spoken, for_programs]


def latest(source: gr.Image | gr.Textbox) -> str:
    """What the browser does before an event of an input asks: of changes at the same time, the last one counts."""
    return f"(...values) => pyclassify.latest({source.elem_id!r}, values)"


def shown(
    found: Sequence[Outcome | None], languages: Sequence[Any], *, waiting: Said
) -> tuple[list[dict[str, Any]], list[str], list[str], list[dict[str, Any]]]:
    """The ranked lists, the remarks under them, no reasons yet and the label to ask about, as columns.

    Args:
        found: from `outcomes`; without an outcome the panel waits.
        languages: of each who asked.
        waiting: what the panel says as long as nothing was sent.
    """
    given = [(each, words(language)) for each, language in zip(found, languages, strict=True)]
    ranked = [_ranked(each.said_in(said) if each else None, said) for each, said in given]
    remarks = [_remarks(each, said) if each else _said(waiting(said)) for each, said in given]
    asked = [_asked(each.prediction if each else None) for each in found]
    return ranked, remarks, [""] * len(given), asked


def _asked(prediction: Prediction | None) -> dict[str, Any]:
    """Reasons are for the likeliest label until another one is picked."""
    return {"__type__": "update", "value": prediction.label if prediction else None}


def _ranked(prediction: Prediction | None, words: type[English]) -> dict[str, Any]:
    """What `gr.Label` sends to the browser; the heading is the answer in words."""
    if prediction is None:
        return {}
    if prediction.known is False:  # bars would say the opposite
        return {"label": words.UNKNOWN, "confidences": []}
    best = list(prediction.probabilities.items())[:LABELS_SHOWN]
    drawn = [(name, min(share, SURE)) for name, share in best if share >= LEAST_SHOWN or name == prediction.label]
    return {
        "label": prediction.message(words.CODE).rstrip("."),
        "confidences": [{"label": name, "confidence": share} for name, share in drawn],
    }


def _remarks(outcome: Outcome, words: type[English]) -> str:
    prediction = outcome.said_in(words)
    if prediction is None:
        return problem(words.sentence(outcome.problem))
    said = [words.small_print(outcome.device, outcome.milliseconds), *map(words.sentence, prediction.notes)]
    if prediction.known is not False:
        return "".join(map(_said, said))
    doubt = f'<p class="message">{escape(words.UNLIKE)}</p>'
    best = list(prediction.probabilities.items())[:NEAREST_NAMED]
    nearest = [(name, percent(share, language=words.CODE)) for name, share in best if share >= LEAST_SHOWN]
    return doubt + "".join(map(_said, [words.nearest(nearest), *said]))


def problem(said: str) -> str:
    """What went wrong, as HTML that is read out at once."""
    return f'<p class="problem" role="alert">{escape(said)}</p>'


def notice(broken: Mapping[str, str]) -> None:
    """Draw a box that names what does not work."""
    items = "".join(f"<li><strong>{escape(name)}</strong>: {escape(said)}</li>" for name, said in broken.items())
    frame = '<div class="notice" role="status"><p>{}</p><ul>{}</ul></div>'
    gr.HTML(fixed(lambda words: frame.format(escape(words.BROKEN_HEADING), items)), padding=False)


def empty_tab(kind: str) -> None:
    """Draw a tab without a checkpoint: which command makes one."""
    gr.HTML(fixed(lambda words: _with_command(*words.no_checkpoint(kind))))


def too_few_box(kind: str, names: list[str]) -> None:
    """Draw what stands where two checkpoints of a kind are needed and are not there."""
    gr.HTML(fixed(lambda words: _with_command(words.too_few(kind, names), words.no_checkpoint(kind)[1])))


def _with_command(said: str, command: str) -> str:
    return f'<div class="no-checkpoint"><p>{escape(said)}</p><pre><code>{escape(command)}</code></pre></div>'


def _about(classifier: Classifier, words: type[English]) -> str:
    return _said(words.brief(classifier.info, list(label_names(naming(classifier), words).values())))


def _said(sentence: str) -> str:
    return f"<p>{escape(sentence)}</p>"
