"""Faithfulness of explanations: `python -m benchmarks.explain`.

A tenth of each test input is taken away, once the tenth that the explanation ranks first and once random ones: the
probability of the label must fall further the first time. And explanations must depend on what the network learned
(Adebayo et al. 2018, "Sanity Checks for Saliency Maps"): with shuffled weights the explanation must be another, and
with a little noise on the input nearly the same. The method of explaining was chosen by the same figures on validation
data, `--part validation`.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks import drawn, latency, results, shipped, tables
from pyclassify import Classifier, ImageExplanation, TextExplanation, checkpoint
from pyclassify.checkpoint import Checkpoint
from pyclassify.device import pick
from pyclassify.evaluation import calibrate
from pyclassify.image.explain import BLUR, blur
from pyclassify.image.transform import ImageTransform
from pyclassify.ui.launch import find_checkpoints

MODULE: Final = "benchmarks.explain"
ROOT: Final = Path(__file__).parents[1]
SHARE: Final = 0.1
CELLS: Final = 8
"""Rows and columns of squares that are taken away from a picture: random single pixels would be noise, and the result
no picture."""

DRAWS: Final = 5
RESAMPLES: Final = 2_000

MIN_WORDS: Final = 5
"""Fewest words of a text whose weights are correlated."""

NOISE: Final = 4.0
"""Standard deviation of the noise on a picture's pixels, of 255."""

Array = np.ndarray[Any, Any]
Explanation = ImageExplanation | TextExplanation
Drops = dict[str, list[tuple[float, float]]]
"""By what is taken away, for each input the drop of the probability by the explanation and at random."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings that all checkpoints of a run share.

    Args:
        device: of the networks.
        num_inputs: of each data set.
        num_shuffled: inputs that are explained with shuffled weights, too.
        seed: of all random draws.
    """

    device: torch.device
    num_inputs: int
    num_shuffled: int
    seed: int = 0


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for and print the table."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    options = _parse(arguments)
    device = pick(options.device)
    record = results.Record(
        benchmark="explain", module=MODULE, arguments=arguments, device=device, folder=options.results
    )
    settings = Settings(device=device, num_inputs=options.n, num_shuffled=options.sanity)
    content: dict[str, Any] = {"part": options.part, "taken_away": [], "sanity": [], "timings": []}
    for path in filter(shipped.has_training_data, find_checkpoints(options.checkpoints)):
        loaded = checkpoint.load(path)
        print(f"measuring: {loaded.name}", flush=True)
        items = shipped.read_splits(loaded, options.data).parts[options.part].items
        for section, rows in measure(loaded, items, settings).items():
            content[section] += rows
        record.save(content)
    print(tables.explain(options.results))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--checkpoints", type=Path, default=ROOT / "checkpoints", metavar="DIR")
    parser.add_argument("--data", type=Path, default=ROOT, metavar="DIR", help="folder that the trainings were run in")
    parser.add_argument("--part", choices=("test", "validation"), default="test", help="of the data (default: test)")
    parser.add_argument("--n", type=int, default=1000, help="inputs of each data set (default: 1000)")
    parser.add_argument(
        "--sanity", type=int, default=100, metavar="N", help="of them with shuffled weights (default: 100)"
    )
    parser.add_argument("--device", default="auto", metavar="NAME")
    parser.add_argument("--results", type=Path, default=results.FOLDER, metavar="DIR", help="where the JSON goes")
    options = parser.parse_args(arguments)
    if options.n < 2 or options.sanity < 2:
        parser.error("--n and --sanity must be at least 2")
    return options


def measure(loaded: Checkpoint, items: Sequence[Any], settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """Measure faithfulness, dependence on the weights and time of a checkpoint's explanations.

    Args:
        loaded: from `checkpoint.load`.
        items: inputs, of which some are drawn.
        settings: how many, and on which device.

    Returns:
        Rows of plain data: "taken_away", "sanity" and "timings".
    """
    classifier = Classifier(loaded, settings.device)
    generator = np.random.default_rng(settings.seed)
    shuffled = [items[i] for i in generator.permutation(len(items))]
    classifier.warm_up_explanations()
    drops, times_ms = MEASURE_DROPS[loaded.kind](loaded, classifier, shuffled, settings.num_inputs, generator)
    taken_away = [
        {"checkpoint": loaded.name, "taken": name, **summarize(np.array(pairs), generator)}
        for name, pairs in drops.items()
    ]
    sanity = check_sanity(loaded, classifier, shuffled, settings.num_shuffled, generator)
    timings = [{"checkpoint": loaded.name, "input": "the above", **_percentiles(times_ms)}, *_time_drawn(classifier)]
    return {"taken_away": taken_away, "sanity": [sanity], "timings": timings}


# Taking away


def summarize(drops: Array, generator: np.random.Generator) -> dict[str, Any]:
    """Compare the mean drops, with a bootstrap interval of their ratio.

    Args:
        drops: (N, 2), the drop of each probability by the explanation, and at random.
        generator: draws the N inputs anew, with repetition.

    Returns:
        Plain data; None stands for an infinite ratio, where the mean of the random drops is not above 0.
    """
    draws = generator.integers(0, len(drops), (RESAMPLES, len(drops)))
    means = np.stack([drops[:, side][draws].mean(axis=1) for side in (0, 1)])
    factors = np.sort(np.where(means[1] > 0, means[0] / np.where(means[1] > 0, means[1], 1), np.inf))
    by_explanation, at_random = drops.mean(axis=0).tolist()
    limits = [float(factors[round(share * (RESAMPLES - 1))]) for share in (0.025, 0.975)]
    return {
        "n": len(drops),
        "drop": by_explanation,
        "random_drop": at_random,
        "factor": by_explanation / at_random if at_random > 0 else None,
        "factor_interval": [limit if np.isfinite(limit) else None for limit in limits],
    }


def _drops_without_squares(
    loaded: Checkpoint, classifier: Classifier, paths: Sequence[Path], most: int, generator: np.random.Generator
) -> tuple[Drops, list[float]]:
    """Measure the drops with squares blurred, as in the explanation, and with squares in the picture's mean colour."""
    transform = loaded.transform
    assert isinstance(transform, ImageTransform)
    drops: Drops = {"squares, blurred": [], "squares, mean colour": []}
    times_ms: list[float] = []
    for path in islice(paths, most):
        explanation = _timed_explanation(classifier, path, times_ms)
        assert isinstance(explanation, ImageExplanation)
        pixels = transform(path).tensor
        heat = torch.from_numpy(explanation.seen.copy())[None]
        cells = functional.adaptive_avg_pool2d(heat, CELLS).flatten().numpy()
        masks = [mask_of(chosen, transform.size_px) for chosen in choose_tenths(cells, generator)]
        blurred = blur(pixels[None].float(), BLUR * transform.size_px)[0].round().to(torch.uint8)
        mean = pixels.float().mean(dim=(1, 2), keepdim=True).round().to(torch.uint8).expand_as(pixels)
        label_id = loaded.labels.index(explanation.label)
        for pairs, filling in zip(drops.values(), (blurred, mean), strict=True):
            altered = [torch.where(mask, filling, pixels) for mask in masks]
            after = _probabilities(loaded, altered, classifier.device)[:, label_id].tolist()
            pairs.append(_drop(explanation.probability, after))
    return drops, times_ms


@torch.inference_mode()
def _probabilities(loaded: Checkpoint, tensors: Sequence[Tensor], device: torch.device) -> Tensor:
    """Answer tensors of the transform with probabilities (N, K)."""
    inputs = [part.to(device) for part in loaded.transform.collate(tensors)]
    calibration = loaded.manifest.calibration
    return calibrate(loaded.network(*inputs).cpu(), calibration.temperature, calibration.ceiling)


def mask_of(chosen: Array, size_px: int) -> Tensor:
    """Return (size_px, size_px) bool, true in the squares at these positions."""
    cells = torch.zeros(CELLS * CELLS)
    cells[torch.from_numpy(chosen)] = 1
    return functional.interpolate(cells.view(1, 1, CELLS, CELLS), size=size_px)[0, 0] > 0


def _drops_without_words(
    loaded: Checkpoint, classifier: Classifier, texts: Sequence[str], most: int, generator: np.random.Generator
) -> tuple[Drops, list[float]]:
    """Measure the drops with words taken out; a text of a single word is passed over, as nothing would be left."""
    pairs: list[tuple[float, float]] = []
    times_ms: list[float] = []
    for text in texts:
        explanation = _timed_explanation(classifier, text, times_ms)
        assert isinstance(explanation, TextExplanation)
        if len(explanation.spans) < 2:
            continue
        shortened = [
            without_words(text, explanation, chosen) for chosen in choose_tenths(_weights(explanation), generator)
        ]
        after = [prediction.probabilities[explanation.label] for prediction in classifier.predict(shortened)]
        pairs.append(_drop(explanation.probability, after))
        if len(pairs) == most:
            break
    return {"words": pairs}, times_ms


MeasureDrops = Callable[[Checkpoint, Classifier, Sequence[Any], int, np.random.Generator], tuple[Drops, list[float]]]

MEASURE_DROPS: Final[Mapping[str, MeasureDrops]] = {"image": _drops_without_squares, "text": _drops_without_words}
"""By kind: explains so many inputs at most; returns the drops, and the milliseconds of every explanation."""


def without_words(text: str, explanation: TextExplanation, chosen: Array) -> str:
    """Return the text with spaces in the place of the words at these positions."""
    for position in sorted(chosen, reverse=True):
        start, end, _ = explanation.spans[position]
        text = f"{text[:start]} {text[end:]}"
    return text


def choose_tenths(weights: Array, generator: np.random.Generator) -> Iterator[Array]:
    """Yield positions of a tenth: the largest weights first, then DRAWS times random ones."""
    count = max(1, round(SHARE * len(weights)))
    yield np.argsort(-weights, kind="stable")[:count]
    for _ in range(DRAWS):
        yield generator.choice(len(weights), count, replace=False)


def _drop(before: float, after: Sequence[float]) -> tuple[float, float]:
    """Return the drop by the explanation, which comes first in `after`, and the mean of the random ones."""
    return before - after[0], before - float(np.mean(after[1:]))


# Sanity


def check_sanity(
    loaded: Checkpoint, classifier: Classifier, items: Sequence[Any], most: int, generator: np.random.Generator
) -> dict[str, Any]:
    """Correlate a network's explanations with those of other weights and other inputs (Adebayo et al. 2018).

    Args:
        loaded: the network.
        classifier: the same, on its device.
        items: inputs; texts of few words are passed over.
        most: inputs that are explained.
        generator: draws the noise.

    Returns:
        Plain data with mean rank correlations: "shuffled", with the same network after the weights of each layer were
        put in random order; "shuffled_sizes", the same of the weights without their signs; "noised", with the same
        network after a little noise was added to the input, or a word taken away.
    """
    random_weights = replace(loaded, network=shuffle_weights(loaded.network), ood=None)
    other = Classifier(random_weights, classifier.device)
    rows: list[list[float]] = []
    for item in items:
        explanation = classifier.explain(item)
        if isinstance(explanation, TextExplanation) and len(explanation.spans) < MIN_WORDS:
            continue
        trained, shuffled = _weights(explanation), _weights(other.explain(item, explanation.label))
        kept, noised = _noised_weights(loaded, classifier, item, explanation, generator)
        rows.append(
            [
                rank_correlation(trained, shuffled),
                rank_correlation(abs(trained), abs(shuffled)),
                rank_correlation(trained[kept], noised),
            ]
        )
        if len(rows) == most:
            break
    names = ("shuffled", "shuffled_sizes", "noised")
    means = np.mean(rows, axis=0).tolist()
    return {"checkpoint": loaded.name, "n": len(rows), **dict(zip(names, means, strict=True))}


def shuffle_weights(network: nn.Module) -> nn.Module:
    """Return a copy of the network with the weights of each layer in random order, so that their sizes stay."""
    network = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            order = torch.randperm(parameter.numel(), generator=generator)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
    return network


def _weights(explanation: Explanation) -> Array:
    if isinstance(explanation, ImageExplanation):
        return explanation.seen.ravel().astype(np.float64)
    return np.array([weight for _, _, weight in explanation.spans])


def _noised_weights(
    loaded: Checkpoint, classifier: Classifier, item: Any, explanation: Explanation, generator: np.random.Generator
) -> tuple[Array, Array]:
    """Explain the input with a little noise, or without one of its words.

    Returns:
        Positions of the weights that can be compared, and the new weights.
    """
    if isinstance(explanation, TextExplanation):
        dropped = generator.integers(len(explanation.spans))
        shortened = without_words(item, explanation, np.array([dropped]))
        kept = np.delete(np.arange(len(explanation.spans)), dropped)
        return kept, _weights(classifier.explain(shortened, explanation.label))
    pixels = loaded.transform(item).tensor.permute(1, 2, 0).numpy()
    noisy = (pixels + generator.normal(0, NOISE, pixels.shape)).round().clip(0, 255).astype(np.uint8)
    return np.arange(explanation.seen.size), _weights(classifier.explain(noisy, explanation.label))


def rank_correlation(first: Array, second: Array) -> float:
    """Return Spearman's correlation of two arrays; 0 if one of them is constant."""
    from scipy.stats import rankdata

    one, two = (rankdata(values) - (len(values) + 1) / 2 for values in (first, second))
    length = float(np.sqrt((one**2).sum() * (two**2).sum()))
    return float((one * two).sum()) / length if length else 0.0


# Timing


def _timed_explanation(classifier: Classifier, item: Any, times_ms: list[float]) -> Explanation:
    began = time.perf_counter()
    explanation = classifier.explain(item)
    times_ms.append((time.perf_counter() - began) * 1000)
    return explanation


def _time_drawn(classifier: Classifier) -> list[dict[str, Any]]:
    """Time explanations of the inputs of `benchmarks.latency`."""
    with tempfile.TemporaryDirectory() as folder:
        items = drawn.INPUTS[classifier.kind](Path(folder))
        calls = {description: partial(classifier.explain, item) for description, item in items.items()}
        times_ms = latency.measure(calls, most=latency.MIN_CALLS)
    return [
        {"checkpoint": classifier.name, "input": description, **_percentiles(times)}
        for description, times in times_ms.items()
    ]


def _percentiles(times_ms: Sequence[float]) -> dict[str, float]:
    p50, p95 = (float(np.percentile(times_ms, rank)) for rank in (50, 95))
    return {"p50_ms": p50, "p95_ms": p95, "n": len(times_ms)}


if __name__ == "__main__":
    main()
