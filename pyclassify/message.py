"""An answer in one sentence for a person, in English or Korean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal, get_args

Language = Literal["en", "ko"]
LANGUAGES: Final[tuple[str, ...]] = get_args(Language)

OTHERS_NAMED = 2
"""Labels that are named beside the likeliest one; of more only the number is said."""

_UNKNOWN = {
    "en": "I don't know this: it is not like anything I was trained on.",
    "ko": "모르겠습니다. 학습한 것과 비슷하지 않습니다.",
}


def message(
    label: str, probability: float, *, labels_set: Sequence[str], known: bool | None, language: str = "en"
) -> str:
    """Say an answer with all its doubt.

    Args:
        label: the likeliest.
        probability: of it, from 0 to 1.
        labels_set: those that it may be, the likeliest first; empty where the checkpoint promises nothing.
        known: whether the input is like what was trained on; None where the checkpoint cannot tell.
        language: "en" or "ko".

    Raises:
        ValueError: it is another language.
    """
    if language not in LANGUAGES:
        raise ValueError(f"messages are written in {' and '.join(LANGUAGES)}, not in {language!r}")
    if known is False:
        return _UNKNOWN[language]
    others = [each for each in labels_set if each != label]
    share = percent(probability, language=language)
    if not others:
        return f"{label}, {share}."
    named, more = others[:OTHERS_NAMED], len(others) - OTHERS_NAMED
    if language == "ko":
        rest = f" 등 {len(others)}개" if more > 0 else ""
        return f"아마 {label}일 것입니다({share}). {', '.join(named)}{rest}일 수도 있습니다."
    rest = f" or {more} more" if more > 0 else ""
    listed = ", ".join(named) if more > 0 else " or ".join(named)
    return f"Probably {label} ({share}), or possibly {listed}{rest}."


def percent(probability: float, *, language: str = "en") -> str:
    """A share in whole percent, never rounded up to certainty nor down to impossibility."""
    if probability > 0.99:
        return "99% 초과" if language == "ko" else "over 99 %"
    if probability < 0.01:
        return "1% 미만" if language == "ko" else "under 1 %"
    # Korean writes the sign close to the number
    return f"{math.floor(100 * probability + 0.5)}{'%' if language == 'ko' else ' %'}"
