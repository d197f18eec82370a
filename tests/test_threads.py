"""How many cores there are, and who may take how many."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pyclassify import threads


@pytest.fixture
def free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine with 8 cores, no quota yet and no variable that decides."""
    before = torch.get_num_threads()
    for name in threads.CHOSEN:
        monkeypatch.delenv(name, raising=False)
    for name in ("_QUOTA", "_OLD_QUOTA", "_OLD_PERIOD"):
        monkeypatch.setattr(threads, name, tmp_path / name)
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
def test_a_containers_quota_counts(free: Path, quota: str, cores: int) -> None:
    (free / "_QUOTA").write_text(quota)
    assert threads.cores() == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1", 8), ("200000", 2)])
def test_an_older_systems_quota_counts(free: Path, quota: str, cores: int) -> None:
    (free / "_OLD_QUOTA").write_text(f"{quota}\n")
    (free / "_OLD_PERIOD").write_text("100000\n")
    assert threads.cores() == cores


def test_where_nothing_is_told_all_cores_count(free: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert threads.cores() == 8
    monkeypatch.delattr(os, "sched_getaffinity")
    assert threads.cores() == os.cpu_count()


@pytest.mark.parametrize(("callers", "each"), [(1, 8), (2, 4), (3, 2), (20, 1)])
def test_callers_share_the_cores(free: Path, callers: int, each: int) -> None:
    assert threads.share(callers) == torch.get_num_threads() == each


@pytest.mark.parametrize("name", threads.CHOSEN)
def test_who_chose_by_a_variable_is_obeyed(free: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    torch.set_num_threads(3)
    monkeypatch.setenv(name, "3")
    assert threads.share(2) == 3
