"""Whether explanations come from what a network has learned: the check of Adebayo et al. 2018.

"Sanity Checks for Saliency Maps": with other weights the explanation must be another, and with a little noise nearly
the same.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from pyclassify import Classifier, Explanation, PictureExplanation, TextExplanation
from pyclassify.checkpoint import Checkpoint

FEWEST_WORDS = 5
"""Of a text whose words' weights are correlated."""

NOISE = 4.0
"""Standard deviation of what is added to a picture's pixels, of 255."""

Array = np.ndarray[Any, Any]


def likeness(
    loaded: Checkpoint, classifier: Classifier, inputs: Sequence[Any], most: int, generator: np.random.Generator
) -> dict[str, Any]:
    """Mean rank correlations of a network's explanations with those of others.

    Args:
        loaded: the network.
        classifier: the same, ready to answer.
        inputs: pictures or texts; those with too few words are passed over.
        most: how many are explained.
        generator: draws the noise.

    Returns:
        Plain data: "shuffled", with the same network when the weights of each layer stand in random order;
        "shuffled_sizes", the same of the weights without their signs; "noised", with the same network when the input
        has a little noise on it or lacks a word.
    """
    other = Classifier(replace(loaded, model=_shuffled(loaded.model)), classifier.device)
    rows: list[list[float]] = []
    for input in inputs:
        found = classifier.explain(input)
        if isinstance(found, TextExplanation) and len(found.spans) < FEWEST_WORDS:
            continue
        trained, random = _weights(found), _weights(other.explain(input, found.label))
        kept, noised = _noised(loaded, classifier, input, found, generator)
        rows.append(
            [_spearman(trained, random), _spearman(abs(trained), abs(random)), _spearman(trained[kept], noised)]
        )
        if len(rows) == most:
            break
    names = ("shuffled", "shuffled_sizes", "noised")
    means = np.mean(rows, axis=0).tolist()
    return {"checkpoint": loaded.name, "n": len(rows), **dict(zip(names, means, strict=True))}


def _shuffled(model: torch.nn.Module) -> torch.nn.Module:
    """The same network with each layer's weights in random order, so that they are as large as they were."""
    model = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for each in model.parameters():
            each.copy_(each.flatten()[torch.randperm(each.numel(), generator=generator)].view_as(each))
    return model


def _weights(found: Explanation) -> Array:
    if isinstance(found, PictureExplanation):
        return found.seen.ravel().astype(np.float64)
    return np.array([weight for _, _, weight in found.spans])


def _noised(
    loaded: Checkpoint,
    classifier: Classifier,
    input: Any,
    found: Explanation,
    generator: np.random.Generator,
) -> tuple[Array, Array]:
    """Which weights can be compared, and those of the same input with a little noise, or without one of its words."""
    if isinstance(found, TextExplanation):
        dropped = generator.integers(len(found.spans))
        shortened = without(input, found, np.array([dropped]))
        return np.delete(np.arange(len(found.spans)), dropped), _weights(classifier.explain(shortened, found.label))
    pixels = loaded.transform(input).tensor.permute(1, 2, 0).numpy()
    noisy = (pixels + generator.normal(0, NOISE, pixels.shape)).round().clip(0, 255).astype(np.uint8)
    return np.arange(found.seen.size), _weights(classifier.explain(noisy, found.label))


def _spearman(first: Array, second: Array) -> float:
    from scipy.stats import rankdata

    one, two = (rankdata(each) - (len(each) + 1) / 2 for each in (first, second))
    length = float(np.sqrt((one**2).sum() * (two**2).sum()))
    return float((one * two).sum()) / length if length else 0.0  # what is all the same is like nothing


def without(text: str, found: TextExplanation, chosen: Array) -> str:
    """The text with spaces in the place of the words at these positions."""
    for position in sorted(chosen, reverse=True):
        start, end, _ = found.spans[position]
        text = f"{text[:start]} {text[end:]}"
    return text
