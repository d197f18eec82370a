"""The tabs for a single input, in a real browser."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

import pyclassify
from pyclassify.formats import MAX_PICTURE_BYTES
from pyclassify.locales import text
from pyclassify.ui.classify_tab import EXAMPLES
from tests.browser.conftest import SCREENSHOTS

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

CAT = EXAMPLES / "cat.jpg"
SHIP = EXAMPLES / "ship.png"
MAKE_FILE = """([name, type, content]) => {
    const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], name, {type}));
    return transfer;
}"""
COPY_PNG = """async (content) => {
    const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
    await navigator.clipboard.write([new ClipboardItem({"image/png": new Blob([bytes], {type: "image/png"})})]);
}"""


def choose(page: Page, path: Path) -> None:
    page.set_input_files("#image input[type=file]", path)


def drop(page: Page, name: str, kind: str, content: bytes) -> None:
    transfer = page.evaluate_handle(MAKE_FILE, [name, kind, base64.b64encode(content).decode()])
    page.dispatch_event("#image button", "drop", {"dataTransfer": transfer})


def answer(page: Page) -> str:
    """The heading of the answer in the tab that is open, once it is there."""
    return page.locator(".answer:visible [data-testid=label-output-value]").inner_text().strip()


def heading(prediction: pyclassify.Prediction, language: str = "en") -> str:
    """Return what stands above the bars: the answer in a sentence."""
    return text("page.unknown", language) if prediction.known is False else prediction.message(language).rstrip(".")


def expect_answer(page: Page, prediction: pyclassify.Prediction, language: str = "en") -> None:
    headings = page.locator(".answer:visible [data-testid=label-output-value]")
    headings.filter(has_text=exactly(heading(prediction, language))).wait_for()


def expect_remark(page: Page, words: str) -> None:
    page.locator(".block.remarks:visible").filter(has_text=words).wait_for()


def exactly(words: str) -> re.Pattern[str]:
    return re.compile(rf"^\s*{re.escape(words)}\s*$")


def menu(page: Page, name: str) -> None:
    page.get_by_role("combobox", name=text("page.checkpoint")).locator("visible=true").click()
    page.get_by_role("option", name=name).locator("visible=true").click()


@pytest.fixture(scope="module")
def expected(checkpoints: Path) -> Callable[[str, Path | str], pyclassify.Prediction]:
    loaded = {
        path.name: pyclassify.load(path, device="cpu") for path in checkpoints.iterdir() if path.name != "altered"
    }

    def expected(name: str, item: Path | str) -> pyclassify.Prediction:
        return loaded[name].predict([item])[0]

    return expected


def test_dropped_picture_is_answered_at_once(page: Page, expected: Callable[..., pyclassify.Prediction]) -> None:
    drop(page, "cat.jpg", "image/jpeg", CAT.read_bytes())
    prediction = expected("animals", CAT)
    expect_answer(page, prediction)
    expect_remark(page, "on the CPU")
    lines = page.locator(".answer:visible dl").all_inner_texts()
    assert len(lines) == 5
    for line, (label, share) in zip(lines, prediction.probabilities.items(), strict=False):
        assert line.split() == [label, f"{100 * share:.0f}%"]


def test_chosen_picture_is_answered_by_another_checkpoint(
    page: Page, expected: Callable[..., pyclassify.Prediction]
) -> None:
    choose(page, CAT)
    expect_answer(page, expected("animals", CAT))
    menu(page, "vehicles")
    expect_answer(page, expected("vehicles", CAT))
    about = page.locator(".block.about:visible").inner_text()
    assert "car, ship" in about
    assert "89.4% of 10,000 pictures" in about


def test_pasted_pictures_are_answered(page: Page, expected: Callable[..., pyclassify.Prediction]) -> None:
    page.evaluate(COPY_PNG, base64.b64encode(SHIP.read_bytes()).decode())
    page.locator("html[data-paste=on]").wait_for(state="attached")
    page.keyboard.press("Control+v")
    expect_answer(page, expected("animals", SHIP))
    page.get_by_role("button", name="Remove Image").click()
    expect_remark(page, text("page.waiting.image"))
    page.get_by_role("button", name="Paste from clipboard").click()
    expect_answer(page, expected("animals", SHIP))


def test_camera_is_answered(page: Page) -> None:
    page.get_by_role("button", name="Capture from camera").click()
    page.get_by_role("button", name="Click to Access Webcam").click()
    page.wait_for_function("document.querySelector('#image video')?.videoWidth > 0")  # the camera takes a moment
    page.get_by_role("button", name="capture photo").click()
    expect_remark(page, "Answered in")


def test_example_pictures_are_answered(page: Page, expected: Callable[..., pyclassify.Prediction]) -> None:
    pictures = sorted(EXAMPLES.glob("*.*g"))
    buttons = page.locator("#image-examples button")
    assert buttons.count() == len(pictures) >= 2
    for position, path in enumerate(pictures):
        buttons.nth(position).click()
        page.locator(f"#image img[src*='{path.name}']").wait_for()
        expect_answer(page, expected("animals", path))


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("text.jpg", b"this is no picture", text("errors.picture_format_unknown")),
        ("torn.jpg", CAT.read_bytes()[:3000], "torn.jpg"),
    ],
)
def test_broken_file_is_reported_and_the_next_one_is_answered(
    page: Page,
    tmp_path: Path,
    expected: Callable[..., pyclassify.Prediction],
    name: str,
    content: bytes,
    problem: str,
) -> None:
    (tmp_path / name).write_bytes(content)
    choose(page, tmp_path / name)
    page.get_by_role("alert").filter(has_text=problem).wait_for()
    choose(page, CAT)
    expect_answer(page, expected("animals", CAT))


def test_file_of_another_kind_or_too_large_is_reported(page: Page, tmp_path: Path) -> None:
    drop(page, "letter.pdf", "application/pdf", b"%PDF")
    page.get_by_text("Invalid file type: letter.pdf").first.wait_for()
    (tmp_path / "huge.jpg").write_bytes(b"\xff\xd8\xff" + bytes(MAX_PICTURE_BYTES))
    choose(page, tmp_path / "huge.jpg")
    page.get_by_role("alert").filter(has_text=text("errors.picture_file_too_large", limit_mb=20)).wait_for()
    with (tmp_path / "vast.jpg").open("wb") as file:
        file.truncate(201 * 2**20)
    choose(page, tmp_path / "vast.jpg")
    page.get_by_text("exceed the maximum allowed size of 200").first.wait_for()


def test_text_is_answered_while_it_is_written(page: Page, expected: Callable[..., pyclassify.Prediction]) -> None:
    page.get_by_role("tab", name="Text").click()
    box = page.get_by_role("textbox", name=text("page.input.text"))
    box.press_sequentially("a good film")
    expect_answer(page, expected("imdb", "a good film"))
    menu(page, "naver")
    expect_answer(page, expected("naver", "a good film"))
    box.fill("")
    expect_remark(page, text("page.waiting.text"))
    assert page.locator(".answer:visible [data-testid=label-output-value]").count() == 0


def test_example_sentence_chooses_its_checkpoint(page: Page) -> None:
    page.get_by_role("tab", name="Text").click()
    sentences = page.locator("#text-examples button")
    assert sentences.count() == 5
    sentences.nth(3).click()
    page.locator(".answer:visible [data-testid=label-output-value]").wait_for()
    assert re.search("부정|긍정", answer(page))
    page.locator(".block.about:visible", has_text="부정, 긍정").wait_for()
    assert page.get_by_role("combobox", name=text("page.checkpoint")).locator("visible=true").input_value() == "naver"


def test_why_is_shown_for_any_label_and_goes_with_the_next_input(page: Page) -> None:
    choose(page, CAT)
    expect_remark(page, "Answered in")
    page.get_by_role("button", name=text("page.why")).locator("visible=true").click()
    page.get_by_role("img", name=re.compile("in orange")).wait_for()
    page.get_by_role("combobox", name=text("page.explanation.label")).locator("visible=true").click()
    page.get_by_role("option", name="horse").click()
    page.get_by_role("img", name=re.compile("evidence for horse")).wait_for()
    page.get_by_role("tab", name="Text").click()
    box = page.get_by_role("textbox", name=text("page.input.text"))
    box.fill("a good film")
    expect_remark(page, "Answered in")
    page.get_by_role("button", name=text("page.why")).locator("visible=true").click()
    page.locator(".why .words:visible").filter(has_text="a good film").wait_for()
    box.fill("a bad film")
    page.locator(".why:visible").wait_for(state="detached")


def test_reasons_stay_and_follow_the_language(page: Page) -> None:
    choose(page, CAT)
    expect_remark(page, "Answered in")
    page.get_by_text(text("page.own_name", "ko"), exact=True).click()
    expect_remark(page, "CPU에서")
    page.wait_for_timeout(500)
    assert page.locator(".why").count() == 0  # nobody asked
    page.get_by_role("button", name=text("page.why", "ko")).locator("visible=true").click()
    page.get_by_role("img", name=re.compile("주황색")).wait_for()
    page.get_by_role("combobox", name=text("page.explanation.label", "ko")).locator("visible=true").click()
    page.get_by_role("option", name="horse").click()
    page.get_by_role("img", name=re.compile("horse의 근거")).wait_for()
    page.get_by_text(text("page.own_name"), exact=True).click()
    page.get_by_role("img", name=re.compile("evidence for horse")).wait_for()
    expect_remark(page, "Answered in")
    page.get_by_role("img", name=re.compile("evidence for horse")).wait_for()


def test_heat_fades(page: Page) -> None:
    choose(page, CAT)
    expect_remark(page, "Answered in")
    page.get_by_role("button", name=text("page.why")).locator("visible=true").click()
    slider = page.get_by_role("slider", name=text("page.explanation.fade"))
    coloured = page.get_by_role("img", name=re.compile("in orange"))
    assert coloured.evaluate("image => getComputedStyle(image).opacity") == "1"
    slider.focus()
    page.keyboard.press("Home")
    assert coloured.evaluate("image => getComputedStyle(image).opacity") == "0"


def test_korean_browser_gets_korean_and_the_switch_overrides(
    open_page: Callable[..., Page], expected: Callable[..., pyclassify.Prediction]
) -> None:
    page = open_page(locale="ko-KR")
    page.get_by_role("tab", name=text("page.tabs.text", "ko")).click()
    page.get_by_role("textbox", name=text("page.input.text", "ko")).fill("a good film")
    expect_answer(page, expected("imdb", "a good film"), "ko")
    expect_remark(page, "CPU에서")
    page.get_by_text(text("page.own_name"), exact=True).click()
    for title in (text("page.tabs.text"), text("page.tabs.image")):
        page.get_by_role("tab", name=title).wait_for()
    expect_answer(page, expected("imdb", "a good film"))
    page.locator(".block.about:visible", has_text="Labels: ").wait_for()
    page.reload_quietly()  # type: ignore[attr-defined]
    for title in (text("page.tabs.text"), text("page.tabs.image")):
        page.get_by_role("tab", name=title).wait_for()


def test_problems_are_in_korean(open_page: Callable[..., Page], tmp_path: Path) -> None:
    page = open_page(locale="ko-KR")
    (tmp_path / "torn.jpg").write_bytes(CAT.read_bytes()[:3000])
    choose(page, tmp_path / "torn.jpg")
    page.get_by_role("alert").filter(has_text="torn.jpg").filter(has_text=re.compile("[가-힣]")).wait_for()


def test_link_leads_back_to_tab_checkpoint_and_text(page: Page, open_page: Callable[..., Page]) -> None:
    page.get_by_role("tab", name="Text").click()
    menu(page, "naver")
    page.get_by_role("textbox", name=text("page.input.text")).fill("좋은 영화 & more #1")
    expect_remark(page, "Answered in")
    page.get_by_role("button", name=text("page.link.copy")).click()
    page.get_by_role("button", name=text("page.link.copied")).wait_for()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == page.url.replace("?__theme=light", "")  # which was only this visitor's
    requested: list[str] = []
    again = open_page(fragment=link.partition("#")[2])
    again.on("request", lambda request: requested.append(request.url))
    again.locator(".answer:visible [data-testid=label-output-value]").wait_for()
    assert again.get_by_role("textbox", name=text("page.input.text")).input_value() == "좋은 영화 & more #1"
    assert again.get_by_role("combobox", name=text("page.checkpoint")).locator("visible=true").input_value() == "naver"
    assert not [url for url in requested if "more" in url]  # what was written stays out of addresses


def test_link_says_that_a_picture_is_not_in_it(page: Page) -> None:
    choose(page, CAT)
    expect_remark(page, "Answered in")
    page.get_by_role("button", name=text("page.link.copy")).click()
    page.get_by_role("button", name=text("page.link.without_files")).wait_for()
    page.get_by_role("tab", name="Text").click()
    page.get_by_role("button", name=text("page.link.without_files")).click()
    page.get_by_role("button", name=text("page.link.copied"), exact=True).wait_for()


@pytest.mark.parametrize("locale", ["en-US", "ko-KR"])
def test_all_tabs_are_in_sight_on_a_phone(open_page: Callable[..., Page], locale: str) -> None:
    page = open_page(locale=locale, width=390)
    page.get_by_role("tab", name=text("page.models.tab", locale[:2]), exact=True).wait_for()
    assert page.get_by_role("tab").count() == 5


def test_broken_checkpoint_is_named(page: Page) -> None:
    assert "altered" in page.locator(".notice").inner_text()
    assert "vocab.txt" in page.locator(".notice").inner_text()


def test_nothing_jumps_when_the_answer_comes(page: Page) -> None:
    before = page.locator(".block.about:visible").bounding_box()
    choose(page, CAT)
    expect_remark(page, "Answered in")
    after = page.locator(".block.about:visible").bounding_box()
    assert before is not None
    assert after is not None
    assert after["y"] == pytest.approx(before["y"], abs=4)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 768, 390])
def test_page_fits(open_page: Callable[..., Page], width: int, theme: str) -> None:
    """Nothing is wider than the window; the screenshots are for people."""
    page = open_page(width=width, theme=theme)
    choose(page, CAT)
    expect_remark(page, "Answered in")
    SCREENSHOTS.mkdir(exist_ok=True)
    for tab in ("image", "text"):
        if tab == "text":
            page.get_by_role("tab", name="Text").click()
            page.locator("#text-examples button").first.click()
            expect_remark(page, "Answered in")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.wait_for_timeout(300)  # the bars grow
        page.screenshot(path=SCREENSHOTS / f"{tab}-{width}-{theme}.png", full_page=True)


def test_rotated_photo_reaches_the_classifier_untouched(
    page: Page, tmp_path: Path, expected: Callable[..., pyclassify.Prediction]
) -> None:
    path = tmp_path / "rotated.jpg"
    exif = Image.Exif()
    exif[274] = 6
    with Image.open(SHIP) as ship:
        ship.convert("RGB").save(path, exif=exif)
    choose(page, path)
    prediction = expected("animals", path)
    expect_answer(page, prediction)
    label, share = next(iter(prediction.probabilities.items()))
    page.locator(".answer:visible dl").first.filter(has_text=re.compile(rf"{label}\s*{100 * share:.0f}%")).wait_for()
