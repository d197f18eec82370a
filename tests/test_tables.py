"""Tables in every form, encoding and state, read row by row."""

from __future__ import annotations

import csv
import gzip
import json
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyclassify import tables
from pyclassify.errors import InputError
from pyclassify.formats import MAX_TEXT_CHARACTERS, TABLE_SUFFIXES
from pyclassify.locales import Message
from pyclassify.tables import PathSource, Row

COLUMNS: dict[str, Any] = {"text_column": "text", "label_column": "label", "encoding": "utf-8"}
"""The way in which training calls."""

ROWS = [
    (f"this film is {word} number {n}", label) for n in range(20) for word, label in (("good", "pos"), ("bad", "neg"))
]


def write(path: Path, content: str | bytes) -> PathSource:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return PathSource(path)


def write_table(path: Path, rows: list[tuple[str, str]], *, encoding: str = "utf-8", extra: str = "") -> PathSource:
    """Write texts with their labels, and whatever else as it is."""
    if path.suffix == ".tsv":
        content = "".join(f"{label}\t{text}\n" for text, label in [("text", "label"), *rows])
    elif path.suffix == ".csv":
        cells = [[f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row] for row in [("text", "label"), *rows]]
        content = "".join(f"{','.join(row)}\n" for row in cells)
    else:
        content = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)
    return write(path, (content + extra).encode(encoding))


def read(source: PathSource, **options: Any) -> list[Row]:
    return list(tables.read_rows(source, **{"text_column": "text", **options}))


def outcome(row: Row) -> str | None:
    """The text of a row, or the code of its problem in brackets."""
    return f"[{row.problem.key.removeprefix('errors.row_')}]" if row.problem else row.text


def outcomes(source: PathSource, **options: Any) -> list[str | None]:
    return [outcome(row) for row in read(source, **options)]


def pairs(source: PathSource, **options: Any) -> list[tuple[str | None, str | None]]:
    return [(row.text, row.label) for row in read(source, **{**COLUMNS, **options}) if row.problem is None]


def failure(source: PathSource, **options: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        read(source, **options)
    assert str(caught.value)  # has a sentence, with all its fields
    return caught.value


# Forms


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl", ".ndjson", ".json"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_every_form_is_read(tmp_path: Path, suffix: str, encoding: str) -> None:
    rows = [*ROWS, ('he said "so, so"', "pos"), ('a " alone, 한국어 🙂', "neg")]
    assert pairs(write_table(tmp_path / f"films{suffix}", rows, encoding=encoding)) == rows


@pytest.mark.parametrize("suffix", [*sorted({*TABLE_SUFFIXES} - {".xlsx"}), ".list.json"])
def test_training_and_page_read_the_same_rows(tmp_path: Path, suffix: str) -> None:
    rows = [*ROWS, ('he said "so, so"', "pos"), ("\u200b 한국어 🙂", "neg"), ("", "pos"), ("nul \0", "neg")]
    path = tmp_path / f"films{suffix}"
    if suffix == ".list.json":
        source = write(path, json.dumps([{"text": text, "label": label} for text, label in rows] + [1, {}]))
    elif suffix == ".txt":
        source = write(path, "".join(f"{text}\n" for text, _ in rows))
    else:
        source = write_table(path, rows, extra="{broken\n\n")
    training = dict(COLUMNS) if suffix != ".txt" else {"encoding": "utf-8"}
    in_training = read(source, **training)
    on_page = read(source, text_column=tables.guess_text_column(source))
    assert [(row.place, outcome(row)) for row in in_training] == [(row.place, outcome(row)) for row in on_page]
    assert sum(row.problem is None for row in on_page) == len(ROWS) + 2
    if suffix != ".txt":
        assert [row.others["label"] for row in on_page if row.problem is None] == [
            row.label for row in in_training if row.problem is None
        ]


@given(rows=st.lists(st.tuples(st.text(), st.text()), max_size=12), delimiter=st.sampled_from(",;\t"))
def test_a_csv_that_python_writes_is_read_back(
    rows: list[tuple[str, str]], delimiter: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # half characters cannot be written; a spreadsheet would change carriage returns as well
    def writable(cell: str) -> str:
        return "".join(char for char in cell if not "\ud800" <= char <= "\udfff" and char not in "\r\0")

    rows = [(writable(first), writable(second)) for first, second in rows]
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([("id", "text"), *rows])
    expected = [text if text.strip() else "[empty]" for cell, text in rows if cell or text]
    assert outcomes(PathSource(path)) == expected


def test_the_delimiter_yields_the_wanted_columns(tmp_path: Path) -> None:
    table = "".join(f"{n};{label};{text}\n" for n, (text, label) in enumerate(ROWS))
    source = write(tmp_path / "films.csv", f"id;stars;review\n{table}")
    assert pairs(source, text_column="review", label_column="stars") == ROWS
    source = write(tmp_path / "more.csv", "text;a,b,c\nso, so;1\n")
    assert pairs(source, label_column="a,b,c") == [("so, so", "1")]


def test_labels_that_are_numbers_become_strings(tmp_path: Path) -> None:
    items = [{"text": "a", "label": 0}, {"text": "b", "label": 1.5}, {"text": "c", "label": "  two\n words "}]
    source = write(tmp_path / "films.json", json.dumps(items))
    assert pairs(source) == [("a", "0"), ("b", "1.5"), ("c", "two words")]


def test_a_json_list_is_read_item_by_item(tmp_path: Path) -> None:
    items = [{"text": f"text {n} " * 50, "label": n} for n in range(3000)]
    for indent in (None, 1):
        source = write(tmp_path / "films.json", "\ufeff\n " + json.dumps(items, indent=indent) + "\n")
        rows = read(source, **COLUMNS)
        assert [(row.text, row.label) for row in rows] == [(item["text"], str(item["label"])) for item in items]
        assert [row.place for row in rows[:2]] == ["item 1", "item 2"]
    source = write(tmp_path / "odd.json", '[{"text": "a"}, 3, 12345, ["text"], {"other": 1}]')
    assert outcomes(source) == ["a", "[not_object]", "[not_object]", "[not_object]", "[lacks_column]"]


@pytest.mark.parametrize(
    ("content", "number"),
    [
        ('[{"text": "a",', 1),
        ('[{"text": "a"}', 1),
        ('[{"text": "a"} ', 2),
        ('[{"text": "a"} {}]', 2),
        ("[1]\n[2]", 2),
        ("[{},]", 2),
    ],
)
def test_a_json_list_that_is_broken_names_the_item(tmp_path: Path, content: str, number: int) -> None:
    error = failure(write(tmp_path / "films.json", content))
    assert (error.code, error.fields["number"]) == ("json_invalid", number)


def test_a_json_list_that_is_nested_too_deeply_is_invalid(tmp_path: Path) -> None:
    assert failure(write(tmp_path / "films.json", "[" * 100_000)).code == "json_invalid"


def test_others_are_plain_json(tmp_path: Path) -> None:
    lines = [
        {"id": 9, "text": "a", "more": [1, None], "flag": True, "none": None},
        {"text": "b", "big": 2**70, "rate": 0.5},
        {"id": 1},
    ]
    source = write(tmp_path / "t.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    rows = read(source)
    assert rows[0].others == {"id": 9, "more": "[1, null]", "flag": True, "none": None}
    assert rows[1].others == {"big": str(2**70), "rate": 0.5}
    assert (outcome(rows[2]), rows[2].others) == ("[lacks_column]", {"id": 1})
    source = write(tmp_path / "t.csv", "id,text,label\n=7,good,x\nalone\n")
    assert [row.others for row in read(source)] == [{"id": "=7", "label": "x"}, {}]
    assert [row.others for row in read(source, label_column="label")] == [{"id": "=7"}, {}]


def test_of_columns_with_one_name_the_first_is_read(tmp_path: Path) -> None:
    assert outcomes(write(tmp_path / "t.csv", "text,text,a\nfirst,second,b\n")) == ["first"]


def test_carriage_returns_end_lines_in_old_files_and_are_characters_in_others(tmp_path: Path) -> None:
    for name in ("t.csv", "t.tsv", "t.txt"):
        assert outcomes(write(tmp_path / name, "text\rone\rtwo\r"))[-2:] == ["one", "two"]
        assert outcomes(write(tmp_path / name, "text\r\none\r\ntwo"))[-2:] == ["one", "two"]
    assert outcomes(write(tmp_path / "t.tsv", "text\none\rand\n")) == ["one\rand"]
    assert outcomes(write(tmp_path / "t.csv", 'text\n"one\rand"\n')) == ["one\rand"]


def test_progress_is_in_bytes(tmp_path: Path) -> None:
    source = write(tmp_path / "t.txt", "a text\n" * 100_000)
    read_bytes = [row.bytes_read for row in tables.read_rows(source, text_column="")]
    assert read_bytes == sorted(read_bytes)
    assert 0 < read_bytes[0] < source.size / 2
    assert read_bytes[-1] == source.size


# Columns


@pytest.mark.parametrize(
    ("name", "content", "columns", "guess"),
    [
        ("t.csv", "id;Review;stars\n1;good;5\n", ("id", "Review", "stars"), "Review"),
        ("t.csv", "번호,내용\n1,좋아요\n", ("번호", "내용"), "내용"),
        ("t.tsv", "a\tb\n1\tthe longest content\n", ("a", "b"), "b"),
        ("t.jsonl", '{"x": 1}\n{"document": "good", "x": 2}\n', ("x", "document"), "document"),
        ("t.json", '[{"x": 1}, {"y": "good", "x": 2}]', ("x", "y"), "y"),
        ("t.txt", "one text\n", (), ""),
        ("t.csv", "\n", (), ""),
        ("t.jsonl", "[1]\n", (), ""),
    ],
)
def test_the_column_of_texts_is_guessed(
    tmp_path: Path, name: str, content: str, columns: tuple[str, ...], guess: str
) -> None:
    source = write(tmp_path / name, content)
    assert (tables.column_names(source), tables.guess_text_column(source)) == (columns, guess)


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl", ".json"])
def test_a_missing_column_names_those_there(tmp_path: Path, suffix: str) -> None:
    source = write_table(tmp_path / f"films{suffix}", ROWS)
    error = failure(source, text_column="review", label_column="label")
    assert error.code == "column_missing"
    assert (error.fields["name"], error.fields["column"]) == (str(source.path), "review")
    assert sorted(error.fields["columns"]) == ["'label'", "'text'"]
    assert failure(source, label_column="stars").fields["column"] == "stars"
    assert failure(source, label_column="text").code == "columns_equal"


def test_a_missing_column_does_not_list_all_of_many(tmp_path: Path) -> None:
    source = write(tmp_path / "t.csv", ",".join(f"{'column' * 20}{n}" for n in range(1000)) + "\n1\n")
    assert len(str(failure(source))) < 1200
    lines = "".join(json.dumps({f"column {n}": "x"}) + "\n" for n in range(1000))
    assert len(str(failure(write(tmp_path / "t.jsonl", lines)))) < 1200


# Rows that cannot be used


@pytest.mark.parametrize(
    ("suffix", "extra", "problem"),
    [
        (".tsv", "pos\n", Message("errors.row_cells", {"count": 1, "expected": 2})),
        (".tsv", "pos\tone\ttwo\n", Message("errors.row_cells", {"count": 3, "expected": 2})),
        (".tsv", "pos\t \n", Message("errors.row_empty")),
        (".tsv", "\tsome text\n", Message("errors.row_label_empty")),
        (".tsv", "pos\tnul \0 in it\n", Message("errors.row_binary")),
        (".csv", "one,two,pos\n", Message("errors.row_cells", {"count": 3, "expected": 2})),
        (".csv", '"",pos\n', Message("errors.row_empty")),
        (".csv", "some text,\n", Message("errors.row_label_empty")),
        (".jsonl", "{broken\n", Message("errors.row_not_json")),
        (".jsonl", "[" * 100_000 + "\n", Message("errors.row_not_json")),
        (".jsonl", '["a", "pos"]\n', Message("errors.row_not_object")),
        (".jsonl", '{"text": "a"}\n', Message("errors.row_lacks_column", {"column": "label"})),
        (".jsonl", '{"text": 3, "label": "pos"}\n', Message("errors.row_not_text", {"column": "text"})),
        (".jsonl", '{"text": "a", "label": null}\n', Message("errors.row_label_no_value", {"column": "label"})),
        (".jsonl", '{"text": "a", "label": "pos\\ud83d"}\n', Message("errors.row_label_half_character")),
        (
            ".tsv",
            "pos\t" + "a" * 1_000_001 + "\n",
            Message("errors.row_text_too_long", {"count": 1_000_001, "limit": 1_000_000}),
        ),
    ],
)
def test_a_bad_row_has_a_problem_in_its_place(tmp_path: Path, suffix: str, extra: str, problem: Message) -> None:
    rows = read(write_table(tmp_path / f"films{suffix}", ROWS, extra=extra), **COLUMNS)
    line = len(ROWS) + (1 if suffix == ".jsonl" else 2)
    assert [(row.place, row.problem) for row in rows if row.problem] == [(f"line {line}", problem)]
    assert all(problem.text(language) for language in ("en", "ko"))
    assert [(row.text, row.label) for row in rows[:-1]] == ROWS


def test_bad_rows_among_good_ones_without_labels(tmp_path: Path) -> None:
    content = b"text\tlabel\nfine\ta\nalone\n\xff\xfe!\tb\n \tc\n" + "가나다라 마바사\td\n".encode()
    assert outcomes(write(tmp_path / "t.tsv", content)) == [
        "fine",
        "[cells]",
        "[damaged]",
        "[empty]",
        "가나다라 마바사",
    ]
    lines = '{"text": "fine"}\n{"text": 3}\n[1]\n{broken\n{"other": "x"}\n'
    expected = ["fine", "[not_text]", "[not_object]", "[not_json]", "[lacks_column]"]
    assert outcomes(write(tmp_path / "t.jsonl", lines)) == expected


def test_lines_are_counted_through_cells_of_several_lines(tmp_path: Path) -> None:
    source = write_table(tmp_path / "films.csv", [("one\ntwo\nthree", "pos"), *ROWS], extra="ragged\r\n")
    rows = read(source, **COLUMNS)
    assert rows[0].text == "one\ntwo\nthree"
    assert [row.line for row in rows if row.problem] == [45]


@pytest.mark.parametrize("extra", ['"never closed,pos\n', 'never,"pos\n', '"never'])
@pytest.mark.parametrize("rest", [0, 2 * tables.MAX_LINES_PER_ROW])
def test_a_quotation_mark_that_stays_open_is_one_bad_row(tmp_path: Path, extra: str, rest: int) -> None:
    if rest:
        extra = extra.rstrip("\n") + "\n" + "after,pos\n" * rest + '"with, comma\nand line",neg\n'
    rows = read(write_table(tmp_path / "films.csv", ROWS, extra=extra), **COLUMNS)
    assert [(row.line, outcome(row)) for row in rows if row.problem] == [(len(ROWS) + 2, "[quote_open]")]
    assert len(rows) == len(ROWS) + 1 + (rest + 1 if rest else 0)
    if rest:
        assert (rows[-1].line, rows[-1].text) == (len(ROWS) + 3 + rest, "with, comma\nand line")


def test_an_open_quotation_mark_near_the_end(tmp_path: Path) -> None:
    rows = read(write(tmp_path / "t.csv", 'text,label\nfirst,a\n"never,b\nthird,c\n'))
    assert [(row.line, outcome(row)) for row in rows] == [(2, "first"), (3, "[quote_open]"), (4, "third")]


def test_a_line_that_is_too_long_is_one_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_ROW_CHARACTERS", 100)
    for name in ("t.csv", "t.tsv", "t.txt"):
        for end in ("\n", "\r\n", "\r"):
            texts = outcomes(write(tmp_path / name, f"text{end}first{end}{'x' * 1050}{end}last{end}"))
            assert texts[-3:] == ["first", "[too_long]", "last"]
    quoted = outcomes(write(tmp_path / "t.csv", 'text\n"' + f"{'x' * 40}\n" * 3 + '"\nlast\n'))
    assert quoted[0] == "[quote_open]"
    assert quoted[-1] == "last"


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl", ".json"])
def test_a_text_of_the_longest_length_is_read(tmp_path: Path, suffix: str) -> None:
    rows = [*ROWS, ("글" * MAX_TEXT_CHARACTERS, "pos"), ("last", "neg")]  # JSON writes six characters for each
    assert pairs(write_table(tmp_path / f"films{suffix}", rows)) == rows


def test_a_line_of_50_mb_is_passed_over_without_being_held(tmp_path: Path) -> None:
    extra = json.dumps({"text": "a" * 50_000_000, "label": "pos"}) + "\n" + json.dumps({"text": "a", "label": "neg"})
    source = write_table(tmp_path / "films.jsonl", ROWS, extra=extra)
    tracemalloc.start()
    rows = read(source, **COLUMNS)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [outcome(row) for row in rows[-2:]] == ["[too_long]", "a"]
    assert peak_bytes < 40_000_000


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".json"])
def test_a_long_table_is_not_held(tmp_path: Path, suffix: str) -> None:
    rows = [(f"text {n} " * 20, "pos") for n in range(50_000)]
    if suffix == ".json":
        source = write(tmp_path / "t.json", json.dumps([{"text": text, "label": label} for text, label in rows]))
    else:
        source = write_table(tmp_path / f"t{suffix}", rows)
    tracemalloc.start()
    count = sum(row.label == "pos" for row in tables.read_rows(source, **COLUMNS))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == len(rows)
    assert peak_bytes < 5_000_000 < source.size


# The csv module's limit for the whole program


def test_the_limit_of_the_csv_module_is_neither_met_nor_changed(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    rows = [*ROWS, ("word " * 100_000, "pos"), ("last", "neg")]
    source = write_table(tmp_path / "films.csv", rows)
    for row in tables.read_rows(source, **COLUMNS):
        assert csv.field_size_limit() == before
        assert row.problem is None
    abandoned = tables.read_rows(source, **COLUMNS)
    next(abandoned)
    assert csv.field_size_limit() == before
    abandoned.close()  # type: ignore[attr-defined]
    assert csv.field_size_limit() == before


def test_threads_may_read_at_once(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    source = write_table(tmp_path / "films.csv", [("word " * 50_000, "pos")] * 40)
    counts: list[int] = []
    threads = [threading.Thread(target=lambda: counts.append(len(pairs(source)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [40] * 4
    assert csv.field_size_limit() == before


# Encodings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp949"])
def test_the_encoding_is_detected_however_late_it_shows(encoding: str, tmp_path: Path) -> None:
    lines = ["text\tlabel", *(f"plain words {number}\ta" for number in range(60_000)), "정말 재미있는 영화였습니다\tb"]
    rows = read(write(tmp_path / "t.tsv", "\r\n".join(lines).encode(encoding)))
    assert len(rows) == 60_001
    assert (rows[-1].line, rows[-1].text) == (60_002, "정말 재미있는 영화였습니다")


@pytest.mark.parametrize(
    ("encoding", "suffix"), [("cp949", ".tsv"), ("utf-16", ".csv"), ("latin-1", ".tsv"), ("cp1251", ".tsv")]
)
def test_another_encoding_is_read_by_its_name(tmp_path: Path, encoding: str, suffix: str) -> None:
    word = {"cp949": "영화", "utf-16": "영화 🙂", "latin-1": "très", "cp1251": "фильм"}[encoding]
    rows = [(f"{text} {word}", label) for text, label in ROWS]
    source = write_table(tmp_path / f"films{suffix}", rows, encoding=encoding)
    assert pairs(source, encoding=encoding) == rows


@pytest.mark.parametrize(
    ("encoding", "word", "likely"),
    [
        ("cp949", "재미있는 영화", "cp949"),
        ("cp932", "これは映画です。カタカナ", "cp932"),
        ("gb18030", "这部电影非常好看", "gb18030"),
        ("big5", "這部電影非常好看。我很喜歡", "big5"),
        ("latin-1", "déjà vu", "cp1252"),
        ("cp1251", "Это хороший фильм, мне очень понравилось, и актёры играют прекрасно", "cp1251"),
        ("utf-16", "영화", "utf-16"),
    ],
)
@pytest.mark.parametrize("suffix", [".tsv", ".csv"])
def test_another_encoding_than_expected_is_named(
    tmp_path: Path, encoding: str, word: str, likely: str, suffix: str
) -> None:
    rows = [(f"{word} {n}", label) for n, (_, label) in enumerate(ROWS)]
    source = write_table(tmp_path / f"films{suffix}", rows, encoding=encoding)
    error = failure(source, **COLUMNS)
    assert (error.code, error.fields["encoding"], error.fields["likely"]) == ("encoding_other", "utf-8", likely)
    assert len(pairs(source, encoding=likely)) == len(rows)


def test_stray_damaged_rows_are_skipped_and_many_mean_another_encoding(tmp_path: Path) -> None:
    source = write_table(tmp_path / "films.tsv", ROWS)
    good = source.path.read_bytes()
    source.path.write_bytes(good + b"pos\tcaf\xe9\n")
    rows = read(source, **COLUMNS)
    assert [(row.line, outcome(row)) for row in rows if row.problem] == [(42, "[damaged]")]
    source.path.write_bytes(good + b"pos\tcaf\xe9\n" * 2)
    assert failure(source, **COLUMNS).code == "encoding_other"
    source.path.write_bytes(good * 5 + b"pos\tcaf\xe9\n" * 2)
    assert len(pairs(source)) == 5 * len(ROWS) + 4  # the header came five times
    source.path.write_bytes("téxt\tlabel\n".encode("latin-1") + good)
    assert failure(source, **COLUMNS).code == "encoding_other"
    source.path.write_bytes(good + "pos\t가나다라마바사아자차카타파하\n".encode() * 20 + b"pos\tcaf\xe9\n" * 2)
    assert failure(source, **COLUMNS).code == "encoding_wrong"  # UTF-8 is what it looks like, but damaged


def test_an_unknown_encoding(tmp_path: Path) -> None:
    source = write_table(tmp_path / "films.tsv", ROWS)
    for name in ("utf9", "base64", "", "a\0b"):
        assert failure(source, label_column="label", encoding=name).code == "encoding_unknown"
        with pytest.raises(InputError) as caught:
            tables.decode(b"text", name, "a.txt")
        assert caught.value.code == "encoding_unknown"
    assert failure(source, label_column="label", encoding="utf-16").code == "encoding_wrong"


def test_whole_files_are_decoded_without_their_mark() -> None:
    assert tables.decode("한 글".encode("utf-8-sig"), "utf-8", "a.txt") == "한 글"
    damaged = tables.decode(b"caf\xe9 ol\xe9", "utf8", "a.txt")
    assert tables.is_damaged(damaged)
    assert not tables.is_damaged("café")
    assert tables.is_binary(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "utf-8")
    assert not tables.is_binary("text".encode("utf-16"), "utf-8")


# Files that are no table


def test_files_that_hold_no_rows(tmp_path: Path) -> None:
    for name in ("a.tsv", "a.csv", "a.jsonl", "a.json", "a.txt"):
        for content in ("\n", " \n\n", "\ufeff\n"):
            assert failure(write(tmp_path / name, content)).code == "table_empty"
    assert failure(write(tmp_path / "a.json", "[]")).code == "table_empty"
    assert read(write(tmp_path / "b.tsv", "text\tlabel\n"), **COLUMNS) == []


def test_other_files_and_binary_ones(tmp_path: Path) -> None:
    for name, code in (("films.ods", "not_a_table"), ("films.csv", "table_is_binary")):
        source = write(tmp_path / name, b"PK\x03\x04\0\0")
        assert failure(source).code == failure(source, **COLUMNS).code == code
        with pytest.raises(InputError):
            tables.column_names(source)
    source = write(tmp_path / "films.tsv", bytes(range(1, 256)) * 40)
    assert failure(source, **COLUMNS).code in ("encoding_other", "encoding_wrong", "column_missing")


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_a_packed_table_is_read_like_the_table(tmp_path: Path, suffix: str) -> None:
    plain = tmp_path / f"films{suffix}"
    write_table(plain, ROWS)
    packed = tmp_path / f"films{suffix}.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert pairs(PathSource(packed)) == ROWS
    assert tables.guess_text_column(PathSource(packed)) == "text"
    packed.write_bytes(packed.read_bytes()[:-20])
    assert failure(PathSource(packed)).code == "file_unreadable"


def test_a_packed_table_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_TABLE_BYTES", 1000)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"text,label\n" + b"a" * 2_000_000))
    assert failure(PathSource(tmp_path / "a.csv.gz")).code == "table_unpacks_too_large"


def _sheet(path: Path, rows: list[list[Any]], *, empty_first: bool = False) -> PathSource:
    book = openpyxl.Workbook()
    sheet = book.create_sheet("data") if empty_first else book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    book.save(path)
    return PathSource(path)


def test_a_spreadsheet_is_read_like_a_csv(tmp_path: Path) -> None:
    odd = [("two\nlines", "pos"), ('a "quoted", one', "neg")]
    rows = [["text", "label", "stars"], *([text, label, 3.0] for text, label in [*ROWS, *odd])]
    source = _sheet(tmp_path / "films.xlsx", [*rows[:3], [None, None, None], *rows[3:]], empty_first=True)
    assert pairs(source) == [*ROWS, *odd]
    assert tables.column_names(source) == ("text", "label", "stars")
    assert next(iter(tables.read_rows(source, text_column="text"))).others == {"label": ROWS[0][1], "stars": "3"}


def test_damaged_and_large_spreadsheets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "films.xlsx"
    content = _sheet(path, [["text", "label"], ["a", "b"]]).path.read_bytes()
    for damaged in (content[:-100], b"no spreadsheet", content.replace(b"xl/workbook.xml", b"xl/w0rkbook.xml")):
        path.write_bytes(damaged)
        assert failure(PathSource(path)).code == "file_unreadable"
    path.write_bytes(content)
    monkeypatch.setattr(tables, "MAX_SHEET_BYTES", 1000)
    assert failure(PathSource(path)).code == "table_unpacks_too_large"


@pytest.mark.parametrize("name", ["films.txt", "films"])
def test_a_text_file_may_hold_a_table(tmp_path: Path, name: str) -> None:
    lines = [f"{number}\t{text}\t{label}" for number, (text, label) in enumerate(ROWS)]
    source = write(tmp_path / name, "\n".join(["id\tdocument\tlabel", *lines]))
    assert pairs(source, text_column="document") == ROWS
    assert tables.guess_text_column(source) == "document"
    source = write(tmp_path / name, "\n".join(f"{label}\t{text}" for text, label in ROWS))
    assert tables.column_names(source) == ("column 1", "column 2")
    assert pairs(source, text_column="column 2", label_column="column 1") == ROWS


def test_lines_of_fasttext(tmp_path: Path) -> None:
    source = write(tmp_path / "films.txt", "".join(f"__label__{label} {text}\n" for text, label in ROWS))
    assert pairs(source) == ROWS
    assert tables.guess_text_column(source) == "text"
    (row,) = read(write(tmp_path / "two.txt", "__label__a __label__b one two\n"), label_column="label")
    assert (row.text, row.label) == ("one two", "a|b")


@pytest.mark.parametrize("is_list", [True, False])
def test_json_of_columns(tmp_path: Path, is_list: bool) -> None:
    columns = {name: [row[i] for row in ROWS] for i, name in enumerate(("text", "label"))}
    content = columns if is_list else {name: dict(enumerate(cells)) for name, cells in columns.items()}
    source = write(tmp_path / "films.json", json.dumps(content, indent=1))
    assert pairs(source) == ROWS
    assert tables.column_names(source) == ("text", "label")


QUOTED = "".join(f'"{text}",{label}\n' for text, label in ROWS)


@pytest.mark.parametrize(
    ("head", "problems"),
    [
        ("text,label\n", []),
        ("\n\ntext,label\n", []),
        ("Survey of 2024\n,\ntext,label\n", ["above_header"]),
        ("Survey of 2024,\n\ntext,label\n", ["above_header"]),
    ],
)
def test_lines_above_the_names_of_the_columns(tmp_path: Path, head: str, problems: list[str]) -> None:
    source = write(tmp_path / "films.csv", head + QUOTED)
    assert pairs(source) == ROWS
    assert [outcome(row) for row in read(source, **COLUMNS) if row.problem] == [f"[{problem}]" for problem in problems]
    assert tables.column_names(source) == ("text", "label")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_excels_line_with_the_delimiter(tmp_path: Path, end: str) -> None:
    lines = ["sep=;", "text;label", *(f"{text};{label}" for text, label in ROWS)]
    source = write(tmp_path / "films.csv", "\ufeff" + end.join(lines))
    assert pairs(source) == ROWS
    assert read(source, **COLUMNS)[0].line == 3


@pytest.mark.parametrize("end", ["\n", "\r"])
def test_without_names_the_columns_are_numbered(tmp_path: Path, end: str) -> None:
    source = write(tmp_path / "films.csv", QUOTED.replace("\n", end))
    assert tables.column_names(source) == ("column 1", "column 2")
    assert tables.guess_text_column(source) == "column 1"
    assert tables.label_columns(source, "column 1") == ("column 2",)
    rows = read(source, text_column="column 1", label_column="column 2")
    assert [(row.text, row.label) for row in rows] == ROWS


def test_names_that_are_unusual_are_still_names(tmp_path: Path) -> None:
    source = write(tmp_path / "films.csv", "remark,grade\n" + QUOTED)
    assert tables.column_names(source) == ("remark", "grade")


def test_two_columns_of_one_name_both_stay(tmp_path: Path) -> None:
    source = write(tmp_path / "films.csv", "text,note,note\n" + "a,1,2\nb,3,4\n")
    assert tables.column_names(source) == ("text", "note", "note (2)")
    assert [row.others for row in read(source)] == [{"note": "1", "note (2)": "2"}, {"note": "3", "note (2)": "4"}]


def test_a_txt_has_no_labels(tmp_path: Path) -> None:
    assert failure(write(tmp_path / "a.txt", "one\ntwo\n"), label_column="label").code == "table_without_labels"


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    error = failure(PathSource(tmp_path / "gone.csv"))
    assert (error.code, error.fields["name"]) == ("file_unreadable", str(tmp_path / "gone.csv"))


@given(st.binary(max_size=200), st.sampled_from(TABLE_SUFFIXES), st.sampled_from([None, "utf-8", "cp949", "utf-16"]))
def test_any_bytes_give_rows_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str, encoding: str | None
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    head = b"[" if suffix == ".json" else b"text,label\n" if suffix == ".csv" else b"text\tlabel\n"
    for data in (content, head + content, head + content.replace(b"a", b"\n").replace(b"b", b"\t")):
        path.write_bytes(data)
        try:
            tables.guess_text_column(PathSource(path))
            rows = read(PathSource(path), label_column=None if suffix == ".txt" else "label", encoding=encoding)
        except InputError as error:
            sentences = [error.text("en"), error.text("ko")]
        else:
            sentences = [row.problem.text() for row in rows if row.problem]
            assert len(sentences) + sum(row.text is not None for row in rows) == len(rows)
        assert all(sentences)
