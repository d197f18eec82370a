"""Two checkpoints side by side, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pyclassify.ui.image_tab import EXAMPLES
from pyclassify.ui.wording.en import English
from pyclassify.ui.wording.ko import Korean

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def opened(page: Page, words: type[English]) -> None:
    page.get_by_role("tab", name=words.COMPARE_TAB, exact=True).click()
    page.locator("#compare-kind").wait_for()


def answers(page: Page) -> list[str]:
    return [each.strip() for each in page.locator(".answer:visible [data-testid=label-output-value]").all_inner_texts()]


def said(page: Page, part: str) -> str:
    found = page.locator(".verdict p:visible").filter(has_text=part)
    found.wait_for()
    return found.inner_text()


def test_picture_is_answered_by_both_and_switching_keeps_it(page: Page) -> None:
    opened(page, English)
    page.set_input_files("#compare-picture input[type=file]", EXAMPLES / "cat.jpg")
    said(page, "trained to tell different things apart")
    left, right = answers(page)
    assert "“animals” says" in said(page, left.split(",")[0])
    page.get_by_role("radio", name=English.A_TEXT).check()
    page.get_by_role("textbox", name=English.TEXT).locator("visible=true").wait_for()
    assert page.locator(".verdict p:visible").count() == 0
    page.get_by_role("radio", name=English.A_PICTURE).check()
    page.locator(".verdict p:visible").wait_for()
    assert answers(page) == [left, right]
    page.get_by_text(Korean.NAME, exact=True).click()
    page.locator(".block.remarks:visible").filter(has_text="만에 답했습니다").first.wait_for()


def test_text_is_answered_by_both_as_it_is_written_and_a_link_brings_it_back(open_page: Callable[..., Page]) -> None:
    page = open_page(locale="ko-KR", width=390, theme="dark")
    opened(page, Korean)
    page.get_by_role("radio", name=Korean.A_TEXT, exact=True).check()
    page.get_by_role("textbox", name=Korean.TEXT).locator("visible=true").fill("a good film")
    said(page, "‘imdb’")
    menu = page.get_by_role("combobox", name=Korean.SECOND).locator("visible=true")
    for _ in range(3):  # the answers that come meanwhile may move the open menu away from under the click
        menu.click()
        page.get_by_role("option", name="imdb").locator("visible=true").click()
        if menu.input_value() == "imdb":
            break
    assert said(page, Korean.SAME_CHECKPOINT)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name=Korean.LINK).click()
    page.get_by_role("button", name=Korean.LINK_COPIED).wait_for()
    assert "second=imdb" in page.url
    page.reload_quietly()  # type: ignore[attr-defined]
    assert said(page, Korean.SAME_CHECKPOINT)


def test_of_two_questions_at_once_both_ask_what_the_later_one_asks(page: Page) -> None:
    together = """() => Promise.all([
        pyclassify.latest("text", [null, "imdb"]), pyclassify.latest("text", ["a good film", "imdb"]),
        pyclassify.latest("picture", [null, "animals"]),
    ])"""
    assert page.evaluate(together) == [["a good film", "imdb"]] * 2 + [[None, "animals"]]
    assert page.evaluate("pyclassify.latest('text', ['', 'imdb'])") == ["", "imdb"]
