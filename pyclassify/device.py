"""Which device there is, and the number format it is fast in."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

from pyclassify.errors import ConfigError

NAMES = ("auto", "cuda", "mps", "xpu", "cpu")


def pick(name: str = "auto") -> torch.device:
    """The named device, or the fastest one there is.

    Args:
        name: "auto", "cuda", "mps", "xpu" or "cpu"; a device number may follow, as in "cuda:1".

    Raises:
        ConfigError: the name is unknown or this machine has no such device.
    """
    kind = name.partition(":")[0]
    if kind not in NAMES:
        raise ConfigError(f"device {name!r} is unknown; choose one of {', '.join(NAMES)}.")
    if kind == "auto":
        return torch.device(next(each for each in NAMES[1:] if _is_there(each)))
    if not _is_there(kind):
        raise ConfigError(f"this machine has no {kind} device; choose --device auto or --device cpu.")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device {name!r} is not well formed; an example is cuda:0.") from error


def _is_there(kind: str) -> bool:
    if kind == "cuda":
        return torch.cuda.is_available()
    if kind == "mps":
        return torch.backends.mps.is_available()
    if kind == "xpu":
        return torch.xpu.is_available()
    return True


def fast_dtype(device: torch.device) -> torch.dtype:
    """The format in which convolutions and matrix products are fastest without losing accuracy in training.

    bfloat16 where the processor multiplies it natively, float32 elsewhere. float16 is left out: it needs loss scaling.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device.type == "xpu":
        return torch.bfloat16
    if device.type == "cpu" and _cpu_multiplies_bfloat16():
        return torch.bfloat16
    return torch.float32


def _cpu_multiplies_bfloat16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux: float32 is always right
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def describe(device: torch.device) -> str:
    """The device in words for a report, such as "CPU with 2 cores (AMD EPYC)"."""
    if device.type == "cuda":
        return f"GPU {torch.cuda.get_device_name(device)}"
    if device.type != "cpu":
        return f"{device.type.upper()} on {platform.machine()}"
    return f"CPU with {os.cpu_count()} cores ({_cpu_name()})"


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
