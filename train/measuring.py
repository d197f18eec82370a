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
from pyclassify.classifier import Classifier, known_of
from pyclassify.device import describe
from pyclassify.evaluation import Trust
from pyclassify.image import known as image_known
from pyclassify.text import known as text_known
from pyclassify.text.transform import TextTransform
from pyclassify.training.inference import to_device

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
        known: what tells inputs like the training data from others, plain data for config.json.
        known_tensors: the numbers that go with it.
        scores: of the test data, plain data for config.json.
        run: when, where and how fast, plain data for config.json.
    """

    trust: Trust
    known: dict[str, Any]
    known_tensors: dict[str, Tensor]
    scores: dict[str, Any]
    run: dict[str, Any]


def measure(job: Job) -> Measured:
    """Fit temperature and sets on the validation data, and read the test data once."""
    labels = job.splits.labels
    logits, label_ids = training.predict_logits(job.model, job.validation)
    temperature = evaluation.fit_temperature(logits, label_ids)
    sets = evaluation.fit_sets(evaluation.calibrated(logits, temperature), label_ids)
    trust = Trust(temperature=temperature, sets=sets, examples=len(label_ids))
    known, tensors = _fit_known(job)
    info = {"kind": job.kind, "labels": list(labels), "known": known}
    finished = Checkpoint(
        name=job.out.name, info=info, model=job.model, transform=job.transform, trust=trust, known=tensors
    )
    logits, strangeness, label_ids = _answers(job, finished)
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
    scores["refused"] = (strangeness > known["threshold"]).double().mean().item()
    scores["without_leaked"] = _without_leaked(job, logits.argmax(dim=1) == label_ids)
    return Measured(trust=trust, known=known, known_tensors=tensors, scores=scores, run=_run(job, finished))


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


def _fit_known(job: Job) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if isinstance(job.transform, TextTransform):
        return text_known.fit(job.model, job.train, job.validation, transform=job.transform)
    return image_known.fit(job.model, job.train, job.validation)


def _answers(job: Job, finished: Checkpoint) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (M, K), strangeness (M,) and labels (M,) of the test data, as they stand in the data.

    This is the one reading of them; the batches come in another order.
    """
    asked = known_of(finished)
    assert asked is not None  # it was fitted just before
    rows = []
    for batch in job.test.epoch():
        inputs, label_ids = to_device(batch, job.device)
        rows.append([each.cpu() for each in (*asked.answer(*inputs), label_ids)])
    order = torch.tensor(job.test.positions).argsort()
    logits, strangeness, label_ids = (torch.cat(each)[order] for each in zip(*rows, strict=True))
    return logits.float(), strangeness, label_ids


def _most_frequent(label_ids: Sequence[int]) -> int:
    return Counter(label_ids).most_common(1)[0][0]


def _name(job: Job, position: int) -> str:
    """What a person finds the test example by; a text itself is nobody's to publish."""
    item = job.splits.test.items[position]
    return "/".join(item.parts[-2:]) if isinstance(item, Path) else f"text {position + 1:,} of the test data"


def _run(job: Job, finished: Checkpoint) -> dict[str, Any]:
    return {
        "date": provenance.today(),
        "commit": job.commit,
        "hardware": describe(job.device),
        "versions": provenance.versions(),
        "answer_ms": _answer_ms(job, finished),
    }


def _answer_ms(job: Job, finished: Checkpoint) -> float:
    """Median milliseconds from a file or text to its answer, one at a time."""
    classifier = Classifier(finished, job.device)
    items = job.splits.validation.items[:SPEED_CALLS]
    classifier.predict(items[:1])
    times = []
    for item in items:
        began = time.perf_counter()
        classifier.predict([item])
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)
