"""The pictures beside a checkpoint's card: curves over the epochs, confusions, reliability."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from PIL import Image

from pyclassify.card import CONFUSION, CURVES, RELIABILITY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LABELS = 50
"""More cannot be told apart in a picture of confusions."""
NUMBERED_LABELS = 12

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
    figure = _figure(WIDTH_INCHES, HEIGHT_INCHES)
    losses, accuracies = figure.subplots(1, 2)
    _draw(losses, training, "loss", title="Cross-entropy (nats)", scale=1.0)
    _draw(accuracies, training, "accuracy", title="Accuracy (%)", scale=100.0)
    losses.legend(frameon=False, fontsize=8)
    return _png(figure)


def confusion(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> bytes:
    """Draw how often each label was answered for each true label.

    Args:
        counts: (K, K); row: the true label, column: the answer.
        labels: K names.

    Returns:
        A PNG on white.
    """
    side = min(8.0, 2.5 + 0.45 * len(labels))
    figure = _figure(side + 1, side)
    axes = figure.subplots()
    totals = [max(1, sum(row)) for row in counts]
    shares = [[count / total for count in row] for row, total in zip(counts, totals, strict=True)]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [shorten(label, 20, placeholder="…") or label[:19] for label in labels]
    axes.set_xticks(range(len(labels)), names, rotation=90 if len(labels) > 3 else 0, fontsize=8)
    axes.set_yticks(range(len(labels)), names, fontsize=8)
    axes.set_xlabel("Answer", fontsize=9)
    axes.set_ylabel("True label", fontsize=9)
    if len(labels) <= NUMBERED_LABELS:
        for i, row in enumerate(counts):
            for j, count in enumerate(row):
                ink = "white" if shares[i][j] > 0.5 else "black"
                axes.text(j, i, f"{count:,}", ha="center", va="center", fontsize=7, color=ink)
    return _png(figure)


def reliability(calibration: Mapping[str, Any]) -> bytes:
    """Draw the share of right answers over the probability that they were given with.

    Args:
        calibration: "bins" and the errors, as in the scores of a checkpoint's config.json.

    Returns:
        A PNG of 400 x 400 pixels on white.
    """
    figure = _figure(4.0, 4.0)
    axes = figure.subplots()
    bins = calibration["bins"]
    most = max(each["examples"] for each in bins)
    axes.plot([0, 1], [0, 1], color=KEPT, linestyle=":", linewidth=1, label="as promised")
    axes.plot([each["confidence"] for each in bins], [each["accuracy"] for each in bins], color=VALIDATION, linewidth=1)
    axes.scatter(
        [each["confidence"] for each in bins],
        [each["accuracy"] for each in bins],
        s=[10 + 110 * each["examples"] / most for each in bins],
        color=VALIDATION,
        label="answers (larger: more of them)",
        zorder=3,
    )
    axes.set(xlim=(0, 1.03), ylim=(0, 1.03))
    axes.set_xlabel("Probability of the answer", fontsize=9)
    axes.set_ylabel("Share that is right", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(color="#e5e7eb", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    legend = axes.legend(frameon=False, fontsize=8, loc="upper left")
    for handle in legend.legend_handles[1:]:
        handle.set_sizes([40])  # type: ignore[union-attr]  # the points, of which the first may be tiny
    return _png(figure)


def pictures(info: Mapping[str, Any]) -> dict[str, bytes]:
    """All pictures that go beside a card, by file name.

    Args:
        info: the content of config.json; what older ones lack is not drawn.
    """
    scores = info["scores"]
    result = {CURVES: curves(info["training"])}
    if len(info["labels"]) <= MOST_LABELS and "confusion" in scores:
        result[CONFUSION] = confusion(scores["confusion"], info["labels"])
    if "calibration" in scores:
        result[RELIABILITY] = reliability(scores["calibration"])
    return result


def _figure(width_inches: float, height_inches: float) -> Figure:
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # no word about caches of fonts
    # imported here: only who trains has to wait for it, or to have it
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_inches, height_inches), dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Figure) -> bytes:
    drawn, content = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    # a quarter of the size
    few_colours = Image.open(drawn).convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE)
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
