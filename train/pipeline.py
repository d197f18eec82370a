"""From a model and its examples to a finished checkpoint: what both command lines share after reading their data."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pyclassify import card, checkpoint, evaluation, provenance, report, training
from pyclassify.device import describe
from pyclassify.examples import Batches, Splits
from pyclassify.findings import DataLook
from train.options import state_path
from train.progress import ProgressBar

HALF_COSTS_AT_MOST = 0.0005
"""Weights are kept in half precision where it costs no more validation accuracy than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """All that a training needs, once options and data are read."""

    out: Path
    kind: Literal["image", "text"]
    splits: Splits[Any]
    model_name: str
    arguments: Mapping[str, Any]
    model: nn.Module
    transform: checkpoint.Transform
    train: Batches
    validation: Batches
    test: Batches
    config: training.TrainConfig
    device: torch.device
    command: str
    resume: bool = False
    variant: Mapping[str, Any] = field(default_factory=dict)  # what else was asked for that changes the result
    about: str = ""
    data_license: str = ""
    findings: DataLook | None = None
    # taken when the training begins: what is committed while it runs is not in it
    commit: str = field(default_factory=provenance.commit)

    @property
    def state_path(self) -> Path:
        """The file that an interrupted training goes on from."""
        return state_path(self.out)

    def fingerprint(self) -> str:
        """Changes with anything that changes the result."""
        parts = {
            "config": asdict(self.config),
            "model": [self.model_name, self.arguments],
            "transform": self.transform.config(),
            "labels": self.splits.labels,
            "examples": [_digest(part) for part in (self.splits.train, self.splits.validation)],
            **self.variant,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _digest(examples: Any) -> str:
    digest = hashlib.sha256()
    for item, label_id in zip(examples.items, examples.label_ids, strict=True):
        digest.update(f"{item}\0{label_id}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def run(job: Job) -> None:
    """Fit, measure, write the checkpoint and print the report.

    Raises:
        ConfigError: there is nothing to resume, or what there is was begun otherwise.
        DataError: the training diverged.
        CheckpointError: the checkpoint cannot be written.
        KeyboardInterrupt: as it comes; the last finished epoch is kept in `state_path`.
    """
    began = time.perf_counter()
    epochs = _fit(job)
    duration_s = time.perf_counter() - began
    if job.resume:  # what was before the interruption is known by its epochs alone
        duration_s = sum(each.duration_s for each in epochs)
    weights, kept_as = _smallest_weights(job)
    logits, label_ids = training.predict_logits(job.model, job.test)  # the one reading of the test data
    majority = Counter(job.splits.train.label_ids).most_common(1)[0][0]
    scores = evaluation.score(logits, label_ids, labels=job.splits.labels, majority_id=majority)
    info = _info(job, epochs, scores, kept_as, duration_s)
    pictures = {report.CURVES: report.curves(info["training"])}
    text = card.write(
        job.out.name,
        info,
        skipped=job.splits.skipped,
        about=job.about,
        data_license=job.data_license,
        pictures=tuple(pictures),
    )
    checkpoint.save(job.out, info=info, weights=weights, transform=job.transform, card=text, pictures=pictures)
    shutil.rmtree(job.state_path.parent, ignore_errors=True)
    _report(job, scores)


def _fit(job: Job) -> list[training.EpochResult]:
    results = []
    with ProgressBar(job.train, things="pictures" if job.kind == "image" else "texts") as bar:
        for result in training.fit(
            job.model,
            job.train,
            job.validation,
            job.config,
            device=job.device,
            state_path=job.state_path,
            resume=job.resume,
            fingerprint=job.fingerprint(),
            on_batch=bar.update,
            on_note=bar.say,
        ):
            bar.finish_epoch(result)
            results.append(result)
    return results


def _smallest_weights(job: Job) -> tuple[dict[str, Tensor], str]:
    """The weights to ship; the model is left with just these, so that the score is that of what is shipped."""
    full = {name: each.detach().clone() for name, each in job.model.state_dict().items()}
    _, before = training.evaluate(job.model, job.validation)
    half = {name: each.half() if each.is_floating_point() else each for name, each in full.items()}
    job.model.load_state_dict({name: each.to(full[name].dtype) for name, each in half.items()})
    _, after = training.evaluate(job.model, job.validation)
    if after >= before - HALF_COSTS_AT_MOST:
        return {name: each.cpu() for name, each in half.items()}, "float16"
    job.model.load_state_dict(full)
    return {name: each.cpu() for name, each in full.items()}, "float32"


def _info(
    job: Job, epochs: list[training.EpochResult], scores: evaluation.Scores, kept_as: str, duration_s: float
) -> dict[str, Any]:
    splits = job.splits
    return {
        "kind": job.kind,
        "labels": list(splits.labels),
        "model": {"name": job.model_name, "arguments": dict(job.arguments)},
        "data": {
            "name": splits.name,
            "train": len(splits.train),
            "validation": len(splits.validation),
            "test": len(splits.test),
            "skipped": len(splits.skipped),
            "seed": splits.seed,
        },
        "findings": asdict(job.findings) if job.findings else None,
        "scores": asdict(scores),
        "training": {
            "command": job.command,
            "config": asdict(job.config),
            "seed": job.config.seed,
            "epochs": [asdict(each) for each in epochs],
            "duration_s": duration_s,
            "date": provenance.today(),
            "commit": job.commit,
            "hardware": describe(job.device),
            "parameters": sum(each.numel() for each in job.model.parameters()),
            "weights": kept_as,
        },
        "versions": provenance.versions(),
        "card": {
            "about": job.about,
            "data_license": job.data_license,
            "skipped": [asdict(each) for each in splits.skipped],
        },
    }


def _report(job: Job, scores: evaluation.Scores) -> None:
    low, high = scores.accuracy_interval
    print(
        f"\nTest accuracy {scores.accuracy:.4f} (95 % interval {low:.4f} to {high:.4f}, {scores.examples:,} examples),"
        f" macro F1 {scores.macro_f1:.4f}; always answering the most frequent label: {scores.majority_accuracy:.4f}"
    )
    if len(job.splits.labels) <= 20:
        width = max(map(len, job.splits.labels))
        for label, row in scores.per_label.items():
            print(f"  {label:{width}}  precision {row.precision:.4f}  recall {row.recall:.4f}  F1 {row.f1:.4f}")
    if job.splits.skipped:
        print(f"{len(job.splits.skipped):,} unreadable or empty examples were left out; the card lists them.")
    print(f"Wrote {job.out}. Try it: python app.py --checkpoints {job.out.parent}", flush=True)
