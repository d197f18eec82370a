"""`benchmarks.explain`: explanations are measured on networks whose reasons are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import drawn, explain, latency, results, tables
from pyclassify import TextExplanation, checkpoint
from pyclassify.device import pick
from tests import drawing
from train import image as train_image

SETTINGS = explain.Settings(device=pick("cpu"), num_inputs=12, num_shuffled=6)


@pytest.fixture(autouse=True)
def _few_timings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "MIN_CALLS", 2)
    monkeypatch.setattr(drawn, "WORDS", (20,))
    monkeypatch.setattr(drawn, "PHOTO_PX", (400, 300))
    monkeypatch.setattr(explain, "RESAMPLES", 200)


def test_words_that_decide_are_ranked_first(text_checkpoint: Path) -> None:
    fillers = "the day and a night went by in some house with two old men at sea"
    words = ("wonderful", "terrible")
    texts = [f"{fillers} {words[i % 2]} {fillers[i:]}" for i in range(15)] + ["alone"]
    measured = explain.measure(checkpoint.load(text_checkpoint), texts, SETTINGS)
    (row,) = measured["taken_away"]
    assert (row["taken"], row["n"]) == ("words", 12)
    assert row["drop"] > 2 * row["random_drop"]
    (sanity,) = measured["sanity"]
    assert sanity["n"] == 6
    assert sanity["noised"] > sanity["shuffled"]
    assert [timing["input"] for timing in measured["timings"]] == ["the above", "text of 20 words"]


def test_squares_that_decide_are_ranked_first(tmp_path: Path) -> None:
    data = drawing.image_folder(tmp_path / "data", per_label=8)
    path = tmp_path / "checkpoints" / "colours"
    arguments = ["--data", str(data), "--model", "simple_cnn", "--epochs", "4", "--seed", "1", "--device", "cpu"]
    train_image.main([*arguments, "--out", str(path)])
    options = ["--checkpoints", str(path.parent), "--data", str(tmp_path), "--results", str(tmp_path / "out")]
    explain.main([*options, "--n", "10", "--sanity", "4", "--device", "cpu"])
    content = results.read("explain", tmp_path / "out")
    assert content is not None
    rows = content["results"]["taken_away"]
    assert [(row["checkpoint"], row["taken"], row["n"]) for row in rows] == [
        ("colours", "squares, blurred", 10),
        ("colours", "squares, mean colour", 10),
    ]
    assert all(row["drop"] > row["random_drop"] for row in rows)
    assert [timing["input"] for timing in content["results"]["timings"]] == [
        "the above",
        "picture, PNG of 32 px",
        "picture, JPEG of 0.12 megapixels",
    ]
    table = tables.explain(tmp_path / "out")
    assert f"| colours | squares, blurred | {rows[0]['drop']:.3f} | {rows[0]['random_drop']:.3f} |" in table
    assert "- The inputs are test data" in table


def test_the_factor_is_the_ratio_of_the_means_with_an_interval_around_it() -> None:
    generator = np.random.default_rng(0)
    drops = np.stack([generator.normal(0.4, 0.1, 500), generator.normal(0.1, 0.1, 500)], axis=1)
    summary = explain.summarize(drops, generator)
    assert summary["factor"] == pytest.approx(drops[:, 0].mean() / drops[:, 1].mean())
    low, high = summary["factor_interval"]
    assert 3 < low < summary["factor"] < high < 5


def test_an_infinite_ratio_is_none(tmp_path: Path) -> None:
    summary = explain.summarize(np.array([[0.5, 0.0], [0.5, -0.1]]), np.random.default_rng(0))
    assert (summary["factor"], summary["factor_interval"]) == (None, [None, None])
    record = results.Record(benchmark="explain", module="m", arguments=[], device=pick("cpu"), folder=tmp_path)
    row = {"checkpoint": "c", "taken": "words", **summary}
    record.save({"part": "test", "taken_away": [row], "sanity": [], "timings": []})
    assert "| – (∞ to ∞) |" in tables.explain(tmp_path)


def test_a_tenth_is_the_largest_first_and_then_random() -> None:
    weights = np.arange(40.0)
    first, *others = (set(chosen.tolist()) for chosen in explain.choose_tenths(weights, np.random.default_rng(0)))
    assert first == {36, 37, 38, 39}
    assert len(others) == explain.DRAWS
    assert all(len(chosen) == 4 for chosen in others)
    assert len({tuple(sorted(chosen)) for chosen in others}) > 1


@pytest.mark.parametrize("size_px", [32, 60, 224])
def test_a_mask_covers_its_squares_alone(size_px: int) -> None:
    mask = explain.mask_of(np.array([0, 9]), size_px)
    assert mask.shape == (size_px, size_px)
    assert mask[0, 0]
    assert not mask[0, -1]
    assert mask.float().mean().item() == pytest.approx(2 / 64, rel=0.2)


def test_rank_correlation() -> None:
    values = np.array([3.0, 1.0, 2.0, 5.0])
    assert explain.rank_correlation(values, values**3) == pytest.approx(1)
    assert explain.rank_correlation(values, -values) == pytest.approx(-1)
    assert explain.rank_correlation(values, np.zeros(4)) == 0


def test_shuffling_keeps_the_weights_and_leaves_the_shipped_ones(text_checkpoint: Path) -> None:
    network = checkpoint.load(text_checkpoint).network
    before = [parameter.clone() for parameter in network.parameters()]
    shuffled = list(explain.shuffle_weights(network).parameters())
    assert all((now == old).all() for now, old in zip(network.parameters(), before, strict=True))
    pairs = list(zip(shuffled, before, strict=True))
    assert all((new.flatten().sort().values == old.flatten().sort().values).all() for new, old in pairs)
    assert any((new != old).any() for new, old in pairs)


def test_words_are_taken_out_of_the_text() -> None:
    explanation = TextExplanation("good", 0.9, ((0, 3, 0.1), (4, 8, 2.0), (8, 9, 0.0)))
    assert explain.without_words("The best!", explanation, np.array([1])) == "The  !"
