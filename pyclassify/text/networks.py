"""Networks for text: logits (N, K) of token ids (N, L) and lengths (N,).

Ids are padded with 0 on the right; 1 is the unknown token. The logits do not depend on the padding, neither on its ids
nor on its length: every layer sees the valid tokens alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyclassify.dataset import Batches, Examples
from pyclassify.text.ngrams import NgramTable
from pyclassify.text.transform import UNKNOWN_ID
from pyclassify.training.config import TEXT_NETWORKS

LARGE_DATASET: Final = 200_000
"""Above so many texts, two epochs in large batches are enough: the n-gram table has learned from all of them."""

SHARE_COST: Final = 10.0
"""Gain in nats, summed over the validation texts, that a whole share of the deep part must bring to be believed."""

BASELINE_EXAMPLES: Final = 100_000
"""The baseline is trained on so many texts at most, evenly spaced, so that the comparison takes minutes."""

_BASELINE_FEATURES: Final[dict[str, dict[str, Any]]] = {
    "words": {"ngram_range": (1, 2), "sublinear_tf": True, "max_features": 1_000_000},
    "characters": {"analyzer": "char_wb", "ngram_range": (1, 4), "sublinear_tf": True, "max_features": 1_000_000},
}


class Convolutions(nn.Module):
    """The deep part: token embedding, gated convolutions, maximum and attention-weighted mean over the tokens.

    Args:
        num_labels: K.
        vocabulary_size: V, padding and the unknown token included.
        embedding_size: numbers per token.
        channels: numbers per token after each convolution.
        widths: tokens that each convolution sees, odd numbers.
        dropout: share of the numbers before the last layer that are set to zero in training.
        word_dropout: share of the tokens that are made unknown in training.
    """

    def __init__(
        self,
        *,
        num_labels: int,
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
        self.output = nn.Linear(2 * channels, num_labels)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Map ids (N, L) int64 and lengths (N,) int64 to logits (N, K)."""
        # an empty text counts as one token
        valid = torch.arange(ids.shape[1], device=ids.device) < lengths.clamp(min=1).unsqueeze(1)
        ids = torch.where(ids < self.embedding.num_embeddings, ids, UNKNOWN_ID)
        if self.training:
            is_dropped = torch.rand(ids.shape, device=ids.device) < self.word_dropout
            ids = torch.where(is_dropped, UNKNOWN_ID, ids)
        mask = valid.unsqueeze(1)
        x = self.embedding(ids).transpose(1, 2) * mask
        for depth, convolution in enumerate(self.convolutions):
            gated = F.glu(convolution(x), dim=1) * mask
            x = gated if depth == 0 else x + gated
        logits: Tensor = self.output(F.dropout(self._pool(x, valid), self.dropout, self.training))
        return logits

    def _pool(self, x: Tensor, valid: Tensor) -> Tensor:
        """Pool (N, C, L) over the valid tokens to (N, 2 C): the maximum, and the attention-weighted mean."""
        weights = self.attention(x.transpose(1, 2)).squeeze(2).masked_fill(~valid, -1e4).softmax(dim=1)
        maximum = x.masked_fill(~valid.unsqueeze(1), -1e4).amax(dim=2)
        return torch.cat([maximum, (x * weights.unsqueeze(1)).sum(dim=2)], dim=1)


class WideDeep(nn.Module):
    """The default: an n-gram table and a convolutional network whose logits are added in fitted shares.

    The table is solved for before the first epoch. Gradient steps train the network alone: the table overfits the
    training texts, and would leave the network nothing to learn. The shares are fitted on validation data.

    Args:
        num_labels: K.
        vocabulary_size: V, padding and the unknown token included.
        buckets: rows of the n-gram table.
        order: n-grams of 1 up to this many tokens.
        deep_vocabulary: tokens that the convolutions know, the first of the vocabulary.
        embedding_size: numbers per token.
        channels: numbers per token after each convolution.
        widths: tokens that each convolution sees, odd numbers.
        dropout: share of the numbers before the last layer that are set to zero in training.
        word_dropout: share of the tokens that are made unknown in training.
    """

    shares: Tensor

    def __init__(
        self,
        *,
        num_labels: int,
        vocabulary_size: int,
        buckets: int,
        order: int,
        deep_vocabulary: int = 12_000,
        embedding_size: int = 48,
        channels: int = 96,
        widths: Sequence[int] = (5,),
        dropout: float = 0.4,
        word_dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.register_buffer("shares", torch.ones(2))
        self.wide = NgramTable(num_labels=num_labels, buckets=buckets, order=order)
        self.deep = Convolutions(
            num_labels=num_labels,
            vocabulary_size=min(vocabulary_size, deep_vocabulary),
            embedding_size=embedding_size,
            channels=channels,
            widths=widths,
            dropout=dropout,
            word_dropout=word_dropout,
        )

    def prepare(self, batches: Batches) -> None:
        """Fit the n-gram table to the training data, before the first epoch."""
        self.wide.fit(batches)

    @torch.no_grad()
    def tune(self, batches: Batches) -> None:
        """Set the shares of both parts to the most likely ones.

        Args:
            batches: of validation data; on training data the table would seem infallible.
        """
        self.eval()
        device = self.shares.device
        rows = [
            (torch.stack([part(ids.to(device), lengths.to(device)) for part in (self.wide, self.deep)]), label_ids)
            for (ids, lengths), label_ids in batches.epoch()
        ]
        logits = torch.cat([part_logits for part_logits, _ in rows], dim=1).double().cpu()
        self.shares.copy_(_fit_shares(logits, torch.cat([label_ids for _, label_ids in rows]).cpu()))

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Map ids (N, L) int64 and lengths (N,) int64 to logits (N, K); in training those of the deep part alone."""
        deep: Tensor = self.deep(ids, lengths)
        if self.training:
            return deep
        wide: Tensor = self.wide(ids, lengths)
        return self.shares[0] * wide + self.shares[1] * deep


def _fit_shares(logits: Tensor, label_ids: Tensor) -> Tensor:
    """Minimize the cross-entropy of logits (2, N, K) mixed in shares (2,), none negative."""
    from scipy.optimize import minimize  # only training needs it

    def loss(shares: Any) -> float:
        mixed = torch.einsum("p,pnk->nk", torch.from_numpy(shares), logits)
        # A small penalty on the shares: where every answer is right, ever larger shares would be likelier still. And
        # the deep part has to earn its share: on a few hundred texts it can look useful by chance.
        penalty = 1e-4 * float((shares**2).sum()) + SHARE_COST / len(label_ids) * float(shares[1])
        return F.cross_entropy(mixed, label_ids).item() + penalty

    result = minimize(loss, x0=[1.0] * len(logits), bounds=[(0.0, 20.0)] * len(logits), method="L-BFGS-B")
    return torch.from_numpy(result.x).float()


class Lstm(nn.Module):
    """The tutorial's network: embedding, LSTM, one linear layer on the state after the last valid token.

    Args:
        num_labels: K.
        vocabulary_size: V, padding and the unknown token included.
        embedding_size: numbers per token.
        hidden_size: numbers in the state.
    """

    def __init__(
        self, *, num_labels: int, vocabulary_size: int, embedding_size: int = 300, hidden_size: int = 256
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.lstm = nn.LSTM(embedding_size, hidden_size, batch_first=True)
        self.output = nn.Linear(hidden_size, num_labels)

    def load_vectors(self, vectors: Tensor) -> None:
        """Start from pretrained vectors.

        Args:
            vectors: (V, embedding_size), in the order of the vocabulary.

        Raises:
            ValueError: they have another shape.
        """
        if vectors.shape != self.embedding.weight.shape:
            wanted = tuple(self.embedding.weight.shape)
            raise ValueError(f"the vectors have shape {tuple(vectors.shape)}, but the embedding needs {wanted}")
        with torch.no_grad():
            self.embedding.weight.copy_(vectors)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Map ids (N, L) int64 and lengths (N,) int64 to logits (N, K)."""
        lengths = lengths.clamp(min=1)
        # torch on a CPU goes through packed sequences step by step, which trains several times slower
        last_state = self._last_of_padded if ids.device.type == "cpu" else self._last_of_packed
        logits: Tensor = self.output(last_state(ids, lengths))
        return logits

    def _last_of_packed(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return the state after each text's last valid token, (N, H)."""
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embedding(ids), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        _, (state, _) = self.lstm(packed)
        last: Tensor = state[-1]
        return last

    def _last_of_padded(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return the same states: a state depends on nothing that comes after it."""
        states, _ = self.lstm(self.embedding(ids))
        last: Tensor = states[torch.arange(ids.shape[0], device=ids.device), lengths - 1]
        return last


_NETWORKS: Final[dict[str, Callable[..., nn.Module]]] = {"wide_deep": WideDeep, "lstm": Lstm}


def build(name: str, *, num_labels: int, **arguments: Any) -> nn.Module:
    """Make a network by name, with random weights.

    Args:
        name: one of TEXT_NETWORKS.
        num_labels: K, at least 2.
        arguments: of the network's constructor; `arguments_for` chooses them from the data.

    Raises:
        TypeError, ValueError: there is no such network, or its arguments cannot work.
    """
    if name not in _NETWORKS:
        raise ValueError(f"no text network is called {name!r}, choose one of {', '.join(TEXT_NETWORKS)}")
    if num_labels < 2:
        raise ValueError(f"num_labels must be at least 2, got {num_labels}")
    return _NETWORKS[name](num_labels=num_labels, **arguments)


def arguments_for(
    name: str, *, vocabulary_size: int, num_labels: int, tokens: str, num_examples: int, num_tokens: int
) -> dict[str, Any]:
    """Choose a network's sizes by the size of the training data.

    Args:
        name: one of TEXT_NETWORKS.
        vocabulary_size: V, padding and the unknown token included.
        num_labels: K.
        tokens: "words" or "characters".
        num_examples: training texts.
        num_tokens: tokens of all training texts together.

    Returns:
        Keyword arguments for `build`, plain JSON values.
    """
    if name == "lstm":
        return {"vocabulary_size": vocabulary_size, "embedding_size": 300, "hidden_size": 256}
    is_large = num_examples > 20_000
    return {
        "vocabulary_size": vocabulary_size,
        "buckets": _buckets(num_labels, num_tokens),
        "order": 3 if tokens == "words" else 6,
        "deep_vocabulary": min(vocabulary_size, 12_000),
        "embedding_size": 48 if is_large else 32,
        "channels": 96 if is_large else 64,
        "widths": [5] if tokens == "words" else [5, 5],
        "dropout": 0.4,
        "word_dropout": 0.1 if tokens == "words" else 0.03,
    }


def _buckets(num_labels: int, num_tokens: int) -> int:
    """Return a power of two near the number of n-grams worth keeping; the table stays below about 8 MB."""
    columns = 1 if num_labels == 2 else num_labels
    most = max(12, 21 - max(1, math.ceil(math.log2(columns))))
    return int(2 ** min(most, max(17, math.ceil(math.log2(max(1, num_tokens / 8))))))


def fit_defaults(name: str, *, num_examples: int = 25_000) -> dict[str, Any]:
    """Return the settings of the optimizer that suit a network, as arguments of `FitConfig`.

    Args:
        name: one of TEXT_NETWORKS.
        num_examples: training texts; few need more epochs and smaller batches.
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
        "batch_size": 256 if num_examples > LARGE_DATASET else 64 if num_examples > 50_000 else 32,
        "epochs": 2 if num_examples > LARGE_DATASET else 4 if num_examples > 10_000 else 8,
        "schedule": "one_cycle",
        "label_smoothing": 0.0,
        "clip_norm": 0.0,
        "average_decay": 0.0,
    }


def fit_baseline(train: Examples[str], texts: Sequence[str], *, tokens: str) -> Tensor:
    """Answer with scikit-learn's linear support vector machine on TF-IDF.

    Args:
        train: N labelled texts with at least two labels.
        texts: M texts to answer.
        tokens: "words" or "characters".

    Returns:
        Label ids (M,) int64.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer  # only training needs it
    from sklearn.svm import LinearSVC

    step = -(-len(train) // BASELINE_EXAMPLES)
    features = TfidfVectorizer(**_BASELINE_FEATURES[tokens])
    try:
        table = features.fit_transform(train.items[::step])
    except ValueError:  # no word of at least two letters, which its words are; single characters always exist
        features = TfidfVectorizer(**_BASELINE_FEATURES["characters"])
        table = features.fit_transform(train.items[::step])
    machine = LinearSVC(random_state=0).fit(table, train.label_ids[::step])
    return torch.from_numpy(machine.predict(features.transform(texts))).long()
