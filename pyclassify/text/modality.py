"""Texts as a kind of input."""

from __future__ import annotations

import hashlib
import json
import math
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

import torch
from torch import Tensor, nn

from pyclassify.dataset import Batches, Examples, calibration_positions
from pyclassify.dedup import Duplicates, Selection, selected
from pyclassify.errors import ConfigError
from pyclassify.locales import Message
from pyclassify.manifest import Network, Ood
from pyclassify.modality import BaselineAnswers, Corpus, LoadStart, Modality, OnStep, SelfTestSource, Task
from pyclassify.text import dedup, encoder, english, explain, networks, ood
from pyclassify.text.encoder import PieceTransform
from pyclassify.text.explain import TextExplanation
from pyclassify.text.ngrams import FEW_TEXTS, NgramTable
from pyclassify.text.ood import MEANING, TextOod
from pyclassify.text.transform import MIN_TOKENS, TextTransform, Tokens
from pyclassify.text.word_scores import FEW_FOR_WORDS, MAX_LABELS, WordScores, known_tokens
from pyclassify.training import trainer
from pyclassify.training.config import TEXT_DATASETS, TEXT_NETWORKS, FitConfig, TextConfig
from pyclassify.training.trainer import CrossFits

if TYPE_CHECKING:
    from pydantic import JsonValue

    from pyclassify.text.teacher import Lessons

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

    # Serving

    def extra_files(self, settings: Mapping[str, JsonValue]) -> tuple[str, ...]:
        """Return the name of the vocabulary, or of the tokenizer of a language model."""
        return (encoder.TOKENIZER,) if settings.get("tokens") == "pieces" else (VOCABULARY,)

    def make_transform(self, settings: Mapping[str, JsonValue], files: Mapping[str, bytes]) -> TextTransform:
        """Make the transform of a checkpoint.

        Raises:
            CheckpointError: it needs transformers, which is missing.
            TypeError, ValueError: the settings, the vocabulary or the tokenizer cannot work.
        """
        if encoder.TOKENIZER in self.extra_files(settings):
            return encoder.make_transform(settings, files[encoder.TOKENIZER])
        return TextTransform.from_settings(settings, files[VOCABULARY].decode().split("\n"))

    def transform_files(self, transform: Any) -> dict[str, bytes]:
        """Return the vocabulary or the tokenizer as a file."""
        if isinstance(transform, PieceTransform):
            return {encoder.TOKENIZER: transform.content()}
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
        if config.teacher is not None or config.unlabelled is not None or config.keep_teacher:
            from pyclassify.text import teacher  # imports torchtext

            teacher.check(config)

    def read(
        self,
        config: TextConfig,
        *,
        inspect_only: bool = False,
        on_step: OnStep | None = None,
        load_start: LoadStart | None = None,
    ) -> Corpus[str]:
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

    def cross_validates(self, config: TextConfig, corpus: Corpus[str]) -> bool:
        """Return whether the network is the default; epochs or minutes that are asked for need validation data."""
        is_default = config.network == "wide_deep" and config.epochs is None and config.minutes is None
        return is_default and config.teacher is None

    def prepare(
        self, config: TextConfig, corpus: Corpus[str], device: torch.device, *, on_step: OnStep | None = None
    ) -> Task:
        """Choose vocabulary, sizes and settings for the data, and make the network, its transform and the batches.

        A teacher is fitted here, and answers all texts.
        """
        from pyclassify.text.data import TextBatches

        if config.keep_teacher:
            return self._prepare_kept(config, corpus, device, on_step)
        splits = corpus.splits
        choosing, calibration = _halved(splits.validation, config.seed)
        unlabelled: tuple[str, ...] = ()
        lessons: Lessons | None = None
        peers: dict[str, Callable[[], Tensor]] = {}
        if config.teacher is not None:
            from pyclassify.text import teacher

            unlabelled = teacher.read_unlabelled(config)
            if not config.measure_only:
                lessons, taught_by = teacher.teach(
                    config, replace(splits, validation=choosing), unlabelled, device=device, on_step=on_step
                )
                peers = {
                    "teacher": lambda: taught_by.logits(splits.test.items, on_step=on_step).argmax(dim=1),
                    "untaught": lambda: self._answer_untaught(config, corpus, device),
                }
        transform = _make_transform(config, splits.train.items, unlabelled)
        fit = _fit_config(config, num_examples=len(splits.train), num_lessons=len(lessons.texts) if lessons else 0)
        train = TextBatches(splits.train, transform, batch_size=fit.batch_size)
        num_labels = len(splits.labels)
        arguments = networks.arguments_for(
            config.network,
            vocabulary_size=len(transform.vocabulary),
            num_labels=num_labels,
            tokens=transform.tokens,
            num_examples=len(splits.train),
            num_tokens=train.num_tokens,
            is_taught=config.teacher is not None,
        )
        if config.network == "wide_deep":
            if arguments["cross_validated"] and len(splits.train) <= FEW_TEXTS:
                arguments["order"] = networks.choose_order(
                    train, tokens=transform.tokens, num_labels=num_labels, buckets=arguments["buckets"]
                )
            # a teacher knows more words, and a vocabulary of a chosen size cannot take more
            if arguments["cross_validated"] and config.teacher is None and config.vocabulary_size is None:
                transform, arguments = _add_words(train, transform, arguments, num_labels=num_labels)
            if not len(splits.validation):  # nothing could tell whether a network beside the table adds anything
                arguments["channels"] = 0
                fit = replace(fit, epochs=0)
        torch.manual_seed(config.seed)
        network = networks.build(config.network, num_labels=num_labels, **arguments)
        if isinstance(network, networks.WideDeep) and network.words is not None:
            network.words.load_vectors(english.load(), transform.vocabulary)
        if config.vectors and not (config.resume or config.measure_only):
            from pyclassify.text.datasets import load_vectors

            assert isinstance(network, networks.Lstm)  # see `check`
            size = int(arguments["embedding_size"])
            network.load_vectors(
                load_vectors(config.vectors, transform.vocabulary, dimensions=size, cache="data/vectors")
            )
        if lessons is not None and transform.tokens == "words":
            assert isinstance(network, networks.WideDeep)  # see `teacher.check`
            known = transform.vocabulary[: arguments["deep_vocabulary"]]
            if network.deep is not None:
                network.deep.load_vectors(taught_by.word_vectors(known, arguments["embedding_size"]))
        return Task(
            network=network,
            settings=Network(name=config.network, arguments=arguments),
            transform=transform,
            **_batches((splits.train, choosing, splits.test, calibration), transform, fit.batch_size),
            lessons=None if lessons is None else teacher.LessonBatches(lessons, transform, batch_size=fit.batch_size),
            peers=peers,
            fit=fit,
            variant=_variant(config),
            remarks=_taught(config, lessons),
        )

    def _prepare_kept(
        self, config: TextConfig, corpus: Corpus[str], device: torch.device, on_step: OnStep | None
    ) -> Task:
        """Fit the teacher, and make the task in which it is the network; nothing is left to train in epochs."""
        from pyclassify.text import teacher
        from pyclassify.text.data import least_usual_length

        splits = corpus.splits
        choosing, calibration = _halved(splits.validation, config.seed)
        taught = teacher.fitted(config, replace(splits, validation=choosing), device=device, on_step=on_step)
        sure_from = least_usual_length(splits.train.items, tokens="words")
        arguments, transform = taught.kept(sure_from=sure_from)
        network = encoder.Encoder(num_labels=len(splits.labels), **arguments)
        network.load_state_dict(taught.state_dict())
        fit = replace(_fit_config(config, num_examples=len(splits.train), num_lessons=0), epochs=0)
        name = Path(str(config.teacher)).name
        return Task(
            network=network,
            settings=Network(name="encoder", arguments=arguments),
            transform=transform,
            **_batches((splits.train, choosing, splits.test, calibration), transform, fit.batch_size),
            peers={} if config.measure_only else {"untaught": lambda: self._answer_untaught(config, corpus, device)},
            fit=fit,
            remarks=(Message("notes.teacher_kept", {"teacher": name}).text(),),
        )

    def _answer_untaught(self, config: TextConfig, corpus: Corpus[str], device: torch.device) -> Tensor:
        """Train the network without a teacher and answer the test split, label ids (M,) int64 in its order."""
        config = replace(config, teacher=None, keep_teacher=False, unlabelled=None, epochs=None, minutes=None)
        task = self.prepare(config, corpus, device)
        for _ in trainer.fit(task.network, task.train, task.validation, task.fit, device=device):
            pass
        logits, _ = trainer.predict_logits(task.network, task.test)
        return logits.argmax(dim=1)[torch.tensor(task.test.positions).argsort()]

    def fit_ood(self, network: nn.Module, task: Task) -> tuple[Ood, dict[str, Tensor]]:
        """Fit the OOD detector: counts of training tokens, scales and threshold on validation data."""
        assert isinstance(task.transform, TextTransform)
        answers = network.out_of_fold() if isinstance(network, CrossFits) else None
        held_out = task.calibration or task.validation
        is_cross_fitted = answers is not None and held_out.num_examples < ood.FEW_VALIDATION
        return ood.fit(
            network,
            task.train,
            held_out,
            transform=task.transform,
            out_of_fold=answers[0] if answers is not None and is_cross_fitted else None,
            word_vectors=_word_vectors(task.train, task.transform, most=FEW_TEXTS) if is_cross_fitted else None,
        )

    def origin(self, task: Task, ood: Ood) -> str:
        """Return the origin of the word vectors, if the network or the OOD detector was made with them."""
        has_words = isinstance(task.network, networks.WideDeep) and task.network.words is not None
        return Message("notes.origin_of_word_vectors").text() if has_words or MEANING in ood.views else ""

    def fit_baseline(self, corpus: Corpus[str], task: Task) -> BaselineAnswers:
        """Train a support vector machine on TF-IDF of the same texts and answer the test data."""
        assert isinstance(task.transform, TextTransform)
        tokens = task.transform.tokens
        if tokens == "pieces":
            from pyclassify.text.data import choose_tokens

            tokens = choose_tokens(corpus.splits.train.items)
        label_ids = networks.fit_baseline(corpus.splits.train, corpus.splits.test.items, tokens=tokens)
        return BaselineAnswers(name=f"tfidf_svm_{tokens}", fields={}, label_ids=label_ids)


def _halved(validation: Examples[str], seed: int) -> tuple[Examples[str], Examples[str] | None]:
    """Return the part of the validation split to choose by, and the part to calibrate with, if it is large enough."""
    halves = calibration_positions(validation, seed)
    return (validation, None) if halves is None else (validation.take(halves[0]), validation.take(halves[1]))


def _batches(
    parts: tuple[Examples[str], Examples[str], Examples[str], Examples[str] | None],
    transform: TextTransform,
    batch_size: int,
) -> dict[str, Any]:
    """Return the parts in batches, as arguments of `Task`."""
    from pyclassify.text.data import TextBatches

    names = ("train", "validation", "test", "calibration")
    return {
        name: None if part is None else TextBatches(part, transform, batch_size=batch_size)
        for name, part in zip(names, parts, strict=True)
    }


def _variant(config: TextConfig) -> dict[str, Any]:
    """Return the options that change the result and stand nowhere else."""
    options = {"vectors": config.vectors, "teacher": config.teacher, "unlabelled": config.unlabelled}
    return {name: str(value) for name, value in options.items() if value}


def _taught(config: TextConfig, lessons: Lessons | None) -> tuple[str, ...]:
    """Return the remark on a teacher, if there was one."""
    if lessons is None:
        return ()
    counted = Message("items.text", {"count": len(lessons.texts)})
    name = Path(str(config.teacher)).name
    return (Message("notes.taught", {"teacher": name, "counted": counted}).text(),)


def _word_vectors(train: Batches, transform: TextTransform, *, most: int) -> english.WordVectors | None:
    """Return vectors of English words for a training on English texts, up to `most`."""
    if train.num_examples > most:
        return None
    vectors = english.load()
    coverage = vectors.coverage(ood.training_texts(train, transform))
    return vectors if coverage >= english.LEAST_COVERAGE else None


def _add_words(
    train: Batches, transform: TextTransform, arguments: dict[str, Any], *, num_labels: int
) -> tuple[TextTransform, dict[str, Any]]:
    """Add scores of words by their vectors to the network of a few English texts, if cross-validation is for it.

    Args:
        train: the training texts.
        transform: of them.
        arguments: of `networks.WideDeep`.
        num_labels: K.

    Returns:
        The transform, whose vocabulary then has all words with a vector, and the arguments.
    """
    vectors = _word_vectors(train, transform, most=FEW_FOR_WORDS) if num_labels <= MAX_LABELS else None
    if vectors is None:
        return transform, arguments
    known = set(transform.vocabulary)
    new = (token for token in known_tokens(vectors, transform.tokens) if token not in known)
    extended = replace(transform, vocabulary=(*transform.vocabulary, *new))
    size = len(extended.vocabulary)
    sizes = {"words": size}
    if transform.tokens == "characters":
        sizes = {"words": len(vectors.words) + 1, "characters": size}
    words = WordScores(num_labels=num_labels, **sizes)
    words.load_vectors(vectors, extended.vocabulary)
    table = NgramTable(num_labels=num_labels, buckets=arguments["buckets"], order=arguments["order"])
    if not networks.needs_words(words, table, train):
        return transform, arguments
    return extended, {**arguments, "vocabulary_size": size, "words": sizes}


def _frequent_tokens(transform: TextTransform) -> str:
    """Join two dozen tokens of letters and digits, frequent and rarer ones: those are tokens everywhere."""
    tokens = [token for token in transform.vocabulary[2:2002] if token.isalnum()]
    chosen = tokens[:: max(1, len(tokens) // 24)][:24] or [SENTENCE]
    return "".join(chosen) + " " if transform.tokens == "characters" else " ".join(chosen) + " "


def _make_transform(config: TextConfig, texts: Sequence[str], unlabelled: Sequence[str] = ()) -> TextTransform:
    from pyclassify.text.data import build_vocabulary, choose_tokens, least_usual_length

    tokens: Tokens
    if config.tokens == "auto":
        # the tutorial's program reads words; an LSTM over characters would be another model
        tokens = "words" if config.network == "lstm" else choose_tokens(texts)
    else:
        tokens = config.tokens  # type: ignore[assignment]  # see `TextModality.check`
    vocabulary = build_vocabulary(
        (*texts, *unlabelled),
        tokens=tokens,
        max_size=config.vocabulary_size or MAX_VOCABULARY[tokens],
        min_frequency=2 if len(texts) >= FREQUENT_FROM else 1,
    )
    sure_from = least_usual_length(texts, tokens=tokens)
    return TextTransform(vocabulary, tokens=tokens, max_tokens=config.max_tokens, sure_from=sure_from)


def _fit_config(config: TextConfig, *, num_examples: int, num_lessons: int) -> FitConfig:
    settings = networks.fit_defaults(config.network, num_examples=num_examples, num_lessons=num_lessons)
    return config.fit_config(settings)  # in float32: networks for text gain nothing from autocast
