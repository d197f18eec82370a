"""A score per label for each English word, by its vector: for words that few training texts do not have.

The scores are those of a linear model on the word vectors of a text (`text.english`), so that a word that never
occurred in training counts like the words with similar vectors that did. The model stores the scores alone; the vectors
are needed to fit them. Like the n-gram table it is arithmetic on token ids.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyclassify.dataset import FOLDS, Batches
from pyclassify.text.english import UNREADABLE, WordVectors
from pyclassify.text.ngrams import PRIME, SPREAD, STEP, distinct, held_out_scores, solve, to_logits
from pyclassify.text.transform import UNKNOWN_ID, Tokens

LONGEST: Final = 18
"""Letters of the longest word that has a vector."""

SLOTS: Final = 2**17
"""Places for words by the hash of their letters; of words that share one the most frequent is known."""

FEW_FOR_WORDS: Final = 1_000
"""Up to so many training texts, cross-validation says whether the scores of words help; more texts have most words."""

MAX_LABELS: Final = 50
"""With more labels the table of scores would be as large as the word vectors themselves."""

COSTS: Final = (0.03, 0.1, 0.3, 1.0)
"""Costs of an error to choose from, against large scores."""


class WordScores(nn.Module):
    """The part for word vectors: a score per label for each word, summed over the distinct words of a text.

    Rarer words weigh more, and the sum is divided by the root of the squared weights. Where tokens are characters, a
    word is a run of letters, which is found by its hash.

    Args:
        num_labels: K.
        words: rows of the table: the vocabulary where tokens are words, else the words that have a vector and one for
            any other.
        characters: tokens of the vocabulary where those are characters; 0 where they are words.
    """

    weights: Tensor
    letters: Tensor
    slots: Tensor
    keys: Tensor

    def __init__(self, *, num_labels: int, words: int, characters: int = 0) -> None:
        super().__init__()
        self.num_labels, self.words, self.characters = num_labels, words, characters
        columns = 1 if num_labels == 2 else num_labels
        self.table = nn.Embedding(words, columns)
        nn.init.zeros_(self.table.weight)
        self.bias = nn.Parameter(torch.zeros(columns))
        self.requires_grad_(False)
        self.register_buffer("weights", torch.zeros(words))
        if characters:
            self.register_buffer("letters", torch.zeros(characters, dtype=torch.bool))
            self.register_buffer("slots", torch.zeros(SLOTS, dtype=torch.int16))
            self.register_buffer("keys", torch.zeros(words, dtype=torch.int32))
        self._vectors: Tensor | None = None

    @torch.no_grad()
    def load_vectors(self, word_vectors: WordVectors, vocabulary: Sequence[str]) -> None:
        """Take the words to score and their weights from word vectors, and keep the vectors for `fit`.

        Args:
            word_vectors: of the words; where tokens are characters, `words` is one more than there are.
            vocabulary: all tokens.
        """
        if self.characters:
            names = [UNREADABLE, *word_vectors.words]
            self._hash(names, vocabulary)
        else:
            names = [*[UNREADABLE] * (UNKNOWN_ID + 1), *vocabulary[UNKNOWN_ID + 1 :]]
        weights, sums = map(torch.from_numpy, word_vectors.sums(names))
        self.weights.copy_(weights)
        self._vectors = sums / weights.clamp(min=1e-6).unsqueeze(1)

    def _hash(self, names: Sequence[str], vocabulary: Sequence[str]) -> None:
        """Set the places of words that consist of characters in the vocabulary."""
        ids = {character: i for i, character in enumerate(vocabulary)}
        # whatever is unknown may be a letter
        is_letter = [i == UNKNOWN_ID or character.isalnum() or character == "_" for character, i in ids.items()]
        self.letters.copy_(torch.tensor(is_letter))
        keys, slots = np.zeros(len(names), dtype=np.int32), np.zeros(SLOTS, dtype=np.int16)
        for row in range(len(names) - 1, 0, -1):  # the last one to take a place is the most frequent
            if all(character in ids for character in names[row]):
                key = 0
                for character in names[row]:
                    key = (key * STEP + ids[character]) % PRIME
                keys[row], slots[key * SPREAD % PRIME % SLOTS] = key, row
        self.keys.copy_(torch.from_numpy(keys))
        self.slots.copy_(torch.from_numpy(slots))

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Map ids (N, L) int64 and lengths (N,) int64 to logits (N, K)."""
        rows, weights = self._weighted_rows(ids, lengths)
        scores: Tensor = (self.table(rows) * weights.unsqueeze(2)).sum(dim=1) + self.bias
        return to_logits(scores, self.num_labels)

    @torch.no_grad()
    def rescale(self, share: float) -> None:
        """Multiply all logits by a number."""
        self.table.weight.mul_(share)
        self.bias.mul_(share)

    def token_scores(self, ids: Tensor) -> Tensor:
        """Share the logits of one text out to its tokens: each word evenly to all its places and their letters.

        Args:
            ids: (L,) int64.

        Returns:
            (L, K); the sum over the tokens is the logits without the bias.
        """
        num_tokens = len(ids)
        batch, lengths = ids.unsqueeze(0), torch.tensor([num_tokens], device=ids.device)
        rows = self._rows(batch, lengths)[0]
        _, places, counts = torch.unique(rows, return_inverse=True, return_counts=True)
        weights = self.weights[rows] / counts[places]
        norm = (self.weights[rows].square() / counts[places]).sum().sqrt().clamp(min=1e-6)
        scores = self.table(rows) * (weights / norm).unsqueeze(1)
        if self.characters:  # the score of a word stands at its first letter
            letters = self._letters(batch, lengths)[0] > 0
            is_first = letters & ~F.pad(letters[:-1], (1, 0))
            word = is_first.cumsum(dim=0) * letters
            by_word = torch.zeros(num_tokens + 1, scores.shape[1], device=ids.device).index_add_(0, word, scores)
            sizes = torch.bincount(word, minlength=num_tokens + 1)
            scores = (by_word / sizes.clamp(min=1).unsqueeze(1))[word]
        return to_logits(scores, self.num_labels)

    def _weighted_rows(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows (N, L) and their weights, of which each text's squares add up to 1; 0 for a word's copies."""
        rows, is_first = distinct(self._rows(ids, lengths), self.words)
        weights = self.weights[rows] * is_first
        return rows, weights / weights.square().sum(dim=1, keepdim=True).sqrt().clamp(min=1e-6)

    def _rows(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return the row of each word (N, L), at its first letter where tokens are characters; 0 elsewhere."""
        if not self.characters:
            is_inside = torch.arange(ids.shape[1], device=ids.device) < lengths.unsqueeze(1)
            return torch.where(is_inside & (ids < self.words), ids, 0)
        num_tokens, letters = ids.shape[1], self._letters(ids, lengths)
        following = F.pad(letters, (0, LONGEST + 1))
        is_open = is_first = (letters > 0) & (F.pad(letters, (1, 0))[:, :num_tokens] == 0)
        value = torch.zeros_like(ids)
        for skip in range(LONGEST + 1):  # with one letter more, the hash of a word that is too long is another
            letter = following[:, skip : skip + num_tokens]
            is_open = is_open & (letter > 0)
            value = torch.where(is_open, (value * STEP + letter) % PRIME, value)
        rows = self.slots[value * SPREAD % PRIME % SLOTS].long()
        return torch.where(is_first & (self.keys[rows].long() == value), rows, 0)

    def _letters(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return the ids of letters, (N, L); 0 for other characters."""
        is_inside = torch.arange(ids.shape[1], device=ids.device) < lengths.unsqueeze(1)
        ids = torch.where(ids < self.characters, ids, UNKNOWN_ID)
        return torch.where(is_inside & self.letters[ids], ids, 0)

    # Fitting

    @torch.no_grad()
    def fit(self, batches: Batches, folds: Tensor, *, cost: float) -> Tensor:
        """Solve for the scores.

        Args:
            batches: (ids, lengths) and label ids of N texts; every label occurs.
            folds: (N,) from 0 to FOLDS - 1, in the order of an unseeded epoch.
            cost: of an error, against large scores.

        Returns:
            Logits (N, K) float64 of each text by a fit to the other folds.
        """
        features, label_ids = self._features(batches)
        center = features.mean(axis=0)
        scale = float(np.sqrt(((features - center) ** 2).sum(axis=1).mean())) or 1.0
        features = (features - center) / scale
        columns = self.bias.numel()
        scores = np.zeros((len(features), columns))
        for fold in range(FOLDS):
            inside = folds.numpy() == fold
            if inside.any() and not inside.all():
                scores[inside] = held_out_scores(
                    features[~inside], label_ids[~inside], features[inside], columns=columns, cost=cost
                )
        coefficients, intercepts = solve(features, label_ids, cost=cost)
        assert self._vectors is not None
        directions = torch.from_numpy(coefficients / scale).float()
        self.table.weight.copy_(self._vectors @ directions.T)
        self.bias.copy_(torch.from_numpy(intercepts - coefficients @ center / scale).float())
        return to_logits(torch.from_numpy(scores), self.num_labels)

    def _features(self, batches: Batches) -> tuple[np.ndarray, np.ndarray]:
        """Return the weighted sums of the word vectors of N texts, (N, D), and label ids (N,)."""
        if self._vectors is None:
            raise ValueError("the scores of words are fitted with word vectors")
        sums, label_ids = [], []
        for (ids, lengths), batch_label_ids in batches.epoch():
            rows, weights = self._weighted_rows(ids.to(self.bias.device), lengths.to(self.bias.device))
            sums.append(F.embedding_bag(rows.cpu(), self._vectors, per_sample_weights=weights.cpu(), mode="sum"))
            label_ids.append(batch_label_ids.cpu())
        return torch.cat(sums).double().numpy(), torch.cat(label_ids).numpy()


def known_tokens(word_vectors: WordVectors, tokens: Tokens) -> Sequence[str]:
    """Return the tokens that a vocabulary needs for all words that have a vector, and the signs around them."""
    return word_vectors.words if tokens == "words" else string.ascii_lowercase + string.digits + string.punctuation
