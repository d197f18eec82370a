"""One server and one Chromium for all tests of the page."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import app
from benchmarks.screenshots import find_chromium
from pyclassify.manifest import DataSummary
from tests.fakes import write_image_checkpoint, write_text_checkpoint

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WAY_OUT = "there is no Chromium; apt-get install chromium, or set PYCLASSIFY_CHROMIUM=/path"
SCREENSHOTS = Path(__file__).with_name("screenshots")

# Gradio's event stream has a method that only warns that it is empty.
KNOWN_WARNINGS = ("Method not implemented.",)
QUIET = 10  # times 50 ms with nothing under way


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if any(WAY_OUT in str(report.longrepr) for report in skipped):
        terminalreporter.write_line(f"Skipped the browser: {WAY_OUT}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = find_chromium()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        path = None
    if path is None:
        if os.environ.get("PYCLASSIFY_REQUIRE_BROWSER") == "1":
            pytest.fail(WAY_OUT)
        pytest.skip(WAY_OUT)
    with sync_playwright() as playwright:
        camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", *camera])
        yield running
        running.close()


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    write_image_checkpoint(folder / "animals", ["cat", "dog", "frog", "horse", "bird", "deer"])
    write_image_checkpoint(folder / "vehicles", ["car", "ship"])
    write_text_checkpoint(folder / "imdb", data=DataSummary(name="sentiment", train=1, validation=1, test=1))
    write_text_checkpoint(folder / "naver", ["부정", "긍정"])
    write_text_checkpoint(folder / "altered")
    (folder / "altered" / "vocab.txt").write_text("something else", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def address(browser: Browser, checkpoints: Path) -> Iterator[str]:  # without a browser nothing is served
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv = ["--checkpoints", str(checkpoints), "--port", str(port), "--device", "cpu"]
    page = app.start(app.parse_options(argv))
    yield f"http://127.0.0.1:{port}/"
    page.close()


class Watched:
    """Notes what a tab of the browser requests and complains about."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        self._under_way: set[Any] = set()  # questions and streams of answers
        self.leaving = False  # what is under way is broken off then, and the browser says so
        self._own = (address, address.replace("http", "ws"), "data:", "blob:")
        page.on("console", self._console)
        page.on("pageerror", lambda error: self._complain(str(error)))
        page.on("request", self._request)
        page.on("requestfinished", lambda request: self._under_way.discard(request))
        page.on("requestfailed", lambda request: self._under_way.discard(request))

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning") and message.text not in KNOWN_WARNINGS:
            self._complain(f"{message.type}: {message.text}")

    def _complain(self, message: str) -> None:
        if not self.leaving:
            self.complaints.append(message)

    def reload(self) -> None:
        """Load the page anew once it has been quiet: a chain of questions has gaps.

        A page that goes on asking is reloaded all the same, and what that breaks off is not held against it.
        """
        quiet = 0
        for _ in range(300):
            quiet = 0 if self._under_way else quiet + 1
            if quiet > QUIET:
                break
            self.page.wait_for_timeout(50)
        self.leaving = True
        self.page.reload()
        self.leaving = False

    def _request(self, request: Any) -> None:
        if "/queue/" in request.url:
            self._under_way.add(request)
        if not request.url.startswith(self._own):
            self.foreign.append(request.url)


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[Any]:
    """Return a function that opens the page anew; in the end the browser must not have complained about anything."""
    contexts, watched = [], []

    def open_page(*, width: int = 1440, theme: str = "light", locale: str = "en-US", fragment: str = "") -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            permissions=["clipboard-read", "clipboard-write", "camera"],
            locale=locale,
        )
        contexts.append(context)
        context.set_default_timeout(15_000)
        page = context.new_page()
        watched.append(Watched(page, address))
        page.reload_quietly = watched[-1].reload
        page.goto(f"{address}?__theme={theme}#{fragment}")
        page.get_by_role("tab").first.wait_for()
        page.locator("html[data-paste=on]").wait_for(state="attached")
        return page

    yield open_page
    for watch in watched:
        watch.leaving = True
    for context in contexts:
        context.close()
    assert [watch.complaints for watch in watched if watch.complaints] == []
    assert [watch.foreign for watch in watched if watch.foreign] == []


@pytest.fixture
def page(open_page: Any) -> Any:
    return open_page()
