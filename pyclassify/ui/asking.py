"""Asking a classifier for whoever waits, and the answers as plain data."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from pyclassify.errors import InputError
from pyclassify.many import predict_each
from pyclassify.ui.batching import PROBLEM
from pyclassify.ui.naming import label_names, naming, renamed
from pyclassify.ui.wording import words
from pyclassify.ui.wording.en import English

if TYPE_CHECKING:  # only the names: the page works with whatever honours them, and never imports torch
    from pyclassify.classifier import Classifier, Prediction

log = logging.getLogger(__name__)

BATCHES_AT_ONCE = 2
"""One is computed while the pictures of the next are decoded and its answers sent."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one question: a prediction, or a problem in words.

    The problem is in English, and translated where it is shown. Plain data, because on hosts that lend a GPU per call
    the question is answered in another process. `info` holds no more of the checkpoint's config.json than the names of
    its labels.
    """

    prediction: Prediction | None = None
    milliseconds: float = 0.0
    device: str = ""
    problem: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)

    def said_in(self, words: type[English]) -> Prediction | None:
        """The prediction with its labels called as they are in a language."""
        return self.prediction and renamed(self.prediction, label_names(self.info, words))


Ask = Callable[[str, list[str]], list[Outcome]]

Read = Callable[[Any], "str | None"]
"""From what a visitor sent to what a classifier takes; None where nothing was sent. Raises InputError."""


def asker(classifiers: Mapping[str, Classifier]) -> Ask:
    """A function that puts inputs to the named classifier together and never raises; one outcome per input."""

    def ask(name: str, items: list[str]) -> list[Outcome]:
        classifier = classifiers.get(name) if isinstance(name, str) else None
        if classifier is None:  # a program's mistake, or a page that was open while the server changed
            return [Outcome(problem=English.unknown_checkpoint(name, list(classifiers)))] * len(items)
        start = time.perf_counter()
        found = predict_each(classifier, items, partial(_in_words, classifier))
        milliseconds, device = 1000 * (time.perf_counter() - start), str(classifier.device)
        called = naming(classifier)
        return [
            Outcome(problem=each) if isinstance(each, str) else Outcome(each, milliseconds, device, info=called)
            for each in found
        ]

    return ask


def _in_words(classifier: Classifier, error: Exception) -> str:
    if isinstance(error, InputError):
        return str(error)
    log.error("checkpoint %s failed", classifier.name, exc_info=error)
    return English.UNEXPECTED


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


def as_json(
    found: Sequence[Outcome | None], names: Sequence[str], languages: Sequence[Any], *, missing: str
) -> tuple[list[dict[str, Any]]]:
    """The answers of an endpoint, as the column that Gradio expects of a batch.

    Args:
        found: from `outcomes`.
        names: the checkpoint of each.
        languages: in which each is answered.
        missing: the problem where nothing was sent.
    """
    given = zip(found, names, languages, strict=True)
    return ([_as_json(each or Outcome(problem=missing), name, language) for each, name, language in given],)


def _as_json(outcome: Outcome, checkpoint: str, language: Any) -> dict[str, Any]:
    said = words(language)
    if outcome.prediction is None:
        return {PROBLEM: said.sentence(outcome.problem)}
    return {
        "label": outcome.prediction.label,
        "probabilities": dict(outcome.prediction.probabilities),
        "known": outcome.prediction.known,
        "labels_set": list(outcome.prediction.labels_set),
        "message": outcome.prediction.message(said.CODE),
        "milliseconds": round(outcome.milliseconds, 2),
        "notes": [said.sentence(each) for each in outcome.prediction.notes],
        "checkpoint": checkpoint,
    }
