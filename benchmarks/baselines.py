"""The default text network beside TF-IDF with a linear SVM on the same texts: `python -m benchmarks.baselines`.

For data with a test split, ours is the shipped checkpoint. SMS Spam has none, and a fifth of its messages says little
about so rare a label: both models are trained anew on each of five folds of the distinct messages.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC

from benchmarks import results
from pyclassify import TextConfig, recipe
from pyclassify.checkpoint import read_manifest
from pyclassify.dataset import Examples
from pyclassify.device import pick
from pyclassify.text.data import read_dataset

MODULE: Final = "benchmarks.baselines"
ROOT: Final = Path(__file__).parents[1]
FOLDS: Final = 5
SPAM: Final = "spam"
LINEAR: Final = "TF-IDF, linear SVM"
DEFAULT: Final = "default model"

FEATURES: Final[dict[str, dict[str, Any]]] = {
    "imdb": {"ngram_range": (1, 2), "sublinear_tf": True},
    "naver": {"analyzer": "char", "ngram_range": (1, 5), "sublinear_tf": True},
    "sms-spam": {"analyzer": "char_wb", "ngram_range": (2, 5), "sublinear_tf": True},
}
"""The strongest of the usual settings for each data set."""

WITH_TEST_SPLIT: Final = {
    "imdb": {"data": Path("imdb/aclImdb")},
    "naver": {"data": Path("naver/train.tsv"), "test": Path("naver/test.tsv")},
}
"""Options of the training, below the folder of the data sets."""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for and write the results."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / "data", metavar="DIR", help="folder of the data sets")
    parser.add_argument("--only", choices=tuple(FEATURES), help="one data set")
    parser.add_argument("--results", type=Path, default=results.FOLDER, metavar="DIR", help="where the JSON goes")
    options = parser.parse_args(arguments)
    record = results.Record(
        benchmark="baselines", module=MODULE, arguments=arguments, device=pick("cpu"), folder=options.results
    )
    rows: list[dict[str, Any]] = []
    for name in [options.only] if options.only else FEATURES:
        rows += _on_test_split(name, options.data) if name in WITH_TEST_SPLIT else _in_folds(name, options.data)
        record.save({"rows": rows})
    for row in rows:
        print(f"{row['data']:10} {row['program']:44} {row['metric']} {row['score']:.4f}  {row['seconds']:.0f} s")


def _row(data: str, program: str, metric: str, scores: Sequence[float], seconds: float) -> dict[str, Any]:
    return {
        "data": data,
        "program": program,
        "metric": metric,
        "score": statistics.mean(scores),
        "spread": statistics.stdev(scores) if len(scores) > 1 else None,
        "n": len(scores),
        "seconds": seconds,
    }


def _on_test_split(name: str, root: Path) -> list[dict[str, Any]]:
    paths: dict[str, Any] = {option: root / path for option, path in WITH_TEST_SPLIT[name].items()}
    splits, _ = read_dataset(TextConfig(**paths))
    began = time.perf_counter()
    answers = answer_linear(splits.train, splits.test.items, **FEATURES[name])
    accuracy = float(accuracy_score(splits.test.label_ids, answers))
    seconds = time.perf_counter() - began
    manifest = read_manifest(ROOT / "checkpoints" / name)
    assert manifest.scores is not None
    assert manifest.training is not None
    return [
        _row(name, LINEAR, "accuracy", [accuracy], seconds),
        _row(name, DEFAULT, "accuracy", [manifest.scores.accuracy], manifest.training.duration_s),
    ]


def answer_linear(
    train: Examples[str], texts: Sequence[str], *, machine: Any = None, **features: Any
) -> np.ndarray[Any, Any]:
    """Train the linear model and return the label ids of its answers to the texts.

    Args:
        train: to learn from.
        texts: to answer.
        machine: classifier of scikit-learn, by default a linear SVM.
        features: arguments of TfidfVectorizer.
    """
    vectorizer = TfidfVectorizer(**features)
    fitted = (machine or LinearSVC()).fit(vectorizer.fit_transform(train.items), train.label_ids)
    answers: np.ndarray[Any, Any] = fitted.predict(vectorizer.transform(texts))
    return answers


def write_texts(path: Path, examples: Examples[str], labels: Sequence[str]) -> Path:
    """Write labelled texts as JSON Lines and return the path."""
    rows = zip(examples.items, examples.label_ids, strict=True)
    lines = [json.dumps({"text": text, "label": labels[label_id]}) for text, label_id in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def _in_folds(name: str, root: Path) -> list[dict[str, Any]]:
    splits, _ = read_dataset(TextConfig(data=root / "sms-spam" / "sms.tsv"))
    label_of: dict[str, int] = {}
    for part in splits.parts.values():
        for text, label_id in zip(part.items, part.label_ids, strict=True):
            label_of.setdefault(text, label_id)
    texts = sorted(label_of)
    label_ids = np.array([label_of[text] for text in texts])
    spam_id = splits.labels.index(SPAM)
    scores: dict[str, list[float]] = {LINEAR: [], DEFAULT: []}
    seconds = dict.fromkeys(scores, 0.0)
    for fold in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(texts, label_ids):
        train, test = (Examples(tuple(texts[i] for i in part), tuple(label_ids[part].tolist())) for part in fold)
        began = time.perf_counter()
        answers = answer_linear(train, test.items, **FEATURES[name])
        scores[LINEAR].append(float(f1_score(test.label_ids, answers, pos_label=spam_id)))
        seconds[LINEAR] += time.perf_counter() - began
        began = time.perf_counter()
        scores[DEFAULT].append(train_default(train, test, splits.labels))
        seconds[DEFAULT] += time.perf_counter() - began
    title = f"F1 of {SPAM}, {FOLDS} folds"
    return [_row(name, program, title, scores[program], seconds[program] / FOLDS) for program in scores]


def train_default(train: Examples[str], test: Examples[str], labels: Sequence[str]) -> float:
    """Train with the default options and return the F1 of spam on the test examples."""
    with tempfile.TemporaryDirectory() as folder:
        data = write_texts(Path(folder) / "train.jsonl", train, labels)
        held_out = write_texts(Path(folder) / "test.jsonl", test, labels)
        result = recipe.train(TextConfig(data=data, test=held_out, out=Path(folder) / "out", device="cpu"))
    assert result.manifest.scores is not None
    return result.manifest.scores.per_label[SPAM].f1


if __name__ == "__main__":
    main()
