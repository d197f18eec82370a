"""Tables and drawings as HTML and SVG, from plain data and ready-made words.

Nothing here has a colour of its own: lines take theirs from the style sheet, which knows the light and the dark theme.
Every word is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 340, 240
"""Of a drawing, in units of SVG; the page scales it."""

LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 40
"""Margins for the numbers and titles of the axes."""

SMALLEST_DOT, LARGEST_DOT = 2.5, 8.0
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Axis:
    """What is measured along one side of a drawing.

    Args:
        title: in words.
        low: where it begins.
        high: where it ends, above `low`.
        ticks: the values that are named, with their names.
    """

    title: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]

    def share(self, value: float) -> float:
        """How far along the axis a value lies: 0 at `low` and 1 at `high`, and never beyond them."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points, drawn as the style sheet says for its kind.

    Args:
        kind: a class of CSS.
        points: x and y; those that are not finite are left out.
        weights: for each point its share of the largest dot's area, from 0 to 1; without them no dots are drawn.
    """

    kind: str
    points: Sequence[tuple[float, float]]
    weights: Sequence[float] = ()


def chart(lines: Iterable[Line], x: Axis, y: Axis, *, title: str, description: str) -> str:
    """Draw lines over two axes.

    Args:
        lines: later ones lie above earlier ones.
        x: the horizontal axis.
        y: the vertical axis.
        title: what the drawing is.
        description: what can be seen in it, for who does not see it.

    Returns:
        An SVG element.
    """
    drawn = "".join(_line(line, x, y) for line in lines)
    return (
        f'<svg class="chart" role="img" viewBox="0 0 {WIDTH} {HEIGHT}">'
        f"<title>{escape(title)}</title><desc>{escape(description)}</desc>{_across(x)}{_up(y)}{drawn}</svg>"
    )


def count_axis(title: str, highest: int, *, most: int = 6) -> Axis:
    """An axis from 1 to a whole number, or around 1 where there is nothing else."""
    low, high = (1.0, float(highest)) if highest > 1 else (0.5, 1.5)
    step = max(1, math.ceil(_step(high - low, most)))
    ticks = sorted({1, *range(step, highest + 1, step)}) if step > 1 else range(1, highest + 1)
    return Axis(title, low, high, [(float(value), f"{value}") for value in ticks])


def value_axis(title: str, values: Iterable[float], *, scale: float = 1.0, unit: str = "", most: int = 5) -> Axis:
    """An axis that holds all finite values, between round numbers.

    Args:
        title: in words.
        values: what is drawn.
        scale: what a value is multiplied by where it is written, 100 for percent.
        unit: what is written behind it.
        most: steps that it has at most.

    Raises:
        ValueError: none of the values is finite.
    """
    finite = [scale * value for value in values if math.isfinite(value)]
    low, high = min(finite), max(finite)
    step = _step(high - low or abs(high) or 1.0, most)
    first, last = math.floor(low / step), max(math.ceil(high / step), math.floor(low / step) + 1)
    digits = max(0, -math.floor(math.log10(step))) if step < 1 else 0
    digits += f"{step:.0e}" != f"{step:.1e}".replace(".0e", "e") and step < 10  # 2.5 has a digit more than 2
    ticks = [(index * step / scale, f"{index * step:.{digits}f}{unit}") for index in range(first, last + 1)]
    return Axis(title, ticks[0][0], ticks[-1][0], ticks)


def confusion_table(
    counts: Sequence[Sequence[int]], labels: Sequence[str], *, caption: str, true: str, answer: str
) -> str:
    """How often each label was answered for each true label, as a table with shaded cells.

    Args:
        counts: (K, K); row: the true label, column: the answer.
        labels: K names.
        caption: of the table.
        true: the heading of the rows.
        answer: the heading of the columns.

    Raises:
        ValueError: counts are not K rows of K.
    """
    names = [f'<th scope="col"><span>{escape(label)}</span></th>' for label in labels]
    rows = [_row(number, label, row) for number, (label, row) in enumerate(zip(labels, counts, strict=True))]
    if any(len(row) != len(labels) for row in counts):
        raise ValueError(f"a row of counts has not {len(labels)} columns")
    upright = " upright" if len(labels) > 3 else ""
    return (
        f'<table class="confusion{upright}"><caption>{escape(caption)}</caption><thead>'
        f'<tr><td></td><th scope="colgroup" colspan="{len(labels)}">{escape(answer)}</th></tr>'
        f'<tr><th scope="col" class="corner">{escape(true)}</th>{"".join(names)}</tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table>"
    )


def most_confused(
    counts: Sequence[Sequence[int]], labels: Sequence[str], *, most: int
) -> list[tuple[str, str, int, int]]:
    """The pairs that are taken for one another most often.

    Args:
        counts: as for `confusion_table`.
        labels: K names.
        most: how many pairs.

    Returns:
        True label, answer, how often, and how many examples the true label has; the most frequent first.
    """
    pairs = [
        (labels[i], labels[j], count, sum(row))
        for i, row in enumerate(counts)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return sorted(pairs, key=lambda pair: -pair[2])[:most]


def _row(number: int, label: str, counts: Sequence[int]) -> str:
    total = max(1, sum(counts))
    cells = [_cell(count / total, count, column == number) for column, count in enumerate(counts)]
    return f'<tr><th scope="row">{escape(label)}</th>{"".join(cells)}</tr>'


def _cell(share: float, count: int, is_right: bool) -> str:
    # the root lets rare mistakes, which are what the table is for, be seen beside the many right answers
    shade = f' style="--share:{math.sqrt(share):.2f}"' if count else ""
    return f"<td{' class=right' if is_right else ''}{shade}>{count:,}</td>"


def _step(span: float, most: int) -> float:
    """A round number that divides a span into at most so many parts."""
    size = 10.0 ** math.floor(math.log10(span / most))
    return next(size * step for step in STEPS if size * step * most >= span * (1 - 1e-9))


def _x(axis: Axis, value: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * axis.share(value)


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * axis.share(value)


def _across(axis: Axis) -> str:
    ground = HEIGHT - BOTTOM
    ticks = "".join(
        f'<text x="{_x(axis, value):.0f}" y="{ground + 15}" text-anchor="middle">{escape(name)}</text>'
        for value, name in axis.ticks
    )
    middle = (LEFT + WIDTH - RIGHT) / 2
    return ticks + f'<text x="{middle:.0f}" y="{HEIGHT - 6}" text-anchor="middle">{escape(axis.title)}</text>'


def _up(axis: Axis) -> str:
    ticks = "".join(
        f'<path class="grid" d="M{LEFT} {_y(axis, value):.1f}H{WIDTH - RIGHT}"/>'
        f'<text x="{LEFT - 5}" y="{_y(axis, value) + 4:.1f}" text-anchor="end">{escape(name)}</text>'
        for value, name in axis.ticks
    )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    turned = f'transform="translate(11 {middle:.0f}) rotate(-90)" text-anchor="middle"'
    return ticks + f"<text {turned}>{escape(axis.title)}</text>"


def _line(line: Line, x: Axis, y: Axis) -> str:
    finite = [number for number, point in enumerate(line.points) if all(map(math.isfinite, point))]
    placed = {number: (_x(x, line.points[number][0]), _y(y, line.points[number][1])) for number in finite}
    points = " ".join(f"{across:.1f},{up:.1f}" for across, up in placed.values())
    dots = [
        f'<circle cx="{placed[number][0]:.1f}" cy="{placed[number][1]:.1f}" r="{_radius(weight):.1f}"/>'
        for number, weight in enumerate(line.weights)
        if number in placed
    ]
    return f'<g class="{escape(line.kind)}"><polyline points="{points}"/>{"".join(dots)}</g>'


def _radius(weight: float) -> float:
    return SMALLEST_DOT + (LARGEST_DOT - SMALLEST_DOT) * math.sqrt(max(0.0, weight))
