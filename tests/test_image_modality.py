"""Pictures as a kind of input: options, reading, settings for the data, and the inputs of the self-test."""

from __future__ import annotations

import hashlib
import io
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision.models import get_model

from pyclassify.errors import ConfigError, DataError
from pyclassify.image.modality import ImageModality
from pyclassify.image.pretrained import Pretrained
from pyclassify.image.transform import ImageTransform
from pyclassify.modality import get
from pyclassify.training.config import ImageConfig
from tests import drawing

CPU = torch.device("cpu")
MODALITY = get("image")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return drawing.image_folder(tmp_path / "data", per_label=6)


def test_the_kind_is_known_by_its_name() -> None:
    assert isinstance(MODALITY, ImageModality)
    assert (MODALITY.kind, MODALITY.reads, MODALITY.extra_files({})) == ("image", "files", ())
    assert ImageTransform(size_px=8)(MODALITY.sample()).tensor.shape == (3, 8, 8)


# Options


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"network": "resnet"}, "image_network_unknown"),
        ({"weights": "none"}, "weights_need_torchvision"),
        ({"network": "vit_b_16", "size_px": 64}, "image_size_fixed"),
        ({"size_px": 33}, "option_unknown"),
        ({"data": None, "dataset": "cifar11"}, "option_unknown"),
    ],
)
def test_options_that_cannot_work(options: dict[str, Any], code: str) -> None:
    with pytest.raises(ConfigError) as error:
        MODALITY.check(ImageConfig(**{"data": Path("missing"), **options}))
    assert error.value.code == code
    assert error.value.text("en") != error.value.text("ko")


@pytest.mark.parametrize(
    "options", [{}, {"size_px": 224}, {"network": "resnet18", "weights": "none"}, {"network": "vit_b_16"}]
)
def test_options_that_work(options: dict[str, Any]) -> None:
    MODALITY.check(ImageConfig(data=Path("missing"), **options))


# Reading


def test_unreadable_pictures_are_reported(folder: Path) -> None:
    (folder / "test" / "red" / "0.png").write_text("a text file named .png")
    (folder / "train" / "red" / "notes.txt").write_text("a note")
    steps: list[tuple[str, int, int]] = []
    config = ImageConfig(data=folder, network="simple_cnn", data_name="Colours")
    corpus = MODALITY.read(config, on_step=lambda *step: steps.append(step))
    splits = corpus.splits
    assert (splits.name, corpus.root) == ("Colours", folder)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (15, 3, 17)
    assert [skipped.reason.key for skipped in splits.skipped] == [
        "notes.not_a_picture",
        "errors.picture_content_unknown",
    ]
    assert {(stage, total) for stage, _, total in steps} == {("reading", 36)}
    counts = [done for _, done, _ in steps]
    assert counts == sorted(counts)
    assert counts[-1] == 36


def test_a_corpus_is_measured_compared_and_selected_from(folder: Path) -> None:
    Image.new("RGB", (9, 5), "red").save(folder / "train" / "red" / "0.png")
    corpus = MODALITY.read(ImageConfig(data=folder), inspect_only=True)
    paths = [path for part in corpus.splits.parts.values() for path in part.items]
    sizes = MODALITY.sizes(corpus)
    assert sorted(set(zip(sizes["width_px"], sizes["height_px"], strict=True))) == [(9, 5), (32, 32)]
    assert MODALITY.item_name(corpus, paths[0]) == f"train/{paths[0].parent.name}/{paths[0].name}"
    assert MODALITY.mistake_name(paths[0], 0) == f"{paths[0].parent.name}/{paths[0].name}"
    steps: list[tuple[str, int, int]] = []
    duplicates = MODALITY.find_duplicates(corpus, on_step=lambda *step: steps.append(step))
    assert len(duplicates.copies) == len(paths)
    assert steps[-1] == ("comparing", len(paths), len(paths))
    selection = (np.arange(3, 9), np.arange(3), np.arange(18, 36))
    chosen = MODALITY.select(corpus, selection)
    assert [path for part in chosen.splits.parts.values() for path in part.items] == [
        paths[position] for positions in selection for position in positions
    ]


def test_a_label_without_a_readable_picture_stops_it(folder: Path) -> None:
    for path in (folder / "test" / "red").iterdir():
        path.write_text("no picture")
    with pytest.raises(DataError) as error:
        MODALITY.read(ImageConfig(data=folder, network="simple_cnn"))
    assert (error.value.code, error.value.fields["labels"], error.value.fields["count"]) == (
        "no_readable_test",
        ["red"],
        6,
    )


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"network": "alexnet", "weights": "none", "size_px": 32}, "image_size_too_small"),
        ({"network": "mnasnet0_5", "weights": "missing.pth"}, "weights_missing"),
    ],
)
def test_a_network_that_does_not_fit_is_refused_before_pictures_are_decoded(
    folder: Path, options: dict[str, Any], code: str
) -> None:
    steps: list[Any] = []
    with pytest.raises((ConfigError, DataError)) as error:
        MODALITY.read(ImageConfig(data=folder, **options), on_step=lambda *step: steps.append(step))
    assert error.value.code == code
    assert not steps


# Settings for the data


def prepare(config: ImageConfig) -> Any:
    return MODALITY.prepare(config, MODALITY.read(config), CPU)


def test_the_tutorials_network_is_trained_as_in_the_tutorial(folder: Path) -> None:
    task = prepare(ImageConfig(data=folder, network="simple_cnn"))
    assert task.transform == ImageTransform(size_px=32, fit="stretch")
    assert (task.fit.epochs, task.fit.batch_size, task.fit.optimizer) == (10, 64, "sgd")
    assert (task.settings.name, task.settings.arguments) == ("simple_cnn", {"size_px": 32})
    assert (task.variant, task.remarks) == ({}, ())
    ordered, shuffled = (torch.cat([images for (images,), _ in task.train.epoch(seed)]) for seed in (None, 1))
    assert {tuple(image.flatten().tolist()) for image in ordered} == {
        tuple(image.flatten().tolist()) for image in shuffled
    }


def test_the_default_network_suits_the_data_and_options_override_it(folder: Path) -> None:
    task = prepare(ImageConfig(data=folder, seed=3, epochs=2, batch_size=4, learning_rate=0.5, precision="float32"))
    assert task.settings.name == "whitened_convnet"
    assert task.transform.size_px == 32
    fit = task.fit
    assert (fit.epochs, fit.batch_size, fit.learning_rate, fit.seed, fit.precision) == (2, 4, 0.5, 3, "float32")
    assert fit.optimizer == "muon"
    assert task.network(*next(iter(task.validation.epoch()))[0]).shape == (3, 3)
    assert not torch.equal(next(iter(task.train.epoch(1)))[0][0], next(iter(task.train.epoch(3)))[0][0])
    assert prepare(ImageConfig(data=folder, size_px=64)).settings.arguments == {"size_px": 64}


def test_the_same_seed_gives_the_same_first_weights(folder: Path) -> None:
    first, again, other = (
        prepare(ImageConfig(data=folder, network="simple_cnn", seed=seed)).network.state_dict() for seed in (3, 3, 4)
    )
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


def test_training_without_mirroring_is_another_training(folder: Path) -> None:
    assert prepare(ImageConfig(data=folder, mirror=False)).variant == {"mirror": False}


def test_rare_labels_are_drawn_more_often_with_a_remark(tmp_path: Path) -> None:
    counts = {"disc": 60, "square": 60, "triangle": 5}
    folder = drawing.shape_folder(tmp_path / "data", {"train": counts, "test": dict.fromkeys(counts, 2)})
    for network, is_oversampled in (("small_convnet", True), ("simple_cnn", False)):
        task = prepare(ImageConfig(data=folder, network=network, size_px=32))
        drawn = torch.bincount(torch.cat([ids for _, ids in task.train.epoch(1)]))
        assert bool(drawn[2] > 8) == bool(task.remarks) == is_oversampled


def test_a_network_of_torchvision_begins_with_a_file(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(3)
    state: OrderedDict[str, Any] = get_model("mnasnet0_5", weights=None).state_dict()
    torch.save(state, tmp_path / "published.pth")
    config = ImageConfig(data=folder, network="mnasnet0_5", size_px=32, weights=str(tmp_path / "published.pth"))
    task = prepare(config)
    assert isinstance(task.network, Pretrained)
    assert task.network.is_adapted
    assert torch.equal(task.network.state_dict()["network.layers.0.weight"], state["layers.0.weight"])
    assert (task.transform.crop, task.transform.mean) == (0.875, (0.485, 0.456, 0.406))
    assert task.variant == {"weights": config.weights}
    assert len(task.remarks) == 1
    assert "published.pth" in task.remarks[0]
    assert str(tmp_path) not in task.remarks[0]
    (tmp_path / "published.pth").unlink()
    for again in (replace(config, resume=True), replace(config, measure_only=True)):
        resumed = prepare(again)  # its weights come from the training that is resumed
        assert isinstance(resumed.network, Pretrained)
        assert resumed.network.is_adapted
        assert (resumed.fit, resumed.variant) == (task.fit, task.variant)


def test_a_network_of_torchvision_begins_with_random_weights(folder: Path) -> None:
    task = prepare(ImageConfig(data=folder, network="mnasnet0_5", size_px=32, weights="none"))
    assert isinstance(task.network, Pretrained)
    assert not task.network.is_adapted
    assert (task.variant, task.remarks) == ({}, ())


def test_detector_and_baseline_come_from_the_task(folder: Path) -> None:
    config = ImageConfig(data=folder, network="simple_cnn")
    corpus = MODALITY.read(config)
    task = MODALITY.prepare(config, corpus, CPU)
    settings, tensors = MODALITY.fit_ood(task.network, task)
    detector = MODALITY.load_ood(task.network, settings, tensors)
    ((images,), _) = next(iter(task.test.epoch()))
    assert detector.answer(images)[1].isfinite().all()
    baseline = MODALITY.fit_baseline(corpus, task)
    assert (baseline.name, baseline.fields) == ("linear_pixels", {"side_px": "16"})
    right = baseline.label_ids == corpus.splits.test.label_tensor()
    assert right.float().mean() > 0.9


# The self-test


def test_one_of_the_pictures_lies_on_its_side() -> None:
    upright, rotated = MODALITY.selftest_sources(ImageTransform(size_px=32))
    assert (upright.name, upright.file) == ("upright_drawing", "selftest-upright.png")
    assert (rotated.name, rotated.file) == ("rotated_drawing", "selftest-rotated.jpg")
    assert len(upright.content) + len(rotated.content) < 10_000
    first, second = (Image.open(io.BytesIO(source.content)) for source in (upright, rotated))
    assert first.size == second.size[::-1] == ImageOps.exif_transpose(second).size


def test_the_drawing_is_what_it_was() -> None:
    """Of the first releases; the content of the files depends on Pillow."""
    upright, _ = MODALITY.selftest_sources(ImageTransform(size_px=32))
    pixels = np.asarray(Image.open(io.BytesIO(upright.content)))
    assert hashlib.sha256(pixels.tobytes()).hexdigest()[:16] == "adf48f1fe7b88889"


def test_readings_tell_how_far_pictures_are_apart() -> None:
    transform = ImageTransform(size_px=32)
    upright, rotated = (
        MODALITY.reading(transform(source.content).tensor) for source in MODALITY.selftest_sources(transform)
    )
    assert MODALITY.compare_readings(upright, dict(upright)) == (True, None)
    is_same, difference = MODALITY.compare_readings(upright, rotated)  # the JPEG differs by less than a level
    assert not is_same
    assert difference is None
    pixels = transform(drawing.image((200, 20, 20), seed=1)).tensor
    for changed in (pixels.flip(0), pixels + 2):
        is_same, difference = MODALITY.compare_readings(MODALITY.reading(pixels), MODALITY.reading(changed))
        assert not is_same
        assert difference is not None
        assert difference.key == "selftest.pixels_differ"
        assert difference.text("ko")


@pytest.mark.parametrize("change", [{"grid": "zz"}, {"grid": "00"}, {"grid": 3}, {"grid": None}])
def test_what_is_not_a_reading_is_refused(change: dict[str, Any]) -> None:
    reading = MODALITY.reading(torch.zeros(3, 8, 8, dtype=torch.uint8))
    with pytest.raises((ValueError, TypeError)):
        MODALITY.compare_readings({"pixels": "", **change}, reading)
    with pytest.raises(KeyError):
        MODALITY.compare_readings({}, reading)
