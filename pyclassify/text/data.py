"""Labelled texts in files -> examples, vocabulary, batches and word vectors; the only module that knows torchtext.

torchtext 0.6 gives the data set to download, the vocabulary's order, the buckets of equal length and the vectors.
Where its reader stops with a traceback `files.py` reads instead, and an object per row, as torchtext has, would be
most of the memory that half a million texts take.
"""

from __future__ import annotations

import random
import statistics
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchtext
from torch import Tensor
from torch.nn import functional
from torchtext import data, datasets

from pyclassify.errors import DataError
from pyclassify.examples import Examples, Splits, label_tensor, split
from pyclassify.text import files
from pyclassify.text.fetch import FAILURES, cause, drop_half_extracted, not_fetched, tamed
from pyclassify.text.layout import check_enough, check_labels, data_name, find_parts
from pyclassify.text.transform import PADDING, UNKNOWN, TextTransform, Tokens, tokenize

DATASETS = ("imdb",)
VECTORS = tuple(sorted(name for name in torchtext.vocab.pretrained_aliases if name.startswith("glove.")))
_LONG_WORD = 12
_SHORT_TEXT = 200


def read(
    path: str | Path,
    *,
    test: str | Path | None = None,
    text_column: str = "text",
    label_column: str = "label",
    encoding: str = "utf-8",
    validation_fraction: float = 0.1,
    test_fraction: float = 0.2,
    seed: int = 0,
) -> Splits[str]:
    """Read labelled texts and split off what the source does not split itself.

    Args:
        path: a folder with `train/<label>/*.txt` and, where there are any, `test/` and `val/`; or a folder per label;
            or a table, see `files.read_table`.
        test: the test texts, as a folder per label or a table; instead of those beside or among `path`.
        text_column: the column of a table that holds the text.
        label_column: the column of a table that holds the label.
        encoding: how the characters are stored.
        validation_fraction: the share of the training texts that is split off where there is no `val/`.
        test_fraction: the share of all texts that is split off first where there are no test texts.
        seed: the same seed gives the same splits.

    Raises:
        DataError: nothing can be learned from it; the message says why and what to do.
    """
    parts = find_parts(Path(path), None if test is None else Path(test))
    labels, sets = _load(parts, text_column=text_column, label_column=label_column, encoding=encoding)
    examples = {part: _examples(found, labels) for part, found in sets.items()}
    fractions = {"test": test_fraction, "validation": validation_fraction}
    made = tuple(part for part in fractions if part not in examples)
    for part in made:
        check_enough(examples["train"], labels, 2 + (part == "test" and "validation" not in examples))
        examples["train"], examples[part] = split(examples["train"], fraction=fractions[part], seed=seed)
    skipped = tuple(chain.from_iterable(found.skipped for found in sets.values()))
    return Splits(name=data_name(Path(path)), labels=labels, skipped=skipped, seed=seed, made=made, **examples)


def _load(parts: dict[str, Path], *, encoding: str, **columns: str) -> tuple[tuple[str, ...], dict[str, files.Found]]:
    sets = {
        part: files.read_folder(place, encoding=encoding)
        if place.is_dir()
        else files.read_table(place, encoding=encoding, **columns)
        for part, place in parts.items()
    }
    there = {part: {label for _, label in found.pairs} for part, found in sets.items()}
    labels = tuple(sorted(there["train"]))
    check_labels(labels, there, parts)
    return labels, sets


def _examples(found: files.Found, labels: tuple[str, ...]) -> Examples[str]:
    ids = {label: position for position, label in enumerate(labels)}
    return Examples(tuple(text for text, _ in found.pairs), tuple(ids[label] for _, label in found.pairs))


def download(name: str, root: str | Path) -> Path:
    """Fetch a data set through torchtext, unless it is there.

    Returns:
        The folder to `read`.

    Raises:
        DataError: no such data set, or it cannot be fetched; the message says where to put the files by hand.
    """
    if name not in DATASETS:
        raise DataError(f"there is no data set '{name}' to download, only {', '.join(DATASETS)}")
    folder = Path(root) / name / str(datasets.IMDB.dirname)
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Into a folder beside and renamed: torchtext takes half an archive of an earlier attempt for the whole.
        with tempfile.TemporaryDirectory(dir=folder.parent) as part, tamed(torchtext.utils):
            Path(datasets.IMDB.download(part)).rename(folder)
    except FAILURES as error:
        raise not_fetched(
            name, datasets.IMDB.urls[0], f"{folder / 'train'} and {folder / 'test'} are", error
        ) from error
    return folder


def choose_tokens(texts: Sequence[str]) -> Tokens:
    """Characters where texts are short or write no spaces between words, else words.

    Short: the median has at most 200 characters, too few words to learn each of them. No spaces (Chinese, Japanese,
    Thai): more than 12 characters from space to space, on average. Of more than 10,000 texts some, evenly spread, are
    looked at.
    """
    sample = texts[:: len(texts) // 10_000 + 1]
    spaces = sum(len(text.split()) for text in sample)
    letters = sum(len(text) for text in sample)
    short = statistics.median(map(len, sample)) <= _SHORT_TEXT
    return "characters" if short or letters > _LONG_WORD * spaces else "words"


def build_vocabulary(
    texts: Iterable[str], *, tokens: Tokens, lowercase: bool = True, max_size: int, min_frequency: int = 1
) -> tuple[str, ...]:
    """The most frequent tokens, equal ones in the order of their characters, after padding and unknown.

    Args:
        texts: the training texts.
        tokens: what one token is.
        lowercase: whether capitals are read as small letters.
        max_size: how many there are at most, padding and unknown included.
        min_frequency: a token that occurs less often is left out.
    """
    field = data.Field(
        tokenize=lambda text: tokenize(text, tokens=tokens, lowercase=lowercase), pad_token=PADDING, unk_token=UNKNOWN
    )
    # torchtext adds the two to the size, and puts unknown first where we have padding.
    field.build_vocab(map(field.preprocess, texts), max_size=max(0, max_size - 2), min_freq=min_frequency)
    return (PADDING, UNKNOWN, *field.vocab.itos[2:])


class _Shuffler(data.utils.RandomShuffler):  # type: ignore[misc]
    """Shuffles from its own seed; the original borrows and returns the state of the whole program's generator."""

    def __init__(self, seed: int) -> None:
        self._generator = random.Random(seed)
        super().__init__(self._generator.getstate())

    def __call__(self, items: Sequence[Any]) -> list[Any]:
        return self._generator.sample(items, len(items))


class TextBatches:
    """Texts in batches, an `examples.Batches`; each text is encoded once, when this is made.

    With a seed an epoch is shuffled and a batch holds texts of like length, longest first; without one the order is
    fixed, from short to long. Lengths are padded to one of few: torch holds memory for every shape that it has seen.

    Args:
        examples: texts that `transform` accepts.
        transform: how a text becomes ids.
        batch_size: texts per batch; the last one may have fewer.
    """

    def __init__(self, examples: Examples[str], transform: TextTransform, *, batch_size: int) -> None:
        self.transform = transform
        self.batch_size = batch_size
        # All texts in one array: a tensor of its own for each would take several times the memory of its ids.
        ids, ends = array("i"), array("q", [0])
        for text in examples.items:
            ids.extend(transform.ids(text))
            ends.append(len(ids))
        self._ids = torch.from_numpy(np.array(ids, dtype=np.int32))
        self._ends = ends
        self._label_ids = label_tensor(examples)

    @property
    def examples(self) -> int:
        """How many texts one pass has."""
        return len(self._label_ids)

    @property
    def tokens(self) -> int:
        """How many tokens all texts have together, each cut to the transform's limit."""
        return len(self._ids)

    @property
    def positions(self) -> Sequence[int]:
        """From the shortest text to the longest."""
        return list(chain.from_iterable(self._positions(None)))

    def __len__(self) -> int:
        return -(-self.examples // self.batch_size)

    def epoch(self, seed: int | None = None) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        """One pass over all texts.

        Yields:
            (ids (N, L) int64, lengths (N,) int64) and label ids (N,) int64.
        """
        for positions in self._positions(seed):
            ids, lengths = self.transform.collate([self._ids[self._ends[i] : self._ends[i + 1]] for i in positions])
            yield (functional.pad(ids, (0, -ids.shape[1] % _step(ids.shape[1]))), lengths), self._label_ids[positions]

    def _positions(self, seed: int | None) -> Iterator[list[int]]:
        """What torchtext's BucketIterator does, on bare positions."""
        if seed is None:
            yield from data.batch(sorted(range(self.examples), key=self._length), self.batch_size)
            return
        shuffler = _Shuffler(seed)
        order, options = shuffler(range(self.examples)), {"shuffle": True, "sort_within_batch": True}
        for positions in data.pool(order, self.batch_size, self._length, random_shuffler=shuffler, **options):
            yield sorted(positions, key=self._length, reverse=True)

    def _length(self, position: int) -> int:
        return self._ends[position + 1] - self._ends[position]


def _step(length: int) -> int:
    """What the lengths of batches are multiples of: the power of two that is an eighth to a sixteenth of `length`."""
    return 1 << max(0, length.bit_length() - 4)


def vectors(
    name: str | Path,
    vocabulary: Sequence[str],
    *,
    dimensions: int | None = None,
    cache: str | Path = ".vector_cache",
    seed: int = 0,
) -> Tensor:
    """Trained vectors for the tokens of a vocabulary.

    Args:
        name: one of VECTORS, which torchtext downloads, or a file with a token and its numbers per line.
        vocabulary: all tokens, padding first.
        dimensions: how many numbers a vector must have; None takes what there is.
        cache: the folder that downloaded vectors are kept in.
        seed: for the small random vectors of the tokens that have none.

    Returns:
        (V, D) float32, zeros for padding.

    Raises:
        DataError: there is no such name or file, it cannot be fetched or read, or has other dimensions.
    """
    check_vectors(name, dimensions=dimensions)
    table = _file_vectors(Path(name)) if Path(name).is_file() else _named_vectors(str(name), Path(cache))
    if dimensions is not None and table.dim != dimensions:
        raise DataError(f"the vectors of {name} have {table.dim} dimensions, not {dimensions}: choose others")
    known = [(row, table.stoi[token]) for row, token in enumerate(vocabulary) if token in table.stoi]
    if not known:
        raise DataError(f"{name} has none of the {len(vocabulary):,} tokens: is it of another language, or of words?")
    result = torch.randn((len(vocabulary), table.dim), generator=torch.Generator().manual_seed(seed)) * 0.1
    rows, sources = map(list, zip(*known, strict=True))
    result[rows] = table.vectors[sources]
    result[0] = 0.0
    if not result.isfinite().all():
        raise DataError(f"{name} has numbers that are not finite: fetch or make it anew")
    return result


def check_vectors(name: str | Path, *, dimensions: int | None = None) -> None:
    """Refuse what `vectors` would refuse in the end, before anything is read or downloaded.

    Raises:
        DataError: there is no such file or name, or the name says that they have other dimensions.
    """
    if not Path(name).is_file() and name not in VECTORS:
        raise DataError(f"there is no file {name}, and no vectors of that name to download: {', '.join(VECTORS)}")
    if dimensions is not None and name in VECTORS and not str(name).endswith(f".{dimensions}d"):
        raise DataError(f"the vectors of {name} have not {dimensions} dimensions: choose others")


def _named_vectors(name: str, cache: Path) -> Any:
    group, _, size = name.removeprefix("glove.").rpartition(".")
    file = cache / f"glove.{group}.{size}.txt"
    try:
        drop_half_extracted(cache / Path(torchtext.vocab.GloVe.url[group]).name, file)
        with tamed(torchtext.vocab):
            return torchtext.vocab.GloVe(name=group, dim=int(size.removesuffix("d")), cache=str(cache))
    except FAILURES as error:
        raise not_fetched(name, torchtext.vocab.GloVe.url[group], f"{file} is", error) from error
    except Exception as error:  # torch.load and torchtext's parser raise what they come upon
        raise DataError(f"cannot read {file}: {cause(error)}. Remove it and {file}.pt, and try again") from error


def _file_vectors(path: Path) -> Any:
    try:
        # A cache of its own: torchtext keeps what it read under the bare name and would take another file for this one.
        with tempfile.TemporaryDirectory() as cache, tamed(torchtext.vocab):
            return torchtext.vocab.Vectors(str(path), cache=cache)
    except Exception as error:  # torchtext's parser raises what it comes upon: TypeError, ValueError, RuntimeError
        needed = "Each line needs a token and the same three or more numbers, with single spaces between"
        raise DataError(f"cannot read vectors from {path}: {cause(error)}. {needed}") from error
