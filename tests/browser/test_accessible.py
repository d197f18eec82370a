"""The page by keyboard alone, and the findings of axe-core."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from pyclassify.locales import text
from tests.browser.test_page import CAT, choose, expect_remark

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

OF_GRADIO = {
    ("aria-prohibited-attr", "Empty value"),  # a component without a value has a name but no role
    ("image-redundant-alt", 'alt="Settings"'),  # the picture beside the word says the same word
}
TABS = ("image", "text", "batch", "compare", "models")
SERIOUS = {"serious", "critical"}


def findings(page: Page) -> list[str]:
    """Return what is serious and not Gradio's own."""
    return [
        f"{violation['id']}: {node['html'][:200]}"
        for violation in Axe().run(page).response["violations"]
        if violation["impact"] in SERIOUS
        for node in violation["nodes"]
        if not any(violation["id"] == rule and part in node["html"] for rule, part in OF_GRADIO)
    ]


def settle(page: Page) -> None:
    """Wait until nothing moves: what is half faded in has no contrast."""
    page.wait_for_function("document.getAnimations().every((animation) => animation.playState !== 'running')")
    page.wait_for_timeout(300)


@pytest.mark.parametrize(("theme", "locale"), [("light", "en-US"), ("dark", "ko-KR")])
def test_no_tab_has_a_serious_finding_of_ours(open_page: Callable[..., Page], theme: str, locale: str) -> None:
    page = open_page(theme=theme, locale=locale)
    language = locale[:2]
    assert page.evaluate("document.documentElement.lang") == language
    found: dict[str, list[str]] = {}
    for name in TABS:
        page.locator(f"#tabs [role=tab][data-tab-id={name}]").locator("visible=true").click()
        if name == "image":
            choose(page, CAT)
            page.locator(".answer:visible [data-testid=label-output-value]").wait_for()
            page.get_by_role("button", name=text("page.why", language)).locator("visible=true").click()
            page.locator(".why:visible").wait_for()
        settle(page)
        found[name] = findings(page)
    assert {name: problems for name, problems in found.items() if problems} == {}


def test_a_text_is_answered_and_explained_by_keyboard_alone(page: Page) -> None:
    page.get_by_role("tab", name=text("page.tabs.image")).focus()
    reach(page, page.get_by_role("tab", name=text("page.tabs.text")))
    page.keyboard.press("Enter")
    page.get_by_role("textbox", name=text("page.input.text")).wait_for()
    reach(page, page.get_by_role("textbox", name=text("page.input.text")))
    page.keyboard.type("a good film")
    expect_remark(page, "Answered in")
    reach(page, page.get_by_role("button", name=text("page.why")).locator("visible=true"))
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"  # it can be seen
    page.keyboard.press("Enter")
    page.locator(".why .words:visible").filter(has_text="a good film").wait_for()


def reach(page: Page, target: Any) -> None:
    """Press Tab until the focus is there."""
    for _ in range(40):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError("the Tab key does not lead there")


def test_answers_are_announced(page: Page) -> None:
    assert page.locator(".live").count() >= 2
    assert {live.get_attribute("aria-live") for live in page.locator(".live").all()} == {"polite"}


def test_who_wants_no_motion_gets_none(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.emulate_media(reduced_motion="reduce")
    moving = """() => [...document.querySelectorAll(".gradio-container *")]
        .filter((element) => parseFloat(getComputedStyle(element).transitionDuration) > 0).length"""
    assert page.evaluate(moving) == 0
