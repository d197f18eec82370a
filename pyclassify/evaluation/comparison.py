"""Whether one model is better than another, on the same examples."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pyclassify.evaluation.scores import accuracy_with_interval

SURE = 0.05
"""Below this p-value a difference is called one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A simple program that learned from the same training examples, beside ours on M test examples.

    Args:
        name: of the other program.
        accuracy: its share of right answers.
        accuracy_interval: 95 % interval (Wilson 1927).
        only_ours: examples that only our model got right.
        only_other: examples that only the other got right.
        p_value: of McNemar's exact test (1947): how likely so uneven a share of these examples is if both are as good.
    """

    name: str
    accuracy: float
    accuracy_interval: tuple[float, float]
    only_ours: int
    only_other: int
    p_value: float

    def verdict(self) -> str:
        """Whether ours is better, in one sentence."""
        counts = f"{self.only_ours:,} answers right that it got wrong, {self.only_other:,} the other way round"
        if self.p_value >= SURE:
            return f"Not shown to differ from it ({counts}; McNemar's test, {p_shown(self.p_value)})."
        better = "Better" if self.only_ours > self.only_other else "Worse"
        return f"{better} than it ({counts}; McNemar's test, {p_shown(self.p_value)})."


def p_shown(p_value: float) -> str:
    """A p-value as people write it; the smallest cannot be told apart from 0 in a computer's numbers."""
    return "p < 1e-99" if p_value < 1e-99 else f"p = {p_value:.2g}"


def compare(name: str, answers: Tensor, other: Tensor, label_ids: Tensor) -> Comparison:
    """Compare the answers of two models by McNemar's exact test.

    Args:
        name: of the other model.
        answers: (M,) label ids that ours gave.
        other: (M,) label ids that the other gave.
        label_ids: (M,) int64, the true ones.
    """
    from scipy.stats import binomtest  # only a training needs it

    ours, theirs = answers == label_ids, other == label_ids
    only_ours, only_other = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    uneven = only_ours + only_other
    accuracy, interval = accuracy_with_interval(int(theirs.sum()), len(label_ids))
    return Comparison(
        name=name,
        accuracy=accuracy,
        accuracy_interval=interval,
        only_ours=only_ours,
        only_other=only_other,
        p_value=float(binomtest(only_ours, uneven, 0.5).pvalue) if uneven else 1.0,
    )
