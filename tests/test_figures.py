from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyclassify.ui.figures import (
    HEIGHT,
    WIDTH,
    Axis,
    Line,
    chart,
    confusion_table,
    count_axis,
    most_confused,
    value_axis,
)

UNIT = Axis("sure", 0.0, 1.0, [(0.0, "0"), (1.0, "1")])
numbers = st.floats(-1e6, 1e6).map(lambda value: round(value, 6))


def drawn(*lines: Line, x: Axis = UNIT, y: Axis = UNIT, title: str = "a title") -> ElementTree.Element:
    return ElementTree.fromstring(chart(lines, x, y, title=title, description="what is seen"))


def table(counts: list[list[int]], labels: list[str]) -> ElementTree.Element:
    found = confusion_table(counts, labels, caption="mixed up", true="is", answer="said")
    return ElementTree.fromstring(found.replace("class=right", 'class="right"'))


@given(st.lists(numbers, min_size=1, max_size=20), st.sampled_from([1.0, 100.0]))
def test_value_axis_holds_all_values_between_few_round_ticks(values: list[float], scale: float) -> None:
    axis = value_axis("loss", values, scale=scale)
    slack = 1e-9 * max(1.0, *map(abs, values))
    assert axis.low <= min(values) + slack
    assert axis.high >= max(values) - slack
    assert axis.low < axis.high
    assert 2 <= len(axis.ticks) <= 7
    assert len({name for _, name in axis.ticks}) == len(axis.ticks)
    for value, name in axis.ticks:
        assert float(name) == pytest.approx(scale * value, abs=1e-9 + 1e-6 * abs(scale * value))


def test_value_axis_names_what_it_measures_in_its_unit() -> None:
    axis = value_axis("right", [0.0, 1.0], scale=100, unit=" %")
    assert [name for _, name in axis.ticks] == ["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"]
    assert (axis.low, axis.high) == (0.0, 1.0)
    with pytest.raises(ValueError, match="min"):
        value_axis("right", [math.nan])


@given(st.integers(1, 5000))
def test_count_axis_has_whole_ticks_from_one_on(highest: int) -> None:
    axis = count_axis("epoch", highest)
    assert axis.ticks[0][1] == "1"
    assert all(axis.low <= value <= axis.high and name == f"{value:.0f}" for value, name in axis.ticks)
    assert len(axis.ticks) <= 8


@given(st.lists(st.tuples(st.floats(), st.floats()), max_size=8))
def test_points_are_drawn_inside_and_what_is_not_finite_is_left_out(points: list[tuple[float, float]]) -> None:
    svg = drawn(Line("measured", points, [0.5] * len(points)))
    finite = [point for point in points if all(map(math.isfinite, point))]
    (line,) = svg.iter("polyline")
    placed = [tuple(map(float, pair.split(","))) for pair in line.get("points", "").split()]
    assert len(placed) == len(finite) == len(list(svg.iter("circle")))
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in placed)


def test_higher_is_drawn_higher_and_more_is_drawn_larger() -> None:
    svg = drawn(Line("measured", [(0.2, 0.1), (0.6, 0.9)], [0.1, 1.0]))
    low, high = svg.iter("circle")
    assert float(low.get("cx", "")) < float(high.get("cx", ""))
    assert float(low.get("cy", "")) > float(high.get("cy", ""))
    assert float(low.get("r", "")) < float(high.get("r", ""))


def test_drawing_has_a_role_and_words_and_no_colour_of_its_own() -> None:
    svg = drawn(Line("measured", [(0.0, 0.0), (1.0, 1.0)]), title="<b>&")
    assert svg.get("role") == "img"
    assert svg.findtext("title") == "<b>&"
    assert svg.findtext("desc") == "what is seen"
    markup = ElementTree.tostring(svg, encoding="unicode")
    assert not re.search("#[0-9a-f]{3}|rgb|fill=|stroke=", markup)


def test_table_has_a_row_per_true_label_with_what_was_answered() -> None:
    found = table([[8, 2], [0, 1000]], ["<cat>", "dog"])
    assert found.findtext("caption") == "mixed up"
    assert [cell.text for cell in found.iter("td")][1:] == ["8", "2", "0", "1,000"]
    assert [cell.text for cell in found.iterfind("tbody/tr/th[@scope='row']")] == ["<cat>", "dog"]
    assert [cell.findtext("span") for cell in found.iterfind("thead/tr/th[@scope='col']")][1:] == ["<cat>", "dog"]
    assert [cell.text for cell in found.iter("td") if cell.get("class") == "right"] == ["8", "1,000"]
    shades = [cell.get("style") for cell in found.iterfind("tbody/tr/td")]
    assert shades == ["--share:0.89", "--share:0.45", None, "--share:1.00"]


@pytest.mark.parametrize("counts", [[[1, 2]], [[1, 2], [3]], [[1, 2], [3, 4], [5, 6]]])
def test_table_of_another_shape_is_refused(counts: list[list[int]]) -> None:
    with pytest.raises(ValueError, match=r"zip|columns"):
        table(counts, ["cat", "dog"])


@given(
    st.integers(1, 6).flatmap(
        lambda k: st.lists(st.lists(st.integers(0, 9), min_size=k, max_size=k), min_size=k, max_size=k)
    )
)
def test_most_confused_are_mistakes_and_the_most_frequent_ones(counts: list[list[int]]) -> None:
    labels = [f"label {i}" for i in range(len(counts))]
    found = most_confused(counts, labels, most=3)
    mistakes = sorted((n for i, row in enumerate(counts) for j, n in enumerate(row) if i != j and n), reverse=True)
    assert [count for *_, count, _ in found] == mistakes[:3]
    for label, answer, count, total in found:
        row = counts[labels.index(label)]
        assert label != answer
        assert (row[labels.index(answer)], sum(row)) == (count, total)
