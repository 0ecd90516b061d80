"""Extremes of blocks of a stream: what a budget of false alarms is fitted on, kept as the stream runs.

The event rule (`calibration.events`) finds a frame over where k of the last n joint scores exceed the limit: where the
k-th largest of them does. That is the event statistic, and its highest value in a block of judged frames tells of all
limits at once whether the block would have held an event. Blocks run on over gaps, the windows of the rule do not.
"""

import itertools
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from calibration.autocorrelation import (
    BLOCK_TIMES,
    autocorrelation_time,
    autocovariance,
    borders_of,
    within_stretches,
)
from calibration.charts import CalibrationError
from calibration.layout import laid_out

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

BLOCKS_MIN: Final = 20  # fewer say nothing about a tail
WINDOWS: Final = 10
"""Windows of the event rule that a block is at least long: an event across a border would count in two blocks."""

LEVEL: Final = 0.01  # of the test for dependence: a needless doubling costs half of the blocks
PERIODS: Final = 4  # times that the longest lag looked at must fit into the blocks


class BlockExtremes(NamedTuple):
    """The highest event statistic of every block of judged frames: all that a limit needs, and what comes next.

    All of one joint scale. A block that was left out is NaN. `begin` makes the first.
    """

    k: int
    n: int
    block_frames: int
    extremes: Float64s  # (b,) of finished blocks, in order
    frames: int  # in the unfinished block
    highest: float  # event statistic in it
    recent: Float64s  # (n - 1,) joint scores that came last, fewer after a gap

    @property
    def kept(self) -> Float64s:
        """Extremes of the blocks that were not left out."""
        return self.extremes[~np.isnan(self.extremes)]


def event_statistic(joint: Floats, k: int, n: int, borders: Indices | None = None) -> Float64s:
    """The k-th largest of the last n of *joint* (m,) at every frame (m,): over a limit exactly where the frame is.

    Windows end where a stretch begins: *borders* are the first frames of all stretches, and m. Of fewer than k frames
    it is minus infinity. Raises ValueError unless 1 <= k <= n.
    """
    if not 1 <= k <= n:
        raise ValueError(f"an event rule needs 1 <= k <= n, not {k} of {n}")
    from calibration.compiled.stream import kth_largest

    x = laid_out(np.asarray(joint), np.float64)
    found = np.empty(len(x))
    for first, last in itertools.pairwise([0, len(x)] if borders is None else borders.tolist()):
        kth_largest(x[first:last], k, np.full(n, -np.inf), found[first:last])
    return found


def begin(k: int, n: int, block_frames: int) -> BlockExtremes:
    """A record of no frames yet. Raises ValueError for a rule or a block that no frame could fill."""
    if not (1 <= k <= n and block_frames >= 1):
        raise ValueError(f"blocks need 1 <= k <= n and at least one frame, not {k} of {n} and {block_frames}")
    return BlockExtremes(k, n, block_frames, np.empty(0), 0, -np.inf, np.empty(0))


def step(record: BlockExtremes, joint: Floats) -> BlockExtremes:
    """*record* after the next *joint* scores (m,) of judged frames, however the stream is cut into batches."""
    if len(joint) == 0:
        return record
    known = np.concatenate((record.recent, np.asarray(joint, np.float64)))
    statistic = event_statistic(known, record.k, record.n)[len(record.recent) :]
    later = np.arange(record.block_frames - record.frames, len(statistic), record.block_frames)
    highest = np.maximum.reduceat(statistic, np.concatenate(([0], later)))
    highest[0] = np.maximum(highest[0], record.highest)
    finished, frames = divmod(record.frames + len(statistic), record.block_frames)
    return record._replace(
        extremes=np.concatenate((record.extremes, highest[:finished])) if finished else record.extremes,
        frames=frames,
        highest=float(highest[finished]) if frames else -np.inf,
        recent=known[max(len(known) - record.n + 1, 0) :],
    )


def gap(record: BlockExtremes) -> BlockExtremes:
    """*record* where the next frame does not follow on the last: no window reaches across."""
    return record._replace(recent=np.empty(0))


def block_extremes(joint: Floats, k: int, n: int, block_frames: int, borders: Indices) -> BlockExtremes:
    """The record of all *joint* scores (m,) of stretches that begin at *borders*, which end with m."""
    record = begin(k, n, block_frames)
    for first, last in itertools.pairwise(borders.tolist()):
        record = step(gap(record), joint[first:last])
    return record


def block_frames(joint: Floats, k: int, n: int, borders: Indices, layer_frames: int = 1) -> int:
    """Frames in a block so long that blocks of *joint* scores (m,) say nothing about each other.

    From five autocorrelation times of the event statistic, ten windows of the rule and *layer_frames*, whichever is
    longest, it doubles until block extremes pass the test of `dependence` at 1 %. It stops where fewer than 20
    blocks would be left: then blocks depend on each other, and their effective number is smaller. Memory is that within
    stretches: that stretches differ as wholes (`calibration.groups`) no block would be long enough for, and it makes no
    two events one. Raises CalibrationError for a stretch that does not hold 20 of the shortest blocks.
    """
    shortest = max(WINDOWS * n, layer_frames)
    longest = len(joint) // BLOCKS_MIN
    if longest < shortest:
        raise CalibrationError(f"{len(joint)} frames to set a limit are too few: give at least {BLOCKS_MIN * shortest}")
    statistic = event_statistic(joint, k, n, borders)
    memory = int(np.ceil(BLOCK_TIMES * autocorrelation_time(within_stretches(statistic, borders), borders)))
    frames = min(max(memory, shortest), longest)
    while 2 * frames <= longest and _dependent(block_extremes(joint, k, n, frames, borders), borders):
        frames *= 2
    return frames


def _dependent(record: BlockExtremes, borders: Indices) -> bool:
    """Whether blocks of one stretch say something about each other; a block is of the stretch of its middle frame."""
    middles = (np.arange(len(record.extremes)) + 0.5) * record.block_frames
    return dependence(record.extremes, borders_of(np.searchsorted(borders, middles, side="right"))) < LEVEL


def dependence(extremes: Floats, borders: Indices | None = None) -> float:
    """How likely independent blocks would be as correlated as those of *extremes* (b,), in order: a probability.

    Of pairs within stretches, which begin at *borders*, the last of which is b: what stretches differ by as wholes is
    taken out. Two tests of ranks, each at half of the level: of neighbours, and of all lags up to a quarter of the
    longest stretch, since in a periodic stream neighbours need not be alike. At each lag the sum of products of
    independent ranks is about normal; the largest is judged as one of many (Bonferroni).
    """
    cuts = np.array([0, len(extremes)]) if borders is None else borders
    ranks = within_stretches(extremes, cuts)
    lags = int(np.diff(cuts).max()) // PERIODS
    products, expected, variance = np.zeros((3, lags))
    for first, last in itertools.pairwise(cuts.tolist()):
        x = ranks[first:last] - ranks[first:last].mean()
        pairs = np.maximum(len(x) - np.arange(1, lags + 1), 0)
        held = min(lags, len(x) - 1)
        products[:held] += autocovariance(x)[1 : held + 1]
        mean_square = float(np.square(x).mean())
        # Less their own mean, even independent ranks are each other's opposites a little: of few, a great deal.
        expected -= pairs * mean_square / max(len(x) - 1, 1)
        variance += pairs * mean_square**2
    if lags == 0:
        return 1.0
    z = np.divide(np.abs(products - expected), np.sqrt(variance), out=np.zeros(lags), where=variance > 0)
    neighbours, any_lag = 2 * ndtr(-z[0]), 2 * lags * ndtr(-z.max())
    return float(min(1.0, 2 * min(neighbours, any_lag)))
