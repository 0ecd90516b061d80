"""Event records into book and life, each at the moment at which it was written, however late it is read. Pure."""

from collections.abc import Sequence

from monitor.alarms import book as books
from monitor.alarms.book import Book
from monitor.alarms.entry import Life, Moment, Revision, Rules
from monitor.alarms.life import follow
from monitor.eventlog import EventRecord


def read(
    rules: Rules, book: Book, life: Life, records: Sequence[EventRecord], at: Moment, lossy: bool = False
) -> tuple[Book, Life, list[Revision]]:
    """Book and life after *records*, in their order, and after the time up to *at*; and what is to be told.

    Writer and reader share a clock (monotonic, of this boot of the machine), so delays count from what a record says
    of itself. A record that was written a moment before *at* and comes a step later has missed that step: what would
    have been over in time is then raised all the same. *lossy*: records may be missing.
    """
    revisions: list[Revision] = []
    for record in records:
        book, cases = books.apply(book, record, lossy)
        life, told = follow(rules, life, cases, at.moved_to(record.mono_ns) if record.mono_ns else at)
        revisions += told
    life, told = follow(rules, life, [], at)
    return book, life, [*revisions, *told]
