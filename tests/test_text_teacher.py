"""A tiny language model of random weights teaches: options, pieces, what is kept, and what the network learns."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn import functional

import pyclassify
from pyclassify import checkpoint, recipe
from pyclassify.dataset import Examples, Splits
from pyclassify.errors import CheckpointError, ConfigError, DataError
from pyclassify.modality import of
from pyclassify.text import encoder, teacher
from pyclassify.text.encoder import Encoder, PieceTransform
from pyclassify.text.explain import words
from pyclassify.text.modality import TextModality
from pyclassify.training import trainer
from pyclassify.training.config import TextConfig
from tests import fakes

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
        ({"keep_teacher": True}, "keep_teacher_needs_teacher"),
        ({"keep_teacher": True, "teacher": "some/model", "epochs": 1}, "keep_teacher_or_option"),
        ({"keep_teacher": True, "teacher": "some/model", "unlabelled": "more.txt"}, "keep_teacher_or_option"),
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


# A teacher that is kept


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> recipe.TrainResult:
    return recipe.train(config(tmp_path_factory.mktemp("kept"), teacher=str(folder), keep_teacher=True))


LONG = " ".join(["good film was bad"] * 100)


def test_a_kept_teacher_is_the_network_of_the_checkpoint(kept: recipe.TrainResult) -> None:
    manifest = kept.manifest
    assert manifest.network.name == "encoder"
    assert manifest.files.keys() == {"model.safetensors", "ood.safetensors", "tokenizer.json"}
    assert manifest.training is not None
    assert manifest.training.weights == "float16"
    assert any("itself" in remark for remark in manifest.training.remarks)
    assert manifest.scores is not None
    assert manifest.scores.accuracy > 0.9
    assert [peer.name for peer in manifest.scores.peers] == ["untaught"]
    assert "| the default network without a teacher |" in (kept.path / "README.md").read_text(encoding="utf-8")


def test_a_kept_teacher_is_loaded_as_it_was_saved(
    kept: recipe.TrainResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("load", "fitted"):
        monkeypatch.setattr(teacher, name, None)
    loaded = checkpoint.load(kept.path)
    again = checkpoint.save(
        tmp_path / "again",
        manifest=kept.manifest,
        weights=loaded.network.state_dict(),
        transform=loaded.transform,
        ood_tensors=loaded.ood_tensors,
        card="",
    )
    batch = loaded.transform.collate([loaded.transform(text).tensor for text in ("a good film", LONG)])
    with torch.inference_mode():
        assert torch.equal(checkpoint.load(tmp_path / "again").network(*batch), loaded.network(*batch))
    assert again.manifest.files["tokenizer.json"] == kept.manifest.files["tokenizer.json"]


def test_a_kept_teacher_answers_and_explains(kept: recipe.TrainResult) -> None:
    classifier = pyclassify.load(kept.path, device="cpu")
    texts = ["a good film", "The film was awful and then we saw it.", LONG, "[SEP] <br /> 🎬 film\ud800", "좋은 영화"]
    together = classifier.predict(texts)
    for text, prediction in zip(texts, together, strict=True):
        alone = classifier.predict([text])[0]
        assert prediction.probabilities == pytest.approx(alone.probabilities, abs=1e-5)
        assert prediction.known == alone.known
    assert [prediction.label for prediction in together[:2]] == ["pos", "neg"]
    assert together[0].known
    assert not together[4].known
    assert [[note.key for note in prediction.notes] for prediction in together[1:3]] == [[], ["notes.parts_only"]]
    assert together[2].notes[0].fields == {"kept": 260, "total": 400}
    spans = classifier.explain(texts[1], "neg").spans
    assert [texts[1][start:end] for start, end, _ in spans] == [*texts[1][:-1].split(), "."]
    assert max(spans, key=lambda span: span[2])[:2] == (13, 18)
    with pytest.raises(pyclassify.InputError):
        classifier.predict([" \u200b"])


def test_a_kept_teacher_can_be_measured_again(kept: recipe.TrainResult, folder: Path) -> None:
    before = pyclassify.load(kept.path, device="cpu").predict(["a good film"])[0]
    options = TextConfig(data=kept.path.parent / "rows.tsv", out=kept.path, teacher=str(folder), keep_teacher=True)
    measured = recipe.train(replace(options, measure_only=True)).manifest
    assert measured.scores is not None
    assert kept.manifest.scores is not None
    assert measured.scores.accuracy == kept.manifest.scores.accuracy
    assert measured.scores.peers == kept.manifest.scores.peers
    after = pyclassify.load(kept.path, device="cpu").predict(["a good film"])[0]
    assert after.probabilities == pytest.approx(before.probabilities, abs=1e-6)


def test_a_kept_teacher_needs_transformers(kept: recipe.TrainResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match="pip install transformers") as error:
        checkpoint.load(kept.path)
    assert error.value.code == "checkpoint_needs_transformers"


def test_an_altered_tokenizer_is_refused(kept: recipe.TrainResult, tmp_path: Path) -> None:
    path = tmp_path / "altered"
    shutil.copytree(kept.path, path)
    (path / "tokenizer.json").write_bytes(b"{}")
    with pytest.raises(CheckpointError) as error:
        checkpoint.load(path)
    assert error.value.code == "checkpoint_file_altered"
    fakes.replace_file(path, "tokenizer.json", b"{}")
    with pytest.raises(CheckpointError) as error:
        checkpoint.load(path)
    assert error.value.code == "checkpoint_unusable"


def test_the_network_answers_as_the_teacher_does(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher, "fast_dtype", lambda device: torch.float32)
    taught = teacher.load(str(folder), num_labels=2, device=CPU)
    data = splits()
    taught.fit(data.train, data.validation)
    taught.tokenizer.backend_tokenizer.enable_padding(length=128)
    arguments, transform = taught.kept(sure_from=0)
    network = Encoder(num_labels=2, **json.loads(json.dumps(arguments))).eval()
    network.load_state_dict(taught.state_dict())
    texts = ["good film", "unheard of", *(" ".join(["good film was bad"] * count) for count in (17, 18, 40, 90))]
    with torch.inference_mode():
        logits = network(*transform.collate([transform(text).tensor for text in texts]))
    torch.testing.assert_close(logits, taught.logits(texts), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("model_type", "is_fast", "code"),
    [("gpt2", True, "teacher_type_not_kept"), ("bert", False, "teacher_tokenizer_not_kept")],
)
def test_models_that_cannot_be_kept_are_refused(model_type: str, is_fast: bool, code: str) -> None:
    model, tokenizer = SimpleNamespace(config=SimpleNamespace(model_type=model_type)), SimpleNamespace(is_fast=is_fast)
    with pytest.raises(ConfigError) as error:
        encoder.check("some/model", model, tokenizer)
    assert error.value.code == code


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_type": "timm_backbone"}, "type"),
        ({"settings": {"auto_map": {"AutoModel": "somebody/model--code.Model"}}}, "auto_map"),
        ({"settings": {"attn_implementation": "somebody/kernel"}}, "attn_implementation"),
        ({"unknown": 10_000}, "special token"),
        ({"part": 0}, "part"),
    ],
    ids=str,
)
def test_an_encoder_is_built_from_plain_settings_alone(
    kept: recipe.TrainResult, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        Encoder(num_labels=2, **{**kept.manifest.network.arguments, **changes})


def test_words_are_located_by_their_pieces() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    model = tokenizers.models.WordLevel({"[UNK]": 0, "film": 1, "s": 2, "영": 3}, unk_token="[UNK]")
    tokenizer = tokenizers.Tokenizer(model)
    split = tokenizers.pre_tokenizers.Split(tokenizers.Regex("film|s|[^ ]"), "isolated")
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([tokenizers.pre_tokenizers.WhitespaceSplit(), split])
    transform = PieceTransform(tokenizer.to_str().encode(), unknown=0, max_tokens=8)
    text = "films<br/>film, 好好"
    assert [text[word.start : word.end] for word in words(text, transform)] == ["films", "film", ",", "好", "好"]
    assert transform("films x").tensor.tolist() == [3, 4, 1]
    # of ten parts of two pieces, the first, fourth, seventh and last are read
    places = words("s " * 20, transform)
    assert [(word.first, word.last) for word in places[:8]] == [
        *((0, 1), (1, 2), (2, 2), (2, 2), (2, 2), (2, 2), (2, 3), (3, 4))
    ]
    assert len(transform("s " * 20).tensor) == 8


def test_a_piece_transform_refuses_what_cannot_work(kept: recipe.TrainResult) -> None:
    content = (kept.path / "tokenizer.json").read_bytes()
    for settings in ({"max_tokens": 3}, {"max_tokens": 4.5}, {"max_tokens": 8, "unknown": -1}):
        with pytest.raises(ValueError, match="whole numbers"):
            PieceTransform(content, **{"unknown": 0, **settings})
