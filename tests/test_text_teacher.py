"""A tiny language model of random weights teaches: options, pieces, what is kept, and what the network learns."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from pyclassify import recipe
from pyclassify.dataset import Examples, Splits
from pyclassify.errors import ConfigError, DataError
from pyclassify.modality import of
from pyclassify.text import teacher
from pyclassify.text.modality import TextModality
from pyclassify.training import trainer
from pyclassify.training.config import TextConfig

CPU = torch.device("cpu")
TEXT = TextModality()
GOOD, BAD = ["good", "fine", "great", "lovely"], ["bad", "poor", "awful", "boring"]
OTHER = ["the", "film", "was", "and", "it", "then", "we", "saw", "a", "very", "long", "one"]


def sentences(count: int, *, first: int = 0) -> list[tuple[str, str]]:
    rows = []
    for number in range(first, first + count):
        words, label = (GOOD, "pos") if number % 2 else (BAD, "neg")
        rows.append((f"{OTHER[number % 12]} {OTHER[number * 5 % 11]} {words[number % 4]} film {number}", label))
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of 2 small layers with random weights and a vocabulary of words."""
    transformers = pytest.importorskip("transformers")
    path = tmp_path_factory.mktemp("teacher")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *GOOD, *BAD, *dict.fromkeys([*OTHER, "film", "not", "."])]
    (path / "vocab.txt").write_text("\n".join(words))
    settings = transformers.BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    torch.manual_seed(0)
    transformers.BertModel(settings).save_pretrained(path)
    transformers.BertTokenizerFast(vocab=str(path / "vocab.txt")).save_pretrained(path)
    return path


def table(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows))
    return path


def config(tmp_path: Path, **options: Any) -> TextConfig:
    return TextConfig(data=table(tmp_path / "rows.tsv", sentences(120)), out=tmp_path / "model", **options)


# Options


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"unlabelled": "more.txt"}, "unlabelled_needs_teacher"),
        ({"teacher": "some/model", "network": "lstm"}, "teacher_needs_wide_deep"),
    ],
)
def test_options_that_contradict_each_other_are_refused(tmp_path: Path, options: dict[str, Any], code: str) -> None:
    with pytest.raises(ConfigError) as error:
        TEXT.check(config(tmp_path, **options))
    assert error.value.code == code


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="transformers"):
        TEXT.check(config(tmp_path, teacher="some/model"))


def test_files_that_are_missing_are_named(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DataError) as error:
        TEXT.check(config(tmp_path, teacher=str(folder), unlabelled=tmp_path / "none.txt"))
    assert error.value.code == "text_path_missing"
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError) as refused:
        TEXT.check(config(tmp_path, teacher=str(tmp_path / "empty")))
    assert refused.value.code == "teacher_folder_incomplete"


def test_a_folder_that_is_no_model_is_refused_in_one_sentence(tmp_path: Path, folder: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text(json.dumps({"model_type": "nothing"}))
    (broken / "model.safetensors").write_bytes(b"")
    with pytest.raises(ConfigError) as error:
        teacher.load(str(broken), num_labels=2, device=CPU)
    assert error.value.code == "teacher_unusable"
    assert "\n" not in str(error.value)


def test_unlabelled_texts_come_from_lines_or_a_column(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("one text\nanother one\n")
    (tmp_path / "more.csv").write_text("id,text\n1,one text\n2,another one\n")
    for name in ("more.txt", "more.csv"):
        options = config(tmp_path, teacher="some/model", unlabelled=tmp_path / name)
        assert teacher.read_unlabelled(options) == ("one text", "another one")


# Pieces


def test_pieces_are_sentences_and_clauses() -> None:
    text = "It was long,<br />but never dull! Why? The end - at last - is fine."
    assert teacher.pieces(text) == [
        "It was long, but never dull!",
        "It was long,",
        "but never dull!",
        "The end - at last - is fine.",
        "The end",
        "at last",
        "is fine.",
    ]
    assert teacher.pieces("word " * 41) == []


def test_pieces_are_drawn_once_and_without_those_that_are_known() -> None:
    texts = ["A good film. A bad film.", "a good film. Never seen."]
    drawn = teacher.draw_pieces(texts, known=["a bad film."], limit=10, seed=1)
    assert sorted(drawn) == ["A good film.", "Never seen."]
    assert len(teacher.draw_pieces(texts, limit=1, seed=1)) == 1


def test_frequent_words_are_in_small_letters() -> None:
    assert teacher.frequent_words(["Good, good film 12", "a film"], limit=2) == ("film", "good")


# Teaching


def splits() -> Splits[str]:
    rows = sentences(160)
    parts = [
        Examples(tuple(text for text, _ in part), tuple(int(label == "pos") for _, label in part))
        for part in (rows[:120], rows[120:140], rows[140:])
    ]
    return Splits(name="rows", labels=("neg", "pos"), train=parts[0], validation=parts[1], test=parts[2])


def test_few_texts_fit_the_last_layer_alone(folder: Path) -> None:
    taught = teacher.load(str(folder), num_labels=2, device=CPU)
    before = {name: tensor.clone() for name, tensor in taught.encoder.state_dict().items()}
    data = splits()
    taught.fit(data.train, data.validation)
    assert all(torch.equal(before[name], tensor) for name, tensor in taught.encoder.state_dict().items())
    assert taught.unseen is not None
    torch.testing.assert_close(taught.unseen.sum(dim=1), torch.ones(120))
    answers = taught.logits(data.test.items).argmax(dim=1)
    assert (answers == data.test.label_tensor()).float().mean() > 0.9


def test_more_texts_fine_tune_the_encoder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher, "FINE_TUNE_FROM", 100)
    taught = teacher.load(str(folder), num_labels=2, device=CPU)
    before = {name: tensor.clone() for name, tensor in taught.encoder.state_dict().items()}
    steps: list[tuple[str, int, int]] = []
    data = splits()
    taught.fit(data.train, data.validation, on_step=lambda *step: steps.append(step))
    changed = [name for name, tensor in taught.encoder.state_dict().items() if not torch.equal(before[name], tensor)]
    assert any("layer.1" in name for name in changed)
    assert not any("embeddings" in name and "Norm" not in name for name in changed)
    assert steps[-1] == ("teacher", 8, 8)


def test_the_windows_of_a_long_text_are_averaged(folder: Path) -> None:
    taught = teacher.load(str(folder), num_labels=2, device=CPU)
    short, long = "good film", " ".join(["good film was bad"] * 100)
    both = taught.logits([short, long])
    assert both.shape == (2, 2)
    torch.testing.assert_close(both[:1], taught.logits([short]), atol=0.02, rtol=0.02)
    assert both.isfinite().all()


def test_an_embedding_begins_with_the_vectors_of_words(folder: Path) -> None:
    taught = teacher.load(str(folder), num_labels=2, device=CPU)
    vectors = taught.word_vectors(["<pad>", "<unk>", *GOOD, *BAD, *GOOD], 40)
    assert vectors.shape == (14, 40)
    torch.testing.assert_close(vectors[2:6], vectors[10:14])
    assert not vectors[:, 32:].any()


def test_an_interrupted_teacher_is_not_asked_again(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = config(tmp_path, teacher=str(folder))
    first, _ = teacher.teach(options, splits(), ["It was good. It was bad."], device=CPU)
    monkeypatch.setattr(teacher.Teacher, "fit", None)
    monkeypatch.setattr(teacher.Teacher, "logits", None)
    again, _ = teacher.teach(options, splits(), ["It was good. It was bad."], device=CPU)
    assert again.texts == first.texts
    assert torch.equal(again.targets, first.targets)
    with pytest.raises(TypeError):  # other texts: the answers that were kept are of no use
        teacher.teach(options, splits(), ["Other texts. They have others."], device=CPU)


def test_the_network_comes_closer_to_the_teacher(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "more.txt").write_text("\n".join(f"{text}. So it was." for text, _ in sentences(200, first=500)))
    options = config(tmp_path, teacher=str(folder), unlabelled=tmp_path / "more.txt", tokens="words", seed=1)
    TEXT.check(options)
    task = TEXT.prepare(options, TEXT.read(options), CPU)
    assert task.lessons is not None
    assert task.lessons.num_examples > task.train.num_examples
    assert any("teacher" in remark or "learned" in remark for remark in task.remarks)

    network, lessons = task.network.deep, task.lessons

    def divergence() -> float:
        network.eval()
        total, count = 0.0, 0
        with torch.no_grad():
            for inputs, targets in lessons.epoch():
                log_probabilities = network(*inputs).log_softmax(dim=1)
                total += functional.kl_div(log_probabilities, targets, reduction="sum").item()
                count += len(targets)
        return total / count

    before = divergence()
    for _ in trainer.fit(network, task.train, task.validation, task.fit, lessons=lessons):
        pass
    assert divergence() < 0.6 * before


def test_a_taught_checkpoint_needs_no_teacher(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = config(tmp_path, teacher=str(folder), epochs=1)
    result = recipe.train(options)
    assert of(options).kind == "text"
    monkeypatch.setattr(teacher, "load", None)
    import pyclassify

    prediction = pyclassify.load(result.path).predict(["a good film"])[0]
    assert prediction.label in ("neg", "pos")
    assert result.manifest.training is not None
    assert any("learned" in remark for remark in result.manifest.training.remarks)
    scores = result.manifest.scores
    assert scores is not None
    assert [peer.name for peer in scores.peers] == ["teacher", "untaught"]
    card = (result.path / "README.md").read_text(encoding="utf-8")
    assert "| its teacher |" in card
    measured = recipe.train(replace(options, measure_only=True))
    assert measured.manifest.scores is not None
    assert measured.manifest.scores.peers == scores.peers
