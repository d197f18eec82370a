from __future__ import annotations

import json
import time
import unicodedata
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyclassify.errors import InputError
from pyclassify.formats import MAX_TEXT_CHARACTERS
from pyclassify.locales import Message
from pyclassify.text.transform import PADDING, UNKNOWN, UNKNOWN_ID, TextTransform, tokenize

ANY_TEXT = st.text(st.characters())  # lone surrogates too
KINDS = st.sampled_from(["words", "characters"])
WORDS = TextTransform((PADDING, UNKNOWN, "good", "film", "!", "don't"), tokens="words", max_tokens=8)
CHARACTERS = TextTransform((PADDING, UNKNOWN, " ", "a", "b"), tokens="characters", max_tokens=8)
TRANSFORMS = st.sampled_from([WORDS, CHARACTERS])


@given(TRANSFORMS, ANY_TEXT)
def test_any_text_gets_ids_or_an_input_error(transform: TextTransform, text: str) -> None:
    try:
        tensor = transform(text).tensor
    except InputError:
        assert not tokenize(text, tokens="words")
        return
    assert tensor.dtype == torch.int64
    assert 1 <= len(tensor) <= transform.max_tokens
    assert tensor.min() >= 1
    assert tensor.max() < len(transform.vocabulary)


@given(KINDS, st.text())
def test_composed_and_decomposed_text_are_the_same(kind: Any, text: str) -> None:
    composed, decomposed = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    assert tokenize(composed, tokens=kind) == tokenize(decomposed, tokens=kind)


@given(KINDS, st.booleans(), ANY_TEXT)
def test_a_vocabulary_survives_a_file_with_a_token_per_line(kind: Any, lowercase: bool, text: str) -> None:
    tokens = tokenize(text, tokens=kind, lowercase=lowercase)
    assert "\n".join(tokens).encode().decode().split("\n") == (tokens or [""])
    assert "\n".join(tokens).splitlines() == tokens
    assert all(token == " " or not set(token) & set(" \t\r\n\x85\u2028") for token in tokens)


@given(st.lists(st.text("good film!", min_size=1).filter(str.strip), min_size=1, max_size=8), TRANSFORMS)
def test_collate_pads_on_the_right(texts: list[str], transform: TextTransform) -> None:
    tensors = [transform(text).tensor for text in texts]
    ids, lengths = transform.collate(tensors)
    assert ids.dtype == lengths.dtype == torch.int64
    assert ids.shape == (len(texts), max(map(len, tensors)))
    assert lengths.tolist() == [len(tensor) for tensor in tensors]
    for row, tensor in zip(ids, tensors, strict=True):
        assert torch.equal(row[: len(tensor)], tensor)
        assert not row[len(tensor) :].any()


def test_white_space_is_all_that_python_means_by_it() -> None:
    for space in filter(str.isspace, map(chr, range(0x110000))):
        assert tokenize(f"a{space}b", tokens="words") == ["a", "b"]
        assert tokenize(f"a{space}b", tokens="characters") == [" ", "a", " ", "b", " "]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don\u2019t panic!!", ["don't", "panic", "!", "!"]),
        ("a 'quoted' word's end'", ["a", "'", "quoted", "'", "word's", "end", "'"]),
        ("one<br /><BR>two<br/>3", ["one", "two", "3"]),
        ("영화가 재밌다ㅋㅋ", ["영화가", "재밌다ㅋㅋ"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("שלום, עולם", ["שלום", ",", "עולם"]),
        ("so🙂🙂 ^_^", ["so", "🙂", "🙂", "^", "_", "^"]),
        ("\ud83d\ude42 \ud83d", ["🙂", "\ufffd"]),
        ("\ufeffx\u200b\0y", ["x", "y"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert tokenize(text, tokens="words") == words


def test_characters_mark_both_ends_and_collapse_white_space() -> None:
    assert tokenize("\tAb \n\n 한 ", tokens="characters") == [" ", "a", "b", " ", "한", " "]
    assert tokenize("Ab", tokens="characters", lowercase=False) == [" ", "A", "b", " "]


def test_a_token_that_is_not_in_the_vocabulary_is_unknown() -> None:
    assert WORDS("Good grief!").tensor.tolist() == [2, UNKNOWN_ID, 4]


def test_text_that_looks_like_padding_is_not_padding() -> None:
    assert WORDS("<pad> <unk>").tensor.tolist() == [UNKNOWN_ID] * 6


@pytest.mark.parametrize("text", ["", " \n\t", "\u200b", "<br />", "\0\x1b"])
@pytest.mark.parametrize("transform", [WORDS, CHARACTERS])
def test_an_empty_text_is_refused(transform: TextTransform, text: str) -> None:
    with pytest.raises(InputError) as error:
        transform(text)
    assert error.value.code == "text_empty"


@pytest.mark.parametrize("text", [None, 3, b"bytes", ["good"]])
def test_what_is_no_text_is_refused(text: Any) -> None:
    with pytest.raises(InputError) as error:
        WORDS(text)
    assert (error.value.code, error.value.fields) == ("text_expected", {"type": type(text).__name__})


def test_a_text_over_the_limit_is_refused() -> None:
    with pytest.raises(InputError) as error:
        WORDS("a" * 50_000_000)
    assert error.value.code == "text_too_long"
    assert error.value.fields == {"count": 50_000_000, "limit": MAX_TEXT_CHARACTERS}


def test_a_long_text_is_cut_and_says_so() -> None:
    prepared = WORDS("good film " * 1600 + "!")
    assert prepared.tensor.tolist() == [2, 3] * 4
    assert prepared.notes == (Message("notes.first_words_only", {"kept": 8, "total": 3201}),)
    assert str(prepared.notes[0]) == "Only the first 8 of 3,201 words were read."
    assert WORDS("good " * 8).notes == ()


def test_a_long_text_in_characters_keeps_the_spaces_at_its_ends() -> None:
    prepared = CHARACTERS("ab" * 50)
    assert prepared.tensor.tolist() == [2, 3, 4, 3, 4, 3, 4, 2]
    assert prepared.notes == (Message("notes.first_characters_only", {"kept": 6, "total": 100}),)
    assert CHARACTERS("ababab").notes == ()


@pytest.mark.parametrize("piece", ["\u0301\u0316", "<br ", "a'", "'", "가", "\u1100", "e\u0301", "\ud83d"])
def test_no_text_within_the_limit_takes_long(piece: str) -> None:
    text = piece * (MAX_TEXT_CHARACTERS // len(piece))
    start = time.perf_counter()
    WORDS(text)
    CHARACTERS(text)
    assert time.perf_counter() - start < 5


def test_settings_round_trip() -> None:
    settings = json.loads(json.dumps(CHARACTERS.settings()))
    assert settings == {"tokens": "characters", "lowercase": True, "max_tokens": 8}
    assert TextTransform.from_settings(settings, vocabulary=list(CHARACTERS.vocabulary)) == CHARACTERS


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"tokens": "words", "lowercase": True},
        {"tokens": "words", "lowercase": True, "max_tokens": "8"},
        {"tokens": "words", "lowercase": 1, "max_tokens": 8},
        {"tokens": "syllables", "lowercase": True, "max_tokens": 8},
        {"tokens": "words", "lowercase": True, "max_tokens": 0},
        {"tokens": "words", "lowercase": True, "max_tokens": 8, "stem": True},
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="tokens"):
        TextTransform.from_settings(settings, vocabulary=WORDS.vocabulary)


@pytest.mark.parametrize(
    "vocabulary",
    [
        (),
        ("a", "b"),
        (UNKNOWN, PADDING),
        (PADDING, UNKNOWN, "a", "a"),
        (PADDING, UNKNOWN, "a\nb"),
        (PADDING, UNKNOWN, ""),
    ],
)
def test_a_vocabulary_that_cannot_work_is_refused(vocabulary: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="vocabulary"):
        TextTransform(vocabulary, tokens="words")
    with pytest.raises(ValueError, match="vocabulary"):
        TextTransform.from_settings(WORDS.settings(), vocabulary=vocabulary)


@pytest.mark.parametrize("tokens", ["words", "characters"])
def test_a_short_text_gets_a_note(tokens: Any) -> None:
    transform = TextTransform(("<pad>", "<unk>", " ", "good", "film", *"abc"), tokens=tokens, sure_from=4)
    (note,) = transform("ab" if tokens == "words" else "a").notes
    assert note.text("en") == "Too short to be sure."
    assert note.text("ko") != note.text("en")
    assert transform("a good film , a b" if tokens == "words" else "abab").notes == ()
    again = TextTransform.from_settings(json.loads(json.dumps(transform.settings())), transform.vocabulary)
    assert again == transform
    with pytest.raises(ValueError, match="sure_from"):
        TextTransform(transform.vocabulary, tokens=tokens, sure_from=-1)
