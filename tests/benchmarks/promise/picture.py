"""Realised events over the budget as a picture: every stream and budget, the limit above its conservative one."""

from collections.abc import Sequence
from html import escape
from itertools import groupby
from typing import Final, NamedTuple

import numpy as np

from monitor.bench.svg import BLUE, GRID, INK, ORANGE, line, picture
from tests.benchmarks.promise.figures import OnStream
from tests.benchmarks.promise.tables import in_order

WIDTH: Final = 860
LEFT, RIGHT, TOP, BOTTOM = 200, 30, 104, 56
ROW_PX, GAP_PX = 30, 14  # a budget, and above each stream
APART_PX: Final = 5  # a limit lies so far above the middle of its row, its conservative one below
MARK_PX: Final = 4
AIM: Final = (0.7, 1.4)
AIM_COLOUR: Final = "#e3edf7"
STEPS: Final = (0.25, 0.5, 1, 2, 5, 10, 20, 50, 100)
TICKS_MAX: Final = 12
TITLE: Final = "False events realised, over those that the budget allows"
ACROSS: Final = "events realised / events allowed (no unit; 1 is the budget)"


class Mark(NamedTuple):
    """One limit, in pixels: mean, its standard error, and what 90 % of calibrations lie between."""

    mean: float
    error: float
    low: float
    high: float
    conservative: bool


class Scale(NamedTuple):
    """Events over the budget from 0 to *most*."""

    most: float
    step: float  # between ticks

    def across(self, events: float) -> float:
        return LEFT + events / self.most * (WIDTH - LEFT - RIGHT)


def draw(rows: Sequence[OnStream]) -> str:
    """An SVG picture of all *rows*."""
    ordered = in_order(rows)
    places = _places([row.stream for row in ordered])
    scale, bottom = _scale(ordered), places[-1] + ROW_PX / 2 + GAP_PX / 2
    parts = [*_grid(scale, bottom), *_legend(), *_names(ordered, places)]
    for row, y in zip(ordered, places, strict=True):
        usual, conservative = _marks(scale, row)
        about = f"{row.stream}, {_budget(row)} events allowed"
        parts.append(_drawn(usual, y - APART_PX, f"{about}: {row.mean:.2f}"))
        parts.append(_drawn(conservative, y + APART_PX, f"{about}, conservative: {row.conservative_mean:.2f}"))
    return picture(WIDTH, round(bottom + BOTTOM), parts)


def _places(streams: Sequence[str]) -> list[float]:
    """The middle of each row, with a gap before each stream."""
    places, y = [], TOP - ROW_PX / 2 - GAP_PX / 2
    for index, stream in enumerate(streams):
        y += ROW_PX + GAP_PX * (index == 0 or stream != streams[index - 1])
        places.append(y)
    return places


def _scale(rows: Sequence[OnStream]) -> Scale:
    most = max(max(row.high, row.conservative_high, AIM[1]) for row in rows)
    step = next((one for one in STEPS if most / one <= TICKS_MAX), STEPS[-1])
    return Scale(float(np.ceil(most / step)) * step, step)


def _grid(scale: Scale, bottom: float) -> list[str]:
    left, right = (scale.across(end) for end in AIM)
    parts = [
        f'<rect x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" height="{bottom - TOP:.1f}" fill="{AIM_COLOUR}"/>'
    ]
    for events in np.arange(0, scale.most + scale.step / 2, scale.step):
        x = scale.across(float(events))
        parts.append(line(x, TOP, x, bottom, GRID))
        parts.append(f'<text x="{x:.1f}" y="{bottom + 17:.1f}" text-anchor="middle">{events:g}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    return [
        *parts,
        line(scale.across(1), TOP, scale.across(1), bottom, INK, 1.5),
        f'<text x="{middle}" y="{bottom + 40:.1f}" text-anchor="middle">{ACROSS}</text>',
    ]


def _names(rows: Sequence[OnStream], places: Sequence[float]) -> list[str]:
    """Each row's budget, each stream's name beside its first row, and the heads of both columns."""
    right = LEFT - 14
    parts = [
        f'<text x="12" y="{TOP - 8}">stream</text>',
        f'<text x="{right}" y="{TOP - 22}" text-anchor="end">events allowed</text>',
        f'<text x="{right}" y="{TOP - 8}" text-anchor="end">in a calibration</text>',
    ]
    for stream, group in groupby(zip(rows, places, strict=True), lambda pair: pair[0].stream):
        beside = list(group)
        parts.append(f'<text x="12" y="{beside[0][1] + 4:.1f}" font-weight="bold">{escape(stream)}</text>')
        parts += [f'<text x="{right}" y="{y + 4:.1f}" text-anchor="end">{_budget(row)}</text>' for row, y in beside]
    return parts


def _budget(row: OnStream) -> str:
    return f"{row.expected:g} (extrapolated)" if row.extrapolated_by > 1 else f"{row.expected:g}"


def _legend() -> list[str]:
    """What marks and shade mean, in two lines beneath the title."""
    parts = [f'<text x="12" y="22" font-size="15" font-weight="bold">{TITLE}</text>']
    for x, conservative, said in ((LEFT, False, "limit"), (LEFT + 115, True, "conservative limit")):
        parts.append(_drawn(Mark(x + 24, 8, x, x + 48, conservative), 44, said))
        parts.append(f'<text x="{x + 56}" y="48">{said}</text>')
    x = LEFT + 305
    parts.append(f'<rect x="{x}" y="37" width="28" height="14" fill="{AIM_COLOUR}"/>')
    parts.append(f'<text x="{x + 36}" y="48">aim: {AIM[0]:g} to {AIM[1]:g}</text>')
    parts.append(
        f'<text x="{LEFT}" y="68">mark: mean; thick line: its standard error; thin line: 90 % of calibrations</text>'
    )
    return parts


def _marks(scale: Scale, row: OnStream) -> tuple[Mark, Mark]:
    usual = (row.mean, row.standard_error, row.low, row.high)
    conservative = (
        row.conservative_mean,
        row.conservative_standard_error,
        row.conservative_low,
        row.conservative_high,
    )
    return _mark(scale, usual, False), _mark(scale, conservative, True)


def _mark(scale: Scale, values: tuple[float, float, float, float], conservative: bool) -> Mark:
    mean, error, low, high = values
    return Mark(scale.across(mean), scale.across(error) - LEFT, scale.across(low), scale.across(high), conservative)


def _drawn(mark: Mark, y: float, said: str) -> str:
    """A dot for a limit, a square for a conservative one: told apart without colours, too."""
    colour = ORANGE if mark.conservative else BLUE
    lines = line(mark.low, y, mark.high, y, colour, 1.5) + line(
        mark.mean - mark.error, y, mark.mean + mark.error, y, colour, 4
    )
    title = f"<title>{escape(said)}</title>"
    if not mark.conservative:
        return f'{lines}<circle cx="{mark.mean:.1f}" cy="{y:.1f}" r="{MARK_PX}" fill="{colour}">{title}</circle>'
    left, top, side = mark.mean - MARK_PX, y - MARK_PX, 2 * MARK_PX
    return (
        f'{lines}<rect x="{left:.1f}" y="{top:.1f}" width="{side}" height="{side}" fill="#ffffff" stroke="{colour}" '
        f'stroke-width="2">{title}</rect>'
    )
