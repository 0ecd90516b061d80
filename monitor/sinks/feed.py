"""What sinks read from: the journal, as little of it as they need."""

from typing import NamedTuple, Protocol

from monitor.alarms.alarm import Alarm


class Entry(NamedTuple):
    """One change of an alarm. *row* is its place in the journal, *t_ns* when it changed (Unix nanoseconds)."""

    row: int
    t_ns: int
    alarm: Alarm


class Feed(Protocol):
    """Changes by row, and how far each sink has come. Every call may block on the disk.

    Each raises OSError or sqlite3.Error where the disk refuses just now; it is then asked again a little later.
    """

    def after(self, row: int, most: int) -> list[Entry]:
        """The first changes behind *row*, at most *most*, in the order of their rows, without those for nobody.

        It knows of every row up to what `newest` said before.
        """
        ...

    def cursor(self, sink: str) -> int:
        """The row up to which *sink* is done. One that was never heard of begins at the newest row, from now on."""
        ...

    def standing(self, sink: str, most: int) -> list[Alarm]:
        """The alarms that are open as far as *sink* is done, the latest *most*, oldest change first."""
        ...

    def mark(self, sink: str, row: int) -> None:
        """Remember durably that *sink* is done up to *row*."""
        ...

    def newest(self) -> int:
        """The row of the last change; 0 where there is none."""
        ...
