"""Makes an old library's downloads quiet, verified, limited in time, and whole or not at all."""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import re
import ssl
import tarfile
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pyclassify.errors import DataError

TIMEOUT_S = 30.0
_BLOCK = 1 << 16
FAILURES = (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error)
"""What a download and the unpacking of it raise."""


@contextlib.contextmanager
def tamed(*modules: Any) -> Iterator[None]:
    """Change for a while what these modules of torchtext do around a download.

    Their progress bars appear on a terminal alone, they print and log nothing, and they wait no longer than TIMEOUT_S.
    An answer that is an error page is an error. An archive cannot write outside its folder. And the certificate is
    checked: `torchtext.vocab.Vectors` switches that off, for the whole program and for good.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(_replaced(ssl, "_create_default_https_context", ssl.create_default_context))
        stack.enter_context(_replaced(ssl, "_create_unverified_context", ssl.create_default_context))
        if hasattr(tarfile, "data_filter"):  # since Python 3.11.4
            stack.enter_context(_replaced(tarfile.TarFile, "extraction_filter", staticmethod(tarfile.data_filter)))
        for module in modules:
            for name, change in _CHANGES.items():
                if hasattr(module, name):
                    stack.enter_context(_replaced(module, name, change(getattr(module, name))))
        yield


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: object) -> Iterator[None]:
    missing = object()
    before = vars(owner).get(name, missing)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if before is missing:
            delattr(owner, name)
        else:
            setattr(owner, name, before)


def _quiet_bar(tqdm: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments, **options: tqdm(*arguments, **{**options, "disable": None})


def _silent(_: object) -> logging.Logger:
    """For a logger, and for the module `logging`: its `info` would set up the whole program's logging."""
    silent = logging.Logger("silent", logging.CRITICAL)
    silent.addHandler(logging.NullHandler())
    return silent


def _strict_requests(requests: Any) -> SimpleNamespace:
    def get(url: str, **options: Any) -> Any:
        response = requests.get(url, **{"timeout": TIMEOUT_S, **options})
        response.raise_for_status()
        return response

    return SimpleNamespace(get=get, Session=requests.Session)


def _patient_urlretrieve(_: object) -> Callable[..., None]:
    return _urlretrieve


def _urlretrieve(url: str, name: str, reporthook: Callable[[int, int, int | None], None]) -> None:
    """Like `urllib.request.urlretrieve`, which waits for ever and leaves half a file behind."""
    try:
        # The file first: torchtext removes it when Ctrl-C is pressed, and stumbles where there is none.
        with open(name, "wb") as file, urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            size = int(answer.headers.get("Content-Length", 0)) or None
            for blocks in itertools.count(1):
                block = answer.read(_BLOCK)
                if not block:
                    break
                file.write(block)
                reporthook(blocks, _BLOCK, size)
            if size and file.tell() != size:
                raise OSError(f"the connection broke after {file.tell():,} of {size:,} bytes")
    except Exception:
        Path(name).unlink(missing_ok=True)
        raise


def cause(error: BaseException) -> str:
    """What went wrong, in words for a person."""
    text = " ".join(str(error).split())
    if re.search("resolve|resolution|unreachable|refused|not known|getaddrinfo", text, re.IGNORECASE):
        return "there is no way to its host (is there a network?)"
    return text[:200] or type(error).__name__


def not_fetched(name: str, url: str, there: str, error: BaseException) -> DataError:
    """The error for what cannot be downloaded, with the way to do it by hand; `there` is such as "data/a.txt is"."""
    return DataError(
        f"cannot download {name}: {cause(error)}. By hand: fetch {url} and unpack it so that {there} there"
    )


def drop_half_extracted(archive: Path, file: Path) -> None:
    """Remove what an interrupted attempt left: half of an archive, or half of the file that was taken from it."""
    if archive.is_file() and not zipfile.is_zipfile(archive):
        archive.unlink()
    if archive.is_file() and file.is_file():
        with zipfile.ZipFile(archive) as contents:
            sizes = {entry.filename: entry.file_size for entry in contents.infolist()}
        if sizes.get(file.name, file.stat().st_size) != file.stat().st_size:
            file.unlink()


_CHANGES: dict[str, Callable[[Any], Any]] = {
    "tqdm": _quiet_bar,
    "logger": _silent,
    "logging": _silent,
    "requests": _strict_requests,
    "urlretrieve": _patient_urlretrieve,
}
