"""The manifest of a checkpoint: the content of `config.json` as typed, validated data.

Settings that belong to one kind of input (the arguments of its network, its transform, its OOD detector) are plain JSON
here and are validated by the dataclasses of that kind. The manifest holds the SHA-256 of every file that answers depend
on, and of itself, so that a changed threshold or label is noticed like a changed weight.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from pyclassify.locales import DEFAULT, Message
from pyclassify.weights import NumberFormat

FORMAT: Final = 2
COVERAGES: Final = ("0.90", "0.95", "0.99")
"""Shares of inputs whose prediction set holds the true label, as they are written in config.json."""

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
CalibrationSource = Literal["validation", "calibration", "out_of_fold"]


class Section(BaseModel):
    """A part of the manifest: immutable, with no unknown fields and no numbers that are not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


class Network(Section):
    """The network: its name, and the arguments of its constructor beside `num_labels`."""

    name: str
    arguments: dict[str, JsonValue] = {}


class Calibration(Section):
    """Temperature and prediction sets, fitted on examples that the weights were not.

    Args:
        temperature: logits are divided by it.
        thresholds: for each of COVERAGES the least probability of a label in the prediction set.
        num_examples: examples that both were fitted on.
        source: of these examples: the validation split; the part of it that nothing was chosen by; or the training
            split, each example answered by a fit without it.
        ceiling: largest probability that so many examples support; see `evaluation.ceiling`.
    """

    temperature: Annotated[float, Field(gt=0)] = 1.0
    thresholds: dict[Literal["0.90", "0.95", "0.99"], Share] = {}
    num_examples: Count = 0
    source: CalibrationSource = "validation"
    ceiling: Annotated[float, Field(gt=0, le=1)] = 1.0

    @field_validator("thresholds")
    @classmethod
    def _check_coverages(cls, thresholds: dict[str, float]) -> dict[str, float]:
        if thresholds and tuple(sorted(thresholds)) != COVERAGES:
            raise ValueError(f"thresholds must be for {', '.join(COVERAGES)}")
        return thresholds


class Ood(Section):
    """Out-of-distribution detection: which inputs are unlike the training data.

    Args:
        threshold: inputs with a higher OOD score are refused.
        views: names of the numbers that the score is made of.
        num_examples: validation examples that scales and threshold were fitted on.
        settings: of the kind's detector.
    """

    threshold: float
    views: list[str]
    num_examples: Count
    settings: dict[str, JsonValue] = {}


class DataSummary(Section):
    """The data set: its name and the sizes of its splits.

    Args:
        calibration: examples of the validation split that calibrate and choose nothing.
        duplicates_grouped: whether near-duplicates were kept on one side of the splits that were made here.
    """

    name: str
    train: Count
    validation: Count
    test: Count
    calibration: Count = 0
    skipped: Count = 0
    seed: int = 0
    duplicates_grouped: bool = True


class Finding(Section):
    """One thing that the data report found.

    Args:
        code: names the sentences under `report.<code>` in the locale files.
        count: number of examples, files or labels concerned.
        fields: further fields of the sentences.
        is_fixable: whether `--fix` leaves them out.
    """

    code: str
    count: Count
    fields: dict[str, JsonValue] = {}
    is_fixable: bool = False

    def summary(self, kind: str, language: str = DEFAULT) -> str:
        """Write what was found, of a kind of input such as "image"."""
        return self._message("summary", kind).text(language)

    def advice(self, kind: str, language: str = DEFAULT) -> str:
        """Write what to do about it."""
        return self._message("advice", kind).text(language)

    def _message(self, part: str, kind: str) -> Message:
        counted = Message(f"items.{kind}", {"count": self.count})
        return Message(
            f"report.{self.code}.{part}",
            {"count": self.count, "counted": counted, "items": Message(f"kinds.{kind}.plural"), **self.fields},
        )


class Range(Section):
    """Smallest, median and largest of some numbers."""

    minimum: float
    median: float
    maximum: float


class DataReport(Section):
    """Counts, sizes and findings of a data set.

    Args:
        counts: examples per label, for train, validation and test.
        sizes: ranges by what was measured, such as "width_px" or "characters".
        findings: the gravest first.
        leaked_test: number of test examples with a duplicate in train or validation.
    """

    counts: dict[str, dict[str, Count]]
    sizes: dict[str, Range]
    findings: list[Finding]
    leaked_test: Count = 0


class LabelScore(Section):
    """Precision, recall and F1 of one label, and its number of test examples."""

    precision: Share
    recall: Share
    f1: Share
    num_examples: Count


class ReliabilityBin(Section):
    """The answers whose probability falls into one bin: mean probability, share that is right, number."""

    confidence: Share
    accuracy: Share
    num_examples: Count


class CalibrationScore(Section):
    """Expected calibration error before and after temperature scaling (Guo et al. 2017), and the bins after it."""

    ece_before: Share
    ece_after: Share
    bins: list[ReliabilityBin]


class SetScore(Section):
    """Prediction sets of one coverage on the test data.

    Args:
        coverage: share of the sets that hold the true label.
        mean_size: labels per set.
        single: share of the sets with one label.
        per_label: coverage among the examples of each label that has any.
    """

    coverage: Share
    mean_size: float
    single: Share
    per_label: dict[str, Share]


class Baseline(Section):
    """A simple model trained on the same examples, compared with ours on the test data.

    Args:
        name: names the model under `baselines.<name>` in the locale files.
        fields: fields of that sentence.
        accuracy: its share of right answers.
        accuracy_interval: 95% interval (Wilson 1927).
        only_ours: examples that only our network got right.
        only_baseline: examples that only the baseline got right.
        p_value: of McNemar's exact test (1947).
    """

    name: str
    fields: dict[str, JsonValue] = {}
    accuracy: Share
    accuracy_interval: tuple[Share, Share]
    only_ours: Count
    only_baseline: Count
    p_value: Share

    def title(self, language: str = DEFAULT) -> str:
        """Write the name of the model."""
        return Message(f"baselines.{self.name}", self.fields).text(language)


class Mistake(Section):
    """A wrong answer on the test data.

    Args:
        position: of the example in the test split.
        name: for a person to find it by; never the text itself.
        label: the true label.
        answer: the predicted label.
        probability: of the answer.
    """

    position: Count
    name: str
    label: str
    answer: str
    probability: Share


class LeakFreeScore(Section):
    """Accuracy without the test examples that have a duplicate in train or validation."""

    leaked: Count
    accuracy: Share
    accuracy_interval: tuple[Share, Share]


class Peer(Section):
    """Another model that answered the same test data.

    Args:
        name: names the model under `peers.<name>` in the locale files.
        accuracy: its share of right answers.
        accuracy_interval: 95% interval (Wilson 1927).
    """

    name: str
    accuracy: Share
    accuracy_interval: tuple[Share, Share]

    def title(self, language: str = DEFAULT) -> str:
        """Write the name of the model."""
        return Message(f"peers.{self.name}").text(language)


class Scores(Section):
    """Scores on the test data, which no choice was made on.

    Args:
        accuracy: share of right answers.
        accuracy_interval: 95% interval (Wilson 1927).
        macro_f1: mean of the labels' F1.
        majority_accuracy: accuracy of always answering the most frequent training label.
        num_examples: test examples.
        per_label: in the order of the labels; empty where each label has next to no examples.
        confusion: (K, K) counts; row: true label, column: answer; empty where `per_label` is.
        calibration: reliability of the probabilities.
        sets: prediction sets by coverage.
        baseline: a simple model on the same data; None where there was nothing to train one on.
        mistakes: the wrong answers with the highest probability, highest first.
        refused: share of the test data that is called unknown.
        without_leaked: accuracy without leaked test examples, where there are any.
        peers: a teacher, and the network without it, where there was a teacher.
    """

    accuracy: Share
    accuracy_interval: tuple[Share, Share]
    macro_f1: Share
    majority_accuracy: Share
    num_examples: Count
    per_label: dict[str, LabelScore]
    confusion: list[list[Count]]
    calibration: CalibrationScore
    sets: dict[str, SetScore]
    baseline: Baseline | None = None
    mistakes: list[Mistake]
    refused: Share
    without_leaked: LeakFreeScore | None = None
    peers: list[Peer] = []


class Epoch(Section):
    """One finished epoch; `is_best`: its weights were the best so far."""

    epoch: int
    epochs: int
    train_loss: float
    train_accuracy: Share
    val_loss: float
    val_accuracy: Share
    learning_rate: float
    examples_per_s: float
    duration_s: float
    is_best: bool


class Training(Section):
    """The training: how to repeat it, what it ran on, and its epochs.

    Args:
        command: as a person would repeat it.
        config: of the optimizer and schedule.
        weights: number format that the weights are kept in.
        remarks: sentences on the training for the card, such as where its weights began.
        origin: by whom, on what and under which licence the weights, those that they began with, or word vectors that
            they were made with were trained, if that was elsewhere.
    """

    command: str
    config: dict[str, JsonValue]
    seed: int
    epochs: list[Epoch]
    duration_s: float
    date: str
    commit: str = ""
    hardware: str
    versions: dict[str, str] = {}
    num_parameters: Count
    weights: NumberFormat
    remarks: list[str] = []
    origin: str = ""


class Measurement(Section):
    """When, where and how fast the finished checkpoint was measured; `answer_ms`: median time of a single answer."""

    date: str
    commit: str = ""
    hardware: str
    versions: dict[str, str] = {}
    answer_ms: float


class SkippedItem(Section):
    """A file or row that was left out: its name, and the key and fields of the reason."""

    name: str
    reason: str
    fields: dict[str, JsonValue] = {}

    def text(self, language: str = DEFAULT) -> str:
        """Write the reason."""
        return Message(self.reason, self.fields).text(language)


class Description(Section):
    """Names and remarks from the person who trained the checkpoint.

    Args:
        title: by language, what the page calls it.
        label_names: by language and label, what the page calls the labels.
        about: a sentence or two on the data.
        data_license: of the data, in words.
        hub_dataset: "user/name" of the data set on the Hub whose test split was used.
    """

    title: dict[str, str] = {}
    label_names: dict[str, dict[str, str]] = {}
    about: str = ""
    data_license: str = ""
    hub_dataset: str = ""


class SelfTestInput(Section):
    """An input of the self-test with its answer when the checkpoint was made.

    Args:
        name: names it under `selftest.inputs.<name>` in the locale files.
        file: in the checkpoint's folder, for pictures.
        text: for texts.
        times: how often `text` is repeated.
        reading: digest of what the transform made of it.
        probabilities: by label.
    """

    name: str
    file: str | None = None
    text: str | None = None
    times: Annotated[int, Field(ge=1)] = 1
    reading: dict[str, JsonValue]
    probabilities: dict[str, Share]


class SelfTest(Section):
    """Inputs of our own making and their answers, compared whenever the checkpoint is loaded."""

    versions: dict[str, str]
    inputs: Annotated[list[SelfTestInput], Field(min_length=1, max_length=16)]


class Manifest(Section):
    """The content of `config.json`.

    Args:
        format: of the checkpoint.
        kind: of its inputs, such as "image" or "text".
        labels: in the order of the logits.
        network: see `Network`.
        transform: settings of the kind's transform.
        calibration: see `Calibration`; identity where the checkpoint was never calibrated.
        ood: see `Ood`; None where the checkpoint cannot tell.
        data: see `DataSummary`.
        data_report: see `DataReport`.
        scores: see `Scores`.
        training: see `Training`.
        measured: see `Measurement`.
        description: see `Description`.
        skipped: files and rows that were left out.
        size_bytes: of the weights.
        versions: of Python and the packages that the checkpoint was made with.
        selftest: see `SelfTest`.
        files: SHA-256 of each file that answers depend on, by name.
        sha256: of this manifest without this field.
    """

    format: Literal[2] = FORMAT
    kind: str
    labels: Annotated[list[str], Field(min_length=2)]
    network: Network
    transform: dict[str, JsonValue]
    calibration: Calibration = Calibration()
    ood: Ood | None = None
    data: DataSummary | None = None
    data_report: DataReport | None = None
    scores: Scores | None = None
    training: Training | None = None
    measured: Measurement | None = None
    description: Description = Description()
    skipped: list[SkippedItem] = []
    size_bytes: Count = 0
    versions: dict[str, str] = {}
    selftest: SelfTest | None = None
    files: dict[str, str] = {}
    sha256: str = ""

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        if len(set(self.labels)) < len(self.labels):
            raise ValueError("a label occurs twice")
        return self

    def sealed(self) -> Manifest:
        """Return the same manifest with the digest of what `to_json` writes."""
        return self.model_copy(update={"sha256": digest(self._content())})

    def to_json(self) -> bytes:
        """Return the content of config.json, sealed."""
        content = self._content()
        return (json.dumps({**content, "sha256": digest(content)}, ensure_ascii=False, indent=1) + "\n").encode()

    def _content(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_none=True, exclude={"sha256"})

    def replace(self, **fields: Any) -> Manifest:
        """Return the same manifest with some fields changed, validated."""
        return Manifest.model_validate({**dict(self), **fields})

    @property
    def has_validation(self) -> bool:
        """True unless the data is known to have no validation split."""
        return self.data is None or self.data.validation > 0

    def title(self, language: str) -> str:
        """Return what the page calls the checkpoint in a language, or in any other; empty without a title."""
        titles = {code: title.strip() for code, title in self.description.title.items()}
        return next((titles[code] for code in (language, *titles) if titles.get(code)), "")

    def label_names(self, language: str) -> dict[str, str]:
        """Return the name of each label in a language; the labels themselves where two names would be the same."""
        given = self.description.label_names.get(language, {})
        names = {label: given.get(label) or label for label in self.labels}
        return names if len(set(names.values())) == len(names) else {label: label for label in self.labels}


def digest(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the content of a config.json without its field `sha256`.

    It is taken of what the file holds, not of a `Manifest`, so that fields that later versions add do not change it.
    """
    plain = {name: value for name, value in content.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def commit() -> str:
    """Return the short hash of the commit of this code, with "+" if changed since; empty outside a repository."""
    root = Path(__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        changes = git("status", "--porcelain", "--untracked-files=no", "--", ".", "../train")
        return git("rev-parse", "--short", "HEAD") + ("+" if changes else "")
    except (OSError, subprocess.SubprocessError):  # an installed package, or no git
        return ""


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of Python and of the packages that a result depends on, where they are installed."""
    found = {"python": platform.python_version()}
    for package in ("torch", "torchvision", "torchtext", *packages):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def today() -> str:
    """Return the date in UTC, such as 2026-01-31."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()
