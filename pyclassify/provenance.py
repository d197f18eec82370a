"""Where a figure comes from: the commit, the versions and the day."""

from __future__ import annotations

import datetime
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torch", "torchvision", "torchtext")


def commit() -> str:
    """The short hash of the commit this code is of, with "+" where it was changed since; empty outside a repository."""
    root = Path(__file__).parent
    try:
        head = _git(root, "rev-parse", "--short", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", "../train")
    except (OSError, subprocess.SubprocessError):  # an installed package, or no git
        return ""
    return f"{head}+" if changed else head


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def versions(*more: str) -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on, where they are installed."""
    found = {"python": platform.python_version()}
    for package in (*PACKAGES, *more):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def today() -> str:
    """The day in UTC, as in 2026-01-31."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()
