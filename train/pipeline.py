"""From a model and its examples to a finished checkpoint: what both command lines share after reading their data."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pyclassify import card, checkpoint, provenance, report, training
from pyclassify.device import describe
from pyclassify.errors import ConfigError
from pyclassify.examples import Batches, PlacedBatches, Splits
from pyclassify.findings import DataLook
from train.look import TOGETHER
from train.measuring import Baseline, Measured, measure
from train.options import state_path
from train.progress import ProgressBar

MISTAKES_PRINTED = 5

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
    test: PlacedBatches
    config: training.TrainConfig
    device: torch.device
    command: str
    baseline: Baseline
    resume: bool = False
    measure_only: bool = False
    variant: Mapping[str, Any] = field(default_factory=dict)  # what else was asked for that changes the result
    about: str = ""
    data_license: str = ""
    hub_dataset: str = ""
    names: Mapping[str, Any] = field(default_factory=dict)  # from `given_names`
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
        ConfigError: there is nothing to resume or to measure, or what there is was made otherwise.
        DataError: the training diverged.
        CheckpointError: the checkpoint cannot be written.
        KeyboardInterrupt: as it comes; the last finished epoch is kept in `state_path`.
    """
    fitted = read_fitted(job) if job.measure_only else _fitted(job)
    measured = measure(job)
    info = _info(job, fitted, measured)
    pictures = report.pictures(info)
    text = card.write(
        job.out.name,
        info,
        skipped=job.splits.skipped,
        about=info["card"]["about"],
        data_license=info["card"]["data_license"],
        pictures=tuple(pictures),
    )
    checkpoint.save(
        job.out,
        info=info,
        weights=fitted.weights,
        transform=job.transform,
        card=text,
        known=measured.known_tensors,
        pictures={**pictures, **card.eval_results(info)},
    )
    checkpoint.add_selftest(job.out)
    shutil.rmtree(job.state_path.parent, ignore_errors=True)
    _report(job, measured.scores)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What a training leaves.

    Args:
        weights: to be shipped.
        training: plain data for config.json.
        card: what whoever trained said, plain data for config.json.
        twins_together: whether near-twins are on one side of the splits.
    """

    weights: Mapping[str, Tensor]
    training: Mapping[str, Any]
    card: Mapping[str, Any]
    twins_together: bool = True


def _fitted(job: Job) -> Fitted:
    began = time.perf_counter()
    epochs = _fit(job)
    duration_s = time.perf_counter() - began
    if job.resume:  # what was before the interruption is known by its epochs alone
        duration_s = sum(each.duration_s for each in epochs)
    weights, kept_as = _smallest_weights(job)
    return Fitted(weights=weights, training=_training(job, epochs, kept_as, duration_s), card=_said(job))


def read_fitted(job: Job) -> Fitted:
    """What an earlier training left; the job's model gets its weights.

    Raises:
        ConfigError: that training was of other data or another model.
        CheckpointError: there is no checkpoint, or it is damaged.
    """
    loaded = checkpoint.load(job.out)
    described = {"name": job.model_name, "arguments": dict(job.arguments)}
    same = (loaded.info["model"], loaded.labels, loaded.transform) == (described, [*job.splits.labels], job.transform)
    if not same or "training" not in loaded.info:
        raise ConfigError(
            f"{job.out} was not made from these data with these options, so it cannot be measured by them. Its command"
            f" was: {loaded.info.get('training', {}).get('command', 'not noted')}"
        )
    weights = loaded.model.state_dict()
    job.model.load_state_dict(weights)
    job.model.to(job.device).eval()
    if loaded.info["training"]["weights"] == "float16":
        weights = {name: each.half() if each.is_floating_point() else each for name, each in weights.items()}
    said = {**loaded.info.get("card", {}), **{key: value for key, value in _said(job).items() if value}}
    return Fitted(
        weights=weights,
        training=loaded.info["training"],
        card={**_said(job), **said},
        twins_together=loaded.info["data"].get(TOGETHER, False),
    )


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


def _info(job: Job, fitted: Fitted, measured: Measured) -> dict[str, Any]:
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
            TOGETHER: fitted.twins_together,
        },
        "findings": _findings(job),
        "calibration": measured.trust.config(),
        "known": measured.known,
        "scores": measured.scores,
        "training": dict(fitted.training),
        "measured": measured.run,
        "size_bytes": sum(each.numel() * each.element_size() for each in fitted.weights.values()),
        "versions": provenance.versions(),
        "card": dict(fitted.card),
    }


def _findings(job: Job) -> dict[str, Any] | None:
    """What was found in the data, without names: those of texts are texts, which are nobody's to publish."""
    if job.findings is None:
        return None
    found = asdict(job.findings)
    for each in found["findings"]:
        del each["examples"]
    return {**found, "leaked_test": len(found["leaked_test"])}


def _training(job: Job, epochs: Sequence[training.EpochResult], kept_as: str, duration_s: float) -> dict[str, Any]:
    return {
        "command": job.command,
        "config": asdict(job.config),
        "seed": job.config.seed,
        "epochs": [asdict(each) for each in epochs],
        "duration_s": duration_s,
        "date": provenance.today(),
        "commit": job.commit,
        "hardware": describe(job.device),
        "versions": provenance.versions(),
        "parameters": sum(each.numel() for each in job.model.parameters()),
        "weights": kept_as,
    }


def _said(job: Job) -> dict[str, Any]:
    return {
        "about": job.about,
        "data_license": job.data_license,
        "hub_dataset": job.hub_dataset,
        "skipped": [asdict(each) for each in job.splits.skipped],
        **job.names,
    }


def _report(job: Job, scores: Mapping[str, Any]) -> None:
    print("\n" + card.summary(scores))
    if len(job.splits.labels) <= 20:
        width = max(map(len, job.splits.labels))
        for label, row in scores["per_label"].items():
            print(
                f"  {label:{width}}  precision {row['precision']:.4f}  recall {row['recall']:.4f}  F1 {row['f1']:.4f}"
            )
    _print_mistakes(job, scores["mistakes"])
    if job.splits.skipped:
        print(f"{len(job.splits.skipped):,} unreadable or empty examples were left out; the card lists them.")
    print(f"Wrote {job.out}. Try it: python app.py --checkpoints {job.out.parent}", flush=True)


def _print_mistakes(job: Job, mistakes: Sequence[Mapping[str, Any]]) -> None:
    for each in mistakes[:MISTAKES_PRINTED]:
        item = job.splits.test.items[each["position"]]
        shown = shorten(item, 80) if isinstance(item, str) else each["name"]
        print(f"  {each['probability']:.1%} {each['answer']}, but it is {each['label']}: {shown}")
