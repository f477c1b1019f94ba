"""Plots as inline SVG: lines over steps, stacked bars, a tree of lineages. No script; hovering shows ``<title>``.

Every text passes through :func:`esc`; every coordinate is a number that was computed here. Colours are CSS classes of the
page (``c0`` to ``c8``), so that they follow its light or dark scheme.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .html import esc

__all__ = ["Bar", "Line", "Point", "bar_chart", "line_chart", "nice_ticks", "short", "wants_log"]

COLORS = 9
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 12, 30
_DENSE = 90
"""Points of one line from which on they are drawn smaller."""
_MOST_POINTS = 600
"""Points of one line that are drawn; more are thinned out, marked ones and the last always stay."""


@dataclass(frozen=True, slots=True)
class Point:
    """``x``, ``y`` (``None`` or not finite: not on the curve), what hovering shows, and a mark: ``best``, ``restored`` or
    none."""

    x: float
    y: float | None
    title: str = ""
    marks: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Line:
    """One curve: ``color`` is a number of the palette; ``aside`` is dashed and pale (another lineage)."""

    name: str
    points: Sequence[Point]
    color: int = 0
    aside: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """Stacked from below: (value, colour) each; all finite and not negative."""

    parts: tuple[tuple[float, int], ...]
    title: str = ""
    label: str = field(default="")


def nice_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten) from ``low`` to ``high``, ``most`` or so of them."""
    span = high - low
    if not (span > 0 and math.isfinite(span)):
        return [low]
    rough = span / max(1, most)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999), 10 * power)
    if step <= 0 or not math.isfinite(step) or low + step == low:
        return [low, high]
    first = math.ceil(low / step - 1e-9)
    count = int((high - first * step) / step + 1e-9)
    return [(first + n) * step for n in range(min(count, 50) + 1)]


def short(value: float) -> str:
    """A tick's number: ``0.25``, ``1.2k``, ``3e-05``."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    size = abs(value)
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= unit * 10 or (size >= unit and unit > 1e3):
            return f"{value / unit:.4g}{letter}" if size < 1e15 else f"{value:.2g}"
    return f"{value:.4g}"


class _Scale:
    """Numbers to pixels, linear or logarithmic."""

    def __init__(self, low: float, high: float, start: float, end: float, *, log: bool = False) -> None:
        self.low, self.high, self.start, self.end, self.log = low, high, start, end, log

    def __call__(self, value: float) -> float:
        if self.log:
            low, high, at = math.log10(self.low), math.log10(self.high), math.log10(max(value, self.low))
        else:  # halves: the whole range may be beyond a float
            low, high, at = self.low / 2, self.high / 2, value / 2
        share = 0.5 if high == low else (at - low) / (high - low)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)

    def ticks(self) -> list[float]:
        if not self.log:
            return nice_ticks(self.low, self.high)
        low, high = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        factors = (1,) if high - low > 3 else (1, 2, 5)
        stride = max(1, (high - low) // 6)
        found = [10.0**n * f for n in range(low, high + 1, stride) for f in factors]
        return [tick for tick in found if self.low <= tick <= self.high]


def wants_log(values: Iterable[float]) -> bool:
    """Whether a logarithmic scale shows more: all positive, over more than two powers of ten."""
    known = list(values)
    return bool(known) and min(known) > 0 and max(known) / 100 > min(known)


def line_chart(
    lines: Sequence[Line],
    *,
    label: str,
    width: int = 480,
    height: int = 230,
    x_name: str = "step",
    zero: bool = False,
) -> str:
    """Curves over a common x. A logarithmic y where the values span more than two powers of ten (the plot says so);
    ``zero``: the y axis begins at 0. Not finite values stand as ``×`` at the top."""
    lines = [Line(line.name, _thinned(line.points), line.color, line.aside) for line in lines]
    drawn = [p for line in lines for p in line.points if p.y is not None]
    finite = [p.y for p in drawn if p.y is not None and math.isfinite(p.y)]
    if not drawn:
        return '<p class="none">nothing was measured</p>'
    log = not zero and wants_log(finite)
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    if zero:
        low = min(0.0, low)
    if not log:
        low, high = _padded(low, high, zero)
    xs = [p.x for p in drawn]
    across = _Scale(min(xs), max(xs), _LEFT, width - _RIGHT)
    up = _Scale(low, high, height - _BOTTOM, _TOP, log=log)
    out = [_open(width, height, label), *_axes(across, up, width, height, x_name)]
    if log:
        out.append(
            f'<text class="axis" text-anchor="end" x="{width - _RIGHT}" y="{_TOP + 8}">log scale</text>'
        )
    out += [_curve(line, across, up) for line in sorted(lines, key=lambda line: not line.aside)]
    for line in sorted(lines, key=lambda line: not line.aside):
        out += _dots(line, across, up)
    out.append("</svg>")
    return "".join(out)


def _padded(low: float, high: float, zero: bool) -> tuple[float, float]:
    span = high - low
    if not math.isfinite(span):
        return low, high
    pad = span * 0.06 or abs(high) * 0.1 or 1.0
    return (low if low >= 0 > low - pad or (zero and low == 0) else low - pad), high + pad


def _thinned(points: Sequence[Point]) -> Sequence[Point]:
    if len(points) <= _MOST_POINTS:
        return points
    stride = -(-len(points) // _MOST_POINTS)
    last = len(points) - 1
    return [p for n, p in enumerate(points) if n % stride == 0 or n == last or p.marks]


def _open(width: int, height: int, label: str) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{esc(label)}"><title>{esc(label)}</title>'


def _axes(across: _Scale, up: _Scale, width: int, height: int, x_name: str) -> list[str]:
    out = []
    for tick in up.ticks():
        y = up(tick)
        out.append(f'<line class="grid" x1="{_LEFT}" x2="{width - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        out.append(
            f'<text class="axis" text-anchor="end" x="{_LEFT - 6}" y="{y + 4:.1f}">{esc(short(tick))}</text>'
        )
    for tick in nice_ticks(across.low, across.high, 6):
        if tick != int(tick):
            continue  # steps and saves are counted
        x = across(tick)
        out.append(
            f'<text class="axis" text-anchor="middle" x="{x:.1f}" y="{height - 14}">{esc(short(tick))}</text>'
        )
    bottom = height - _BOTTOM
    out.append(f'<line class="base" x1="{_LEFT}" x2="{width - _RIGHT}" y1="{bottom}" y2="{bottom}"/>')
    out.append(
        f'<text class="axis" text-anchor="end" x="{width - _RIGHT}" y="{height - 2}">{esc(x_name)}</text>'
    )
    return out


def _curve(line: Line, across: _Scale, up: _Scale) -> str:
    """The path; a hole where a value is not there or not finite."""
    path, pen = [], "M"
    for p in line.points:
        if p.y is None:
            continue  # not measured here: the curve goes on
        if not math.isfinite(p.y):
            pen = "M"
            continue
        path.append(f"{pen}{across(p.x):.1f} {up(p.y):.1f}")
        pen = "L"
    classes = f"line c{line.color % COLORS}" + (" aside" if line.aside else "")
    classes += " dense" if len(line.points) > _DENSE else ""
    return f'<path class="{classes}" d="{"".join(path)}"/>' if path else ""


def _dots(line: Line, across: _Scale, up: _Scale) -> list[str]:
    out = []
    classes = f"c{line.color % COLORS}" + (" aside" if line.aside else "")
    radius = 2.6 if len(line.points) <= _DENSE else 1.2
    for p in line.points:
        if p.y is None:
            continue
        x = across(p.x)
        title = f"<title>{esc(p.title)}</title>"
        if not math.isfinite(p.y):
            out.append(f'<text class="bad" text-anchor="middle" x="{x:.1f}" y="{_TOP + 10}">×{title}</text>')
            continue
        y = up(p.y)
        if "restored" in p.marks:
            out.append(f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="7"/>')
        if "best" in p.marks:
            out.append(f'<path class="star" d="{_star(x, y)}">{title}</path>')
        else:
            out.append(
                f'<circle class="dot {classes}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}">{title}</circle>'
            )
    return out


def _star(x: float, y: float, size: float = 7.0) -> str:
    corners = [
        (x + r * math.sin(n * math.pi / 5), y - r * math.cos(n * math.pi / 5))
        for n in range(10)
        for r in (size if n % 2 == 0 else size * 0.42,)
    ]
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in corners) + "Z"


# -- bars ------------------------------------------------------------------------------------------------------------
def bar_chart(
    bars: Sequence[Bar], *, label: str, unit: str, width: int = 480, height: int = 230, x_name: str = ""
) -> str:
    """Stacked bars side by side; ``unit`` is ``bytes`` or ``seconds``, for the axis."""
    heights = [sum(value for value, _ in bar.parts) for bar in bars]
    if not bars or max(heights) <= 0:
        return '<p class="none">nothing was measured</p>'
    divisor, word = _unit(max(heights), unit)
    up = _Scale(0.0, max(heights) / divisor * 1.18, height - _BOTTOM, _TOP)
    room = (width - _LEFT - _RIGHT) / len(bars)
    wide = max(0.6, min(28.0, room * 0.8))
    out = [_open(width, height, label)]
    for tick in up.ticks():
        y = up(tick)
        out.append(f'<line class="grid" x1="{_LEFT}" x2="{width - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        out.append(
            f'<text class="axis" text-anchor="end" x="{_LEFT - 6}" y="{y + 4:.1f}">{esc(f"{tick:.4g}")}</text>'
        )
    out.append(f'<text class="axis" x="{_LEFT + 4}" y="{_TOP + 8}">{esc(word)}</text>')
    every = max(1, -(-len(bars) // 8))
    for n, bar in enumerate(bars):
        x = _LEFT + room * (n + 0.5)
        out.append(f"<g><title>{esc(bar.title)}</title>")
        base = 0.0
        for value, color in bar.parts:
            top, bottom = up((base + value) / divisor), up(base / divisor)
            if bottom > top:
                out.append(
                    f'<rect class="bar c{color % COLORS}" x="{x - wide / 2:.1f}" y="{top:.1f}" width="{wide:.1f}" '
                    f'height="{bottom - top:.1f}"/>'
                )
            base += value
        out.append("</g>")
        if n % every == 0 and bar.label:
            out.append(
                f'<text class="axis" text-anchor="middle" x="{x:.1f}" y="{height - 14}">{esc(bar.label)}</text>'
            )
    bottom_line = height - _BOTTOM
    out.append(
        f'<line class="base" x1="{_LEFT}" x2="{width - _RIGHT}" y1="{bottom_line}" y2="{bottom_line}"/>'
    )
    out.append(
        f'<text class="axis" text-anchor="end" x="{width - _RIGHT}" y="{height - 2}">{esc(x_name)}</text></svg>'
    )
    return "".join(out)


def _unit(most: float, unit: str) -> tuple[float, str]:
    if unit == "bytes":
        steps = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "bytes")]
    else:
        steps = [(1.0, "seconds"), (1e-3, "milliseconds"), (1e-6, "microseconds")]
    return next(((size, word) for size, word in steps if most >= size), steps[-1])
