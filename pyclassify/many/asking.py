"""A batch in which one input cannot be answered: the others are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyclassify.classifier import Classifier, Prediction


def predict_each(
    classifier: Classifier, inputs: Sequence[Any], problem: Callable[[Exception], str]
) -> list[Prediction | str]:
    """A prediction or a problem per input; one that cannot be answered is found by asking the halves anew.

    Args:
        classifier: who is asked.
        inputs: what its `predict` takes.
        problem: puts into words what was raised for a single input.
    """
    try:
        return list(classifier.predict(inputs))
    except Exception as error:
        if len(inputs) == 1:
            return [problem(error)]
        half = len(inputs) // 2
        return [
            *predict_each(classifier, inputs[:half], problem),
            *predict_each(classifier, inputs[half:], problem),
        ]
