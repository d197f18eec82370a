"""Small stand-ins: real checkpoints with fresh weights, and a classifier that does what a test asks for."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pyclassify import checkpoint, manifest, modality
from pyclassify.checkpoint import Checkpoint
from pyclassify.classifier import Classifier, Prediction
from pyclassify.locales import Message
from pyclassify.manifest import Manifest

WORDS = ("<pad>", "<unk>", "good", "bad", "좋아요", "싫어요", "film")
NOTE = Message("items.text", {"count": 3})
"""The note of each prediction of a FakeClassifier."""

NETWORKS = {
    "image": manifest.Network(name="simple_cnn", arguments={"size_px": 8}),
    "text": manifest.Network(
        name="lstm", arguments={"vocabulary_size": len(WORDS), "embedding_size": 8, "hidden_size": 8}
    ),
}
TRANSFORMS: Mapping[str, dict[str, Any]] = {
    "image": {
        "size_px": 8,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "fit": "crop",
        "crop": 1.0,
        "interpolation": "bilinear",
    },
    "text": {"tokens": "words", "lowercase": True, "max_tokens": 1024},
}
FILES: Mapping[str, dict[str, bytes]] = {"image": {}, "text": {"vocab.txt": "\n".join(WORDS).encode()}}
LABELS = {"image": ("cat", "dog", "ship"), "text": ("negative", "positive")}


def scores(labels: Sequence[str]) -> manifest.Scores:
    """Scores as a training would find them."""
    size = len(labels)
    return manifest.Scores(
        accuracy=0.894,
        accuracy_interval=(0.888, 0.9),
        macro_f1=0.89,
        majority_accuracy=0.1,
        num_examples=10_000,
        per_label={
            label: manifest.LabelScore(precision=0.9, recall=0.88, f1=0.89, num_examples=1000) for label in labels
        },
        confusion=[[880 if row == column else 10 for column in range(size)] for row in range(size)],
        calibration=manifest.CalibrationScore(
            ece_before=0.05,
            ece_after=0.01,
            bins=[
                manifest.ReliabilityBin(confidence=0.6, accuracy=0.58, num_examples=2000),
                manifest.ReliabilityBin(confidence=0.95, accuracy=0.96, num_examples=8000),
            ],
        ),
        sets={
            coverage: manifest.SetScore(
                coverage=float(coverage), mean_size=1.2, single=0.8, per_label=dict.fromkeys(labels, float(coverage))
            )
            for coverage in manifest.COVERAGES
        },
        baseline=manifest.Baseline(
            name="linear_pixels",
            fields={"side_px": "16"},
            accuracy=0.4,
            accuracy_interval=(0.39, 0.41),
            only_ours=5000,
            only_baseline=100,
            p_value=1e-12,
        ),
        mistakes=[
            manifest.Mistake(position=7, name="test/7", label=labels[0], answer=labels[1], probability=0.98),
        ],
        refused=0.05,
    )


def training() -> manifest.Training:
    """A training of two epochs."""
    epochs = [
        manifest.Epoch(
            epoch=number,
            epochs=2,
            train_loss=1.2 / number,
            train_accuracy=0.4 * number,
            val_loss=1.3 / number,
            val_accuracy=0.38 * number,
            learning_rate=0.1,
            examples_per_s=1000.0,
            duration_s=45.0,
            is_best=True,
        )
        for number in (1, 2)
    ]
    return manifest.Training(
        command="python -m train.image --data photos --out checkpoints/fake",
        config={"epochs": 2},
        seed=0,
        epochs=epochs,
        duration_s=90.0,
        date="2026-01-31",
        hardware="CPU with 2 cores",
        num_parameters=1000,
        weights="float32",
    )


def make_manifest(kind: str, labels: Sequence[str] | None = None, *, name: str = "fake", **fields: Any) -> Manifest:
    """Return a manifest as a training would write it.

    Args:
        kind: "image" or "text".
        labels: those of LABELS by default.
        name: of the data set.
        fields: further fields of the manifest, or other values for those that are set here.
    """
    labels = list(labels or LABELS[kind])
    filled: dict[str, Any] = {
        "kind": kind,
        "labels": labels,
        "network": NETWORKS[kind],
        "transform": TRANSFORMS[kind],
        "data": manifest.DataSummary(name=name, train=45_000, validation=5_000, test=10_000),
        "scores": scores(labels),
    }
    return Manifest.model_validate({**filled, **fields})


def make_network(described: Manifest, *, seed: int = 0) -> nn.Module:
    """Return the network of a manifest with fresh weights, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = modality.get(described.kind).build(described.network, num_labels=len(described.labels))
    return network.eval()


def write_checkpoint(path: Path, described: Manifest, *, seed: int = 0, **options: Any) -> Path:
    """Write a real checkpoint that answers by chance, always the same.

    Args:
        path: of its folder.
        described: its manifest, with network and transform of NETWORKS and TRANSFORMS or others without files.
        seed: of the weights.
        options: further arguments of `checkpoint.save`, or other values for those that are set here.
    """
    filled: dict[str, Any] = {
        "manifest": described,
        "weights": make_network(described, seed=seed).state_dict(),
        "transform": modality.get(described.kind).make_transform(described.transform, FILES[described.kind]),
        "ood_tensors": {},
        "card": "# A test\n",
        "figures": {},
    }
    checkpoint.save(path, **{**filled, **options})
    return path


def write_image_checkpoint(path: Path, labels: Sequence[str] | None = None, *, seed: int = 0, **fields: Any) -> Path:
    """Write a real checkpoint for pictures; `fields` are of its manifest."""
    return write_checkpoint(path, make_manifest("image", labels, name=path.name, **fields), seed=seed)


def write_text_checkpoint(path: Path, labels: Sequence[str] | None = None, *, seed: int = 0, **fields: Any) -> Path:
    """Write a real checkpoint for texts; `fields` are of its manifest."""
    return write_checkpoint(path, make_manifest("text", labels, name=path.name, **fields), seed=seed)


def edit_config(folder: Path, change: Callable[[dict[str, Any]], object], *, reseal: bool = True) -> Path:
    """Change config.json of a checkpoint.

    Args:
        folder: of the checkpoint.
        change: called with the content, which it changes.
        reseal: give the file its own SHA-256 again, as whoever forges a checkpoint would.
    """
    path = folder / checkpoint.CONFIG
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    if reseal:
        content["sha256"] = manifest.digest(content)
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return folder


def replace_file(folder: Path, name: str, content: bytes) -> Path:
    """Give a file of a checkpoint another content, under a hash that fits."""
    (folder / name).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    return edit_config(folder, lambda config: config["files"].update({name: digest}))


class FakeClassifier(Classifier):
    """A classifier that gives each label the same probability, when and as a test wants.

    It stands on a tiny network with fresh weights, so that all but `predict` is real.

    Args:
        kind: "image" or "text".
        labels: "ham" and "spam" by default.
        name: of the checkpoint.
        error: raised by `predict`.
        gate: `predict` waits until it is set.
        fields: further fields of the manifest.
    """

    def __init__(
        self,
        kind: str = "text",
        labels: Sequence[str] = ("ham", "spam"),
        *,
        name: str = "fake",
        error: Exception | None = None,
        gate: threading.Event | None = None,
        **fields: Any,
    ) -> None:
        described = make_manifest(kind, labels, **fields)
        transform = modality.get(kind).make_transform(described.transform, FILES[kind])
        network = make_network(described).requires_grad_(False)
        super().__init__(
            Checkpoint(name=name, manifest=described, network=network, transform=transform), torch.device("cpu")
        )
        self.error = error
        self.gate = gate
        self.asked: list[Any] = []

    def predict(self, inputs: Iterable[Any]) -> list[Prediction]:
        inputs = list(inputs)
        self.asked.extend(inputs)
        if self.gate:
            self.gate.wait(timeout=20)
        if self.error:
            raise self.error
        share = 1 / len(self.labels)
        return [Prediction(self.labels[0], dict.fromkeys(self.labels, share), (NOTE,)) for _ in inputs]
