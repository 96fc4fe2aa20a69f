"""Small plots as inline SVG: curves, bars and rows, each with its intervals. Colours come from the page's style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import isnan, log2

from boxray.core.metrics import Curve, Interval

_WIDTH, _HEIGHT = 360, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 44


@dataclass(frozen=True, slots=True)
class Axis:
    """From `low` to `high`; in powers of two where `doubling`."""

    label: str
    low: float
    high: float
    ticks: tuple[float, ...]
    doubling: bool = False

    def share(self, value: float) -> float:
        """Where a value lies between the ends, in [0, 1]; beyond them at the end."""
        value = min(max(value, self.low), self.high)
        if self.doubling:
            return (log2(value) - log2(self.low)) / (log2(self.high) - log2(self.low))
        return (value - self.low) / (self.high - self.low)


SHARE = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def share_axis(label: str) -> Axis:
    """From 0 to 1."""
    return Axis(label, 0.0, 1.0, SHARE)


def curve_plot(
    title: str,
    x: Axis,
    y: Axis,
    curve: Curve,
    points: Sequence[tuple[float, Interval]] = (),
    *,
    steps: bool = False,
    reference: Curve | None = None,
    others: Sequence[Curve] = (),
) -> str:
    """A curve, and points on it with their 95 % intervals as upright bars.

    Args:
        title: What is seen, for those who cannot see it.
        x: The axis to the right.
        y: The axis upwards.
        curve: Its points; none draws the axes alone.
        points: x, and y with its interval.
        steps: Whether y stands still until the next x.
        reference: Dotted: what chance reaches, or what would be right.
        others: Broken lines, of parts of the whole.
    """
    beside = [] if reference is None else [_line(x, y, reference, "reference")]
    beside += [_line(x, y, other, "other") for other in others]
    places = list(zip(curve.x, curve.y, strict=True))
    if steps and places:
        ends = [*curve.x[1:], x.high]
        places = [point for (left, up), right in zip(places, ends, strict=True) for point in ((left, up), (right, up))]
    line = _line(x, y, Curve(*zip(*places, strict=True)) if places else curve, "curve")
    marks = "".join(_point(_x(x, at), interval, y) for at, interval in points if not isnan(interval.value))
    return _svg(title, _frame(x, y) + "".join(beside) + line + marks)


def _line(x: Axis, y: Axis, curve: Curve, kind: str) -> str:
    places = zip(curve.x, curve.y, strict=True)
    path = " ".join(f"{_x(x, left):.1f},{_y(y, up):.1f}" for left, up in places if left <= x.high)
    return f'<polyline class="{kind}" points="{path}"/>' if path else ""


def curves_plot(
    title: str, x: Axis, y: Axis, curves: Sequence[tuple[str, Curve, Sequence[tuple[float, Interval]]]]
) -> str:
    """Several curves with points on them, at most six, told apart by colour and by dashes, their names in the plot.

    Args:
        title: What is seen, for those who cannot see it.
        x: The axis to the right.
        y: The axis upwards.
        curves: Name, curve, and x and y of the points with their intervals.
    """
    drawn = []
    for place, (name, curve, points) in enumerate(curves):
        path = " ".join(f"{_x(x, left):.1f},{_y(y, up):.1f}" for left, up in zip(curve.x, curve.y, strict=True))
        marks = "".join(_point(_x(x, at), interval, y) for at, interval in points if not isnan(interval.value))
        top = _TOP + 8 + 15 * place
        drawn.append(
            f'<g class="series s{place}"><polyline class="curve" points="{path}"/>{marks}'
            f'<line class="curve" x1="{_WIDTH - 126}" x2="{_WIDTH - 102}" y1="{top}" y2="{top}"/>'
            f'<text class="label" x="{_WIDTH - 97}" y="{top + 4}">{escape(name)}</text></g>'
        )
    return _svg(title, _frame(x, y) + "".join(drawn))


def difference_plot(title: str, label: str, rows: Sequence[tuple[str, Interval]]) -> str:
    """Differences in [-1, 1] with their intervals, one below the other, round a line at zero."""
    left, line_h = 118, 26
    bottom = _TOP + line_h * len(rows)
    x = Axis(label, -1.0, 1.0, (-1.0, -0.5, 0.0, 0.5, 1.0))

    def place(value: float) -> float:
        return left + x.share(value) * (_WIDTH - _RIGHT - left)

    parts = [
        f'<line class="{"axis" if at == 0 else "grid"}" x1="{place(at):.1f}" x2="{place(at):.1f}" y1="{_TOP}" '
        f'y2="{bottom}"/><text class="tick mid" x="{place(at):.1f}" y="{bottom + 15}">{at:+g}</text>'
        for at in x.ticks
    ]
    for number, (name, interval) in enumerate(rows):
        y = _TOP + line_h * (number + 0.5)
        parts.append(f'<text class="label end" x="{left - 8}" y="{y + 4:.1f}">{escape(name)}</text>')
        if isnan(interval.value):
            continue
        if not isnan(interval.low):
            ends = f'x1="{place(interval.low):.1f}" x2="{place(interval.high):.1f}" y1="{y:.1f}" y2="{y:.1f}"'
            parts.append(f'<line class="whisker" {ends}/>')
        parts.append(f'<circle class="point" cx="{place(interval.value):.1f}" cy="{y:.1f}" r="4"/>')
    middle = (left + _WIDTH - _RIGHT) / 2
    parts.append(f'<text class="label mid" x="{middle}" y="{bottom + 34}">{escape(label)}</text>')
    return _svg(title, "".join(parts), bottom + 42)


def bar_plot(title: str, x_label: str, y: Axis, bars: Sequence[tuple[str, Interval]]) -> str:
    """Upright bars with their intervals."""
    width = (_WIDTH - _LEFT - _RIGHT) / max(len(bars), 1)
    drawn = []
    for place, (name, interval) in enumerate(bars):
        middle = _LEFT + (place + 0.5) * width
        drawn.append(f'<text x="{middle:.1f}" y="{_HEIGHT - _BOTTOM + 15}" class="tick mid">{escape(name)}</text>')
        if not isnan(interval.value):
            top = _y(y, interval.value)
            drawn.append(
                f'<rect class="bar" x="{middle - width * 0.32:.1f}" y="{top:.1f}" width="{width * 0.64:.1f}" '
                f'height="{_HEIGHT - _BOTTOM - top:.1f}"/>{_whisker(middle, interval, y)}'
            )
    empty = Axis(x_label, 0, 1, ())
    return _svg(title, _frame(empty, y) + "".join(drawn))


def row_plot(interval: Interval) -> str:
    """A figure in [0, 1] with its interval, lying, for a cell of a table; nothing where there is none."""
    if isnan(interval.value):
        return ""

    def x(value: float) -> str:
        return f"{4 + 112 * value:.1f}"

    inner = "".join(f'<line class="grid" x1="{x(at)}" x2="{x(at)}" y1="1" y2="17"/>' for at in (0, 0.5, 1))
    if not isnan(interval.low):
        inner += f'<line class="whisker" x1="{x(interval.low)}" x2="{x(interval.high)}" y1="9" y2="9"/>'
    inner += f'<circle class="point" cx="{x(interval.value)}" cy="9" r="3.5"/>'
    return f'<svg class="row" viewBox="0 0 120 18" width="120" height="18" aria-hidden="true">{inner}</svg>'


def _svg(title: str, inner: str, height: float = _HEIGHT) -> str:
    return (
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{inner}</svg>"
    )


def _frame(x: Axis, y: Axis) -> str:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = [
        f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{_y(y, at):.1f}" y2="{_y(y, at):.1f}"/>'
        f'<text class="tick end" x="{_LEFT - 6}" y="{_y(y, at) + 4:.1f}">{at:g}</text>'
        for at in y.ticks
    ]
    parts += [
        f'<line class="grid" x1="{_x(x, at):.1f}" x2="{_x(x, at):.1f}" y1="{_TOP}" y2="{bottom}"/>'
        f'<text class="tick mid" x="{_x(x, at):.1f}" y="{bottom + 15}">{_tick(at, doubling=x.doubling)}</text>'
        for at in x.ticks
    ]
    parts.append(f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{right}"/>')
    parts.append(f'<text class="label mid" x="{(_LEFT + right) / 2}" y="{_HEIGHT - 8}">{escape(x.label)}</text>')
    middle = (_TOP + bottom) / 2
    parts.append(
        f'<text class="label mid" transform="rotate(-90 12 {middle})" x="12" y="{middle}">{escape(y.label)}</text>'
    )
    return "".join(parts)


def _tick(value: float, *, doubling: bool) -> str:
    return f"1/{1 / value:g}" if doubling and value < 1 else f"{value:g}"


def _x(axis: Axis, value: float) -> float:
    return _LEFT + axis.share(value) * (_WIDTH - _LEFT - _RIGHT)


def _y(axis: Axis, value: float) -> float:
    return _HEIGHT - _BOTTOM - axis.share(value) * (_HEIGHT - _BOTTOM - _TOP)


def _point(x: float, interval: Interval, y: Axis) -> str:
    return _whisker(x, interval, y) + f'<circle class="point" cx="{x:.1f}" cy="{_y(y, interval.value):.1f}" r="3"/>'


def _whisker(x: float, interval: Interval, y: Axis) -> str:
    if isnan(interval.low):
        return ""
    low, high = _y(y, interval.low), _y(y, interval.high)
    return f'<path class="whisker" d="M{x:.1f} {low:.1f}V{high:.1f}M{x - 3:.1f} {low:.1f}h6M{x - 3:.1f} {high:.1f}h6"/>'
