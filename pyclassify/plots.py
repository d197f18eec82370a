"""Figures of a training and its scores: PNG for the card, inline SVG in the theme's colours for the page.

Both are drawn by matplotlib from the manifest's numbers. It is imported when the first figure is drawn: serving a page
does not wait for it.
"""

from __future__ import annotations

import io
import logging
import re
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from textwrap import shorten
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree

from PIL import Image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pyclassify.manifest import CalibrationScore, Manifest, Training

CURVES, CONFUSION, RELIABILITY = "curves.png", "confusion.png", "reliability.png"
"""File names of the figures beside a card."""

MAX_LABELS = 50
"""More cannot be told apart in a confusion matrix of this size."""
MAX_COUNTED_LABELS = 12
"""With more, the numbers would not fit into the cells."""
MAX_DOTTED_EPOCHS = 20
"""With more, the dots on the curves would run into one another."""

_DOTS_PER_INCH, _POINTS_PER_INCH = 100, 72
_PNG_COLOURS = 64
_SVG_SIZE: Final = (340, 240)
"""Width and height of a chart on the page, in units of its view box; the page scales it."""

_SVG: Final = "{http://www.w3.org/2000/svg}"
_HREF: Final = "{http://www.w3.org/1999/xlink}href"


@dataclass(frozen=True, slots=True)
class _Palette:
    """Colours and sizes of a chart: `muted` is for lines to compare with, fonts are in points."""

    training: str
    validation: str
    muted: str
    grid: str
    text: str
    font_size: float
    line_width: float


PAPER: Final = _Palette("#b45309", "#1d4ed8", "#6b7280", "#e5e7eb", "black", 8, 1.5)
"""Orange, blue and grey that colour-blind people tell apart; in print the lines differ by their dashes."""

_THEME: Final = _Palette("#010101", "#020202", "#030303", "#040404", "#050505", 10, 1.8)
_THEME_COLOURS: Final = {
    "#010101": "var(--training-line)",
    "#020202": "var(--color-accent)",
    "#030303": "var(--body-text-color-subdued)",
    "#040404": "var(--block-border-color)",
    "#050505": "currentColor",
}
"""CSS for the placeholders in `_THEME`, since matplotlib takes nothing but colours."""

_lock = threading.Lock()  # matplotlib's settings belong to the whole process


def png_figures(manifest: Manifest) -> dict[str, bytes]:
    """Draw the figures beside a card, each a PNG on white, by file name.

    Figures whose numbers the manifest lacks are left out, and so is the confusion matrix of more than MAX_LABELS
    labels.
    """
    training, scores = manifest.training, manifest.scores
    figures = {}
    if training and training.epochs:
        figures[CURVES] = _curves_png(training, has_validation=manifest.has_validation)
    if scores and scores.confusion and len(manifest.labels) <= MAX_LABELS:
        figures[CONFUSION] = _confusion_png(scores.confusion, manifest.labels)
    if scores and scores.calibration.bins:
        figures[RELIABILITY] = _reliability_png(scores.calibration)
    return figures


def curves_svg(training: Training, labels: Mapping[str, str], *, has_validation: bool = True) -> str:
    """Draw accuracy and loss on training and validation data over the epochs.

    Args:
        training: with at least one epoch.
        labels: "epoch", "accuracy" and "loss" are titles of axes; "accuracy_description" and "loss_description" are for
            people who do not see the charts.
        has_validation: whether there was validation data.

    Returns:
        Two SVG elements, for accuracy and for loss.
    """
    charts = []
    for measure in ("accuracy", "loss"):
        with _svg_figure() as figure:
            axes = figure.subplots()
            _draw_curves(axes, training, measure, palette=_THEME, has_validation=has_validation)
            axes.set(xlabel="epoch", ylabel=measure)
            charts.append(_svg(figure, labels, title=labels[measure], description=labels[f"{measure}_description"]))
    return "".join(charts)


def reliability_svg(score: CalibrationScore, labels: Mapping[str, str]) -> str:
    """Draw the share of right answers over the probability that they were given with.

    Args:
        score: with at least one bin.
        labels: "confidence" and "accuracy" are titles of axes; "title" and "description" are for people who do not see
            the chart.

    Returns:
        An SVG element.
    """
    with _svg_figure() as figure:
        axes = figure.subplots()
        _draw_reliability(axes, score, palette=_THEME, scale=100)
        axes.set(xlabel="confidence", ylabel="accuracy")
        return _svg(figure, labels, title=labels["title"], description=labels["description"])


def _curves_png(training: Training, *, has_validation: bool) -> bytes:
    with _png_figure(8.0, 3.0) as figure:
        losses, accuracies = figure.subplots(1, 2)
        for axes, measure, title in (
            (losses, "loss", "Cross-entropy (nats)"),
            (accuracies, "accuracy", "Accuracy (%)"),
        ):
            _draw_curves(axes, training, measure, palette=PAPER, has_validation=has_validation)
            axes.set_xlabel("Epoch (passes over the training data)", fontsize=9)
            axes.set_ylabel(title, fontsize=9)
        losses.legend(frameon=False, fontsize=8)
        return _png(figure)


def _confusion_png(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> bytes:
    """Draw a confusion matrix, (K, K) counts; row: true label, column: answer."""
    side = min(8.0, 2.5 + 0.45 * len(labels))
    with _png_figure(side + 1, side) as figure:
        axes = figure.subplots()
        totals = [max(1, sum(row)) for row in counts]
        shares = [[count / total for count in row] for row, total in zip(counts, totals, strict=True)]
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        names = [shorten(label, 20, placeholder="…") or label[:19] for label in labels]
        rotation = 90 if len(labels) > 3 else 0
        axes.set_xticks(range(len(labels)), names, rotation=rotation, fontsize=8, parse_math=False)
        axes.set_yticks(range(len(labels)), names, fontsize=8, parse_math=False)
        axes.set_xlabel("Answer", fontsize=9)
        axes.set_ylabel("True label", fontsize=9)
        if len(labels) <= MAX_COUNTED_LABELS:
            for i, row in enumerate(counts):
                for j, count in enumerate(row):
                    ink = "white" if shares[i][j] > 0.5 else "black"
                    axes.text(j, i, f"{count:,}", ha="center", va="center", fontsize=7, color=ink)
        return _png(figure)


def _reliability_png(score: CalibrationScore) -> bytes:
    with _png_figure(4.0, 4.0) as figure:
        axes = figure.subplots()
        _draw_reliability(axes, score, palette=PAPER, scale=1)
        axes.set_xlabel("Probability of the answer", fontsize=9)
        axes.set_ylabel("Share of right answers", fontsize=9)
        legend = axes.legend(frameon=False, fontsize=8, loc="upper left")
        for handle in legend.legend_handles[1:]:
            handle.set_sizes([40])  # type: ignore[union-attr]  # the dots, of which the first may be tiny
        return _png(figure)


def _draw_curves(axes: Axes, training: Training, measure: str, *, palette: _Palette, has_validation: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    epochs, scale = training.epochs, 100.0 if measure == "accuracy" else 1.0
    numbers = [epoch.epoch for epoch in epochs]
    is_smoothed = measure == "loss" and bool(training.config.get("label_smoothing"))
    lines = (
        ("train", "training, with smoothed labels" if is_smoothed else "training", palette.training, "--"),
        ("val", "validation", palette.validation, "-"),
    )
    for split, name, colour, dashes in lines if has_validation else lines[:1]:
        axes.plot(
            numbers,
            [scale * getattr(epoch, f"{split}_{measure}") for epoch in epochs],
            color=colour,
            linestyle=dashes,
            linewidth=palette.line_width,
            marker="o" if len(numbers) <= MAX_DOTTED_EPOCHS else "",  # a single epoch is no line
            markersize=4,
            label=name,
            clip_on=False,
        )
    best = [epoch.epoch for epoch in epochs if epoch.is_best]
    if best:
        axes.axvline(best[-1], color=palette.muted, linestyle=":", linewidth=1, zorder=1, label="kept")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if palette is _THEME and len(numbers) > 1:
        axes.set_xlim(numbers[0], numbers[-1])  # there is no epoch 0
    _style(axes, palette)


def _draw_reliability(axes: Axes, score: CalibrationScore, *, palette: _Palette, scale: float) -> None:
    most = max(part.num_examples for part in score.bins) or 1
    confidences = [scale * part.confidence for part in score.bins]
    accuracies = [scale * part.accuracy for part in score.bins]
    areas = [10 + 110 * part.num_examples / most for part in score.bins]
    ends = [0, scale]
    axes.plot(ends, ends, color=palette.muted, linestyle=":", linewidth=1, label="perfectly calibrated", clip_on=False)
    axes.plot(confidences, accuracies, color=palette.validation, linewidth=1, clip_on=False)
    axes.scatter(
        confidences,
        accuracies,
        s=areas,
        color=palette.validation,
        label="answers (larger dot: more answers)",
        zorder=3,
        clip_on=False,
    )
    axes.set(xlim=(0, 1.03 * scale), ylim=(0, 1.03 * scale))
    _style(axes, palette)


def _style(axes: Axes, palette: _Palette) -> None:
    is_theme = palette is _THEME
    axes.tick_params(labelsize=palette.font_size, labelcolor=palette.text, left=not is_theme, bottom=not is_theme)
    axes.grid(color=palette.grid, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if is_theme:
        axes.spines[["left", "bottom"]].set_visible(False)
        for title in (axes.xaxis.label, axes.yaxis.label):
            title.set(color=palette.text, fontsize=palette.font_size + 1)


@contextmanager
def _png_figure(width_inches: float, height_inches: float) -> Iterator[Figure]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with _new_figure(width_inches, height_inches) as figure:
        FigureCanvasAgg(figure)
        yield figure


@contextmanager
def _svg_figure() -> Iterator[Figure]:
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    width, height = (side / _POINTS_PER_INCH for side in _SVG_SIZE)
    with _new_figure(width, height) as figure:
        FigureCanvasSVG(figure)
        yield figure


@contextmanager
def _new_figure(width_inches: float, height_inches: float) -> Iterator[Figure]:
    """Make a figure without pyplot, whose figures would stay in memory; nothing else draws meanwhile."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it tells of its caches of fonts
    import matplotlib
    from matplotlib.figure import Figure

    with _lock, matplotlib.rc_context({"svg.fonttype": "none"}), warnings.catch_warnings():
        # labels may be in any script; the font that comes with matplotlib draws boxes for some
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield Figure(figsize=(width_inches, height_inches), dpi=_DOTS_PER_INCH, layout="constrained", facecolor="white")


def _png(figure: Figure) -> bytes:
    drawn, content = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    # a quarter of the size
    few_colours = Image.open(drawn).convert("RGB").quantize(_PNG_COLOURS, Image.Quantize.MAXCOVERAGE)
    few_colours.save(content, "png", optimize=True)
    return content.getvalue()


def _svg(figure: Figure, labels: Mapping[str, str], *, title: str, description: str) -> str:
    """Write a figure as an element for a page of HTML.

    The element has neither ids, which would clash with those of other figures on the page, nor styles beside the
    attributes of its shapes. A text that is a key of `labels` becomes that label.
    """
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    source = ElementTree.fromstring(drawn.getvalue())
    markers = {path.get("id", ""): path for path in source.iter(f"{_SVG}path") if path.get("id")}
    attributes = {"class": "chart", "role": "img", "viewBox": source.get("viewBox", ""), "stroke-linejoin": "round"}
    svg = ElementTree.Element("svg", attributes)
    ElementTree.SubElement(svg, "title").text = title
    ElementTree.SubElement(svg, "desc").text = description
    for shape in source.iter():
        style = shape.get("style", "")
        if shape.tag == f"{_SVG}path" and not shape.get("id") and style != "fill: none":
            ElementTree.SubElement(svg, "path", {"d": _short(shape.get("d", "")), "style": _themed(style)})
        elif shape.tag == f"{_SVG}use":
            marker = markers[shape.get(_HREF, "").removeprefix("#")]
            place = f"translate({_short(shape.get('x', '0'))} {_short(shape.get('y', '0'))})"
            attributes = {"d": _short(marker.get("d", "")), "transform": place, "style": _themed(style)}
            ElementTree.SubElement(svg, "path", attributes)
        elif shape.tag == f"{_SVG}text":
            attributes = {name: _short(shape.get(name, "")) for name in ("x", "y")}
            if not shape.get("transform", "").startswith("rotate(-0 "):
                attributes["transform"] = _short(shape.get("transform", ""))
            attributes["style"] = _themed(re.sub(r"font-family: [^;]+; ?", "", style))
            ElementTree.SubElement(svg, "text", attributes).text = labels.get(shape.text or "", shape.text)
    return ElementTree.tostring(svg, encoding="unicode")


def _short(numbers: str) -> str:
    """Round the numbers of an attribute to a tenth of a unit."""
    rounded = re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.1f}", numbers)
    return " ".join(rounded.split())


def _themed(style: str) -> str:
    for placeholder, colour in _THEME_COLOURS.items():
        style = style.replace(placeholder, colour)
    return style.strip()
