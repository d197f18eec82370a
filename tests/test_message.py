"""One sentence for a person."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyclassify.classifier import Prediction
from pyclassify.locales import LANGUAGES, text

Labels = tuple[str, ...]


def prediction(share: float, *prediction_set: str, known: bool | None = True, **options: Any) -> Prediction:
    return Prediction("cat", {"cat": share, "dog": 1 - share}, (), known, prediction_set, **options)


@pytest.mark.parametrize(("share", "percent"), [(0.9999, "over 99%"), (1.0, "over 99%"), (0.97, "97%"), (0.605, "61%")])
def test_no_share_is_rounded_to_certainty(share: float, percent: str) -> None:
    assert prediction(share).message() == f"cat, {percent}."


def test_doubt_is_put_into_words() -> None:
    assert prediction(0.97, "cat").message() == "cat, 97%."
    assert prediction(0.6, "cat", "dog").message() == "Probably cat (60%), or possibly dog."
    assert prediction(0.6, "cat", "dog", "deer").message() == "Probably cat (60%), or possibly dog or deer."
    several = prediction(0.7, "cat", "dog", "deer", "frog", "bird")
    assert several.message() == "Probably cat (70%), or possibly dog, deer or 2 more."
    assert prediction(0.97, "cat", known=False).message().startswith("I don't know")


@pytest.mark.parametrize("language", LANGUAGES)
def test_below_sixty_percent_it_is_not_sure_and_says_what_it_leans_to(language: str) -> None:
    begins = {"en": "Not sure", "ko": "확실하지 않습니다"}[language]
    for prediction_set in ((), ("cat",), ("cat", "dog"), ("cat", "dog", "deer", "frog")):
        unsure = prediction(0.59, *prediction_set)
        assert unsure.is_unsure
        message = unsure.message(language)
        assert message.startswith(begins)
        assert "cat" in message
        assert "59%" in message
        assert ("dog" in message) == ("dog" in prediction_set)
        assert not prediction(0.6, *prediction_set).message(language).startswith(begins)
        assert not prediction(0.59, *prediction_set, known=False).is_unsure
    assert prediction(0.001).message() == "Not sure, leaning towards cat (under 1%)."
    assert prediction(0.597).message() == "cat, 60%.", "what is told as 60% is not below 60%"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("prediction_set", [(), ("cat",), ("cat", "dog"), ("cat", "dog", "deer", "frog")])
@pytest.mark.parametrize("share", [0.3, 0.59, 0.7, 0.999])
def test_with_too_few_examples_no_percentage_is_told(share: float, prediction_set: Labels, language: str) -> None:
    message = prediction(share, *prediction_set, has_percentage=False).message(language)
    assert "cat" in message
    assert text("answer.too_few", language) in message
    assert "%" not in message
    assert message.startswith({"en": "Not sure", "ko": "확실하지 않습니다"}[language]) == (share < 0.6)


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_else_is_possible_beside_over_99_percent(language: str) -> None:
    almost, less = (prediction(share, "cat", "dog") for share in (0.9901, 0.99))
    assert (almost.possible, almost.is_unsure) == ((), False)
    assert almost.message(language) == prediction(0.9901).message(language)
    assert (less.possible, less.is_unsure) == (("dog",), True)
    assert "dog" in less.message(language)
    assert almost.prediction_set == ("cat", "dog"), "what is promised stays"


@given(st.integers(1, 2000), st.floats(0, 1))
def test_no_percentage_that_is_told_is_above_the_ceiling(count: int, part: float) -> None:
    ceiling = (count + 1) / (count + 2)
    answer = prediction(0.5 + part * (ceiling - 0.5), ceiling=ceiling)
    message = answer.message()
    told = int(re.findall(r"([0-9]+)%", message)[0])
    assert told <= 100 * ceiling
    assert ("over" in message) == (answer.probabilities["cat"] > 0.99)
    assert abs(told - 100 * answer.probabilities["cat"]) < 1 + 1e-6


@pytest.mark.parametrize("known", [True, False, None])
@pytest.mark.parametrize("prediction_set", [(), ("고양이",), ("고양이", "개"), ("고양이", "개", "말", "새")])
def test_every_case_is_written_in_korean_too(known: bool | None, prediction_set: tuple[str, ...]) -> None:
    message = Prediction("고양이", {"고양이": 0.6}, (), known, prediction_set).message("ko")
    assert any("가" <= character <= "힣" for character in message)
    assert not any(character.isascii() and character.isalpha() for character in message)
    assert ("고양이" in message) == (known is not False)


def test_labels_go_by_the_names_that_they_are_given() -> None:
    message = prediction(0.6, "cat", "dog").message("ko", names={"cat": "고양이"})
    assert "고양이" in message
    assert "dog" in message
    assert "cat" not in message


def test_languages() -> None:
    assert len({prediction(0.6, "cat", "dog").message(language) for language in LANGUAGES}) == len(LANGUAGES)
    for known in (True, False):
        with pytest.raises(ValueError, match="'fr'"):
            prediction(0.6, "cat", known=known).message("fr")
