"""What a new group may be like, when groups differ by a normal law that the groups at hand tell little about.

Group g gives a value y_g = mu + b_g + e_g: b_g normal with the between-group variance t, e_g the error of a group's own
finite frames, of known variance v_g. For the true t, Q(t) = sum (y_g - m)^2 / (t + v_g), m the weighted mean, follows
chi-square with G - 1 degrees of freedom, and falls as t grows. So the t at which Q(t) is a quantile of that law bounds
the true one (Q-profile, Viechtbauer 2007), and all of them together are its confidence distribution; a new group is
then a mixture of normals (Nagashima, Noma and Furukawa 2019). Without errors this is Student's t with G - 1 degrees of
freedom, exactly, and a quantile of groups has the noncentral t interval (Hahn and Meeker 1991, one-sided tolerance).
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy
from scipy.special import log_ndtr, ndtr, ndtri

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]

POINTS: Final = 200  # between-group variances that stand for their confidence distribution
HALVINGS: Final = 40


class BetweenGroups(NamedTuple):
    """Laws of groups that the values allow, equally likely: (q,) each, in the values' unit."""

    sd: Float64s  # of groups, without the error of their own frames
    center: Float64s
    center_sd: Float64s  # how well the center is known
    moment_sd: float  # the one estimate of *sd*: where Q is as large as it is on average (Paule and Mandel 1982)
    effective_groups: float  # groups of equal weight that would tell the center as well (Kish 1965)


def between_groups(values: Floats, variances: Floats) -> BetweenGroups:
    """The laws that *values* (g,) of groups with sampling *variances* (g,) allow. ValueError for fewer than two."""
    y, v = np.asarray(values, np.float64), np.asarray(variances, np.float64)
    if len(y) < 2 or y.shape != v.shape:
        raise ValueError(f"between groups needs two values or more, and as many variances: not {len(y)} and {len(v)}")
    freedom = len(y) - 1
    wanted = np.append(scipy.stats.chi2.ppf((np.arange(POINTS) + 0.5) / POINTS, freedom), freedom)
    variance = _variance_at(wanted, y, v)
    narrowest = max(1e-12 * float(np.abs(y).max()), 1e-12) ** 2  # groups that are all alike, to rounding
    weights = 1 / (variance[:, None] + v + narrowest)
    total = weights.sum(axis=1)
    return BetweenGroups(
        sd=np.sqrt(variance[:-1]),
        center=(weights @ y / total)[:-1],
        center_sd=np.sqrt(1 / total[:-1]),
        moment_sd=float(np.sqrt(variance[-1])),
        effective_groups=float(total[-1] ** 2 / np.square(weights[-1]).sum()),
    )


def prediction_bound(between: BetweenGroups, confidence: float) -> float:
    """What a new group lies below with probability *confidence*, over the groups at hand and the new one."""
    return _mixture_quantile(between.center, np.hypot(between.sd, between.center_sd), confidence)


def quantile_interval(between: BetweenGroups, share: float, confidence: float) -> tuple[float, float]:
    """Bounds, of *confidence* in the middle, of the value that *share* of all groups lie below."""
    center = between.center + float(ndtri(share)) * between.sd
    low, high = (_mixture_quantile(center, between.center_sd, (1 + side * confidence) / 2) for side in (-1, 1))
    return low, high


def share_above(between: BetweenGroups, value: float) -> float:
    """The probability that a new group lies above *value*."""
    return float(ndtr((between.center - value) / np.hypot(between.sd, between.center_sd)).mean())


def mean_rate(between: BetweenGroups, limit: float, rate: float, decade: float) -> float:
    """The share of a new group's frames above *limit*, in the mean over new groups.

    A group whose own value is L has the share rate * 10^((L - limit) / decade), at most all of them. The mean over a
    normal L is that of a log-normal law with an end (Johnson, Kotz and Balakrishnan 1994).
    """
    steepness, sd = np.log(10) / decade, np.hypot(between.sd, between.center_sd)
    all_over = limit - np.log(rate) / steepness  # L from which on every frame is over
    growth = np.log(rate) + steepness * (between.center - limit) + np.square(steepness * sd) / 2
    below = (all_over - between.center) / sd
    # At most the groups of which not all frames are over: two huge numbers, one of them negative, leave only rounding.
    part = np.exp(np.minimum(growth + log_ndtr(below - steepness * sd), log_ndtr(below)))
    return float((part + ndtr(-below)).mean())


def _variance_at(wanted: Float64s, y: Float64s, v: Float64s) -> Float64s:
    """The between-group variance at which Q is each of *wanted* (n,); 0 where it is smaller even there."""
    low = np.zeros(len(wanted))
    high = np.square(y - y.mean()).sum() / wanted  # of values without errors, and never below the root
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        weights = 1 / np.maximum(middle[:, None] + v, 1e-300)
        center = (weights @ y) / weights.sum(axis=1)
        above = (weights * np.square(y - center[:, None])).sum(axis=1) > wanted
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return low


def _mixture_quantile(centers: Float64s, sds: Float64s, share: float) -> float:
    """What lies above *share* of a mixture of normals in equal parts: between the same quantiles of its parts."""
    parts = centers + float(ndtri(share)) * sds
    lowest, highest = float(parts.min()), float(parts.max())

    def excess(u: float) -> float:
        return float(ndtr((u - centers) / sds).mean()) - share

    if excess(lowest) >= 0:  # all parts alike, but for rounding
        return lowest
    if excess(highest) <= 0:
        return highest
    root: float = scipy.optimize.brentq(excess, lowest, highest, xtol=1e-12 * max(abs(lowest), abs(highest), 1e-12))
    return root
