"""Cleared alarms go when they are too old or too many; nothing goes that is open or has not left."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from alarm_example import changes_of, written
from daemon_example import record

from monitor.alarms.life import Revision
from monitor.journal.reading import Wanted
from monitor.journal.retention import AT_ONCE, DAY_NS, EVERY_NS, Retention
from monitor.journal.store import Act, Change, Gone, Journal

MANY = 3 * AT_ONCE


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Many alarms that were cleared one nanosecond after the other, and one that is open; all have left."""
    made = Journal(tmp_path / "journal.db", "melt")
    for event in range(MANY):
        told = record("ended", event=event, t_ns=event, why="x" * 500)
        rows = made.commit(written(changes_of(told), event))
    made.commit(written(changes_of(record("began", event=MANY, t_ns=MANY)), MANY, rows[-1] + 1))
    yield made
    made.close()


def trimmed(journal: Journal, retention: Retention, t_ns: int) -> int:
    """How many go until there is no more to do."""
    gone, found = 0, 1
    while found:
        found = len(retention.step(0, t_ns))
        gone += found
    return gone


def test_alarms_go_that_were_cleared_too_long_ago_a_few_at_a_time(journal: Journal) -> None:
    retention = Retention(journal, 1.0, None)
    assert len(retention.step(0, DAY_NS + AT_ONCE + 50)) == AT_ONCE
    assert trimmed(journal, retention, DAY_NS + AT_ONCE + 50) == 50
    assert len(journal.alarms(2 * MANY)) == MANY + 1 - AT_ONCE - 50
    assert journal.alarms(2 * MANY)[-1].raised_t_ns == AT_ONCE + 50
    assert sum(journal.raised().values()) == MANY + 1, "what was counted stays counted"


def test_the_oldest_go_where_there_is_too_much(journal: Journal) -> None:
    before = journal.used_bytes()
    gone = trimmed(journal, Retention(journal, None, before / 2**21), DAY_NS)
    assert 0 < gone < MANY
    assert journal.used_bytes() <= before / 2
    assert journal.alarms(1)[0].state == "active"


def test_an_alarm_that_is_open_never_goes(journal: Journal) -> None:
    trimmed(journal, Retention(journal, 1e-9, 1e-9), 10 * DAY_NS)
    assert [alarm.state for alarm in journal.alarms(10)] == ["active"]


def test_what_a_sink_has_not_delivered_stays(journal: Journal) -> None:
    tenth = journal.changes_after(0, 20)[-1].row
    journal.mark("phone", tenth)
    assert trimmed(journal, Retention(journal, 1.0, None, lambda: ("phone",)), 10 * DAY_NS) == 10
    assert trimmed(journal, Retention(journal, 1.0, None), 10 * DAY_NS) == MANY - 10


def test_what_has_not_left_stays(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "other.db", "melt")
    journal.commit(written(changes_of(record("ended", t_ns=1)), 1))
    assert trimmed(journal, Retention(journal, 1.0, None), 10 * DAY_NS) == 0
    journal.close()


def test_an_alarm_that_the_permit_waits_for_stays_until_it_is_acknowledged(journal: Journal) -> None:
    seen, *_ = journal.entries(1, Wanted("cleared"))[0][1:]
    acknowledged = msgspec.structs.replace(seen.told, acked=True, rev=9)
    change = Change(Revision(msgspec.structs.replace(seen, told=acknowledged), "acknowledged"), MANY)
    [row] = journal.commit(written([change], MANY))
    journal.commit(written([], MANY, row))
    [gone] = Retention(journal, 1.0, None, awaited=[("t2", "medium")]).step(0, 10 * DAY_NS)
    assert gone == Gone("t2", "medium", acked=True)
    assert trimmed(journal, Retention(journal, None, 1e-9, awaited=[("t2", "medium")]), 10 * DAY_NS) == 0
    assert (
        trimmed(journal, Retention(journal, 1.0, None, awaited=[("t2", "high"), ("s2", "medium")]), 10 * DAY_NS)
        == MANY - 1
    )


def test_it_looks_once_an_hour(journal: Journal) -> None:
    retention = Retention(journal, EVERY_NS / DAY_NS, None)
    assert not retention.step(0, 0)
    assert not retention.step(EVERY_NS - 1, 2 * EVERY_NS)
    assert len(retention.step(EVERY_NS, 2 * EVERY_NS)) == AT_ONCE


def test_a_sink_begins_with_what_comes_after_it_was_first_heard_of(journal: Journal) -> None:
    assert journal.cursor("phone") == journal.newest()
    journal.mark("phone", 3)
    assert journal.cursor("phone") == 3


def test_what_people_did_to_sources_goes_when_it_is_too_old_a_few_at_a_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "acts.db", "melt")
    done = [Act(t_ns, "shelved", "t2", "ann", "mirror cleaned") for t_ns in range(AT_ONCE + 50)]
    behind = Act(0, "unshelved", "t2", "ann", "by a clock that was wrong")
    journal.commit(written([], 1)._replace(acts=[*done, Act(10 * DAY_NS, "shelved", "s2", "ann", ""), behind]))

    def left() -> int:
        return journal._db.execute("SELECT count(*) FROM acts").fetchone()[0]

    retention = Retention(journal, 1.0, None)
    assert retention.step(0, 10 * DAY_NS) == []
    assert left() == 52
    assert retention.step(1, 10 * DAY_NS) == []
    assert left() == 2, "what followed a younger one is no older"
    retention.step(2, 30 * DAY_NS)
    assert left() == 2, "there was no more to do"
    Retention(journal, None, 1e-9).step(3, 30 * DAY_NS)
    assert left() == 2, "their age alone counts"
    journal.close()
