"""How a checkpoint and its labels are called on the page: by the names that they were given, else by their own.

Programs get the labels as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gradio.i18n import I18nData

from pyclassify.ui.wording import Said, fixed
from pyclassify.ui.wording.en import English

if TYPE_CHECKING:  # only the names: the page works with whatever honours them, and never imports torch
    from pyclassify.classifier import Classifier, Prediction


def title(name: str, info: Mapping[str, Any], words: type[English]) -> str:
    """What a checkpoint tells, in a few words.

    Args:
        name: of its folder, which stands in where it has no title.
        info: its config.json.
        words: of the language; where the title is in the other one alone, it is that.
    """
    given = _given(info, "title")
    found = next((given[code] for code in (words.CODE, *given) if isinstance(given.get(code), str)), "")
    return found.strip() or name


def titles(classifiers: Mapping[str, Classifier], words: type[English]) -> dict[str, str]:
    """Title by name; where two checkpoints have the same one, their names stand behind it."""
    plain = {name: title(name, each.info, words) for name, each in classifiers.items()}
    return {name: f"{each} ({name})" if list(plain.values()).count(each) > 1 else each for name, each in plain.items()}


def choices(classifiers: Mapping[str, Classifier]) -> list[tuple[I18nData, str]]:
    """Of a menu of checkpoints: titles, in the language of the page, and the names behind them."""

    def called(name: str) -> Said:
        return lambda words: titles(classifiers, words)[name]

    return [(fixed(called(name)), name) for name in classifiers]


def label_names(info: Mapping[str, Any], words: type[English]) -> dict[str, str]:
    """The name of each label; where two would be called the same, all keep their own.

    Args:
        info: the checkpoint's config.json.
        words: of the language.
    """
    labels = [str(label) for label in info.get("labels") or ()]
    given = _given(info, "label_names").get(words.CODE) or {}
    names = {label: str(given.get(label) or label) for label in labels}
    return names if len(set(names.values())) == len(names) else {label: label for label in labels}


def naming(classifier: Classifier) -> dict[str, Any]:
    """What of a config.json `label_names` reads."""
    return {"labels": list(classifier.labels), "card": {"label_names": _given(classifier.info, "label_names")}}


def label_choices(classifier: Classifier) -> list[tuple[I18nData, str]]:
    """Of a menu of labels: their names, in the language of the page, and the labels behind them."""

    def called(label: str) -> Said:
        return lambda words: label_names(naming(classifier), words)[label]

    return [(fixed(called(label)), label) for label in classifier.labels]


def renamed(prediction: Prediction, names: Mapping[str, str]) -> Prediction:
    """The same answer with its labels called by their names."""
    return replace(
        prediction,
        label=names.get(prediction.label, prediction.label),
        probabilities={names.get(label, label): share for label, share in prediction.probabilities.items()},
        labels_set=tuple(names.get(label, label) for label in prediction.labels_set),
    )


def _given(info: Mapping[str, Any], what: str) -> Mapping[str, Any]:
    found = (info.get("card") or {}).get(what)
    return found if isinstance(found, Mapping) else {}
