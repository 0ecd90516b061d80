"""The level that a given share of blocks exceeds, from the extremes of some of them, and how well they tell it.

Blocks over a level that follow each other may be counted once, as one cluster (`cluster_levels`). The j-th largest of b
independent extremes is exceeded with a probability that is exactly Beta(j, b + 1 - j) over calibrations, whatever their
distribution (David and Nagaraja 2003): its mean is j / (b + 1), and its quantiles bound the level. Between neighbouring
order statistics, and beyond the largest, the tail is taken to fall exponentially, as that of a joint score does: it is
the logarithm of a probability.
"""

from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, ndtri

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]

EXCESSES: Final = 30  # extremes that a tail beyond the largest is fitted to, at most half of them
DRAWS: Final = 20_000


def cluster_levels(extremes: Floats) -> Float64s:
    """Levels (c,) in falling order: at the j-th, *extremes* (b,), in the stream's order, have risen above it j times.

    Neighbours over a level are one cluster (runs declustering: Smith and Weissman 1994). Where clusters have grown
    together, as many count as stood apart at a higher level. What is not a number is never over.
    """
    order = np.argsort(-extremes, kind="stable")[: np.count_nonzero(~np.isnan(extremes))]
    rank = np.full(len(extremes) + 2, len(order))
    rank[order + 1] = np.arange(len(order))
    # A block begins a cluster, makes one longer or joins two, as none, one or both of its neighbours are higher.
    higher = (rank[order] < rank[order + 1]).astype(np.int64) + (rank[order + 2] < rank[order + 1])
    values = extremes[order]
    distinct = np.flatnonzero(np.append(values[1:] != values[:-1], len(values) > 0))
    apart = np.maximum.accumulate(np.cumsum(1 - higher)[distinct])
    return np.repeat(np.asarray(values[distinct], np.float64), np.diff(apart, prepend=0))


def level_of(falling: Floats, share: float, clusters: Floats | None = None) -> float:
    """The level that *share* of new blocks exceeds in the mean over calibrations, from extremes (b,) in falling order.

    With the levels of *clusters* (c,), the level that so many clusters exceed; minus infinity where there are fewer.
    With e = share (b + 1): the e-th largest extreme, the conformal quantile, and between whole numbers a weighted mean
    of two whose mean share is right in an exponential tail. Below 1 from peaks over threshold: a little high in the
    mean, since never below the largest extreme.
    """
    wanted = share * (len(falling) + 1)
    if wanted < 1:
        count = _excesses(falling)
        # The mean of exp(-s t) over the uncertain scale s, Gamma(count) / count, is (1 + t / count)^-count.
        return _beyond(falling, count * (((count + 1) / wanted) ** (1 / count) - 1))
    counted = falling if clusters is None else clusters
    if clusters is not None and wanted >= len(clusters) + 1:
        return -np.inf
    j = min(int(wanted), len(counted) - 1)
    # Given the (j+1)-th, the j-th largest is exceeded by a share smaller by a factor Beta(j, 1), of mean j / (j + 1).
    weight = min(j + 1 - j * (j + 1) / wanted, 1.0)
    return float((1 - weight) * counted[j - 1] + weight * counted[j])


def bound_of(falling: Floats, share: float, time: float, confidence: float, clusters: Floats | None = None) -> float:
    """What lies above the level that *share* of blocks exceeds with *confidence*, from extremes (b,) in falling order.

    With the levels of *clusters* (c,), what lies above the level that so many clusters exceed. *time* is the
    autocorrelation time of the extremes in blocks: b of them say as much as b / time independent ones.
    """
    b, counted = len(falling), falling if clusters is None else clusters
    orders = np.arange(1, len(counted) + 1)
    # confidences, which fall: that the j-th largest extreme is exceeded by less than the share
    reached = betainc(orders / time, (b + 1 - orders) / time, share)
    if reached[0] < confidence:
        return _beyond(falling, _pivot(_excesses(falling), share * b, time, confidence))
    scores = ndtri(np.clip(reached, 1e-12, 1 - 1e-12))
    lowest = None if clusters is None else -np.inf
    return float(np.interp(-ndtri(confidence), -scores, counted, right=lowest))


def _excesses(falling: Floats) -> int:
    return min(EXCESSES, len(falling) // 2)


def _beyond(falling: Floats, spreads: float) -> float:
    """So many *spreads* of the highest extremes above the largest that is none of them, and above them all.

    Were it below the largest extreme, a limit could fall as its share does.
    """
    count = _excesses(falling)
    threshold = float(falling[count])
    return max(float(falling[0]), threshold + spreads * float(falling[:count].mean() - threshold))


@lru_cache
def _pivot(count: int, expected: float, time: float, confidence: float) -> float:
    """The spreads above the threshold below which the level lies with *confidence*, in an exponential tail.

    The threshold is exceeded by Gamma(count + 1) of the blocks' number, the spread is Gamma(count) / count of the true
    one, and the two are independent (Renyi 1953): drawn, always alike.
    """
    random = np.random.default_rng(0)
    exceeding = random.gamma((count + 1) / time, time, DRAWS)
    spread = random.gamma(count / time, time / count, DRAWS)
    return float(np.quantile(np.log(exceeding / expected) / spread, confidence))
