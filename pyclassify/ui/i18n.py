"""The page's words.

Fixed words are translated in the browser by Gradio, from a table that the page hands over at its launch. What depends
on an input is written on the server, in the language that comes with the request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import gradio as gr
from gradio.i18n import I18nData

from pyclassify import locales
from pyclassify.locales import DEFAULT, LANGUAGES

if TYPE_CHECKING:  # the page never imports torch
    from pyclassify.classifier import Classifier, Prediction
    from pyclassify.manifest import Manifest

TITLE: Final = "PyClassify"


def language_of(value: object) -> str:
    """Return the language that a request asks for; English if there is no such language."""
    return value if isinstance(value, str) and value in LANGUAGES else DEFAULT


def say(key: str, language: object, /, **fields: Any) -> str:
    """Write a sentence of the locale files; in English if there is no such language."""
    return locales.text(key, language_of(language), **fields)


def milliseconds(time_ms: float, language: object) -> str:
    """Write a short time; below 10 ms with one decimal."""
    return f"{locales.number(time_ms, language_of(language), digits=0 if time_ms >= 10 else 1)} ms"


class Translations:
    """The table of the words that the browser translates, filled while the page is built.

    A string may hold one translatable part, as in `f"<p>{translations.fixed('page.subtitle')}</p>"`. The browser puts
    the words in as they are, so fields and words of a checkpoint that end up in HTML must be escaped before.
    """

    def __init__(self) -> None:
        self._words: dict[str, dict[str, str]] = {language: {} for language in LANGUAGES}

    def fixed(self, key: str, /, **fields: Any) -> I18nData:
        """Return a sentence of the locale files for the browser to translate."""
        return self.add(key, {language: locales.text(key, language, **fields) for language in LANGUAGES})

    def add(self, key: str, words: Mapping[str, str]) -> I18nData:
        """Return words of a checkpoint for the browser to translate.

        Args:
            key: any, such as from `checkpoint_key`.
            words: by language, for each of LANGUAGES.

        Raises:
            ValueError: the key has other words already.
        """
        for language in LANGUAGES:
            if self._words[language].setdefault(key, words[language]) != words[language]:
                raise ValueError(f"{key} has other words in {language} already")
        return I18nData(key)

    def table(self) -> gr.I18n:
        """Return the table, for `launch`."""
        return gr.I18n(**self._words)


def checkpoint_key(name: str, *parts: str) -> str:
    """Return a key for words of a checkpoint, such as "checkpoint.cifar10.title"; the name may hold any characters."""
    return ".".join(("checkpoint", quote(name, safe="").replace(".", "%2E"), *parts))


def title(name: str, manifest: Manifest, language: str) -> str:
    """Return what the page calls a checkpoint: its title, or the name of its folder."""
    return manifest.title(language) or name


def titles(classifiers: Mapping[str, Classifier], language: str) -> dict[str, str]:
    """Return the titles of checkpoints by name, followed by the name if two have the same title."""
    plain = {name: title(name, classifier.manifest, language) for name, classifier in classifiers.items()}
    taken = list(plain.values())
    return {name: f"{words} ({name})" if taken.count(words) > 1 else words for name, words in plain.items()}


def checkpoint_choices(classifiers: Mapping[str, Classifier], translations: Translations) -> list[tuple[I18nData, str]]:
    """Return the choices of a menu of checkpoints: translated titles, and the names as values.

    The titles depend on which other checkpoints are in the menu, so the key holds the kinds of the menu.
    """
    by_language = {language: titles(classifiers, language) for language in LANGUAGES}
    menu = "-".join(sorted({classifier.kind for classifier in classifiers.values()}))
    return [
        (
            translations.add(
                checkpoint_key(name, "title", menu), {language: by_language[language][name] for language in LANGUAGES}
            ),
            name,
        )
        for name in classifiers
    ]


def label_choices(name: str, classifier: Classifier, translations: Translations) -> list[tuple[I18nData, str]]:
    """Return the choices of a menu of labels: translated names, and the labels as values."""
    by_language = {language: classifier.manifest.label_names(language) for language in LANGUAGES}
    return [
        (
            translations.add(
                checkpoint_key(name, "label", str(number)),
                {language: by_language[language][label] for language in LANGUAGES},
            ),
            label,
        )
        for number, label in enumerate(classifier.labels)
    ]


def renamed(prediction: Prediction, names: Mapping[str, str]) -> Prediction:
    """Return the same prediction with its labels called by their names."""
    return replace(
        prediction,
        label=names.get(prediction.label, prediction.label),
        probabilities={names.get(label, label): share for label, share in prediction.probabilities.items()},
        prediction_set=tuple(names.get(label, label) for label in prediction.prediction_set),
    )
