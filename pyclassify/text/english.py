"""Vectors of English words, which tell what a text is about where training texts are few.

They are the outputs of a language model for single words, reduced to fewer dimensions and to a byte per number. A text
is represented by the mean of its words' vectors; rarer words count more (Arora et al. 2017, "A Simple but Tough-to-Beat
Baseline for Sentence Embeddings"). `train/english.py` made the file from all-MiniLM-L6-v2 (Apache-2.0).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

FILE: Final = Path(__file__).with_name("english.safetensors")

COMMON_RANK: Final = 300.0
"""The word with this rank by frequency counts half as much as a rare one."""

LEAST_COVERAGE: Final = 0.7
"""Share of the words of English texts that have a vector, at least."""

UNREADABLE: Final = "\ufffd"
"""Stands for a token without a name; no word that holds it has a vector."""

Floats32 = np.ndarray[Any, np.dtype[np.float32]]

_WORD = re.compile(rf"[^\W\d_{UNREADABLE}]+(?![\w{UNREADABLE}])|[\w{UNREADABLE}]+")


class WordVectors:
    """Directions of texts in the space of a language model.

    Args:
        tensors: "words", the bytes of M words that a line break divides, the most frequent first, (B,) uint8; and
            "vectors", (M, D) int8.

    Raises:
        ValueError: the parts do not fit together.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        if not {"words", "vectors"} <= tensors.keys():
            raise ValueError("words and vectors are missing")
        words, vectors = tensors["words"].cpu(), tensors["vectors"].cpu()
        names = bytes(words.to(torch.uint8).tolist()).decode().split("\n")
        if vectors.ndim != 2 or len(vectors) != len(names) or vectors.dtype != torch.int8:
            raise ValueError(f"{len(names)} words have vectors of shape {tuple(vectors.shape)}")
        self.tensors: dict[str, Tensor] = {"words": words, "vectors": vectors}
        self.size: int = vectors.shape[1]
        self._rows = {name: row for row, name in enumerate(names)}
        self._vectors: Floats32 = vectors.numpy().astype(np.float32)

    @property
    def words(self) -> list[str]:
        """The M words."""
        return list(self._rows)

    def __call__(self, texts: Sequence[str]) -> Floats32:
        """Return the direction of each text, (N, D) of length 1; zero where no word has a vector."""
        _, sums = self.sums(texts)
        sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
        return sums

    def sums(self, texts: Sequence[str]) -> tuple[Floats32, Floats32]:
        """Return the weights of the words of each text, summed (N,), and their weighted vectors, summed (N, D)."""
        weights = np.zeros(len(texts), dtype=np.float32)
        vectors = np.zeros((len(texts), self.size), dtype=np.float32)
        for row, text in enumerate(texts):
            places = np.array(
                [place for word in _words(text) if (place := self._rows.get(word)) is not None], dtype=int
            )
            rarity = ((places + 1) / (places + 1 + COMMON_RANK)).astype(np.float32)
            weights[row], vectors[row] = rarity.sum(), rarity @ self._vectors[places]
        return weights, vectors

    def coverage(self, texts: Sequence[str]) -> float:
        """Return the share of the words of all texts together that have a vector."""
        words = [word for text in texts for word in _words(text)]
        return sum(word in self._rows for word in words) / max(1, len(words))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


@cache
def load() -> WordVectors:
    """Return the vectors that come with this package."""
    return WordVectors(safetensors.torch.load_file(FILE))
