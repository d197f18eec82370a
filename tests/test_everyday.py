"""Everyday sentences: the list itself, what counts as right, and the table of what the shipped model answers."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from benchmarks import everyday, results, tables
from pyclassify import Prediction, load

RECORDED = results.read("everyday")


def prediction(label: str, probability: float, *, known: bool = True) -> Prediction:
    other = {"pos": "neg", "neg": "pos"}[label]
    return Prediction(label, {label: probability, other: 1 - probability}, (), known, (label,))


def test_there_are_sixty_different_sentences() -> None:
    texts = [text for text, _ in everyday.SENTENCES]
    assert len(texts) == len({text.lower() for text in texts}) == 60
    counts = Counter(label for _, label in everyday.SENTENCES)
    assert min(counts["pos"], counts["neg"]) >= 20
    assert counts[everyday.NONE] >= 5


def test_an_answer_is_right_if_it_is_the_label_or_if_there_is_none_to_give() -> None:
    assert everyday.is_right(prediction("pos", 0.9), "pos")
    assert not everyday.is_right(prediction("pos", 0.9), "neg")
    assert not everyday.is_right(prediction("pos", 0.9), everyday.NONE)
    assert everyday.is_right(prediction("pos", 0.55), everyday.NONE)
    assert everyday.is_right(prediction("pos", 0.9, known=False), everyday.NONE)


def test_the_table_shows_wrong_answers_as_wrong(tmp_path: Path) -> None:
    rows = [
        {"text": "good", "label": "pos", "message": "positive, 90%", "right": True},
        {"text": "Meh.", "label": "neg", "message": "positive, 80%", "right": False},
    ]
    content = {"command": "c", "date": "d", "commit": "", "hardware": "h", "versions": {"python": "3", "torch": "2"}}
    (tmp_path / "everyday.json").write_text(json.dumps({**content, "results": {"rows": rows}}))
    table = tables.everyday(tmp_path)
    assert "| good | pos | positive, 90% | yes |" in table
    assert "| Meh. | neg | positive, 80% | **wrong** |" in table
    assert "1 of 2 are right" in table


@pytest.mark.skipif(RECORDED is None or not everyday.CHECKPOINT.is_dir(), reason="the model is not shipped yet")
def test_the_shipped_model_answers_as_recorded() -> None:
    assert RECORDED is not None
    rows = everyday.answer(load(everyday.CHECKPOINT, device="cpu"))
    recorded = RECORDED["results"]["rows"]
    assert [(row["text"], row["answer"], row["right"]) for row in rows] == [
        (row["text"], row["answer"], row["right"]) for row in recorded
    ]
    assert sum(row["right"] for row in rows) >= 45
