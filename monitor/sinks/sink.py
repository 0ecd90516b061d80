"""What a sink is: it delivers one change, or says in which way it could not."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import msgspec

from monitor.alarms.alarm import Alarm
from monitor.sinks.feed import Entry
from monitor.voice import Heartbeat, Permit


class SinkError(ValueError):
    """A sink cannot work as configured: one line for the operator, with the key."""


class DeliveryError(Exception):
    """Not delivered now; it is worth trying again, after *after_s* seconds if the other side has asked for that."""

    def __init__(self, why: str, after_s: float | None = None) -> None:
        super().__init__(why)
        self.after_s = after_s


class RefusedError(Exception):
    """Not delivered, and the other side will not take this change at any other time either."""


class Sink:
    """One place where changes of alarms go. *name* is its metric label, and its key in the journal."""

    retains: ClassVar[bool] = False
    """Whether the other side keeps the open alarms, and may lose them: then `resume` is called."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def deliver(self, entry: Entry) -> None:
        """Return once the other side has *entry*, within the sink's own time limit.

        It may have come before: the alarm's id and revision say so. Raises DeliveryError or RefusedError.
        """
        raise NotImplementedError

    async def run(self, back: Callable[[], None]) -> None:
        """Keep what deliveries need, such as a connection, until cancelled; *back* tells that it is there again."""

    def resume(self, standing: Sequence[Alarm]) -> None:
        """The alarms that are open as far as it has delivered, oldest change first. Told before the first delivery."""

    def say(self, message: Heartbeat | Permit) -> None:
        """Pass on what is true at this moment, where the sink does that: at once or not at all. It never waits."""

    async def close(self) -> None:
        """Say goodbye; no delivery runs any more. Whoever calls this limits its time."""


def body_of(alarm: Alarm) -> bytes:
    """The JSON that every sink sends."""
    return msgspec.json.encode(alarm)
