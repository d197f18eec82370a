"""Bytes -> text: what encoding a file is in, and what to say where it is another one than was expected."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from pyclassify.errors import DataError

_ESCAPED = re.compile("[\udc80-\udcff]")

# The first byte of the common characters: what is well-formed in one of these is so in the others too, but rare there.
# The order decides between equals.
_COMMON = {
    "cp949": bytes([0xA1, 0xA4, *range(0xB0, 0xC9)]),
    "cp932": bytes([0x81, 0x82, 0x83, *range(0x88, 0x98)]),
    "gb18030": bytes([0xA1, 0xA3, *range(0xB0, 0xD8)]),
    "big5": bytes([0xA1, *range(0xA4, 0xC7)]),
}
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode(data: bytes, encoding: str, path: Path) -> str:
    """Decode a whole file; bytes that `encoding` does not know stay as marks that `is_damaged` finds.

    A byte order mark is left out.

    Raises:
        DataError: there is no such encoding, or its structure is not there at all.
    """
    try:
        name = codecs.lookup(encoding).name
        return data.decode("utf-8-sig" if name == "utf-8" else name, "surrogateescape")
    except LookupError:
        raise DataError(f"there is no encoding '{encoding}': try utf-8, cp949, gb18030, cp932 or cp1252") from None
    except UnicodeError:
        raise not_readable(path, encoding, data, "it is") from None


def is_damaged(text: str) -> bool:
    """Whether some bytes of it could not be decoded."""
    return not text.isascii() and _ESCAPED.search(text) is not None


def is_binary(data: bytes, encoding: str) -> bool:
    """Whether these are no characters at all; in UTF-16 and UTF-32 zeros are part of the text."""
    wide = "16" in encoding or "32" in encoding or any(data.startswith(mark) for mark, _ in _BYTE_ORDER_MARKS)
    start = data[:8192]
    # Compressed data has a zero in 256 bytes, a picture or a program many more; a stray one is left to its row.
    return not wide and start.count(0) * 500 > len(start)


def not_readable(path: Path, encoding: str, data: bytes, what: str) -> DataError:
    """The error for a file in another encoding, with the option that reads it."""
    likely = guess(data)
    way_out = f"it looks like {likely}: add --encoding {likely}" if likely else "name the right one with --encoding"
    return DataError(f"{path} cannot be read, {what} not {encoding}; {way_out}, or save it as UTF-8")


def guess(data: bytes) -> str | None:
    """The likely encoding of a text that has characters beyond ASCII; None where nothing fits."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return encoding
    lines = [line for line in data[:1_000_000].split(b"\n") if not line.isascii()][:500]
    sample = b"\n".join(lines)
    if _beyond_ascii(sample, "utf-8"):
        return "utf-8"
    scores = {encoding: _common_share(sample, encoding) for encoding in _COMMON}
    likely = max(scores, key=lambda encoding: scores[encoding])
    if scores[likely] > 0.8:
        return likely
    # Western and Cyrillic bytes are the same; only in Cyrillic they are most of the letters.
    text = _beyond_ascii(sample, "cp1252")
    if not text:
        return None
    return "cp1251" if len(text) * 2 > len(re.findall(rb"[A-Za-z\x80-\xff]", sample)) else "cp1252"


def _beyond_ascii(sample: bytes, encoding: str) -> str:
    """The characters beyond ASCII; none where the sample is not in this encoding but for a stray byte."""
    text = "".join(character for character in sample.decode(encoding, "replace") if not character.isascii())
    return "" if text.count("\ufffd") * 50 > len(text) else text


def _common_share(sample: bytes, encoding: str) -> float:
    text = _beyond_ascii(sample, encoding)
    common = sum(character.encode(encoding, "replace")[0] in _COMMON[encoding] for character in text)
    return common / len(text) if text else 0.0
