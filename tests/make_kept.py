"""Write a checkpoint that must load for ever: `python -m tests.make_kept DATE NAME...`, see kept/README.md.

The networks are far smaller than those of the command lines, and are trained for seconds on drawings and made-up
sentences. A folder that exists is never written again.
"""

from __future__ import annotations

import dataclasses
import json
import random
import sys
import tempfile
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import ExifTags, Image

from pyclassify import checkpoint, classifier, evaluation, modality
from pyclassify.manifest import Calibration, Manifest, Network, today, versions
from pyclassify.modality import Task
from pyclassify.text.networks import WideDeep
from pyclassify.training import trainer
from pyclassify.training.config import ImageConfig, TextConfig, TrainingConfig
from tests import drawing

KEPT = Path(__file__).with_name("kept")
CPU = torch.device("cpu")

KOREAN = {
    "긍정": ("정말 재미있는", "감동이 남는", "배우가 훌륭한", "다시 보고 싶은", "마음이 따뜻해지는"),
    "부정": ("지루하고 뻔한", "돈이 아까운", "배우가 어색한", "끝까지 보기 힘든", "시간만 버린"),
}
NOUNS = ("영화", "이야기", "장면", "작품", "결말", "드라마")
ENDINGS = ("였어요.", "입니다!", "", "였다", "네요", "라고 생각합니다.")


def korean_reviews(count: int) -> list[tuple[str, str]]:
    """Return pairs of label and text, all different."""
    pairs = []
    generator = random.Random(0)
    for i in range(count):
        label = ("긍정", "부정")[i % 2]
        words = generator.sample(KOREAN[label], 2)
        pairs.append((label, f"{words[0]} {generator.choice(NOUNS)}, {words[1]} {generator.choice(NOUNS)} {i}번째"))
    return pairs


def write_table(path: Path, pairs: list[tuple[str, str]]) -> Path:
    """Write pairs of label and text as a TSV file, some with the other label, so that no network is sure of all."""
    labels = sorted({label for label, _ in pairs})
    pairs = [(labels[label == labels[0]] if i % 15 == 14 else label, text) for i, (label, text) in enumerate(pairs)]
    path.write_text("label\ttext\n" + "".join(f"{label}\t{text}\n" for label, text in pairs), encoding="utf-8")
    return path


def colours(folder: Path) -> TrainingConfig:
    """A network for squares of one colour."""
    drawing.image_folder(folder, per_label=40, splits=("train", "val", "test"))
    return ImageConfig(data=folder, network="simple_cnn", size_px=32, epochs=2)


def shapes(network: str, *, epochs: int, **options: Any) -> Callable[[Path], TrainingConfig]:
    """A network for outlines on noise."""

    def write(folder: Path) -> TrainingConfig:
        counts = {"train": 60, "val": 40, "test": 3}
        drawing.shape_folder(folder, {split: dict.fromkeys(drawing.SHAPES, n) for split, n in counts.items()})
        return ImageConfig(data=folder, network=network, epochs=epochs, **options)

    return write


def reviews(folder: Path) -> TrainingConfig:
    """A network for English sentences."""
    table = write_table(folder / "reviews.tsv", drawing.reviews(300))
    return TextConfig(
        data=table,
        network="lstm",
        tokens="words",
        vocabulary_size=40,
        epochs=40,
        batch_size=16,
        learning_rate=0.01,
        validation_fraction=0.4,
    )


def films(folder: Path) -> TrainingConfig:
    """A network for Korean sentences."""
    table = write_table(folder / "films.tsv", korean_reviews(300))
    return TextConfig(data=table, network="wide_deep", tokens="characters", epochs=8, validation_fraction=0.4)


RECIPES: dict[str, tuple[Callable[[Path], TrainingConfig], dict[str, Any]]] = {
    "image-simple_cnn": (colours, {}),
    "image-small_convnet": (shapes("small_convnet", epochs=30, size_px=32), {"size_px": 32, "widths": [8, 16, 24]}),
    "image-whitened_convnet": (
        shapes("whitened_convnet", epochs=30, size_px=32),
        {"size_px": 32, "widths": [8, 16, 24]},
    ),
    "image-shufflenet_v2_x0_5": (shapes("shufflenet_v2_x0_5", epochs=60, size_px=64, weights="none"), {}),
    "text-lstm": (reviews, {"embedding_size": 12, "hidden_size": 16}),
    "text-wide_deep": (
        films,
        {"buckets": 4096, "order": 3, "embedding_size": 12, "channels": 16, "widths": [5, 5], "dropout": 0.2},
    ),
}
"""By name the data with its options, and the arguments of the network that differ from its defaults."""


def make(name: str, folder: Path) -> None:
    """Train one of RECIPES and write it with inputs and answers."""
    write_data, arguments = RECIPES[name]
    with tempfile.TemporaryDirectory() as data:
        config = write_data(Path(data))
        kind = modality.of(config)
        corpus = kind.read(config)
        task = kind.prepare(config, corpus, CPU)
        if arguments:
            task = _shrunk(task, arguments, num_labels=len(corpus.splits.labels))
        for epoch in trainer.fit(task.network, task.train, task.validation, task.fit, device=CPU):
            print(f"{name}: epoch {epoch.epoch}, validation accuracy {epoch.val_accuracy:.3f}")
        if isinstance(task.network, WideDeep):
            task.network.shares.copy_(torch.tensor([0.7, 0.5]))  # on so little data the deep part would get no share
        weights = {
            key: tensor.half() if tensor.is_floating_point() else tensor
            for key, tensor in task.network.state_dict().items()
        }
        task.network.load_state_dict({key: value.float() for key, value in weights.items()}, strict=True)
        logits, label_ids = trainer.predict_logits(task.network, task.validation)
        temperature = evaluation.fit_temperature(logits, label_ids)
        probabilities = evaluation.calibrate(logits, temperature)
        ood, tensors = kind.fit_ood(task.network, task)
    manifest = Manifest(
        kind=kind.kind,
        labels=list(corpus.splits.labels),
        network=task.settings,
        transform=task.transform.settings(),
        calibration=Calibration.model_validate(
            {
                "temperature": temperature,
                "thresholds": evaluation.fit_thresholds(probabilities, label_ids),
                "num_examples": len(label_ids),
            }
        ),
        ood=ood,
        versions=versions(),
    )
    card = f"# {name}\n\nWritten on {today()} by tests/make_kept.py.\n"
    checkpoint.save(
        folder / "checkpoint",
        manifest=manifest,
        weights=weights,
        transform=task.transform,
        card=card,
        ood_tensors=tensors,
    )
    inputs = write_inputs(folder) if kind.reads == "files" else TEXTS[manifest.labels[0]]
    loaded = classifier.load(folder / "checkpoint", device="cpu")
    rows = [
        {
            "input": text,
            "probabilities": {label: round(share, 6) for label, share in prediction.probabilities.items()},
            "known": prediction.known,
            "prediction_set": prediction.prediction_set,
        }
        for text, prediction in zip(
            inputs, loaded.predict([folder / text if kind.reads == "files" else text for text in inputs]), strict=True
        )
    ]
    (folder / "expected.json").write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _shrunk(task: Task, arguments: dict[str, Any], *, num_labels: int) -> Task:
    """Return the task with a smaller network."""
    settings = Network(name=task.settings.name, arguments={**task.settings.arguments, **arguments})
    torch.manual_seed(0)
    kind = modality.get("text" if "vocabulary_size" in settings.arguments else "image")
    return dataclasses.replace(task, settings=settings, network=kind.build(settings, num_labels=num_labels))


TEXTS = {
    "bad": [
        "a wonderful film",
        "great story and a wonderful end number 7",
        "awful acting, terrible end",
        "Don\u2019t miss it<br />GREAT fun",
        "재미있다",
        "great story " * 700,
    ],
    "긍정": [
        "정말 재미있는 이야기",
        "돈이 아까운 영화, 지루하고 뻔한 결말 7번째",
        "지루해요, 돈이 아까운 영화",
        unicodedata.normalize("NFD", "배우가 훌륭한 작품"),
        "한 마디",
        "xyz 123 \U0001f642",
        "감동이 남는 장면 " * 200,
    ],
}


def write_inputs(folder: Path) -> list[str]:
    """Draw inputs and return their names; one lies on its side and says so in its EXIF data."""
    is_colours = "simple_cnn" in folder.name
    if is_colours:
        drawn = {name: drawing.image(colour, seed=99) for name, colour in drawing.COLOURS.items()}
    else:
        drawn = {name: drawing.shape(name, seed=99) for name in drawing.SHAPES}
    drawn["grey"] = Image.new("RGB", (40, 24), (128, 128, 128))
    side = drawing.image(drawing.COLOURS["blue"], seed=98) if is_colours else drawing.shape("triangle", seed=98)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    for name, image in drawn.items():
        image.save(folder / f"{name}.png")
    side.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.png", exif=exif)
    return [f"{name}.png" for name in (*drawn, "turned")]


if __name__ == "__main__":
    date, *names = sys.argv[1:]
    for name in names or RECIPES:
        folder = KEPT / f"{date}-{name}"
        if folder.exists():
            sys.exit(f"{folder} exists and is never written again")
        make(name, folder)
