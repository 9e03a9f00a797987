"""Bars as SVG: drawn for a phone, for paper, and for light and dark alike, because CSS gives the colours."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from lab.compare.report import Spread

WIDTH, LABEL, VALUE = 640, 96, 84
BAR, GAP, GROUP = 18, 4, 14


INK = """
:root { color-scheme: light dark; --ink: #1f2328; --soft: #59636e; --line: #8884; --bad: #cf222e;
  --s0: #0969da; --s1: #bc4c00; --s2: #1a7f37; --s3: #8250df; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9198a1; --bad: #ff7b72;
  --s0: #4493f8; --s1: #db6d28; --s2: #3fb950; --s3: #ab7df8; } }
svg { font: 13px system-ui, sans-serif; } svg text { fill: var(--ink); dominant-baseline: middle; }
svg .name { text-anchor: end; } svg .value, svg .group { fill: var(--soft); }
.s0 { fill: var(--s0); } .s1 { fill: var(--s1); } .s2 { fill: var(--s2); } .s3 { fill: var(--s3); }
.c0 { stroke: var(--s0); } .c1 { stroke: var(--s1); } .c2 { stroke: var(--s2); } .c3 { stroke: var(--s3); }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; } .grid { stroke: var(--line); }
svg .tick { fill: var(--soft); font-size: 12px; }
svg .end { text-anchor: end; } svg .middle { text-anchor: middle; }
.spread { stroke: var(--ink); stroke-width: 2; opacity: .6; fill: none; }
"""
"""The colours of all pictures, for light and dark, and how they are drawn."""


def figure(title: str, height: float, shapes: str) -> str:
    """A picture and its title, to stand in a page whose style has INK."""
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'aria-label="{escape(title)}">{shapes}</svg></figure>'
    )


def alone(drawn: str) -> str:
    """The picture of a figure as a file of its own."""
    start, end = drawn.index("<svg ") + len("<svg "), drawn.index("</figure>")
    return (
        drawn[start - 5 : start]
        + 'xmlns="http://www.w3.org/2000/svg" '
        + drawn[start:end].replace(">", f"><style>{INK}</style>", 1)
    )


class Bar(NamedTuple):
    name: str
    value: Spread | None
    """None: not measured."""


class Group(NamedTuple):
    title: str
    bars: list[Bar]


def number(value: float) -> str:
    """As people read it, and as it is in `result.json` but for the digits that nobody reads."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def bars(title: str, groups: Sequence[Group]) -> str:
    """Horizontal bars from one zero, the spread of the rounds as a line on each. A group of which nothing is
    measured is left out."""
    groups = [group for group in groups if any(bar.value for bar in group.bars)]
    if not groups:
        return f"<p>{escape(title)}: not measured.</p>"
    most = max((bar.value.most for group in groups for bar in group.bars if bar.value), default=0.0) or 1.0
    shapes = list(_groups(groups, (WIDTH - LABEL - VALUE) / most))
    height = sum((GROUP + 18 if group.title else 0) + len(group.bars) * (BAR + GAP) for group in groups) + 8
    return figure(title, height, "".join(shapes))


def _groups(groups: Sequence[Group], scale: float) -> Iterator[str]:
    y = 4.0
    for group in groups:
        if group.title:
            y += GROUP
            yield f'<text class="group" x="0" y="{y:.0f}">{escape(group.title)}</text>'
            y += 18 - 8
        for at, bar in enumerate(group.bars):
            yield from _bar(bar, y, scale, at)
            y += BAR + GAP
        y += 8 if group.title else 0


def _bar(bar: Bar, y: float, scale: float, series: int) -> Iterator[str]:
    middle = y + BAR / 2
    yield f'<text x="{LABEL - 8}" y="{middle:.1f}" class="name">{escape(bar.name)}</text>'
    if bar.value is None:
        yield f'<text x="{LABEL}" y="{middle:.1f}" class="value">not measured</text>'
        return
    long = max(bar.value.median * scale, 1.0)
    yield f'<rect class="s{series}" x="{LABEL}" y="{y:.1f}" width="{long:.1f}" height="{BAR}" rx="2"/>'
    least, most = (LABEL + at * scale for at in (bar.value.least, bar.value.most))
    if most > least:
        yield f'<path class="spread" d="M{least:.1f} {middle:.1f}H{most:.1f}"/>'
    end = max(LABEL + long, most) + 6
    yield f'<text x="{end:.1f}" y="{middle:.1f}" class="value">{number(bar.value.median)}</text>'
