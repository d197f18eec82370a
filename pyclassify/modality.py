"""Kinds of input: the protocol that `image` and `text` implement. This is the only module that knows both.

To add a kind, write a package with a subclass of `Modality` and name it in `_MODALITIES`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Literal, Protocol

from pyclassify.dataset import Batches, Item, Prepared, Splits

if TYPE_CHECKING:
    import torch
    from pydantic import JsonValue
    from torch import Tensor, nn

    from pyclassify.dedup import Duplicates, Selection
    from pyclassify.locales import Message
    from pyclassify.manifest import Manifest, Network, Ood
    from pyclassify.training.config import FitConfig, TrainingConfig

_MODALITIES: Final = {
    "image": "pyclassify.image.modality:ImageModality",
    "text": "pyclassify.text.modality:TextModality",
}
KINDS: Final = tuple(_MODALITIES)

OnStep = Callable[[str, int, int], None]
"""Called with the name of a stage such as "reading", how many items are done, and how many there are."""


class Transform(Protocol):
    """Turns one input into a tensor, the same way in training and in serving."""

    def __call__(self, item: Any) -> Prepared:
        """Read one input. Raises InputError."""

    def collate(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Join tensors of inputs to the arguments of the network."""

    def settings(self) -> dict[str, JsonValue]:
        """Return plain JSON that `Modality.make_transform` takes."""


class OodDetector(Protocol):
    """Answers, and scores how unlike the training data each input is."""

    threshold: float
    views: Sequence[str]

    def answer(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, K) and OOD scores (N,); inputs with a score above `threshold` are refused."""

    def surprises(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, K) and the surprise of each view, (N, V), in the order of `views`."""


class Loaded(Protocol):
    """A loaded checkpoint, as the layers below `checkpoint` see it; implemented by `checkpoint.Checkpoint`."""

    @property
    def name(self) -> str:
        """Name of the folder."""

    @property
    def manifest(self) -> Manifest:
        """Content of config.json."""

    @property
    def network(self) -> nn.Module:
        """The network."""

    @property
    def transform(self) -> Transform:
        """The transform, which turns one input into one tensor."""


LoadStart = Callable[[str], Loaded]
"""Loads a checkpoint from a folder, or "user/name" on the Hub. Raises CheckpointError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus(Generic[Item]):
    """A data set that was read: its splits, and whatever of the items is kept in memory.

    Args:
        splits: the labelled examples.
        root: the folder or file that they came from.
        decoded: of the kind's own making; pictures keep their pixels here, for each split.
    """

    splits: Splits[Item]
    root: Path
    decoded: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A network with everything that is needed to fit and score it.

    Args:
        network: with its first weights; logits (N, K) = network(*inputs).
        settings: to build the network again.
        transform: that the batches were made with.
        train: training batches.
        validation: validation batches to choose by; of no examples where choices are made by cross-validation.
        test: test batches.
        fit: how to fit.
        calibration: the part of the validation split that temperature, prediction sets and OOD thresholds are fitted
            on, and that nothing is chosen by; see `dataset.calibration_positions`. None if the split is too small.
        lessons: batches that the epochs are trained on instead of `train`, if any, with a teacher's probabilities
            (N, K) in place of label ids.
        peers: other models to compare the network with, by the name under `peers.<name>` in the locale files: each
            returns its answers to the test split, label ids (M,) int64 in its order.
        variant: options that change the result and stand nowhere else.
        remarks: sentences on the training for the card.
        origin: by whom, on what and under which licence the weights that it begins with were trained, if known.
    """

    network: nn.Module
    settings: Network
    transform: Transform
    train: Batches
    validation: Batches
    test: Batches
    fit: FitConfig
    calibration: Batches | None = None
    lessons: Batches | None = None
    peers: Mapping[str, Callable[[], Tensor]] = field(default_factory=dict)
    variant: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineAnswers:
    """Answers of a simple model, trained on the same examples, to the test data.

    Args:
        name: of the model, under `baselines.<name>` in the locale files.
        fields: of that sentence.
        label_ids: (M,) int64, in the order of the test split.
    """

    name: str
    fields: Mapping[str, JsonValue]
    label_ids: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTestSource:
    """An input of the self-test: the content of a file, or a text that is repeated so many times.

    Args:
        name: under `selftest.inputs.<name>` in the locale files.
        file: name of the file, for kinds that read files.
        content: of the file.
        text: for kinds that read text.
        times: how often the text is repeated.
    """

    name: str
    file: str | None = None
    content: bytes = b""
    text: str | None = None
    times: int = 1


class Modality(ABC):
    """One kind of input: how it is read, learned from, answered and explained."""

    kind: ClassVar[str]
    reads: ClassVar[Literal["files", "rows"]]
    """Unit of a batch run: each input is a file, or a row of a table."""
    batch_size: ClassVar[int]
    """Inputs that a batch run answers together."""

    # Serving

    @abstractmethod
    def make_transform(self, settings: Mapping[str, JsonValue], files: Mapping[str, bytes]) -> Transform:
        """Make the transform of a checkpoint. Raises PyClassifyError or ValueError for settings that cannot work."""

    def extra_files(self, settings: Mapping[str, JsonValue]) -> tuple[str, ...]:
        """Return the names of the files beside the weights that a transform with these settings needs."""
        return ()

    def transform_files(self, transform: Transform) -> dict[str, bytes]:
        """Return the content of `extra_files` for a checkpoint."""
        return {}

    @abstractmethod
    def build(self, settings: Network, *, num_labels: int) -> nn.Module:
        """Make a network with random weights. Raises ConfigError or ValueError for settings that cannot work."""

    def for_inference(self, network: nn.Module) -> nn.Module:
        """Return a network with the same answers that may be faster and cannot be trained."""
        return network

    @abstractmethod
    def load_ood(self, network: nn.Module, settings: Ood, tensors: Mapping[str, Tensor]) -> OodDetector:
        """Make the OOD detector of a checkpoint. Raises ValueError if the parts do not fit together."""

    @abstractmethod
    def explain(
        self,
        network: nn.Module,
        transform: Any,
        item: Any,
        tensor: Tensor,
        *,
        label: str,
        label_id: int,
        probability: float,
        device: torch.device,
    ) -> Any:
        """Attribute the log-odds of a label to the parts of one input, as the kind's explanation object."""

    @abstractmethod
    def sample(self) -> Any:
        """Return a small input that every transform of this kind reads, for warming up."""

    @abstractmethod
    def selftest_sources(self, transform: Any) -> list[SelfTestSource]:
        """Return inputs that go through every step of the transform."""

    @abstractmethod
    def reading(self, tensor: Tensor) -> dict[str, JsonValue]:
        """Return a digest of what the transform made of an input."""

    @abstractmethod
    def compare_readings(
        self, noted: Mapping[str, JsonValue], now: Mapping[str, JsonValue]
    ) -> tuple[bool, Message | None]:
        """Compare two readings.

        Returns:
            Whether they are identical, and what is different if they are too far apart to compare answers.
        """

    # Training

    @abstractmethod
    def check(self, config: Any) -> None:
        """Refuse options that cannot work, before any data is read. Raises ConfigError."""

    @abstractmethod
    def read(
        self,
        config: Any,
        *,
        inspect_only: bool = False,
        on_step: OnStep | None = None,
        load_start: LoadStart | None = None,
    ) -> Corpus[Any]:
        """Locate, download where asked for, read and split the data.

        Args:
            config: of this kind.
            inspect_only: nothing will be trained, so that only what a data report needs is read.
            on_step: told of the progress.
            load_start: loads the checkpoint that the training begins with; without it, weights are random.

        Raises:
            DataError: the data is missing, unreadable or cannot be learned from.
            ConfigError: an option cannot work with it.
            CheckpointError: the checkpoint to begin with cannot be loaded.
        """

    @abstractmethod
    def find_duplicates(self, corpus: Corpus[Any], *, on_step: OnStep | None = None) -> Duplicates:
        """Find copies and near-duplicates among the examples of train, validation and test, in this order."""

    @abstractmethod
    def select(self, corpus: Corpus[Any], selection: Selection) -> Corpus[Any]:
        """Return the corpus with the examples that a selection gives to each split."""

    @abstractmethod
    def sizes(self, corpus: Corpus[Any]) -> dict[str, Sequence[int]]:
        """Measure every item; the keys, such as "width_px", stand under `sizes.` in the locale files."""

    @abstractmethod
    def item_name(self, corpus: Corpus[Any], item: Any) -> str:
        """Return what the data report calls an item."""

    @abstractmethod
    def mistake_name(self, item: Any, position: int) -> str:
        """Return what the card calls a test example; the content of a text is not the card's to publish."""

    def cross_validates(self, config: Any, corpus: Corpus[Any]) -> bool:
        """Return whether the network of a configuration chooses by cross-validation, so that it needs no validation.

        A small validation split then joins the training split, and `Task.validation` is empty.
        """
        return False

    @abstractmethod
    def prepare(self, config: Any, corpus: Corpus[Any], device: torch.device, *, on_step: OnStep | None = None) -> Task:
        """Choose sizes and settings for the data, and make the network, its transform and the batches.

        Args:
            config: of this kind.
            corpus: the data.
            device: to compute on.
            on_step: told of the progress where it takes long.
        """

    @abstractmethod
    def fit_ood(self, network: nn.Module, task: Task) -> tuple[Ood, dict[str, Tensor]]:
        """Fit the OOD detector: statistics on training data, scales and threshold on validation data."""

    def origin(self, task: Task, ood: Ood) -> str:
        """Return by whom, on what and under which licence the parts that others trained were trained, if any."""
        return task.origin

    @abstractmethod
    def fit_baseline(self, corpus: Corpus[Any], task: Task) -> BaselineAnswers:
        """Train a simple model on the same examples and answer the test data."""


@cache
def get(kind: str) -> Modality:
    """Return the modality of a kind.

    Raises:
        KeyError: there is no such kind.
    """
    module, _, name = _MODALITIES[kind].partition(":")
    modality: Modality = getattr(import_module(module), name)()
    return modality


def of(config: TrainingConfig) -> Modality:
    """Return the modality that a configuration is for."""
    return get(config.kind)
