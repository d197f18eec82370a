"""The picture beside a checkpoint's card: how loss and accuracy went, epoch by epoch."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES = "curves.png"

WIDTH_INCHES, HEIGHT_INCHES, DOTS_PER_INCH = 8.0, 3.0, 100
COLOURS = 64
TRAINING, VALIDATION, KEPT = "#b45309", "#1d4ed8", "#6b7280"
"""Orange, blue and grey that are told apart by colour-blind people and, by their lines, in print."""


def curves(training: Mapping[str, Any]) -> bytes:
    """Draw loss and accuracy on training and validation data over the epochs.

    Args:
        training: "epochs" as in a checkpoint's config.json, and "config" with which they were fitted.

    Returns:
        A PNG of 800 x 300 pixels on white.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # no word about caches of fonts
    # imported here: only who trains has to wait for it, or to have it
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    losses, accuracies = figure.subplots(1, 2)
    _draw(losses, training, "loss", title="Cross-entropy (nats)", scale=1.0)
    _draw(accuracies, training, "accuracy", title="Accuracy (%)", scale=100.0)
    losses.legend(frameon=False, fontsize=8)
    drawn, content = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    few_colours = (
        Image.open(drawn).convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE)
    )  # a quarter of the size
    few_colours.save(content, "png", optimize=True)
    return content.getvalue()


def _draw(axes: Axes, training: Mapping[str, Any], name: str, *, title: str, scale: float) -> None:
    from matplotlib.ticker import MaxNLocator

    epochs = training["epochs"]
    numbers = [each["epoch"] for each in epochs]
    smoothed = name == "loss" and training.get("config", {}).get("label_smoothing")
    lines = (
        ("train", "training, with smoothed labels" if smoothed else "training", TRAINING, "--"),
        ("validation", "validation", VALIDATION, "-"),
    )
    mark = "o" if len(numbers) <= 20 else ""  # a single epoch is no line
    for part, label, colour, style in lines:
        values = [scale * each[f"{part}_{name}"] for each in epochs]
        axes.plot(numbers, values, color=colour, linestyle=style, marker=mark, markersize=4, linewidth=1.5, label=label)
    kept = [each["epoch"] for each in epochs if each["is_best"]]
    if kept:
        axes.axvline(kept[-1], color=KEPT, linestyle=":", linewidth=1, zorder=1, label="kept")
    axes.set_xlabel("Epoch (passes over the training data)", fontsize=9)
    axes.set_ylabel(title, fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(labelsize=8)
    axes.grid(color="#e5e7eb", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
