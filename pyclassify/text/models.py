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
from pyclassify.text.layers import drop_words, known_tokens, pool, valid_tokens
from pyclassify.text.lstm import Lstm
from pyclassify.text.ngrams import NgramTable
from pyclassify.text.regions import Regions

NAMES: Final = ("wide_deep", "lstm")
DEFAULT: Final = "wide_deep"

MANY_TEXTS: Final = 200_000
"""Of more, two passes in large batches do: the table has learned from all of them, and the network sees enough."""

DOUBT: Final = 10.0
"""What a whole share of the network must gain, in nats over all validation texts together, to be believed."""


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
        valid = valid_tokens(ids, lengths)
        ids = known_tokens(ids, self.embedding.num_embeddings)
        if self.training:
            ids = drop_words(ids, self.word_dropout)
        mask = valid.unsqueeze(1)
        x = self.embedding(ids).transpose(1, 2) * mask
        for depth, convolution in enumerate(self.convolutions):
            gated = F.glu(convolution(x), dim=1) * mask
            x = gated if depth == 0 else x + gated
        pooled = pool(x, valid, self.attention)
        logits: Tensor = self.output(F.dropout(pooled, self.dropout, self.training))
        return logits


class WideDeep(nn.Module):
    """The default: an n-gram table and a convolutional network, whose logits are added in measured shares.

    The table is found at once, before the first epoch; the network alone learns by steps, so that the table, which
    knows the training texts by heart, does not take its work away. What each is worth is measured on validation data.

    Args:
        labels: K.
        vocabulary_size: V, padding and the unknown token included.
        buckets: rows of the n-gram table.
        order: n-grams of 1 up to this many tokens.
        deep_vocabulary: tokens that the convolutions know, the first of the vocabulary.
        embedding_size: numbers per token.
        channels: numbers per token after each convolution.
        widths: tokens that each convolution sees, odd numbers.
        dropout: share of the numbers set to zero in training before the last layer.
        word_dropout: share of the tokens made unknown in training.
        top_channels: numbers per token after the second convolution of `Regions`, which then takes the place of
            `Convolutions` and has a single width; 0 for `Convolutions`.
    """

    shares: Tensor

    def __init__(
        self,
        *,
        labels: int,
        vocabulary_size: int,
        buckets: int,
        order: int,
        deep_vocabulary: int = 12_000,
        embedding_size: int = 48,
        channels: int = 96,
        widths: Sequence[int] = (5,),
        dropout: float = 0.4,
        word_dropout: float = 0.1,
        top_channels: int = 0,
    ) -> None:
        super().__init__()
        self.register_buffer("shares", torch.ones(2))
        self.wide = NgramTable(labels=labels, buckets=buckets, order=order)
        sizes: dict[str, Any] = {
            "labels": labels,
            "vocabulary_size": min(vocabulary_size, deep_vocabulary),
            "embedding_size": embedding_size,
            "channels": channels,
            "dropout": dropout,
            "word_dropout": word_dropout,
        }
        self.deep: Convolutions | Regions
        if top_channels:
            self.deep = Regions(top_channels=top_channels, width=widths[0], **sizes)
        else:
            self.deep = Convolutions(widths=widths, **sizes)

    def prepare(self, batches: Batches) -> None:
        """Find the n-gram table from the training data, before the first epoch."""
        self.wide.fit(batches)

    def parameter_groups(self, learning_rate: float, weight_decay: float) -> list[dict[str, Any]]:
        """What was learned from unlabelled text, if anything was, at half the rate of the rest."""
        early = {id(each) for each in self.deep.pretrained()} if isinstance(self.deep, Regions) else set()
        learning = [each for each in self.parameters() if each.requires_grad]
        groups = (
            [each for each in learning if each.ndim > 1 and id(each) not in early],
            [each for each in learning if each.ndim <= 1 and id(each) not in early],
            [each for each in learning if id(each) in early],
        )
        settings = ((learning_rate, weight_decay), (learning_rate, 0.0), (0.5 * learning_rate, weight_decay))
        return [
            {"params": group, "lr": rate, "weight_decay": decay}
            for group, (rate, decay) in zip(groups, settings, strict=True)
            if group
        ]

    @torch.no_grad()
    def tune(self, batches: Batches) -> None:
        """Set the shares of both parts to those that make the given texts' labels most likely.

        Args:
            batches: of validation data; on training data the table would seem infallible.
        """
        self.eval()
        device = self.shares.device
        rows = [
            (torch.stack([part(ids.to(device), lengths.to(device)) for part in (self.wide, self.deep)]), label_ids)
            for (ids, lengths), label_ids in batches.epoch()
        ]
        logits = torch.cat([each for each, _ in rows], dim=1).double().cpu()
        self.shares.copy_(_likeliest_shares(logits, torch.cat([each for _, each in rows]).cpu()))

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """(N, L) int64 and (N,) int64 to (N, K); while training, the network's part alone."""
        deep: Tensor = self.deep(ids, lengths)
        if self.training:
            return deep
        wide: Tensor = self.wide(ids, lengths)
        return self.shares[0] * wide + self.shares[1] * deep


def _likeliest_shares(logits: Tensor, label_ids: Tensor) -> Tensor:
    """(2, N, K) logits of both parts and (N,) label ids to (2,) shares, none negative, of the least cross-entropy."""
    from scipy.optimize import minimize  # only a training needs it

    def loss(shares: Any) -> float:
        mixed = torch.einsum("p,pnk->nk", torch.from_numpy(shares), logits)
        # A little pull towards small shares: where all is right, ever larger ones would be likelier still. And the
        # network has to earn its share: on a few hundred texts it can look useful by chance.
        pull = 1e-4 * float((shares**2).sum()) + DOUBT / len(label_ids) * float(shares[1])
        return F.cross_entropy(mixed, label_ids).item() + pull

    found = minimize(loss, x0=[1.0] * len(logits), bounds=[(0.0, 20.0)] * len(logits), method="L-BFGS-B")
    return torch.from_numpy(found.x).float()


_MODELS: Final[dict[str, Callable[..., nn.Module]]] = {"wide_deep": WideDeep, "lstm": Lstm}


def arguments_for(
    name: str,
    *,
    vocabulary_size: int,
    labels: int,
    tokens: str,
    examples: int,
    total_tokens: int,
    pretrained: bool = False,
) -> dict[str, Any]:
    """Choose a network's sizes by the size of the training data.

    Args:
        name: one of NAMES.
        vocabulary_size: V, padding and the unknown token included.
        labels: K.
        tokens: "words" or "characters".
        examples: how many training texts there are.
        total_tokens: how many tokens they have together.
        pretrained: whether unlabelled texts are learned from first, which a larger network gains from.

    Returns:
        Keyword arguments for `build`, plain JSON values.
    """
    if name == "lstm":
        return {"vocabulary_size": vocabulary_size, "embedding_size": 300, "hidden_size": 256}
    large = examples > 20_000
    if pretrained:
        return {
            "vocabulary_size": vocabulary_size,
            "buckets": _buckets(labels, total_tokens),
            "order": 3 if tokens == "words" else 6,
            "deep_vocabulary": min(vocabulary_size, 12_000),
            "embedding_size": 128,
            "channels": 256,
            "top_channels": 128,
            "widths": [5],
            "dropout": 0.5,
            "word_dropout": 0.1 if tokens == "words" else 0.03,
        }
    return {
        "vocabulary_size": vocabulary_size,
        "buckets": _buckets(labels, total_tokens),
        "order": 3 if tokens == "words" else 6,
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


def training_defaults(name: str, *, examples: int = 25_000, pretrained: bool = False) -> dict[str, Any]:
    """Settings of the optimizer that suit a network.

    Args:
        name: one of NAMES.
        examples: how many training texts there are; few texts need more epochs and smaller batches.
        pretrained: whether unlabelled texts were learned from first, which large steps would undo.
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
        "learning_rate": 0.001 if pretrained else 0.003,
        "weight_decay": 0.01,
        "batch_size": 256 if examples > MANY_TEXTS else 64 if examples > 50_000 else 32,
        "epochs": 2 if examples > MANY_TEXTS else 4 if examples > 10_000 else 8,
        "schedule": "one_cycle",
        "label_smoothing": 0.0,
        "clip_norm": 1.0 if pretrained else 0.0,
        "average_decay": 0.998 if pretrained else 0.0,
    }
