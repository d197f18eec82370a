"""One sentence for a person."""

from __future__ import annotations

import pytest

from pyclassify import Prediction
from pyclassify.message import LANGUAGES, message, percent


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0.9999, "over 99 %"), (1.0, "over 99 %"), (0.97, "97 %"), (0.505, "51 %"), (0.001, "under 1 %")],
)
def test_no_share_is_rounded_to_certainty(share: float, shown: str) -> None:
    assert percent(share) == shown
    assert percent(share, language="ko") == shown.replace(" %", "%").replace("over 99%", "99% 초과").replace(
        "under 1%", "1% 미만"
    )


def test_doubt_is_said_in_words() -> None:
    sure = {"labels_set": ("cat",), "known": True}
    assert message("cat", 0.97, **sure) == "cat, 97 %."  # type: ignore[arg-type]
    assert message("cat", 0.6, labels_set=("cat", "dog"), known=True) == "Probably cat (60 %), or possibly dog."
    many = message("cat", 0.3, labels_set=("cat", "dog", "deer", "frog", "bird"), known=True)
    assert many == "Probably cat (30 %), or possibly dog, deer or 2 more."
    assert message("cat", 0.97, labels_set=("cat",), known=False).startswith("I don't know")


@pytest.mark.parametrize("known", [True, False, None])
@pytest.mark.parametrize("labels_set", [(), ("고양이",), ("고양이", "개"), ("고양이", "개", "말", "새")])
def test_every_case_is_said_in_korean_too(known: bool | None, labels_set: tuple[str, ...]) -> None:
    said = message("고양이", 0.6, labels_set=labels_set, known=known, language="ko")
    assert any("가" <= each <= "힣" for each in said)
    assert not any(each.isascii() and each.isalpha() for each in said)
    assert ("고양이" in said) == (known is not False)


def test_a_prediction_says_itself_in_each_language() -> None:
    prediction = Prediction("spam", {"spam": 0.8, "ham": 0.2}, (), True, ("spam", "ham"))
    assert prediction.message() == "Probably spam (80 %), or possibly ham."
    assert len({prediction.message(each) for each in LANGUAGES}) == 2
    with pytest.raises(ValueError, match="'fr'"):
        prediction.message("fr")
