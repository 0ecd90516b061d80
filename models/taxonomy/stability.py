"""Whether kinds come again: in trees of other samples of the same points, and by chance in clouds without kinds."""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from models.taxonomy.embedding import components
from models.taxonomy.silhouettes import mean_silhouette
from models.taxonomy.tree import Linkage, Tree, grow, labels_of, nodes_below

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

RESAMPLES: Final = 10
SHARE: Final = 0.8  # of the points, in each
POINTS_MAX: Final = 800  # and no more of them: the tree of a resample is then a small part of the whole one's cost

CLOUDS: Final = 10  # without kinds, beside which the points are held


class Grouping(NamedTuple):
    """One way to cut a tree into kinds: the highest cut that gives so many."""

    merges: int  # that are made
    labels: Indices  # (m,) of its leaves: kinds from 0, -1 in groups of fewer than `least`


class Resample(NamedTuple):
    rows: Indices  # which points it took
    groupings: dict[int, Indices]  # by their number of kinds: labels of those points


def groupings(tree: Tree, least: int, most: int) -> dict[int, Grouping]:
    """The highest cuts of *tree* into 2, 3, ... *most* kinds of at least *least* points, by their number of kinds."""
    found: dict[int, Grouping] = {}
    for merge in range(len(tree.merges) - 1, -1, -1):
        if min(map(tree.size, tree.children(tree.leaves + merge))) < least:
            continue  # no split between kinds
        kinds = [node for node in nodes_below(tree, merge) if tree.size(node) >= least]
        if len(kinds) > most:
            break
        if len(kinds) >= 2:
            found.setdefault(len(kinds), Grouping(merge, labels_of(tree, kinds)))
    return found


def resamples(points: Floats, linkage: Linkage, least: int, most: int, rng: np.random.Generator) -> list[Resample]:
    """Trees of parts of *points* (m, k), cut in every way."""
    count = min(round(SHARE * len(points)), POINTS_MAX)
    found = []
    for _ in range(RESAMPLES):
        rows = np.sort(rng.choice(len(points), count, replace=False))
        cuts = groupings(grow(points[rows], linkage), least, most)
        found.append(Resample(rows, {kinds: cut.labels for kinds, cut in cuts.items()}))
    return found


def reproducibility(labels: Indices, others: list[Resample], least: int) -> float:
    """Mean adjusted Rand index between *labels* (m,) and those of *others*, cut into as many kinds.

    Of a resample that cannot be cut so, 0: a kind that is found only with all points is not found again. A resample
    that holds a smaller share of the points than SHARE is cut into the kinds that it can hold, those of which it has
    *least* points.
    """
    agreed = 0.0
    for other in others:
        expected = labels[other.rows]
        kinds = int(labels.max()) + 1
        if len(other.rows) < round(SHARE * len(labels)):
            kinds = int((np.bincount(expected[expected >= 0]) >= least).sum())
        if kinds in other.groupings:
            agreed += adjusted_rand(expected, other.groupings[kinds])
    return agreed / max(len(others), 1)


def adjusted_rand(one: Indices, other: Indices) -> float:
    """The adjusted Rand index of two groupings (n,) whose labels count from -1: 1 where they agree, about 0 by chance.

    Hubert and Arabie 1985. scikit-learn's takes most of its time to look at what it was given.
    """
    columns = int(other.max(initial=-1)) + 2
    cells = np.bincount((one + 1) * columns + other + 1, minlength=columns * (int(one.max(initial=-1)) + 2))
    table: Float64s = cells.reshape(-1, columns).astype(np.float64)

    def pairs(counts: Float64s) -> float:
        return float((counts * (counts - 1) / 2).sum())

    both, rows, cols = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    expected = rows * cols / max(pairs(np.array([float(len(one))])), 1.0)
    most = (rows + cols) / 2
    return (both - expected) / (most - expected) if most != expected else 1.0


def silhouettes_of_clouds(
    points: Floats, linkage: Linkage, variance: float, kinds: int, least: int, rng: np.random.Generator
) -> Float64s:
    """Mean silhouettes (c,) of Gaussian clouds with the covariance of *points* (m, d), cut into as many *kinds*.

    They go the way of the points: to the components that hold *variance*, tree, cut. -1 of a cloud that cannot be cut
    so. In the manner of Liu, Hayes, Nobel and Marron 2008, who ask so of one split.
    """
    spreads = components(points, 1.0).std(axis=0)
    count = min(len(points), POINTS_MAX)
    found = np.full(CLOUDS, -1.0)
    for index in range(CLOUDS):
        cloud = spreads * rng.standard_normal((count, len(spreads)))
        reduced = components(cloud, variance) if variance < 1 else cloud
        cuts = groupings(grow(reduced, linkage), least, kinds)
        if kinds in cuts:
            found[index] = mean_silhouette(cdist(reduced, reduced), cuts[kinds].labels)
    return found
