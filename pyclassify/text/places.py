"""Where in a text, as it was written, its words stand, and which tokens each of them became."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pyclassify.text.transform import LINE_BREAK, MARKS, SPACES, TextTransform, compose, word_pattern

# What normalising may join: a character with the marks after it, the letters that a syllable of Hangul is put together
# from, and the two halves that JavaScript writes an emoji in.
_JOINED = re.compile(rf"(?:[\ud800-\udbff][\udc00-\udfff]|[\s\S])[{MARKS}\u1160-\u11ff]*")
# Nothing joins a blank, so that this holds for all there is, if less precisely.
_RUN = re.compile(r"\s+|\S+")
_FILLED = re.compile(f"[^{SPACES}]+")

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Thai, Lao, Burmese, Khmer, kana and Chinese characters: these write no spaces between words."""

_WORD = re.compile(rf"[{_UNSPACED}][{MARKS}]*|[^{_UNSPACED}]+")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text.

    Args:
        start: of its first character in the text as it was written.
        end: after its last character.
        first: position of its first token.
        last: after its last token; no larger than `first` where the word was cut off.
    """

    start: int
    end: int
    first: int
    last: int


def words(text: str, transform: TextTransform) -> list[Word]:
    """The words of a text in their order, none empty and none over another.

    Where the tokens are characters, a word is what stands between white space; in scripts that have none between words,
    each character.
    """
    folded, edges = _folded(text, lowercase=transform.lowercase)
    by_words = transform.tokens == "words"
    limit = transform.max_tokens if by_words else transform.max_tokens - 1
    found = _by_words(folded) if by_words else _by_characters(folded)
    return [
        Word(edges[start], edges[end], min(first, limit), min(first + (1 if by_words else end - start), limit))
        for start, end, first in found
        if edges[start] < edges[end]
    ]


def _by_words(folded: str) -> Iterator[tuple[int, int, int]]:
    for position, found in enumerate(word_pattern(folded).finditer(folded)):
        yield found.start(), found.end(), position


def _by_characters(folded: str) -> Iterator[tuple[int, int, int]]:
    """Start, end and first token; a space is the first token of all, and one stands between any two runs."""
    position = 1
    for run in _FILLED.finditer(folded):
        for found in _WORD.finditer(run[0]):
            yield run.start() + found.start(), run.start() + found.end(), position + found.start()
        position += len(run[0]) + 1


def _folded(text: str, *, lowercase: bool) -> tuple[str, Sequence[int]]:
    """The text by steps 1 to 3 of the transform's rule, and where each of its characters begins in the original.

    Returns:
        The folded text and as many offsets as it has characters, with the end of the text as one more.
    """
    composed, edges = compose(text), _composed_edges(text)
    broken = LINE_BREAK.sub(" ", composed)
    edges = [edges[each] for each in _broken_edges(composed)]
    if not lowercase:
        return broken, edges
    return broken.lower(), [edges[each] for each in _lower_edges(broken)]


def _composed_edges(text: str) -> Sequence[int]:
    composed = compose(text)
    if composed == text:
        return range(len(text) + 1)
    for pattern in (_JOINED, _RUN):
        edges: list[int] = []
        for found in pattern.finditer(text):
            edges += [min(found.start() + i, found.end()) for i in range(len(compose(found[0])))]
        if len(edges) == len(composed):
            break
    return [*edges, len(text)]


def _broken_edges(composed: str) -> Sequence[int]:
    if "<" not in composed:
        return range(len(composed) + 1)
    edges: list[int] = []
    end = 0
    for found in LINE_BREAK.finditer(composed):
        edges += range(end, found.start() + 1)
        end = found.end()
    return [*edges, *range(end, len(composed) + 1)]


def _lower_edges(broken: str) -> Sequence[int]:
    if len(broken.lower()) == len(broken):  # no character becomes shorter
        return range(len(broken) + 1)
    edges = [each for i, letter in enumerate(broken) for each in (i, *[i + 1] * (len(letter.lower()) - 1))]
    return [*edges, len(broken)]
