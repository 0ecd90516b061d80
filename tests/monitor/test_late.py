"""A name that comes when an event is over reaches its alarm, whatever that waits for, and takes nothing back."""

import pytest
from alarm_example import PLAIN
from daemon_example import record
from test_life import Story

from monitor.alarms import late
from monitor.alarms.acts import Acknowledge
from monitor.alarms.alarm import USUAL
from monitor.alarms.life import Revision, Rules
from monitor.alarms.waiting import Waiting
from monitor.eventlog import EventRecord
from monitor.types import Kind, Peak

SPLASH = Kind(3, "splash", 0.1)
GRAVE = USUAL._replace(kinds={"splash": "critical"})


def named(event: int = 1, kind: Kind | None = SPLASH) -> EventRecord:
    return record("named", event, kind=kind)


def story(rules: Rules = PLAIN) -> Story:
    told = Story(rules)
    told.book = told.book._replace(urgency=GRAVE, named_later=True)
    return told


def name_late(told: Story, alarm_id: str, *records: EventRecord) -> list[Revision]:
    named_ = [(one, alarm_id) for one in records]
    told.life, found = late.name(told.rules, told.life, told.book, named_, told.kept.get, told.at)
    return told._keep(found)


def test_an_open_event_is_named_by_a_revision_that_may_raise_its_priority() -> None:
    told = story()
    told.see(record("began"))
    [revision] = told.see(named())
    assert (revision.alarm.rev, revision.alarm.kind, revision.alarm.priority) == (2, SPLASH, "critical")
    assert told.see(named()) == [], "said twice it changes nothing"
    [revision] = told.see(named(kind=None))
    assert (revision.alarm.kind, revision.alarm.priority) == (None, "critical"), "what was urgent stays so"


def test_an_event_that_grows_keeps_its_name_until_there_is_another() -> None:
    told = story()
    told.see(record("began"), named())
    [revision] = told.see(record("grew", last_seq=20, peak=Peak(18, 80.0, 50.0, 1.6)))
    assert revision.alarm.kind == SPLASH
    [revision] = told.see(named(kind=Kind(4, "plume", 0.1)))
    assert revision.alarm.kind == Kind(4, "plume", 0.1)


def test_an_alarm_that_is_cleared_is_named_and_waits_as_what_it_is() -> None:
    told = story()
    raised, cleared = told.see(record("began"), record("ended", last_seq=15))
    waiting = Waiting({}, [])
    waiting.follow([raised, cleared])
    assert waiting.by_cause == {"medium": 1}
    alarm_id = cleared.alarm.id
    assert told.see(named()) == [], "the book knows it no more"
    [revision] = name_late(told, alarm_id, named())
    assert (revision.what, revision.was, revision.alarm.rev, revision.alarm.state) == ("named", "medium", 3, "cleared")
    assert (revision.alarm.kind, revision.alarm.priority) == (SPLASH, "critical")
    waiting.follow([revision])
    assert waiting.by_cause == {"critical": 1}
    waiting.follow(told.do(alarm_id, Acknowledge("ann")))
    assert waiting.by_cause == {}
    [revision] = name_late(told, alarm_id, named(kind=None))
    waiting.follow([revision])
    assert (revision.alarm.acked, waiting.by_cause) == (True, {})


@pytest.mark.parametrize("rules", [Rules(latched=frozenset({"t2"})), Rules(off_delay_s={"t2": 5.0})])
def test_an_alarm_whose_event_is_over_and_that_still_stands_is_named(rules: Rules) -> None:
    told = story(rules)
    told.see(record("began"), record("ended", last_seq=15))
    [entry] = told.life.entries.values()
    assert entry.told is not None
    [revision] = name_late(told, entry.told.id, named())
    assert (revision.what, revision.alarm.state, revision.alarm.kind) == ("changed", "active", SPLASH)
    assert told.life.active == [revision.alarm]


def test_an_alarm_that_goes_on_with_another_event_is_not_of_the_first_ones_kind() -> None:
    told = story(Rules(off_delay_s={"t2": 5.0}))
    told.see(record("began"), record("ended", last_seq=15), record("began", 2, first_seq=40, last_seq=41))
    [entry] = told.life.entries.values()
    assert entry.told is not None
    assert name_late(told, entry.told.id, named()) == []


def test_an_event_without_an_alarm_is_named_in_vain() -> None:
    told = story()
    assert name_late(told, "", named()) == []
    assert name_late(told, "0001-0001", named()) == []
