"""From a text to token ids, identically in training and in serving.

The rule is small enough to be reimplemented in any language with Unicode properties (in JavaScript with the flag `u`):

1. Replace a lone surrogate by U+FFFD, cut a run of more than 100 combining marks to 100, then normalize to Unicode NFC.
2. Replace U+2019 by a plain apostrophe, and the HTML line break by a space: every match of `<br */?>` in small letters
   or capitals, where the space stands for `SPACES`.
3. If the transform says so, lowercase by Unicode's full rules without a locale.
4. Words: every match of `[LNM_]+('[LNM_]+)*|[^ ]`, where L, N and M are Unicode's letters, numbers and combining marks
   and the space stands for `SPACES`. So `don't` is one token, as is each punctuation mark and each emoji.
   Characters: replace every run of `SPACES` by one space, put exactly one space at both ends, and take each character
   as a token. A text without any token other than these spaces is refused as empty.
5. Keep the first `max_tokens` tokens; in characters one fewer, and the space at the end.
6. A token's id is its line in the vocabulary, counted from 0; the id of a token that is not there is 1.

`tests/tokeniser.mjs` implements it in JavaScript and `tests/test_tokeniser.py` compares the two. They agree on all
characters that both know; a newer Unicode has letters that an older one does not.

No token holds a line break, so that a vocabulary can be a file with one token per line.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import torch
from torch import Tensor

from pyclassify.dataset import Prepared
from pyclassify.errors import InputError
from pyclassify.formats import MAX_TEXT_CHARACTERS
from pyclassify.locales import Message

if TYPE_CHECKING:
    from pydantic import JsonValue

Tokens = Literal["words", "characters", "pieces"]
"""Pieces of words are those of a language model, see `text.encoder`."""

PADDING: Final = "<pad>"
UNKNOWN: Final = "<unk>"
PADDING_ID: Final = 0
UNKNOWN_ID: Final = 1
MIN_TOKENS: Final = 3
"""Smallest `max_tokens`: in characters, two of them are the spaces at the ends."""

SPACES: Final = "\x00-\x20\x7f-\xa0\u1680\u2000-\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
"""White space, control characters and characters without width, as the inside of a regular expression's class.

Spelled out because `\\s` is another set of characters in each language.
"""


def _mark_ranges() -> str:
    """List the combining marks as ranges: Hindi and Thai words need them, and `re` has no class for them."""
    codes = [code for code in range(0x300, 0x1F000) if unicodedata.category(chr(code)).startswith("M")]
    codes += range(0xE0100, 0xE01F0)
    starts = [code for i, code in enumerate(codes) if i == 0 or codes[i - 1] != code - 1]
    ends = [code for i, code in enumerate(codes) if i == len(codes) - 1 or codes[i + 1] != code + 1]
    return "".join(f"{chr(start)}-{chr(end)}" for start, end in zip(starts, ends, strict=True))


MARKS: Final = _mark_ranges()
"""The combining marks, as the inside of a regular expression's class."""

_WORD = re.compile(rf"[\w{MARKS}]+(?:'[\w{MARKS}]+)*|[^{SPACES}]")
# the same on ASCII, in a third of the time
_ASCII_WORD = re.compile(rf"\w+(?:'\w+)*|[^{SPACES}]", re.ASCII)
_SPACES = re.compile(f"[{SPACES}]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_MANY_MARKS = re.compile(f"([{MARKS}]{{100}})[{MARKS}]+")
LINE_BREAK: Final = re.compile(f"<br[{SPACES}]*/?>", re.IGNORECASE)


def compose(text: str) -> str:
    """Apply step 1 of the rule and the apostrophe of step 2."""
    if not text.isascii():
        if _SURROGATE.search(text):
            # JavaScript writes an emoji as two halves; a matching pair becomes the character that it stands for
            text = _SURROGATE.sub("\ufffd", _SURROGATE_PAIR.sub(_join_surrogates, text))
        # normalizing takes time quadratic in a run of marks: a megabyte of accents would keep a server busy for ages
        text = unicodedata.normalize("NFC", _MANY_MARKS.sub(r"\1", text)).replace("\u2019", "'")
    return text


def _join_surrogates(pair: re.Match[str]) -> str:
    return pair[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def fold(text: str, *, lowercase: bool) -> str:
    """Apply steps 1 to 3 of the rule."""
    text = compose(text)
    if "<" in text:
        text = LINE_BREAK.sub(" ", text)
    return text.lower() if lowercase else text


def normalize(text: str, *, lowercase: bool) -> str:
    """Apply steps 1 to 3 of the rule, with single spaces and none at the ends; empty if there is nothing to read."""
    return _SPACES.sub(" ", fold(text, lowercase=lowercase)).strip(" ")


def word_pattern(text: str) -> re.Pattern[str]:
    """Return the pattern of step 4 for the words of this text."""
    return _ASCII_WORD if text.isascii() else _WORD


def tokenize(text: str, *, tokens: Tokens, lowercase: bool = True) -> list[str]:
    """Split a text into tokens by the rule above; empty if there is nothing to read."""
    if tokens == "words":
        text = fold(text, lowercase=lowercase)
        return word_pattern(text).findall(text)
    text = normalize(text, lowercase=lowercase)
    return [" ", *text, " "] if text else []


@dataclass(frozen=True)
class TextTransform:
    """Turns a text into token ids, and token ids of several texts into the arguments of a network.

    Args:
        vocabulary: all tokens; a token's position is its id. The first two are padding and unknown.
        tokens: kind of token.
        lowercase: whether capitals are read as small letters.
        max_tokens: a longer text is cut, and a note says so.
        sure_from: a text with fewer tokens gets a note that it is short; 0 for none.

    Raises:
        ValueError: a value that cannot work.
    """

    vocabulary: tuple[str, ...]
    _: KW_ONLY
    tokens: Tokens
    lowercase: bool = True
    max_tokens: int = 1024
    sure_from: int = 0
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.tokens not in get_args(Tokens):
            raise ValueError(f"tokens must be one of {get_args(Tokens)}, got {self.tokens!r}")
        if self.max_tokens < MIN_TOKENS:
            raise ValueError(f"max_tokens must be at least {MIN_TOKENS}, got {self.max_tokens}")
        if self.sure_from < 0:
            raise ValueError(f"sure_from must be at least 0, got {self.sure_from}")
        if self.vocabulary[:2] != (PADDING, UNKNOWN):
            raise ValueError(f"a vocabulary begins with {PADDING} and {UNKNOWN}, got {self.vocabulary[:2]}")
        ids = {token: position for position, token in enumerate(self.vocabulary)}
        if len(ids) != len(self.vocabulary):
            raise ValueError("a token occurs twice in the vocabulary")
        if any("\n" in token or not token for token in ids):
            raise ValueError("a token of the vocabulary is empty or holds a line break")
        object.__setattr__(self, "_ids", ids)

    def __call__(self, item: str) -> Prepared:
        """Read one text.

        Returns:
            (L,) int64, 1 <= L <= max_tokens.

        Raises:
            InputError: it is no text, has nothing to read in it, or is longer than MAX_TEXT_CHARACTERS.
        """
        ids, notes = self._read(item)
        return Prepared(torch.tensor(ids), notes)

    def ids(self, text: str) -> list[int]:
        """Return the same ids as a list, for reading many texts.

        Raises:
            InputError: as when called.
        """
        return self._read(text)[0]

    def _read(self, text: object) -> tuple[list[int], tuple[Message, ...]]:
        if not isinstance(text, str):
            raise InputError("text_expected", type=type(text).__name__)
        if len(text) > MAX_TEXT_CHARACTERS:
            raise InputError("text_too_long", count=len(text), limit=MAX_TEXT_CHARACTERS)
        ids = self._tokenize(text)
        if not ids:
            raise InputError("text_empty")
        if len(ids) > self.max_tokens:
            return self._cut(ids)
        return ids, (Message("notes.too_short"),) if len(ids) < self.sure_from else ()

    def _tokenize(self, text: str) -> list[int]:
        tokens = tokenize(text, tokens=self.tokens, lowercase=self.lowercase)
        return [self._ids.get(token, UNKNOWN_ID) for token in tokens]

    def _cut(self, ids: list[int]) -> tuple[list[int], tuple[Message, ...]]:
        # the spaces at both ends of a text in characters are ours: they stay, and are not counted in the note
        ends = 2 if self.tokens == "characters" else 0
        fields = {"kept": self.max_tokens - ends, "total": len(ids) - ends}
        kept = ids[: self.max_tokens - ends // 2] + ids[-1:] * (ends // 2)
        return kept, (Message(f"notes.first_{self.tokens}_only", fields),)

    def collate(self, tensors: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Pad N texts on the right to the longest of them.

        Args:
            tensors: (L,) of any integer type, each with L >= 1.

        Returns:
            ids (N, L) int64 and lengths (N,) int64.
        """
        lengths = torch.tensor([len(ids) for ids in tensors])
        padded = torch.nn.utils.rnn.pad_sequence(list(tensors), batch_first=True, padding_value=PADDING_ID)
        return padded.to(torch.int64), lengths

    def settings(self) -> dict[str, JsonValue]:
        """Return everything but the vocabulary as plain JSON."""
        settings: dict[str, JsonValue] = {
            "tokens": self.tokens,
            "lowercase": self.lowercase,
            "max_tokens": self.max_tokens,
        }
        return {**settings, "sure_from": self.sure_from} if self.sure_from else settings

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], vocabulary: Sequence[str]) -> TextTransform:
        """Make the transform again from its settings and its vocabulary.

        Raises:
            ValueError: a setting is missing, unknown or cannot work.
        """
        types = {"tokens": str, "lowercase": bool, "max_tokens": int, "sure_from": int}
        given = {"sure_from": 0, **settings}  # the first checkpoints do not have it
        if given.keys() != types.keys() or any(type(given[name]) is not types[name] for name in types):
            raise ValueError(f"the settings of a text transform are {', '.join(types)}, got {dict(settings)}")
        return cls(tuple(vocabulary), **given)
