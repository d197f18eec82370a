"""The page by keyboard alone, and what axe-core finds in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from pyclassify.ui.wording.en import English
from pyclassify.ui.wording.ko import Korean
from tests.browser.test_page import CAT, choose, expect_remark

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

OF_GRADIO = {
    ("aria-prohibited-attr", "Empty value"),  # a component without a value has a name but no role
    ("image-redundant-alt", 'alt="Settings"'),  # the picture beside the word says the same word
}
SERIOUS = {"serious", "critical"}


def findings(page: Page) -> list[str]:
    """What is serious and not Gradio's own."""
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {node['html'][:200]}"
        for each in found
        if each["impact"] in SERIOUS
        for node in each["nodes"]
        if not any(each["id"] == rule and part in node["html"] for rule, part in OF_GRADIO)
    ]


def settle(page: Page) -> None:
    """Wait until nothing moves: what is half faded in has no contrast."""
    page.wait_for_function("document.getAnimations().every((each) => each.playState !== 'running')")
    page.wait_for_timeout(300)


@pytest.mark.parametrize(("theme", "locale"), [("light", "en-US"), ("dark", "ko-KR")])
def test_no_tab_has_a_serious_finding_of_ours(open_page: Callable[..., Page], theme: str, locale: str) -> None:
    page = open_page(theme=theme, locale=locale)
    words = Korean if locale == "ko-KR" else English
    assert page.evaluate("document.documentElement.lang") == words.CODE
    found: dict[str, Any] = {}
    for tab in (words.IMAGE_TAB, words.TEXT_TAB, words.MANY_TAB, words.COMPARE_TAB, words.MODELS_TAB):
        page.get_by_role("tab", name=tab, exact=True).click()
        if tab == words.IMAGE_TAB:
            choose(page, CAT)
            page.locator(".answer:visible [data-testid=label-output-value]").wait_for()
            page.get_by_role("button", name=words.WHY).locator("visible=true").click()
            page.locator(".why:visible").wait_for()
        settle(page)
        found[tab] = findings(page)
    assert {tab: each for tab, each in found.items() if each} == {}


def test_a_text_is_answered_and_explained_by_keyboard_alone(page: Page) -> None:
    page.get_by_role("tab", name=English.IMAGE_TAB).focus()
    reach(page, page.get_by_role("tab", name=English.TEXT_TAB))
    page.keyboard.press("Enter")
    page.get_by_role("textbox", name=English.TEXT).wait_for()
    reach(page, page.get_by_role("textbox", name=English.TEXT))
    page.keyboard.type("a good film")
    expect_remark(page, "Answered in")
    reach(page, page.get_by_role("button", name=English.WHY).locator("visible=true"))
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"  # it can be seen
    page.keyboard.press("Enter")
    page.locator(".why .words:visible").filter(has_text="a good film").wait_for()


def reach(page: Page, target: Any) -> None:
    """Press Tab until the focus is there."""
    for _ in range(40):
        if target.evaluate("each => each === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError("the Tab key does not lead there")


def test_answers_are_announced(page: Page) -> None:
    assert page.locator(".live").count() >= 2
    assert {each.get_attribute("aria-live") for each in page.locator(".live").all()} == {"polite"}


def test_who_wants_no_motion_gets_none(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.emulate_media(reduced_motion="reduce")
    moving = """() => [...document.querySelectorAll(".gradio-container *")]
        .filter((each) => parseFloat(getComputedStyle(each).transitionDuration) > 0).length"""
    assert page.evaluate(moving) == 0
