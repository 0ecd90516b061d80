"""What people and programs do to alarms: acknowledge, judge, comment, shelve, take out of service. Pure."""

from collections.abc import Callable, Iterable
from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from monitor.alarms import modes
from monitor.alarms.alarm import SOURCES, Verdict
from monitor.alarms.life import Entry, Life, Moment, Revision, Rules, What, acknowledge, change_modes, comment, recorded
from monitor.alarms.modes import Mode, ModeName
from monitor.types import Source

LONGEST_SHELF_S: Final = 7 * 86_400.0
"""An alarm that nobody wants to see for longer is taken out of service, which is listed until it is put back."""

Text = Annotated[str, msgspec.Meta(max_length=500)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class Acknowledge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Someone has seen the alarm, and may say whether it was one. Said again, the verdict is changed."""

    by: Name
    verdict: Verdict | None = None
    reason: Text = ""


class AcknowledgeAll(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Someone has seen all alarms that were raised up to and with *until*; what came later nobody has seen yet.

    Those of one *source*, and those of one *group*: behind that flood alarm, which is one of them.
    """

    by: Name
    until: Name  # the id of an alarm
    verdict: Verdict | None = None
    reason: Text = ""
    source: Source | None = None
    group: Name | None = None


class Comment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Someone says *reason* of the alarm, and acknowledges nothing by it; an empty one takes back the one before."""

    by: Name
    reason: Text


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The recorder has written the frames of the alarm to the file at *path*."""

    path: str
    by: str = ""
    reason: Text = ""


class Shelve(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Alarms of the source are not to be told for so long. Shelved again, the new end holds."""

    by: Name
    for_s: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_SHELF_S)]
    reason: Text = ""


class Suppress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A program says why alarms of the source mean nothing now, a calibration that runs for example."""

    by: Name
    for_s: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_SHELF_S)]
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class TakeOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The source is out of service until someone puts it back."""

    by: Name
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class PutBack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The source is told as usual again: the mode of this name ends."""

    by: Name
    mode: ModeName
    reason: Text = ""


Asked = Acknowledge | Comment | Record | Shelve | Suppress | TakeOut | PutBack

BEGUN: Final[dict[type[Asked], tuple[ModeName, What]]] = {
    Shelve: ("shelved", "shelved"),
    Suppress: ("suppressed", "suppressed"),
    TakeOut: ("out_of_service", "out_of_service"),
}
ENDED: Final[dict[ModeName, What]] = {
    "shelved": "unshelved",
    "suppressed": "unsuppressed",
    "out_of_service": "in_service",
}


_SAID: Final[dict[type[Asked], What]] = {Comment: "commented", Record: "recorded"}


class Refused(NamedTuple):
    """What was asked for cannot be done."""

    why: str
    kind: Literal["unknown", "wrong"]  # there is no such alarm or source; or it makes no sense


class Outcome(NamedTuple):
    """What came of it; *source* is that whose mode changed, None of an acknowledgement."""

    life: Life
    revisions: list[Revision]
    source: str | None = None
    until_t_ns: int | None = None


def do(
    rules: Rules, life: Life, target: str, asked: Asked, find: Callable[[str], Entry | None], at: Moment
) -> Outcome | Refused:
    """Do what is *asked* of *target*, the id of an alarm, or where a source is meant its name.

    *find* gives alarms that are over already. An acknowledgement of what is acknowledged changes nothing, and is well.
    """
    entry = life.entries.get(target) or find(target)
    if isinstance(asked, Acknowledge | Comment | Record):
        if entry is None or entry.told is None:
            return Refused(f"there is no alarm {target!r}", "unknown")
        if isinstance(asked, Record):
            return Outcome(*recorded(life, entry, asked.path))
        if isinstance(asked, Comment):
            return Outcome(*comment(life, entry, asked.by, asked.reason))
        return Outcome(*acknowledge(rules, life, entry, asked.by, asked.verdict, asked.reason, at))
    source = target if entry is None else (entry.told or entry.seen).source
    if source not in SOURCES:
        return Refused(f"there is no alarm and no source {target!r}", "unknown")
    if isinstance(asked, PutBack):
        if (source, asked.mode) not in life.modes:
            return Refused(f"{source} is not {asked.mode.replace('_', ' ')}", "wrong")
        changed = modes.ended(life.modes, source, asked.mode)
        told = change_modes(rules, life, changed, ENDED[asked.mode], asked.by, asked.reason, at)
        return Outcome(*told, source)
    name, what = BEGUN[type(asked)]
    for_ns = None if isinstance(asked, TakeOut) else round(asked.for_s * 1e9)
    until_ns, until_t_ns = (None, None) if for_ns is None else (at.now_ns + for_ns, at.t_ns + for_ns)
    mode = Mode(name, asked.by, asked.reason, at.t_ns, until_ns, until_t_ns)
    changed = modes.begun(life.modes, source, mode)
    return Outcome(*change_modes(rules, life, changed, what, asked.by, asked.reason, at), source, until_t_ns)


def acknowledge_each(
    rules: Rules, life: Life, entries: Iterable[Entry], asked: AcknowledgeAll, at: Moment
) -> tuple[Life, list[Revision], list[str]]:
    """Acknowledge those of *entries* that were told and that nobody has acknowledged; with their ids, in this order.

    No verdict that was given before is changed.
    """
    revisions, done = list[Revision](), list[str]()
    for entry in entries:
        if entry.told is None or entry.told.acked:
            continue
        life, told = acknowledge(rules, life, entry, asked.by, asked.verdict, asked.reason, at)
        revisions += told
        done.append(entry.told.id)
    return life, revisions, done


def what_of(asked: Asked) -> What:
    """The word for *asked* in the journal."""
    if isinstance(asked, Acknowledge | Comment | Record):
        return "acknowledged" if isinstance(asked, Acknowledge) else _SAID[type(asked)]
    return ENDED[asked.mode] if isinstance(asked, PutBack) else BEGUN[type(asked)][1]
