"""Answers and explanations as they stand on the page."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import pyclassify
from pyclassify import ImageExplanation, Prediction, TextExplanation
from pyclassify.errors import InputError
from pyclassify.locales import Message, text
from pyclassify.manifest import DataSummary
from pyclassify.ui.classify_tab import WIDGETS, about_checkpoint, answer_columns, make_explain
from pyclassify.ui.serving import Outcome, make_ask, outcomes
from tests.fakes import NOTE, FakeClassifier, write_image_checkpoint, write_text_checkpoint

UNKNOWN = Prediction("cat", {"cat": 0.98, "dog": 0.02}, (), False, ("cat",))


class Explains(FakeClassifier):
    """Gives these weights to the words of a text, whatever they are."""

    def explain(self, item: Any, label: str | None = None) -> TextExplanation:
        if self.error:
            raise self.error
        weights = (2.0, -1.0, 0.01)
        words = [(match.start(), match.end()) for match in re.finditer(r"\S+", item)]
        return TextExplanation(label or "ham", 0.5, tuple((*word, w) for word, w in zip(words, weights, strict=False)))


# Answers


def test_an_answer_has_bars_remarks_and_the_label_to_explain() -> None:
    results = outcomes(make_ask({"mail": FakeClassifier()}), ["hello", " "], ["mail", "mail"], WIDGETS["text"].read)
    ranked, remarks, explanations, labels = answer_columns(results, ["en", "ko"], kind="text")
    assert ranked[0]["confidences"] == [{"label": "ham", "confidence": 0.5}, {"label": "spam", "confidence": 0.5}]
    assert NOTE.text() in remarks[0]
    assert (ranked[1], remarks[1]) == ({}, f"<p>{text('page.waiting.text', 'ko')}</p>")
    assert explanations == ["", ""]
    assert [update["value"] for update in labels] == ["ham", None]


def test_labels_are_called_by_their_names() -> None:
    named = FakeClassifier(description={"label_names": {"ko": {"ham": "보통"}}})
    results = outcomes(make_ask({"mail": named}), ["hello"] * 2, ["mail"] * 2, WIDGETS["text"].read)
    (english, korean), *_ = answer_columns(results, ["en", "ko"], kind="text")
    assert [label["label"] for label in english["confidences"]] == ["ham", "spam"]
    assert [label["label"] for label in korean["confidences"]] == ["보통", "spam"]


def test_what_is_unknown_is_not_called_by_a_label() -> None:
    (ranked,), (remarks,), (explanation,), _ = answer_columns([Outcome(UNKNOWN, 5.0, "cpu")], ["en"], kind="image")
    assert ranked["label"] == text("page.unknown")
    assert ranked["confidences"] == []  # a bar of 98% would say the opposite
    assert text("page.unlike") in remarks
    assert text("page.nearest", labels="cat (98%), dog (2%)") in remarks
    assert explanation == ""
    known = Outcome(replace(UNKNOWN, known=True), 5.0, "cpu")
    (ranked,), (remarks,), *_ = answer_columns([known], ["ko"], kind="image")
    assert "cat" in ranked["label"]
    assert [label["label"] for label in ranked["confidences"]] == ["cat", "dog"]
    assert text("page.unlike", "ko") not in remarks


@pytest.mark.parametrize("share", [0.9999, 0.9951])
def test_bars_never_show_certainty(share: float) -> None:
    prediction = Prediction("cat", {"cat": share, "dog": 1 - share}, known=True)
    (ranked,), *_ = answer_columns([Outcome(prediction, 5.0, "cpu")], ["en"], kind="image")
    assert [round(100 * label["confidence"]) for label in ranked["confidences"]] == [99]


def test_bars_and_remarks_have_no_percentage_if_there_were_too_few_examples() -> None:
    prediction = Prediction("cat", {"cat": 0.9, "dog": 0.1}, has_percentage=False)
    outcomes_of = [Outcome(replace(prediction, known=known), 5.0, "cpu") for known in (True, False)]
    ranked, remarks, *_ = answer_columns(outcomes_of, ["en", "en"], kind="image")
    assert ranked[0] == {"label": prediction.message().rstrip("."), "confidences": []}
    assert text("page.nearest", labels="cat, dog") in remarks[1]
    assert "%" not in "".join(remarks)


def test_no_bar_is_above_the_ceiling() -> None:
    prediction = Prediction("cat", {"cat": 0.955, "dog": 0.045}, ceiling=0.955)
    (ranked,), *_ = answer_columns([Outcome(prediction, 5.0, "cpu")], ["en"], kind="image")
    assert ranked["confidences"][0] == {"label": "cat", "confidence": 0.95}


def test_problems_are_written_in_the_language_asked_for() -> None:
    problem = Outcome(problem=Message("errors.no_text"))
    _, remarks, *_ = answer_columns([problem, problem], ["en", "ko"], kind="text")
    for language, html in zip(("en", "ko"), remarks, strict=True):
        assert 'role="alert"' in html
        assert text("errors.no_text", language) in html


def test_line_about_a_checkpoint_has_labels_and_accuracy() -> None:
    line = about_checkpoint(FakeClassifier("image", ["<cat>", *(f"label {i}" for i in range(12))]), "en")
    for part in ("&lt;cat&gt;, label 0", "and 3 more", "89.4%", "10,000 pictures"):
        assert part in line
    assert "%" not in about_checkpoint(FakeClassifier(scores=None), "en")
    assert "글 10,000개 중 89.4%" in about_checkpoint(FakeClassifier(), "ko")


# Examples


def test_example_texts_go_to_the_checkpoint_that_fits(tmp_path: Path) -> None:
    widget = WIDGETS["text"]
    films = FakeClassifier(data=DataSummary(name="sentiment", train=1, validation=1, test=1))
    examples = widget.examples({"films": films, "sms-spam": FakeClassifier()})
    assert {name for _, name in examples} == {"films", "sms-spam"}
    assert widget.examples({"topics": FakeClassifier()}) == []
    (fitting,) = widget.example_uploads("films", films, tmp_path)
    assert len(fitting.path.read_text(encoding="utf-8").splitlines()) == 3
    (every,) = widget.example_uploads("topics", FakeClassifier(), tmp_path)
    assert len(every.path.read_text(encoding="utf-8").splitlines()) == 7


def test_example_pictures_can_be_read(tmp_path: Path) -> None:
    widget = WIDGETS["image"]
    uploads = widget.example_uploads("animals", FakeClassifier("image"), tmp_path)
    assert [[str(upload.path)] for upload in uploads] == widget.examples({})
    for upload in uploads:
        with Image.open(upload.path) as image:
            image.load()


# Explanations


def test_words_are_marked_by_side_and_named_for_people_who_see_no_colour() -> None:
    html = make_explain({"mail": Explains()})("mail", "<b>buy</b> now please", "spam", "en")
    assert '<span class="for" style="--share: 1.00">&lt;b&gt;buy&lt;/b&gt;</span>' in html
    assert '<span class="against" style="--share: 0.50">now</span> please' in html
    summary = text("page.explanation.words", label="spam", words_for="“<b>buy</b>”", words_against="“now”")
    assert escape(summary) in html
    assert "<b>" not in html


def test_a_text_without_evidence_says_so() -> None:
    html = make_explain({"mail": Explains()})("mail", "", "spam", "ko")
    assert html.count(text("page.explanation.no_word", "ko")) == 2


@pytest.mark.parametrize("error", [InputError("no_text"), RuntimeError("secret")])
def test_failed_explanation_is_a_problem_in_words(error: Exception) -> None:
    html = make_explain({"mail": Explains(error=error)})("mail", "hello", "", "en")
    code = "no_text" if isinstance(error, InputError) else "unexpected"
    assert 'role="alert"' in html
    assert escape(text(f"errors.{code}")) in html
    assert "secret" not in html


def test_unknown_checkpoint_or_label_is_a_problem_in_words(tmp_path: Path) -> None:
    explain = make_explain({"imdb": pyclassify.load(write_text_checkpoint(tmp_path / "imdb"), device="cpu")})
    unknown = text("errors.no_such_checkpoint", name="other", checkpoints="imdb")
    assert escape(unknown) in explain("other", "good film", "", "en")
    assert 'role="alert"' in explain("imdb", "good film", "purple", "en")
    assert 'role="alert"' not in explain("imdb", "good film", "positive", "en")


@pytest.mark.parametrize("size", [(16, 12), (900, 1200)])
def test_a_picture_is_drawn_large_enough_and_not_too_large(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "noise.png"
    Image.effect_noise(size, 80).convert("RGB").save(path)
    animals = pyclassify.load(write_image_checkpoint(tmp_path / "animals"), device="cpu")
    assert isinstance(animals.explain(path), ImageExplanation)
    html = make_explain({"animals": animals})("animals", str(path), "dog", "en")
    content = re.search(r"base64,([^\"]+)", html)
    assert content is not None
    with Image.open(io.BytesIO(base64.b64decode(content[1]))) as drawn:
        assert 320 <= max(drawn.size) <= 720
        assert drawn.width / drawn.height == pytest.approx(size[0] / size[1], rel=0.02)
    assert escape(text("page.explanation.image", label="dog")) in html
