"""Serve the page: load the checkpoints, warm them up, build the page and launch it.

Nothing heavy is imported before the options are parsed, so that `--help` answers at once.
"""

from __future__ import annotations

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final, NoReturn

from pyclassify import locales
from pyclassify.errors import CheckpointError, ConfigError, PyClassifyError
from pyclassify.locales import Message

if TYPE_CHECKING:
    import gradio as gr

    from pyclassify.classifier import Classifier

WARMING_UP: Final = "warming up"
"""Name of the thread that imports what explanations need while the page is up already."""

MAX_BATCH: Final = 32

NUM_MEASURED: Final = 9
MEASURING_S: Final = 0.3
"""Answers whose time is taken of each checkpoint at the start, and the time for those of all."""

_SOURCES: Final = Path(__file__).parents[2]
DEFAULT_CHECKPOINTS: Final = (_SOURCES if (_SOURCES / "app.py").is_file() else Path()) / "checkpoints"
"""Default folder: next to app.py; for an installed package, in the current folder."""

log = logging.getLogger("pyclassify")


def main(
    argv: Sequence[str] | None = None, *, prog: str = "app.py", accelerate: Callable[[Any], Any] | None = None
) -> None:
    """Serve the page until Ctrl-C; leave with exit status 2 and one sentence if an option cannot work.

    Args:
        argv: the options; those of the command line by default.
        prog: name of the program in its help and its errors.
        accelerate: as in `start`.
    """
    options = parse_options(argv, prog=prog)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        page = start(options, accelerate=accelerate)
    except PyClassifyError as error:
        _leave(prog, str(error))
    page.block_thread()


def start(options: argparse.Namespace, *, accelerate: Callable[[Any], Any] | None = None) -> gr.Blocks:
    """Load the checkpoints and serve the page in threads.

    Args:
        options: from `parse_options`.
        accelerate: wraps the functions that run models, on hosts that lend a GPU per call.

    Raises:
        ConfigError: an option cannot work.
    """
    _check_address(options.host, options.port)
    if _wants_tools(options) and importlib.util.find_spec("mcp") is None:
        raise ConfigError("mcp_missing")
    from pyclassify import device  # here, not above: torch and gradio take seconds
    from pyclassify.ui.page import build_page
    from pyclassify.ui.serving import BATCHES_AT_ONCE

    device.pick(options.device)
    device.share_cores(BATCHES_AT_ONCE if options.max_batch > 1 else 1)
    classifiers, broken = load_all(options.checkpoints, options.device)
    # a lent GPU is there only while a visitor waits
    answer_ms = {} if accelerate else warm_up(classifiers, options.max_batch)
    page = build_page(
        classifiers,
        broken,
        accelerate=accelerate or (lambda function: function),
        max_batch=options.max_batch,
        answer_ms=answer_ms,
    )
    _launch(page, options)
    if not accelerate:
        threading.Thread(target=_warm_up_explanations, args=(classifiers,), name=WARMING_UP, daemon=True).start()
    return page


def parse_options(argv: Sequence[str] | None = None, *, prog: str = "app.py") -> argparse.Namespace:
    """Parse the command line; what is left out is decided by Gradio's environment variables."""
    parser = _Parser(prog=prog, description="Classify pictures and texts in the browser.")
    parser.add_argument(
        "--checkpoints",
        type=Path,
        default=DEFAULT_CHECKPOINTS,
        metavar="DIR",
        help="folder of checkpoints, or a single checkpoint (default: checkpoints/ next to app.py)",
    )
    parser.add_argument(
        "--host", help="address to listen on; 0.0.0.0 opens the page to your network (default: 127.0.0.1)"
    )
    parser.add_argument("--port", type=_port, help="port to listen on (default: the first free one, starting at 7860)")
    parser.add_argument(
        "--share", action="store_true", help="also ask gradio.live for a public link, valid for up to a week"
    )
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, mps or xpu (default: auto, the fastest available)"
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
        help=f"answer up to N waiting visitors together; 1 answers them one by one (default: {MAX_BATCH})",
    )
    options = parser.parse_args(argv)
    if not options.checkpoints.is_dir() and options.checkpoints != DEFAULT_CHECKPOINTS:
        parser.error(str(ConfigError("no_such_folder", option="--checkpoints", path=options.checkpoints)))
    return options


# Checkpoints


def load_all(folder: Path, device: str) -> tuple[dict[str, Classifier], dict[str, Message]]:
    """Load every checkpoint in a folder, or the one that the folder is.

    Returns:
        The classifiers by name, those that know most labels first; of equals those for the Latin script, which the page
        speaks by default, and then in alphabetical order. And why the others could not be loaded.
    """
    import pyclassify

    classifiers: dict[str, Classifier] = {}
    broken: dict[str, Message] = {}
    for path in find_checkpoints(folder):
        try:
            classifiers[path.name] = pyclassify.load(path, device=device)
        except CheckpointError as error:
            broken[path.name] = _without_folder(error.message, path.parent)
        except Exception as error:  # one odd folder must not take the page down
            log.exception("cannot load %s", path)
            broken[path.name] = Message("errors.checkpoint_failed", {"error": type(error).__name__})
        if path.name in broken:
            print(locales.text("serve.left_out", name=path.name, problem=broken[path.name]), file=sys.stderr)
    ordered = sorted(classifiers.items(), key=lambda pair: (-len(pair[1].labels), not pair[1].is_latin))
    return dict(ordered), broken


def find_checkpoints(folder: Path) -> list[Path]:
    """Return the folders with a config.json, without those that are still being trained or written."""
    if (folder / "config.json").is_file():
        return [folder.resolve()]
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _is_finished(path) and (path / "config.json").is_file())


def _is_finished(path: Path) -> bool:
    return not (path.name.startswith(".") or path.name.endswith(".training") or ".writing-" in path.name)


def _without_folder(value: Any, folder: Path) -> Any:
    """Take the folder out of the paths in a message: the page is for everyone, and where it lies is not."""
    match value:
        case Message(key=key, fields=fields):
            return Message(key, {name: _without_folder(field, folder) for name, field in fields.items()})
        case str() | PurePath():
            return str(value).replace(f"{folder}{os.sep}", "")
        case list() | tuple():
            return [_without_folder(item, folder) for item in value]
        case _:
            return value


def warm_up(classifiers: Mapping[str, Classifier], max_batch: int) -> dict[str, float]:
    """Run each classifier on a single input and on a full batch, so that no visitor waits for what happens only once.

    Returns:
        By name the milliseconds of one answer, of those that answered.
    """
    answer_ms = {}
    for name, classifier in classifiers.items():
        try:
            sample = classifier.modality.sample()
            for size in sorted({1, max_batch}):
                classifier.predict([sample] * size)
            answer_ms[name] = _median_ms(classifier, sample, MEASURING_S / len(classifiers))
        except Exception:
            log.exception("%s did not answer its first question", name)
    return answer_ms


def _median_ms(classifier: Classifier, sample: Any, limit_s: float) -> float:
    """Return the median time of single answers, of as many as the limit is enough for, at least one."""
    begun = time.perf_counter()
    times: list[float] = []
    while not times or (len(times) < NUM_MEASURED and time.perf_counter() - begun < limit_s):
        start = time.perf_counter()
        classifier.predict([sample])
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def _warm_up_explanations(classifiers: Mapping[str, Classifier]) -> None:
    """Import, while the page is up already, what the first explanation would wait for."""
    for name, classifier in classifiers.items():
        try:
            classifier.warm_up_explanations()
        except Exception:
            log.exception("%s could not explain its answer", name)


# Serving


def _launch(page: gr.Blocks, options: argparse.Namespace) -> None:
    from pyclassify.ui.api import serve_tools
    from pyclassify.ui.gradio_patches import correct_code_examples
    from pyclassify.ui.page import launch_options

    sharing = options.share or os.environ.get("GRADIO_SHARE", "").lower() == "true"
    if sharing:
        _print("serve.asking_for_link")
    try:
        with _local_calls_past_the_proxy(), contextlib.redirect_stdout(io.StringIO()) as output:
            _, local, public = page.launch(
                server_name=options.host,
                server_port=options.port,
                share=options.share or None,
                mcp_server=_wants_tools(options),
                prevent_thread_lock=True,
                quiet=True,
                **launch_options(page),
            )
    except OSError as error:
        raise ConfigError("page_not_served", reason=str(error)) from error
    correct_code_examples(page)
    _print("serve.address", address=local)
    if _wants_tools(options):
        if page.mcp_server_obj is None:
            raise ConfigError("tools_not_served", reason=str(page.mcp_error))
        serve_tools(page)
        os.environ.update(_past_the_proxy())  # each call of a tool is one of the server to itself
        _print("serve.tools", address=f"{local}gradio_api/mcp/")
    if public:
        _print("serve.public", address=public)
    elif sharing:
        log.debug(output.getvalue())
        _print("serve.no_public")


def _print(key: str, **fields: str) -> None:
    print(locales.text(key, **fields), flush=True)


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


def _check_address(host: str | None, port: int | None) -> None:
    """Find out at once whether the address can be listened on. Raises ConfigError."""
    host = host or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    variable = os.environ.get("GRADIO_SERVER_PORT", "0")
    if not variable.isdecimal():
        raise ConfigError("port_variable_invalid", value=repr(variable))
    try:
        family, kind, _, _, address = socket.getaddrinfo(host.strip("[]"), port or 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigError("port_in_use", port=str(port)) from error
        if error.errno == errno.EACCES:
            raise ConfigError("port_not_allowed", port=str(port)) from error
        raise ConfigError("host_unavailable", host=host, reason=error.strerror or str(error)) from error


# Options


def _port(value: str) -> int:
    if not (value.isdecimal() and 0 < int(value) < 65536):
        raise argparse.ArgumentTypeError(str(ConfigError("not_a_port", value=repr(value))))
    return int(value)


def _count(value: str) -> int:
    if not (value.isdecimal() and int(value) > 0):
        raise argparse.ArgumentTypeError(str(ConfigError("not_a_count", value=repr(value))))
    return int(value)


class _Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one sentence, without the usage in front of it."""

    def error(self, message: str) -> NoReturn:
        _leave(self.prog, message)


def _leave(prog: str, message: str) -> NoReturn:
    print(f"{prog}: {message}", file=sys.stderr)
    sys.exit(2)
