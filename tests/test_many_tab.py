"""The runs behind the tab for many inputs at once, and its endpoint."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import gradio_client
import pytest

import app
from pyclassify.many import Row, Spool, Upload
from pyclassify.ui import many_endpoint
from pyclassify.ui.many_view import filters, table, turned
from pyclassify.ui.runs import Runs, View, keep
from pyclassify.ui.wording.en import English
from pyclassify.ui.wording.ko import Korean
from tests.fakes import FakeClassifier, write_text_checkpoint


def test_nothing_of_a_run_stays_when_its_visitor_leaves() -> None:
    runs, classifier = Runs(), FakeClassifier()
    first = runs.begin("a", classifier)  # type: ignore[arg-type]
    other = runs.begin("b", classifier)  # type: ignore[arg-type]
    runs.forget("a")
    assert first.stop.is_set()
    first.spool.add([Row("the batch that was being answered")])
    runs.end(first)
    assert not first.folder.exists()
    assert runs.of("a") is None
    runs.end(other)
    again = runs.begin("b", classifier)  # type: ignore[arg-type]
    assert not other.folder.exists()
    assert runs.of("b") is again
    root = runs.root
    assert root.is_dir()
    del runs
    assert not root.exists()


def test_a_run_keeps_its_files_when_the_uploads_are_deleted(tmp_path: Path) -> None:
    runs, upload = Runs(), tmp_path / "upload.csv"
    upload.write_text("text\ngood\n", encoding="utf-8")
    run = runs.begin("a", FakeClassifier())  # type: ignore[arg-type]
    (kept,) = keep([Upload("reviews/mine.csv", upload)], run.folder)
    upload.unlink()
    assert kept.name == "reviews/mine.csv"
    assert kept.path.read_text(encoding="utf-8") == "text\ngood\n"
    runs.end(run)
    runs.forget("a")
    assert not kept.path.exists()


def test_what_is_not_known_is_no_answer(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", ("neg", "pos"))
    sure = {"label": "pos", "probability": 0.97, "shares": (0.03, 0.97)}
    spool.add(
        [
            Row("a", "known", labels_set=("pos",), known=True, **sure),  # type: ignore[arg-type]
            Row("b", "between", labels_set=("pos", "neg"), known=True, **sure),  # type: ignore[arg-type]
            Row("c", "unlike", labels_set=("pos",), known=False, **sure),  # type: ignore[arg-type]
        ]
    )
    names, counts = {"pos": "positive", "neg": "negative"}, spool.counts()
    choices = dict(filters(counts, names, English))
    assert choices == {
        "All (3)": "all",
        "positive (2)": "label:pos",
        f"{English.MANY_UNSURE} (1)": "unsure",
        f"{English.MANY_UNKNOWN} (1)": "unknown",
    }
    html = table(spool, View(), names, English)
    cells = [re.findall("<td>([^<]*)</td>", each) for each in html.split("<tr")[2:]]
    assert cells[0] == ["positive", "97 %", "–", "–"]
    assert cells[1] == ["positive", "97 %", "negative", English.MANY_UNSURE]
    assert cells[2] == [escape(English.many_nearest("positive")), "–", "–", escape(English.MANY_UNKNOWN)]


def test_old_runs_are_deleted() -> None:
    runs, classifier = Runs(kept_s=0.01), FakeClassifier()
    old = runs.begin("a", classifier)  # type: ignore[arg-type]
    runs.end(old)
    time.sleep(0.02)
    runs.begin("b", classifier)  # type: ignore[arg-type]
    assert not old.folder.exists()


def test_a_second_click_turns_the_order_round() -> None:
    view = View(page=3)
    turned(view, "label", ("label", "name"))
    assert (view.order, view.descending, view.page) == ("label", False, 0)
    turned(view, "label", ("label", "name"))
    assert view.descending
    turned(view, "after", ("label", "name"))
    assert view.page == 1
    turned(view, "id; DROP TABLE rows", ("label", "name"))
    assert view.order == "label"


@pytest.mark.parametrize("said", [English, Korean])
def test_progress_is_said_in_both_languages(said: type[English]) -> None:
    assert "1,000" in said.many_progress(10, 1000, 0.01, 61.0)
    assert "61" in said.many_progress(10, 1000, 0.01, 61.0)
    assert "2,000" in said.many_progress(100, None, 0.05, None)


def test_every_reason_for_a_row_is_translated() -> None:
    reasons = [
        "empty text",
        "2 cells instead of 3",
        "not valid JSON",
        "a.zip/b.png is locked with a password; pack it.",
    ]
    assert all(Korean.sentence(f"{each}.") != English.sentence(f"{each}.") for each in reasons)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("checkpoints")
    write_text_checkpoint(folder / "reviews")
    port = _free()
    running = app.start(app.parse_options(["--checkpoints", str(folder), "--port", str(port), "--device", "cpu"]))
    yield f"http://127.0.0.1:{port}/"
    running.close()


def _free() -> int:
    from benchmarks.serving import free_port

    return free_port()


def _ask(client: gradio_client.Client, *files: Path, **options: Any) -> dict[str, Any]:
    given = {"checkpoint": "reviews", "column": "", "language": "en"} | options
    found: dict[str, Any] = client.predict(
        files=[gradio_client.handle_file(each) for each in files], api_name="/classify_files", **given
    )
    return found


def test_programs_send_files_and_get_rows(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "t.jsonl"
    table.write_text("".join(json.dumps({"x": f"good film {n}"}) + "\n" for n in range(600)) + "[]\n", encoding="utf-8")
    client = gradio_client.Client(page, verbose=False)
    try:
        found = _ask(client, table, column="x")
        assert [row.get("text") for row in found["rows"]] == [*(f"good film {n}" for n in range(600)), None]
        assert found["counts"]["rows"] == 601
        assert found["counts"]["problems"] == 1
        assert found["note"] == ""
        assert sum(found["rows"][0]["probabilities"].values()) == pytest.approx(1)
        monkeypatch.setattr(many_endpoint, "MAX_ROWS", 300)
        found = _ask(client, table, language="ko")
        assert len(found["rows"]) == 300
        assert "300" in found["note"]
        with pytest.raises(Exception, match="no checkpoint named"):
            _ask(client, table, checkpoint="other")
    finally:
        client.close()
