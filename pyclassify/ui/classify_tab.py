"""The tab of a kind of input: one input, the ranked answer, and an explanation on demand.

`WIDGETS` has an object for each kind that knows how it is put in, read and explained.
"""

from __future__ import annotations

import base64
import io
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import gradio as gr
from PIL import Image

from pyclassify.batch.files import Upload
from pyclassify.errors import InputError
from pyclassify.locales import LANGUAGES, Message, percent
from pyclassify.ui.api import ANSWER
from pyclassify.ui.gradio_patches import set_api_example, set_api_schema, take_uploads_only
from pyclassify.ui.header import Header
from pyclassify.ui.i18n import (
    Translations,
    checkpoint_choices,
    checkpoint_key,
    label_choices,
    language_of,
    milliseconds,
    say,
)
from pyclassify.ui.serving import BATCHES_AT_ONCE, Ask, Outcome, as_json, outcomes, unknown_checkpoint
from pyclassify.ui.uploads import picture_path

if TYPE_CHECKING:  # the page never imports torch
    from gradio.events import Dependency

    from pyclassify.classifier import Classifier, Prediction
    from pyclassify.image.explain import ImageExplanation
    from pyclassify.text.explain import TextExplanation

log = logging.getLogger(__name__)

LABELS_SHOWN: Final = 5
LABELS_NAMED: Final = 10
"""Labels in the line about a checkpoint."""

NEAREST_NAMED: Final = 2
LEAST_SHOWN: Final = 0.005
"""Least probability of a label below the first; the browser would round a smaller one to 0%."""

MOST_SHOWN: Final = 0.994
"""The browser shows whole percent, and would round what is above up to certainty."""

SHORTEST_PX: Final = 320
LONGEST_PX: Final = 720
"""Longer side of the picture in an explanation: small ones are enlarged."""

WORDS_NAMED: Final = 5
FAINT: Final = 0.1
"""Words with less than this share of the greatest weight are left without a colour."""

EXAMPLES: Final = Path(__file__).with_name("examples")
"""The example pictures."""

# Written for this project. Each goes to the checkpoint that was trained on such texts, where the page has it.
EXAMPLE_TEXTS: Final = (
    ("sentiment", "Best pizza I have had in years."),
    (
        "sentiment",
        "I went in expecting very little and came out grinning. The two leads are a joy, and the ending is perfect.",
    ),
    (
        "sentiment",
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

Explain = Callable[[str, Any, str, str], str]
"""From a checkpoint's name, an input, a label, or "" for the likeliest, and a language to HTML; never raises."""

Columns = tuple[list[Any], ...]
"""A list per output, with an entry per request."""


# One object per kind


class InputWidget(ABC):
    """The part of the page that depends on the kind of input."""

    kind: ClassVar[str]
    show_progress: ClassVar[Literal["minimal", "hidden"]]
    in_links: ClassVar[bool]
    """True if a link holds the input."""
    events: ClassVar[tuple[str, ...]]
    """Events of the component that ask for an answer."""

    @abstractmethod
    def draw(self, elem_id: str, translations: Translations, *, small: bool = False) -> gr.Image | gr.Textbox:
        """Draw where an input is put in."""

    @abstractmethod
    def read(self, value: Any) -> str | None:
        """Return the input for a classifier; None if nothing was sent. Raises InputError."""

    @abstractmethod
    def examples(self, classifiers: Mapping[str, Classifier]) -> list[list[str]]:
        """Return rows of examples: the input, and the checkpoint for it if it fits only one."""

    @abstractmethod
    def example_uploads(self, name: str, classifier: Classifier, folder: Path) -> list[Upload]:
        """Return examples as files, some of them written to the folder."""

    @abstractmethod
    def endpoint(self, ask: Ask) -> Callable[..., tuple[list[Any]]]:
        """Return the endpoint's function; programs are told what its docstring says."""

    @abstractmethod
    def explanation(self, explanation: Any, item: str, label: str, language: str) -> str:
        """Return the HTML of an explanation.

        Args:
            explanation: of the classifier.
            item: the input.
            label: what the page calls the label.
            language: of the visitor.
        """


class ImageInput(InputWidget):
    """A picture: uploaded, dropped, pasted or taken by the camera."""

    kind = "image"
    show_progress = "minimal"  # decoding a large photo takes a moment
    in_links = False
    events = ("change",)

    def draw(self, elem_id: str, translations: Translations, *, small: bool = False) -> gr.Image:
        """Draw where a picture is dropped."""
        image = gr.Image(
            label=translations.fixed("page.input.image"),
            placeholder=str(translations.fixed("page.hint.image")),
            sources=["upload", "webcam", "clipboard"],
            type="filepath",
            image_mode=None,
            buttons=["fullscreen"],
            height=260 if small else 400,
            alt_text=str(translations.fixed("page.image_alt")),
            elem_id=elem_id,
        )
        take_uploads_only(image)
        set_api_example(image, EXAMPLES / "cat.jpg")
        return image

    def read(self, value: Mapping[str, Any] | None) -> str | None:
        """Return the path of the upload."""
        return picture_path(value) if value else None

    def examples(self, classifiers: Mapping[str, Classifier]) -> list[list[str]]:
        """Return the paths of the example pictures; any checkpoint answers them."""
        return [[str(path)] for path in sorted(EXAMPLES.glob("*.*g"))]

    def example_uploads(self, name: str, classifier: Classifier, folder: Path) -> list[Upload]:
        """Return the example pictures."""
        return [Upload(Path(path).name, Path(path)) for (path,) in self.examples({})]

    def endpoint(self, ask: Ask) -> Callable[..., tuple[list[Any]]]:
        """Return the function behind /classify_image."""

        def classify_image(picture: list[Any], checkpoint: list[str], language: list[str]) -> tuple[list[Any]]:
            """Classify one picture.

            Args:
                picture: The picture, uploaded here first; a tool takes a data: URL or the address of an upload.
                checkpoint: The model to use; by default the first one of the page.
                language: Of the message, the notes and the problems; en or ko.

            Returns:
                label, probabilities, known, prediction_set, message, milliseconds, notes and checkpoint, as JSON.
            """
            return as_json(outcomes(ask, picture, checkpoint, self.read), checkpoint, language, missing="no_picture")

        return classify_image

    def explanation(self, explanation: ImageExplanation, item: str, label: str, language: str) -> str:
        """Draw the picture, with the evidence in colour over it."""
        photo, coloured = map(_data_url, explanation.layers(item))
        alt = escape(say("page.explanation.image", language, label=label))
        fade, hint = (escape(say(f"page.explanation.{key}", language)) for key in ("fade", "hint"))
        return (
            f'<figure class="why"><div class="layers"><img alt="" src="{photo}"><img alt="{alt}" src="{coloured}">'
            f'</div><label class="fade">{fade}<input type="range" min="0" max="100" value="100"></label>'
            f"<figcaption>{_legend(label, language)}<p>{hint}</p></figcaption></figure>"
        )


class TextInput(InputWidget):
    """A text that is written or pasted."""

    kind = "text"
    show_progress = "hidden"  # it would flicker with every letter
    in_links = True
    events = ("change", "submit")

    def draw(self, elem_id: str, translations: Translations, *, small: bool = False) -> gr.Textbox:
        """Draw where a text is written; it grows to twice its lines."""
        lines = 3 if small else 8
        return gr.Textbox(
            label=translations.fixed("page.input.text"),
            placeholder=translations.fixed("page.hint.text"),
            lines=lines,
            max_lines=2 * lines,
            elem_id=elem_id,
        )

    def read(self, value: object) -> str | None:
        """Return the text, if there is something to read in it."""
        return value if isinstance(value, str) and value.strip() else None

    def examples(self, classifiers: Mapping[str, Classifier]) -> list[list[str]]:
        """Return the texts that fit a checkpoint, with its name."""
        names = {
            classifier.manifest.data.name: name
            for name, classifier in reversed(list(classifiers.items()))
            if classifier.manifest.data
        }
        names |= {name: name for name in classifiers}
        return [[text, names[data]] for data, text in EXAMPLE_TEXTS if data in names]

    def example_uploads(self, name: str, classifier: Classifier, folder: Path) -> list[Upload]:
        """Write the texts that fit the checkpoint, or all of them, to a table."""
        texts = [text for text, _ in self.examples({name: classifier})] or [text for _, text in EXAMPLE_TEXTS]
        path = folder / "examples.jsonl"
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
        return [Upload(path.name, path)]

    def endpoint(self, ask: Ask) -> Callable[..., tuple[list[Any]]]:
        """Return the function behind /classify_text."""

        def classify_text(text: list[Any], checkpoint: list[str], language: list[str]) -> tuple[list[Any]]:
            """Classify one text.

            Args:
                text: The text to classify.
                checkpoint: The model to use; by default the first one of the page.
                language: Of the message, the notes and the problems; en or ko.

            Returns:
                label, probabilities, known, prediction_set, message, milliseconds, notes and checkpoint, as JSON.
            """
            return as_json(outcomes(ask, text, checkpoint, self.read), checkpoint, language, missing="no_text")

        return classify_text

    def explanation(self, explanation: TextExplanation, item: str, label: str, language: str) -> str:
        """Mark the words of the text, and name the strongest for people who see no colours."""
        most = max((abs(weight) for *_, weight in explanation.spans), default=0.0) or 1.0
        parts, end = [], 0
        for start, stop, weight in explanation.spans:
            parts += [escape(item[end:start]), _marked(item[start:stop], weight / most)]
            end = stop
        words = "".join([*parts, escape(item[end:])])
        pro, contra = (_strongest(explanation, item, sign) for sign in (1, -1))
        summary = escape(say("page.explanation.words", language, label=label, words_for=pro, words_against=contra))
        return f'<div class="why"><p>{summary}</p><p class="words">{words}</p><p>{_legend(label, language)}</p></div>'


WIDGETS: Final[Mapping[str, InputWidget]] = {"image": ImageInput(), "text": TextInput()}
"""By kind of input, in the order of the tabs."""


# Drawing


@dataclass(frozen=True, slots=True)
class AnswerPanel:
    """The right half of the tab: the ranked answer with remarks, and the explanation on demand."""

    answer: gr.Label
    remarks: gr.HTML
    ask: gr.Button
    labels: gr.Dropdown
    why: gr.HTML

    @property
    def outputs(self) -> list[Any]:
        """Components that an answer fills, in the order of `answer_columns`; the first two hold words."""
        return [self.answer, self.remarks, self.why, self.labels]


def classify_tab(
    kind: str,
    classifiers: Mapping[str, Classifier],
    ask: Ask,
    explain: Explain,
    header: Header,
    translations: Translations,
    *,
    max_batch: int,
) -> list[Dependency]:
    """Draw the tab for at least one classifier of the kind, and return its events."""
    widget = WIDGETS[kind]
    with gr.Row(elem_classes="sides"):
        with gr.Column(min_width=320):
            source = widget.draw(kind, translations)
            menu = checkpoint_menu(classifiers, header, translations)
            draw_examples(widget.examples(classifiers), [source, menu], f"{kind}-examples", translations)
        with gr.Column(min_width=320):
            panel = _draw_panel(kind, classifiers, translations)
    header.linked[f"{kind}.checkpoint"] = menu
    if widget.in_links:
        header.linked[f"{kind}.{kind}"] = source  # type: ignore[assignment]
    return [
        *_answer_events(widget, source, menu, header, panel, ask, max_batch=max_batch),
        *_explanation_events(widget, source, menu, header, panel, classifiers, explain),
    ]


def _draw_panel(kind: str, classifiers: Mapping[str, Classifier], translations: Translations) -> AnswerPanel:
    name, first = next(iter(classifiers.items()))
    with gr.Group(elem_classes="answering"):
        answer, remarks = draw_answer(kind, classifiers, translations)
        with gr.Row(elem_classes="ask", equal_height=True):
            ask = gr.Button(translations.fixed("page.why"), size="sm", scale=0, min_width=96)
            labels = gr.Dropdown(
                label_choices(name, first, translations),
                value=None,
                label=translations.fixed("page.explanation.label"),
                container=False,
                scale=1,
                min_width=140,
            )
        why = gr.HTML(elem_classes=["reasons", "live"], padding=False, elem_id=f"why-{kind}")
    return AnswerPanel(answer, remarks, ask, labels, why)


def draw_answer(
    kind: str, classifiers: Mapping[str, Classifier], translations: Translations
) -> tuple[gr.Label, gr.HTML]:
    """Draw the ranked answer and the remarks under it."""
    rows = min(LABELS_SHOWN, max(len(classifier.labels) for classifier in classifiers.values()))
    # The class reserves the height of the longest answer, so that nothing jumps when it comes.
    answer = gr.Label(
        label=translations.fixed("page.answer"),
        num_top_classes=LABELS_SHOWN,
        elem_classes=["answer", f"rows-{rows}"],
    )
    waiting = translations.fixed(f"page.waiting.{kind}")
    return answer, gr.HTML(f"<p>{waiting}</p>", elem_classes=["remarks", "live"], padding=False)


def draw_examples(
    rows: Sequence[list[str]], components: Sequence[Any], elem_id: str, translations: Translations
) -> None:
    """Draw examples to click on, if there are any; only the input is shown of each."""
    if rows:
        gr.Examples(
            [*rows],
            [*components[: len(rows[0])]],
            label=translations.fixed("page.examples"),
            elem_id=elem_id,
            visible_columns=[0],
            api_visibility="private",
        )


def checkpoint_menu(classifiers: Mapping[str, Classifier], header: Header, translations: Translations) -> gr.Dropdown:
    """Draw the menu of checkpoints with a line about the one that is chosen."""
    first = next(iter(classifiers))
    about = {language: about_checkpoint(classifiers[first], language) for language in LANGUAGES}
    with gr.Group(elem_classes="checkpoint"):
        menu = gr.Dropdown(
            checkpoint_choices(classifiers, translations),
            value=first,
            label=translations.fixed("page.checkpoint"),
        )
        line = gr.HTML(translations.add(checkpoint_key(first, "about"), about), elem_classes="about", padding=False)
    gr.on(
        [menu.change, header.language.input],
        lambda name, language: about_checkpoint(classifiers[name], language_of(language)),
        [menu, header.language],
        line,
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )
    return menu


def about_checkpoint(classifier: Classifier, language: str) -> str:
    """Return HTML with the labels of a checkpoint and its accuracy."""
    manifest = classifier.manifest
    names = list(manifest.label_names(language).values())
    named: Any = names[:LABELS_NAMED]
    if len(names) > LABELS_NAMED:
        named = Message("page.about.more", {"labels": named, "count": len(names) - LABELS_NAMED})
    sentences = [say("page.about.labels", language, labels=named)]
    if manifest.scores:
        counted = Message(f"items.{manifest.kind}", {"count": manifest.scores.num_examples})
        share = percent(manifest.scores.accuracy, language, digits=1)
        sentences.append(say("page.about.accuracy", language, percent=share, counted=counted))
    return paragraph(" ".join(sentences))


def with_command(sentence: str, kind: str) -> str:
    """Return HTML of a sentence, which is HTML already, and the command that trains a checkpoint of a kind."""
    command = f"python -m train.{kind} --data DIR --out checkpoints/NAME"
    return f'<div class="no-checkpoint"><p>{sentence}</p><pre><code>{command}</code></pre></div>'


def paragraph(sentence: str) -> str:
    """Return a sentence as HTML."""
    return f"<p>{escape(sentence)}</p>"


def problem_html(problem: Message, language: object) -> str:
    """Return a problem as HTML that is read out at once."""
    return f'<p class="problem" role="alert">{escape(problem.text(language_of(language)))}</p>'


# Answers


def _answer_events(
    widget: InputWidget,
    source: gr.Image | gr.Textbox,
    menu: gr.Dropdown,
    header: Header,
    panel: AnswerPanel,
    ask: Ask,
    *,
    max_batch: int,
) -> list[Dependency]:
    """Answer whenever the input or the checkpoint changes, and offer the same to programs.

    Gradio prepares neither the inputs, since those that cannot be used are answered here in words, nor the outputs,
    each of which it would hand to another thread. Both functions take a list per input and return a list per output,
    with all requests that waited when the processor became free.
    """

    def answer(values: list[Any], names: list[str], languages: list[str]) -> Columns:
        return answer_columns(outcomes(ask, values, names, widget.read), languages, kind=widget.kind)

    inputs = [source, menu, header.language]
    shared: dict[str, Any] = batched(max_batch)
    on_page: dict[str, Any] = {
        "preprocess": False,
        "postprocess": False,
        "show_progress": widget.show_progress,
        "show_progress_on": panel.answer,
        "trigger_mode": "always_last",
        "api_visibility": "private",
        **shared,
    }
    triggers = [*(getattr(source, event) for event in widget.events), menu.change]
    answered = gr.on(triggers, answer, inputs, panel.outputs, js=latest(source), **on_page)
    # the same in another language; an explanation stays, and is written anew as well
    in_words = panel.outputs[:2]
    translated = header.language.input(lambda *columns: answer(*columns)[: len(in_words)], inputs, in_words, **on_page)
    output = gr.JSON(visible=False, label="answer")
    set_api_schema(output, ANSWER)
    endpoint = widget.endpoint(ask)
    for_programs = gr.on(
        [], endpoint, inputs, output, preprocess=False, postprocess=False, api_name=endpoint.__name__, **shared
    )
    return [answered, translated, for_programs]


def batched(max_batch: int) -> dict[str, Any]:
    """Return the options of events that run a model: all wait in one line, so that visitors share the processor."""
    return {
        "concurrency_id": "models",
        "concurrency_limit": BATCHES_AT_ONCE if max_batch > 1 else 1,
        "batch": True,
        "max_batch_size": max_batch,
    }


def latest(source: gr.Image | gr.Textbox) -> str:
    """Return what the browser runs before an event of an input: of changes at the same time, the last one counts."""
    return f"(...values) => pyclassify.latest({source.elem_id!r}, values)"


def answer_columns(results: Sequence[Outcome | None], languages: Sequence[Any], *, kind: str) -> Columns:
    """Write the ranked lists, the remarks under them, no explanations yet and the labels to explain, as columns.

    Args:
        results: from `outcomes`; without an outcome the panel waits for an input.
        languages: of each visitor.
        kind: of the inputs.
    """
    rows = [(outcome, language_of(language)) for outcome, language in zip(results, languages, strict=True)]
    ranked = [_ranked(outcome.named(language) if outcome else None, language) for outcome, language in rows]
    remarks = [
        _remarks(outcome, language) if outcome else paragraph(say(f"page.waiting.{kind}", language))
        for outcome, language in rows
    ]
    labels = [_label_update(outcome.prediction if outcome else None) for outcome in results]
    return ranked, remarks, [""] * len(rows), labels


def _label_update(prediction: Prediction | None) -> dict[str, Any]:
    """Choose the likeliest label for an explanation."""
    return {"__type__": "update", "value": prediction.label if prediction else None}


def _ranked(prediction: Prediction | None, language: str) -> dict[str, Any]:
    """Return what `gr.Label` sends to the browser; the heading is the answer in a sentence."""
    if prediction is None:
        return {}
    if prediction.known is False:  # bars would say the opposite
        return {"label": say("page.unknown", language), "confidences": []}
    best = [(name, prediction.shown_share(name)) for name in list(prediction.probabilities)[:LABELS_SHOWN]]
    return {
        "label": prediction.message(language).rstrip("."),
        "confidences": [
            {"label": name, "confidence": min(share, MOST_SHOWN)}
            for name, share in best
            if share is not None and (share >= LEAST_SHOWN or name == prediction.label)
        ],
    }


def _remarks(outcome: Outcome, language: str) -> str:
    prediction = outcome.named(language)
    if prediction is None:
        assert outcome.problem is not None
        return problem_html(outcome.problem, language)
    time = milliseconds(outcome.milliseconds, language)
    answered = say("page.answered", language, time=time, device=_device(outcome.device, language))
    sentences = [answered, *(note.text(language) for note in prediction.notes)]
    if prediction.known is not False:
        return "".join(map(paragraph, sentences))
    best = list(prediction.probabilities.items())[:NEAREST_NAMED]
    nearest = [_with_share(prediction, name, language) for name, share in best if share >= LEAST_SHOWN]
    unlike = f'<p class="message">{escape(say("page.unlike", language))}</p>'
    return unlike + "".join(map(paragraph, [say("page.nearest", language, labels=nearest), *sentences]))


def _with_share(prediction: Prediction, label: str, language: str) -> str:
    share = prediction.shown_share(label)
    return label if share is None else say("page.label_share", language, label=label, percent=percent(share, language))


def _device(device: str, language: str) -> str:
    """Name what computes, of torch's name for it such as "cuda:0"."""
    kind = device.partition(":")[0]
    return say(f"page.devices.{kind}", language) if kind in ("cpu", "cuda", "mps", "xpu") else device


# Explanations


def make_explain(classifiers: Mapping[str, Classifier]) -> Explain:
    """Make a function that explains the answer of the classifier of a name."""

    def explain(name: str, item: Any, label: str, language: str) -> str:
        language = language_of(language)
        classifier = classifiers.get(name) if isinstance(name, str) else None
        if classifier is None:
            return problem_html(unknown_checkpoint(name, classifiers), language)
        try:
            explanation = classifier.explain(item, label or None)
            called = classifier.manifest.label_names(language)[explanation.label]
            return WIDGETS[classifier.kind].explanation(explanation, item, called, language)
        except InputError as error:
            return problem_html(error.message, language)
        except Exception:
            log.exception("checkpoint %s could not explain its answer", name)
            return problem_html(Message("errors.unexpected"), language)

    return explain


def _explanation_events(
    widget: InputWidget,
    source: gr.Image | gr.Textbox,
    menu: gr.Dropdown,
    header: Header,
    panel: AnswerPanel,
    classifiers: Mapping[str, Classifier],
    explain: Explain,
) -> list[Dependency]:
    """Explain the answer on demand, and offer the labels of the checkpoint that is chosen."""

    def why(value: Any, name: str, label: str | None, language: str) -> str:
        try:
            item = widget.read(value)
        except InputError as error:
            return problem_html(error.message, language)
        return explain(name, item, label if isinstance(label, str) else "", language) if item is not None else ""

    def offer(name: str, language: str) -> Any:
        names = classifiers[name].manifest.label_names(language_of(language))
        return gr.update(choices=[(called, label) for label, called in names.items()])

    inputs = [source, menu, panel.labels, header.language]
    options: dict[str, Any] = {
        "preprocess": False,
        "trigger_mode": "always_last",
        "api_visibility": "private",
        "concurrency_id": "models",
        "concurrency_limit": BATCHES_AT_ONCE,
    }
    triggers = [panel.ask.click, panel.labels.input]
    asked = gr.on(triggers, why, inputs, panel.why, show_progress="minimal", **options)
    # an explanation that is shown is written anew; only the browser knows whether there is one
    translated = header.language.input(
        why,
        inputs,
        panel.why,
        js=f"(source, ...others) => [document.querySelector('#{panel.why.elem_id} .why') ? source : null, ...others]",
        show_progress="hidden",
        **options,
    )
    offered = gr.on(
        [menu.change, header.language.input],
        offer,
        [menu, header.language],
        panel.labels,
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )
    return [asked, translated, offered]


def _data_url(image: Image.Image) -> str:
    """Return a picture of a size that suits the page as a data: URL."""
    image.thumbnail((LONGEST_PX, LONGEST_PX))
    if max(image.size) < SHORTEST_PX:
        factor = SHORTEST_PX / max(image.size)
        image = image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)
    content = io.BytesIO()
    image.save(content, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"


def _marked(word: str, share: float) -> str:
    if abs(share) < FAINT:
        return escape(word)
    side = "for" if share > 0 else "against"
    return f'<span class="{side}" style="--share: {abs(share):.2f}">{escape(word)}</span>'


def _strongest(explanation: TextExplanation, text: str, sign: int) -> Message | list[Message]:
    """Return the words with the most weight on one side, each once."""
    most = max((abs(weight) for *_, weight in explanation.spans), default=0.0)
    ranked = sorted(explanation.spans, key=lambda span: -sign * span[2])
    words = dict.fromkeys(text[start:stop] for start, stop, weight in ranked if sign * weight > FAINT * most)
    quoted = [Message("page.explanation.quoted", {"word": word}) for word in list(words)[:WORDS_NAMED]]
    return quoted or Message("page.explanation.no_word")


def _legend(label: str, language: str) -> str:
    sides = (("for", 1.0), ("against", -1.0))
    return " ".join(_marked(say(f"page.explanation.{side}", language, label=label), share) for side, share in sides)
