"""Kinds of anomaly in the side process: collects frames, has them grouped, tells of new kinds, and says who named what.

Nothing here holds up alarms: what is written is written after they have left, and where the disk refuses, that is told
once and counted.
"""

import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from monitor.alarms.alarm import Alarm
from monitor.alarms.book import SIDE_EPOCH
from monitor.alarms.life import Revision
from monitor.eventlog import EventRecord
from monitor.orders import Memory, Orders
from monitor.ring import Ring
from monitor.taxonomy import shown
from monitor.taxonomy.collector import Collector
from monitor.taxonomy.embedding import space
from monitor.taxonomy.launcher import Known, Launcher, Task, due
from monitor.taxonomy.namer_feed import Named, NamerFeed
from monitor.taxonomy.publish import Write, nameable, publish
from monitor.taxonomy.records import Kept, KindRow, Naming
from monitor.taxonomy.shown import KindInFull, Overview
from monitor.taxonomy.store import Store, beside, page_of
from monitor.taxonomy.table import shown_name
from monitor.types import Kind, Peak

WRITE_NS: Final = 1_000_000_000
"""Between two writes: alarms that come one after the other share one."""

LOOK_NS: Final = 1_000_000_000

BUSY_TIMES: Final = 3
"""Tries in a row, a second between them, that find the file in use before it is said to refuse: a grouping writes for
half a second, and what could not be written then is written at the next."""

RaisedSince = Callable[[Sequence[str], int], Sequence[Alarm]]
"""Alarms of sources raised since a moment (Unix)."""

_log = logging.getLogger("monitor.side")


class TaxonomyStatus(msgspec.Struct, frozen=True):
    """What /metrics says of kinds."""

    kinds: int  # that live
    run_seconds: float  # that the last grouping took; 0: there was none
    samples: int
    normals: int
    events: int
    missed: int
    failures: int  # of groupings, of writes, and of what names events, since the start
    unnamed: int = 0  # frames that waited to be named in vain


class Taxonomist:
    """Used by the journal's thread, but `overview`, `kind`, `kept`, `name`, `ask` and `status` may be called by any."""

    def __init__(
        self,
        given: Orders,
        memory: Memory,
        raised: RaisedSince,
        mono_ns: int,
        t_ns: int,
        write: Write | None = None,
    ) -> None:
        """At *mono_ns*, which is *t_ns* (Unix). *write* takes the kinds that events may be of, whenever they change.

        Raises StoreError where the file cannot be used.
        """
        assert given.bundle is not None
        config = given.config
        self._settings, self._bundle = config.taxonomy, given.bundle.sha256
        self._space = space(self._bundle, given.embedding)
        self._frame = (given.height, given.width), given.dtype
        path = beside(Path(config.journal))
        self.page = page_of(path)  # that of the last grouping; not there before the first
        self._store = Store(path, config.camera, check=True)
        self._collector = Collector(Ring(memory.ring), self._store, config.taxonomy)
        self._task = task = Task(
            str(path), config.camera, str(config.bundle), config.taxonomy, os.getpid(), given.embedding
        )
        self._raised, self._table = raised, write
        self._feed: NamerFeed | None = None  # None: the hot process names events, or there are no kinds yet
        self._wake = partial(os.eventfd_write, given.wake_fd, 1)
        self._asked = False
        self._given: set[int] = set()  # kinds that were told of, and are not marked so yet
        self._refused = False  # the disk, lately
        self._busy = 0  # tries in a row that found the file in use
        self._next_write_ns = self._next_look_ns = 0
        self._failures = 0
        self._failed = ""
        self._kinds: list[KindRow] = []
        self._version = -1
        self._reload()
        self._launcher = Launcher(task)
        if self._last is not None:  # a clock that was set back makes it no older than now
            ended_ns = mono_ns - max(t_ns - self._last.t_ns, 0)
            self._launcher = Launcher(task, ended_ns, round(self._last.seconds * 1e9))
        self._forget_told()

    def see(self, records: Iterable[EventRecord], t_ns: int) -> None:
        """Copy frames of events while the ring holds them. Waits for nothing."""
        records = list(records)
        self._collector.see(records, t_ns)
        if self._feed is None:
            return
        for record in records:
            if self._feed.wants(record) and (frame := self._collector.frame_of(record)) is not None:
                self._feed.offer(record, frame)

    def follow(self, revisions: Sequence[Revision]) -> None:
        """Learn which alarms they raised."""
        self._collector.follow(revisions)
        if self._feed is not None:
            self._feed.follow(revisions)

    def named(self, t_ns: int) -> list[Named]:
        """Events of which it is known by now of what kind they are, where a process of its own names them."""
        found = [] if self._feed is None else self._feed.named(t_ns)
        for record, _ in found:
            self._collector.name((record.epoch, record.event), None if record.kind is None else record.kind.id)
        return found

    def news(self, t_ns: int) -> list[EventRecord]:
        """Events of source `new_kind`: each begins and is over at once, since there is nothing that could end."""
        records: list[EventRecord] = []
        for kind in self._kinds:
            if kind.told or kind.id in self._given:
                continue
            try:
                records += self._born(kind, t_ns)
            except sqlite3.Error as error:
                self._refuse(error)
                break
            self._given.add(kind.id)
        return records

    def tend(self, mono_ns: int, t_ns: int, *, journaled: bool, last: bool = False) -> None:
        """Write what waits, look after the grouping, and start one that is due. *journaled*: all alarms are on disk."""
        self._collector.look_for_normal(mono_ns, t_ns)
        try:
            if last or mono_ns >= self._next_write_ns:
                more = self._collector.write(last=last)
                self._next_write_ns = mono_ns if more else mono_ns + WRITE_NS
                self._refused, self._busy = False, 0
            if journaled and (told := [one.id for one in self._kinds if one.id in self._given and not one.told]):
                self._store.mark_told(told)
                self._reload()
            if not last and mono_ns >= self._next_look_ns:
                self._next_look_ns = mono_ns + LOOK_NS
                self._look(mono_ns)
        except sqlite3.Error as error:
            self._next_write_ns = mono_ns + WRITE_NS
            self._refuse(error)

    def overview(self) -> Overview:
        """All kinds. Raises sqlite3.Error."""
        return shown.overview(self._store, running=self._launcher.running or self._asked, failed=self._failed)

    def kind(self, number: int) -> KindInFull | None:
        """One kind; None where there is none of that id. Raises sqlite3.Error."""
        return shown.in_full(self._store, number)

    def kept(self, alarm: str, stream: str, peak: Peak) -> Kept | None:
        """The frame kept of an *alarm* with that *peak*, or its most extreme one that is. Raises sqlite3.Error.

        None where there is none, or it is not of the size and type that is judged now.
        """
        # In this order: what waits no more has been written.
        found = self._collector.waiting(alarm, stream, peak.seq) or self._store.of_alarm(alarm, stream, peak.seq)
        return None if found is None or (found.pixels.shape, found.pixels.dtype.name) != self._frame else found

    def name(self, number: int, asked: Naming, t_ns: int) -> KindInFull | None:
        """Say of a kind what is *asked*. Raises sqlite3.Error."""
        if self._store.act(number, asked, t_ns) is None:
            return None
        self._version = -1  # our own writes change it for others only
        return self.kind(number)

    def ask(self) -> None:
        """Have samples grouped at the next look, whether it is due or not."""
        self._asked = True
        self._next_look_ns = 0

    def status(self) -> TaxonomyStatus:
        return TaxonomyStatus(
            kinds=sum(kind.state == "alive" for kind in self._kinds),
            run_seconds=self._last.seconds if self._last else 0.0,
            samples=self._collector.held(normal=False),
            normals=self._collector.held(normal=True),
            events=self._collector.counts.events,
            missed=self._collector.counts.missed,
            failures=self._failures + (self._feed.failures if self._feed is not None else 0),
            unnamed=self._feed.dropped if self._feed is not None else 0,
        )

    def close(self) -> None:
        """End the grouping, and close the file."""
        self._launcher.close()
        if self._feed is not None:
            self._feed.close()
        self._store.close()

    def _look(self, mono_ns: int) -> None:
        finished = self._launcher.look(mono_ns)
        if finished is not None:
            self._failed = finished.why
            if finished.why:
                self._failures += 1
                _log.error("kinds of anomaly were not grouped: %s", finished.why)
        if self._store.version() != self._version:
            self._reload()
        if not self._launcher.running and (self._asked or self._due(mono_ns)):
            self._failed = ""
            try:
                self._launcher.start(mono_ns)
            except OSError as error:
                self._failures += 1
                self._failed = f"no process can be started: {error.strerror}"
                _log.error("kinds of anomaly were not grouped: %s", self._failed)
            self._asked = False  # last: whoever asked looks meanwhile whether it runs

    def _due(self, mono_ns: int) -> bool:
        counts, last = self._collector.counts, self._last
        new = counts.events - (last.events if last else 0)
        of_space = last is None or last.space == self._space
        known = Known(self._collector.held(normal=False), new, of_space)
        ended_ns = self._launcher.ended_ns
        since_ns = None if ended_ns is None else mono_ns - ended_ns
        return due(self._settings, known, since_ns, self._launcher.took_ns)

    def _reload(self) -> None:
        """Read what others have written: kinds, and those of the samples."""
        self._version = self._store.version()
        runs = self._store.runs()
        self._last = runs[0] if runs else None
        self._kinds = self._store.kinds()
        self._collector.reload()
        if self._table is not None:
            publish(self._kinds, self._space, self._table, centres=self._settings.embedding is None)
        if self._settings.embedding is not None and self._feed is None and nameable(self._space, self._kinds):
            self._feed = NamerFeed(self._task, self._wake)

    def _forget_told(self) -> None:
        """A process that was killed may have told of a kind and not have marked it so: the journal knows."""
        untold = [kind for kind in self._kinds if not kind.told]
        if not untold:
            return
        alarms = self._raised(["new_kind"], min(kind.born_t_ns for kind in untold))
        self._given |= {alarm.kind.id for alarm in alarms if alarm.kind is not None}

    def _born(self, kind: KindRow, t_ns: int) -> list[EventRecord]:
        found = shown.in_full(self._store, kind.id)
        first = found.nearest[0] if found is not None and found.nearest else None
        origin = "" if kind.parent is None else f", a part of kind {kind.parent}"
        seen = "" if first is None else f"; the most typical is frame {first.seq}"
        seen += f" of alarm {first.alarm}" if first is not None and first.alarm else ""
        began = EventRecord(
            "began",
            SIDE_EPOCH,
            kind.id,
            "new_kind",
            t_ns,
            stream=first.stream if first else "",
            first_seq=first.seq if first else 0,
            last_seq=first.seq if first else 0,
            kind=Kind(kind.id, shown_name(kind.id, kind.name), 0.0),
            job=first.job if first else "",
            layer=first.layer if first else None,
            context=first.context if first else "",
            xy=first.xy if first else None,
            bundle=self._bundle,
            why=f"kind {kind.id} is new: {len(kind.members)} events{origin}{seen}",
        )
        return [began, msgspec.structs.replace(began, phase="ended")]

    def _refuse(self, error: sqlite3.Error) -> None:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            self._busy += 1
            if self._busy < BUSY_TIMES:
                return
        self._failures += 1
        if not self._refused:
            _log.error("the file of kinds refuses: %s", error)
        self._refused = True
