"""The sweep as a picture: AUROC against operations, the frontier drawn, the default marked."""

import itertools
import math
from collections.abc import Sequence
from html import escape
from typing import Final, NamedTuple

from monitor.bench.svg import BLUE, GRID, ORANGE, PALE, line, picture
from tests.benchmarks.frontier.networks import DEFAULT
from tests.benchmarks.frontier.points import Point, on_frontier

WIDTH, HEIGHT = 860, 500
LEFT, RIGHT, TOP, BOTTOM = 70, 30, 40, 60
MISSED_MIN: Final = 1e-4  # of 1 - AUROC: what is better is drawn there
TICKS: Final = tuple(first * 10.0**power for power in (-4, -3, -2, -1) for first in (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9))
TICK_PX: Final = 20  # between two of them, at least
LABEL_PX: Final = (6.2, 13)  # width of a letter, height of a line

Place = tuple[float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom


class Axes(NamedTuple):
    """Ranges of both axes: million operations, and 1 - AUROC, logarithmic both, better above."""

    low: float
    high: float
    best: float
    worst: float

    def across(self, million: float) -> float:
        share = math.log(million / self.low) / math.log(self.high / self.low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def down(self, auroc: float) -> float:
        share = math.log(max(1 - auroc, self.best) / self.best) / math.log(self.worst / self.best)
        return TOP + share * (HEIGHT - TOP - BOTTOM)


def draw(points: Sequence[Point], title: str) -> str:
    """An SVG picture of all *points*. Raises ValueError for a point without AUROC, as `on_frontier` does."""
    best = on_frontier(points)
    axes = _axes(points)
    frontier = sorted((one for one, lies in zip(points, best, strict=True) if lies), key=lambda one: one.operations)
    corners = _corners(axes, frontier)
    parts = [*_grid(axes, title), _steps(corners)]
    marks = sorted(zip(points, best, strict=True), key=lambda pair: (pair[0].name == DEFAULT, pair[1]))
    parts += [_mark(axes, one, lies) for one, lies in marks]
    parts += _labels(axes, points, best, corners)
    return picture(WIDTH, HEIGHT, parts)


def _axes(points: Sequence[Point]) -> Axes:
    million = [one.operations / 1e6 for one in points]
    missed = [max(1 - value, MISSED_MIN) for one in points for value in one.values]
    return Axes(min(million) / 1.3, max(million) * 1.3, min(missed) / 1.15, min(max(missed) * 1.15, 1.0))


def _grid(axes: Axes, title: str) -> list[str]:
    parts = [
        f'<text x="{LEFT}" y="22" font-size="15" font-weight="bold">{escape(title)}</text>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 14}" text-anchor="middle">'
        "million multiply-adds a frame</text>",
        f'<text transform="translate(18 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">'
        "AUROC of the joint score</text>",
    ]
    above = float("-inf")
    for missed in TICKS:
        y = axes.down(1 - missed)
        if axes.best <= missed <= axes.worst and y > above + TICK_PX:
            above = y
            parts.append(line(LEFT, y, WIDTH - RIGHT, y, GRID))
            parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{1 - missed:.4g}</text>')
    for million in (first * 10.0**power for power in range(-3, 4) for first in (1, 2, 5)):
        if axes.low <= million <= axes.high:
            x = axes.across(million)
            parts.append(line(x, TOP, x, HEIGHT - BOTTOM, GRID))
            parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{million:g}</text>')
    return parts


def _corners(axes: Axes, frontier: Sequence[Point]) -> list[Place]:
    """Of the line below which lies what can be had for so many operations: *frontier*, by operations, as stairs."""
    corners: list[Place] = []
    for one in frontier:
        x, y = _place(axes, one)
        corners += [(x, corners[-1][1]), (x, y)] if corners else [(x, y)]
    return [*corners, (WIDTH - RIGHT, corners[-1][1])]


def _steps(corners: Sequence[Place]) -> str:
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    return f'<polyline points="{line}" fill="none" stroke="{BLUE}" stroke-width="1.5"/>'


def _mark(axes: Axes, one: Point, lies: bool) -> str:
    x, y = _place(axes, one)
    colour = ORANGE if one.name == DEFAULT else BLUE if lies else PALE
    said = f"{one.name}: {one.operations / 1e6:.2f} million, AUROC {one.area.value:.4f}"
    seeds = [line(x, axes.down(min(one.values)), x, axes.down(max(one.values)), colour)] if one.spread else []
    dot = (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{6 if one.name == DEFAULT else 4}" fill="{colour}">'
        f"<title>{escape(said)}</title></circle>"
    )
    return "".join([*seeds, dot])


def _labels(axes: Axes, points: Sequence[Point], best: Sequence[bool], corners: Sequence[Place]) -> list[str]:
    """Names beside the dots, those of the frontier first; a name that finds no free place is left out."""
    taken: list[Box] = [(x - 5, y - 5, x + 5, y + 5) for x, y in (_place(axes, one) for one in points)]
    taken += [(min(a, c), min(b, d), max(a, c), max(b, d)) for (a, b), (c, d) in itertools.pairwise(corners)]
    order = sorted(zip(points, best, strict=True), key=lambda pair: (pair[0].name != DEFAULT, not pair[1]))
    parts = []
    for one, lies in order:
        box = _free_place(*_place(axes, one), len(one.name) * LABEL_PX[0], taken)
        if box is None:
            continue
        taken.append(box)
        colour = ORANGE if one.name == DEFAULT else BLUE if lies else "#616e7c"
        parts.append(f'<text x="{box[0]:.1f}" y="{box[3] - 3:.1f}" fill="{colour}">{escape(one.name)}</text>')
    return parts


def _free_place(x: float, y: float, width: float, taken: Sequence[Box]) -> Box | None:
    """A box of *width* beside, above or below the dot at *x*, *y* that covers none of *taken*."""
    height = LABEL_PX[1]
    for left, top in (
        (x + 8, y - height / 2),
        (x - 8 - width, y - height / 2),
        (x - width / 2, y - 9 - height),
        (x - width / 2, y + 9),
        (x + 6, y - 7 - height),
        (x + 6, y + 7),
        (x - 6 - width, y - 7 - height),
        (x - 6 - width, y + 7),
    ):
        box = (left, top, left + width, top + height)
        inside = left > LEFT and box[2] < WIDTH - 2 and top > TOP - 12 and box[3] < HEIGHT - BOTTOM
        if inside and not any(_overlap(box, other) for other in taken):
            return box
    return None


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _place(axes: Axes, one: Point) -> Place:
    return axes.across(one.operations / 1e6), axes.down(one.area.value or 0.0)
