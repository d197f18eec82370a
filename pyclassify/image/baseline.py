"""What a few lines of scikit-learn make of the same pictures: a simple program to be better than."""

from __future__ import annotations

import warnings
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from pyclassify.examples import Batches

SIDE_PX: Final = 16
NAME: Final = f"logistic regression on {SIDE_PX} x {SIDE_PX} pixels"
MOST_PICTURES: Final = 50_000
"""More are thinned out evenly, so that the comparison takes a minute at most."""


def fit_and_answer(train: Batches, test: Batches) -> tuple[str, Tensor]:
    """Learn from the same pictures as the model, and answer.

    Args:
        train: N labelled pictures, with at least two labels among them.
        test: M pictures.

    Returns:
        What the program is called, and (M,) int64 label ids in the order of a pass without a seed.
    """
    from sklearn.exceptions import ConvergenceWarning  # only a training needs it
    from sklearn.linear_model import LogisticRegression

    pixels, label_ids = _small(train)
    step = -(-len(pixels) // MOST_PICTURES)
    mean, spread = pixels.mean(dim=0), pixels.std(dim=0) + 1e-6
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # nearly the best is as good on other pictures
        machine = LogisticRegression(C=0.01, max_iter=100, tol=1e-3)
        machine.fit(((pixels - mean) / spread)[::step].numpy(), label_ids[::step].numpy())
    answers = machine.predict(((_small(test)[0] - mean) / spread).numpy())
    return NAME, torch.from_numpy(answers).long()


def _small(batches: Batches) -> tuple[Tensor, Tensor]:
    """(N, 3 * SIDE_PX * SIDE_PX) float32 and (N,) label ids."""
    rows, label_ids = [], []
    for (pixels,), ids in batches.epoch():
        rows.append(functional.adaptive_avg_pool2d(pixels.float(), SIDE_PX).flatten(1).cpu())
        label_ids.append(ids.cpu())
    return torch.cat(rows), torch.cat(label_ids)
