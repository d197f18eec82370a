"""Run the requests that wait through a classifier, and write the answers as plain data."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pyclassify.batch.run import predict_each
from pyclassify.errors import InputError
from pyclassify.locales import LANGUAGES, Message
from pyclassify.ui.i18n import language_of, renamed

if TYPE_CHECKING:  # the page never imports torch
    from pyclassify.classifier import Classifier, Prediction

BATCHES_AT_ONCE: Final = 2
"""One is computed while the inputs of the next are decoded and its answers sent."""

PROBLEM: Final = "problem"
"""The only key of an answer that is sent as an error."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The prediction for one input, or the problem with it.

    Plain data, because on hosts that lend a GPU per call the classifier runs in another process.

    Args:
        prediction: None if there is a problem.
        milliseconds: that the classifier took for all inputs of the call together.
        device: that it ran on.
        problem: None if there is a prediction.
        label_names: by language, what the page calls the labels.
    """

    prediction: Prediction | None = None
    milliseconds: float = 0.0
    device: str = ""
    problem: Message | None = None
    label_names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def named(self, language: str) -> Prediction | None:
        """Return the prediction with its labels called as they are in a language."""
        return self.prediction and renamed(self.prediction, self.label_names.get(language, {}))


Ask = Callable[[str, list[Any]], list[Outcome]]
"""From the name of a checkpoint and inputs to one outcome per input; never raises."""

Read = Callable[[Any], "str | None"]
"""From what a visitor sent to an input of a classifier; None if nothing was sent. Raises InputError."""


def unknown_checkpoint(name: object, classifiers: Mapping[str, Classifier]) -> Message:
    """Return the problem with a request for a checkpoint that is not on the page."""
    return InputError("no_such_checkpoint", name=str(name), checkpoints=list(classifiers)).message


def make_ask(classifiers: Mapping[str, Classifier]) -> Ask:
    """Make a function that runs inputs through the classifier of a name, all of them together."""

    def ask(name: str, items: list[Any]) -> list[Outcome]:
        classifier = classifiers.get(name) if isinstance(name, str) else None
        if classifier is None:  # a program's mistake, or a page that was open while the server changed
            return [Outcome(problem=unknown_checkpoint(name, classifiers))] * len(items)
        start = time.perf_counter()
        answers = predict_each(classifier, items)
        elapsed_ms, device = 1000 * (time.perf_counter() - start), str(classifier.device)
        names = {language: classifier.manifest.label_names(language) for language in LANGUAGES}
        return [
            Outcome(problem=answer)
            if isinstance(answer, Message)
            else Outcome(answer, elapsed_ms, device, label_names=names)
            for answer in answers
        ]

    return ask


def outcomes(ask: Ask, values: Sequence[Any], names: Sequence[str], read: Read) -> list[Outcome | None]:
    """Ask each checkpoint once for all that is meant for it.

    Args:
        ask: from `make_ask`.
        values: what visitors sent, one each.
        names: the checkpoint that each of them chose.
        read: makes an input of a value.

    Returns:
        One per value, in the same order; None where nothing was sent.
    """
    results: list[Outcome | None] = [None] * len(values)
    inputs: dict[str, dict[int, str]] = {}
    for position, (value, name) in enumerate(zip(values, names, strict=True)):
        try:
            item = read(value)
        except InputError as error:
            results[position] = Outcome(problem=error.message)
        else:
            if item is not None:
                inputs.setdefault(str(name), {})[position] = item
    for name, items in inputs.items():
        for position, outcome in zip(items, ask(name, list(items.values())), strict=True):
            results[position] = outcome
    return results


def as_json(
    results: Sequence[Outcome | None], names: Sequence[str], languages: Sequence[Any], *, missing: str
) -> tuple[list[dict[str, Any]]]:
    """Write the answers of an endpoint as the column that Gradio expects of a batch.

    Args:
        results: from `outcomes`.
        names: the checkpoint of each.
        languages: that each is answered in.
        missing: code of the error if nothing was sent.
    """
    nothing = Outcome(problem=InputError(missing).message)
    rows = zip(results, names, languages, strict=True)
    return ([_as_json(outcome or nothing, name, language_of(language)) for outcome, name, language in rows],)


def _as_json(outcome: Outcome, checkpoint: str, language: str) -> dict[str, Any]:
    prediction = outcome.prediction
    if prediction is None:
        assert outcome.problem is not None
        return {PROBLEM: outcome.problem.text(language)}
    return {
        "label": prediction.label,
        "probabilities": dict(prediction.probabilities),
        "known": prediction.known,
        "prediction_set": list(prediction.prediction_set),
        "message": prediction.message(language),
        "milliseconds": round(outcome.milliseconds, 2),
        "notes": [note.text(language) for note in prediction.notes],
        "checkpoint": checkpoint,
    }
