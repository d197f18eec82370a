"""How many cores this process may use, and a fair part of them for each of those that compute at once."""

from __future__ import annotations

import os
from pathlib import Path

import torch

CHOSEN = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Who sets one of these has decided."""

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_OLD_QUOTA, _OLD_PERIOD = (Path("/sys/fs/cgroup/cpu", f"cpu.cfs_{name}_us") for name in ("quota", "period"))


def share(callers: int) -> int:
    """Let each of so many callers compute on its part of the cores.

    More threads than cores are far slower than fewer: torch's wait for each other, and one that waits for a core holds
    up the rest.

    Args:
        callers: how many threads of this process run networks at once.

    Returns:
        Threads per caller.
    """
    if not any(os.environ.get(name) for name in CHOSEN):
        torch.set_num_threads(max(1, cores() // callers))
    return torch.get_num_threads()


def cores() -> int:
    """The cores that this process may run on, at least 1; a container's quota counts, rounded down."""
    # only Linux tells what is allowed
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    return allowed if quota is None else max(1, min(allowed, int(quota)))


def _quota() -> float | None:
    """Of both versions of Linux' control groups; None where there is none or no such system."""
    try:
        limit, period = _QUOTA.read_text(encoding="ascii").split() if _QUOTA.is_file() else _old_quota()
        return float(limit) / float(period) if float(limit) > 0 else None
    except (OSError, ValueError):  # "max" is no number
        return None


def _old_quota() -> tuple[str, str]:
    return _OLD_QUOTA.read_text(encoding="ascii"), _OLD_PERIOD.read_text(encoding="ascii")
