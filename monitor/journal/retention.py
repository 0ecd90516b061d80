"""How long cleared alarms are kept: so many days, and no more than so many bytes.

Days are counted by a clock that no wrong wall clock carries away: it follows that one, but goes at most twice as fast
as the monotonic clock, over restarts too. A year ahead for a minute makes the journal a minute older; what a machine
was switched off for is caught up with in as long a time again.
"""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

DAY_NS: Final = 86_400_000_000_000
EVERY_NS: Final = 3_600_000_000_000
"""Between two looks; while there is more to remove, the next one is a step later."""

AT_ONCE: Final = 200
"""Alarms removed in one transaction: a few milliseconds, for which a raised alarm may wait."""

NEVER_BEFORE_NS: Final = 1_700_000_000_000_000_000
"""Unix, in 2023: a clock that shows less was never set, and nothing's age is counted by it."""

NO_AGE_NS: Final = 2**63 - 1
"""Everything was cleared before."""


class Believed(NamedTuple):
    """The time of day by which ages are counted, and when that was."""

    t_ns: int  # Unix
    mono_ns: int
    machine: str  # the boot of the machine that *mono_ns* is of


def believe(before: Believed | None, mono_ns: int, t_ns: int, machine: str) -> Believed:
    """What to believe at *mono_ns* of this boot of the *machine*, when the wall clock shows *t_ns*."""
    if before is None:
        return Believed(t_ns, mono_ns, machine)
    passed_ns = max(0, mono_ns - before.mono_ns) if before.machine == machine else 0
    moved_ns = min(max(t_ns - before.t_ns, -passed_ns), 2 * passed_ns)
    return Believed(before.t_ns + moved_ns, mono_ns, machine)


def machine_boot() -> str:
    """Which boot of the machine this is: monotonic clocks of one are told apart from those of another."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class Kept(Protocol):
    """What is trimmed; a journal."""

    def used_bytes(self) -> int: ...
    def forget(self, before_t_ns: int, now_t_ns: int, most: int, sinks: Sequence[str] = ()) -> int: ...
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
    ) -> None:
        """*sinks*: those that still have to deliver what would be removed. *never_before_ns*: Unix, a clock that shows
        less was never set.
        """
        self._journal, self._sinks = journal, sinks
        self._days, self._bytes = keep_days, None if keep_mib is None else round(keep_mib * 2**20)
        self._never_before_ns = never_before_ns
        self._next_ns: int | None = None

    def step(self, mono_ns: int, t_ns: int) -> int:
        """Remove what is too old or too much; how many alarms. A disk that refuses is asked again at the next look."""
        if self._next_ns is not None and mono_ns < self._next_ns:
            return 0
        self._next_ns = mono_ns + EVERY_NS
        try:
            gone = self._trim(mono_ns, t_ns)
        except sqlite3.Error:
            return 0
        if gone:
            self._next_ns = mono_ns
        return gone

    def _trim(self, mono_ns: int, t_ns: int) -> int:
        sinks, gone = self._sinks(), 0
        if self._days is not None and t_ns >= self._never_before_ns:
            believed = believe(self._journal.believed(), mono_ns, t_ns, machine_boot())
            self._journal.believe(believed)
            now_t_ns = min(t_ns, believed.t_ns)
            gone = self._journal.forget(now_t_ns - round(self._days * DAY_NS), now_t_ns, AT_ONCE, sinks)
        if not gone and self._bytes is not None and self._journal.used_bytes() > self._bytes:
            gone = self._journal.forget(NO_AGE_NS, NO_AGE_NS, AT_ONCE, sinks)
        return gone
