"""Devices to compute on, their fast number format, and the cores that threads may use."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Final

import torch

from pyclassify.errors import ConfigError

NAMES: Final = ("auto", "cuda", "mps", "xpu", "cpu")

THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables that set the number of threads; if one of them is set, it is obeyed."""

_CPU_INFO: Final = Path("/proc/cpuinfo")
_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")
_QUOTA_V1: Final = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
_PERIOD_V1: Final = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")


def pick(name: str = "auto") -> torch.device:
    """Return the device with this name, or the fastest one that this machine has.

    Args:
        name: "auto", "cuda", "mps", "xpu" or "cpu"; a device number may follow, as in "cuda:1".

    Raises:
        ConfigError: the name is unknown, or this machine has no such device.
    """
    kind = name.partition(":")[0]
    if kind not in NAMES:
        raise ConfigError("device_unknown", device=repr(name), known=NAMES)
    if kind == "auto":
        return torch.device(next(candidate for candidate in NAMES[1:] if _is_available(candidate)))
    if not _is_available(kind):
        raise ConfigError("device_missing", device=kind)
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise ConfigError("device_malformed", device=repr(name)) from error


def _is_available(kind: str) -> bool:
    if kind == "cuda":
        return torch.cuda.is_available()
    if kind == "mps":
        return torch.backends.mps.is_available()
    if kind == "xpu":
        return torch.xpu.is_available()
    return True


def fast_dtype(device: torch.device) -> torch.dtype:
    """Return the format in which matrix products are fastest without losing accuracy in training.

    This is bfloat16 if the processor multiplies it natively, else float32. float16 would need loss scaling.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device.type == "xpu":
        return torch.bfloat16
    if device.type == "cpu" and _cpu_multiplies_bfloat16():
        return torch.bfloat16
    return torch.float32


def _cpu_multiplies_bfloat16() -> bool:
    flags = _cpu_info()  # Linux alone has it; float32 is always right
    return "avx512_bf16" in flags or "amx_bf16" in flags


def describe(device: torch.device) -> str:
    """Return a device in words, such as "CPU with 2 cores (AMD EPYC)"."""
    if device.type == "cuda":
        return f"GPU {torch.cuda.get_device_name(device)}"
    if device.type != "cpu":
        return f"{device.type.upper()} on {platform.machine()}"
    return f"CPU with {os.cpu_count()} cores ({_cpu_name()})"


def _cpu_name() -> str:
    info = _cpu_info()
    if not info:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _cpu_info() -> str:
    try:
        return _CPU_INFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def share_cores(callers: int) -> int:
    """Limit torch's threads so that each of so many callers computes on its part of the cores.

    More threads than cores are far slower than fewer: torch's threads wait for each other, and one that waits for a
    core holds up the rest.

    Args:
        callers: number of threads of this process that run networks at once.

    Returns:
        Threads per caller.
    """
    if not any(os.environ.get(name) for name in THREAD_VARIABLES):
        torch.set_num_threads(max(1, available_cores() // callers))
    return torch.get_num_threads()


def available_cores() -> int:
    """Return the number of cores that this process may use, at least 1; a container's quota counts, rounded down."""
    # only Linux tells which cores are allowed
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cgroup_quota()
    return allowed if quota is None else max(1, min(allowed, int(quota)))


def _cgroup_quota() -> float | None:
    """Read the CPU quota of version 1 or 2 of Linux control groups; None without one."""
    try:
        if _QUOTA.is_file():
            limit, period = _QUOTA.read_text(encoding="ascii").split()
        else:
            limit, period = _QUOTA_V1.read_text(encoding="ascii"), _PERIOD_V1.read_text(encoding="ascii")
        return float(limit) / float(period) if float(limit) > 0 else None
    except (OSError, ValueError):  # "max" is no number
        return None
