"""How the laser of a powder bed fusion machine scans a layer: where it is and what it gives at any time. Geometry only.

The inside of the part is hatched back and forth with straight lines, whose direction turns from layer to layer; then
every edge is followed once, as a contour. A layer's motion is piecewise linear, with the speed and power of each piece.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from monitor.camera.meltpool.outline import (
    EXACT_MM,
    Doubles,
    Outline,
    edges_of,
    free_spans,
    insets,
    lengths_mm,
    rings_of,
)

Integers = npt.NDArray[np.int64]

CONTEXTS: Final = ("hatch", "contour")
HATCH, CONTOUR = range(2)

SHORTEST_MM: Final = 0.05  # a vector shorter than this is left out: no pool would form in so short a flash


class Beam(NamedTuple):
    """What the laser does in one context."""

    watts: float
    mm_per_s: float


class Strategy(NamedTuple):
    """How a part is scanned.

    Hatch power, speed and spacing are those of the IN625 builds of AM-Bench 2018 (Levine et al. 2020); 67 degrees
    between layers is common practice, since no direction comes back for 360 layers. The contour is plausible: its
    energy per millimetre is a little less than the hatch's.
    """

    outline: Outline
    hatch: Beam = Beam(195.0, 800.0)
    contour: Beam = Beam(100.0, 500.0)
    hatch_mm: float = 0.1  # between neighbouring lines
    turn_deg: float = 67.0  # from layer to layer
    contour_offset_mm: float = 0.05  # from the edge to the contour: about half a track, so that the part keeps its size
    hatch_offset_mm: float = 0.1  # from the edge to the hatch, all around
    skywriting_s: float = 3e-4  # with the laser off, the mirror runs so long past a vector, and up to the next
    settle_s: float = 1e-4  # that a jump takes beside its way
    jump_mm_per_s: float = 5000.0


class Path(NamedTuple):
    """The motion over one layer: k places, and straight pieces at constant speed from each to the next.

    Travel with the laser off counts to the vector that it leads to; behind the last vector, to that one.
    """

    times_s: Doubles  # (k,), rising from 0
    xy_mm: Doubles  # (k, 2)
    watts: Doubles  # (k - 1,), 0 where the laser is off
    context: Integers  # (k - 1,), index into CONTEXTS
    vector: Integers  # (k - 1,), from 0: a piece of a hatch line, or a whole contour


class Stretch(NamedTuple):
    """Consecutive frames on one vector, or on the way to one."""

    times_s: Doubles  # (n,) from the layer's start
    xy_mm: Doubles  # (n, 2)
    active: bool  # whether the laser is on
    context: str
    ahead_rad: Doubles  # (n,) direction of travel, counted from x towards y


def layer_path(strategy: Strategy, layer: int, first_angle_rad: float) -> Path:
    """The motion over layer number *layer*; the hatch of layer 0 runs along *first_angle_rad*.

    A part too thin for a hatch gets its contours only. Raises ValueError where the contours find no place either (too
    thin, edges that cross, edges too short for the offset), for a ring that is none, and for impossible numbers.
    """
    _check(strategy)
    rings = rings_of(strategy.outline)
    angle_rad = first_angle_rad + math.radians(strategy.turn_deg) * layer
    if not math.isfinite(angle_rad):
        raise ValueError(f"a first angle of {first_angle_rad} rad and a turn of {strategy.turn_deg} degrees")
    return _path(strategy, _hatch(strategy, rings, angle_rad) + _contours(strategy, rings))


def at(path: Path, times_s: npt.ArrayLike) -> tuple[Doubles, Doubles]:
    """Place (..., 2) in mm and power (...) in W at *times_s* (...), counted from the layer's start.

    Before its start and from its end on, the laser is off and the mirror rests where it begins or ends.
    """
    times = np.asarray(times_s, np.float64)
    x_mm, y_mm = (np.interp(times, path.times_s, path.xy_mm[:, axis]) for axis in range(2))
    watts = np.concatenate([[0.0], path.watts, [0.0]])
    return np.stack([x_mm, y_mm], axis=-1), watts[np.searchsorted(path.times_s, times, side="right")]


def stretches(path: Path, frame_s: float) -> Iterator[Stretch]:
    """The frames exposed at 0, *frame_s*, 2 *frame_s*, ... until the path ends, in order.

    Each vector is a stretch of its own, and so is the travel to each; what is too short for a frame is missing. Raises
    ValueError for an impossible *frame_s*.
    """
    if not 0.0 < frame_s < math.inf:
        raise ValueError(f"a frame every {frame_s} s: it must be above 0 and finite")
    times_s = np.arange(math.ceil(path.times_s[-1] / frame_s) + 1) * frame_s
    times_s = times_s[times_s < path.times_s[-1]]
    piece = np.searchsorted(path.times_s, times_s, side="right") - 1
    xy_mm, watts = at(path, times_s)
    steps = np.diff(path.xy_mm, axis=0)
    ahead_rad = np.arctan2(steps[:, 1], steps[:, 0])[piece]
    vector, lit = path.vector[piece], watts > 0.0
    begins = np.flatnonzero((np.diff(vector) != 0) | (lit[1:] != lit[:-1])) + 1
    for first, stop in itertools.pairwise([0, *begins.tolist(), len(times_s)]):
        held = slice(first, stop)
        context = CONTEXTS[path.context[piece[first]]]
        yield Stretch(times_s[held], xy_mm[held], bool(lit[first]), context, ahead_rad[held])


class _Vector(NamedTuple):
    """What is scanned without switching the laser off."""

    points_mm: Doubles  # (m, 2)
    beam: Beam
    context: int
    line: int  # pieces of one hatch line share it
    run_mm: float  # of skywriting, before and behind

    def beyond(self, end: Literal[0, -1], room_mm: float = math.inf) -> Doubles:
        """Where the mirror starts to run up to the vector (0), or has run to when it is past it (-1)."""
        place = self.points_mm[end]
        ahead = place - self.points_mm[1 if end == 0 else -2]
        outer: Doubles = place + ahead * (min(self.run_mm, room_mm) / math.hypot(*ahead.tolist()))
        return outer


class _Move(NamedTuple):
    """One place after the other, at one speed and power."""

    to_mm: Doubles  # (m, 2)
    mm_per_s: float
    delay_s: float
    watts: float
    context: int
    vector: int


def _path(strategy: Strategy, vectors: list[_Vector]) -> Path:
    """The motion along *vectors*, one after the other, with the travel between them."""
    moves: list[_Move] = []
    for number, (before, vector) in enumerate(zip([None, *vectors], vectors, strict=False)):
        moves += _travel(strategy, before, vector, number)
        moves.append(_Move(vector.points_mm[1:], vector.beam.mm_per_s, 0.0, vector.beam.watts, vector.context, number))
    last, number = vectors[-1], len(vectors) - 1
    moves.append(_Move(last.beyond(-1)[None], last.beam.mm_per_s, 0.0, 0.0, last.context, number))
    xy_mm = np.concatenate([vectors[0].beyond(0)[None], *(move.to_mm for move in moves)])
    way_mm = lengths_mm(np.diff(xy_mm, axis=0))
    pieces = np.repeat([move[1:] for move in moves], [len(move.to_mm) for move in moves], axis=0)
    moved = way_mm > EXACT_MM  # nobody runs up without skywriting, or jumps to where he is
    mm_per_s, delay_s, watts, context, number_of = pieces[moved].T
    times_s = np.cumsum(np.concatenate([[0.0], way_mm[moved] / mm_per_s + delay_s]))
    held = np.concatenate([[True], moved])
    return Path(times_s, xy_mm[held], watts, context.astype(np.int64), number_of.astype(np.int64))


def _travel(strategy: Strategy, before: _Vector | None, after: _Vector, number: int) -> list[_Move]:
    """From the end of *before* to the beginning of *after*, vector *number*, with the laser off."""
    moves = []
    room_mm = math.inf
    if before is not None:
        if before.line == after.line:  # over a hole: the runs meet in its middle, if they would cross
            room_mm = math.dist(before.points_mm[-1], after.points_mm[0]) / 2
        moves = [
            (before.beyond(-1, room_mm), before.beam.mm_per_s, 0.0),
            (after.beyond(0, room_mm), strategy.jump_mm_per_s, strategy.settle_s),
        ]
    moves.append((after.points_mm[0], after.beam.mm_per_s, 0.0))
    return [_Move(to[None], mm_per_s, delay_s, 0.0, after.context, number) for to, mm_per_s, delay_s in moves]


def _hatch(strategy: Strategy, rings: list[Doubles], angle_rad: float) -> list[_Vector]:
    """The hatch lines' pieces within the part, every second line backwards."""
    sine, cosine = math.sin(angle_rad), math.cos(angle_rad)
    axes = np.array([[cosine, sine], [-sine, cosine]])  # along and across
    edges = edges_of([ring @ axes.T for ring in rings])
    across_mm = _lines(strategy, edges[0][:, 1])
    spans = free_spans(edges, across_mm, strategy.hatch_offset_mm, SHORTEST_MM)
    run_mm = strategy.skywriting_s * strategy.hatch.mm_per_s
    vectors: list[_Vector] = []
    for number, (line, found) in enumerate(itertools.groupby(spans, key=lambda span: span.line)):
        pieces = [(span.first_mm, span.last_mm) for span in found]
        if number % 2:
            pieces = [(last, first) for first, last in reversed(pieces)]
        for first, last in pieces:
            points = np.array([[first, across_mm[line]], [last, across_mm[line]]]) @ axes
            vectors.append(_Vector(points, strategy.hatch, HATCH, number, run_mm))
    return vectors


def _lines(strategy: Strategy, corners_mm: Doubles) -> Doubles:
    """Where the hatch lines of a part lie whose corners are at *corners_mm* across them: (lines,), rising."""
    lowest, highest = corners_mm.min() + strategy.hatch_offset_mm, corners_mm.max() - strategy.hatch_offset_mm
    # As many lines as leave at most half a spacing bare at both sides, whatever rounding does to a span.
    count = max(math.ceil((highest - lowest) / strategy.hatch_mm - 1e-6), 0)
    lines: Doubles = (lowest + highest) / 2 + (np.arange(count) - (count - 1) / 2) * strategy.hatch_mm
    return lines


def _contours(strategy: Strategy, rings: list[Doubles]) -> list[_Vector]:
    """Each ring of the part, moved into its material. Raises ValueError if one does not fit."""
    run_mm = strategy.skywriting_s * strategy.contour.mm_per_s
    return [
        _Vector(np.concatenate([inset, inset[:1]]), strategy.contour, CONTOUR, -1 - number, run_mm)
        for number, inset in enumerate(insets(rings, strategy.contour_offset_mm))
    ]


def _check(strategy: Strategy) -> None:
    """Raises ValueError for settings that make no sense."""
    above_0 = (*strategy.hatch, *strategy.contour, strategy.hatch_mm, strategy.jump_mm_per_s)
    if wrong := [value for value in above_0 if not 0.0 < value < math.inf]:
        raise ValueError(f"a power, a speed or a hatch spacing of {wrong[0]}: it must be above 0 and finite")
    if wrong := [value for value in (strategy.skywriting_s, strategy.settle_s) if not 0.0 <= value < math.inf]:
        raise ValueError(f"skywriting or settling of {wrong[0]} s: it must be 0 or more, and finite")
    contour_mm, hatch_mm = strategy.contour_offset_mm, strategy.hatch_offset_mm
    if not 0.0 < contour_mm < hatch_mm < math.inf:
        raise ValueError(f"a contour {contour_mm} mm and a hatch {hatch_mm} mm inside the outline: 0 < contour < hatch")
