"""Networks for text: (N, L) token ids and (N,) lengths in, (N, K) logits out.

Token ids are right-padded with 0; 1 is the unknown token. Whatever stands in the padding, and however long it is, the
logits stay the same: every layer below sees the valid tokens alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyclassify.examples import Batches
from pyclassify.text.ngrams import NgramTable

NAMES: Final = ("wide_deep", "lstm")
DEFAULT: Final = "wide_deep"
UNKNOWN: Final = 1
WIDE_RATE: Final = 2.0
DEEP_SHARE: Final = 0.7


def build(name: str, *, labels: int, **arguments: Any) -> nn.Module:
    """Make a network by name, with fresh weights.

    Args:
        name: one of NAMES.
        labels: K, at least 2.
        arguments: of the network's constructor; `arguments_for` chooses them from the data.

    Raises:
        ValueError: the name is none of NAMES, or labels is below 2.
    """
    if name not in _MODELS:
        raise ValueError(f"no text model is called {name!r}, choose one of {', '.join(NAMES)}")
    if labels < 2:
        raise ValueError(f"labels must be at least 2, got {labels}")
    return _MODELS[name](labels=labels, **arguments)


class Lstm(nn.Module):
    """The tutorial's network: embedding, LSTM, one linear layer on the state after the last valid token.

    Args:
        labels: K.
        vocabulary_size: V, padding and the unknown token included.
        embedding_size: numbers per token.
        hidden_size: numbers in the state.
    """

    def __init__(self, *, labels: int, vocabulary_size: int, embedding_size: int = 300, hidden_size: int = 256) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.lstm = nn.LSTM(embedding_size, hidden_size, batch_first=True)
        self.output = nn.Linear(hidden_size, labels)

    def load_vectors(self, vectors: Tensor) -> None:
        """Start from pretrained vectors.

        Args:
            vectors: (V, embedding_size), in the order of the vocabulary.

        Raises:
            ValueError: the shape is another.
        """
        if vectors.shape != self.embedding.weight.shape:
            wanted = tuple(self.embedding.weight.shape)
            raise ValueError(f"the vectors have shape {tuple(vectors.shape)}, but the embedding needs {wanted}")
        with torch.no_grad():
            self.embedding.weight.copy_(vectors)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """(N, L) int64 and (N,) int64 to (N, K)."""
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embedding(ids), lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False
        )
        _, (state, _) = self.lstm(packed)
        logits: Tensor = self.output(state[-1])
        return logits


class Convolutions(nn.Module):
    """The deep part: token embedding, gated convolutions, maximum and attention-weighted mean over the tokens.

    Args:
        labels: K.
        vocabulary_size: V, padding and the unknown token included.
        embedding_size: numbers per token.
        channels: numbers per token after each convolution.
        widths: tokens that each convolution sees, odd numbers.
        dropout: share of the numbers set to zero in training before the last layer.
        word_dropout: share of the tokens made unknown in training.
    """

    def __init__(
        self,
        *,
        labels: int,
        vocabulary_size: int,
        embedding_size: int,
        channels: int,
        widths: Sequence[int],
        dropout: float,
        word_dropout: float,
    ) -> None:
        super().__init__()
        self.dropout, self.word_dropout = dropout, word_dropout
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        nn.init.normal_(self.embedding.weight, std=0.1)
        sizes = [embedding_size] + [channels] * (len(widths) - 1)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(size, 2 * channels, width, padding=width // 2) for size, width in zip(sizes, widths, strict=True)
        )
        self.attention = nn.Linear(channels, 1)
        self.output = nn.Linear(2 * channels, labels)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """(N, L) int64 and (N,) int64 to (N, K)."""
        valid = torch.arange(ids.shape[1], device=ids.device) < lengths.clamp(min=1).unsqueeze(1)
        # Rarer tokens than the embedding has are unknown to this part.
        ids = torch.where(ids < self.embedding.num_embeddings, ids, UNKNOWN)
        if self.training:
            ids = torch.where(torch.rand(ids.shape, device=ids.device) < self.word_dropout, UNKNOWN, ids)
        mask = valid.unsqueeze(1)
        x = self.embedding(ids).transpose(1, 2) * mask
        for depth, convolution in enumerate(self.convolutions):
            gated = F.glu(convolution(x), dim=1) * mask
            x = gated if depth == 0 else x + gated
        weights = self.attention(x.transpose(1, 2)).squeeze(2).masked_fill(~valid, -1e4).softmax(dim=1)
        pooled = torch.cat([x.masked_fill(~mask, -1e4).amax(dim=2), (x * weights.unsqueeze(1)).sum(dim=2)], dim=1)
        logits: Tensor = self.output(F.dropout(pooled, self.dropout, self.training))
        return logits


class WideDeep(nn.Module):
    """The default: an n-gram table and a convolutional network, the mean of whose logits counts.

    Args:
        labels: K.
        vocabulary_size: V, padding and the unknown token included.
        buckets: rows of the n-gram table.
        order: n-grams of 1 up to this many tokens.
        shrinkage: share of the log-count ratios that the n-gram scores start at.
        deep_vocabulary: tokens that the convolutions know, the first of the vocabulary.
        embedding_size: numbers per token.
        channels: numbers per token after each convolution.
        widths: tokens that each convolution sees, odd numbers.
        dropout: share of the numbers set to zero in training before the last layer.
        word_dropout: share of the tokens made unknown in training.
    """

    def __init__(
        self,
        *,
        labels: int,
        vocabulary_size: int,
        buckets: int,
        order: int,
        shrinkage: float = 0.3,
        deep_vocabulary: int = 12_000,
        embedding_size: int = 48,
        channels: int = 96,
        widths: Sequence[int] = (5,),
        dropout: float = 0.4,
        word_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.wide = NgramTable(labels=labels, buckets=buckets, order=order, shrinkage=shrinkage)
        self.deep = Convolutions(
            labels=labels,
            vocabulary_size=min(vocabulary_size, deep_vocabulary),
            embedding_size=embedding_size,
            channels=channels,
            widths=widths,
            dropout=dropout,
            word_dropout=word_dropout,
        )

    def prepare(self, batches: Batches) -> None:
        """Count the n-grams of the training data once, before the first epoch."""
        self.wide.fit(batches)

    def parameter_groups(self, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
        """What the optimizer takes: the n-gram scores have a rate of their own and never decay."""
        # An n-gram comes up rarely: with the usual 0.999 Adam would take a huge step each time one does.
        shared = {"betas": (0.9, 0.98)}
        return [
            {"params": list(self.deep.parameters()), "lr": learning_rate, "weight_decay": weight_decay, **shared},
            {"params": list(self.wide.parameters()), "lr": WIDE_RATE * learning_rate, "weight_decay": 0.0, **shared},
        ]

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """(N, L) int64 and (N,) int64 to (N, K)."""
        wide: Tensor = self.wide(ids, lengths)
        deep: Tensor = self.deep(ids, lengths)
        if self.training:
            # Each text is learned by one part alone: together, the table, which soon knows the training texts by heart,
            # would leave the network nothing to learn. The network needs more of them.
            chosen = torch.rand(len(ids), 1, device=ids.device) < DEEP_SHARE
            return torch.where(chosen, deep, wide)
        # Each part answers by itself, so that their sum would be twice as sure as it should be.
        return (wide + deep) / 2


_MODELS: Final[dict[str, Callable[..., nn.Module]]] = {"wide_deep": WideDeep, "lstm": Lstm}


def arguments_for(
    name: str, *, vocabulary_size: int, labels: int, tokens: str, examples: int, total_tokens: int
) -> dict[str, Any]:
    """Choose a network's sizes by the size of the training data.

    Args:
        name: one of NAMES.
        vocabulary_size: V, padding and the unknown token included.
        labels: K.
        tokens: "words" or "characters".
        examples: how many training texts there are.
        total_tokens: how many tokens they have together.

    Returns:
        Keyword arguments for `build`, plain JSON values.
    """
    if name == "lstm":
        return {"vocabulary_size": vocabulary_size, "embedding_size": 300, "hidden_size": 256}
    large = examples > 20_000
    return {
        "vocabulary_size": vocabulary_size,
        "buckets": _buckets(labels, total_tokens),
        "order": 3 if tokens == "words" else 5,
        "shrinkage": 0.3 if tokens == "words" else 0.8,
        "deep_vocabulary": min(vocabulary_size, 12_000),
        "embedding_size": 48 if large else 32,
        "channels": 96 if large else 64,
        "widths": [5] if tokens == "words" else [5, 5],
        "dropout": 0.4,
        "word_dropout": 0.1 if tokens == "words" else 0.03,
    }


def _buckets(labels: int, total_tokens: int) -> int:
    """A power of two near the number of n-grams worth keeping, so that the table stays below about 8 MB."""
    columns = 1 if labels == 2 else labels
    most = max(12, 21 - max(1, math.ceil(math.log2(columns))))
    return int(2 ** min(most, max(17, math.ceil(math.log2(max(1, total_tokens / 8))))))


def training_defaults(name: str, *, examples: int = 25_000) -> dict[str, Any]:
    """Settings of the optimizer that suit a network.

    Args:
        name: one of NAMES.
        examples: how many training texts there are; few texts need more epochs and smaller batches.
    """
    if name == "lstm":
        return {
            "optimizer": "adam",
            "learning_rate": 0.001,
            "weight_decay": 0.0,
            "batch_size": 64,
            "epochs": 10,
            "schedule": "constant",
            "label_smoothing": 0.0,
            "average_decay": 0.0,
        }
    return {
        "optimizer": "adamw",
        "learning_rate": 0.003,
        "weight_decay": 0.01,
        "batch_size": 64 if examples > 50_000 else 32,
        "epochs": 4 if examples > 10_000 else 8,
        "schedule": "one_cycle",
        "label_smoothing": 0.0,
        "average_decay": 0.0,
    }
