"""Choosing a device."""

from __future__ import annotations

import pytest
import torch

from pyclassify import device
from pyclassify.errors import ConfigError


def test_auto_is_a_device_that_computes() -> None:
    assert torch.ones(2, device=device.pick()).sum().item() == 2


@pytest.mark.parametrize("name", ["tpu", "", "cpu0"])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="unknown"):
        device.pick(name)


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="no cuda device"):
        device.pick("cuda")


def test_fast_dtype_is_one_that_autocast_takes() -> None:
    assert device.fast_dtype(torch.device("cpu")) in (torch.float32, torch.bfloat16)


def test_description_names_the_kind() -> None:
    assert "CPU with" in device.describe(torch.device("cpu"))
