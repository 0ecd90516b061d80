"""What becomes of events that are to be recorded: each has a recording, or is given up and counted once.

All of it lies in shared memory. A process that goes on after a killed one reads the event log from its cursor again,
and finds here which of those events are settled, and at which of them the killed one was.
"""

import logging
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from monitor import eventlog, recordlog
from monitor.alarms.alarm import RATES, SERVICE_SOURCES
from monitor.eventlog import EventRecord
from monitor.recorder import board
from monitor.recorder.board import REASONS, START, Notice
from monitor.recorder.recording import tables
from monitor.recorder.shelf import Shelf, ShelfError
from monitor.recorder.take import Key
from monitor.shared import Arrays

TRIED: Final = -1
"""In place of a reason: it was begun with, and is settled unless the process was killed at it."""

TRIES_MOST: Final = 2
KNOWN_MOST: Final = 4096

_log = logging.getLogger("monitor.recorder")


def is_recorded(record: EventRecord) -> bool:
    """Whether *record* is of an event that is to have a recording."""
    return record.source not in RATES and record.source not in SERVICE_SOURCES and record.phase != "settled"


class Fates:
    """Used by the thread that follows and the one that writes. An event may have several recordings, its parts."""

    def __init__(self, counts: Arrays) -> None:
        """*counts*: the board."""
        self._board = counts
        self._lock = threading.Lock()
        self._recorded: dict[Key, tuple[int, int]] = {}  # how many parts it has, and records before which they speak of
        self._given_up: dict[Key, None] = {}
        for notice in board.news(counts, START)[0]:
            self._note((notice.epoch, notice.event), notice.heard)
        for epoch, event, _, reason in self._noted():
            if reason != TRIED:
                self._given_up[epoch, event] = None

    @property
    def recorded(self) -> list[Key]:
        """Events that have a recording."""
        return list(self._recorded)

    @property
    def given_up(self) -> list[Key]:
        """Events that get none, or no other."""
        return list(self._given_up)

    def parts(self, key: Key) -> int:
        """How many recordings it has."""
        return self._recorded.get(key, (0, 0))[0]

    def is_told(self, key: Key, position: int) -> bool:
        """Whether a recording speaks of the record of *key* at this *position* of the event log."""
        return position < self._recorded.get(key, (0, 0))[1]

    def hear(self, position: int, found: Sequence[int], end: int) -> int:
        """The event log is taken in from *position* to *end*; how many of its records are lost: *found* are there.

        What an earlier process had taken in is not lost again.
        """
        before = int(self._board["heard"][0])
        self._board["heard"][0], self._board["follows"][0] = max(before, end), 1
        return max(end - max(position, before), 0) - sum(one >= before for one in found)

    def begin(self, name: str, keys: Iterable[Key], heard: int) -> None:
        """The recording of this *name* is about to be written; it speaks of records before position *heard*."""
        self._board["writing_heard"][0], self._board["writing"][0] = heard, name.encode()
        self._try(keys)

    def tell(self, name: str, began: Mapping[Key, int], heard: int) -> None:
        """It is there, with events that *began* so (Unix, ns)."""
        for key, t_ns in began.items():
            board.tell(self._board, Notice(*key, t_ns, name, heard))
            with self._lock:
                self._note(key, heard)
        self._board["written"][0] += 1

    def end(self) -> None:
        """Nothing is being written; what was is told, or given up."""
        self._board["writing"][0] = b""

    def give_up(self, reason: str, keys: Iterable[Key]) -> None:
        """There will be no recording of *keys*, or no other; counted are those that have none."""
        with self._lock:
            for key in keys:
                if key not in self._given_up:
                    recordlog.append(self._kept(), (*key, self.parts(key), REASONS.index(reason)))
                    self._given_up[key] = None
                    if not self.parts(key):
                        self._board["failed"][REASONS.index(reason)] += 1
                    _bound(self._given_up)

    def lost(self, records: int) -> None:
        """So many records were lost, each perhaps of an event of its own."""
        with self._lock:
            self._board["failed"][REASONS.index("lost")] += records

    # At the start, before anything is written

    def go_on(self, log: Arrays, shelf: Shelf) -> int:
        """Where to go on in the event *log* after whichever process was here before, if one was.

        It was at the events that it was writing; if at none, at all that it had taken in and that are not settled.
        What a process was killed at twice is given up.
        """
        cursor, follows = int(self._board["cursor"][0]), bool(self._board["follows"][0])
        writing = bytes(self._board["writing"][0]).decode()
        self.end()
        if writing:
            self._take_up(writing, shelf)
        unsettled = self._unsettled(log, cursor)
        self._board["follows"][0] = 0
        if follows and not writing:
            self._try(unsettled)
        tries = Counter((epoch, event, part) for epoch, event, part, reason in self._noted() if reason == TRIED)
        twice = [key for key in unsettled if tries[*key, self.parts(key)] >= TRIES_MOST]
        if twice:
            _log.error("the recorder was killed twice at the same events: %d are not recorded", len(twice))
            self.give_up("killed", twice)
        return cursor

    def _unsettled(self, log: Arrays, cursor: int) -> list[Key]:
        """Events that were taken in and are not settled."""
        heard = int(self._board["heard"][0])
        found = ((at, one) for at, one in eventlog.placed(log, cursor)[0] if at < heard and is_recorded(one))
        keys = (((one.epoch, one.event), at) for at, one in found)
        return list(dict.fromkeys(key for key, at in keys if key not in self._given_up and not self.is_told(key, at)))

    def _take_up(self, name: str, shelf: Shelf) -> None:
        """Tell of the recording that was being written, if it was finished."""
        try:
            events = tables(shelf.path(name))["events"]
        except ShelfError:
            return
        told = {(one.epoch, one.event) for one in board.news(self._board, START)[0] if one.name == name}
        began = {(one["epoch"], one["event"]): one["began_t_ns"] for one in events}
        self.tell(
            name, {key: t_ns for key, t_ns in began.items() if key not in told}, int(self._board["writing_heard"][0])
        )

    def _try(self, keys: Iterable[Key]) -> None:
        with self._lock:
            for key in keys:
                recordlog.append(self._kept(), (*key, self.parts(key), TRIED))

    def _note(self, key: Key, heard: int) -> None:
        self._recorded[key] = self.parts(key) + 1, heard
        _bound(self._recorded)

    def _noted(self) -> list[list[Any]]:
        return recordlog.read(self._kept(), START)[0]

    def _kept(self) -> Arrays:
        return {name: self._board[f"fate_{name}"] for name in ("count", "epoch", "records")}


def _bound(known: dict[Key, Any]) -> None:
    while len(known) > KNOWN_MOST:
        del known[next(iter(known))]
