"""Alarms as they live from event records, and as they are written, for the tests of journal and life."""

from monitor.alarms.book import apply, open_book
from monitor.alarms.life import Life, Moment, Revision, Rules, follow
from monitor.eventlog import EventRecord
from monitor.journal.store import Change, Written
from monitor.types import State

PLAIN = Rules()


def at(now_ns: int = 0, state: State = State.OK) -> Moment:
    """A moment; the wall clock shows a fixed time more than the monotonic one."""
    return Moment(state, now_ns, 1_795_000_000 * 10**9 + now_ns)


def revisions_of(*records: EventRecord, rules: Rules = PLAIN) -> list[Revision]:
    """What the life tells of *records*, one after the other at one moment."""
    book, life, told = open_book("melt", []), Life({}), list[Revision]()
    for record in records:
        book, cases = apply(book, record)
        life, more = follow(rules, life, cases, at())
        told += more
    return told


def changes_of(*records: EventRecord, rules: Rules = PLAIN) -> list[Change]:
    """The same as the journal takes it, each at the time of day of the last record."""
    return [Change(one, records[-1].t_ns) for one in revisions_of(*records, rules=rules)]


def written(changes: list[Change], position: int, published: int = 0, boot: str = "boot-1") -> Written:
    return Written(changes, boot, position, published)
