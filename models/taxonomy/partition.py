"""Other ways to group points, for comparison: k-means, k-medoids, Gaussian mixtures; with curves over their number.

They divide all points among as many groups as they are told, outliers too, and find no number by themselves: the elbow,
the silhouette or the BIC of a range of numbers are what there is to choose by.

How each odd case is answered: no points, more groups than points, and points that are not finite are refused; one point
is one group; of duplicates, and of points that are all alike, there may be fewer groups than were asked for, and the
others are empty; points strung between two groups like a bridge go to the nearer one, or are a group of their own where
there is one more than the two.
"""

import warnings
from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.mixture import GaussianMixture

from models.taxonomy.silhouettes import mean_silhouette, sample

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

Method = Literal["k-means", "k-medoids", "gaussian mixture"]
METHODS: Final[tuple[Method, ...]] = get_args(Method)

STARTS: Final = 5  # of each, of which the best counts
ROUNDS_MAX: Final = 100  # of k-medoids; it ends by itself long before
VARIANCE_MIN: Final = 1e-6  # added to a mixture's variances: groups of equal points have none


class Partition(NamedTuple):
    """Points (n, d) in k groups."""

    labels: Indices  # (n,) from 0
    centres: Float64s  # (k, d); of k-medoids, points
    cost: float  # k-means: summed squared distances; k-medoids: summed distances; mixtures: -2 log likelihood
    bic: float  # of mixtures; NaN of the others


class Curve(NamedTuple):
    """Partitions of several numbers of groups."""

    method: Method
    counts: tuple[int, ...]
    costs: tuple[float, ...]
    silhouettes: tuple[float, ...]  # -1 of one group
    bics: tuple[float, ...]
    partitions: tuple[Partition, ...]

    @property
    def at_elbow(self) -> int:
        """Where the cost lies farthest below the line from its first to its last value (Satopaa et al. 2011)."""
        costs = np.array(self.costs)
        along = (np.array(self.counts) - self.counts[0]) / max(self.counts[-1] - self.counts[0], 1)
        below = costs[0] + along * (costs[-1] - costs[0]) - costs
        return self.counts[int(below.argmax())]

    @property
    def at_silhouette(self) -> int:
        return self.counts[int(np.argmax(self.silhouettes))]

    @property
    def at_bic(self) -> int:
        """The number with the least BIC (Schwarz 1978). Raises ValueError of other methods than mixtures."""
        if not np.isfinite(self.bics).all():
            raise ValueError(f"{self.method} has no likelihood, so no BIC")
        return self.counts[int(np.argmin(self.bics))]


class Agreement(NamedTuple):
    """How far labels say the same as the truth, whatever their names: 1 is all, about 0 is chance (of ari)."""

    ari: float  # adjusted Rand index (Hubert and Arabie 1985)
    nmi: float  # normalised mutual information, by the arithmetic mean


def partition(points: Floats, count: int, method: Method, seed: int = 0) -> Partition:
    """*points* (n, d), all finite, in *count* groups. Raises ValueError for fewer points than groups, and none."""
    _require(points, count)
    x = points.astype(np.float64)
    return _k_medoids(x, cdist(x, x), count, seed) if method == "k-medoids" else _by_sklearn(x, count, method, seed)


def _require(points: Floats, count: int) -> None:
    if not len(points):
        raise ValueError("there are no points to group")
    if not 1 <= count <= len(points):
        raise ValueError(f"{len(points)} points in {count} groups: 1 to {len(points)} are possible")
    if not np.isfinite(points).all():
        raise ValueError("points hold numbers that are not finite: leave those out")


def _by_sklearn(x: Float64s, count: int, method: Method, seed: int) -> Partition:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct points than groups: some stay empty
        return _k_means(x, count, seed) if method == "k-means" else _mixture(x, count, seed)


def _k_means(x: Float64s, count: int, seed: int) -> Partition:
    """Lloyd's algorithm from k-means++ (Arthur and Vassilvitskii 2007)."""
    found = KMeans(count, init="k-means++", n_init=STARTS, random_state=seed).fit(x)
    return Partition(found.labels_.astype(np.int64), found.cluster_centers_, float(found.inertia_), np.nan)


def _mixture(x: Float64s, count: int, seed: int) -> Partition:
    """Expectation maximisation, each group with variances of its own along the axes: full covariances need more points
    a group than coordinates, and rare kinds never have them."""
    found = GaussianMixture(
        count, covariance_type="diag", n_init=STARTS, random_state=seed, reg_covar=VARIANCE_MIN, init_params="k-means++"
    ).fit(x if len(x) > 1 else np.repeat(x, 2, axis=0))  # it refuses a single one, which has the same mean and variance
    likelihood = float(found.score(x)) * len(x)
    return Partition(found.predict(x).astype(np.int64), found.means_, -2 * likelihood, float(found.bic(x)))


def _k_medoids(x: Float64s, distances: Float64s, count: int, seed: int) -> Partition:
    """Alternation of assigning points and choosing medoids (Park and Jun 2009), the best of some starts.

    *distances* (n, n) of all pairs of points: memory grows with their square.
    """
    rng = np.random.default_rng(seed)
    best: tuple[float, Indices] | None = None
    for _ in range(STARTS):
        medoids = _alternate(distances, _spread_out(distances, count, rng))
        cost = float(distances[:, medoids].min(axis=1).sum())
        if best is None or cost < best[0]:
            best = cost, medoids
    assert best is not None
    cost, medoids = best
    return Partition(distances[:, medoids].argmin(axis=1).astype(np.int64), x[medoids], cost, np.nan)


def _spread_out(distances: Float64s, count: int, rng: np.random.Generator) -> Indices:
    """The first medoids (count,), each drawn by its squared distance from those before."""
    chosen = [int(rng.integers(len(distances)))]
    while len(chosen) < count:
        weights = np.square(distances[:, chosen].min(axis=1))
        weights[chosen] = 0.0
        if weights.sum() == 0.0:  # all that is left lies on a medoid
            weights = np.ones(len(distances))
            weights[chosen] = 0.0
        chosen.append(int(rng.choice(len(distances), p=weights / weights.sum())))
    return np.array(chosen, np.int64)


def _alternate(distances: Float64s, medoids: Indices) -> Indices:
    for _ in range(ROUNDS_MAX):
        nearest = distances[:, medoids].argmin(axis=1)
        moved = medoids.copy()
        for group in np.unique(nearest).tolist():
            members = np.flatnonzero(nearest == group)
            moved[group] = members[distances[np.ix_(members, members)].sum(axis=1).argmin()]
        if (moved == medoids).all():
            break
        medoids = moved
    return medoids


def curve(points: Floats, counts: Sequence[int], method: Method, seed: int = 0) -> Curve:
    """Partitions of *points* (n, d) in each of *counts* groups, which rise. Raises ValueError as `partition` does.

    Silhouettes are those of at most `silhouettes.SAMPLE` of the points.
    """
    if not counts or list(counts) != sorted(set(counts)):
        raise ValueError("numbers of groups must rise, and there must be one")
    for count in (counts[0], counts[-1]):
        _require(points, count)
    x, some = points.astype(np.float64), sample(len(points))
    if method == "k-medoids":
        distances = cdist(x, x)
        found = tuple(_k_medoids(x, distances, count, seed) for count in counts)
    else:
        found = tuple(_by_sklearn(x, count, method, seed) for count in counts)
    distances = cdist(x[some], x[some])
    return Curve(
        method,
        tuple(counts),
        tuple(one.cost for one in found),
        tuple(mean_silhouette(distances, one.labels[some]) for one in found),
        tuple(one.bic for one in found),
        found,
    )


def agreement(labels: Sequence[object], truth: Sequence[object]) -> Agreement:
    """How far *labels* (n,) say the same as *truth* (n,). Raises ValueError where there are not as many."""
    return Agreement(float(adjusted_rand_score(truth, labels)), float(normalized_mutual_info_score(truth, labels)))
