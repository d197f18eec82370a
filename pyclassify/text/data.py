"""Labelled texts from folders and tables: splits, vocabulary and batches.

A file or row that cannot be used is skipped with the reason; a folder or table that is useless as a whole is an error.
"""

from __future__ import annotations

import codecs
import re
import statistics
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pyclassify import archives, tables
from pyclassify.dataset import (
    SPLITS,
    Examples,
    Parts,
    Skipped,
    Splits,
    derived_notes,
    find_parts,
    group_copies,
    is_number,
    join_labels,
    normalize_label,
    printable,
    sorted_labels,
    split,
    split_named,
    visible_folders,
)
from pyclassify.errors import DataError, InputError
from pyclassify.formats import TABLE_SUFFIXES, is_junk, suffix_of, table_suffix
from pyclassify.locales import Message
from pyclassify.modality import OnStep
from pyclassify.text import datasets
from pyclassify.text.transform import PADDING, UNKNOWN, TextTransform, Tokens, normalize, tokenize
from pyclassify.training.config import TextConfig

UNLABELLED_FOLDER: Final = "unsup"
"""IMDB's folder of texts without labels, which is skipped."""

DOWNLOADS: Final = Path("data")
"""Folder that data sets are downloaded to."""

DEFAULT_COLUMNS: Final = ("text", "label")
"""Columns of texts and labels, if no others are named."""

_TEXT_SUFFIX = ".txt"
_LABELLED_TABLES = frozenset(TABLE_SUFFIXES) - {_TEXT_SUFFIX}
_STEP = 1000
_SAMPLED_FILES = 200
_LISTED = 5
"""Labels that an error message lists."""

_SPLIT_COLUMNS = frozenset({"split", "subset", "partition", "fold", "is_valid", "is_validation", "is_test"})
_LABEL_SEPARATORS = ("|", ";", ",")
_LONG_WORD = 12
_SHORT_TEXT = 200
_SHORT_TOKENS: Final[dict[Tokens, int]] = {"words": 5, "characters": 17}
"""Maximum for `least_usual_length`: five words, or fifteen characters between two spaces."""


def read_dataset(config: TextConfig, *, on_step: OnStep | None = None) -> tuple[Splits[str], Path]:
    """Read labelled texts and derive the splits that the source does not have.

    The source is a folder with `train/<label>/*.txt` and possibly `test/` and `val/`, or a folder per label, or a
    table; `config.test` may name the test texts apart, as a folder per label or a table.

    Args:
        config: where and how to read, how to split, and with which seed.
        on_step: told of the files that were read.

    Returns:
        The splits, and the folder or file that they came from.

    Raises:
        ConfigError: there is no such data set to download.
        DataError: nothing can be learned from the data, or they cannot be read.
    """
    path = config.data if config.data is not None else datasets.download(str(config.dataset), DOWNLOADS)
    path = archives.unpack(path)
    parts = _locate_splits(path, config.test and archives.unpack(config.test))
    places = dict(parts.folders)
    sources: dict[str, _Source] = {}
    for name, place in parts.folders.items():
        if place.is_dir():
            sources[name] = _read_folder(place, config.encoding, on_step)
        else:
            by_split = _read_table(place, config)
            if name == "test" or len(by_split) == 1:
                sources[name] = _Source.joined(by_split.values())
            elif "test" in parts.folders:
                raise DataError("test_given_twice", path=place)
            else:
                sources |= by_split
                places |= dict.fromkeys(by_split, place)
    _relabel(sources, config)
    labels = _check_labels(sources, places)
    examples = {name: source.examples(labels) for name, source in sources.items()}
    fractions = {"test": config.test_fraction, "validation": config.validation_fraction}
    derived = tuple(name for name in fractions if name not in examples)
    for name in derived:
        _check_enough(examples["train"], labels, 2 + (name == "test" and "validation" not in examples))
        examples["train"], examples[name] = split(examples["train"], fraction=fractions[name], seed=config.seed)
    splits = Splits(
        name=_data_name(path),
        labels=labels,
        skipped=(*parts.skipped, *chain.from_iterable(source.skipped for source in sources.values())),
        seed=config.seed,
        derived=derived,
        notes=(
            *parts.notes,
            *chain.from_iterable(source.notes for source in sources.values()),
            *derived_notes(parts, derived, config.test_fraction),
        ),
        **examples,
    )
    return splits, path


# Locating


def _locate_splits(path: Path, test: Path | None) -> Parts:
    """Return the places of "train" and, where they exist, "validation" and "test". Raises DataError."""
    for place, option in ((path, "--data"), (test, "--test")):
        if place is not None and not place.exists():
            raise DataError("text_path_missing", path=place, option=option)
    parts = _folder_splits(path) if path.is_dir() else Parts({"train": path})
    return parts if test is None else replace(parts, folders={**parts.folders, "test": test})


def _folder_splits(path: Path) -> Parts:
    parts = find_parts(path)
    if parts.folders:
        return parts
    folders = _label_folders(path)
    others = [folder.name for folder in folders if folder.name in ("val", "test")]
    if others:
        raise DataError("text_split_without_train", path=path, folder=others[0])
    if not folders:
        candidates = sorted(entry for entry in path.iterdir() if table_suffix(entry.name) in _LABELLED_TABLES)
        if candidates:
            raise DataError("text_folder_of_tables", path=path, example=candidates[0])
    return Parts({"train": path})


def _label_folders(folder: Path) -> list[Path]:
    return [entry for entry in visible_folders(folder) if entry.name != UNLABELLED_FOLDER]


def _data_name(path: Path) -> str:
    """Name a data set after its path: `train.tsv` in a folder `naver` is naver."""
    path = path.resolve()
    if path.is_file():
        return printable(path.parent.name if path.stem.lower() in ("train", "training", "data") else path.stem)
    return printable(path.name)


# Reading


@dataclass(frozen=True, slots=True)
class _Source:
    """Pairs of text and label in the order of the source, and what was left out."""

    pairs: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[Message] = field(default_factory=list)

    @classmethod
    def joined(cls, sources: Iterable[_Source]) -> _Source:
        """Return one source with the content of several."""
        result = cls()
        for source in sources:
            result.pairs.extend(source.pairs)
            result.skipped.extend(source.skipped)
            result.notes.extend(source.notes)
        return result

    @property
    def labels(self) -> set[str]:
        return {label for _, label in self.pairs}

    def examples(self, labels: Sequence[str]) -> Examples[str]:
        ids = {label: position for position, label in enumerate(labels)}
        return Examples(tuple(text for text, _ in self.pairs), tuple(ids[label] for _, label in self.pairs))

    def add(self, name: str, text: str | None, label: str | None, problem: Message | None) -> None:
        """Add a text without white space at its ends, or skip it."""
        text = (text or "").strip()
        if problem is None and _is_empty(text):
            problem = Message("errors.row_empty")
        if problem is not None:
            self.skipped.append(Skipped(name, problem))
        else:
            assert label is not None  # a row without a label has a problem
            self.pairs.append((text, label))

    def note_encoding(self, name: str, encoding: str) -> None:
        """Note that an encoding other than UTF-8 was detected."""
        if encoding != "utf-8":
            self.notes.append(Message("notes.encoding_detected", {"name": name, "encoding": encoding}))

    def check(self, path: Path) -> None:
        """Raise DataError if no text can be used."""
        if self.pairs:
            return
        if not self.skipped:
            raise DataError("no_labelled_texts_in_folder" if path.is_dir() else "no_labelled_texts_in_table", path=path)
        first = self.skipped[0]
        fields = {"count": len(self.skipped), "name": first.name, "reason": first.reason}
        raise DataError("no_usable_texts", path=path, **fields)


def _is_empty(text: str) -> bool:
    # nearly every text has a letter, and only one without, or with markup, needs the whole rule
    return ("<" in text or not re.search(r"\w", text)) and not normalize(text, lowercase=False)


@contextmanager
def _data_errors(options: Mapping[str, str] | None = None) -> Iterator[None]:
    """Raise errors of the table reader, which takes inputs of visitors too, as errors of the data.

    Args:
        options: the option that names a column, by column.
    """
    try:
        yield
    except InputError as error:
        fields = dict(error.fields)
        option = (options or {}).get(fields.get("column", ""))
        if option and "columns" in fields:
            columns = {"columns": fields["columns"], "option": option}
            fields["columns"] = Message("notes.columns_with_option", columns)
        raise DataError(error.code, **fields) from error


def _read_folder(folder: Path, encoding: str | None, on_step: OnStep | None) -> _Source:
    """Read `<label>/*.txt`, one text per file, sorted by name. Raises DataError."""
    labels = {entry: _folder_label(entry) for entry in _label_folders(folder)}
    paths = [path for entry in labels for path in _files(entry)]
    source = _Source()
    damaged: list[bytes] = []
    if encoding is None:
        encoding = _detect_encoding(paths)
        source.note_encoding(folder.name, encoding)
    with _data_errors():
        for done, path in enumerate(paths, 1):
            text, problem = _read_file(path, encoding, damaged)
            source.add(path.relative_to(folder.parent).as_posix(), text, labels[path.parent], problem)
            if on_step is not None and (done % _STEP == 0 or done == len(paths)):
                on_step("reading", done, len(paths))
        if tables.is_other_encoding(len(damaged), len(paths)):
            raise tables.encoding_error(str(folder), encoding, b"\n".join(damaged))
    source.check(folder)
    return source


def _detect_encoding(paths: Sequence[Path]) -> str:
    """Return the likely encoding of text files, by some of them."""
    sample = []
    for path in paths[:: max(1, len(paths) // _SAMPLED_FILES)]:
        if suffix_of(path.name) == _TEXT_SUFFIX and path.is_file():
            with suppress(OSError):
                sample.append(path.read_bytes()[:10_000])
    mark = next((data for data in sample if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))), None)
    texts = (data for data in sample if not tables.is_binary(data, "utf-8"))
    return tables.guess_encoding(mark or b"\n".join(texts)) or "utf-8"


def _folder_label(folder: Path) -> str:
    label = tables.clean_label(folder.name)
    if isinstance(label, Message):
        raise DataError("label_folder_misnamed", name=printable(folder.name), path=folder.parent)
    return label


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not is_junk(path.name))
    except OSError as error:
        raise DataError("folder_unreadable", path=folder, reason=error.strerror or str(error)) from error


def _read_file(path: Path, encoding: str, damaged: list[bytes]) -> tuple[str | None, Message | None]:
    """Return the text of a file, or why it cannot be used; one in another encoding is added to `damaged`."""
    if path.is_dir():
        return None, Message("notes.skipped_folder")
    if not path.is_file():
        return None, Message("notes.skipped_not_a_file")
    if suffix_of(path.name) != _TEXT_SUFFIX:
        return None, Message("notes.skipped_not_txt")
    try:
        data = path.read_bytes()
    except OSError as error:
        return None, Message("notes.skipped_unreadable", {"reason": error.strerror or str(error)})
    if tables.is_binary(data, encoding):
        return None, Message("errors.row_binary")
    text = tables.decode(data, encoding, str(path))
    if tables.is_damaged(text):
        damaged.append(data[:10_000])
    return text, tables.text_problem(text)


def _read_table(path: Path, config: TextConfig) -> dict[str, _Source]:
    """Read a table with a text per row; a column that names the split of each row gives several sources.

    Raises:
        DataError: it cannot be read, no row can be used, or none belongs to the training data.
    """
    source = _Source()
    places: dict[str, list[Any]] = {}
    table = tables.PathSource(path)
    with _data_errors({config.text_column: "--text-column", config.label_column: "--label-column"}):
        encoding = tables.detect_encoding(table) if config.encoding is None else config.encoding
        if config.encoding is None:
            source.note_encoding(path.name, encoding)
        text_column, label_column = _choose_columns(table, config, source)
        for row in tables.read_rows(table, text_column=text_column, label_column=label_column, encoding=encoding):
            before = len(source.pairs)
            source.add(f"{path.name} {row.place}", row.text, row.label, row.problem)
            if len(source.pairs) > before:
                for name, value in row.others.items():
                    if name.strip().lower() in _SPLIT_COLUMNS:
                        places.setdefault(name, [None] * before).append(value)
                for values in places.values():
                    values.extend([None] * (len(source.pairs) - len(values)))
    source.check(path)
    for name, values in places.items():
        if splits := _splits_of_rows(name.strip().lower(), values):
            return _by_split(source, splits, path, name)
    return {"train": source}


def _choose_columns(table: tables.TableSource, config: TextConfig, source: _Source) -> tuple[str, str]:
    """Return the columns of texts and labels: as they are named, or else as their names and content suggest.

    Raises:
        InputError: the table cannot be read.
        DataError: several columns may hold the labels.
    """
    names = tables.column_names(table)
    text_column, label_column = config.text_column, config.label_column
    if text_column not in names and text_column == DEFAULT_COLUMNS[0] and names:
        text_column = tables.guess_text_column(table)
    if label_column not in names and label_column == DEFAULT_COLUMNS[1] and names:
        candidates = tables.label_columns(table, text_column)
        if len(candidates) > 1:
            raise DataError("label_column_unclear", name=table.name, columns=list(candidates[:_LISTED]))
        label_column = candidates[0] if candidates else label_column
    if (text_column, label_column) != (config.text_column, config.label_column) and label_column in names:
        columns = {"text_column": text_column, "label_column": label_column}
        source.notes.append(Message("notes.columns_chosen", columns))
    return text_column, label_column


def _splits_of_rows(column: str, values: Sequence[Any]) -> list[str] | None:
    """Return the split of each row, empty where its value stands for none; None if it is no column of splits."""
    if column in ("is_valid", "is_validation", "is_test"):
        other = "test" if column == "is_test" else "validation"
        splits = [
            {"true": other, "1": other, "false": "train", "0": "train"}.get(_lower(value), "") for value in values
        ]
    else:
        splits = [split_named(str(value)) for value in values]
        numbers = {_lower(value) for value in values}
        if column == "fold" and len(numbers) > 1 and all(map(is_number, numbers)):
            last = max(numbers, key=float)
            splits = ["test" if _lower(value) == last else "train" for value in values]
    return splits if "train" in splits and 2 * sum(map(bool, splits)) > len(splits) and len(set(splits)) > 1 else None


def _lower(value: Any) -> str:
    return str(value).strip().lower()


def _by_split(source: _Source, splits: Sequence[str], path: Path, column: str) -> dict[str, _Source]:
    """Divide the rows of a table by their splits."""
    parts = {name: _Source() for name in SPLITS if name in splits}
    for pair, name in zip(source.pairs, splits, strict=True):
        if name:
            parts[name].pairs.append(pair)
    parts["train"].skipped.extend(source.skipped)
    if lost := splits.count(""):
        parts["train"].skipped.append(
            Skipped(path.name, Message("notes.rows_of_no_split", {"count": lost, "column": column}))
        )
    counts = {name: len(part.pairs) for name, part in parts.items()}
    listed = [
        Message("notes.rows_of_split", {"split": Message(f"splits.{name}"), "count": count})
        for name, count in counts.items()
    ]
    parts["train"].notes.extend(source.notes)
    parts["train"].notes.append(Message("notes.split_column", {"column": column, "splits": listed}))
    return parts


# Labels


def _relabel(sources: Mapping[str, _Source], config: TextConfig) -> None:
    """Read different forms of one label as one, and leave out the labels of `config.leave_out`.

    Raises:
        DataError: labels stand for several at once, such as "a|b" beside "a" and "b".
    """
    counts = Counter(label for source in sources.values() for _, label in source.pairs)
    joined = join_labels(counts, ignore_case=config.ignore_case)
    left_out = set(map(normalize_label, config.leave_out))
    for source in sources.values():
        kept = [(text, joined[label]) for text, label in source.pairs if not {label, joined[label]} & left_out]
        if dropped := len(source.pairs) - len(kept):
            source.skipped.append(
                Skipped(", ".join(sorted(left_out)), Message("notes.label_left_out", {"count": dropped}))
            )
        source.pairs[:] = kept
    _check_single({label for source in sources.values() for label in source.labels})


def _check_single(labels: set[str]) -> None:
    """Raise DataError if labels are combinations of few others: then rows have several labels."""
    for separator in _LABEL_SEPARATORS:
        combined = sorted(label for label in labels if separator in label)
        pieces = {piece.strip() for label in labels for piece in label.split(separator)}
        if combined and len(pieces) < len(labels):
            raise DataError("several_labels_per_row", example=combined[0], labels=sorted(pieces)[:_LISTED])


def _check_labels(sources: dict[str, _Source], places: dict[str, Path]) -> tuple[str, ...]:
    """Return the labels of the training texts, in order.

    Raises:
        DataError: they are fewer than two, the test texts have other ones, or the validation texts have further ones.
    """
    by_split = {name: source.labels for name, source in sources.items()}
    labels = by_split["train"]
    if len(labels) < 2:
        raise DataError("text_single_label", path=places["train"], label=next(iter(labels)))
    for name, own in by_split.items():
        fields = {"path": places[name], "train": places["train"]}
        if own - labels:
            raise DataError("labels_not_in_train", labels=_listed(own - labels), **fields)
        if labels - own and name == "test":
            raise DataError("labels_not_in_test", labels=_listed(labels - own), **fields)
    return sorted_labels(labels)


def _check_enough(examples: Examples[str], labels: Sequence[str], needed: int) -> None:
    """Check that each label has enough different texts; a text with several labels counts for its most frequent one.

    Raises:
        DataError: a label has fewer.
    """
    _, group_labels = group_copies(examples)
    counts = np.bincount(group_labels, minlength=len(labels))
    rare = [label for label_id, label in enumerate(labels) if counts[label_id] < needed]
    if rare:
        raise DataError("labels_too_rare", labels=_listed(rare), needed=needed)


def _listed(labels: Iterable[str]) -> Message | list[str]:
    names = [f"'{label[:40]}'" for label in sorted(labels)]
    if len(names) <= _LISTED:
        return names
    return Message("notes.names_and_more", {"names": names[:_LISTED], "count": len(names) - _LISTED})


# Vocabulary


def choose_tokens(texts: Sequence[str]) -> Tokens:
    """Choose characters for short texts and for scripts that write no spaces between words, else words.

    Texts are short if the median has at most 200 characters: too few words to learn each of them. A script has no
    spaces (Chinese, Japanese, Thai) if there are more than 12 characters per word on average. Of more than 10,000
    texts, an evenly spaced sample is looked at.
    """
    sample = texts[:: len(texts) // 10_000 + 1]
    num_words = sum(len(text.split()) for text in sample)
    num_characters = sum(len(text) for text in sample)
    is_short = statistics.median(map(len, sample)) <= _SHORT_TEXT
    return "characters" if is_short or num_characters > _LONG_WORD * num_words else "words"


def build_vocabulary(
    texts: Iterable[str], *, tokens: Tokens, lowercase: bool = True, max_size: int, min_frequency: int = 1
) -> tuple[str, ...]:
    """Choose the most frequent tokens, after padding and unknown; ties are broken by the order of characters.

    Args:
        texts: training texts.
        tokens: kind of token.
        lowercase: whether capitals are read as small letters.
        max_size: tokens at most, padding and unknown included.
        min_frequency: rarer tokens are left out.
    """
    return datasets.build_vocabulary(
        texts,
        tokenize=lambda text: tokenize(text, tokens=tokens, lowercase=lowercase),
        max_size=max_size,
        min_frequency=min_frequency,
        padding=PADDING,
        unknown=UNKNOWN,
    )


def least_usual_length(texts: Sequence[str], *, tokens: Tokens) -> int:
    """Return the number of tokens below which a text is called short: the first percentile of the training texts.

    It is at most _SHORT_TOKENS. Of more than 10,000 texts, an evenly spaced sample is used.
    """
    sample = texts[:: len(texts) // 10_000 + 1]
    lengths = [len(tokenize(text, tokens=tokens)) for text in sample]
    return min(_SHORT_TOKENS[tokens], int(np.quantile(lengths, 0.01)))


# Batches


class TextBatches:
    """Texts in batches, a `dataset.Batches`; each text is encoded once, when this is made.

    With a seed an epoch is shuffled and a batch holds texts of similar length, the longest first; without one the order
    is fixed, from short to long. Batches are padded to one of few lengths: torch keeps memory for every shape that it
    has seen.

    Args:
        examples: texts that `transform` accepts.
        transform: encodes the texts.
        batch_size: texts per batch; the last one may have fewer.
    """

    def __init__(self, examples: Examples[str], transform: TextTransform, *, batch_size: int) -> None:
        self.transform = transform
        self.batch_size = batch_size
        # all texts in one array: a tensor for each would take several times the memory of its ids
        ids, ends = array("i"), array("q", [0])
        for text in examples.items:
            ids.extend(transform.ids(text))
            ends.append(len(ids))
        self._ids = torch.from_numpy(np.array(ids, dtype=np.int32))
        self._ends = ends
        self._label_ids = examples.label_tensor()

    @property
    def num_examples(self) -> int:
        """Number of texts in an epoch."""
        return len(self._label_ids)

    @property
    def num_tokens(self) -> int:
        """Number of tokens of all texts together, each cut to the transform's limit."""
        return len(self._ids)

    @property
    def positions(self) -> Sequence[int]:
        """Positions of the texts from the shortest to the longest, the order of an epoch without a seed."""
        return list(chain.from_iterable(self._batches(None)))

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return -(-self.num_examples // self.batch_size)

    def epoch(self, seed: int | None = None) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        """Iterate over all texts once.

        Yields:
            (ids (N, L) int64, lengths (N,) int64) and label ids (N,) int64.
        """
        for positions in self._batches(seed):
            ids, lengths = self.transform.collate([self._ids[self._ends[i] : self._ends[i + 1]] for i in positions])
            padding = -ids.shape[1] % _length_step(ids.shape[1])
            yield (functional.pad(ids, (0, padding)), lengths), self._label_ids[positions]

    def _batches(self, seed: int | None) -> Iterator[list[int]]:
        size, length = self.num_examples, self._length
        if seed is None:
            return datasets.sorted_batches(size, batch_size=self.batch_size, length=length)
        return datasets.shuffled_buckets(size, batch_size=self.batch_size, length=length, seed=seed)

    def _length(self, position: int) -> int:
        return self._ends[position + 1] - self._ends[position]


def _length_step(length: int) -> int:
    """Return what padded lengths are multiples of: the power of two from a sixteenth to an eighth of `length`."""
    return 1 << max(0, length.bit_length() - 4)
