"""What the networks over tokens have in common."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pyclassify.text.transform import UNKNOWN_ID


def valid_tokens(ids: Tensor, lengths: Tensor) -> Tensor:
    """(N, L) and (N,) to (N, L) bool: which are no padding. An empty text counts as one token."""
    return torch.arange(ids.shape[1], device=ids.device) < lengths.clamp(min=1).unsqueeze(1)


def known_tokens(ids: Tensor, vocabulary_size: int) -> Tensor:
    """The ids, of which those that an embedding of this size does not have are the unknown token."""
    return torch.where(ids < vocabulary_size, ids, UNKNOWN_ID)


def drop_words(ids: Tensor, share: float) -> Tensor:
    """The ids, of which about this share is made the unknown token."""
    return torch.where(torch.rand(ids.shape, device=ids.device) < share, UNKNOWN_ID, ids)


def pool(x: Tensor, valid: Tensor, attention: Callable[[Tensor], Tensor]) -> Tensor:
    """The maximum and the attention-weighted mean over a text's tokens.

    Args:
        x: (N, C, L).
        valid: (N, L) bool.
        attention: (N, L, C) to (N, L, 1), how much each token counts before the softmax.

    Returns:
        (N, 2 C).
    """
    weights = attention(x.transpose(1, 2)).squeeze(2).masked_fill(~valid, -1e4).softmax(dim=1)
    largest = x.masked_fill(~valid.unsqueeze(1), -1e4).amax(dim=2)
    return torch.cat([largest, (x * weights.unsqueeze(1)).sum(dim=2)], dim=1)
