"""What a cut at one height leaves to be done: several kinds in one group, and points that belong to none.

The thresholds were chosen on simulated melt-pool events with rare kinds of five to eight among hundreds: each costs
some kinds too many, and docs/taxonomy.md says how many on other streams.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist, pdist

from models.taxonomy.silhouettes import silhouettes
from models.taxonomy.tree import Tree, grow, labels_of, merges_up_to, nodes_below

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]

SPLIT, SPLIT_PART = 0.4, 0.25
"""Mean silhouettes of both parts together, and of each, that make them two kinds: measured on whole points, in which
parts of one kind come to less (docs/taxonomy.md)."""

GAP: Final = 2.0
GAP_SPLIT, GAP_PART = 0.33, 0.28
"""Less is enough where the parts merge at a height GAP times that at which either of them has parts of its own."""

ISOLATED: Final = 0.5
"""Silhouette of a small part against as many of its nearest neighbours as it has points, that makes it a kind."""

RARE_MAX: Final = 25  # points of such a part
SEARCHED_MAX: Final = 1500  # points of a kind in which it is looked for: each part is held against all of the kind

SAMPLE: Final = 400  # points of a part that are looked at, evenly spread: distances of all pairs are held

FENCE: Final = 3.0
"""Interquartile ranges above the upper quartile, beyond which a point is far out (Tukey 1977)."""

FENCED_LEAST: Final = 8  # points of a kind whose quartiles mean something


def split_again(tree: Tree, nodes: list[int], points: Floats, least: int) -> list[int]:
    """*nodes* of *tree*, each split in two as often as both parts are kinds of their own among *points* (m, d).

    What lies in neither part, fewer than *least* points that merged late, is then below no node.
    """
    found, waiting = [], list(nodes)
    while waiting:
        node = waiting.pop()
        split = _split(tree, node, least)
        if split is not None and _are_two(tree, split, points, least):
            waiting += split.parts
        else:
            found.append(node)
    return sorted(found)


class _Split(NamedTuple):
    """The highest merge below a node of two that are large enough."""

    height: float
    parts: tuple[int, int]


def _split(tree: Tree, node: int, least: int) -> _Split | None:
    while node >= tree.leaves:
        smaller, larger = sorted(tree.children(node), key=tree.size)
        if tree.size(smaller) >= least:
            return _Split(float(tree.merges[node - tree.leaves, 2]), (smaller, larger))
        node = larger
    return None


def _are_two(tree: Tree, split: _Split, points: Floats, least: int) -> bool:
    one, other = (points[_some(tree.members(part))] for part in split.parts)
    both = np.concatenate((one, other))
    labels = np.repeat((0, 1), (len(one), len(other)))
    found = silhouettes(cdist(both, both), labels)
    mean, least_part = found.mean(), min(found[labels == 0].mean(), found[labels == 1].mean())
    below = [within.height for part in split.parts if (within := _split(tree, part, least)) is not None]
    if split.height >= GAP * max(below, default=0.0) and mean >= GAP_SPLIT and least_part >= GAP_PART:
        return True
    return bool(mean >= SPLIT and least_part >= SPLIT_PART)


def with_isolated(tree: Tree, labels: Indices, points: Floats, least: int) -> Indices:
    """*labels* (m,) of the leaves, with small parts of kinds that stand alone among their neighbours as own kinds.

    Of a part that is much smaller than its kind, silhouettes against the whole of it say nothing. So its points are
    held against their nearest neighbours, which in a mere corner of a kind are as near as the part's own points.
    """
    labels = labels.copy()
    for kind in range(int(labels.max(initial=-1)) + 1):
        for part in _isolated(tree, np.flatnonzero(labels == kind), points, least):
            labels[part] = labels.max() + 1
    return labels


def _isolated(tree: Tree, members: Indices, points: Floats, least: int) -> list[Indices]:
    """The parts of a kind with *members* (n,) that stand alone, the most isolated first; none within another."""
    if not 2 * least <= len(members) <= SEARCHED_MAX:
        return []
    inside = np.zeros(tree.leaves, np.bool_)
    inside[members] = True
    found = []
    for node in range(tree.leaves, tree.leaves + len(tree.merges)):
        part = tree.members(node) if least <= tree.size(node) <= min(RARE_MAX, len(members) // 2) else members
        if len(part) < len(members) and inside[part].all():
            found.append((_isolation(points, part, np.setdiff1d(members, part, assume_unique=True)), part))
    chosen: list[Indices] = []
    for isolation, part in sorted(found, key=lambda one: -one[0]):
        if isolation >= ISOLATED and inside[part].all():
            chosen.append(part)
            inside[part] = False
    return chosen


def _isolation(points: Floats, part: Indices, others: Indices) -> float:
    """Mean silhouette of *part* against as many of the nearest of *others* as it has points."""
    count = len(part)
    within = cdist(points[part], points[part]).sum(axis=1) / (count - 1)
    nearest = np.partition(cdist(points[part], points[others]), count - 1, axis=1)[:, :count].mean(axis=1)
    larger = np.maximum(within, nearest)
    return float(((nearest - within) / np.where(larger > 0, larger, 1.0)).mean())


def _some(members: Indices) -> Indices:
    return members[np.linspace(0, len(members) - 1, min(len(members), SAMPLE)).round().astype(np.int64)]


def apart(points: Floats, labels: Indices) -> Indices:
    """Which of *points* (m, d) lie far out of the kind that *labels* (m,) say they are of."""
    found = []
    for kind in np.unique(labels[labels >= 0]).tolist():
        rows = np.flatnonzero(labels == kind)
        if len(rows) < FENCED_LEAST:
            continue
        distances = np.linalg.norm(points[rows] - points[rows].mean(axis=0), axis=1)
        lower, upper = np.quantile(distances, (0.25, 0.75))
        found.append(rows[distances > upper + FENCE * (upper - lower)])
    return np.sort(np.concatenate((np.empty(0, np.int64), *found)))


def with_groups_apart(points: Floats, labels: Indices, least: int) -> Indices:
    """*labels* (m,) of *points* (m, d), with kinds of *least* or more of the points in none that lie together.

    Together is as near, on average, as members of the widest kind are to each other.
    """
    none = np.flatnonzero(labels < 0)
    if len(none) < least or len(none) == len(labels):
        return labels
    tree = grow(points[none], "average")
    width = max(_width(points[labels == kind]) for kind in np.unique(labels[labels >= 0]).tolist())
    groups = [node for node in nodes_below(tree, merges_up_to(tree, width)) if tree.size(node) >= least]
    together = labels_of(tree, groups)
    found = labels.copy()
    found[none] = np.where(together >= 0, together + labels.max() + 1, labels[none])
    return found


def _width(members: Floats) -> float:
    """Mean distance between two *members* (n, d) of a kind; of many, of some evenly spread."""
    some = members[_some(np.arange(len(members)))]
    return float(pdist(some).mean()) if len(some) > 1 else 0.0
