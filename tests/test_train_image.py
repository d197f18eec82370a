"""`python -m train.image`: what it says, what it refuses and what it leaves behind."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torchvision.models import get_model

import pyclassify
from tests import drawing
from train import image as command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return drawing.picture_folder(tmp_path / "data", per_label=6)


def _arguments(folder: Path, out: Path, *more: str) -> list[str]:
    return ["--data", str(folder), "--out", str(out), "--model", "simple_cnn", "--epochs", "2", *more]


def test_the_tutorials_program_is_what_it_was() -> None:
    options = command.parser().parse_args(["--data", "x", "--out", "y", "--model", "simple_cnn"])
    config = command.shared.train_config(options, command._defaults("simple_cnn", 50_000), autocast=True)
    assert (config.epochs, config.batch_size, config.learning_rate, config.momentum) == (10, 64, 0.01, 0.9)
    assert (config.optimizer, config.nesterov, config.schedule, config.average_decay) == ("sgd", False, "constant", 0)
    network = command.models.build("simple_cnn", labels=10)
    shapes = {name: tuple(each.shape) for name, each in network.named_parameters()}
    assert shapes == {
        "convolution.weight": (32, 3, 3, 3),
        "convolution.bias": (32,),
        "linear.weight": (10, 32 * 16 * 16),
        "linear.bias": (10,),
    }
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize("name", ["small_convnet", "whitened_convnet"])
@pytest.mark.parametrize("size_px", [32, 64, 128, 160, 224])
def test_our_networks_take_every_size(name: str, size_px: int) -> None:
    network = command.models.build(name, labels=4, size_px=size_px, widths=(8, 8, 8)).eval()
    assert network(torch.zeros(1, 3, size_px, size_px)).shape == (1, 4)


def test_report_and_bad_files(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = folder / "test" / "red" / "0.png"
    bad.write_text("a text file named .png")
    command.main(_arguments(folder, tmp_path / "out", "--about", "Drawn colours."))
    printed = capsys.readouterr()
    assert "left out" in printed.err
    assert str(bad) in printed.err
    assert "epoch 1/2  loss" in printed.out
    assert "Test accuracy" in printed.out
    assert "1 unreadable" in printed.out
    info = json.loads((tmp_path / "out" / "config.json").read_text())
    counts = {"train": 15, "validation": 3, "test": 17, "skipped": 1}
    assert info["data"] == {"name": "data", **counts, "seed": 0, "twins_together": True}
    assert len(info["training"]["epochs"]) == 2
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Drawn colours." in card
    assert "none of JPEG" in card
    assert not (tmp_path / "out.training").exists()


def test_a_folder_without_splits_trains_with_the_default_model(tmp_path: Path) -> None:
    folder = drawing.picture_folder(tmp_path / "plain", per_label=5, parts=())
    command.main(["--data", str(folder), "--out", str(tmp_path / "out"), "--epochs", "1", "--size", "64"])
    info = json.loads((tmp_path / "out" / "config.json").read_text())
    assert info["model"] == {"name": command.models.DEFAULT, "arguments": {"size_px": 64}}
    assert info["transform"]["size_px"] == 64


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--epochs", "0"], "must be at least 1"),
        (["--epochs", "ten"], "invalid whole number value"),
        (["--learning-rate", "-1"], "must be above 0"),
        (["--model", "resnet"], "no network for pictures named 'resnet'; perhaps resnet"),
        (["--weights", "none"], "--weights is for torchvision's networks"),
        (["--model", "resnet18", "--weights", "missing.pth"], "there is no file missing.pth"),
        (["--model", "vit_b_16", "--size", "64"], "vit_b_16 takes pictures of 224 x 224 pixels alone"),
        (["--model", "alexnet", "--weights", "none", "--size", "32"], "give a larger --size"),
        (["--size", "33"], "invalid choice"),
        (["--test-fraction", "1"], "between 0 and 1"),
        (["--device", "tpu"], "device 'tpu' is unknown"),
        (["--seed", "-1"], "--seed must be"),
        (["--resume"], "nothing to resume"),
        (["--dataset", "cifar10"], "not allowed with"),
        (["--seed", "9" * 30], "--seed must be"),
        (["--batch-size", "9" * 30], "must be at least 1 and at most"),
        (["--about", "\udcff"], r"\udcff is no UTF-8"),
    ],
)
def test_options_that_cannot_work(
    folder: Path, tmp_path: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        command.main(_arguments(folder, tmp_path / "out", *more))
    assert left.value.code == 2
    assert message in capsys.readouterr().err


def test_options_are_checked_before_data_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine")
    with pytest.raises(SystemExit) as left:
        command.main(_arguments(tmp_path / "missing", tmp_path / "taken"))
    assert left.value.code == 2
    assert "is no checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("plain/model", "lies among the labels"),
        ("plain/red/model", "lies among the labels"),
        ("data/train/model", "lies among the labels"),
        ("plain/red/0.png/model", "cannot write"),
        ("x" * 300, "cannot write"),
        (".", "must name a folder of its own"),
        ("data/..", "must name a folder of its own"),
    ],
)
def test_places_where_no_checkpoint_can_be(
    folder: Path,
    tmp_path: Path,
    out: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawing.picture_folder(tmp_path / "plain", per_label=3, parts=())
    monkeypatch.chdir(tmp_path)
    data = folder if out.startswith("data") else Path("plain")
    with pytest.raises(SystemExit) as left:
        command.main(_arguments(data, Path(out)))
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error


def test_a_checkpoint_may_lie_beside_the_parts(folder: Path) -> None:
    command.main(_arguments(folder, folder / "model"))
    command.main(_arguments(folder, folder / "model"))
    assert (folder / "model" / "config.json").is_file()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(28, "No space left on device", "/full"), "error: cannot use /full: No space left on device."),
        (MemoryError(), "error: there is not enough memory"),
        (torch.OutOfMemoryError("CUDA out of memory"), "error: there is not enough memory"),
    ],
)
def test_what_the_machine_lacks_is_one_sentence(
    error: Exception, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> None:
        raise error

    with pytest.raises(SystemExit) as left:
        command.shared.run_command("train.image", [], work, lambda: Path("out"))
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith(message)


def test_going_on_without_mirroring_is_refused(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command.pipeline, "_smallest_weights", stop)
    with pytest.raises(SystemExit, match="130"):
        command.main(_arguments(folder, tmp_path / "out"))
    with pytest.raises(SystemExit, match="2"):
        command.main(_arguments(folder, tmp_path / "out", "--resume", "--no-mirror"))


@pytest.mark.slow
def test_an_output_that_is_closed_or_narrow(tmp_path: Path) -> None:
    folder = drawing.picture_folder(tmp_path / "data", per_label=6)
    for part in ("train", "test"):
        (folder / part / "red").rename(folder / part / "빨강")
    line = shlex.join([sys.executable, "-m", "train.image", *_arguments(folder, tmp_path / "out")])
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUNBUFFERED": "1"}
    shell = {"shell": True, "capture_output": True, "text": True, "env": environment, "timeout": 120}
    closed = subprocess.run(f"({line}; echo $? >&2) | true", **shell, check=False)  # type: ignore[call-overload]
    assert closed.stderr.splitlines() == ["error: the output was closed, so the training was stopped.", "2"]
    ascii_only = subprocess.run(line, **shell, check=True)  # type: ignore[call-overload]
    assert r"\ube68\uac15" in ascii_only.stdout
    assert ascii_only.stderr == ""


def test_missing_data_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        command.main(_arguments(tmp_path / "missing", tmp_path / "out"))
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "is not a folder" in error
    assert "Traceback" not in error


def test_the_same_seed_gives_the_same_weights(folder: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        command.main(_arguments(folder, tmp_path / name, "--seed", "3", "--device", "cpu"))
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()


def _published(path: Path) -> Path:
    """Weights with a thousand labels, as torchvision has them."""
    torch.manual_seed(3)
    network = get_model("mnasnet0_5", weights=None)
    for each in network.modules():
        if isinstance(each, torch.nn.BatchNorm2d):  # random weights are far from these statistics otherwise
            each.momentum = None
    with torch.no_grad():
        network.train()(torch.randn(16, 3, 64, 64))
    torch.save(network.state_dict(), path)
    return path


def _small_arguments(folder: Path, out: Path, *more: str) -> list[str]:
    small = ["--model", "mnasnet0_5", "--size", "32", "--epochs", "2", "--device", "cpu"]
    return ["--data", str(folder), "--out", str(out), *small, *more]


def test_a_network_of_torchvision_begins_with_a_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = _published(tmp_path / "published.pth")
    command.main(_small_arguments(folder, tmp_path / "out", "--weights", str(file), "--about", "Drawn."))
    remark = "The training began with the weights in published.pth."
    assert remark in capsys.readouterr().out
    file.unlink()
    monkeypatch.setattr("torchvision.models.get_model_weights", None)  # a checkpoint is used without
    classifier = pyclassify.load(tmp_path / "out")
    answers = classifier.predict([folder / "test" / "red" / "0.png", folder / "test" / "blue" / "0.png"])
    assert [each.label for each in answers] == ["red", "blue"]
    info = json.loads((tmp_path / "out" / "config.json").read_text())
    assert info["model"] == {"name": "mnasnet0_5", "arguments": {"size_px": 32}}
    assert info["transform"]["crop"] == 0.875
    assert info["transform"]["mean"] == [0.485, 0.456, 0.406]
    assert f"Drawn. {remark}" in (tmp_path / "out" / "README.md").read_text()


def test_a_network_of_torchvision_begins_with_nothing(folder: Path, tmp_path: Path) -> None:
    command.main(_small_arguments(folder, tmp_path / "out", "--weights", "none"))
    assert "began with" not in (tmp_path / "out" / "README.md").read_text()
    assert pyclassify.load(tmp_path / "out").labels == ["blue", "green", "red"]


def test_going_on_needs_no_weights_and_ends_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = _published(tmp_path / "published.pth")
    more = ["--weights", str(file)]
    command.main(_small_arguments(folder, tmp_path / "whole", *more))
    finish = command.pipeline.ProgressBar.finish_epoch

    def stop(self: object, result: object) -> None:
        finish(self, result)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(command.pipeline.ProgressBar, "finish_epoch", stop)
    with pytest.raises(SystemExit, match="130"):
        command.main(_small_arguments(folder, tmp_path / "stopped", *more))
    monkeypatch.setattr(command.pipeline.ProgressBar, "finish_epoch", finish)
    file.unlink()
    with pytest.raises(SystemExit, match="2"):
        command.main(_small_arguments(folder, tmp_path / "stopped", "--resume", "--weights", "none"))
    command.main(_small_arguments(folder, tmp_path / "stopped", "--resume", *more))
    a, b = (safetensors.torch.load_file(tmp_path / name / "model.safetensors") for name in ("whole", "stopped"))
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    ("name", "examples", "batch_size", "epochs"),
    [("resnet18", 60, 8, 20), ("resnet18", 300, 16, 16), ("resnet18", 50_000, 32, 3), ("vit_h_14", 300, 4, 4)],
)
def test_trainings_that_begin_with_weights_are_short(name: str, examples: int, batch_size: int, epochs: int) -> None:
    size_px = command.weights.preset(name).size_px
    begun = command._torchvision_defaults(examples, size_px, is_adapted=True)
    assert (begun["batch_size"], begun["epochs"]) == (batch_size, epochs)
    nothing = command._torchvision_defaults(examples, size_px, is_adapted=False)
    assert nothing["epochs"] > epochs
    for defaults in (begun, nothing):
        command.shared.TrainConfig(**defaults)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["small_convnet", command.models.DEFAULT])
def test_a_rare_label_is_learned(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    counts = {"disc": 200, "square": 200, "triangle": 6}
    folder = drawing.shape_folder(tmp_path / "data", {"train": counts, "test": dict.fromkeys(counts, 40)})
    command.main(["--data", str(folder), "--out", str(tmp_path / "out"), "--model", model, "--epochs", "12"])
    assert "Some labels have far fewer pictures" in capsys.readouterr().out
    scores = json.loads((tmp_path / "out" / "config.json").read_text())["scores"]["per_label"]
    assert scores["triangle"]["recall"] > 0.6
    assert min(scores["disc"]["recall"], scores["square"]["recall"]) > 0.9


@pytest.mark.slow
def test_twenty_pictures_of_each_label_are_enough_for_the_default(tmp_path: Path) -> None:
    counts = dict.fromkeys(drawing.SHAPES, 20)
    folder = drawing.shape_folder(tmp_path / "data", {"train": counts, "test": dict.fromkeys(counts, 40)})
    command.main(["--data", str(folder), "--out", str(tmp_path / "out")])
    scores = json.loads((tmp_path / "out" / "config.json").read_text())["scores"]
    assert scores["accuracy"] > 0.9


@pytest.mark.slow
def test_ctrl_c_keeps_the_last_epoch_and_resume_ends_with_the_same_weights(tmp_path: Path) -> None:
    folder = drawing.picture_folder(tmp_path / "data", per_label=30)
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
