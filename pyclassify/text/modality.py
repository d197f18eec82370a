"""Texts as a kind of input."""

from __future__ import annotations

import hashlib
import json
import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import torch
from torch import Tensor, nn

from pyclassify.dedup import Duplicates, Selection, selected
from pyclassify.errors import ConfigError
from pyclassify.locales import Message
from pyclassify.manifest import Network, Ood
from pyclassify.modality import BaselineAnswers, Corpus, Modality, OnStep, SelfTestSource, Task
from pyclassify.text import dedup, explain, networks, ood
from pyclassify.text.explain import TextExplanation
from pyclassify.text.ood import TextOod
from pyclassify.text.transform import MIN_TOKENS, TextTransform, Tokens
from pyclassify.training.config import TEXT_DATASETS, TEXT_NETWORKS, FitConfig, TextConfig

if TYPE_CHECKING:
    from pydantic import JsonValue

VOCABULARY: Final = "vocab.txt"
"""The tokens of a checkpoint, one per line, in the order of their ids."""

MAX_VOCABULARY: Final = {"words": 30_000, "characters": 4_000}
MIN_VOCABULARY: Final = 3
"""Padding, the unknown token and one other."""

FREQUENT_FROM: Final = 1_000
"""From so many training texts on, a token of the vocabulary must occur twice."""

EXCERPT: Final = 60
"""Characters of a text that stand for it in the data report."""

SENTENCE: Final = "The first half was slow, but I don\u2019t think that anyone will forget the END!"
KOREAN: Final = "처음에는 지루했지만, 마지막 장면은 정말 좋았어요!"

LONG_TOKENS: Final = 1024
"""The long text of the self-test has more tokens than the transform takes, but need not be longer than this."""


class TextModality(Modality):
    """Texts: strings that are tokenized, classified by words or characters, and explained by their words."""

    kind: ClassVar[str] = "text"
    reads: ClassVar[Literal["files", "rows"]] = "rows"
    batch_size: ClassVar[int] = 256
    extra_files: ClassVar[tuple[str, ...]] = (VOCABULARY,)

    # Serving

    def make_transform(self, settings: Mapping[str, JsonValue], files: Mapping[str, bytes]) -> TextTransform:
        """Make the transform of a checkpoint. Raises ValueError for settings or a vocabulary that cannot work."""
        return TextTransform.from_settings(settings, files[VOCABULARY].decode().split("\n"))

    def transform_files(self, transform: Any) -> dict[str, bytes]:
        """Return the vocabulary as a file."""
        return {VOCABULARY: "\n".join(transform.vocabulary).encode()}

    def build(self, settings: Network, *, num_labels: int) -> nn.Module:
        """Make a network with random weights. Raises TypeError or ValueError for settings that cannot work."""
        arguments: dict[str, Any] = dict(settings.arguments)
        return networks.build(settings.name, num_labels=num_labels, **arguments)

    def load_ood(self, network: nn.Module, settings: Ood, tensors: Mapping[str, Tensor]) -> TextOod:
        """Make the OOD detector of a checkpoint. Raises ValueError if the parts do not fit together."""
        return TextOod(network, settings, tensors)

    def explain(
        self,
        network: nn.Module,
        transform: Any,
        item: Any,
        tensor: Tensor,
        *,
        label: str,
        label_id: int,
        probability: float,
        device: torch.device,
    ) -> TextExplanation:
        """Attribute the log-odds of a label to the words of a text."""
        spans = explain.word_weights(network, transform, item, tensor, label_id, device)
        return TextExplanation(label, probability, spans)

    def sample(self) -> str:
        """Return a text that every transform reads."""
        return "a"

    def selftest_sources(self, transform: Any) -> list[SelfTestSource]:
        """Return a sentence, Hangul in decomposed form, and a text that is cut off, of tokens in the vocabulary."""
        base = _frequent_tokens(transform)
        # characters have a space at both ends, of which a repetition adds only one
        per_repetition = len(transform(base).tensor) - (transform.tokens == "characters")
        times = math.ceil((min(transform.max_tokens, LONG_TOKENS) + 1) / per_repetition) + 1
        return [
            SelfTestSource(name="sentence", text=SENTENCE),
            SelfTestSource(name="decomposed_hangul", text=unicodedata.normalize("NFD", KOREAN)),
            SelfTestSource(name="long_text", text=base, times=times),
        ]

    def reading(self, tensor: Tensor) -> dict[str, JsonValue]:
        """Return the number of tokens and a digest of their ids."""
        digest = hashlib.sha256(json.dumps(tensor.tolist()).encode()).hexdigest()[:16]
        return {"tokens": len(tensor), "ids": digest}

    def compare_readings(
        self, noted: Mapping[str, JsonValue], now: Mapping[str, JsonValue]
    ) -> tuple[bool, Message | None]:
        """Compare two readings; ids that differ are too far apart to compare answers."""
        if noted["ids"] == now["ids"]:
            return True, None
        if noted["tokens"] == now["tokens"]:
            return False, Message("selftest.token_ids_differ", {"count": now["tokens"]})
        return False, Message("selftest.token_counts_differ", {"noted": noted["tokens"], "now": now["tokens"]})

    # Training

    def check(self, config: TextConfig) -> None:
        """Refuse options that cannot work, before any data is read. Raises ConfigError or DataError."""
        choices = {"network": TEXT_NETWORKS, "tokens": ("auto", *MAX_VOCABULARY)}
        if config.dataset is not None:
            choices["dataset"] = TEXT_DATASETS
        for name, known in choices.items():
            if getattr(config, name) not in known:
                raise ConfigError("option_unknown", option=name, known=known, value=repr(getattr(config, name)))
        for name, low in (("max_tokens", MIN_TOKENS), ("vocabulary_size", MIN_VOCABULARY)):
            value = getattr(config, name)
            if value is not None and value < low:
                raise ConfigError("option_too_small", option=name, low=low, value=str(value))
        if config.vectors and config.network != "lstm":
            raise ConfigError("vectors_need_lstm")
        if config.vectors:
            from pyclassify.text.datasets import check_vectors  # imports torchtext

            check_vectors(config.vectors)

    def read(self, config: TextConfig, *, inspect_only: bool = False, on_step: OnStep | None = None) -> Corpus[str]:
        """Locate, download if asked for, read and split the data. Raises DataError or ConfigError."""
        from pyclassify.text.data import read_dataset  # imports torchtext

        splits, root = read_dataset(config, on_step=on_step)
        return Corpus(splits=replace(splits, name=config.data_name or splits.name), root=root)

    def find_duplicates(self, corpus: Corpus[str], *, on_step: OnStep | None = None) -> Duplicates:
        """Find texts with equal words, and near-duplicates."""
        return dedup.find([text for part in corpus.splits.parts.values() for text in part.items])

    def select(self, corpus: Corpus[str], selection: Selection) -> Corpus[str]:
        """Return the corpus with the examples that a selection gives to each split."""
        train, validation, test = selected(corpus.splits, selection)
        return replace(corpus, splits=replace(corpus.splits, train=train, validation=validation, test=test))

    def sizes(self, corpus: Corpus[str]) -> dict[str, Sequence[int]]:
        """Count the characters and words of every text."""
        texts = [text for part in corpus.splits.parts.values() for text in part.items]
        return {"characters": list(map(len, texts)), "words": [len(text.split()) for text in texts]}

    def item_name(self, corpus: Corpus[str], item: str) -> str:
        """Return the beginning of a text."""
        return f"“{item[:EXCERPT]}…”" if len(item) > EXCERPT else f"“{item}”"

    def mistake_name(self, item: str, position: int) -> str:
        """Return the number of a test example: its text is not the card's to publish."""
        return f"text {position + 1:,} of the test data"

    def prepare(self, config: TextConfig, corpus: Corpus[str], device: torch.device) -> Task:
        """Choose vocabulary, sizes and settings for the data, and make the network, its transform and the batches."""
        from pyclassify.text.data import TextBatches

        splits = corpus.splits
        transform = _make_transform(config, splits.train.items)
        fit = _fit_config(config, num_examples=len(splits.train))
        train, validation, test = (
            TextBatches(part, transform, batch_size=fit.batch_size) for part in splits.parts.values()
        )
        num_labels = len(splits.labels)
        arguments = networks.arguments_for(
            config.network,
            vocabulary_size=len(transform.vocabulary),
            num_labels=num_labels,
            tokens=transform.tokens,
            num_examples=len(splits.train),
            num_tokens=train.num_tokens,
        )
        torch.manual_seed(config.seed)
        network = networks.build(config.network, num_labels=num_labels, **arguments)
        if config.vectors and not (config.resume or config.measure_only):
            from pyclassify.text.datasets import load_vectors

            assert isinstance(network, networks.Lstm)  # see `check`
            size = int(arguments["embedding_size"])
            network.load_vectors(
                load_vectors(config.vectors, transform.vocabulary, dimensions=size, cache="data/vectors")
            )
        return Task(
            network=network,
            settings=Network(name=config.network, arguments=arguments),
            transform=transform,
            train=train,
            validation=validation,
            test=test,
            fit=fit,
            variant={"vectors": config.vectors} if config.vectors else {},
        )

    def fit_ood(self, network: nn.Module, task: Task) -> tuple[Ood, dict[str, Tensor]]:
        """Fit the OOD detector: counts of training tokens, scales and threshold on validation data."""
        assert isinstance(task.transform, TextTransform)
        return ood.fit(network, task.train, task.validation, transform=task.transform)

    def fit_baseline(self, corpus: Corpus[str], task: Task) -> BaselineAnswers:
        """Train a support vector machine on TF-IDF of the same texts and answer the test data."""
        assert isinstance(task.transform, TextTransform)
        tokens = task.transform.tokens
        label_ids = networks.fit_baseline(corpus.splits.train, corpus.splits.test.items, tokens=tokens)
        return BaselineAnswers(name=f"tfidf_svm_{tokens}", fields={}, label_ids=label_ids)


def _frequent_tokens(transform: TextTransform) -> str:
    """Join two dozen tokens of letters and digits, frequent and rarer ones: those are tokens everywhere."""
    tokens = [token for token in transform.vocabulary[2:2002] if token.isalnum()]
    chosen = tokens[:: max(1, len(tokens) // 24)][:24] or [SENTENCE]
    return "".join(chosen) + " " if transform.tokens == "characters" else " ".join(chosen) + " "


def _make_transform(config: TextConfig, texts: Sequence[str]) -> TextTransform:
    from pyclassify.text.data import build_vocabulary, choose_tokens

    tokens: Tokens
    if config.tokens == "auto":
        # the tutorial's program reads words; an LSTM over characters would be another model
        tokens = "words" if config.network == "lstm" else choose_tokens(texts)
    else:
        tokens = config.tokens  # type: ignore[assignment]  # see `TextModality.check`
    vocabulary = build_vocabulary(
        texts,
        tokens=tokens,
        max_size=config.vocabulary_size or MAX_VOCABULARY[tokens],
        min_frequency=2 if len(texts) >= FREQUENT_FROM else 1,
    )
    return TextTransform(vocabulary, tokens=tokens, max_tokens=config.max_tokens)


def _fit_config(config: TextConfig, *, num_examples: int) -> FitConfig:
    settings = networks.fit_defaults(config.network, num_examples=num_examples)
    for name in ("epochs", "minutes", "batch_size", "learning_rate", "patience"):
        if getattr(config, name) is not None:
            settings[name] = getattr(config, name)
    # networks for text gain nothing from autocast
    precision = "float32" if config.precision == "auto" else config.precision
    return FitConfig(**settings, seed=config.seed, precision=precision, compile=config.compile)
