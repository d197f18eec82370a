"""Screenshots of the page with the shipped checkpoints: `python -m benchmarks.screenshots`.

Needs Chromium. The documents show three; the others are for looking at before a change of the page is called done.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyclassify.locales import text
from pyclassify.ui import launch

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT: Final = Path(__file__).parents[1]
WIDTHS_PX: Final = (1440, 768, 390)
THEMES: Final = ("light", "dark")
SENTENCE: Final = "I went in expecting very little and came out grinning."
LOCALES: Final = {"en": "en-US", "ko": "ko-KR"}
TABS: Final = ("image", "text", "batch", "compare", "models")
IN_DOCUMENTS: Final = {"image-1440-light-en": "page", "batch-1440-light-en": "batch", "models-1440-dark-en": "models"}
"""Screenshots that the documents show, and their names there."""

EXAMPLES: Final = {"image": 2, "text": 0}
"""By tab the example that is chosen."""

NO_CHROMIUM: Final = "There is no Chromium: apt-get install chromium, or set PYCLASSIFY_CHROMIUM=/path."


def main(argv: Sequence[str] | None = None) -> None:
    """Start the page, take the screenshots and print their paths."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screenshots", description=__doc__)
    parser.add_argument("--checkpoints", type=Path, default=ROOT / "checkpoints", metavar="DIR")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", metavar="DIR", help="default: docs")
    parser.add_argument(
        "--all", action="store_true", help="all tabs in both themes and languages at three widths, not three alone"
    )
    options = parser.parse_args(argv)
    chromium = find_chromium()
    if chromium is None:
        sys.exit(NO_CHROMIUM)
    options.out.mkdir(parents=True, exist_ok=True)
    for path in take(options.checkpoints, options.out, chromium, take_all=options.all):
        print(path)


def find_chromium() -> str | None:
    """Return the path of the browser, or None."""
    chosen = os.environ.get("PYCLASSIFY_CHROMIUM")
    if chosen:
        return chosen if Path(chosen).is_file() else None
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def take(checkpoints: Path, out: Path, chromium: str, *, take_all: bool) -> Iterator[Path]:
    """Take the screenshots one after the other and yield their paths.

    Args:
        checkpoints: of the page.
        out: folder for the screenshots.
        chromium: path of the browser.
        take_all: all of them, not only those in the documents.
    """
    from playwright.sync_api import sync_playwright

    page = launch.start(launch.parse_options(["--checkpoints", str(checkpoints)]))
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            for tab, width_px, theme, language in itertools.product(TABS, WIDTHS_PX, THEMES, LOCALES):
                name = f"{tab}-{width_px}-{theme}-{language}"
                if take_all or name in IN_DOCUMENTS:
                    path = out / f"{IN_DOCUMENTS.get(name, name)}.png"
                    _take_one(browser, str(page.local_url), tab, width_px, theme, language, path)
                    yield path
            browser.close()
    finally:
        page.close()


def _take_one(browser: Browser, address: str, tab: str, width_px: int, theme: str, language: str, path: Path) -> None:
    context = browser.new_context(viewport={"width": width_px, "height": 860}, locale=LOCALES[language])
    page = context.new_page()
    page.goto(f"{address}?__theme={theme}#tab={tab}")
    page.locator("html[data-paste=on]").wait_for(state="attached")
    page.locator(f"#tabs [role=tab][data-tab-id={tab}][aria-selected=true]").first.wait_for(state="attached")
    _fill(page, tab, language)
    page.mouse.move(0, 0)
    page.wait_for_timeout(1000)  # bars and pictures move into their place
    page.screenshot(path=path, full_page=True)
    context.close()


def _fill(page: Page, tab: str, language: str) -> None:
    """Give the tab something to show."""
    answers = page.locator(".answer:visible [data-testid=label-output-value]")
    if tab in EXAMPLES:
        page.locator(f"#{tab}-examples button").nth(EXAMPLES[tab]).click()
        answers.wait_for()
        page.get_by_role("button", name=text("page.why", language)).locator("visible=true").click()
        page.locator(".why:visible").wait_for()
    elif tab == "batch":
        page.locator("#batch-example").click()
        page.locator("#batch-table:visible tbody tr").first.wait_for()
        page.wait_for_timeout(1500)
    elif tab == "compare":
        page.get_by_role("textbox", name=text("page.input.text", language)).locator("visible=true").fill(SENTENCE)
        answers.nth(1).wait_for()


if __name__ == "__main__":
    main()
