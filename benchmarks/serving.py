"""How long it takes from starting `app.py` to the page, and how much memory the program then holds."""

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
from typing import Any

APP = Path(__file__).parents[1] / "app.py"
IMPORTS = "import torch, gradio"
PATIENCE_S = 180.0
REST_S = 1.0
"""After the page answers, until its memory is read."""


def measure(checkpoints: Path, *, device: str, repeats: int) -> dict[str, Any]:
    """Start the page and, for comparison, only import what it stands on, by turns.

    Before that each is started once without being timed, so that the files are in the system's memory.

    Args:
        checkpoints: what the page shows.
        device: its option.
        repeats: how often, at least 1.
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
        "page_s": [each[0] for each in pages],
        "page_mb": [each[1] for each in pages],
        "peer_s": [each[0] for each in imports],
        "peer_mb": [each[1] for each in imports],
    }


@dataclass(frozen=True, slots=True)
class Page:
    """A page that runs in a program of its own.

    Args:
        pid: of the program.
        port: where it answers, on this computer.
        seconds: from the program's start to the first answer.
    """

    pid: int
    port: int
    seconds: float


def start_page(checkpoints: Path, *, device: str = "auto") -> tuple[float, float | None]:
    """Start the page, wait until it answers and end it.

    Returns:
        Seconds from the start to the answer, and the resident memory after a second of rest in MB, where the system
        tells.

    Raises:
        RuntimeError: it ended, or did not answer in time; with what it printed.
    """
    with page(["--checkpoints", str(checkpoints), "--device", device]) as running:
        time.sleep(REST_S)
        return running.seconds, resident_mb(running.pid)


@contextmanager
def page(options: Sequence[str]) -> Iterator[Page]:
    """`app.py` with these options, from its first answer to the end of the block.

    Raises:
        RuntimeError: it ended, or did not answer in time; with what it printed.
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
    """Seconds to import what the page stands on and end again, and the memory that this holds, in MB."""
    report = f"{IMPORTS}, pathlib; p = pathlib.Path('/proc/self/status'); print(p.read_text() if p.exists() else '')"
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return time.perf_counter() - start, _resident_mb(done.stdout)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def resident_mb(pid: int) -> float | None:
    """The memory that a process holds, in MB (10^6 bytes); None where the system has no /proc."""
    try:
        return _resident_mb(Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    except OSError:
        return None


def cpu_s(pid: int) -> float | None:
    """The processor time that a process has taken, in seconds; None where the system has no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_mb(status: str) -> float | None:
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else None


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
    """A program that is ended with the block; what it printed is added to an error in the block."""
    with tempfile.TemporaryFile() as printed, subprocess.Popen(command, stdout=printed, stderr=printed) as process:
        try:
            yield process
        except RuntimeError as error:
            printed.seek(0)
            raise RuntimeError(f"{error}: {printed.read().decode(errors='replace')[-2000:]}") from error
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
