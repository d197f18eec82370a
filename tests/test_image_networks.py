"""Our networks for pictures: shapes, features, their first weights and rates, and the baseline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pyclassify.errors import ConfigError
from pyclassify.image import networks
from pyclassify.image.networks import SmallConvNet, WhitenedConvNet
from pyclassify.training.config import IMAGE_NETWORKS, FitConfig
from pyclassify.training.optim import Muon


class Batches:
    """Pictures of few colours with much in common, in batches sorted by label, as real ones come."""

    def __init__(self, size_px: int, *, num_labels: int = 1) -> None:
        generator = torch.Generator().manual_seed(0)
        coarse = torch.randn(48, 3, size_px // 4, size_px // 4, generator=generator)
        self.images = torch.nn.functional.interpolate(coarse, scale_factor=4, mode="bilinear")
        self.images += 0.2 * torch.randn(self.images.shape, generator=generator)
        self.label_ids = torch.arange(48) // 16 % num_labels
        self.images += 2 * self.label_ids.view(-1, 1, 1, 1)

    @property
    def num_examples(self) -> int:
        return len(self.images)

    @property
    def positions(self) -> range:
        return range(self.num_examples)

    def __len__(self) -> int:
        return 3

    def epoch(self, seed: int | None = None) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        for images, ids in zip(self.images.split(16), self.label_ids.split(16), strict=True):
            yield (images,), ids


def test_the_tutorials_network_is_what_it_was() -> None:
    network = networks.build("simple_cnn", num_labels=10)
    assert {name: tuple(parameter.shape) for name, parameter in network.named_parameters()} == {
        "convolution.weight": (32, 3, 3, 3),
        "convolution.bias": (32,),
        "linear.weight": (10, 32 * 16 * 16),
        "linear.bias": (10,),
    }
    config = FitConfig(**networks.fit_defaults("simple_cnn", num_examples=50_000))
    assert (config.epochs, config.batch_size, config.learning_rate, config.momentum) == (10, 64, 0.01, 0.9)
    assert (config.optimizer, config.nesterov, config.schedule, config.average_decay) == ("sgd", False, "constant", 0)


@pytest.mark.parametrize("name", ["small_convnet", "whitened_convnet"])
def test_small_data_are_trained_on_for_more_epochs_in_smaller_batches(name: str) -> None:
    few, many = (FitConfig(**networks.fit_defaults(name, num_examples=n)) for n in (60, 50_000))
    assert (few.batch_size, few.epochs) == (16, 80)
    assert (many.batch_size, many.epochs) == (512, 13)


NAMES_OF_WEIGHTS = {
    "simple_cnn": {"convolution.weight", "convolution.bias", "linear.weight", "linear.bias"},
    "small_convnet": {"stem.0.0.weight", "stages.2.second.1.running_var", "stages.0.norm.bias", "linear.bias"},
    "whitened_convnet": {"patches.convolution.bias", "stages.1.first.weight", "stages.2.second_norm.weight"},
    "efficientnet_lite0": {
        "stem.1.weight",
        "blocks.0.spread.2.bias",
        "blocks.15.expand.1.weight",
        "last.2.running_var",
    },
    "efficientnet_lite2": {
        "stem.1.weight",
        "blocks.0.spread.2.bias",
        "blocks.20.expand.1.weight",
        "last.2.running_var",
    },
}
"""Some of those in the checkpoints that there are."""


@pytest.mark.parametrize("name", IMAGE_NETWORKS)
def test_weights_keep_their_names(name: str) -> None:
    assert NAMES_OF_WEIGHTS[name] <= set(networks.build(name, num_labels=3).state_dict())


@pytest.mark.parametrize("name", ["small_convnet", "whitened_convnet"])
@pytest.mark.parametrize("size_px", [32, 64, 128, 160, 224])
def test_our_networks_take_every_size(name: str, size_px: int) -> None:
    network = networks.build(name, num_labels=4, size_px=size_px, widths=[8, 8, 8]).eval()
    assert network(torch.zeros(1, 3, size_px, size_px)).shape == (1, 4)


@pytest.mark.parametrize("name", ["whitened_convnet", "small_convnet", "simple_cnn"])
@pytest.mark.parametrize("size_px", [32, 64])
def test_features_are_what_the_layers_compute(name: str, size_px: int) -> None:
    """All convolutions by name, in the order in which they run; and the input of the last layer."""
    network = networks.build(name, num_labels=4, size_px=size_px).eval()
    images = torch.randn(2, 3, size_px, size_px)
    outputs: dict[str, Tensor] = {}
    inputs: list[Tensor] = []
    for layer_name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(lambda _, __, output, key=layer_name: outputs.update({key: output.clone()}))
    network.get_submodule(network.head_name).register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    with torch.no_grad():
        features = network.extractor([])(images)
    assert list(features.maps) == list(outputs)
    assert all(torch.equal(features.maps[key], output) for key, output in outputs.items())
    assert torch.equal(features.pooled, inputs[0])
    assert torch.equal(features.logits, network(images))


@pytest.mark.parametrize("size_px", [32, 64, 128])
def test_the_first_layer_gives_uncorrelated_maps_of_variance_one(size_px: int) -> None:
    network, batches = WhitenedConvNet(num_labels=3, size_px=size_px, widths=(8, 8, 8)), Batches(size_px)
    network.prepare(batches)
    maps = network.patches.convolution(batches.images).transpose(0, 1).flatten(1).detach()
    half = len(maps) // 2
    correlation = maps[:half] @ maps[:half].T / maps.shape[1]
    assert torch.allclose(correlation, torch.eye(half), atol=0.05)
    assert torch.allclose(maps[:half], -maps[half:], atol=1e-5)


def test_computed_and_fixed_weights_do_not_learn() -> None:
    network = WhitenedConvNet(num_labels=3, widths=(8, 8, 8))
    groups = network.parameter_groups(0.5, 1e-3)
    learning = {id(parameter) for group in groups for parameter in group["params"]}
    resting = {name for name, parameter in network.named_parameters() if id(parameter) not in learning}
    assert resting == {"patches.convolution.weight"} | {name for name in resting if name.endswith("norm.weight")}
    assert len(resting) == 7
    assert not any(network.get_parameter(name).requires_grad for name in resting)


def test_normalised_filters_keep_their_norm_and_turn() -> None:
    """As the groups of `parameter_groups` that are normalised, in the optimizer for convolutions."""
    weight = nn.Parameter(torch.randn(6, 4, 3, 3))
    group = {"params": [weight], "matrices": True, "normalised": True, "weight_decay": 0.1}
    optimizer = Muon([group], lr=0.1, momentum=0.6, nesterov=True)
    before = weight.detach().clone()
    for _ in range(4):
        weight.grad = torch.randn_like(weight)
        optimizer.step()
    assert weight.norm().item() == pytest.approx(6**0.5, rel=0.15)
    assert torch.cosine_similarity(weight.flatten(), before.flatten(), dim=0) < 0.99


def test_convolutions_begin_as_the_identity() -> None:
    network = networks.build("whitened_convnet", num_labels=3, widths=(48, 48, 48))
    maps = torch.rand(1, 48, 8, 8)
    assert torch.allclose(network.get_submodule("stages.1.second")(maps), maps, atol=1e-6)


def test_a_network_is_built_by_its_name_and_arguments() -> None:
    network = networks.build("small_convnet", num_labels=5, size_px=64, widths=[8, 16, 16])
    assert isinstance(network, SmallConvNet)
    assert network.linear.out_features == 5


@pytest.mark.parametrize("arguments", [{"depth": 3}, {"size_px": "large"}, {"widths": [1, 2, "x"]}])
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as error:
        networks.build("small_convnet", num_labels=2, **arguments)
    assert error.value.code == "image_network_arguments"


@pytest.mark.parametrize(
    ("name", "similar"),
    [("resnet", "resnet18"), ("vit_b16", "vit_b_16"), ("zzz", "whitened_convnet"), ("raft_small", "")],
)
def test_an_unknown_name_is_answered_by_similar_ones(name: str, similar: str) -> None:
    with pytest.raises(ConfigError) as error:
        networks.check_name(name)
    assert error.value.code == "image_network_unknown"
    assert error.value.fields["name"] == name
    assert similar in ("", *error.value.fields["similar"])
    assert "raft_large" not in error.value.fields["similar"]  # is one of torchvision's, but gives no label


def test_the_baseline_learns_colours() -> None:
    batches = Batches(32, num_labels=3)
    answers = networks.fit_baseline(batches, batches)
    assert answers.dtype == torch.int64
    assert (answers == batches.label_ids).float().mean() > 0.9
