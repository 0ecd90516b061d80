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
from monitor.types import Kind

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


S = 10**9


def test_alarms_touch_a_period_in_which_they_were_active(journal: Journal) -> None:
    for event, source, began_s, ended_s in ((1, "t2", 10, 20), (2, "frozen", 15, 60), (3, "dark", 40, None)):
        told = [record("began", event=event, source=source, t_ns=began_s * S)]
        told += [record("ended", event=event, source=source, t_ns=ended_s * S)] if ended_s else []
        journal.commit(written(changes_of(*told), event))

    def touching(first_s: int, last_s: int, most: int = 10) -> list[tuple[str, bool]]:
        found = journal.touching(first_s * S, last_s * S, most)
        return [(alarm.source, ended_t_ns is None) for alarm, ended_t_ns in found]

    assert touching(0, 5) == []
    assert touching(5, 12) == [("t2", False)]
    assert touching(20, 30) == [("frozen", False), ("t2", False)]
    assert touching(21, 30) == [("frozen", False)]
    assert touching(50, 55) == [("dark", True), ("frozen", False)]
    assert touching(100, 200) == [("dark", True)]
    assert touching(0, 200, most=2) == [("dark", True), ("frozen", False)]
    assert [ended for _, ended in journal.touching(0, 200 * S, 10)] == [None, 60 * S, 20 * S]


def test_alarms_of_a_job_are_counted_by_layer_and_kind(journal: Journal) -> None:
    spatter = Kind(3, "spatter", 0.5)
    for event, more in enumerate(
        (
            {"job": "a", "layer": 1, "kind": spatter},
            {"job": "a", "layer": 1, "kind": spatter, "source": "s2"},
            {"job": "a", "layer": 1, "source": "s2"},
            {"job": "a", "layer": 2, "source": "frozen"},
            {"job": "a"},
            {"job": "b", "layer": 1},
            {"job": "a", "layer": 2, "source": "blind"},
        ),
        start=1,
    ):
        told = [record(phase, event=event, t_ns=event * S, **more) for phase in ("began", "ended")]
        journal.commit(written(changes_of(*told), event))
    found = journal.by_layer("a", 0, ("blind",))
    assert found == [(1, "spatter", 2), (1, "s2", 1), (2, "frozen", 1), (None, "t2", 1)]
    assert journal.by_layer("a", 4 * S, ("blind", "frozen")) == [(None, "t2", 1)]
