"""The cards of the checkpoints, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pyclassify.ui.wording import LANGUAGES

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

NAMES = ["animals", "imdb", "naver", "vehicles"]


@pytest.mark.parametrize(("locale", "width", "theme"), [("en-US", 1440, "light"), ("ko-KR", 390, "dark")])
def test_first_card_is_open_and_the_keyboard_opens_the_others(
    open_page: Callable[..., Page], locale: str, width: int, theme: str
) -> None:
    page = open_page(locale=locale, width=width, theme=theme)
    words = LANGUAGES[locale[:2]]
    page.get_by_role("tab", name=words.MODELS_TAB, exact=True).click()
    cards = page.locator("details.model")
    cards.first.wait_for()
    assert cards.get_by_role("heading", level=2).all_inner_texts() == NAMES
    assert cards.evaluate_all("cards => cards.map(card => card.open)") == [True, False, False, False]
    assert "89.4" in cards.nth(1).locator("summary").inner_text()
    cards.nth(1).locator("summary").focus()
    page.keyboard.press("Enter")
    cards.nth(1).get_by_text(words.SCORES).wait_for()
    speed, _, unit = words.speed("text", 1.0, "cpu").partition("1.0")
    assert speed in cards.nth(1).inner_text()
    assert unit.split()[-1] in cards.nth(1).inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
