"""Scores after a few labelled examples per label: `python -m benchmarks.few_labels`.

The examples are drawn from the training split, several times for each number. All systems learn from the same draws and
answer the same part of the test split. A larger draw holds the smaller ones of the same number, so that the steps of a
curve are not those of chance alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from benchmarks import baselines, results
from benchmarks.baselines import SPAM
from pyclassify import ImageConfig, TextConfig, manifest, modality, recipe
from pyclassify.dataset import Examples, Splits, group_copies, label_counts, split
from pyclassify.dedup import group_splits
from pyclassify.device import pick
from pyclassify.image import networks
from pyclassify.image.data import ImageBatches, choose_size_px, decode, read_splits
from pyclassify.image.modality import MEAN, STD
from pyclassify.image.transform import ImageTransform
from pyclassify.training.config import IMAGE_NETWORKS, TrainingConfig

MODULE: Final = "benchmarks.few_labels"
ROOT: Final = Path(__file__).parents[1]
PER_LABEL: Final = (5, 10, 20, 50, 100, 200, 500)
DRAWS: Final = 5
TEST_EXAMPLES: Final = 2_000
QUICK_FROM: Final = 500
"""Examples per label from which --quick trains from nothing on one draw alone: each takes minutes."""

PICTURES: Final = "cifar10"
TEXTS: Final[Mapping[str, Mapping[str, Path]]] = {
    **baselines.WITH_TEST_SPLIT,
    "sms-spam": {"data": Path("sms-spam/sms.tsv")},
}
DATA: Final = (PICTURES, *TEXTS)

DEFAULT: Final = "default"
NOTHING: Final = "from nothing"
LINEAR: Final = "linear model"

STRENGTHS: Final = (1, 10, 100)
"""Values of C that cross-validation chooses from: the best for a handful of texts is not the best for a thousand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """A data set.

    Args:
        name: of it.
        config: class of its trainings.
        labels: in the order of their ids.
        train: different examples to draw from.
        test: examples that are answered.
    """

    name: str
    config: type[TrainingConfig]
    labels: tuple[str, ...]
    train: Examples[Any]
    test: Examples[Any]

    @property
    def measure(self) -> str:
        """Name of the score: where nearly all examples have one label, accuracy would say little."""
        return f"F1 of {SPAM}" if SPAM in self.labels else "accuracy"

    def score(self, answers: Sequence[int], label_ids: Sequence[int]) -> float:
        """Score answers, given as label ids."""
        if SPAM in self.labels:
            return float(f1_score(label_ids, answers, pos_label=self.labels.index(SPAM), zero_division=0.0))
        return float(accuracy_score(label_ids, answers))


@dataclass(frozen=True, slots=True)
class Outcome:
    """Score of one training, and the network that was trained; empty for a linear model."""

    score: float
    network: str = ""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for and write the results after each training."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    options = _parser().parse_args(arguments)
    record = results.Record(
        benchmark="few_labels", module=MODULE, arguments=arguments, device=pick("cpu"), folder=options.results
    )
    content: dict[str, Any] = {"test_examples": options.test_examples, "cells": [], "left_out": []}
    if options.resume:
        _add_earlier(content, results.read("few_labels", options.results), record)
    for name in options.only:
        data = read(name, options.data_dir, options.test_examples)
        sizes, least = sorted(set(options.per_label)), min(label_counts(data.train, data.labels).values())
        for per_label in sizes:
            if per_label > least:
                left_out = {"data": name, "per_label": per_label, "least": least}
                if left_out not in content["left_out"]:
                    content["left_out"].append(left_out)
                    record.save(content)
                continue
            for system, train in SYSTEMS[data.config].items():
                cell = cell_of(content["cells"], data, system, per_label)
                is_short = options.quick and system == NOTHING and per_label >= QUICK_FROM
                for number in range(len(cell["scores"]), 1 if is_short else options.draws):
                    _add_draw(cell, content["cells"], data, train, number)
                    record.save(content)
                print(f"{name:10} {per_label:5} {system:14} {results.summary(cell['scores'])}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-dir", type=Path, default=ROOT / "data", metavar="DIR", help="folder of the data sets")
    parser.add_argument("--only", nargs="+", choices=DATA, default=DATA, metavar="NAME", help=", ".join(DATA))
    parser.add_argument("--per-label", type=int, nargs="+", default=PER_LABEL, metavar="N", help="default: 5 ... 500")
    parser.add_argument("--draws", type=int, default=DRAWS, metavar="N", help=f"default: {DRAWS}")
    parser.add_argument("--test-examples", type=int, default=TEST_EXAMPLES, metavar="N", help="default: 2000")
    parser.add_argument("--quick", action="store_true", help=f"from nothing one draw from {QUICK_FROM} per label on")
    parser.add_argument("--resume", action="store_true", help="keep the results of the same commit and options")
    parser.add_argument("--results", type=Path, default=results.FOLDER, metavar="DIR", help="where the JSON goes")
    return parser


def _add_earlier(content: dict[str, Any], earlier: Mapping[str, Any] | None, record: results.Record) -> None:
    """Take the cells of an earlier run into this one; leave with a sentence if they cannot stand beside new ones."""
    if earlier is None:
        return
    before = (earlier["commit"], earlier["hardware"], earlier["versions"], earlier["results"]["test_examples"])
    now = (record.commit, results.hardware(record.device), manifest.versions("gradio"), content["test_examples"])
    if before != now:
        sys.exit(
            "--resume: the earlier results are of another commit, hardware, versions or --test-examples; give --results"
            " another folder, or leave out --resume to begin anew."
        )
    content |= {name: list(earlier["results"][name]) for name in ("cells", "left_out")}


def cell_of(cells: list[dict[str, Any]], data: Data, system: str, per_label: int) -> dict[str, Any]:
    """Return the cell of a system and a number of examples; a new one is added to the others."""
    key = {"data": data.name, "system": system, "per_label": per_label}
    for cell in cells:
        if key.items() <= cell.items():
            return cell
    cells.append({**key, "measure": data.measure, "scores": [], "seconds": [], "networks": []})
    return cells[-1]


def _add_draw(
    cell: dict[str, Any],
    cells: list[dict[str, Any]],
    data: Data,
    train: Callable[[Data, Examples[Any]], Outcome],
    number: int,
) -> None:
    """Train on a draw and add score, seconds and network to the cell."""
    default = cell_of(cells, data, DEFAULT, cell["per_label"])
    if cell["system"] == NOTHING and default["networks"][number : number + 1] == [IMAGE_NETWORKS[0]]:
        # the default chose to begin with nothing, too: the same training would give the same network
        for name in ("scores", "seconds", "networks"):
            cell[name].append(default[name][number])
        return
    began = time.perf_counter()
    outcome = train(data, draw(data, cell["per_label"], number))
    cell["seconds"].append(round(time.perf_counter() - began, 2))
    cell["scores"].append(outcome.score)
    cell["networks"].append(outcome.network)


# Data


def read(name: str, root: Path, test_examples: int) -> Data:
    """Read a data set; leave with a sentence if it is not there.

    Args:
        name: one of DATA.
        root: folder of the data sets.
        test_examples: size of the part of the test split that is answered.
    """
    if not (root / name).is_dir():
        sys.exit(f"There is no folder {root / name}; give --data-dir the folder of the data sets.")
    splits: Splits[Any] = read_splits(root / name) if name == PICTURES else _read_texts(name, root)
    held_out = splits.test
    if len(held_out) > test_examples:
        _, held_out = split(held_out, fraction=test_examples / len(held_out), seed=0)
    rest = Examples(splits.train.items + splits.validation.items, splits.train.label_ids + splits.validation.label_ids)
    return Data(
        name=name,
        config=ImageConfig if name == PICTURES else TextConfig,
        labels=splits.labels,
        train=distinct(rest, held_out),
        test=held_out,
    )


def _read_texts(name: str, root: Path) -> Splits[str]:
    """Read texts; where the test split is made here, near-duplicates stand on one side, as in our trainings."""
    paths: dict[str, Any] = {option: root / path for option, path in TEXTS[name].items()}
    config = TextConfig(**paths)
    kind = modality.of(config)
    corpus = kind.read(config, inspect_only=True)
    if "test" in corpus.splits.derived:
        fractions = {"validation_fraction": config.validation_fraction, "test_fraction": config.test_fraction}
        grouped = group_splits(corpus.splits, kind.find_duplicates(corpus), **fractions)
        corpus = corpus if grouped is None else kind.select(corpus, grouped)
    return corpus.splits


def distinct(examples: Examples[Any], held_out: Examples[Any]) -> Examples[Any]:
    """Return the different items that are not among the test examples, each with the label of most of its copies."""
    groups, group_labels = group_copies(examples)
    _, first = np.unique(groups, return_index=True)
    unseen = set(held_out.items)
    kept = [
        (examples.items[position], int(label_id))
        for position, label_id in zip(first.tolist(), group_labels, strict=True)
        if examples.items[position] not in unseen
    ]
    return Examples(tuple(item for item, _ in kept), tuple(label_id for _, label_id in kept))


def draw(data: Data, per_label: int, number: int) -> Examples[Any]:
    """Draw so many training examples of each label.

    Args:
        data: whose labels have at least as many.
        per_label: examples of each label.
        number: of the draw; the same number draws the same, and more of it for a larger `per_label`.
    """
    label_ids = np.asarray(data.train.label_ids)
    positions: list[int] = []
    for label_id in range(len(data.labels)):
        generator = np.random.default_rng([number, label_id])
        positions += generator.permutation(np.flatnonzero(label_ids == label_id))[:per_label].tolist()
    return data.train.take(sorted(positions))


# Systems


def _train_default(data: Data, train: Examples[Any]) -> Outcome:
    """Train as a user would who sets nothing."""
    with tempfile.TemporaryDirectory() as folder:
        return _train(data, Path(folder), train)


def _train_from_nothing(data: Data, train: Examples[Any]) -> Outcome:
    """Train on pictures with random weights to begin with."""
    with tempfile.TemporaryDirectory() as folder:
        return _train(data, Path(folder), train, start="none")


def _train(data: Data, folder: Path, train: Examples[Any], **options: str) -> Outcome:
    paths = _write(data, folder, {"train": train, "test": data.test})
    config = data.config(**paths, out=folder / "out", device="cpu", **options)  # type: ignore[arg-type]
    trained = recipe.train(config).manifest
    scores = trained.scores
    assert scores is not None
    score = scores.per_label[SPAM].f1 if SPAM in data.labels else scores.accuracy
    return Outcome(score, trained.network.name)


def _write(data: Data, folder: Path, parts: Mapping[str, Examples[Any]]) -> dict[str, Path]:
    """Write the splits where a training reads them and return its options; pictures are links to their files."""
    if data.config is TextConfig:
        written = {
            name: baselines.write_texts(folder / f"{name}.jsonl", part, data.labels) for name, part in parts.items()
        }
        return {"data": written["train"], "test": written["test"]}
    for name, part in parts.items():
        for number, (path, label_id) in enumerate(zip(part.items, part.label_ids, strict=True)):
            place = folder / "data" / name / data.labels[label_id] / f"{number}{path.suffix}"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path.resolve())
    return {"data": folder / "data"}


def _answer_by_words(data: Data, train: Examples[Any]) -> Outcome:
    """Train logistic regression on TF-IDF, its strength of regularisation chosen by cross-validation."""
    folds = StratifiedKFold(min(5, min(label_counts(train, data.labels).values())), shuffle=True, random_state=0)
    machine = GridSearchCV(LogisticRegression(max_iter=1000), {"C": STRENGTHS}, cv=folds)
    answers = baselines.answer_linear(train, data.test.items, machine=machine, **baselines.FEATURES[data.name])
    return Outcome(data.score(answers.tolist(), data.test.label_ids))


def _answer_by_pixels(data: Data, train: Examples[Any]) -> Outcome:
    """Train the logistic regression on small pixels that trainings on pictures compare with."""
    transform = ImageTransform(size_px=choose_size_px(train), mean=MEAN, std=STD)
    learned, held_out = (decode(part, transform) for part in (train, data.test))
    batches = [ImageBatches(part, transform, batch_size=256) for part in (learned, held_out)]
    return Outcome(data.score(networks.fit_baseline(*batches).tolist(), held_out.examples.label_ids))


SYSTEMS: Final[Mapping[type[TrainingConfig], Mapping[str, Callable[[Data, Examples[Any]], Outcome]]]] = {
    ImageConfig: {DEFAULT: _train_default, NOTHING: _train_from_nothing, LINEAR: _answer_by_pixels},
    TextConfig: {DEFAULT: _train_default, LINEAR: _answer_by_words},
}
"""For each kind what is trained on a draw. The default for texts begins with nothing."""

if __name__ == "__main__":
    main()
