"""A hashed dictionary of the n-grams that tell labels apart, with a score each.

All of it is arithmetic on token ids, so that it can be exported with the network and followed in another language.
"""

from __future__ import annotations

import warnings
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyclassify.examples import Batches

# The hash of an n-gram is h = (h * STEP + id) mod PRIME, token by token, then h * SPREAD mod PRIME mod buckets. Every
# product stays below 2^53, so that ONNX and JavaScript numbers give the very same buckets.
PRIME: Final = 2_147_483_647
STEP: Final = 1_000_003
SPREAD: Final = 1_299_709
# How many n-grams compete for a bucket; a fingerprint below 16 and the mark of an empty bucket fit into a byte.
RIVALS: Final = 16
MOST_ORDER: Final = 16
MOST_BUCKETS: Final = 2**26
# Up to this many texts, n-grams of a single one are kept, as there are few others, and all count alike.
FEW_TEXTS: Final = 10_000
MOST_ENTRIES: Final = 150_000_000
"""N-grams of all texts together that the solver is given, at 28 bytes each; of more texts some are drawn."""


class NgramTable(nn.Module):
    """The wide part: a score per label for each telling n-gram, added up over the distinct n-grams of a text.

    An n-gram is hashed to a bucket and, within it, to one of `RIVALS` fingerprints. Every bucket belongs to the one
    fingerprint that says most about the labels in the training data; n-grams with another are passed over. This is a
    dictionary of the best n-grams in three bytes per entry, without the n-grams themselves.

    The scores are those of a linear support vector machine on n-grams weighted by naive-Bayes log-count ratios (Wang
    and Manning 2012, "Baselines and Bigrams"); where texts are few, on plain n-grams. They are found once, by `fit`,
    and are not trained with the network.

    Args:
        labels: K.
        buckets: rows of the table.
        order: n-grams of 1 up to this many tokens.
        cost: what an error costs the support vector machine against large scores.

    Raises:
        ValueError: a size with which the table would be of no use, or too large for any machine.
    """

    fingerprints: Tensor

    def __init__(self, *, labels: int, buckets: int, order: int, cost: float = 1.0) -> None:
        super().__init__()
        for size, value, most in (("order", order, MOST_ORDER), ("buckets", buckets, MOST_BUCKETS)):
            if type(value) is not int or not 1 <= value <= most:
                raise ValueError(f"{size} of an n-gram table must be a whole number from 1 to {most:,}, got {value!r}")
        self.labels, self.buckets, self.order, self.cost = labels, buckets, order, cost
        # Two labels need one score: for the second, against the first.
        scores = 1 if labels == 2 else labels
        self.table = nn.Embedding(buckets, scores)
        nn.init.zeros_(self.table.weight)
        self.bias = nn.Parameter(torch.zeros(scores))
        self.requires_grad_(False)
        # RIVALS itself is no fingerprint: a bucket that has it is empty.
        self.register_buffer("fingerprints", torch.full((buckets,), RIVALS, dtype=torch.uint8))

    def keys(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """(N, L) and (N,) to (N, order * L): bucket * RIVALS + fingerprint, or buckets * RIVALS past a text's end."""
        tokens, keys = ids.shape[1], self.buckets * RIVALS
        positions = torch.arange(tokens, device=ids.device)
        value = torch.zeros_like(ids)
        found = []
        for skip in range(self.order):
            value = (value * STEP + F.pad(ids, (0, skip))[:, skip : skip + tokens]) % PRIME
            inside = positions + skip < lengths.unsqueeze(1)
            found.append(torch.where(inside, value * SPREAD % PRIME % keys, keys))
        return torch.cat(found, dim=1)

    @torch.no_grad()
    def fit(self, batches: Batches) -> None:
        """Choose each bucket's n-gram and find all scores, by two passes over the training data.

        Args:
            batches: (ids, lengths) and label ids; every label occurs.
        """
        counts, totals = self._count(batches)
        few = batches.examples <= FEW_TEXTS
        rows, kept = self._choose(counts, totals, least=1 if few else 2)
        having = counts[:, rows] * kept
        del counts
        entries = int(having.sum(dtype=torch.float64))
        lacking = having.sum(dim=0) - having + 1
        having = having + 1
        ratios = (having / having.sum(dim=1, keepdim=True)).log() - (lacking / lacking.sum(dim=1, keepdim=True)).log()
        # The ratios of a few texts are mostly noise: there, all n-grams alike gave better answers in cross-validation.
        importance = ((torch.ones_like(ratios[0]) if few else ratios.abs().amax(dim=0)) * kept).cpu()
        coefficients, intercepts = _solve(*self._matrix(batches, importance, entries), cost=self.cost)
        self.table.weight.copy_((torch.from_numpy(coefficients).float() * importance).T)
        self.bias.copy_(torch.from_numpy(intercepts).float())

    def _choose(self, counts: Tensor, totals: Tensor, *, least: int) -> tuple[Tensor, Tensor]:
        """For each bucket the key of its n-gram, (buckets,), and whether it has one, (buckets,)."""
        seen = counts.sum(dim=0)
        # How far the counts per label are from what the labels' shares alone would give: half of the G statistic.
        surprise = torch.zeros_like(seen)
        for having, share in zip(counts, totals / totals.sum().clamp(min=1), strict=True):
            surprise += torch.xlogy(having, having / (seen * share).clamp(min=1e-9))
        # Of equals the more frequent one is kept.
        surprise = torch.where(seen >= least, surprise + 1e-3 * seen.log1p(), -1.0)
        best, fingerprint = surprise.view(self.buckets, RIVALS).max(dim=1)
        self.fingerprints.copy_(torch.where(best >= 0, fingerprint, RIVALS))
        return torch.arange(self.buckets, device=fingerprint.device) * RIVALS + fingerprint, best >= 0

    def _matrix(self, batches: Batches, importance: Tensor, entries: int) -> tuple[Any, np.ndarray[Any, Any]]:
        """(N, buckets) sparse, each row's n-grams by importance over the root of their number, and (N,) label ids."""
        from scipy.sparse import csr_matrix

        # Made as large as needed, and in the number formats that the solver takes: it would copy any other.
        size = min(entries, MOST_ENTRIES)
        columns, values = np.empty(size, dtype=np.int32), np.empty(size)
        ends, label_ids = [0], []
        # Without a seed short texts come first; where not all can be taken, they shall be of all lengths.
        for (ids, lengths), label_id in batches.epoch(None if size == entries else 0):
            found, weights = self.weights(ids.to(self.bias.device), lengths.to(self.bias.device))
            found, weights = found.cpu(), weights.cpu()
            counted = weights > 0
            stop = ends[-1] + int(counted.sum())
            if stop > size:
                break
            columns[ends[-1] : stop] = found[counted].numpy()
            values[ends[-1] : stop] = (weights * importance[found])[counted].numpy()
            ends.extend((ends[-1] + counted.sum(dim=1).cumsum(dim=0)).tolist())
            label_ids.append(label_id.cpu().numpy())
        matrix = csr_matrix((values[: ends[-1]], columns[: ends[-1]], ends), (len(ends) - 1, self.buckets))
        return matrix, np.concatenate(label_ids)

    def weights(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(N, L) and (N,) to two (N, order * L): buckets, and 1 over the root of a text's n-grams, or 0, for each."""
        buckets, counted = _distinct(self._known(ids, lengths), self.buckets)
        return buckets, counted / counted.sum(dim=1, keepdim=True).clamp(min=1).sqrt()

    def _known(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """(N, L) and (N,) to (N, order * L): each n-gram's bucket, or `buckets` where the table does not have it."""
        keys = self.keys(ids, lengths)
        buckets = keys // RIVALS
        known = self.fingerprints[buckets.clamp(max=self.buckets - 1)] == keys % RIVALS
        return torch.where(known & (buckets < self.buckets), buckets, self.buckets)

    def token_scores(self, ids: Tensor) -> Tensor:
        """What each token of one text brings: n-grams are shared out evenly, to all their places and all their tokens.

        Args:
            ids: (L,) int64.

        Returns:
            (L, K); their sum is the text's logits but for the bias.
        """
        tokens = len(ids)
        buckets = self._known(ids.unsqueeze(0), torch.tensor([tokens], device=ids.device))[0]
        _, places, counts = torch.unique(buckets, return_inverse=True, return_counts=True)
        known = buckets < self.buckets
        distinct = (known / counts[places]).sum().clamp(min=1)
        scores = self.table(buckets.clamp(max=self.buckets - 1)) * (known / counts[places]).unsqueeze(1)
        result = torch.zeros(tokens, scores.shape[1], device=ids.device)
        for skip, part in enumerate(scores.view(self.order, tokens, -1)):
            for place in range(min(skip + 1, tokens)):
                result[place:] += part[: tokens - place] / (skip + 1)
        return self._logits(result / distinct.sqrt())

    def _logits(self, scores: Tensor) -> Tensor:
        """Two labels have one score: for the second, against the first."""
        return torch.cat([-scores / 2, scores / 2], dim=1) if self.labels == 2 else scores

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """(N, L) int64 and (N,) int64 to (N, K)."""
        buckets, weights = self.weights(ids, lengths)
        scores: Tensor = (self.table(buckets) * weights.unsqueeze(2)).sum(dim=1) + self.bias
        return self._logits(scores)

    def _count(self, batches: Batches) -> tuple[Tensor, Tensor]:
        """In how many texts of each label a key is, (K, keys), and how many keys each label's texts have, (K,)."""
        device, keys = self.table.weight.device, self.buckets * RIVALS
        counts = torch.zeros(self.labels * keys, device=device)
        totals = torch.zeros(self.labels, device=device)
        for (ids, lengths), label_ids in batches.epoch():
            found, counted = _distinct(self.keys(ids.to(device), lengths.to(device)), keys)
            places = found + label_ids.to(device).unsqueeze(1) * keys
            counts.index_add_(0, places.flatten(), counted.flatten().to(counts.dtype))
            totals.index_add_(0, label_ids.to(device), counted.sum(dim=1).to(totals.dtype))
        return counts.view(self.labels, keys), totals


def _distinct(values: Tensor, end: int) -> tuple[Tensor, Tensor]:
    """Sort each row, and mark each value below `end` where it stands first; what is not marked is no answer."""
    values = values.sort(dim=1).values
    first = values != F.pad(values[:, :-1], (1, 0), value=-1)
    return values.clamp(max=end - 1), first & (values < end)


def _solve(matrix: Any, label_ids: np.ndarray[Any, Any], *, cost: float) -> tuple[Any, Any]:
    """Coefficients (K, buckets) and intercepts (K,); a single row where there are two labels."""
    # imported here: only a training needs it
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # nearly the best is as good on other texts
        # balanced: an error on a rare label costs more, or the rare label would hardly ever be the answer
        machine = LinearSVC(C=cost, class_weight="balanced", tol=1e-3, max_iter=200, random_state=0)
        machine.fit(matrix, label_ids)
    return machine.coef_, machine.intercept_
