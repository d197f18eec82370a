"""Figures of a training and its scores: PNG for the card, SVG for the page."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from pyclassify import plots
from pyclassify.manifest import CalibrationScore, DataSummary, Epoch, Manifest, ReliabilityBin, Training
from tests import fakes

CURVE_LABELS = {
    "epoch": "에포크",
    "accuracy": "맞힌 답 <b>&",
    "loss": "loss",
    "accuracy_description": "it rises",
    "loss_description": "it falls",
}
RELIABILITY_LABELS = {"title": "Trust <it>", "description": "as seen", "confidence": "sure", "accuracy": "right"}


def training(count: int, **config: Any) -> Training:
    epochs = [
        Epoch(
            epoch=number,
            epochs=count,
            train_loss=2 / number,
            train_accuracy=1 - 0.7 / number,
            val_loss=1.5 / number,
            val_accuracy=1 - 0.5 / number,
            learning_rate=0.1,
            examples_per_s=100.0,
            duration_s=1.0,
            is_best=number <= 3,
        )
        for number in range(1, count + 1)
    ]
    return fakes.training().model_copy(update={"epochs": epochs, "config": config})


def calibration(*bins: tuple[float, float, int]) -> CalibrationScore:
    parts = [ReliabilityBin(confidence=sure, accuracy=right, num_examples=count) for sure, right, count in bins]
    return CalibrationScore(ece_before=0.1, ece_after=0.05, bins=parts)


def manifest(**fields: Any) -> Manifest:
    return fakes.make_manifest("image", **{"training": training(6), **fields})


def pixels(content: bytes) -> np.ndarray[Any, Any]:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def count_near(image: np.ndarray[Any, Any], colour: str) -> int:
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int((np.abs(image - wanted).max(axis=2) < 40).sum())


def charts(svg: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(f"<div>{svg}</div>"))


# PNG


@pytest.mark.parametrize("count", [1, 2, 14, 320])
def test_curves_are_small_and_on_white(count: int) -> None:
    content = plots.png_figures(manifest(training=training(count, label_smoothing=0.1)))[plots.CURVES]
    assert len(content) < 40_000
    image = pixels(content)
    assert image.shape == (300, 800, 3)
    assert (image[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()
    for colour in (plots.PAPER.training, plots.PAPER.validation):
        assert all(count_near(half, colour) > 5 for half in np.split(image, 2, axis=1)), "a line is missing"


def test_curves_show_the_epochs() -> None:
    def drawn(count: int) -> bytes:
        return plots.png_figures(manifest(training=training(count)))[plots.CURVES]

    assert drawn(6) == drawn(6)
    assert drawn(6) != drawn(7)


def test_without_validation_data_there_is_one_line() -> None:
    data = DataSummary(name="x", train=90, validation=0, test=20)
    image = pixels(plots.png_figures(manifest(data=data))[plots.CURVES])
    assert count_near(image, plots.PAPER.training) > 5
    assert count_near(image, plots.PAPER.validation) == 0
    assert plots.CURVES not in plots.png_figures(manifest(training=training(0), data=data))


def test_figures_are_those_that_the_manifest_has_numbers_for() -> None:
    everything = {plots.CURVES, plots.CONFUSION, plots.RELIABILITY}
    assert set(plots.png_figures(manifest())) == everything
    assert set(plots.png_figures(manifest(training=None))) == everything - {plots.CURVES}
    assert set(plots.png_figures(manifest(scores=None))) == {plots.CURVES}
    labels = [f"label {number}" for number in range(plots.MAX_LABELS + 1)]
    many = fakes.make_manifest("image", labels, training=training(1))
    assert set(plots.png_figures(many)) == everything - {plots.CONFUSION}


@pytest.mark.parametrize("labels", [["$x$", "$\\broken{$"], ["부정", "긍정"], ["long " * 20, "x" * 90]])
def test_labels_may_be_any_text(labels: list[str]) -> None:
    figures = plots.png_figures(fakes.make_manifest("text", labels))
    assert pixels(figures[plots.CONFUSION]).shape[2] == 3


@pytest.mark.parametrize("name", ["colours", "reviews"])
def test_training_leaves_its_figures_beside_the_card(checkpoints: Path, name: str) -> None:
    folder = checkpoints / name
    described = Manifest.model_validate_json((folder / "config.json").read_bytes())
    figures = plots.png_figures(described)
    assert set(figures) == {plots.CURVES, plots.CONFUSION, plots.RELIABILITY}
    card = (folder / "README.md").read_text(encoding="utf-8")
    for file, content in figures.items():
        assert f"]({file})" in card
        assert (folder / file).read_bytes() == content
        assert file not in described.files


def test_matplotlib_is_imported_when_a_figure_is_drawn_and_pyplot_never() -> None:
    code = """
import sys
from pyclassify import plots
print("torch" in sys.modules, "matplotlib" in sys.modules)
from tests.test_plots import manifest
plots.png_figures(manifest())
print("matplotlib.pyplot" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "False"]
    assert done.stderr == ""


# SVG


@pytest.mark.parametrize("count", [1, 2, 30, 320])
def test_curves_are_two_charts_with_words_for_those_who_do_not_see_them(count: int) -> None:
    svg = plots.curves_svg(training(count), CURVE_LABELS)
    accuracy, loss = charts(svg)
    for chart, measure in ((accuracy, "accuracy"), (loss, "loss")):
        assert chart.tag == "svg"
        assert chart.get("role") == "img"
        assert chart[0].tag == "title"
        assert chart.findtext("title") == CURVE_LABELS[measure]
        assert chart.findtext("desc") == CURVE_LABELS[f"{measure}_description"]
        texts = [text.text for text in chart.iter("text")]
        assert CURVE_LABELS[measure] in texts
        assert CURVE_LABELS["epoch"] in texts
    assert len(svg) < 80_000


@pytest.mark.parametrize(
    "svg",
    [
        plots.curves_svg(training(4), CURVE_LABELS),
        plots.reliability_svg(calibration((0.4, 0.5, 3), (0.9, 0.9, 50)), RELIABILITY_LABELS),
    ],
    ids=["curves", "reliability"],
)
def test_charts_fit_into_any_page(svg: str) -> None:
    for word in ("<script", "http", "xlink", "url(", "<style", " id=", "<defs", "<use", "font-family"):
        assert word not in svg, "several charts are on one page, with the page's own fonts"
    assert not re.search(r"#[0-9a-fA-F]{3}", svg), "a colour that does not follow the theme"
    for colour in ("var(--color-accent)", "var(--block-border-color)", "currentColor"):
        assert colour in svg


def test_the_same_numbers_give_the_same_chart() -> None:
    assert plots.curves_svg(training(4), CURVE_LABELS) == plots.curves_svg(training(4), CURVE_LABELS)
    assert plots.curves_svg(training(4), CURVE_LABELS) != plots.curves_svg(training(5), CURVE_LABELS)


def test_charts_are_drawn_by_many_threads_at_once() -> None:
    scores = [calibration((0.5, 0.1 * number, 10)) for number in range(6)]
    alone = [plots.reliability_svg(score, RELIABILITY_LABELS) for score in scores]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda score: plots.reliability_svg(score, RELIABILITY_LABELS), scores * 3))
    assert together == alone * 3


def dots(svg: str) -> list[tuple[float, float, float]]:
    """Left, top and width of each filled shape of a chart."""
    (chart,) = charts(svg)
    found = []
    for path in chart.iter("path"):
        if path.get("style", "").startswith("fill: var"):
            x, y = np.array(re.findall(r"-?[\d.]+", path.get("d", "")), dtype=float).reshape(-1, 2).T
            shift = re.findall(r"-?[\d.]+", path.get("transform", "0 0"))
            found.append((x.min() + float(shift[0]), y.min() + float(shift[1]), float(np.ptp(x))))
    return found


def test_higher_is_drawn_higher_and_more_is_drawn_larger() -> None:
    first, second = dots(plots.reliability_svg(calibration((0.2, 0.1, 5), (0.6, 0.9, 50)), RELIABILITY_LABELS))
    assert first[0] < second[0]
    assert first[1] > second[1]
    assert first[2] < second[2]


def test_all_points_lie_in_the_chart() -> None:
    (chart,) = charts(plots.reliability_svg(calibration((0.0, 1.0, 1), (1.0, 0.0, 1)), RELIABILITY_LABELS))
    _, _, width, height = map(float, chart.get("viewBox", "").split())
    for left, top, size in dots(ElementTree.tostring(chart, encoding="unicode")):
        assert 0 <= left <= width - size
        assert 0 <= top <= height - size
