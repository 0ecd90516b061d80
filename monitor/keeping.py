"""The promise as the side process knows it: judged hours and blocks on disk, events and verdicts in the journal."""

import logging
import math
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from calibration.realised import JobEvents, Rate, Realised, over_all, realised, tally
from monitor import blocklog
from monitor.alarms.alarm import STOP, Verdict
from monitor.blockstore import Block, BlockStore, beside
from monitor.orders import Promise, StopPromise
from monitor.shared import Arrays

PERIOD_NS: Final = 1_000_000_000
"""Blocks go to disk, and rates are worked out, so often."""

RECOUNT_NS: Final = 200_000
"""Alarms are counted anew after so long for each of them: to count one takes some ten microseconds of the thread that
writes new ones."""

RATE_APART: Final = 0.05
"""Of the frame rate that a budget was set for: beyond it, its hours are other hours."""

RATE_FRAMES: Final = 1000
"""Of fewer judged frames the time between them says too little."""

_log = logging.getLogger(__name__)


class RateStatus(msgspec.Struct, frozen=True):
    """Events an hour with a 90 % interval; None: no hour was judged, or no upper bound."""

    events: int
    per_hour: float | None
    low: float
    high: float | None


class JobStatus(msgspec.Struct, frozen=True):
    """Judged hours of a job, its events by verdict, and what may be said of the budget."""

    job: str | None  # None: all together
    hours: float
    true: int
    false: int
    unknown: int
    fewest: RateStatus  # none of the unknown was false
    most: RateStatus  # all of them were
    judgement: str  # kept, broken, not yet known
    hours_to_know: float
    why: str


class StopStatus(msgspec.Struct, frozen=True):
    """The budget of false stops, and what came true of it since the limits were set."""

    per_hour: float
    rule: str
    calibration_hours: float
    extrapolated_by: float
    dead_time_s: float
    why: str
    overall: JobStatus


class PromiseStatus(msgspec.Struct, frozen=True):
    """The false-alarm budget, and what came true of it since its limits were set."""

    per_hour: float
    conservative: bool
    calibration_hours: float
    extrapolated_by: float
    dead_time_s: float
    rate_hz: float  # judged frames that the budget takes for a second
    judged_rate_hz: float | None  # that there were in one since the limits were set; None: not known yet
    rate_apart: bool  # frames come so much faster or slower that the budget's hours are other hours
    why: str
    blocks: int  # kept for a new calibration
    overall: JobStatus
    jobs: list[JobStatus]  # the latest ones
    stops: StopStatus | None = None  # None: there is no budget of false stops


JOBS_SHOWN: Final = 20

Counted = Sequence[tuple[str, Verdict | None, int]]
"""How many alarms there are by job and verdict, the first job first."""

VerdictsSince = Callable[[Sequence[str], int], Counted]
"""Of the alarms of sources that were raised since a moment (Unix nanoseconds)."""


class Keeper:
    """Moves finished blocks from shared memory to disk, and works out what came true. Used by one thread."""

    def __init__(
        self,
        promise: Promise,
        charts: Sequence[str],
        journal: Path,
        log: Arrays,
        limits_ns: int = 0,
        stops: StopPromise | None = None,
    ) -> None:
        """What came true, of *charts* and of *stops*, counts from *limits_ns* (Unix) on, when the limits were set.

        Raises BlockStoreError where the file beside *journal* cannot be used.
        """
        self._promise = promise
        self._charts = charts
        self._stops = stops
        self._limits_ns = limits_ns
        self._log = log
        self._store = BlockStore(beside(journal))
        self._hours: dict[str, float] = {}
        self._frames = 0  # in these hours
        self._told = False  # that the frame rate is another
        self._since_ns: int | None = None  # when the first of their blocks began
        self._blocks = 0
        self._count(self._store.blocks(promise.scale))
        self._position = blocklog.START
        self._next_ns = 0
        self._news = True
        self._recount_ns = 0
        self._alarms: Counted = ()
        self._stopped: Counted = ()
        self.status: PromiseStatus | None = None
        self.why = ""

    def step(self, mono_ns: int, verdicts: VerdictsSince, news: bool) -> None:
        """Once a second: write the blocks that are finished, and count the alarms raised since the first began.

        *news*: alarms have changed since the last call. Where none has, none is counted anew,
        and of many only now and then.
        """
        self._news = self._news or news
        if mono_ns < self._next_ns:
            return
        self._next_ns = mono_ns + PERIOD_NS
        blocks, position = blocklog.read(self._log, self._position, self._promise.scale)
        try:
            new = self._store.add(blocks)
        except sqlite3.Error as error:
            if not self.why:
                _log.error("blocks of judged time cannot be written: %s", error)
            self.why = f"blocks of judged time cannot be written: {error}"
            return
        self._position, self.why = position, ""
        self._count(new)
        if self._news and self._since_ns is not None and mono_ns >= self._recount_ns:
            self._news = False
            self._alarms, self._stopped = (verdicts(one, self._since_ns) for one in (self._charts, (STOP,)))
            self._recount_ns = mono_ns + RECOUNT_NS * sum(count for _, _, count in (*self._alarms, *self._stopped))
        self.status = _status(self._promise, self._blocks, self._hours, self._rate_hz(), self._alarms)
        if self._stops is not None:
            stopped = _stop_status(self._stops, self._hours, self._stopped)
            self.status = msgspec.structs.replace(self.status, stops=stopped)
        if self.status.rate_apart and not self._told:
            self._told = True
            _log.warning(
                "%.4g frames are judged a second, and the false-alarm budget takes %.4g for one: set input.rate_hz to "
                "the camera's rate, and calibrate or recalibrate with it",
                self.status.judged_rate_hz,
                self.status.rate_hz,
            )

    def close(self) -> None:
        """Write the blocks that were finished in the last second, and close the file."""
        blocks, _ = blocklog.read(self._log, self._position, self._promise.scale)
        try:
            self._store.add(blocks)
        except sqlite3.Error as error:
            _log.error("the last %d blocks of judged time are lost: %s", len(blocks), error)
        self._store.close()

    def _rate_hz(self) -> float | None:
        seconds = 3600 * sum(self._hours.values())
        return self._frames / seconds if self._frames >= RATE_FRAMES and seconds > 0 else None

    def _count(self, blocks: Sequence[Block]) -> None:
        self._blocks += len(blocks)
        for block in blocks:
            began_ns = block.t_ns - round(block.judged_s * 1e9)
            if began_ns < self._limits_ns:  # judged by limits that others took the place of
                continue
            self._frames += block.frames
            self._hours[block.job] = self._hours.get(block.job, 0.0) + block.judged_s / 3600
            if self._since_ns is None:
                self._since_ns = began_ns


def _status(
    promise: Promise, blocks: int, hours: Mapping[str, float], rate_hz: float | None, alarms: Counted
) -> PromiseStatus:
    jobs = _by_job(hours, alarms)
    return PromiseStatus(
        per_hour=promise.per_hour,
        conservative=promise.conservative,
        calibration_hours=promise.hours,
        extrapolated_by=promise.extrapolated_by,
        dead_time_s=promise.dead_time_s,
        rate_hz=promise.rate_hz,
        judged_rate_hz=rate_hz,
        rate_apart=rate_hz is not None and abs(rate_hz / promise.rate_hz - 1) > RATE_APART,
        why=promise.why,
        blocks=blocks,
        overall=_of_job(realised(over_all(jobs), promise.per_hour)),
        jobs=[_of_job(realised(job, promise.per_hour)) for job in jobs[-JOBS_SHOWN:]],
    )


def _stop_status(stops: StopPromise, hours: Mapping[str, float], alarms: Counted) -> StopStatus:
    return StopStatus(
        per_hour=stops.per_hour,
        rule=stops.rule,
        calibration_hours=stops.hours,
        extrapolated_by=stops.extrapolated_by,
        dead_time_s=stops.dead_time_s,
        why=stops.why,
        overall=_of_job(realised(over_all(_by_job(hours, alarms)), stops.per_hour)),
    )


def _by_job(hours: Mapping[str, float], alarms: Counted) -> list[JobEvents]:
    unheard = {job: 0.0 for job, _, _ in alarms if job not in hours}
    return tally(alarms, {**hours, **unheard})


def _of_job(found: Realised) -> JobStatus:
    events: JobEvents = found.events
    return JobStatus(
        job=events.job,
        hours=events.hours,
        true=events.true,
        false=events.false,
        unknown=events.unknown,
        fewest=_rate(found.fewest),
        most=_rate(found.most),
        judgement=found.judgement,
        hours_to_know=found.hours_to_know,
        why=found.why,
    )


def _rate(rate: Rate) -> RateStatus:
    return RateStatus(rate.events, rate.per_hour, rate.low, rate.high if math.isfinite(rate.high) else None)
