"""The desk of the side process, without clock or sockets: what becomes of event records, and what is told of a loss."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from daemon_example import beat, record, some_config, some_orders
from kind_examples import some_table
from promise_example import unit
from test_rates import FITTED

from monitor import eventlog, recordlog, unitlog
from monitor.alarms.acts import Acknowledge, Shelve
from monitor.alarms.alarm import Alarm
from monitor.config import Config
from monitor.desk import SETTLE_NS, SLOW_DISK_NS, Desk
from monitor.eventlog import SLOTS
from monitor.journal.store import Journal
from monitor.layers import LayerCount, RateSummary
from monitor.orders import Memory, Orders, StopPromise
from monitor.standin import TELL_NS
from monitor.status import LOST_WHY
from monitor.taxonomy import table
from monitor.types import Kind
from monitor.vitals import CAUSES, LOST_NS

NOW_NS = 10**12
SETTLED_NS = NOW_NS + SETTLE_NS
T_NS = 1_795_000_000 * 10**9
PATIENCE_S = 10.0


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return some_config(tmp_path)


@pytest.fixture
def daemon(config: Config) -> Iterator[tuple[Orders, Memory]]:
    with some_orders(config) as made:
        beat(made[1], NOW_NS)
        yield made


@pytest.fixture
def journal(config: Config) -> Iterator[Journal]:
    opened = Journal(Path(config.journal), config.camera)
    yield opened
    opened.close()


@pytest.fixture
def desk(daemon: tuple[Orders, Memory], journal: Journal) -> Desk:
    return Desk(*daemon, journal, NOW_NS)


@pytest.fixture
def memory(daemon: tuple[Orders, Memory]) -> Memory:
    return daemon[1]


def test_a_record_becomes_a_journalled_alarm_on_its_topic(desk: Desk, memory: Memory, journal: Journal) -> None:
    eventlog.append(memory.log, record("began"))
    [telegram] = desk.step(SETTLED_NS, T_NS)
    assert telegram.topic == "alarm.melt"
    assert journal.alarms(10) == [msgspec.json.decode(telegram.body, type=Alarm)]
    assert desk.raised == {("t2", "medium"): 1}
    assert desk.step(SETTLED_NS + 1, T_NS) == []


def test_an_alarm_that_came_and_went_since_the_last_look_is_seen_in_the_count_of_changes(
    desk: Desk, memory: Memory
) -> None:
    before = desk.status(SETTLED_NS, T_NS)
    eventlog.append(memory.log, record("began"))
    eventlog.append(memory.log, record("ended"))
    desk.step(SETTLED_NS, T_NS)
    after = desk.status(SETTLED_NS, T_NS)
    assert before.alarms == after.alarms == []
    assert (before.alarm_changes, after.alarm_changes) == (0, 2)
    desk.step(SETTLED_NS + 1, T_NS)
    assert desk.status(SETTLED_NS, T_NS).alarm_changes == 2


def test_alarms_wait_until_subscribers_are_back_but_not_for_the_journal(
    desk: Desk, memory: Memory, journal: Journal
) -> None:
    eventlog.append(memory.log, record("began"))
    assert desk.step(SETTLED_NS - 1, T_NS) == []
    assert len(journal.alarms(10)) == 1
    assert len(desk.step(SETTLED_NS, T_NS)) == 1


def test_the_last_step_keeps_nothing_back(desk: Desk, memory: Memory) -> None:
    eventlog.append(memory.log, record("began"))
    assert len(desk.step(NOW_NS, T_NS, last=True)) == 1


def test_a_new_desk_goes_on_where_the_old_one_stopped(
    desk: Desk, daemon: tuple[Orders, Memory], journal: Journal
) -> None:
    given, memory = daemon
    eventlog.append(memory.log, record("began"))
    desk.step(SETTLED_NS, T_NS)
    eventlog.append(memory.log, record("grew", last_seq=30, frames_over=8))
    after = Desk(given, memory, journal, NOW_NS)
    after.step(NOW_NS, T_NS)
    assert [(alarm.rev, alarm.frames_over) for alarm in after.life.active] == [(2, 8)]
    assert after.raised == {("t2", "medium"): 1}


def test_a_new_boot_keeps_open_alarms_and_reads_its_log_from_the_start(
    desk: Desk, daemon: tuple[Orders, Memory], journal: Journal, config: Config
) -> None:
    eventlog.append(daemon[1].log, record("began"))
    desk.step(SETTLED_NS, T_NS)
    with some_orders(config) as (given, memory):
        after = Desk(msgspec.structs.replace(given, boot="boot-2"), memory, journal, NOW_NS)
        assert len(after.life.active) == 1
        eventlog.append(memory.log, record("settled", epoch="hot-2"))
        beat(memory, NOW_NS)
        after.step(NOW_NS, T_NS)
    assert after.life.active == []


def delaying(config: Config) -> Config:
    alarms = msgspec.structs.replace(config.alarms, on_delay_s={"t2": 2.0})
    return msgspec.structs.replace(config, alarms=alarms)


def test_an_event_that_outlasted_its_on_delay_while_nothing_was_read_is_raised_and_cleared(
    config: Config, journal: Journal
) -> None:
    with some_orders(delaying(config)) as (given, memory):
        desk = Desk(given, memory, journal, NOW_NS)
        eventlog.append(memory.log, record("began", mono_ns=NOW_NS))
        eventlog.append(memory.log, record("ended", last_seq=20, mono_ns=NOW_NS + 2 * 10**9, began_ns=NOW_NS))
        eventlog.append(memory.log, record("began", event=2, mono_ns=NOW_NS))
        eventlog.append(memory.log, record("ended", event=2, mono_ns=NOW_NS + 10**9, began_ns=NOW_NS))
        beat(memory, NOW_NS + 60 * 10**9)
        desk.step(NOW_NS + 60 * 10**9, T_NS)
    assert revisions(journal) == [("raised", 1, "active"), ("cleared", 2, "cleared")]


@pytest.mark.parametrize(("boot", "raised"), [("boot-1", ["raised"]), ("boot-2", [])])
def test_a_delay_goes_on_in_another_side_process_and_begins_anew_in_another_daemon(
    config: Config, journal: Journal, boot: str, raised: list[str]
) -> None:
    with some_orders(delaying(config)) as (given, memory):
        eventlog.append(memory.log, record("began", mono_ns=NOW_NS))
        Desk(given, memory, journal, NOW_NS).step(NOW_NS, T_NS)
    with some_orders(delaying(config)) as (given, memory):
        beat(memory, NOW_NS + 2 * 10**9)
        after = Desk(msgspec.structs.replace(given, boot=boot), memory, journal, NOW_NS + 10**9)
        after.step(NOW_NS + 2 * 10**9, T_NS)
    assert [what for what, _, _ in revisions(journal)] == raised


def test_a_lost_hot_process_is_told_at_once_and_every_second(desk: Desk, memory: Memory) -> None:
    lost_ns = SETTLED_NS + LOST_NS
    beat(memory, SETTLED_NS)
    assert desk.step(lost_ns, T_NS) == []
    topics = [telegram.topic for telegram in desk.step(lost_ns + 1, T_NS)]
    assert topics == ["alarm.melt", "heartbeat.melt", "permit.melt"]
    assert desk.step(lost_ns + TELL_NS, T_NS) == []
    again = desk.step(lost_ns + TELL_NS + 1, T_NS)
    assert [telegram.topic for telegram in again] == ["heartbeat.melt", "permit.melt"]


def test_what_is_told_of_a_lost_hot_process(desk: Desk, memory: Memory) -> None:
    memory.vitals["last_seq"][0] = 77
    told = {t.topic: msgspec.json.decode(t.body) for t in desk.step(SETTLED_NS + LOST_NS, T_NS)}
    assert told["alarm.melt"]["source"] == "degraded"
    assert told["heartbeat.melt"] == {
        "v": 1,
        "camera": "melt",
        "t_ns": T_NS,
        "state": "degraded",
        "why": LOST_WHY,
        "seq": 77,
        "coverage": 0.0,
        "frame_age_p99_ms": 0.0,
        "active_alarms": 1,
    }
    assert told["permit.melt"] == {
        "v": 1,
        "camera": "melt",
        "epoch": "hot-1",
        "n": 0,
        "t_ns": T_NS,
        "ttl_ms": 500,
        "permit": False,
        "why": LOST_WHY,
        "mode": "advisory",
    }


def test_a_hot_process_that_is_back_clears_the_alarm_and_speaks_for_itself(desk: Desk, memory: Memory) -> None:
    desk.step(SETTLED_NS + LOST_NS, T_NS)
    beat(memory, SETTLED_NS + 2 * LOST_NS)
    [telegram] = desk.step(SETTLED_NS + 2 * LOST_NS, T_NS)
    alarm = msgspec.json.decode(telegram.body, type=Alarm)
    assert (alarm.source, alarm.state, alarm.rev) == ("degraded", "cleared", 2)


def test_a_side_process_that_was_restarted_meanwhile_clears_it_too(
    desk: Desk, daemon: tuple[Orders, Memory], journal: Journal
) -> None:
    desk.step(SETTLED_NS + LOST_NS, T_NS)
    beat(daemon[1], SETTLED_NS + 2 * LOST_NS)
    after = Desk(*daemon, journal, SETTLED_NS + 2 * LOST_NS)
    after.step(SETTLED_NS + 2 * LOST_NS, T_NS)
    assert after.life.active == []


def test_overwritten_records_are_confessed_for_a_minute(desk: Desk, memory: Memory) -> None:
    for event in range(SLOTS + 9):
        eventlog.append(memory.log, record("began", event=event))
    desk.step(SETTLED_NS, T_NS)
    assert desk.why(SETTLED_NS) == "10 event records were overwritten before they were read"
    assert desk.why(SETTLED_NS + 61 * 10**9) == ""


def test_a_disk_that_does_not_answer_is_confessed(
    desk: Desk, memory: Memory, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, answer = threading.Event(), threading.Event()
    commit = journal.commit

    def hang(*args: Any) -> list[int]:
        hanging.set()
        answer.wait(PATIENCE_S)
        return commit(*args)

    monkeypatch.setattr(journal, "commit", hang)
    eventlog.append(memory.log, record("began"))
    step = threading.Thread(target=desk.step, args=(SETTLED_NS, T_NS))
    step.start()
    assert hanging.wait(PATIENCE_S)
    assert desk.why(SETTLED_NS + SLOW_DISK_NS) == ""
    assert desk.why(SETTLED_NS + SLOW_DISK_NS + 10**9) == "the journal has not answered for 3 s"
    answer.set()
    step.join(PATIENCE_S)
    assert desk.why(SETTLED_NS + SLOW_DISK_NS + 10**9) == ""


def test_a_file_that_is_locked_does_not_hold_alarms_up(desk: Desk, memory: Memory, config: Config) -> None:
    other = sqlite3.connect(config.journal, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    eventlog.append(memory.log, record("began"))
    [telegram] = desk.step(SETTLED_NS, T_NS)
    assert msgspec.json.decode(telegram.body)["journaled"] is False
    assert desk.why(SETTLED_NS) == "the journal cannot be written: database is locked"
    assert desk.unwritten == (True, 1)
    other.execute("ROLLBACK")
    other.close()
    desk.step(SETTLED_NS + 10**9, T_NS)
    assert desk.why(SETTLED_NS + 10**9) == ""
    assert desk.unwritten == (False, 0)


def test_finished_layers_are_told_by_a_desk_with_a_chart_of_rates(
    daemon: tuple[Orders, Memory], journal: Journal
) -> None:
    given, memory = daemon
    assert given.bundle is not None
    charted = msgspec.structs.replace(given, bundle=msgspec.structs.replace(given.bundle, rates=FITTED))
    with_chart, without = Desk(charted, memory, journal, NOW_NS), Desk(given, memory, journal, NOW_NS)
    recordlog.begin(memory.units, "hot-1")
    for one in (unit(0), unit(1, score=9.0)):
        unitlog.append(memory.units, one)
    for desk in (with_chart, without):
        desk.step(SETTLED_NS, T_NS)
    assert with_chart.status(SETTLED_NS, T_NS).layers == LayerCount("part 7", True, charted=2, out_of_control=1)
    assert [one.over for one in with_chart.layers("part 7").layers] == [False, True]
    assert (without.status(SETTLED_NS, T_NS).layers, without.layers(None)) == (None, RateSummary())


def test_a_known_kind_has_the_priority_that_an_operator_gave_it(desk: Desk, memory: Memory) -> None:
    eventlog.append(memory.log, record("began", kind=Kind(1, "splash 1", 0.5)))
    table.write(memory.kinds, some_table(1))  # as new as the record, whatever came first
    desk.step(SETTLED_NS, T_NS)
    assert [alarm.priority for alarm in desk.life.active] == ["high"]


def test_the_permit_is_told_which_alarms_wait_for_a_person(desk: Desk, memory: Memory, journal: Journal) -> None:
    eventlog.append(memory.log, record("began"))
    eventlog.append(memory.log, record("ended"))
    eventlog.append(memory.log, record("began", event=2, source="degraded"))
    eventlog.append(memory.log, record("began", event=3, source="frozen"))
    desk.step(SETTLED_NS, T_NS)
    assert (desk.unacknowledged, desk.heard) == ({"medium": 1, "degraded": 1, "high": 1}, 4)
    cleared = journal.alarms(1, "cleared")[0].id
    desk.ask(cleared, Acknowledge("ann"))
    desk.step(SETTLED_NS + 1, T_NS)
    assert desk.unacknowledged == {"degraded": 1, "high": 1}


def test_another_side_process_knows_which_alarms_wait(
    desk: Desk, daemon: tuple[Orders, Memory], journal: Journal
) -> None:
    eventlog.append(daemon[1].log, record("began"))
    eventlog.append(daemon[1].log, record("ended"))
    desk.step(SETTLED_NS, T_NS)
    assert Desk(*daemon, journal, SETTLED_NS).unacknowledged == {"medium": 1}


def revisions(journal: Journal) -> list[tuple[str, int, str]]:
    return [(one.what, one.alarm.rev, one.alarm.state) for one in journal.changes_after(0, 100)]


def test_who_acknowledges_in_the_step_in_which_an_alarm_is_cleared_revives_nothing(
    desk: Desk, memory: Memory, journal: Journal
) -> None:
    eventlog.append(memory.log, record("began"))
    desk.step(SETTLED_NS, T_NS)
    alarm_id = journal.alarms(1)[0].id
    eventlog.append(memory.log, record("ended", last_seq=20))
    answers = [desk.ask(alarm_id, Acknowledge("ann", verdict)) for verdict in ("true", "false")]
    desk.step(SETTLED_NS + 1, T_NS)
    assert revisions(journal) == [
        ("raised", 1, "active"),
        ("cleared", 2, "cleared"),
        ("acknowledged", 3, "cleared"),
        ("judged", 4, "cleared"),
    ]
    assert [one.result(0).refused for one in answers] == [None, None]
    assert journal.open_entries() == []


def test_on_a_full_disk_an_alarm_that_is_over_can_be_acknowledged(
    desk: Desk, memory: Memory, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> list[int]:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as full:
        full.setattr(journal, "commit", refuse)
        eventlog.append(memory.log, record("began"))
        eventlog.append(memory.log, record("ended", last_seq=20))
        [raised, _] = desk.step(SETTLED_NS, T_NS)
        answer = desk.ask(msgspec.json.decode(raised.body)["id"], Acknowledge("ann"))
        desk.step(SETTLED_NS + 1, T_NS)
        assert answer.result(0).refused is None
        assert not answer.result(0).journaled
    beat(memory, SETTLED_NS + 10**10)
    desk.step(SETTLED_NS + 10**10, T_NS)
    assert [what for what, _, _ in revisions(journal)] == ["raised", "cleared", "acknowledged"]


def test_who_asked_and_has_gone_stops_nothing(desk: Desk, memory: Memory) -> None:
    assert desk.ask("t2", Shelve("ann", 5.0)).cancel()
    desk.step(SETTLED_NS, T_NS)
    assert list(desk.life.modes) == [("t2", "shelved")]


def test_what_goes_beyond_its_bounds_is_refused_whoever_made_it(desk: Desk) -> None:
    with pytest.raises(msgspec.ValidationError):
        desk.ask("t2", Shelve("ann", 1e9))


def test_the_end_of_a_shelving_is_of_the_boot_in_which_it_began(desk: Desk, memory: Memory, journal: Journal) -> None:
    desk.ask("t2", Shelve("ann", 600.0))
    desk.step(SETTLED_NS, T_NS)
    journal._db.execute("UPDATE reader SET machine = 'another boot'")
    eventlog.append(memory.log, record("began"))
    desk.step(SETTLED_NS + 1, T_NS)
    assert journal.modes()[1] is False


def test_where_there_is_a_budget_of_stops_charts_withhold_nothing_and_wait_for_nobody(
    daemon: tuple[Orders, Memory], journal: Journal
) -> None:
    given, memory = daemon
    assert given.bundle is not None
    stops = StopPromise(per_hour=0.1, rule="5 of 8", hours=2.5, extrapolated_by=4.0, dead_time_s=0.5, why="")
    facts = msgspec.structs.replace(given.bundle, stops=stops)
    desk = Desk(msgspec.structs.replace(given, bundle=facts), memory, journal, 0)
    for event, source in enumerate(("t2", "stop", "frozen"), start=1):
        eventlog.append(memory.log, record("began", event=event, source=source))
    desk.step(SETTLED_NS, T_NS)
    assert [alarm.priority for alarm in desk.life.active if alarm.source == "stop"] == ["critical"]
    assert desk.unacknowledged == {"stop": 1, "high": 1}
    assert dict(zip(CAUSES, desk.causes, strict=True)) == {**dict.fromkeys(CAUSES, 0), "stop": 1, "high": 1}
