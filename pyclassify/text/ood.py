"""Out-of-distribution detection for texts.

One view looks at the network's answer: its energy. The others look at the tokens: how surprising they are by themselves
and in their order. A network over words knows nothing of a word that it has no vector for, and is often as sure of a
text in another language as of any; its tokens give it away. A short text is not strange: a note says that it is short
(`text.transform`). Checkpoints from before that note have one more view, how few the tokens are.

A few dozen training texts lack many words of their subject. If they are English, one more view compares meanings: the
distance from the nearest training text by word vectors (`text.english`).
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

from pyclassify.dataset import Batches, Integers, number_copies
from pyclassify.manifest import Ood, Section
from pyclassify.ood import REFUSED_SHARE, Scale, View, checked_tensor, device_of, energy, fit_scale
from pyclassify.text.english import UNREADABLE, WordVectors
from pyclassify.text.transform import UNKNOWN_ID, TextTransform

ORDERS: Final = {"words": 2, "characters": 4, "pieces": 2}
"""Tokens in the longest n-grams that are counted: longer ones of words hardly ever occur twice."""

WORD_TOKENS: Final = {"words": 1, "characters": 5, "pieces": 1}
"""Tokens in a word, about."""

MAX_ORDER: Final = 8
MEANING: Final = "meaning"

LEAST_DEVIATION: Final = 0.4
"""Minimum number of standard deviations per unit of surprise: the means of long training texts differ so little that
short texts would be refused."""

FEW_REFUSED_SHARE: Final = 0.1
"""Share of texts like the training data that is refused if they are few: a threshold that only one of a few dozen texts
exceeds would be left to chance."""

FEW_VALIDATION: Final = 100
"""Number of validation texts below which training texts are measured instead, each by counts of the others, if
cross-validation gave their logits."""

LEFT_OUT_FOLDS: Final = 20
"""Parts of the training texts, each measured by counts of the others."""

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
    network: nn.Module,
    train: Batches,
    validation: Batches,
    *,
    transform: TextTransform,
    out_of_fold: Tensor | None = None,
    word_vectors: WordVectors | None = None,
) -> tuple[Ood, dict[str, Tensor]]:
    """Fit the detector of a trained network.

    Args:
        network: logits (N, K) = network(ids, lengths).
        train: texts that it was trained on, whose tokens are counted.
        validation: texts that it was not trained on; they set scales and threshold.
        transform: of the network.
        out_of_fold: logits (N, K) of the training texts by fits without them, in the order of an unseeded epoch; they
            set scales and threshold where there are fewer than FEW_VALIDATION validation texts.
        word_vectors: for the view of the meaning, if `out_of_fold` is used.

    Returns:
        Plain data and small tensors for `TextOod`.

    Raises:
        ValueError: there is nothing to set scales and threshold by.
    """
    network.eval()
    order, word, size = ORDERS[transform.tokens], WORD_TOKENS[transform.tokens], len(transform.vocabulary)
    tensors = count_tokens(train, vocabulary_size=size, order=order)
    names, distances, refused_share = ["energy", "tokens", "order"], None, REFUSED_SHARE
    if out_of_fold is not None and validation.num_examples < FEW_VALIDATION:
        refused_share = FEW_REFUSED_SHARE
        if word_vectors is not None:
            tensors |= meaning_tensors(train, word_vectors, transform)
            names, distances = [*names, MEANING], Meaning(tensors).distances_left_out()
        measured = _measure_left_out(train, energy(out_of_fold), vocabulary_size=size, order=order)
    elif validation.num_examples:
        measured = _measure(TokenSurprise(tensors, order), network, validation)
    else:
        raise ValueError("without validation texts the logits of cross-validation are needed")
    energies, means, variances, lengths = measured
    tokens, ordered = (_usual(means[row], variances[row], lengths) for row in range(2))
    settings = OodSettings(order=order, word=word, usual=UsualSurprises(tokens=tokens, order=ordered))
    views = _views(word, names)
    rows = _view_values(settings.usual, energies.tolist(), means.T.tolist(), lengths.tolist(), names, distances)
    threshold, knots = fit_scale(rows, views, refused_share=refused_share)
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
        views = _views(own.word, settings.views)
        self._scale = Scale(settings.threshold, settings.views, tensors, views)
        self._meaning = Meaning(tensors) if MEANING in settings.views else None
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
        distances = None if self._meaning is None else self._meaning.distances(ids, lengths)
        return _view_values(
            self._usual, energy(logits).tolist(), means.T.tolist(), lengths.tolist(), self.views, distances
        )


def _views(word: int, names: Sequence[str]) -> list[View]:
    """Return the views: always the first three, of the others those that are named."""
    # Only older checkpoints have it. One word costs at most 6 units of surprise, two 3, and so on, however long the
    # training texts are: among film reviews a sentence is short, and still no reason to refuse it.
    shortness = View(name="shortness", is_surface=True, least_excess=1 / (6 * max(1.0, word)))
    return [
        View(name="energy", is_surface=False),
        View(name="tokens", is_surface=True, least_excess=LEAST_DEVIATION),
        View(name="order", is_surface=True, least_excess=LEAST_DEVIATION),
        *(view for view in (View(name=MEANING, is_surface=False), shortness) if view.name in names),
    ]


def _view_values(
    usual: UsualSurprises,
    energies: Sequence[float],
    means: Sequence[Sequence[float]],
    lengths: Sequence[int],
    names: Sequence[str],
    distances: Sequence[float] | None = None,
) -> list[list[float]]:
    """Return the values of the named views, (N, V).

    Args:
        usual: surprises of the validation texts.
        energies: (N,).
        means: (N, 2) surprises.
        lengths: (N,).
        names: V of them.
        distances: (N,) from the nearest training text, for the view of the meaning.

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
        rows.append([text_energy, *deviations])
    if MEANING in names and distances is not None:
        rows = [[*row, distance] for row, distance in zip(rows, distances, strict=True)]
    if "shortness" in names:
        rows = [[*row, 1 / max(1, length)] for row, length in zip(rows, lengths, strict=True)]
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
        rows.append((energies, *_surprise_statistics(surprise, ids, lengths)))
    energies, means, variances, ends = (np.concatenate(parts, axis=-1) for parts in zip(*rows, strict=True))
    return energies, means, variances, ends


class _Part:
    """Some of the texts of batches, as batches of one text each."""

    def __init__(self, texts: Sequence[tuple[tuple[Tensor, ...], Tensor]]) -> None:
        self._texts = texts

    @property
    def num_examples(self) -> int:
        return len(self._texts)

    @property
    def positions(self) -> Sequence[int]:
        return range(len(self._texts))

    def __len__(self) -> int:
        return len(self._texts)

    def epoch(self, seed: int | None = None) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        yield from self._texts


@torch.inference_mode()
def _measure_left_out(
    train: Batches, energies: Tensor, *, vocabulary_size: int, order: int
) -> tuple[Floats, Floats, Floats, Integers]:
    """Return the same of training texts, each by counts of the texts that are in none of its folds.

    Args:
        train: N texts.
        energies: (N,) by fits without the text, in the order of an unseeded epoch.
        vocabulary_size: V.
        order: of the n-grams.
    """
    texts = [
        ((ids[row : row + 1, : max(1, length)], lengths[row : row + 1]), label_ids[row : row + 1])
        for (ids, lengths), label_ids in train.epoch()
        for row, length in enumerate(lengths.tolist())
    ]
    groups = number_copies(ids.numpy().tobytes() for (ids, _), _ in texts)
    folds = np.random.default_rng(0).permutation(groups.max(initial=-1) + 1)[groups] % LEFT_OUT_FOLDS
    rows: list[tuple[Floats, Floats, Integers]] = [(np.empty((2, 0)), np.empty((2, 0)), np.empty(0, np.int64))] * len(
        texts
    )
    for fold in np.unique(folds):
        others = [text for text, own in zip(texts, folds, strict=True) if own != fold] or texts
        surprise = TokenSurprise(count_tokens(_Part(others), vocabulary_size=vocabulary_size, order=order), order)
        for position in np.flatnonzero(folds == fold):
            rows[position] = _surprise_statistics(surprise, *texts[position][0])
    means, variances, ends = (np.concatenate(parts, axis=-1) for parts in zip(*rows, strict=True))
    return energies.double().numpy(), means, variances, ends


def _surprise_statistics(surprise: TokenSurprise, ids: Tensor, lengths: Tensor) -> tuple[Floats, Floats, Integers]:
    """Return means and variances of both surprises within each text, (2, N) each, and lengths (N,)."""
    means, costs = surprise(ids, lengths)
    ends = np.maximum(lengths.cpu().numpy(), 1)
    return means, np.maximum((costs**2).sum(axis=2) / ends - means**2, 0), ends


def _usual(means: Floats, variances: Floats, lengths: Integers) -> Usual:
    total, within = float(means.var()), float(variances.mean())
    between = max(total - within * float((1 / lengths).mean()), 0.1 * total, 1e-3)
    return Usual(mean=float(np.median(means)), within=within, between=between)


# The meaning of texts, by word vectors


class Meaning:
    """How far texts are from the nearest training text by what their words mean.

    Args:
        tensors: from `meaning_tensors`.

    Raises:
        ValueError: the parts do not fit together.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._word_vectors = WordVectors(tensors)
        if not {"vocabulary", "bank"} <= tensors.keys():
            raise ValueError("vocabulary and bank are missing")
        self._vocabulary = bytes(tensors["vocabulary"].to(torch.uint8).tolist()).decode().split("\n")
        self._joint = "" if " " in self._vocabulary else " "  # characters have a token for a space, words have none
        bank = checked_tensor(tensors, "bank", (len(tensors["bank"]), self._word_vectors.size)).cpu().numpy()
        lengths = np.linalg.norm(bank, axis=1, keepdims=True)
        self._bank: Floats32 = (bank / np.maximum(lengths, 1)).astype(np.float32)

    def distances(self, ids: Tensor, lengths: Tensor) -> list[float]:
        """Return 1 minus the cosine with the nearest training text for texts (N, L) of some lengths (N,)."""
        directions = self._word_vectors(texts_of(ids, lengths, self._vocabulary, self._joint))
        similarity = (directions @ self._bank.T).max(axis=1, initial=0)
        return (1 - similarity).tolist()  # type: ignore[no-any-return]

    def distances_left_out(self) -> list[float]:
        """Return the same for the training texts, each compared with the others that are no copies of it."""
        similarity = self._bank @ self._bank.T
        return (1 - np.where(similarity < 0.999, similarity, 0).max(axis=1, initial=0)).tolist()  # type: ignore[no-any-return]


def meaning_tensors(train: Batches, word_vectors: WordVectors, transform: TextTransform) -> dict[str, Tensor]:
    """Return the tensors for `Meaning`: word vectors, vocabulary, and a byte per number of the training texts."""
    bank = torch.from_numpy(word_vectors(training_texts(train, transform)) * 127).round().to(torch.int8)
    vocabulary = torch.tensor(list("\n".join(transform.vocabulary).encode()), dtype=torch.uint8)
    return {**word_vectors.tensors, "vocabulary": vocabulary, "bank": bank}


def training_texts(train: Batches, transform: TextTransform) -> list[str]:
    """Return the training texts as the network reads them, in the order of an unseeded epoch."""
    joint = " " if transform.tokens == "words" else ""
    return [text for (ids, lengths), _ in train.epoch() for text in texts_of(ids, lengths, transform.vocabulary, joint)]


def texts_of(ids: Tensor, lengths: Tensor, vocabulary: Sequence[str], joint: str) -> list[str]:
    """Join the tokens of texts (N, L) of some lengths (N,); a token that has no name is `UNREADABLE`."""
    names = [UNREADABLE if i <= UNKNOWN_ID else token for i, token in enumerate(vocabulary)]
    return [
        joint.join(names[i] if i < len(names) else UNREADABLE for i in row[:length])
        for row, length in zip(ids.tolist(), lengths.tolist(), strict=True)
    ]


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
