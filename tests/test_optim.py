"""Optimizers: Muon's steps, which weights it takes, and that it learns and resumes."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch import nn

from pyclassify.training.config import FitConfig
from pyclassify.training.optim import Muon, hidden_convolutions, make_optimizer, orthogonalize


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (16, 16), (1, 5)])
def test_singular_values_become_nearly_one_in_the_same_directions(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, values, v = torch.linalg.svd(matrix, full_matrices=False)
    inside = u.T @ orthogonalize(matrix) @ v.T
    large = values > 0.1 * values.max()
    assert ((inside.diagonal() > 0.6) & (inside.diagonal() < 1.3))[large].all()
    torch.testing.assert_close(inside, inside.diagonal().diag(), atol=1e-4, rtol=0)


def test_torch_has_no_muon_for_convolutions() -> None:
    with pytest.raises(ValueError, match="2D"):  # otherwise ours could be replaced
        torch.optim.Muon([nn.Parameter(torch.ones(4, 3, 3, 3))])


def test_no_gradient_is_no_update() -> None:
    assert torch.equal(orthogonalize(torch.zeros(3, 4)), torch.zeros(3, 4))


@pytest.mark.parametrize("shape", [(6, 10), (10, 6)])
def test_matrix_is_stepped_as_by_torch(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(1)
    mine, peer = (nn.Parameter(torch.ones(shape)) for _ in range(2))
    ours = Muon([{"params": [mine], "matrices": True, "weight_decay": 0.1}], lr=0.02, momentum=0.95, nesterov=True)
    theirs = torch.optim.Muon([peer], lr=0.02, weight_decay=0.1, momentum=0.95)
    for _ in range(4):
        mine.grad = torch.randn(shape, generator=generator)
        peer.grad = mine.grad.clone()
        ours.step()
        theirs.step()
    torch.testing.assert_close(mine, peer, atol=3e-3, rtol=0)  # theirs computes in bfloat16


def test_other_groups_are_stepped_as_by_sgd() -> None:
    mine, peer = (nn.Parameter(torch.ones(5)) for _ in range(2))
    groups = [{"params": [mine], "matrices": False, "weight_decay": 0.01}]
    ours = Muon(groups, lr=0.1, momentum=0.9, nesterov=True)
    theirs = torch.optim.SGD([peer], lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)
    for step in range(3):
        mine.grad, peer.grad = torch.full((5,), 1.0 + step), torch.full((5,), 1.0 + step)
        ours.step()
        theirs.step()
    assert torch.equal(mine, peer)


def make_network() -> nn.Module:
    torch.manual_seed(0)
    blocks: list[nn.Module] = []
    for channels in (3, 8, 8, 8):
        blocks += [nn.Conv2d(channels, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()]
    network = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 3))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def test_hidden_convolutions_go_to_muon_and_every_parameter_goes_somewhere_once() -> None:
    network = make_network()
    config = FitConfig(optimizer="muon", learning_rate=0.4, muon_rate=0.1, muon_weight_decay=0.2, weight_decay=0.3)
    groups = make_optimizer(network, config).param_groups
    (matrices,) = [group for group in groups if group["matrices"]]
    assert {id(parameter) for parameter in matrices["params"]} == {
        id(weight) for weight in hidden_convolutions(network)
    }
    assert all(parameter.ndim == 4 for parameter in matrices["params"])
    assert len(matrices["params"]) == 3
    assert matrices["lr"] == pytest.approx(0.04)
    assert (matrices["momentum"], matrices["weight_decay"]) == (0.95, 0.2)
    assert {group["weight_decay"] for group in groups if not group["matrices"]} == {0.0, 0.3}
    everything = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(everything) == sorted(map(id, network.parameters()))


def test_frozen_convolutions_stay() -> None:
    network = make_network()
    for parameter in hidden_convolutions(network):
        parameter.requires_grad_(False)
    groups = make_optimizer(network, FitConfig(optimizer="muon")).param_groups
    assert not any(group["matrices"] for group in groups)


def _step(network: nn.Module, optimizer: torch.optim.Optimizer) -> float:
    x = torch.randn(12, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    loss = nn.functional.cross_entropy(network(x), torch.arange(12) % 3)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def test_muon_learns_and_continues_from_its_state() -> None:
    config = FitConfig(optimizer="muon", learning_rate=0.1, muon_rate=0.2)
    network = make_network()
    optimizer = make_optimizer(network, config)
    losses = [_step(network, optimizer) for _ in range(12)]
    assert losses[-1] < losses[0] / 3
    other = copy.deepcopy(network)
    resumed = make_optimizer(other, config)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _step(network, optimizer) == _step(other, resumed)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))


def test_closure_is_refused() -> None:
    optimizer = make_optimizer(make_network(), FitConfig(optimizer="muon"))
    with pytest.raises(ValueError, match="no closure"):
        optimizer.step(lambda: 0.0)
