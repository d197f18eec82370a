"""The cards of the checkpoints, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from pyclassify.locales import text

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser

NAMES = ["animals", "imdb", "naver", "vehicles"]


def cards(page: Page, language: str) -> Locator:
    page.get_by_role("tab", name=text("page.models.tab", language), exact=True).click()
    boxes = page.locator("details.model")
    boxes.first.wait_for()
    return boxes


def states(boxes: Locator) -> list[bool]:
    opened: list[bool] = boxes.evaluate_all("cards => cards.map(card => card.open)")
    return opened


@pytest.mark.parametrize(("locale", "width", "theme"), [("en-US", 1440, "light"), ("ko-KR", 390, "dark")])
def test_first_card_is_open_and_the_keyboard_opens_the_others(
    open_page: Callable[..., Page], locale: str, width: int, theme: str
) -> None:
    page, language = open_page(locale=locale, width=width, theme=theme), locale[:2]
    boxes = cards(page, language)
    assert boxes.get_by_role("heading", level=2).all_inner_texts() == NAMES
    assert states(boxes) == [True, False, False, False]
    assert "89.4" in boxes.nth(1).locator("summary").inner_text()
    boxes.nth(1).locator("summary").focus()
    page.keyboard.press("Enter")
    boxes.nth(1).get_by_text(text("page.models.scores.title", language)).wait_for()
    speed, _, _ = text("page.models.facts.speed", language, time="|", processor="CPU").partition("|")
    assert speed in boxes.nth(1).inner_text()
    expect(boxes.nth(1).locator("table.confusion")).to_have_count(1)
    assert states(boxes) == [True, True, False, False]
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_figures_are_drawn_when_a_card_is_open_and_in_the_visitors_language(open_page: Callable[..., Page]) -> None:
    page = open_page(fragment="tab=models")
    boxes = page.locator("details.model")
    expect(boxes.nth(0).locator("svg.chart")).to_have_count(1)
    expect(boxes.nth(1).locator("svg.chart")).to_have_count(0)
    boxes.nth(1).locator("summary").click()
    expect(boxes.nth(1).locator("svg.chart")).to_have_count(1)
    boxes.nth(0).locator("summary").click()
    assert states(boxes) == [False, True, False, False]
    page.locator("#language label", has_text="한국어").click()
    axis, heading = (text(f"page.models.reliability.{key}", "ko") for key in ("accuracy", "title"))
    expect(boxes.nth(1).locator("svg.chart")).to_contain_text(axis)
    expect(boxes.nth(1).get_by_role("img", name=heading)).to_be_visible()
    assert states(boxes) == [False, True, False, False]
    boxes.nth(0).locator("summary").click()
    expect(boxes.nth(0).locator("svg.chart")).to_contain_text(axis)
    assert page.locator("svg.chart [id]").count() == 0
