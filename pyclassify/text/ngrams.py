"""A hashed dictionary of the n-grams that tell labels apart, with a score each.

All of it is arithmetic on token ids, so that it can be exported with the network and followed in another language.
"""

from __future__ import annotations

from typing import Final

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


class NgramTable(nn.Module):
    """The wide part: a score per label for each telling n-gram, added up over the distinct n-grams of a text.

    An n-gram is hashed to a bucket and, within it, to one of `RIVALS` fingerprints. Every bucket belongs to the one
    fingerprint that says most about the labels in the training data; n-grams with another are passed over. This is a
    dictionary of the best n-grams in three bytes per entry, without the n-grams themselves. The scores start from
    naive-Bayes log-count ratios (`fit`) and are trained from there, which beats naive Bayes alone.

    Args:
        labels: K.
        buckets: rows of the table.
        order: n-grams of 1 up to this many tokens.
        shrinkage: the scores start at this share of the log-count ratios. The ratios have seen the training texts, so
            that at full size they fit them too well to leave anything to learn.
    """

    fingerprints: Tensor

    def __init__(self, *, labels: int, buckets: int, order: int, shrinkage: float) -> None:
        super().__init__()
        self.labels, self.buckets, self.order, self.shrinkage = labels, buckets, order, shrinkage
        # Two labels need one score: the log odds of the second over the first.
        scores = 1 if labels == 2 else labels
        self.table = nn.Embedding(buckets, scores)
        nn.init.zeros_(self.table.weight)
        self.bias = nn.Parameter(torch.zeros(scores))
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
        """Choose each bucket's n-gram and set its score by one pass over the training data."""
        counts, totals = self._count(batches)
        seen = counts.sum(dim=0)
        # How far the counts per label are from what the labels' shares alone would give: half of the G statistic.
        surprise = torch.zeros_like(seen)
        for having, share in zip(counts, totals / totals.sum().clamp(min=1), strict=True):
            surprise += torch.xlogy(having, having / (seen * share).clamp(min=1e-9))
        # An n-gram of a single text knows that text's label and no more; of equals the more frequent one is kept.
        surprise = torch.where(seen > 1, surprise + 1e-3 * seen.log1p(), -1.0)
        best, fingerprint = surprise.view(self.buckets, RIVALS).max(dim=1)
        self.fingerprints.copy_(torch.where(best >= 0, fingerprint, RIVALS))
        rows = torch.arange(self.buckets, device=fingerprint.device) * RIVALS + fingerprint
        having = counts[:, rows] * (best >= 0)
        lacking = having.sum(dim=0) - having + 1
        having = having + 1
        ratios = (having / having.sum(dim=1, keepdim=True)).log() - (lacking / lacking.sum(dim=1, keepdim=True)).log()
        ratios = self.shrinkage * (ratios[1:] if self.labels == 2 else ratios)
        self.table.weight.copy_((ratios * (best >= 0)).T)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """(N, L) int64 and (N,) int64 to (N, K)."""
        keys = self.keys(ids, lengths)
        buckets = keys // RIVALS
        known = self.fingerprints[buckets.clamp(max=self.buckets - 1)] == keys % RIVALS
        known = known & (buckets < self.buckets)
        buckets, counted = _distinct(torch.where(known, buckets, self.buckets), self.buckets)
        weights = counted / counted.sum(dim=1, keepdim=True).clamp(min=1).sqrt()
        scores: Tensor = (self.table(buckets) * weights.unsqueeze(2)).sum(dim=1) + self.bias
        return torch.cat([-scores / 2, scores / 2], dim=1) if self.labels == 2 else scores

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
