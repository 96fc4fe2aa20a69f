"""Plots: what is drawn stands where the numbers say."""

import re

import pytest

from boxray.core.metrics import Curve, Interval
from boxray.page.plots import Axis, bar_plot, curve_plot, curves_plot, difference_plot, row_plot, share_axis

NOTHING = Interval.nothing()


@pytest.mark.parametrize(
    ("value", "share"),
    [
        (1 / 8, 0.0),
        (1.0, 0.5),  # three doublings from each end
        (8.0, 1.0),
        (0.0, 0.0),  # a threshold without false positives stands at the left edge
        (100.0, 1.0),
    ],
)
def test_an_axis_of_doublings_has_equal_steps(value: float, share: float) -> None:
    assert Axis("", 1 / 8, 8, (), doubling=True).share(value) == pytest.approx(share)


def test_a_higher_figure_has_a_higher_bar_and_none_has_no_bar() -> None:
    plot = bar_plot(
        "bars", "x", share_axis("y"), [("a", Interval(0.2, 0.1, 0.3)), ("b", Interval(0.8, 0.7, 0.9)), ("c", NOTHING)]
    )

    low, high = (float(height) for height in re.findall(r'<rect class="bar".*?height="([\d.]+)"', plot))
    assert high == pytest.approx(4 * low, abs=0.5)
    assert plot.count("whisker") == 2


def test_a_point_without_an_interval_has_no_whisker() -> None:
    plot = curve_plot(
        "c", share_axis("x"), share_axis("y"), Curve((), ()), [(0.5, Interval(0.5, NOTHING.low, NOTHING.high))]
    )

    assert plot.count('class="point"') == 1
    assert "whisker" not in plot


def test_a_stepped_curve_stands_still_until_the_next_threshold() -> None:
    plot = curve_plot("c", share_axis("x"), share_axis("y"), Curve((0.0, 0.5), (0.2, 0.6)), steps=True)

    (points,) = re.findall(r'polyline class="curve" points="([^"]+)"', plot)
    heights = [float(point.split(",")[1]) for point in points.split()]
    assert heights[0] == heights[1] > heights[2] == heights[3]


def test_where_nothing_was_measured_the_cell_stays_empty() -> None:
    assert row_plot(NOTHING) == ""


def test_words_in_a_plot_are_escaped() -> None:
    plot = bar_plot("<b>", "<x>", share_axis("y"), [("<i>", Interval(0.5, 0.4, 0.6))])

    assert not re.search(r"<(b|x|i)>", plot)


def test_several_curves_have_a_series_and_a_name_each() -> None:
    curve = Curve((0.0, 1.0), (0.0, 1.0))

    plot = curves_plot("two", share_axis("x"), share_axis("y"), [("a & b", curve, []), ("c", curve, [(0.5, NOTHING)])])

    assert re.findall(r'class="series (s\d)"', plot) == ["s0", "s1"]
    assert "a &amp; b" in plot
    assert "<circle" not in plot  # a point without a figure is not drawn


def test_a_difference_of_nought_stands_on_the_line_and_more_to_its_right() -> None:
    rows = [("even", Interval(0.0, -0.1, 0.1)), ("more", Interval(0.5, 0.4, 0.6)), ("unknown", NOTHING)]

    plot = difference_plot("differences", "less or more", rows)

    (line,) = re.findall(r'<line class="axis" x1="([\d.]+)"', plot)
    even, more = map(float, re.findall(r'<circle class="point" cx="([\d.]+)"', plot))
    assert even == float(line)
    assert more > even
    assert plot.count("whisker") == 2
