"""A language model as the network of a checkpoint: an encoder of transformers, and a reader of its pieces of words.

It is built from plain settings by a class of transformers that is listed here, because others may fetch code or weights
from elsewhere. The package is optional, and imported only where such a checkpoint is made or loaded.

Token ids are those of other networks for text: 0 is padding, 1 is the unknown token, and the ids of the tokenizer
follow, increased by `FIRST_ID`. Special tokens are no part of a text; the network adds them.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pyclassify.errors import CheckpointError, ConfigError
from pyclassify.locales import Message
from pyclassify.text.transform import PADDING, UNKNOWN, UNKNOWN_ID, TextTransform, fold, normalize

TOKENIZER: Final = "tokenizer.json"
"""The tokenizer of a checkpoint, in the format of the package tokenizers."""

MODEL_TYPES: Final = (
    *("albert", "bert", "camembert", "distilbert", "electra"),
    *("ernie", "modernbert", "mpnet", "roberta", "xlm-roberta"),
)
"""Types of transformers that give the same answers to token vectors as to ids, and that the fields of their
configuration describe in full; DeBERTa has settings beside them."""

PARTS: Final = 4
"""Parts of a longer text that are read, evenly spaced from its first to its last."""

FIRST_ID: Final = UNKNOWN_ID + 1


def check(source: str, encoder: Any, tokenizer: Any) -> None:
    """Refuse a language model that a checkpoint cannot hold, before hours are spent on fitting it.

    Raises:
        ConfigError: it is of another type, or has a tokenizer that is written in Python alone.
    """
    if encoder.config.model_type not in MODEL_TYPES:
        raise ConfigError("teacher_type_not_kept", type=encoder.config.model_type, known=MODEL_TYPES)
    if not tokenizer.is_fast:
        raise ConfigError("teacher_tokenizer_not_kept", source=source)


def chosen_parts(count: int) -> list[int]:
    """Choose the parts of a text to read: all of them, or PARTS.

    >>> chosen_parts(3), chosen_parts(8)
    ([0, 1, 2], [0, 2, 5, 7])
    """
    chosen: list[int] = np.linspace(0, count - 1, min(count, PARTS)).round().astype(int).tolist()
    return chosen


# From a text to ids


class PieceTransform(TextTransform):
    """Turns a text into the ids of its pieces of words. Of a text with more than `max_tokens`, PARTS parts are read.

    Args:
        content: of the file `TOKENIZER`.
        unknown: the tokenizer's id for what it does not know.
        max_tokens: pieces of all parts together.
        sure_from: a text with fewer pieces gets a note that it is short; 0 for none.

    Raises:
        ValueError: a value that cannot work.
    """

    def __init__(self, content: bytes, *, unknown: int, max_tokens: int, sure_from: int = 0) -> None:
        from tokenizers import Tokenizer  # comes with transformers

        try:
            self._tokenizer: Any = Tokenizer.from_buffer(content)
        except Exception as error:  # the package raises no other
            raise ValueError(f"the tokenizer cannot be read: {error}") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True  # a text that holds "[SEP]" means these letters
        self._unknown = unknown
        pieces = {i: piece for piece, i in self._tokenizer.get_vocab().items()}
        vocabulary = (PADDING, UNKNOWN, *(pieces.get(i, "") for i in range(len(pieces))))
        super().__init__(vocabulary, tokens="pieces", lowercase=False, max_tokens=max_tokens, sure_from=sure_from)

    def __post_init__(self) -> None:
        """Check the settings."""
        numbers = (self._unknown, self.max_tokens - PARTS, self.sure_from)
        if any(type(number) is not int or number < 0 for number in numbers):
            raise ValueError(f"unknown, max_tokens and sure_from are whole numbers from 0, {PARTS} and 0 on")

    def encode(self, folded: str) -> Any:
        """Return the pieces of a folded text, as the package's `Encoding`: ids, and offsets in the text."""
        return self._tokenizer.encode(folded, add_special_tokens=False)

    def kept(self, count: int) -> list[int]:
        """Return the positions of the pieces that are read, of so many."""
        size = self.max_tokens // PARTS
        return [
            i for part in chosen_parts(-(-count // size)) for i in range(part * size, min((part + 1) * size, count))
        ]

    def _tokenize(self, text: str) -> list[int]:
        if not normalize(text, lowercase=False):
            return []
        ids = self.encode(fold(text, lowercase=False)).ids
        return [UNKNOWN_ID if i == self._unknown else i + FIRST_ID for i in ids]

    def _cut(self, ids: list[int]) -> tuple[list[int], tuple[Message, ...]]:
        kept = [ids[i] for i in self.kept(len(ids))]
        return kept, (Message("notes.parts_only", {"kept": len(kept), "total": len(ids)}),)

    def settings(self) -> dict[str, Any]:
        """Return everything but the tokenizer as plain JSON."""
        numbers = {"unknown": self._unknown, "max_tokens": self.max_tokens, "sure_from": self.sure_from}
        return {"tokens": self.tokens, **numbers}

    def content(self) -> bytes:
        """Return the content of the file `TOKENIZER`."""
        written: str = self._tokenizer.to_str()
        return written.encode()


def make_transform(settings: Mapping[str, Any], content: bytes) -> PieceTransform:
    """Make the transform of a checkpoint.

    Raises:
        CheckpointError: transformers is missing.
        TypeError, ValueError: the settings or the tokenizer cannot work.
    """
    if importlib.util.find_spec("transformers") is None:
        raise CheckpointError("checkpoint_needs_transformers")
    return PieceTransform(content, **{name: value for name, value in settings.items() if name != "tokens"})


# From ids to logits


class Encoder(nn.Module):
    """An encoder with a linear layer on the mean of its token vectors; the logits of the parts of a text are averaged.

    Args:
        num_labels: K.
        model_type: one of MODEL_TYPES.
        settings: of the architecture, as `architecture` returns them.
        prefix: ids of the special tokens before each part, as the encoder counts them.
        suffix: of those after it.
        unknown: of the unknown token.
        part: pieces in a part.
        normalized: whether the mean is scaled to length 1.

    Raises:
        TypeError, ValueError: a value that cannot work.
    """

    def __init__(
        self,
        *,
        num_labels: int,
        model_type: str,
        settings: Mapping[str, Any],
        prefix: Sequence[int],
        suffix: Sequence[int],
        unknown: int,
        part: int,
        normalized: bool,
    ) -> None:
        super().__init__()
        self.encoder = _build(model_type, settings)
        self.output = nn.Linear(self.encoder.config.hidden_size, num_labels)
        self.prefix, self.suffix, self.unknown = list(prefix), list(suffix), unknown
        self.part, self.normalized = part, normalized
        if part < 1 or not all(0 <= i < self.embedding.num_embeddings for i in (*prefix, *suffix, unknown)):
            raise ValueError("a part has no pieces, or a special token is not among the encoder's")

    @property
    def embedding(self) -> nn.Embedding:
        """The vectors of the pieces."""
        embedding: nn.Embedding = self.encoder.get_input_embeddings()
        return embedding

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Map ids (N, L) int64 and lengths (N,) int64 to logits (N, K)."""
        pieces = ids - FIRST_ID
        is_unknown = (pieces < 0) | (pieces >= self.embedding.num_embeddings)
        vectors = self.embedding(torch.where(is_unknown, self.unknown, pieces))

        size = min(self.part, ids.shape[1])
        parts = functional.pad(vectors, (0, 0, 0, -ids.shape[1] % size)).reshape(len(ids), -1, size, vectors.shape[2])
        starts = torch.arange(parts.shape[1], device=ids.device) * size
        part_lengths = (lengths.clamp(min=1).unsqueeze(1) - starts).clamp(0, size)
        is_part = part_lengths > 0
        logits = self._answer(parts[is_part], part_lengths[is_part])

        texts, _ = is_part.nonzero(as_tuple=True)
        sums = logits.new_zeros(len(ids), logits.shape[1]).index_add(0, texts, logits)
        return sums / is_part.sum(dim=1, keepdim=True)

    def _answer(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """Map the token vectors (P, S, H) of parts of some lengths (P,) to logits (P, K)."""
        count, size, _ = vectors.shape
        before, after = len(self.prefix), len(self.suffix)
        # by function, because explanations replace what the module returns
        special = torch.tensor([*self.prefix, *self.suffix], dtype=torch.int64, device=vectors.device)
        added = functional.embedding(special, self.embedding.weight).expand(count, -1, -1)
        first, last = added[:, :before], added[:, before:]
        tokens = torch.cat([first, vectors, last], dim=1)
        # the special tokens at the end stand right after the last piece
        ends = (before + lengths).unsqueeze(1)
        places = torch.arange(before + size + after, device=vectors.device).expand(count, -1)
        for number in range(after):
            tokens = torch.where((places == ends + number).unsqueeze(2), last[:, number : number + 1], tokens)
        mask = places < ends + after
        states: Tensor = self.encoder(inputs_embeds=tokens, attention_mask=mask.long()).last_hidden_state
        mean = (states * mask.unsqueeze(2)).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        logits: Tensor = self.output(functional.normalize(mean) if self.normalized else mean)
        return logits


def architecture(config: Any) -> dict[str, Any]:
    """Return the settings of an encoder's configuration that its type alone has, as plain JSON."""
    names = _own_names(config)
    return {name: value for name, value in config.to_dict().items() if name in names}


def special_ids(tokenizer: Any) -> tuple[list[int], list[int]]:
    """Return the ids of the special tokens that a fast tokenizer puts before and after a text."""
    tokenizer.backend_tokenizer.no_padding()  # published tokenizers may pad, with tokens that count as special
    encoding = tokenizer.backend_tokenizer.encode("a")
    ids, is_special = list(encoding.ids), list(encoding.special_tokens_mask)
    return ids[: is_special.index(0)], ids[len(ids) - is_special[::-1].index(0) :]


def _own_names(config: Any) -> set[str]:
    """Return the names of the settings that a type of encoder has by itself; others could name code or weights."""
    from transformers import PreTrainedConfig

    common: Any = PreTrainedConfig  # not typed where transformers is missing
    return {field.name for field in fields(config)} - {field.name for field in fields(common)}


def _build(model_type: str, settings: Mapping[str, Any]) -> Any:
    from transformers import AutoConfig, AutoModel

    make_config: Any = AutoConfig.for_model
    make_encoder: Any = AutoModel.from_config
    if model_type not in MODEL_TYPES:
        raise ValueError(f"the type of an encoder is one of {', '.join(MODEL_TYPES)}, not {model_type!r}")
    if not settings.keys() <= _own_names(make_config(model_type)):
        raise ValueError(f"an encoder of the type {model_type} does not have all of these settings: {list(settings)}")
    # never on the device "meta": the positions that an encoder counts for itself are in no file
    with torch.device("cpu"):
        return make_encoder(make_config(model_type, **settings), dtype=torch.float32, trust_remote_code=False)
