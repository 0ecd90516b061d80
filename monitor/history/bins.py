"""Scores of many frames, told by their extremes: stretches of time of one length, of which the empty ones are left out.

Pure functions of arrays. A stretch loses nothing that an operator has to see: the lowest and the highest score of each
chart, how high one stood beside its own frame's limit, and how many frames were over theirs.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Float32s = npt.NDArray[np.float32]
Float64s = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64] | npt.NDArray[np.bool_]


class Bins(NamedTuple):
    """What was judged in k stretches of time, of c charts."""

    number: Int64s  # (k,) never falling: the first stretch begins where the monotonic clock is 0
    judged: Int64s  # (k,)
    low: Float32s  # (c, k)
    high: Float32s  # (c, k)
    ratio: Float64s  # (c, k) the highest, each score in parts of its own frame's limit
    over: Counts  # (c, k) frames over their limit
    limit: Float64s  # (c, k) that held for the last frame


def of_frames(number: Int64s, scores: Float32s, over: npt.NDArray[np.bool_], limits: Float64s) -> Bins:
    """Frames (n,) that fall into the bins *number*, with *scores*, *limits* and what is *over* them, each (c, n).

    Limits are above 0.
    """
    starts = _starts(number)
    ends = np.append(starts[1:], len(number))
    return Bins(
        number[starts],
        ends - starts,
        np.minimum.reduceat(scores, starts, axis=1),
        np.maximum.reduceat(scores, starts, axis=1),
        np.maximum.reduceat(scores / limits, starts, axis=1),
        _count_over(over, starts, ends),
        limits[:, ends - 1],
    )


def coarser(bins: Bins, factor: int) -> Bins:
    """The same in stretches *factor* times as long."""
    number = bins.number // factor
    starts = _starts(number)
    ends = np.append(starts[1:], len(number))
    return Bins(
        number[starts],
        np.add.reduceat(bins.judged, starts),
        np.minimum.reduceat(bins.low, starts, axis=1),
        np.maximum.reduceat(bins.high, starts, axis=1),
        np.maximum.reduceat(bins.ratio, starts, axis=1),
        np.add.reduceat(bins.over, starts, axis=1),
        bins.limit[:, ends - 1],
    )


def _starts(number: Int64s) -> npt.NDArray[np.intp]:
    """Where each stretch of equal numbers begins; there is at least one."""
    return np.concatenate(([0], np.flatnonzero(number[1:] != number[:-1]) + 1))


def _count_over(over: npt.NDArray[np.bool_], starts: npt.NDArray[Any], ends: npt.NDArray[Any]) -> Int64s:
    """Nearly always none is: that costs one pass."""
    if not over.any():
        return np.zeros((len(over), len(starts)), np.int64)
    if len(starts) == 1:
        return np.asarray(np.count_nonzero(over, axis=1)[:, None], np.int64)
    before = np.zeros((len(over), over.shape[1] + 1), np.int64)
    np.cumsum(over, axis=1, out=before[:, 1:])
    counts: Int64s = before[:, ends] - before[:, starts]
    return counts
