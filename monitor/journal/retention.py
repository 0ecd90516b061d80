"""How long cleared alarms are kept: so many days, and no more than so many bytes."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final, Protocol

DAY_NS: Final = 86_400_000_000_000
EVERY_NS: Final = 3_600_000_000_000
"""Between two looks; while there is more to remove, the next one is a step later."""

AT_ONCE: Final = 200
"""Alarms removed in one transaction: a few milliseconds, for which a raised alarm may wait."""


class Kept(Protocol):
    """What is trimmed; a journal."""

    def used_bytes(self) -> int: ...
    def forget(self, before_t_ns: int, most: int, sinks: Sequence[str] = ()) -> int: ...


class Retention:
    """Trims *journal* a little at a time."""

    def __init__(
        self,
        journal: Kept,
        keep_days: float | None,
        keep_mib: float | None,
        sinks: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """*sinks*: those that still have to deliver what would be removed."""
        self._journal, self._sinks = journal, sinks
        self._days, self._bytes = keep_days, None if keep_mib is None else round(keep_mib * 2**20)
        self._next_ns: int | None = None

    def step(self, mono_ns: int, t_ns: int) -> int:
        """Remove what is too old or too much; how many alarms. A disk that refuses is asked again at the next look."""
        if self._next_ns is not None and mono_ns < self._next_ns:
            return 0
        self._next_ns = mono_ns + EVERY_NS
        try:
            gone = self._trim(t_ns)
        except sqlite3.Error:
            return 0
        if gone:
            self._next_ns = mono_ns
        return gone

    def _trim(self, t_ns: int) -> int:
        sinks, gone = self._sinks(), 0
        if self._days is not None:
            gone = self._journal.forget(t_ns - round(self._days * DAY_NS), AT_ONCE, sinks)
        if not gone and self._bytes is not None and self._journal.used_bytes() > self._bytes:
            gone = self._journal.forget(t_ns, AT_ONCE, sinks)
        return gone
