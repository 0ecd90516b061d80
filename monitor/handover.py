"""Events on their way from the engine to the side process: each beginning, growth and end becomes one log record."""

import os
import threading
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from monitor import eventlog
from monitor.alarms.alarm import STOP, USUAL, Urgency, priority_of
from monitor.eventlog import EventRecord
from monitor.judge import CHART_RULE, STOP_RULE, SourcedChange, peak_of
from monitor.ring import Ring, text
from monitor.shared import Arrays
from monitor.types import Peak, Pixels, Pool

GROWTH_PERIOD_NS = 1_000_000_000
"""An event that lasts is told of once a second: an operator reads no faster, and the log must not run over."""


class Handover:
    """Writes the event log. The engine reports its events here, the watch the conditions of the service."""

    def __init__(
        self,
        log: Arrays,
        wake_fd: int,
        epoch: str,
        bundle: str,
        charts: tuple[str, ...],
        ring: Ring,
        clock: Callable[[], int],  # monotonic ns
        wall_clock: Callable[[], int],  # Unix ns
        urgency: Urgency = USUAL,
        *,
        stops: bool = False,  # there is a rule for them: events of the charts withhold the permit by it alone
    ) -> None:
        self._log = log
        self._wake_fd = wake_fd
        self._epoch = epoch
        self._bundle = bundle
        self._charts = charts
        self._ring = ring
        self._clock = clock
        self._wall_clock = wall_clock
        self._urgency = urgency
        self._stops = stops
        self._lock = threading.Lock()
        self._count = 0
        self._open: dict[str, int] = {}  # rule or condition -> event
        self._causes: dict[str, str | None] = {}  # of the open events that a judgement raised; None: not of the permit
        self._told_ns: dict[str, int] = {}
        self._began_ns: dict[int, int] = {}  # of the open events, by their number

    @property
    def open_causes(self) -> tuple[str, ...]:
        """What events that are open now withhold the permit by: their priorities, or `stop`.

        Conditions of the service withhold it by their state instead.
        """
        return tuple(cause for cause in self._causes.values() if cause is not None)

    def open_sources(self, among: Sequence[str]) -> tuple[str, ...]:
        """Those of *among* that have an open event."""
        return tuple(name for name in among if name in self._open)

    def report(self, changes: Sequence[SourcedChange]) -> None:
        """Log the engine's *changes* in their order."""
        with self._lock:
            for sourced in changes:
                self._report(sourced)
        self._wake()

    def hold(self, source: str, why: str) -> None:
        """A condition of the service holds; it is logged when it begins."""
        with self._lock:
            if source in self._open:
                return
            event = self._begin(source)
            self._append(EventRecord("began", self._epoch, event, source, self._wall_clock(), why=why))
        self._wake()

    def release(self, source: str) -> None:
        """A condition of the service is over."""
        with self._lock:
            event = self._open.pop(source, None)
            if event is None:
                return
            self._append(EventRecord("ended", self._epoch, event, source, self._wall_clock()))
        self._wake()

    def settle(self, *, service_only: bool) -> None:
        """Say that what an earlier epoch left open and this one has not seen again is over."""
        with self._lock:
            source = eventlog.SERVICE_SETTLED if service_only else ""
            self._append(EventRecord("settled", self._epoch, -1, source, self._wall_clock()))
        self._wake()

    def _report(self, sourced: SourcedChange) -> None:
        rule, change, now_ns = sourced.rule, sourced.change, self._clock()
        if change.phase == "began":
            self._begin(rule)
        elif change.phase == "grew" and now_ns - self._told_ns[rule] < GROWTH_PERIOD_NS:
            self._causes[rule] = self._cause(sourced)
            return
        self._told_ns[rule] = now_ns
        self._append(self._record(sourced))
        if change.phase == "ended":
            del self._open[rule], self._causes[rule], self._told_ns[rule]
        else:
            self._causes[rule] = self._cause(sourced)

    def _begin(self, key: str) -> int:
        self._open[key] = self._count
        self._count += 1
        return self._open[key]

    def _cause(self, sourced: SourcedChange) -> str | None:
        if sourced.rule == STOP_RULE:
            return STOP
        if sourced.rule == CHART_RULE and self._stops:
            return None
        peak = self._peak(sourced)
        ratio, frames_over = 0.0 if peak is None else peak.ratio, sourced.change.event.frames_over
        return priority_of(sourced.source, ratio, frames_over, urgency=self._urgency)

    def _record(self, sourced: SourcedChange) -> EventRecord:
        event = sourced.change.event
        first, peak = event.first, event.peak
        chart = self._charts[peak["source"]] if sourced.rule == STOP_RULE else sourced.source
        x, y = peak["xy"].tolist()
        return EventRecord(
            phase=sourced.change.phase,
            epoch=self._epoch,
            event=self._open[sourced.rule],
            source=sourced.source,
            t_ns=self._wall_clock(),
            stream=text(first["stream"]),
            first_seq=int(first["seq"]),
            last_seq=int(event.last["seq"]),
            first_t_ns=int(first["t_ns"]),
            frames_over=event.frames_over,
            peak=self._peak(sourced),
            pool=self._pool(int(peak["position"])),
            where=tuple(peak["where"].tolist()) if chart == "local" else None,
            job=text(peak["job"]),
            layer=None if peak["layer"] < 0 else int(peak["layer"]),
            context=text(peak["context"]),
            xy=None if np.isnan(x) else (x, y),
            bundle=self._bundle,
            why=sourced.why,
            position=int(peak["position"]) if sourced.rule in (CHART_RULE, STOP_RULE) else -1,
        )

    def _peak(self, sourced: SourcedChange) -> Peak | None:
        """The score that speaks for the event; None of a camera fault."""
        if sourced.rule != CHART_RULE:
            return sourced.peak
        chart, peak = self._charts.index(sourced.source), sourced.change.event.peak
        return peak_of(int(peak["seq"]), float(peak["scores"][chart]), float(peak["limits"][chart]))

    def _pool(self, position: int) -> Pool | None:
        """Measured on the frame itself, while the ring still holds it."""
        if not (self._ring.intact(position) and position < self._ring.written):
            return None
        frame = self._ring.view(position, position + 1).pixels[0].copy()
        return measure_pool(frame) if self._ring.intact(position) else None

    def _append(self, record: EventRecord) -> None:
        """Every record says when it was written: delays count from then, whenever it is read."""
        now_ns = self._clock()
        began_ns = self._began_ns.pop(record.event, now_ns)
        if record.phase in ("began", "grew"):
            self._began_ns[record.event] = began_ns
        eventlog.append(self._log, msgspec.structs.replace(record, mono_ns=now_ns, began_ns=began_ns))

    def _wake(self) -> None:
        os.eventfd_write(self._wake_fd, 1)


def measure_pool(frame: Pixels) -> Pool:
    """The bright region of *frame* (h, w): pixels above half way from the background (the median) to the peak."""
    pixels = frame.astype(np.float64)
    background, peak = float(np.median(pixels)), float(pixels.max())
    bright = pixels[pixels > (background + peak) / 2]
    return Pool(len(bright), float(bright.mean()) if len(bright) else background, peak)
