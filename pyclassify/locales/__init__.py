"""Every sentence that a person reads, by key and language.

The sentences stand in `en.json` and `ko.json`, nested by section and flattened to keys with dots, such as
`errors.picture_too_large`. A sentence may have fields in braces (`str.format`). One with a field `count` may have
plural forms: `{"one": "{count} picture", "other": "{count} pictures"}`. A new language is one file and its code in
`LANGUAGES`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from numbers import Integral
from pathlib import PurePath
from typing import Any, Final

LANGUAGES: Final = ("en", "ko")
DEFAULT: Final = "en"

_PLURAL_FORMS: Final = frozenset({"zero", "one", "two", "few", "many", "other"})

Sentence = str | Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Message:
    """A sentence that is not written out yet: its key and the values of its fields.

    Args:
        key: in the locale files, such as "notes.first_frame_only".
        fields: plain values, or messages.
    """

    key: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    def text(self, language: str = DEFAULT) -> str:
        """Write the sentence in a language."""
        return text(self.key, language, **self.fields)

    def __str__(self) -> str:
        return self.text()


@cache
def sentences(language: str) -> Mapping[str, Sentence]:
    """Return all sentences of a language by key.

    Raises:
        ValueError: the language is not one of LANGUAGES.
    """
    if language not in LANGUAGES:
        raise ValueError(f"language must be one of {', '.join(LANGUAGES)}, got {language!r}")
    content = files(__name__).joinpath(f"{language}.json").read_text(encoding="utf-8")
    return dict(_flatten("", json.loads(content)))


def _flatten(prefix: str, node: Mapping[str, Any]) -> list[tuple[str, Sentence]]:
    pairs: list[tuple[str, Sentence]] = []
    for name, value in node.items():
        if isinstance(value, str) or value.keys() <= _PLURAL_FORMS:
            pairs.append((f"{prefix}{name}", value))
        else:
            pairs += _flatten(f"{prefix}{name}.", value)
    return pairs


def text(key: str, language: str = DEFAULT, /, **fields: Any) -> str:
    """Write a sentence.

    Whole numbers are grouped as the language does it, sequences become lists with commas, and messages are written in
    the same language. Other numbers must be formatted by the caller, with `number` or `percent`.

    Args:
        key: in the locale files.
        language: one of LANGUAGES.
        fields: values for the braces of the sentence.

    Raises:
        KeyError: there is no such sentence, or a field is missing.
        TypeError: a field is a float.
        ValueError: the language is not one of LANGUAGES.
    """
    sentence = sentences(language)[key]
    if not isinstance(sentence, str):
        form = _locale(language).plural_form(fields["count"])
        sentence = sentence.get(form) or sentence["other"]
    return sentence.format(**{name: _formatted(value, language) for name, value in fields.items()})


def _formatted(value: Any, language: str) -> str:
    match value:
        case str() | PurePath():
            return str(value)
        case bool() | float():
            raise TypeError(f"format {value!r} before it goes into a sentence")
        case Integral():  # numpy's too
            return number(int(value), language)
        case Message():
            return value.text(language)
        case Sequence():
            return ", ".join(_formatted(item, language) for item in value)
        case _:
            return str(value)


def number(value: float, language: str = DEFAULT, *, digits: int = 0) -> str:
    """Write a number with so many decimals, grouped as the language does it."""
    from babel.numbers import format_decimal

    return format_decimal(value, format=f"#,##0.{'0' * digits}" if digits else "#,##0", locale=_locale(language))


def percent(share: float, language: str = DEFAULT, *, digits: int | None = None) -> str:
    """Write a share from 0 to 1 in percent.

    Args:
        share: from 0 to 1.
        language: one of LANGUAGES.
        digits: decimals; without them, whole percent that are never rounded up to certainty nor down to impossibility,
            as in "over 99%".
    """
    if digits is None:
        if share > 0.99:
            return text("percent.over", language, percent=percent(0.99, language, digits=0))
        if share < 0.01:
            return text("percent.under", language, percent=percent(0.01, language, digits=0))
        share, digits = math.floor(100 * share + 0.5) / 100, 0
    from babel.numbers import format_percent

    return format_percent(share, format=f"#,##0.{'0' * digits}%" if digits else "#,##0%", locale=_locale(language))


def alternatives(items: Sequence[str], language: str = DEFAULT) -> str:
    """Join items by commas and "or"."""
    from babel.lists import format_list

    return format_list(list(items), style="or", locale=_locale(language))


@cache
def _locale(language: str) -> Any:
    from babel import Locale

    return Locale.parse(language)
