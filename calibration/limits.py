"""Limits of single charts, by context where contexts differ, and the one scale on which charts are compared."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from calibration.charts import CalibrationError
from calibration.tails import EXCESSES_WANTED, FRAMES_MIN, SHARE, Tail, fit_tail, rarity, score_of

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

RATE_MAX = 0.25  # from here on a smoothed limit may fall to the median, and the joint scale would turn over
CONFIDENCE = 0.90
EXCEEDANCES_MIN = 10  # expected beyond the limit among the calibration frames: below, the limit only guesses
BLOCK_TIMES = 5.0  # autocorrelation times in a bootstrap block: cover 91 % at AR(1) 0.9
BLOCKS_MIN = 8  # a bootstrap of fewer blocks repeats itself
SOKAL = 5.0  # autocorrelation times over which the autocorrelation is summed
CONTEXT_FRAMES_MIN = round(EXCESSES_WANTED / SHARE)  # fewer, and a tail is no longer fitted to the highest scores alone
ABOVE_ONE = float(np.nextafter(1.0, 2.0))


class Quantile(NamedTuple):
    """What a share of in-control scores lies above. *low* and *high* bound it with 90 % confidence."""

    value: float
    low: float
    high: float
    frames: int
    effective_frames: float  # independent frames that say as much as these
    extrapolated: bool  # too few frames for the rate: the value rests on the shape of the smoothing


class Limit(NamedTuple):
    """An upper limit on one chart's score. *low* and *high* bound it with 90 % confidence."""

    value: float
    low: float
    high: float
    center: float  # in-control median
    rate: float  # share of in-control frames meant to lie above the limit of any chart, per frame
    method: str
    frames: int
    effective_frames: float
    extrapolated: bool
    tail: Tail  # of in-control scores: the scale that charts are compared on


class ContextLimits(NamedTuple):
    """Limits of c charts by context, which is what a frame shows: *own* where it has some, *pooled* for any other."""

    pooled: tuple[Limit, ...]  # of the frames of all contexts together
    own: Mapping[str, tuple[Limit, ...]]

    def of(self, context: str) -> tuple[Limit, ...]:
        """The limits that hold for frames of *context*."""
        return self.own.get(context, self.pooled)


def fit_limits(
    scores: Floats,
    rate: float,
    seed: int = 0,
    groups: npt.ArrayLike | None = None,
    resamples: int = 200,
    tails: Sequence[Tail] | None = None,
) -> tuple[Limit, ...]:
    """The limits of c charts, from held-out in-control *scores* (m, c): together they flag *rate* of the frames.

    A frame's joint score is the rarity of its most extreme chart (`calibration.tails`); its `kde_quantile` is the
    limit, and each chart's own limit is the score that is as rare. So no chart is given a share of the rate that it
    does not need because another one speaks at the same frames. With *tails* of other in-control scores (c,) those are
    the scale that charts are compared on, and only the limit comes from *scores*. Raises as `kde_quantile` does.
    """
    x = np.asarray(scores, np.float64)
    tails = [fit_tail(chart) for chart in x.T] if tails is None else tails
    rare = np.stack([rarity(chart, tail) for chart, tail in zip(x.T, tails, strict=True)], axis=1)
    whole = kde_quantile(rare.max(axis=1), rate, seed, resamples, groups)
    return tuple(
        Limit(
            value=score_of(whole.value, tail),
            low=score_of(whole.low, tail),
            high=score_of(whole.high, tail),
            center=float(np.median(chart)),
            rate=rate,
            method="kde of the rarest chart",
            frames=whole.frames,
            effective_frames=whole.effective_frames,
            extrapolated=whole.extrapolated,
            tail=tail,
        )
        for chart, tail in zip(x.T, tails, strict=True)
    )


def context_frames_needed(rate: float) -> int:
    """Held-out frames of a context that are enough for limits of its own at *rate*.

    As many as support the rate: an extrapolated limit from few flags far more than it says (of 200 independent frames
    at a rate of 0.001, twelve times as many), and the pooled one rests on more. And as many as fill a tail.
    """
    return max(math.ceil(EXCEEDANCES_MIN / rate - 1e-9), CONTEXT_FRAMES_MIN)


def fit_context_limits(
    scores: Floats,
    contexts: npt.NDArray[np.str_],
    rate: float,
    seed: int = 0,
    groups: npt.ArrayLike | None = None,
    resamples: int = 200,
    tails: Sequence[Tail] | None = None,
) -> ContextLimits:
    """The limits of c charts from *scores* (m, c), together and for each of *contexts* (m,) with frames enough.

    How many that is, says `context_frames_needed`.
    Frames of no context (an empty one) have the pooled limits, and so does a context that is the only one: they are
    its own. In the pooled limits each context weighs as much as it has frames. Raises as `fit_limits` does.
    """
    x = np.asarray(scores, np.float64)
    labels = np.zeros(len(x)) if groups is None else np.asarray(groups)
    names, counts = np.unique(contexts, return_counts=True)
    needed = context_frames_needed(rate)
    enough = [str(name) for name, count in zip(names, counts, strict=True) if name and count >= needed]
    return ContextLimits(
        fit_limits(x, rate, seed, labels, resamples, tails),
        {
            name: fit_limits(x[contexts == name], rate, seed, labels[contexts == name], resamples, tails)
            for name in enough
            if len(names) > 1
        },
    )


def kde_quantile(
    scores: Floats, rate: float, seed: int = 0, resamples: int = 200, groups: npt.ArrayLike | None = None
) -> Quantile:
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
    return Quantile(
        value=value,
        low=min(float(low), value),
        high=max(float(high), value),
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


class JointScale:
    """All charts on one scale. Made once, since it is asked at every batch of frames.

    The joint score is the largest rarity of a score over that of its chart's limit: above 1 is an exceedance. A score
    that is not a number counts as infinite: what cannot be judged is not normal.
    """

    def __init__(self, limits: Sequence[Limit]) -> None:
        self.values = np.array([limit.value for limit in limits])
        self._tails = [limit.tail for limit in limits]
        self._at_limit = np.array([float(rarity(limit.value, limit.tail)) for limit in limits])

    def __call__(self, scores: Floats) -> tuple[Float64s, npt.NDArray[np.uint8]]:
        """Joint scores (m,) of *scores* (m, c), and the index of the chart that each comes from (m,)."""
        x = np.asarray(scores, np.float64)
        rare = np.stack([rarity(chart, tail) for chart, tail in zip(x.T, self._tails, strict=True)], axis=1)
        rare /= self._at_limit
        # Rounding must not make the two ways of asking, joint score and chart by chart, disagree.
        over = ~(x <= self.values)
        scaled = np.where(over, np.maximum(rare, ABOVE_ONE), np.minimum(rare, 1.0))
        return scaled.max(axis=1), scaled.argmax(axis=1).astype(np.uint8)


class ContextScale:
    """A joint scale for each context, made once and asked at every batch."""

    def __init__(self, limits: ContextLimits) -> None:
        self._pooled = JointScale(limits.pooled)
        self._own = {context.encode(): JointScale(own) for context, own in limits.own.items()}

    def __call__(
        self, scores: Floats, contexts: npt.NDArray[np.bytes_]
    ) -> tuple[Float64s, npt.NDArray[np.uint8], Float64s]:
        """Joint scores (m,) of *scores* (m, c), the charts they come from (m,), and the limits that held (m, c).

        *contexts* (m,) are UTF-8, as frames bring them.
        """
        found = set(contexts.tolist()) if self._own else set()
        if len(found) < 2:
            scale = self._own.get(found.pop(), self._pooled) if found else self._pooled
            return *scale(scores), np.broadcast_to(scale.values, scores.shape)
        joint, source = np.empty(len(scores)), np.empty(len(scores), np.uint8)
        values = np.empty(scores.shape)
        for context in found:
            rows, scale = contexts == context, self._own.get(context, self._pooled)
            joint[rows], source[rows] = scale(scores[rows])
            values[rows] = scale.values
        return joint, source, values


def _borders(groups: npt.NDArray[Any]) -> Indices:
    """Where each run of equal labels begins, and the end of the last."""
    changes = np.flatnonzero(groups[1:] != groups[:-1]) + 1
    return np.concatenate(([0], changes, [len(groups)])).astype(np.int64)


def _autocovariance(x: Floats) -> Float64s:
    """Sums of x_i x_(i+k) at lags k = 0 .. len(x) - 1."""
    transform = np.fft.rfft(x, 2 * len(x))
    covariance: Float64s = np.fft.irfft(np.square(np.abs(transform)), 2 * len(x))[: len(x)]
    return covariance
