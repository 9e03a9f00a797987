"""Curves as SVG, in the manner of `chart`."""

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import NamedTuple

from lab.compare.chart import WIDTH, figure, number

HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 300, 56, 16, 34, 44
LEGEND = 110
Point = tuple[float, float]


class Curve(NamedTuple):
    name: str
    points: list[Point]


class Axis(NamedTuple):
    title: str
    logarithmic: bool = False
    names: tuple[str, ...] = ()
    """Of 0, 1, 2, …, instead of numbers."""


def curves(title: str, across: Axis, up: Axis, drawn: Sequence[Curve]) -> str:
    """Their colours are those of their places: a protocol keeps its own. Nothing is drawn of nothing."""
    points = [point for curve in drawn for point in curve.points]
    if not points:
        return ""
    x_ticks, y_ticks = (_ticks([point[at] for point in points], axis) for at, axis in enumerate((across, up)))
    x = _scale(x_ticks, LEFT, WIDTH - RIGHT, logarithmic=across.logarithmic)
    y = _scale(y_ticks, HEIGHT - BOTTOM, TOP, logarithmic=up.logarithmic)
    shapes = [
        *_grid(across, up, x_ticks, y_ticks, x, y),
        *(shape for series, curve in enumerate(drawn) for shape in _curve(curve, series, x, y)),
    ]
    return figure(title, HEIGHT, "".join(shapes))


def _ticks(values: Sequence[float], axis: Axis) -> list[float]:
    """Round numbers, of which the outer two enclose the values."""
    if axis.names:
        return [float(at) for at in range(len(axis.names))]
    if axis.logarithmic:
        return _decades(max(min(values), 0.01), max(*values, 0.1))
    most = max(*values, 1e-9)
    step = 10 ** math.floor(math.log10(most))
    step *= next(share for share in (0.2, 0.5, 1, 2) if most / (step * share) <= 6)
    return [at * step for at in range(math.ceil(most / step - 1e-9) + 1)]


def _decades(least: float, most: float) -> list[float]:
    """1, 2, 5, 10, …; only 1, 10, 100, … where it is many."""
    first, last = math.floor(math.log10(least)), math.ceil(math.log10(most))
    few = last - first > 2
    ticks = [lead * 10**at for at in range(first, last + 1) for lead in ((1,) if few else (1, 2, 5))]
    under = max((tick for tick in ticks if tick <= least), default=ticks[0])
    over = min((tick for tick in ticks if tick >= most), default=ticks[-1])
    return [tick for tick in ticks if under <= tick <= over]


def _scale(
    ticks: Sequence[float], first: float, last: float, *, logarithmic: bool
) -> Callable[[float], float]:
    turned = math.log10 if logarithmic else float
    low, high = turned(ticks[0]), turned(ticks[-1])

    def place(value: float) -> float:
        share = (turned(max(value, ticks[0])) - low) / ((high - low) or 1)
        return first + share * (last - first)

    return place


def _grid(
    across: Axis,
    up: Axis,
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    x: Callable[[float], float],
    y: Callable[[float], float],
) -> Iterator[str]:
    for tick in y_ticks:
        yield f'<path class="grid" d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text class="tick end" x="{LEFT - 6}" y="{y(tick):.1f}">{number(tick)}</text>'
    for at, tick in enumerate(x_ticks):
        name = across.names[at] if across.names else number(tick)
        where = "end" if at == len(x_ticks) - 1 else "middle"
        yield f'<text class="tick {where}" x="{x(tick):.1f}" y="{HEIGHT - BOTTOM + 14}">{escape(name)}</text>'
    yield f'<text class="group end" x="{WIDTH - RIGHT}" y="{HEIGHT - 10}">{escape(across.title)}</text>'
    yield f'<text class="group" x="0" y="{TOP - 16}">{escape(up.title)}</text>'


def _curve(
    curve: Curve, series: int, x: Callable[[float], float], y: Callable[[float], float]
) -> Iterator[str]:
    left = WIDTH - RIGHT - LEGEND * (4 - series) + 30
    yield f'<rect class="s{series}" x="{left}" y="{TOP - 22}" width="12" height="12" rx="2"/>'
    yield f'<text x="{left + 17}" y="{TOP - 15}">{escape(curve.name)}</text>'
    if not curve.points:
        return
    places = [(x(across), y(up)) for across, up in curve.points]
    way = "L".join(f"{across:.1f} {up:.1f}" for across, up in places)
    yield f'<path class="curve c{series}" d="M{way}"/>'
    if len(places) <= 8:
        yield from (f'<circle class="s{series}" cx="{a:.1f}" cy="{b:.1f}" r="3.5"/>' for a, b in places)
