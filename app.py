"""The page: `python app.py` shows what is in `checkpoints/`. Hosts such as Hugging Face Spaces start here as well."""

from __future__ import annotations

try:
    import spaces  # on hosts that lend a GPU per call; it must come before anything that imports torch
except ImportError:
    spaces = None

import argparse
import contextlib
import errno
import importlib.util
import io
import logging
import os
import socket
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import gradio as gr

    from pyclassify import Classifier

WARMING_UP = "warming up"
"""Of the thread that imports what explanations need while the page is up already."""

DEFAULT_CHECKPOINTS = Path(__file__).with_name("checkpoints")
MAX_BATCH = 32

MEASURED, MEASURING_S = 9, 0.3
"""Answers whose time is taken of each checkpoint at the start, and the time for those of all."""

log = logging.getLogger("pyclassify")


def main(argv: Sequence[str] | None = None) -> None:
    """Serve the page until Ctrl-C."""
    options = parse_options(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    start(options).block_thread()


def start(options: argparse.Namespace) -> gr.Blocks:
    """Load the checkpoints and serve the page in threads.

    Leaves with exit status 2 and one sentence where an option cannot work.
    """
    _check_address(options.host, options.port)
    _check_tools(_wants_tools(options))
    from pyclassify import device, threads  # here, not above: torch and gradio take seconds, and --help should not
    from pyclassify.errors import ConfigError
    from pyclassify.ui.asking import BATCHES_AT_ONCE
    from pyclassify.ui.page import build_page

    try:
        device.pick(options.device)
    except ConfigError as error:
        _leave(str(error))
    threads.share(BATCHES_AT_ONCE if options.max_batch > 1 else 1)
    classifiers, broken = load_all(options.checkpoints, options.device)
    # elsewhere the GPU is lent only while a visitor waits
    answer_ms = {} if spaces else warm_up(classifiers, options.max_batch)
    accelerate = spaces.GPU if spaces else lambda ask: ask
    page = build_page(classifiers, broken, accelerate=accelerate, max_batch=options.max_batch, answer_ms=answer_ms)
    _launch(page, options)
    if not spaces:
        threading.Thread(target=warm_up_explanations, args=(classifiers,), name=WARMING_UP, daemon=True).start()
    return page


def parse_options(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; what is left out is decided by Gradio's environment variables."""
    parser = _Parser(prog="python app.py", description="Classify pictures and texts in the browser.")
    parser.add_argument(
        "--checkpoints",
        type=Path,
        default=DEFAULT_CHECKPOINTS,
        metavar="DIR",
        help="folder with a folder per checkpoint (default: checkpoints, beside app.py)",
    )
    parser.add_argument(
        "--host", help="address to listen on; 0.0.0.0 opens the page to your network (default: 127.0.0.1)"
    )
    parser.add_argument("--port", type=_port, help="default: the first free one from 7860 on")
    parser.add_argument("--share", action="store_true", help="also ask gradio.live for a public link, valid for a week")
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, mps or xpu (default: auto, the fastest there is)"
    )
    parser.add_argument(
        "--mcp",
        action="store_true",
        help="also serve the endpoints as tools for assistants (needs the package mcp)",
    )
    parser.add_argument(
        "--max-batch",
        type=_count,
        default=MAX_BATCH,
        metavar="N",
        help=f"visitors who wait are answered N at a time, 1 for one after the other (default: {MAX_BATCH})",
    )
    options = parser.parse_args(argv)
    if not options.checkpoints.is_dir() and options.checkpoints != DEFAULT_CHECKPOINTS:
        parser.error(f"--checkpoints: there is no folder {options.checkpoints}.")
    return options


def load_all(folder: Path, device: str) -> tuple[dict[str, Classifier], dict[str, str]]:
    """Load every checkpoint in a folder, or the one that the folder is.

    Returns:
        The classifiers by name, in alphabetical order; and why the others could not be loaded.
    """
    import pyclassify
    from pyclassify.errors import CheckpointError

    classifiers: dict[str, Classifier] = {}
    broken: dict[str, str] = {}
    for path in find_checkpoints(folder):
        try:
            classifiers[path.name] = pyclassify.load(path, device=device)
        except CheckpointError as error:
            # the page is for everyone, and where the folder lies on this computer is not
            broken[path.name] = str(error).replace(f"{path.parent}{os.sep}", "")
        except Exception as error:  # one odd folder must not take the page down
            log.exception("cannot load %s", path)
            broken[path.name] = f"it could not be loaded ({type(error).__name__}); the log says more."
        if path.name in broken:
            print(f"Left out {path.name}: {broken[path.name]}", file=sys.stderr)
    return classifiers, broken


def find_checkpoints(folder: Path) -> list[Path]:
    """The folders with a config.json, without those that are still being trained or written."""
    if (folder / "config.json").is_file():
        return [folder.resolve()]
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _is_finished(path) and (path / "config.json").is_file())


def warm_up(classifiers: Mapping[str, Classifier], max_batch: int) -> dict[str, float]:
    """Ask each classifier once alone and once in a full batch, so that no visitor waits for what happens only once.

    Returns:
        By name the milliseconds of one answer, of those that answered.
    """
    from PIL import Image

    answer_ms = {}
    for name, classifier in classifiers.items():
        single = Image.new("RGB", (64, 64)) if classifier.kind == "image" else "warm up"
        try:
            for size in sorted({1, max_batch}):
                classifier.predict([single] * size)
            answer_ms[name] = _time_ms(classifier, single, MEASURING_S / len(classifiers))
        except Exception:
            log.exception("%s did not answer its first question", name)
    return answer_ms


def _time_ms(classifier: Classifier, single: object, most_s: float) -> float:
    """The median time of answers to a single input, of as many as the time is enough for, at least one."""
    begun = time.perf_counter()
    times: list[float] = []
    while not times or (len(times) < MEASURED and time.perf_counter() - begun < most_s):
        start = time.perf_counter()
        classifier.predict([single])
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def warm_up_explanations(classifiers: Mapping[str, Classifier]) -> None:
    """Import, while the page is up already, what the first question why would wait for."""
    for name, classifier in classifiers.items():
        try:
            classifier.warm_up_explanations()
        except Exception:
            log.exception("%s could not say why", name)


def _is_finished(path: Path) -> bool:
    return not (path.name.startswith(".") or path.name.endswith(".training") or ".writing-" in path.name)


def _launch(page: gr.Blocks, options: argparse.Namespace) -> None:
    from pyclassify.ui.page import launch_options
    from pyclassify.ui.programs import tend_tools

    sharing = options.share or os.environ.get("GRADIO_SHARE", "").lower() == "true"
    if sharing:
        print("Asking for a public link, which may take half a minute ...", flush=True)
    try:
        with _local_calls_past_the_proxy(), contextlib.redirect_stdout(io.StringIO()) as said:
            _, local, public = page.launch(
                server_name=options.host,
                server_port=options.port,
                share=options.share or None,
                mcp_server=_wants_tools(options),
                prevent_thread_lock=True,
                quiet=True,
                **launch_options(),
            )
    except OSError as error:
        _leave(f"the page cannot be served: {error}")
    print(f"The page is at {local}", flush=True)
    if _wants_tools(options):
        if page.mcp_server_obj is None:
            _leave(f"the page cannot be served to assistants: {page.mcp_error}")
        tend_tools(page)
        os.environ.update(_past_the_proxy())  # each call of a tool is one of the server to itself
        print(f"and for assistants, as an MCP server, at {local}gradio_api/mcp/", flush=True)
    if public:
        print(f"and for a week, as long as this program runs, at {public}", flush=True)
    elif sharing:
        log.debug(said.getvalue())
        print(
            "There is no public link: the tunnel could not be reached. Look at the network and the firewall;"
            " the page works on this computer meanwhile.",
            flush=True,
        )


@contextlib.contextmanager
def _local_calls_past_the_proxy() -> Iterator[None]:
    """Let Gradio reach its own server where a proxy is set for everything."""
    before = {name: os.environ.get(name) for name in _past_the_proxy()}
    os.environ.update(_past_the_proxy())
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _past_the_proxy() -> dict[str, str]:
    names = ("no_proxy", "NO_PROXY")
    return {name: ",".join(filter(None, (os.environ.get(name), "localhost", "127.0.0.1"))) for name in names}


def _wants_tools(options: argparse.Namespace) -> bool:
    return options.mcp or os.environ.get("GRADIO_MCP_SERVER", "").lower() == "true"


def _check_tools(wanted: bool) -> None:
    if wanted and importlib.util.find_spec("mcp") is None:
        _leave('--mcp needs the package mcp, which is not installed; pip install "gradio[mcp]" does so.')


def _check_address(host: str | None, port: int | None) -> None:
    """Find out at once, and in words, whether the address can be listened on."""
    host = host or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    if not os.environ.get("GRADIO_SERVER_PORT", "0").isdecimal():
        _leave(f"GRADIO_SERVER_PORT is {os.environ['GRADIO_SERVER_PORT']!r}, which is no port.")
    try:
        family, kind, _, _, address = socket.getaddrinfo(host.strip("[]"), port or 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            _leave(f"port {port} is already in use; choose another with --port, or leave it out to get a free one.")
        if error.errno == errno.EACCES:
            _leave(f"port {port} is not allowed for this user; choose one from 1024 on.")
        _leave(f"{host} is not an address that this computer can listen on ({error.strerror or error}).")


def _port(value: str) -> int:
    if not (value.isdecimal() and 0 < int(value) < 65536):
        raise argparse.ArgumentTypeError(f"{value!r} is no port; give a number from 1 to 65535.")
    return int(value)


def _count(value: str) -> int:
    if not (value.isdecimal() and int(value) > 0):
        raise argparse.ArgumentTypeError(f"{value!r} is no count; give a number from 1 on.")
    return int(value)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without the usage in front of it."""

    def error(self, message: str) -> NoReturn:
        _leave(message)


def _leave(message: str) -> NoReturn:
    print(f"app.py: {message}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
