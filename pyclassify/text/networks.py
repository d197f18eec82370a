"""Networks for text: logits (N, K) of token ids (N, L) and lengths (N,).

Ids are padded with 0 on the right; 1 is the unknown token. The logits do not depend on the padding, neither on its ids
nor on its length: every layer sees the valid tokens alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyclassify.dataset import FOLDS, Batches, Examples
from pyclassify.locales import Message
from pyclassify.text.encoder import Encoder
from pyclassify.text.ngrams import MAX_FOLDED_ENTRIES, SMALL_DATASET, FoldedTexts, NgramTable
from pyclassify.text.transform import UNKNOWN_ID
from pyclassify.text.word_scores import COSTS, WordScores
from pyclassify.training.config import TEXT_NETWORKS

LARGE_DATASET: Final = 200_000
"""Above so many texts, two epochs in large batches are enough: the n-gram table has learned from all of them."""

SHARE_COST: Final = 10.0
"""Gain in nats, summed over the validation texts, that a whole share of the deep part must bring to be believed."""

WORDS_SHARE_COST: Final = 0.5
"""The same for the scores of words, which have fewer ways to look useful by chance."""

SETTLED_AFTER: Final = 3
"""Epochs after which training stops if the deep part has no share and the n-gram table was cross-validated."""

ORDER: Final = {"words": 3, "characters": 6}
"""Length of the longest n-grams, in tokens."""

ORDERS: Final = {"words": (1, 2, 3), "characters": (2, 3, 4, 5)}
"""Lengths to choose from while texts are few."""

LEAST_SHARE: Final = 0.05
"""Smallest share of the table alone: without any, every text would get the same answer."""

BIAS_SPREAD: Final = 3.0
"""Standard deviation, in nats, of the biases that are expected: a weak pull to zero while texts are few."""

_TAUGHT: Final[dict[str, Any]] = {
    "taught": True,
    **{"embedding_size": 80, "channels": 96, "widths": [5, 3, 3]},
    **{"dropout": 0.2, "word_dropout": 0.05},
}
"""Settings of a network that learns from a teacher: it sees more tokens at once, and has enough texts for that."""

TAUGHT_VOCABULARY: Final = 20_000
"""Tokens that such a network knows."""

MANY_LESSONS: Final = 50_000
"""Number of a teacher's answers above which three epochs are enough."""

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

    @torch.no_grad()
    def load_vectors(self, vectors: Tensor) -> None:
        """Begin the embedding of the first tokens with vectors (V, embedding_size); padding and unknown stay random."""
        count = min(len(vectors), self.embedding.num_embeddings)
        self.embedding.weight[UNKNOWN_ID + 1 : count] = vectors[UNKNOWN_ID + 1 : count]

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
    training texts, and would leave the network nothing to learn.

    A support vector machine predicts rare labels too rarely. So the logits are a logistic regression on the outputs of
    the parts: a share for each, and a bias per label. While texts are few, it is fitted to out-of-fold outputs of the
    table and becomes part of it; validation data only decides whether the network adds anything. With more texts it is
    fitted to validation data.

    Beside the table there may be scores of English words by their vectors, which are part of the same cross-validation.

    Args:
        num_labels: K.
        vocabulary_size: V, padding and the unknown token included.
        buckets: rows of the n-gram table.
        order: n-grams of 1 up to this many tokens.
        cost: of an error, against large scores, in the support vector machine of the table.
        cross_validated: whether the table is calibrated by cross-validation on the training data.
        biases: whether there is a bias per label beside the table's own, fitted to validation data.
        taught: whether the network learned from a teacher: then it need not prove its use on validation data, which is
            often too small for that.
        deep_vocabulary: tokens that the convolutions know, the first of the vocabulary.
        embedding_size: numbers per token.
        channels: numbers per token after each convolution; 0 for a table without a network.
        widths: tokens that each convolution sees, odd numbers.
        dropout: share of the numbers before the last layer that are set to zero in training.
        word_dropout: share of the tokens that are made unknown in training.
        words: arguments of `WordScores` for a part on word vectors beside the table; None for none. It needs
            `cross_validated`.
    """

    shares: Tensor
    biases: Tensor | None
    deep: Convolutions | None
    words: WordScores | None

    def __init__(
        self,
        *,
        num_labels: int,
        vocabulary_size: int,
        buckets: int,
        order: int,
        cost: float = 1.0,
        cross_validated: bool = False,
        biases: bool = False,
        taught: bool = False,
        deep_vocabulary: int = 12_000,
        embedding_size: int = 48,
        channels: int = 96,
        widths: Sequence[int] = (5,),
        dropout: float = 0.4,
        word_dropout: float = 0.1,
        words: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        self.cross_validated, self.taught = cross_validated, taught
        self.register_buffer("shares", torch.ones(2))
        self.register_buffer("biases", torch.zeros(num_labels) if biases else None)
        self.wide = NgramTable(num_labels=num_labels, buckets=buckets, order=order, cost=cost)
        self.words = None if words is None else WordScores(num_labels=num_labels, **words)
        self.deep = None
        if channels:
            self.deep = Convolutions(
                num_labels=num_labels,
                vocabulary_size=min(vocabulary_size, deep_vocabulary),
                embedding_size=embedding_size,
                channels=channels,
                widths=widths,
                dropout=dropout,
                word_dropout=word_dropout,
            )
        self._folded: tuple[Tensor, Tensor] | None = None

    @torch.no_grad()
    def prepare(self, batches: Batches) -> None:
        """Fit the n-gram table to the training data, and calibrate it by cross-validation, before the first epoch."""
        self.wide.fit(batches)
        self.shares.copy_(torch.tensor([1.0, 0.0 if self.deep is None else 1.0]))
        if not self.cross_validated:
            return
        texts = FoldedTexts(self.wide, batches)
        logits = texts.logits().unsqueeze(0)
        if self.words is not None:
            logits = torch.cat([logits, _fit_words(self.words, batches, texts).unsqueeze(0)])
        regression = fit_regression(logits, texts.label_ids, share_cost=WORDS_SHARE_COST)
        self.wide.rescale(float(regression.shares[0]), regression.biases)
        if self.words is not None:
            self.words.rescale(float(regression.shares[1]))
        self._folded = _cross_fitted(logits, texts.label_ids, texts.folds), texts.label_ids

    @torch.no_grad()
    def tune(self, batches: Batches) -> None:
        """Set the shares of both parts to the most likely ones, and the biases if there are any.

        Args:
            batches: of validation data; on training data the table would seem infallible. Without any, nothing changes.
        """
        if self.deep is None or not batches.num_examples:
            return
        self.eval()
        device = self.shares.device
        rows = [
            (torch.stack([part(ids.to(device), lengths.to(device)) for part in (self._linear, self.deep)]), label_ids)
            for (ids, lengths), label_ids in batches.epoch()
        ]
        logits = torch.cat([part_logits for part_logits, _ in rows], dim=1).double().cpu()
        label_ids = torch.cat([label_ids for _, label_ids in rows]).cpu()
        regression = fit_regression(logits, label_ids, with_biases=self.biases is not None, is_taught=self.taught)
        self.shares.copy_(regression.shares)
        if self.biases is not None:
            self.biases.copy_(regression.biases)
        if self.cross_validated and not self.shares[1]:
            self.shares[0] = 1  # cross-validation on all training texts knows the share of the table alone better

    def out_of_fold(self) -> tuple[Tensor, Tensor] | None:
        """Return logits (N, K) of the training texts by fits without them, and label ids (N,), as in an unseeded epoch.

        None if there was no cross-validation, or if the network has a share too.
        """
        return None if self._has_deep_share() else self._folded

    def settled(self, num_epochs: int) -> Message | None:
        """Return the reason to stop where the network has no share after a few epochs."""
        if self.taught or not self.cross_validated or num_epochs < SETTLED_AFTER or self._has_deep_share():
            return None
        return Message("notes.deep_part_without_share", {"epochs": num_epochs})

    def _has_deep_share(self) -> bool:
        return self.deep is not None and bool(self.shares[1] > 0)

    def _linear(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return the logits of the table, and of the words if there is such a part."""
        logits: Tensor = self.wide(ids, lengths)
        return logits if self.words is None else logits + self.words(ids, lengths)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Map ids (N, L) int64 and lengths (N,) int64 to logits (N, K); in training those of the deep part alone."""
        if self.training and self.deep is not None:
            return self.deep(ids, lengths)  # type: ignore[no-any-return]
        logits: Tensor = self.shares[0] * self._linear(ids, lengths)
        if self.deep is not None:
            logits = logits + self.shares[1] * self.deep(ids, lengths)
        return logits if self.biases is None else logits + self.biases


@dataclass(frozen=True, slots=True)
class Regression:
    """A logistic regression on the answers of several parts.

    Args:
        shares: (P,) float32, one for each part, none negative.
        biases: (K,) float32.
    """

    shares: Tensor
    biases: Tensor


def fit_regression(
    logits: Tensor,
    label_ids: Tensor,
    *,
    with_biases: bool = True,
    is_taught: bool = False,
    share_cost: float = SHARE_COST,
) -> Regression:
    """Minimize the cross-entropy of logits that are mixed in shares, with biases.

    Args:
        logits: (P, N, K) float64, of P parts: the table, and the network or the scores of words if there are two.
        label_ids: (N,) int64.
        with_biases: whether the biases are fitted, too; without, they are zero.
        is_taught: whether the network learned from a teacher: then a share of one half is expected of both parts.
        share_cost: gain in nats, summed over the texts, that a whole share of the second part must bring.

    Returns:
        Shares of at least 0, or LEAST_SHARE of a single part, and biases.
    """
    from scipy.optimize import minimize  # only training needs it

    num_parts, count, num_labels = logits.shape
    num_biases = num_labels if with_biases else 0

    def loss(point: Any) -> tuple[float, Any]:
        values = torch.tensor(point, requires_grad=True)
        shares, biases = values[:num_parts], values[num_parts:]
        # A small penalty on the shares: where every answer is right, ever larger shares would be likelier still. And
        # the deep part has to earn its share: on a few hundred texts it can look useful by chance.
        penalty = 1e-4 * count * shares.square().sum()
        penalty = penalty + share_cost * ((shares - 0.5).square() if is_taught else shares[1:]).sum()
        penalty = penalty + biases.square().sum() / (2 * BIAS_SPREAD**2)
        if num_parts == 1:  # with next to no texts it stays near 1
            penalty = penalty + shares.log().square().sum() / 2
        mixed = torch.einsum("p,pnk->nk", shares, logits)
        total = (
            F.cross_entropy(mixed + biases if with_biases else mixed, label_ids, reduction="sum") + penalty
        ) / count
        total.backward()  # type: ignore[no-untyped-call]
        return total.item(), values.grad.numpy()  # type: ignore[union-attr]

    bounds = [(LEAST_SHARE if num_parts == 1 else 0.0, 20.0)] * num_parts + [(-20.0, 20.0)] * num_biases
    first = [1.0] * num_parts + [0.0] * num_biases
    with torch.enable_grad():
        result = minimize(loss, x0=first, jac=True, bounds=bounds, method="L-BFGS-B")
    point = torch.from_numpy(result.x).float()
    return Regression(point[:num_parts], point[num_parts:] if with_biases else torch.zeros(num_labels))


def _cross_fitted(logits: Tensor, label_ids: Tensor, folds: Tensor) -> Tensor:
    """Calibrate the logits (P, N, K) of P parts of each fold by a regression on the other folds: (N, K) float32."""
    result = torch.empty(logits.shape[1:])
    for fold in range(FOLDS):
        inside = folds == fold
        if not inside.any():
            continue
        others = ~inside if not inside.all() else inside
        regression = fit_regression(logits[:, others], label_ids[others], share_cost=WORDS_SHARE_COST)
        mixed = torch.einsum("p,pnk->nk", regression.shares, logits[:, inside].float())
        result[inside] = mixed + regression.biases
    return result


def _fit_words(words: WordScores, batches: Batches, texts: FoldedTexts) -> Tensor:
    """Fit the scores of words at the cost that answers other folds best; return their out-of-fold logits (N, K)."""
    losses = {}
    for cost in COSTS:
        logits = words.fit(batches, texts.folds, cost=cost)
        regression = fit_regression(logits.unsqueeze(0), texts.label_ids)
        mixed = logits * regression.shares[0] + regression.biases
        losses[cost] = F.cross_entropy(mixed, texts.label_ids).item()
    return words.fit(batches, texts.folds, cost=min(COSTS, key=lambda cost: losses[cost]))


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


_NETWORKS: Final[dict[str, Callable[..., nn.Module]]] = {"wide_deep": WideDeep, "lstm": Lstm, "encoder": Encoder}


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
    name: str,
    *,
    vocabulary_size: int,
    num_labels: int,
    tokens: str,
    num_examples: int,
    num_tokens: int,
    is_taught: bool = False,
) -> dict[str, Any]:
    """Choose a network's sizes by the size of the training data.

    Args:
        name: one of TEXT_NETWORKS.
        vocabulary_size: V, padding and the unknown token included.
        num_labels: K.
        tokens: "words" or "characters".
        num_examples: training texts.
        num_tokens: tokens of all training texts together.
        is_taught: whether a teacher answers many more texts, from which a larger network learns.

    Returns:
        Keyword arguments for `build`, plain JSON values.
    """
    if name == "lstm":
        return {"vocabulary_size": vocabulary_size, "embedding_size": 300, "hidden_size": 256}
    is_large = num_examples > 20_000
    order = ORDER[tokens]
    cross_validated = num_examples <= SMALL_DATASET and order * num_tokens <= MAX_FOLDED_ENTRIES
    return {
        "vocabulary_size": vocabulary_size,
        "buckets": _buckets(num_labels, 4 * num_tokens if cross_validated else num_tokens),
        "order": order,
        "cross_validated": cross_validated,
        "biases": not cross_validated,
        "deep_vocabulary": min(vocabulary_size, 12_000),
        "embedding_size": 48 if is_large else 32,
        "channels": 96 if is_large else 64,
        "widths": [5] if tokens == "words" else [5, 5],
        "dropout": 0.4,
        "word_dropout": 0.1 if tokens == "words" else 0.03,
        **({**_TAUGHT, "deep_vocabulary": min(vocabulary_size, TAUGHT_VOCABULARY)} if is_taught else {}),
    }


def choose_order(batches: Batches, *, tokens: str, num_labels: int, buckets: int) -> int:
    """Choose the length of the longest n-grams by cross-validation: the fewer the texts, the shorter.

    Args:
        batches: (ids, lengths) and label ids of the training texts, up to FEW_TEXTS.
        tokens: "words" or "characters".
        num_labels: K.
        buckets: of the table.

    Returns:
        One of ORDERS[tokens].
    """
    losses = {}
    for order in ORDERS[tokens]:
        texts = FoldedTexts(NgramTable(num_labels=num_labels, buckets=buckets, order=order), batches)
        logits = _cross_fitted(texts.logits().unsqueeze(0), texts.label_ids, texts.folds)
        losses[order] = F.cross_entropy(logits, texts.label_ids).item()
    return min(losses, key=lambda order: losses[order])


def needs_words(words: WordScores, table: NgramTable, batches: Batches) -> bool:
    """Return whether the scores of words lower the loss of cross-validation beside the table.

    Args:
        words: with word vectors; they are fitted.
        table: whose n-grams are counted; it is not changed.
        batches: (ids, lengths) and label ids of the training texts, up to FEW_FOR_WORDS.
    """
    texts = FoldedTexts(table, batches)
    logits = torch.stack([texts.logits(), _fit_words(words, batches, texts)])
    return bool(fit_regression(logits, texts.label_ids, share_cost=WORDS_SHARE_COST).shares[1] > 0)


def _buckets(num_labels: int, num_tokens: int) -> int:
    """Return a power of two near the number of n-grams worth keeping; the table stays below about 8 MB.

    Of a few texts more n-grams are kept for each token: cross-validation then finds fewer errors.
    """
    columns = 1 if num_labels == 2 else num_labels
    most = max(12, 21 - max(1, math.ceil(math.log2(columns))))
    return int(2 ** min(most, max(17, math.ceil(math.log2(max(1, num_tokens / 8))))))


def fit_defaults(name: str, *, num_examples: int = 25_000, num_lessons: int = 0) -> dict[str, Any]:
    """Return the settings of the optimizer that suit a network, as arguments of `FitConfig`.

    Args:
        name: one of TEXT_NETWORKS.
        num_examples: training texts; few need more epochs and smaller batches.
        num_lessons: texts that a teacher has answered, if there is one.
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
        **({"batch_size": 128, "epochs": 3} if num_lessons > MANY_LESSONS else {}),
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
