"""Whether explanations name what decides: `python -m benchmarks.explain`.

A tenth of each test input is taken away, once what the explanation ranks first and once at random: the probability of
the label must fall further the first time. And a network whose weights are shuffled must have other explanations
(Adebayo et al. 2018, "Sanity Checks for Saliency Maps"). How to explain was chosen by the same figures on validation
data, `--part validation`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from app import find_checkpoints
from benchmarks import drawn, latency, results, sanity, shipped, tables
from pyclassify import Classifier, Explanation, PictureExplanation, TextExplanation, checkpoint
from pyclassify.checkpoint import Checkpoint
from pyclassify.device import pick
from pyclassify.image import data as image_data
from pyclassify.image.explain import BLUR, blurred
from pyclassify.image.transform import ImageTransform

MODULE = "benchmarks.explain"
ROOT = Path(__file__).parents[1]
SHARE = 0.1
CELLS = 8
"""Rows and columns of squares that a picture is taken away in: of single pixels the random ones would be noise, which
is no picture any more."""

DRAWS = 5
RESAMPLES = 2_000

Array = np.ndarray[Any, Any]
Reader = Callable[[Path, str], Sequence[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What all measurements of a run have in common."""

    device: torch.device
    most: int
    sanity: int
    seed: int = 0


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for and print the table."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    options = _parse(arguments)
    device = pick(options.device)
    record = results.Record(
        benchmark="explain", module=MODULE, arguments=arguments, device=device, folder=options.results
    )
    setting = Setting(device=device, most=options.n, sanity=options.sanity)
    found: dict[str, Any] = {"part": options.part, "taken_away": [], "sanity": [], "timings": []}
    for path in find_checkpoints(options.checkpoints):
        loaded = checkpoint.load(path)
        if loaded.name in INPUTS:
            print(f"measuring: {loaded.name}", flush=True)
            inputs = INPUTS[loaded.name](options.data, options.part)
            for name, rows in measure(loaded, inputs, setting).items():
                found[name] += rows
            record.save(found)
    print(tables.explain(options.results))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--checkpoints", type=Path, default=ROOT / "checkpoints", metavar="DIR")
    parser.add_argument("--data", type=Path, default=ROOT / "data", metavar="DIR", help="folder of the data sets")
    parser.add_argument("--part", choices=("test", "validation"), default="test", help="of the data")
    parser.add_argument("--n", type=int, default=1000, help="inputs of each data set (default: 1000)")
    parser.add_argument("--sanity", type=int, default=100, metavar="N", help="of them for shuffled weights")
    parser.add_argument("--device", default="auto", metavar="NAME")
    parser.add_argument("--results", type=Path, default=results.FOLDER, metavar="DIR", help="where the JSON goes")
    options = parser.parse_args(arguments)
    if options.n < 2 or options.sanity < 2:
        parser.error("--n and --sanity must be at least 2")
    return options


def _pictures(root: Path, part: str) -> Sequence[Path]:
    # as many for validation as the shipped network was chosen by: the others it was trained on
    found = image_data.read(root / "cifar10", validation_fraction=0.05)
    return (found.test if part == "test" else found.validation).items


def _texts(path: str, test: str | None, root: Path, part: str) -> Sequence[str]:
    found = shipped.read_texts(root / path, root / test if test else None)
    return (found.test if part == "test" else found.validation).items


INPUTS: dict[str, Reader] = {
    "cifar10": _pictures,
    "imdb": partial(_texts, "imdb/aclImdb", None),
    "naver": partial(_texts, "naver/train.tsv", "naver/test.tsv"),
    "sms-spam": partial(_texts, "sms-spam/sms.tsv", None),
}


def measure(loaded: Checkpoint, inputs: Sequence[Any], setting: Setting) -> dict[str, list[dict[str, Any]]]:
    """All that is measured of one checkpoint.

    Args:
        loaded: from `checkpoint.load`.
        inputs: of the part of the data that is asked for; some are drawn.
        setting: how many, and where the network runs.

    Returns:
        Rows of plain data: "taken_away", "sanity" and "timings".
    """
    classifier = Classifier(loaded, setting.device)
    generator = np.random.default_rng(setting.seed)
    order = generator.permutation(len(inputs))
    classifier.warm_up_explanations()
    if isinstance(loaded.transform, ImageTransform):
        drops, milliseconds = _without_squares(classifier, loaded.transform, inputs, order[: setting.most], generator)
    else:
        drops, milliseconds = _without_words(classifier, inputs, order, setting.most, generator)
    rows = [
        {"checkpoint": loaded.name, "taken": taken, **summary(np.array(pairs), generator)}
        for taken, pairs in drops.items()
    ]
    likeness = sanity.likeness(loaded, classifier, [inputs[i] for i in order], setting.sanity, generator)
    timed = [{"checkpoint": loaded.name, "input": "the above", **_percentiles(milliseconds)}, *_timings(classifier)]
    return {"taken_away": rows, "sanity": [likeness], "timings": timed}


def summary(drops: Array, generator: np.random.Generator) -> dict[str, Any]:
    """Means and their ratio.

    Args:
        drops: (N, 2), how far each probability fell by the explanation, and at random.
        generator: draws the N inputs anew, with repetition, for the interval (bootstrap).

    Returns:
        Plain data; None stands for a ratio without end, where the random drops are not above 0 on average.
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
        "factor_interval": [each if np.isfinite(each) else None for each in limits],
    }


def _without_squares(
    classifier: Classifier,
    transform: ImageTransform,
    inputs: Sequence[Path],
    order: Array,
    generator: np.random.Generator,
) -> tuple[dict[str, list[list[float]]], list[float]]:
    """The drops with the squares blurred, as in the explanation, and with them in the picture's mean colour."""
    drops: dict[str, list[list[float]]] = {"squares, blurred": [], "squares, mean colour": []}
    milliseconds: list[float] = []
    for path in (inputs[i] for i in order):
        found = _timed(classifier, path, milliseconds)
        assert isinstance(found, PictureExplanation)
        pixels = transform(path).tensor
        cells = functional.adaptive_avg_pool2d(torch.from_numpy(found.seen.copy())[None], CELLS).flatten().numpy()
        masks = [_mask(chosen, transform.size_px) for chosen in _tenths(cells, generator)]
        blur = blurred(pixels[None].float(), BLUR * transform.size_px)[0].round().to(torch.uint8)
        mean = pixels.float().mean(dim=(1, 2), keepdim=True).round().to(torch.uint8).expand_as(pixels)
        for pairs, filling in zip(drops.values(), (blur, mean), strict=True):
            rows = [row for row, _ in classifier._rows([torch.where(mask, filling, pixels) for mask in masks])]
            pairs.append(_fallen(found.probability, [row[classifier.labels.index(found.label)] for row in rows]))
    return drops, milliseconds


def _mask(chosen: Array, size_px: int) -> Tensor:
    """(size_px, size_px) bool, true in these cells."""
    cells = torch.zeros(CELLS * CELLS)
    cells[torch.from_numpy(chosen)] = 1
    return functional.interpolate(cells.view(1, 1, CELLS, CELLS), size=size_px)[0, 0] > 0


def _without_words(
    classifier: Classifier, inputs: Sequence[str], order: Array, most: int, generator: np.random.Generator
) -> tuple[dict[str, list[list[float]]], list[float]]:
    pairs: list[list[float]] = []
    milliseconds: list[float] = []
    for text in (inputs[i] for i in order):
        found = _timed(classifier, text, milliseconds)
        assert isinstance(found, TextExplanation)
        if len(found.spans) < 2:  # nothing would be left
            continue
        weights = np.array([weight for _, _, weight in found.spans])
        shortened = [sanity.without(text, found, chosen) for chosen in _tenths(weights, generator)]
        answers = classifier.predict(shortened)
        pairs.append(_fallen(found.probability, [each.probabilities[found.label] for each in answers]))
        if len(pairs) == most:
            break
    return {"words": pairs}, milliseconds


def _tenths(weights: Array, generator: np.random.Generator) -> Iterator[Array]:
    """Positions of a tenth: the largest weights first, then DRAWS times at random."""
    count = max(1, round(SHARE * len(weights)))
    yield np.argsort(-weights, kind="stable")[:count]
    for _ in range(DRAWS):
        yield generator.choice(len(weights), count, replace=False)


def _fallen(before: float, after: Sequence[float]) -> list[float]:
    return [before - after[0], before - float(np.mean(after[1:]))]


def _timed(classifier: Classifier, input: Any, milliseconds: list[float]) -> Explanation:
    began = time.perf_counter()
    found = classifier.explain(input)
    milliseconds.append((time.perf_counter() - began) * 1000)
    return found


def _timings(classifier: Classifier) -> list[dict[str, Any]]:
    """The inputs of `benchmarks.latency`, explained."""
    with tempfile.TemporaryDirectory() as scratch:
        inputs: dict[str, Any] = {f"text of {words:,} words": drawn.text(words) for words in latency.WORDS}
        if classifier.kind == "image":
            inputs = dict(drawn.pictures(Path(scratch)))
        calls = {name: partial(classifier.explain, each) for name, each in inputs.items()}
        found = latency.measure(calls, most=latency.FEWEST)
    return [{"checkpoint": classifier.name, "input": name, **_percentiles(each)} for name, each in found.items()]


def _percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    p50, p95 = (float(np.percentile(milliseconds, each)) for each in (50, 95))
    return {"p50_ms": p50, "p95_ms": p95, "n": len(milliseconds)}


if __name__ == "__main__":
    main()
