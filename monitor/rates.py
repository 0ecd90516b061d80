"""The chart of rates in the daemon: how often the warning limit is exceeded in each layer, or window of judged frames.

The engine's thread counts, which costs next to nothing; the watch's thread judges what is finished, which may take tens
of milliseconds for a layer of a hundred thousand frames.
"""

import math
from collections import deque
from typing import Final

import numpy as np
import numpy.typing as npt

from calibration.events import Change, Event
from calibration.exceedance_rate import RateLimit, Unit, UnitRule, UnitScore, judge, reset, start, step, why_uncharted
from monitor import unitlog
from monitor.judge import SourcedChange
from monitor.manifest import FittedRates
from monitor.ring import text
from monitor.shared import Arrays
from monitor.types import Peak
from monitor.unitlog import FinishedUnit

Rows = npt.NDArray[np.void]

RATE_RULE: Final = "exceedance_rate"
"""The alarm's source, and the name of what raises it."""

WAITING_MOST: Final = 1024
"""Finished units that wait to be judged; more come only where the watch has stopped, which is told otherwise."""


class RateWatch:
    """Counts exceedances by unit, and raises an event from the first unit over its limit to the first that is not.

    Every finished unit is logged for the side process.

    A restarted camera continues no event.
    """

    def __init__(self, fitted: FittedRates, warning: float, log: Arrays) -> None:
        """*warning*: the warning limit in times the action limit."""
        self._warning = warning
        self._rule: UnitRule = fitted.rule
        self._limit: RateLimit = fitted.limit
        self._log = log
        self._unit = start(self._rule)
        self._stream = b""
        self._finished: deque[Unit] = deque(maxlen=WAITING_MOST)
        self._event: Event | None = None
        self._peak: Peak | None = None
        self._number = 0

    def take(self, rows: Rows) -> None:
        """Judged frames *rows* (m,) of one stream, in order."""
        stream = bytes(rows["stream"][0])
        if stream != self._stream:
            self._finished.extend(reset(self._unit))
            self._unit, self._stream = start(self._rule), stream
        self._unit, finished = step(self._rule, self._unit, rows, rows["joint"] > self._warning)
        self._finished.extend(finished)

    def judge(self) -> list[SourcedChange]:
        """What the units that have finished since change."""
        changes: list[SourcedChange] = []
        while self._finished:
            unit = self._finished.popleft()
            why = why_uncharted(self._rule, unit)
            score = judge(self._limit, unit.exceedances, unit.frames) if why is None else None
            unitlog.append(self._log, _finished(unit, score, self._limit.limit, why or ""))
            if score is not None:
                changes += self._judged(unit, score)
        return changes

    def _judged(self, unit: Unit, score: UnitScore) -> list[SourcedChange]:
        before = self._event
        if before is not None and (not score.over or before.first["stream"] != unit.first["stream"]):
            self._event = None
            ended = SourcedChange(RATE_RULE, RATE_RULE, Change("ended", before), self._peak)
            return [ended, *self._judged(unit, score)]
        if not score.over:
            return []
        peak = Peak(int(unit.peak["seq"]), score.score, score.limit, score.ratio)
        if before is None:
            self._event = Event(self._number, unit.first, unit.last, unit.peak, unit.exceedances)
            self._peak = peak
            self._number += 1
            return [SourcedChange(RATE_RULE, RATE_RULE, Change("began", self._event), peak)]
        worse = self._peak is None or peak.ratio > self._peak.ratio
        self._peak = peak if worse else self._peak
        self._event = before._replace(
            last=unit.last,
            peak=unit.peak if worse else before.peak,
            frames_over=before.frames_over + unit.exceedances,
        )
        return [SourcedChange(RATE_RULE, RATE_RULE, Change("grew", self._event), self._peak)]


def _finished(unit: Unit, score: UnitScore | None, limit: float, why: str) -> FinishedUnit:
    return FinishedUnit(
        stream=text(unit.first["stream"]),
        job=text(unit.job),
        layer=max(unit.layer, -1),
        first_seq=int(unit.first["seq"]),
        last_seq=int(unit.last["seq"]),
        frames=unit.frames,
        exceedances=unit.exceedances,
        score=math.nan if score is None else score.score,
        limit=limit,
        why=why,
    )
