"""How often held-out frames exceed limits, frame by frame and event by event, beside what the limits promise.

Frames resemble their neighbours, so that shares of frames have their interval over blocks. The frames that set a limit
exceed it about as often as they were meant to, whatever they are like: only later ones can show a promise kept.
"""

import itertools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from calibration.blocks import block_extremes, event_statistic
from calibration.evaluation import CONFIDENCE, Estimate, proportion, share_by_blocks
from calibration.events import EventRule
from calibration.extremes import EXCESSES
from calibration.realised import poisson_interval

Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


class Falling(NamedTuple):
    """The exponential tail of block extremes: *share* of them lies above *threshold*, e times fewer a *spread* on."""

    threshold: float
    share: float
    spread: float


class Rates(NamedTuple):
    """What *frames* in *hours* judged hours did at a warning and an action limit, each with its 95 % interval."""

    frames: int
    hours: float
    over_warning: int
    warning: Estimate  # share of frames
    over_action: int
    action: Estimate  # share of frames
    blocks: int
    blocks_over: int
    block: Estimate  # share of blocks with an event
    events: int
    per_hour: Estimate


def rates(
    joint: Float64s, borders: Indices, warning: float, action: float, rule: EventRule, block_frames: int, rate_hz: float
) -> Rates:
    """The rates of *joint* scores (m,), on the scale of the two limits, at *rate_hz* judged frames a second.

    Stretches begin at *borders*, which end with m. Shares of frames have their interval over blocks of *block_frames*.
    """
    block = np.arange(len(joint)) // block_frames
    record = block_extremes(joint, rule.k, rule.n, block_frames, borders)
    over = int((record.kept > action).sum())
    events = event_count(event_statistic(joint, rule.k, rule.n, borders) > action, borders, rule.clear_frames)
    hours = len(joint) / rate_hz / 3600
    low, high = poisson_interval(events, CONFIDENCE)
    return Rates(
        frames=len(joint),
        hours=hours,
        over_warning=int((joint > warning).sum()),
        warning=share_by_blocks(joint > warning, block),
        over_action=int((joint > action).sum()),
        action=share_by_blocks(joint > action, block),
        blocks=len(record.kept),
        blocks_over=over,
        block=proportion(over, len(record.kept)),
        events=events,
        per_hour=Estimate(events / hours, low / hours, high / hours),
    )


def event_count(over: npt.NDArray[np.bool_], borders: Indices, clear_frames: int) -> int:
    """The events of frames *over* (m,): those apart by more than *clear_frames*, or in two stretches, are two.

    As `calibration.events` tells them.
    """
    count = 0
    for first, last in itertools.pairwise(borders.tolist()):
        frames = np.flatnonzero(over[first:last])
        count += int(len(frames) > 0) + int((np.diff(frames) > clear_frames).sum())
    return count


def falling(extremes: npt.ArrayLike) -> Falling:
    """The tail of the largest of the *extremes* (b,) of blocks, as limits beyond all of them rest on.

    Of as many as in `calibration.extremes`; at least two are needed.
    """
    highest = np.sort(np.asarray(extremes))[::-1]
    count = min(EXCESSES, len(highest) // 2)
    threshold = float(highest[count])
    return Falling(threshold, (count + 1) / (len(highest) + 1), float(highest[:count].mean()) - threshold)


def times_as_many(extremes: npt.ArrayLike, higher: float) -> float:
    """How many times as many blocks exceed a level as do one that is *higher*, by the tail of the *extremes* (b,).

    NaN where these are all alike.
    """
    spread = falling(extremes).spread
    return float(np.exp(higher / spread)) if spread > 0 else np.nan
