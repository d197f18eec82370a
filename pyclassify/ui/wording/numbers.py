"""Numbers as the page writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_PROCESSORS: Final[Mapping[str, str]] = {"cpu": "CPU", "cuda": "GPU", "mps": "Apple GPU", "xpu": "Intel GPU"}


def percent(share: float) -> str:
    """A share from 0 to 1 with one decimal."""
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


def percent_close(share: float) -> str:
    """The same as Korean writes it, without a space."""
    return f"{100 * share:.1f}%"


def milliseconds(time_ms: float) -> str:
    """A short time; below 10 ms with one decimal."""
    return f"{time_ms:.0f} ms" if time_ms >= 10 else f"{time_ms:.1f} ms"


def processor(device: str) -> str:
    """What computes, of the name that torch has for it."""
    return _PROCESSORS.get(device.partition(":")[0], device)
