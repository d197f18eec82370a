"""The header above the tabs: a line about the page, the language switch, and the button that copies a link."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import gradio as gr
from gradio.i18n import I18nData

from pyclassify.locales import DEFAULT, LANGUAGES
from pyclassify.ui.i18n import TITLE, Translations, say


@dataclass(frozen=True, slots=True)
class Header:
    """The header, and what the tabs add to it.

    Args:
        language: of the visitor, an input of every event that writes words.
        link: the button that copies a link.
        linked: "tab.name" -> component whose value a link to that tab brings back.
        titles: of the tabs, as keys in the locale files.
    """

    language: gr.Radio
    link: gr.Button
    linked: dict[str, gr.Dropdown | gr.Textbox | gr.Radio] = field(default_factory=dict)
    titles: dict[gr.Tab, str] = field(default_factory=dict)

    def tab(self, name: str, title: I18nData) -> gr.Tab:
        """Make a tab to draw in; links know it by its name.

        Args:
            name: such as "image".
            title: from `Translations.fixed`, without fields.
        """
        tab = gr.Tab(title, id=name)
        self.titles[tab] = title.key
        return tab

    def connect(self, page: gr.Blocks, tabs: gr.Tabs) -> None:
        """Bring back what the address names, and let the switch and the button work; all of it in the browser."""
        keys, linked = json.dumps(list(self.linked)), list(self.linked.values())
        # Gradio translates what is drawn, but not the titles of tabs that were not opened yet
        titles = json.dumps({code: [say(key, code) for key in self.titles.values()] for code in LANGUAGES})
        page.load(
            None,
            linked,
            [self.language, tabs, *linked, *self.titles],
            js=f"(...values) => pyclassify.restore({keys}, values, {titles})",
            api_visibility="private",
        )
        self.language.change(
            None,
            self.language,
            list(self.titles),
            js=f"(language) => pyclassify.speak(language, {titles})",
            api_visibility="private",
        )
        outcomes = ("copied", "in_address", "without_files")
        copied = json.dumps({code: [say(f"page.link.{key}", code) for key in outcomes] for code in LANGUAGES})
        self.link.click(
            None,
            linked,
            self.link,
            js=f"(...values) => pyclassify.copy({keys}, values, {copied})",
            api_visibility="private",
        )


def draw_header(translations: Translations) -> Header:
    """Draw the header."""
    with gr.Row(elem_id="header", equal_height=False):
        subtitle = translations.fixed("page.subtitle")
        gr.HTML(f"<header><h1>{TITLE}</h1><p>{subtitle}</p></header>", padding=False)
        with gr.Row(elem_id="switches"):
            language = gr.Radio(
                [(say("page.own_name", code), code) for code in LANGUAGES],
                value=DEFAULT,
                label=translations.fixed("page.language"),
                show_label=False,
                container=False,
                elem_id="language",
                min_width=0,
            )
            link = gr.Button(
                translations.fixed("page.link.copy"),
                size="sm",
                scale=0,
                min_width=120,
                elem_id="link",
            )
    return Header(language, link)
