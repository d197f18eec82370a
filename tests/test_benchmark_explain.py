"""`benchmarks.explain`: what is measured of explanations, on networks whose reasons are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pyclassify
from benchmarks import explain, latency, results, sanity, tables
from pyclassify import TextExplanation, checkpoint
from pyclassify.device import pick
from tests import drawing

SETTING = explain.Setting(device=pick("cpu"), most=12, sanity=6)


@pytest.fixture(autouse=True)
def few_timings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "FEWEST", 2)
    monkeypatch.setattr(latency, "WORDS", (20,))
    monkeypatch.setattr(explain, "RESAMPLES", 200)
    monkeypatch.setattr(explain.drawn, "PHOTO_PX", (400, 300))


def test_words_that_decide_are_found(text_checkpoint: Path) -> None:
    fillers = "the day and a night went by in some house with two old men at sea"
    words = ("wonderful", "terrible")
    texts = [f"{fillers} {words[i % 2]} {fillers[i:]}" for i in range(15)] + ["alone"]
    found = explain.measure(checkpoint.load(text_checkpoint), texts, SETTING)
    (row,) = found["taken_away"]
    assert (row["taken"], row["n"]) == ("words", 12)
    assert row["drop"] > 2 * row["random_drop"]
    (alike,) = found["sanity"]
    assert alike["n"] == 6
    assert alike["noised"] > alike["shuffled"]
    assert [each["input"] for each in found["timings"]] == ["the above", "text of 20 words"]


def test_squares_that_decide_are_found(image_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(14):
        drawing.picture(list(drawing.COLOURS.values())[i % 3], seed=i).save(tmp_path / f"{i}.png")
    monkeypatch.setitem(explain.INPUTS, "colours", lambda root, part: sorted(root.glob("*.png")))
    options = ["--checkpoints", str(image_checkpoint), "--data", str(tmp_path), "--results", str(tmp_path / "out")]
    explain.main([*options, "--n", "10", "--sanity", "4", "--device", "cpu"])
    content = results.read("explain", tmp_path / "out")
    assert content is not None
    rows = content["results"]["taken_away"]
    assert [(row["checkpoint"], row["taken"], row["n"]) for row in rows] == [
        ("colours", "squares, blurred", 10),
        ("colours", "squares, mean colour", 10),
    ]
    assert all(row["drop"] > row["random_drop"] for row in rows)
    table = tables.explain(tmp_path / "out")
    assert f"| colours | squares, blurred | {rows[0]['drop']:.3f} | {rows[0]['random_drop']:.3f} |" in table
    assert "- The inputs are test data" in table


def test_the_factor_is_the_ratio_of_the_means_with_an_interval_around_it() -> None:
    generator = np.random.default_rng(0)
    drops = np.stack([generator.normal(0.4, 0.1, 500), generator.normal(0.1, 0.1, 500)], axis=1)
    found = explain.summary(drops, generator)
    assert found["factor"] == pytest.approx(drops[:, 0].mean() / drops[:, 1].mean())
    low, high = found["factor_interval"]
    assert 3 < low < found["factor"] < high < 5


def test_a_ratio_without_end_is_none() -> None:
    found = explain.summary(np.array([[0.5, 0.0], [0.5, -0.1]]), np.random.default_rng(0))
    assert (found["factor"], found["factor_interval"]) == (None, [None, None])
    assert explain.tables._taken_away({"checkpoint": "c", "taken": "words", **found})[4] == "– (∞ to ∞)"


def test_a_tenth_is_the_largest_first_and_then_random() -> None:
    weights = np.arange(40.0)
    first, *others = (set(each.tolist()) for each in explain._tenths(weights, np.random.default_rng(0)))
    assert first == {36, 37, 38, 39}
    assert len(others) == explain.DRAWS
    assert all(len(each) == 4 for each in others)
    assert len({tuple(sorted(each)) for each in others}) > 1


@pytest.mark.parametrize("size_px", [32, 60, 224])
def test_a_mask_covers_its_squares_alone(size_px: int) -> None:
    mask = explain._mask(np.array([0, 9]), size_px)
    assert mask.shape == (size_px, size_px)
    assert mask[0, 0]
    assert not mask[0, -1]
    assert mask.float().mean().item() == pytest.approx(2 / 64, rel=0.2)


def test_rank_correlation() -> None:
    values = np.array([3.0, 1.0, 2.0, 5.0])
    assert sanity._spearman(values, values**3) == pytest.approx(1)
    assert sanity._spearman(values, -values) == pytest.approx(-1)
    assert sanity._spearman(values, np.zeros(4)) == 0


def test_shuffling_keeps_the_weights_and_leaves_the_shipped_ones(text_checkpoint: Path) -> None:
    loaded = checkpoint.load(text_checkpoint)
    before = [each.clone() for each in loaded.model.parameters()]
    shuffled = list(sanity._shuffled(loaded.model).parameters())
    assert all((ours == old).all() for ours, old in zip(loaded.model.parameters(), before, strict=True))
    assert all(
        (a.flatten().sort().values == b.flatten().sort().values).all() for a, b in zip(shuffled, before, strict=True)
    )
    assert any((a != b).any() for a, b in zip(shuffled, before, strict=True))


def test_words_are_taken_out_of_the_text() -> None:
    found = TextExplanation("good", 0.9, ((0, 3, 0.1), (4, 8, 2.0), (8, 9, 0.0)))
    assert sanity.without("The best!", found, np.array([1])) == "The  !"
    assert pyclassify.TextExplanation is TextExplanation
