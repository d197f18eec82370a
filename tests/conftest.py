"""Checkpoints that are trained once for all tests."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import app
from tests import drawing
from train import image as train_image
from train import text as train_text

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what runs in its background deaf to Ctrl-C, and so would be the programs that the tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _quiet_afterwards() -> Iterator[None]:
    """Wait for the page's thread that imports: what is imported changes how warnings are treated, for all threads."""
    yield
    for thread in threading.enumerate():
        if thread.name == app.WARMING_UP:
            thread.join(timeout=60)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `colours` (pictures) and `reviews` (text), trained by the real command lines."""
    root = tmp_path_factory.mktemp("trained")
    pictures = drawing.picture_folder(root / "colours-data")
    table = drawing.review_file(root / "reviews.tsv")
    out = root / "checkpoints"
    common = ["--seed", "1", "--device", "cpu"]
    train_image.main(
        ["--data", str(pictures), "--out", str(out / "colours"), "--model", "simple_cnn", "--epochs", "4", *common]
    )
    train_text.main(["--data", str(table), "--out", str(out / "reviews"), "--epochs", "8", *common])
    return out


@pytest.fixture(scope="session")
def image_checkpoint(checkpoints: Path) -> Path:
    return checkpoints / "colours"


@pytest.fixture(scope="session")
def text_checkpoint(checkpoints: Path) -> Path:
    return checkpoints / "reviews"


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red one of 40 x 30 pixels."""
    path = tmp_path_factory.mktemp("pictures") / "red.png"
    Image.new("RGB", (40, 30), "red").save(path)
    return path
