"""The chart of rates as the side process knows it: how each layer and each job did.

Counted since the daemon's start, and over the latest units only: nothing of it is kept on disk. A restart of the side
process alone finds the units of the present hot process again, and those of earlier ones no more.
"""

import threading
from collections import deque
from collections.abc import Sequence
from functools import cached_property
from typing import Final

import msgspec

from calibration.beta_binomial import UnitLaw, rate_of
from monitor import recordlog, unitlog
from monitor.manifest import FittedRates
from monitor.shared import Arrays
from monitor.unitlog import FinishedUnit

PERIOD_NS: Final = 1_000_000_000
"""Units are read so often."""

UNITS_KEPT: Final = 10_000
LAYERS_SHOWN: Final = 500
JOBS_SHOWN: Final = 20


class LayerCount(msgspec.Struct, frozen=True):
    """Layers or windows of the job whose unit was finished last."""

    job: str
    layered: bool  # false: they are windows
    charted: int
    out_of_control: int


class JobRates(msgspec.Struct, frozen=True):
    """How often the frames of a job exceed the warning limit, with a 90 % interval."""

    job: str
    judged: int  # frames of finished layers or windows
    exceedances: int
    rate: float
    low: float
    high: float
    charted: int  # layers or windows
    uncharted: int
    out_of_control: int


class LayerRates(msgspec.Struct, frozen=True):
    """The same of one layer, with all its parts where it was interrupted; or of one window."""

    stream: str
    job: str
    layer: int | None  # None: a window
    first_seq: int
    last_seq: int
    judged: int
    exceedances: int
    rate: float
    low: float
    high: float
    score: float | None  # the highest of its charted parts; None where none was
    limit: float
    over: bool
    uncharted: list[str]  # why its other parts are not


class RateSummary(msgspec.Struct, frozen=True):
    """The latest jobs and layers, in the order in which these began."""

    jobs: list[JobRates] = []
    layers: list[LayerRates] = []


Layer = Sequence[FinishedUnit]
"""A layer's parts, or one window."""


class LayerBook:
    """Reads finished units on one thread; any thread may ask meanwhile."""

    def __init__(self, fitted: FittedRates, log: Arrays) -> None:
        self._fitted = fitted
        self._log = log
        self._lock = threading.Lock()
        self._answering = threading.Lock()
        self._units: deque[FinishedUnit] = deque(maxlen=UNITS_KEPT)
        self._position = recordlog.START
        self._next_ns = 0
        self.current: LayerCount | None = None  # None: no unit is finished

    def step(self, mono_ns: int) -> None:
        """Once a second: take in the units that are finished."""
        if mono_ns < self._next_ns:
            return
        self._next_ns = mono_ns + PERIOD_NS
        units, self._position = unitlog.read(self._log, self._position)
        if units:
            with self._lock:
                self._units.extend(units)
            self.current = _count(self._held(units[-1].job))

    def summary(self, job: str | None = None) -> RateSummary:
        """The latest layers and jobs, or those of *job* alone. Some tens of milliseconds, tenths of a second once."""
        with self._answering:  # of thousands of layers, one answer takes tens of megabytes for a moment
            units = self._held(job)
            return self._summary(units) if units else RateSummary()

    def _summary(self, units: Sequence[FinishedUnit]) -> RateSummary:
        layers = layers_of(units)
        by_job: dict[str, list[Layer]] = {}
        for layer in layers:
            by_job.setdefault(layer[0].job, []).append(layer)
        latest = list(by_job.items())[-JOBS_SHOWN:]
        return RateSummary(
            [_of_job(self._law, name, of_job) for name, of_job in latest],
            [_of_layer(self._law, layer) for layer in layers[-LAYERS_SHOWN:]],
        )

    @cached_property
    def _law(self) -> UnitLaw:
        """Worked out by whoever asks first: the thread that writes alarms to disk never waits for it."""
        return self._fitted.limit.law

    def _held(self, job: str | None) -> list[FinishedUnit]:
        with self._lock:
            return [unit for unit in self._units if job is None or unit.job == job]


def layers_of(units: Sequence[FinishedUnit]) -> list[Layer]:
    """*units* by layer, in the order in which these began; each window by itself.

    A unit is another part of its layer where no other layer of the job came in between, and the camera was not
    restarted: a job that is built again under its name has layers of its own.
    """
    layers: list[Layer] = []
    latest: dict[tuple[str, str], list[FinishedUnit]] = {}
    for unit in units:
        parts = latest.get((unit.stream, unit.job), [])
        if unit.layer < 0:
            layers.append([unit])
        elif parts and parts[0].layer == unit.layer:
            parts.append(unit)
        else:
            latest[unit.stream, unit.job] = parts = [unit]
            layers.append(parts)
    return layers


def _charted(layer: Layer) -> bool:
    return any(not unit.why for unit in layer)


def _over(layer: Layer) -> bool:
    return any(unit.over for unit in layer)


def _count(units: Sequence[FinishedUnit]) -> LayerCount:
    """Of *units* of one job."""
    layers = layers_of(units)
    return LayerCount(
        job=units[-1].job,
        layered=any(unit.layer >= 0 for unit in units),
        charted=sum(map(_charted, layers)),
        out_of_control=sum(map(_over, layers)),
    )


def _of_job(law: UnitLaw, job: str, layers: Sequence[Layer]) -> JobRates:
    rate = rate_of(law, [_exceedances(layer) for layer in layers], [_frames(layer) for layer in layers])
    charted = sum(map(_charted, layers))
    return JobRates(
        job=job,
        judged=rate.frames,
        exceedances=rate.exceedances,
        rate=rate.rate,
        low=rate.low,
        high=rate.high,
        charted=charted,
        uncharted=len(layers) - charted,
        out_of_control=sum(map(_over, layers)),
    )


def _of_layer(law: UnitLaw, layer: Layer) -> LayerRates:
    first, last = layer[0], layer[-1]
    rate = rate_of(law, [unit.exceedances for unit in layer], [unit.frames for unit in layer])
    return LayerRates(
        stream=first.stream,
        job=first.job,
        layer=first.layer if first.layer >= 0 else None,
        first_seq=first.first_seq,
        last_seq=last.last_seq,
        judged=rate.frames,
        exceedances=rate.exceedances,
        rate=rate.rate,
        low=rate.low,
        high=rate.high,
        score=max((unit.score for unit in layer if not unit.why), default=None),
        limit=first.limit,
        over=_over(layer),
        uncharted=[unit.why for unit in layer if unit.why],
    )


def _exceedances(layer: Layer) -> int:
    return sum(unit.exceedances for unit in layer)


def _frames(layer: Layer) -> int:
    return sum(unit.frames for unit in layer)
