"""The default text model beside TF-IDF with a linear model, on the same texts: `python -m benchmarks.baselines`.

For data with a test part of its own, ours is the shipped checkpoint. SMS Spam has none, and a fifth of its messages
says little about so rare a label, so there both are trained anew on each of five folds over the distinct messages.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC

from benchmarks.results import Record
from pyclassify.device import pick
from pyclassify.examples import Examples
from pyclassify.text import data
from train import text as train_text

MODULE = "benchmarks.baselines"
ROOT = Path(__file__).parents[1]
FOLDS = 5
SPAM = "spam"

# The strongest of the usual settings for each kind of text.
FEATURES: dict[str, dict[str, Any]] = {
    "imdb": {"ngram_range": (1, 2), "sublinear_tf": True},
    "naver": {"analyzer": "char", "ngram_range": (1, 5), "sublinear_tf": True},
    "sms-spam": {"analyzer": "char_wb", "ngram_range": (2, 5), "sublinear_tf": True},
}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what is asked for and write the results."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / "data", metavar="DIR", help="folder of the data sets")
    parser.add_argument("--only", choices=tuple(FEATURES), help="one data set")
    options = parser.parse_args(arguments)
    record = Record(benchmark="baselines", module=MODULE, arguments=arguments, device=pick("cpu"))
    rows: list[dict[str, Any]] = []
    for name in [options.only] if options.only else FEATURES:
        rows += _in_folds(options.data) if name == "sms-spam" else _on_test(name, options.data)
        record.save({"rows": rows})
    for row in rows:
        print(f"{row['data']:10} {row['program']:44} {row['metric']} {row['score']:.4f}  {row['seconds']:.0f} s")


def _row(name: str, program: str, metric: str, scores: Sequence[float], seconds: float) -> dict[str, Any]:
    return {
        "data": name,
        "program": program,
        "metric": metric,
        "score": statistics.mean(scores),
        "spread": statistics.stdev(scores) if len(scores) > 1 else None,
        "n": len(scores),
        "seconds": seconds,
    }


def _on_test(name: str, root: Path) -> list[dict[str, Any]]:
    splits = (
        data.read(root / "imdb" / "aclImdb")
        if name == "imdb"
        else data.read(root / "naver" / "train.tsv", test=root / "naver" / "test.tsv")
    )
    began = time.perf_counter()
    answers = _linear(name, splits.train, splits.test.items)
    accuracy = float(accuracy_score(splits.test.label_ids, answers))
    seconds = time.perf_counter() - began
    info = json.loads((ROOT / "checkpoints" / name / "config.json").read_text(encoding="utf-8"))
    return [
        _row(name, "TF-IDF, linear SVM", "accuracy", [accuracy], seconds),
        _row(name, "default model", "accuracy", [info["scores"]["accuracy"]], info["training"]["duration_s"]),
    ]


def _linear(name: str, train: Examples[str], texts: Sequence[str]) -> np.ndarray[Any, Any]:
    features = TfidfVectorizer(**FEATURES[name])
    machine = LinearSVC().fit(features.fit_transform(train.items), train.label_ids)
    answers: np.ndarray[Any, Any] = machine.predict(features.transform(texts))
    return answers


def _in_folds(root: Path) -> list[dict[str, Any]]:
    splits = data.read(root / "sms-spam" / "sms.tsv")
    label_of: dict[str, int] = {}
    for part in (splits.train, splits.validation, splits.test):
        for text, label_id in zip(part.items, part.label_ids, strict=True):
            label_of.setdefault(text, label_id)
    texts, label_ids = sorted(label_of), np.array([label_of[text] for text in sorted(label_of)])
    spam = splits.labels.index(SPAM)
    scores: dict[str, list[float]] = {"TF-IDF, linear SVM": [], "default model": []}
    seconds = dict.fromkeys(scores, 0.0)
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(texts, label_ids):
        parts = [Examples(tuple(texts[i] for i in fold), tuple(label_ids[fold].tolist())) for fold in (train, test)]
        began = time.perf_counter()
        answers = _linear("sms-spam", parts[0], parts[1].items)
        scores["TF-IDF, linear SVM"].append(float(f1_score(parts[1].label_ids, answers, pos_label=spam)))
        seconds["TF-IDF, linear SVM"] += time.perf_counter() - began
        began = time.perf_counter()
        scores["default model"].append(_default_model(parts[0], parts[1], splits.labels))
        seconds["default model"] += time.perf_counter() - began
    title = f"F1 of {SPAM}, {FOLDS} folds"
    return [_row("sms-spam", name, title, scores[name], seconds[name] / FOLDS) for name in scores]


def _default_model(train: Examples[str], test: Examples[str], labels: Sequence[str]) -> float:
    """F1 of spam over one fold, by the command line as it stands."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        paths = [Path(folder) / name for name in ("train.jsonl", "test.jsonl")]
        for path, part in zip(paths, (train, test), strict=True):
            rows = zip(part.items, part.label_ids, strict=True)
            lines = [json.dumps({"text": text, "label": labels[label_id]}) for text, label_id in rows]
            path.write_text("\n".join(lines), encoding="utf-8")
        out = Path(folder) / "out"
        train_text.main(["--data", str(paths[0]), "--test", str(paths[1]), "--out", str(out), "--device", "cpu"])
        info = json.loads((out / "config.json").read_text(encoding="utf-8"))
    f1: float = info["scores"]["per_label"][SPAM]["f1"]
    return f1


if __name__ == "__main__":
    main()
