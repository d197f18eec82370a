"""Two checkpoints that answer the same input."""

from __future__ import annotations

from dataclasses import replace
from html import escape

import pytest

from pyclassify.classifier import Prediction
from pyclassify.locales import LANGUAGES, percent, text
from pyclassify.ui.compare_tab import answer_both, verdict
from pyclassify.ui.serving import make_ask
from tests.fakes import FakeClassifier

NAMES = ("a", "b")


def prediction(known: bool | None = None, **probabilities: float) -> Prediction:
    return Prediction(max(probabilities, key=probabilities.__getitem__), probabilities, known=known)


def test_agreement_has_the_distance() -> None:
    sentence = verdict(NAMES, (prediction(cat=0.9, dog=0.1), prediction(cat=0.6, dog=0.4)), "en")
    apart = text("page.compare.points", count=30)
    fields = {"first": "a", "first_percent": "90%", "second": "b", "second_percent": "60%"}
    assert sentence == text("page.compare.agree", label="cat", apart=apart, **fields)
    close = verdict(NAMES, (prediction(cat=0.9, dog=0.1), prediction(cat=0.896, dog=0.104)), "ko")
    assert text("page.compare.under_point", "ko") in close


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_was_learned_from_too_few_examples_has_no_percentage(language: str) -> None:
    sure, few = prediction(cat=0.9, dog=0.1), replace(prediction(cat=0.8, dog=0.2), has_percentage=False)
    other = replace(prediction(cat=0.2, dog=0.8), has_percentage=False)
    for second in (few, other):
        sentence = verdict(NAMES, (sure, second), language)
        assert text("answer.too_few", language) in sentence
        assert "90%" in sentence
        assert "80%" not in sentence
    assert "%" not in verdict(NAMES, (few, other), language)


def test_disagreement_has_what_each_gives_to_the_other() -> None:
    sentence = verdict(NAMES, (prediction(cat=0.9, dog=0.1), prediction(cat=0.2, dog=0.8)), "en")
    assert "“a” says cat (90%; the other model: 20%)" in sentence
    assert "“b” says dog (80%; the other model: 10%)" in sentence
    sentence = verdict(NAMES, (prediction(cat=0.9, dog=0.1), prediction(cat=0.2, cow=0.8)), "en")
    assert f"“b” says cow (80%; the other model: {text('page.compare.no_label')})" in sentence


def test_checkpoints_without_a_common_label_neither_agree_nor_disagree() -> None:
    sentence = verdict(NAMES, (prediction(cat=0.9, dog=0.1), prediction(ham=0.2, spam=0.8)), "en")
    assert "neither agree nor disagree: “a” says cat (90%), “b” says spam (80%)" in sentence


@pytest.mark.parametrize("language", LANGUAGES)
def test_doubt_and_the_same_checkpoint_twice(language: str) -> None:
    sure, lost = prediction(cat=0.9, dog=0.1), prediction(known=False, cat=0.6, dog=0.4)
    fields = {"label": "cat", "percent": percent(0.9, language)}
    assert verdict(NAMES, (sure, lost), language) == text("page.compare.only", language, name="a", other="b", **fields)
    assert verdict(NAMES, (lost, sure), language) == text("page.compare.only", language, name="b", other="a", **fields)
    assert verdict(NAMES, (lost, lost), language) == text("page.compare.neither", language)
    assert verdict(("a", "a"), (lost, lost), language) == text("page.compare.same", language)


def test_both_are_asked_once_for_all_who_wait() -> None:
    first, second = FakeClassifier(labels=["x", "y"]), FakeClassifier(labels=["y", "x", "z"])
    classifiers = {"first": first, "second": second}
    values, languages = ["one", "", "two"], ["en", "en", "ko"]
    columns = answer_both("text", make_ask(classifiers), classifiers, values, ["first"] * 3, ["second"] * 3, languages)
    assert first.asked == second.asked == ["one", "two"]
    assert [len(column) for column in columns] == [3] * 5
    headings = [[ranked.get("label", "") for ranked in columns[side]] for side in (0, 2)]
    assert [("x" in heading, "y" in heading) for heading in headings[0]] == [(True, False), (False,) * 2, (True, False)]
    assert [("y" in heading, "x" in heading) for heading in headings[1]] == [(True, False), (False,) * 2, (True, False)]
    english, waiting, korean = columns[4]
    assert "“first”" in english
    assert waiting == ""
    assert "‘first’" in korean


def test_a_checkpoint_that_fails_leaves_the_answer_of_the_other() -> None:
    classifiers = {"works": FakeClassifier(), "fails": FakeClassifier(error=RuntimeError("no"))}
    columns = answer_both("text", make_ask(classifiers), classifiers, ["one"], ["works"], ["fails"], ["en"])
    assert "ham" in columns[0][0]["label"]
    assert escape(text("errors.unexpected")) in columns[3][0]
    assert columns[4] == [""]
