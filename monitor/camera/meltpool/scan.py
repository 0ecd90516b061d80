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

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Edges = tuple[Doubles, Doubles]  # where edges start and stop, both (edges, 2)

Ring = tuple[tuple[float, float], ...]
"""A closed polygon in millimetres, in either sense of rotation; its first point is not repeated."""

Outline = tuple[Ring, ...]
"""The edges of a part, outer ones and those of holes: a point lies in it by the even-odd rule."""

CONTEXTS: Final = ("hatch", "contour")
HATCH, CONTOUR = range(2)

SHORTEST_MM: Final = 0.05  # a vector shorter than this is left out: no pool would form in so short a flash
EXACT_MM: Final = 1e-9  # what rounding may do to a length
GRAZED: Final = 1e-4  # of the offset: a line so short within it only touches it, as rounding will have it
SHARP_RAD: Final = 1.7  # a corner that turns by more than this, a little beyond a right angle


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

    first: int  # index of the first frame in its layer
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
    rings = [_ring(points) for points in strategy.outline]
    if not rings:
        raise ValueError("an outline without a ring: nothing to scan")
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
        yield Stretch(first, times_s[held], xy_mm[held], bool(lit[first]), context, ahead_rad[held])


def rectangle(width_mm: float, height_mm: float) -> Outline:
    """A rectangle around the origin."""
    x, y = width_mm / 2, height_mm / 2
    return (((-x, -y), (x, -y), (x, y), (-x, y)),)


def disc(radius_mm: float, points: int = 48) -> Outline:
    """A disc around the origin, as a regular polygon."""
    return (_arc(0.0, radius_mm, 0.0, 2 * math.pi, points),)


def lug(length_mm: float, width_mm: float, hole_mm: float, points: int = 48) -> Outline:
    """A flat bar around the origin, round at its right end, and there with a round hole of diameter *hole_mm*."""
    radius = width_mm / 2
    middle = length_mm / 2 - radius
    end = _arc(middle, radius, -math.pi / 2, math.pi, points // 2)
    edge = ((-length_mm / 2, -radius), *end, (middle, radius), (-length_mm / 2, radius))
    return edge, _arc(middle, hole_mm / 2, 0.0, 2 * math.pi, points)


def _arc(x_mm: float, radius_mm: float, first_rad: float, turn_rad: float, points: int) -> Ring:
    """*points* points of an arc around (*x_mm*, 0), without its end."""
    turns = first_rad + turn_rad * np.arange(points) / points
    return tuple((x_mm + radius_mm * math.cos(turn), radius_mm * math.sin(turn)) for turn in turns.tolist())


BRACKET: Final = lug(4.0, 2.5, 1.1)
"""A part so small that many layers, and so many directions, pass in a short film."""


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
    way_mm = _length(np.diff(xy_mm, axis=0))
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
    start, stop = _edges([ring @ axes.T for ring in rings])
    lowest, highest = start[:, 1].min() + strategy.hatch_offset_mm, start[:, 1].max() - strategy.hatch_offset_mm
    # As many lines as leave at most half a spacing bare at both sides, whatever rounding does to a span.
    count = max(math.ceil((highest - lowest) / strategy.hatch_mm - 1e-6), 0)
    across = (lowest + highest) / 2 + (np.arange(count) - (count - 1) / 2) * strategy.hatch_mm
    pieces = _free(start, stop, across, strategy.hatch_offset_mm)
    run_mm = strategy.skywriting_s * strategy.hatch.mm_per_s
    vectors: list[_Vector] = []
    for line, (number, group) in enumerate(itertools.groupby(pieces, key=lambda piece: piece[0])):
        spans = [(first, last) for _, first, last in group]
        if line % 2:
            spans = [(last, first) for first, last in reversed(spans)]
        for first, last in spans:
            points = np.array([[first, across[number]], [last, across[number]]]) @ axes
            vectors.append(_Vector(points, strategy.hatch, HATCH, line, run_mm))
    return vectors


def _free(start: Doubles, stop: Doubles, heights: Doubles, offset_mm: float) -> list[tuple[int, float, float]]:
    """Where the lines y = *heights* lie in the outline, at least *offset_mm* from its edges: (line, first x, last x).

    What lies closer than that to one edge is a stretch of the line. The gaps between these stretches lie wholly inside
    the outline or wholly outside.
    """
    low, high = _near(start, stop, heights, offset_mm)
    order = np.argsort(low, axis=1)
    low = np.take_along_axis(low, order, axis=1)
    reached = np.maximum.accumulate(np.take_along_axis(high, order, axis=1), axis=1)
    first, last = reached[:, :-1], low[:, 1:]
    line, gap = np.nonzero(np.isfinite(last) & (last - first >= SHORTEST_MM))
    first, last = first[line, gap], last[line, gap]
    inside = _inside(np.stack([(first + last) / 2, heights[line]], axis=1), start, stop)
    return list(zip(line[inside].tolist(), first[inside].tolist(), last[inside].tolist(), strict=True))


def _near(start: Doubles, stop: Doubles, heights: Doubles, offset_mm: float) -> tuple[Doubles, Doubles]:
    """Between which x (lines, edges) each line y = *heights* is within *offset_mm* of each edge: inf to -inf, if never.

    A disc of that radius slides along the edge from 0 to 1. It reaches furthest where its outermost point on the line
    lies perpendicular to the edge, or as near to that as the edge and the line let it come.
    """
    along, rise = (stop - start).T
    lean = offset_mm * along / np.hypot(along, rise)
    rise = np.where(np.abs(rise) < EXACT_MM**2, EXACT_MM**2, rise)  # a level edge is tilted by far less than rounding
    lean *= np.sign(rise)
    up = heights[:, None] - start[:, 1]
    ends = (up - offset_mm) / rise, (up + offset_mm) / rise
    first, last = np.maximum(np.minimum(*ends), 0.0), np.minimum(np.maximum(*ends), 1.0)

    def furthest(side: int) -> Doubles:
        slid = np.clip((up + side * lean) / rise, first, last)
        half = np.sqrt(np.maximum(offset_mm**2 - np.square(up - slid * rise), 0.0))
        x: Doubles = start[:, 0] + slid * along + side * half
        return x

    low, high = furthest(-1), furthest(1)
    near = (first <= last) & (high - low > GRAZED * offset_mm)
    return np.where(near, low, np.inf), np.where(near, high, -np.inf)


def _contours(strategy: Strategy, rings: list[Doubles]) -> list[_Vector]:
    """Each ring of the part, moved into its material. Raises ValueError if one does not fit."""
    offset_mm = strategy.contour_offset_mm
    sides = [_material(ring, rings[:number] + rings[number + 1 :]) for number, ring in enumerate(rings)]
    insets = [_distinct(_inset(ring, side, offset_mm)) for ring, side in zip(rings, sides, strict=True)]
    edges, contours = _edges(rings), _edges(insets)
    fits = min(len(inset) for inset in insets) >= 3 and bool(_inside(contours[0], *edges).all())
    if not fits or _clearance_mm(edges, contours) < offset_mm - EXACT_MM:
        raise ValueError(f"no contour {offset_mm} mm inside the outline: the part is too thin, or an edge too short")
    run_mm = strategy.skywriting_s * strategy.contour.mm_per_s
    return [
        _Vector(np.concatenate([inset, inset[:1]]), strategy.contour, CONTOUR, -1 - number, run_mm)
        for number, inset in enumerate(insets)
    ]


def _inset(ring: Doubles, side: int, offset_mm: float) -> Doubles:
    """*ring* (m, 2) with every edge moved to its left (*side* 1) or right (-1).

    Around a corner that points sharply into the material, one more edge keeps its distance from the corner.
    """
    after = np.roll(ring, -1, axis=0) - ring
    after /= _length(after)[:, None]
    before = np.roll(after, 1, axis=0)
    turn = -side * np.arctan2(_cross(before, after), (before * after).sum(axis=1))
    sharp = turn > SHARP_RAD
    further = np.tan(np.where(sharp, turn / 4, turn / 2))[:, None]
    left = np.array([[0.0, 1.0], [-1.0, 0.0]]) * side
    arrived = ring + offset_mm * (before @ left + further * before)
    leaving = ring + offset_mm * (after @ left - further * after)
    both = np.stack([arrived, leaving], axis=1)
    inset: Doubles = both[np.stack([sharp, np.ones_like(sharp)], axis=1)]
    return inset


def _material(ring: Doubles, others: list[Doubles]) -> int:
    """The side of *ring* that the part is on: 1 for left, -1 for right."""
    away = ring - ring[0]
    area = float(_cross(away, np.roll(away, -1, axis=0)).sum())
    is_hole = bool(others) and bool(_inside(ring[:1], *_edges(others))[0])
    return int(math.copysign(1, area)) * (-1 if is_hole else 1)


def _ring(points: Ring) -> Doubles:
    """*points* as an array (m, 2), none the same as the one before. Raises ValueError if it is no ring."""
    ring: Doubles = np.asarray(points, np.float64)
    if ring.ndim != 2 or ring.shape[1] != 2 or not np.isfinite(ring).all():
        raise ValueError("an outline with a ring that is no list of finite (x, y)")
    ring = _distinct(ring)
    if len(ring) < 3:
        raise ValueError(f"an outline with a ring of {len(ring)} different points: at least 3 are needed")
    return ring


def _distinct(ring: Doubles) -> Doubles:
    return ring[_length(ring - np.roll(ring, 1, axis=0)) > EXACT_MM]


def _edges(rings: list[Doubles]) -> Edges:
    """Where the edges of *rings* start and stop, both (edges, 2)."""
    return np.concatenate(rings), np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])


def _inside(points: Doubles, start: Doubles, stop: Doubles) -> npt.NDArray[np.bool_]:
    """Which of *points* (n, 2) lie in the outline with these edges: a ray to the right meets an odd number of them."""
    x, y = points[:, :1], points[:, 1:]
    above, below = start[:, 1] > y, stop[:, 1] > y
    along, rise = (stop - start).T
    ray = np.divide(along, rise, out=np.zeros_like(along), where=np.abs(rise) > EXACT_MM**2)
    right = start[:, 0] + (y - start[:, 1]) * ray > x
    odd: npt.NDArray[np.bool_] = np.logical_xor.reduce((above != below) & right, axis=1)
    return odd


def _clearance_mm(one: Edges, other: Edges) -> float:
    """The least distance between two sets of edges: 0 where any cross, else that of an end from an edge."""
    (start, stop), (first, last) = one, other
    across = _cross(stop - start, first[:, None] - start) * _cross(stop - start, last[:, None] - start) < 0.0
    across &= (_cross(last - first, start[:, None] - first) * _cross(last - first, stop[:, None] - first) < 0.0).T
    return 0.0 if across.any() else min(_distances_mm(start, other).min(), _distances_mm(first, one).min())


def _distances_mm(points: Doubles, edges: Edges) -> Doubles:
    """How far each of *points* (n, 2) is from each edge: (n, edges)."""
    edge = edges[1] - edges[0]
    away = points[:, None] - edges[0]
    along = np.clip((away * edge).sum(axis=-1) / np.square(edge).sum(axis=1), 0.0, 1.0)
    return _length(away - along[..., None] * edge)


def _length(vectors: Doubles) -> Doubles:
    """Of vectors (..., 2)."""
    return np.hypot(vectors[..., 0], vectors[..., 1])


def _cross(one: Doubles, other: Doubles) -> Doubles:
    """The cross products of vectors (..., 2) in the plane: above 0 where *other* points to the left of *one*."""
    product: Doubles = one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]
    return product


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
