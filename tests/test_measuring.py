"""What is noted of a model after its training, and measuring anew without training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries

import pyclassify
from tests import drawing
from train import image as train_image
from train import text as train_text


def _info(path: Path) -> dict[str, Any]:
    info: dict[str, Any] = json.loads((path / "config.json").read_text(encoding="utf-8"))
    return info


def test_the_card_says_what_the_score_is_worth(text_checkpoint: Path) -> None:
    card = ModelCard.load(text_checkpoint / "README.md")
    scores = _info(text_checkpoint)["scores"]
    for said in ("support vector machine", "McNemar", "calibration error", "labels per set", "(median)"):
        assert said in card.text
    assert scores["baseline"]["only_ours"] + scores["baseline"]["only_other"] <= scores["examples"]
    assert {"confusion.png", "reliability.png", "curves.png"} <= {each.name for each in text_checkpoint.iterdir()}


def test_texts_of_the_data_are_not_in_the_checkpoint(text_checkpoint: Path) -> None:
    texts = {text for _, text in drawing.reviews(40)}
    for name in ("README.md", "config.json"):
        content = (text_checkpoint / name).read_text(encoding="utf-8")
        assert not any(text in content for text in texts)


def test_predictions_carry_sets(image_checkpoint: Path, text_checkpoint: Path) -> None:
    (of_text,) = pyclassify.load(text_checkpoint).predict(["a wonderful film"])
    assert of_text.label in of_text.labels_set
    (of_picture,) = pyclassify.load(image_checkpoint).predict([drawing.picture((220, 40, 40), 5)])
    assert of_picture.label in of_picture.labels_set


def test_measuring_anew_keeps_weights_and_training(text_checkpoint: Path, tmp_path: Path) -> None:
    before, out = _info(text_checkpoint), tmp_path / "reviews"
    shutil.copytree(text_checkpoint, out)
    info = _info(out)
    del info["calibration"], info["selftest"], info["measured"]  # as an older version wrote it
    (out / "config.json").write_text(json.dumps(info), encoding="utf-8")
    table = drawing.review_file(tmp_path / "reviews.tsv")
    command = ["--data", str(table), "--out", str(out), "--seed", "1", "--device", "cpu", "--measure"]
    train_text.main([*command, "--hub-dataset", "somebody/reviews"])
    (entry,) = parse_eval_result_entries(yaml.safe_load((out / ".eval_results" / "accuracy.yaml").read_text()))
    assert (entry.dataset_id, entry.value) == ("somebody/reviews", round(before["scores"]["accuracy"], 4))
    after = _info(out)
    assert after["sha256"] == before["sha256"]
    assert after["training"] == before["training"]
    assert after["calibration"]["temperature"] == pytest.approx(before["calibration"]["temperature"], rel=1e-3)
    assert after["scores"]["confusion"] == before["scores"]["confusion"]


def test_measuring_pictures_anew(image_checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "colours"
    shutil.copytree(image_checkpoint, out)
    data = drawing.picture_folder(tmp_path / "data")
    common = ["--data", str(data), "--out", str(out), "--seed", "1", "--device", "cpu"]
    train_image.main([*common, "--model", "simple_cnn", "--measure", "--about", "Drawn squares."])
    assert _info(out)["sha256"]["model.safetensors"] == _info(image_checkpoint)["sha256"]["model.safetensors"]
    assert "Drawn squares." in (out / "README.md").read_text(encoding="utf-8")


def test_other_data_or_no_checkpoint_is_refused(
    text_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "reviews"
    shutil.copytree(text_checkpoint, out)
    table = tmp_path / "other.tsv"
    rows = "".join(f"{'ab'[i % 2]}\tword number {i}\n" for i in range(40))
    table.write_text(f"label\ttext\n{rows}", encoding="utf-8")
    for place, said in ((out, "was not made from these data"), (tmp_path / "none", "no checkpoint in")):
        with pytest.raises(SystemExit):
            train_text.main(["--data", str(table), "--out", str(place), "--measure"])
        assert said in capsys.readouterr().err
