"""Pictures of the page as it is with the shipped checkpoints: `python -m benchmarks.screenshots`.

Needs Chromium. The README shows three; the others are for looking at before a change of the page is called done.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pyclassify.ui.wording import words

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from pyclassify.ui.wording.en import English

ROOT = Path(__file__).parents[1]
WIDTHS_PX = (1440, 768, 390)
THEMES = ("light", "dark")
SENTENCE = "I went in expecting very little and came out grinning."
LOCALES = {"en": "en-US", "ko": "ko-KR"}
TABS = ("image", "text", "many", "compare", "models")
SHOWN = {"image-1440-light-en": "page", "many-1440-light-en": "many", "models-1440-dark-en": "models"}
"""Those that the README shows, and their names there."""


def main(argv: Sequence[str] | None = None) -> None:
    """Start the page, take the pictures and name the files."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screenshots", description=__doc__)
    parser.add_argument("--checkpoints", type=Path, default=ROOT / "checkpoints", metavar="DIR")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", metavar="DIR", help="default: docs")
    parser.add_argument(
        "--all",
        action="store_true",
        help="all tabs in both themes and languages at three widths, not the README's alone",
    )
    options = parser.parse_args(argv)
    chromium = find_chromium()
    if chromium is None:
        sys.exit("there is no Chromium; apt-get install chromium, or set PYCLASSIFY_CHROMIUM=/path")
    options.out.mkdir(parents=True, exist_ok=True)
    for path in take(options.checkpoints, options.out, chromium, whole=options.all):
        print(path)


def find_chromium() -> str | None:
    """The browser to drive, or nothing."""
    named = os.environ.get("PYCLASSIFY_CHROMIUM")
    if named:
        return named if Path(named).is_file() else None
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def take(checkpoints: Path, out: Path, chromium: str, *, whole: bool) -> Iterator[Path]:
    """Take the pictures one after the other.

    Args:
        checkpoints: what the page shows.
        out: the folder of the pictures.
        chromium: the browser's program.
        whole: all of them, or the README's alone.
    """
    from playwright.sync_api import sync_playwright

    import app

    page = app.start(app.parse_options(["--checkpoints", str(checkpoints)]))
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            for each in itertools.product(TABS, WIDTHS_PX, THEMES, LOCALES):
                name = "-".join(map(str, each))
                if whole or name in SHOWN:
                    path = out / f"{SHOWN.get(name, name)}.png"
                    _take_one(browser, str(page.local_url), each, path)
                    yield path
            browser.close()
    finally:
        page.close()


def _take_one(browser: Browser, address: str, shown: tuple[str, int, str, str], path: Path) -> None:
    tab, width_px, theme, language = shown
    said = words(language)
    context = browser.new_context(viewport={"width": width_px, "height": 860}, locale=LOCALES[language])
    page = context.new_page()
    page.goto(f"{address}?__theme={theme}#tab={tab}")
    page.locator("html[data-paste=on]").wait_for(state="attached")
    page.locator(f"#tabs [role=tab][data-tab-id={tab}][aria-selected=true]").first.wait_for(state="attached")
    _fill(page, tab, said)
    page.mouse.move(0, 0)
    page.wait_for_timeout(1000)  # bars and pictures move into their place
    page.screenshot(path=path, full_page=True)
    context.close()


def _fill(page: Page, tab: str, said: type[English]) -> None:
    """Give the tab something to show."""
    if tab in ("image", "text"):
        page.locator("#pictures button").nth(2).click() if tab == "image" else page.locator(
            "#sentences button"
        ).first.click()
        page.locator(".answer:visible [data-testid=label-output-value]").wait_for()
        page.get_by_role("button", name=said.WHY).locator("visible=true").click()
        page.locator(".why:visible").wait_for()
    elif tab == "many":
        page.get_by_role("button", name=said.MANY_EXAMPLE).click()
        page.locator(".many-table:visible tbody tr").first.wait_for()
        page.wait_for_timeout(1500)
    elif tab == "compare":
        page.get_by_role("textbox", name=said.TEXT).locator("visible=true").fill(SENTENCE)
        page.locator(".answer:visible [data-testid=label-output-value]").nth(1).wait_for()


if __name__ == "__main__":
    main()
