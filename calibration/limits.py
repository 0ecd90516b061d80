"""Limits of single charts, and the one scale on which charts are compared."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from calibration.charts import CalibrationError

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

FRAMES_MIN = 20
RATE_MAX = 0.25  # from here on a smoothed limit may fall to the median, and the joint scale would turn over
CONFIDENCE = 0.90
EXCEEDANCES_MIN = 10  # expected beyond the limit among the calibration frames: below, the limit only guesses
BLOCK_TIMES = 5.0  # autocorrelation times in a bootstrap block: cover 91 % at AR(1) 0.9
BLOCKS_MIN = 8  # a bootstrap of fewer blocks repeats itself
SOKAL = 5.0  # autocorrelation times over which the autocorrelation is summed


class Limit(NamedTuple):
    """An upper limit on one chart's score. *low* and *high* bound it with 90 % confidence."""

    value: float
    low: float
    high: float
    center: float  # in-control median
    rate: float  # share of in-control frames meant to lie above, per frame
    method: str
    frames: int
    effective_frames: float  # independent frames that say as much as these
    extrapolated: bool  # too few frames for the rate: the limit rests on the shape of the smoothing


def kde_limit(
    scores: Floats, rate: float, seed: int = 0, resamples: int = 200, groups: npt.ArrayLike | None = None
) -> Limit:
    """The u with mean(Phi((u - x_i) / h)) = 1 - rate over held-out in-control *scores* (m,), in the stream's order.

    Gaussian kernel, bandwidth h by Silverman's rule with the smaller of standard deviation and quartile range
    (Silverman 1986, 3.31). The interval is a percentile interval from *resamples* of circular blocks of five
    autocorrelation times (Politis and Romano 1992), never across a border of *groups* (m,), labels of runs of frames
    that were recorded apart; where there are several, whole groups are resampled first. The limit itself pools them.
    It falls as *rate* grows and is always finite. Raises CalibrationError for fewer than 20
    scores or scores that are not finite, ValueError for a rate outside (0, 0.25).
    """
    if not 0 < rate < RATE_MAX:
        raise ValueError(f"rate must lie between 0 and {RATE_MAX}, not {rate}")
    x = np.asarray(scores, np.float64)
    if x.ndim != 1 or len(x) < FRAMES_MIN:
        raise CalibrationError(f"{x.size} held-out frames are too few: give at least {FRAMES_MIN}")
    if not np.isfinite(x).all():
        raise CalibrationError("held-out scores are not finite: remove the frames that gave them")
    borders = _borders(np.zeros(len(x)) if groups is None else np.asarray(groups))
    if borders[-1] != len(x):
        raise ValueError(f"{len(x)} scores need as many group labels, not {borders[-1]}")
    width = bandwidth(x)
    value = tail_root(x, width, rate)
    time = autocorrelation_time(x, borders)
    block = int(np.clip(np.ceil(BLOCK_TIMES * time), 1, max(1, len(x) // BLOCKS_MIN)))
    random = np.random.default_rng(seed)
    again = [tail_root(x[block_resample(borders, block, random)], width, rate) for _ in range(max(resamples, 1))]
    low, high = np.quantile(again, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Limit(
        value=value,
        low=min(float(low), value),
        high=max(float(high), value),
        center=float(np.median(x)),
        rate=rate,
        method="kde",
        frames=len(x),
        effective_frames=len(x) / time,
        extrapolated=len(x) * rate < EXCEEDANCES_MIN,
    )


def bandwidth(x: Float64s) -> float:
    """Silverman's bandwidth of *x*, at least a millionth of its size, so that constant scores have a limit too."""
    lower, upper = np.quantile(x, [0.25, 0.75])
    spreads = [spread for spread in (float(x.std(ddof=1)), float(upper - lower) / 1.34) if spread > 0]
    silverman = 0.9 * min(spreads, default=0.0) / float(len(x) ** 0.2)
    return max(silverman, 1e-6 * float(np.abs(x).max()), 1e-12)


def tail_root(x: Float64s, width: float, rate: float) -> float:
    """The u whose mean normal tail over *x* with standard deviation *width* is *rate*.

    Each tail alone is *rate* at x_i + width * z, so the root lies between the smallest and the largest of those.
    """
    reach = -width * float(ndtri(rate))
    lowest, highest = float(x.min()) + reach, float(x.max()) + reach

    def excess(u: float) -> float:
        return float(ndtr((x - u) / width).mean()) - rate

    if excess(lowest) <= 0:  # all scores alike, but for rounding
        return lowest
    if excess(highest) >= 0:
        return highest
    root: float = brentq(excess, lowest, highest, xtol=1e-12 * max(abs(lowest), abs(highest)), rtol=1e-14)
    return root


def autocorrelation_time(x: Float64s, borders: Indices) -> float:
    """Integrated autocorrelation time of *x* in frames, at least 1, by Sokal's window.

    Of ranks, so that one wild score does not hide the memory of the others; groups (which begin at *borders*) are
    centred together: where groups differ as wholes, frames of one group say the same thing.
    """
    ranks = np.argsort(np.argsort(x, kind="stable"), kind="stable") - (len(x) - 1) / 2
    if x.min() == x.max():
        return 1.0
    longest = int(np.diff(borders).max())
    covariance = np.zeros(longest)
    for first, last in itertools.pairwise(borders.tolist()):
        covariance[: last - first] += _autocovariance(ranks[first:last])
    times = 2 * np.cumsum(covariance / covariance[0]) - 1
    settled = np.arange(longest) >= SOKAL * times
    return max(1.0, float(times[np.argmax(settled) if settled.any() else longest - 1]))


def block_resample(borders: Indices, block: int, random: np.random.Generator) -> Indices:
    """Indices of a bootstrap stream: groups drawn with replacement, then blocks that wrap inside their own group.

    As many groups as there are, each as long as it is, so the spread between groups is part of what varies.
    """
    lengths = np.diff(borders)
    groups = random.integers(0, len(lengths), len(lengths))
    pieces = []
    for first, length in zip(borders[groups].tolist(), lengths[groups].tolist(), strict=True):
        starts = random.integers(0, length, -(-length // block))
        pieces.append(first + ((starts[:, None] + np.arange(block)) % length).ravel()[:length])
    indices: Indices = np.concatenate(pieces)
    return indices


def joint(scores: Floats, limits: Sequence[Limit]) -> tuple[Float64s, npt.NDArray[np.uint8]]:
    """All charts on one scale: *scores* (m, c), one limit a chart -> (joint (m,), source (m,) index of its chart).

    The largest of (score - center) / (limit - center): 0 is the in-control median, above 1 is an exceedance. A score
    that is not a number counts as infinite: what cannot be judged is not normal.
    """
    center = np.array([limit.center for limit in limits])
    reach = np.array([limit.value for limit in limits]) - center
    scaled = (np.asarray(scores, np.float64) - center) / reach
    scaled[np.isnan(scaled)] = np.inf
    return scaled.max(axis=1), scaled.argmax(axis=1).astype(np.uint8)


def _borders(groups: npt.NDArray[Any]) -> Indices:
    """Where each run of equal labels begins, and the end of the last."""
    changes = np.flatnonzero(groups[1:] != groups[:-1]) + 1
    return np.concatenate(([0], changes, [len(groups)])).astype(np.int64)


def _autocovariance(x: Floats) -> Float64s:
    """Sums of x_i x_(i+k) at lags k = 0 .. len(x) - 1."""
    transform = np.fft.rfft(x, 2 * len(x))
    covariance: Float64s = np.fft.irfft(np.square(np.abs(transform)), 2 * len(x))[: len(x)]
    return covariance
