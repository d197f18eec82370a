"""How well the checkpoints know what they were not trained on: `python -m benchmarks.known`.

Test data are set against things that the checkpoint has never seen; what it tells them apart by was fitted on training
and validation data after its training. Nothing is chosen by these figures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks import shipped, strangers
from benchmarks.results import Record
from pyclassify import checkpoint
from pyclassify.classifier import known_of
from pyclassify.device import pick
from pyclassify.examples import Examples
from pyclassify.image import known as image_known
from pyclassify.image.transform import ImageTransform
from pyclassify.text import known as text_known

MODULE = "benchmarks.known"
ROOT = Path(__file__).parents[1]
ORDINARY = "test data"
BATCH_SIZE = 64

Known = image_known.Known | text_known.Known
Asked = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and write the result."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--checkpoints", type=Path, default=ROOT / "checkpoints", metavar="DIR")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="default: all of them")
    parser.add_argument("--data", type=Path, default=ROOT, metavar="DIR", help="where the trainings were started")
    parser.add_argument("--count", type=int, default=500, metavar="N", help="things of each kind")
    parser.add_argument("--device", default="auto", metavar="NAME")
    parser.add_argument("--results", type=Path, default=None, metavar="DIR", help="default: benchmarks/results")
    options = parser.parse_args(arguments)
    place = {} if options.results is None else {"folder": options.results}
    record = Record(benchmark="known", module=MODULE, arguments=arguments, device=pick(options.device), **place)
    folders = [path.parent for path in sorted(options.checkpoints.glob("*/config.json"))]
    rows: list[dict[str, Any]] = []
    for folder in folders:
        if not options.only or folder.name in options.only:
            rows.append(measure(folder, options.data, options.count, pick(options.device)))
            record.save({"rows": rows})
            _show(rows[-1])


def measure(folder: Path, root: Path, count: int, device: torch.device) -> dict[str, Any]:
    """What one checkpoint takes for strange.

    Args:
        folder: the checkpoint.
        root: the folder that the paths in its training command begin at.
        count: things of each kind.
        device: where the network runs.
    """
    loaded = checkpoint.load(folder)
    loaded.model.to(device)
    known = known_of(loaded)
    if known is None:
        sys.exit(f"{folder} does not know what it was trained on; measure it first, with --measure.")
    if isinstance(loaded.transform, ImageTransform):
        things = _pictures(loaded, loaded.transform.size_px, root, count)
    else:
        things = _texts(loaded, root, count)
    asked = {name: _ask(known, loaded.transform, list(each), device) for name, each in things.items()}
    ordinary = asked.pop(ORDINARY)
    return {
        "checkpoint": loaded.name,
        "kind": loaded.kind,
        "validation": loaded.info["known"]["validation"],
        "threshold": known.threshold,
        "bytes": sum(each.nbytes for each in loaded.known.values()),
        "views": known.names,
        "test": len(ordinary[0]),
        "test_refused": float((ordinary[0] > known.threshold).mean()),
        "sets": [_compared(name, ordinary, each, known) for name, each in asked.items()],
    }


def _compared(name: str, ordinary: Asked, strange: Asked, known: Known) -> dict[str, Any]:
    return {
        "set": name,
        "n": len(strange[0]),
        "auroc": auroc(ordinary[0], strange[0]),
        "refused": float((strange[0] > known.threshold).mean()),
        "auroc_by_view": {view: auroc(ordinary[1][:, i], strange[1][:, i]) for i, view in enumerate(known.names)},
    }


def auroc(ordinary: np.ndarray[Any, Any], strange: np.ndarray[Any, Any]) -> float:
    """How likely something strange has a higher number than something ordinary; of equals half counts."""
    from sklearn.metrics import roc_auc_score

    is_strange = np.repeat([0, 1], [len(ordinary), len(strange)])
    return float(roc_auc_score(is_strange, np.concatenate([ordinary, strange])))


@torch.inference_mode()
def _ask(known: Known, transform: Any, things: list[Any], device: torch.device) -> Asked:
    """Strangeness (N,) and the surprise of each view (N, V)."""
    tensors = sorted((transform(each).tensor for each in things), key=lambda each: int(each.shape[-1]))
    strangeness: list[Tensor] = []
    surprises: list[Tensor] = []
    for start in range(0, len(tensors), BATCH_SIZE):
        inputs = [each.to(device) for each in transform.collate(tensors[start : start + BATCH_SIZE])]
        strangeness.append(known.answer(*inputs)[1])
        surprises.append(known.surprises(*inputs)[1])
    return torch.cat(strangeness).numpy(), torch.cat(surprises).numpy()


def _pictures(loaded: checkpoint.Checkpoint, size_px: int, root: Path, count: int) -> dict[str, Sequence[Any]]:
    test = _spread(shipped.test_pictures(loaded, root), 4 * count).items
    enlarged = [_enlarged(path) for path in test[:: max(1, len(test) // count)]]
    return {ORDINARY: test, **strangers.pictures(count, size_px), "test data, enlarged": enlarged}


def _enlarged(path: Path) -> Image.Image:
    """The same picture as a camera might have taken it: four times as wide and without a trace of the file's pixels."""
    with Image.open(path) as image:
        return image.convert("RGB").resize((4 * image.width, 4 * image.height), Image.Resampling.BICUBIC)


def _texts(loaded: checkpoint.Checkpoint, root: Path, count: int) -> dict[str, Sequence[Any]]:
    splits = shipped.texts(loaded, root)
    test = list(_spread(splits.test, 4 * count).items)
    things = strangers.texts(count, [len(each) for each in test], dict(_other(splits, root)))
    firsts = [" ".join(each.split()[:8]) for each in test[:: max(1, len(test) // count)]]
    return {ORDINARY: test, **things, "test data, first eight words": firsts}


def _other(splits: Any, root: Path) -> Iterator[tuple[str, Sequence[str]]]:
    """Reviews in Korean for a model of English texts, and the other way round; and English of another kind."""
    data = root / "data"
    reviews = sorted((data / "imdb" / "aclImdb" / "test").glob("*/*.txt"))[::25]
    english = [path.read_text(encoding="utf-8") for path in reviews]
    if any("가" <= letter <= "힣" for text in splits.train.items[:100] for letter in text):
        yield "English reviews", english
        return
    yield "Korean reviews", _column(data / "naver" / "test.tsv")[:2000]
    if set(english) & set(splits.test.items):
        yield "English messages", _column(data / "sms-spam" / "sms.tsv")[:2000]
    else:
        yield "English reviews", english


def _column(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    place = lines[0].split("\t").index("text")
    return [line.split("\t")[place] for line in lines[1:]]


def _spread(examples: Examples[Any], most: int) -> Examples[Any]:
    count = min(most, len(examples))
    return examples.take([i * len(examples) // count for i in range(count)])


def _show(row: Mapping[str, Any]) -> None:
    print(f"{row['checkpoint']}: {row['test_refused']:.1%} of {row['test']} test examples refused", flush=True)
    for each in row["sets"]:
        views = "  ".join(f"{name} {value:.3f}" for name, value in each["auroc_by_view"].items())
        print(f"  {each['set']:30} AUROC {each['auroc']:.3f}  refused {each['refused']:6.1%}  ({views})", flush=True)


if __name__ == "__main__":
    main()
