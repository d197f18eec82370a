"""The number formats that weights are stored in."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pyclassify import weights


@pytest.fixture
def state() -> dict[str, Tensor]:
    """Return the weights of layers of all kinds, one row of zeros among them."""
    torch.manual_seed(0)
    layers = nn.ModuleDict(
        {
            "convolution": nn.Conv2d(8, 4, 3),
            "depthwise": nn.Conv2d(4, 4, 3, groups=4),
            "norm": nn.BatchNorm2d(4),
            "embedding": nn.Embedding(10, 32),
        }
    )
    layers["embedding"].weight.data[0] = 0
    return layers.state_dict()


def test_int8_keeps_each_row_within_half_a_step(state: dict[str, Tensor]) -> None:
    packed = weights.pack(state, "int8")
    assert packed["convolution.weight"].dtype == packed["embedding.weight"].dtype == torch.int8
    assert {packed[name].dtype for name in ("depthwise.weight", "convolution.bias", "norm.weight")} == {torch.float16}
    assert packed["norm.num_batches_tracked"].dtype == torch.int64
    unpacked = weights.unpack(packed)
    assert unpacked.keys() == state.keys()
    for name in ("convolution.weight", "embedding.weight"):
        rows, found = state[name].flatten(1), unpacked[name].flatten(1)
        step = rows.abs().amax(dim=1, keepdim=True) / 127
        assert ((rows - found).abs() <= step / 2 + 1e-7).all()
    assert (unpacked["embedding.weight"][0] == 0).all()


@pytest.mark.parametrize("number_format", ["int8", "float16", "float32"])
def test_what_was_rounded_once_stays(state: dict[str, Tensor], number_format: weights.NumberFormat) -> None:
    once = weights.unpack(weights.pack(state, number_format))
    twice = weights.unpack(weights.pack(once, number_format))
    for name, tensor in once.items():
        assert tensor.shape == state[name].shape
        torch.testing.assert_close(twice[name], tensor, rtol=1e-6, atol=0)


def test_only_large_networks_are_stored_as_int8(state: dict[str, Tensor]) -> None:
    assert weights.formats_for(state) == ("float16",)
    large = {"table": torch.zeros(weights.WORTH_INT8 // 32, 32)}
    assert weights.formats_for(large) == ("int8", "float16")
    thin = {"table": torch.zeros(weights.WORTH_INT8, 2)}
    assert weights.formats_for(thin) == ("float16",)
