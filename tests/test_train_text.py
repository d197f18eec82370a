"""`python -m train.text`: every form of data, what it says and what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

import pyclassify
from tests import drawing
from train import text as command


def _arguments(data: Path, out: Path, *more: str) -> list[str]:
    return ["--data", str(data), "--out", str(out), "--epochs", "2", "--device", "cpu", *more]


def test_the_tutorials_program_is_what_it_was() -> None:
    options = command.parser().parse_args(["--data", "x", "--out", "y", "--model", "lstm"])
    config = command.shared.train_config(options, command.models.training_defaults("lstm"), autocast=False)
    assert (config.epochs, config.batch_size, config.learning_rate) == (10, 64, 0.001)
    assert (config.optimizer, config.schedule, config.average_decay) == ("adam", "constant", 0)
    network = command.models.build("lstm", labels=2, vocabulary_size=50)
    assert tuple(network.get_parameter("embedding.weight").shape) == (50, 300)
    assert network.get_submodule("lstm").hidden_size == 256


@pytest.mark.parametrize("model", ["lstm", "wide_deep"])
def test_folders_like_those_of_imdb(tmp_path: Path, model: str) -> None:
    for number, (label, text) in enumerate(drawing.reviews(60)):
        folder = tmp_path / "data" / ("train" if number < 40 else "test") / label
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}_7.txt").write_text(text, encoding="utf-8")
    (tmp_path / "data" / "train" / "unsup").mkdir()
    (tmp_path / "data" / "train" / "unsup" / "0_0.txt").write_text("no label")
    command.main(_arguments(tmp_path / "data", tmp_path / "out", "--model", model))
    info = json.loads((tmp_path / "out" / "config.json").read_text())
    assert info["labels"] == ["bad", "good"]
    assert info["data"]["test"] == 20
    assert info["model"]["name"] == model
    assert pyclassify.load(tmp_path / "out").predict(["a wonderful film"])[0].label in ("good", "bad")


def _csv(path: Path) -> Path:
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(["stars", "what"])
        writer.writerows(drawing.reviews(40))
    return path


def _jsonl(path: Path) -> Path:
    rows = [json.dumps({"stars": label, "what": text}) for label, text in drawing.reviews(40)]
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(("make", "name"), [(_csv, "a.csv"), (_jsonl, "a.jsonl")])
def test_tables_with_other_columns(tmp_path: Path, make, name: str) -> None:
    columns = ["--text-column", "what", "--label-column", "stars"]
    command.main(_arguments(make(tmp_path / name), tmp_path / "out", *columns))
    assert pyclassify.load(tmp_path / "out").labels == ["bad", "good"]


def test_a_test_file_apart_and_three_labels(tmp_path: Path) -> None:
    for name, shift in (("train.tsv", 0), ("test.tsv", 100)):
        rows = [f"{'abc'[i % 3]}\tword{i % 3} number {i + shift}" for i in range(30)]
        (tmp_path / name).write_text("label\ttext\n" + "\n".join(rows) + "\n")
    command.main(_arguments(tmp_path / "train.tsv", tmp_path / "out", "--test", str(tmp_path / "test.tsv")))
    info = json.loads((tmp_path / "out" / "config.json").read_text())
    assert info["labels"] == ["a", "b", "c"]
    assert info["scores"]["examples"] == 30


def test_vectors_start_the_embedding(tmp_path: Path) -> None:
    table = drawing.review_file(tmp_path / "reviews.tsv")
    numbers = " ".join(["0.25"] * 300)
    (tmp_path / "vectors.txt").write_text(f"wonderful {numbers}\nterrible {numbers}\n")
    more = ["--model", "lstm", "--vectors", str(tmp_path / "vectors.txt"), "--learning-rate", "1e-9", "--epochs", "1"]
    command.main(_arguments(table, tmp_path / "out", *more))
    loaded = pyclassify.checkpoint.load(tmp_path / "out")
    vocabulary = loaded.transform.vocabulary
    row = loaded.model.get_parameter("embedding.weight")[vocabulary.index("wonderful")]
    assert row.tolist() == pytest.approx([0.25] * 300, abs=1e-3)


def test_empty_rows_are_left_out_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = drawing.review_file(tmp_path / "reviews.tsv")
    with table.open("a", encoding="utf-8") as file:
        file.write("good\t\ngood\tone\ttoo many\n")
    command.main(_arguments(table, tmp_path / "out"))
    printed = capsys.readouterr()
    assert printed.err.count("left out") == 2
    assert "2 unreadable or empty" in printed.out
    assert json.loads((tmp_path / "out" / "config.json").read_text())["data"]["skipped"] == 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--text-column", "body"], "--text-column"),
        (["--vectors", "glove.6B.300d"], "goes with --model lstm"),
        (["--vectors", "nowhere.txt", "--model", "lstm"], "error: there is no file nowhere.txt"),
        (["--max-tokens", "1"], "--max-tokens must be"),
        (["--vocabulary-size", "1"], "--vocabulary-size must be"),
        (["--encoding", "klingon"], "klingon"),
        (["--test", "missing.tsv"], "missing.tsv"),
        (["--tokens", "syllables"], "invalid choice"),
    ],
)
def test_options_that_cannot_work(
    tmp_path: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = drawing.review_file(tmp_path / "reviews.tsv")
    with pytest.raises(SystemExit) as left:
        command.main(_arguments(table, tmp_path / "out", *more))
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_texts_on_both_sides_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = drawing.review_file(tmp_path / "reviews.tsv")
    command.main(_arguments(table, tmp_path / "out", "--test", str(table)))
    assert "40 of the texts to test with are also among those to learn from" in capsys.readouterr().out
