"""A hashed table of the n-grams that tell labels apart, with a score for each label.

It is arithmetic on token ids alone, so that it can be exported with the network and reimplemented in another language.
"""

from __future__ import annotations

import warnings
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyclassify.dataset import FOLDS, Batches, Integers, number_copies, stratified_folds

# The hash of an n-gram is h = (h * STEP + id) mod PRIME, token by token, then h * SPREAD mod PRIME mod buckets. Every
# product stays below 2^53, so that ONNX and JavaScript numbers give the same buckets.
PRIME: Final = 2_147_483_647
STEP: Final = 1_000_003
SPREAD: Final = 1_299_709

RIVALS: Final = 16
"""N-grams that compete for a bucket; a fingerprint below 16 and the mark of an empty bucket fit into a byte."""

MAX_ORDER: Final = 16
MAX_BUCKETS: Final = 2**26

SMALL_DATASET: Final = 10_000
"""Up to so many texts, n-grams of a single text are kept, as there are few others, and the rarer ones weigh more."""

FEW_TEXTS: Final = 5_000
"""Up to so many texts the longest n-grams are chosen by cross-validation: fewer texts need shorter ones."""

MAX_FOLDED_ENTRIES: Final = 10_000_000
"""N-grams of all texts together that cross-validation holds in memory, at 12 bytes each."""

MAX_ENTRIES: Final = 150_000_000
"""N-grams of all texts together that the solver is given, at 28 bytes each; of larger data a sample is drawn."""


Bools = np.ndarray[Any, np.dtype[np.bool_]]


class NgramTable(nn.Module):
    """The wide part: a score per label for each n-gram that is kept, summed over the distinct n-grams of a text.

    An n-gram is hashed to a bucket and, within it, to one of `RIVALS` fingerprints. Each bucket keeps the fingerprint
    that says most about the labels in the training data; n-grams with another are ignored. This is a dictionary of the
    best n-grams in three bytes per entry, without the n-grams themselves.

    The scores are those of a linear support vector machine on n-grams weighted by naive-Bayes log-count ratios (Wang
    and Manning 2012, "Baselines and Bigrams"); where texts are few, on plain n-grams. `fit` solves for them once; they
    are not trained with the network.

    Args:
        num_labels: K.
        buckets: rows of the table.
        order: n-grams of 1 up to this many tokens.
        cost: of an error, against large scores, in the support vector machine.

    Raises:
        ValueError: a size that makes the table useless, or too large for any machine.
    """

    fingerprints: Tensor

    def __init__(self, *, num_labels: int, buckets: int, order: int, cost: float = 1.0) -> None:
        super().__init__()
        for name, value, most in (("order", order, MAX_ORDER), ("buckets", buckets, MAX_BUCKETS)):
            if type(value) is not int or not 1 <= value <= most:
                raise ValueError(f"{name} of an n-gram table must be a whole number from 1 to {most:,}, got {value!r}")
        self.num_labels, self.buckets, self.order, self.cost = num_labels, buckets, order, cost
        columns = 1 if num_labels == 2 else num_labels  # two labels need one score: of the second, against the first
        self.table = nn.Embedding(buckets, columns)
        nn.init.zeros_(self.table.weight)
        self.bias = nn.Parameter(torch.zeros(columns))
        self.requires_grad_(False)
        # RIVALS itself is no fingerprint: a bucket that has it is empty
        self.register_buffer("fingerprints", torch.full((buckets,), RIVALS, dtype=torch.uint8))

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Map ids (N, L) int64 and lengths (N,) int64 to logits (N, K)."""
        buckets, weights = self._weighted_buckets(ids, lengths)
        scores: Tensor = (self.table(buckets) * weights.unsqueeze(2)).sum(dim=1) + self.bias
        return to_logits(scores, self.num_labels)

    def keys(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Hash all n-grams.

        Args:
            ids: (N, L) int64.
            lengths: (N,) int64.

        Returns:
            (N, order * L): bucket * RIVALS + fingerprint, or buckets * RIVALS past the end of a text.
        """
        num_tokens, num_keys = ids.shape[1], self.buckets * RIVALS
        positions = torch.arange(num_tokens, device=ids.device)
        value = torch.zeros_like(ids)
        keys = []
        for skip in range(self.order):
            value = (value * STEP + F.pad(ids, (0, skip))[:, skip : skip + num_tokens]) % PRIME
            is_inside = positions + skip < lengths.unsqueeze(1)
            keys.append(torch.where(is_inside, value * SPREAD % PRIME % num_keys, num_keys))
        return torch.cat(keys, dim=1)

    @torch.no_grad()
    def rescale(self, share: float, biases: Tensor) -> None:
        """Multiply all logits by a number, and add biases (K,) to them."""
        self.table.weight.mul_(share)
        self.bias.mul_(share).add_((biases[1:] - biases[:1] if self.num_labels == 2 else biases).to(self.bias))

    def token_scores(self, ids: Tensor) -> Tensor:
        """Share the logits of one text out to its tokens: each n-gram evenly to all its places and their tokens.

        Args:
            ids: (L,) int64.

        Returns:
            (L, K); the sum over the tokens is the logits without the bias.
        """
        num_tokens = len(ids)
        buckets = self._known_buckets(ids.unsqueeze(0), torch.tensor([num_tokens], device=ids.device))[0]
        _, places, counts = torch.unique(buckets, return_inverse=True, return_counts=True)
        is_known = buckets < self.buckets
        num_distinct = (is_known / counts[places]).sum().clamp(min=1)
        scores = self.table(buckets.clamp(max=self.buckets - 1)) * (is_known / counts[places]).unsqueeze(1)
        result = torch.zeros(num_tokens, scores.shape[1], device=ids.device)
        for skip, part in enumerate(scores.view(self.order, num_tokens, -1)):
            for place in range(min(skip + 1, num_tokens)):
                result[place:] += part[: num_tokens - place] / (skip + 1)
        return to_logits(result / num_distinct.sqrt(), self.num_labels)

    def _weighted_buckets(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return buckets (N, order * L) and their weights: 1 over the root of a text's distinct n-grams, or 0."""
        buckets, is_counted = distinct(self._known_buckets(ids, lengths), self.buckets)
        return buckets, is_counted / is_counted.sum(dim=1, keepdim=True).clamp(min=1).sqrt()

    def _known_buckets(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return each n-gram's bucket, (N, order * L), or `buckets` if the table does not have it."""
        keys = self.keys(ids, lengths)
        buckets = keys // RIVALS
        is_known = self.fingerprints[buckets.clamp(max=self.buckets - 1)] == keys % RIVALS
        return torch.where(is_known & (buckets < self.buckets), buckets, self.buckets)

    # Fitting

    @torch.no_grad()
    def fit(self, batches: Batches) -> None:
        """Choose each bucket's n-gram and solve for all scores, in two passes over the training data.

        Args:
            batches: (ids, lengths) and label ids; every label occurs.
        """
        counts, totals = self._count(batches)
        is_small = batches.num_examples <= SMALL_DATASET
        rows, is_kept = self._choose(counts, totals, least=1 if is_small else 2)
        document_frequency = counts[:, rows] * is_kept
        del counts
        num_entries = int(document_frequency.sum(dtype=torch.float64))
        others = document_frequency.sum(dim=0) - document_frequency + 1
        own = document_frequency + 1
        ratios = (own / own.sum(dim=1, keepdim=True)).log() - (others / others.sum(dim=1, keepdim=True)).log()
        # the ratios of a few texts are mostly noise: there, the rarity of an n-gram says more
        seen = document_frequency.sum(dim=0)
        weights = _rarity(seen, batches.num_examples) if is_small else ratios.abs().amax(dim=0)
        importance = (weights * is_kept).cpu()
        coefficients, intercepts = solve(*self._matrix(batches, importance, num_entries), cost=self.cost)
        self.table.weight.copy_((torch.from_numpy(coefficients).float() * importance).T)
        self.bias.copy_(torch.from_numpy(intercepts).float())

    def _count(self, batches: Batches) -> tuple[Tensor, Tensor]:
        """Count the texts of each label that have a key, (K, keys), and the distinct keys of its texts, (K,)."""
        device, num_keys = self.table.weight.device, self.buckets * RIVALS
        counts = torch.zeros(self.num_labels * num_keys, device=device)
        totals = torch.zeros(self.num_labels, device=device)
        for (ids, lengths), label_ids in batches.epoch():
            keys, is_counted = distinct(self.keys(ids.to(device), lengths.to(device)), num_keys)
            places = keys + label_ids.to(device).unsqueeze(1) * num_keys
            counts.index_add_(0, places.flatten(), is_counted.flatten().to(counts.dtype))
            totals.index_add_(0, label_ids.to(device), is_counted.sum(dim=1).to(totals.dtype))
        return counts.view(self.num_labels, num_keys), totals

    def _choose(self, counts: Tensor, totals: Tensor, *, least: int) -> tuple[Tensor, Tensor]:
        """Choose for each bucket the key of its n-gram, (buckets,), and whether it has one, (buckets,)."""
        seen = counts.sum(dim=0)
        # deviation of the counts per label from what the labels' shares alone would give: half of the G statistic
        gain = torch.zeros_like(seen)
        for observed, share in zip(counts, totals / totals.sum().clamp(min=1), strict=True):
            gain += torch.xlogy(observed, observed / (seen * share).clamp(min=1e-9))
        # of equals the more frequent one is kept
        gain = torch.where(seen >= least, gain + 1e-3 * seen.log1p(), -1.0)
        best, fingerprint = gain.view(self.buckets, RIVALS).max(dim=1)
        self.fingerprints.copy_(torch.where(best >= 0, fingerprint, RIVALS))
        return torch.arange(self.buckets, device=fingerprint.device) * RIVALS + fingerprint, best >= 0

    def _matrix(self, batches: Batches, importance: Tensor, num_entries: int) -> tuple[Any, Integers]:
        """Make the solver's input: (N, buckets) sparse, each text's n-grams by weight, and label ids (N,)."""
        from scipy.sparse import csr_matrix

        # allocated at once, and in the number formats that the solver takes: it would copy any other
        size = min(num_entries, MAX_ENTRIES)
        columns, values = np.empty(size, dtype=np.int32), np.empty(size)
        ends, label_ids = [0], []
        # without a seed short texts come first; a sample must have texts of all lengths
        for (ids, lengths), batch_label_ids in batches.epoch(None if size == num_entries else 0):
            buckets, weights = self._weighted_buckets(ids.to(self.bias.device), lengths.to(self.bias.device))
            buckets, weights = buckets.cpu(), weights.cpu()
            is_counted = weights > 0
            stop = ends[-1] + int(is_counted.sum())
            if stop > size:
                break
            columns[ends[-1] : stop] = buckets[is_counted].numpy()
            values[ends[-1] : stop] = (weights * importance[buckets])[is_counted].numpy()
            ends.extend((ends[-1] + is_counted.sum(dim=1).cumsum(dim=0)).tolist())
            label_ids.append(batch_label_ids.cpu().numpy())
        matrix = csr_matrix((values[: ends[-1]], columns[: ends[-1]], ends), (len(ends) - 1, self.buckets))
        return matrix, np.concatenate(label_ids)


class FoldedTexts:
    """The distinct n-grams of a few texts, for the answers of tables that are fitted without some of them.

    Args:
        table: whose n-grams and cost they are; it is not changed.
        batches: (ids, lengths) and label ids of N texts, of about MAX_FOLDED_ENTRIES n-grams at most.
    """

    def __init__(self, table: NgramTable, batches: Batches) -> None:
        from scipy.sparse import csr_matrix

        keys, ends, label_ids, texts = [], [0], [], []
        for (ids, lengths), batch_label_ids in batches.epoch():
            ids, lengths = ids.cpu(), lengths.cpu()
            batch_keys, is_counted = distinct(
                table.keys(ids.to(table.bias.device), lengths.to(table.bias.device)).cpu(), table.buckets * RIVALS
            )
            keys.append(batch_keys[is_counted].numpy())
            ends.extend((ends[-1] + is_counted.sum(dim=1).cumsum(dim=0)).tolist())
            label_ids.append(batch_label_ids.cpu())
            texts += [text[:length].numpy().tobytes() for text, length in zip(ids, lengths.tolist(), strict=True)]
        self._table = table
        self._keys, columns = np.unique(np.concatenate(keys), return_inverse=True)
        ones = np.ones(len(columns))
        self._matrix: Any = csr_matrix((ones, columns.astype(np.int32), ends), (len(ends) - 1, len(self._keys)))
        self.label_ids = torch.cat(label_ids)
        self.folds = fold_numbers(number_copies(texts), self.label_ids)

    def logits(self) -> Tensor:
        """Return the logits (N, K) that tables give to the fold that each of them is fitted without."""
        scores = np.zeros((len(self.label_ids), self._table.bias.numel()))
        for fold in range(FOLDS):
            inside = self.folds.numpy() == fold
            if inside.any() and not inside.all():
                scores[inside] = self._scores(~inside, inside)
        return to_logits(torch.from_numpy(scores), self._table.num_labels)

    def _scores(self, fitted: Bools, answered: Bools) -> Any:
        """Return the scores (A, columns) of the texts to answer by a table that is fitted to others."""
        from scipy.sparse import diags_array

        kept, seen = self._choose(fitted)
        weights = _rarity(torch.from_numpy(seen[kept]), int(fitted.sum())).numpy()
        parts = [self._matrix[rows][:, kept] for rows in (fitted, answered)]
        lengths = [np.maximum(part.sum(axis=1), 1) for part in parts]
        own, others = (
            (diags_array(np.asarray(length).ravel() ** -0.5) @ part @ diags_array(weights)).tocsr()
            for part, length in zip(parts, lengths, strict=True)
        )
        label_ids = self.label_ids.numpy()[fitted]
        return held_out_scores(own, label_ids, others, columns=self._table.bias.numel(), cost=self._table.cost)

    def _choose(self, fitted: Bools) -> tuple[Any, Any]:
        """Choose the n-gram of each bucket as `NgramTable` does; return their columns, and how many texts have each."""
        from scipy.sparse import csr_matrix

        part, label_ids = self._matrix[fitted], self.label_ids.numpy()[fitted]
        count = len(label_ids)
        by_label = csr_matrix((np.ones(count), (label_ids, np.arange(count))), (self._table.num_labels, count))
        observed = (by_label @ part).tocoo()
        seen = np.bincount(part.indices, minlength=len(self._keys)).astype(np.float64)
        totals = np.bincount(observed.row, weights=observed.data, minlength=self._table.num_labels)
        expected = seen[observed.col] * totals[observed.row] / totals.sum()
        deviations = observed.data * np.log(observed.data / expected)
        gain = np.bincount(observed.col, deviations, len(self._keys)) + 1e-3 * np.log1p(seen)
        buckets = self._keys // RIVALS
        order = np.lexsort((-np.arange(len(gain)), gain, seen > 0, buckets))
        last = order[np.append(np.diff(buckets[order]) > 0, True)]
        return last[seen[last] > 0], seen


def fold_numbers(groups: Integers, label_ids: Tensor) -> Tensor:
    """Assign texts to FOLDS folds, stratified by label, with copies in the same one.

    Args:
        groups: (N,) a number per text, the same for copies.
        label_ids: (N,) int64.

    Returns:
        (N,) int64 from 0 to FOLDS - 1; always the same for the same labels and copies.
    """
    distinct, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    shuffled = np.random.default_rng(0).permutation(len(distinct))
    return torch.from_numpy(stratified_folds(label_ids.numpy()[first], shuffled)[inverse])


def _rarity(seen: Tensor, num_texts: int) -> Tensor:
    """Weigh n-grams by their inverse document frequency, so that a text's mean square is about 1."""
    weights = ((1 + num_texts) / (1 + seen)).log() + 1
    return weights / ((weights.square() * seen).sum() / seen.sum().clamp(min=1)).sqrt().clamp(min=1e-6)


def distinct(values: Tensor, end: int) -> tuple[Tensor, Tensor]:
    """Sort each row, and mark the first of each value below `end`; values that are not marked mean nothing."""
    values = values.sort(dim=1).values
    is_first = values != F.pad(values[:, :-1], (1, 0), value=-1)
    return values.clamp(max=end - 1), is_first & (values < end)


def to_logits(scores: Tensor, num_labels: int) -> Tensor:
    """Map scores, (N, K), or (N, 1) for two labels, to logits (N, K)."""
    return torch.cat([-scores / 2, scores / 2], dim=1) if num_labels == 2 else scores


def held_out_scores(fitted: Any, label_ids: Integers, answered: Any, *, columns: int, cost: float) -> Any:
    """Return the scores (A, columns) of texts by the solution for others.

    Args:
        fitted: (N, F) features of the others.
        label_ids: (N,) of the others, some labels may be missing.
        answered: (A, F) features of the texts.
        columns: 1 for two labels, else K.
        cost: of an error.
    """
    present = np.unique(label_ids)
    # a label whose only texts are to be answered is never the answer
    scores = np.full((answered.shape[0], columns), -1.0)
    if columns == 1 and len(present) == 1:
        return scores * (1 - 2 * present[0])
    coefficients, intercepts = solve(fitted, label_ids, cost=cost)
    found = np.asarray(answered @ coefficients.T) + intercepts
    if columns > 1 and len(present) == 2:  # a single score, of the second of the two
        found = np.concatenate([-found, found], axis=1)
    scores[:, present if columns > 1 else slice(None)] = found
    return scores


def solve(matrix: Any, label_ids: Integers, *, cost: float) -> tuple[Any, Any]:
    """Return coefficients (K, F) and intercepts (K,) for features (N, F); a single row for two labels."""
    # imported here: only training needs it
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # nearly optimal is as good on other texts
        # balanced: an error on a rare label costs more, or the rare label would hardly ever be the answer
        machine = LinearSVC(C=cost, class_weight="balanced", tol=1e-3, max_iter=200, random_state=0)
        machine.fit(matrix, label_ids)
    return machine.coef_, machine.intercept_
