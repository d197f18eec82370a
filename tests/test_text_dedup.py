"""Near-duplicates of texts: which are, which are not, and that order makes no difference."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyclassify.text.dedup import find, key
from tests import drawing

WORDS = [f"word{i}" for i in range(400)]


def _text(seed: int, words: int = 30) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def _pairs(texts: list[str]) -> set[frozenset[str]]:
    """Return the pairs of different texts that are duplicates."""
    duplicates = find(texts)
    names: dict[int, list[str]] = {}
    for number, text in zip(duplicates.copies.tolist(), texts, strict=True):
        names.setdefault(number, []).append(text)
    same = [(a, b) for group in names.values() for a in group for b in group]
    near = [(a, b) for i, j in duplicates.near.tolist() for a in names[i] for b in names[j]]
    return {frozenset(pair) for pair in same + near if pair[0] != pair[1]}


@given(st.integers(0, 10_000), st.integers(0, 29))
@settings(deadline=None, max_examples=30)
def test_one_changed_word_in_thirty_makes_a_near_duplicate(seed: int, place: int) -> None:
    words = _text(seed).split()
    changed = " ".join([*words[:place], "other", *words[place + 1 :]])
    assert _pairs([" ".join(words), changed, _text(seed + 1)]) == {frozenset((" ".join(words), changed))}


@pytest.mark.parametrize(
    "other", ["Great film!", "great film...", "  GREAT \n film ", "great<br />film", "“great film”"]
)
def test_marks_capitals_and_spaces_make_no_difference(other: str) -> None:
    assert _pairs(["great film", other, "great films"]) == {frozenset(("great film", other))}


@pytest.mark.parametrize(
    ("one", "other"),
    [("great 👍", "great 👎"), ("not good", "good"), (":)", ":("), ("1.5", "15"), ("최고", "최악"), ("好き", "嫌い")],
)
def test_what_says_something_else_is_no_duplicate(one: str, other: str) -> None:
    assert _pairs([one, other]) == set()


def test_scripts_without_spaces_are_compared_by_character() -> None:
    text = "".join(chr(0x4E00 + i) for i in range(30))
    changed = text[:12] + "鹿" + text[13:]
    assert _pairs([text, changed, text[::-1]]) == {frozenset((text, changed))}


def test_different_reviews_are_no_duplicates() -> None:
    assert _pairs([text for _, text in drawing.reviews(100)]) == set()


def test_order_does_not_change_the_pairs() -> None:
    texts = [_text(seed) for seed in range(40)]
    texts += [text.replace(text.split()[5], "other") for text in texts[:20]] + [text + "!" for text in texts[10:30]]
    shuffled = random.Random(0).sample(texts, len(texts))
    assert _pairs(texts) == _pairs(shuffled)
    assert len(_pairs(texts)) >= 40


@given(st.lists(st.text(), max_size=6))
@settings(deadline=None)
def test_any_texts_can_be_compared(texts: list[str]) -> None:
    duplicates = find(texts)
    for i, one in enumerate(texts):
        for j, other in enumerate(texts):
            assert (duplicates.copies[i] == duplicates.copies[j]) == (key(one) == key(other))
