"""The deep part where there is unlabelled text: what a few neighbouring tokens say, learned from that text first."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyclassify.text.layers import drop_words, known_tokens, pool, valid_tokens

BETWEEN: Final = 0.2
"""Share of the numbers set to zero in training before each convolution."""


class Regions(nn.Module):
    """Token embedding, a gated convolution over regions, one over those, maximum and attention-weighted mean of both.

    The first two layers are those that `pretraining.pretrain` teaches to foretell the words around a region.

    Args:
        labels: K.
        vocabulary_size: V, padding and the unknown token included.
        embedding_size: numbers per token.
        channels: D, numbers per region.
        top_channels: numbers per token after the second convolution.
        width: tokens in a region, an odd number.
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
        top_channels: int,
        width: int,
        dropout: float,
        word_dropout: float,
    ) -> None:
        super().__init__()
        self.dropout, self.word_dropout = dropout, word_dropout
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.region = nn.Conv1d(embedding_size, 2 * channels, width, padding=width // 2)
        self.above = nn.Conv1d(channels, 2 * top_channels, 3, padding=1)
        self.attention = nn.Linear(channels + top_channels, 1)
        self.output = nn.Linear(2 * (channels + top_channels), labels)

    def pretrained(self) -> list[nn.Parameter]:
        """What `pretraining.pretrain` teaches."""
        return [*self.embedding.parameters(), *self.region.parameters()]

    def regions(self, ids: Tensor, valid: Tensor) -> Tensor:
        """(N, L) int64 and (N, L) bool to (N, D, L), zero past a text's end."""
        ids = known_tokens(ids, self.embedding.num_embeddings)
        if self.training:
            ids = drop_words(ids, self.word_dropout)
        mask = valid.unsqueeze(1)
        tokens = F.dropout(self.embedding(ids), BETWEEN, self.training).transpose(1, 2)
        return F.glu(self.region(tokens * mask), dim=1) * mask

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """(N, L) int64 and (N,) int64 to (N, K)."""
        valid = valid_tokens(ids, lengths)
        low = self.regions(ids, valid)
        high = F.glu(self.above(F.dropout(low, BETWEEN, self.training)), dim=1)
        pooled = pool(torch.cat([low, high], dim=1), valid, self.attention)
        logits: Tensor = self.output(F.dropout(pooled, self.dropout, self.training))
        return logits
