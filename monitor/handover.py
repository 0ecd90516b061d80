"""Events on their way from the engine to the side process: each beginning, growth and end becomes one log record."""

import os
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec
import numpy as np

from monitor import eventlog
from monitor.alarms.alarm import STOP, USUAL, Urgency, priority_of, with_kinds
from monitor.eventlog import EventRecord
from monitor.judge import CHART_RULE, STOP_RULE, SourcedChange, peak_of
from monitor.ring import Ring, text
from monitor.shared import Arrays
from monitor.types import Kind, Peak, Pixels, Place, Pool, Priority

GROWTH_PERIOD_NS = 1_000_000_000
"""An event that lasts is told of once a second: an operator reads no faster, and the log must not run over."""


NAMED: Final = (CHART_RULE, STOP_RULE)
"""Rules whose events have a kind: both look at the same frames."""


class Names(Protocol):
    """Says of what kind a frame is, as `monitor.taxonomy.naming.EventNamer` does."""

    @property
    def priorities(self) -> Mapping[str, Priority]:
        """That operators gave to kinds, by name, as of now."""
        ...

    def __call__(self, frame: Pixels, where: Place) -> Kind | None: ...


class Sight(NamedTuple):
    """What the pixels of an event's peak frame say; nothing where the ring held it no more."""

    position: int  # in the ring
    pool: Pool | None = None
    kind: Kind | None = None  # None: unknown


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
        names: Names | None = None,  # None: events have no kind
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
        self._names = names
        self._lock = threading.Lock()
        self._count = 0
        self._open: dict[str, int] = {}  # rule or condition -> event
        self._causes: dict[str, str | None] = {}  # of the open events that a judgement raised; None: not of the permit
        self._passed: deque[str] = deque()  # causes of events that have ended since they were looked at
        self._told_ns: dict[str, int] = {}
        self._sights: dict[str, Sight] = {}  # of the open events: each peak is looked at once
        self._began_ns: dict[int, int] = {}  # of the open events, by their number

    @property
    def open_causes(self) -> tuple[str, ...]:
        """What events that are open now withhold the permit by: their priorities, or `stop`.

        Conditions of the service withhold it by their state instead. Of any thread, while another one reports.
        """
        causes = tuple(self._causes.values())  # in one go: a dict that is walked through must not change meanwhile
        return tuple(cause for cause in causes if cause is not None)

    def take_causes(self) -> tuple[str, ...]:
        """`open_causes`, and those of events that have ended since this was asked for last, by one caller at a time.

        An event may be over within the batch in which it began: it is to withhold the permit all the same.
        """
        causes, ended = self.open_causes, len(self._passed)  # in this order: what ends meanwhile is among the open ones
        return (*causes, *(self._passed.popleft() for _ in range(ended)))

    def open_sources(self, among: Sequence[str]) -> tuple[str, ...]:
        """Those of *among* that have an open event."""
        return tuple(name for name in among if name in self._open)

    def withhold(self, changes: Sequence[SourcedChange]) -> bool:
        """Take in what *changes* withhold the permit by, as far as that shows before any frame is looked at.

        To be called before `report`, of the same thread. Returns whether there is more than there was: then the permit
        need not wait for frames to be copied, measured and named.
        """
        before = self.open_causes
        with self._lock:
            for sourced in changes:
                if sourced.change.phase == "began" and self._is_plain(sourced.rule):
                    self._causes[sourced.rule] = self._cause(sourced)
        return self.open_causes != before

    def _is_plain(self, rule: str) -> bool:
        """Whether what an event of *rule* withholds by is the same of whatever kind it is, and no event of it is open:
        that one is to end by what it was.
        """
        if rule in self._causes:
            return False
        named = rule == CHART_RULE and not self._stops and self._names is not None
        return not named or not (self._urgency.kinds or (self._names is not None and self._names.priorities))

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
            if (cause := self._causes[rule]) is not None:
                self._passed.append(cause)  # before it is open no more
            del self._open[rule], self._causes[rule], self._told_ns[rule], self._sights[rule]
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
        seen, urgency = self._sights.get(sourced.rule), self._urgency
        kind = None if seen is None else seen.kind
        if self._names is not None:
            urgency = with_kinds(urgency, self._names.priorities)
        return priority_of(sourced.source, ratio, frames_over, "" if kind is None else kind.name, urgency)

    def _record(self, sourced: SourcedChange) -> EventRecord:
        event = sourced.change.event
        first, peak = event.first, event.peak
        chart = self._charts[peak["source"]] if sourced.rule == STOP_RULE else sourced.source
        x, y = peak["xy"].tolist()
        sight = self._sights[sourced.rule] = self._look(sourced.rule, int(peak["position"]), peak["where"])
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
            pool=sight.pool,
            kind=sight.kind,
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

    def _look(self, rule: str, position: int, where: Place) -> Sight:
        """The frame at *position*, measured and named while the ring still holds it; once for both rules of NAMED.

        *where*: of its local score.
        """
        for other in NAMED if rule in NAMED else (rule,):
            seen = self._sights.get(other)
            if seen is not None and seen.position == position:
                return seen
        frame = self._copied(position)
        if frame is None:
            return Sight(position)
        kind = self._names(frame, where) if self._names is not None and rule in NAMED else None
        return Sight(position, measure_pool(frame), kind)

    def _copied(self, position: int) -> Pixels | None:
        """A copy of the frame at *position*; None where the ring holds it no more."""
        if not (self._ring.intact(position) and position < self._ring.written):
            return None
        frame: Pixels = self._ring.view(position, position + 1).pixels[0].copy()
        return frame if self._ring.intact(position) else None

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
