"""What is known of alarms while they live: values only. `life` says what becomes of them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

import msgspec

from monitor.alarms.alarm import Alarm
from monitor.alarms.flood import Flood, FloodRule
from monitor.alarms.modes import Modes
from monitor.types import Priority, State

What = Literal[
    "kept", "given_up", "raised", "changed", "cleared", "acknowledged", "judged", "commented", "recorded", "named",
    "shelved", "unshelved", "suppressed", "unsuppressed", "out_of_service", "in_service",
]  # fmt: skip
"""What a revision is about."""

UNTOLD: Final = frozenset({"kept", "given_up"})
"""Published to nobody: what is to be known after a restart, and an event that was over before its on-delay."""


class Rules(NamedTuple):
    """What is asked of the life of each source; a source that is not named takes the plain way."""

    on_delay_s: Mapping[str, float] = {}
    off_delay_s: Mapping[str, float] = {}
    latched: frozenset[str] = frozenset()
    suppressed_in: Mapping[str, tuple[State, ...]] = {}
    flood: FloodRule | None = None
    flood_breaks_through: frozenset[str] = frozenset({"critical"})  # priorities that no flood hides


class Entry(msgspec.Struct, frozen=True):
    """An alarm that is not over yet: what its event says, and what was told of it."""

    epoch: str
    event: int
    carried: int
    seen: Alarm  # what the book says of the event that it follows now
    told: Alarm | None  # its last revision; None: the on-delay still runs
    before: Alarm | None = None  # what was told when an earlier event of it ended
    ended: bool = False  # no event is open
    since_ns: int = 0  # monotonic, from when a delay counts: the event began, or ended
    clock: str = ""  # of which start of the daemon that is; on another's it means nothing


class Life(NamedTuple):
    """All alarms that are not over, and what holds for sources. A value: `follow` gives a new one."""

    entries: Mapping[str, Entry]  # by the alarm's id
    modes: Modes = MappingProxyType({})
    flood: Flood = Flood()
    flood_id: str | None = None  # of the alarm of the flood that lasts
    flood_told_ns: int = 0
    flood_told: int = 0  # so many stood behind it then
    clock: str = ""  # of `since_ns` of all entries
    state: State | None = None  # in which they were last looked at; None: not yet

    @property
    def active(self) -> list[Alarm]:
        """The alarms that were told and are not cleared, oldest first."""
        told = (entry.told for entry in self.entries.values() if entry.told is not None)
        return sorted(told, key=lambda alarm: alarm.id)

    @property
    def holding(self) -> list[Alarm]:
        """Those, and what waits for its on-delay: what withholds the permit."""
        waiting = [entry.seen for entry in self.entries.values() if entry.told is None and not entry.ended]
        return [*self.active, *waiting]


class Revision(NamedTuple):
    """A change of an alarm: to be journalled, and then published unless it is UNTOLD."""

    entry: Entry
    what: What
    by: str = ""  # who did it; empty: the program
    reason: str = ""
    was: Priority | None = None  # `named`: the priority of an alarm that is over, up to now

    @property
    def alarm(self) -> Alarm:
        """What is told of it, or would be."""
        return self.entry.told or self.entry.seen


class Moment(NamedTuple):
    """When something happens, and in which state."""

    state: State
    now_ns: int  # monotonic
    t_ns: int  # Unix

    def moved_to(self, now_ns: int) -> "Moment":
        """Another moment in the same state."""
        return self._replace(now_ns=now_ns, t_ns=self.t_ns + now_ns - self.now_ns)
