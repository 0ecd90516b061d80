"""What a snapshot shows: of all that is known at one moment, the page that was asked for. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from monitor.alarms.alarm import Alarm
from monitor.snapshots.request import VERSION, Request
from monitor.types import State

MOST: Final = 1000
"""Alarms of one page, some 0.8 kB each; the rest is asked for page by page."""


class Snapshot(msgspec.Struct, frozen=True):
    """The alarms at one moment, each in its newest revision, the largest id first. No permit rests on it."""

    camera: str
    t_ns: int  # Unix nanoseconds, the daemon's clock
    state: State
    alarms: list[Alarm]
    more: bool  # there are alarms behind the last one: ask again with its id as `before`
    v: int = VERSION


class Refusal(msgspec.Struct, frozen=True):
    """The answer to a request that is refused."""

    error: str
    v: int = VERSION


def page_of(
    request: Request, active: Iterable[Alarm], kept: Iterable[Alarm], unwritten: Mapping[str, Alarm], most: int = MOST
) -> tuple[list[Alarm], bool]:
    """The *most* alarms that *request* asks for, and whether there are more.

    *active*: all that are; *kept*: cleared ones as the journal has them, by id downwards from below `request.before`,
    one more than *most* even without those among *unwritten*; these, by id, are the newest revisions that the disk has
    not taken yet.
    """
    newest = {alarm.id: alarm for alarm in (*kept, *active)} | dict(unwritten)
    found = sorted((alarm for alarm in newest.values() if _wanted(request, alarm)), key=lambda alarm: alarm.id)
    return found[: -most - 1 : -1], len(found) > most


def _wanted(request: Request, alarm: Alarm) -> bool:
    if request.before is not None and alarm.id >= request.before:
        return False
    active, unseen = alarm.state == "active", not alarm.acked
    return {"open": active or unseen, "active": active, "unacknowledged": unseen}[request.state]
