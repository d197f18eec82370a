"""The default network for pictures: what is special in its first layer and its rates."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from pyclassify.image import models
from pyclassify.image.whitened import WhitenedConvNet
from pyclassify.training.muon import Muon


class _Batches:
    """Pictures of few colours with much in common, in batches sorted by label, as real ones come."""

    def __init__(self, size_px: int) -> None:
        generator = torch.Generator().manual_seed(0)
        coarse = torch.randn(48, 3, size_px // 4, size_px // 4, generator=generator)
        self.pictures = torch.nn.functional.interpolate(coarse, scale_factor=4, mode="bilinear")
        self.pictures += 0.2 * torch.randn(self.pictures.shape, generator=generator)

    @property
    def examples(self) -> int:
        return len(self.pictures)

    def __len__(self) -> int:
        return 3

    def epoch(self, seed: int | None = None) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        for part in self.pictures.split(16):
            yield (part,), torch.zeros(len(part), dtype=torch.int64)


@pytest.mark.parametrize("size_px", [32, 64, 128])
def test_the_first_layer_gives_uncorrelated_maps_of_variance_one(size_px: int) -> None:
    model, batches = WhitenedConvNet(labels=3, size_px=size_px, widths=(8, 8, 8)), _Batches(size_px)
    model.prepare(batches)
    maps = model.patches.convolution(batches.pictures).transpose(0, 1).flatten(1).detach()
    half = len(maps) // 2
    correlation = maps[:half] @ maps[:half].T / maps.shape[1]
    assert torch.allclose(correlation, torch.eye(half), atol=0.05)
    assert torch.allclose(maps[:half], -maps[half:], atol=1e-5)


def test_what_is_found_and_what_is_fixed_does_not_learn() -> None:
    model = WhitenedConvNet(labels=3, widths=(8, 8, 8))
    groups = model.parameter_groups(0.5, 1e-3)
    learning = {id(each) for group in groups for each in group["params"]}
    resting = {name for name, each in model.named_parameters() if id(each) not in learning}
    assert resting == {"patches.convolution.weight"} | {name for name in resting if name.endswith("norm.weight")}
    assert len(resting) == 7
    assert not any(model.get_parameter(name).requires_grad for name in resting)


def test_normalised_weights_keep_their_norm_and_turn() -> None:
    weight = torch.nn.Parameter(torch.randn(6, 4, 3, 3))
    group = {"params": [weight], "matrices": True, "normalised": True, "weight_decay": 0.1}
    optimizer = Muon([group], lr=0.1, momentum=0.6, nesterov=True)
    before = weight.detach().clone()
    for _ in range(4):
        weight.grad = torch.randn_like(weight)
        optimizer.step()
    assert weight.norm().item() == pytest.approx(6**0.5, rel=0.15)
    assert torch.cosine_similarity(weight.flatten(), before.flatten(), dim=0) < 0.99


def test_convolutions_begin_by_handing_on_what_they_get() -> None:
    model = models.build("whitened_convnet", labels=3, widths=(48, 48, 48))
    maps = torch.rand(1, 48, 8, 8)
    assert torch.allclose(model.stages[1].second(maps), maps, atol=1e-6)
