"""fastai's fine-tuning of a network from torchvision, in plain PyTorch.

It is `vision_learner(...).fine_tune(epochs)` with the defaults of fastai 2.7: a new head is trained for one epoch, then
the whole network, its first layers a hundred times as slowly as the head (Howard and Gugger 2020). Augmentation is by
torchvision's counterparts of `aug_transforms()`. Nothing is chosen by the test data.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.models import get_model
from torchvision.transforms import v2

from pyclassify.image import pretrained
from pyclassify.image.modality import MEAN, STD

EPOCHS: Final = 5
BATCH_SIZE: Final = 64
RATE: Final = 2e-3
RATE_RATIO: Final = 100
"""The head learns so many times as fast as the first layers."""

HEAD_WIDTH: Final = 512
NAMES: Final = re.compile(r"resnet\d+|resnext\w+|wide_resnet\w+")
"""Networks that fastai cuts into stem with two stages, two more stages, and head."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a fine-tuning.

    Args:
        epochs: of the whole network, after one of the head.
        size_px: height and width of the pictures.
        device: of the network.
        seed: of head, order and augmentation.
    """

    epochs: int = EPOCHS
    size_px: int = 224
    device: torch.device
    seed: int = 0


class _Head(nn.Module):
    """Maxima and means of the maps, and two linear layers with batch norm and dropout."""

    def __init__(self, num_maps: int, num_labels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.BatchNorm1d(2 * num_maps), nn.Dropout(0.25), nn.Linear(2 * num_maps, HEAD_WIDTH, bias=False)),
            *(nn.ReLU(), nn.BatchNorm1d(HEAD_WIDTH), nn.Dropout(0.5), nn.Linear(HEAD_WIDTH, num_labels, bias=False)),
        )
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight)

    def forward(self, maps: Tensor) -> Tensor:
        logits: Tensor = self.layers(torch.cat([maps.amax(dim=(2, 3)), maps.mean(dim=(2, 3))], dim=1))
        return logits


def answer(name: str, weights: Path, folder: Path, settings: Settings) -> tuple[list[int], list[int]]:
    """Fine-tune a network and answer the test pictures.

    Args:
        name: of one of torchvision's networks, see NAMES.
        weights: a .pth or .safetensors file of it.
        folder: with train/LABEL and test/LABEL.
        settings: see `Settings`.

    Returns:
        Label ids of the answers, and of the labels.

    Raises:
        DataError: the file is missing, damaged or something else.
    """
    torch.manual_seed(settings.seed)
    train = ImageFolder(str(folder / "train"), _augmented(settings.size_px))
    test = ImageFolder(str(folder / "test"), _plain(settings.size_px))
    groups = layer_groups(name, pretrained.read_weights(name, str(weights)), len(train.classes))
    network = nn.Sequential(*groups).to(settings.device)
    # a last batch of one picture has no variance for batch norm
    batches = DataLoader(train, BATCH_SIZE, shuffle=True, drop_last=len(train) > BATCH_SIZE)
    body = [
        p for group in groups[:-1] for layer in group.modules() if not _is_norm(layer) for p in layer.parameters(False)
    ]
    for parameter in body:
        parameter.requires_grad_(False)
    _fit(network, batches, _optimizer(groups, [RATE / 10, RATE / 10, RATE]), epochs=1, rise=0.99, divisor=25)
    for parameter in body:
        parameter.requires_grad_(True)
    rates = [RATE / 2 / RATE_RATIO ** (1 - number / 2) for number in range(3)]
    _fit(network, batches, _optimizer(groups, rates), epochs=settings.epochs, rise=0.3, divisor=5)
    return _answers(network, DataLoader(test, BATCH_SIZE))


def layer_groups(name: str, weights: Any, num_labels: int) -> list[nn.Sequential]:
    """Return stem with two stages, two more stages, and a new head; the first two with the weights."""
    network = get_model(name, weights=None)
    network.load_state_dict(weights)
    layers = list(network.children())[:-2]
    return [
        nn.Sequential(*layers[:6]),
        nn.Sequential(*layers[6:]),
        nn.Sequential(_Head(network.fc.in_features, num_labels)),
    ]


def _is_norm(layer: nn.Module) -> bool:
    return isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)


def _optimizer(groups: Sequence[nn.Module], rates: Sequence[float]) -> AdamW:
    """Return AdamW with a rate per group; norms have no weight decay, and learn where the rest is frozen, too."""
    parts = []
    for group, rate in zip(groups, rates, strict=True):
        norms = [p for layer in group.modules() if _is_norm(layer) for p in layer.parameters(recurse=False)]
        known = set(map(id, norms))
        others = [p for p in group.parameters() if id(p) not in known]
        parts += [{"params": norms, "lr": rate, "weight_decay": 0.0}, {"params": others, "lr": rate}]
    return AdamW(parts, betas=(0.95, 0.99), eps=1e-5, weight_decay=0.01)


def _fit(
    network: nn.Module, batches: DataLoader[Any], optimizer: AdamW, *, epochs: int, rise: float, divisor: float
) -> None:
    """Train with one cycle of learning rate and momentum.

    Args:
        network: on its device.
        batches: of the training pictures.
        optimizer: with the highest rate of each group.
        epochs: passes over the pictures.
        rise: share of the steps in which the rate rises.
        divisor: of the highest rate, for the first.
    """
    device = next(network.parameters()).device
    schedule = OneCycleLR(
        optimizer,
        [group["lr"] for group in optimizer.param_groups],
        total_steps=epochs * len(batches) + 1,
        pct_start=rise,
        div_factor=divisor,
        final_div_factor=1e5 / divisor,
    )
    network.train()
    for _ in range(epochs):
        for images, label_ids in batches:
            loss = nn.functional.cross_entropy(network(images.to(device)), label_ids.to(device))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()


@torch.inference_mode()
def _answers(network: nn.Module, batches: DataLoader[Any]) -> tuple[list[int], list[int]]:
    network.eval()
    device = next(network.parameters()).device
    answers: list[int] = []
    truth: list[int] = []
    for images, label_ids in batches:
        answers += network(images.to(device)).argmax(dim=1).tolist()
        truth += label_ids.tolist()
    return answers, truth


def _augmented(size_px: int) -> v2.Compose:
    return v2.Compose(
        [
            v2.RandomResizedCrop(size_px, scale=(0.75, 1.0)),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.RandomRotation(10)], p=0.75),
            v2.RandomApply([v2.RandomPerspective(0.2, p=1.0)], p=0.75),
            v2.RandomApply([v2.ColorJitter(brightness=0.2, contrast=0.2)], p=0.75),
            *_to_tensor(),
        ]
    )


def _plain(size_px: int) -> v2.Compose:
    return v2.Compose([v2.Resize(size_px), v2.CenterCrop(size_px), *_to_tensor()])


def _to_tensor() -> list[Any]:
    return [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
