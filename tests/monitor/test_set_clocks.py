"""A wall clock that is set, right or wrong: ids go on in order, and no alarm is thought old that is not."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alarm_example import at, changes_of, written
from daemon_example import record
from hypothesis import given
from hypothesis import strategies as st

from monitor.alarms.alarm import Alarm, stamp_of
from monitor.alarms.book import Book, apply, open_book
from monitor.alarms.figures import Lived, figures
from monitor.alarms.flood import FloodRule
from monitor.alarms.life import Life, Rules, follow
from monitor.journal.age import NEVER_BEFORE_NS, Believed, believe
from monitor.journal.retention import DAY_NS, EVERY_NS, Retention
from monitor.journal.store import Journal

NOW_NS = 1_795_000_000 * 10**9
YEAR_NS = 365 * DAY_NS
BOOT = "this boot"


def raise_at(book: Book, *times_ns: int) -> tuple[Book, list[Alarm]]:
    """What the book makes of one event after the other, each begun when the wall clock showed that time."""
    raised = list[Alarm]()
    for t_ns in times_ns:
        book, [case] = apply(book, record("began", event=len(book.cases), t_ns=t_ns))
        raised.append(case.alarm)
    return book, raised


@given(st.lists(st.integers(1, 2**62), max_size=30))
def test_ids_sort_as_alarms_were_raised_and_no_two_are_alike_whatever_the_clock_shows(times_ns: list[int]) -> None:
    _, raised = raise_at(open_book("melt", []), *times_ns)
    ids = [alarm.id for alarm in raised]
    assert ids == sorted(set(ids))
    assert [alarm.raised_t_ns for alarm in raised] == times_ns, "what the clock showed is told"


def test_where_the_clock_goes_forward_an_id_begins_with_the_time() -> None:
    _, raised = raise_at(open_book("melt", []), NOW_NS, NOW_NS - DAY_NS, NOW_NS + 1, NOW_NS + DAY_NS)
    assert [stamp_of(alarm.id) - NOW_NS for alarm in raised] == [0, 1, 2, DAY_NS]


def test_a_flood_alarm_sorts_before_the_one_that_it_begins_with_though_the_clock_was_set_back() -> None:
    rules, life, order = Rules(flood=FloodRule(2, 1, 600.0)), Life({}), list[str]()
    book, [before] = raise_at(open_book("melt", []), NOW_NS)
    for event in range(1, 5):
        book, cases = apply(book, record("began", event=event, t_ns=NOW_NS - DAY_NS))
        life, told = follow(rules, life, cases, at())
        order += [one.alarm.id for one in told if one.what == "raised"]
    assert len(order) == 5
    assert [before.id, *order] == sorted({before.id, *order})


def test_another_process_goes_on_after_the_ids_of_the_one_before(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", "melt")
    assert journal.newest_id() == ""
    journal.commit(written(changes_of(record("ended", t_ns=NOW_NS)), 1))
    _, [alarm] = raise_at(open_book("melt", [], newest_id=journal.newest_id()), NOW_NS - DAY_NS)
    assert alarm.id > journal.newest_id()
    journal.close()


def test_nobody_is_said_to_have_acknowledged_before_the_alarm_was_raised() -> None:
    early = Lived("t2", "medium", NOW_NS, NOW_NS - DAY_NS, None)
    assert figures([early], NOW_NS - DAY_NS, NOW_NS + 1).median_ack_s == 0.0


class TestWhatTimeOfDayIsBelieved:
    def test_a_right_clock_is(self) -> None:
        before = Believed(NOW_NS, 10, BOOT)
        assert believe(None, 10, NOW_NS, BOOT) == before
        assert believe(before, 10 + EVERY_NS, NOW_NS + EVERY_NS, BOOT) == (NOW_NS + EVERY_NS, 10 + EVERY_NS, BOOT)

    @pytest.mark.parametrize("step_ns", [YEAR_NS, -YEAR_NS])
    def test_a_step_moves_it_by_no_more_than_passes_meanwhile(self, step_ns: int) -> None:
        minute_ns = 60 * 10**9
        wrong = believe(Believed(NOW_NS, 0, BOOT), minute_ns, NOW_NS + step_ns, BOOT)
        assert abs(wrong.t_ns - (NOW_NS + minute_ns)) <= 2 * minute_ns
        later = believe(wrong, 10 * minute_ns, NOW_NS + 10 * minute_ns, BOOT)
        assert later.t_ns == NOW_NS + 10 * minute_ns, "and it is right again soon"

    def test_how_long_a_machine_was_off_nobody_knows_and_it_is_caught_up_with(self) -> None:
        monday = NOW_NS + 2 * DAY_NS
        started = believe(Believed(NOW_NS, 10**15, "boot before"), 5, monday, BOOT)
        assert started.t_ns == NOW_NS
        assert believe(started, 5 + 2 * DAY_NS, monday + 2 * DAY_NS, BOOT).t_ns == monday + 2 * DAY_NS


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Ten alarms of the last ten days, one a day, cleared and gone out; the newest is of now."""
    made = Journal(tmp_path / "journal.db", "melt")
    for day in range(10):
        told = record("ended", event=day, t_ns=NOW_NS - (9 - day) * DAY_NS)
        made.commit(written(changes_of(told), day, 1000))
    yield made
    made.close()


def left(journal: Journal) -> int:
    return len(journal.alarms(100))


def test_a_clock_that_is_a_year_ahead_removes_nothing_and_one_that_goes_on_rightly_does(journal: Journal) -> None:
    retention = Retention(journal, 9.5, None)
    retention.step(0, NOW_NS)
    assert not retention.step(EVERY_NS, NOW_NS + YEAR_NS)
    assert not Retention(journal, 9.5, None).step(EVERY_NS, NOW_NS + YEAR_NS), "nor for another process"
    assert left(journal) == 10
    assert len(retention.step(DAY_NS, NOW_NS + DAY_NS)) == 1


def test_what_was_cleared_while_the_clock_was_a_year_late_is_as_young_as_it_is(journal: Journal) -> None:
    late = record("ended", event=10, t_ns=NOW_NS - YEAR_NS)
    journal.commit(written(changes_of(late), 10, 1000))
    retention = Retention(journal, 9.5, None)
    assert len(retention.step(0, NOW_NS + DAY_NS)) == 1
    assert left(journal) == 10
    assert len(retention.step(10 * DAY_NS, NOW_NS + 11 * DAY_NS)) == 10


def test_what_was_cleared_while_the_clock_was_a_year_ahead_can_go_when_there_is_too_much(journal: Journal) -> None:
    journal.commit(written(changes_of(record("ended", event=10, t_ns=NOW_NS + YEAR_NS)), 10, 1000))
    assert len(Retention(journal, None, 1e-9).step(0, NOW_NS)) == 11


def test_by_a_clock_that_was_never_set_nothing_is_old(journal: Journal) -> None:
    retention = Retention(journal, 1.0, None, never_before_ns=NEVER_BEFORE_NS)
    assert not retention.step(0, 60 * 10**9)
    assert journal.believed() is None
    assert len(retention.step(EVERY_NS, NOW_NS)) == 8
