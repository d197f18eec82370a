"""Texts that are the same or nearly the same: equal words, or nearly all pairs of neighbouring words in common."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from pyclassify.examples import Integers
from pyclassify.text.transform import normalize
from pyclassify.twins import Twins, candidates, unique_pairs

LEAST_JACCARD = 0.8
"""Of all pairs of neighbouring words in two texts, the share that both must have: in 30 words one may be another."""

LEAST_WORDS = 10
"""Shorter texts are twins only when their words are equal: in ten words another one is another text."""

PERMUTATIONS, ROWS = 64, 4
"""Sixteen bands of four: a pair at LEAST_JACCARD is missed once in 5,000 times."""

_LEAST_ESTIMATE = 0.6
"""Candidates whose MinHash says less are not looked at again: at 0.8, one in 10,000 would be."""

_ALONE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
"""Thai, Lao, Burmese, Khmer, Japanese and Chinese write no spaces: each character counts as a word."""

_WORDS = re.compile(rf"[{_ALONE}]|[^\W{_ALONE}]+|[\u2600-\u27bf\U0001f000-\U0001faff]")


def find(texts: Sequence[str]) -> Twins:
    """Find copies by their words alone, and near-twins by MinHash (Broder 1997), confirmed on the words themselves.

    Args:
        texts: N of any length; capitals, white space and marks make no difference, emoji do.
    """
    keys = [key(text) for text in texts]
    different = sorted(set(keys))
    numbers = {each: number for number, each in enumerate(different)}
    copies = np.fromiter((numbers[each] for each in keys), np.int64, len(keys))
    return Twins(copies, _near(different))


def key(text: str) -> str:
    """The words of a text with single spaces between; where there is none, the text as it is."""
    plain = normalize(text, lowercase=True)
    return " ".join(_WORDS.findall(plain)) or plain


def _near(keys: Sequence[str]) -> Integers:
    long = np.array([i for i, each in enumerate(keys) if each.count(" ") >= LEAST_WORDS - 1], dtype=np.int64)
    hashes = _hashes(keys[i] for i in long)
    found = []
    for a, b in candidates(_bands(hashes)):
        likely = (hashes[a] == hashes[b]).mean(axis=1) >= _LEAST_ESTIMATE
        found.append((a[likely], b[likely]))
    pairs = long[unique_pairs(found)]
    similar = [_jaccard(keys[a], keys[b]) >= LEAST_JACCARD for a, b in pairs]
    near: Integers = pairs[np.array(similar, dtype=bool)]
    return near


def _hashes(keys: Iterator[str]) -> np.ndarray[Any, np.dtype[np.uint32]]:
    """(U, PERMUTATIONS) uint32."""
    from datasketch import MinHash

    sketches = MinHash.generator(map(_shingles, keys), num_perm=PERMUTATIONS, hashfunc=zlib.crc32)
    rows = [each.hashvalues for each in sketches]
    return np.array(rows, dtype=np.uint32).reshape(-1, PERMUTATIONS)


def _bands(hashes: np.ndarray[Any, np.dtype[np.uint32]]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """(U, PERMUTATIONS / ROWS): four hashes in one number; two bands that differ seldom share one, which is found."""
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
