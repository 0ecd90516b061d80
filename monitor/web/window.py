"""What HTTP shows of the side process, and passes on to it."""

import logging
import os
import time
from functools import partial
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from monitor.alarms.acts import AcknowledgeAll, Asked
from monitor.alarms.alarm import Alarm
from monitor.alarms.figures import Figures, figures
from monitor.alarms.modes import Modes
from monitor.desk import Answer, Desk
from monitor.journal.reader import Reader
from monitor.journal.reading import Told, Which
from monitor.journal.store import JournalError
from monitor.layers import RateSummary
from monitor.metrics import Metrics
from monitor.orders import Memory, Orders
from monitor.recorder import board
from monitor.recorder.shelf import Shelf
from monitor.sinks.dispatch import Dispatch
from monitor.status import Status
from monitor.sweep import Swept
from monitor.taxonomy.records import Naming
from monitor.taxonomy.shown import KindInFull, Overview
from monitor.taxonomy.taxonomist import Taxonomist
from monitor.web.taxonomy import NoKindsError

ANSWER_S: Final = 10.0
SWEEP_S: Final = 60.0  # ten thousand alarms take two
FIGURES_NS: Final = 60_000_000_000
DAY_NS: Final = 86_400_000_000_000

_log = logging.getLogger(__name__)


class Window:
    """What HTTP shows: the desk at the present moment, and what *reader* finds while the desk writes the journal."""

    def __init__(self, given: Orders, memory: Memory, desk: Desk, reader: Reader, dispatch: Dispatch) -> None:
        self._desk = desk
        self._reader = reader
        self._wake_fd = given.wake_fd
        self._shelf = Shelf(given.config.recorder.place(given.config.journal))
        self._latest: tuple[int, Figures | None] | None = None
        self._metrics = Metrics(
            CollectorRegistry(),
            given,
            memory.vitals,
            self.status,
            lambda: desk.raised,
            lambda: dispatch.statistics,
            self._of_the_last_day,
            None if desk.taxonomist is None else desk.taxonomist.status,
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

    def recordings(self) -> Shelf:
        return self._shelf

    def layers(self, job: str | None) -> RateSummary:
        return self._desk.layers(job)

    def metrics(self, accept: str) -> tuple[bytes, str]:
        return self._metrics.expose(accept)
