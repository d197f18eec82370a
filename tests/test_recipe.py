"""The recipe: from files to a checkpoint, by `pyclassify.train`, and from a checkpoint to answers."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import yaml
from gradio_client import Client, handle_file
from huggingface_hub import ModelCard, parse_eval_result_entries
from torchvision.models import get_model

import pyclassify
from pyclassify import ImageConfig, TextConfig, checkpoint, locales, recipe, weights
from pyclassify.dataset import Batches, Skipped
from pyclassify.manifest import Epoch, Manifest, Scores, Training
from pyclassify.modality import Task
from pyclassify.text.modality import TextModality
from pyclassify.text.networks import Lstm
from pyclassify.training import trainer
from pyclassify.training.config import IMAGE_NETWORKS, TrainingConfig, state_path
from pyclassify.training.trainer import BatchProgress
from pyclassify.ui.models_tab import card as card_of_page
from pyclassify.ui.models_tab import figures
from tests import drawing


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return drawing.image_folder(tmp_path / "data", per_label=6)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return drawing.review_file(tmp_path / "reviews.tsv")


def image_config(folder: Path, out: Path, **options: Any) -> ImageConfig:
    return ImageConfig(**{"data": folder, "out": out, "network": "simple_cnn", "epochs": 2, "device": "cpu", **options})


def text_config(data: Path, out: Path, **options: Any) -> TextConfig:
    return TextConfig(**{"data": data, "out": out, "epochs": 2, "device": "cpu", **options})


def training_of(manifest: Manifest) -> Training:
    assert manifest.training is not None
    return manifest.training


def scores_of(manifest: Manifest) -> Scores:
    assert manifest.scores is not None
    return manifest.scores


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(path / checkpoint.WEIGHTS)


def have_equal_weights(a: Path, b: Path) -> bool:
    ours, theirs = weights_of(a), weights_of(b)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def code_of(config: TrainingConfig) -> str:
    """Return the code of the error that a training raises."""
    with pytest.raises(pyclassify.PyClassifyError) as error:
        recipe.train(config)
    assert all(error.value.text(language) for language in ("en", "ko"))
    return error.value.code


class Interrupted(BaseException):
    pass


def interrupt_after_epoch(config: TrainingConfig) -> None:
    def stop(event: recipe.Event) -> None:
        if isinstance(event, Epoch):
            raise Interrupted

    with pytest.raises(Interrupted):
        recipe.train(config, on_progress=stop)


# Trainings


def test_events_and_result(folder: Path, tmp_path: Path) -> None:
    (folder / "test" / "red" / "0.png").write_text("a text file named .png")
    events: list[recipe.Event] = []
    result = pyclassify.train(image_config(folder, tmp_path / "out"), on_progress=events.append)
    order = [recipe.Stage, Skipped, recipe.Inspected, recipe.Ready, BatchProgress, Epoch]
    firsts = [next(i for i, event in enumerate(events) if isinstance(event, kind)) for kind in order]
    assert firsts == sorted(firsts)
    assert {event.name for event in events if isinstance(event, recipe.Stage)} == {"reading", "comparing"}
    assert [event for event in events if isinstance(event, Epoch)] == training_of(result.manifest).epochs
    assert result.path == tmp_path / "out"
    assert result.manifest == checkpoint.read_manifest(result.path)
    assert [mistake.position for mistake in result.mistakes] == [
        m.position for m in scores_of(result.manifest).mistakes
    ]
    assert training_of(result.manifest).command == (
        f"pyclassify.train(pyclassify.ImageConfig(data={str(folder)!r}, out={str(tmp_path / 'out')!r},"
        " network='simple_cnn', epochs=2, device='cpu'))"
    )
    assert not state_path(result.path).parent.exists()


def test_the_network_of_the_picture_tutorial_is_unchanged(folder: Path, tmp_path: Path) -> None:
    result = pyclassify.train(image_config(folder, tmp_path / "out", epochs=None))
    config = training_of(result.manifest).config
    assert (config["epochs"], config["batch_size"], config["learning_rate"], config["momentum"]) == (10, 64, 0.01, 0.9)
    assert (config["optimizer"], config["nesterov"], config["schedule"]) == ("sgd", False, "constant")
    assert config["average_decay"] == 0
    assert {name: tuple(tensor.shape) for name, tensor in weights_of(result.path).items()} == {
        "convolution.weight": (32, 3, 3, 3),
        "convolution.bias": (32,),
        "linear.weight": (3, 32 * 16 * 16),
        "linear.bias": (3,),
    }


def test_the_network_of_the_text_tutorial_is_unchanged(table: Path, tmp_path: Path) -> None:
    result = pyclassify.train(text_config(table, tmp_path / "out", network="lstm", epochs=1))
    config = training_of(result.manifest).config
    assert (config["batch_size"], config["learning_rate"]) == (64, 0.001)
    assert (config["optimizer"], config["schedule"], config["average_decay"]) == ("adam", "constant", 0)
    shapes = {name: tuple(tensor.shape) for name, tensor in weights_of(result.path).items()}
    assert shapes["embedding.weight"][1] == 300
    assert 4 * 256 in {shape[0] for shape in shapes.values()}


def test_folder_without_splits_and_the_default_network(tmp_path: Path) -> None:
    folder = drawing.image_folder(tmp_path / "plain", per_label=5, splits=())
    manifest = pyclassify.train(ImageConfig(data=folder, out=tmp_path / "out", epochs=1, size_px=64)).manifest
    assert (manifest.network.name, manifest.network.arguments) == ("efficientnet_lite2", {"size_px": 64})
    assert manifest.transform["size_px"] == 64


@pytest.mark.parametrize("network", ["lstm", "wide_deep"])
def test_text_folders_like_those_of_imdb(tmp_path: Path, network: str) -> None:
    for number, (label, text) in enumerate(drawing.reviews(60)):
        folder = tmp_path / "data" / ("train" if number < 40 else "test") / label
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}_7.txt").write_text(text, encoding="utf-8")
    (tmp_path / "data" / "train" / "unsup").mkdir()
    (tmp_path / "data" / "train" / "unsup" / "0_0.txt").write_text("no label")
    result = pyclassify.train(text_config(tmp_path / "data", tmp_path / "out", network=network))
    assert result.manifest.labels == ["bad", "good"]
    assert scores_of(result.manifest).num_examples == 20
    assert result.manifest.network.name == network
    assert pyclassify.load(result.path).predict(["a wonderful film"])[0].label in ("good", "bad")


def _csv(path: Path) -> Path:
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([("stars", "what"), *drawing.reviews(40)])
    return path


def _jsonl(path: Path) -> Path:
    rows = [json.dumps({"stars": label, "what": text}) for label, text in drawing.reviews(40)]
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(("write", "name"), [(_csv, "a.csv"), (_jsonl, "a.jsonl")])
def test_tables_with_other_columns(tmp_path: Path, write: Any, name: str) -> None:
    config = text_config(write(tmp_path / name), tmp_path / "out", text_column="what", label_column="stars")
    assert pyclassify.train(config).manifest.labels == ["bad", "good"]


def test_test_table_apart_and_three_labels(tmp_path: Path) -> None:
    for name, shift in (("train.tsv", 0), ("test.tsv", 100)):
        rows = [f"{'abc'[i % 3]}\tword{i % 3} number {i + shift}" for i in range(30)]
        (tmp_path / name).write_text("label\ttext\n" + "\n".join(rows) + "\n")
    config = text_config(tmp_path / "train.tsv", tmp_path / "out", test=tmp_path / "test.tsv")
    manifest = pyclassify.train(config).manifest
    assert manifest.labels == ["a", "b", "c"]
    assert scores_of(manifest).num_examples == 30


def test_vectors_start_the_embedding(table: Path, tmp_path: Path) -> None:
    numbers = " ".join(["0.25"] * 300)
    (tmp_path / "vectors.txt").write_text(f"wonderful {numbers}\nterrible {numbers}\n")
    options = {"network": "lstm", "vectors": str(tmp_path / "vectors.txt"), "learning_rate": 1e-9, "epochs": 1}
    result = pyclassify.train(text_config(table, tmp_path / "out", **options))
    words = (result.path / "vocab.txt").read_text(encoding="utf-8").split("\n")
    row = weights_of(result.path)["embedding.weight"][words.index("wonderful")]
    assert row.tolist() == pytest.approx([0.25] * 300, abs=1e-3)


def test_same_seed_gives_the_same_weights(folder: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        pyclassify.train(image_config(folder, tmp_path / name, seed=3))
    assert (tmp_path / "a" / checkpoint.WEIGHTS).read_bytes() == (tmp_path / "b" / checkpoint.WEIGHTS).read_bytes()


@pytest.mark.parametrize(
    ("losses", "number_format"),
    [({}, "int8"), ({"int8": -1.0}, "float16"), ({"int8": -1.0, "float16": -1.0}, "float32")],
)
def test_weights_are_stored_in_the_smallest_format_that_answers_as_well(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, losses: dict[str, float], number_format: str
) -> None:
    monkeypatch.setattr(weights, "WORTH_INT8", 1)
    monkeypatch.setattr(recipe, "MAX_ROUNDING_LOSS", {"int8": 1.0, "float16": 1.0, **losses})
    result = pyclassify.train(image_config(folder, tmp_path / "out", epochs=1))
    assert training_of(result.manifest).weights == number_format
    stored = weights_of(result.path)
    assert stored["linear.weight"].dtype == getattr(torch, number_format)
    # what is scored is what is stored
    network = checkpoint.load(result.path).network
    assert torch.equal(network.state_dict()["linear.weight"], weights.unpack(stored)["linear.weight"])
    pyclassify.train(image_config(folder, tmp_path / "out", epochs=1, measure_only=True))
    measured = weights_of(tmp_path / "out")
    assert all(torch.equal(measured[name], tensor) for name, tensor in stored.items())


def test_checkpoint_may_lie_beside_the_splits_and_is_replaced(folder: Path) -> None:
    for _ in range(2):
        pyclassify.train(image_config(folder, folder / "model"))
    assert (folder / "model" / checkpoint.CONFIG).is_file()


@pytest.mark.slow
@pytest.mark.parametrize("network", ["small_convnet", IMAGE_NETWORKS[0]])
def test_rare_label_is_learned(tmp_path: Path, network: str) -> None:
    counts = {"disc": 200, "square": 200, "triangle": 6}
    folder = drawing.shape_folder(tmp_path / "data", {"train": counts, "test": dict.fromkeys(counts, 40)})
    manifest = pyclassify.train(ImageConfig(data=folder, out=tmp_path / "out", network=network, epochs=12)).manifest
    assert training_of(manifest).remarks
    per_label = scores_of(manifest).per_label
    assert per_label["triangle"].recall > 0.6
    assert min(per_label["disc"].recall, per_label["square"].recall) > 0.9


@pytest.mark.slow
def test_twenty_pictures_per_label_are_enough_for_the_default_network(tmp_path: Path) -> None:
    counts = dict.fromkeys(drawing.SHAPES, 20)
    folder = drawing.shape_folder(tmp_path / "data", {"train": counts, "test": dict.fromkeys(counts, 40)})
    manifest = pyclassify.train(ImageConfig(data=folder, out=tmp_path / "out")).manifest
    assert scores_of(manifest).accuracy > 0.9


# Pretrained networks and resuming


def _write_published_weights(path: Path) -> Path:
    """Write weights with a thousand labels, as torchvision has them."""
    torch.manual_seed(3)
    network = get_model("mnasnet0_5", weights=None)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # random weights are far from these statistics otherwise
            module.momentum = None
    with torch.no_grad():
        network.train()(torch.randn(16, 3, 64, 64))
    torch.save(network.state_dict(), path)
    return path


def torchvision_config(folder: Path, out: Path, **options: Any) -> ImageConfig:
    return image_config(folder, out, **{"network": "mnasnet0_5", "size_px": 32, **options})


def test_torchvision_network_begins_with_a_file(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _write_published_weights(tmp_path / "published.pth")
    config = torchvision_config(folder, tmp_path / "out", weights=str(file), about="Drawn.")
    manifest = pyclassify.train(config).manifest
    remark = training_of(manifest).remarks[0]
    assert "published.pth" in remark
    file.unlink()
    monkeypatch.setattr("torchvision.models.get_model_weights", None)  # a checkpoint is used without
    classifier = pyclassify.load(tmp_path / "out")
    answers = classifier.predict([folder / "test" / "red" / "0.png", folder / "test" / "blue" / "0.png"])
    assert [answer.label for answer in answers] == ["red", "blue"]
    assert (manifest.network.name, manifest.network.arguments) == ("mnasnet0_5", {"size_px": 32})
    assert manifest.transform["crop"] == 0.875
    assert manifest.transform["mean"] == [0.485, 0.456, 0.406]
    card = (tmp_path / "out" / checkpoint.CARD).read_text()
    assert "Drawn." in card
    assert remark in card


@pytest.mark.slow
def test_torchvision_network_begins_with_random_weights(folder: Path, tmp_path: Path) -> None:
    result = pyclassify.train(torchvision_config(folder, tmp_path / "out", weights="none"))
    assert training_of(result.manifest).remarks == []
    assert pyclassify.load(result.path).labels == ["blue", "green", "red"]


@pytest.mark.slow
def test_resuming_needs_no_weights_and_ends_the_same(folder: Path, tmp_path: Path) -> None:
    file = _write_published_weights(tmp_path / "published.pth")
    pyclassify.train(torchvision_config(folder, tmp_path / "whole", weights=str(file)))
    stopped = torchvision_config(folder, tmp_path / "stopped", weights=str(file))
    interrupt_after_epoch(stopped)
    assert not (tmp_path / "stopped").exists()
    file.unlink()
    assert code_of(replace(stopped, resume=True, weights="none")) == "state_of_other_training"
    pyclassify.train(replace(stopped, resume=True))
    assert have_equal_weights(tmp_path / "whole", tmp_path / "stopped")


def test_resuming_with_other_options_is_refused(folder: Path, tmp_path: Path) -> None:
    config = image_config(folder, tmp_path / "out")
    interrupt_after_epoch(config)
    for other in ({"mirror": False}, {"learning_rate": 0.5}, {"validation_fraction": 0.3}, {"seed": 1}):
        assert code_of(replace(config, resume=True, **other)) == "state_of_other_training"  # type: ignore[arg-type]
    assert pyclassify.train(replace(config, resume=True)).path.is_dir()


# The data report


def _tables(folder: Path) -> dict[str, Path]:
    rows = [f"{label}\t{text}" for label, text in drawing.reviews(60)]
    leak = rows[0] + "!"
    slip = rows[2].replace("good", "bad", 1)
    (folder / "train.tsv").write_text("\n".join(["label\ttext", *rows[:40], slip]) + "\n")
    (folder / "test.tsv").write_text("\n".join(["label\ttext", *rows[40:], leak]) + "\n")
    return {"data": folder / "train.tsv", "test": folder / "test.tsv"}


def _codes(manifest: Manifest) -> set[str]:
    assert manifest.data_report is not None
    return {finding.code for finding in manifest.data_report.findings}


def test_findings_are_recorded_and_fixed(tmp_path: Path) -> None:
    options = {**_tables(tmp_path), "network": "lstm", "epochs": 1}
    found = pyclassify.train(text_config(out=tmp_path / "as it is", **options)).manifest
    fixed = pyclassify.train(text_config(out=tmp_path / "fixed", fix=True, **options)).manifest
    assert found.data_report is not None
    assert fixed.data_report is not None
    assert found.data_report.leaked_test == 1
    assert {"contradiction", "leak_test"} <= _codes(found)
    without_leaked = scores_of(found).without_leaked
    assert without_leaked is not None
    assert without_leaked.leaked == 1
    assert fixed.data_report.leaked_test == 0
    assert not {"contradiction", "leak_test"} & _codes(fixed)
    assert scores_of(fixed).without_leaked is None


def test_texts_on_both_sides_are_reported(table: Path, tmp_path: Path) -> None:
    inspection = recipe.inspect(text_config(table, tmp_path / "out", test=table))
    (leak,) = [finding for finding in inspection.report.findings if finding.code == "leak_test"]
    assert (leak.count, len(inspection.leaked_test)) == (40, 40)
    assert not (tmp_path / "out").exists()


def _folder_with_copies(path: Path) -> Path:
    folder = drawing.image_folder(path, per_label=12, splits=())
    for label in drawing.COLOURS:
        for number in range(6):
            shutil.copy(folder / label / f"{number}.png", folder / label / f"{number} again.png")
    return folder


def test_duplicates_stay_on_one_side_and_fix_drops_the_copies(tmp_path: Path) -> None:
    folder = _folder_with_copies(tmp_path / "data")
    for name, fix in (("grouped", False), ("fixed", True)):
        manifest = pyclassify.train(image_config(folder, tmp_path / name, epochs=1, fix=fix)).manifest
        data, report = manifest.data, manifest.data_report
        assert data is not None
        assert report is not None
        assert report.leaked_test == 0
        assert not {"leak_test", "leak_validation"} & _codes(manifest)
        assert data.duplicates_grouped
        total = data.train + data.validation + data.test
        assert (total == 54) == (name == "grouped")
        assert sum(sum(counts.values()) for counts in report.counts.values()) == total


# What is refused


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"out": None}, "out_missing"),
        ({"device": "tpu"}, "device_unknown"),
        ({"resume": True}, "nothing_to_resume"),
        ({"measure_only": True}, "nothing_to_measure"),
        ({"size_px": 33}, "option_unknown"),
        ({"network": "resnet"}, "image_network_unknown"),
        ({"weights": "none"}, "weights_need_torchvision"),
        ({"label_names": {"en": {"cat": "tiger"}}}, "label_to_name_unknown"),
        ({"label_names": {"ko": {"red": "blue"}}}, "label_name_ambiguous"),
        ({"data": Path("missing")}, "data_not_a_folder"),
    ],
)
def test_picture_options_that_cannot_work(folder: Path, tmp_path: Path, options: dict[str, Any], code: str) -> None:
    assert code_of(image_config(**{"folder": folder, "out": tmp_path / "out", **options})) == code
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"text_column": "body"}, "column_missing"),
        ({"vectors": "glove.6B.300d"}, "vectors_need_lstm"),
        ({"vectors": "nowhere.txt", "network": "lstm"}, "vectors_unknown"),
        ({"max_tokens": 1}, "option_too_small"),
        ({"vocabulary_size": 1}, "option_too_small"),
        ({"encoding": "klingon"}, "encoding_unknown"),
        ({"test": Path("missing.tsv")}, "text_path_missing"),
        ({"tokens": "syllables"}, "option_unknown"),
        ({"network": "transformer"}, "option_unknown"),
    ],
)
def test_text_options_that_cannot_work(table: Path, tmp_path: Path, options: dict[str, Any], code: str) -> None:
    assert code_of(text_config(table, tmp_path / "out", **options)) == code


def test_options_are_checked_before_data_is_read(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine")
    assert code_of(image_config(tmp_path / "missing", tmp_path / "taken")) == "not_a_checkpoint"


@pytest.mark.parametrize(
    ("out", "code"),
    [
        ("plain/model", "out_inside_data"),
        ("plain/red/model", "out_inside_data"),
        ("data/train/model", "out_inside_data"),
        ("plain/red/0.png/model", "checkpoint_not_writable"),
        ("x" * 300, "checkpoint_not_writable"),
        (".", "out_not_a_folder_of_its_own"),
        ("data/..", "out_not_a_folder_of_its_own"),
    ],
)
def test_places_where_no_checkpoint_can_be(
    folder: Path, tmp_path: Path, out: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing.image_folder(tmp_path / "plain", per_label=3, splits=())
    monkeypatch.chdir(tmp_path)
    assert code_of(image_config(folder if out.startswith("data") else Path("plain"), Path(out))) == code


# The card


def test_card_names_the_origin_of_word_vectors(table: Path, tmp_path: Path) -> None:
    path = recipe.train(TextConfig(data=table, out=tmp_path / "few", device="cpu")).path
    manifest = checkpoint.load(path).manifest
    assert manifest.ood is not None
    assert "meaning" in manifest.ood.views
    assert "all-MiniLM-L6-v2" in training_of(manifest).origin
    assert training_of(manifest).origin in (path / "README.md").read_text(encoding="utf-8")


def test_card_says_what_the_scores_are_worth(text_checkpoint: Path) -> None:
    card = ModelCard.load(text_checkpoint / checkpoint.CARD)
    scores = scores_of(checkpoint.read_manifest(text_checkpoint))
    for part in ("SVM", "McNemar", "calibration error", "labels per set", "(median)"):
        assert part in card.text
    assert scores.baseline.only_ours + scores.baseline.only_baseline <= scores.num_examples
    assert {"confusion.png", "reliability.png", "curves.png"} <= {path.name for path in text_checkpoint.iterdir()}


def test_texts_of_the_data_are_not_in_the_checkpoint(text_checkpoint: Path) -> None:
    texts = {text for _, text in drawing.reviews(40)}
    for name in (checkpoint.CARD, checkpoint.CONFIG):
        content = (text_checkpoint / name).read_text(encoding="utf-8")
        assert not any(text in content for text in texts)


def test_predictions_have_sets(image_checkpoint: Path, text_checkpoint: Path) -> None:
    (answer,) = pyclassify.load(text_checkpoint).predict(["a wonderful film"])
    assert answer.label in answer.prediction_set
    (answer,) = pyclassify.load(image_checkpoint).predict([drawing.image((220, 40, 40), 5)])
    assert answer.label in answer.prediction_set


# Few examples, and the part that calibrates


class OneGo(Lstm):
    """A network that is fitted without epochs and cross-validates, as those for few examples do."""

    folds: tuple[torch.Tensor, torch.Tensor] | None = None

    def prepare(self, batches: Batches) -> None:
        """Answer the training examples as if each had been left out once: all of them right."""
        _, label_ids = trainer.predict_logits(self, batches)
        self.folds = 3 * torch.nn.functional.one_hot(label_ids, 2).float(), label_ids

    def out_of_fold(self) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return the logits and labels of `prepare`."""
        return self.folds


def cross_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a `OneGo` of the recurrent network."""
    prepare, fit_ood = TextModality.prepare, TextModality.fit_ood

    def without_epochs(self: TextModality, *arguments: Any, **options: Any) -> Task:
        task = prepare(self, *arguments, **options)
        task.network.__class__ = OneGo
        return replace(task, fit=replace(task.fit, epochs=0))

    def on_train(self: TextModality, network: torch.nn.Module, task: Task) -> Any:
        return fit_ood(self, network, replace(task, validation=task.train))

    monkeypatch.setattr(TextModality, "cross_validates", lambda self, config, splits: True)
    monkeypatch.setattr(TextModality, "prepare", without_epochs)
    monkeypatch.setattr(TextModality, "fit_ood", on_train)


def test_a_small_validation_split_joins_the_training_data_of_a_network_that_cross_validates(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cross_fit(monkeypatch)
    events: list[recipe.Event] = []
    config = text_config(table, tmp_path / "out", network="lstm", epochs=None)
    manifest = pyclassify.train(config, on_progress=events.append).manifest
    assert manifest.data is not None
    assert (manifest.data.train, manifest.data.validation, manifest.data.test) == (32, 0, 8)
    notices = [str(event.text) for event in events if isinstance(event, recipe.Notice)]
    assert locales.text("notes.cross_validated", counted="32 texts") in notices
    calibration = manifest.calibration
    assert (calibration.source, calibration.num_examples, calibration.ceiling) == ("out_of_fold", 32, 33 / 34)
    assert calibration.temperature == 1
    assert training_of(manifest).epochs == []
    card = (tmp_path / "out" / checkpoint.CARD).read_text(encoding="utf-8")
    assert "split into 32 training and 8 test texts" in card
    assert "each from a fit without it" in card
    assert not (tmp_path / "out" / "curves.png").exists()
    (answer,) = pyclassify.load(tmp_path / "out", device="cpu").predict(["a wonderful film"])
    assert max(answer.probabilities.values()) <= 33 / 34
    html = card_of_page("out", pyclassify.load(tmp_path / "out", device="cpu"), "ko") + figures(manifest, "ko")
    assert locales.text("page.models.curves.title", "ko") not in html

    bare = manifest.replace(calibration=calibration.model_copy(update={"temperature": 5.0}), selftest=None)
    (tmp_path / "out" / checkpoint.CONFIG).write_bytes(bare.to_json())
    measured = pyclassify.train(replace(config, measure_only=True)).manifest
    assert measured.calibration == calibration
    assert measured.files == manifest.files


def test_examples_are_checked_as_they_would_be_trained_on(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cross_fit(monkeypatch)
    for fix in (False, True):
        report = recipe.inspect(TextConfig(data=table, network="lstm", fix=fix)).report
        assert [sum(counts.values()) for counts in report.counts.values()] == [32, 0, 8]


def test_a_validation_split_of_its_own_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cross_fit(monkeypatch)
    for split in ("train", "val", "test"):
        for label in ("good", "bad"):
            folder = tmp_path / "data" / split / label
            folder.mkdir(parents=True)
            for i in range(6):
                (folder / f"{i}.txt").write_text(f"{label} {split} text {i}", encoding="utf-8")
    report = recipe.inspect(TextConfig(data=tmp_path / "data", network="lstm")).report
    assert [sum(counts.values()) for counts in report.counts.values()] == [12, 12, 12]


def test_what_calibrates_chooses_nothing(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TextModality, "cross_validates", lambda self, config, splits: False)
    config = text_config(table, tmp_path / "plain", network="lstm")
    plain = pyclassify.train(config).manifest
    prepare = TextModality.prepare

    def with_part(self: TextModality, *arguments: Any, **options: Any) -> Task:
        task = prepare(self, *arguments, **options)
        return replace(task, calibration=task.train)

    monkeypatch.setattr(TextModality, "prepare", with_part)
    config = replace(config, out=tmp_path / "halved")
    halved = pyclassify.train(config).manifest
    assert have_equal_weights(tmp_path / "plain", tmp_path / "halved")
    assert (plain.calibration.source, plain.calibration.num_examples) == ("validation", 4)
    assert (halved.calibration.source, halved.calibration.num_examples) == ("calibration", 28)
    assert halved.data is not None
    assert (halved.data.calibration, halved.data.validation) == (28, 4)
    assert pyclassify.train(replace(config, measure_only=True)).manifest.calibration == halved.calibration

    # the weights of a checkpoint from before there was such a part were chosen by all of the validation examples
    old = halved.replace(calibration=plain.calibration, selftest=None)
    (tmp_path / "halved" / checkpoint.CONFIG).write_bytes(old.to_json())
    measured = pyclassify.train(replace(config, measure_only=True)).manifest.calibration
    assert (measured.source, measured.num_examples) == ("validation", 32)


# Measuring again


def test_measuring_again_keeps_weights_and_training(text_checkpoint: Path, table: Path, tmp_path: Path) -> None:
    before, out = checkpoint.read_manifest(text_checkpoint), tmp_path / "reviews"
    shutil.copytree(text_checkpoint, out)
    bare = before.replace(calibration={}, selftest=None, measured=None)
    (out / checkpoint.CONFIG).write_bytes(bare.to_json())
    config = text_config(table, out, epochs=8, seed=1, measure_only=True, hub_dataset="somebody/reviews")
    after = pyclassify.train(config).manifest
    (entry,) = parse_eval_result_entries(yaml.safe_load((out / ".eval_results" / "accuracy.yaml").read_text()))
    assert (entry.dataset_id, entry.value) == ("somebody/reviews", round(scores_of(before).accuracy, 4))
    assert after.files == before.files
    assert after.training == before.training
    assert after.calibration.temperature == pytest.approx(before.calibration.temperature, rel=1e-3)
    assert scores_of(after).confusion == scores_of(before).confusion
    assert after.description.hub_dataset == "somebody/reviews"
    kept = pyclassify.train(replace(config, hub_dataset="")).manifest
    assert kept.description.hub_dataset == "somebody/reviews"


def test_measuring_pictures_again(image_checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "colours"
    shutil.copytree(image_checkpoint, out)
    data = drawing.image_folder(tmp_path / "data")
    after = pyclassify.train(image_config(data, out, seed=1, measure_only=True, about="Drawn squares.")).manifest
    assert after.files == checkpoint.read_manifest(image_checkpoint).files
    assert "Drawn squares." in (out / checkpoint.CARD).read_text(encoding="utf-8")


@pytest.mark.parametrize("is_grouped", [True, False])
def test_measuring_splits_as_the_training_did(tmp_path: Path, is_grouped: bool) -> None:
    config = image_config(_folder_with_copies(tmp_path / "data"), tmp_path / "out", epochs=1)
    trained = pyclassify.train(config).manifest
    assert trained.data is not None
    data = trained.data.model_copy(update={"duplicates_grouped": is_grouped})
    (tmp_path / "out" / checkpoint.CONFIG).write_bytes(trained.replace(data=data).to_json())
    measured = pyclassify.train(replace(config, measure_only=True)).manifest
    assert measured.data is not None
    assert measured.data_report is not None
    assert measured.data.duplicates_grouped == is_grouped
    assert (measured.data_report.leaked_test == 0) == is_grouped
    assert (scores_of(measured).confusion == scores_of(trained).confusion) or not is_grouped


def test_measuring_with_other_data_is_refused(text_checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "reviews"
    shutil.copytree(text_checkpoint, out)
    table = tmp_path / "other.tsv"
    rows = "".join(f"{'ab'[i % 2]}\tword number {i}\n" for i in range(40))
    table.write_text(f"label\ttext\n{rows}", encoding="utf-8")
    assert code_of(text_config(table, out, measure_only=True)) == "measured_with_other_data"
    assert checkpoint.read_manifest(out) == checkpoint.read_manifest(text_checkpoint)


def test_names_are_recorded(table: Path, tmp_path: Path) -> None:
    config = text_config(
        table, tmp_path / "out", epochs=1, title={"en": "Mail", "ko": "편지"}, label_names={"en": {"bad": "not good"}}
    )
    manifest = pyclassify.train(config).manifest
    assert manifest.title("ko") == "편지"
    assert manifest.label_names("en") == {"bad": "not good", "good": "good"}


# The whole way: labelled files in, a page out, and the page answers what the classifier answers


@pytest.fixture(scope="module")
def client(checkpoints: Path) -> Iterator[Client]:
    from pyclassify.ui import launch

    page = launch.start(launch.parse_options(["--checkpoints", str(checkpoints), "--device", "cpu"]))
    client = Client(page.local_url, verbose=False)
    yield client
    client.close()
    page.close()


def test_page_answers_pictures_as_the_classifier_does(client: Client, checkpoints: Path, tmp_path: Path) -> None:
    classifier = pyclassify.load(checkpoints / "colours", device="cpu")
    for number, (label, colour) in enumerate(drawing.COLOURS.items()):
        path = tmp_path / f"{label}.png"
        drawing.image(colour, seed=50 + number).save(path)
        answer = client.predict(handle_file(str(path)), api_name="/classify_image")
        assert answer["label"] == label
        (expected,) = classifier.predict([path])
        assert answer["probabilities"] == pytest.approx(expected.probabilities, abs=1e-6)
        assert answer["milliseconds"] > 0


def test_page_answers_texts_as_the_classifier_does(client: Client, checkpoints: Path) -> None:
    classifier = pyclassify.load(checkpoints / "reviews", device="cpu")
    for text, label in (("a wonderful film with great acting", "good"), ("an awful story", "bad")):
        answer = client.predict(text, api_name="/classify_text")
        assert answer["label"] == label
        assert answer["probabilities"] == pytest.approx(classifier.predict([text])[0].probabilities, abs=1e-6)


def test_checkpoint_moves_as_a_folder(text_checkpoint: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(text_checkpoint, tmp_path / "elsewhere"))
    text = ["a wonderful film"]
    here, there = (pyclassify.load(path, device="cpu").predict(text) for path in (text_checkpoint, moved))
    assert here == there
