"""Errors: a code, fields, and a sentence in each language."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from pyclassify import errors
from pyclassify.errors import ConfigError, DataError, PyClassifyError
from pyclassify.locales import LANGUAGES, Message

ERROR = DataError("folder_unreadable", path=Path("a/b"), reason="Permission denied")


def test_an_error_has_a_code_fields_and_sentences() -> None:
    assert (ERROR.code, ERROR.fields) == ("folder_unreadable", {"path": Path("a/b"), "reason": "Permission denied"})
    assert str(ERROR) == ERROR.text("en") == str(ERROR.message)
    assert len({ERROR.text(language) for language in LANGUAGES}) == len(LANGUAGES)
    assert all(str(Path("a/b")) in ERROR.text(language) for language in LANGUAGES)


def test_messages_in_fields_are_written_in_the_same_language() -> None:
    error = ConfigError("option_too_small", option=Message("kinds.image.plural"), low=1, value="0")
    assert "pictures" in error.text("en")
    assert "사진" in error.text("ko")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", [PyClassifyError, *PyClassifyError.__subclasses__()])
def test_errors_can_be_pickled(kind: type[PyClassifyError], protocol: int) -> None:
    error = kind("option_too_small", option=Message("items.text", {"count": 2}), low=1, value="0")
    read = pickle.loads(pickle.dumps(error, protocol))
    assert type(read) is kind
    assert (read.code, read.fields, str(read)) == (error.code, error.fields, str(error))


def test_every_error_is_caught_by_the_root() -> None:
    kinds = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert len(kinds) == 5
    assert all(issubclass(kind, PyClassifyError) for kind in kinds)
