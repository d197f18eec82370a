"""How fast the page feels in a real browser, from what a visitor does to what is drawn: `python -m benchmarks.feel`.

Needs Chromium. Each time begins in the browser, with the drop, the letter or the click, and ends with the frame in
which the answer stands there.
"""

from __future__ import annotations

import argparse
import base64
import itertools
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import app
from benchmarks import drawn, results, tables
from benchmarks.screenshots import find_chromium
from pyclassify.device import pick
from pyclassify.ui.wording.en import English

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

MODULE = "benchmarks.feel"
ROOT = Path(__file__).parents[1]
CALLS = 25
WARM_UP = 3
PAINTS = 5
SENTENCE = "Two hours of people whispering in the dark, and I have seen paint dry with more suspense than that"

# Resolves with the milliseconds from the event to the first frame after the answer's small print has changed. Where it
# says the same as before, down to the tenth of a millisecond, nothing changes: then with nothing, after a while.
WAIT = """(event) => { window.measured = new Promise((resolve) => {
    setTimeout(() => resolve(null), 5000);
    document.addEventListener(event, () => {
        const start = performance.now();
        const remarks = [...document.querySelectorAll(".block.remarks")].find((each) => each.offsetParent !== null);
        new MutationObserver((_, observer) => {
            if (!remarks.innerText.includes("Answered in")) return;
            observer.disconnect();
            requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - start)));
        }).observe(remarks, { childList: true, subtree: true, characterData: true });
    }, { once: true, capture: true });
}); }"""
DROP = """async (content) => {
    const bytes = Uint8Array.from(atob(content), (each) => each.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], "photo.jpg", { type: "image/jpeg" }));
    const target = document.querySelector("#picture button");
    target.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: transfer }));
}"""
TURN = """async (name) => {
    const start = performance.now();
    document.querySelector(`#tabs [role=tab][data-tab-id=${name}]`).click();
    const open = () => [...document.querySelectorAll("#tabs > [role=tabpanel], #tabs [role=tabpanel]")]
        .some((each) => each.offsetParent !== null);
    do { await new Promise(requestAnimationFrame); } while (!open());
    await new Promise((resolve) => setTimeout(resolve));
    return performance.now() - start;
}"""
SHIFTS = """() => { window.shifted = 0; new PerformanceObserver((list) => list.getEntries().forEach(
    (each) => { window.shifted = Math.max(window.shifted, each.value); })).observe({ type: "layout-shift" }); }"""
PAINT = """() => { const [asked] = performance.getEntriesByType("navigation");
    return performance.getEntriesByName("first-contentful-paint")[0].startTime - asked.responseStart; }"""


def main(argv: Sequence[str] | None = None) -> None:
    """Start the page, drive the browser, and print and write what was measured."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    options = _parser().parse_args(arguments)
    chromium = find_chromium()
    if chromium is None:
        sys.exit("there is no Chromium; apt-get install chromium, or set PYCLASSIFY_CHROMIUM=/path")
    device = pick("auto")
    record = results.Record(benchmark="feel", module=MODULE, arguments=arguments, device=device, folder=options.results)
    record.save(measure(options.checkpoints, chromium, calls=options.calls))
    print(tables.feel(options.results))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--checkpoints", type=Path, default=ROOT / "checkpoints", metavar="DIR")
    parser.add_argument("--calls", type=int, default=CALLS, metavar="N", help=f"of each (default: {CALLS})")
    parser.add_argument("--results", type=Path, default=results.FOLDER, metavar="DIR")
    return parser


def measure(checkpoints: Path, chromium: str, *, calls: int) -> dict[str, Any]:
    """Milliseconds of each thing that a visitor does, and the largest layout shift while answers came and went."""
    from playwright.sync_api import sync_playwright

    page = app.start(app.parse_options(["--checkpoints", str(checkpoints)]))
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            found = _measure(browser, str(page.local_url), calls)
            browser.close()
    finally:
        page.close()
    return found


def _measure(browser: Browser, address: str, calls: int) -> dict[str, Any]:
    paints = [_paint(browser, address) for _ in range(PAINTS)]
    tab = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-US").new_page()
    tab.goto(address)
    tab.locator("html[data-paste=on]").wait_for(state="attached")
    tab.evaluate(SHIFTS)
    with tempfile.TemporaryDirectory() as folder:
        _, large = drawn.pictures(Path(folder)).values()
        photo = base64.b64encode(large.read_bytes()).decode()
    rows = [
        _row("first paint after the server's answer", paints),
        _row("photo of 12 megapixels dropped", _repeated(lambda: _drop(tab, photo), calls)),
    ]
    tab.get_by_role("tab", name=English.TEXT_TAB).click()
    rows.append(_row("last letter of a text typed", _typed(tab, calls)))
    shift = tab.evaluate("window.shifted")
    names = ("image", "text", "many", "compare", "models")
    rows.append(_row("another tab", [tab.evaluate(TURN, names[i % len(names)]) for i in range(calls)]))
    return {"rows": rows, "layout_shift": shift}


def _paint(browser: Browser, address: str) -> float:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    tab = context.new_page()
    tab.goto(address)
    tab.wait_for_function("performance.getEntriesByName('first-contentful-paint').length > 0")
    milliseconds = float(tab.evaluate(PAINT))
    context.close()
    return milliseconds


def _drop(tab: Page, photo: str) -> float | None:
    tab.evaluate(WAIT, "drop")
    tab.evaluate(DROP, photo)
    milliseconds: float | None = tab.evaluate("window.measured")
    tab.get_by_role("button", name="Remove Image").click()
    tab.get_by_text(English.WAITING_FOR_PICTURE).wait_for()
    return milliseconds


def _typed(tab: Page, calls: int) -> list[float]:
    box = tab.get_by_role("textbox", name=English.TEXT)
    box.fill(SENTENCE)
    tab.locator(".block.remarks:visible").filter(has_text="Answered in").wait_for()

    def letter() -> float | None:
        tab.wait_for_timeout(200)  # the one before has been answered
        tab.evaluate(WAIT, "input")
        box.press("End")
        box.press("s")
        milliseconds: float | None = tab.evaluate("window.measured")
        return milliseconds

    return _repeated(letter, calls)


def _repeated(once: Callable[[], float | None], calls: int) -> list[float]:
    """So many that were measured, of at most twice as many tries."""
    found = (each for _ in range(2 * (calls + WARM_UP)) if (each := once()) is not None)
    return list(itertools.islice(found, WARM_UP, WARM_UP + calls))


def _row(what: str, milliseconds: Sequence[float]) -> dict[str, Any]:
    p50, p95 = (float(np.percentile(milliseconds, each)) for each in (50, 95))
    return {"what": what, "p50_ms": p50, "p95_ms": p95, "calls": len(milliseconds)}


if __name__ == "__main__":
    main()
