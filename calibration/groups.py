"""Limits that hold for a run, layer or session never seen: statements about the limits of groups, not about frames.

However many frames they have, G groups are G examples of what a group may be like. Each has an own limit, which its own
frames exceed at the wanted rate; the limit for a new group is one that the new group's own limit lies below.

- Order statistics: of G exchangeable groups, the k-th largest own limit lies below that of a new group with probability
  k / (G + 1), whatever their law (Wilks 1941). The largest of nine is the first to reach 90 %.
- Random effects: own limits are taken to be normal between groups (`calibration.random_effects`), less the error that
  each has from its finite frames, by block bootstrap. Two groups are enough for a number, which is then an assumption.

Scores are taken on the joint scale (`calibration.tails.rarity`), which is a logarithm already: a change of noise or
focus multiplies squared residuals, log-normally from run to run, and that moves the rarity of scores with a Pareto tail
by log10(factor) / shape: own limits are normal there. A light tail is stretched rather than moved, which comes to the
same while factors are small; where they are large, the logarithm of the plain scores is nearer to normal.

Both are prediction bounds: the question is how the next run will do, so calibration and new run are drawn together. The
upper end of the interval is the tolerance bound, for those who must be sure of this one calibration. Both take groups
to be exchangeable: of runs that drift the last say more than either knows. Order statistics also need groups of about
as many frames, and leave the errors of own limits in: where groups hardly differ, their limit is higher than needed.
"""

from math import log10, nan
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy
from scipy.special import ndtri

from calibration.autocorrelation import BLOCK_TIMES, BLOCKS_MIN, autocorrelation_time, block_resample, borders_of
from calibration.charts import CalibrationError
from calibration.conformal import conformal_order, frames_needed
from calibration.kde import EXCEEDANCES_MIN
from calibration.pot import pot_quantile
from calibration.random_effects import (
    BetweenGroups,
    between_groups,
    mean_rate,
    prediction_bound,
    quantile_interval,
    share_above,
)
from calibration.tails import FRAMES_MIN

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Method = Literal["order statistics", "random effects"]

CONFIDENCE: Final = 0.90
INTERVAL: Final = 0.90
RATE_MAX: Final = 0.05  # a tenth of the decade that the tail's slope is read from must lie above the median
TOLD: Final = 1.1  # times the rate: from here on a person is told that the mean over new groups is higher
ROUNDING: Final = 1e-9
FARTHEST: Final = 100.0  # ranges of own limits: so few groups have no mean


class OwnLimits(NamedTuple):
    """The limits that g groups would set for themselves, on a scale on which groups differ by a shift."""

    values: Float64s  # (g,)
    variances: Float64s  # (g,) of sampling: how far a group's own frames leave its limit open
    rate: float  # share of a group's frames, or of its blocks, above its own limit
    thin: int = 0  # groups with too few frames for the rate: their limits rest on the shape of a fitted tail
    decade: float = 1.0  # how far a limit must rise for a tenth of the rate; 1 on the scale of `tails.rarity`


class GroupLimit(NamedTuple):
    """A limit for a group never seen. *low* and *high* bound what a share *wanted* of all groups' own limits lie below.

    The last two are foretold by the random-effects model, whichever method set the limit, and NaN for one group. Few
    groups do not rule out large differences, so of few groups they foretell more than mostly comes.
    """

    limit: float
    low: float
    high: float  # infinite where so few groups bound it by no order statistic
    method: str
    groups: int
    effective_groups: float  # of equal weight, that say as much
    wanted: float
    confidence: float  # reached: that a new group's own limit lies below *limit*; NaN for one group
    supported: bool  # by groups alone; otherwise *why* names what is assumed
    why: str  # one sentence
    mean_rate: float = nan  # of frames over the limit, in the mean over new groups: the worst of them weigh most
    over_twice: float = nan  # share of new groups with more than twice the rate of frames over


def own_limits(scores: Floats, groups: npt.ArrayLike, rate: float, seed: int = 0, resamples: int = 100) -> OwnLimits:
    """The own limits of *groups* (m,), of held-out in-control joint *scores* (m,) in the stream's order.

    By peaks over threshold in each group; stretches of one label are one group. The sampling variance is that of
    *resamples* of circular blocks of five autocorrelation times, the same for all groups but for their frames: a group
    that happens to look calm is not worth more. Raises CalibrationError for a group of fewer than 20 frames and for
    scores that are not finite, ValueError for labels of other frames or a rate outside (0, 0.05].
    """
    x, labels = np.asarray(scores, np.float64), np.asarray(groups)
    if not 0 < rate <= RATE_MAX:
        raise ValueError(f"rate must lie between 0 and {RATE_MAX}, not {rate}")
    if x.ndim != 1 or x.shape != labels.shape or not len(x):
        raise ValueError(f"scores and group labels must be of one shape (m,), not {x.shape} and {labels.shape}")
    names, counts = np.unique(labels, return_counts=True)
    if counts.min() < FRAMES_MIN:
        few = f"group {names[counts.argmin()]} has {counts.min()} held-out frames"
        raise CalibrationError(f"{few}, too few for a limit of its own: give at least {FRAMES_MIN} or leave it out")
    random = np.random.default_rng(seed)
    parts = [np.flatnonzero(labels == name) for name in names]
    values = np.array([pot_quantile(x[part], rate) for part in parts])
    tenfold = np.array([pot_quantile(x[part], 10 * rate) for part in parts])
    scatter = np.array([_sampling_variance(x[part], _stretches(part), rate, random, resamples) for part in parts])
    return OwnLimits(
        values=values,
        variances=float((scatter * counts).mean()) / counts,
        rate=rate,
        thin=int((counts * rate < EXCEEDANCES_MIN - ROUNDING).sum()),
        decade=max(float((values - tenfold).mean()), 1e-9 * float(np.abs(values).max()), 1e-12),
    )


def limit_for_new_group(own: OwnLimits, confidence: float = CONFIDENCE, method: Method | None = None) -> GroupLimit:
    """The limit that a new group's own limit lies below with *confidence*, from the own limits of some groups.

    Without a *method*: order statistics from so many groups as that takes (nine for 90 %), random effects from fewer.
    One group has no *method*: its own limit is the limit, and says nothing of others. Raises CalibrationError for
    limits and variances that are none, ValueError for no groups and for a confidence outside [0.5, 1).
    """
    if not 0.5 <= confidence < 1:
        raise ValueError(f"confidence must lie between 0.5 and 1, not {confidence}")
    if len(own.values) == 0 or own.values.shape != own.variances.shape:
        raise ValueError(f"{len(own.values)} own limits and {len(own.variances)} variances: give one each for a group")
    if not (np.isfinite(own.values).all() and np.isfinite(own.variances).all() and (own.variances >= 0).all()):
        raise CalibrationError("a group's own limit or its variance is not a finite number: leave the group out")
    if len(own.values) == 1:
        return _alone(own, confidence)
    between = between_groups(own.values, own.variances)
    if method is None:
        method = "order statistics" if len(own.values) >= groups_needed(confidence) else "random effects"
    found = (_ordered if method == "order statistics" else _modelled)(own, between, confidence)
    return _foretold(found, own, between)


def mean_limit(own: OwnLimits) -> float:
    """The limit that new groups exceed at *own*'s rate in the mean, by random effects. ValueError for one group."""
    between = between_groups(own.values, own.variances)

    def excess(limit: float) -> float:
        return log10(max(mean_rate(between, limit, own.rate, own.decade), 1e-300) / own.rate)

    low, high = float(own.values.min()), float(own.values.max())
    reach = max(high - low, own.decade)
    while excess(low) < 0:
        low -= reach
    while excess(high) > 0 and high - low < FARTHEST * reach:
        high += reach
    return high if excess(high) > 0 else float(scipy.optimize.brentq(excess, low, high, xtol=1e-6 * reach))


def groups_needed(confidence: float) -> int:
    """The fewest groups whose largest own limit is above a new one with *confidence*: where G / (G + 1) reaches it."""
    return frames_needed(1 - confidence)


def _ordered(own: OwnLimits, _: BetweenGroups, wanted: float) -> GroupLimit:
    """The largest own limit, or the smallest that reaches the confidence too."""
    rising = np.sort(own.values)
    count, needed = len(rising), groups_needed(wanted)
    order = conformal_order(count, 1 - wanted) if count >= needed else count
    reached, limit = order / (count + 1), float(rising[order - 1])
    low, high = _order_interval(rising, wanted)
    why = f"a new group's own limit lies below this one, of {count} groups, with probability {reached:.0%}"
    if count < needed:
        why += f": {needed} groups are needed for {wanted:.0%}"
    return GroupLimit(
        limit=limit,
        low=min(low, limit),
        high=max(high, limit),
        method="order statistics",
        groups=count,
        effective_groups=float(count),
        wanted=wanted,
        confidence=reached,
        supported=count >= needed and not own.thin,
        why=why,
    )


def _modelled(own: OwnLimits, between: BetweenGroups, wanted: float) -> GroupLimit:
    limit = prediction_bound(between, wanted)
    low, high = quantile_interval(between, wanted, INTERVAL)
    return GroupLimit(
        limit=limit,
        low=min(low, limit),
        high=max(high, limit),
        method="random effects",
        groups=len(own.values),
        effective_groups=between.effective_groups,
        wanted=wanted,
        confidence=wanted,
        supported=False,
        why=f"assumed, not shown: a new group's own limit lies below this one with probability {wanted:.0%} if own "
        f"limits are normal between groups, by the {len(own.values)} there are with a standard deviation of "
        f"{between.moment_sd:.2g}",
    )


def _alone(own: OwnLimits, wanted: float) -> GroupLimit:
    limit = float(own.values[0])
    reach = float(ndtri((1 + INTERVAL) / 2) * np.sqrt(own.variances[0]))
    return GroupLimit(
        limit=limit,
        low=limit - reach,
        high=limit + reach,
        method="one group alone",
        groups=1,
        effective_groups=1.0,
        wanted=wanted,
        confidence=nan,
        supported=False,
        why="the own limit of the only group: how a new group will differ is not known, so record more" + _thin(own),
    )


def _foretold(found: GroupLimit, own: OwnLimits, between: BetweenGroups) -> GroupLimit:
    """*found* with what it lets through in new groups, and what a person must know of that."""
    rate = mean_rate(between, found.limit, own.rate, own.decade)
    worse = rate > TOLD * own.rate
    told = f"; the worst groups may lift the mean over new ones to {rate:.2g}, not {own.rate:.2g}"
    return found._replace(
        mean_rate=rate,
        over_twice=share_above(between, found.limit + own.decade * log10(2)),
        why=found.why + (told if worse else "") + _thin(own),
    )


def _thin(own: OwnLimits) -> str:
    return f"; {own.thin} of {len(own.values)} groups have too few frames for {own.rate:.2g}" if own.thin else ""


def _order_interval(rising: Float64s, share: float) -> tuple[float, float]:
    """Order statistics that bound, from either side, what *share* of all groups lie below (Wilks 1941)."""
    count, beside = len(rising), (1 - INTERVAL) / 2
    below = scipy.stats.binom.cdf(np.arange(count), count, share)  # that no more than i of the groups lie below it
    lower = int((below <= beside).sum())
    upper = int((below < 1 - beside).sum())
    return float(rising[lower - 1]) if lower else -np.inf, float(rising[upper]) if upper < count else np.inf


def _stretches(rows: Indices) -> Indices:
    """Where each unbroken stretch of *rows* (n,) begins, and n."""
    return borders_of(np.cumsum(np.diff(rows, prepend=rows[0]) > 1))


def _sampling_variance(
    x: Float64s, borders: Indices, rate: float, random: np.random.Generator, resamples: int
) -> float:
    """Of the own limit of one group's scores (n,), by circular blocks within its stretches."""
    time = autocorrelation_time(x, borders)
    block = int(np.clip(np.ceil(BLOCK_TIMES * time), 1, max(1, len(x) // BLOCKS_MIN)))
    again = [pot_quantile(x[block_resample(borders, block, random)], rate) for _ in range(max(resamples, 2))]
    return float(np.var(again, ddof=1))
