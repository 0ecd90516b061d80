"""Which alarms a question is about, and in which order they come: the one in which they were raised."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from alarm_example import at, changes_of, written
from daemon_example import record

from monitor.alarms.book import apply, open_book
from monitor.alarms.flood import FloodRule
from monitor.alarms.life import Life, Revision, Rules, follow
from monitor.journal.reading import Wanted
from monitor.journal.store import Change, Journal

SIX = ("t2", "s2", "frozen", "dark", "blind", "new_kind")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal.db", "melt")
    yield opened
    opened.close()


def test_alarms_are_listed_and_counted_by_state_source_and_flood(journal: Journal) -> None:
    flooded = Rules(flood=FloodRule(begins_above=2, ends_below=1))
    events = [record("began", event=i, source=one) for i, one in enumerate(SIX)]
    ended = [record("ended", event=i, source=one) for i, one in enumerate(SIX[:2])]
    journal.commit(written(changes_of(*events, *ended, rules=flooded), 9))
    *_, flood, second, first = [alarm.id for alarm in journal.alarms(10)]
    for wanted, found in (
        (Wanted(), ["new_kind", "blind", "dark", "frozen", "flood", "s2", "t2"]),
        (Wanted("active"), ["new_kind", "blind", "dark", "frozen", "flood"]),
        (Wanted("cleared"), ["s2", "t2"]),
        (Wanted("unacknowledged", source="dark"), ["dark"]),
        (Wanted("cleared", source="dark"), []),
        (Wanted(group=flood), ["new_kind", "blind", "dark", "frozen", "flood"]),
        (Wanted(group=flood, source="blind"), ["blind"]),
        (Wanted(until=journal.place(flood)), ["flood", "s2", "t2"]),
        (Wanted("unacknowledged", after=journal.place(first) or 0, until=journal.place(flood)), ["flood", "s2"]),
    ):
        assert [alarm.source for alarm in journal.listed(10, wanted)] == found, wanted
        assert [entry.seen.source for _, entry in journal.entries(10, wanted)] == found[::-1], wanted
        assert journal.count(wanted) == len(found), wanted
        assert len(journal.listed(1, wanted)) == min(len(found), 1)
    assert journal.place(second) == 2
    assert journal.place("nothing") is None


def test_an_alarm_that_waited_for_its_on_delay_is_raised_after_those_that_were_raised_meanwhile(
    journal: Journal,
) -> None:
    slow = Rules(on_delay_s={"frozen": 60.0})
    book, cases = apply(open_book("melt", []), record("began", source="frozen"))
    life, waits = follow(slow, Life({}), cases, at())
    journal.commit(written([Change(one, 1) for one in waits], 1))
    assert journal.alarms(10) == journal.listed(10, Wanted("unacknowledged")) == []
    assert journal.count(Wanted("active")) == 0
    assert journal.place(life.entries[next(iter(life.entries))].seen.id) is None
    _, cases = apply(book, record("began", event=2, source="dark"))
    life, told = follow(slow, life, cases, at(1))
    _, late = follow(slow, life, [], at(60 * 10**9))
    for revisions in (told, late, late):  # the last of them twice, as after a commit whose answer was lost
        journal.commit(written([Change(one, 1) for one in revisions], 2))
    assert [alarm.source for alarm in journal.alarms(10)] == ["frozen", "dark"]
    assert [entry.seen.source for entry in journal.open_entries()] == ["dark", "frozen"]


def test_unacknowledged_alarms_are_counted_by_source_and_priority(journal: Journal) -> None:
    over = changes_of(record("ended"))
    journal.commit(written([*over, *changes_of(record("began", event=2, source="frozen"))], 4, 0))
    assert journal.unacknowledged() == {("t2", "medium"): 1, ("frozen", "high"): 1}
    entry = over[-1].revision.entry
    assert entry.told is not None
    seen = msgspec.structs.replace(entry, told=msgspec.structs.replace(entry.told, acked=True, rev=4))
    journal.commit(written([Change(Revision(seen, "acknowledged"), 1)], 4, 0))
    assert journal.unacknowledged() == {("frozen", "high"): 1}


def test_what_lived_in_a_period_is_what_was_raised_in_it_and_what_is_older_and_active_still(journal: Journal) -> None:
    told = [record("ended", event=1, t_ns=10), record("began", event=2, source="dark", t_ns=20)]
    later = [record("ended", event=3, t_ns=30), record("ended", event=4, t_ns=40)]
    for one in (*told, *later):
        journal.commit(written(changes_of(one), 1))
    assert [lived.raised_t_ns for lived in journal.lived(30, 40)] == [30, 20]
    assert [lived.raised_t_ns for lived in journal.lived(0, 2**62)] == [10, 20, 30, 40]


def test_revisions_are_read_page_by_page_since_a_moment(journal: Journal) -> None:
    for t_ns in range(1, 6):
        journal.commit(written(changes_of(record("began", event=t_ns, t_ns=t_ns)), 1))
    page = journal.changes_after(0, 2, since_t_ns=2)
    assert [one.t_ns for one in page] == [2, 3]
    assert [one.t_ns for one in journal.changes_after(page[-1].row, 10, since_t_ns=2)] == [4, 5]
