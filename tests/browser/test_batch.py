"""The Batch tab, in a real browser with real files, in both languages."""

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
    page.locator("#batch-start").wait_for()


def _choose(page: Page, path: Path) -> None:
    page.locator("#batch-files input[type=file]").set_input_files(path)
    expect(page.locator("#batch-files")).to_contain_text(path.stem)


def _saved(page: Page, button: str, folder: Path) -> Path:
    with page.expect_download() as download:
        page.locator(button).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_a_zip_is_answered_sorted_filtered_and_taken_home(page: Page, tmp_path: Path) -> None:
    _open(page, "Batch")
    page.locator("#batch-start").click()
    expect(page.locator("#batch-status [role=alert]")).to_contain_text("Choose files first")
    _choose(page, _pictures(tmp_path / "all.zip", 60))
    expect(page.locator("#batch-status")).to_have_text("")
    page.locator("#batch-start").click()
    expect(page.locator("#batch-status")).to_contain_text("Done: 61 rows")
    rows = page.locator("#batch-table tbody tr")
    expect(rows).to_have_count(50)
    assert page.locator("#batch-table tbody img").first.evaluate("(image) => image.naturalWidth") == 16
    page.locator("#batch-table [data-action=next]").click()
    expect(rows).to_have_count(11)
    page.locator("#batch-table [data-action=probability]").click()
    expect(page.locator("#batch-table th[aria-sort=ascending]")).to_contain_text("Probability")
    expect(rows).to_have_count(50)  # from the first page, over all rows
    with _saved(page, "#batch-csv", tmp_path).open(encoding="utf-8-sig", newline="") as file:
        cells = list(csv.DictReader(file))
    answers = json.loads(_saved(page, "#batch-json", tmp_path).read_text(encoding="utf-8"))
    assert [row["name"] for row in answers] == [row["name"] for row in cells]
    assert len(answers) == 61
    least = min((row for row in answers if "probability" in row), key=lambda row: row["probability"])
    expect(rows.first).to_contain_text(least["name"])
    expect(page.locator("#batch-csv")).to_have_text("Download all 61 as CSV")
    expect(page.locator("#batch-json-shown")).to_be_hidden()
    page.get_by_role("radio", name="Problems (1)").check()
    expect(rows).to_have_count(1)
    (problem,) = json.loads(_saved(page, "#batch-json-shown", tmp_path).read_text(encoding="utf-8"))
    assert problem["name"] == "all.zip/broken.png"
    expect(rows).to_contain_text(problem["problem"])
    page.locator("#language label", has_text="한국어").click()
    expect(page.locator("#batch-status")).to_contain_text("61개를")
    expect(page.get_by_role("radio", name="문제 (1)")).to_be_checked()
    expect(page.locator("#batch-csv-shown")).to_contain_text("1개를 CSV 파일로 내려받기")
    (translated,) = json.loads(_saved(page, "#batch-json-shown", tmp_path).read_text(encoding="utf-8"))
    expect(rows).to_contain_text(translated["problem"])
    assert translated["problem"] != problem["problem"]
    _choose(page, _pictures(tmp_path / "other.zip", 1))
    expect(rows).to_have_count(0)  # they were of the other file
    expect(page.locator("#batch-csv")).to_be_hidden()
    expect(page.locator("#batch-status")).to_have_text("")


def test_a_table_is_stopped_and_keeps_what_is_done(open_page: Any, tmp_path: Path) -> None:
    page: Page = open_page(width=390, theme="dark", locale="ko-KR", fragment="tab=batch")
    table = tmp_path / "texts.tsv"
    table.write_text("label\tdocument\n" + "good\tgood film 좋아요\n" * 150_000, encoding="utf-8")
    _choose(page, table)
    expect(page.locator("#batch-column input")).to_have_value("\u200bdocument")
    page.locator("#batch-start").click()
    expect(page.locator("#batch-progress progress")).to_have_count(1)
    expect(page.locator("#batch-progress")).to_contain_text("개 답함")
    page.locator("#batch-stop").click()
    expect(page.locator("#batch-status")).to_contain_text("멈췄습니다")
    done = json.loads(_saved(page, "#batch-json", tmp_path).read_text(encoding="utf-8"))
    assert 0 < len(done) < 150_000
    assert {row["text"] for row in done} == {"good film 좋아요"}
    expect(page.locator("#batch-start")).to_be_enabled()


def test_one_click_shows_how_it_works(page: Page) -> None:
    _open(page, "Batch")
    page.locator("#batch-example").click()
    expect(page.locator("#batch-status")).to_contain_text("Done: 4 rows")
    expect(page.locator("#batch-table tbody tr")).to_have_count(4)
    page.locator("#language label", has_text="한국어").click()
    expect(page.locator("#batch-table thead")).to_contain_text("확률")
