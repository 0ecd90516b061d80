"""How many frames of a unit exceed, where units differ and exceedances come in clusters: the beta-binomial law.

A unit of n frames has a rate of its own, Beta(a, b) over units, and then x of its frames exceed (Skellam 1948):
P(x) = C(n, x) B(x + a, n - x + b) / B(a, b). With the mean m = a / (a + b) and r = 1 / (a + b + 1), the correlation of
two frames of a unit, the variance of x is that of a binomial, n m (1 - m), times the inflation D = 1 + (n - 1) r.

Units of one size do not tell why they are inflated. Clusters of a few frames inflate units of any size alike; units
that differ as wholes keep r. A law takes what is wider: D for units smaller than its own size, r for larger ones.

Few units leave m and D uncertain, so a law is a mixture: every (m, D) weighted by the likelihood of the units, priors
flat in asin sqrt(m) (Jeffreys' of a binomial share: no exceedance at all still says something) and in 1 / D (the
uniform shrinkage prior, Daniels 1999).
"""

import itertools
import operator
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, betaln, gammaln

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

INTERVAL: Final = (0.05, 0.95)
UNITS_MIN: Final = 8  # of them the spread is known within a factor of 1.8 (chi-square of 7 degrees of freedom, 90 %)

POINTS: Final = 20  # to a side of the grid of laws: about half a standard deviation apart
POINTS_OF_MANY: Final = 12  # likewise a whole one, which does for the nearly normal likelihood
MANY: Final = 100  # of that many units
ZOOMS: Final = 30  # at most; each halves the grid's sides at most
FALL: Final = 12.0  # of the log likelihood, beyond which a law counts for nothing
CORRELATION_MAX: Final = 0.999
SHRINKAGE_MAX: Final = 0.999  # a thousandth above a binomial's variance is none; nearer, the beta function loses digits
TERMS: Final = 64  # of a tail's sum, doubled until the last is negligible
NEGLIGIBLE: Final = 23.0  # in natural logarithms, below the largest
ROUNDING: Final = 1e-9  # a count whose rarity is the limit itself is within it
RAREST: Final = 300.0  # decades that a number holds


class UnitLaw(NamedTuple):
    """Laws that the units allow: of mean m and inflation D for units of *frames* frames."""

    mean: Float64s  # (q,)
    inflation: Float64s  # (q,)
    weight: Float64s  # (q,) sums to 1
    frames: int


class Rate(NamedTuple):
    """Exceedances of judged frames; *low* and *high* bound the rate behind them with 90 % confidence."""

    frames: int
    exceedances: int
    rate: float
    low: float
    high: float


def fit_units(exceedances: Counts, frames: Counts, time: float = 1.0) -> UnitLaw:
    """The laws of units with *exceedances* (u,) in *frames* (u,) judged frames; its own size is their median.

    *time* is the autocorrelation time in units: u of them say as much as u / time independent ones.
    """
    size, points = int(np.median(frames)), POINTS if len(frames) < MANY else POINTS_OF_MANY
    pairs, repeats = np.unique(np.stack([exceedances, frames]), axis=1, return_counts=True)
    lowest = np.array([0.0, max(size, 2) ** -0.5])
    highest = np.array([np.pi / 2, SHRINKAGE_MAX**0.5])
    low, high = lowest, highest
    for _ in range(ZOOMS):
        step = (high - low) / points
        angle, root = low[:, None] + step[:, None] * (np.arange(points) + 0.5)
        mean, inflation = np.meshgrid(np.square(np.sin(angle)), root**-2, indexing="ij")
        likelihood = _log_likelihood(mean.ravel(), inflation.ravel(), size, pairs, repeats).reshape(mean.shape)
        fit = likelihood / time + np.log(root)  # even steps of the root of 1 / D: finer where D is large
        fit -= fit.max()
        kept = fit > -FALL
        first, last = np.array([np.flatnonzero(kept.any(axis=axis))[[0, -1]] for axis in (1, 0)]).T
        # Where the edge of the grid is likely, it is moved outward; and no side shrinks by more than half at once: on a
        # coarse grid, the best inflation is that of a wrong mean.
        below, above = np.where(first == 0, points / 2, 1.0), np.where(last == points - 1, points / 2, 1.0)
        center = low + step * (first - below + last + 1 + above) / 2
        half = np.maximum(step * (last + 1 + above - first + below) / 2, (high - low) / 4)
        before = low, high
        low, high = np.maximum(center - half, lowest), np.minimum(center + half, highest)
        if (np.abs(np.subtract(before, (low, high))) < step).all():
            break
    weight = np.exp(fit[kept])
    return UnitLaw(mean[kept], inflation[kept], weight / weight.sum(), size)


def rarity(law: UnitLaw, exceedances: int, frames: int) -> float:
    """-log10 of the probability that a unit of *frames* frames has *exceedances* or more: 0 for none, never infinite.

    Ties count as exceeding: so a limit on it is exceeded at most as often as it says, however few the counts are. The
    mid-p value (half of the ties) would let a limit be exceeded up to twice as often where one count more or less
    decides.
    """
    if exceedances == 0:
        return 0.0
    terms = _log_terms(exceedances, frames, *_shape(law.mean, law.inflation, law.frames, frames))
    largest = float(terms.max())
    tail = largest + float(np.log(law.weight @ np.exp(terms - largest).sum(axis=1)))
    return max(0.0, -tail / float(np.log(10)))


def most_within(law: UnitLaw, rare: float, frames: int) -> int:
    """The most exceedances that are at most as rare as *rare* in a unit of *frames* frames."""
    share = 10.0 ** -min(rare + ROUNDING, RAREST)
    shape = _shape(law.mean, law.inflation, law.frames, frames)
    tails = _tails(law.weight @ np.exp(_log_terms(0, frames, *shape, share)))
    return int(np.count_nonzero(tails >= share)) - 1


def fewest_beyond(law: UnitLaw, share: float) -> Counts:
    """The fewest exceedances that less than *share* of units reach, of the law's own size, by each of its laws (q,)."""
    shape = _shape(law.mean, law.inflation, law.frames, law.frames)
    fewest: Counts = np.count_nonzero(_tails(np.exp(_log_terms(0, law.frames, *shape, share))) >= share, axis=1)
    return fewest


def weighted_quantile(values: Counts, weight: Float64s, level: float) -> int:
    """The smallest of *values* (q,) that lies above *level* of their *weight* (q,), which sums to 1."""
    order = np.argsort(values)
    reached = np.searchsorted(np.cumsum(weight[order]), level)
    return int(values[order[min(int(reached), len(values) - 1)]])


def inflation(law: UnitLaw, frames: Counts) -> Float64s:
    """How many times the variance of a binomial units of *frames* (u,) have: the harmonic mean over the laws.

    That is the mean of what was given a flat prior; where there are hardly any exceedances, D itself has no mean.
    """
    at_least = np.maximum(frames, 2)
    correlation = _correlation(law.inflation[:, None], law.frames, at_least)
    widened: Float64s = 1 / (law.weight @ (1 / (1 + (at_least - 1) * correlation)))
    return widened


def rate_of(law: UnitLaw, exceedances: Sequence[int], frames: Sequence[int]) -> Rate:
    """The rate of all units (u,) together, with a Clopper-Pearson interval of as many frames as they are worth.

    Counts and frames are divided by the inflation of the variance first (Korn and Graubard 1998): that of the law, or
    that of the units themselves (Pearson's chi-square over its degrees of freedom) where eight or more show a larger.
    """
    x, n = np.asarray(exceedances, np.int64), np.asarray(frames, np.int64)
    hits, total = int(x.sum()), int(n.sum())
    rate = hits / total
    inflated = max(1.0, float(n @ inflation(law, n)) / total)
    if len(x) >= UNITS_MIN and 0 < hits < total:
        inflated = max(inflated, float((np.square(x - n * rate) / n).sum()) / (rate * (1 - rate) * (len(x) - 1)))
    a, m = hits / inflated, total / inflated
    low = float(betaincinv(a, m - a + 1, INTERVAL[0])) if hits else 0.0
    high = float(betaincinv(a + 1, m - a, INTERVAL[1])) if hits < total else 1.0
    return Rate(total, hits, rate, low, high)


def _correlation(inflation: Float64s, size: int, frames: Counts | int) -> Float64s:
    """r of units of *frames*, from D of units of *size*: never smaller than that of larger units."""
    correlation: Float64s = (inflation - 1) / np.maximum(np.minimum(frames, size) - 1, 1)
    return np.minimum(correlation, CORRELATION_MAX)


def _shape(mean: Float64s, inflation: Float64s, size: int, frames: Counts | int) -> tuple[Float64s, Float64s]:
    """a and b of the rates of units of *frames*."""
    total = 1 / _correlation(inflation, size, frames) - 1
    return mean * total, (1 - mean) * total


def _log_likelihood(mean: Float64s, inflation: Float64s, size: int, pairs: Counts, repeats: Counts) -> Float64s:
    """Of each of q laws (q,), from *pairs* (2, u) of exceedances and frames that were seen *repeats* (u,) times."""
    x, n = pairs
    a, b = _shape(mean[:, None], inflation[:, None], size, n)
    likelihood: Float64s = (betaln(x + a, n - x + b) - betaln(a, b)) @ repeats
    return likelihood


def _log_terms(x: int, n: int, a: Float64s, b: Float64s, share: float = 1.0) -> Float64s:
    """log P(X = k) of k = x, x + 1, ... of n, by each of q laws: (q, t), up to where the rest is nothing to *share*."""
    ways = gammaln(n + 1) - gammaln(x + 1) - gammaln(n - x + 1)
    first = (ways + betaln(x + a, n - x + b) - betaln(a, b))[:, None]
    a, b = a[:, None], b[:, None]
    nothing = NEGLIGIBLE - np.log(share)
    for count in itertools.accumulate(itertools.repeat(2), operator.mul, initial=TERMS):
        k = x + np.arange(min(count, n - x))
        ratios = (n - k) / (k + 1) * ((k + a) / (n - k - 1 + b))
        terms: Float64s = np.concatenate([first, first + np.cumsum(np.log(ratios), axis=1)], axis=1)
        if count >= n - x or (terms[:, -1] < terms.max(axis=1) - nothing).all():
            break
    return terms


def _tails(probabilities: Float64s) -> Float64s:
    """P(X >= k) from P(X = k), along the last axis."""
    tails: Float64s = np.cumsum(probabilities[..., ::-1], axis=-1)[..., ::-1]
    return tails
