"""The command lines: options, help, errors, what they print, predicting."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

import pyclassify
from pyclassify import cli, device, recipe
from pyclassify.cli import train as cli_train
from pyclassify.manifest import Manifest
from pyclassify.training.config import DEVICES, ImageConfig, TextConfig, TrainingConfig, state_path
from tests import drawing, fakes
from train import cards
from train import image as train_image
from train import text as train_text

ROOT = Path(__file__).parent.parent
COMMANDS = {"image": train_image.main, "text": train_text.main}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return drawing.image_folder(tmp_path / "data", per_label=6)


def image_arguments(folder: Path, out: Path, *more: str) -> list[str]:
    return ["--data", str(folder), "--out", str(out), "--model", "simple_cnn", "--epochs", "2", *more]


def text_arguments(data: Path, out: Path, *more: str) -> list[str]:
    return ["--data", str(data), "--out", str(out), "--epochs", "2", "--device", "cpu", *more]


def read_manifest(path: Path) -> Manifest:
    return Manifest.model_validate_json((path / "config.json").read_bytes())


def config_of(kind: str, *arguments: str) -> TrainingConfig:
    options = cli_train.make_parser(kind, "train").parse_args(["--data", "x", "--out", "y", *arguments])
    return cli_train.make_config(kind, options, command="train")


def error_of(kind: str, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must fail; return what it prints."""
    with pytest.raises(SystemExit) as exit_info:
        COMMANDS[kind](arguments)
    assert exit_info.value.code == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error


# Options


def test_options_become_a_configuration() -> None:
    assert config_of("image") == ImageConfig(data=Path("x"), out=Path("y"), command="train")
    assert config_of("text") == TextConfig(data=Path("x"), out=Path("y"), command="train")
    image = config_of("image", *shlex.split("--model resnet18 --size 64 --weights none --no-mirror --measure --seed 7"))
    assert image == ImageConfig(
        data="x",  # type: ignore[arg-type]  # strings are paths, too
        out="y",  # type: ignore[arg-type]
        network="resnet18",
        size_px=64,
        weights="none",
        mirror=False,
        measure_only=True,
        seed=7,
        command="train",
    )
    text = config_of(
        "text", *shlex.split("--test z --text-column what --tokens words --max-tokens 99 --vectors v --fix")
    )
    assert isinstance(text, TextConfig)
    assert (text.test, text.text_column, text.tokens, text.max_tokens) == (Path("z"), "what", "words", 99)
    assert (text.vectors, text.fix) == ("v", True)


@pytest.mark.parametrize("kind", COMMANDS)
def test_minutes_and_compile_reach_the_training(kind: str) -> None:
    fit = config_of(kind, "--minutes", "2.5", "--compile", "on").fit_config({"epochs": 7})
    assert (fit.epochs, fit.minutes, fit.compile) == (7, 2.5, "on")
    fit = config_of(kind).fit_config({"epochs": 7}, precision="bfloat16")
    assert (fit.epochs, fit.minutes, fit.compile, fit.precision) == (7, 0, "auto", "bfloat16")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--minutes 0", "must be above 0"),
        ("--minutes nan", "must be above 0"),
        ("--minutes 1e9", "must be at most 1,000,000"),
        ("--minutes soon", "invalid number value"),
        ("--minutes 5 --epochs 2", "not allowed with"),
        ("--epochs 0", "must be at least 1"),
        ("--epochs ten", "invalid whole number value"),
        ("--batch-size 999999999999999", "must be at least 1 and at most"),
        ("--learning-rate -1", "must be above 0"),
        ("--test-fraction 1", "between 0 and 1"),
        ("--compile perhaps", "invalid choice"),
        ("--resume --measure", "not allowed with"),
        ("--label-names ham", "LABEL=NAME"),
        ("--label-names =name", "LABEL=NAME"),
        ("--label-names ham=", "LABEL=NAME"),
        ("--label-names 'ham= '", "LABEL=NAME"),
    ],
)
@pytest.mark.parametrize("kind", COMMANDS)
def test_options_that_cannot_be_parsed(
    kind: str, arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        config_of(kind, *shlex.split(arguments))
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({}, "data_or_dataset"),
        ({"data": "x", "dataset": "cifar10"}, "data_or_dataset"),
        ({"data": "x", "epochs": 2, "minutes": 5}, "epochs_or_minutes"),
        ({"data": "x", "resume": True, "measure_only": True}, "resume_or_measure"),
        ({"data": "x", "seed": -1}, "option_out_of_range"),
        ({"data": "x", "seed": 10**30}, "option_out_of_range"),
        ({"data": "x", "epochs": 0}, "option_out_of_range"),
        ({"data": "x", "batch_size": 10**30}, "option_out_of_range"),
        ({"data": "x", "learning_rate": 0.0}, "option_not_positive"),
        ({"data": "x", "minutes": float("nan")}, "option_not_positive"),
        ({"data": "x", "minutes": 1e9}, "option_out_of_range"),
        ({"data": "x", "test_fraction": 1.0}, "fraction_out_of_range"),
        ({"data": "x", "precision": "int8"}, "option_unknown"),
        ({"data": "x", "compile": "perhaps"}, "option_unknown"),
    ],
)
def test_configurations_that_cannot_work(values: dict[str, Any], code: str) -> None:
    for config in (ImageConfig, TextConfig):
        with pytest.raises(pyclassify.ConfigError) as error:
            config(**values)
        assert error.value.code == code
        assert all(error.value.text(language) for language in ("en", "ko"))


def test_names_by_language() -> None:
    config = config_of(
        "text",
        *("--title", "Mail", "--title-ko", "편지", "--label-names", "a=b=wanted mail", "spam=unwanted"),
    )
    assert config.title == {"en": "Mail", "ko": "편지"}
    assert config.label_names == {"en": {"a=b": "wanted mail", "spam": "unwanted"}}
    assert (config_of("text").title, config_of("text").label_names) == ({}, {})


# Help


@pytest.mark.parametrize(
    "line",
    [
        "-m train.image --help",
        "-m train.text --help",
        "-m train.cards --help",
        "-c 'from pyclassify.cli import main; main()' --help",
        "-c 'from pyclassify.cli import main; main()' train image --help",
        "-c 'from pyclassify.cli import main; main()' predict --help",
        "-c 'from pyclassify.cli import main; main()' info --help",
    ],
)
def test_help_is_fast_and_needs_no_torch(line: str) -> None:
    command = [sys.executable, "-X", "importtime", *shlex.split(line)]
    before = os.times()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    after = os.times()
    assert "usage: " in done.stdout
    modules = {row.rpartition("|")[2].strip() for row in done.stderr.splitlines()}
    assert not modules & {"torch", "gradio", "numpy", "babel"}
    processor_s = sum(after[2:4]) - sum(before[2:4])
    assert processor_s < 1.5


def test_device_names_of_the_help_are_those_that_exist() -> None:
    assert set(DEVICES) == set(device.NAMES)


def test_subcommands_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["fly"], ["train"], ["train", "video"]):
        with pytest.raises(SystemExit, match="2"):
            cli.main(arguments)
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out.strip() == f"pyclassify {pyclassify.__version__}"


def test_public_names_are_there() -> None:
    assert set(pyclassify.__all__) <= set(dir(pyclassify))
    assert all(getattr(pyclassify, name) is not None for name in pyclassify.__all__)
    with pytest.raises(AttributeError):
        pyclassify.nothing  # noqa: B018
    line = "import pyclassify, sys; pyclassify.ImageConfig, pyclassify.DataError; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", line], cwd=ROOT, check=True, timeout=60)


# Errors


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("--device tpu", "device 'tpu' is unknown"),
        ("--seed -1", "seed must be from 0"),
        (f"--seed {'9' * 30}", "seed must be from 0"),
        ("--resume", "no training to resume"),
        ("--dataset cifar10", "not allowed with"),
        ("--size 33", "invalid choice"),
        ("--label-names cat=tiger", "There is no label 'cat'"),
        ("--label-names red=blue", "both have the name 'blue'"),
    ],
)
def test_options_that_cannot_work(
    folder: Path, tmp_path: Path, more: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = image_arguments(folder, tmp_path / "out", *shlex.split(more))
    assert message in error_of("image", arguments, capsys)
    assert not (tmp_path / "out").exists()


def test_arguments_that_are_not_utf8(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = image_arguments(folder, tmp_path / "out", "--about", "\udcff")
    assert r"\udcff is not valid UTF-8" in error_of("image", arguments, capsys)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(28, "No space left on device", "/full"), "error: Cannot use /full: No space left on device."),
        (MemoryError(), "error: There is not enough memory."),
        (torch.OutOfMemoryError("CUDA out of memory"), "error: There is not enough memory."),
    ],
)
def test_lack_of_disk_or_memory_is_one_sentence(
    error: Exception, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(recipe, "train", fail)
    assert error_of("image", ["--data", "x", "--out", "y"], capsys).startswith(message)


def test_unexpected_errors_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(recipe, "train", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        train_image.main(["--data", "x", "--out", "y"])


def test_training_without_a_place_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = drawing.review_file(tmp_path / "reviews.tsv")
    assert "Name a folder for the checkpoint" in error_of("text", ["--data", str(table)], capsys)


def test_interrupt_is_told(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(recipe, "train", interrupt)
    monkeypatch.setattr(recipe, "inspect", interrupt)
    for more, expected in (([], "Nothing was kept"), (["--check"], "Nothing")):
        with pytest.raises(SystemExit, match="130"):
            train_image.main(image_arguments(folder, tmp_path / "out", *more))
        assert expected in capsys.readouterr().err
    state_path(tmp_path / "out").parent.mkdir()
    state_path(tmp_path / "out").touch()
    with pytest.raises(SystemExit, match="130"):
        train_image.main(image_arguments(folder, tmp_path / "out", "--resume"))
    error = capsys.readouterr().err
    assert f"python -m train.image --data {folder} --out {tmp_path / 'out'}" in error
    assert error.count("--resume") == 1


# Output


def test_report_and_unreadable_files(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = folder / "test" / "red" / "0.png"
    bad.write_text("a text file named .png")
    train_image.main(image_arguments(folder, tmp_path / "out", "--about", "Drawn colours."))
    printed = capsys.readouterr()
    assert "Left out" in printed.err
    assert str(bad) in printed.err
    assert "epoch 1/2  loss" in printed.out
    assert "Test accuracy" in printed.out
    assert "1 unreadable" in printed.out
    manifest = read_manifest(tmp_path / "out")
    assert manifest.data is not None
    assert manifest.training is not None
    counts = {"train": 15, "validation": 3, "test": 17, "skipped": 1}
    expected = {"name": "data", **counts, "calibration": 0, "seed": 0, "duplicates_grouped": True}
    assert manifest.data.model_dump() == expected
    assert len(manifest.training.epochs) == 2
    assert manifest.training.command.startswith("python -m train.image --data")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Drawn colours." in card
    assert bad.name in card
    assert not state_path(tmp_path / "out").parent.exists()


def test_empty_rows_are_left_out_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = drawing.review_file(tmp_path / "reviews.tsv")
    with table.open("a", encoding="utf-8") as file:
        file.write("good\t\ngood\tone\ttoo many\n")
    cli.main(["train", "text", *text_arguments(table, tmp_path / "out")])
    printed = capsys.readouterr()
    assert printed.err.count("Left out") == 2
    assert "2 unreadable or empty" in printed.out
    manifest = read_manifest(tmp_path / "out")
    assert manifest.data is not None
    assert manifest.training is not None
    assert manifest.data.skipped == len(manifest.skipped) == 2
    assert manifest.training.command.startswith("pyclassify train text --data")


def test_budget_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = drawing.review_file(tmp_path / "reviews.tsv")
    train_text.main(["--data", str(table), "--out", str(tmp_path / "out"), "--minutes", "0.02", "--device", "cpu"])
    printed = capsys.readouterr().out
    training = read_manifest(tmp_path / "out").training
    assert training is not None
    assert training.config["minutes"] == 0.02
    assert 1 <= len(training.epochs) <= 32
    assert "0.02 min" in printed
    assert f"epoch {len(training.epochs)}/{training.epochs[-1].epochs}" in printed


def _tables(folder: Path) -> list[str]:
    rows = [f"{label}\t{text}" for label, text in drawing.reviews(60)]
    leak = rows[0] + "!"
    slip = rows[2].replace("good", "bad", 1)
    (folder / "train.tsv").write_text("\n".join(["label\ttext", *rows[:40], slip]) + "\n")
    (folder / "test.tsv").write_text("\n".join(["label\ttext", *rows[40:], leak]) + "\n")
    return ["--data", str(folder / "train.tsv"), "--test", str(folder / "test.tsv")]


def _listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_checking_texts_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = _tables(tmp_path)
    before = _listing(tmp_path)
    train_text.main([*arguments, "--check", "--out", str(tmp_path / "out")])
    train_text.main([*arguments, "--check"])
    assert _listing(tmp_path) == before
    printed = capsys.readouterr().out
    assert "2 texts have a duplicate or near-duplicate under another label" in printed
    assert "1 text in the test data has a duplicate" in printed
    assert "characters: " in printed
    assert re.search("What to expect: at least [12][0-9] texts per label. That is enough where single words", printed)
    assert "epoch" not in printed


def test_checking_pictures_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = drawing.image_folder(tmp_path / "data")
    shutil.copy(folder / "train" / "red" / "1.png", folder / "test" / "red" / "copy.png")
    shutil.copy(folder / "train" / "red" / "2.png", folder / "train" / "blue" / "slip.png")
    (folder / "train" / "red" / ".hidden.png").touch()
    (folder / "train" / "red" / "bad.png").write_text("no picture")
    before = _listing(tmp_path)
    train_image.main(["--data", str(folder), "--check"])
    assert _listing(tmp_path) == before
    printed = capsys.readouterr().out
    assert "2 pictures have a duplicate or near-duplicate under another label" in printed
    assert "train/blue/slip.png (blue) and train/red/2.png (red)" in printed
    assert "1 picture in the test data has a duplicate" in printed
    assert "1 file or row cannot be used" in printed
    assert "1 hidden file or folder was ignored" in printed
    assert ": 32 to 32" in printed
    assert re.search("What to expect: at least [78] pictures per label. A pretrained network can tell", printed)


def test_fix_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train_text.main([*_tables(tmp_path), "--check", "--fix"])
    printed = capsys.readouterr().out
    assert "Left out 2 texts with a duplicate under another label." in printed
    assert "under another label." not in printed.partition("Data report")[2]
    train_text.main(["--data", str(drawing.review_file(tmp_path / "clean.tsv")), "--check", "--fix"])
    assert "There was nothing to fix." in capsys.readouterr().out


@pytest.mark.slow
def test_output_that_is_closed_or_narrow(tmp_path: Path) -> None:
    folder = drawing.image_folder(tmp_path / "data", per_label=6)
    for split in ("train", "test"):
        (folder / split / "red").rename(folder / split / "빨강")
    line = shlex.join([sys.executable, "-m", "train.image", *image_arguments(folder, tmp_path / "out")])
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUNBUFFERED": "1"}
    shell: dict[str, Any] = {"shell": True, "capture_output": True, "text": True, "env": environment, "timeout": 120}
    closed = subprocess.run(f"({line}; echo $? >&2) | true", check=False, **shell)
    assert closed.stderr.splitlines() == ["error: The output was closed, so the training was stopped.", "2"]
    ascii_only = subprocess.run(line, check=True, **shell)
    assert r"\ube68\uac15" in ascii_only.stdout
    assert ascii_only.stderr == ""


@pytest.mark.slow
def test_ctrl_c_keeps_the_last_epoch_and_resume_gives_the_same_weights(tmp_path: Path) -> None:
    folder = drawing.image_folder(tmp_path / "data", per_label=30)
    arguments = ["--data", str(folder), "--model", "small_convnet", "--epochs", "6", "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}

    def start(out: str, *more: str) -> subprocess.Popen[str]:
        line = [sys.executable, "-m", "train.image", *arguments, "--out", str(tmp_path / out), *more]
        return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    running = start("stopped")
    assert running.stdout is not None
    for line in running.stdout:
        if line.startswith("epoch 2/6"):
            running.send_signal(signal.SIGINT)
            break
    _, error = running.communicate(timeout=120)
    assert running.returncode == 130, error
    assert "--resume" in error
    assert "Traceback" not in error
    assert not (tmp_path / "stopped").exists()

    whole, resumed = start("whole"), start("stopped", "--resume")
    for process in (whole, resumed):
        _, error = process.communicate(timeout=240)
        assert process.returncode == 0, error
    a, b = (safetensors.torch.load_file(tmp_path / name / "model.safetensors") for name in ("whole", "stopped"))
    assert all(torch.equal(a[name], b[name]) for name in a)


# Cards


def test_card_written_anew_is_the_same(
    text_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reviews = Path(shutil.copytree(text_checkpoint, tmp_path / "reviews"))
    before = {path.name: path.read_bytes() for path in reviews.iterdir()}
    (reviews / "README.md").write_text("spoilt")
    (reviews / "curves.png").unlink()
    cards.main([str(reviews)])
    assert {path.name: path.read_bytes() for path in reviews.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["reviews"]
    assert "Wrote" in capsys.readouterr().out


def test_names_and_words_are_given_without_training(text_checkpoint: Path, tmp_path: Path) -> None:
    reviews = Path(shutil.copytree(text_checkpoint, tmp_path / "reviews"))
    cards.main([str(reviews), "--title", "Reviews", "--label-names", "bad=a bad one", "--about", "Made up."])
    cards.main([str(reviews), "--title-ko", "평", "--data-name", "Drawn"])
    manifest, before = read_manifest(reviews), read_manifest(text_checkpoint)
    assert manifest.description.title == {"en": "Reviews", "ko": "평"}
    assert manifest.description.label_names == {"en": {"bad": "a bad one"}}
    assert manifest.description.about == "Made up."
    assert manifest.data is not None
    assert manifest.data.name == "Drawn"
    changed = {"description", "data", "sha256"}
    assert manifest.model_dump(exclude=changed) == before.model_dump(exclude=changed)
    assert "Made up." in (reviews / "README.md").read_text(encoding="utf-8")
    assert pyclassify.load(reviews, device="cpu").predict(["good"])[0].label in ("bad", "good")
    with pytest.raises(SystemExit, match="2"):
        cards.main([str(reviews), "--label-names", "cat=tiger"])


def test_card_without_a_training_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = fakes.write_text_checkpoint(tmp_path / "pets")
    for folder in (path, tmp_path / "nowhere"):
        with pytest.raises(SystemExit, match="2"):
            cards.main([str(folder)])
        assert folder.name in capsys.readouterr().err
    assert (path / "README.md").read_text() == "# A test\n"


# Predicting


def predict(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    cli.main(["predict", *arguments, "--device", "cpu"])
    return capsys.readouterr().out.splitlines()


def test_predicting_pictures(image_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "red.png"
    drawing.image(drawing.COLOURS["red"], seed=77).save(path)
    (expected,) = pyclassify.load(image_checkpoint, device="cpu").predict([path])
    (line,) = predict(capsys, str(path), "--checkpoint", str(image_checkpoint))
    assert line == f"{path}\t{expected.message()}"
    (line,) = predict(capsys, str(path), "--checkpoint", str(image_checkpoint), "--json", "--language", "ko")
    answer = json.loads(line)
    assert (answer["input"], answer["label"]) == (str(path), expected.label)
    assert answer["probabilities"] == pytest.approx(expected.probabilities)
    assert answer["message"] == expected.message("ko")


def test_predicting_lines_and_tables(
    text_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ["a wonderful film", "an awful story"]
    expected = [answer.message() for answer in pyclassify.load(text_checkpoint, device="cpu").predict(texts)]
    lines = [f"{text}\t{message}" for text, message in zip(texts, expected, strict=True)]
    monkeypatch.setattr(sys, "stdin", io.StringIO("a wonderful film\n\nan awful story\n"))
    assert predict(capsys, "-", "--checkpoint", str(text_checkpoint)) == lines
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    (tmp_path / "texts.csv").write_text("id,what\n" + "".join(f"{i},{text}\n" for i, text in enumerate(texts)))
    arguments = ["--checkpoint", str(text_checkpoint), "--column", "what"]
    assert predict(capsys, str(tmp_path / "texts.txt"), str(tmp_path / "texts.csv"), *arguments) == lines * 2


def test_unreadable_inputs_have_a_problem_and_a_status(
    image_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "red.png", tmp_path / "bad.png"
    drawing.image(drawing.COLOURS["red"], seed=77).save(good)
    bad.write_text("no picture")
    with pytest.raises(SystemExit, match="1"):
        predict(capsys, str(bad), str(good), str(tmp_path / "missing.png"), "--checkpoint", str(image_checkpoint))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == [str(bad), str(good), str(tmp_path / "missing.png")]
    with pytest.raises(SystemExit, match="1"):
        predict(capsys, str(bad), "--checkpoint", str(image_checkpoint), "--json")
    assert json.loads(capsys.readouterr().out).keys() == {"input", "problem"}


def test_the_only_checkpoint_is_the_default(
    text_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts.txt").write_text("a wonderful film")
    with pytest.raises(SystemExit, match="2"):
        predict(capsys, "texts.txt")
    assert "no checkpoint" in capsys.readouterr().err
    shutil.copytree(text_checkpoint, tmp_path / "checkpoints" / "reviews")
    assert predict(capsys, "texts.txt")[0].startswith("a wonderful film\t")
    fakes.write_text_checkpoint(tmp_path / "checkpoints" / "another")
    with pytest.raises(SystemExit, match="2"):
        predict(capsys, "texts.txt")
    assert "another, reviews" in capsys.readouterr().err


def test_info(text_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["info", str(text_checkpoint)])
    printed = capsys.readouterr().out
    for part in ("texts into 2 labels", "bad, good", "wide_deep", "Test accuracy", "pyclassify.train("):
        assert part in printed
    cli.main(["info", "--json", str(text_checkpoint)])
    assert Manifest.model_validate_json(capsys.readouterr().out) == read_manifest(text_checkpoint)
    cli.main(["info", str(fakes.write_text_checkpoint(tmp_path / "bare", scores=None, data=None))])
    assert "bare: classifies texts" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        cli.main(["info", str(tmp_path / "nowhere")])


def test_interrupted_prediction_is_quiet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pyclassify.checkpoint.load", interrupt)
    with pytest.raises(SystemExit, match="130"):
        cli.main(["info", "anything"])
    assert "Traceback" not in capsys.readouterr().err
