"""A checkpoint notes its own answers, and loading names the first step that differs from then."""

from __future__ import annotations

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

from pyclassify import checkpoint, classifier, manifest, modality, selftest
from pyclassify.errors import CheckpointError
from pyclassify.manifest import Network, SelfTestInput
from tests import fakes

KEPT = Path(__file__).with_name("kept")
NAMES = [path.name for path in sorted(KEPT.iterdir()) if (path / "checkpoint").is_dir()]
IMAGE, TEXT = "2026-11-image-simple_cnn", "2026-11-text-wide_deep"


def saved_today(folder: Path, name: str) -> Path:
    """Save a trained checkpoint anew, with a self-test of today."""
    kept = checkpoint.load(KEPT / name / "checkpoint")
    checkpoint.save(
        folder / name,
        manifest=kept.manifest,
        weights=kept.network.state_dict(),
        transform=kept.transform,
        card="",
        ood_tensors=kept.ood_tensors,
    )
    return folder / name


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return saved_today(tmp_path, IMAGE)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return saved_today(tmp_path, TEXT)


def inputs_of(folder: Path) -> list[SelfTestInput]:
    noted = checkpoint.read_manifest(folder).selftest
    assert noted is not None
    return noted.inputs


def edit_input(folder: Path, change: Callable[[dict[str, Any]], object], *, number: int = 0) -> None:
    fakes.edit_config(folder, lambda config: change(config["selftest"]["inputs"][number]))


def damage(folder: Path, name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Change weights, under a hash that fits."""
    weights = safetensors.torch.load((folder / "model.safetensors").read_bytes())
    weights[name] = change(weights[name]).contiguous()
    fakes.replace_file(folder, "model.safetensors", safetensors.torch.save(weights))


def refusal(folder: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(folder)
    assert folder.name in str(caught.value)
    assert folder.name in caught.value.text("ko")
    return caught.value


# What is noted


@pytest.mark.parametrize("name", NAMES)
def test_the_noted_answers_are_those_of_predict(tmp_path: Path, name: str) -> None:
    folder = saved_today(tmp_path, name)
    loaded = classifier.load(folder, device="cpu")
    noted = inputs_of(folder)
    assert len(noted) == (2 if loaded.kind == "image" else 3)
    items = [folder / source.file if source.file else (source.text or "") * source.times for source in noted]
    for source, prediction in zip(noted, loaded.predict(items), strict=True):
        assert prediction.probabilities == pytest.approx(source.probabilities, abs=1e-5)
        assert str(source.name)


def test_the_pictures_are_small_and_one_lies_on_its_side(image: Path) -> None:
    paths = list(image.glob(selftest.FILES))
    assert sum(path.stat().st_size for path in paths) < 10_000
    upright, side = (image / str(source.file) for source in inputs_of(image))
    with Image.open(upright) as first, Image.open(side) as second:
        assert second.size == first.size[::-1]
        assert ImageOps.exif_transpose(second).size == first.size
    kind, transform = modality.get("image"), checkpoint.load(image).transform
    readings = [kind.reading(transform(path).tensor) for path in (upright, side)]
    assert kind.compare_readings(*readings) == (False, None)  # nearly the same picture


def test_the_texts_go_through_every_step(text: Path) -> None:
    sentence, hangul, long = inputs_of(text)
    transform = checkpoint.load(text).transform
    assert sentence.text is not None
    assert sentence.text.isprintable()
    assert hangul.text is not None
    assert hangul.text == unicodedata.normalize("NFD", hangul.text) != unicodedata.normalize("NFC", hangul.text)
    assert long.text is not None
    assert len(long.text) < 200
    assert transform(long.text * long.times).notes


def test_a_training_leaves_a_selftest(checkpoints: Path) -> None:
    for name in ("colours", "reviews"):
        assert checkpoint.load(checkpoints / name).manifest.selftest


def test_the_temperature_is_in_the_probabilities(tmp_path: Path) -> None:
    def spread(temperature: float) -> float:
        folder = fakes.write_image_checkpoint(tmp_path / "a", calibration={"temperature": temperature})
        values = inputs_of(folder)[0].probabilities.values()
        return max(values) - min(values)

    assert spread(5.0) < spread(1.0) / 2


# Another reading


def test_another_tokenizer_is_named(text: Path) -> None:
    edit_input(text, lambda source: source["reading"].update(ids="0123456789abcdef"))
    error = refusal(text)
    assert error.code == "selftest_reading_differs"
    assert "the versions that it was made with" in str(error)


@pytest.mark.parametrize(
    "replacement",
    [
        lambda image: image,
        lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        lambda image: Image.merge("RGB", image.convert("RGB").split()[::-1]),
    ],
)
def test_another_reader_of_images_is_named(image: Path, monkeypatch: pytest.MonkeyPatch, replacement: Any) -> None:
    monkeypatch.setattr("PIL.ImageOps.exif_transpose", replacement)
    assert refusal(image).code == "selftest_reading_differs"


def resizing(change: Callable[[Image.Image], Image.Image]) -> Callable[..., Image.Image]:
    resize = Image.Image.resize
    return lambda self, *args, **options: change(resize(self, *args, **options))


def test_a_level_more_or_less_is_no_other_reading(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another decoder of JPEG may give this."""
    generator = np.random.default_rng(0)
    moved = []

    def nearly(resized: Image.Image) -> Image.Image:
        pixels = np.asarray(resized).astype(int)
        noisy = (pixels + generator.integers(-1, 2, pixels.shape)).clip(0, 255)
        moved.append(int((noisy != pixels).sum()))
        return Image.fromarray(noisy.astype(np.uint8))

    monkeypatch.setattr(Image.Image, "resize", resizing(nearly))
    checkpoint.load(image)
    assert len(moved) == 2
    assert min(moved) > 50


def test_another_filter_is_another_reading(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resize = Image.Image.resize

    def nearest(self: Image.Image, size: Any, resample: Any = None, *args: Any, **options: Any) -> Image.Image:
        return resize(self, size, Image.Resampling.NEAREST, *args, **options)

    monkeypatch.setattr(Image.Image, "resize", nearest)
    assert refusal(image).code == "selftest_reading_differs"


def test_an_input_that_cannot_be_read_here_is_named(image: Path) -> None:
    name = str(inputs_of(image)[1].file)
    fakes.replace_file(image, name, (image / name).read_bytes()[:400])
    error = refusal(image)
    assert error.code == "selftest_input_unreadable"
    assert error.fields["input"].text("en") != error.fields["input"].text("ko")


# Other answers


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("convolution.weight", torch.neg),
        ("linear.weight", torch.neg),
        ("linear.weight", lambda weight: weight * 0.9),
        ("linear.weight", lambda weight: weight.flip(0)),
        ("linear.bias", lambda bias: bias + torch.tensor([0.1, 0, 0])),
    ],
)
def test_damaged_weights_for_images_are_refused(image: Path, name: str, change: Any) -> None:
    damage(image, name, change)
    error = refusal(image)
    assert error.code == "selftest_answer_differs"
    assert "weights are damaged" in str(error)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("wide.table.weight", torch.neg),
        ("wide.fingerprints", lambda table: table.roll(1)),
        ("deep.embedding.weight", lambda weight: weight.roll(1, 0)),
        ("deep.convolutions.0.weight", torch.neg),
        ("shares", lambda shares: shares.flip(0)),
    ],
)
def test_damaged_weights_for_text_are_refused(text: Path, name: str, change: Any) -> None:
    damage(text, name, change)
    assert refusal(text).code == "selftest_answer_differs"


@pytest.mark.parametrize("line", [2, 20])
def test_a_wrong_line_of_the_vocabulary_is_refused(text: Path, line: int) -> None:
    tokens = (text / "vocab.txt").read_text(encoding="utf-8").split("\n")
    tokens[line] = "Ж"
    fakes.replace_file(text, "vocab.txt", "\n".join(tokens).encode())
    assert refusal(text).code in ("selftest_reading_differs", "checkpoint_ood_damaged")


def test_another_image_is_seen_by_its_hash_or_its_pixels(image: Path) -> None:
    path = image / str(inputs_of(image)[1].file)
    path.write_bytes(path.read_bytes()[:-30] + bytes(30))
    assert refusal(image).code == "checkpoint_file_altered"
    Image.new("RGB", (72, 96), "pink").save(path)
    fakes.replace_file(image, path.name, path.read_bytes())
    assert refusal(image).code == "selftest_reading_differs"
    path.unlink()
    assert refusal(image).code == "checkpoint_file_missing"


def test_versions_that_differ_are_named(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damage(image, "linear.weight", torch.neg)
    same = manifest.versions("pillow", "numpy")
    monkeypatch.setattr(manifest, "versions", lambda *_: {**same, "torch": "9.9", "pillow": "0.1"})
    error = refusal(image)
    assert f"torch {same['torch']} (9.9), pillow {same['pillow']} (0.1)" in str(error)
    assert "Install those versions" in str(error)


# Tolerances


@pytest.mark.parametrize("name", [IMAGE, TEXT])
def test_threads_and_the_order_of_memory_stay_far_within(tmp_path: Path, name: str) -> None:
    folder = saved_today(tmp_path, name)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads % 2 + 1)
        loaded = classifier.load(folder, device="cpu")  # convolutions run in another order of memory then
        for source in inputs_of(folder):
            item = folder / source.file if source.file else (source.text or "") * source.times
            (prediction,) = loaded.predict([item])
            assert prediction.probabilities == pytest.approx(source.probabilities, abs=1e-5)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("noted", "now", "is_allowed"),
    [
        (0.5, 0.504, True),
        (0.5, 0.506, False),
        (1e-3, 1.04e-3, True),
        (1e-3, 1.06e-3, False),
        (1.06e-3, 1e-3, False),
        (0, 1e-30, True),
    ],
)
def test_probabilities_may_differ_little(noted: float, now: float, is_allowed: bool) -> None:
    assert selftest.SAME_INPUT.allows(noted, now) == is_allowed
    assert selftest.NEAR_INPUT.allows(noted, now)


# A self-test that cannot be used


@pytest.mark.parametrize(
    "change",
    [
        lambda source: source.update(file="../../../etc/passwd"),
        lambda source: source.update(file="model.safetensors"),
        lambda source: source.update(file="selftest-other.png"),
        lambda source: source.update(file=7),
        lambda source: source.pop("file"),
        lambda source: source.pop("probabilities"),
        lambda source: source["probabilities"].pop("blue"),
        lambda source: source["probabilities"].update(blue=float("nan")),
        lambda source: source["probabilities"].update(violet=0.1),
        lambda source: source.update(reading={}),
        lambda source: source["reading"].update(pixels="", grid="zz"),
        lambda source: source["reading"].update(pixels="", grid="00"),
        lambda source: source["reading"].update(pixels="", grid=3),
    ],
)
def test_an_invalid_selftest_is_refused(image: Path, change: Callable[[dict[str, Any]], object]) -> None:
    edit_input(image, change)
    assert refusal(image).code in (
        "selftest_invalid",
        "checkpoint_manifest_invalid",
        "checkpoint_file_missing",
        "checkpoint_file_altered",
    )


@pytest.mark.parametrize("selected", [slice(0), slice(None)])
def test_a_selftest_has_one_to_sixteen_inputs(image: Path, selected: slice) -> None:
    fakes.edit_config(
        image, lambda config: config["selftest"].update(inputs=config["selftest"]["inputs"][selected] * 9)
    )
    assert refusal(image).code == "checkpoint_manifest_invalid"


def test_an_unknown_name_of_an_input_is_shown_as_it_is(text: Path) -> None:
    edit_input(text, lambda source: source.update(name="a riddle", probabilities={"긍정": 1, "부정": 0}))
    error = refusal(text)
    assert error.code == "selftest_answer_differs"
    assert "a riddle" in str(error)


def test_a_hostile_selftest_takes_no_memory(text: Path) -> None:
    edit_input(text, lambda source: source.update(times=10**12), number=2)
    assert refusal(text).code == "selftest_invalid"


# Cost


@pytest.mark.parametrize("kind", ["image", "text"])
def test_a_network_of_real_size_is_checked_at_once(tmp_path: Path, kind: str) -> None:
    """About 10 ms; what else the machine does may take a while, so the best of a few counts."""
    network, transform, files = fakes.NETWORKS[kind], fakes.TRANSFORMS[kind], fakes.FILES[kind]
    if kind == "image":
        network = Network(name="whitened_convnet", arguments={"size_px": 32})
        transform = {**transform, "size_px": 32}
    else:
        tokens = ("<pad>", "<unk>", *(f"w{number}" for number in range(29_998)))
        files = {"vocab.txt": "\n".join(tokens).encode()}
        network = Network(
            name="wide_deep",
            arguments={
                "vocabulary_size": 30_000,
                "buckets": 2**20,
                "order": 3,
                "deep_vocabulary": 12_000,
                "embedding_size": 48,
                "channels": 96,
                "widths": [5],
            },
        )
    described = fakes.make_manifest(kind, [str(number) for number in range(10)], network=network, transform=transform)
    fakes.write_checkpoint(tmp_path / kind, described, transform=modality.get(kind).make_transform(transform, files))
    loaded = checkpoint.load(tmp_path / kind)
    times_s = []
    for _ in range(5):
        began = time.perf_counter()
        selftest.check(loaded, tmp_path / kind)
        times_s.append(time.perf_counter() - began)
    assert min(times_s) < 0.2
