"""What a checkpoint notes of itself, and that loading refuses whatever has changed since, by its right name."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image, ImageOps

from pyclassify import checkpoint, provenance, selftest
from pyclassify.errors import CheckpointError
from pyclassify.image import models as image_models
from pyclassify.image import transform as image_transform
from pyclassify.image.transform import ImageTransform
from pyclassify.selftest import checking, inputs, outcome
from pyclassify.text import models as text_models
from pyclassify.text import transform as text_transform
from pyclassify.text.transform import TextTransform
from train import cards

KEPT = Path(__file__).with_name("kept")
IMAGE, TEXT = "2026-11-image-simple_cnn", "2026-11-text-wide_deep"
NAMES = [path.name for path in sorted(KEPT.iterdir()) if path.is_dir()]


def _calibration(temperature: object) -> dict[str, object]:
    return {"temperature": temperature, "sets": {"0.90": 0.5, "0.95": 0.4, "0.99": 0.3}, "examples": 100}


def _with_selftest(folder: Path, name: str) -> Path:
    """A trained checkpoint with a self-test of today."""
    copied = shutil.copytree(KEPT / name / "checkpoint", folder / name)
    checkpoint.add_selftest(copied)
    return copied


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return _with_selftest(tmp_path, IMAGE)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return _with_selftest(tmp_path, TEXT)


def _config(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return config


def _edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    config = _config(folder)
    change(config)
    (folder / "config.json").write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")


def _replace(folder: Path, name: str, content: bytes) -> None:
    """Another content under a hash that fits."""
    (folder / name).write_bytes(content)
    _edit(folder, lambda config: config["sha256"].update({name: hashlib.sha256(content).hexdigest()}))


def _damage(folder: Path, name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Other weights under a hash that fits."""
    weights = safetensors.torch.load((folder / "model.safetensors").read_bytes())
    weights[name] = change(weights[name]).contiguous()
    _replace(folder, "model.safetensors", safetensors.torch.save(weights))


def _refused(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(folder)
    assert folder.name in str(caught.value)
    return str(caught.value)


# What is noted


@pytest.mark.parametrize("name", NAMES)
def test_what_was_noted_is_what_comes_out(tmp_path: Path, name: str) -> None:
    folder = _with_selftest(tmp_path, name)
    before = _config(KEPT / name / "checkpoint")
    loaded = checkpoint.load(folder)
    noted = loaded.info["selftest"]["inputs"]
    assert len(noted) == (2 if loaded.kind == "image" else 3)
    for each in noted:
        assert list(each["probabilities"]) == loaded.labels
        assert sum(each["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    other = {"selftest", "sha256"}
    assert {key: loaded.info[key] for key in loaded.info.keys() - other} == {
        key: before[key] for key in before.keys() - other
    }
    for file, digest in loaded.info["sha256"].items():
        assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == digest


def test_the_pictures_are_small_and_one_lies_on_its_side(image: Path) -> None:
    assert sum(path.stat().st_size for path in image.glob(selftest.FILES)) < 10_000
    with Image.open(image / "selftest-upright.png") as upright, Image.open(image / "selftest-rotated.jpg") as side:
        assert side.size == upright.size[::-1]
        assert ImageOps.exif_transpose(side).size == upright.size
    transform = ImageTransform(size_px=32)
    readings = [
        outcome.reading(transform(image / f"selftest-{name}").tensor) for name in ("upright.png", "rotated.jpg")
    ]
    assert outcome.levels_apart(readings[0]["grid"], readings[1]["grid"]) < 1


def test_the_texts_are_what_they_are_called(text: Path) -> None:
    loaded = checkpoint.load(text)
    sentence, hangul, long = loaded.info["selftest"]["inputs"]
    assert sentence["text"].isprintable()
    assert (
        hangul["text"] == unicodedata.normalize("NFD", hangul["text"]) != unicodedata.normalize("NFC", hangul["text"])
    )
    assert isinstance(loaded.transform, TextTransform)
    assert "only the first" in loaded.transform(long["text"] * long["times"]).notes[0]
    assert len(long["text"]) < 200
    assert set(loaded.transform.ids(long["text"])[2:-2]) - {text_transform.UNKNOWN_ID}
    assert (text / "config.json").stat().st_size < (KEPT / TEXT / "checkpoint" / "config.json").stat().st_size + 3000


def test_a_training_leaves_a_selftest(checkpoints: Path) -> None:
    for name in ("colours", "reviews"):
        assert selftest.KEY in _config(checkpoints / name)
        checkpoint.load(checkpoints / name)


def test_a_new_card_loses_nothing(image: Path) -> None:
    before = {path.name for path in image.iterdir()}
    cards.write(image)
    assert {path.name for path in image.iterdir()} == before | {"curves.png", "confusion.png"}
    checkpoint.load(image)


def test_saved_anew_with_old_notes_it_has_no_selftest(image: Path, tmp_path: Path) -> None:
    loaded = checkpoint.load(image)
    checkpoint.save(
        tmp_path / "anew",
        info=loaded.info,
        weights=loaded.model.state_dict(),
        transform=loaded.transform,
        card="",
    )
    assert selftest.KEY not in checkpoint.load(tmp_path / "anew").info


def test_the_hub_is_asked_for_the_pictures(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patterns: list[str] = []

    def download(_: str, *, allow_patterns: list[str]) -> str:
        patterns.extend(allow_patterns)
        return str(image)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    checkpoint.load("someone/colours")
    wanted = {path.name for path in image.iterdir()}
    assert wanted <= {name for name in wanted for pattern in patterns if Path(name).match(pattern)}


# What is refused: settings, which no hash covers


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["labels"].reverse(), "the labels in .* are not those"),
        (lambda c: c["labels"].__setitem__(0, "violet"), "the labels in .* are not those"),
        (lambda c: c["transform"].update(mean=[0.49, 0.5, 0.5]), "the transform that .* is not the one"),
        (lambda c: c["transform"].update(std=[0.5, 0.5, 0.25]), "the transform that .* is not the one"),
        (lambda c: c["transform"].update(fit="crop"), "the transform that .* is not the one"),
        (lambda c: c.update(calibration=_calibration(1.1)), "the temperature in .* is not the one"),
        (lambda c: c.update(calibration=_calibration(0)), "temperature must be a number above 0, got 0"),
        (lambda c: c.update(calibration=_calibration("x")), "temperature must be a number above 0, got 'x'"),
        (lambda c: c.update(calibration=3), "incomplete or wrong"),
    ],
)
def test_an_edited_config_is_refused(image: Path, change: Callable[[dict[str, Any]], object], message: str) -> None:
    _edit(image, change)
    refused = _refused(image)
    assert re.search(message, refused), refused


def test_an_edit_that_is_meant_can_be_noted(image: Path) -> None:
    _edit(image, lambda config: config.update(labels=["bleu", "vert", "rouge"]))
    assert "add_selftest(folder) notes it" in _refused(image)
    checkpoint.add_selftest(image)
    assert checkpoint.load(image).labels == ["bleu", "vert", "rouge"]


def test_the_temperature_is_in_the_probabilities(image: Path) -> None:
    def spread(folder: Path) -> float:
        values = _config(folder)["selftest"]["inputs"][0]["probabilities"].values()
        return max(values) - min(values)

    cold = spread(image)
    _edit(image, lambda config: config.update(calibration=_calibration(5.0)))
    checkpoint.add_selftest(image)
    checkpoint.load(image)
    assert spread(image) < cold / 2


@pytest.mark.parametrize("line", [2, 20, -1])
def test_a_wrong_line_of_the_vocabulary_is_refused(text: Path, line: int) -> None:
    tokens = (text / "vocab.txt").read_text(encoding="utf-8").split("\n")
    tokens[line] = "Ж"
    _replace(text, "vocab.txt", "\n".join(tokens).encode())
    assert "the tokens in" in _refused(text)


# What is refused: another reading


@pytest.mark.parametrize(
    ("name", "replacement"),
    [
        ("_folded", lambda text, *, lowercase: text),
        ("_folded", lambda text, *, lowercase: text.lower()),
        ("tokenize", lambda text, *, tokens, lowercase: list(text.lower())),
    ],
)
def test_another_tokeniser_is_named(text: Path, monkeypatch: pytest.MonkeyPatch, name: str, replacement: Any) -> None:
    monkeypatch.setattr(text_transform, name, replacement)
    refused = _refused(text)
    assert "is read otherwise" in refused
    assert "another tokeniser or another Unicode" in refused
    assert "tokens have" in refused
    assert "All versions are those of then" in refused


@pytest.mark.parametrize(
    ("name", "replacement"),
    [
        ("exif_transpose", lambda image: image),
        ("exif_transpose", lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
        ("exif_transpose", lambda image: Image.merge("RGB", image.split()[::-1])),
    ],
)
def test_another_reader_of_pictures_is_named(
    image: Path, monkeypatch: pytest.MonkeyPatch, name: str, replacement: Any
) -> None:
    monkeypatch.setattr(image_transform.ImageOps, name, replacement)
    refused = _refused(image)
    assert "is read otherwise" in refused
    assert "levels of 255" in refused
    assert "Pillow" in refused


def test_a_level_more_or_less_is_no_other_reading(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As another decoder of JPEG may give."""
    resize = ImageTransform._resize
    generator = np.random.default_rng(0)
    moved = []

    def nearly(self: ImageTransform, picture: Image.Image) -> Image.Image:
        pixels = np.asarray(resize(self, picture)).astype(int)
        noisy = (pixels + generator.integers(-1, 2, pixels.shape)).clip(0, 255)
        moved.append(int((noisy != pixels).sum()))
        return Image.fromarray(noisy.astype(np.uint8))

    monkeypatch.setattr(ImageTransform, "_resize", nearly)
    checkpoint.load(image)
    assert len(moved) == 2
    assert min(moved) > 50


def test_another_filter_is_another_reading(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(image_transform.INTERPOLATIONS, "bilinear", Image.Resampling.NEAREST)
    assert "is read otherwise" in _refused(image)


def test_a_pillow_that_cannot_read_a_format_is_told(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_transform, "FORMATS", ("PNG",))
    assert "the drawing on its side, with an EXIF tag cannot be read here" in _refused(image)


# What is refused: other probabilities


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("convolution.weight", torch.neg),
        ("linear.weight", torch.neg),
        ("linear.weight", lambda each: each * 0.9),
        ("linear.weight", lambda each: each.flip(0)),
        ("linear.bias", lambda each: each + torch.tensor([0.1, 0, 0])),
    ],
)
def test_damaged_weights_of_pictures_are_refused(image: Path, name: str, change: Any) -> None:
    _damage(image, name, change)
    refused = _refused(image)
    assert "the probability of" in refused
    assert "model.safetensors is damaged although its SHA-256 fits" in refused


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("wide.table.weight", torch.neg),
        ("wide.fingerprints", lambda each: each.roll(1)),
        ("deep.embedding.weight", lambda each: each.roll(1, 0)),
        ("deep.convolutions.0.weight", torch.neg),
        ("shares", lambda each: each.flip(0)),
    ],
)
def test_damaged_weights_of_text_are_refused(text: Path, name: str, change: Any) -> None:
    _damage(text, name, change)
    assert "model.safetensors is damaged although its SHA-256 fits" in _refused(text)


def test_a_picture_that_is_another_is_seen_by_its_hash_or_its_pixels(image: Path) -> None:
    other = (image / "selftest-rotated.jpg").read_bytes()
    (image / "selftest-rotated.jpg").write_bytes(other[:-30] + bytes(30))
    assert "selftest-rotated.jpg was altered or damaged" in _refused(image)
    Image.new("RGB", (72, 96), "pink").save(image / "selftest-rotated.jpg")
    _replace(image, "selftest-rotated.jpg", (image / "selftest-rotated.jpg").read_bytes())
    assert "is read otherwise" in _refused(image)
    (image / "selftest-rotated.jpg").unlink()
    assert "selftest-rotated.jpg is missing" in _refused(image)


def test_versions_are_told_where_they_differ(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _damage(image, "linear.weight", torch.neg)
    same = provenance.versions("pillow", "numpy")
    monkeypatch.setattr(checking.provenance, "versions", lambda *_: {**same, "torch": "9.9", "pillow": "0.1"})
    refused = _refused(image)
    assert f"torch {same['torch']} then, 9.9 here; pillow {same['pillow']} then, 0.1 here." in refused
    assert "Install those of then" in refused


# The tolerances


@pytest.mark.parametrize("name", [IMAGE, TEXT])
def test_threads_and_the_order_of_memory_stay_far_within(tmp_path: Path, name: str) -> None:
    folder = _with_selftest(tmp_path, name)
    loaded = checkpoint.load(folder)
    noted = loaded.info["selftest"]["inputs"]
    tensors = [loaded.transform(inputs.given(each, folder)).tensor for each in noted]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads % 2 + 1)
        loaded.model.to(memory_format=torch.channels_last)
        rows = outcome.probabilities(loaded.model, loaded.transform, tensors, loaded.info, folder)
    finally:
        torch.set_num_threads(threads)
    for each, row in zip(noted, rows, strict=True):
        assert row == pytest.approx(list(each["probabilities"].values()), abs=1e-5)


def test_how_far_probabilities_are_apart() -> None:
    assert outcome.ratio(0.2, 0.1) == outcome.ratio(0.1, 0.2) == pytest.approx(2)
    assert outcome.ratio(0, 1e-30) == 1
    assert outcome.ratio(0.5, float("nan")) != outcome.ratio(0.5, float("nan"))  # which is never allowed


# A self-test that is none


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(selftest=None),
        lambda c: c.update(selftest=[]),
        lambda c: c["selftest"].pop("settings"),
        lambda c: c["selftest"].update(inputs=[]),
        lambda c: c["selftest"].update(inputs=c["selftest"]["inputs"] * 20),
        lambda c: c["selftest"]["inputs"][0].update(file="../../../etc/passwd"),
        lambda c: c["selftest"]["inputs"][0].update(file="selftest-other.png"),
        lambda c: c["selftest"]["inputs"][0].update(file=7),
        lambda c: c["selftest"]["inputs"][0].pop("file"),
        lambda c: c["selftest"]["inputs"][0].pop("probabilities"),
        lambda c: c["selftest"]["inputs"][0]["probabilities"].pop("blue"),
        lambda c: c["selftest"]["inputs"][0]["probabilities"].update(blue=float("nan")),
        lambda c: c["selftest"]["inputs"][0].update(reading={}),
        lambda c: c["selftest"]["inputs"][0]["reading"].update(pixels="", grid="zz"),
        lambda c: c["selftest"]["inputs"][0]["reading"].update(pixels="", grid="00"),
    ],
)
def test_a_selftest_that_is_none_is_refused(image: Path, change: Callable[[dict[str, Any]], object]) -> None:
    _edit(image, change)
    assert "selftest" in _refused(image) or "self-test" in _refused(image)


def test_a_hostile_selftest_takes_no_memory(text: Path) -> None:
    _edit(text, lambda config: config["selftest"]["inputs"][2].update(times=10**12))
    assert "a text of more than" in _refused(text)


# What it costs


def _saved(folder: Path, kind: str) -> Path:
    """Networks of the sizes that the command lines choose, with weights by chance."""
    torch.manual_seed(0)
    if kind == "image":
        name, arguments = "whitened_convnet", {"size_px": 32}
        transform: Any = ImageTransform(size_px=32)
        model = image_models.build(name, labels=10, **arguments)
    else:
        tokens = ("<pad>", "<unk>", *(f"w{number}" for number in range(29_998)))
        transform = TextTransform(tokens, tokens="words")
        sizes = {"tokens": "words", "examples": 25_000, "total_tokens": 7_000_000}
        name = "wide_deep"
        arguments = text_models.arguments_for(name, vocabulary_size=30_000, labels=2, **sizes)
        model = text_models.build(name, labels=2, **arguments)
    labels = [str(number) for number in range(10 if kind == "image" else 2)]
    info = {"kind": kind, "labels": labels, "model": {"name": name, "arguments": arguments}}
    checkpoint.save(folder, info=info, weights=model.state_dict(), transform=transform, card="")
    checkpoint.add_selftest(folder)
    return folder


@pytest.mark.parametrize("kind", ["image", "text"])
def test_a_network_of_real_size_is_checked_at_once(tmp_path: Path, kind: str) -> None:
    """About 10 ms; what else the machine does may take a while, so the best of a few counts."""
    folder = _saved(tmp_path / kind, kind)
    loaded = checkpoint.load(folder)
    took_s = []
    for _ in range(5):
        began = time.perf_counter()
        selftest.check(loaded.model, loaded.transform, loaded.info, folder / "config.json")
        took_s.append(time.perf_counter() - began)
    assert min(took_s) < 0.2
