"""Texts as a kind of input: options, corpora, tasks and the self-test."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyclassify import modality
from pyclassify.errors import ConfigError, DataError
from pyclassify.manifest import Network
from pyclassify.text.data import least_usual_length
from pyclassify.text.networks import Lstm, WideDeep
from pyclassify.text.transform import TextTransform, tokenize
from pyclassify.training import trainer
from pyclassify.training.config import TEXT_NETWORKS, TextConfig
from tests import drawing

TEXT = modality.get("text")
CPU = torch.device("cpu")
VOCABULARY = ("<pad>", "<unk>", " ", "good", "film", *"abcdefg")


def config(path: Path, **options: Any) -> TextConfig:
    table = path / "reviews.tsv"
    return TextConfig(data=table if table.exists() else drawing.review_file(table), **options)


@pytest.mark.parametrize(
    ("options", "code", "option"),
    [
        ({"network": "transformer"}, "option_unknown", "network"),
        ({"tokens": "syllables"}, "option_unknown", "tokens"),
        ({"max_tokens": 1}, "option_too_small", "max_tokens"),
        ({"vocabulary_size": 1}, "option_too_small", "vocabulary_size"),
        ({"vectors": "glove.6B.300d"}, "vectors_need_lstm", None),
    ],
)
def test_options_that_cannot_work(tmp_path: Path, options: dict[str, Any], code: str, option: str | None) -> None:
    with pytest.raises(ConfigError) as error:
        TEXT.check(config(tmp_path, **options))
    assert (error.value.code, error.value.fields.get("option")) == (code, option)
    assert error.value.text("ko")


def test_vectors_and_data_sets_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        TEXT.check(config(tmp_path, network="lstm", vectors="nowhere.txt"))
    assert error.value.code == "vectors_unknown"
    with pytest.raises(ConfigError) as unknown:
        TEXT.check(TextConfig(dataset="mnist"))
    assert unknown.value.fields["option"] == "dataset"
    TEXT.check(TextConfig(dataset="imdb"))


def test_a_corpus_is_read_measured_and_selected(tmp_path: Path) -> None:
    corpus = TEXT.read(config(tmp_path, data_name="films"))
    splits = corpus.splits
    assert (splits.name, corpus.root) == ("films", tmp_path / "reviews.tsv")
    sizes = TEXT.sizes(corpus)
    texts = [text for part in splits.parts.values() for text in part.items]
    assert sizes == {"characters": [len(text) for text in texts], "words": [len(text.split()) for text in texts]}
    assert len(TEXT.find_duplicates(corpus).copies) == len(texts) == 40
    positions = np.arange(40)
    smaller = TEXT.select(corpus, (positions[:4], positions[30:32], positions[38:]))
    assert smaller.splits.train.items == tuple(texts[:4])
    assert smaller.splits.validation.items == tuple(texts[30:32])
    assert smaller.splits.test.items == tuple(texts[38:])


def test_a_long_text_is_called_by_its_beginning_and_never_published(tmp_path: Path) -> None:
    corpus = TEXT.read(config(tmp_path))
    assert TEXT.item_name(corpus, "short") == "“short”"
    assert TEXT.item_name(corpus, "word " * 40) == f"“{('word ' * 40)[:60]}…”"
    assert TEXT.mistake_name("a secret", 1233) == "text 1,234 of the test data"


@pytest.mark.parametrize("name", TEXT_NETWORKS)
def test_a_task_can_be_trained_and_built_again(tmp_path: Path, name: str) -> None:
    corpus = TEXT.read(config(tmp_path, network=name))
    task = TEXT.prepare(config(tmp_path, network=name, epochs=3, batch_size=7, learning_rate=0.5, seed=4), corpus, CPU)
    assert (task.fit.epochs, task.fit.batch_size, task.fit.learning_rate, task.fit.seed) == (3, 7, 0.5, 4)
    assert task.fit.precision == "float32"
    assert task.train.num_examples == len(corpus.splits.train)
    assert isinstance(task.network, {"wide_deep": WideDeep, "lstm": Lstm}[name])
    again = TEXT.build(Network.model_validate_json(task.settings.model_dump_json()), num_labels=2)
    again.load_state_dict(task.network.state_dict())
    (inputs, label_ids) = next(iter(task.train.epoch(0)))
    assert task.network.eval()(*inputs).shape == (len(label_ids), 2)
    torch.testing.assert_close(again.eval()(*inputs), task.network(*inputs))
    files = TEXT.transform_files(task.transform)
    assert files.keys() == set(TEXT.extra_files(task.transform.settings()))
    assert TEXT.make_transform(task.transform.settings(), files) == task.transform


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    corpus = TEXT.read(config(tmp_path))
    networks = [TEXT.prepare(config(tmp_path, seed=seed), corpus, CPU).network for seed in (1, 1, 2)]
    weights = [network.get_parameter("deep.embedding.weight") for network in networks]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_tokens_and_sizes_are_chosen_or_given(tmp_path: Path) -> None:
    corpus = TEXT.read(config(tmp_path))
    transforms = {
        name: TEXT.prepare(config(tmp_path, **options), corpus, CPU).transform
        for name, options in {
            "auto": {},
            "lstm": {"network": "lstm"},
            "words": {"tokens": "words", "vocabulary_size": 5, "max_tokens": 9},
        }.items()
    }
    tokens = {name: transform.settings()["tokens"] for name, transform in transforms.items()}
    assert tokens == {"auto": "characters", "lstm": "words", "words": "words"}
    given = transforms["words"]
    assert isinstance(given, TextTransform)
    assert (len(given.vocabulary), given.max_tokens) == (5, 9)


def test_vectors_start_the_embedding(tmp_path: Path) -> None:
    numbers = " ".join(["0.25"] * 300)
    vectors = tmp_path / "vectors.txt"
    vectors.write_text(f"wonderful {numbers}\nterrible {numbers}\n")
    options = config(tmp_path, network="lstm", vectors=str(vectors))
    TEXT.check(options)
    task = TEXT.prepare(options, TEXT.read(options), CPU)
    assert isinstance(task.transform, TextTransform)
    row = task.network.get_parameter("embedding.weight")[task.transform.vocabulary.index("wonderful")]
    assert row.tolist() == [0.25] * 300


def test_the_baseline_answers_the_test_data_in_order(tmp_path: Path) -> None:
    options = config(tmp_path, tokens="words")
    corpus = TEXT.read(options)
    answers = TEXT.fit_baseline(corpus, TEXT.prepare(options, corpus, CPU))
    assert answers.name == "tfidf_svm_words"
    assert answers.label_ids.tolist() == list(corpus.splits.test.label_ids)


@pytest.mark.parametrize("tokens", ["words", "characters"])
@pytest.mark.parametrize("max_tokens", [3, 50, 1024, 5000])
def test_selftest_inputs_go_through_every_step(tokens: Any, max_tokens: int) -> None:
    transform = TextTransform(VOCABULARY, tokens=tokens, max_tokens=max_tokens)
    sources = {source.name: source for source in TEXT.selftest_sources(transform)}
    assert list(sources) == ["sentence", "decomposed_hangul", "long_text"]
    long = sources["long_text"]
    assert long.text is not None
    text = long.text * long.times
    assert len(tokenize(text, tokens=tokens)) > min(max_tokens, 1024)
    assert len(text) < 100_000
    assert (transform(text).tensor > 1).any()


def test_readings_are_compared_by_their_ids() -> None:
    transform = TextTransform(VOCABULARY, tokens="words")
    good, bad, longer = (TEXT.reading(transform(text).tensor) for text in ("good film", "film good", "good film a"))
    assert TEXT.compare_readings(good, dict(good)) == (True, None)
    for other in (bad, longer):
        is_same, difference = TEXT.compare_readings(good, other)
        assert not is_same
        assert difference is not None
        assert difference.text("ko") != difference.text("en")
    with pytest.raises(KeyError):
        TEXT.compare_readings({}, good)


def without_validation(corpus: Any) -> Any:
    positions = np.arange(40)
    return TEXT.select(corpus, (positions[:32], positions[:0], positions[32:]))


def test_the_default_needs_no_validation_data(tmp_path: Path) -> None:
    options = config(tmp_path)
    corpus = TEXT.read(options)
    assert TEXT.cross_validates(options, corpus)
    for other in (config(tmp_path, network="lstm"), config(tmp_path, epochs=3), config(tmp_path, minutes=1)):
        assert not TEXT.cross_validates(other, corpus)
    task = TEXT.prepare(options, without_validation(corpus), CPU)
    assert (task.validation.num_examples, task.calibration, task.fit.epochs) == (0, None, 0)
    network = task.network
    assert isinstance(network, WideDeep)
    assert network.deep is None
    assert list(trainer.fit(network, task.train, task.validation, task.fit)) == []
    answers = network.out_of_fold()
    assert answers is not None
    assert answers[0].shape == (32, 2)
    assert (answers[0].argmax(dim=1) == answers[1]).float().mean() > 0.8
    settings, tensors = TEXT.fit_ood(network, task)
    assert settings.num_examples == 32
    detector = TEXT.load_ood(network, settings, tensors)
    logits, scores = detector.answer(*next(iter(task.test.epoch()))[0])
    assert len(logits) == len(scores) == 8
    transform: Any = task.transform
    ids = transform("a wonderful film").tensor
    explained = TEXT.explain(
        network, transform, "a wonderful film", ids, label="good", label_id=1, probability=0.9, device=CPU
    )
    inputs = transform.collate([ids])
    bias = float(network.wide.bias)
    with torch.no_grad():
        log_odds = float(network(*inputs)[0, 1] - network(*inputs)[0, 0])
    # the spaces at the ends and between words have their part, too
    assert sum(weight for _, _, weight in explained.spans) == pytest.approx(log_odds - bias, abs=abs(log_odds - bias))


ANIMALS = ["cat", "dog", "horse", "sheep", "rabbit", "mouse", "lion", "tiger", "elephant", "monkey"]
MEALS = ["bread", "soup", "cheese", "salad", "pasta", "rice", "cake", "potato", "butter", "sandwich"]


def table_of(path: Path, texts: list[str], labels: list[str]) -> TextConfig:
    path.write_text(
        "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in zip(texts, labels, strict=True)),
        encoding="utf-8",
    )
    return TextConfig(data=path)


@pytest.mark.parametrize("tokens", ["words", "characters"])
def test_a_few_english_texts_have_scores_for_words_that_they_lack(tmp_path: Path, tokens: str) -> None:
    texts = [f"there is a {noun}" for noun in ANIMALS + MEALS]
    options = replace(table_of(tmp_path / "few.tsv", texts, ["animal"] * 10 + ["meal"] * 10), tokens=tokens)
    corpus = TEXT.read(options)
    everything = np.random.default_rng(0).permutation(20)
    corpus = TEXT.select(corpus, (everything[:16], everything[:0], everything[16:]))
    task = TEXT.prepare(options, corpus, CPU)
    network, transform = task.network, task.transform
    assert isinstance(network, WideDeep)
    assert network.words is not None
    assert isinstance(transform, TextTransform)
    assert list(trainer.fit(network, task.train, task.validation, task.fit)) == []
    others = ["there is a goat", "there is a wolf", "there is a pizza", "there is a sausage"]
    logits = network(*transform.collate([transform(text).tensor for text in others]))
    labels = [corpus.splits.labels[i] for i in logits.argmax(dim=1)]
    assert labels == ["animal", "animal", "meal", "meal"]
    settings, tensors = TEXT.fit_ood(network, task)
    assert "Apache-2.0" in TEXT.origin(task, settings)
    again = TEXT.build(Network.model_validate_json(task.settings.model_dump_json()), num_labels=2)
    again.load_state_dict(network.state_dict())
    inputs = next(iter(task.test.epoch()))[0]
    torch.testing.assert_close(again.eval()(*inputs), network(*inputs))
    assert len(TEXT.load_ood(again, settings, tensors).answer(*inputs)[0]) == len(inputs[0])


def test_other_texts_have_no_scores_of_english_words(tmp_path: Path) -> None:
    korean = [f"\uc815\ub9d0 {word} \uc601\ud654 {i}" for i in range(12) for word in ("\uc88b\uc740", "\ub098\uc05c")]
    options = table_of(tmp_path / "korean.tsv", korean, ["good", "bad"] * 12)
    corpus = TEXT.read(options)
    corpus = TEXT.select(corpus, (np.arange(20), np.arange(0), np.arange(20, 24)))
    task = TEXT.prepare(options, corpus, CPU)
    assert isinstance(task.network, WideDeep)
    assert task.network.words is None
    task.network.prepare(task.train)
    assert TEXT.origin(task, TEXT.fit_ood(task.network, task)[0]) == ""


def test_a_large_validation_split_is_halved(tmp_path: Path) -> None:
    table = drawing.review_file(tmp_path / "many.tsv", count=700)
    options = TextConfig(data=table, validation_fraction=0.5)
    task = TEXT.prepare(options, TEXT.read(options), CPU)
    assert task.calibration is not None
    assert abs(task.calibration.num_examples - task.validation.num_examples) <= 2
    assert task.fit.epochs > 0


def test_short_texts_are_those_that_hardly_any_training_text_is_as_short_as() -> None:
    long = ["a film that nobody will ever forget"] * 300
    assert least_usual_length(long, tokens="words") == 5
    assert least_usual_length(long, tokens="characters") == 17
    assert least_usual_length([*long, *["good"] * 10], tokens="words") == 1
