"""What a fitted model is worth: percentages put right on validation data, then one reading of the test data."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pyclassify import evaluation, provenance, training
from pyclassify.checkpoint import Checkpoint
from pyclassify.classifier import Classifier
from pyclassify.device import describe
from pyclassify.evaluation import Trust

if TYPE_CHECKING:
    from train.pipeline import Job

SPEED_CALLS = 50

Baseline = Callable[[], tuple[str, Tensor]]
"""Learns from the training examples; gives its name and its (M,) answers on the test data, in the order of the data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was found out after the training.

    Args:
        trust: temperature and sets.
        scores: of the test data, plain data for config.json.
        run: when, where and how fast, plain data for config.json.
    """

    trust: Trust
    scores: dict[str, Any]
    run: dict[str, Any]


def measure(job: Job) -> Measured:
    """Fit temperature and sets on the validation data, and read the test data once."""
    labels = job.splits.labels
    logits, label_ids = training.predict_logits(job.model, job.validation)
    temperature = evaluation.fit_temperature(logits, label_ids)
    sets = evaluation.fit_sets(evaluation.calibrated(logits, temperature), label_ids)
    trust = Trust(temperature=temperature, sets=sets, examples=len(label_ids))
    logits, label_ids = _in_order(job, *training.predict_logits(job.model, job.test))  # the one reading of them
    probabilities = trust.probabilities(logits)
    scores = asdict(
        evaluation.score(logits, label_ids, labels=labels, majority_id=_most_frequent(job.splits.train.label_ids))
    )
    scores["calibration"] = asdict(evaluation.calibration(logits, label_ids, temperature=temperature))
    set_scores = evaluation.score_sets(probabilities, label_ids, sets=sets, labels=labels)
    scores["sets"] = {coverage: asdict(each) for coverage, each in set_scores.items()}
    name, answers = job.baseline()
    scores["baseline"] = asdict(evaluation.compare(name, logits.argmax(dim=1), answers, label_ids))
    wrong = evaluation.mistakes(probabilities, label_ids, labels=labels)
    scores["mistakes"] = [{"name": _name(job, each.position), **asdict(each)} for each in wrong]
    scores["without_leaked"] = _without_leaked(job, logits.argmax(dim=1) == label_ids)
    return Measured(trust=trust, scores=scores, run=_run(job, trust))


def _without_leaked(job: Job, is_right: Tensor) -> dict[str, Any] | None:
    """The accuracy on the test examples of which the model has seen no copy; none where there is no leak."""
    leaked = job.findings.leaked_test if job.findings else ()
    if not leaked or len(leaked) == len(is_right):
        return None
    is_fresh = torch.ones(len(is_right), dtype=torch.bool)
    is_fresh[list(leaked)] = False
    fresh = is_right[is_fresh]
    accuracy, interval = evaluation.accuracy_with_interval(int(fresh.sum()), len(fresh))
    return {"leaked": len(leaked), "accuracy": accuracy, "accuracy_interval": interval}


def _in_order(job: Job, logits: Tensor, label_ids: Tensor) -> tuple[Tensor, Tensor]:
    """As the examples stand in the data, and not as the batches come."""
    order = torch.tensor(job.test.positions).argsort()
    return logits[order], label_ids[order]


def _most_frequent(label_ids: Sequence[int]) -> int:
    return Counter(label_ids).most_common(1)[0][0]


def _name(job: Job, position: int) -> str:
    """What a person finds the test example by; a text itself is nobody's to publish."""
    item = job.splits.test.items[position]
    return "/".join(item.parts[-2:]) if isinstance(item, Path) else f"text {position + 1:,} of the test data"


def _run(job: Job, trust: Trust) -> dict[str, Any]:
    return {
        "date": provenance.today(),
        "commit": job.commit,
        "hardware": describe(job.device),
        "versions": provenance.versions(),
        "answer_ms": _answer_ms(job, trust),
    }


def _answer_ms(job: Job, trust: Trust) -> float:
    """Median milliseconds from a file or text to its answer, one at a time."""
    info = {"kind": job.kind, "labels": list(job.splits.labels)}
    loaded = Checkpoint(name=job.out.name, info=info, model=job.model, transform=job.transform, trust=trust)
    classifier = Classifier(loaded, job.device)
    items = job.splits.validation.items[:SPEED_CALLS]
    classifier.predict(items[:1])
    times = []
    for item in items:
        began = time.perf_counter()
        classifier.predict([item])
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)
