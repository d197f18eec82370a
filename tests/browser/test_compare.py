"""Two checkpoints side by side, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pyclassify.locales import text
from pyclassify.ui.classify_tab import EXAMPLES

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def open_tab(page: Page, language: str = "en") -> None:
    page.get_by_role("tab", name=text("page.compare.tab", language), exact=True).click()
    page.locator("#compare-kind").wait_for()


def answers(page: Page) -> list[str]:
    headings = page.locator(".answer:visible [data-testid=label-output-value]").all_inner_texts()
    return [heading.strip() for heading in headings]


def verdict(page: Page, part: str) -> str:
    paragraph = page.locator(".verdict p:visible").filter(has_text=part)
    paragraph.wait_for()
    return paragraph.inner_text()


def test_picture_is_answered_by_both_and_switching_keeps_it(page: Page) -> None:
    open_tab(page)
    page.set_input_files("#compare-image input[type=file]", EXAMPLES / "cat.jpg")
    verdict(page, "no label in common")
    left, right = answers(page)
    label = next(label for label in ("cat", "dog", "frog", "horse", "bird", "deer") if label in left)
    assert f"“animals” says {label}" in verdict(page, label)
    page.get_by_role("radio", name=text("page.compare.kinds.text")).check()
    page.get_by_role("textbox", name=text("page.input.text")).locator("visible=true").wait_for()
    assert page.locator(".verdict p:visible").count() == 0
    page.get_by_role("radio", name=text("page.compare.kinds.image")).check()
    page.locator(".verdict p:visible").wait_for()
    assert answers(page) == [left, right]
    page.get_by_text(text("page.own_name", "ko"), exact=True).click()
    page.locator(".block.remarks:visible").filter(has_text="만에 답했습니다").first.wait_for()


def test_text_is_answered_by_both_as_it_is_written_and_a_link_brings_it_back(open_page: Callable[..., Page]) -> None:
    page = open_page(locale="ko-KR", width=390, theme="dark")
    open_tab(page, "ko")
    page.get_by_role("radio", name=text("page.compare.kinds.text", "ko"), exact=True).check()
    page.get_by_role("textbox", name=text("page.input.text", "ko")).locator("visible=true").fill("a good film")
    verdict(page, "‘imdb’")
    menu = page.get_by_role("combobox", name=text("page.compare.second", "ko")).locator("visible=true")
    for _ in range(3):  # the answers that come meanwhile may move the open menu away from under the click
        menu.click()
        page.get_by_role("option", name="imdb").locator("visible=true").click()
        if menu.input_value() == "imdb":
            break
    assert verdict(page, text("page.compare.same", "ko"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name=text("page.link.copy", "ko")).click()
    page.get_by_role("button", name=text("page.link.copied", "ko")).wait_for()
    assert "second-text=imdb" in page.url
    page.reload_quietly()  # type: ignore[attr-defined]
    assert verdict(page, text("page.compare.same", "ko"))


def test_of_two_questions_at_once_both_ask_what_the_later_one_asks(page: Page) -> None:
    together = """() => Promise.all([
        pyclassify.latest("text", [null, "imdb"]), pyclassify.latest("text", ["a good film", "imdb"]),
        pyclassify.latest("image", [null, "animals"]),
    ])"""
    assert page.evaluate(together) == [["a good film", "imdb"]] * 2 + [[None, "animals"]]
    assert page.evaluate("pyclassify.latest('text', ['', 'imdb'])") == ["", "imdb"]
