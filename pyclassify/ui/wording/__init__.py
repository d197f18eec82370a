"""Every word of the page, in one file per language.

What is always the same is translated in the browser by Gradio, from a table that the page hands over at its launch;
what depends on an input is said on the server, in the language that came with the request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Final

import gradio as gr
from gradio.i18n import I18nData

from pyclassify.ui.wording.en import English
from pyclassify.ui.wording.ko import Korean

LANGUAGES: Final[Mapping[str, type[English]]] = {"en": English, "ko": Korean}

Said = Callable[[type[English]], str]
"""What to say, of the words of one language."""

_fixed: dict[str, dict[str, str]] = {language: {} for language in LANGUAGES}


def words(language: object) -> type[English]:
    """The words of a language; English where it is none of ours."""
    return LANGUAGES.get(language, English) if isinstance(language, str) else English


def fixed(said: Said) -> I18nData:
    """Words that the browser translates; for what does not change while the page is open."""
    spoken = {language: said(each) for language, each in LANGUAGES.items()}
    key = "pyclassify-" + hashlib.sha256("\0".join(spoken.values()).encode()).hexdigest()[:16]
    for language, each in spoken.items():
        _fixed[language][key] = each
    return I18nData(key)


def table() -> gr.I18n:
    """All that `fixed` was asked for, for `launch`."""
    return gr.I18n(**_fixed)
