"""The page as a process of its own: time from the start of `app.py` to the first answer, memory and processor time."""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

APP: Final = Path(__file__).parents[1] / "app.py"
IMPORTS: Final = "import torch, gradio"
PATIENCE_S: Final = 180.0
REST_S: Final = 1.0
"""From the page's first answer until its memory is read."""


def measure(checkpoints: Path, *, device: str, repeats: int) -> dict[str, Any]:
    """Start the page and, for comparison, a process that only imports its largest packages, by turns.

    Both are started once without being timed, so that their files are in the system's memory.

    Args:
        checkpoints: of the page.
        device: of the page.
        repeats: timed starts, at least 1.
    """
    pages, imports = [], []
    for number in range(repeats + 1):
        page, imported = start_page(checkpoints, device=device), start_imports()
        if number:
            pages.append(page)
            imports.append(imported)
    return {
        "command": "python app.py",
        "peer": f'python -c "{IMPORTS}"',
        "page_s": [seconds for seconds, _ in pages],
        "page_mb": [megabytes for _, megabytes in pages],
        "peer_s": [seconds for seconds, _ in imports],
        "peer_mb": [megabytes for _, megabytes in imports],
    }


@dataclass(frozen=True, slots=True)
class Page:
    """A page in a process of its own.

    Args:
        pid: of the process.
        port: that it listens on, on this machine.
        seconds: from the start of the process to the first answer.
    """

    pid: int
    port: int
    seconds: float


def start_page(checkpoints: Path, *, device: str = "auto") -> tuple[float, float | None]:
    """Start the page, wait until it answers and end it.

    Returns:
        Seconds from the start to the answer, and the resident memory after a second of rest in MB; None if the system
        does not tell.

    Raises:
        RuntimeError: the process ended or did not answer in time; with its output.
    """
    with page(["--checkpoints", str(checkpoints), "--device", device]) as running:
        time.sleep(REST_S)
        return running.seconds, resident_mb(running.pid)


@contextmanager
def page(options: Sequence[str]) -> Iterator[Page]:
    """Run `app.py` with these options, from its first answer to the end of the block.

    Raises:
        RuntimeError: the process ended or did not answer in time; with its output.
    """
    port = free_port()
    start = time.perf_counter()
    command = [sys.executable, str(APP), "--host", "127.0.0.1", "--port", str(port), *options]
    with _running(command) as process:
        while not _answers(port):
            if process.poll() is not None:
                raise RuntimeError(f"app.py ended with status {process.returncode}")
            if time.perf_counter() - start > PATIENCE_S:
                raise RuntimeError(f"app.py did not answer within {PATIENCE_S:.0f} s")
            time.sleep(0.01)
        yield Page(process.pid, port, time.perf_counter() - start)


def start_imports() -> tuple[float, float | None]:
    """Return seconds and resident memory in MB of a process that only imports the page's largest packages."""
    report = f"{IMPORTS}, pathlib; p = pathlib.Path('/proc/self/status'); print(p.read_text() if p.exists() else '')"
    start = time.perf_counter()
    process = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return time.perf_counter() - start, _resident_mb(process.stdout)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def resident_mb(pid: int) -> float | None:
    """Return the resident memory of a process in MB (10^6 bytes); None where the system has no /proc."""
    try:
        return _resident_mb(Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    except OSError:
        return None


def cpu_s(pid: int) -> float | None:
    """Return the processor time that a process has taken, in seconds; None where the system has no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_mb(status: str) -> float | None:
    match = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    return int(match[1]) * 1024 / 1e6 if match else None


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)  # knows no proxies
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process until the end of the block; its output is added to an error in the block."""
    with tempfile.TemporaryFile() as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield process
        except RuntimeError as error:
            output.seek(0)
            raise RuntimeError(f"{error}: {output.read().decode(errors='replace')[-2000:]}") from error
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
