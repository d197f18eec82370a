from __future__ import annotations

import csv
import functools
import http.server
import io
import json
import logging
import os
import random
import ssl
import tarfile
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torchtext
from hypothesis import given
from hypothesis import strategies as st

from pyclassify.errors import DataError
from pyclassify.examples import Examples, Skipped, Splits
from pyclassify.text import fetch
from pyclassify.text.data import (
    TextBatches,
    build_vocabulary,
    choose_tokens,
    download,
    read,
    vectors,
)
from pyclassify.text.transform import PADDING, UNKNOWN, TextTransform

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


def all_rows(splits: Splits[str]) -> Counter[tuple[str, str]]:
    parts = (splits.train, splits.validation, splits.test)
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
        (".tsv", "pos\n", "1 cell instead of 2"),
        (".tsv", "pos\tone\ttwo\n", "3 cells instead of 2"),
        (".tsv", "pos\t \n", "empty text"),
        (".tsv", "pos\t\u200b<br />\n", "empty text"),
        (".tsv", "\tsome text\n", "empty label"),
        (".tsv", "pos\tnul \0 in it\n", "binary, not text"),
        (".csv", "one,two,pos\n", "3 cells instead of 2"),
        (".csv", '"",pos\n', "empty text"),
        (".csv", "some text,\n", "empty label"),
        (".jsonl", "{broken\n", "not valid JSON"),
        (".jsonl", "[" * 100_000 + "\n", "not valid JSON"),
        (".jsonl", '["a", "pos"]\n', "not a JSON object"),
        (".jsonl", '{"text": "a"}\n', "no 'label'"),
        (".jsonl", '{"text": 3, "label": "pos"}\n', "'text' is not a text"),
        (".jsonl", '{"text": "a", "label": null}\n', "'label' is neither a text nor a number"),
        (".tsv", "pos\t" + "a" * 1_000_001 + "\n", "1,000,001 characters, more than 1,000,000"),
    ],
)
def test_a_bad_row_is_skipped_and_listed(tmp_path: Path, suffix: str, extra: str, reason: str) -> None:
    splits = read(write_table(tmp_path / f"films{suffix}", ROWS, extra=extra))
    line = len(ROWS) + (1 if suffix == ".jsonl" else 2)
    assert splits.skipped == (Skipped(f"films{suffix} line {line}", reason),)
    assert all_rows(splits) == Counter(ROWS)


def test_a_single_line_of_50_mb_is_skipped(tmp_path: Path) -> None:
    path = write_table(tmp_path / "films.jsonl", ROWS, extra=json.dumps({"text": "a" * 50_000_000, "label": "pos"}))
    assert [entry.reason for entry in read(path).skipped] == ["50,000,000 characters, more than 1,000,000"]


def test_a_stray_damaged_row_is_skipped(tmp_path: Path) -> None:
    path = write_table(tmp_path / "films.tsv", ROWS)
    path.write_bytes(path.read_bytes() + b"pos\tcaf\xe9\n")
    assert read(path).skipped == (Skipped("films.tsv line 42", "not utf-8"),)


def test_lines_are_counted_through_cells_of_several_lines(tmp_path: Path) -> None:
    path = write_table(tmp_path / "films.csv", [("one\ntwo\nthree", "pos"), *ROWS], extra="ragged\r\n")
    assert read(path).skipped == (Skipped("films.csv line 45", "1 cell instead of 2"),)


def test_bad_files_are_skipped_and_litter_is_ignored(tmp_path: Path) -> None:
    write_folder(tmp_path / "films", ROWS)
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
    assert all_rows(splits) == Counter(ROWS)
    assert {entry.name: entry.reason for entry in splits.skipped} == {
        "films/pos/empty.txt": "empty text",
        "films/pos/picture.txt": "binary, not text",
        "films/pos/latin.txt": "not utf-8",
        "films/pos/long.txt": "1,000,001 characters, more than 1,000,000",
        "films/pos/notes.md": "not a .txt file",
        "films/pos/gone.txt": "not a file",
        "films/pos/more": "a folder, not a text",
    }


# What stops before training


def fails(match: str, path: Path, **options: Any) -> None:
    with pytest.raises(DataError, match=match) as caught:
        read(path, **options)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_missing_paths(tmp_path: Path) -> None:
    fails("nowhere does not exist.*--data", tmp_path / "nowhere")
    fails("test.tsv does not exist.*--test", write_table(tmp_path / "a.tsv", ROWS), test=tmp_path / "test.tsv")


def test_empty_sources(tmp_path: Path) -> None:
    fails("holds no labelled text: it needs a folder per label", tmp_path)
    (tmp_path / "films" / "train" / "pos").mkdir(parents=True)
    fails("holds no labelled text", tmp_path / "films")
    for name in ("a.tsv", "a.csv", "a.jsonl"):
        (tmp_path / name).write_text("\n", encoding="utf-8-sig")
        fails("is empty", tmp_path / name)
    (tmp_path / "b.tsv").write_text("text\tlabel\n")
    fails("holds no labelled text: it needs rows", tmp_path / "b.tsv")
    (tmp_path / "c.tsv").write_text("text\tlabel\nragged\n \tpos\n")
    fails(r"2 left out, the first \(c.tsv line 2\) because: 1 cell", tmp_path / "c.tsv")


def test_a_folder_with_tables_names_one(tmp_path: Path) -> None:
    write_table(tmp_path / "train.tsv", ROWS)
    fails(r"no folder per label, but tables: name one, such as .*train.tsv", tmp_path)


def test_a_test_folder_without_training(tmp_path: Path) -> None:
    write_folder(tmp_path / "test", ROWS)
    fails("none named train", tmp_path)


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl"])
def test_a_missing_column_names_those_there(tmp_path: Path, suffix: str) -> None:
    path = write_table(tmp_path / f"films{suffix}", ROWS)
    fails("no column 'review', only 'label', 'text'|only 'text', 'label'", path, text_column="review")
    fails("--label-column", path, label_column="stars")
    fails("cannot both be", path, label_column="text")


def test_unknown_extensions_and_binary_files(tmp_path: Path) -> None:
    (tmp_path / "films.xlsx").write_bytes(b"PK\x03\x04\0\0")
    fails(r"its name should end in \.csv", tmp_path / "films.xlsx")
    (tmp_path / "films.csv").write_bytes(b"PK\x03\x04\0\0")
    fails("is a binary file", tmp_path / "films.csv")
    (tmp_path / "films.tsv").write_bytes(bytes(range(1, 256)) * 40)
    fails("cannot be read|no column", tmp_path / "films.tsv")


def test_broken_json_and_quotes(tmp_path: Path) -> None:
    (tmp_path / "films.json").write_text('[{"text": "a",')
    fails("not valid JSON", tmp_path / "films.json")
    write_table(tmp_path / "films.csv", ROWS, extra='"never closed,pos\n' + "a,pos\n" * 2000)
    fails("opened in line 42 is never closed", tmp_path / "films.csv")


@pytest.mark.parametrize("extra", ['"never closed,pos\n', 'never,"pos\nclosed,pos\n', '"never'])
def test_a_quotation_mark_that_swallows_the_end_of_the_file(tmp_path: Path, extra: str) -> None:
    write_table(tmp_path / "films.csv", ROWS, extra=extra)
    fails("opened in line 42 is never closed", tmp_path / "films.csv")


def test_a_label_with_half_a_character_is_left_out(tmp_path: Path) -> None:
    rows = [*({"text": text, "label": label} for text, label in ROWS), {"text": "half", "label": "pos\ud83d"}]
    (tmp_path / "films.jsonl").write_text("\n".join(map(json.dumps, rows)))
    splits = read(tmp_path / "films.jsonl")
    assert splits.labels == ("neg", "pos")
    assert splits.skipped == (Skipped("films.jsonl line 41", "half a character in the label"),)


@pytest.mark.parametrize("names", [("Train", "Test"), ("train", "valid"), ("training", "testing")])
def test_parts_by_other_names(tmp_path: Path, names: tuple[str, str]) -> None:
    for name in names:
        (tmp_path / name / "pos").mkdir(parents=True)
    fails("rename .* to", tmp_path)


def test_a_label_folder_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff")).mkdir()
    fails("is no UTF-8: rename it", tmp_path)


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
    fails(f"not utf-8; it looks like {named}: add --encoding {named}", table)
    assert sum(all_rows(read(table, encoding=named)).values()) == len(rows)
    if encoding != "utf-16":
        for number, (text, label) in enumerate(rows):
            path = write_folder(tmp_path / "folder", [("", label)]) / label / f"{number + 1:03}.txt"
            path.write_bytes(text.encode(encoding))
        fails(f"of its files are not utf-8; it looks like {named}", tmp_path / "folder")


def test_an_unknown_encoding(tmp_path: Path) -> None:
    table = write_table(tmp_path / "films.tsv", ROWS)
    for name in ("utf9", "base64", ""):
        fails("there is no encoding", table, encoding=name)
    fails("not utf-16", table, encoding="utf-16")


def test_labels_that_cannot_be_learned(tmp_path: Path) -> None:
    fails("single label 'pos'", write_table(tmp_path / "a.tsv", [row for row in ROWS if row[1] == "pos"]))
    fails("the label 'meh' is too rare: each label needs 3", write_table(tmp_path / "b.tsv", [*ROWS, ("so so", "meh")]))
    rows = [*ROWS, *[("so so", "meh")] * 9, ("well", "meh")]
    fails("the label 'meh' is too rare", write_table(tmp_path / "c.tsv", rows))
    rows = [*ROWS, *[(text, "meh") for text, _ in ROWS[:5]]]
    fails("the label 'meh' is too rare", write_table(tmp_path / "d.tsv", [*ROWS, *rows]))
    ids = [(text, str(n)) for n, (text, _) in enumerate(ROWS)]
    fails("and 35 more are too rare", write_table(tmp_path / "e.tsv", ids))


def test_labels_that_differ_between_train_and_test(tmp_path: Path) -> None:
    train = write_table(tmp_path / "train.tsv", ROWS)
    fails("the label 'meh' is in .*test", train, test=write_table(tmp_path / "test.tsv", [*ROWS, ("so so", "meh")]))
    fails("the label 'pos' is in .*train", train, test=write_table(tmp_path / "few.tsv", [("bad", "neg")]))
    for part, rows in (("train", ROWS), ("val", [("so so", "meh")])):
        write_folder(tmp_path / "films" / part, rows)
    fails("the label 'meh' is in .*val but not", tmp_path / "films")


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
    assert batches.examples == len(examples)


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
    label_ids, again = (torch.cat([label_ids for _, label_ids in each]) for each in passes)
    assert torch.equal(label_ids, again)
    assert sorted(label_ids.tolist()) == sorted(examples.label_ids)
    lengths = torch.cat([lengths for (_, lengths), _ in passes[0]])
    assert torch.equal(lengths, lengths.sort().values)


def test_batches_hold_texts_of_similar_length() -> None:
    _, batches = some_batches(1600)
    for seed in (None, 1):
        padded = sum(ids.numel() for (ids, _), _ in batches.epoch(seed))
        assert padded < 1.3 * batches.tokens
    longest = [int(lengths.max()) for (_, lengths), _ in batches.epoch(1)]
    assert longest != sorted(longest)
    assert longest != sorted(longest, reverse=True)


# Vectors and downloads

VOCABULARY = (PADDING, UNKNOWN, "good", "film", "rare")
LINES = "good 1 2 3 4\nfilm 5 6 7 8\nother 0 0 0 0\n"


@pytest.mark.parametrize("head", ["", "3 4\n"])
def test_vectors_of_a_file(tmp_path: Path, head: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text(head + LINES)
    result = vectors(path, VOCABULARY, dimensions=4)
    assert result.shape == (5, 4)
    assert result.dtype == torch.float32
    assert result[0].tolist() == [0.0] * 4
    assert result[2].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert result[3].tolist() == [5.0, 6.0, 7.0, 8.0]
    assert 0 < result[4].abs().max() < 1
    assert torch.equal(result, vectors(path, VOCABULARY))
    assert not torch.equal(result[4], vectors(path, VOCABULARY, seed=1)[4])
    assert capfd.readouterr() == ("", "")


def test_a_changed_file_of_vectors_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text(LINES)
    vectors(path, VOCABULARY)
    path.write_text(LINES.replace("good 1", "good 9"))
    assert vectors(path, VOCABULARY)[2, 0] == 9


@pytest.mark.parametrize(
    "content",
    [
        "",
        "good\n",
        "good 1 2 3\nfilm 1 2\n",
        "good 1 2 x\n",
        "nothing 1 2 3\n",
        "good 1 2 nan\n",
        "\0\1\2",
        "good 1 2\n",
    ],
)
def test_malformed_vectors(tmp_path: Path, content: str) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text(content)
    with pytest.raises(DataError, match=r"vectors\.txt"):
        vectors(path, VOCABULARY)


def test_vectors_of_other_dimensions_or_names(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text(LINES)
    with pytest.raises(DataError, match="4 dimensions, not 300"):
        vectors(path, VOCABULARY, dimensions=300)
    with pytest.raises(DataError, match=r"there is no file nowhere\.txt.*glove\.6B\.300d"):
        vectors("nowhere.txt", VOCABULARY)
    with pytest.raises(DataError, match=r"glove\.6B\.50d have not 300"):  # said before it is downloaded
        vectors("glove.6B.50d", VOCABULARY, dimensions=300, cache=tmp_path)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A host on this machine in the place of those that torchtext downloads from."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
    ) as running:
        url = f"http://127.0.0.1:{running.server_port}"
        monkeypatch.setattr(torchtext.datasets.IMDB, "urls", [f"{url}/aclImdb_v1.tar.gz"])
        monkeypatch.setitem(torchtext.vocab.GloVe.url, "6B", f"{url}/glove.6B.zip")
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, url
        running.shutdown()
        thread.join()


def test_download_and_read(tmp_path: Path, server: tuple[Path, str], capfd: pytest.CaptureFixture[str]) -> None:
    for part in ("train", "test"):
        write_folder(tmp_path / "aclImdb" / part, ROWS)
    with tarfile.open(server[0] / "aclImdb_v1.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "aclImdb", "aclImdb")
    before = (ssl._create_default_https_context, ssl._create_unverified_context, list(logging.getLogger().handlers))
    path = download("imdb", tmp_path / "data")
    assert path == tmp_path / "data" / "imdb" / "aclImdb"
    assert [entry.name for entry in path.parent.iterdir()] == ["aclImdb"]
    assert len(read(path).test) == len(ROWS)
    (server[0] / "aclImdb_v1.tar.gz").unlink()
    assert download("imdb", tmp_path / "data") == path
    assert before == (ssl._create_default_https_context, ssl._create_unverified_context, logging.getLogger().handlers)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("content", [None, b"", b"<html>sign in</html>", b"\x1f\x8b\x08half"])
def test_a_failed_download_leaves_nothing_and_says_how_to_do_it_by_hand(
    tmp_path: Path, server: tuple[Path, str], content: bytes | None
) -> None:
    if content is not None:
        (server[0] / "aclImdb_v1.tar.gz").write_bytes(content)
        (server[0] / "glove.6B.zip").write_bytes(content)
    for _ in range(2):
        with pytest.raises(
            DataError, match=r"cannot download imdb: .* By hand: fetch http.*unpack it so that .*aclImdb/tr"
        ):
            download("imdb", tmp_path / "data")
        with pytest.raises(
            DataError, match=r"cannot download glove\.6B\.50d: .* By hand: fetch http.*glove\.6B\.50d\.txt is"
        ):
            vectors("glove.6B.50d", VOCABULARY, cache=tmp_path / "cache")
    assert list((tmp_path / "data" / "imdb").iterdir()) == []


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchtext.datasets.IMDB, "urls", ["http://host.invalid/" + "aclImdb_v1.tar.gz"])
    monkeypatch.setitem(torchtext.vocab.GloVe.url, "6B", "http://host.invalid/glove.6B.zip")
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with pytest.raises(DataError, match="imdb: there is no way to its host"):
        download("imdb", tmp_path)
    with pytest.raises(DataError, match=r"glove\.6B\.300d: there is no way to its host"):
        vectors("glove.6B.300d", VOCABULARY, cache=tmp_path)
    with pytest.raises(DataError, match="no data set 'mnist' to download, only imdb"):
        download("mnist", tmp_path)


def zipped(path: Path, content: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("glove.6B.50d.txt", content)


def test_vectors_are_downloaded_once(
    tmp_path: Path, server: tuple[Path, str], capfd: pytest.CaptureFixture[str]
) -> None:
    content = "".join(f"{word} " + " ".join([str(n)] * 50) + "\n" for n, word in enumerate(("good", "film"), 1))
    zipped(server[0] / "glove.6B.zip", content)
    first = vectors("glove.6B.50d", VOCABULARY, cache=tmp_path / "cache")
    assert first[3].tolist() == [2.0] * 50
    (server[0] / "glove.6B.zip").unlink()
    assert torch.equal(first, vectors("glove.6B.50d", VOCABULARY, cache=tmp_path / "cache"))
    assert capfd.readouterr() == ("", "")
    (tmp_path / "cache" / "glove.6B.50d.txt.pt").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"Remove .*glove\.6B\.50d\.txt\.pt"):
        vectors("glove.6B.50d", VOCABULARY, cache=tmp_path / "cache")


def test_what_an_interrupted_download_left_is_fetched_anew(tmp_path: Path, server: tuple[Path, str]) -> None:
    zipped(server[0] / "glove.6B.zip", "good" + " 1" * 50 + "\nfilm" + " 2" * 50 + "\n")
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "glove.6B.zip").write_bytes(b"PK\x03\x04 half")
    assert vectors("glove.6B.50d", VOCABULARY, cache=cache)[3, 0] == 2
    (cache / "glove.6B.50d.txt.pt").unlink()
    (cache / "glove.6B.50d.txt").write_text("good" + " 1" * 50 + "\n")
    assert vectors("glove.6B.50d", VOCABULARY, cache=cache)[3, 0] == 2


def test_a_download_that_is_stopped_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch.urllib.request, "urlopen", interrupt)
    with pytest.raises(KeyboardInterrupt):
        vectors("glove.6B.50d", VOCABULARY, cache=tmp_path)
