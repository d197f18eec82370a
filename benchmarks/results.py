"""Results as JSON with the circumstances of the measurement, and as Markdown tables."""

from __future__ import annotations

import json
import os
import shlex
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch

from pyclassify import manifest
from pyclassify.device import describe

SPEED_VARIABLES: Final = ("MALLOC_", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
FOLDER: Final = Path(__file__).with_name("results")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One run of a benchmark, from its beginning.

    Args:
        benchmark: names the file.
        module: that was started.
        arguments: of the command line.
        device: of the networks.
        folder: for the file.
        commit: at the beginning.
        began_s: time of the beginning, by `time.perf_counter`.
    """

    benchmark: str
    module: str
    arguments: Sequence[str]
    device: torch.device
    folder: Path = FOLDER
    commit: str = field(default_factory=manifest.commit)
    began_s: float = field(default_factory=time.perf_counter)

    def save(self, results: Any) -> Path:
        """Write the results so far; a later call replaces them, so that a long run that breaks off leaves a part.

        Args:
            results: plain data.

        Returns:
            The path of the file.
        """
        content = {
            "benchmark": self.benchmark,
            "date": manifest.today(),
            "commit": self.commit,
            "hardware": hardware(self.device),
            "versions": manifest.versions("gradio"),
            "command": _environment() + shlex.join(["python", "-m", self.module, *self.arguments]),
            "seconds": round(time.perf_counter() - self.began_s, 1),
            "results": results,
        }
        path = self.folder / f"{self.benchmark}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        return path


def _environment() -> str:
    """Write the environment variables that change the speed as they stand before a command; mostly empty."""
    return "".join(f"{name}={os.environ[name]} " for name in sorted(os.environ) if name.startswith(SPEED_VARIABLES))


def hardware(device: torch.device) -> str:
    """Describe a device, for a CPU with the number of threads."""
    return describe(device) + (f", {torch.get_num_threads()} thread(s)" if device.type == "cpu" else "")


def read(benchmark: str, folder: Path = FOLDER) -> dict[str, Any] | None:
    """Read what `Record.save` wrote; None if the benchmark was not run."""
    path = folder / f"{benchmark}.json"
    if not path.is_file():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table; the first two columns are words, the others figures."""
    rule = ["---", "---", *["---:"] * (len(head) - 2)]
    lines = [head, rule, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def origin(content: Mapping[str, Any]) -> str:
    """Describe the measurement that a table comes from, in a line of Markdown."""
    versions = content["versions"]
    at = f" at commit `{content['commit']}`" if content["commit"] else ""
    return (
        f"`{content['command']}`, {content['date']}{at}, on {content['hardware']}, Python {versions['python']},"
        f" torch {versions['torch']}."
    )


def summary(scores: Sequence[float]) -> str:
    """Write mean, standard deviation and least score, such as "0.812 ± 0.012 (0.790)"; one score stands alone."""
    if len(scores) == 1:
        return f"{scores[0]:.3f}"
    return f"{statistics.mean(scores):.3f} ± {statistics.stdev(scores):.3f} ({min(scores):.3f})"


def duration(seconds: float) -> str:
    """Write a duration such as "8.4 s", "45 s", "12 min 30 s" or "2 h 5 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"
