"""Which alarm each event makes: event records go in, changed cases come out. Pure: no clock, no disk, no socket.

One event is one alarm. Its identity is made from the record that raised it, so whoever applies the same records to
the same book again gets the same alarms: an unsaved stretch can be repeated after a crash without a second alarm.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from monitor.alarms.alarm import (
    RATES,
    SERVICE_SOURCES,
    SOURCE_PRIORITIES,
    USUAL,
    Alarm,
    Case,
    Urgency,
    id_of,
    priority_of,
    stamp_of,
    suffix_of,
)
from monitor.eventlog import SERVICE_SETTLED, SLOTS, EventRecord
from monitor.types import Kind, Peak, Priority
from monitor.vitals import PRIORITIES

Key = tuple[str, int]
"""Epoch and number of an event."""

SIDE_EPOCH: Final = "side"
"""The epoch of alarms that the side process raises itself; no hot process bears this name."""

CLOSED_MAX: Final = SLOTS
"""So many closed events are remembered, as many as the event log could repeat."""


class Book(NamedTuple):
    """All alarms that are open, and the events lately closed. A value: `apply` gives a new one."""

    camera: str
    cases: Mapping[Key, Case]
    closed: tuple[Key, ...] = ()  # newest last
    urgency: Urgency = USUAL
    stamp_ns: int = 0  # that begins the newest id
    named_later: bool = False  # of what kind an event is comes by records of phase `named` alone

    @property
    def active(self) -> list[Alarm]:
        """The open alarms, oldest first."""
        return sorted((case.alarm for case in self.cases.values()), key=lambda alarm: alarm.id)


def open_book(camera: str, cases: Iterable[Case], urgency: Urgency = USUAL, newest_id: str = "") -> Book:
    """The book in which *cases* are open, and whose ids come after *newest_id*; empty: there was none yet."""
    open_cases = {(case.epoch, case.event): case for case in cases}
    return Book(camera, open_cases, urgency=urgency, stamp_ns=stamp_of(newest_id) if newest_id else 0)


def apply(book: Book, record: EventRecord, lossy: bool = False) -> tuple[Book, list[Case]]:
    """The book after *record*, and what changed, in order.

    An event whose beginning was missed is raised at its next record. The first event of an epoch whose source is that
    of an alarm that an earlier epoch left open goes on with that alarm; the charts count as one source. A
    record seen twice changes nothing. *lossy*: records may be missing, so an event that a later one of the same source
    shows to be over is cleared.
    """
    if record.phase == "settled":
        return _settle(book, record)
    if record.phase == "named":
        return _named(book, record)
    key = (record.epoch, record.event)
    if key in book.closed:
        return book, []
    over = [_cleared(case) for case in _overdue(book, record)] if lossy else []
    book = _enter(book, over)
    known = book.cases.get(key) or _orphan(book, record)
    if known is None:
        raised = _raised(book, record)
        book = book._replace(stamp_ns=stamp_of(raised.alarm.id))
        changes = [*over, raised, _cleared(raised)] if record.phase == "ended" else [*over, raised]
        return _enter(book, changes[len(over) :]), changes
    followed = _followed(book, known, record)
    if record.phase == "ended":
        followed = followed._replace(alarm=msgspec.structs.replace(followed.alarm, state="cleared"))
    if followed == known:
        return book, []
    revised = _revised(followed)
    if (known.epoch, known.event) != key:
        book = _leave(book, known)
    return _enter(book, [revised]), [revised]


def watch_hot(book: Book, lost: bool, t_ns: int) -> EventRecord | None:
    """What the side process has to record of the hot process at *t_ns* (Unix); None where all is recorded."""
    own = (case for case in book.cases.values() if case.epoch == SIDE_EPOCH and case.alarm.source == "degraded")
    open_event = next((case.event for case in own), None)
    if lost and open_event is None:
        return EventRecord("began", SIDE_EPOCH, t_ns, "degraded", t_ns, why="the hot process does not answer")
    if not lost and open_event is not None:
        return EventRecord("ended", SIDE_EPOCH, open_event, "degraded", t_ns)
    return None


def _settle(book: Book, record: EventRecord) -> tuple[Book, list[Case]]:
    """Clear what earlier epochs left open: all of it, or what is about the service, as the record's source says."""
    orphans = [
        case
        for case in book.cases.values()
        if case.epoch not in (record.epoch, SIDE_EPOCH)
        and (record.source != SERVICE_SETTLED or case.alarm.source in SERVICE_SOURCES)
    ]
    changes = [_cleared(case) for case in orphans]
    return _enter(book, changes), changes


def with_kind(urgency: Urgency, alarm: Alarm, kind: Kind | None) -> Alarm:
    """*alarm* of which it is known now what *kind* its event is: more urgent where that is, never less."""
    priority = _priority(urgency, alarm.source, alarm.peak, alarm.frames_over, kind)
    return msgspec.structs.replace(alarm, kind=kind, priority=max(alarm.priority, priority, key=PRIORITIES.index))


def _named(book: Book, record: EventRecord) -> tuple[Book, list[Case]]:
    """Of events that are over the book knows nothing any more: `monitor.alarms.late` names their alarms."""
    known = book.cases.get((record.epoch, record.event))
    if known is None:
        return book, []
    named = known._replace(alarm=with_kind(book.urgency, known.alarm, record.kind))
    if named == known:
        return book, []
    revised = _revised(named)
    return _enter(book, [revised]), [revised]


def _overdue(book: Book, record: EventRecord) -> list[Case]:
    """Cases of the record's own epoch and family that a later event shows to be over: their end was overwritten."""
    return [
        case
        for case in book.cases.values()
        if case.epoch == record.epoch
        and case.event < record.event
        and family(case.alarm.source) == family(record.source)
        and record.epoch != SIDE_EPOCH
    ]


def _orphan(book: Book, record: EventRecord) -> Case | None:
    """The oldest alarm of the same family of sources that another epoch left open."""
    if record.epoch == SIDE_EPOCH:
        return None
    found = (
        case
        for case in book.cases.values()
        if case.epoch not in (record.epoch, SIDE_EPOCH) and family(case.alarm.source) == family(record.source)
    )
    return min(found, key=lambda case: case.alarm.id, default=None)


def family(source: str) -> str:
    """All charts are one: an event's source is its most extreme chart, and may be another after a restart."""
    return source if source in SOURCE_PRIORITIES or source in RATES else "charts"


def _raised(book: Book, record: EventRecord) -> Case:
    alarm = Alarm(
        # Ids sort as alarms were raised, though a clock be set back meanwhile: no two events have one stamp.
        id=id_of(max(record.t_ns, book.stamp_ns + 1), suffix_of(record.epoch, record.event)),
        rev=1,
        camera=book.camera,
        stream=record.stream,
        state="active",
        priority=_priority(book.urgency, record.source, record.peak, record.frames_over, record.kind),
        source=record.source,
        first_seq=record.first_seq,
        last_seq=record.last_seq,
        first_t_ns=record.first_t_ns,
        raised_t_ns=record.t_ns,
        frames_over=record.frames_over,
        peak=record.peak,
        pool=record.pool,
        where=record.where,
        kind=record.kind,
        job=record.job,
        layer=record.layer,
        context=record.context,
        xy=record.xy,
        bundle=record.bundle,
        why=record.why,
    )
    return Case(record.epoch, record.event, 0, alarm, record.began_ns or record.mono_ns)


def _followed(book: Book, case: Case, record: EventRecord) -> Case:
    """*case* with what *record* adds, its revision not yet counted."""
    alarm = case.alarm
    adopted = (case.epoch, case.event) != (record.epoch, record.event)
    if not adopted and record.stream == alarm.stream and record.last_seq < alarm.last_seq:
        return case  # older than what is known
    carried = alarm.frames_over if adopted else case.carried
    if record.stream != alarm.stream:  # sequence numbers of two streams must not be mixed
        alarm = msgspec.structs.replace(
            alarm,
            stream=record.stream,
            first_seq=record.first_seq,
            last_seq=record.last_seq,
            first_t_ns=record.first_t_ns,
        )
    if _ratio(record.peak) >= _ratio(alarm.peak):  # these all speak of the peak frame
        alarm = msgspec.structs.replace(
            alarm,
            source=record.source,
            peak=record.peak,
            pool=record.pool,
            where=record.where,
            kind=alarm.kind if book.named_later else record.kind,
            job=record.job,
            layer=record.layer,
            context=record.context,
            xy=record.xy,
        )
    frames_over = max(alarm.frames_over, carried + record.frames_over)
    priority = _priority(book.urgency, alarm.source, alarm.peak, frames_over, alarm.kind)
    alarm = msgspec.structs.replace(
        alarm,
        last_seq=max(alarm.last_seq, record.last_seq),
        frames_over=frames_over,
        priority=max(alarm.priority, priority, key=PRIORITIES.index),
        bundle=record.bundle,
        why=record.why or alarm.why,
    )
    return Case(record.epoch, record.event, carried, alarm, case.began_ns)


def _priority(urgency: Urgency, source: str, peak: Peak | None, frames_over: int, kind: Kind | None) -> Priority:
    return priority_of(source, _ratio(peak), frames_over, "" if kind is None else kind.name, urgency)


def _ratio(peak: Peak | None) -> float:
    return 0.0 if peak is None else peak.ratio


def _revised(case: Case) -> Case:
    return case._replace(alarm=msgspec.structs.replace(case.alarm, rev=case.alarm.rev + 1))


def _cleared(case: Case) -> Case:
    return _revised(case._replace(alarm=msgspec.structs.replace(case.alarm, state="cleared")))


def _enter(book: Book, changes: list[Case]) -> Book:
    """The book with *changes* written in: open cases stay, cleared ones are closed."""
    for case in changes:
        if case.alarm.state == "cleared":
            book = _leave(book, case)
            continue
        book = book._replace(cases={**book.cases, (case.epoch, case.event): case})
    return book


def _leave(book: Book, case: Case) -> Book:
    """The book in which no further record of the event of *case* counts."""
    key = (case.epoch, case.event)
    cases = {known: found for known, found in book.cases.items() if known != key}
    return book._replace(cases=cases, closed=(*book.closed, key)[-CLOSED_MAX:])
