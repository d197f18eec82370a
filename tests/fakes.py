"""Small stand-ins: real checkpoints with fresh weights, and a classifier that does what a test wants."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from pyclassify import Prediction, checkpoint
from pyclassify.image import models as image_models
from pyclassify.image.transform import ImageTransform
from pyclassify.text import models as text_models
from pyclassify.text.transform import TextTransform

WORDS = ("<pad>", "<unk>", "good", "bad", "좋아요", "싫어요", "film")
SCORES = {"accuracy": 0.894, "accuracy_interval": [0.888, 0.9], "majority_accuracy": 0.1}


def info(kind: str, labels: Sequence[str], model: dict[str, Any], data: str) -> dict[str, Any]:
    """What a training would note."""
    counts = {"name": data, "train": 45_000, "validation": 5_000, "test": 10_000, "skipped": 0, "seed": 0}
    return {"kind": kind, "labels": list(labels), "model": model, "data": counts, "scores": SCORES}


def write_image_checkpoint(path: Path, labels: Sequence[str] = ("cat", "dog", "ship"), *, seed: int = 0) -> Path:
    """A real one that answers by chance, always the same."""
    torch.manual_seed(seed)
    model = image_models.build("simple_cnn", labels=len(labels), size_px=8)
    described = {"name": "simple_cnn", "arguments": {"size_px": 8}}
    checkpoint.save(
        path,
        info=info("image", labels, described, path.name),
        weights=model.state_dict(),
        transform=ImageTransform(size_px=8),
        card="# A test\n",
    )
    return path


def write_text_checkpoint(path: Path, labels: Sequence[str] = ("negative", "positive"), *, seed: int = 0) -> Path:
    """A real one that answers by chance, always the same."""
    torch.manual_seed(seed)
    arguments = {"vocabulary_size": len(WORDS), "embedding_size": 8, "hidden_size": 8}
    model = text_models.build("lstm", labels=len(labels), **arguments)
    checkpoint.save(
        path,
        info=info("text", labels, {"name": "lstm", "arguments": arguments}, path.name),
        weights=model.state_dict(),
        transform=TextTransform(WORDS, tokens="words"),
        card="# A test\n",
    )
    return path


@dataclass
class FakeClassifier:
    """Honours the interface of `pyclassify.Classifier`; waits for `gate` and raises `error` where they are set."""

    kind: str = "text"
    labels: list[str] = field(default_factory=lambda: ["ham", "spam"])
    name: str = "fake"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    info: dict[str, Any] = field(default_factory=dict)
    error: Exception | None = None
    gate: threading.Event | None = None
    asked: list[Any] = field(default_factory=list)

    def predict(self, inputs: Sequence[Any]) -> list[Prediction]:
        self.asked.extend(inputs)
        if self.gate:
            self.gate.wait(timeout=20)
        if self.error:
            raise self.error
        share = 1 / len(self.labels)
        return [Prediction(self.labels[0], dict.fromkeys(self.labels, share), ("only a fake",)) for _ in inputs]
