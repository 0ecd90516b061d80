"""How long cleared alarms are kept: so many days (`monitor.journal.age`), and no more than so many bytes.

What people did to sources is kept for as many days; it is too little to be trimmed by bytes.
"""

import sqlite3
from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol

from monitor.journal.age import Believed, believe, machine_boot
from monitor.journal.store import Gone

DAY_NS: Final = 86_400_000_000_000
EVERY_NS: Final = 3_600_000_000_000
"""Between two looks; while there is more to remove, the next one is a step later."""

AT_ONCE: Final = 200
"""Alarms, or acts, removed in one transaction: a few milliseconds, for which a raised alarm may wait."""

NO_AGE_NS: Final = 2**63 - 1
"""Everything was cleared before."""


class Kept(Protocol):
    """What is trimmed; a journal."""

    def used_bytes(self) -> int: ...
    def forget(
        self,
        before_t_ns: int,
        now_t_ns: int,
        most: int,
        sinks: Sequence[str] = (),
        awaited: Collection[tuple[str, str]] = (),
    ) -> list[Gone]: ...
    def forget_acts(self, before_t_ns: int, now_t_ns: int, most: int) -> int: ...
    def believed(self) -> Believed | None: ...
    def believe(self, believed: Believed) -> None: ...


class Retention:
    """Trims *journal* a little at a time."""

    def __init__(
        self,
        journal: Kept,
        keep_days: float | None,
        keep_mib: float | None,
        sinks: Callable[[], Sequence[str]] = tuple,
        never_before_ns: int = 0,
        awaited: Collection[tuple[str, str]] = (),
    ) -> None:
        """*sinks*: those that still have to deliver what would be removed. *never_before_ns*: Unix, a clock that shows
        less was never set. *awaited*: sources and priorities of alarms that are not removed before someone has
        acknowledged them, since the permit waits for that: else it would come back because a file was full.
        """
        self._journal, self._sinks, self._awaited = journal, sinks, awaited
        self._days, self._bytes = keep_days, None if keep_mib is None else round(keep_mib * 2**20)
        self._never_before_ns = never_before_ns
        self._next_ns: int | None = None

    def step(self, mono_ns: int, t_ns: int) -> Sequence[Gone]:
        """Remove what is too old or too much, and return it. A disk that refuses is asked again at the next look."""
        if self._next_ns is not None and mono_ns < self._next_ns:
            return ()
        self._next_ns = mono_ns + EVERY_NS
        try:
            gone, more = self._trim(mono_ns, t_ns)
        except sqlite3.Error:
            return ()
        if gone or more:
            self._next_ns = mono_ns
        return gone

    def _trim(self, mono_ns: int, t_ns: int) -> tuple[Sequence[Gone], bool]:
        """The alarms that went, and whether there may be more acts to remove."""
        sinks, gone, acts = self._sinks(), list[Gone](), 0
        if self._days is not None and t_ns >= self._never_before_ns:
            believed = believe(self._journal.believed(), mono_ns, t_ns, machine_boot())
            self._journal.believe(believed)
            now_t_ns = min(t_ns, believed.t_ns)
            before_t_ns = now_t_ns - round(self._days * DAY_NS)
            gone = self._journal.forget(before_t_ns, now_t_ns, AT_ONCE, sinks, self._awaited)
            acts = self._journal.forget_acts(before_t_ns, now_t_ns, AT_ONCE)
        if not gone and self._bytes is not None and self._journal.used_bytes() > self._bytes:
            gone = self._journal.forget(NO_AGE_NS, NO_AGE_NS, AT_ONCE, sinks, self._awaited)
        return gone, acts == AT_ONCE
