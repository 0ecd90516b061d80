"""The false-alarm budget: the limit that raises as many events in a judged hour as an operator is ready to bear.

Five steps: charts on one scale by tails of a part of the stretch of their own; the statistic that raises events; blocks
longer than the stream's memory (`calibration.blocks`); the limit as a conformal quantile of block extremes; a dead time
of one block, within which all is one event. `calibration.action` goes through them all.
"""

import itertools
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from calibration.autocorrelation import autocorrelation_time, borders_of
from calibration.blocks import BLOCKS_MIN, LEVEL, BlockExtremes, dependence
from calibration.charts import CalibrationError
from calibration.extremes import bound_of, cluster_levels, level_of
from calibration.tails import Tail, rarity

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

TAIL_PARTS: Final = 5
"""Of every stretch one in so many: there the charts' tails are fitted. What is left sets the limit."""

BLOCK_SHARE_MAX: Final = 0.1
"""Of blocks that may exceed the limit: of more, too many would hold two events, or one with the block before."""

INTERVAL: Final = (0.05, 0.95)
CONSERVATIVE: Final = 0.90

CONFORMAL: Final = "conformal quantile of block extremes"
PEAKS: Final = "peaks over threshold of block extremes"


class BudgetLimit(NamedTuple):
    """A limit on the joint score for a budget of events. *low* and *high* bound the true one with 90 % confidence."""

    limit: float
    low: float
    high: float
    conservative: float  # above the true limit with 90 % confidence
    method: str
    per_hour: float  # events that the limit promises: what was asked for, or fewer (see *why*)
    blocks: int
    effective_blocks: float  # independent blocks that say as much as these
    block_frames: int  # the dead time too: `clear_frames` of the event rule
    hours: float  # judged, in these blocks
    extrapolated_by: float  # times that these hours are too short for the budget; 1 where they support it
    capped: bool  # fewer events than promised exceed the limit: they last so long that one block in ten is over
    why: str  # one sentence

    @property
    def supported(self) -> bool:
        return self.extrapolated_by == 1.0


def joint_score(scores: Floats, tails: Sequence[Tail]) -> Float64s:
    """The rarity (m,) of the most extreme of the charts of *scores* (m, c)."""
    joint = np.full(len(scores), -np.inf)
    for chart, tail in zip(np.asarray(scores).T, tails, strict=True):
        np.maximum(joint, rarity(chart, tail), out=joint)
    return joint


def budget_limit(record: BlockExtremes, per_hour: float, rate_hz: float, dead_frames: int | None = None) -> BudgetLimit:
    """The joint limit that *per_hour* events exceed, from block extremes alone; *rate_hz* judged frames a second.

    The event rule's dead time is *dead_frames*, by default a block: of longer blocks each that is over is an event.

    Events may be a share a = per_hour x block hours of the blocks, at most one in ten: where that is less than asked
    for, the limit promises fewer. Blocks over the limit that follow each other are one event, as they are where the
    rule runs: counted one by one, a single run that scores high throughout would use up the budget of all. But no more
    than one block in ten is over, however few events that makes. Where less than one event was to be expected in all of
    them, the limit is extrapolated (`calibration.extremes`). Raises CalibrationError for fewer than 20 blocks and for
    extremes that are not finite, ValueError for a budget or a rate that is not above 0.
    """
    if not (per_hour > 0 and rate_hz > 0):
        raise ValueError(f"a budget needs events an hour and frames a second above 0, not {per_hour} and {rate_hz}")
    extremes = record.kept
    if len(extremes) < BLOCKS_MIN:
        raise CalibrationError(f"{len(extremes)} blocks are too few: judge at least {BLOCKS_MIN} before a limit is set")
    if not np.isfinite(extremes).all():
        raise CalibrationError("a block holds scores that are not finite: leave it out")
    block_hours = record.block_frames / rate_hz / 3600
    promised = min(per_hour, BLOCK_SHARE_MAX / block_hours)
    share = promised * block_hours
    time = autocorrelation_time(extremes, np.array([0, len(extremes)]))
    falling = np.sort(extremes)[::-1]
    events = event_levels(record.extremes, record.block_frames <= (dead_frames or record.block_frames))
    hours = len(extremes) * block_hours
    wanted = share * (len(extremes) + 1)
    limit = joint_limit(falling, events, share)
    capped = limit > level_of(falling, share, events)
    low, high, conservative = (
        max(bound_of(falling, share, time, one, events), bound_of(falling, BLOCK_SHARE_MAX, time, one))
        for one in (*INTERVAL, CONSERVATIVE)
    )
    return BudgetLimit(
        limit=limit,
        low=min(low, limit),
        high=max(high, limit),
        conservative=max(conservative, limit),
        method=CONFORMAL if wanted >= 1 else PEAKS,
        per_hour=promised,
        blocks=len(extremes),
        effective_blocks=len(extremes) / time,
        block_frames=record.block_frames,
        hours=hours,
        extrapolated_by=max(1.0, 1.0 / wanted),
        capped=capped,
        why=_why(
            per_hour,
            promised,
            wanted,
            hours,
            dependent=dependence(extremes) < LEVEL,
            effective=len(extremes) / time,
            capped=capped,
            long=dead_frames is not None and record.block_frames > dead_frames,
        ),
    )


def joint_limit(falling: Floats, events: Floats, share: float) -> float:
    """The joint limit that so many events exceed as are *share* of the blocks, and no more than one block in ten.

    From the extremes (b,) in *falling* order and their levels of *events* (e,), as `event_levels` gives them.
    """
    return max(level_of(falling, share, events), level_of(falling, BLOCK_SHARE_MAX))


def event_levels(extremes: Floats, merge: bool) -> Float64s:
    """Joint limits (e,) in falling order, at the j-th of which *extremes* (b,) of blocks, in order, hold j events.

    Blocks that follow each other *merge* where they are no longer than the dead time; of longer ones each is one event.
    """
    if merge:
        return cluster_levels(extremes)
    return np.sort(np.asarray(extremes[~np.isnan(extremes)], np.float64))[::-1]


def for_tails(groups: Indices, runs: Indices) -> npt.NDArray[np.bool_]:
    """Which frames (m,) of stretches *groups* (m,), parts of *runs* (m,), fit the tails: a fifth of every stretch.

    Of the first run the last fifth, where a chart with a memory has filled it; of the next the fourth, and so on: what
    a run shows changes from its beginning to its end, and no run alone may set the scale.
    """
    names, first = np.unique(runs, return_index=True)
    order = np.empty(len(names), np.int64)
    order[np.argsort(first)] = np.arange(len(names))
    number = order[np.searchsorted(names, runs)]
    chosen = np.zeros(len(groups), np.bool_)
    for begin, end in itertools.pairwise(borders_of(groups).tolist()):
        edges = begin + np.round(np.linspace(0, end - begin, TAIL_PARTS + 1)).astype(np.int64)
        part = TAIL_PARTS - 1 - int(number[begin]) % TAIL_PARTS
        chosen[edges[part] : edges[part + 1]] = True
    return chosen


def _why(
    asked: float,
    promised: float,
    events: float,
    hours: float,
    *,
    dependent: bool,
    effective: float,
    capped: bool,
    long: bool,
) -> str:
    """What a person should know of the limit, in one sentence."""
    if capped:
        told = (
            f"fewer than {events:.3g} events exceed the limit in the {hours:.3g} judged hours that set it: they last "
            "long, and no more than one block in ten is let through"
        )
    elif events >= 1:
        told = f"about {events:.3g} events exceed the limit in the {hours:.3g} judged hours that set it"
    else:
        told = f"extrapolated: {hours:.3g} judged hours are {1 / events:.3g} times too short for {promised:.3g} an hour"
    if promised < asked:
        reason = "the kept blocks are too long: give a clean stretch" if long else "the stream's memory is too long"
        told += f"; it promises {promised:.3g} events an hour, not {asked:.3g}, since {reason}"
    if dependent:
        told += f"; neighbouring blocks are alike, and say as much as {effective:.3g} independent ones"
    return told
