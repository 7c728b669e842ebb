"""Line charts, whiskers and stacked bars as inline SVG that follows the page's colours.

Colours are classes (``s0``, ``s1``, …) that the page's style sheet defines for light and dark.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 360, 200  # user units; the page scales the drawing
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 10, 26
_MAX_POINTS = 300  # a longer series is averaged in equal groups
_SMOOTHING = 25  # a trend line is drawn over series with more points than this


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One line: [n] abscissae and ordinates; points that are None leave a gap."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    x_label: str = "steps",
    percent: bool = False,
) -> str:
    """Draw lines over a common axis.

    Args:
        title: what the ordinate is; also the accessible name.
        series: one or more lines.
        x_label: what the abscissa is.
        percent: ordinates are shares, shown on a fixed scale from 0 to 100 %.

    Returns: an ``<svg>`` element; empty when no series has a finite point.
    """
    lines = [_finite(one) for one in series]
    xs = [x for line in lines for x, _ in line]
    ys = [y for line in lines for _, y in line]
    if not ys:
        return ""
    x_ticks = _ticks(min(xs), max(xs), 4)
    y_ticks = [0.0, 0.25, 0.5, 0.75, 1.0] if percent else _ticks(min(ys), max(ys), 4)
    frame = _Frame(
        x_low=min(xs),
        x_high=max(xs),
        y_low=min(y_ticks[0], min(ys)),
        y_high=max(y_ticks[-1], max(ys)),
    )
    parts = [frame.grid(x_ticks, y_ticks, percent=percent, x_label=x_label)]
    for number, line in enumerate(lines):
        parts.append(_line(frame, _thinned(line), number, with_trend=len(line) > _SMOOTHING))
    last = ", ".join(
        f"{one.name} {_number(line[-1][1], percent)}"
        for one, line in zip(series, lines, strict=True)
        if line
    )
    label = escape(f"{title}; last value: {last}", quote=True)
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
        + "".join(parts)
        + "</svg>"
    )


def whisker(low: float, estimate: float, high: float, css: str) -> str:
    """Draw a share with its interval on a scale from 0 to 1; decoration beside the numbers."""
    x, left, right = (f"{100 * value:.2f}" for value in (estimate, low, high))
    return (
        '<svg class="whisker" viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true">'
        '<line class="rail" x1="0" y1="6" x2="100" y2="6"/>'
        f'<line class="{css} span" x1="{left}" y1="6" x2="{right}" y2="6"/>'
        f'<line class="{css} dot" x1="{x}" y1="1" x2="{x}" y2="11"/></svg>'
    )


def stacked_bar(shares: Sequence[tuple[str, float]], label: str) -> str:
    """Draw shares of a whole as one bar, in the order given.

    Args:
        shares: name and share of each part; the shares add up to 1.
        label: the accessible name.
    """
    parts, left = [], 0.0
    for number, (name, share) in enumerate(shares):
        parts.append(
            f'<rect class="f{number % 6}" x="{100 * left:.3f}" y="0" '
            f'width="{100 * share:.3f}" height="10">'
            f"<title>{escape(name)} {share:.1%}</title></rect>"
        )
        left += share
    text = escape(label + ": " + ", ".join(f"{n} {s:.0%}" for n, s in shares), quote=True)
    return (
        '<svg class="stack" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" '
        f'aria-label="{text}">' + "".join(parts) + "</svg>"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Frame:
    """The map from data to the drawing."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        span = self.x_high - self.x_low or 1.0
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (value - self.x_low) / span

    def y(self, value: float) -> float:
        span = self.y_high - self.y_low or 1.0
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (value - self.y_low) / span

    def grid(
        self, x_ticks: Sequence[float], y_ticks: Sequence[float], *, percent: bool, x_label: str
    ) -> str:
        parts = []
        for tick in y_ticks:
            y = self.y(tick)
            parts.append(
                f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH - _RIGHT}" y2="{y:.1f}"/>'
                f'<text x="{_LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">'
                f"{_number(tick, percent)}</text>"
            )
        floor = HEIGHT - _BOTTOM + 15
        for tick in x_ticks:
            if not self.x_low <= tick <= self.x_high:
                continue
            # A label at the right edge would run into the axis title.
            if self.x(tick) < WIDTH - 60:
                parts.append(
                    f'<text x="{self.x(tick):.1f}" y="{floor}" text-anchor="middle">'
                    f"{_number(tick, False)}</text>"
                )
        parts.append(
            f'<text class="axis" x="{WIDTH - _RIGHT}" y="{floor}" text-anchor="end">'
            f"{escape(x_label)}</text>"
        )
        return "".join(parts)


def _line(
    frame: _Frame, points: list[tuple[float, float]], number: int, *, with_trend: bool
) -> str:
    css = f"s{number % 6}"
    if len(points) == 1:
        ((x, y),) = points
        return f'<circle class="{css} point" cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="3"/>'
    if not with_trend:
        return f'<polyline class="{css}" points="{_path(frame, points)}"/>'
    trend = _smoothed(points)
    return (
        f'<polyline class="{css} raw" points="{_path(frame, points)}"/>'
        f'<polyline class="{css}" points="{_path(frame, trend)}"/>'
    )


def _path(frame: _Frame, points: list[tuple[float, float]]) -> str:
    return " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in points)


def _finite(series: Series) -> list[tuple[float, float]]:
    pairs = zip(series.x, series.y, strict=True)
    return [(float(x), float(y)) for x, y in pairs if y is not None and math.isfinite(y)]


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    size = -(-len(points) // _MAX_POINTS)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [
        (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group))
        for group in groups
    ]


def _smoothed(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Average over a centred window of a tenth of the points, narrower at the ends."""
    reach = max(1, len(points) // 20)
    result = []
    for i, (x, _) in enumerate(points):
        half = min(reach, i, len(points) - 1 - i)
        window = points[i - half : i + half + 1]
        result.append((x, sum(y for _, y in window) / len(window)))
    return result


def _ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers from at or below ``low`` to at or above ``high``."""
    if high - low < 1e-12 * max(1.0, abs(high)):
        low, high = low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _number(value: float, percent: bool) -> str:
    if percent:
        return f"{100 * value:.0f} %"
    size = abs(value)
    for limit, suffix in ((1e6, "M"), (1e3, "k")):
        if size >= limit:
            return f"{value / limit:.3g}{suffix}"
    return f"{value:.3g}".replace("-", "−")
