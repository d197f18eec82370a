"""The tutorial's program for pictures as it stands: one convolution, and the test score after the last epoch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from benchmarks.trained import Batch, Settings, Trained, fit, majority, row
from pyclassify import evaluation

BATCH_SIZE = 64
SIZE_PX = 32


class Cnn(nn.Module):
    """3x3 convolution with 32 maps, ReLU, 2x2 max pool, one linear layer.

    Args:
        labels: K.
    """

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 32, kernel_size=3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(32 * (SIZE_PX // 2) ** 2, labels)

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, 32, 32) to (N, K)."""
        maps = self.pool(torch.relu(self.conv(pictures)))
        logits: Tensor = self.fc(maps.flatten(1))
        return logits


def run(folder: Path, settings: Settings) -> Trained:
    """Train and test on a folder with train/<label>/ and test/<label>/."""
    start = time.perf_counter()
    torch.manual_seed(settings.seed)
    normalized = transforms.Compose(
        [
            transforms.Resize((SIZE_PX, SIZE_PX)),
            transforms.ToTensor(),
            transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ]
    )
    train, test = (datasets.ImageFolder(str(folder / part), transform=normalized) for part in ("train", "test"))
    train_loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(train, batch_size=BATCH_SIZE, shuffle=True)
    test_loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(test, batch_size=BATCH_SIZE)
    model = Cnn(len(train.classes)).to(settings.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    epochs_s = fit(model, lambda: _moved(train_loader, settings.device), optimizer, settings)
    logits, label_ids = _answers(model, test_loader, settings.device)
    scores = evaluation.score(logits, label_ids, labels=train.classes, majority_id=majority(train.targets))
    return row(
        "tutorial, as it stands",
        scores,
        model=model,
        train_examples=len(train),
        epochs_s=epochs_s,
        whole_s=time.perf_counter() - start,
        settings=settings,
    )


def _moved(loader: DataLoader[tuple[Tensor, Tensor]], device: torch.device) -> Iterator[Batch]:
    for pictures, label_ids in loader:
        yield (pictures.to(device),), label_ids.to(device)


@torch.inference_mode()
def _answers(
    model: nn.Module, loader: DataLoader[tuple[Tensor, Tensor]], device: torch.device
) -> tuple[Tensor, Tensor]:
    model.eval()
    pairs = [(model(*inputs).cpu(), label_ids.cpu()) for inputs, label_ids in _moved(loader, device)]
    return torch.cat([each for each, _ in pairs]), torch.cat([each for _, each in pairs])
