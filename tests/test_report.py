"""The report of a training: curves beside the card, and cards written anew."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pyclassify
from pyclassify import card, checkpoint, report
from pyclassify.errors import CheckpointError
from tests.test_checkpoint import _save
from train import cards


def _training(count: int, **config: Any) -> dict[str, Any]:
    epochs = [
        {
            "epoch": number,
            "train_loss": 2 / number,
            "train_accuracy": 1 - 0.7 / number,
            "validation_loss": 1.5 / number,
            "validation_accuracy": 1 - 0.5 / number,
            "is_best": number <= 3,
            "duration_s": 1.0,
        }
        for number in range(1, count + 1)
    ]
    return {"epochs": epochs, "config": config}


def _pixels(content: bytes) -> np.ndarray[Any, Any]:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def _near(pixels: np.ndarray[Any, Any], colour: str) -> int:
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int((np.abs(pixels - wanted).max(axis=2) < 40).sum())


@pytest.mark.parametrize("count", [1, 2, 14, 320])
def test_curves_are_small_and_on_white(count: int) -> None:
    content = report.curves(_training(count, label_smoothing=0.1))
    assert len(content) < 40_000
    pixels = _pixels(content)
    assert pixels.shape == (300, 800, 3)
    assert (pixels[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()
    for colour in (report.TRAINING, report.VALIDATION):
        assert all(_near(half, colour) > 5 for half in np.split(pixels, 2, axis=1)), "a line is missing"


def test_curves_show_the_epochs() -> None:
    assert report.curves(_training(6)) == report.curves(_training(6))
    assert report.curves(_training(6)) != report.curves(_training(7))


def test_pyplot_and_its_state_stay_out() -> None:
    code = "import sys, train.pipeline; print('matplotlib' in sys.modules)\n"
    code += "from pyclassify import report\n"
    code += (
        "e = dict(epoch=1, train_loss=1, train_accuracy=0, validation_loss=1, validation_accuracy=0, is_best=False)\n"
    )
    code += "report.curves({'epochs': [e]}); print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    assert done.stderr == ""


@pytest.mark.parametrize("name", ["colours", "reviews"])
def test_a_training_leaves_its_curves_on_the_card(checkpoints: Path, name: str) -> None:
    folder = checkpoints / name
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert f"]({report.CURVES})" in text
    info = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert (folder / report.CURVES).read_bytes() == report.curves(info["training"])
    assert report.CURVES not in info["sha256"]


def test_a_checkpoint_is_loaded_without_its_pictures(tmp_path: Path) -> None:
    _save(tmp_path / "pets", pictures={"curves.png": b"drawn"})
    assert (tmp_path / "pets" / "curves.png").read_bytes() == b"drawn"
    (tmp_path / "pets" / "curves.png").write_bytes(b"another")
    assert checkpoint.load(tmp_path / "pets").labels == ["cat", "dog"]
    (tmp_path / "pets" / "curves.png").unlink()
    assert checkpoint.load(tmp_path / "pets").labels == ["cat", "dog"]
    _save(tmp_path / "pets")
    assert not (tmp_path / "pets" / "curves.png").exists()


def test_no_picture_takes_the_place_of_the_weights(tmp_path: Path) -> None:
    _save(tmp_path / "pets", pictures={"model.safetensors": b"drawn", "config.json": b"drawn"})
    assert checkpoint.load(tmp_path / "pets").labels == ["cat", "dog"]


@pytest.fixture
def reviews(text_checkpoint: Path, tmp_path: Path) -> Path:
    return shutil.copytree(text_checkpoint, tmp_path / "reviews")


def test_a_card_written_anew_is_the_same(reviews: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name: path.read_bytes() for path in reviews.iterdir()}
    (reviews / "README.md").write_text("spoilt")
    (reviews / report.CURVES).unlink()
    cards.main([str(reviews)])
    assert {path.name: path.read_bytes() for path in reviews.iterdir()} == before
    assert [path.name for path in reviews.parent.iterdir()] == ["reviews"]
    assert "Wrote" in capsys.readouterr().out
    assert pyclassify.load(reviews).labels == ["bad", "good"]


def test_the_card_of_an_older_checkpoint_keeps_what_it_said(reviews: Path) -> None:
    path = reviews / "config.json"
    info = json.loads(path.read_text(encoding="utf-8"))
    del info["card"]
    info["data"]["skipped"] = 1
    info["training"]["command"] += " --about 'Made up, of words.' --data-license=MIT"
    path.write_text(json.dumps(info), encoding="utf-8")
    section = f"{card.LEFT_OUT}1\n\n- `a.txt`: it is empty\n"
    old = card.write("reviews", info, skipped_section=section)
    (reviews / "README.md").write_text(old, encoding="utf-8")
    cards.main([str(reviews)])
    text = (reviews / "README.md").read_text(encoding="utf-8")
    assert "Made up, of words." in text
    assert "Licence of the data: MIT." in text
    assert section + "\n## How it was made" in text
    assert text.count("## ") == old.count("## ")


def test_a_card_of_no_training_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _save(tmp_path / "pets")
    with pytest.raises(CheckpointError, match="notes no training"):
        cards.write(tmp_path / "pets")
    with pytest.raises(SystemExit, match="2"):
        cards.main([str(tmp_path / "nowhere")])
    assert "nowhere" in capsys.readouterr().err
    assert (tmp_path / "pets" / "README.md").read_text() == "# a card\n"
