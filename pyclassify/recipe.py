"""The training recipe: from labelled files to a finished checkpoint, in one function that reads top to bottom."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from pydantic import JsonValue
from torch import Tensor, nn

from pyclassify import checkpoint, data_report, evaluation, modality, model_card, plots
from pyclassify.checkpoint import CONFIG, Checkpoint
from pyclassify.classifier import Classifier
from pyclassify.data_report import Inspection
from pyclassify.dataset import Batches, Examples, Skipped, Splits
from pyclassify.dedup import TEST, group_splits, split_ids_of
from pyclassify.device import describe, pick
from pyclassify.errors import CheckpointError, ConfigError
from pyclassify.formats import junk_below
from pyclassify.locales import Message
from pyclassify.manifest import (
    Calibration,
    CalibrationSource,
    DataSummary,
    Description,
    Epoch,
    LeakFreeScore,
    Manifest,
    Measurement,
    Mistake,
    Network,
    Peer,
    Scores,
    SkippedItem,
    Training,
    commit,
    today,
    versions,
)
from pyclassify.modality import Corpus, Modality, Task, Transform
from pyclassify.training import trainer
from pyclassify.training.config import TrainingConfig, state_path
from pyclassify.training.trainer import BatchProgress
from pyclassify.weights import NumberFormat, formats_for, pack, unpack

MAX_ROUNDING_LOSS: Final = {"int8": 0.001, "float16": 0.0005}
"""Loss of validation accuracy up to which rounded weights are kept; without validation data, the share of answers to
training examples that change."""

MIN_VALIDATION: Final = 100
"""Size below which a derived validation split is too small to choose by, where a network can cross-validate."""

_TIMED_ANSWERS: Final = 50
_JUDGED_BATCHES: Final = 8
"""Training batches whose answers say whether rounding changes any, where there is no validation data."""

_Answers = tuple[Tensor, Tensor]
"""Logits (N, K) float32 and label ids (N,) int64, on the CPU."""


# Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Progress of a stage before the training, such as "reading": so many of all items are done."""

    name: str
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A sentence for the person who trains."""

    text: Message | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """The data report is finished."""

    inspection: Inspection


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Data and network are ready to begin the training."""

    splits: Splits[Any]
    network: Network


Event = Stage | Notice | Skipped | Inspected | Ready | BatchProgress | Epoch
"""`Skipped`: an example was left out. `BatchProgress` and `Epoch`: see `training.trainer`."""

OnProgress = Callable[[Event], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """A finished training.

    Args:
        path: of the checkpoint.
        manifest: its content.
        mistakes: those of `manifest.scores` with the example itself as the name, such as the beginning of a text.
    """

    path: Path
    manifest: Manifest
    mistakes: tuple[Mistake, ...]


# The recipe


def train(config: TrainingConfig, *, on_progress: OnProgress | None = None) -> TrainResult:
    """Train a classifier and write it as a checkpoint, or measure an existing one again (`config.measure_only`).

    Every choice is made on validation data, or by cross-validation where there is too little of it; test data is read
    once, at the end. The last finished epoch of an interrupted training is kept for `config.resume`, which leads to the
    same checkpoint as an uninterrupted training.

    Args:
        config: what to train on, how, and where to write it.
        on_progress: called with each `Event`. It may raise to stop the training.

    Raises:
        ConfigError: an option cannot work, or there is nothing to resume or to measure.
        DataError: the data is missing, unreadable or cannot be learned from.
        CheckpointError: the checkpoint cannot be written.
    """
    tell = on_progress or _ignore
    out = check(config)
    revision = commit()  # what is committed while the training runs is not part of it
    previous = checkpoint.load(out) if config.measure_only else None
    recorded = previous.manifest.data if previous else None
    is_grouped = recorded is None or recorded.duplicates_grouped
    kind = modality.of(config)

    corpus, inspection = _read(
        config, kind, tell, group_duplicates=is_grouped, merge_validation=recorded is None or not recorded.validation
    )
    device = pick(config.device)
    task = kind.prepare(config, corpus, device, on_step=partial(_tell_step, tell))
    tell(Ready(splits=corpus.splits, network=task.settings))
    for remark in task.remarks:
        tell(Notice(text=remark))

    if previous is None:
        weights, training = _fit(config, task, corpus.splits, device, tell, revision)
    else:
        weights, training = _reuse(previous, task, corpus.splits, device)

    if config.resume or previous is not None:
        _cross_fit_again(task)
    calibration = _calibrate(task, previous.manifest.calibration if previous else None)
    ood, ood_tensors = kind.fit_ood(task.network, task)
    manifest = Manifest(
        kind=config.kind,
        labels=list(corpus.splits.labels),
        network=task.settings,
        transform=task.transform.settings(),
        calibration=calibration,
        ood=ood,
        data=_summarize(corpus.splits, task, is_grouped),
        data_report=inspection.report,
        training=training.model_copy(update={"origin": kind.origin(task, ood) or training.origin}),
        description=_describe(config, previous.manifest.description if previous else Description()),
        skipped=[_skipped_item(skipped) for skipped in corpus.splits.skipped],
        size_bytes=sum(tensor.numel() * tensor.element_size() for tensor in weights.values()),
        versions=versions(),
    )

    finished = Checkpoint(
        name=out.name,
        manifest=manifest,
        network=task.network,
        transform=task.transform,
        ood=kind.load_ood(task.network, ood, ood_tensors),
        ood_tensors=ood_tensors,
    )
    scores = _evaluate(finished, kind, corpus, task, inspection, device)
    if previous is not None and previous.manifest.scores is not None and not scores.peers:
        scores = scores.model_copy(update={"peers": previous.manifest.scores.peers})
    timed = corpus.splits.validation.items or corpus.splits.train.items
    measured = measure_speed(finished, timed, device, revision)
    manifest = save(out, manifest.replace(scores=scores, measured=measured), weights, task.transform, ood_tensors)
    shutil.rmtree(state_path(out).parent, ignore_errors=True)
    return TrainResult(path=out, manifest=manifest, mistakes=_with_items(scores.mistakes, kind, corpus))


def inspect(config: TrainingConfig, *, on_progress: OnProgress | None = None) -> Inspection:
    """Read the data and report what is wrong with it; nothing is trained or written.

    Raises:
        ConfigError: an option cannot work.
        DataError: the data is missing or unreadable.
    """
    kind = modality.of(config)
    pick(config.device)
    kind.check(config)
    _, inspection = _read(config, kind, on_progress or _ignore, inspect_only=True)
    return inspection


def rewrite_card(path: Path, changes: Description | None = None, *, data_name: str = "") -> None:
    """Write card and figures of a checkpoint anew from its manifest, after changing its description.

    Args:
        path: of the checkpoint.
        changes: titles and names are added to those that are there; of the rest, what is not empty replaces them.
        data_name: new name of the data set; empty to keep it.

    Raises:
        ConfigError: a name is for a label that does not exist, or would stand for two.
        CheckpointError: the folder holds no checkpoint of a training, or cannot be written.
    """
    manifest = checkpoint.read_manifest(path)
    if changes is not None:
        check_label_names(changes.label_names, manifest.labels)
        manifest = manifest.replace(description=_merge(manifest.description, changes))
    if data_name and manifest.data is not None:
        manifest = manifest.replace(data=manifest.data.model_copy(update={"name": data_name}))
    if manifest.training is None or manifest.scores is None:
        raise CheckpointError("no_training_recorded", name=path.name)
    figures = plots.png_figures(manifest)
    card = model_card.render(path.resolve().name, manifest, tuple(figures))
    checkpoint.resave(path, manifest, card=card, figures={**figures, **model_card.eval_results(manifest)})


def _ignore(_: Event) -> None:
    pass


def _tell_step(tell: OnProgress, name: str, done: int, total: int) -> None:
    tell(Stage(name=name, done=done, total=total))


# Checking


def check(config: TrainingConfig) -> Path:
    """Refuse options that cannot work, before any data is read; return the folder of the checkpoint.

    Raises:
        ConfigError: an option cannot work, or there is nothing to resume or to measure.
        CheckpointError: the checkpoint could not be written.
    """
    out = config.out
    pick(config.device)
    if out is None:
        raise ConfigError("out_missing")
    if out.name in ("", ".."):
        raise ConfigError("out_not_a_folder_of_its_own", path=out)
    checkpoint.check_writable(state_path(out).parent)
    checkpoint.refuse_other_content(out)
    if config.measure_only and not (out / CONFIG).is_file():
        raise ConfigError("nothing_to_measure", path=out)
    for data in (config.data, getattr(config, "test", None)):
        if data is not None:
            _refuse_inside(out, data)
    if config.resume and not state_path(out).is_file():
        raise ConfigError("nothing_to_resume", path=state_path(out))
    modality.of(config).check(config)
    return out


def _refuse_inside(out: Path, data: Path) -> None:
    """Refuse a checkpoint among the folders of labels, where it would be a label of the next training."""
    folders = [data / name for name in ("train", "val", "test")] if os.path.isdir(data / "train") else [data]
    if any(out.resolve().is_relative_to(folder.resolve()) for folder in folders):
        raise ConfigError("out_inside_data", path=out, data=data)


def check_label_names(names: Mapping[str, Mapping[str, str]], labels: Sequence[str]) -> None:
    """Check the names of labels, by language and label.

    Raises:
        ConfigError: a name is for a label that does not exist, or two labels would have the same name.
    """
    for by_label in names.values():
        unknown = sorted(by_label.keys() - set(labels))
        if unknown:
            raise ConfigError("label_to_name_unknown", label=repr(unknown[0]), labels=labels)
        counts = Counter(by_label.get(label, label) for label in labels)
        ambiguous = sorted(name for name, count in counts.items() if count > 1)
        if ambiguous:
            raise ConfigError("label_name_ambiguous", name=repr(ambiguous[0]))


# Reading


def _read(
    config: TrainingConfig,
    kind: Modality,
    tell: OnProgress,
    *,
    group_duplicates: bool = True,
    merge_validation: bool = True,
    inspect_only: bool = False,
) -> tuple[Corpus[Any], Inspection]:
    """Read the data, keep duplicates on one side of derived splits, drop what `fix` may drop, and report the rest.

    A derived validation split that is too small to choose by joins the training split if the network cross-validates.
    """
    on_step = partial(_tell_step, tell)
    corpus = kind.read(config, inspect_only=inspect_only, on_step=on_step, load_start=checkpoint.load)
    for note in corpus.splits.notes:
        tell(Notice(text=note))
    for skipped in corpus.splits.skipped:
        tell(skipped)
    check_label_names(config.label_names, corpus.splits.labels)
    duplicates = kind.find_duplicates(corpus, on_step=on_step)
    if group_duplicates:
        fractions = {"validation_fraction": config.validation_fraction, "test_fraction": config.test_fraction}
        grouped = group_splits(corpus.splits, duplicates, **fractions)
        if grouped is not None:
            tell(Notice(text=Message("notes.duplicates_grouped", {"items": Message(f"kinds.{config.kind}.plural")})))
            corpus, duplicates = kind.select(corpus, grouped), duplicates.take(np.concatenate(grouped))
    if merge_validation and _is_cross_validated(config, kind, corpus):
        is_test = split_ids_of(corpus.splits) == TEST
        merged = np.flatnonzero(~is_test)
        selection = (merged, merged[:0], np.flatnonzero(is_test))
        counted = Message(f"items.{config.kind}", {"count": len(merged)})
        tell(Notice(text=Message("notes.cross_validated", {"counted": counted})))
        corpus = kind.select(corpus, selection)
    if config.fix:
        kept, dropped = data_report.drop_unsafe(corpus.splits, duplicates)
        for code, count in dropped:
            counted = Message(f"items.{config.kind}", {"count": count})
            tell(Notice(text=Message(f"report.fixed.{code}", {"count": count, "counted": counted})))
        if not dropped:
            tell(Notice(text=Message("notes.nothing_to_fix")))
        corpus, duplicates = kind.select(corpus, kept), duplicates.take(np.concatenate(kept))
    inspection = data_report.inspect(
        corpus.splits,
        duplicates,
        sizes=kind.sizes(corpus),
        junk=junk_below(corpus.root),
        item_name=partial(kind.item_name, corpus),
    )
    tell(Inspected(inspection=inspection))
    return corpus, inspection


def _is_cross_validated(config: TrainingConfig, kind: Modality, corpus: Corpus[Any]) -> bool:
    splits = corpus.splits
    is_small = "validation" in splits.derived and 0 < len(splits.validation) < MIN_VALIDATION
    return is_small and kind.cross_validates(config, corpus)


# Fitting


def _fit(
    config: TrainingConfig, task: Task, splits: Splits[Any], device: torch.device, tell: OnProgress, revision: str
) -> tuple[dict[str, Tensor], Training]:
    """Fit the network; return the weights to keep and the record of the training."""
    assert config.out is not None
    began = time.perf_counter()
    epochs, notes = [], []

    def on_note(message: Message) -> None:
        notes.append(message.text())
        tell(Notice(text=message))

    for epoch in trainer.fit(
        task.network,
        task.train,
        task.validation,
        task.fit,
        lessons=task.lessons,
        device=device,
        state_path=state_path(config.out),
        resume=config.resume,
        fingerprint=_fingerprint(task, splits),
        on_batch=tell,
        on_note=on_note,
    ):
        epochs.append(epoch)
        tell(epoch)
    duration_s = time.perf_counter() - began
    if config.resume:  # of the time before the interruption only the epochs are known
        duration_s = sum(epoch.duration_s for epoch in epochs)
    weights, number_format = _smallest_weights(task)
    return weights, Training(
        command=config.command or _as_call(config),
        config=asdict(task.fit),
        seed=config.seed,
        epochs=epochs,
        duration_s=duration_s,
        date=today(),
        commit=revision,
        hardware=describe(device),
        versions=versions(),
        num_parameters=sum(parameter.numel() for parameter in task.network.parameters()),
        weights=number_format,
        remarks=[*task.remarks, *notes],
    )


def _fingerprint(task: Task, splits: Splits[Any]) -> str:
    """Return a digest of everything that changes the result of a training."""
    parts = {
        "config": asdict(task.fit),
        "network": task.settings.model_dump(),
        "transform": task.transform.settings(),
        "labels": splits.labels,
        "examples": [_digest(splits.train), _digest(splits.validation)],
        **task.variant,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _digest(examples: Examples[Any]) -> str:
    digest = hashlib.sha256()
    for item, label_id in zip(examples.items, examples.label_ids, strict=True):
        digest.update(f"{item}\0{label_id}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _smallest_weights(task: Task) -> tuple[dict[str, Tensor], NumberFormat]:
    """Return the weights on the CPU and their number format; the network keeps exactly these, as they are scored."""
    network, has_validation = task.network, bool(task.validation.num_examples)
    judged_on: Batches = task.validation if has_validation else trainer.FirstBatches(task.train, _JUDGED_BATCHES)
    full = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
    answers, label_ids = _answers(network, judged_on)
    # of answers to training examples, how many are right says little
    truth = label_ids if has_validation else answers
    for number_format in formats_for(full):
        packed = pack(full, number_format)
        network.load_state_dict(unpack(packed))
        rounded_answers, _ = _answers(network, judged_on)
        loss = (answers == truth).double().mean() - (rounded_answers == truth).double().mean()
        if loss.item() <= MAX_ROUNDING_LOSS[number_format]:
            return {name: tensor.cpu() for name, tensor in packed.items()}, number_format
    network.load_state_dict(full)
    return {name: tensor.cpu() for name, tensor in full.items()}, "float32"


def _answers(network: nn.Module, batches: Batches) -> tuple[Tensor, Tensor]:
    """Return the answers and the labels of all examples, (N,) int64 each."""
    logits, label_ids = trainer.predict_logits(network, batches)
    return logits.argmax(dim=1), label_ids


def _as_call(config: TrainingConfig) -> str:
    """Write a configuration as the call of `pyclassify.train` that repeats the training."""
    arguments = []
    for option in fields(config):
        value = getattr(config, option.name)
        is_default = not value if option.name in ("title", "label_names") else value == option.default
        if not is_default and option.name not in ("resume", "command"):
            arguments.append(f"{option.name}={str(value) if isinstance(value, Path) else value!r}")
    return f"pyclassify.train(pyclassify.{type(config).__name__}({', '.join(arguments)}))"


# Measuring an existing checkpoint


def _reuse(
    previous: Checkpoint, task: Task, splits: Splits[Any], device: torch.device
) -> tuple[dict[str, Tensor], Training]:
    """Give the network the weights of an existing checkpoint; return them and the record of its training.

    Raises:
        ConfigError: the checkpoint was trained on other data or with other options.
    """
    manifest, training = previous.manifest, previous.manifest.training
    parts = (
        (manifest.labels, list(splits.labels)),
        (manifest.network.model_dump(), task.settings.model_dump()),
        (previous.transform.settings(), task.transform.settings()),
        (previous.modality.transform_files(previous.transform), previous.modality.transform_files(task.transform)),
    )
    if training is None or any(before != now for before, now in parts):
        raise ConfigError("measured_with_other_data", path=previous.name, command=training.command if training else "-")
    full = dict(previous.network.state_dict())
    task.network.to(device).load_state_dict(full)
    task.network.eval()
    return pack(full, training.weights), training


# Evaluating


def _calibrate(task: Task, before: Calibration | None) -> Calibration:
    """Fit temperature, ceiling and prediction sets of the finished network.

    Args:
        task: with the network.
        before: of a checkpoint that is measured again. The same examples are used: the part that chooses nothing now
            may have chosen the weights then.
    """
    found = _unseen_answers(task, before.source if before else None)
    if found is None:
        return Calibration()
    source, (logits, label_ids) = found
    return evaluation.fit_calibration(logits, label_ids, source=source)


def _unseen_answers(task: Task, source: CalibrationSource | None) -> tuple[CalibrationSource, _Answers] | None:
    """Answer examples that the weights were not fitted on.

    The sources are the part of the validation split that calibrates, cross-validation, and the whole validation split:
    the first of these that exists, or the one that is asked for.

    Returns:
        The source, and logits (N, K) with label ids (N,); None if there are no such examples.
    """
    if task.calibration is not None and source in (None, "calibration"):
        return "calibration", trainer.predict_logits(task.network, task.calibration)
    parts = [part for part in (task.validation, task.calibration) if part is not None and part.num_examples]
    if source != "validation" or not parts:
        answers = _out_of_fold(task)
        if answers is not None:
            return "out_of_fold", answers
    if not parts:
        return None
    logits, label_ids = zip(*(trainer.predict_logits(task.network, part) for part in parts), strict=True)
    return "validation", (torch.cat(logits), torch.cat(label_ids))


def _out_of_fold(task: Task) -> _Answers | None:
    """Return the logits (N, K) that cross-validation gave to training examples, and their label ids (N,), if any."""
    answers = task.network.out_of_fold() if isinstance(task.network, trainer.CrossFits) else None
    return answers and (answers[0].float().cpu(), answers[1].cpu())


def _cross_fit_again(task: Task) -> None:
    """Repeat the cross-validation of a network that was loaded from a checkpoint or a state file; its weights stay."""
    network = task.network
    if task.calibration is not None or not isinstance(network, trainer.CrossFits) or network.out_of_fold() is not None:
        return
    if isinstance(network, trainer.Prepares):
        weights = {name: tensor.detach().clone() for name, tensor in task.network.state_dict().items()}
        with trainer.seeded(task.fit.seed):
            network.prepare(task.train)
        task.network.load_state_dict(weights)
        task.network.eval()


def _evaluate(
    finished: Checkpoint, kind: Modality, corpus: Corpus[Any], task: Task, inspection: Inspection, device: torch.device
) -> Scores:
    """Score the finished checkpoint on the test data, which is read here and nowhere else."""
    splits, calibration = corpus.splits, finished.manifest.calibration
    thresholds: dict[str, float] = {**calibration.thresholds}  # type: ignore[dict-item]
    logits, ood_scores, label_ids = answer_test(finished, task.test, device)
    probabilities = evaluation.calibrate(logits, calibration.temperature, calibration.ceiling)
    answers = logits.argmax(dim=1)
    majority_id = Counter(splits.train.label_ids).most_common(1)[0][0]
    basic = evaluation.score(logits, label_ids, labels=splits.labels, majority_id=majority_id)
    assert finished.ood is not None
    return Scores(
        **asdict(basic),
        calibration=evaluation.calibration_score(
            logits, label_ids, temperature=calibration.temperature, ceiling=calibration.ceiling
        ),
        sets=evaluation.set_scores(probabilities, label_ids, thresholds=thresholds, labels=splits.labels),
        baseline=evaluation.compare(kind.fit_baseline(corpus, task), answers, label_ids),
        mistakes=evaluation.mistakes(
            probabilities,
            label_ids,
            labels=splits.labels,
            name=lambda position: kind.mistake_name(splits.test.items[position], position),
        ),
        refused=(ood_scores > finished.ood.threshold).double().mean().item(),
        without_leaked=_score_without(inspection.leaked_test, answers == label_ids),
        peers=[_score_peer(name, answer(), label_ids) for name, answer in task.peers.items()],
    )


def _score_peer(name: str, answers: Tensor, label_ids: Tensor) -> Peer:
    accuracy, interval = evaluation.accuracy_with_interval(int((answers == label_ids).sum()), len(label_ids))
    return Peer(name=name, accuracy=accuracy, accuracy_interval=interval)


@torch.inference_mode()
def answer_test(finished: Checkpoint, test: Batches, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits (M, K), OOD scores (M,) and label ids (M,), in the order of the test split."""
    assert finished.ood is not None
    rows = []
    for batch in test.epoch():
        inputs, label_ids = trainer.to_device(batch, device)
        rows.append([tensor.cpu() for tensor in (*finished.ood.answer(*inputs), label_ids)])
    order = torch.tensor(test.positions).argsort()  # the batches come in an order of their own
    logits, ood_scores, label_ids = (torch.cat(tensors)[order] for tensors in zip(*rows, strict=True))
    return logits.float(), ood_scores, label_ids


def _score_without(leaked: Sequence[int], is_right: Tensor) -> LeakFreeScore | None:
    """Score the test examples without a duplicate in train or validation; None if that is all of them or none."""
    if not leaked or len(leaked) == len(is_right):
        return None
    is_fresh = torch.ones(len(is_right), dtype=torch.bool)
    is_fresh[list(leaked)] = False
    fresh = is_right[is_fresh]
    accuracy, interval = evaluation.accuracy_with_interval(int(fresh.sum()), len(fresh))
    return LeakFreeScore(leaked=len(leaked), accuracy=accuracy, accuracy_interval=interval)


def measure_speed(finished: Checkpoint, items: Sequence[Any], device: torch.device, revision: str) -> Measurement:
    """Time single answers, from a file or text to a prediction."""
    classifier = Classifier(finished, device)
    items = items[:_TIMED_ANSWERS]
    classifier.predict(items[:1])  # the first answer is slow
    times_ms = []
    for item in items:
        began = time.perf_counter()
        classifier.predict([item])
        times_ms.append(1000 * (time.perf_counter() - began))
    return Measurement(
        date=today(),
        commit=revision,
        hardware=describe(device),
        versions=versions(),
        answer_ms=statistics.median(times_ms),
    )


# The checkpoint


def save(
    out: Path,
    manifest: Manifest,
    weights: Mapping[str, Tensor],
    transform: Transform,
    ood_tensors: Mapping[str, Tensor],
) -> Manifest:
    """Write the checkpoint with its card and figures; return its manifest as written."""
    figures = plots.png_figures(manifest)
    saved = checkpoint.save(
        out,
        manifest=manifest,
        weights=weights,
        transform=transform,
        ood_tensors=ood_tensors,
        card=model_card.render(out.name, manifest, tuple(figures)),
        figures={**figures, **model_card.eval_results(manifest)},
    )
    return saved.manifest


def _with_items(mistakes: Sequence[Mistake], kind: Modality, corpus: Corpus[Any]) -> tuple[Mistake, ...]:
    """Name mistakes by the examples themselves, which are for the person who trains and not for the card."""
    items = corpus.splits.test.items
    return tuple(
        mistake.model_copy(update={"name": kind.item_name(corpus, items[mistake.position])}) for mistake in mistakes
    )


def _summarize(splits: Splits[Any], task: Task, duplicates_grouped: bool) -> DataSummary:
    return DataSummary(
        name=splits.name,
        train=len(splits.train),
        validation=len(splits.validation),
        test=len(splits.test),
        calibration=task.calibration.num_examples if task.calibration is not None else 0,
        skipped=len(splits.skipped),
        seed=splits.seed,
        duplicates_grouped=duplicates_grouped,
    )


def _describe(config: TrainingConfig, previous: Description) -> Description:
    changes = Description(
        title=dict(config.title),
        label_names={language: dict(names) for language, names in config.label_names.items()},
        about=config.about,
        data_license=config.data_license,
        hub_dataset=config.hub_dataset,
    )
    return _merge(previous, changes)


def _merge(before: Description, changes: Description) -> Description:
    languages = {**before.label_names, **changes.label_names}
    return Description(
        title={**before.title, **changes.title},
        label_names={
            language: {**before.label_names.get(language, {}), **changes.label_names.get(language, {})}
            for language in languages
        },
        about=changes.about or before.about,
        data_license=changes.data_license or before.data_license,
        hub_dataset=changes.hub_dataset or before.hub_dataset,
    )


def _skipped_item(skipped: Skipped) -> SkippedItem:
    fields: dict[str, JsonValue] = {name: _plain(value) for name, value in skipped.reason.fields.items()}
    return SkippedItem(name=skipped.name, reason=skipped.reason.key, fields=fields)


def _plain(value: Any) -> int | str:
    """Return the field of a message as JSON."""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return value if isinstance(value, int) else str(value)
