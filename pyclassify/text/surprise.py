"""How surprising the tokens of a text are, each by itself and after those before it, by counts of the training texts.

All of it is arithmetic on token ids, in numpy: on the few numbers of one text it takes a quarter of the time that
torch does. What a text's tokens cost by themselves shows other words and other signs; what
they cost in their order shows a jumble of known ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from pyclassify.examples import Batches
from pyclassify.known import checked
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

NOTHING: Final = np.float32(100)
"""Nats, more than any surprise: an n-gram that is not known explains nothing."""

Integers = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]


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
    for ids, valid in _texts(batches):
        counts += np.bincount(_known(ids, vocabulary_size)[valid], minlength=vocabulary_size)
    counts[UNKNOWN_ID] = 0  # whatever it stands for is rarer than any token that has a name
    tokens = _bytes(np.log(max(1, counts.sum())) - np.log(np.maximum(counts, 1)))
    tokens[counts == 0] = NEVER
    found = [_ngrams(batches, each) for each in range(2, order + 1)]
    return {"tokens": torch.from_numpy(tokens.astype(np.uint8)), "ngrams": _table(found)}


def _texts(batches: Batches) -> Iterator[tuple[Integers, Bools]]:
    """Each batch's ids and which of them are no padding, until there are MOST_TOKENS."""
    total = 0
    # in the fixed order short texts come first; drawn ones are of all lengths
    for (ids, lengths), _ in batches.epoch(0):
        valid = _valid(ids.shape[1], lengths.cpu().numpy())
        yield ids.cpu().numpy(), valid
        total += int(valid.sum())
        if total >= MOST_TOKENS:
            return


def _valid(tokens: int, lengths: Integers) -> Bools:
    """(N,) to (N, L). An empty text counts as one token."""
    found: Bools = np.arange(tokens) < np.maximum(lengths, 1)[:, None]
    return found


def _known(ids: Integers, vocabulary_size: int) -> Integers:
    found: Integers = np.where(ids < vocabulary_size, ids, UNKNOWN_ID)
    return found


def _ngrams(batches: Batches, order: int) -> tuple[Integers, Integers, Integers]:
    """Hashes of all n-grams of an order, how often each occurs, and the byte of its surprise after its context."""
    hashes, contexts = [], []
    for ids, valid in _texts(batches):
        keys = _keys(ids, order)
        for back in range(order):  # of what the unknown token stands for nothing can be learned
            valid[:, back:] &= ids[:, : ids.shape[1] - back] != UNKNOWN_ID
        hashes.append(keys[-1][valid])
        before = np.zeros_like(ids)
        before[:, 1:] = keys[-2][:, :-1]
        contexts.append(before[valid])
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
    places, fingerprints = _places(hashes[order], buckets)
    table = np.full(buckets, NEVER, dtype=np.uint16)
    table[places] = (
        fingerprints << 8 | nats[order]
    )  # of those for one place the last, which is the most frequent, stays
    return torch.from_numpy(table.view(np.int16))


def _keys(ids: Integers, order: int) -> Integers:
    """(N, L) to (order, N, L): hashes of the n-grams of 1 up to `order` tokens that end at each token.

    What is before a text's first token is the id of padding.
    """
    texts, tokens = ids.shape
    padded = np.ones((texts, tokens + order - 1), dtype=np.int64)
    padded[:, order - 1 :] += ids
    found = np.empty((order, texts, tokens), dtype=np.int64)
    found[0] = padded[:, order - 1 :]
    for skip in range(1, order):
        start = order - 1 - skip
        np.multiply(found[skip - 1], STEP, out=found[skip])
        found[skip] += padded[:, start : start + tokens]
    found ^= found >> 29
    found *= MIX
    found ^= found >> 32
    return found


def _places(hashes: Integers, buckets: int) -> tuple[Integers, Integers]:
    """Buckets, and fingerprints from 0 to 255, which tell apart what shares a bucket."""
    return hashes & (buckets - 1), hashes >> 40 & 255


class Surprise:
    """What `fit` counted, ready to be asked.

    Args:
        tensors: of `fit`.
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
        nats = checked(tensors, "tokens", (sizes["tokens"],)).float().cpu().numpy() / STEPS
        self._tokens = np.append(nats, np.float32(NEVER / STEPS))  # the last is for ids that are none
        table = checked(tensors, "ngrams", (sizes["ngrams"],)).to(torch.int16).cpu().numpy()
        self._ngrams = table.view(np.uint16).astype(np.int32)
        penalties = np.arange(order - 2, -1, -1, dtype=np.float32) * PENALTY
        self._penalties = penalties[:, None, None]

    def __call__(self, ids: Tensor, lengths: Tensor) -> tuple[Floats, Floats]:
        """How surprising each text's tokens are on average.

        Args:
            ids: (N, L) int64.
            lengths: (N,) int64.

        Returns:
            In nats, (2, N): of the tokens alone, and in their order; and of each token, (2, N, L), zero in the padding.
        """
        tokens, ends = ids.cpu().numpy(), np.maximum(lengths.cpu().numpy(), 1)
        both = np.empty((2, *tokens.shape), dtype=np.float32)
        self._tokens.take(tokens, mode="clip", out=both[0])
        places, fingerprints = _places(_keys(tokens, self._order)[1:], len(self._ngrams))
        entries = self._ngrams[places]
        bytes_ = entries & 255
        is_known = (entries >> 8 == fingerprints) & (bytes_ != NEVER)
        ordered = np.where(is_known, bytes_ * np.float32(1 / STEPS) + self._penalties, NOTHING).min(axis=0)
        np.minimum(ordered, both[0] + PENALTY * (self._order - 1), out=both[1])
        if ends.min() < tokens.shape[1]:
            both *= _valid(tokens.shape[1], ends)
        return both.sum(axis=2, dtype=np.float64) / ends, both
