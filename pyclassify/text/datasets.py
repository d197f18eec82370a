"""The tutorial's tools: torchtext's fields, buckets, data set and word vectors. The only module that imports torchtext.

`Field`, `BucketIterator` and `IMDB` are torchtext's own classes, and `glove` makes its `GloVe`. Training uses them
through the functions below; the tutorial's program can be written with them directly:

    from pyclassify.text.datasets import IMDB, BucketIterator, Field, download, glove

    download("imdb", "data")
    text, label = Field(lower=True, include_lengths=True, batch_first=True), Field(sequential=False, unk_token=None)
    train, test = IMDB.splits(text, label, root="data")
    text.build_vocab(train, vectors=glove("glove.6B.300d", cache="data/vectors"))
    label.build_vocab(train)
    batches, _ = BucketIterator.splits((train, test), batch_size=64)

torchtext 0.6 downloads without a time limit, takes half a file for a whole one, and turns off certificate checks for
the whole process. So every download goes through `_fetch` here, and what torchtext does beside that is kept from the
rest of the process.
"""

from __future__ import annotations

import builtins
import errno
import http.client
import logging
import random
import shutil
import socket
import ssl
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any, Final

import torch
from torch import Tensor
from torchtext import vocab
from torchtext.data import BucketIterator, Field
from torchtext.data.iterator import batch, pool
from torchtext.data.utils import RandomShuffler
from torchtext.datasets import IMDB
from torchtext.vocab import GloVe, Vectors
from tqdm import tqdm

from pyclassify.errors import ConfigError, DataError
from pyclassify.training.config import TEXT_DATASETS

__all__ = [
    "IMDB",
    "VECTORS",
    "BucketIterator",
    "Field",
    "GloVe",
    "build_vocabulary",
    "check_vectors",
    "download",
    "glove",
    "load_vectors",
    "shuffled_buckets",
    "sorted_batches",
]

VECTORS: Final = tuple(sorted(name for name in vocab.pretrained_aliases if name.startswith("glove.")))
"""Names of pretrained vectors that can be downloaded, such as "glove.6B.300d"."""

TIMEOUT_S: Final = 30.0
_BLOCK_BYTES = 1 << 16
_FAILURES = (OSError, http.client.HTTPException, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error)
"""Raised by downloading and unpacking."""

_UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ECONNREFUSED})


# Vocabulary and buckets


def build_vocabulary(
    texts: Iterable[str],
    *,
    tokenize: Callable[[str], list[str]],
    max_size: int,
    min_frequency: int,
    padding: str,
    unknown: str,
) -> tuple[str, ...]:
    """Choose the most frequent tokens with the tutorial's `Field`; ties are broken by the order of characters.

    Args:
        texts: training texts.
        tokenize: splits a text.
        max_size: tokens at most, padding and unknown included.
        min_frequency: rarer tokens are left out.
        padding: the first token.
        unknown: the second token.
    """
    field = Field(tokenize=tokenize, pad_token=padding, unk_token=unknown)
    # torchtext adds both to the size, and puts unknown first where we have padding
    field.build_vocab(map(field.preprocess, texts), max_size=max(0, max_size - 2), min_freq=min_frequency)
    return (padding, unknown, *field.vocab.itos[2:])


def sorted_batches(size: int, *, batch_size: int, length: Callable[[int], int]) -> Iterator[list[int]]:
    """Iterate over batches of the positions 0 to size - 1, sorted by length."""
    yield from batch(sorted(range(size), key=length), batch_size)


def shuffled_buckets(size: int, *, batch_size: int, length: Callable[[int], int], seed: int) -> Iterator[list[int]]:
    """Iterate over batches of positions as torchtext's `BucketIterator` does: shuffled, but of similar length.

    It does so on bare positions, since torchtext's object per example would be most of the memory of a large data set.

    Yields:
        Positions, the longest text of the batch first.
    """
    shuffler = _SeededShuffler(seed)
    order = shuffler(range(size))
    options = {"random_shuffler": shuffler, "shuffle": True, "sort_within_batch": True}
    for positions in pool(order, batch_size, length, **options):
        yield sorted(positions, key=length, reverse=True)


class _SeededShuffler(RandomShuffler):  # type: ignore[misc]
    """Shuffles from its own seed; the original borrows and returns the state of the whole process's generator."""

    def __init__(self, seed: int) -> None:
        self._generator = random.Random(seed)
        super().__init__(self._generator.getstate())

    def __call__(self, items: Sequence[Any]) -> list[Any]:
        return self._generator.sample(items, len(items))


# Downloads


def download(name: str, root: str | Path) -> Path:
    """Download a data set, unless it is there.

    Args:
        name: one of TEXT_DATASETS.
        root: the data set's folder is made in it; the same root works for `IMDB.splits`.

    Returns:
        The folder with `train` and `test`.

    Raises:
        ConfigError: there is no such data set.
        DataError: it cannot be downloaded; the message says how to do it by hand.
    """
    if name not in TEXT_DATASETS:
        raise ConfigError("option_unknown", option="dataset", known=TEXT_DATASETS, value=repr(name))
    folder: Path = Path(root) / IMDB.name / IMDB.dirname
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        return folder
    url = IMDB.urls[0]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # unpacked beside and renamed, so that the folder is whole or not there
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            archive = Path(temporary) / Path(url).name
            _fetch(url, archive)
            _unpack_tar(archive, Path(temporary).resolve())
            (Path(temporary) / folder.name).rename(folder)
    except _FAILURES as error:
        raise _download_error(name, url, folder, error) from error
    return folder


def _fetch(url: str, path: Path) -> None:
    """Download a file, whole or not at all.

    Certificates are checked with a context of its own, whatever was set for the process. A progress bar is shown on a
    terminal only.

    Raises:
        OSError: the host cannot be reached, answers with an error or nothing for TIMEOUT_S, or the connection breaks.
    """
    part = path.with_name(f"{path.name}.part")
    context = ssl.create_default_context()
    request = urllib.request.Request(url, headers={"User-Agent": "Mozilla/5.0"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context) as answer, part.open("wb") as file:
            size = int(answer.headers.get("Content-Length", 0)) or None
            with tqdm(total=size, unit="B", unit_scale=True, desc=path.name, disable=None) as bar:
                while block := answer.read(_BLOCK_BYTES):
                    file.write(block)
                    bar.update(len(block))
            if size is not None and file.tell() != size:
                raise OSError(f"the connection broke after {file.tell():,} of {size:,} bytes")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _unpack_tar(archive: Path, folder: Path) -> None:
    """Unpack the files of an archive; links and devices are left out.

    Raises:
        tarfile.TarError: the archive is damaged, or a file would lie outside the folder.
    """
    with tarfile.open(archive) as contents:
        for member in contents:
            target = (folder / member.name).resolve()
            if not target.is_relative_to(folder):
                raise tarfile.TarError(f"{member.name} lies outside the folder")
            if not member.isfile():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            source = contents.extractfile(member)
            assert source is not None  # it is a file
            with source, target.open("wb") as file:
                shutil.copyfileobj(source, file)


def _download_error(name: str, url: str, place: Path, error: BaseException) -> DataError:
    """Make the error for a failed download, with the way to do it by hand."""
    if type(error) is urllib.error.URLError and isinstance(error.reason, OSError):
        error = error.reason
    if isinstance(error, socket.gaierror) or getattr(error, "errno", None) in _UNREACHABLE:
        return DataError("texts_unreachable", name=name, url=url, place=place)
    return DataError("texts_not_downloaded", name=name, url=url, place=place, reason=_one_line(error))


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


# Word vectors


def _with_names(function: Any, **names: Any) -> Any:
    """Copy a function with some of its module's names replaced; the module itself stays as it is."""
    return FunctionType(function.__code__, {**function.__globals__, **names}, function.__name__, function.__defaults__)


def _import(name: str, *arguments: Any, **keywords: Any) -> Any:
    """Import a module; in place of `ssl` a stand-in, since torchtext turns off certificate checks in it."""
    if name == "ssl":
        return SimpleNamespace(_create_unverified_context=None)
    return builtins.__import__(name, *arguments, **keywords)


class _QuietCache:
    """Unpacks and reads vectors as torchtext does, without its log and bar, and changes nothing in `ssl`."""

    cache = _with_names(
        Vectors.cache,
        __builtins__={**vars(builtins), "__import__": _import},
        tqdm=partial(tqdm, disable=True),
        logger=logging.Logger("torchtext, silent", logging.CRITICAL + 1),
    )


class _QuietVectors(_QuietCache, Vectors):  # type: ignore[misc]
    pass


class _QuietGloVe(_QuietCache, GloVe):  # type: ignore[misc]
    pass


def glove(name: str, cache: str | Path) -> GloVe:
    """Load GloVe vectors (Pennington et al. 2014) as torchtext's `GloVe`, and download them if they are not there.

    Args:
        name: one of VECTORS.
        cache: folder that downloaded vectors are kept in.

    Raises:
        DataError: they cannot be downloaded or read; the message says what to do.
    """
    group, _, size = name.removeprefix("glove.").rpartition(".")
    url = GloVe.url[group]
    file, archive = Path(cache) / f"glove.{group}.{size}.txt", Path(cache) / Path(url).name
    try:
        _remove_incomplete(archive, file)
        if not any(path.is_file() for path in (file, archive, file.with_name(f"{file.name}.pt"))):
            archive.parent.mkdir(parents=True, exist_ok=True)
            _fetch(url, archive)
        return _QuietGloVe(name=group, dim=int(size.removesuffix("d")), cache=str(cache))
    except _FAILURES as error:
        raise _download_error(name, url, file, error) from error
    except Exception as error:  # torch.load and torchtext's parser raise whatever they meet
        raise DataError("vectors_cache_unreadable", path=file, reason=_one_line(error)) from error


def _remove_incomplete(archive: Path, file: Path) -> None:
    """Remove half an archive, or half of the file that was unpacked from it, which an interrupted attempt left."""
    if archive.is_file() and not zipfile.is_zipfile(archive):
        archive.unlink()
    if archive.is_file() and file.is_file():
        with zipfile.ZipFile(archive) as contents:
            sizes = {entry.filename: entry.file_size for entry in contents.infolist()}
        if sizes.get(file.name, file.stat().st_size) != file.stat().st_size:
            file.unlink()


def _file_vectors(path: Path) -> Vectors:
    try:
        # a cache of its own: torchtext keeps what it read under the bare name, and would take another file for it
        with tempfile.TemporaryDirectory() as cache:
            return _QuietVectors(str(path), cache=cache)
    except Exception as error:  # torchtext's parser raises whatever it meets: TypeError, ValueError, RuntimeError
        raise DataError("vectors_file_unreadable", path=path, reason=_one_line(error)) from error


def check_vectors(name: str | Path, *, dimensions: int | None = None) -> None:
    """Refuse vectors that `load_vectors` would refuse in the end, before anything is read or downloaded.

    Raises:
        DataError: there is no such file or name, or the name says that they have other dimensions.
    """
    if not Path(name).is_file() and name not in VECTORS:
        raise DataError("vectors_unknown", name=str(name), known=VECTORS)
    if dimensions is not None and name in VECTORS and not str(name).endswith(f".{dimensions}d"):
        raise DataError("vectors_of_other_size", name=str(name), dimensions=str(dimensions))


def load_vectors(
    name: str | Path,
    vocabulary: Sequence[str],
    *,
    dimensions: int | None = None,
    cache: str | Path = ".vector_cache",
    seed: int = 0,
) -> Tensor:
    """Load pretrained vectors for the tokens of a vocabulary.

    Args:
        name: one of VECTORS, which are downloaded, or a file with a token and its numbers per line.
        vocabulary: all tokens, padding first.
        dimensions: numbers per vector; None takes what there is.
        cache: folder that downloaded vectors are kept in.
        seed: of the small random vectors of tokens that have none.

    Returns:
        (V, D) float32, zeros for padding.

    Raises:
        DataError: there is no such name or file, it cannot be downloaded or read, or has other dimensions.
    """
    check_vectors(name, dimensions=dimensions)
    table = _file_vectors(Path(name)) if Path(name).is_file() else glove(str(name), cache)
    if dimensions is not None and table.dim != dimensions:
        raise DataError("vectors_of_other_size", name=str(name), dimensions=str(dimensions))
    pairs = [(row, table.stoi[token]) for row, token in enumerate(vocabulary) if token in table.stoi]
    if not pairs:
        raise DataError("vectors_without_tokens", name=str(name), count=len(vocabulary))
    result = torch.randn((len(vocabulary), table.dim), generator=torch.Generator().manual_seed(seed)) * 0.1
    rows, sources = map(list, zip(*pairs, strict=True))
    result[rows] = table.vectors[sources]
    result[0] = 0.0
    if not result.isfinite().all():
        raise DataError("vectors_not_finite", name=str(name))
    return result
