"""Pictures unlike the training data are told from others, without touching the answers."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from pyclassify.dataset import Examples
from pyclassify.image import networks, ood
from pyclassify.image.data import Decoded, ImageBatches
from pyclassify.image.features import Features, ImageNetwork
from pyclassify.image.ood import ImageOod
from pyclassify.image.transform import ImageTransform
from pyclassify.manifest import Ood
from tests import drawing

TRANSFORM = ImageTransform(size_px=32)
MAX_BYTES = 600_000

Fitted = tuple[ImageNetwork, Ood, dict[str, Tensor]]


def draw(seeds: range) -> tuple[Tensor, list[int]]:
    """Draw as many pictures of each shape as there are seeds."""
    pairs = [(drawing.shape(name, seed), label_id) for label_id, name in enumerate(drawing.SHAPES) for seed in seeds]
    return torch.stack([TRANSFORM(image).tensor for image, _ in pairs]), [label_id for _, label_id in pairs]


def batches_of(pixels: Tensor, label_ids: list[int], size_px: int = 32) -> ImageBatches:
    pixels = torch.nn.functional.interpolate(pixels, (size_px, size_px))
    names = tuple(Path(str(i)) for i in range(len(pixels)))
    transform = ImageTransform(size_px=size_px)
    return ImageBatches(Decoded(pixels, Examples(names, tuple(label_ids))), transform, batch_size=32)


TRAIN = draw(range(40))
VALIDATION = draw(range(1000, 1040))


def build(name: str, size_px: int = 32) -> ImageNetwork:
    torch.manual_seed(0)
    return networks.build(name, num_labels=3, size_px=size_px).eval()


def fit(name: str, step: int = 1) -> Fitted:
    network = build(name)
    train, validation = (batches_of(pixels[::step], ids[::step]) for pixels, ids in (TRAIN, VALIDATION))
    return network, *ood.fit(network, train, validation)


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return fit("whitened_convnet")


def ood_scores(detector: ImageOod, items: list[Any]) -> Tensor:
    return detector.answer(*TRANSFORM.collate([TRANSFORM(item).tensor for item in items]))[1]


def test_about_a_twentieth_of_new_pictures_is_refused(fitted: Fitted) -> None:
    detector = ImageOod(*fitted)
    assert fitted[1].num_examples == len(VALIDATION[0]) == 120
    pixels, _ = draw(range(2000, 2100))
    _, scores = detector.answer(*TRANSFORM.collate(list(pixels)))
    assert 0.01 <= (scores > detector.threshold).float().mean() <= 0.1


def test_noise_and_flat_colour_are_further_out_than_any_picture(fitted: Fitted) -> None:
    detector = ImageOod(*fitted)
    generator = np.random.default_rng(0)
    noise = [generator.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(20)]
    flat = [np.full((32, 32, 3), value, dtype=np.uint8) for value in range(0, 250, 25)]
    ordinary = detector.answer(*TRANSFORM.collate(list(draw(range(2000, 2020))[0])))[1]
    assert ood_scores(detector, noise).min() > ordinary.max()
    assert (ood_scores(detector, flat) > detector.threshold).all()


LAYERS = {
    "simple_cnn": ["convolution"],
    "small_convnet": ["stem.0.0", "stages.0.second.0", "stages.1.first", "stages.1.second.0"],
    "whitened_convnet": ["patches.convolution", "stages.0.second", "stages.1.first", "stages.1.second"],
    "efficientnet_lite0": ["stem.1", "blocks.4.expand.1", "blocks.8.expand.1", "blocks.12.expand.1"],
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_logits_are_the_networks_own(name: str) -> None:
    network, settings, tensors = fit(name, step=4)
    assert settings.settings == {"layers": LAYERS[name], "head": "linear"}
    check_answers(network, settings, tensors, *TRANSFORM.collate(list(VALIDATION[0][::10])))


def check_answers(network: ImageNetwork, settings: Ood, tensors: dict[str, Tensor], images: Tensor) -> None:
    with torch.inference_mode():
        before = network(images)
        detector = ImageOod(network, settings, tensors)
        logits, scores = detector.answer(images)
        assert torch.equal(logits, before)
        assert torch.equal(network(images), before)
    assert scores.shape == (len(images),)
    assert scores.isfinite().all()
    logits, surprises = detector.surprises(images)
    assert torch.equal(logits, before)
    assert surprises.shape == (len(images), len(detector.views))
    assert (surprises >= 0).all()
    layers = settings.settings["layers"]
    assert isinstance(layers, list)
    assert list(detector.views) == settings.views == ["energy", "size", *layers]
    assert sum(tensor.nbytes for tensor in tensors.values()) < MAX_BYTES


TORCHVISION_LAYERS = {
    "resnet18": ["conv1", "layer2.0.conv1", "layer3.0.conv1", "layer3.1.conv2"],
    "mobilenet_v3_small": ["features.0.0", "features.4.block.2.fc1", "features.7.block.0.0", "features.9.block.2.fc2"],
    "squeezenet1_1": ["features.0", *(f"features.{number}.expand3x3" for number in (4, 7, 10))],
    "vit_b_16": ["conv_proj", *(f"encoder.layers.encoder_layer_{number}.mlp.3" for number in (2, 5, 8))],
    "swin_t": ["features.0.0", "features.3.0.mlp.3", "features.5.1.mlp.3", "features.5.4.mlp.3"],
}
"""The layers that are looked at, as in the checkpoints that there are."""


@pytest.mark.slow
@pytest.mark.parametrize("name", TORCHVISION_LAYERS)
def test_networks_of_torchvision_are_looked_into_too(name: str) -> None:
    size_px = 224 if name == "vit_b_16" else 64
    network = build(name, size_px)
    few = batches_of(TRAIN[0][::24], TRAIN[1][::24], size_px)
    settings, tensors = ood.fit(network, few, few)
    assert settings.settings["layers"] == [f"network.{layer}" for layer in TORCHVISION_LAYERS[name]]
    ((images,), _) = next(few.epoch())
    check_answers(network, settings, tensors, images[:2])


def test_a_network_without_maps_is_judged_by_its_answer() -> None:
    """As one of torchvision's that cannot be traced."""

    class Closed(networks.SimpleCnn):
        def features(self, images: Tensor) -> Features:
            return super().features(images)._replace(maps={})

    torch.manual_seed(0)
    network = Closed(num_labels=3).eval()
    settings, tensors = ood.fit(network, batches_of(*TRAIN), batches_of(*VALIDATION))
    assert settings.views == ["energy", "size"]
    assert list(tensors) == ["knots"]
    check_answers(network, settings, tensors, *TRANSFORM.collate(list(VALIDATION[0][:5])))


def test_a_batch_equals_its_singles(fitted: Fitted) -> None:
    detector = ImageOod(*fitted)
    tensors = list(VALIDATION[0][::8])
    together = detector.answer(*TRANSFORM.collate(tensors))[1]
    alone = torch.cat([detector.answer(*TRANSFORM.collate([tensor]))[1] for tensor in tensors])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("name", ["whitened_convnet", "shufflenet_v2_x0_5"])
def test_many_threads_get_what_one_gets(name: str) -> None:
    network = build(name)
    few = batches_of(TRAIN[0][::4], TRAIN[1][::4])
    detector = ImageOod(network, *ood.fit(network, few, few))
    inputs = [TRANSFORM.collate([pixels])[0] for pixels in VALIDATION[0][:30]]
    wanted = [detector.answer(images)[1].item() for images in inputs]
    with ThreadPoolExecutor(8) as pool:
        scores = list(pool.map(lambda images: detector.answer(images)[1].item(), inputs * 4))
    assert scores == pytest.approx(wanted * 4, abs=1e-4)


def test_a_detector_can_be_written_and_read(fitted: Fitted) -> None:
    network, settings, tensors = fitted
    images = TRANSFORM.collate(list(VALIDATION[0][:5]))
    stored = safetensors.torch.load(safetensors.torch.save(tensors))
    parsed = Ood.model_validate(json.loads(json.dumps(settings.model_dump(), allow_nan=False)))
    again, before = ImageOod(network, parsed, stored), ImageOod(network, settings, tensors)
    assert torch.equal(again.answer(*images)[1], before.answer(*images)[1])


@pytest.mark.parametrize("name", ["simple_cnn", "shufflenet_v2_x0_5"])
def test_fitting_leaves_nothing_behind_in_the_network(name: str) -> None:
    network = build(name)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    few = batches_of(TRAIN[0][::10], TRAIN[1][::10])
    ImageOod(network, *ood.fit(network, few, few))
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert all(not layer._forward_hooks and not layer._forward_pre_hooks for layer in network.modules())
    images = TRANSFORM.collate(list(VALIDATION[0][:2]))
    assert torch.equal(copy.deepcopy(network)(*images), network(*images))


@pytest.mark.parametrize("num_examples", [1, 2, 10])
def test_few_validation_examples_are_enough(num_examples: int) -> None:
    network = build("simple_cnn")
    few = batches_of(VALIDATION[0][:num_examples], VALIDATION[1][:num_examples])
    settings, tensors = ood.fit(network, batches_of(*TRAIN), few)
    assert settings.num_examples == num_examples
    scores = ImageOod(network, settings, tensors).answer(*TRANSFORM.collate(list(VALIDATION[0])))[1]
    assert scores.isfinite().all()


Change = Callable[[dict[str, Any], dict[str, Tensor]], object]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _, tensors: tensors.pop("knots"), "knots is missing"),
        (lambda _, tensors: tensors.update(knots=torch.zeros(2, 2)), "knots has shape"),
        (lambda _, tensors: tensors.update(knots=-tensors["knots"]), "do not rise"),
        (lambda _, tensors: tensors["knots"].fill_(float("nan")), "not finite"),
        (lambda ood, _: ood.update(views=["energy"]), "views"),
        (lambda ood, _: ood["settings"].update(layers=["stages.9"]), "no layer 'stages.9'"),
        (lambda ood, _: ood["settings"].update(layers=["stages"]), "no layer 'stages'"),
        (lambda ood, _: ood["settings"].update(layers=["linear"]), "no layer 'linear'"),
        (lambda ood, _: ood["settings"].update(layers="stages"), "layers"),
        (lambda ood, _: ood["settings"].update(head=3), "head"),
        (lambda ood, _: ood["settings"].update(head="stages.0.first"), "last layer is 'linear'"),
        (lambda ood, _: ood["settings"].pop("head"), "head"),
        (lambda ood, _: ood["settings"].update(more=1), "more"),
        (lambda _, tensors: tensors.update({"patches.convolution.center": torch.zeros(3)}), "has shape"),
        (lambda _, tensors: tensors["patches.convolution.scale"].fill_(float("inf")), "not finite"),
        (lambda _, tensors: tensors.pop("patches.convolution.directions"), "is missing"),
    ],
)
def test_parts_that_do_not_fit_are_refused(fitted: Fitted, change: Change, message: str) -> None:
    network, settings, tensors = fitted[0], fitted[1].model_dump(), copy.deepcopy(fitted[2])
    change(settings, tensors)
    with pytest.raises(ValueError, match=message):
        ImageOod(network, Ood.model_validate(settings), tensors)


def test_a_network_for_something_else_is_refused(fitted: Fitted) -> None:
    with pytest.raises(ValueError, match="not a network for pictures"):
        ImageOod(torch.nn.Linear(3, 3), *fitted[1:])
