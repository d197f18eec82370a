"""Choosing a device, and sharing the cores that this process may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pyclassify import device
from pyclassify.errors import ConfigError


def test_auto_is_a_device_that_computes() -> None:
    assert torch.ones(2, device=device.pick()).sum().item() == 2


@pytest.mark.parametrize("name", ["tpu", "", "cpu0"])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError) as error:
        device.pick(name)
    assert (error.value.code, error.value.fields["device"]) == ("device_unknown", repr(name))


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError) as error:
        device.pick("cuda:1")
    assert (error.value.code, error.value.fields) == ("device_missing", {"device": "cuda"})


def test_a_device_number_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError) as error:
        device.pick("cpu:first")
    assert (error.value.code, error.value.fields) == ("device_malformed", {"device": "'cpu:first'"})


def test_fast_dtype_is_one_that_autocast_takes() -> None:
    assert device.fast_dtype(torch.device("cpu")) in (torch.float32, torch.bfloat16)


def test_description_names_the_kind() -> None:
    assert "CPU with" in device.describe(torch.device("cpu"))


def test_a_machine_without_proc_has_a_description(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_CPU_INFO", tmp_path / "cpuinfo")
    assert device.fast_dtype(torch.device("cpu")) == torch.float32
    assert "CPU with" in device.describe(torch.device("cpu"))


# Cores


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The files of the quota on a machine with 8 cores, without a quota and without variables that decide."""
    before = torch.get_num_threads()
    for name in device.THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name in ("_QUOTA", "_QUOTA_V1", "_PERIOD_V1"):
        monkeypatch.setattr(device, name, tmp_path / name)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    yield tmp_path
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000", 8),
        ("300000 100000", 3),
        ("150000 100000", 1),
        ("50000 100000", 1),
        ("9900000 100000", 8),
        ("", 8),
    ],
)
def test_the_quota_of_a_container_counts(cgroup: Path, quota: str, cores: int) -> None:
    (cgroup / "_QUOTA").write_text(quota)
    assert device.available_cores() == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1", 8), ("200000", 2)])
def test_the_quota_of_an_older_system_counts(cgroup: Path, quota: str, cores: int) -> None:
    (cgroup / "_QUOTA_V1").write_text(f"{quota}\n")
    (cgroup / "_PERIOD_V1").write_text("100000\n")
    assert device.available_cores() == cores


def test_without_a_quota_all_cores_count(cgroup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.available_cores() == 8
    monkeypatch.delattr(os, "sched_getaffinity")
    assert device.available_cores() == os.cpu_count()


@pytest.mark.parametrize(("callers", "threads"), [(1, 8), (2, 4), (3, 2), (20, 1)])
@pytest.mark.usefixtures("cgroup")
def test_callers_share_the_cores(callers: int, threads: int) -> None:
    assert device.share_cores(callers) == torch.get_num_threads() == threads


@pytest.mark.parametrize("name", device.THREAD_VARIABLES)
@pytest.mark.usefixtures("cgroup")
def test_a_variable_for_the_threads_is_obeyed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    torch.set_num_threads(3)
    monkeypatch.setenv(name, "3")
    assert device.share_cores(2) == 3
