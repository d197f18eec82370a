"""Out-of-distribution detection for texts.

One view looks at the network's answer: its energy. The others look at the tokens: how surprising they are by themselves
and in their order, and how few they are. A network over words knows nothing of a word that it has no vector for, and is
often as sure of a text in another language as of any; its tokens give it away.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Annotated, Any, Final

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from pyclassify.dataset import Batches, Integers
from pyclassify.manifest import Ood, Section
from pyclassify.ood import Scale, View, checked_tensor, device_of, energy, fit_scale
from pyclassify.text.transform import UNKNOWN_ID, TextTransform

ORDERS: Final = {"words": 2, "characters": 4}
"""Tokens in the longest n-grams that are counted: longer ones of words hardly ever occur twice."""

WORD_TOKENS: Final = {"words": 1, "characters": 5}
"""Tokens in a word, about."""

MAX_ORDER: Final = 8
MAX_VALIDATION: Final = 10_000
"""Validation texts that scales and threshold are fitted on."""

MAX_TRAIN_TOKENS: Final = 10_000_000
"""Tokens of the training texts that are counted; of more texts a sample is drawn."""

BYTES_PER_NAT: Final = 16
"""Surprises are kept in bytes, up to 15.9 nats."""

NEVER_SEEN: Final = 255
"""The byte of a token or n-gram that never occurred."""

BACKOFF: Final = 1.0
"""Nats for each token of context that must be dropped before an n-gram is a known one (Brants et al. 2007, "Large
Language Models in Machine Translation", whose factor of 0.4 is 0.9 nats)."""

MIN_BUCKETS: Final = 2**8
MAX_BUCKETS: Final = 2**18

# an n-gram's hash is h = h * STEP + id + 1 over its tokens from last to first, in 64 bits that overflow, then mixed
STEP: Final = 6_364_136_223_846_793_005
MIX: Final = -7_046_029_254_386_353_131

_UNEXPLAINED: Final = np.float32(100)
"""Nats, more than any surprise: the value of an n-gram that is not known."""

Floats = np.ndarray[Any, np.dtype[np.float64]]
Floats32 = np.ndarray[Any, np.dtype[np.float32]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]


class Usual(Section):
    """Mean surprise of the validation texts, in nats per token.

    Args:
        mean: median of the texts' means.
        within: variance of a token's surprise within a text.
        between: variance of a text's mean among all texts, beyond what its length explains.
    """

    mean: float
    within: Annotated[float, Field(ge=0)]
    between: Annotated[float, Field(gt=0)]


class UsualSurprises(Section):
    """Usual surprises of tokens by themselves, and in their order."""

    tokens: Usual
    order: Usual


class OodSettings(Section):
    """Settings of `TextOod` beside threshold and views.

    Args:
        order: n-grams of up to this many tokens were counted.
        word: tokens in a word, about.
        usual: surprises of the validation texts.
    """

    order: Annotated[int, Field(ge=2, le=MAX_ORDER, strict=True)]
    word: int
    usual: UsualSurprises


def fit(
    network: nn.Module, train: Batches, validation: Batches, *, transform: TextTransform
) -> tuple[Ood, dict[str, Tensor]]:
    """Fit the detector of a trained network.

    Args:
        network: logits (N, K) = network(ids, lengths).
        train: texts that it was trained on, whose tokens are counted.
        validation: texts that it was not trained on; they set scales and threshold.
        transform: of the network.

    Returns:
        Plain data and small tensors for `TextOod`.
    """
    network.eval()
    order, word = ORDERS[transform.tokens], WORD_TOKENS[transform.tokens]
    tensors = count_tokens(train, vocabulary_size=len(transform.vocabulary), order=order)
    surprise = TokenSurprise(tensors, order)
    energies, means, variances, lengths = _measure(surprise, network, validation)
    tokens, ordered = (_usual(means[row], variances[row], lengths) for row in range(2))
    settings = OodSettings(order=order, word=word, usual=UsualSurprises(tokens=tokens, order=ordered))
    rows = _view_values(settings.usual, energies.tolist(), means.T.tolist(), lengths.tolist())
    views = _views(word)
    threshold, knots = fit_scale(rows, views)
    ood = Ood(
        threshold=threshold,
        views=[view.name for view in views],
        num_examples=len(rows),
        settings=settings.model_dump(mode="json"),
    )
    return ood, {**tensors, **knots}


class TextOod:
    """Answers, and scores how unlike the training texts each text is. Threads may share it.

    Args:
        network: that `fit` was given, in evaluation mode.
        settings: from `fit`.
        tensors: from `fit`.

    Raises:
        ValueError: the parts do not fit together.
    """

    def __init__(self, network: nn.Module, settings: Ood, tensors: Mapping[str, Tensor]) -> None:
        own = OodSettings.model_validate(settings.settings)
        self._network = network
        self._usual = own.usual
        self._surprise = TokenSurprise(tensors, own.order)
        self._scale = Scale(settings.threshold, settings.views, tensors, _views(own.word))
        self.threshold = settings.threshold
        self.views: Sequence[str] = tuple(settings.views)

    @torch.inference_mode()
    def answer(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, K) and OOD scores (N,) on the CPU; a text with a score above `threshold` is refused."""
        logits = self._network(*inputs)
        return logits, self._scale(self._values(logits, *inputs))

    @torch.inference_mode()
    def surprises(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, K) and the surprise of each view, (N, V), in the order of `views`."""
        logits = self._network(*inputs)
        return logits, torch.tensor(self._scale.surprises(self._values(logits, *inputs)))

    def _values(self, logits: Tensor, ids: Tensor, lengths: Tensor) -> list[list[float]]:
        means, _ = self._surprise(ids, lengths)
        return _view_values(self._usual, energy(logits).tolist(), means.T.tolist(), lengths.tolist())


def _views(word: int) -> list[View]:
    # One word costs at most 6 units of surprise, two 3, and so on, however long the training texts are: among film
    # reviews a sentence is short, and still no reason to refuse it.
    shortness = View(name="shortness", is_surface=True, least_excess=1 / (6 * max(1.0, word)))
    return [
        View(name="energy", is_surface=False),
        View(name="tokens", is_surface=True),
        View(name="order", is_surface=True),
        shortness,
    ]


def _view_values(
    usual: UsualSurprises, energies: Sequence[float], means: Sequence[Sequence[float]], lengths: Sequence[int]
) -> list[list[float]]:
    """Return the value of each view, (N, 4), from energies (N,), mean surprises (N, 2) and lengths (N,).

    Short texts have rarer means by chance alone. So the distance of a mean from the usual one is divided by the spread
    of texts of its length: of a token about its text's mean, and of that about the mean of all.
    """
    rows = []
    for text_energy, text_means, length in zip(energies, means, lengths, strict=True):
        per_token = 1 / max(1, length)
        deviations = [
            (mean - part.mean) / math.sqrt(part.within * per_token + part.between)
            for mean, part in zip(text_means, (usual.tokens, usual.order), strict=True)
        ]
        rows.append([text_energy, *deviations, per_token])
    return rows


@torch.inference_mode()
def _measure(
    surprise: TokenSurprise, network: nn.Module, validation: Batches
) -> tuple[Floats, Floats, Floats, Integers]:
    """Return energies (N,), means and variances of both surprises (2, N) each, and lengths (N,)."""
    device, rows = device_of(network), []
    num_batches = math.ceil(MAX_VALIDATION / max(1, validation.num_examples) * len(validation))
    for (ids, lengths), _ in islice(validation.epoch(0), num_batches):
        energies = energy(network(ids.to(device), lengths.to(device))).cpu().numpy()
        means, costs = surprise(ids, lengths)
        ends = np.maximum(lengths.cpu().numpy(), 1)
        variances = np.maximum((costs**2).sum(axis=2) / ends - means**2, 0)
        rows.append((energies, means, variances, ends))
    energies, means, variances, ends = (np.concatenate(parts, axis=-1) for parts in zip(*rows, strict=True))
    return energies, means, variances, ends


def _usual(means: Floats, variances: Floats, lengths: Integers) -> Usual:
    total, within = float(means.var()), float(variances.mean())
    between = max(total - within * float((1 / lengths).mean()), 0.1 * total, 1e-3)
    return Usual(mean=float(np.median(means)), within=within, between=between)


# Surprise of tokens. It is arithmetic on token ids in numpy: for the few tokens of one text, in a quarter of the time
# that torch takes. The surprise of tokens by themselves reveals other words and signs, in their order a jumble of known
# ones.


class TokenSurprise:
    """Surprise of the tokens of a text, in nats, by the counts of the training texts.

    Args:
        tensors: from `count_tokens`.
        order: that they were counted with.

    Raises:
        ValueError: the parts do not fit together.
    """

    def __init__(self, tensors: Mapping[str, Tensor], order: int) -> None:
        sizes = {name: tensors[name].numel() if name in tensors else 0 for name in ("tokens", "ngrams")}
        if sizes["tokens"] < 2 or sizes["ngrams"].bit_count() != 1:
            raise ValueError(f"tokens and ngrams have {sizes['tokens']} and {sizes['ngrams']} entries, which cannot be")
        self._order = order
        nats = checked_tensor(tensors, "tokens", (sizes["tokens"],)).float().cpu().numpy() / BYTES_PER_NAT
        self._tokens = np.append(nats, np.float32(NEVER_SEEN / BYTES_PER_NAT))  # the last is for ids beyond the table
        table = checked_tensor(tensors, "ngrams", (sizes["ngrams"],)).to(torch.int16).cpu().numpy()
        self._ngrams = table.view(np.uint16).astype(np.int32)
        penalties = np.arange(order - 2, -1, -1, dtype=np.float32) * BACKOFF
        self._penalties = penalties[:, None, None]

    def __call__(self, ids: Tensor, lengths: Tensor) -> tuple[Floats, Floats32]:
        """Measure N texts.

        Args:
            ids: (N, L) int64.
            lengths: (N,) int64.

        Returns:
            Means over the tokens of each text, (2, N): by themselves, and in their order; and the surprise of each
            token, (2, N, L), zero in the padding.
        """
        tokens, ends = ids.cpu().numpy(), np.maximum(lengths.cpu().numpy(), 1)
        both = np.empty((2, *tokens.shape), dtype=np.float32)
        self._tokens.take(tokens, mode="clip", out=both[0])
        places, fingerprints = _places(_hashes(tokens, self._order)[1:], len(self._ngrams))
        entries = self._ngrams[places]
        levels = entries & 255
        is_known = (entries >> 8 == fingerprints) & (levels != NEVER_SEEN)
        known_nats = levels * np.float32(1 / BYTES_PER_NAT) + self._penalties
        ordered = np.where(is_known, known_nats, _UNEXPLAINED).min(axis=0)
        np.minimum(ordered, both[0] + BACKOFF * (self._order - 1), out=both[1])
        if ends.min() < tokens.shape[1]:
            both *= _valid(tokens.shape[1], ends)
        return both.sum(axis=2, dtype=np.float64) / ends, both


def count_tokens(batches: Batches, *, vocabulary_size: int, order: int) -> dict[str, Tensor]:
    """Count tokens and n-grams of the training texts.

    Args:
        batches: (ids, lengths) and label ids.
        vocabulary_size: V.
        order: n-grams of up to this many tokens.

    Returns:
        For `TokenSurprise`: a byte per token, "tokens" (V,) uint8, and a table of the n-grams of two tokens and more,
        "ngrams" (buckets,) int16.
    """
    counts = np.zeros(vocabulary_size, dtype=np.int64)
    for ids, valid in _texts(batches):
        known_ids = np.where(ids < vocabulary_size, ids, UNKNOWN_ID)
        counts += np.bincount(known_ids[valid], minlength=vocabulary_size)
    counts[UNKNOWN_ID] = 0  # whatever it stands for is rarer than any token that has a name
    levels = _levels(np.log(max(1, counts.sum())) - np.log(np.maximum(counts, 1)))
    levels[counts == 0] = NEVER_SEEN
    ngrams = [_count_ngrams(batches, size) for size in range(2, order + 1)]
    return {"tokens": torch.from_numpy(levels.astype(np.uint8)), "ngrams": _ngram_table(ngrams)}


def _texts(batches: Batches) -> Iterator[tuple[Integers, Bools]]:
    """Iterate over batches of ids and which of them are valid, up to MAX_TRAIN_TOKENS."""
    total = 0
    # in the fixed order short texts come first; a shuffled epoch begins with texts of all lengths
    for (ids, lengths), _ in batches.epoch(0):
        valid = _valid(ids.shape[1], lengths.cpu().numpy())
        yield ids.cpu().numpy(), valid
        total += int(valid.sum())
        if total >= MAX_TRAIN_TOKENS:
            return


def _valid(num_tokens: int, lengths: Integers) -> Bools:
    """Mark the tokens that are no padding, (N, L); an empty text counts as one token."""
    valid: Bools = np.arange(num_tokens) < np.maximum(lengths, 1)[:, None]
    return valid


def _count_ngrams(batches: Batches, size: int) -> tuple[Integers, Integers, Integers]:
    """Return for each n-gram of a size its hash, its count, and its surprise after its context in levels."""
    hashes, contexts = [], []
    for ids, valid in _texts(batches):
        keys = _hashes(ids, size)
        for back in range(size):  # nothing can be learned from whatever the unknown token stands for
            valid[:, back:] &= ids[:, : ids.shape[1] - back] != UNKNOWN_ID
        hashes.append(keys[-1][valid])
        context = np.zeros_like(ids)
        context[:, 1:] = keys[-2][:, :-1]
        contexts.append(context[valid])
    distinct, first, counts = np.unique(np.concatenate(hashes), return_index=True, return_counts=True)
    _, context_ids, totals = np.unique(np.concatenate(contexts), return_inverse=True, return_counts=True)
    return distinct, counts, _levels(np.log(totals[context_ids[first]]) - np.log(counts))


def _levels(nats: np.ndarray[Any, Any]) -> Integers:
    levels: Integers = np.clip(np.round(nats * BYTES_PER_NAT), 0, NEVER_SEEN - 1).astype(np.int64)
    return levels


def _ngram_table(ngrams: list[tuple[Integers, Integers, Integers]]) -> Tensor:
    """Keep the most frequent n-gram of each bucket: its fingerprint in the high byte, its surprise in the low one."""
    hashes, counts, levels = (np.concatenate(parts) for parts in zip(*ngrams, strict=True))
    buckets = MIN_BUCKETS
    while buckets < min(len(hashes), MAX_BUCKETS):
        buckets *= 2
    order = np.argsort(counts, kind="stable")
    places, fingerprints = _places(hashes[order], buckets)
    table = np.full(buckets, NEVER_SEEN, dtype=np.uint16)
    # of several for one place the last one stays, which is the most frequent
    table[places] = fingerprints << 8 | levels[order]
    return torch.from_numpy(table.view(np.int16))


def _hashes(ids: Integers, order: int) -> Integers:
    """Hash the n-grams of 1 up to `order` tokens that end at each token of (N, L): (order, N, L).

    Before the first token of a text stands the id of padding.
    """
    num_texts, num_tokens = ids.shape
    padded = np.ones((num_texts, num_tokens + order - 1), dtype=np.int64)
    padded[:, order - 1 :] += ids
    hashes = np.empty((order, num_texts, num_tokens), dtype=np.int64)
    hashes[0] = padded[:, order - 1 :]
    for skip in range(1, order):
        start = order - 1 - skip
        np.multiply(hashes[skip - 1], STEP, out=hashes[skip])
        hashes[skip] += padded[:, start : start + num_tokens]
    hashes ^= hashes >> 29
    hashes *= MIX
    hashes ^= hashes >> 32
    return hashes


def _places(hashes: Integers, buckets: int) -> tuple[Integers, Integers]:
    """Return buckets, and fingerprints from 0 to 255 that tell apart what shares a bucket."""
    return hashes & (buckets - 1), hashes >> 40 & 255
