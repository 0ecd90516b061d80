"""What a clustering run found, as plain values, and what is worked out from them for people. Pure."""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from models.taxonomy.cut import FEW, Cut
from models.taxonomy.embedding import components
from models.taxonomy.identity import Change, Kind, Kinds
from monitor.taxonomy.table import shown_name

Floats = npt.NDArray[np.floating[Any]]
Ids = npt.NDArray[np.int64]

NEAREST: Final = 6
FARTHEST: Final = 3
NO_KIND: Final = -1
SEVERAL: Final = -2  # kinds below one node of a tree


class Happened(NamedTuple):
    """What became of a kind at a run."""

    t_ns: int  # Unix nanoseconds, the daemon's clock
    change: Change


class Taxonomy(NamedTuple):
    """The kinds of a camera's anomalies after a run over n events."""

    camera: str
    bundle: str  # sha256 of the one whose network the points are of
    t_ns: int  # Unix nanoseconds, when the run was
    kinds: Kinds  # their members are among *ids*; those of kinds that are not alive may be gone
    cut: Cut  # of *points*
    ids: Ids  # (n,) of the events' points
    points: Floats  # (n, d)
    seen_ns: Ids  # (n,) Unix nanoseconds, when each event was
    pixels: npt.NDArray[Any]  # (n, h, w) small pictures of the events' peak frames
    changes: tuple[Happened, ...] = ()  # oldest first
    normals: Floats | None = None  # (k, d) points of normal frames, to compare with
    embedding: str = ""  # sha256 of that by which they were made; empty: residuals as they are


class Exemplars(NamedTuple):
    """Rows of a kind's events: the most typical ones, and those at its edge."""

    nearest: Ids  # the nearest to the centre first
    farthest: Ids  # the farthest first; none that is among the nearest


class Plane(NamedTuple):
    """Points on the two directions in which they differ most."""

    rows: Ids  # (m,) of the events whose points are finite
    places: Floats  # (m, 2)
    shares: tuple[float, float]  # of the points' variance along each
    normal: Floats  # (k, 2) where the normal frames lie


def name_of(kind: Kind) -> str:
    """As events are named."""
    return shown_name(kind.id, kind.name)


def by_size(given: Taxonomy) -> list[Kind]:
    """The living kinds, the largest first."""
    return sorted(given.kinds.alive, key=lambda kind: (-len(kind.members), kind.id))


def kind_of(given: Taxonomy) -> Ids:
    """The id of the living kind that each event (n,) is of; NO_KIND of those in none."""
    owner = {member: kind.id for kind in given.kinds.alive for member in kind.members}
    return np.array([owner.get(one, NO_KIND) for one in given.ids.tolist()], np.int64)


def members_of(given: Taxonomy, kind: Kind) -> Ids:
    """Rows of the events of *kind* that are there."""
    return np.flatnonzero(np.isin(given.ids, np.fromiter(kind.members, np.int64, len(kind.members))))


def exemplars(given: Taxonomy, kind: Kind) -> Exemplars:
    """Events that stand for *kind*; of two as near the earlier."""
    rows = members_of(given, kind)
    order = rows[np.argsort(np.linalg.norm(given.points[rows] - kind.centre, axis=1), kind="stable")]
    return Exemplars(order[:NEAREST], order[NEAREST:][::-1][:FARTHEST])


def too_few(given: Taxonomy) -> Ids:
    """Rows of events in groups too small to be a kind: first what is farthest from every kind, in radii of it."""
    rows = np.flatnonzero(given.cut.labels == FEW)
    somewhere = [kind for kind in given.kinds.alive if np.isfinite(kind.centre).all()]
    if not somewhere:
        return rows
    distances = [np.linalg.norm(given.points[rows] - kind.centre, axis=1) / kind.radius for kind in somewhere]
    return rows[np.argsort(-np.min(distances, axis=0), kind="stable")]


def plane(given: Taxonomy) -> Plane:
    """The first two principal components of all points, those of normal frames among them."""
    return plane_of(given.points, given.normals)


def plane_of(every: Floats, normals: Floats | None = None) -> Plane:
    """As `plane`, of points (n, d) and those of *normals* (k, d)."""
    rows = np.flatnonzero(np.isfinite(every).all(axis=1))
    usual = every[:0] if normals is None else normals[np.isfinite(normals).all(axis=1)]
    points = np.concatenate((every[rows], usual)) if len(usual) else every[rows]
    found = components(points, 1.0)
    places = np.zeros((len(points), 2))
    places[:, : min(found.shape[1], 2)] = found[:, :2]
    variances = np.append(found.var(axis=0), 0.0) if len(points) else np.zeros(2)
    first, second = (variances[:2] / max(float(variances.sum()), 1e-300)).tolist()
    return Plane(rows, places[: len(rows)], (first, second), places[len(rows) :])


def cut_height(cut: Cut) -> float | None:
    """Where in the tree the kinds part, between two merges; None where they do not.

    A kind that was split once more parts farther down.
    """
    heights = cut.tree.merges[:, 2]
    chosen = next((one for one in cut.candidates if one.kinds == cut.chosen), None)
    if not cut.discrete or not len(heights):
        return None
    upper = chosen.height if chosen is not None else _lowest_between(cut)
    lower = heights[heights < upper]
    return float((upper + lower[-1]) / 2) if len(lower) else upper / 2


def _lowest_between(cut: Cut) -> float:
    """Height of the lowest merge of leaves of several kinds."""
    mixed = kinds_below(cut, cut.labels)[cut.tree.leaves :] == SEVERAL
    return float(cut.tree.merges[mixed, 2].min()) if mixed.any() else float(cut.tree.height)


def kinds_below(cut: Cut, kinds: Ids) -> Ids:
    """Of every node of the tree, the kind that all leaves below it are of which are in one; or NO_KIND, or SEVERAL.

    *kinds* (n,): of the events.
    """
    tree = cut.tree
    found = np.full(tree.leaves + len(tree.merges), NO_KIND, np.int64)
    found[: tree.leaves] = kinds[tree.rows]
    for node in range(tree.leaves, len(found)):
        both = {int(found[child]) for child in tree.children(node)} - {NO_KIND}
        found[node] = (both or {NO_KIND}).pop() if len(both) < 2 else SEVERAL
    return found


def bins_of(given: Taxonomy, count: int) -> tuple[Floats, Ids]:
    """Edges (b + 1,) in Unix nanoseconds of *count* equal stretches of time, and each event's stretch (n,).

    They end with the run, in which kinds are born and die after their last event.
    """
    if len(given.seen_ns) == 0:
        return np.array([given.t_ns - 1e9, given.t_ns], np.float64), np.empty(0, np.int64)
    first, last = float(given.seen_ns.min()), float(max(given.seen_ns.max(), given.t_ns))
    edges = np.linspace(first, max(last, first + 1e9), count + 1)
    places = np.searchsorted(edges, given.seen_ns.astype(np.float64), side="right") - 1
    return edges, np.minimum(places, count - 1).astype(np.int64)
