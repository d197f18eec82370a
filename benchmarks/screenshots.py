"""Pictures of the page as it is with the shipped checkpoints: `python -m benchmarks.screenshots`.

Needs Chromium. The README shows `page.png`; the others are for looking at before a change of the page is called done.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pyclassify.ui import wording

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[1]
WIDTHS_PX = (1440, 768, 390)
SHOWN = "image-1440-light"
"""The one that the README shows, as page.png."""


def main(argv: Sequence[str] | None = None) -> None:
    """Start the page, take the pictures and name the files."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screenshots", description=__doc__)
    parser.add_argument("--checkpoints", type=Path, default=ROOT / "checkpoints", metavar="DIR")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", metavar="DIR", help="default: docs")
    parser.add_argument("--all", action="store_true", help="both tabs in both themes at three widths")
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
            names = [
                (tab, width, theme) for tab in ("image", "text") for width in WIDTHS_PX for theme in ("light", "dark")
            ]
            for tab, width, theme in names:
                name = f"{tab}-{width}-{theme}"
                if whole or name == SHOWN:
                    path = out / ("page.png" if name == SHOWN else f"{name}.png")
                    _take_one(browser, f"{page.local_url}?__theme={theme}", tab, width, path)
                    yield path
            browser.close()
    finally:
        page.close()


def _take_one(browser: Browser, address: str, tab: str, width_px: int, path: Path) -> None:
    context = browser.new_context(viewport={"width": width_px, "height": 860})
    page = context.new_page()
    page.goto(address)
    page.get_by_role("tab", name="Image" if tab == "image" else "Text").click()
    if tab == "image":
        page.locator("#pictures button").nth(2).click()
    else:
        page.locator("#sentences button").first.click()
    page.locator(".answer:visible [data-testid=label-output-value]").wait_for()
    page.get_by_role("button", name=wording.WHY).locator("visible=true").click()
    page.locator(".why:visible").wait_for()
    page.mouse.move(0, 0)
    page.wait_for_timeout(1000)  # bars and pictures move into their place
    page.screenshot(path=path, full_page=True)
    context.close()


if __name__ == "__main__":
    main()
