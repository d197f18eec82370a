"""Detection of inputs that the checkpoints were not trained on: `python -m benchmarks.ood`.

Test data is compared with inputs unlike it. The detectors were fitted on training and validation data after the
training; nothing is chosen by these figures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image

from benchmarks import ood_inputs, results, shipped
from pyclassify import checkpoint, tables
from pyclassify.checkpoint import Checkpoint
from pyclassify.dataset import Examples, Splits
from pyclassify.device import pick
from pyclassify.image.transform import ImageTransform
from pyclassify.modality import OodDetector

MODULE: Final = "benchmarks.ood"
ROOT: Final = Path(__file__).parents[1]
BATCH_SIZE: Final = 64

Floats = np.ndarray[Any, Any]
Scores = tuple[Floats, Floats]
"""OOD scores (N,) and the surprise of each view (N, V)."""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and write the result."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--checkpoints", type=Path, default=ROOT / "checkpoints", metavar="DIR")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="checkpoints (default: all)")
    parser.add_argument("--data", type=Path, default=ROOT, metavar="DIR", help="folder that the trainings were run in")
    parser.add_argument("--count", type=int, default=500, metavar="N", help="inputs of each sort (default: 500)")
    parser.add_argument("--device", default="auto", metavar="NAME")
    parser.add_argument("--results", type=Path, default=results.FOLDER, metavar="DIR", help="where the JSON goes")
    options = parser.parse_args(arguments)
    device = pick(options.device)
    record = results.Record(benchmark="ood", module=MODULE, arguments=arguments, device=device, folder=options.results)
    rows: list[dict[str, Any]] = []
    for path in sorted(options.checkpoints.glob("*/config.json")):
        is_asked = not options.only or path.parent.name in options.only
        if is_asked and shipped.has_training_data(path.parent):
            rows.append(measure(path.parent, options.data, options.count, device))
            record.save({"rows": rows})
            _print(rows[-1])


def measure(folder: Path, root: Path, count: int, device: torch.device) -> dict[str, Any]:
    """Measure how a checkpoint tells inputs unlike its test data from the test data.

    Args:
        folder: of the checkpoint.
        root: folder that its training was run in.
        count: inputs of each sort.
        device: of the network.
    """
    loaded = checkpoint.load(folder).to(device)
    detector, described = loaded.ood, loaded.manifest.ood
    if detector is None or described is None:
        sys.exit(f"{folder} has no OOD detector; fit one by training with --measure.")
    test, unlike = INPUTS[loaded.kind](loaded, root, count)
    test_scores = _score(loaded, test, device)
    return {
        "checkpoint": loaded.name,
        "kind": loaded.kind,
        "validation": described.num_examples,
        "threshold": detector.threshold,
        "bytes": sum(tensor.nbytes for tensor in loaded.ood_tensors.values()),
        "views": list(detector.views),
        "test": len(test),
        "test_refused": _refused(test_scores, detector),
        "sets": [
            _compare(sort, test_scores, _score(loaded, items, device), detector) for sort, items in unlike.items()
        ],
    }


def _compare(sort: str, test: Scores, unlike: Scores, detector: OodDetector) -> dict[str, Any]:
    views = enumerate(detector.views)
    return {
        "set": sort,
        "n": len(unlike[0]),
        "auroc": auroc(test[0], unlike[0]),
        "refused": _refused(unlike, detector),
        "auroc_by_view": {view: auroc(test[1][:, i], unlike[1][:, i]) for i, view in views},
    }


def _refused(scores: Scores, detector: OodDetector) -> float:
    return float((scores[0] > detector.threshold).mean())


def auroc(test: Floats, unlike: Floats) -> float:
    """Return the probability that an unlike input has a higher number than a test example; ties count half."""
    from sklearn.metrics import roc_auc_score

    is_unlike = np.repeat([0, 1], [len(test), len(unlike)])
    return float(roc_auc_score(is_unlike, np.concatenate([test, unlike])))


@torch.inference_mode()
def _score(loaded: Checkpoint, items: Sequence[Any], device: torch.device) -> Scores:
    assert loaded.ood is not None
    tensors = sorted((loaded.transform(item).tensor for item in items), key=lambda tensor: int(tensor.shape[-1]))
    scores, surprises = [], []
    for start in range(0, len(tensors), BATCH_SIZE):
        inputs = [part.to(device) for part in loaded.transform.collate(tensors[start : start + BATCH_SIZE])]
        scores.append(loaded.ood.answer(*inputs)[1])
        surprises.append(loaded.ood.surprises(*inputs)[1])
    return torch.cat(scores).numpy(), torch.cat(surprises).numpy()


# Inputs


def _images(loaded: Checkpoint, root: Path, count: int) -> tuple[Sequence[Any], Mapping[str, Sequence[Any]]]:
    assert isinstance(loaded.transform, ImageTransform)
    test = _spread(shipped.read_splits(loaded, root).test, 4 * count).items
    enlarged = [_enlarged(path) for path in test[:: max(1, len(test) // count)]]
    return test, {**ood_inputs.images(count, loaded.transform.size_px), "test data, enlarged": enlarged}


def _enlarged(path: Path) -> Image.Image:
    """Make a picture four times as wide, without a trace of the file's pixels, as a camera might have taken it."""
    with Image.open(path) as image:
        return image.convert("RGB").resize((4 * image.width, 4 * image.height), Image.Resampling.BICUBIC)


def _texts(loaded: Checkpoint, root: Path, count: int) -> tuple[Sequence[Any], Mapping[str, Sequence[Any]]]:
    splits = shipped.read_splits(loaded, root)
    test = _spread(splits.test, 4 * count).items
    unlike = ood_inputs.texts(count, [len(text) for text in test], dict(_other_data(splits, root / "data")))
    beginnings = [" ".join(text.split()[:8]) for text in test[:: max(1, len(test) // count)]]
    return test, {**unlike, "test data, first eight words": beginnings}


INPUTS: Final[Mapping[str, Callable[[Checkpoint, Path, int], tuple[Sequence[Any], Mapping[str, Sequence[Any]]]]]] = {
    "image": _images,
    "text": _texts,
}
"""By kind: returns test data, four times as much as `count` at most, and unlike inputs by what they are."""


def _other_data(splits: Splits[str], data: Path) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield reviews in Korean for a model of English texts, and the other way round; and English of another sort."""
    paths = sorted((data / "imdb" / "aclImdb" / "test").glob("*/*.txt"))[::25]
    english = [path.read_text(encoding="utf-8") for path in paths]
    if any("가" <= letter <= "힣" for text in splits.train.items[:100] for letter in text):
        yield "English reviews", english
        return
    yield "Korean reviews", _text_column(data / "naver" / "test.tsv")[:2000]
    if set(english) & set(splits.test.items):
        yield "English messages", _text_column(data / "sms-spam" / "sms.tsv")[:2000]
    else:
        yield "English reviews", english


def _text_column(path: Path) -> list[str]:
    rows = tables.read_rows(tables.PathSource(path), text_column="text")
    return [row.text for row in rows if row.text]


def _spread(examples: Examples[Any], limit: int) -> Examples[Any]:
    """Take at most so many examples, evenly spread."""
    count = min(limit, len(examples))
    return examples.take([i * len(examples) // count for i in range(count)])


def _print(row: Mapping[str, Any]) -> None:
    print(f"{row['checkpoint']}: {row['test_refused']:.1%} of {row['test']} test examples refused", flush=True)
    for compared in row["sets"]:
        views = "  ".join(f"{view} {value:.3f}" for view, value in compared["auroc_by_view"].items())
        figures = f"AUROC {compared['auroc']:.3f}  refused {compared['refused']:6.1%}"
        print(f"  {compared['set']:30} {figures}  ({views})", flush=True)


if __name__ == "__main__":
    main()
