"""How surprising the tokens of a text are, each by itself and after those before it, by counts of the training texts.

All of it is arithmetic on token ids. What a text's tokens cost by themselves shows other words and other signs; what
they cost in their order shows a jumble of known ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pyclassify.examples import Batches
from pyclassify.known import checked
from pyclassify.text.layers import known_tokens, valid_tokens
from pyclassify.text.transform import UNKNOWN_ID

STEPS: Final = 16
"""Per nat: surprises are kept in bytes, up to 15.9 nats."""

NEVER: Final = 255
"""The byte of what was never seen."""

PENALTY: Final = 1.0
"""Nats for each token of the context that must be forgotten before the n-gram is a known one (as in Brants et al. 2007,
"Large Language Models in Machine Translation", whose 0.4 is 0.9 nats)."""

MOST_BUCKETS: Final = 2**18
LEAST_BUCKETS: Final = 2**8
MOST_TOKENS: Final = 10_000_000
"""Of all training texts together that are counted; of more, some are drawn."""

MOST_ORDER: Final = 8

# an n-gram's hash is h = h * STEP + id + 1 over its tokens from the last to the first, in 64 bits that overflow, mixed
STEP: Final = 6_364_136_223_846_793_005
MIX: Final = -7_046_029_254_386_353_131

Integers = np.ndarray[Any, np.dtype[np.int64]]


def fit(batches: Batches, *, vocabulary_size: int, order: int) -> dict[str, Tensor]:
    """Count the training texts.

    Args:
        batches: (ids, lengths) and label ids.
        vocabulary_size: V.
        order: n-grams of up to this many tokens.

    Returns:
        For `Surprise`: a byte per token, (V,) uint8, and a table of longer n-grams, (buckets,) int16.
    """
    counts = np.zeros(vocabulary_size, dtype=np.int64)
    for ids, lengths in _texts(batches):
        valid = valid_tokens(ids, lengths)
        counts += np.bincount(known_tokens(ids, vocabulary_size)[valid].numpy(), minlength=vocabulary_size)
    counts[UNKNOWN_ID] = 0  # whatever it stands for is rarer than any token that has a name
    tokens = _bytes(np.log(max(1, counts.sum())) - np.log(np.maximum(counts, 1)))
    tokens[counts == 0] = NEVER
    found = [_ngrams(batches, each) for each in range(2, order + 1)]
    return {"tokens": torch.from_numpy(tokens.astype(np.uint8)), "ngrams": _table(found)}


def _texts(batches: Batches) -> Iterator[tuple[Tensor, Tensor]]:
    """Each batch's ids and lengths, until there are MOST_TOKENS."""
    total = 0
    # in the fixed order short texts come first; drawn ones are of all lengths
    for (ids, lengths), _ in batches.epoch(0):
        yield ids.cpu(), lengths.cpu()
        total += int(lengths.sum())
        if total >= MOST_TOKENS:
            return


def _ngrams(batches: Batches, order: int) -> tuple[Integers, Integers, Integers]:
    """Hashes of all n-grams of an order, how often each occurs, and the byte of its surprise after its context."""
    hashes, contexts = [], []
    for ids, lengths in _texts(batches):
        keys = _keys(ids, order)
        known = functional.pad(ids != UNKNOWN_ID, (order - 1, 0), value=True).unfold(1, order, 1).all(dim=2)
        valid = valid_tokens(ids, lengths) & known
        hashes.append(keys[-1][valid].numpy())
        before = functional.pad(keys[-2], (1, 0))[:, :-1]
        contexts.append(before[valid].numpy())
    kinds, first, counts = np.unique(np.concatenate(hashes), return_index=True, return_counts=True)
    _, which, totals = np.unique(np.concatenate(contexts), return_inverse=True, return_counts=True)
    return kinds, counts, _bytes(np.log(totals[which[first]]) - np.log(counts))


def _bytes(nats: np.ndarray[Any, Any]) -> Integers:
    rounded: Integers = np.clip(np.round(nats * STEPS), 0, NEVER - 1).astype(np.int64)
    return rounded


def _table(found: list[tuple[Integers, Integers, Integers]]) -> Tensor:
    """In each bucket the most frequent n-gram: its fingerprint in the high byte, its surprise in the low one."""
    hashes, counts, nats = (np.concatenate(each) for each in zip(*found, strict=True))
    buckets = LEAST_BUCKETS
    while buckets < min(len(hashes), MOST_BUCKETS):
        buckets *= 2
    order = np.argsort(counts, kind="stable")
    places, fingerprints = _places(torch.from_numpy(hashes[order]), buckets)
    entries = (fingerprints << 8 | torch.from_numpy(nats[order])).to(torch.int16)
    table = np.full(buckets, NEVER, dtype=np.int16)
    table[places.numpy()] = entries.numpy()  # of those for one place the last, which is the most frequent, stays
    return torch.from_numpy(table)


def _keys(ids: Tensor, order: int) -> Tensor:
    """(N, L) to (order, N, L): hashes of the n-grams of 1 up to `order` tokens that end at each token.

    What is before a text's first token is the id of padding.
    """
    tokens, before = ids.shape[1], functional.pad(ids + 1, (order - 1, 0), value=1)
    found = [ids + 1]
    for skip in range(1, order):
        start = order - 1 - skip
        found.append(found[-1] * STEP + before[:, start : start + tokens])
    mixed = torch.stack(found)
    mixed = (mixed ^ (mixed >> 29)) * MIX
    return mixed ^ (mixed >> 32)


def _places(hashes: Tensor, buckets: int) -> tuple[Tensor, Tensor]:
    """Buckets, and fingerprints from 0 to 255, which tell apart what shares a bucket."""
    return hashes & (buckets - 1), hashes >> 40 & 255


class Surprise:
    """What `fit` counted, ready to be asked.

    Args:
        tensors: of `fit`, where the network is.
        order: as when it was counted.

    Raises:
        ValueError: they do not fit together.
    """

    def __init__(self, tensors: Mapping[str, Tensor], order: object) -> None:
        if not isinstance(order, int) or isinstance(order, bool) or not 2 <= order <= MOST_ORDER:
            raise ValueError(f"order must be a whole number from 2 to {MOST_ORDER}, got {order!r}")
        sizes = {name: tensors[name].numel() if name in tensors else 0 for name in ("tokens", "ngrams")}
        if sizes["tokens"] < 2 or sizes["ngrams"].bit_count() != 1:
            raise ValueError(f"tokens and ngrams have {sizes['tokens']} and {sizes['ngrams']} entries, which cannot be")
        self._order = order
        # as nats: a table of numbers is faster to ask than bytes
        self._tokens = checked(tensors, "tokens", (sizes["tokens"],)).float() / STEPS
        self._ngrams = checked(tensors, "ngrams", (sizes["ngrams"],)).to(torch.int16)
        penalties = torch.arange(order - 2, -1, -1, device=self._ngrams.device) * PENALTY
        self._penalties = penalties.view(-1, 1, 1)
        self._alone = PENALTY * (order - 1)

    def __call__(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For (N, L) and (N,): the mean surprise of the tokens alone and in their order, and the latter's variance.

        Returns:
            Three of (N,), in nats.
        """
        valid = valid_tokens(ids, lengths)
        alone = self._tokens[known_tokens(ids, len(self._tokens))]
        places, fingerprints = _places(_keys(ids, self._order)[1:], len(self._ngrams))
        entries = self._ngrams[places].int()
        nats = entries & 255
        is_known = (nats != NEVER) & (entries >> 8 & 255 == fingerprints)
        ordered = torch.where(is_known, nats / STEPS + self._penalties, MOST_NATS).amin(dim=0)
        ordered = torch.minimum(ordered, alone + self._alone)
        both = torch.stack([alone, ordered, ordered.square()]) * valid
        sums = both.sum(dim=2) / lengths.clamp(min=1)
        return sums[0], sums[1], (sums[2] - sums[1].square()).clamp(min=0)


MOST_NATS: Final = 100.0
"""More than any surprise: an n-gram that is not known explains nothing."""
