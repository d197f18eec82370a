"""The command that makes a checkpoint of published weights."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import pyclassify
from pyclassify.image import networks
from pyclassify.manifest import Training
from train import convert

LABELS = [f"thing {number:02}" for number in range(24)]
MODEL = ("--model", "efficientnet_lite0")


def published(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights under the names of the packages, by their order in the network."""
    layers = {ours: theirs for theirs, ours in convert._LAYERS.items()}
    block_layers = {ours: theirs for theirs, ours in convert._BLOCK_LAYERS.items()}
    names = {}
    for name in state:
        layer, _, parameter = name.rpartition(".")
        if name.startswith("blocks."):
            _, number, inner = layer.split(".", 2)
            names[name] = f"_blocks.{number}.{block_layers[inner]}.{parameter}"
        else:
            names[name] = f"{layers[layer]}.{parameter}"
    return {names[name]: tensor for name, tensor in state.items()}


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Write weights and photos; there are 24 labels, and pictures have 32 pixels."""
    monkeypatch.setattr(convert, "SIZE_PX", 32)
    categories = SimpleNamespace(DEFAULT=SimpleNamespace(meta={"categories": LABELS}))
    monkeypatch.setattr(convert, "get_model_weights", lambda _: categories)
    names = tmp_path / "names.json"
    names.write_text(json.dumps({label: f"사물 {label[-2:]}" for label in LABELS}), encoding="utf-8")
    monkeypatch.setattr(convert, "NAMES", names)
    torch.manual_seed(0)
    network = networks.build("efficientnet_lite0", num_labels=len(LABELS), size_px=32)
    torch.save(published(dict(network.state_dict())), tmp_path / "weights.pth")
    photos = tmp_path / "photos"
    photos.mkdir()
    generator = np.random.default_rng(0)
    for label in LABELS:
        Image.fromarray(generator.integers(0, 255, (40, 48, 3), dtype=np.uint8)).save(photos / f"{label}.jpg")
    return {"weights": tmp_path / "weights.pth", "photos": photos, "out": tmp_path / "converted"}


def arguments(small: dict[str, Path]) -> list[str]:
    """Return the command line."""
    return [str(small["weights"]), *("--photos", str(small["photos"])), *("--out", str(small["out"])), *MODEL]


def test_the_checkpoint_answers_and_names_its_origin(
    small: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    convert.main(arguments(small))
    assert "Test accuracy" in capsys.readouterr().out
    classifier = pyclassify.load(small["out"], device="cpu")
    training = classifier.manifest.training
    assert isinstance(training, Training)
    assert "EfficientNet-Lite0" in training.origin
    assert "Apache License 2.0" in training.origin
    assert training.weights == "int8"
    (prediction,) = classifier.predict([next(small["photos"].iterdir())])
    assert set(prediction.probabilities) == set(LABELS)
    card = (small["out"] / "README.md").read_text(encoding="utf-8")
    assert training.origin in card
    assert "Converted on" in card


def test_one_photo_per_label_is_needed(small: dict[str, Path]) -> None:
    next(small["photos"].iterdir()).unlink()
    with pytest.raises(SystemExit, match="23 photos, but there are 24 labels"):
        convert.main(arguments(small))
