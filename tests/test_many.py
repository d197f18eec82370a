"""Many inputs at once: reading, answering in batches, the spool and the files to take home."""

from __future__ import annotations

import csv
import itertools
import json
import random
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pyclassify import Prediction
from pyclassify.errors import InputError
from pyclassify.many import reading, running, tables, writing
from pyclassify.many.asking import predict_each
from pyclassify.many.reading import Source, Upload, sources
from pyclassify.many.spool import LABEL, ORDERS, PROBLEMS, UNKNOWN, UNSURE, Row, Spool
from pyclassify.many.thumbnails import thumbnails

LABELS = ("bad", "good")


def _said(text: str) -> Prediction:
    """Good as far as it is long; unsure in the middle, unknown where it has a question mark."""
    share = min(0.99, max(0.01, len(text) / 20))
    label = LABELS[share >= 0.5]
    both = (label, LABELS[share < 0.5]) if 0.3 < share < 0.7 else (label,)
    ranked = sorted(zip(LABELS, (1 - share, share), strict=True), key=lambda pair: -pair[1])
    return Prediction(label, dict(ranked), known="?" not in text, labels_set=both)


class _Fake:
    """Refuses what says so, as a classifier does: with the whole batch that it is in."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def predict(self, inputs: Sequence[str]) -> list[Prediction]:
        self.batches.append(len(inputs))
        if any("refuse" in each for each in inputs):
            raise InputError("it cannot be read.")
        return [_said(each) for each in inputs]


def _answer(classifier: _Fake) -> running.Answer:
    return lambda inputs: predict_each(classifier, inputs, str)  # type: ignore[arg-type]


def _run(folder: Path, *files: Path, kind: str = "text", column: str = "") -> Spool:
    spool = Spool(folder / "spool.db", LABELS)
    uploads = [Upload(each.name, each) for each in files]
    last = list(
        running.run(
            uploads, kind=kind, column=column, answer=_answer(_Fake()), spool=spool, clock=itertools.count().__next__
        )
    )[-1]
    assert (last.share, last.total, last.seconds_left) == (1.0, last.done, 0.0)
    assert last.done == spool.counts().rows
    return spool


def _texts(folder: Path, name: str, content: str | bytes, column: str = "text") -> list[tuple[int, str]]:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    source = Source(name, path)
    with source.open() as file:
        return [(line, text) for line, text, _ in tables.texts(file, source, column)]


@given(rows=st.lists(st.tuples(st.text(), st.text()), max_size=12), mark=st.sampled_from(",;\t"))
def test_a_csv_that_python_writes_is_read_back(
    rows: list[tuple[str, str]], mark: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # half characters cannot be written; the other two are ends of lines that a spreadsheet would change as well
    rows = [
        tuple("".join(c for c in cell if not "\ud800" <= c <= "\udfff" and c not in "\r\0") for cell in row)
        for row in rows
    ]  # type: ignore[misc]
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=mark).writerows([("id", "text"), *rows])
    found = _texts(path.parent, "t.csv", path.read_bytes())
    wanted = [text if text.strip() else "empty text" for cell, text in rows if cell or text]
    assert [text for _, text in found] == wanted


def test_a_quotation_mark_that_stays_open_is_one_bad_row(tmp_path: Path) -> None:
    after = "".join(f"text {number},a\n" for number in range(2 * tables.MAX_LINES_PER_ROW))
    found = _texts(
        tmp_path, "t.csv", f'text,label\nfirst,a\n"never closed,b\n{after}"with, comma\nand line",d\nlast,e\n'
    )
    assert [text for _, text in found][:3] == ["first", tables._OPEN, "text 0"]
    assert [text for _, text in found][-2:] == ["with, comma\nand line", "last"]
    assert len(found) == 2 * tables.MAX_LINES_PER_ROW + 4
    at_the_end = _texts(tmp_path, "t.csv", 'text,label\nfirst,a\n"never,b\nthird,c\n')
    assert [(line, text) for line, text in at_the_end if not isinstance(text, tables.BadRow)] == [
        (2, "first"),
        (4, "third"),
    ]
    assert [line for line, text in at_the_end if isinstance(text, tables.BadRow)] == [3]


def test_a_line_without_end_is_one_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_LINE", 100)
    for name, between in (("t.csv", ""), ("t.tsv", ""), ("t.txt", "")):
        found = _texts(tmp_path, name, f"text\nfirst\n{'x' * 1050}{between}\nlast\n")
        assert [text for _, text in found][-3:] == ["first", tables._TOO_LONG, "last"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
def test_the_encoding_is_found_out_however_late_it_shows(encoding: str, tmp_path: Path) -> None:
    lines = ["text\tlabel", *(f"plain words {number}\ta" for number in range(60_000)), "정말 재미있는 영화였습니다\tb"]
    found = _texts(tmp_path, "t.tsv", "\r\n".join(lines).encode(encoding))
    assert len(found) == 60_001
    assert found[-1] == (60_002, "정말 재미있는 영화였습니다")


def test_what_is_wrong_with_a_row_is_said_in_its_place(tmp_path: Path) -> None:
    tsv = _texts(
        tmp_path, "t.tsv", b"text\tlabel\nfine\ta\nalone\n\xff\xfe!\tb\n \tc\n" + "가나다라 마바사\td\n".encode()
    )
    assert [text for _, text in tsv] == [
        "fine",
        "1 cell instead of 2",
        "damaged characters",
        "empty text",
        "가나다라 마바사",
    ]
    lines = '{"text": "fine"}\n{"text": 3}\n[1]\n{broken\n{"other": "x"}\n'
    found = [text for _, text in _texts(tmp_path, "t.jsonl", lines)]
    assert found == ["fine", "'text' is not a text", "not a JSON object", "not valid JSON", "no 'text'"]


def test_the_column_of_texts_is_guessed(tmp_path: Path) -> None:
    for name, content, wanted, guess in (
        ("t.csv", "id;Review;stars\n1;good;5\n", ("id", "Review", "stars"), "Review"),
        ("t.tsv", "a\tb\n1\tthe longest content\n", ("a", "b"), "b"),
        ("t.jsonl", '{"x": 1}\n{"document": "good", "x": 2}\n', ("x", "document"), "document"),
        ("t.txt", "one text\n", (), ""),
    ):
        (tmp_path / name).write_text(content, encoding="utf-8")
        source = Source(name, tmp_path / name)
        assert (tables.columns(source), tables.guess_column(source)) == (wanted, guess)


def test_one_bad_input_does_not_lose_the_others() -> None:
    inputs = ["refuse" if number in (0, 7, 8, 63) else f"text {number}" for number in range(64)]
    classifier = _Fake()
    found = predict_each(classifier, inputs, str)  # type: ignore[arg-type]
    assert [isinstance(each, str) for each in found] == ["refuse" in each for each in inputs]
    assert len(classifier.batches) < len(inputs)


def _zip(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def _picture(path: Path, colour: str) -> bytes:
    Image.new("RGB", (100, 50), colour).save(path)
    return path.read_bytes()


def test_a_zip_is_read_entry_by_entry(tmp_path: Path) -> None:
    red = _picture(tmp_path / "red.png", "red")
    path = _zip(
        tmp_path / "all.zip",
        **{
            "a/red.png": red,
            "../../escape.png": red,
            "__MACOSX/x.png": red,
            "a/.hidden": b"x",
            "in.zip": b"PK",
            "empty.png": b"",
        },
    )
    names = {each.name: each.problem for each in sources([Upload("all.zip", path)])}
    assert list(names) == ["all.zip/a/red.png", "all.zip/../../escape.png", "all.zip/in.zip", "all.zip/empty.png"]
    assert [bool(problem) for problem in names.values()] == [False, False, True, True]
    spool = _run(tmp_path, path, kind="image")
    assert spool.counts().rows == 4
    assert spool.counts().problems == 2
    assert not list(tmp_path.parent.glob("**/escape.png"))
    first = next(spool.all_rows())
    with Image.open(_as_file(tmp_path, thumbnails([first])[0])) as small:
        assert small.size == (64, 32)


def _as_file(folder: Path, content: bytes) -> Path:
    path = folder / "small.jpg"
    path.write_bytes(content)
    return path


def test_a_zip_that_would_fill_the_disk_or_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _zip(tmp_path / "bomb.zip", **{f"{number}.png": bytes(1000) for number in range(10)})
    monkeypatch.setattr(reading, "MAX_PICTURE_BYTES", 999)
    assert all("at most" in each.problem for each in sources([Upload("bomb.zip", path)]))
    monkeypatch.setattr(reading, "MAX_PICTURE_BYTES", 1000)
    monkeypatch.setattr(reading, "MAX_UNPACKED_BYTES", 3000)
    assert sum(not each.problem for each in sources([Upload("bomb.zip", path)])) == 3
    monkeypatch.setattr(reading, "MAX_DIRECTORY_BYTES", 100)
    (refused,) = sources([Upload("bomb.zip", path)])
    assert "pack fewer" in refused.problem


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\5\6" + bytes(18), b"PK\3\4" + bytes(40)])
def test_a_damaged_zip_is_one_row(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "d.zip"
    path.write_bytes(content)
    assert all(each.problem for each in sources([Upload("d.zip", path)]))


def test_any_damage_within_a_zip_stays_in_its_row(tmp_path: Path) -> None:
    good = _zip(tmp_path / "good.zip", **{f"{n}.txt": f"a text of some words {n}".encode() * 9 for n in range(4)})
    whole, generator = good.read_bytes(), random.Random(0)
    for _ in range(60):
        bad = bytearray(whole)
        for _ in range(generator.randint(1, 4)):
            bad[generator.randrange(len(bad))] = generator.randrange(256)
        path = tmp_path / "bad.zip"
        path.write_bytes(bad)
        _run(tmp_path, path)
        _run(tmp_path, path, kind="image")


def test_a_name_from_korean_windows_is_legible() -> None:
    info = zipfile.ZipInfo("x.txt")
    info.filename = "고양이 사진.txt".encode("cp949").decode("cp437")
    assert reading._entry_name(info) == "고양이 사진.txt"


def test_a_run_can_be_stopped_and_keeps_what_is_done(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("".join(f"text {number}\n" for number in range(1000)), encoding="utf-8")
    spool = Spool(tmp_path / "spool.db", LABELS)
    clock = itertools.count().__next__
    steps = running.run(
        [Upload("t.txt", path)], kind="text", column="", answer=_answer(_Fake()), spool=spool, clock=clock
    )
    for step in steps:
        if step.done:
            break
    steps.close()  # type: ignore[attr-defined]
    assert spool.counts().rows == step.done == running.TEXTS_PER_BATCH
    assert 0 < step.share < 1
    assert step.seconds_left is not None


def test_the_spool_filters_counts_and_sorts_over_all_rows(tmp_path: Path) -> None:
    words = ["x" * length for length in (1, 2, 9, 11, 18, 19)] + ["what is this??", "refuse"]
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps({"text": each}) + "\n" for each in words), encoding="utf-8")
    spool = _run(tmp_path, path, column="text")
    counts = spool.counts()
    assert (counts.rows, counts.problems) == (8, 1)
    assert sum(counts.labels.values()) + counts.unknown + counts.problems == counts.rows
    assert counts.unsure == spool.count(UNSURE) == sum(row.unsure for row in spool.all_rows()) == 2
    assert counts.unknown == spool.count(UNKNOWN) == sum(row.unknown for row in spool.all_rows()) == 1
    assert [row.text for row in spool.read(UNKNOWN)] == ["what is this??"]
    assert not any(row.unknown for label in LABELS for row in spool.read(LABEL, label))
    assert [row.text for row in spool.read(PROBLEMS)] == ["refuse"]
    assert {row.label for row in spool.read(LABEL, "good")} == {"good"}
    for order in ORDERS:
        up, down = spool.read(order=order), spool.read(order=order, descending=True)
        assert {row.position for row in up} == {row.position for row in down} == set(range(1, 9))
        assert [row.position for row in up[2:5]] == [row.position for row in spool.read(order=order, limit=3, offset=2)]
    assert [row.probability for row in spool.read(order="probability")][:-1] == sorted(
        row.probability for row in spool.all_rows() if not row.problem
    )
    assert [*spool.each(PROBLEMS)] == spool.read(PROBLEMS)
    assert [*spool.each(order="label", descending=True)] == spool.read(order="label", descending=True)
    with pytest.raises(ValueError, match="sorted by"):
        spool.read(order="id; DROP TABLE rows")


def test_what_stands_beside_the_texts_is_taken_home_with_them(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,text,label\n=7,good,x\n-8,,y\n", encoding="utf-8")
    lines = [
        {"text": "bad", "id": 9, "more": [1, None]},
        {"text": "x" * 18, "\ud800": "\udfff", "big": 2**70},
        {"id": 1},
    ]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines), encoding="utf-8")
    spool = _run(tmp_path, tmp_path / "t.csv", tmp_path / "t.jsonl", column="text")
    writing.write_csv(spool, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        cells = list(csv.DictReader(file))
    assert [row["id"] for row in cells] == ["'=7", "-8", "9", "", "1"]
    assert [row["input_label"] for row in cells] == ["x", "y", "", "", ""]
    assert [row["more"] for row in cells][2] == "[1, null]"
    assert [row["big"] for row in cells][3] == str(2**70)
    writing.write_json(spool, tmp_path / "out.json", spool.each(LABEL, "good", order="name"))
    found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert {row["label"] for row in found} == {"good"}
    assert len(found) == spool.counts().labels["good"]
    everything = [writing.as_dict(row, LABELS) for row in spool.all_rows()]
    assert everything[0]["input"] == {"id": "=7", "label": "x"}
    assert everything[2]["input"] == {"id": 9, "more": "[1, null]"}
    assert everything[3]["input"]["?"] == "?"  # half characters are none


def test_the_files_hold_every_row_and_no_formula(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", ("=1+1", "긍정"))
    texts = ["=HYPERLINK(1)", "+1", "-1", "@x", "\t=1", " =1", "plain, with comma", '"quoted"\nline', "한국어"]
    spool.add(
        Row(
            "t.csv line 2",
            text,
            label="긍정",
            probability=0.75,
            labels_set=("긍정", "=1+1"),
            known=True,
            shares=(0.25, 0.75),
        )
        for text in texts
    )
    spool.add([Row("x.png", problem="x.png is damaged.")])
    writing.write_csv(spool, tmp_path / "out.csv")
    writing.write_json(spool, tmp_path / "out.json")
    assert (tmp_path / "out.csv").read_bytes().startswith(b"\xef\xbb\xbf")
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        cells = list(csv.DictReader(file))
    assert not any(cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t")) for row in cells for cell in row.values())
    assert [row["text"].removeprefix("'") for row in cells] == [*texts, ""]
    assert (cells[0]["p(긍정)"], cells[0]["known"], cells[-1]["problem"]) == ("0.750000", "yes", "x.png is damaged.")
    rows = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert [row.get("text", "") for row in rows] == [*texts, ""]
    assert rows[0]["probabilities"] == {"긍정": 0.75, "=1+1": 0.25}
    writing.write_json(Spool(tmp_path / "empty.db", LABELS), tmp_path / "empty.json")
    assert json.loads((tmp_path / "empty.json").read_text(encoding="utf-8")) == []
