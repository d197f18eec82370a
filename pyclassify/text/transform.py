"""One text -> token ids, the very same in training and in serving.

The rule is small enough to be followed in any language with Unicode properties (in JavaScript with the flag `u`):

1. A lone surrogate becomes U+FFFD, a run of more than 100 combining marks is cut to 100, then Unicode NFC.
2. U+2019 becomes a plain apostrophe; the HTML line break, every match of `<br */?>` in small letters or capitals, where
   the space stands for `SPACES`, becomes a space.
3. Lowercase by Unicode's full rules for no language in particular, where the transform says so.
4. Words: every match of `[LNM_]+('[LNM_]+)*|[^ ]`, where L, N and M are Unicode's letters, numbers and combining marks
   and the space stands for `SPACES`. So `don't` is one token, and each mark of punctuation and each emoji is one.
   Characters: every run of `SPACES` becomes one space, one is put at both ends in the place of any that is there, and
   each character is a token. Where there is no token but these spaces, the text is refused as empty.
5. Of more than `max_tokens` the first are kept; in characters one fewer, and the space at the end.
6. A token's id is its line in the vocabulary, from 0 on; one that is not there has the id 1.

`tests/tokeniser.mjs` follows it in JavaScript and `tests/test_tokeniser.py` compares the two. They agree on all
characters that both know; a newer Unicode has letters that an older one takes for none.

No token holds a line break, so that a vocabulary can be a file with one token per line.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from pyclassify.errors import CheckpointError, ConfigError, InputError
from pyclassify.examples import Prepared

Tokens = Literal["words", "characters"]

PADDING = "<pad>"
UNKNOWN = "<unk>"
PADDING_ID = 0
UNKNOWN_ID = 1
MAX_CHARACTERS = 1_000_000
"""A longer text is refused before any work is done on it."""

SPACES = "\x00-\x20\x7f-\xa0\u1680\u2000-\u200b\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
"""White space, control characters and characters without width, as the inside of a regular expression's class.

Spelled out because each language means other characters by `\\s`.
"""


def _marks() -> str:
    """The combining marks as ranges: Hindi and Thai words need them, and `re` has only letters and numbers."""
    codes = [code for code in range(0x300, 0x1F000) if unicodedata.category(chr(code)).startswith("M")]
    codes += range(0xE0100, 0xE01F0)
    starts = [code for i, code in enumerate(codes) if i == 0 or codes[i - 1] != code - 1]
    ends = [code for i, code in enumerate(codes) if i == len(codes) - 1 or codes[i + 1] != code + 1]
    return "".join(f"{chr(start)}-{chr(end)}" for start, end in zip(starts, ends, strict=True))


MARKS = _marks()
"""The combining marks, as the inside of a regular expression's class."""
_WORD = re.compile(rf"[\w{MARKS}]+(?:'[\w{MARKS}]+)*|[^{SPACES}]")
_ASCII_WORD = re.compile(
    rf"\w+(?:'\w+)*|[^{SPACES}]", re.ASCII
)  # the same where there is no more, in a third of the time
_SPACES = re.compile(f"[{SPACES}]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_MANY_MARKS = re.compile(f"([{MARKS}]{{100}})[{MARKS}]+")
LINE_BREAK = re.compile(f"<br[{SPACES}]*/?>", re.IGNORECASE)


def normalize(text: str, *, lowercase: bool) -> str:
    """Steps 1 to 3 of the rule, without white space at the ends; empty when there is nothing to read."""
    return _SPACES.sub(" ", _folded(text, lowercase=lowercase)).strip(" ")


def compose(text: str) -> str:
    """Step 1 of the rule and the apostrophe of step 2."""
    if not text.isascii():
        if _SURROGATE.search(text):
            # Two halves that belong together, as JavaScript writes an emoji, become the one character they stand for.
            text = _SURROGATE.sub("\ufffd", _SURROGATE_PAIR.sub(_join_surrogates, text))
        # Normalising takes time quadratic in a run of marks: a megabyte of accents would keep a server busy for ages.
        text = unicodedata.normalize("NFC", _MANY_MARKS.sub(r"\1", text)).replace("\u2019", "'")
    return text


def _folded(text: str, *, lowercase: bool) -> str:
    text = compose(text)
    if "<" in text:
        text = LINE_BREAK.sub(" ", text)
    return text.lower() if lowercase else text


def _join_surrogates(pair: re.Match[str]) -> str:
    return pair[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def word_pattern(text: str) -> re.Pattern[str]:
    """What step 4 of the rule takes for a word of this text."""
    return _ASCII_WORD if text.isascii() else _WORD


def tokenize(text: str, *, tokens: Tokens, lowercase: bool = True) -> list[str]:
    """Split one text by the rule above; an empty list when there is nothing to read."""
    if tokens == "words":
        text = _folded(text, lowercase=lowercase)
        return word_pattern(text).findall(text)
    text = normalize(text, lowercase=lowercase)
    return [" ", *text, " "] if text else []


@dataclass(frozen=True)
class TextTransform:
    """Turns a text into ids and batches of ids into the model's inputs.

    Args:
        vocabulary: all tokens; a token's position is its id. The first two are padding and unknown.
        tokens: what one token is.
        lowercase: whether capitals are read as small letters.
        max_tokens: a longer text is cut, and the note says so.

    Raises:
        ConfigError: a value that cannot work.
    """

    vocabulary: tuple[str, ...]
    _: KW_ONLY
    tokens: Tokens
    lowercase: bool = True
    max_tokens: int = 1024
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.tokens not in get_args(Tokens):
            raise ConfigError(f"tokens must be 'words' or 'characters', got {self.tokens!r}")
        if self.max_tokens < 3:
            raise ConfigError(f"max_tokens must be at least 3, got {self.max_tokens}")
        if self.vocabulary[:2] != (PADDING, UNKNOWN):
            raise ConfigError(f"a vocabulary begins with {PADDING} and {UNKNOWN}, got {self.vocabulary[:2]}")
        ids = {token: position for position, token in enumerate(self.vocabulary)}
        if len(ids) != len(self.vocabulary):
            raise ConfigError("a token occurs twice in the vocabulary")
        if any("\n" in token or not token for token in ids):
            raise ConfigError("a token of the vocabulary is empty or holds a line break")
        object.__setattr__(self, "_ids", ids)

    def __call__(self, text: str) -> Prepared:
        """Read one text.

        Returns:
            (L,) int64, 1 <= L <= max_tokens.

        Raises:
            InputError: not a text, nothing to read in it, or more than MAX_CHARACTERS.
        """
        found, notes = self._read(text)
        return Prepared(torch.tensor(self._numbers(found)), notes)

    def ids(self, text: str) -> list[int]:
        """The same ids as a list; for many texts at a time.

        Raises:
            InputError: as when called.
        """
        return self._numbers(self._read(text)[0])

    def _read(self, text: str) -> tuple[list[str], tuple[str, ...]]:
        found = tokenize(_checked(text), tokens=self.tokens, lowercase=self.lowercase)
        if not found:
            raise InputError("the text is empty: give at least one character that is not white space")
        return self._cut(found) if len(found) > self.max_tokens else (found, ())

    def _numbers(self, found: list[str]) -> list[int]:
        return [self._ids.get(token, UNKNOWN_ID) for token in found]

    def _cut(self, found: list[str]) -> tuple[list[str], tuple[str, ...]]:
        # The spaces that mark both ends of a text in characters are ours: they stay, and are not counted in the note.
        ends = 2 if self.tokens == "characters" else 0
        kept = self.max_tokens - ends
        note = f"only the first {kept:,} of {len(found) - ends:,} {self.tokens} were read"
        return found[: self.max_tokens - ends // 2] + [" "] * (ends // 2), (note,)

    def collate(self, texts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Pad N texts on the right to the longest of them.

        Args:
            texts: (L,) of any integer type, each with L >= 1.

        Returns:
            ids (N, L) int64 and lengths (N,) int64.
        """
        lengths = torch.tensor([len(ids) for ids in texts])
        padded = torch.nn.utils.rnn.pad_sequence(list(texts), batch_first=True, padding_value=PADDING_ID)
        return padded.to(torch.int64), lengths

    def config(self) -> dict[str, Any]:
        """All but the vocabulary, as plain JSON."""
        return {"tokens": self.tokens, "lowercase": self.lowercase, "max_tokens": self.max_tokens}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], vocabulary: Sequence[str]) -> TextTransform:
        """The transform that `config` and its vocabulary describe.

        Raises:
            CheckpointError: a setting is missing, unknown or cannot work.
        """
        kinds = {"tokens": str, "lowercase": bool, "max_tokens": int}
        if config.keys() != kinds.keys() or any(type(config[name]) is not kind for name, kind in kinds.items()):
            raise CheckpointError(f"the transform's settings are not {', '.join(kinds)}: {dict(config)}")
        try:
            return cls(tuple(vocabulary), **config)
        except ConfigError as error:
            raise CheckpointError(f"the transform cannot be used: {error}") from error


def _checked(text: object) -> str:
    if not isinstance(text, str):
        raise InputError(f"a text is expected, got {type(text).__name__}")
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"the text has {len(text):,} characters; at most {MAX_CHARACTERS:,} are read: shorten it")
    return text
