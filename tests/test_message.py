"""One sentence for a person."""

from __future__ import annotations

import pytest

from pyclassify.classifier import Prediction
from pyclassify.locales import LANGUAGES


def prediction(share: float, *prediction_set: str, known: bool | None = True) -> Prediction:
    return Prediction("cat", {"cat": share, "dog": 1 - share}, (), known, prediction_set)


@pytest.mark.parametrize(
    ("share", "percent"),
    [(0.9999, "over 99%"), (1.0, "over 99%"), (0.97, "97%"), (0.505, "51%"), (0.001, "under 1%")],
)
def test_no_share_is_rounded_to_certainty(share: float, percent: str) -> None:
    assert prediction(share).message() == f"cat, {percent}."


def test_doubt_is_put_into_words() -> None:
    assert prediction(0.97, "cat").message() == "cat, 97%."
    assert prediction(0.6, "cat", "dog").message() == "Probably cat (60%), or possibly dog."
    assert prediction(0.6, "cat", "dog", "deer").message() == "Probably cat (60%), or possibly dog or deer."
    several = prediction(0.3, "cat", "dog", "deer", "frog", "bird")
    assert several.message() == "Probably cat (30%), or possibly dog, deer or 2 more."
    assert prediction(0.97, "cat", known=False).message().startswith("I don't know")


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
