"""Stand-ins that honour the interface of a classifier, for tests of the page alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from pyclassify.errors import InputError


@dataclass(frozen=True)
class FakePrediction:
    """What `pyclassify.classifier.Prediction` has."""

    label: str
    probabilities: dict[str, float]
    notes: tuple[str, ...] = ()


@dataclass
class FakeClassifier:
    """Answers by brightness or by length, so that a test knows what to expect."""

    kind: str
    labels: list[str]
    name: str = "fake"
    device: str = "cpu"
    info: dict[str, Any] = field(default_factory=dict)

    def predict(self, inputs: Sequence[Any]) -> list[FakePrediction]:
        return [self._one(each) for each in inputs]

    def _one(self, item: Any) -> FakePrediction:
        if item == "explode":
            raise RuntimeError("a secret of the server")
        first = self._brightness(item) if self.kind == "image" else min(len(item), 100) / 100
        rest = (1 - first) / (len(self.labels) - 1)
        shares = {label: first if i == 0 else rest for i, label in enumerate(self.labels)}
        ranked = dict(sorted(shares.items(), key=lambda pair: -pair[1]))
        return FakePrediction(next(iter(ranked)), ranked, ("Only a fake answered.",))

    @staticmethod
    def _brightness(item: Any) -> float:
        try:
            with Image.open(item) as picture:
                return picture.convert("L").resize((1, 1)).getpixel((0, 0)) / 255
        except (OSError, UnidentifiedImageError) as error:
            raise InputError(f"{Path(item).name} is not a picture that can be read.") from error
