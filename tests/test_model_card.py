"""The model card, and its front matter for the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries

from pyclassify import model_card
from pyclassify.errors import CheckpointError
from pyclassify.manifest import (
    Calibration,
    DataReport,
    DataSummary,
    Description,
    Finding,
    LeakFreeScore,
    Manifest,
    Measurement,
    Mistake,
    Ood,
    Scores,
    SkippedItem,
)
from tests import fakes

FIGURES = ("curves.png", "confusion.png", "reliability.png")
CALIBRATION = Calibration(temperature=1.234, thresholds={"0.90": 0.5, "0.95": 0.3, "0.99": 0.1}, num_examples=5000)
OOD = Ood(threshold=1.0, views=["energy"], num_examples=5000)


def manifest(kind: str = "image", labels: list[str] | None = None, **fields: Any) -> Manifest:
    filled = {"training": fakes.training(), "calibration": CALIBRATION, "ood": OOD, **fields}
    return fakes.make_manifest(kind, labels, **filled)


def with_scores(**changes: Any) -> Manifest:
    described = manifest()
    assert described.scores is not None
    return described.replace(scores=described.scores.model_copy(update=changes))


def scores_of(described: Manifest) -> Scores:
    assert described.scores is not None
    return described.scores


def test_front_matter_is_read_by_the_hub() -> None:
    card = ModelCard(model_card.render("pets", manifest(), FIGURES))
    assert card.data.pipeline_tag == "image-classification"
    assert card.data.library_name == "pyclassify"
    assert card.data.tags == ["pyclassify", "simple_cnn"]
    results = {result.metric_type: result for result in card.data.eval_results or ()}
    assert results["accuracy"].metric_value == 0.894
    assert results["f1"].metric_value == 0.89
    assert results["accuracy"].dataset_split == "test"
    assert card.data.model_name == "pets"


def test_card_of_a_trained_checkpoint_is_read_by_the_hub(checkpoints: Path) -> None:
    for name in ("colours", "reviews"):
        described = Manifest.model_validate_json((checkpoints / name / "config.json").read_bytes())
        card = ModelCard.load(checkpoints / name / "README.md")
        assert described.training is not None
        assert described.training.command in card.text
        accuracy = next(result for result in card.data.eval_results or () if result.metric_type == "accuracy")
        assert accuracy.metric_value == round(scores_of(described).accuracy, 4)


@pytest.mark.parametrize(("kind", "items"), [("image", "pictures"), ("text", "texts")])
def test_card_has_its_sections_in_order(kind: str, items: str) -> None:
    finding = Finding(code="unreadable", count=3)
    report = DataReport(counts={}, sizes={}, findings=[finding])
    skipped = [SkippedItem(name="a.jpg", reason=f"items.{kind}", fields={"count": 3})]
    text = model_card.render("pets", manifest(kind, data_report=report, skipped=skipped), FIGURES)
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == [
        "# pets",
        "## Data",
        "## Test scores",
        "## Reliability",
        "## Training",
        "## Skipped: 1",
        "## How it was made",
    ]
    assert f"Classifies {items} into {len(fakes.LABELS[kind])} labels: {', '.join(fakes.LABELS[kind])}." in text
    assert f"45,000 training, 5,000 validation and 10,000 test {items}" in text
    assert f"- {finding.summary(kind)} {finding.advice(kind)}\n" in text
    assert f"- `a.jpg`: {skipped[0].text()}\n" in text
    for figure in FIGURES:
        assert text.count(f"]({figure})") == 1
    assert "\n\n\n" not in text


def test_sections_without_content_are_left_out() -> None:
    text = model_card.render("pets", manifest(calibration=Calibration(), ood=None))
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings == ["## Test scores", "## Training", "## How it was made"]
    assert ".png" not in text
    assert "I don't know" not in text


def test_scores_are_written_with_their_promises() -> None:
    text = model_card.render("pets", manifest(), FIGURES)
    assert "| cat | 0.9000 | 0.8800 | 0.8900 | 1,000 |\n" in text
    assert "| dog | 98% | cat | test/7 |\n" in text
    assert "| 90% | 90.0% | 1.20 | 80.0% | 90.0% (cat) |\n" in text
    assert "divided by 1.234, fitted on 5,000 validation pictures" in text
    assert "0.0100; without calibration it is 0.0500" in text
    assert "5.0% were answered with it" in text


def test_the_last_best_epoch_is_marked() -> None:
    text = model_card.render("pets", manifest())
    assert "| 1 | 1.2000 | 0.4000 | 1.3000 | 0.3800 | 45 |\n" in text
    assert "| 2 (kept) | 0.6000 | 0.8000 | 0.6500 | 0.7600 | 45 |\n" in text


@pytest.mark.parametrize("figures", [(), FIGURES])
def test_card_without_validation_data_says_what_took_its_place(figures: tuple[str, ...]) -> None:
    data = DataSummary(name="x", train=90, validation=0, test=20)
    calibration = CALIBRATION.model_copy(update={"num_examples": 90, "source": "out_of_fold", "ceiling": 91 / 92})
    described = manifest(data=data, calibration=calibration)
    text = model_card.render("pets", described, figures)
    assert "split into 90 training and 20 test pictures; 0 skipped. Every choice was made by cross-validation" in text
    assert "the answers of cross-validation to 90 training pictures, each from a fit without it." in text
    ceiling = "Probabilities are at most 0.989, which is what so few examples support."
    assert f"{ceiling} The expected calibration error" in text
    assert "than 95% of the training pictures, each compared with the others, have" in text
    assert "| 2 (kept) | 0.6000 | 0.8000 | 45 |\n" in text
    assert "validation" not in text.replace("cross-validation", "")
    assert "\n\n\n" not in text


def test_card_of_a_training_without_epochs_has_no_table_of_them() -> None:
    training = fakes.training().model_copy(update={"epochs": []})
    text = model_card.render("pets", manifest(training=training), FIGURES[1:])
    assert "\n## Training\n\nIt was fitted without epochs.\n\n## How it was made\n" in text
    assert "| epoch |" not in text


def test_the_part_that_calibrates_is_told() -> None:
    data = DataSummary(name="x", train=900, validation=400, test=20, calibration=200)
    calibration = CALIBRATION.model_copy(update={"num_examples": 200, "source": "calibration", "ceiling": 201 / 202})
    text = model_card.render("pets", manifest(data=data, calibration=calibration))
    assert "Of the validation pictures, 200 were used for calibration alone: nothing was chosen by them." in text
    assert "fitted on 200 validation pictures that nothing was chosen by. The expected" in text


def test_bars_in_names_do_not_break_the_tables() -> None:
    described = manifest(labels=["a|b", "c"])
    mistake = Mistake(position=0, name="x|y.jpg", label="a|b", answer="c", probability=0.999)
    scores = scores_of(described).model_copy(update={"mistakes": [mistake]})
    text = model_card.render("pets", described.replace(scores=scores))
    assert "| c | over 99% | a\\|b | x\\|y.jpg |" in text
    assert "| a\\|b | 0.9000 |" in text


def test_long_lists_are_cut() -> None:
    labels = [f"label {number}" for number in range(40)]
    skipped = [SkippedItem(name=f"{n}.jpg", reason="items.image", fields={"count": n}) for n in range(1200)]
    text = model_card.render("pets", manifest(labels=labels, skipped=skipped))
    assert "into 40 labels: label 0, " in text
    assert "label 29 and 10 more." in text
    assert "## Skipped: 1,200\n" in text
    assert "- and 1,180 more\n" in text
    assert "`19.jpg`" in text
    assert "`20.jpg`" not in text


def test_what_the_owner_says_and_remarks_on_the_training_are_on_the_card() -> None:
    training = fakes.training().model_copy(update={"remarks": ["Its weights began with those of others."]})
    description = Description(about="Drawn colours.", data_license="CC0")
    text = model_card.render("pets", manifest(training=training, description=description))
    assert "\nDrawn colours. Its weights began with those of others.\n" in text
    assert "Licence of the data: CC0." in text


def test_origin_is_written_with_commits_and_versions() -> None:
    training = fakes.training().model_copy(update={"commit": "abc123+", "versions": {"python": "3.11", "torch": "2"}})
    measured = Measurement(date="2026-02-03", commit="def456", hardware="GPU", answer_ms=6.71)
    text = model_card.render("pets", manifest(training=training, measured=measured, size_bytes=4_000_000))
    assert f"\n    {training.command}\n" in text
    assert "Trained on 2026-01-31 at commit abc123 with uncommitted changes in 1.5 minutes on CPU with 2 cores" in text
    assert "Versions: python 3.11, torch 2." in text
    assert "Measured on 2026-02-03 at commit def456 on GPU: one answer takes 6.7 ms (median)" in text
    assert "4.0 MB" in text


@pytest.mark.parametrize("missing", ["data", "scores", "training"])
def test_card_of_no_training_is_refused(missing: str) -> None:
    with pytest.raises(CheckpointError) as error:
        model_card.render("pets", manifest(**{missing: None}))
    assert error.value.code == "no_training_recorded"


@pytest.mark.parametrize(("p_value", "ours", "verdict"), [(0.5, 9, "undecided"), (0.0, 9, "better"), (0.0, 1, "worse")])
@pytest.mark.parametrize("language", ["en", "ko"])
def test_verdict_on_the_baseline_follows_the_test(p_value: float, ours: int, verdict: str, language: str) -> None:
    baseline = scores_of(manifest()).baseline.model_copy(
        update={"p_value": p_value, "only_ours": ours, "only_baseline": 5}
    )
    words = {
        "en": {"undecided": "No difference", "better": "is better", "worse": "is worse"},
        "ko": {"undecided": "확인되지", "better": "더 낫습니다", "worse": "더 못합니다"},
    }
    summary = model_card.summary(scores_of(with_scores(baseline=baseline)), language)
    assert words[language][verdict] in summary
    assert baseline.title(language) in summary


def test_leaked_test_examples_are_told() -> None:
    leaked = LeakFreeScore(leaked=1, accuracy=0.8, accuracy_interval=(0.7, 0.9))
    summary = model_card.summary(scores_of(with_scores(without_leaked=leaked)))
    assert "Without the 1 test example that" in summary
    assert "0.8000" in summary
    assert "Without" not in model_card.summary(scores_of(manifest()))


def test_the_hub_gets_the_accuracy_on_a_data_set_of_its_own() -> None:
    assert model_card.eval_results(manifest()) == {}
    measured = Measurement(date="2026-02-03", hardware="CPU", answer_ms=1.0)
    described = manifest(description=Description(hub_dataset="someone/pets"), measured=measured)
    ((name, content),) = model_card.eval_results(described).items()
    assert name == ".eval_results/accuracy.yaml"
    (entry,) = parse_eval_result_entries(yaml.safe_load(content))
    assert (entry.dataset_id, entry.value, str(entry.date)) == ("someone/pets", 0.894, "2026-02-03")
