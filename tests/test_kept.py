"""Checkpoints of earlier versions: they load, and answer as they did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pyclassify import checkpoint, classifier
from pyclassify.manifest import COVERAGES

KEPT = Path(__file__).with_name("kept")
FOLDERS = sorted(path for path in KEPT.iterdir() if (path / "checkpoint").is_dir())


def expected(folder: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return rows


def test_nothing_that_is_kept_is_lost() -> None:
    assert {path.name for path in FOLDERS} >= {
        "2026-11-image-shufflenet_v2_x0_5",
        "2026-11-image-simple_cnn",
        "2026-11-image-small_convnet",
        "2026-11-image-whitened_convnet",
        "2026-11-text-lstm",
        "2026-11-text-wide_deep",
    }


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_kept_checkpoints_answer_as_they_did(folder: Path) -> None:
    rows = expected(folder)
    loaded = classifier.load(folder / "checkpoint", device="cpu", coverage=0.9)
    inputs = [folder / row["input"] if loaded.kind == "image" else row["input"] for row in rows]
    assert len(inputs) >= 5
    for row, prediction in zip(rows, loaded.predict(inputs), strict=True):
        assert prediction.probabilities == pytest.approx(row["probabilities"], abs=1e-3), row["input"]
        assert prediction.known == row["known"], row["input"]
        assert list(prediction.prediction_set) == row["prediction_set"], row["input"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_the_answers_to_what_is_kept_differ(folder: Path) -> None:
    """Else a network that answers anything alike would pass."""
    rows = expected(folder)
    assert len({max(row["probabilities"], key=row["probabilities"].get) for row in rows}) > 1


def test_each_part_of_the_format_is_kept() -> None:
    manifests = [checkpoint.read_manifest(folder / "checkpoint") for folder in FOLDERS]
    assert {manifest.kind for manifest in manifests} == {"image", "text"}
    for manifest in manifests:
        assert manifest.selftest is not None
        assert manifest.ood is not None
        assert tuple(manifest.calibration.thresholds) == COVERAGES
    rows = [row for folder in FOLDERS for row in expected(folder)]
    assert {row["known"] for row in rows} == {True, False}
    assert len({len(row["prediction_set"]) for row in rows}) > 1


def test_a_kept_checkpoint_has_korean_labels() -> None:
    loaded = classifier.load(KEPT / "2026-11-text-wide_deep" / "checkpoint", device="cpu")
    assert loaded.labels == ["긍정", "부정"]
    assert loaded.predict(["정말 재미있는 이야기"])[0].label == "긍정"
