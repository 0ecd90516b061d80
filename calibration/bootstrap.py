"""Other calibrations like this one: what mean and covariance of the latents, and so T2, would have been by chance.

Mean and covariance rest on finite frames, as limits do. Each resample gives every frame of the training a random weight
instead of drawing it or not (Bayesian bootstrap, Rubin 1981): groups first, then blocks within a group, longer than its
memory, by exponential weights of mean 1. No frame is ever quite left out, so no resampled covariance is singular that
was not so before.

Of y = (1, x, |x|^2), x the centred latent, the block sums of y y' are all that mean, covariance and the shrinkage of
Ledoit and Wolf (2004) take: sum |x - u|^4 is a quadratic form of them too. So a resample is exact, and costs a weighted
sum of at most some 400 matrices, however many frames there are.

What `charts.fit_latent` does beside that, leaving out frames that come in spells, is not done again: it looks where in
the recording frames lie, and a resample has no such order. Each resample is therefore told relative to the fit of the
same frames at equal weights: without resampling, T2 stays what it was, whatever frames its mean and covariance left
out. Who knows which those were leaves them out here too.
"""

import itertools
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy

from calibration.autocorrelation import BLOCK_TIMES, BLOCKS_MIN, autocorrelation_time, borders_of
from calibration.charts import CalibrationError

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

RESAMPLES: Final = 200
BLOCKS_MAX: Final = 400  # the variance over so many blocks is known to 7 %
CONFIDENCE: Final = 0.90
PERCENTILES_FROM: Final = 50  # resamples; fewer have no 5 % percentile to speak of
RIDGE: Final = 1e-6  # of the mean variance, as in `charts.fit_latent`


class Refits(NamedTuple):
    """How r resamples of the training would have whitened: T2 of whitened latents q is |whitening (q - mean)|^2."""

    frames: int  # k, that gave mean and covariance
    means: Float64s  # (r, p)
    whitenings: Float64s  # (r, p, p)


def refits(latents: Floats, groups: npt.ArrayLike | None = None, resamples: int = RESAMPLES, seed: int = 0) -> Refits:
    """Resamples of mean and covariance of training *latents* (k, p), not whitened, in the order of their recording.

    *groups* (k,) label runs of frames recorded apart. Blocks are five times as long as the longest autocorrelation
    time of a coordinate. Raises CalibrationError for k < p + 2, latents that are not finite or do not vary; ValueError
    for labels of other frames.
    """
    x = _centred(latents)
    k, p = x.shape
    borders = borders_of(np.zeros(k) if groups is None else np.asarray(groups))
    if borders[-1] != k:
        raise ValueError(f"{k} training frames need as many group labels, not {borders[-1]}")
    borders = np.append(borders[:-1][:: -(-(len(borders) - 1) // BLOCKS_MAX)], k)  # too many groups: several as one
    cuts = _blocks(borders, max(autocorrelation_time(column, borders) for column in x.T))
    moments = block_moments(x, cuts)
    mean, lower = shrunk_fit(moments.sum(axis=0), k)
    owner = np.searchsorted(borders, cuts[:-1], side="right") - 1
    random = np.random.default_rng((seed, 1))  # held-out frames are drawn by (seed, 0): the two are independent
    found = Refits(k, np.empty((resamples, p)), np.empty((resamples, p, p)))
    for r in range(resamples):
        weights = _weights(owner, np.diff(cuts), random)
        again, its_lower = shrunk_fit(np.tensordot(weights, moments, 1), k)
        found.means[r] = scipy.linalg.solve_triangular(lower, again - mean, lower=True)
        found.whitenings[r] = scipy.linalg.solve_triangular(its_lower, lower, lower=True)
    return found


def block_moments(x: Float64s, cuts: Indices) -> Float64s:
    """Sums of y y' over each block, (b, p + 2, p + 2), with y = (1, x, |x|^2)."""
    y = np.column_stack((np.ones(len(x)), x, np.square(x).sum(axis=1)))
    return np.stack([y[first:last].T @ y[first:last] for first, last in itertools.pairwise(cuts.tolist())])


def shrunk_fit(moments: Float64s, k: int) -> tuple[Float64s, Float64s]:
    """Mean (p,) and lower Cholesky factor (p, p) of the Ledoit-Wolf covariance, from the sum of y y' over k frames."""
    moments = moments / k
    mean = moments[0, 1:-1]
    covariance = moments[1:-1, 1:-1] - np.outer(mean, mean)
    p = len(mean)
    variance = float(np.trace(covariance)) / p
    # |x - mean|^2 = form' y. Ledoit and Wolf 2004, lemma 3.2 to 3.4: how far one frame lies from S, and S from a ball.
    form = np.concatenate(([mean @ mean], -2 * mean, [1.0]))
    apart = float(np.square(covariance).sum())
    scatter = (float(form @ moments @ form) - apart) / k
    distance = apart - p * variance**2
    shrinkage = min(max(scatter / distance, 0.0), 1.0) if distance > 0 else 0.0
    shrunk = (1 - shrinkage) * covariance
    shrunk.flat[:: p + 1] += (shrinkage + RIDGE) * variance
    return mean, np.asarray(np.linalg.cholesky(shrunk), np.float64)


def interval(value: float, again: Floats) -> tuple[float, float]:
    """90 % interval about *value* from what resamples gave *again* (r,): percentiles, moved until their median is it.

    A resampled covariance is noisier than the one it is drawn from, and its inverse larger: T2 of resamples is too high
    as a whole, which says nothing of the limit (Efron 1987 on bias). Below 50 resamples, standard deviation and
    Student's t.
    """
    beside = (1 - CONFIDENCE) / 2
    if len(again) >= PERCENTILES_FROM:
        low, middle, high = np.quantile(again, [beside, 0.5, 1 - beside])
        return value - float(middle - low), value + float(high - middle)
    reach = float(scipy.stats.t.isf(beside, len(again) - 1) * np.std(again, ddof=1)) if len(again) > 1 else 0.0
    return value - reach, value + reach


def _centred(latents: Floats) -> Float64s:
    z = np.asarray(latents, np.float64)
    if z.ndim != 2:
        raise ValueError(f"latents must be of shape (k, p), not {z.shape}")
    k, p = z.shape
    if k < p + 2:
        raise CalibrationError(f"{k} frames cannot fit a latent of {p}: give at least {p + 2} frames")
    if not np.isfinite(z).all():
        raise CalibrationError("latents are not finite: train again with a smaller learning rate")
    x: Float64s = z - z.mean(axis=0)
    if float(np.square(x).mean()) <= 1e-24 * max(1.0, float(np.square(z).mean())):
        raise CalibrationError("all calibration frames look alike to the network: give frames that differ")
    return x


def _blocks(borders: Indices, time: float) -> Indices:
    """Where the blocks begin into which groups (from *borders*) are cut evenly, and the end of the last."""
    k = int(borders[-1])
    wanted = max(np.ceil(BLOCK_TIMES * time), k / BLOCKS_MAX)
    block = max(min(wanted, k / BLOCKS_MIN), 1.0)
    pieces = [
        np.linspace(first, last, max(1, int((last - first) / block)) + 1)[:-1]
        for first, last in itertools.pairwise(borders.tolist())
    ]
    return np.append(np.concatenate(pieces).astype(np.int64), k)


def _weights(owner: Indices, frames: Indices, random: np.random.Generator) -> Float64s:
    """Weights (b,) of blocks of so many *frames*, one exponential weight for a group (*owner*) and one for a block."""
    blocks = random.exponential(size=len(owner))
    of_group = np.bincount(owner, frames) / np.bincount(owner, frames * blocks)
    weights = blocks * (of_group * random.exponential(size=len(of_group)))[owner]
    scaled: Float64s = weights * (frames.sum() / (frames * weights).sum())
    return scaled
