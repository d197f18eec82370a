"""Sets of labels that hold the true one as often as they promise: split-conformal prediction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

COVERAGES: Final = ("0.90", "0.95", "0.99")
"""The shares of inputs whose set is to hold the true label, as they are written in config.json."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetScore:
    """How the sets of one coverage turned out on M examples.

    Args:
        coverage: share of the sets that hold the true label.
        mean_size: labels per set.
        single: share of the sets with one label.
        per_label: coverage among the examples of each label that has any.
    """

    coverage: float
    mean_size: float
    single: float
    per_label: dict[str, float]


def fit_sets(probabilities: Tensor, label_ids: Tensor) -> dict[str, float]:
    """For each of COVERAGES the least probability that puts a label into the set.

    A set is promised to hold the true label with that coverage for inputs like the validation data (Sadinle, Lei and
    Wasserman 2019, least ambiguous sets; Vovk et al. 2005), on average over all labels and not for each.

    Args:
        probabilities: (N, K) of validation data.
        label_ids: (N,) int64.

    Returns:
        0, which takes all labels in, where N is too small for the promise: below 9, 19 and 99.
    """
    ranked = probabilities[torch.arange(len(label_ids)), label_ids].sort().values.tolist()
    result = {}
    for coverage in COVERAGES:
        # of N + 1 examples, the new one included, at most this many may lie below
        below = math.floor((len(ranked) + 1) * (1 - float(coverage)) + 1e-9)
        result[coverage] = ranked[below - 1] if below else 0.0
    return result


def members(probabilities: Tensor, least: float) -> Tensor:
    """(N, K) probabilities to (N, K) bool: what is in the set; the likeliest label always is."""
    inside = probabilities >= least
    inside[torch.arange(len(probabilities)), probabilities.argmax(dim=1)] = True
    return inside


def score_sets(
    probabilities: Tensor, label_ids: Tensor, *, sets: Mapping[str, float], labels: Sequence[str]
) -> dict[str, SetScore]:
    """How often the sets hold the true label, and how large they are.

    Args:
        probabilities: (M, K) of examples that `sets` were not fitted on.
        label_ids: (M,) int64.
        sets: from `fit_sets`.
        labels: K names.
    """
    result = {}
    for coverage, least in sets.items():
        inside = members(probabilities, least)
        hits = inside[torch.arange(len(label_ids)), label_ids].double()
        sizes = inside.sum(dim=1).double()
        result[coverage] = SetScore(
            coverage=hits.mean().item(),
            mean_size=sizes.mean().item(),
            single=(sizes == 1).double().mean().item(),
            per_label={
                label: hits[label_ids == number].mean().item()
                for number, label in enumerate(labels)
                if (label_ids == number).any()
            },
        )
    return result
