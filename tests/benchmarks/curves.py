"""Curves over a logarithmic axis, panel below panel, as one SVG picture."""

import math
from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

from monitor.bench.svg import BLUE, FONT_PX, GRID, INK, ORANGE, PALE, line, picture

WIDTH: Final = 760
LEFT_PX, RIGHT_PX = 90, 210
TOP_PX: Final = 44
PANEL_PX: Final = 260
GAP_PX: Final = 74
NAME_PX: Final = 15
DOT_PX: Final = 3.5
COLOURS: Final = (BLUE, ORANGE, "#2f7d4f", "#7a4fa3")


class Curve(NamedTuple):
    """Values at places along the axis, None where there is none; *is_bound*: drawn dashed, since nothing passes it."""

    name: str
    points: Sequence[tuple[float, float | None]]
    is_bound: bool = False


class Panel(NamedTuple):
    """Curves with one upright axis, logarithmic."""

    title: str
    curves: Sequence[Curve]


class Scale(NamedTuple):
    """A logarithmic scale from *low* to *high* onto pixels *first* to *last*."""

    low: float
    high: float
    first: float
    last: float

    def at(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.first + share * (self.last - self.first)


def draw(along: str, panels: Sequence[Panel]) -> str:
    """*panels* below each other over one axis, which *along* names."""
    places = sorted({x for panel in panels for curve in panel.curves for x, _ in curve.points})
    across = Scale(places[0] / 1.12, places[-1] * 1.12, LEFT_PX, WIDTH - RIGHT_PX)
    parts: list[str] = []
    top = TOP_PX
    for panel in panels:
        parts += _panel(panel, across, places, top)
        top += PANEL_PX + GAP_PX
    bottom = top - GAP_PX
    parts.append(_text((LEFT_PX + WIDTH - RIGHT_PX) / 2, bottom + 38, along, "middle"))
    return picture(WIDTH, bottom + 52, parts)


def _panel(panel: Panel, across: Scale, places: Sequence[float], top: float) -> list[str]:
    bottom = top + PANEL_PX
    values = [value for curve in panel.curves for _, value in curve.points if value]
    decades = _decades(values)
    upright = Scale(10.0 ** decades[0], 10.0 ** decades[-1], bottom, top)
    parts = [f'<g font-weight="bold">{_text(12, top - 20, panel.title)}</g>']
    for power in decades:
        y = upright.at(10.0**power)
        parts += [
            line(LEFT_PX, y, WIDTH - RIGHT_PX, y, GRID),
            _text(LEFT_PX - 8, y + 4, _tick(10.0**power), "end", PALE),
        ]
    for place in places:
        x = across.at(place)
        parts += [line(x, top, x, bottom, GRID), _text(x, bottom + 16, f"{place:g}", "middle", PALE)]
    ends = []
    for index, curve in enumerate(panel.curves):
        colour = COLOURS[index % len(COLOURS)] if not curve.is_bound else INK
        dots = [(across.at(x), upright.at(value)) for x, value in curve.points if value]
        if not dots:
            continue
        parts += _curve(dots, colour, curve.is_bound)
        ends.append((dots[-1][1], curve.name, colour))
    parts += _names(ends)
    return parts


def _curve(dots: Sequence[tuple[float, float]], colour: str, is_bound: bool) -> list[str]:
    dash = ' stroke-dasharray="5 4"' if is_bound else ""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in dots)
    parts = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"{dash}/>']
    if not is_bound:
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{DOT_PX}" fill="{colour}"/>' for x, y in dots]
    return parts


def _names(ends: Sequence[tuple[float, str, str]]) -> list[str]:
    """Each curve's name at its right end, moved down where it would lie on the one above."""
    parts, lowest = [], -math.inf
    for end, name, colour in sorted(ends):
        lowest = max(end, lowest + NAME_PX)
        parts.append(_text(WIDTH - RIGHT_PX + 8, lowest + FONT_PX / 3, name, colour=colour))
    return parts


def _decades(values: Sequence[float]) -> range:
    """Powers of ten around *values*, at least two."""
    if not values:
        return range(2)
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return range(low, max(high, low + 1) + 1)


def _tick(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _text(x: float, y: float, words: str, anchor: str = "start", colour: str = INK) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'
