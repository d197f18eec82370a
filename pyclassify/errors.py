"""The errors that PyClassify raises on purpose.

An error has a code and fields; its sentence stands under `errors.<code>` in the locale files. Command lines print the
English sentence and leave with exit status 2, the page shows it in the visitor's language, programs catch
`PyClassifyError`.
"""

from __future__ import annotations

from typing import Any

from pyclassify.locales import DEFAULT, Message


class PyClassifyError(Exception):
    """Root of all errors that PyClassify raises on purpose.

    Args:
        code: names the sentence.
        fields: values for the braces of the sentence.
    """

    def __init__(self, code: str, /, **fields: Any) -> None:
        super().__init__(code)
        self.code = code
        self.fields = fields

    @property
    def message(self) -> Message:
        """The sentence, not written out yet."""
        return Message(f"errors.{self.code}", self.fields)

    def text(self, language: str = DEFAULT) -> str:
        """Write the sentence in a language."""
        return self.message.text(language)

    def __str__(self) -> str:
        return self.text()

    def __reduce__(self) -> tuple[Any, ...]:
        # exceptions are pickled by their positional arguments alone, and some hosts answer in another process
        return _restored, (type(self), self.code, self.fields)


def _restored(kind: type[PyClassifyError], code: str, fields: dict[str, Any]) -> PyClassifyError:
    return kind(code, **fields)


class ConfigError(PyClassifyError):
    """An option has a value that cannot work."""


class DataError(PyClassifyError):
    """The labelled examples are missing, unreadable or cannot be learned from."""


class CheckpointError(PyClassifyError):
    """A checkpoint is missing, damaged, altered or of a format that this version does not read."""


class InputError(PyClassifyError):
    """An input of a classifier cannot be read."""
