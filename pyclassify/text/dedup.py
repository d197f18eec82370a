"""Duplicates of texts: equal words, or nearly all pairs of neighbouring words in common."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np

from pyclassify.dataset import Integers
from pyclassify.dedup import Duplicates, candidates, unique_pairs
from pyclassify.text.transform import normalize

MIN_JACCARD: Final = 0.8
"""Share of the pairs of neighbouring words in either text that both must have: in 30 words one may differ."""

MIN_WORDS: Final = 10
"""Shorter texts are duplicates only if their words are equal: in ten words, one other word makes another text."""

PERMUTATIONS: Final = 64
ROWS: Final = 4
"""Hashes per band: with sixteen bands of four, a pair at MIN_JACCARD is missed once in 5,000 times."""

_MIN_ESTIMATE: Final = 0.6
"""Candidates with a lower estimate by MinHash are dropped: of pairs at MIN_JACCARD, one in 10,000 is."""

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
"""Thai, Lao, Burmese, Khmer, Japanese and Chinese write no spaces: each character counts as a word."""

_WORDS = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|[\u2600-\u27bf\U0001f000-\U0001faff]")


def find(texts: Sequence[str]) -> Duplicates:
    """Find copies by their words, and near-duplicates by MinHash (Broder 1997), confirmed on the words themselves.

    Args:
        texts: N of any length; capitals, white space and punctuation make no difference, emoji do.
    """
    keys = [key(text) for text in texts]
    distinct = sorted(set(keys))
    numbers = {text_key: number for number, text_key in enumerate(distinct)}
    copies = np.fromiter((numbers[text_key] for text_key in keys), np.int64, len(keys))
    return Duplicates(copies, _near(distinct))


def key(text: str) -> str:
    """Return the words of a text with single spaces between them; the normalized text if it has no words."""
    plain = normalize(text, lowercase=True)
    return " ".join(_WORDS.findall(plain)) or plain


def _near(keys: Sequence[str]) -> Integers:
    """Return the pairs of near-duplicates among U sorted keys, (P, 2)."""
    long = np.array([i for i, text_key in enumerate(keys) if text_key.count(" ") >= MIN_WORDS - 1], dtype=np.int64)
    hashes = _min_hashes(keys[i] for i in long)
    likely = []
    for first, second in candidates(_bands(hashes)):
        is_likely = (hashes[first] == hashes[second]).mean(axis=1) >= _MIN_ESTIMATE
        likely.append((first[is_likely], second[is_likely]))
    pairs = long[unique_pairs(likely)]
    is_similar = [_jaccard(keys[a], keys[b]) >= MIN_JACCARD for a, b in pairs]
    near: Integers = pairs[np.array(is_similar, dtype=bool)]
    return near


def _min_hashes(keys: Iterator[str]) -> np.ndarray[Any, np.dtype[np.uint32]]:
    """Return (U, PERMUTATIONS) uint32."""
    from datasketch import MinHash

    sketches = MinHash.generator(map(_shingles, keys), num_perm=PERMUTATIONS, hashfunc=zlib.crc32)
    return np.array([sketch.hashvalues for sketch in sketches], dtype=np.uint32).reshape(-1, PERMUTATIONS)


def _bands(hashes: np.ndarray[Any, np.dtype[np.uint32]]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Return (U, PERMUTATIONS / ROWS): ROWS hashes in one number; the rare collisions fail the later checks."""
    bands = hashes.reshape(len(hashes), PERMUTATIONS // ROWS, ROWS).astype(np.uint64)
    result = np.zeros(bands.shape[:2], dtype=np.uint64)
    for row in range(ROWS):
        result = result * np.uint64(0x9E3779B97F4A7C15) + bands[:, :, row]
    return result


def _shingles(text: str) -> set[bytes]:
    words = text.encode("utf-8", "surrogatepass").split(b" ")
    return {b" ".join(pair) for pair in pairwise(words)}


def _jaccard(a: str, b: str) -> float:
    first, second = _shingles(a), _shingles(b)
    return len(first & second) / len(first | second)
