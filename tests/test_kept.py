"""Checkpoints of earlier days: they load, and answer as they did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import pyclassify

KEPT = Path(__file__).with_name("kept")
FOLDERS = sorted(path for path in KEPT.iterdir() if path.is_dir())


def test_nothing_that_is_kept_is_lost() -> None:
    assert {path.name for path in FOLDERS} >= {
        "2026-11-image-simple_cnn",
        "2026-11-image-small_convnet",
        "2026-11-image-whitened_convnet",
        "2026-11-selftest-image-simple_cnn",
        "2026-11-selftest-text-wide_deep",
        "2026-11-text-lstm",
        "2026-11-trusted-image-simple_cnn",
        "2026-11-text-wide_deep",
        "2026-11-text-wide_deep-regions",
    }


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_what_is_kept_answers_as_it_did(folder: Path) -> None:
    rows = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    classifier = pyclassify.load(folder / "checkpoint", device="cpu")
    inputs = [folder / row["input"] if classifier.kind == "image" else row["input"] for row in rows]
    assert len(inputs) >= 4
    for row, prediction in zip(rows, classifier.predict(inputs), strict=True):
        assert prediction.probabilities == pytest.approx(row["probabilities"], abs=1e-3), row["input"]
        assert prediction.known == row.get("known"), row["input"]
        assert list(prediction.labels_set) == row.get("labels_set", []), row["input"]


def test_a_selftest_is_kept_of_each_kind() -> None:
    """Its inputs are compared when it is loaded."""
    configs = [json.loads((path / "checkpoint" / "config.json").read_text(encoding="utf-8")) for path in FOLDERS]
    assert {config["kind"] for config in configs if "selftest" in config} == {"image", "text"}
    assert {config["kind"] for config in configs if "selftest" not in config} == {"image", "text"}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_the_answers_to_what_is_kept_differ(folder: Path) -> None:
    """Else a network that answers anything alike would pass."""
    rows = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    assert len({max(row["probabilities"], key=row["probabilities"].get) for row in rows}) > 1


def test_a_kept_checkpoint_has_korean_labels() -> None:
    classifier = pyclassify.load(KEPT / "2026-11-text-wide_deep" / "checkpoint", device="cpu")
    assert classifier.labels == ["긍정", "부정"]
    assert classifier.predict(["정말 재미있어요"])[0].label == "긍정"
