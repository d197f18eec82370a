"""Latency in a real browser, from what a visitor does to the frame with the answer: `python -m benchmarks.feel`.

Needs Chromium. Each time begins in the browser, with the drop, the letter or the click.
"""

from __future__ import annotations

import argparse
import base64
import itertools
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks import drawn, results, tables
from benchmarks.screenshots import NO_CHROMIUM, TABS, find_chromium
from pyclassify.device import pick
from pyclassify.locales import text
from pyclassify.ui import launch

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, ViewportSize

MODULE: Final = "benchmarks.feel"
ROOT: Final = Path(__file__).parents[1]
CALLS: Final = 25
WARM_UP: Final = 3
PAINTS: Final = 5
VIEWPORT: Final[ViewportSize] = {"width": 1440, "height": 900}
SENTENCE: Final = "Two hours of people whispering in the dark, and I have seen paint dry with more suspense than that"
ANSWERED: Final = text("page.answered", time="|", device="").partition("|")[0].strip()
"""Beginning of the remark under an answer."""

# Resolves with the milliseconds from the event to the first frame after the remark under the answer has changed. If it
# stays the same to the tenth of a millisecond, nothing changes: it resolves with nothing then, after a while.
WAIT: Final = """([event, answered]) => { window.measured = new Promise((resolve) => {
    setTimeout(() => resolve(null), 5000);
    document.addEventListener(event, () => {
        const start = performance.now();
        const remarks = [...document.querySelectorAll(".block.remarks")].find((block) => block.offsetParent !== null);
        new MutationObserver((_, observer) => {
            if (!remarks.innerText.includes(answered)) return;
            observer.disconnect();
            requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - start)));
        }).observe(remarks, { childList: true, subtree: true, characterData: true });
    }, { once: true, capture: true });
}); }"""
DROP: Final = """async (content) => {
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], "photo.jpg", { type: "image/jpeg" }));
    const target = document.querySelector("#image button");
    target.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: transfer }));
}"""
OPEN_TAB: Final = """async (name) => {
    const start = performance.now();
    document.querySelector(`#tabs [role=tab][data-tab-id=${name}]`).click();
    const isOpen = () => [...document.querySelectorAll("#tabs > [role=tabpanel], #tabs [role=tabpanel]")]
        .some((panel) => panel.offsetParent !== null);
    do { await new Promise(requestAnimationFrame); } while (!isOpen());
    await new Promise((resolve) => setTimeout(resolve));
    return performance.now() - start;
}"""
WATCH_SHIFTS: Final = """() => { window.shift = 0; new PerformanceObserver((list) => list.getEntries().forEach(
    (entry) => { window.shift = Math.max(window.shift, entry.value); })).observe({ type: "layout-shift" }); }"""
PAINT: Final = """() => { const [navigation] = performance.getEntriesByType("navigation");
    return performance.getEntriesByName("first-contentful-paint")[0].startTime - navigation.responseStart; }"""


def main(argv: Sequence[str] | None = None) -> None:
    """Start the page, drive the browser, and print and write the result."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    options = _parser().parse_args(arguments)
    chromium = find_chromium()
    if chromium is None:
        sys.exit(NO_CHROMIUM)
    device = pick("auto")
    record = results.Record(benchmark="feel", module=MODULE, arguments=arguments, device=device, folder=options.results)
    record.save(measure(options.checkpoints, chromium, calls=options.calls))
    print(tables.feel(options.results))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--checkpoints", type=Path, default=ROOT / "checkpoints", metavar="DIR")
    parser.add_argument("--calls", type=int, default=CALLS, metavar="N", help=f"of each action (default: {CALLS})")
    parser.add_argument("--results", type=Path, default=results.FOLDER, metavar="DIR", help="where the JSON goes")
    return parser


def measure(checkpoints: Path, chromium: str, *, calls: int) -> dict[str, Any]:
    """Measure the milliseconds of a visitor's actions, and the largest layout shift while answers came and went.

    Args:
        checkpoints: of the page.
        chromium: path of the browser.
        calls: of each action.
    """
    from playwright.sync_api import sync_playwright

    page = launch.start(launch.parse_options(["--checkpoints", str(checkpoints)]))
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            content = _measure(browser, str(page.local_url), calls)
            browser.close()
    finally:
        page.close()
    return content


def _measure(browser: Browser, address: str, calls: int) -> dict[str, Any]:
    paints = [_paint(browser, address) for _ in range(PAINTS)]
    page = browser.new_context(viewport=VIEWPORT, locale="en-US").new_page()
    page.goto(address)
    page.locator("html[data-paste=on]").wait_for(state="attached")
    page.evaluate(WATCH_SHIFTS)
    with tempfile.TemporaryDirectory() as folder:
        _, large = drawn.images(Path(folder)).values()
        photo = base64.b64encode(large.read_bytes()).decode()
    rows = [
        _row("first paint after the server's answer", paints),
        _row("photo of 12 megapixels dropped", _repeat(lambda: _drop(page, photo), calls)),
    ]
    page.get_by_role("tab", name=text("page.tabs.text"), exact=True).click()
    rows.append(_row("last letter of a text typed", _type(page, calls)))
    shift = page.evaluate("window.shift")
    opened = [page.evaluate(OPEN_TAB, TABS[i % len(TABS)]) for i in range(calls)]
    rows.append(_row("another tab", opened))
    return {"rows": rows, "layout_shift": shift}


def _paint(browser: Browser, address: str) -> float:
    context = browser.new_context(viewport=VIEWPORT)
    page = context.new_page()
    page.goto(address)
    page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length > 0")
    milliseconds = float(page.evaluate(PAINT))
    context.close()
    return milliseconds


def _drop(page: Page, photo: str) -> float | None:
    page.evaluate(WAIT, ["drop", ANSWERED])
    page.evaluate(DROP, photo)
    milliseconds: float | None = page.evaluate("window.measured")
    page.get_by_role("button", name="Remove Image").click()
    page.locator(".block.remarks:visible").filter(has_text=text("page.waiting.image")).wait_for()
    return milliseconds


def _type(page: Page, calls: int) -> list[float]:
    box = page.get_by_role("textbox", name=text("page.input.text")).locator("visible=true")
    box.fill(SENTENCE)
    page.locator(".block.remarks:visible").filter(has_text=ANSWERED).wait_for()

    def type_letter() -> float | None:
        page.wait_for_timeout(200)  # the last letter was answered
        page.evaluate(WAIT, ["input", ANSWERED])
        box.press("End")
        box.press("s")
        milliseconds: float | None = page.evaluate("window.measured")
        return milliseconds

    return _repeat(type_letter, calls)


def _repeat(measure_once: Callable[[], float | None], calls: int) -> list[float]:
    """Return so many measurements, of at most twice as many tries."""
    measured = (time for _ in range(2 * (calls + WARM_UP)) if (time := measure_once()) is not None)
    return list(itertools.islice(measured, WARM_UP, WARM_UP + calls))


def _row(action: str, times_ms: Sequence[float]) -> dict[str, Any]:
    p50, p95 = (float(np.percentile(times_ms, rank)) for rank in (50, 95))
    return {"what": action, "p50_ms": p50, "p95_ms": p95, "calls": len(times_ms)}


if __name__ == "__main__":
    main()
