"""Networks for text: (N, L) token ids and (N,) lengths in, (N, K) logits out.

Token ids are right-padded with 0; 1 is the unknown token. Whatever stands in the padding, and however long it is, the
logits stay the same: every layer below sees the valid tokens alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation uses
from torch import Tensor, nn

from pyclassify.examples import Batches

NAMES: Final = ("wide_deep", "lstm")
DEFAULT: Final = "wide_deep"
UNKNOWN: Final = 1

# The hash of an n-gram is h = (h * STEP + id) mod PRIME, token by token, then h * SPREAD mod PRIME mod buckets. Every
# product stays below 2^53, so that ONNX and JavaScript numbers give the very same buckets.
PRIME: Final = 2_147_483_647
STEP: Final = 1_000_003
SPREAD: Final = 1_299_709


def build(name: str, *, labels: int, **arguments: Any) -> nn.Module:  # noqa: ANN401
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

    def __init__(
        self, *, labels: int, vocabulary_size: int, embedding_size: int = 300, hidden_size: int = 256
    ) -> None:
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


class NgramTable(nn.Module):
    """The wide part: a score per label for every n-gram, added up over the distinct n-grams of a text.

    N-grams are hashed into a fixed number of buckets, so that no list of them is kept. The scores start as naive-Bayes
    log-count ratios (`fit`) and are trained from there, which beats both naive Bayes and training from zero.

    Args:
        labels: K.
        buckets: rows of the table.
        order: n-grams of 1 up to this many tokens.
    """

    def __init__(self, *, labels: int, buckets: int, order: int) -> None:
        super().__init__()
        self.labels, self.buckets, self.order = labels, buckets, order
        # Two labels need one score: the log odds of the second over the first.
        scores = 1 if labels == 2 else labels
        self.table = nn.Embedding(buckets, scores)
        nn.init.zeros_(self.table.weight)
        self.bias = nn.Parameter(torch.zeros(scores))

    def hashed(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Find the buckets of a text's n-grams.

        Returns:
            (N, order * L) buckets in rising order and, True once per distinct bucket, which of them count.
        """
        tokens = ids.shape[1]
        positions = torch.arange(tokens, device=ids.device)
        value = torch.zeros_like(ids)
        found = []
        for skip in range(self.order):
            value = (value * STEP + F.pad(ids, (0, skip))[:, skip : skip + tokens]) % PRIME
            bucket = (value * SPREAD) % PRIME % self.buckets
            found.append(torch.where(positions + skip < lengths.unsqueeze(1), bucket, self.buckets))
        buckets = torch.cat(found, dim=1).sort(dim=1).values
        first = buckets != F.pad(buckets[:, :-1], (1, 0), value=-1)
        return buckets.clamp(max=self.buckets - 1), first & (buckets < self.buckets)

    @torch.no_grad()
    def fit(self, batches: Batches) -> None:
        """Set the scores to the log ratio of how often each label and the others have an n-gram, one pass."""
        device = self.table.weight.device
        counts = torch.zeros(self.labels * self.buckets, device=device)
        for (ids, lengths), label_ids in batches.epoch():
            buckets, counted = self.hashed(ids.to(device), lengths.to(device))
            rows = buckets + label_ids.to(device).unsqueeze(1) * self.buckets
            counts.index_add_(0, rows.flatten(), counted.to(counts.dtype).flatten())
        having = counts.view(self.labels, self.buckets)
        lacking = having.sum(dim=0) - having + 1
        having = having + 1
        ratios = (having / having.sum(dim=1, keepdim=True)).log() - (lacking / lacking.sum(dim=1, keepdim=True)).log()
        self.table.weight.copy_(ratios[1:].T if self.labels == 2 else ratios.T)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """(N, L) int64 and (N,) int64 to (N, K)."""
        buckets, counted = self.hashed(ids, lengths)
        weights = counted / counted.sum(dim=1, keepdim=True).clamp(min=1).sqrt()
        scores: Tensor = (self.table(buckets) * weights.unsqueeze(2)).sum(dim=1) + self.bias
        return torch.cat([-scores / 2, scores / 2], dim=1) if self.labels == 2 else scores


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
        widths: tuple[int, ...],
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
    """The default: an n-gram table and a convolutional network, whose logits are added."""

    def __init__(
        self,
        *,
        labels: int,
        vocabulary_size: int,
        buckets: int,
        order: int,
        embedding_size: int = 64,
        channels: int = 128,
        widths: tuple[int, ...] = (5,),
        dropout: float = 0.5,
        word_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.wide = NgramTable(labels=labels, buckets=buckets, order=order)
        self.deep = Convolutions(
            labels=labels,
            vocabulary_size=vocabulary_size,
            embedding_size=embedding_size,
            channels=channels,
            widths=tuple(widths),
            dropout=dropout,
            word_dropout=word_dropout,
        )

    def prepare(self, batches: Batches) -> None:
        """Count the n-grams of the training data once, before the first epoch."""
        self.wide.fit(batches)

    def parameter_groups(self, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
        """What the optimizer takes: the table learns at its own rate and never decays."""
        return [
            {"params": list(self.deep.parameters()), "lr": learning_rate, "weight_decay": weight_decay},
            {"params": list(self.wide.parameters()), "lr": learning_rate, "weight_decay": 0.0},
        ]

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """(N, L) int64 and (N,) int64 to (N, K)."""
        wide, deep = self.wide(ids, lengths), self.deep(ids, lengths)
        if self.training:
            # A third of the texts is learned by each part alone: otherwise the table, which soon knows the training
            # texts by heart, would leave the network nothing to learn.
            chance = torch.rand(len(ids), 1, device=ids.device)
            wide, deep = wide * (chance > 1 / 3), deep * (chance < 2 / 3)
        return wide + deep


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
    order = 3 if tokens == "words" else 5
    columns = 1 if labels == 2 else labels
    most = max(10, 20 - math.ceil(math.log2(columns)))
    bits = min(most, max(14, math.ceil(math.log2(max(2, total_tokens)))))
    return {
        "vocabulary_size": vocabulary_size,
        "buckets": 2**bits,
        "order": order,
        "embedding_size": 64 if examples > 20_000 else 32,
        "channels": 128 if examples > 20_000 else 64,
        "widths": [5] if tokens == "words" else [5, 5],
    }


def training_defaults(name: str) -> dict[str, Any]:
    """Settings of the optimizer that suit a network."""
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
        "learning_rate": 0.002,
        "weight_decay": 0.0,
        "batch_size": 64,
        "epochs": 5,
        "schedule": "one_cycle",
        "label_smoothing": 0.0,
        "average_decay": 0.0,
    }
