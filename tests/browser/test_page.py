from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

import pyclassify
from pyclassify.ui import wording
from pyclassify.ui.image_tab import EXAMPLES
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
    page.set_input_files("#picture input[type=file]", path)


def drop(page: Page, name: str, kind: str, content: bytes) -> None:
    transfer = page.evaluate_handle(MAKE_FILE, [name, kind, base64.b64encode(content).decode()])
    page.dispatch_event("#picture button", "drop", {"dataTransfer": transfer})


def answer(page: Page) -> str:
    """The heading of the answer in the tab that is open, once it is there."""
    return page.locator(".answer:visible [data-testid=label-output-value]").inner_text().strip()


def expect_answer(page: Page, label: str) -> None:
    page.locator(".answer:visible [data-testid=label-output-value]").filter(has_text=exactly(label)).wait_for()


def expect_remark(page: Page, words: str) -> None:
    page.locator(".block.remarks:visible").filter(has_text=words).wait_for()


def exactly(words: str) -> re.Pattern[str]:
    return re.compile(rf"^\s*{re.escape(words)}\s*$")


def menu(page: Page, name: str) -> None:
    page.get_by_role("combobox", name=wording.CHECKPOINT).locator("visible=true").click()
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
    expect_answer(page, prediction.label)
    expect_remark(page, "on the CPU")
    shown = page.locator(".answer:visible dl").all_inner_texts()
    assert len(shown) == 5
    for line, (label, share) in zip(shown, prediction.probabilities.items(), strict=False):
        assert line.split() == [label, f"{100 * share:.0f}%"]


def test_chosen_picture_is_answered_by_another_checkpoint(
    page: Page, expected: Callable[..., pyclassify.Prediction]
) -> None:
    choose(page, CAT)
    expect_answer(page, expected("animals", CAT).label)
    menu(page, "vehicles")
    expect_answer(page, expected("vehicles", CAT).label)
    about = page.locator(".block.about:visible").inner_text()
    assert "45,000 pictures of vehicles" in about
    assert "89.4\xa0% of 10,000 test pictures" in about


def test_pasted_pictures_are_answered(page: Page, expected: Callable[..., pyclassify.Prediction]) -> None:
    page.evaluate(COPY_PNG, base64.b64encode(SHIP.read_bytes()).decode())
    page.locator("html[data-paste=on]").wait_for(state="attached")
    page.keyboard.press("Control+v")
    expect_answer(page, expected("animals", SHIP).label)
    page.get_by_role("button", name="Remove Image").click()
    expect_remark(page, wording.WAITING_FOR_PICTURE)
    page.get_by_role("button", name="Paste from clipboard").click()
    expect_answer(page, expected("animals", SHIP).label)


def test_camera_is_answered(page: Page) -> None:
    page.get_by_role("button", name="Capture from camera").click()
    page.get_by_role("button", name="Click to Access Webcam").click()
    page.wait_for_function("document.querySelector('#picture video')?.videoWidth > 0")  # the camera takes a moment
    page.get_by_role("button", name="capture photo").click()
    expect_remark(page, "Answered in")


def test_example_pictures_are_answered(page: Page, expected: Callable[..., pyclassify.Prediction]) -> None:
    pictures = sorted(EXAMPLES.glob("*.*g"))
    buttons = page.locator("#pictures button")
    assert buttons.count() == len(pictures) >= 2
    for position, path in enumerate(pictures):
        buttons.nth(position).click()
        page.locator(f"#picture img[src*='{path.name}']").wait_for()
        expect_answer(page, expected("animals", path).label)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("text.jpg", b"this is no picture", wording.UNKNOWN_PICTURE),
        ("torn.jpg", CAT.read_bytes()[:3000], "torn.jpg is damaged"),
    ],
)
def test_broken_file_is_said_and_the_next_one_is_answered(
    page: Page,
    tmp_path: Path,
    expected: Callable[..., pyclassify.Prediction],
    name: str,
    content: bytes,
    said: str,
) -> None:
    (tmp_path / name).write_bytes(content)
    choose(page, tmp_path / name)
    page.get_by_role("alert").filter(has_text=said).wait_for()
    choose(page, CAT)
    expect_answer(page, expected("animals", CAT).label)


def test_file_of_another_kind_or_too_large_is_said(page: Page, tmp_path: Path) -> None:
    drop(page, "letter.pdf", "application/pdf", b"%PDF")
    page.get_by_text("Invalid file type: letter.pdf").first.wait_for()
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(21 * 2**20)
    choose(page, tmp_path / "huge.jpg")
    page.get_by_text("exceed the maximum allowed size of 20").first.wait_for()


def test_text_is_answered_while_it_is_written(page: Page, expected: Callable[..., pyclassify.Prediction]) -> None:
    page.get_by_role("tab", name="Text").click()
    box = page.get_by_role("textbox", name=wording.TEXT)
    box.press_sequentially("a good film")
    expect_answer(page, expected("imdb", "a good film").label)
    menu(page, "naver")
    expect_answer(page, expected("naver", "a good film").label)
    box.fill("")
    expect_remark(page, wording.WAITING_FOR_TEXT)
    assert page.locator(".answer:visible [data-testid=label-output-value]").count() == 0


def test_example_sentence_chooses_its_checkpoint(page: Page) -> None:
    page.get_by_role("tab", name="Text").click()
    sentences = page.locator("#sentences button")
    assert sentences.count() == 4
    sentences.nth(2).click()
    page.locator(".answer:visible [data-testid=label-output-value]").wait_for()
    assert answer(page) in {"부정", "긍정"}
    assert "naver" in page.locator(".block.about:visible").inner_text()


def test_why_is_shown_for_any_label_and_goes_with_the_next_input(page: Page) -> None:
    choose(page, CAT)
    expect_remark(page, "Answered in")
    page.get_by_role("button", name=wording.WHY).locator("visible=true").click()
    page.get_by_role("img", name=re.compile("orange where it speaks for")).wait_for()
    page.get_by_role("combobox", name=wording.WHY_LABEL).locator("visible=true").click()
    page.get_by_role("option", name="horse").click()
    page.get_by_role("img", name=re.compile("speaks for horse")).wait_for()
    page.get_by_role("tab", name="Text").click()
    box = page.get_by_role("textbox", name=wording.TEXT)
    box.fill("a good film")
    expect_remark(page, "Answered in")
    page.get_by_role("button", name=wording.WHY).locator("visible=true").click()
    page.locator(".why .words:visible").filter(has_text="a good film").wait_for()
    box.fill("a bad film")
    page.locator(".why:visible").wait_for(state="detached")


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
            page.locator("#sentences button").first.click()
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
    expect_answer(page, prediction.label)
    label, share = next(iter(prediction.probabilities.items()))
    page.locator(".answer:visible dl").first.filter(has_text=re.compile(rf"{label}\s*{100 * share:.0f}%")).wait_for()
