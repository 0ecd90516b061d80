"""What HTTP shows of the side process, and passes on to it."""

import asyncio
import logging
import os
import time
from functools import partial
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from monitor.alarms.acts import AcknowledgeAll, Asked
from monitor.alarms.alarm import SERVICE_SOURCES, Alarm
from monitor.alarms.figures import Figures, figures
from monitor.alarms.modes import Modes
from monitor.desk import Answer, Desk
from monitor.history.follower import Follower
from monitor.journal.reader import Reader
from monitor.journal.reading import Told, Which
from monitor.journal.room import look
from monitor.journal.store import JournalError
from monitor.layers import RateSummary
from monitor.metrics import Metrics
from monitor.orders import Memory, Orders
from monitor.recorder import board
from monitor.recorder.shelf import Shelf
from monitor.sinks.dispatch import Dispatch
from monitor.status import Status
from monitor.sweep import Swept
from monitor.taxonomy.records import Kept, Naming
from monitor.taxonomy.shown import KindInFull, Overview
from monitor.taxonomy.taxonomist import Taxonomist
from monitor.viewer.alarms import AlarmPictures, NoFrameError
from monitor.viewer.viewer import Viewer
from monitor.web import live
from monitor.web.history import EVENTS_MOST, Layer, NoScoresError, Past
from monitor.web.pictures import NoPictureError
from monitor.web.taxonomy import NoKindsError

ANSWER_S: Final = 10.0
SWEEP_S: Final = 60.0  # ten thousand alarms take two
FIGURES_NS: Final = 60_000_000_000
DAY_NS: Final = 86_400_000_000_000
SLACK_NS: Final = 1_000_000_000  # the two clocks do not go quite alike
EVENTS_NS: Final = 1_000_000_000  # events of a job are counted so often, however many look at its map

_log = logging.getLogger(__name__)


class Window:
    """What HTTP shows: the desk at the present moment, and what *reader* finds while the desk writes the journal."""

    def __init__(
        self,
        given: Orders,
        memory: Memory,
        desk: Desk,
        reader: Reader,
        dispatch: Dispatch,
        follower: Follower | None = None,  # None: nothing is judged
    ) -> None:
        self._desk = desk
        self._follower = follower
        self._events: tuple[int, str, list[tuple[int | None, str, int]]] | None = None  # when, and of which job
        self._reader = reader
        self._wake_fd = given.wake_fd
        self._shelf = Shelf(given.config.recorder.place(given.config.journal))
        self._latest: tuple[int, Figures | None] | None = None
        self.viewer = Viewer(given)  # of the event loop
        self._pictures = AlarmPictures(self.viewer, self._kept, self._shelf)
        self._metrics = Metrics(
            CollectorRegistry(),
            given,
            memory.vitals,
            self.status,
            lambda: desk.raised,
            lambda: dispatch.statistics,
            self._of_the_last_day,
            None if desk.taxonomist is None else desk.taxonomist.status,
            None if follower is None else lambda: follower.missed,
            lambda: look(Path(given.config.journal), *desk.unwritten),
            partial(board.counts, memory.recorder) if given.config.recorder.on else None,
        )

    def status(self) -> Status:
        return self._desk.status(time.monotonic_ns(), time.time_ns())

    def alarms(self, limit: int, which: Which | None) -> list[Alarm]:
        return self._reader.alarms(limit, which)

    def history(self, alarm_id: str) -> list[Told]:
        return self._reader.changes(alarm_id)

    def modes(self) -> Modes:
        return self._desk.life.modes

    def figures(self, first_t_ns: int, last_t_ns: int) -> Figures:
        return figures(self._reader.lived(first_t_ns, last_t_ns), first_t_ns, last_t_ns)

    def _of_the_last_day(self) -> Figures | None:
        """Worked out once a minute: a scrape is not to wait for ten thousand alarms. None: they cannot be read."""
        now_ns, now_t_ns = time.monotonic_ns(), time.time_ns()
        if self._latest is None or now_ns - self._latest[0] >= FIGURES_NS:
            try:
                found = self.figures(now_t_ns - DAY_NS, now_t_ns)
            except JournalError as error:
                _log.error("%s", error)
                found = None
            self._latest = now_ns, found
        return self._latest[1]

    def ask(self, target: str, asked: Asked) -> Answer:
        """Raises TimeoutError where the desk does not get to it, since the disk holds it up."""
        waiting = self._desk.ask(target, asked)
        os.eventfd_write(self._wake_fd, 1)
        return waiting.result(ANSWER_S)

    def ask_all(self, asked: AcknowledgeAll) -> Swept:
        """Likewise."""
        waiting = self._desk.ask_all(asked)
        os.eventfd_write(self._wake_fd, 1)
        return waiting.result(SWEEP_S)

    def kinds(self) -> Overview:
        return self._taxonomist().overview()

    def kind(self, number: int) -> KindInFull | None:
        return self._taxonomist().kind(number)

    def name_kind(self, number: int, asked: Naming) -> KindInFull | None:
        return self._taxonomist().name(number, asked, time.time_ns())

    def group_kinds(self) -> None:
        self._taxonomist().ask()
        os.eventfd_write(self._wake_fd, 1)

    def kinds_page(self) -> Path:
        return self._taxonomist().page

    def _taxonomist(self) -> Taxonomist:
        if self._desk.taxonomist is None:
            raise NoKindsError("nothing is judged without a bundle, so there are no kinds")
        return self._desk.taxonomist

    async def picture(self, alarm_id: str) -> bytes:
        alarm = await asyncio.to_thread(self._alarm, alarm_id)
        if alarm is None:
            raise NoPictureError("there is no such alarm")
        try:
            return await self._pictures.of(alarm)
        except NoFrameError as error:
            raise NoPictureError(str(error)) from None

    def _alarm(self, alarm_id: str) -> Alarm | None:
        """In its last revision, also one that the disk refuses."""
        for alarm in self._desk.life.active:
            if alarm.id == alarm_id:
                return alarm
        told = self._reader.changes(alarm_id)
        return told[-1].alarm if told else None

    def _kept(self, alarm: Alarm) -> Kept | None:
        taxonomist = self._desk.taxonomist
        return None if taxonomist is None or alarm.peak is None else taxonomist.kept(alarm.id, alarm.stream, alarm.peak)

    def recordings(self) -> Shelf:
        return self._shelf

    def layers(self, job: str | None) -> RateSummary:
        return self._desk.layers(job)

    def past(self, span_ns: int, bins: int, end_t_ns: int | None) -> Past:
        """What was judged in so many nanoseconds before *end_t_ns*; by default, and at the latest, up to where bins are
        finished: what is told as it happens goes on from there. Alarms up to now.
        """
        follower, mono_t_ns = self._following(), _mono_t_ns()
        last_ns = follower.scores.finished_ns or time.monotonic_ns()
        if end_t_ns is not None:
            last_ns = min(last_ns, end_t_ns - mono_t_ns)
        until_t_ns = last_ns + mono_t_ns if end_t_ns is not None else time.time_ns()
        span = follower.scores.span(last_ns - span_ns, last_ns, bins)
        first_t_ns = int(span.edges_ns[0]) + mono_t_ns
        return Past(follower.charts, span, mono_t_ns, self._reader.touching(first_t_ns, until_t_ns, EVENTS_MOST))

    def layer(self, job: str | None, layer: int | None) -> Layer | None:
        shown = self._following().map.show(job, layer)
        return None if shown is None else Layer(shown, self._events_of(shown.job, shown.since_ns))

    def _events_of(self, job: str, since_ns: int) -> list[tuple[int | None, str, int]]:
        latest, now_ns = self._events, time.monotonic_ns()
        if latest is None or latest[1] != job or now_ns - latest[0] >= EVENTS_NS:
            since_t_ns = since_ns + _mono_t_ns() - SLACK_NS
            self._events = latest = now_ns, job, self._reader.by_layer(job, since_t_ns, sorted(SERVICE_SOURCES))
        return latest[2]

    def finished(self, after: int | None, most: int) -> live.Bins | None:
        """What the page is told of scores as it happens."""
        if self._follower is None:
            return None
        found = self._follower.scores.finished(after, most)
        return None if found is None else live.Bins(self._follower.charts, found, _mono_t_ns())

    def _following(self) -> Follower:
        if self._follower is None:
            raise NoScoresError("nothing is judged without a bundle, so there are no scores")
        return self._follower

    def metrics(self, accept: str) -> tuple[bytes, str]:
        return self._metrics.expose(accept)


def _mono_t_ns() -> int:
    """Unix time at which the monotonic clock was 0, as both stand now."""
    return time.time_ns() - time.monotonic_ns()
