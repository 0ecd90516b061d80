"""The time of day by which the age of alarms is counted: no wrong wall clock carries it away.

It follows the wall clock, but goes at most twice as fast as the monotonic one, over restarts too. A clock that is a
year ahead for a minute makes the journal a minute older; what a machine was switched off for is caught up with in as
long a time again.
"""

from pathlib import Path
from typing import Final, NamedTuple

NEVER_BEFORE_NS: Final = 1_700_000_000_000_000_000
"""Unix, in 2023: a clock that shows less was never set, and nothing's age is counted by it."""


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
