"""Configurations: what to train on and how. Nothing here imports torch, so that command lines start fast."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

from pyclassify.errors import ConfigError

OPTIMIZERS: Final = ("sgd", "adam", "adamw", "muon")
SCHEDULES: Final = ("constant", "linear", "one_cycle")
PRECISIONS: Final = ("float32", "bfloat16")
COMPILE_MODES: Final = ("auto", "on", "off")
DEVICES: Final = ("auto", "cuda", "mps", "xpu", "cpu")
MAX_MINUTES: Final = 1_000_000
MAX_EPOCHS_FACTOR: Final = 4
"""A budget of minutes plans at most this many times the epochs that would run without one: more would overfit."""

MAX_COUNT: Final = 1_000_000_000
"""Largest whole number that an option may have; products of two must fit into 64 bits."""

AUTO: Final = "auto"
IMAGE_NETWORKS: Final = (
    *("whitened_convnet", "small_convnet", "simple_cnn"),
    *("efficientnet_lite0", "efficientnet_lite2"),
)
TEXT_NETWORKS: Final = ("wide_deep", "lstm")
IMAGE_SIZES_PX: Final = (32, 64, 96, 128, 160, 224)
PHOTO_SIDE_PX: Final = 64
"""Minimum median side of pictures that are taken for photos."""

FEW_EXAMPLES: Final = 2_000
"""Number of smaller pictures below which training begins with features of photos, too."""
IMAGE_DATASETS: Final = (
    *("cifar10", "cifar100", "mnist", "fashion-mnist", "kmnist", "svhn"),
    *("stl10", "gtsrb", "flowers102", "food101", "dtd", "oxford-iiit-pet"),
)
TEXT_DATASETS: Final = ("imdb",)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """Data, settings and destination of a training. Use `ImageConfig` or `TextConfig`.

    Args:
        data: folder or file with the labelled examples.
        dataset: name of a data set to download instead.
        out: folder of the checkpoint.
        network: name of the network.
        epochs: passes over the training examples; by default what suits network and data.
        minutes: wall-clock budget of the fitting, by which epochs are planned instead.
        batch_size: examples per step.
        learning_rate: its highest value.
        patience: stop after this many epochs without a better validation result.
        seed: of splits, weights and order.
        validation_fraction: share of the training examples to choose by, where the data has no validation split.
        test_fraction: share of all examples to score with, where the data has no test split.
        fix: leave out what the data report can safely leave out.
        ignore_case: read labels that differ in capitals alone as one label.
        leave_out: labels whose examples are left out.
        device: "auto", "cpu", "cuda", "mps" or "xpu".
        precision: "auto", "float32" or "bfloat16".
        compile: whether to use torch.compile: "auto", "on" or "off".
        resume: continue an interrupted training.
        measure_only: train nothing; calibrate and score the checkpoint in `out` again.
        data_name: of the data set, for the card.
        about: a sentence on the data, for the card.
        data_license: of the data, for the card.
        hub_dataset: "user/name" of the data set on the Hub whose test split this is.
        title: by language, what the page calls the checkpoint.
        label_names: by language and label, what the page calls the labels.
        command: how to repeat the training, for the card; by default a call of `pyclassify.train`.
    """

    kind: ClassVar[str]

    data: Path | None = None
    dataset: str | None = None
    out: Path | None = None
    network: str = ""
    epochs: int | None = None
    minutes: float | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    patience: int | None = None
    seed: int = 0
    validation_fraction: float = 0.1
    test_fraction: float = 0.2
    fix: bool = False
    ignore_case: bool = False
    leave_out: Sequence[str] = ()
    device: str = "auto"
    precision: str = "auto"
    compile: str = "auto"
    resume: bool = False
    measure_only: bool = False
    data_name: str = ""
    about: str = ""
    data_license: str = ""
    hub_dataset: str = ""
    title: Mapping[str, str] = field(default_factory=dict)
    label_names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    command: str = ""

    def __post_init__(self) -> None:
        for name in ("data", "out", "test", "unlabelled"):
            if isinstance(getattr(self, name, None), str):
                object.__setattr__(self, name, Path(getattr(self, name)))
        if (self.data is None) == (self.dataset is None):
            raise ConfigError("data_or_dataset")
        if self.epochs is not None and self.minutes is not None:
            raise ConfigError("epochs_or_minutes")
        if self.resume and self.measure_only:
            raise ConfigError("resume_or_measure")
        if not 0 <= self.seed <= MAX_COUNT:
            raise ConfigError("option_out_of_range", option="seed", low=0, high=MAX_COUNT, value=str(self.seed))
        for name in ("epochs", "batch_size", "patience"):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= MAX_COUNT:
                raise ConfigError("option_out_of_range", option=name, low=1, high=MAX_COUNT, value=str(value))
        for name in ("learning_rate", "minutes"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ConfigError("option_not_positive", option=name, value=str(value))
        for name in ("validation_fraction", "test_fraction"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError("fraction_out_of_range", option=name, value=str(getattr(self, name)))
        if self.minutes is not None and self.minutes > MAX_MINUTES:
            raise ConfigError("option_out_of_range", option="minutes", low=0, high=MAX_MINUTES, value=str(self.minutes))
        _check_choices(self, {"precision": ("auto", *PRECISIONS), "compile": COMPILE_MODES})

    def fit_config(self, defaults: Mapping[str, Any], *, precision: str = "float32") -> FitConfig:
        """Return the defaults of a network, overridden by the options that were given.

        Args:
            defaults: arguments of FitConfig.
            precision: number format that is used where `self.precision` is "auto".
        """
        names = ("epochs", "minutes", "batch_size", "learning_rate", "patience")
        options = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        options["precision"] = precision if self.precision == "auto" else self.precision
        return FitConfig(**{**defaults, **options, "seed": self.seed, "compile": self.compile})


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig(TrainingConfig):
    """A training on pictures; see `TrainingConfig` for the rest.

    Args:
        network: one of IMAGE_NETWORKS, any of torchvision's classification networks, or "auto" for that of `start`.
        start: folder or "user/name" of the checkpoint to begin with, or "none"; by default `imagenet` for photos and
            for few pictures.
        size_px: height and width of the network's input; by default what suits the data.
        weights: "default" for torchvision's weights, "none", or a .pth or .safetensors file of the same network.
        mirror: whether pictures are mirrored while training.
    """

    kind: ClassVar[str] = "image"

    network: str = AUTO
    start: str | None = None
    size_px: int | None = None
    weights: str | None = None
    mirror: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TextConfig(TrainingConfig):
    """A training on texts; see `TrainingConfig` for the rest.

    Args:
        network: one of TEXT_NETWORKS.
        test: folder or table with the test examples, where they lie apart.
        text_column: of tables.
        label_column: of tables.
        encoding: of the files; by default it is found out.
        tokens: "words", "characters", or "auto" for what suits the texts.
        max_tokens: longer texts are cut.
        vocabulary_size: most frequent tokens that are kept.
        vectors: pretrained word vectors for `lstm`: a file, or a name that torchtext downloads.
        teacher: folder, or "user/name" on the Hub, of a pretrained language model that the network learns from.
        keep_teacher: whether the checkpoint holds the teacher itself in place of a network that learns from it.
        unlabelled: file with further texts that the teacher answers, a table or a text per line.
    """

    kind: ClassVar[str] = "text"

    network: str = TEXT_NETWORKS[0]
    test: Path | None = None
    text_column: str = "text"
    label_column: str = "label"
    encoding: str | None = None
    tokens: str = "auto"
    max_tokens: int = 1024
    vocabulary_size: int | None = None
    vectors: str | None = None
    teacher: str | None = None
    keep_teacher: bool = False
    unlabelled: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FitConfig:
    """Settings of the optimizer, the schedule and the epochs.

    Args:
        epochs: passes over the training examples; 0 only prepares the network.
        minutes: wall-clock budget of the fitting, by which epochs are planned instead; 0 for none.
        batch_size: examples per step.
        optimizer: "sgd", "adam", "adamw", or "muon" for all convolutions but the first, with sgd for the rest.
        learning_rate: its highest value.
        momentum: of sgd.
        nesterov: whether the momentum of sgd is Nesterov's.
        weight_decay: not applied to biases and norms.
        muon_rate: learning rate of muon, as a multiple of `learning_rate`.
        muon_momentum: momentum of muon.
        muon_weight_decay: weight decay of muon in place of `weight_decay`, decoupled from the gradient.
        schedule: "constant"; "linear" down to zero; "one_cycle" up for a fifth of the steps, then down (Smith 2018).
        label_smoothing: share of each label that is spread over all labels.
        clip_norm: largest norm of the gradient; 0 for no clipping.
        average_decay: decay of the exponential moving average of the weights, which is evaluated and kept; 0 for none.
        patience: stop after this many epochs without a better validation result; 0 to never stop early.
        precision: "float32", or "bfloat16" for autocast.
        compile: "on" for torch.compile in the training steps, "off", or "auto": on a GPU, where it pays.
        seed: of order, augmentation and dropout.
    """

    epochs: int = 10
    minutes: float = 0.0
    batch_size: int = 256
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 0.0
    muon_rate: float = 0.05
    muon_momentum: float = 0.95
    muon_weight_decay: float = 0.0
    schedule: str = "one_cycle"
    label_smoothing: float = 0.0
    clip_norm: float = 0.0
    average_decay: float = 0.0
    patience: int = 0
    precision: str = "float32"
    compile: str = "off"
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"epochs": 0, "batch_size": 1, "patience": 0, "seed": 0}
        least |= {"clip_norm": 0, "weight_decay": 0, "muon_weight_decay": 0}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ConfigError("option_too_small", option=name, low=low, value=str(getattr(self, name)))
        for name in ("learning_rate", "muon_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError("option_not_positive", option=name, value=str(getattr(self, name)))
        for name in ("momentum", "muon_momentum", "label_smoothing", "average_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError("option_not_below_one", option=name, value=str(getattr(self, name)))
        if not 0 <= self.minutes <= MAX_MINUTES:
            raise ConfigError("option_out_of_range", option="minutes", low=0, high=MAX_MINUTES, value=str(self.minutes))
        _check_choices(
            self, {"optimizer": OPTIMIZERS, "schedule": SCHEDULES, "precision": PRECISIONS, "compile": COMPILE_MODES}
        )


def state_path(out: Path) -> Path:
    """Return the file that an interrupted training of a checkpoint is resumed from."""
    return out.with_name(f"{out.name}.training") / "state.pt"


def _check_choices(config: object, choices: Mapping[str, tuple[str, ...]]) -> None:
    for name, known in choices.items():
        if getattr(config, name) not in known:
            raise ConfigError("option_unknown", option=name, known=known, value=repr(getattr(config, name)))
