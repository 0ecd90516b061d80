"""What has to leave at once, in order: on the alarm socket. The other sinks read the journal at their own pace."""

import logging
import sqlite3
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from monitor.alarms.alarm import Alarm
from monitor.alarms.life import UNTOLD, Entry
from monitor.alarms.modes import Modes
from monitor.journal.backlog import Backlog
from monitor.journal.store import Act, Change, Departure, Written

RETRY_NS: Final = 1_000_000_000
"""A disk that refused is asked again after so long."""

BACKLOG_MAX: Final = 10_000
"""Changes kept whole for a disk that refuses; beyond, `monitor.journal.backlog` says what goes."""

_log = logging.getLogger(__name__)


class Writer(Protocol):
    """Where the outbox writes; a journal."""

    def commit(self, written: Written) -> list[int]: ...
    def unpublished(self) -> list[Departure]: ...
    def published(self) -> int: ...


class Outbox:
    """A disk that refuses holds nothing up: then changes leave with `journaled` false, and are written when it can.

    What has left is marked with the next commit only, so that a process killed right after sending sends again.
    """

    def __init__(self, journal: Writer, boot: str, position: int, backlog_max: int = BACKLOG_MAX) -> None:
        """*position*: up to where the event log of *boot* was read when the journal was last written."""
        self._journal = journal
        self._boot = boot
        self._queue = deque(journal.unpublished())
        self._sent_row = journal.published()
        self._committed = (position, self._sent_row)
        self._backlog = Backlog(backlog_max)  # refused by the disk; each was queued
        self._acts: list[Act] = []
        self._modes: Modes | None = None  # as they are to be written; None: as they were
        self._refused_ns: int | None = None
        self._refused = ""

    @property
    def why(self) -> str:
        """What the disk refuses by, and what was lost by that; empty: nothing. Of any thread."""
        refused, lost = self._refused, self._backlog.lost
        if not refused:
            return ""
        more = f"; {lost} cleared alarms were given up meanwhile" if lost else ""
        return f"the journal cannot be written: {refused}{more}"

    @property
    def on_disk(self) -> bool:
        """Whether all that was accepted is."""
        return not self._backlog and not self._acts and self._modes is None

    @property
    def waiting(self) -> int:
        """How many changes of alarms the disk has refused and not taken since. Of any thread."""
        return len(self._backlog)

    def entry(self, alarm_id: str) -> Entry | None:
        """An alarm as it will be written when the disk takes it again; None where nothing of it waits."""
        waiting = (change.revision.entry for change in reversed(self._backlog) if change.revision.what not in UNTOLD)
        return next((entry for entry in waiting if entry.told is not None and entry.told.id == alarm_id), None)

    def unwritten(self) -> dict[str, Alarm]:
        """By id, each alarm of which the disk has refused a revision, in its newest one and as it leaves."""
        found: dict[str, Alarm] = {}
        for revision, _ in self._backlog:
            alarm = revision.alarm
            if revision.what not in UNTOLD or alarm.id in found:  # a long backlog may end with one that was not told
                found[alarm.id] = msgspec.structs.replace(alarm, journaled=False)
        return found

    def accept(
        self,
        changes: Sequence[Change],
        position: int,
        mono_ns: int,
        acts: Sequence[Act] = (),
        modes: Modes | None = None,
    ) -> None:
        """Write *changes*, which come of the event log up to *position*, and queue them. Blocks on the disk.

        With *acts* of people on sources, and the *modes* that hold after them (None: as before).
        """
        self._acts = [*self._acts, *acts]
        self._modes = self._modes if modes is None else modes
        rows = self._write(changes, position, mono_ns) or [0] * len(changes)
        for row, (revision, _) in zip(rows, changes, strict=True):
            if revision.what not in UNTOLD:
                alarm = revision.alarm
                self._queue.append(Departure(row, alarm if row else msgspec.structs.replace(alarm, journaled=False)))

    def take(self, most: int | None = None) -> list[Alarm]:
        """What is to leave now, at most so many: the rest the next time. The caller sends it in this order."""
        taken = [self._queue.popleft() for _ in range(min(len(self._queue), most or len(self._queue)))]
        self._sent_row = max([self._sent_row, *(departure.row for departure in taken)])
        return [departure.alarm for departure in taken]

    def _write(self, changes: Sequence[Change], position: int, mono_ns: int) -> list[int] | None:
        """The rows of *changes* in the journal; None where the disk refuses, or did a moment ago."""
        if not changes and self.on_disk and self._committed == (position, self._sent_row):
            return []
        waiting = len(self._backlog)
        self._backlog.add(changes, position)
        if self._refused_ns is not None and mono_ns - self._refused_ns < RETRY_NS:
            self._shorten()
            return None
        rows, refused = self._write_pieces(position)
        self._backlog.written(len(rows))
        if rows[:waiting] and not self._queue:  # they have left without a row, and now have one
            self._sent_row = max(self._sent_row, *rows[:waiting])
        if refused:
            self._refused_ns, self._refused = mono_ns, refused
            self._shorten()
            return None
        self._refused_ns, self._refused, self._acts, self._modes = None, "", [], None
        return rows[waiting:]

    def _write_pieces(self, position: int) -> tuple[list[int], str]:
        """The rows of what the disk took of the backlog, and why it took no more."""
        rows: list[int] = []
        for changes, read in self._backlog.pieces(position):
            written = Written(changes, self._boot, read, self._sent_row)
            if len(rows) + len(changes) == len(self._backlog):
                written = written._replace(acts=self._acts, modes=self._modes)  # these hold after all of it
            try:
                rows += self._journal.commit(written)
            except sqlite3.DatabaseError as error:
                return rows, str(error)
            self._committed = (read, self._sent_row)
        return rows, ""

    def _shorten(self) -> None:
        lost = self._backlog.shorten()
        if lost:
            _log.error("the journal cannot be written: %d more cleared alarms are given up", lost)
