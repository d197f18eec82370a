"""Labelled texts: what is read, what is skipped, what is refused; vocabulary and batches."""

from __future__ import annotations

import csv
import io
import json
import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyclassify.dataset import Examples, Splits
from pyclassify.errors import DataError
from pyclassify.text.data import TextBatches, build_vocabulary, choose_tokens, read_dataset
from pyclassify.text.transform import PADDING, UNKNOWN, TextTransform
from pyclassify.training.config import TextConfig

ROWS = [
    (f"this film is {word} number {n}", label) for n in range(20) for word, label in (("good", "pos"), ("bad", "neg"))
]


def write_folder(root: Path, rows: list[tuple[str, str]]) -> Path:
    for number, (text, label) in enumerate(rows):
        path = root / label / f"{number:03}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def write_table(path: Path, rows: list[tuple[str, str]], *, encoding: str = "utf-8", extra: str = "") -> Path:
    if path.suffix == ".tsv":
        content = "".join(f"{label}\t{text}\n" for text, label in [("text", "label"), *rows])
    elif path.suffix == ".csv":
        buffer = io.StringIO()
        csv.writer(buffer).writerows([("text", "label"), *rows])
        content = buffer.getvalue()
    else:
        content = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)
    path.write_bytes((content + extra).encode(encoding))
    return path


def read(path: Path, **options: Any) -> Splits[str]:
    splits, root = read_dataset(TextConfig(data=path, **options))
    assert root == path
    return splits


def skipped(splits: Splits[str]) -> dict[str, str]:
    """Return the keys of the reasons by name."""
    return {item.name: item.reason.key for item in splits.skipped}


def all_rows(splits: Splits[str]) -> Counter[tuple[str, str]]:
    parts = splits.parts.values()
    return Counter(
        (text, splits.labels[i]) for part in parts for text, i in zip(part.items, part.label_ids, strict=True)
    )


# Reading


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl", ".ndjson", ".json"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_tables(tmp_path: Path, suffix: str, encoding: str) -> None:
    rows = [*ROWS, ('he said "so, so"', "pos"), ('a " alone, 한국어 🙂', "neg")]
    splits = read(write_table(tmp_path / f"films{suffix}", rows, encoding=encoding))
    assert all_rows(splits) == Counter(rows)
    assert (splits.name, splits.labels, splits.skipped, splits.seed) == ("films", ("neg", "pos"), (), 0)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (30, 4, 8)


def test_folders_with_all_parts(tmp_path: Path) -> None:
    for part, rows in (("train", ROWS), ("test", ROWS[:6]), ("val", ROWS[6:10]), ("train/unsup", [("x", "a")])):
        write_folder(tmp_path / "films" / part, rows)
    splits = read(tmp_path / "films")
    assert splits.name == "films"
    assert Counter(splits.train.items) == Counter(text for text, _ in ROWS)
    assert Counter(splits.test.items) == Counter(text for text, _ in ROWS[:6])
    assert Counter(splits.validation.items) == Counter(text for text, _ in ROWS[6:10])
    assert splits.skipped == ()


def test_a_folder_per_label(tmp_path: Path) -> None:
    splits = read(write_folder(tmp_path, ROWS), seed=3)
    assert all_rows(splits) == Counter(ROWS)
    assert splits == read(tmp_path, seed=3)
    assert splits.test != read(tmp_path, seed=4).test


def test_a_text_of_several_lines_is_read_whole(tmp_path: Path) -> None:
    splits = read(write_folder(tmp_path, [*ROWS, ("one\ntwo\n\nthree\n", "pos")]))
    assert ("one\ntwo\n\nthree", "pos") in all_rows(splits)
    splits = read(write_table(tmp_path / "films.csv", [*ROWS, ("one\ntwo", "pos")]))
    assert ("one\ntwo", "pos") in all_rows(splits)


def test_a_test_table_beside(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    train = write_table(tmp_path / "films" / "train.tsv", ROWS)
    splits = read(train, test=write_table(tmp_path / "films" / "test.tsv", ROWS[:4]))
    assert splits.name == "films"
    assert splits.test.items == tuple(text for text, _ in ROWS[:4])
    assert len(splits.train) + len(splits.validation) == len(ROWS)


def test_identical_texts_stay_on_one_side(tmp_path: Path) -> None:
    splits = read(write_table(tmp_path / "films.tsv", ROWS * 3), test_fraction=0.3, validation_fraction=0.3)
    parts = [set(part.items) for part in (splits.train, splits.validation, splits.test)]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    assert all_rows(splits) == Counter(ROWS * 3)


def test_other_columns_and_separators(tmp_path: Path) -> None:
    path = tmp_path / "films.csv"
    path.write_text("id;stars;review\n" + "".join(f"{n};{label};{text}\n" for n, (text, label) in enumerate(ROWS)))
    assert all_rows(read(path, text_column="review", label_column="stars")) == Counter(ROWS)


def test_labels_of_json_may_be_numbers(tmp_path: Path) -> None:
    path = tmp_path / "films.json"
    path.write_text(json.dumps([{"text": text, "label": int(label == "pos")} for text, label in ROWS]))
    assert read(path).labels == ("0", "1")


def test_the_limit_of_the_csv_module_is_neither_met_nor_changed(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    rows = [*ROWS, ("word " * 100_000, "pos")]
    splits = read(write_table(tmp_path / "films.csv", rows))
    assert sum(all_rows(splits).values()) == len(rows)
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("name", "suffix"), [("cp949", ".tsv"), ("utf-16", ".csv"), ("latin-1", ".tsv"), ("cp1251", ".tsv")]
)
def test_another_encoding_is_read_by_its_name(tmp_path: Path, name: str, suffix: str) -> None:
    word = {"cp949": "영화", "utf-16": "영화 🙂", "latin-1": "très", "cp1251": "фильм"}[name]
    rows = [(f"{text} {word}", label) for text, label in ROWS]
    assert all_rows(read(write_table(tmp_path / f"films{suffix}", rows, encoding=name), encoding=name)) == Counter(rows)


# What is left out


@pytest.mark.parametrize(
    ("suffix", "extra", "reason"),
    [
        (".tsv", "pos\n", "row_cells"),
        (".tsv", "pos\tone\ttwo\n", "row_cells"),
        (".tsv", "pos\t \n", "row_empty"),
        (".tsv", "pos\t\u200b<br />\n", "row_empty"),
        (".tsv", "\tsome text\n", "row_label_empty"),
        (".tsv", "pos\tnul \0 in it\n", "row_binary"),
        (".csv", "one,two,pos\n", "row_cells"),
        (".csv", '"",pos\n', "row_empty"),
        (".csv", "some text,\n", "row_label_empty"),
        (".jsonl", "{broken\n", "row_not_json"),
        (".jsonl", "[" * 100_000 + "\n", "row_not_json"),
        (".jsonl", '["a", "pos"]\n', "row_not_object"),
        (".jsonl", '{"text": "a"}\n', "row_lacks_column"),
        (".jsonl", '{"text": 3, "label": "pos"}\n', "row_not_text"),
        (".jsonl", '{"text": "a", "label": null}\n', "row_label_no_value"),
        (".tsv", "pos\t" + "a" * 1_000_001 + "\n", "row_text_too_long"),
    ],
)
def test_a_bad_row_is_skipped_and_listed(tmp_path: Path, suffix: str, extra: str, reason: str) -> None:
    splits = read(write_table(tmp_path / f"films{suffix}", ROWS, extra=extra))
    line = len(ROWS) + (1 if suffix == ".jsonl" else 2)
    assert skipped(splits) == {f"films{suffix} line {line}": f"errors.{reason}"}
    assert all_rows(splits) == Counter(ROWS)
    assert str(splits.skipped[0].reason)


def test_a_single_line_of_50_mb_is_skipped(tmp_path: Path) -> None:
    path = write_table(tmp_path / "films.jsonl", ROWS, extra=json.dumps({"text": "a" * 50_000_000, "label": "pos"}))
    assert list(skipped(read(path)).values()) == ["errors.row_too_long"]


def test_a_stray_damaged_row_is_skipped(tmp_path: Path) -> None:
    path = write_table(tmp_path / "films.tsv", [*ROWS, ("\u00e9" * 60, "pos")])
    path.write_bytes(path.read_bytes() + b"pos\tcaf\xe9\n")
    assert skipped(read(path)) == {"films.tsv line 43": "errors.row_damaged"}


def test_lines_are_counted_through_cells_of_several_lines(tmp_path: Path) -> None:
    path = write_table(tmp_path / "films.csv", [("one\ntwo\nthree", "pos"), *ROWS], extra="ragged\r\n")
    assert skipped(read(path)) == {"films.csv line 45": "errors.row_cells"}


def test_bad_files_are_skipped_and_litter_is_ignored(tmp_path: Path) -> None:
    rows = [*ROWS, ("\u00e9" * 60, "pos")]
    write_folder(tmp_path / "films", rows)
    label = tmp_path / "films" / "pos"
    (label / "empty.txt").write_text(" \n")
    (label / "picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    (label / "latin.txt").write_bytes("très".encode("latin-1"))
    (label / "long.txt").write_text("a" * 1_000_001)
    (label / "notes.md").write_text("notes")
    (label / "gone.txt").symlink_to(tmp_path / "nowhere")
    (label / "more").mkdir()
    for litter in (label / "Thumbs.db", label / ".DS_Store", tmp_path / "films" / "readme.txt"):
        litter.write_text("litter")
    for folder in (".git", "unsup", "__MACOSX"):
        write_folder(tmp_path / "films", [("not labelled", folder)])
    splits = read(tmp_path / "films")
    assert all_rows(splits) == Counter(rows)
    assert skipped(splits) == {
        "films/pos/empty.txt": "errors.row_empty",
        "films/pos/picture.txt": "errors.row_binary",
        "films/pos/latin.txt": "errors.row_damaged",
        "films/pos/long.txt": "errors.row_text_too_long",
        "films/pos/notes.md": "notes.skipped_not_txt",
        "films/pos/gone.txt": "notes.skipped_not_a_file",
        "films/pos/more": "notes.skipped_folder",
    }
    assert all(str(item.reason) for item in splits.skipped)


# What stops before training


def fails(code: str, path: Path, **options: Any) -> dict[str, Any]:
    with pytest.raises(DataError) as caught:
        read(path, **options)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert caught.value.text("ko")
    return dict(caught.value.fields)


def test_missing_paths(tmp_path: Path) -> None:
    assert fails("text_path_missing", tmp_path / "nowhere")["option"] == "--data"
    table = write_table(tmp_path / "a.tsv", ROWS)
    assert fails("text_path_missing", table, test=tmp_path / "test.tsv")["option"] == "--test"


def test_empty_sources(tmp_path: Path) -> None:
    fails("no_labelled_texts_in_folder", tmp_path)
    (tmp_path / "films" / "train" / "pos").mkdir(parents=True)
    fails("no_labelled_texts_in_folder", tmp_path / "films")
    for name in ("a.tsv", "a.csv", "a.jsonl"):
        (tmp_path / name).write_text("\n", encoding="utf-8-sig")
        fails("table_empty", tmp_path / name)
    (tmp_path / "b.tsv").write_text("text\tlabel\n")
    fails("no_labelled_texts_in_table", tmp_path / "b.tsv")
    (tmp_path / "c.tsv").write_text("text\tlabel\nragged\n \tpos\n")
    fields = fails("no_usable_texts", tmp_path / "c.tsv")
    assert (fields["count"], fields["name"], fields["reason"].key) == (2, "c.tsv line 2", "errors.row_cells")


def test_a_folder_with_tables_names_one(tmp_path: Path) -> None:
    table = write_table(tmp_path / "train.tsv", ROWS)
    assert fails("text_folder_of_tables", tmp_path)["example"] == table


def test_a_table_of_texts_alone_has_no_labels(tmp_path: Path) -> None:
    (tmp_path / "films.txt").write_text("\n".join(text for text, _ in ROWS))
    fails("table_without_labels", tmp_path / "films.txt")


def test_a_test_folder_without_training(tmp_path: Path) -> None:
    write_folder(tmp_path / "test", ROWS)
    fails("text_split_without_train", tmp_path)


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl"])
def test_a_missing_column_is_named_with_the_others_and_the_option(tmp_path: Path, suffix: str) -> None:
    path = write_table(tmp_path / f"films{suffix}", ROWS)
    for options, option in (({"text_column": "review"}, "--text-column"), ({"label_column": "x"}, "--label-column")):
        columns = str(fails("column_missing", path, **options)["columns"])
        assert all(part in columns for part in ("'text'", "'label'", option))
    fails("columns_equal", path, text_column="label")


def test_unknown_suffixes_and_binary_files(tmp_path: Path) -> None:
    (tmp_path / "films.doc").write_bytes(b"PK\x03\x04\0\0")
    fails("not_a_table", tmp_path / "films.doc")
    (tmp_path / "films.csv").write_bytes(b"PK\x03\x04\0\0")
    fails("table_is_binary", tmp_path / "films.csv")
    (tmp_path / "films.tsv").write_bytes(bytes(range(1, 256)) * 40)
    with pytest.raises(DataError):
        read(tmp_path / "films.tsv")


def test_broken_json(tmp_path: Path) -> None:
    (tmp_path / "films.json").write_text('[{"text": "a",')
    fails("json_invalid", tmp_path / "films.json")


@pytest.mark.parametrize("extra", ['"never closed,pos\n', 'never,"pos\nclosed,pos\n', '"never'])
def test_a_quotation_mark_that_is_never_closed_is_one_bad_row(tmp_path: Path, extra: str) -> None:
    splits = read(write_table(tmp_path / "films.csv", ROWS, extra=extra))
    assert skipped(splits)["films.csv line 42"] == "errors.row_quote_open"
    assert not Counter(ROWS) - all_rows(splits)


def test_a_label_with_half_a_character_is_left_out(tmp_path: Path) -> None:
    rows = [*({"text": text, "label": label} for text, label in ROWS), {"text": "half", "label": "pos\ud83d"}]
    (tmp_path / "films.jsonl").write_text("\n".join(map(json.dumps, rows)))
    splits = read(tmp_path / "films.jsonl")
    assert splits.labels == ("neg", "pos")
    assert skipped(splits) == {"films.jsonl line 41": "errors.row_label_half_character"}


def write_csv(path: Path, header: str, rows: list[str]) -> Path:
    path.write_text("\n".join([header, *rows]), encoding="utf-8")
    return path


@pytest.mark.parametrize("header", ["v1,v2,,", "Category,Message,,", "grade,remark,x,"])
def test_columns_are_found_by_their_names_or_content(tmp_path: Path, header: str) -> None:
    rows = [f"{label},{text},," for text, label in ROWS]
    splits = read(write_csv(tmp_path / "a.csv", header, rows))
    assert all_rows(splits) == Counter(ROWS)
    label_column, text_column = header.split(",")[:2]
    assert splits.notes[0].fields == {"text_column": text_column, "label_column": label_column}


def test_columns_that_may_all_hold_the_labels(tmp_path: Path) -> None:
    rows = [f"{label},{text},{i % 3}" for i, (text, label) in enumerate(ROWS)]
    table = write_csv(tmp_path / "a.csv", "v1,v2,v3", rows)
    assert fails("label_column_unclear", table)["columns"] == ["v1", "v3"]
    assert read(table, label_column="v1").labels == ("neg", "pos")


SPLIT_COLUMNS: dict[str, Callable[[int], Any]] = {
    "split": lambda i: ["train", "train", "train", "Valid", "test"][i // 2 % 5],
    "Subset": lambda i: ["training", "training", "training", "dev", "holdout"][i // 2 % 5],
    "is_valid": lambda i: i // 2 % 5 == 3,
    "fold": lambda i: i // 2 % 5,
}


@pytest.mark.parametrize("column", list(SPLIT_COLUMNS))
def test_a_column_that_names_the_split_of_each_row(tmp_path: Path, column: str) -> None:
    lines = [
        f"text,label,{column}",
        *(f"{text},{label},{SPLIT_COLUMNS[column](i)}" for i, (text, label) in enumerate(ROWS)),
    ]
    (tmp_path / "films.csv").write_text("\n".join(lines))
    splits = read(tmp_path / "films.csv")
    numbers = {name: len(part) for name, part in splits.parts.items()}
    assert sum(numbers.values()) == len(ROWS)
    if column == "is_valid":
        assert (splits.derived, numbers["validation"]) == (("test",), 8)
    elif column == "fold":
        assert (splits.derived, numbers["test"]) == (("validation",), 8)
    else:
        assert (splits.derived, numbers["validation"], numbers["test"]) == ((), 8, 8)
    assert splits.notes[0].key == "notes.split_column"


def test_rows_of_no_split_are_named(tmp_path: Path) -> None:
    places = ["train", "train", "test", "train", "later"]
    lines = ["text,label,split", *(f"{text},{label},{places[i // 2 % 5]}" for i, (text, label) in enumerate(ROWS))]
    (tmp_path / "films.csv").write_text("\n".join(lines))
    splits = read(tmp_path / "films.csv")
    assert skipped(splits) == {"films.csv": "notes.rows_of_no_split"}
    assert splits.skipped[0].reason.fields["count"] == 8


def test_a_column_of_other_words_is_no_split(tmp_path: Path) -> None:
    lines = ["text,label,split", *(f"{text},{label},{'abc'[i % 3]}" for i, (text, label) in enumerate(ROWS))]
    (tmp_path / "films.csv").write_text("\n".join(lines))
    assert not read(tmp_path / "films.csv").notes


@pytest.mark.parametrize(
    ("forms", "options", "labels"),
    [
        ((["0", "0.0"], ["1", "1.0"]), {}, ("0", "1")),
        ((["\u1100\u1161"], ["\uac00", " \uac01 "]), {}, ("\uac00", "\uac01")),
        ((["Good", "good", "GOOD"], ["bad"]), {"ignore_case": True}, ("Good", "bad")),
        ((["NaN", "yes"], ["no"]), {"leave_out": ("NaN",)}, ("no", "yes")),
    ],
)
def test_forms_of_one_label(
    tmp_path: Path, forms: tuple[list[str], list[str]], options: dict[str, Any], labels: tuple[str, ...]
) -> None:
    rows = [(f"{text} {i}", forms[i % 2][i // 2 % len(forms[i % 2])]) for i, (text, _) in enumerate(ROWS)]
    assert set(read(write_table(tmp_path / "a.tsv", rows), **options).labels) == set(labels)


def test_rows_with_several_labels_are_refused(tmp_path: Path) -> None:
    rows = [(text, ("ad", "rude", "ad|rude", "ok")[i % 4]) for i, (text, _) in enumerate(ROWS)]
    assert fails("several_labels_per_row", write_table(tmp_path / "a.tsv", rows))["example"] == "ad|rude"
    places = [(text, ("Paris, France", "Rome, Italy")[i % 2]) for i, (text, _) in enumerate(ROWS)]
    assert read(write_table(tmp_path / "b.tsv", places)).labels == ("Paris, France", "Rome, Italy")


@pytest.mark.parametrize("name", [b"\xff", b" "])
def test_a_folder_whose_name_is_no_label(tmp_path: Path, name: bytes) -> None:
    (tmp_path / os.fsdecode(name)).mkdir()
    fails("label_folder_misnamed", tmp_path)


@pytest.mark.parametrize(
    ("encoding", "word", "named"),
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
def test_another_encoding_is_named_with_its_option(tmp_path: Path, encoding: str, word: str, named: str) -> None:
    rows = [(f"{word} {n}", label) for n, (_, label) in enumerate(ROWS)]
    table = write_table(tmp_path / "films.tsv", rows, encoding=encoding)
    assert fails("encoding_other", table, encoding="utf-8")["likely"] == named
    assert sum(all_rows(read(table, encoding=named)).values()) == len(rows)
    splits = read(table)
    assert all_rows(splits) == Counter(rows)
    assert splits.notes[0].fields["encoding"] == named
    if encoding != "utf-16":
        for number, (text, label) in enumerate(rows):
            path = write_folder(tmp_path / "folder", [("", label)]) / label / f"{number + 1:03}.txt"
            path.write_bytes(text.encode(encoding))
        assert fails("encoding_other", tmp_path / "folder", encoding="utf-8")["likely"] == named
        assert sum(all_rows(read(tmp_path / "folder")).values()) == len(rows)


def test_an_unknown_encoding(tmp_path: Path) -> None:
    table = write_table(tmp_path / "films.tsv", ROWS)
    for name in ("utf9", "base64", ""):
        fails("encoding_unknown", table, encoding=name)
    with pytest.raises(DataError) as caught:
        read(table, encoding="utf-16")
    assert caught.value.code in ("encoding_other", "encoding_wrong")


def test_labels_that_cannot_be_learned(tmp_path: Path) -> None:
    single = write_table(tmp_path / "a.tsv", [row for row in ROWS if row[1] == "pos"])
    assert fails("text_single_label", single)["label"] == "pos"
    rare = write_table(tmp_path / "b.tsv", [*ROWS, ("so so", "meh")])
    assert fails("labels_too_rare", rare) == {"labels": ["'meh'"], "needed": 3}
    rows = [*ROWS, *[("so so", "meh")] * 9, ("well", "meh")]
    fails("labels_too_rare", write_table(tmp_path / "c.tsv", rows))
    rows = [*ROWS, *[(text, "meh") for text, _ in ROWS[:5]]]
    fails("labels_too_rare", write_table(tmp_path / "d.tsv", [*ROWS, *rows]))
    ids = [(text, str(n)) for n, (text, _) in enumerate(ROWS)]
    labels = fails("labels_too_rare", write_table(tmp_path / "e.tsv", ids))["labels"]
    assert str(labels).endswith("and 35 more")


def test_labels_that_differ_between_train_and_test(tmp_path: Path) -> None:
    train = write_table(tmp_path / "train.tsv", ROWS)
    more = write_table(tmp_path / "test.tsv", [*ROWS, ("so so", "meh")])
    assert fails("labels_not_in_train", train, test=more)["labels"] == ["'meh'"]
    fewer = write_table(tmp_path / "few.tsv", [("bad", "neg")])
    assert fails("labels_not_in_test", train, test=fewer)["labels"] == ["'pos'"]
    for part, rows in (("train", ROWS), ("val", [("so so", "meh")])):
        write_folder(tmp_path / "films" / part, rows)
    assert fails("labels_not_in_train", tmp_path / "films")["labels"] == ["'meh'"]


@given(st.binary(max_size=200), st.sampled_from([".csv", ".tsv", ".jsonl", ".json"]))
def test_any_bytes_give_splits_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    head = b"" if suffix.startswith(".json") else b"text,label\n" if suffix == ".csv" else b"text\tlabel\n"
    for data in (content, head + content, head + content.replace(b"a", b"\n").replace(b"b", b"\t")):
        path.write_bytes(data)
        with pytest.raises(DataError):
            read(path, test=path)


# Vocabulary


def test_vocabulary_is_by_frequency_then_by_character() -> None:
    texts = ["b a c c", "a C d <unk>"]
    built = build_vocabulary(texts, tokens="words", max_size=100)
    assert built == (PADDING, UNKNOWN, "c", "a", "<", ">", "b", "d", "unk")
    assert build_vocabulary(texts, tokens="words", max_size=4) == built[:4]
    assert build_vocabulary(texts, tokens="words", max_size=100, min_frequency=2) == built[:4]
    assert build_vocabulary(["한 글"], tokens="characters", max_size=9) == (PADDING, UNKNOWN, " ", "글", "한")
    assert "C" in build_vocabulary(texts, tokens="words", lowercase=False, max_size=100)


@given(st.lists(st.text(st.characters()), max_size=5), st.sampled_from(["words", "characters"]))
def test_any_vocabulary_makes_a_transform_and_fits_a_file(texts: list[str], tokens: Any) -> None:
    built = build_vocabulary(texts, tokens=tokens, max_size=1000)
    assert TextTransform(built, tokens=tokens).vocabulary == built
    assert tuple("\n".join(built).encode().decode().split("\n")) == built


def test_choose_tokens() -> None:
    assert choose_tokens(["a long review of many words " * 20]) == "words"
    assert choose_tokens(["a short message"] * 3) == "characters"
    assert choose_tokens(["这部电影非常好看。我很喜欢。" * 30]) == "characters"
    assert choose_tokens(["ภาพยนตร์เรื่องนี้สนุกมาก " * 20]) == "characters"
    assert choose_tokens(["이 영화는 정말 재미있었다. " * 30]) == "words"


# Batches


def some_batches(count: int = 500, batch_size: int = 16) -> tuple[Examples[str], TextBatches]:
    generator = random.Random(0)
    texts = tuple(f"w{n} " + "word " * generator.randrange(60) for n in range(count))
    examples = Examples(texts, tuple(n % 3 for n in range(count)))
    vocabulary = build_vocabulary(texts, tokens="words", max_size=10_000)
    return examples, TextBatches(examples, TextTransform(vocabulary, tokens="words"), batch_size=batch_size)


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_an_epoch_has_each_text_once_with_its_label(seed: int | None) -> None:
    examples, batches = some_batches()
    seen = {}
    count = 0
    for (ids, lengths), label_ids in batches.epoch(seed):
        count += 1
        assert ids.dtype == lengths.dtype == label_ids.dtype == torch.int64
        assert len(lengths) == len(ids)
        assert lengths.max() <= ids.shape[1] <= 1.125 * lengths.max()
        assert ((ids != 0).sum(dim=1) == lengths).all()
        for row, label_id in zip(ids, label_ids.tolist(), strict=True):
            seen[int(batches.transform.vocabulary[row[0]][1:])] = label_id
    assert [seen[n] for n in range(len(examples))] == list(examples.label_ids)
    assert count == len(batches) == 32
    assert batches.num_examples == len(examples)


def flat(batches: TextBatches, seed: int | None) -> list[list[int]]:
    return [ids[:, 0].tolist() for (ids, _), _ in batches.epoch(seed)]


def test_an_epoch_depends_on_its_seed_alone() -> None:
    _, batches = some_batches()
    random.seed(1)
    first = flat(batches, 7)
    random.seed(2)
    assert flat(batches, 7) == first
    assert flat(some_batches()[1], 7) == first
    assert flat(batches, 8) != first


def test_an_epoch_leaves_the_programs_own_random_numbers_alone() -> None:
    _, batches = some_batches()
    random.seed(3)
    expected = [random.random() for _ in range(3)]
    random.seed(3)
    epoch = batches.epoch(0)
    seen = [random.random()]
    next(epoch)
    seen.append(random.random())
    list(epoch)
    assert [*seen, random.random()] == expected


def test_without_a_seed_the_order_is_fixed_and_from_short_to_long() -> None:
    examples, batches = some_batches(50)
    passes = [list(batches.epoch()) for _ in range(2)]
    label_ids, again = (torch.cat([label_ids for _, label_ids in epoch]) for epoch in passes)
    assert torch.equal(label_ids, again)
    assert sorted(label_ids.tolist()) == sorted(examples.label_ids)
    lengths = torch.cat([lengths for (_, lengths), _ in passes[0]])
    assert torch.equal(lengths, lengths.sort().values)


def test_batches_hold_texts_of_similar_length() -> None:
    _, batches = some_batches(1600)
    for seed in (None, 1):
        padded = sum(ids.numel() for (ids, _), _ in batches.epoch(seed))
        assert padded < 1.3 * batches.num_tokens
    longest = [int(lengths.max()) for (_, lengths), _ in batches.epoch(1)]
    assert longest != sorted(longest)
    assert longest != sorted(longest, reverse=True)
