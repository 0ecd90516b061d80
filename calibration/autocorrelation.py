"""Streams whose frames are not independent: how long they remember, and how to draw others like them."""

import itertools
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

BLOCK_TIMES: Final = 5.0  # autocorrelation times in a bootstrap block: cover 91 % at AR(1) 0.9
BLOCKS_MIN: Final = 8  # a bootstrap of fewer blocks repeats itself
SOKAL: Final = 5.0  # autocorrelation times over which the autocorrelation is summed


class Correlogram(NamedTuple):
    """How alike frames are that lie 0, 1, ... frames apart in one stretch: (lags,)."""

    correlation: Float64s
    pairs: Indices  # of frames so far apart


def borders_of(groups: npt.NDArray[Any]) -> Indices:
    """Where each run of equal labels begins, and the end of the last."""
    changes = np.flatnonzero(groups[1:] != groups[:-1]) + 1
    return np.concatenate(([0], changes, [len(groups)])).astype(np.int64)


def autocorrelation_time(x: Float64s, borders: Indices) -> float:
    """Integrated autocorrelation time of *x* in frames, at least 1, by Sokal's window.

    Of ranks, so that one wild score does not hide the memory of the others; groups (which begin at *borders*) are
    centred together: where groups differ as wholes, frames of one group say the same thing.
    """
    ranks = (
        scipy.stats.rankdata(x) - (len(x) + 1) / 2
    )  # equal scores alike: by their order they would remember each other for ever
    if x.min() == x.max():
        return 1.0
    longest = int(np.diff(borders).max())
    covariance = np.zeros(longest)
    for first, last in itertools.pairwise(borders.tolist()):
        covariance[: last - first] += autocovariance(ranks[first:last])
    times = 2 * np.cumsum(covariance / covariance[0]) - 1
    settled = np.arange(longest) >= SOKAL * times
    return max(1.0, float(times[np.argmax(settled) if settled.any() else longest - 1]))


def correlogram(x: Float64s, borders: Indices, lags: int) -> Correlogram:
    """The autocorrelation of *x* (m,) within stretches, which begin at *borders*, at lags 0 to *lags*.

    Of ranks less their stretch's mean. Lags that no half of a stretch holds are left out: a stretch says little of what
    it holds hardly twice.
    """
    ranks = within_stretches(x, borders) if len(borders) > 2 else scipy.stats.rankdata(x) - (len(x) + 1) / 2
    lengths = np.diff(borders)
    count = min(lags, int(lengths.max()) // 2) + 1
    sums, pairs = np.zeros(count), np.zeros(count, np.int64)
    for first, length in zip(borders[:-1].tolist(), lengths.tolist(), strict=True):
        held = min(count, length)
        sums[:held] += autocovariance(ranks[first : first + length])[:held]
        pairs[:held] += length - np.arange(held)
    variance = sums[0] / pairs[0]
    correlation = sums / pairs / variance if variance > 0 else np.zeros(count)
    return Correlogram(correlation, pairs)


def within_stretches(x: Floats, borders: Indices) -> Float64s:
    """The ranks of *x* (m,) less the mean rank of their stretch: what stretches, from *borders* on, share is gone.

    Of a single stretch, the ranks.
    """
    ranks = scipy.stats.rankdata(x)
    if len(borders) > 2:
        lengths = np.diff(borders)
        ranks = ranks - np.repeat(np.add.reduceat(ranks, borders[:-1]) / lengths, lengths)
    return np.asarray(ranks, np.float64)


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


def autocovariance(x: Floats) -> Float64s:
    """Sums of x_i x_(i+k) at lags k = 0 .. len(x) - 1."""
    transform = np.fft.rfft(x, 2 * len(x))
    covariance: Float64s = np.fft.irfft(np.square(np.abs(transform)), 2 * len(x))[: len(x)]
    return covariance
