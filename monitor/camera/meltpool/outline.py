"""Outlines in the plane: polygons with holes, what lies in them, and what keeps its distance from their edges.

Every length is in millimetres, and an outline may be given in any sense of rotation.
"""

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Edges = tuple[Doubles, Doubles]  # where edges start and stop, both (edges, 2)

Ring = tuple[tuple[float, float], ...]
"""A closed polygon in millimetres, in either sense of rotation; its first point is not repeated."""

Outline = tuple[Ring, ...]
"""The edges of a part, outer ones and those of holes: a point lies in it by the even-odd rule."""

EXACT_MM: Final = 1e-9  # what rounding may do to a length
GRAZED: Final = 1e-4  # of the offset: a line so short within it only touches it, as rounding will have it
SHARP_RAD: Final = 1.7  # a corner that turns by more than this, a little beyond a right angle


class Span(NamedTuple):
    """A piece of a level line."""

    line: int  # index of the line
    first_mm: float  # x where it begins
    last_mm: float  # x where it ends, above *first_mm*


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


def rings_of(outline: Outline) -> list[Doubles]:
    """The rings of *outline* as arrays (m, 2), without points that only repeat the one before.

    Raises ValueError for a ring that is none, and for an outline without any.
    """
    rings = [_ring(points) for points in outline]
    if not rings:
        raise ValueError("an outline without a ring: nothing to scan")
    return rings


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
    return ring[lengths_mm(ring - np.roll(ring, 1, axis=0)) > EXACT_MM]


def edges_of(rings: list[Doubles]) -> Edges:
    """Where the edges of *rings* start and stop, both (edges, 2)."""
    return np.concatenate(rings), np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])


def inside(points_mm: Doubles, edges: Edges) -> npt.NDArray[np.bool_]:
    """Which of *points_mm* (n, 2) lie in the outline with these *edges*: a ray to the right meets an odd number."""
    start, stop = edges
    x, y = points_mm[:, :1], points_mm[:, 1:]
    above, below = start[:, 1] > y, stop[:, 1] > y
    along, rise = (stop - start).T
    ray = np.divide(along, rise, out=np.zeros_like(along), where=np.abs(rise) > EXACT_MM**2)
    right = start[:, 0] + (y - start[:, 1]) * ray > x
    odd: npt.NDArray[np.bool_] = np.logical_xor.reduce((above != below) & right, axis=1)
    return odd


def free_spans(edges: Edges, heights_mm: Doubles, offset_mm: float, shortest_mm: float) -> list[Span]:
    """Where the lines y = *heights_mm* lie in the outline, *offset_mm* or more from all its *edges*; no shorter pieces.

    What lies closer than that to one edge is a stretch of the line. The gaps between these stretches lie wholly inside
    the outline or wholly outside.
    """
    low, high = _near(edges, heights_mm, offset_mm)
    order = np.argsort(low, axis=1)
    low = np.take_along_axis(low, order, axis=1)
    reached = np.maximum.accumulate(np.take_along_axis(high, order, axis=1), axis=1)
    first, last = reached[:, :-1], low[:, 1:]
    line, gap = np.nonzero(np.isfinite(last) & (last - first >= shortest_mm))
    first, last = first[line, gap], last[line, gap]
    within = inside(np.stack([(first + last) / 2, heights_mm[line]], axis=1), edges)
    return [Span(*span) for span in zip(*(ends[within].tolist() for ends in (line, first, last)), strict=True)]


def _near(edges: Edges, heights_mm: Doubles, offset_mm: float) -> tuple[Doubles, Doubles]:
    """Between which x (lines, edges) each line y = *heights_mm* is near each edge: inf to -inf, if nowhere.

    Near is within *offset_mm*. A disc of that radius slides along the edge from 0 to 1. It reaches furthest where its
    outermost point on the line lies perpendicular to the edge, or as near to that as the edge and the line let it come.
    """
    start, stop = edges
    along, rise = (stop - start).T
    lean = offset_mm * along / np.hypot(along, rise)
    rise = np.where(np.abs(rise) < EXACT_MM**2, EXACT_MM**2, rise)  # a level edge is tilted by far less than rounding
    lean *= np.sign(rise)
    up = heights_mm[:, None] - start[:, 1]
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


def insets(rings: list[Doubles], offset_mm: float) -> list[Doubles]:
    """Each of *rings* moved by *offset_mm* into the material of the part they bound: (m, 2) again, with another m.

    Raises ValueError if one does not fit there, whole and that far from every edge.
    """
    sides = [_material(ring, rings[:number] + rings[number + 1 :]) for number, ring in enumerate(rings)]
    moved = [_distinct(_inset(ring, side, offset_mm)) for ring, side in zip(rings, sides, strict=True)]
    edges, found = edges_of(rings), edges_of(moved)
    fits = min(len(ring) for ring in moved) >= 3 and bool(inside(found[0], edges).all())
    if not fits or _clearance_mm(edges, found) < offset_mm - EXACT_MM:
        raise ValueError(f"no contour {offset_mm} mm inside the outline: the part is too thin, or an edge too short")
    return moved


def _material(ring: Doubles, others: list[Doubles]) -> int:
    """The side of *ring* that the part is on: 1 for left, -1 for right."""
    away = ring - ring[0]
    area = float(_cross(away, np.roll(away, -1, axis=0)).sum())
    is_hole = bool(others) and bool(inside(ring[:1], edges_of(others))[0])
    return int(math.copysign(1, area)) * (-1 if is_hole else 1)


def _inset(ring: Doubles, side: int, offset_mm: float) -> Doubles:
    """*ring* (m, 2) with every edge moved to its left (*side* 1) or right (-1).

    Around a corner that points sharply into the material, one more edge keeps its distance from the corner.
    """
    after = np.roll(ring, -1, axis=0) - ring
    after /= lengths_mm(after)[:, None]
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
    return lengths_mm(away - along[..., None] * edge)


def lengths_mm(vectors_mm: Doubles) -> Doubles:
    """Of vectors (..., 2): (...)."""
    return np.hypot(vectors_mm[..., 0], vectors_mm[..., 1])


def _cross(one: Doubles, other: Doubles) -> Doubles:
    """The cross products of vectors (..., 2) in the plane: above 0 where *other* points to the left of *one*."""
    product: Doubles = one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]
    return product
