"""How long cleared alarms are kept: so many days, and no more than so many bytes."""

import sqlite3
from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol

from monitor.journal.store import Gone

DAY_NS: Final = 86_400_000_000_000
EVERY_NS: Final = 3_600_000_000_000
"""Between two looks; while there is more to remove, the next one is a step later."""

AT_ONCE: Final = 200
"""Alarms removed in one transaction: a few milliseconds, for which a raised alarm may wait."""


class Kept(Protocol):
    """What is trimmed; a journal."""

    def used_bytes(self) -> int: ...
    def forget(
        self, before_t_ns: int, most: int, sinks: Sequence[str] = (), awaited: Collection[str] = ()
    ) -> list[Gone]: ...


class Retention:
    """Trims *journal* a little at a time."""

    def __init__(
        self,
        journal: Kept,
        keep_days: float | None,
        keep_mib: float | None,
        sinks: Callable[[], Sequence[str]] = tuple,
        awaited: Collection[str] = (),
    ) -> None:
        """*sinks*: those that still have to deliver what would be removed.

        *awaited*: causes for which the permit waits until someone has acknowledged their alarms, which are not removed
        before: else it would come back because a file was full.
        """
        self._journal, self._sinks, self._awaited = journal, sinks, awaited
        self._days, self._bytes = keep_days, None if keep_mib is None else round(keep_mib * 2**20)
        self._next_ns: int | None = None

    def step(self, mono_ns: int, t_ns: int) -> Sequence[Gone]:
        """Remove what is too old or too much, and return it. A disk that refuses is asked again at the next look."""
        if self._next_ns is not None and mono_ns < self._next_ns:
            return ()
        self._next_ns = mono_ns + EVERY_NS
        try:
            gone = self._trim(t_ns)
        except sqlite3.Error:
            return ()
        if gone:
            self._next_ns = mono_ns
        return gone

    def _trim(self, t_ns: int) -> Sequence[Gone]:
        sinks, gone = self._sinks(), list[Gone]()
        if self._days is not None:
            gone = self._journal.forget(t_ns - round(self._days * DAY_NS), AT_ONCE, sinks, self._awaited)
        if not gone and self._bytes is not None and self._journal.used_bytes() > self._bytes:
            gone = self._journal.forget(t_ns, AT_ONCE, sinks, self._awaited)
        return gone
