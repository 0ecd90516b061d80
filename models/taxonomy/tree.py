"""The tree of points: agglomerative clustering, within bounds that are known beforehand.

How each case is answered:

- points with coordinates that are not finite are left out, and told by their rows;
- no point makes a tree without leaves, one point a tree without merges;
- duplicates merge at height 0, and so do points that are all alike;
- points strung between two groups join them under single linkage (a chain: at each link the nearest pair decides), and
  not under average or complete linkage or Ward's criterion;
- more than POINTS_MAX points are refused: whoever has more keeps a sample (`models.taxonomy.reservoir`).

Heights are distances between groups: of the nearest pair (single), the farthest (complete), the mean over pairs
(average), or, by Ward's criterion, sqrt(2 a b / (a + b)) times the distance of the centres of groups of a and b points
(Ward 1963; Müllner 2011 for the algorithms).
"""

from typing import Any, Final, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
from scipy.cluster import hierarchy

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

Linkage = Literal["single", "complete", "average", "ward"]
LINKAGES: Final[tuple[Linkage, ...]] = get_args(Linkage)

POINTS_MAX: Final = 5000
"""Most points of one tree: distances of all pairs are held twice, so memory grows with the square."""


class Tree(NamedTuple):
    """Which points merge with which. Node i < m is leaf i, node m + i what merge i made."""

    merges: Float64s  # (m - 1, 4), as scipy has them: two nodes, height, points below; heights rise
    rows: Indices  # (m,) which of the points given are its leaves
    left_out: Indices  # those whose coordinates are not finite
    linkage: Linkage
    order: Indices  # (m,) leaves, so that those below any node stand together
    starts: Indices  # (2 m - 1,) of each node: where in *order* its leaves begin

    @property
    def leaves(self) -> int:
        return len(self.rows)

    @property
    def height(self) -> float:
        """Of the last merge; 0 where there is none."""
        return float(self.merges[-1, 2]) if len(self.merges) else 0.0

    def size(self, node: int) -> int:
        """How many leaves are below *node*."""
        return 1 if node < self.leaves else int(self.merges[node - self.leaves, 3])

    def children(self, node: int) -> tuple[int, int]:
        """The two nodes that *node*, which is no leaf, was made of."""
        left, right = self.merges[node - self.leaves, :2]
        return int(left), int(right)

    def members(self, node: int) -> Indices:
        """The leaves below *node*, rising."""
        start = int(self.starts[node])
        return np.sort(self.order[start : start + self.size(node)])


def bytes_needed(count: int) -> int:
    """Memory that a tree of *count* points takes while it grows: distances of all pairs as float64, and a copy."""
    return 2 * 8 * (count * (count - 1) // 2)


def grow(points: Floats, linkage: Linkage = "ward") -> Tree:
    """The tree of *points* (n, d). Raises ValueError for more than POINTS_MAX that are finite."""
    finite = np.isfinite(points).all(axis=1)
    rows, left_out = np.flatnonzero(finite), np.flatnonzero(~finite)
    if len(rows) > POINTS_MAX:
        raise ValueError(
            f"{len(rows)} points: at most {POINTS_MAX} are clustered, which takes {bytes_needed(POINTS_MAX) >> 20} MiB;"
            " give a sample"
        )
    some = points[rows].astype(np.float64)
    merges = hierarchy.linkage(some, linkage) if len(some) > 1 else np.empty((0, 4))
    return Tree(merges, rows, left_out, linkage, *_ordered(merges, len(rows)))


def _ordered(merges: Float64s, leaves: int) -> tuple[Indices, Indices]:
    """Leaves in an order in which those below any node stand together, and where each node's begin in it."""
    starts = np.zeros(leaves + len(merges), np.int64)
    sizes = np.concatenate((np.ones(leaves), merges[:, 3])).astype(np.int64)
    for node in range(leaves + len(merges) - 1, leaves - 1, -1):
        left, right = merges[node - leaves, :2].astype(np.int64).tolist()
        starts[left], starts[right] = starts[node], starts[node] + sizes[left]
    order = np.empty(leaves, np.int64)
    order[starts[:leaves]] = np.arange(leaves)
    return order, starts


def nodes_below(tree: Tree, merges: int) -> list[int]:
    """The nodes that are left where only the first *merges* are made: each leaf is below exactly one of them."""
    stop = tree.leaves + merges
    below = {int(child) for node in range(stop, tree.leaves + len(tree.merges)) for child in tree.children(node)}
    return sorted(node for node in below if node < stop) if merges < len(tree.merges) else _root(tree)


def _root(tree: Tree) -> list[int]:
    return [tree.leaves + len(tree.merges) - 1] if tree.leaves else []


def merges_up_to(tree: Tree, height: float) -> int:
    """How many merges lie at *height* or below."""
    return int(np.searchsorted(tree.merges[:, 2], height, side="right"))


def labels_of(tree: Tree, nodes: list[int]) -> Indices:
    """Which of *nodes* each leaf is below (m,), by their order; -1 where it is below none."""
    labels = np.full(tree.leaves, -1, np.int64)
    for label, node in enumerate(nodes):
        labels[tree.members(node)] = label
    return labels
