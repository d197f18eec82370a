"""Reasons as they stand on the page."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

import pyclassify
from pyclassify import PictureExplanation, Prediction, TextExplanation
from pyclassify.errors import InputError
from pyclassify.ui.answering import shown
from pyclassify.ui.asking import Outcome
from pyclassify.ui.why import explainer
from pyclassify.ui.wording.en import English
from tests import fakes


class Explains(fakes.FakeClassifier):
    """Gives these weights to the words of a text, whatever they are."""

    def explain(self, item: str, label: str | None = None) -> TextExplanation:
        if self.error:
            raise self.error
        weights = (2.0, -1.0, 0.01)
        words = [(found.start(), found.end()) for found in re.finditer(r"\S+", item)]
        return TextExplanation(label or "ham", 0.5, tuple((*word, w) for word, w in zip(words, weights, strict=False)))


def test_words_are_marked_by_side_and_named_for_who_sees_no_colour() -> None:
    html = explainer({"mail": Explains()})("mail", "<b>buy</b> now please", "spam", "en")  # type: ignore[dict-item]
    assert '<span class="for" style="--share: 1.00">&lt;b&gt;buy&lt;/b&gt;</span>' in html
    assert '<span class="against" style="--share: 0.50">now</span> please' in html
    assert "For spam: “&lt;b&gt;buy&lt;/b&gt;”. Against: “now”." in html
    assert "<b>" not in html


def test_what_is_unknown_is_not_called_by_a_label() -> None:
    found = Prediction("cat", {"cat": 0.98, "dog": 0.02}, (), False, ("cat",))
    (ranked,), (remarks,), (reasons,), _ = shown([Outcome(found, 5.0, "cpu")], ["en"], waiting=lambda words: "")
    assert ranked["label"] == English.UNKNOWN
    assert ranked["confidences"] == []  # a bar of 98 % would say the opposite
    assert English.UNLIKE in remarks
    assert English.nearest([("cat", "98 %"), ("dog", "2 %")]) in remarks
    assert reasons == ""
    (ranked,), (remarks,), *_ = shown(
        [Outcome(replace(found, known=True), 5.0, "cpu")], ["ko"], waiting=lambda words: ""
    )
    assert ranked["label"] == "cat, 98%"
    assert [each["label"] for each in ranked["confidences"]] == ["cat", "dog"]
    assert English.UNLIKE not in remarks


@pytest.mark.parametrize("error", [InputError("it is too long"), RuntimeError("secret")])
def test_what_cannot_be_explained_is_said_in_words(error: Exception) -> None:
    html = explainer({"mail": Explains(error=error)})("mail", "hello", "", "en")  # type: ignore[dict-item]
    assert 'role="alert"' in html
    assert "secret" not in html
    assert ("It is too long." in html) == isinstance(error, InputError)


def test_an_unknown_checkpoint_or_label_is_said(tmp_path: Path) -> None:
    explain = explainer({"imdb": pyclassify.load(fakes.write_text_checkpoint(tmp_path / "imdb"), device="cpu")})
    assert "no checkpoint named" in explain("other", "good film", "", "en")
    assert "no label" in explain("imdb", "good film", "purple", "en")
    assert "no label" not in explain("imdb", "good film", "positive", "en")


@pytest.mark.parametrize("size", [(16, 12), (900, 1200)])
def test_a_picture_is_drawn_large_enough_and_not_too_large(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "noise.png"
    Image.effect_noise(size, 80).convert("RGB").save(path)
    animals = pyclassify.load(fakes.write_image_checkpoint(tmp_path / "animals"), device="cpu")
    assert isinstance(animals.explain(path), PictureExplanation)
    html = explainer({"animals": animals})("animals", str(path), "dog", "en")
    content = re.search(r"base64,([^\"]+)", html)
    assert content is not None
    with Image.open(io.BytesIO(base64.b64decode(content[1]))) as drawn:
        assert 320 <= max(drawn.size) <= 720
        assert drawn.width / drawn.height == pytest.approx(size[0] / size[1], rel=0.02)
    assert English.why_picture("dog") in html
