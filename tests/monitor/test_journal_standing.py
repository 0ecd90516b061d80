"""What a sink's other side should be keeping: alarms that were open when the sink had come as far as it has."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from alarm_example import changes_of, written
from daemon_example import record
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.alarms.alarm import Alarm
from monitor.journal.store import Change, Journal

SOURCES = ("frozen", "dark", "saturated", "degraded")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "journal.db", "melt")
    yield opened
    opened.close()


def changes(steps: list[int]) -> list[Change]:
    """Alarms of four sources, of which each step begins one, or ends it where it is open."""
    told, open_events = [], dict[str, int]()
    for number, which in enumerate(steps):
        source = SOURCES[which]
        event = open_events.pop(source, None)
        if event is None:
            open_events[source] = number
            told.append(record("began", event=number, source=source))
        else:
            told.append(record("ended", event=event, source=source))
    return changes_of(*told) if told else []


def open_after(told: list[Change]) -> list[Alarm]:
    """The same by looking at every change, oldest first."""
    latest: dict[str, Alarm] = {}
    for alarm in (one.revision.alarm for one in told):
        latest.pop(alarm.id, None)
        latest[alarm.id] = alarm
    return [alarm for alarm in latest.values() if alarm.state == "active"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 3), max_size=20))
def test_it_is_what_looking_at_every_change_up_to_the_cursor_gives(tmp_path: Path, steps: list[int]) -> None:
    path = tmp_path / "each.db"
    path.unlink(missing_ok=True)
    journal, told = Journal(path, "melt"), changes(steps)
    try:
        rows = journal.commit(written(told, 1))
        for count in range(len(told) + 1):
            journal.mark("hall", rows[count - 1] if count else 0)
            assert journal.standing("hall", 100) == open_after(told[:count])
            assert journal.standing("hall", 2) == open_after(told[:count])[-2:]
    finally:
        journal.close()


def test_a_sink_of_which_nothing_is_known_has_come_nowhere(journal: Journal) -> None:
    journal.commit(written(changes([0, 1]), 1))
    assert journal.standing("hall", 100) == []
    journal.cursor("hall")
    assert [alarm.source for alarm in journal.standing("hall", 100)] == ["frozen", "dark"]


def test_an_alarm_whose_on_delay_runs_is_nobodys(journal: Journal) -> None:
    [told] = changes([0])
    waiting = msgspec.structs.replace(told.revision.entry, told=None)
    journal.commit(written([Change(told.revision._replace(entry=waiting, what="kept"), 5)], 1))
    journal.cursor("hall")
    assert journal.standing("hall", 100) == []
