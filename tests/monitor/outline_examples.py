"""Outlines for tests, and what is true of any outline, told in other ways than the program's."""

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from monitor.camera.meltpool.outline import BRACKET, Outline, disc, rectangle

L_SHAPE: Outline = (
    ((-1.0, -1.0), (1.5, -1.0), (1.5, 0.0), (0.2, 0.0), (0.2, 1.0), (-1.0, 1.0)),
    ((-0.7, -0.7), (-0.2, -0.7), (-0.2, -0.2), (-0.7, -0.2)),
)
ISLAND: Outline = (*rectangle(4.0, 3.0), *disc(1.2), *rectangle(0.8, 0.6))
TWO_PARTS: Outline = (((0.0, 0.0), (1.0, 0.0), (0.5, 0.9)), ((2.0, 0.0), (3.0, 0.0), (3.0, 1.0), (2.0, 1.0)))
SPIKED: Outline = (((0.0, 0.0), (3.0, 0.0), (3.0, 2.0), (1.6, 2.0), (1.5, 0.5), (1.4, 2.0), (0.0, 2.0)),)
SHAPES = {
    "bracket": BRACKET,
    "rectangle": rectangle(3.0, 2.0),
    "disc": disc(1.0),
    "L with a square hole": L_SHAPE,
    "island in a hole": ISLAND,
    "two parts": TWO_PARTS,
    "deep notch": SPIKED,
}
Array = np.ndarray[Any, np.dtype[Any]]

shapes = st.sampled_from(list(SHAPES.values()))
angles = st.floats(-10.0, 10.0)
scribbles = st.lists(
    st.lists(st.tuples(st.floats(-3.0, 3.0), st.floats(-3.0, 3.0)), max_size=7).map(tuple), max_size=2
).map(tuple)
"""Rings of any points at all: most are no outline of anything."""


def mirrored(outline: Outline) -> Outline:
    """The same edges, gone along the other way round."""
    return tuple(tuple(reversed(ring)) for ring in outline)


def turned(outline: Outline, angle_rad: float) -> Outline:
    """The same part, turned around the origin from x towards y."""
    cosine, sine = math.cos(angle_rad), math.sin(angle_rad)
    return tuple(tuple((cosine * x - sine * y, sine * x + cosine * y) for x, y in ring) for ring in outline)


def area(outline: Outline) -> float:
    """Of rings that lie in one another or apart, by the shoelace formula."""
    total = 0.0
    for ring in outline:
        x, y = np.array(ring).T
        holes = sum(enclosed(np.array(ring[:1]), other)[0] for other in outline if other is not ring)
        total += (-1) ** holes * abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))) / 2
    return float(total)


def enclosed(points: Array, ring: Any) -> Array:
    """How often *ring* goes round each of *points* (n, 2), 0 or 1: by the angle it is seen under."""
    away = np.array(ring)[None] - points[:, None]
    turn = away[..., 0] + 1j * away[..., 1]
    return np.abs(np.rint(np.angle(np.roll(turn, -1, axis=1) / turn).sum(axis=1) / (2 * math.pi))).astype(int)


def within(points: Array, outline: Outline) -> Array:
    """Which of *points* (n, 2) lie in *outline*."""
    return np.sum([enclosed(points, ring) for ring in outline], axis=0) % 2 == 1


def to_edge(points: Array, outline: Outline) -> Array:
    """How far each of *points* (n, 2) is from the nearest edge."""
    nearest = np.full(len(points), np.inf)
    for ring in outline:
        for start, stop in zip(ring, ring[1:] + ring[:1], strict=True):
            edge = np.subtract(stop, start)
            edge = edge if edge @ edge > 1e-24 else np.full(2, 1e-12)  # a corner given twice
            along = np.clip((points - start) @ edge / (edge @ edge), 0.0, 1.0)
            nearest = np.minimum(nearest, np.hypot(*(points - start - along[:, None] * edge).T))
    return nearest


def points_between(start: Array, stop: Array) -> Array:
    """Many points of the lines from *start* to *stop*, both (n, 2), ends included."""
    share = np.linspace(0.0, 1.0, 21)[:, None, None]
    return np.asarray((start * (1 - share) + stop * share).reshape(-1, 2))
