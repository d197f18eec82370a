"""Options that both command lines share: a budget of minutes, and compiled steps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import drawing
from train import image, options, text
from train.progress import ProgressBar

LINE = ["--data", "x", "--out", "y"]


@pytest.mark.parametrize("command", [image, text])
def test_minutes_and_compiling_reach_the_training(command) -> None:
    parsed = command.parser().parse_args([*LINE, "--minutes", "2.5", "--compile", "on"])
    config = options.train_config(parsed, {"epochs": 7}, autocast=False)
    assert (config.epochs, config.minutes, config.compiling) == (7, 2.5, "on")
    config = options.train_config(command.parser().parse_args(LINE), {"epochs": 7}, autocast=False)
    assert (config.epochs, config.minutes, config.compiling) == (7, 0, "auto")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--minutes", "0"], "must be above 0"),
        (["--minutes", "nan"], "must be above 0"),
        (["--minutes", "1e9"], "must be at most 1,000,000"),
        (["--minutes", "soon"], "invalid number value"),
        (["--minutes", "5", "--epochs", "2"], "not allowed with"),
        (["--compile", "perhaps"], "invalid choice"),
    ],
)
@pytest.mark.parametrize("command", [image, text])
def test_what_cannot_work(command, more: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.parser().parse_args([*LINE, *more])
    assert message in capsys.readouterr().err


def test_a_budget_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = drawing.review_file(tmp_path / "reviews.tsv")
    text.main(["--data", str(table), "--out", str(tmp_path / "out"), "--minutes", "0.02", "--device", "cpu"])
    printed = capsys.readouterr().out
    training = json.loads((tmp_path / "out" / "config.json").read_text())["training"]
    assert training["config"]["minutes"] == 0.02
    assert 1 <= len(training["epochs"]) <= 32
    assert "0.02 minutes" in printed
    assert f"epoch {len(training['epochs'])}/{training['epochs'][-1]['epochs']}" in printed


class _Thirty:
    """Thirty examples in three batches."""

    examples = 30

    def __len__(self) -> int:
        return 3


def test_a_note_is_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar(_Thirty(), things="texts") as bar:  # type: ignore[arg-type]
        bar.say("Three epochs.")
    assert capsys.readouterr().out == "Three epochs.\n"
