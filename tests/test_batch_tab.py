"""The batch runs of visitors, their table, and the endpoint for many inputs."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import gradio_client
import pytest

import app
from pyclassify.batch.files import Upload
from pyclassify.batch.run import Progress
from pyclassify.batch.store import AnswerStore, Counts, Row
from pyclassify.classifier import Prediction
from pyclassify.locales import LANGUAGES, Message, percent, text
from pyclassify.ui import batch_tab
from pyclassify.ui.batch_runs import Runs, View, keep_uploads
from pyclassify.ui.batch_tab import filters, progress_html, table_html
from tests.fakes import FakeClassifier, write_text_checkpoint

in_all_languages = pytest.mark.parametrize("language", LANGUAGES)


# Runs


def test_nothing_of_a_run_stays_when_its_visitor_leaves() -> None:
    runs, classifier = Runs(), FakeClassifier()
    first = runs.begin("a", classifier)
    other = runs.begin("b", classifier)
    runs.forget("a")
    assert first.stop.is_set()
    first.store.add([Row("the batch that was being answered")])
    runs.end(first)
    assert not first.folder.exists()
    assert runs.get("a") is None
    runs.end(other)
    again = runs.begin("b", classifier)
    assert not other.folder.exists()
    assert runs.get("b") is again
    root = runs.root
    assert root.is_dir()
    del runs
    assert not root.exists()


def test_a_run_keeps_its_files_when_the_uploads_are_deleted(tmp_path: Path) -> None:
    runs, upload = Runs(), tmp_path / "upload.csv"
    upload.write_text("text\ngood\n", encoding="utf-8")
    run = runs.begin("a", FakeClassifier())
    (kept,) = keep_uploads([Upload("reviews/mine.csv", upload)], run.folder)
    upload.unlink()
    assert kept.name == "reviews/mine.csv"
    assert kept.path.read_text(encoding="utf-8") == "text\ngood\n"
    runs.end(run)
    runs.forget("a")
    assert not kept.path.exists()


def test_old_runs_are_deleted_when_another_begins() -> None:
    runs, classifier = Runs(kept_s=0.01), FakeClassifier()
    old = runs.begin("a", classifier)
    going_on = runs.begin("b", classifier)
    runs.end(old)
    time.sleep(0.02)
    runs.begin("c", classifier)
    assert not old.folder.exists()
    assert going_on.folder.exists()


def test_a_second_click_turns_the_order_round() -> None:
    view = View(page=3)
    view.turn("label", ("label", "name"))
    assert (view.order, view.descending, view.page) == ("label", False, 0)
    view.turn("label", ("label", "name"))
    assert view.descending
    view.turn("next", ("label", "name"))
    assert view.page == 1
    view.turn("previous", ("label", "name"))
    assert view.page == 0
    view.turn("id; DROP TABLE rows", ("label", "name"))
    assert view.order == "label"


# The table


def answered(
    name: str, content: str, *, prediction_set: tuple[str, ...], known: bool, share: float = 0.97, **options: Any
) -> Row:
    prediction = Prediction("pos", {"pos": share, "neg": 1 - share}, (), known, prediction_set, **options)
    return Row(name, content).answered(prediction, ("neg", "pos"))


@in_all_languages
def test_what_is_not_known_is_no_answer(tmp_path: Path, language: str) -> None:
    store = AnswerStore(tmp_path / "answers.db", ("neg", "pos"))
    store.add(
        [
            answered("a", "known", prediction_set=("pos",), known=True),
            answered("b", "between", prediction_set=("pos", "neg"), known=True),
            answered("c", "unlike", prediction_set=("pos",), known=False),
            answered("d", "doubtful", prediction_set=("pos",), known=True, share=0.55),
            answered("e", "almost certain", prediction_set=("pos", "neg"), known=True, share=0.995),
            answered("f", "from few", prediction_set=("pos", "neg"), known=True, has_percentage=False),
        ]
    )
    names, counts = {"pos": "positive", "neg": "negative"}, store.counts()
    choices = {value: words for words, value in filters(counts, names, language)}
    assert list(choices) == ["all", "label:pos", "unsure", "unknown"]
    assert choices["label:pos"] == "positive (5)"
    assert choices["unknown"] == text("page.batch.filter.unknown", language, count=1)
    html = table_html(store, View(), names, language)
    cells = [re.findall("<td>([^<]*)</td>", row) for row in html.split("<tr")[2:]]
    unsure, unknown = (escape(text(f"page.batch.remark.{key}", language)) for key in ("unsure", "unknown"))
    assert cells[0] == ["positive", "97%", "–", "–"]
    assert cells[1] == ["positive", "97%", "negative", unsure]
    nearest = escape(text("page.batch.nearest", language, label="positive"))
    assert cells[2] == [nearest, "–", "–", unknown]
    assert cells[3] == ["positive", "55%", "–", unsure]
    assert cells[4] == ["positive", percent(0.995, language), "–", "–"]
    assert cells[5] == ["positive", "–", "negative", unsure]
    assert (counts.unsure, store.count("unsure")) == (3, 3)


@in_all_languages
def test_problems_are_written_in_the_visitors_language(tmp_path: Path, language: str) -> None:
    store = AnswerStore(tmp_path / "answers.db", ("neg", "pos"))
    problem = Message("errors.file_empty", {"name": "<a>.csv"})
    store.add([Row("<a>.csv", problem=problem)])
    html = table_html(store, View(), {}, language)
    assert escape(problem.text(language)) in html
    assert "<a>" not in html


def test_a_page_that_is_not_there_becomes_the_last_one(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path / "answers.db", ("neg", "pos"))
    store.add([answered(f"{n}", f"text {n}", prediction_set=(), known=True) for n in range(60)])
    view = View(page=7)
    html = table_html(store, view, {}, "en")
    assert view.page == 1
    assert "51 to 60 of 60" in html
    assert re.search('data-action="next" disabled', html)
    assert html.count('<td class="name"') == 10
    view.filter("problems", "")
    assert text("page.batch.empty") in table_html(store, view, {}, "en")


def test_long_texts_are_cut_and_names_are_escaped(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path / "answers.db", ("neg", "pos"))
    store.add([answered('a"b', "<i>" + "x" * 1000, prediction_set=(), known=True)])
    html = table_html(store, View(), {"pos": "<b>"}, "en")
    assert "x" * 297 + "…" in html
    assert "x" * 298 not in html
    assert 'title="a&quot;b"' in html
    assert "<i>" not in html
    assert "<b>" not in html


@in_all_languages
def test_progress_tells_count_share_and_time_left(language: str) -> None:
    known = progress_html(Progress(10, 1000, 0.01, 61.0), language)
    assert "1,000" in known
    assert "61" in known
    assert "1%" in known
    assert 'value="0.0100"' in known
    assert "2,000" in progress_html(Progress(100, None, 0.05, None), language)
    assert text("page.batch.minutes", language, count=2) in progress_html(Progress(1, 100, 0.01, 120.0), language)
    assert "100%" in progress_html(Progress(3, 3, 1.0, 0.0), language)


def test_frequent_labels_come_first_and_those_without_rows_not_at_all() -> None:
    counts = Counts(rows=1500, labels={"a": 200, "b": 1300})
    assert filters(counts, {}, "en") == [("All (1,500)", "all"), ("b (1,300)", "label:b"), ("a (200)", "label:a")]


# The endpoint


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("checkpoints")
    write_text_checkpoint(folder / "reviews")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    running = app.start(app.parse_options(["--checkpoints", str(folder), "--port", str(port), "--device", "cpu"]))
    yield f"http://127.0.0.1:{port}/"
    running.close()


def ask(client: gradio_client.Client, *files: Path, **options: Any) -> dict[str, Any]:
    filled = {"checkpoint": "reviews", "column": "", "language": "en"} | options
    answer: dict[str, Any] = client.predict(
        files=[gradio_client.handle_file(file) for file in files], api_name="/classify_files", **filled
    )
    return answer


def test_programs_send_files_and_get_rows(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "t.jsonl"
    table.write_text("".join(json.dumps({"x": f"good film {n}"}) + "\n" for n in range(600)) + "[]\n", encoding="utf-8")
    client = gradio_client.Client(page, verbose=False)
    try:
        answer = ask(client, table, column="x")
        assert [row.get("text") for row in answer["rows"]] == [*(f"good film {n}" for n in range(600)), None]
        assert answer["counts"]["rows"] == 601
        assert answer["counts"]["problems"] == 1
        assert answer["note"] == ""
        assert sum(answer["rows"][0]["probabilities"].values()) == pytest.approx(1)
        assert answer["rows"][0].keys() >= {"label", "prediction_set", "known"}
        korean = ask(client, table, column="x", language="ko")
        assert re.search("[가-힣]", korean["rows"][-1]["problem"])
        monkeypatch.setattr(batch_tab, "MAX_API_ROWS", 300)
        answer = ask(client, table, language="ko")
        assert len(answer["rows"]) == 300
        assert answer["note"] == text("page.batch.row_limit", "ko", limit=300)
        unknown = text("errors.no_such_checkpoint", name="other", checkpoints=["reviews"])
        with pytest.raises(Exception, match=re.escape(unknown)):
            ask(client, table, checkpoint="other")
        with pytest.raises(Exception, match=re.escape(text("errors.no_files"))):
            ask(client)
    finally:
        client.close()
