"""What stands around the tabs: one line on what this is, the language, and a link that leads back here."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from html import escape

import gradio as gr

from pyclassify.ui.wording import LANGUAGES, Said, fixed


@dataclass(frozen=True, slots=True)
class Frame:
    """What the tabs share.

    Attributes:
        language: of the visitor, an input of every event that answers in words.
        link: the button that copies one.
        linked: "tab.name" -> what a link to that tab brings back.
        titles: what stands on each tab.
    """

    language: gr.Radio
    link: gr.Button
    linked: dict[str, gr.Dropdown | gr.Textbox | gr.Radio] = field(default_factory=dict)
    titles: dict[gr.Tab, Said] = field(default_factory=dict)

    def tab(self, name: str, title: Said) -> gr.Tab:
        """A tab to draw in; a link knows it by its name."""
        tab = gr.Tab(fixed(title), id=name)
        self.titles[tab] = title
        return tab


def frame() -> Frame:
    """Draw the header."""
    with gr.Row(elem_id="header", equal_height=False):
        gr.HTML(
            fixed(lambda words: f"<header><h1>{escape(words.TITLE)}</h1><p>{escape(words.SUBTITLE)}</p></header>"),
            padding=False,
        )
        with gr.Row(elem_id="switches"):
            language = gr.Radio(
                [(words.NAME, code) for code, words in LANGUAGES.items()],
                value="en",
                label=fixed(lambda words: words.LANGUAGE),
                show_label=False,
                container=False,
                elem_id="language",
                min_width=0,
            )
            link = gr.Button(fixed(lambda words: words.LINK), size="sm", scale=0, min_width=120, elem_id="link")
    return Frame(language, link)


def frame_events(page: gr.Blocks, tabs: gr.Tabs, frame: Frame) -> None:
    """Bring back what the address names, and let the switch and the button work; all of it in the browser."""
    keys, linked = json.dumps(list(frame.linked)), list(frame.linked.values())
    # The browser translates what is drawn; the titles of tabs that were not opened yet it would leave as they are.
    titles = json.dumps({code: [said(words) for said in frame.titles.values()] for code, words in LANGUAGES.items()})
    page.load(
        None,
        linked,
        [frame.language, tabs, *linked, *frame.titles],
        js=f"(...values) => pyclassify.restore({keys}, values, {titles})",
        api_visibility="private",
    )
    frame.language.change(
        None,
        frame.language,
        list(frame.titles),
        js=f"(language) => pyclassify.speak(language, {titles})",
        api_visibility="private",
    )
    copied = json.dumps(
        {code: [words.LINK_COPIED, words.LINK_IN_ADDRESS, words.LINK_WITHOUT] for code, words in LANGUAGES.items()}
    )
    frame.link.click(
        None,
        linked,
        frame.link,
        js=f"(...values) => pyclassify.copy({keys}, values, {copied})",
        api_visibility="private",
    )
