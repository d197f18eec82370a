"""Many inputs at once: files, answers in batches, the store and the exported files."""

from __future__ import annotations

import csv
import io
import itertools
import json
import logging
import random
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pyclassify import modality
from pyclassify.batch import files
from pyclassify.batch.export import as_dict, thumbnails, write_csv, write_json
from pyclassify.batch.files import Upload, sources
from pyclassify.batch.run import Answer, predict_each, run
from pyclassify.batch.store import LABEL, ORDERS, PROBLEMS, UNKNOWN, UNSURE, AnswerStore, Row
from pyclassify.classifier import Prediction
from pyclassify.errors import InputError
from pyclassify.locales import Message
from tests.fakes import FakeClassifier

LABELS = ("bad", "good")


def _predict(text: str) -> Prediction:
    """Good as far as it is long; unsure in the middle, unknown if it has a question mark."""
    share = min(0.99, max(0.01, len(text) / 20))
    label = LABELS[share >= 0.5]
    both = (label, LABELS[share < 0.5]) if 0.3 < share < 0.7 else (label,)
    ranked = sorted(zip(LABELS, (1 - share, share), strict=True), key=lambda pair: -pair[1])
    return Prediction(label, dict(ranked), known="?" not in text, prediction_set=both)


class PickyClassifier(FakeClassifier):
    """Answers by the length of the input; refuses what says so, with the whole batch that it is in."""

    def __init__(self) -> None:
        super().__init__("text", LABELS)
        self.batches: list[int] = []

    def predict(self, inputs: Iterable[Any]) -> list[Prediction]:
        inputs = list(inputs)
        self.batches.append(len(inputs))
        if any("refuse" in item for item in inputs):
            raise InputError("text_empty")
        if any("break" in item for item in inputs):
            raise RuntimeError("a bug")
        return [_predict(item) for item in inputs]


def _answer() -> Answer:
    classifier = PickyClassifier()
    return lambda inputs: predict_each(classifier, inputs)


def _run(folder: Path, *paths: Path, kind: str = "text", column: str = "") -> AnswerStore:
    store = AnswerStore(folder / "answers.db", LABELS)
    uploads = [Upload(path.name, path) for path in paths]
    clock = itertools.count().__next__
    steps = run(uploads, modality=modality.get(kind), column=column, answer=_answer(), store=store, clock=clock)
    first, *_, last = steps
    assert (first.done, first.share, first.seconds_left) == (0, 0.0, None)
    assert (last.share, last.total, last.seconds_left) == (1.0, last.done, 0.0)
    assert last.done == store.counts().rows
    return store


def _keys(rows: Iterable[Row]) -> list[str | None]:
    return [row.problem and row.problem.key for row in rows]


# Predicting


def test_one_bad_input_does_not_lose_the_others(caplog: pytest.LogCaptureFixture) -> None:
    inputs = ["refuse" if number in (0, 7, 8, 63) else f"text {number}" for number in range(64)]
    classifier = PickyClassifier()
    answers = predict_each(classifier, inputs)
    assert [isinstance(answer, Message) for answer in answers] == ["refuse" in item for item in inputs]
    assert answers[0] == Message("errors.text_empty")
    assert len(classifier.batches) < len(inputs)
    assert not caplog.records


def test_a_bug_is_a_problem_that_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answers = predict_each(PickyClassifier(), ["text", "break", "more text"])
    assert [isinstance(answer, Message) for answer in answers] == [False, True, False]
    assert answers[1] == Message("errors.unexpected")
    assert "a bug" in caplog.text
    assert predict_each(PickyClassifier(), []) == []


# Files


def _zip(path: Path, **contents: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def _png(colour: str) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (100, 50), colour).save(content, "PNG")
    return content.getvalue()


def test_a_zip_is_read_entry_by_entry(tmp_path: Path) -> None:
    red = _png("red")
    junk = {"__MACOSX/x.png": red, "a/.hidden": b"x", "a/Thumbs.db": b"x"}
    content = {"a/red.png": red, "../../escape.png": red, **junk, "in.zip": b"PK", "empty.png": b""}
    path = _zip(tmp_path / "all.zip", **content)
    problems = {source.name: source.problem for source in sources([Upload("all.zip", path)])}
    assert list(problems) == ["all.zip/a/red.png", "all.zip/../../escape.png", "all.zip/in.zip", "all.zip/empty.png"]
    assert [problem and problem.key for problem in problems.values()] == [
        *(None, None, "errors.archive_not_opened", "errors.file_empty"),
    ]
    store = _run(tmp_path, path, kind="image")
    assert _keys(store.all_rows()) == [None, None, "errors.archive_not_opened", "errors.file_empty"]
    assert not list(tmp_path.parent.glob("**/escape.png"))
    rows = list(store.all_rows())
    small, _, *none = thumbnails(rows)
    with Image.open(io.BytesIO(small)) as image:
        assert (image.format, image.size) == ("JPEG", (64, 32))
    assert none == [b"", b""]
    path.unlink()
    assert thumbnails(rows) == [b""] * 4


def test_files_on_disk(tmp_path: Path) -> None:
    names = ("red.png", "t.csv", "a.7z", "t.ods", "empty.png", ".hidden.png", "Thumbs.db")
    for name in names:
        (tmp_path / name).write_bytes(b"" if name == "empty.png" else _png("red"))
    uploads = [Upload(f"folder/{name}", tmp_path / name) for name in (*names, "gone.png")]
    listed = list(sources(uploads))
    assert [source.name.removeprefix("folder/") for source in listed] == [*names[:5], "gone.png"]
    assert [source.problem and source.problem.key.removeprefix("errors.") for source in listed] == [
        *(None, None, "archive_not_opened", "spreadsheet_not_opened", "file_empty", "file_unreadable"),
    ]
    assert [source.is_table for source in listed[:2]] == [False, True]
    assert all(str(tmp_path) not in source.problem.text() for source in listed if source.problem)
    assert files.survey(uploads) == (6, 4 * len(_png("red")))
    with pytest.raises(InputError):
        listed[-1].open()


def test_a_zip_that_would_fill_the_disk_or_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _zip(tmp_path / "bomb.zip", **{f"{number}.png": bytes(1000) for number in range(10)})

    def problems() -> list[str | None]:
        return [source.problem and source.problem.key for source in sources([Upload("bomb.zip", path)])]

    monkeypatch.setattr(files, "MAX_PICTURE_BYTES", 999)
    assert problems() == ["errors.file_too_large"] * 10
    monkeypatch.setattr(files, "MAX_PICTURE_BYTES", 1000)
    monkeypatch.setattr(files, "MAX_UNPACKED_BYTES", 3000)
    assert problems() == [None] * 3 + ["errors.zip_too_large"] * 7
    monkeypatch.setattr(files, "MAX_DIRECTORY_BYTES", 100)
    assert problems() == ["errors.zip_too_many_files"]


def test_tables_may_be_larger_than_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_PICTURE_BYTES", 10)
    for name in ("a.png", "a.csv"):
        (tmp_path / name).write_bytes(bytes(11))
    png, table = sources([Upload(name, tmp_path / name) for name in ("a.png", "a.csv")])
    assert png.problem
    assert not table.problem


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\5\6" + bytes(18), b"PK\3\4" + bytes(40)])
def test_a_damaged_zip_is_one_row(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "d.zip"
    path.write_bytes(content)
    assert all(source.problem for source in sources([Upload("d.zip", path)]))


def test_a_locked_zip_says_so(tmp_path: Path) -> None:
    path = _zip(tmp_path / "locked.zip", **{"a.txt": b"a text"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1  # what a zip with a password has in its list
    path.write_bytes(content)
    assert _keys(_run(tmp_path, path).all_rows()) == ["errors.zip_locked"]


@pytest.mark.parametrize("kind", ["text", "image"])
@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_any_damage_within_a_zip_stays_in_its_row(tmp_path: Path, kind: str, compression: int) -> None:
    good = tmp_path / "good.zip"
    with zipfile.ZipFile(good, "w", compression) as archive:
        for number in range(4):
            archive.writestr(f"{number}.txt", f"a text of some words {number}".encode() * 9)
    whole, generator = good.read_bytes(), random.Random(0)
    for _ in range(40):
        damaged = bytearray(whole)
        for _ in range(generator.randint(1, 4)):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        path = tmp_path / "bad.zip"
        path.write_bytes(damaged)
        _run(tmp_path, path, kind=kind)


def test_a_name_from_korean_windows_is_legible() -> None:
    info = zipfile.ZipInfo("x.txt")
    info.filename = "고양이 사진.txt".encode("cp949").decode("cp437")
    assert files.entry_name(info) == "고양이 사진.txt"


# Runs


def test_tables_of_all_forms_are_answered_row_by_row(tmp_path: Path) -> None:
    for name, content in (
        ("a.txt", "one\n\ntwo\n"),
        ("b.csv", 'id,review\n1,"never closed\n2,fine\n'),
        ("c.json", '[{"text": "item"}, {"text": 3}]'),
        ("d.jsonl", '{"text": "object"}\n'),
        ("e.png", "no table"),
        ("f.csv", "text\n\0\0\0\0"),
    ):
        (tmp_path / name).write_text(content, encoding="utf-8")
    rows = list(_run(tmp_path, *sorted(tmp_path.glob("[a-f].*"))).all_rows())
    assert [(row.name, row.text) for row in rows] == [
        ("a.txt line 1", "one"),
        ("a.txt line 3", "two"),
        ("b.csv line 2", ""),
        ("b.csv line 3", "fine"),
        ("c.json item 1", "item"),
        ("c.json item 2", ""),
        ("d.jsonl line 1", "object"),
        ("e.png", ""),
        ("f.csv", ""),
    ]
    assert [key for key in _keys(rows) if key] == [
        *("errors.row_quote_open", "errors.row_not_text", "errors.not_a_table", "errors.table_is_binary"),
    ]
    assert rows[3].others == {"id": "2"}


def test_a_column_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,other\na,b\n", encoding="utf-8")
    (tmp_path / "u.csv").write_text("text\na\n", encoding="utf-8")
    rows = list(_run(tmp_path, tmp_path / "t.csv", tmp_path / "u.csv", column="other").all_rows())
    assert [(row.name, row.text) for row in rows] == [("t.csv line 2", "b"), ("u.csv", "")]
    assert _keys(rows) == [None, "errors.column_missing"]


def test_a_run_can_be_stopped_and_keeps_what_is_done(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("".join(f"text {number}\n" for number in range(1000)), encoding="utf-8")
    store = AnswerStore(tmp_path / "answers.db", LABELS)
    texts = modality.get("text")
    clock = itertools.count().__next__
    steps = run([Upload("t.txt", path)], modality=texts, column="", answer=_answer(), store=store, clock=clock)
    step = next(step for step in steps if step.done)
    steps.close()  # type: ignore[attr-defined]
    assert store.counts().rows == step.done == texts.batch_size
    assert 0 < step.share < 1
    assert step.seconds_left is not None


def test_the_number_of_files_is_known_at_the_start(tmp_path: Path) -> None:
    path = _zip(tmp_path / "all.zip", **{f"{number}.png": _png("red") for number in range(40)})
    store = AnswerStore(tmp_path / "answers.db", LABELS)
    images = modality.get("image")
    clock = itertools.count().__next__
    steps = list(run([Upload("all.zip", path)], modality=images, column="", answer=_answer(), store=store, clock=clock))
    assert [(step.done, step.total) for step in steps] == [(0, 40), (images.batch_size, 40), (40, 40), (40, 40)]
    assert [step.share for step in steps] == [0, images.batch_size / 40, 0.99, 1]


def test_entries_of_zips_are_deleted_once_they_are_answered(tmp_path: Path) -> None:
    path = _zip(tmp_path / "all.zip", **{f"{'고' * 200}/{number}.png": _png("red") for number in range(3)})
    seen: list[Path] = []

    def answer(paths: list[str]) -> list[Prediction]:
        seen.extend(map(Path, paths))
        assert all(seen_path.read_bytes() == _png("red") for seen_path in seen)
        return [_predict("text")] * len(paths)

    store = AnswerStore(tmp_path / "answers.db", LABELS)
    images = modality.get("image")
    list(run([Upload("all.zip", path)], modality=images, column="", answer=answer, store=store, clock=lambda: 0.0))
    assert [seen_path.name for seen_path in seen] == ["0.png", "1.png", "2.png"]
    assert not any(seen_path.exists() for seen_path in seen)


# The store


def test_the_store_filters_counts_and_sorts_over_all_rows(tmp_path: Path) -> None:
    texts = ["x" * length for length in (1, 2, 9, 11, 18, 19)] + ["what is this??", "refuse"]
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    store = _run(tmp_path, path, column="text")
    counts = store.counts()
    assert (counts.rows, counts.problems) == (8, 1)
    assert sum(counts.labels.values()) + counts.unknown + counts.problems == counts.rows
    assert counts.unsure == store.count(UNSURE) == sum(row.unsure for row in store.all_rows()) == 2
    assert counts.unknown == store.count(UNKNOWN) == sum(row.unknown for row in store.all_rows()) == 1
    assert [row.text for row in store.read(UNKNOWN)] == ["what is this??"]
    assert not any(row.unknown for label in LABELS for row in store.read(LABEL, label))
    assert [row.text for row in store.read(PROBLEMS)] == ["refuse"]
    assert {row.label for row in store.read(LABEL, "good")} == {"good"}
    for order in ORDERS:
        up, down = store.read(order=order), store.read(order=order, descending=True)
        assert {row.position for row in up} == {row.position for row in down} == set(range(1, 9))
        assert [row.position for row in up[2:5]] == [row.position for row in store.read(order=order, limit=3, offset=2)]
    assert [row.probability for row in store.read(order="probability")][:-1] == sorted(
        row.probability for row in store.all_rows() if not row.problem
    )
    assert [*store.stream(PROBLEMS)] == store.read(PROBLEMS)
    assert [*store.stream(order="label", descending=True)] == store.read(order="label", descending=True)
    assert [*store.all_rows(chunk=3)] == store.read()
    with pytest.raises(ValueError, match="order must be one of"):
        store.read(order="id; DROP TABLE rows")
    with pytest.raises(ValueError, match="filter must be one of"):
        store.count("1; DROP TABLE rows")


def test_rows_and_their_problems_come_back_as_they_were(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path / "answers.db", LABELS)
    inner = Message("items.image", {"count": 3})
    problem = Message("errors.column_missing", {"name": "한.csv", "columns": ("'a'", "'b'"), "n": 7, "items": inner})
    rows = [
        Row("t.csv line 2", "a text", label="good", probability=0.75, prediction_set=LABELS, shares=(0.25, 0.75)),
        Row("a.png", path="/tmp/x", entry="a.png", label="bad", known=False, shares=(0.5, 0.5), others={"id": [1]}),
        Row("u.csv", problem=problem),
        Row("v.csv", problem=InputError("file_unreadable", name="v.csv", reason=Path("x")).message),
    ]
    store.add(rows[:2])
    store.add(rows[2:])
    read = list(store.all_rows())
    assert [row.position for row in read] == [1, 2, 3, 4]
    assert [(row.name, row.text, row.path, row.entry, row.label) for row in read] == [
        (row.name, row.text, row.path, row.entry, row.label) for row in rows
    ]
    assert [(row.shares, row.prediction_set, row.known) for row in read] == [
        (row.shares, row.prediction_set, row.known) for row in rows
    ]
    assert read[1].others == {"id": [1]}
    assert read[2].problem == problem
    assert read[3].problem is not None
    assert read[3].problem.text("ko") == rows[3].problem.text("ko")  # type: ignore[union-attr]


# Files to take home


def test_other_columns_are_exported_with_the_answers(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,text,label\n=7,good,x\n-8,,y\n", encoding="utf-8")
    lines = [
        {"text": "bad", "id": 9, "more": [1, None]},
        {"text": "x" * 18, "\ud800": "\udfff", "big": 2**70},
        {"id": 1},
    ]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    store = _run(tmp_path, tmp_path / "t.csv", tmp_path / "t.jsonl", column="text")
    write_csv(store, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        cells = list(csv.DictReader(file))
    assert [row["id"] for row in cells] == ["'=7", "-8", "9", "", "1"]
    assert [row["input_label"] for row in cells] == ["x", "y", "", "", ""]
    assert [row["more"] for row in cells][2] == "[1, null]"
    assert [row["big"] for row in cells][3] == str(2**70)
    write_json(store, tmp_path / "out.json", store.stream(LABEL, "good", order="name"))
    exported = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert {row["label"] for row in exported} == {"good"}
    assert len(exported) == store.counts().labels["good"]
    everything = [as_dict(row, LABELS) for row in store.all_rows()]
    assert everything[0]["input"] == {"id": "=7", "label": "x"}
    assert everything[2]["input"] == {"id": 9, "more": "[1, null]"}
    assert everything[3]["input"]["?"] == "?"  # half characters are none


def test_the_files_hold_every_row_and_no_formula(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path / "answers.db", ("=1+1", "긍정"))
    texts = ["=HYPERLINK(1)", "+1", "-1", "@x", "\t=1", " =1", "plain, with comma", '"quoted"\nline', "한국어"]
    answer = {"label": "긍정", "probability": 0.75, "prediction_set": ("긍정", "=1+1"), "shares": (0.25, 0.75)}
    store.add(Row("t.csv line 2", text, known=True, **answer) for text in texts)  # type: ignore[arg-type]
    store.add([Row("x.png", problem=Message("errors.file_empty", {"name": "x.png"}))])
    write_csv(store, tmp_path / "out.csv")
    write_json(store, tmp_path / "out.json")
    assert (tmp_path / "out.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        cells = list(csv.DictReader(file))
    assert list(cells[0])[:7] == ["name", "text", "label", "probability", "set", "known", "problem"]
    assert not any(cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t")) for row in cells for cell in row.values())
    assert [row["text"].removeprefix("'") for row in cells] == [*texts, ""]
    assert (cells[0]["p(긍정)"], cells[0]["known"], cells[0]["set"]) == ("0.750000", "yes", "긍정; =1+1")
    rows = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert [row.get("text", "") for row in rows] == [*texts, ""]
    assert list(rows[0]) == ["name", "text", "label", "probability", "prediction_set", "known", "probabilities"]
    assert rows[0]["probabilities"] == {"긍정": 0.75, "=1+1": 0.25}
    write_json(AnswerStore(tmp_path / "empty.db", LABELS), tmp_path / "empty.json")
    assert json.loads((tmp_path / "empty.json").read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("language", ["en", "ko"])
def test_problems_are_written_in_a_language(tmp_path: Path, language: str) -> None:
    store = AnswerStore(tmp_path / "answers.db", LABELS)
    problem = Message("errors.row_cells", {"count": 1234, "expected": 2})
    store.add([Row("t.csv line 2", problem=problem)])
    write_csv(store, tmp_path / "out.csv", language=language)
    write_json(store, tmp_path / "out.json", language=language)
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        (cells,) = csv.DictReader(file)
    (row,) = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert cells["problem"] == row["problem"] == problem.text(language)
    assert as_dict(next(store.all_rows()), LABELS, language)["problem"] == problem.text(language)
