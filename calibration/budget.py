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
from calibration.extremes import bound_of, level_of
from calibration.tails import Tail, rarity

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

TAIL_PART: Final = 0.2
"""Of the frames: there the charts' tails are fitted. What is left sets the limit."""

RUNS_ENOUGH: Final = 5
"""... by whole runs; of fewer it is the end of every stretch, since a chart with a memory fills it first."""

BLOCK_SHARE_MAX: Final = 0.1
"""Of blocks that may exceed the limit: of more, too many would hold two events, or one with the block before."""

CLUSTER_BLOCKS: Final = 10
LEAST_CLUSTERING: Final = 0.2

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


def budget_limit(record: BlockExtremes, per_hour: float, rate_hz: float) -> BudgetLimit:
    """The joint limit that *per_hour* events exceed, from block extremes alone; *rate_hz* judged frames a second.

    A share a = per_hour x block hours of the blocks may exceed it, at most one in ten: where that is less than asked
    for, the limit promises fewer events. Where less than one event was to be expected in all of them, the limit is
    extrapolated (`calibration.extremes`). Raises CalibrationError for fewer than 20 blocks and for extremes that are
    not finite, ValueError for a budget or a rate that is not above 0.
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
    hours = len(extremes) * block_hours
    wanted = share * (len(extremes) + 1)
    over = min(share / clustering(extremes), BLOCK_SHARE_MAX)  # of blocks: several may be one event
    limit = level_of(falling, over)
    low, high, conservative = (bound_of(falling, over, time, level) for level in (*INTERVAL, CONSERVATIVE))
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
        why=_why(per_hour, promised, wanted, hours, dependence(extremes) < LEVEL, len(extremes) / time),
    )


def for_tails(groups: Indices, runs: Indices) -> npt.NDArray[np.bool_]:
    """Which frames (m,) of stretches *groups* (m,), parts of *runs* (m,), fit the tails.

    Of five runs or more every fifth, since what a run shows changes from its beginning to its end; of fewer the last
    fifth of every stretch.
    """
    names, first = np.unique(runs, return_index=True)
    if len(names) < RUNS_ENOUGH:
        return endings(borders_of(groups))
    in_order = names[np.argsort(first)]
    return np.isin(runs, in_order[RUNS_ENOUGH - 1 :: RUNS_ENOUGH])


def endings(borders: Indices) -> npt.NDArray[np.bool_]:
    """Whether each frame (m,) lies in the last fifth of its stretch."""
    late = np.zeros(borders[-1], np.bool_)
    for first, last in itertools.pairwise(borders.tolist()):
        late[last - round(TAIL_PART * (last - first)) : last] = True
    return late


def clustering(extremes: Float64s) -> float:
    """Events for each block over a high level (the extremal index, Leadbetter 1983), at most 1.

    Neighbouring blocks over it are one event, by the dead time. Blocks of one stretch are tested to be independent, but
    stretches differ, and in a bad one many blocks are over. From the highest twentieth of *extremes* (b,) in their
    order, ten at least; what independent blocks would show by chance is taken off.
    """
    count = max(CLUSTER_BLOCKS, len(extremes) // 20)
    if 2 * count > len(extremes):
        return 1.0
    over = extremes >= np.partition(extremes, -count)[-count]
    share = float(over.mean())
    if 2 * share > 1:  # ties: no level tells them apart
        return 1.0
    followed = float((over[1:] & over[:-1]).sum()) / float(over.sum())
    return min(1.0, max(1.0 - (followed - share) / (1.0 - share), LEAST_CLUSTERING))


def _why(asked: float, promised: float, events: float, hours: float, dependent: bool, effective: float) -> str:
    """What a person should know of the limit, in one sentence."""
    if events >= 1:
        told = f"about {events:.3g} events exceed the limit in the {hours:.3g} judged hours that set it"
    else:
        told = f"extrapolated: {hours:.3g} judged hours are {1 / events:.3g} times too short for {promised:.3g} an hour"
    if promised < asked:
        told += f"; it promises {promised:.3g} events an hour, not {asked:.3g}, since the stream's memory is too long"
    if dependent:
        told += f"; neighbouring blocks are alike, and say as much as {effective:.3g} independent ones"
    return told
