"""Many at once, in a real browser with real files, in both languages."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def _pictures(path: Path, count: int) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(count):
            single = path.with_name(f"{number}.png")
            Image.new("RGB", (16, 16), (number % 256, 2 * number % 256, 80)).save(single)
            archive.write(single, f"folder/{number}.png")
        archive.writestr("broken.png", b"no picture")
    return path


def _open(page: Page, tab: str) -> None:
    page.get_by_role("tab", name=tab, exact=True).click()
    page.locator("#many-start").wait_for()


def _choose(page: Page, path: Path) -> None:
    page.locator("#many-files input[type=file]").set_input_files(path)
    expect(page.locator("#many-files")).to_contain_text(path.stem)


def _saved(page: Page, button: str, folder: Path) -> Path:
    with page.expect_download() as download:
        page.locator(button).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_a_zip_is_answered_sorted_filtered_and_taken_home(page: Page, tmp_path: Path) -> None:
    _open(page, "Many at once")
    page.locator("#many-start").click()
    expect(page.locator("#many-said [role=alert]")).to_contain_text("Choose files first")
    _choose(page, _pictures(tmp_path / "all.zip", 60))
    expect(page.locator("#many-said")).to_have_text("")
    page.locator("#many-start").click()
    expect(page.locator("#many-said")).to_contain_text("Done: 61 rows")
    rows = page.locator("#many-table tbody tr")
    expect(rows).to_have_count(50)
    assert page.locator("#many-table tbody img").first.evaluate("(each) => each.naturalWidth") == 16
    page.locator("#many-table [data-do=after]").click()
    expect(rows).to_have_count(11)
    page.locator("#many-table [data-do=probability]").click()
    expect(page.locator("#many-table th[aria-sort=ascending]")).to_contain_text("Probability")
    expect(rows).to_have_count(50)  # from the first page, over all rows
    with _saved(page, "#many-csv", tmp_path).open(encoding="utf-8-sig", newline="") as file:
        cells = list(csv.DictReader(file))
    found = json.loads(_saved(page, "#many-json", tmp_path).read_text(encoding="utf-8"))
    assert [each["name"] for each in found] == [each["name"] for each in cells]
    assert len(found) == 61
    least = min((each for each in found if "probability" in each), key=lambda each: each["probability"])
    expect(rows.first).to_contain_text(least["name"])
    expect(page.locator("#many-csv")).to_have_text("Download all 61 as CSV")
    expect(page.locator("#many-json-shown")).to_be_hidden()
    page.get_by_role("radio", name="Problems (1)").check()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("broken.png is damaged or not a picture")
    (problem,) = json.loads(_saved(page, "#many-json-shown", tmp_path).read_text(encoding="utf-8"))
    assert problem["name"] == "all.zip/broken.png"
    page.get_by_text("한국어", exact=True).click()
    expect(page.locator("#many-said")).to_contain_text("61개를")
    expect(page.get_by_role("radio", name="문제 (1)")).to_be_checked()
    expect(page.locator("#many-csv-shown")).to_contain_text("1개를 CSV로 내려받기")
    _choose(page, _pictures(tmp_path / "other.zip", 1))
    expect(rows).to_have_count(0)  # they were of the other file
    expect(page.locator("#many-csv")).to_be_hidden()
    expect(page.locator("#many-said")).to_have_text("")


def test_a_table_is_stopped_and_keeps_what_is_done(open_page: Any, tmp_path: Path) -> None:
    page: Page = open_page(width=390, theme="dark", locale="ko-KR", fragment="tab=many")
    table = tmp_path / "texts.tsv"
    table.write_text("label\tdocument\n" + "good\tgood film 좋아요\n" * 150_000, encoding="utf-8")
    _choose(page, table)
    expect(page.locator("#many-column input")).to_have_value("\u200bdocument")
    page.locator("#many-start").click()
    expect(page.locator("#many-progress progress")).to_have_count(1)
    expect(page.locator("#many-progress")).to_contain_text("개 답함")
    page.locator("#many-stop").click()
    expect(page.locator("#many-said")).to_contain_text("멈췄습니다")
    done = json.loads(_saved(page, "#many-json", tmp_path).read_text(encoding="utf-8"))
    assert 0 < len(done) < 150_000
    assert {each["text"] for each in done} == {"good film 좋아요"}
    expect(page.locator("#many-start")).to_be_enabled()


def test_one_click_shows_how_it_works(page: Page) -> None:
    _open(page, "Many at once")
    page.locator("#many-example").click()
    expect(page.locator("#many-said")).to_contain_text("Done: 4 rows")
    expect(page.locator("#many-table tbody tr")).to_have_count(4)
    page.get_by_text("한국어", exact=True).click()
    expect(page.locator("#many-table thead")).to_contain_text("확률")
