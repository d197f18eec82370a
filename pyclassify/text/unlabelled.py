"""Texts without labels, to learn from what they say alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from pyclassify.errors import DataError
from pyclassify.text.encodings import decode, is_binary, is_damaged
from pyclassify.text.transform import MAX_CHARACTERS, normalize


def read(path: Path, *, encoding: str = "utf-8") -> list[str]:
    """Read texts, each once; what is empty, damaged or no text is passed over.

    Args:
        path: a folder with .txt files at any depth, a text in each; or a .txt file with a text in each line.
        encoding: how the characters are stored.

    Raises:
        DataError: there is no text to read.
    """
    if path.is_dir():
        found = _folder_texts(path, encoding)
    elif path.suffix.lower() == ".txt" and path.is_file():
        found = iter((_file_text(path, encoding) or "").split("\n"))
    else:
        raise DataError(f"{path} is neither a folder with .txt files nor a .txt file with an unlabelled text per line.")
    texts = list(dict.fromkeys(each for each in found if _is_usable(each)))
    if not texts:
        raise DataError(f"{path} holds no unlabelled text in {encoding}.")
    return texts


def without(texts: Iterable[str], *kept_apart: Iterable[str]) -> list[str]:
    """The texts that are not among those that a model is chosen by or tested with."""
    apart = {text for texts_apart in kept_apart for text in texts_apart}
    return [text for text in texts if text not in apart]


def _is_usable(text: str) -> bool:
    return len(text) <= MAX_CHARACTERS and bool(normalize(text, lowercase=False))


def _folder_texts(folder: Path, encoding: str) -> Iterator[str]:
    paths = sorted(each for each in folder.rglob("*.txt") if not each.name.startswith("."))
    for path in paths:
        text = _file_text(path, encoding)
        if text is not None:
            yield text


def _file_text(path: Path, encoding: str) -> str | None:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}.") from error
    if is_binary(data, encoding):
        return None
    text = decode(data, encoding, path)
    return None if is_damaged(text) else text
