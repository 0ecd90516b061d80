"""Alarms and their recordings, in the side process: which alarm gets which path, and what a verdict pins."""

import logging
import sqlite3
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from monitor.alarms.acts import Record
from monitor.alarms.alarm import Alarm
from monitor.journal.reading import Told
from monitor.recorder import board
from monitor.recorder.board import Notice
from monitor.recorder.shelf import Pin, Shelf, ShelfError
from monitor.shared import Arrays

LOOK_NS: Final = 200_000_000
PATIENCE_NS: Final = 600_000_000_000
"""An alarm that is not told by then, its on-delay running, has no recording."""

WAITING_MOST: Final = 1024
AT_ONCE: Final = 20  # looked up in the journal between two steps
CHANGES_MOST: Final = 500
"""Revisions looked at in one go for a verdict."""

_log = logging.getLogger("monitor.side")


class Alarms(Protocol):
    """Of the journal."""

    def of_event(self, epoch: str, event: int, began_t_ns: int) -> str | None: ...
    def newest(self) -> int: ...
    def changes_after(self, row: int, most: int) -> list[Told]: ...


class _Waiting(NamedTuple):
    notice: Notice
    until_ns: int


class Linker:
    """Used by the journal's thread."""

    def __init__(self, counts: Arrays, shelf: Shelf, alarms: Alarms, ask: Callable[[str, Record], object]) -> None:
        """*counts*: the board. *ask* has something done to an alarm at the desk's next step."""
        self._board, self._shelf, self._alarms, self._ask = counts, shelf, alarms, ask
        self._position = board.START
        self._waiting: deque[_Waiting] = deque(maxlen=WAITING_MOST)
        self._row = alarms.newest()
        self._next_ns = 0

    def tend(self, mono_ns: int, *, last: bool = False) -> None:
        """Tell the desk of new recordings, and pin those that a person found true."""
        if mono_ns < self._next_ns and not last:
            return
        self._next_ns = mono_ns + LOOK_NS
        found, self._position = board.news(self._board, self._position)
        self._waiting.extend(_Waiting(one, mono_ns + PATIENCE_NS) for one in found)
        try:
            self._link(mono_ns)
            self._pin()
        except sqlite3.Error as error:
            _log.error("the journal does not say which alarm a recording is of: %s", error)

    def _link(self, mono_ns: int) -> None:
        for _ in range(min(len(self._waiting), AT_ONCE)):
            one = self._waiting[0]
            alarm = self._alarms.of_event(one.notice.epoch, one.notice.event, one.notice.began_t_ns)
            self._waiting.popleft()
            if alarm is not None:
                self._ask(alarm, Record(str(self._shelf.folder / one.notice.name)))
            elif mono_ns < one.until_ns:
                self._waiting.append(one)

    def _pin(self) -> None:
        """What an operator found to be true is worth keeping."""
        for change in self._alarms.changes_after(self._row, CHANGES_MOST):
            self._row = change.row
            if change.alarm.verdict == "true" and change.what in ("acknowledged", "judged", "recorded"):
                self._keep(change.alarm, change.by, change.t_ns)

    def _keep(self, alarm: Alarm, by: str, t_ns: int) -> None:
        if alarm.recording is None:
            return
        name = alarm.recording.rpartition("/")[2]
        try:
            if self._shelf.pin_of(name) is None:
                self._shelf.pin(name, Pin(by or "framewatch", f"alarm {alarm.id} was found true", t_ns))
        except ShelfError:
            return  # it is gone
        except OSError as error:
            _log.error("%s cannot be pinned: %s", name, error.strerror)
