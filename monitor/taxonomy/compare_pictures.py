"""Curves over the number of groups, and maps of the same events in the colours of every way, as SVG."""

import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from models.taxonomy.cut import NO_KINDS
from models.taxonomy.ways import NAMES, Way
from monitor.taxonomy.drawing import COLOURS, GRID, INK, QUIET, RULE, WIDTH, line, mark, svg, words
from monitor.taxonomy.found import NO_KIND, Floats, Ids, plane_of
from monitor.taxonomy.pictures import fitted, some_of_each

PLOT_PX, PLOTS_PX, FOOT_PX, HEAD_PX = 170, 330, 34, 24  # of a plot: height, width with its margin, below, above
LEFT_PX: Final = 46
TICKS: Final = 5

MAPS_A_ROW: Final = 4
MAP_PX, MAP_TITLE_PX, MAP_GAP_PX = 190, 20, 10
DRAWN: Final = 400  # events of each map, at most; of rare groups all

COLOUR_OF: Final = dict(zip(NAMES, COLOURS, strict=True))


class Line(NamedTuple):
    """One curve over numbers of groups."""

    name: str
    colour: str
    counts: tuple[int, ...]
    values: tuple[float, ...]
    chosen: int | None  # that is marked


def curves(ways: Sequence[Way]) -> str:
    """Costs with their elbows, silhouettes, and BIC, each over the number of groups."""
    parts = [
        *_plot(0, "cost, from its largest (1) to its least (0)", _costs(ways)),
        *_plot(PLOTS_PX, "silhouette, on main components", _silhouettes(ways), NO_KINDS),
        *_plot(2 * PLOTS_PX, "BIC, in thousands", _bics(ways)),
    ]
    return svg(HEAD_PX + PLOT_PX + FOOT_PX, parts, "Cost, silhouette and BIC by the number of groups")


def _costs(ways: Sequence[Way]) -> list[Line]:
    found = []
    for way in ways:
        if way.curve is not None and len(way.curve.counts) > 1:
            costs = np.array(way.curve.costs)
            span = max(float(np.ptp(costs)), 1e-300)
            shares = tuple(((costs - costs.min()) / span).tolist())
            found.append(Line(way.name, COLOUR_OF[way.name], way.curve.counts, shares, way.curve.at_elbow))
    return found


def _silhouettes(ways: Sequence[Way]) -> list[Line]:
    found = []
    for way in ways:
        if way.silhouettes:
            counts, values = zip(*way.silhouettes, strict=True)
            found.append(Line(way.name, COLOUR_OF[way.name], counts, values, way.chosen))
    return found


def _bics(ways: Sequence[Way]) -> list[Line]:
    found = []
    for way in ways:
        if way.curve is not None and np.isfinite(way.curve.bics).all():
            values = tuple(one / 1000 for one in way.curve.bics)
            found.append(Line(way.name, COLOUR_OF[way.name], way.curve.counts, values, way.curve.at_bic))
    return found


def _plot(left: float, title: str, lines: Sequence[Line], rule: float | None = None) -> Iterator[str]:
    """A plot at *left* of the picture; marked numbers are rings, *rule* is a dashed line."""
    yield words(left + LEFT_PX, 13, title, bold=True)
    if not lines:
        yield words(left + LEFT_PX, HEAD_PX + 24, "none", colour=QUIET)
        return
    values = [value for one in lines for value in one.values] + ([] if rule is None else [rule, 0.0])
    low, high = min(values), max(values)
    span, width = max(high - low, 1e-9), PLOTS_PX - LEFT_PX - 16
    first, last = min(one.counts[0] for one in lines), max(one.counts[-1] for one in lines)

    def across(count: float) -> float:
        return left + LEFT_PX + width * (count - first) / max(last - first, 1)

    def up(value: float) -> float:
        return HEAD_PX + PLOT_PX * (1 - (value - low) / span)

    for tick in round_ticks(low, high):
        yield line(across(first), up(tick), across(last), up(tick), GRID)
        yield words(across(first) - 6, up(tick) + 4, f"{tick:.3g}", "end", QUIET)
    for count in range(first, last + 1, max(1, -(-(last - first) // 11))):
        yield words(across(count), HEAD_PX + PLOT_PX + 18, f"{count}", "middle", QUIET)
    if rule is not None:
        yield line(across(first), up(rule), across(last), up(rule), RULE, 1.2, "6 4")
    for one in lines:
        at = [(across(count), up(value)) for count, value in zip(one.counts, one.values, strict=True)]
        told = f"<title>{one.name}</title>"
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        yield f'<polyline points="{points}" fill="none" stroke="{one.colour}" stroke-width="1.8">{told}</polyline>'
        for x, y in (place for place, count in zip(at, one.counts, strict=True) if count == one.chosen):
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="none" stroke="{one.colour}" stroke-width="2.2"/>'


def round_ticks(low: float, high: float) -> list[float]:
    """At most TICKS + 1 round numbers from *low* to *high*."""
    span = max(high - low, 1e-9)
    power = 10.0 ** math.floor(math.log10(span / TICKS))
    step = next(one * power for one in (1.0, 2.0, 5.0, 10.0) if span / (one * power) <= TICKS)
    return [step * count for count in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def legend_of_ways() -> str:
    """Colours of the ways, as HTML."""
    shown = (
        f'<span class="kind"><svg width="22" height="10" viewBox="0 0 22 10">{line(0, 5, 22, 5, colour, 3)}</svg>'
        f"{name}</span>"
        for name, colour in COLOUR_OF.items()
    )
    return f'<p class="legend">{"".join(shown)}</p>'


def maps(points: Floats, titled: Sequence[tuple[str, Ids]]) -> tuple[str, float]:
    """The events at *points* (n, d) on their first two principal components, once for each title and its numbers (n,).

    Numbers count from 0; below, an event is in no group. With it the share of the variance that is seen.
    """
    found = plane_of(points)
    first = titled[0][1]
    shown = some_of_each(np.maximum(first[found.rows], NO_KIND), DRAWN)
    width = (WIDTH - MAP_GAP_PX * (MAPS_A_ROW - 1)) / MAPS_A_ROW
    at = fitted(found.places, width, MAP_PX, 10)[shown]
    parts = []
    for number, (title, groups) in enumerate(titled):
        row, column = divmod(number, MAPS_A_ROW)
        left, top = column * (width + MAP_GAP_PX), row * (MAP_PX + MAP_TITLE_PX + MAP_GAP_PX)
        marks = "".join(
            mark(x, y, int(group) + 1 if group >= 0 else NO_KIND, 2.6)
            for (x, y), group in zip(at.tolist(), groups[found.rows][shown].tolist(), strict=True)
        )
        parts.append(
            f'<g transform="translate({left:.1f} {top:.1f})">{words(0, 13, title, colour=INK, bold=True)}'
            f'<g transform="translate(0 {MAP_TITLE_PX})"><rect width="{width:.1f}" height="{MAP_PX}" fill="#fafbfc"/>'
            f'<g fill-opacity="0.75">{marks}</g></g></g>'
        )
    rows = -(-len(titled) // MAPS_A_ROW)
    return svg(rows * (MAP_PX + MAP_TITLE_PX + MAP_GAP_PX), parts, "Maps of the events"), sum(found.shares)
