"""The whole path: labelled files in, a page out, and the page answers what the classifier answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client, handle_file

import app
import pyclassify
from tests import drawing


@pytest.fixture(scope="module")
def client(checkpoints: Path) -> Iterator[Client]:
    """A client of the page over checkpoints that the command lines trained on drawn data."""
    page = app.start(app.parse_options(["--checkpoints", str(checkpoints), "--device", "cpu"]))
    asking = Client(page.local_url, verbose=False)
    yield asking
    asking.close()
    page.close()


def test_the_page_answers_pictures_as_the_classifier_does(client: Client, checkpoints: Path, tmp_path: Path) -> None:
    classifier = pyclassify.load(checkpoints / "colours", device="cpu")
    for number, (label, colour) in enumerate(drawing.COLOURS.items()):
        path = tmp_path / f"{label}.png"
        drawing.picture(colour, seed=50 + number).save(path)
        answer = client.predict(handle_file(str(path)), api_name="/classify_image")
        assert answer["label"] == label
        (expected,) = classifier.predict([path])
        assert answer["probabilities"] == pytest.approx(expected.probabilities, abs=1e-6)
        assert answer["milliseconds"] > 0


def test_the_page_answers_texts_as_the_classifier_does(client: Client, checkpoints: Path) -> None:
    classifier = pyclassify.load(checkpoints / "reviews", device="cpu")
    for text, label in (("a wonderful film with great acting", "good"), ("an awful story", "bad")):
        answer = client.predict(text, api_name="/classify_text")
        assert answer["label"] == label
        assert answer["probabilities"] == pytest.approx(classifier.predict([text])[0].probabilities, abs=1e-6)


def test_a_checkpoint_moves_as_a_folder(checkpoints: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for path in (checkpoints / "reviews").iterdir():
        (moved / path.name).write_bytes(path.read_bytes())
    text = ["a wonderful film"]
    here, there = (pyclassify.load(each, device="cpu").predict(text) for each in (checkpoints / "reviews", moved))
    assert here == there
