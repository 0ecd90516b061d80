"""What is counted of a stream of judged frames, one after the other: times, and blocks of scores."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from calibration.compiled import compiled, inlined

Array = npt.NDArray[Any]


@compiled
def count_since(times_ns: Array, now_ns: int, least_ns: int, bounds: Array, counts: Array, total: Array) -> int:
    """Counts how long before *now_ns* each of *times_ns* (n,) was, less the least of all, *least_ns* among them.

    *bounds* (b,), in seconds, belong to the bucket below them; *counts* (b + 1,) and *total* (1,), seconds, grow.
    Returns the least.
    """
    for index in range(len(times_ns)):
        least_ns = min(least_ns, now_ns - times_ns[index])
    for index in range(len(times_ns)):
        seconds = np.float64(now_ns - times_ns[index] - least_ns) / 1e9
        bucket = 0
        while bucket < len(bounds) and seconds > bounds[bucket]:
            bucket += 1
        counts[bucket] += 1
        total[0] += seconds
    return least_ns


@compiled
def judged_seconds(
    seq: Array, t_ns: Array, before_seq: int, before_ns: int, waiting: int, period_s: float, pause: float
) -> tuple[float, int]:
    """How long frames *seq* (n,) of times *t_ns* (n,) took, and how many wait since time moved on: *waiting* before.

    By the clock between frames that follow each other and are no *pause* apart, else *period_s* each. *pause* is in
    times that so many frames take.
    """
    seconds = 0.0
    for index in range(len(seq)):
        waiting += 1
        follows, passed_s = seq[index] - before_seq == 1, (t_ns[index] - before_ns) / 1e9
        before_seq, before_ns = seq[index], t_ns[index]
        if not follows or passed_s != 0.0:
            nominal_s = waiting * period_s
            seconds += passed_s if follows and 0.0 < passed_s <= pause * nominal_s else nominal_s
            waiting = 0
    return seconds, waiting


@compiled
def kth_largest(x: Array, k: int, window: Array, found: Array) -> None:
    """The k-th largest of the last n of *x* (m,), into *found* (m,); what is no number counts as infinite.

    *window* (n,) is to hold minus infinity. It is kept in order: each score takes the place of the one that leaves.
    """
    n = len(window)
    for index in range(len(x)):
        value = _or_infinite(x[index])
        leaving, place = _or_infinite(x[index - n]) if index >= n else -math.inf, 0
        while window[place] != leaving:
            place += 1
        while place + 1 < n and window[place + 1] < value:
            window[place] = window[place + 1]
            place += 1
        while place > 0 and window[place - 1] > value:
            window[place] = window[place - 1]
            place -= 1
        window[place] = value
        found[index] = window[n - k]


@inlined
def _or_infinite(score: Any) -> Any:
    return math.inf if math.isnan(score) else score


@compiled
def count_blocks(
    joint: Array, levels: Array, block_frames: int, frames: int, exceeded: int, sums: Array
) -> tuple[int, int, int]:
    """How many of *levels* (l,), rising, the scores *joint* (m,) of a block exceed in all, into *sums* (b,).

    For each block that is finished; NaN are left out. The unfinished one holds *frames* that *exceeded* so many before.
    Returns how many were finished, and what the unfinished one is then.
    """
    finished = 0
    for index in range(len(joint)):
        if math.isnan(joint[index]):
            continue
        for level in range(len(levels)):
            exceeded += levels[level] < joint[index]
        frames += 1
        if frames == block_frames:
            sums[finished] = exceeded
            finished, frames, exceeded = finished + 1, 0, 0
    return finished, frames, exceeded


@compiled
def shares_beyond(known: Array, lowered: int, raised: int, order: float) -> tuple[float, float]:
    """Shares of *known* (b,) blocks and one more that lie above the bin *lowered*, and below the bin *raised*.

    Of those in the bin, the one more among them, so many as *order*, from 0 to 1, says.
    """
    above, below, total = 0, 0, 1
    for place in range(len(known)):
        total += known[place]
        above += known[place] if place > lowered else 0
        below += known[place] if place < raised else 0
    above_share = (above + order * (known[lowered] + 1)) / total
    return above_share, (below + (1 - order) * (known[raised] + 1)) / total


@compiled
def gather(gathered: Array, shifts: Array, above: float, below: float) -> None:
    """The logarithms *gathered* (2, s) of R for *shifts* (s,) up and down, after bets on normal scores; in place."""
    for index in range(len(shifts)):
        shift = shifts[index]
        gathered[0, index] = _log1p_exp(gathered[0, index]) + shift * above - shift * shift / 2
        gathered[1, index] = _log1p_exp(gathered[1, index]) + shift * below - shift * shift / 2


@inlined
def _log1p_exp(x: Any) -> Any:
    return x + math.log1p(math.exp(-x)) if x > 0.0 else math.log1p(math.exp(x))
