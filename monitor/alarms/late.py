"""Names of events that are over when they come: their alarms are cleared, or wait for a delay or a person. Pure."""

from collections.abc import Callable, Iterable

from monitor.alarms import life as lives
from monitor.alarms.book import Book
from monitor.alarms.entry import Entry, Life, Moment, Revision, Rules
from monitor.eventlog import EventRecord


def name(
    rules: Rules,
    life: Life,
    book: Book,
    named: Iterable[tuple[EventRecord, str]],
    find: Callable[[str], Entry | None],
    at: Moment,
) -> tuple[Life, list[Revision]]:
    """The life after *named*: records of phase `named`, and the ids of the alarms that their events raised.

    What the *book* still holds as open it has named itself. *find* gives alarms that are over already. An alarm that
    goes on with another event by now is of that event's kind.
    """
    revisions, made = list[Revision](), dict[str, Entry]()
    for record, alarm_id in named:
        key = record.epoch, record.event
        entry = None if key in book.cases else life.entries.get(alarm_id) or made.get(alarm_id) or find(alarm_id)
        if entry is not None and (entry.epoch, entry.event) == key:
            life, told = lives.name(rules, life, entry, record.kind, book.urgency, at)
            revisions += told
            made |= {one.alarm.id: one.entry for one in told}
    return life, revisions
