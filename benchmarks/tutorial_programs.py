"""The two programs of the tutorial as they stand, for pictures and for text, and the latter with its fault corrected.

The fault of the text program: the output of a packed LSTM is padded with zeros, and the program reads the last padded
step. Only the longest texts of a batch have an output there; for all others the last layer gets zeros, so that it
answers the same whatever they say, and nothing is learned from them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchtext import data
from torchtext.datasets import IMDB
from torchvision import datasets, transforms

from pyclassify import evaluation

BATCH_SIZE: Final = 64
SIZE_PX: Final = 32
MAX_VOCABULARY: Final = 25_000

Batch = tuple[tuple[Tensor, ...], Tensor]
Step = Literal["last padded", "last valid"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings that all trainings of a run share.

    Args:
        epochs: of the tutorial's networks.
        device: of all networks.
        budget_s: seconds for one training: no epoch is begun that would probably end later; None for no limit.
        max_tokens: words of a text that the tutorial's networks read; None for all.
        seed: of weights and order.
    """

    epochs: int
    device: torch.device
    budget_s: float | None = None
    max_tokens: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Result of one training, a row of the comparison.

    Args:
        program: the tutorial's or ours, and the network.
        accuracy: on the test data, which is read once, after the training.
        accuracy_interval: 95% interval.
        test_examples: number of test examples.
        train_examples: number of training examples, without those that the best epoch is chosen by.
        epochs: that were run.
        training_s: seconds of the epochs, without what a network measures before the first. The tutorial's picture
            program decodes every picture in every epoch; ours decodes before, and its epochs include the validation.
        whole_s: seconds of the whole program, from reading the data to the test score; None if only a card tells.
        parameters: of the network.
        reads_zeros: share of test texts for which the last layer gets nothing but zeros.
        notes: what a reader must know to judge the figures.
    """

    program: str
    accuracy: float
    accuracy_interval: tuple[float, float]
    test_examples: int
    train_examples: int
    epochs: int
    training_s: float
    whole_s: float | None
    parameters: int
    reads_zeros: float | None = None
    notes: tuple[str, ...] = ()


def fit(
    network: nn.Module, batches: Callable[[], Iterable[Batch]], optimizer: torch.optim.Optimizer, settings: Settings
) -> list[float]:
    """Train as the tutorial does, for pictures and text alike: cross-entropy, no validation, no schedule.

    Args:
        network: logits (N, K) = network(*inputs).
        batches: returns one pass over the training data.
        optimizer: of the network's parameters.
        settings: epochs and budget.

    Returns:
        Seconds of each epoch.
    """
    loss_of = nn.CrossEntropyLoss()
    epochs_s: list[float] = []
    network.train()
    while len(epochs_s) < settings.epochs and _has_time(epochs_s, settings.budget_s):
        start = time.perf_counter()
        total, num_examples = 0.0, 0
        for inputs, label_ids in batches():
            optimizer.zero_grad()
            loss = loss_of(network(*inputs), label_ids)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(label_ids)
            num_examples += len(label_ids)
        epochs_s.append(time.perf_counter() - start)
        mean_loss = total / num_examples
        print(f"epoch {len(epochs_s)}/{settings.epochs}  loss {mean_loss:.4f}  {epochs_s[-1]:.0f} s", flush=True)
    return epochs_s


def _has_time(epochs_s: Sequence[float], budget_s: float | None) -> bool:
    return budget_s is None or not epochs_s or sum(epochs_s) + max(epochs_s) <= budget_s


def _make_result(
    program: str,
    network: nn.Module,
    logits: Tensor,
    label_ids: Tensor,
    *,
    labels: Sequence[str],
    train_label_ids: Sequence[int],
    epochs_s: Sequence[float],
    whole_s: float,
    settings: Settings,
    reads_zeros: float | None = None,
    notes: Sequence[str] = (),
) -> Result:
    """Score the answers to the test data, with a note if the budget ended the training."""
    majority_id = int(torch.tensor(train_label_ids).bincount().argmax())
    scores = evaluation.score(logits, label_ids, labels=labels, majority_id=majority_id)
    stopped = f"stopped after {len(epochs_s)} of {settings.epochs} epochs to keep to the time"
    return Result(
        program=program,
        accuracy=scores.accuracy,
        accuracy_interval=scores.accuracy_interval,
        test_examples=len(label_ids),
        train_examples=len(train_label_ids),
        epochs=len(epochs_s),
        training_s=sum(epochs_s),
        whole_s=whole_s,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        reads_zeros=reads_zeros,
        notes=(*notes, *([stopped] if len(epochs_s) < settings.epochs else [])),
    )


# Pictures


class Cnn(nn.Module):
    """3x3 convolution with 32 maps, ReLU, 2x2 max pool, one linear layer.

    Args:
        num_labels: K.
    """

    def __init__(self, num_labels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 32, kernel_size=3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(32 * (SIZE_PX // 2) ** 2, num_labels)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, 32, 32) to logits (N, K)."""
        maps = self.pool(torch.relu(self.conv(images)))
        logits: Tensor = self.fc(maps.flatten(1))
        return logits


def run_images(folder: Path, settings: Settings) -> Result:
    """Train and test on a folder with train/LABEL/ and test/LABEL/."""
    start = time.perf_counter()
    torch.manual_seed(settings.seed)
    normalize = transforms.Compose(
        [
            transforms.Resize((SIZE_PX, SIZE_PX)),
            transforms.ToTensor(),
            transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ]
    )
    train, test = (datasets.ImageFolder(str(folder / split), transform=normalize) for split in ("train", "test"))
    train_loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(train, batch_size=BATCH_SIZE, shuffle=True)
    test_loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(test, batch_size=BATCH_SIZE)
    network = Cnn(len(train.classes)).to(settings.device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    epochs_s = fit(network, lambda: _image_batches(train_loader, settings.device), optimizer, settings)
    logits, label_ids = _answer_images(network, _image_batches(test_loader, settings.device))
    return _make_result(
        "tutorial, as it stands",
        network,
        logits,
        label_ids,
        labels=train.classes,
        train_label_ids=train.targets,
        epochs_s=epochs_s,
        whole_s=time.perf_counter() - start,
        settings=settings,
    )


def _image_batches(loader: DataLoader[tuple[Tensor, Tensor]], device: torch.device) -> Iterator[Batch]:
    for images, label_ids in loader:
        yield (images.to(device),), label_ids.to(device)


@torch.inference_mode()
def _answer_images(network: nn.Module, batches: Iterable[Batch]) -> tuple[Tensor, Tensor]:
    network.eval()
    pairs = [(network(*inputs).cpu(), label_ids.cpu()) for inputs, label_ids in batches]
    return torch.cat([logits for logits, _ in pairs]), torch.cat([label_ids for _, label_ids in pairs])


# Text


class LstmReader(nn.Module):
    """Embedding of 300, LSTM of 256 over packed sequences, one linear layer on one step of the output.

    Args:
        num_labels: K.
        vocabulary_size: V.
        padding_id: of the padding token.
        step: that the linear layer reads; "last padded" is the tutorial's, and wrong.
        embedding_size: numbers per token.
        hidden_size: H, numbers per step.
    """

    def __init__(
        self,
        *,
        num_labels: int,
        vocabulary_size: int,
        padding_id: int,
        step: Step,
        embedding_size: int = 300,
        hidden_size: int = 256,
    ) -> None:
        super().__init__()
        self.step = step
        self.embedding = nn.Embedding(vocabulary_size, embedding_size, padding_idx=padding_id)
        self.lstm = nn.LSTM(embedding_size, hidden_size, batch_first=True)
        self.fc = nn.Linear(hidden_size, num_labels)

    def read(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Map ids (N, L), the longest text first, and lengths (N,) to the input of the last layer, (N, H)."""
        packed = nn.utils.rnn.pack_padded_sequence(self.embedding(ids), lengths.cpu(), batch_first=True)
        packed_output, _ = self.lstm(packed)
        output: Tensor  # (N, L, H), zero after the end of each text
        output, _ = nn.utils.rnn.pad_packed_sequence(packed_output, batch_first=True)
        if self.step == "last padded":
            return output[:, -1, :]
        return output[torch.arange(len(ids), device=ids.device), lengths.to(ids.device) - 1]

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Map ids (N, L) and lengths (N,) to logits (N, K)."""
        logits: Tensor = self.fc(self.read(ids, lengths))
        return logits


def run_text(folder: Path, settings: Settings, *, step: Step) -> Result:
    """Train and test on a folder like IMDB's: train/pos, train/neg, test/pos, test/neg."""
    start = time.perf_counter()
    torch.manual_seed(settings.seed)
    random.seed(settings.seed)  # torchtext shuffles with it
    train, test, text, label = _read_texts(folder, settings.max_tokens)
    train_batches, test_batches = data.BucketIterator.splits(
        (train, test), batch_size=BATCH_SIZE, sort_within_batch=True, device=settings.device
    )
    network = LstmReader(
        num_labels=len(label.vocab),
        vocabulary_size=len(text.vocab),
        padding_id=text.vocab.stoi[text.pad_token],
        step=step,
    ).to(settings.device)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001)
    epochs_s = fit(network, lambda: _text_batches(train_batches), optimizer, settings)
    logits, label_ids, reads_zeros = answer_texts(network, _text_batches(test_batches))
    notes = ["the embedding starts from random numbers, not from GloVe", "words are what stands between spaces"]
    if settings.max_tokens:
        notes.append(f"texts are cut to {settings.max_tokens:,} words")
    return _make_result(
        "tutorial, as it stands" if step == "last padded" else "tutorial, last valid step read",
        network,
        logits,
        label_ids,
        labels=label.vocab.itos,
        train_label_ids=[label.vocab.stoi[name] for name in train.label],
        epochs_s=epochs_s,
        whole_s=time.perf_counter() - start,
        settings=settings,
        reads_zeros=reads_zeros,
        notes=notes,
    )


def _read_texts(folder: Path, max_tokens: int | None) -> tuple[data.Dataset, data.Dataset, data.Field, data.LabelField]:
    text = data.Field(
        lower=True,
        include_lengths=True,
        batch_first=True,
        preprocessing=None if max_tokens is None else lambda tokens: tokens[:max_tokens],
    )
    label = data.LabelField()
    train, test = (IMDB(str(folder / split), text, label) for split in ("train", "test"))
    text.build_vocab(train, max_size=MAX_VOCABULARY)
    label.build_vocab(train)
    return train, test, text, label


def _text_batches(batches: Any) -> Iterator[Batch]:
    for batch in batches:
        yield batch.text, batch.label


@torch.inference_mode()
def answer_texts(network: LstmReader, batches: Iterable[Batch]) -> tuple[Tensor, Tensor, float]:
    """Answer M texts in one pass.

    Returns:
        Logits (M, K), label ids (M,), and the share of texts for which the last layer gets nothing but zeros.
    """
    network.eval()
    logits, label_ids, is_zero = [], [], []
    for inputs, batch_label_ids in batches:
        step = network.read(*inputs)
        logits.append(network.fc(step).cpu())
        label_ids.append(batch_label_ids.cpu())
        is_zero.append((step == 0).all(dim=1).cpu())
    return torch.cat(logits), torch.cat(label_ids), torch.cat(is_zero).float().mean().item()
