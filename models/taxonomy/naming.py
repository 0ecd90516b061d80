"""Which known kind a new event is of, and an honest `unknown` where it lies beyond all of them.

A kind is a centre and a radius, calibrated so that a share `coverage` of its events lies within. Each member's distance
is taken from the centre of the *other* members, as a new event's would be; the radius is the conformal quantile of
these (Vovk, Gammerman and Shafer 2005; with leave-one-out scores as in Barber, Candès, Ramdas and Tibshirani 2021). A
kind of fewer members than 1 / (1 - coverage) has no such quantile: its radius is the upper prediction limit of a normal
distribution of distances, with Student's factor, which is the wider the fewer there are, and never less than the
farthest member.

The nearest kind is the one of whose radius an event's distance is the smallest share, so a wide kind does not lose its
events to a narrow one that has its centre nearby.
"""

import math
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

Floats = npt.NDArray[np.floating[Any]]
Float32s = npt.NDArray[np.float32]
Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

COVERAGE: Final = 0.95

RADIUS_MIN: Final = 1e-6
"""Radius of members that are all alike: the same again is of the kind, and nothing else."""


class Extent(NamedTuple):
    """Where a kind lies and how far it reaches."""

    centre: Float64s  # (d,)
    radius: float


class Named(NamedTuple):
    """What n events are, of K kinds."""

    kind: Indices  # (n,) the nearest kind's index; -1 where there are no kinds, or the point is not finite
    distance: Float64s  # (n,) from its centre; NaN where there is none
    known: npt.NDArray[np.bool_]  # (n,) whether that is within its radius


def extent(members: Floats, coverage: float = COVERAGE) -> Extent:
    """Centre and radius of a kind with *members* (m, d), all finite. Raises ValueError where there are none."""
    if len(members) == 0:
        raise ValueError("a kind without members has neither centre nor radius")
    if not 0 < coverage < 1:
        raise ValueError(f"a coverage of {coverage}: more than 0 and less than 1 is possible")
    points = members.astype(np.float64)
    centre = points.mean(axis=0)
    count = len(points)
    if count == 1:
        return Extent(centre, RADIUS_MIN)
    # The centre of the others is farther away: x - mean of the others = (x - mean) m / (m - 1).
    distances = np.sort(np.linalg.norm(points - centre, axis=1)) * count / (count - 1)
    rank = math.ceil((count + 1) * coverage)
    radius = float(distances[rank - 1]) if rank <= count else _few(distances, coverage)
    return Extent(centre, max(radius, RADIUS_MIN))


def _few(distances: Float64s, coverage: float) -> float:
    count = len(distances)
    factor = float(stdtrit(count - 1, coverage)) * math.sqrt(1 + 1 / count)
    return max(float(distances.mean() + factor * distances.std(ddof=1)), float(distances[-1]))


class Namer:
    """Names events by kinds that do not change: microseconds for one event and some tens of kinds."""

    def __init__(self, extents: list[Extent]) -> None:
        self._radii = np.array([one.radius for one in extents])
        self._centres = np.array([one.centre for one in extents])
        self._squares = np.square(self._centres).sum(axis=1) if extents else np.empty(0)

    def __call__(self, points: Floats) -> Named:
        """The kinds of *points* (n, d)."""
        count = len(points)
        finite = np.isfinite(points).all(axis=1)
        named = Named(np.full(count, -1), np.full(count, np.nan), np.zeros(count, np.bool_))
        if len(self._radii) == 0 or not finite.any():
            return named
        x = points[finite].astype(np.float64)
        squares = np.square(x).sum(axis=1)[:, None] + self._squares - 2 * (x @ self._centres.T)
        distances = np.sqrt(np.maximum(squares, 0.0))  # (m, K)
        nearest = (distances / self._radii).argmin(axis=1)
        distance = np.linalg.norm(x - self._centres[nearest], axis=1)  # exact where the difference of squares is not
        named.kind[finite], named.distance[finite] = nearest, distance
        named.known[finite] = distance <= self._radii[nearest]
        return named
