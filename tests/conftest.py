"""Checkpoints that are trained once for all tests."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from PIL import Image

from tests import drawing

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell starts its background jobs deaf to Ctrl-C, and so would be the programs that the tests interrupt
    signal.signal(signal.SIGINT, signal.default_int_handler)


# how long an example takes says more about the machine than about the code
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture(autouse=True)
def _join_warm_up() -> Iterator[None]:
    """Wait for the page's thread that imports: its imports change how warnings are treated, for all threads."""
    yield
    launch = sys.modules.get("pyclassify.ui.launch")
    for thread in threading.enumerate():
        if launch and thread.name == launch.WARMING_UP:
            thread.join(timeout=60)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `colours` (pictures) and `reviews` (texts), trained as a user would."""
    from pyclassify import recipe
    from pyclassify.training.config import ImageConfig, TextConfig

    root = tmp_path_factory.mktemp("trained")
    images = drawing.image_folder(root / "colours-data")
    table = drawing.review_file(root / "reviews.tsv")
    out = root / "checkpoints"
    recipe.train(ImageConfig(data=images, out=out / "colours", network="simple_cnn", epochs=4, seed=1, device="cpu"))
    recipe.train(TextConfig(data=table, out=out / "reviews", epochs=8, seed=1, device="cpu"))
    return out


@pytest.fixture(scope="session")
def image_checkpoint(checkpoints: Path) -> Path:
    return checkpoints / "colours"


@pytest.fixture(scope="session")
def text_checkpoint(checkpoints: Path) -> Path:
    return checkpoints / "reviews"


@pytest.fixture(scope="session")
def image_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A red picture of 40 x 30 pixels."""
    path = tmp_path_factory.mktemp("images") / "red.png"
    Image.new("RGB", (40, 30), "red").save(path)
    return path
