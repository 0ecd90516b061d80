"""Acknowledging many alarms at once, at a desk with a real journal: all that was seen, and nothing else."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import pytest
from alarm_example import PLAIN, at, revisions_of
from daemon_example import beat, record, some_config, some_orders
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor import eventlog, sweep
from monitor.alarms.acts import Acknowledge, AcknowledgeAll
from monitor.alarms.alarm import Alarm
from monitor.alarms.config import Alarms, Flood
from monitor.alarms.life import Entry, Life
from monitor.config import Config
from monitor.config import Permit as PermitConfig
from monitor.desk import SETTLE_NS, Desk
from monitor.eventlog import EventRecord
from monitor.journal.outbox import RETRY_NS
from monitor.journal.reading import Wanted
from monitor.journal.store import Journal
from monitor.orders import Memory, Orders
from monitor.sweep import Sweep, Swept

NOW_NS = 10**12
T_NS = 1_795_000_000 * 10**9
SOURCES = ("t2", "s2", "dark", "degraded")


class Room:
    """A desk, its journal, and what has left it."""

    def __init__(self, given: Orders, memory: Memory) -> None:
        self.given, self.memory = given, memory
        self.now_ns = NOW_NS
        self.journal = Journal(Path(given.config.journal), given.config.camera)
        self.left: list[Alarm] = []
        self.open()

    def open(self) -> None:
        """Another process takes over."""
        self.desk = Desk(self.given, self.memory, self.journal, self.now_ns, T_NS)
        self.now_ns += SETTLE_NS

    def tell(self, *records: EventRecord) -> None:
        for one in records:
            eventlog.append(self.memory.log, one)
        self.step()

    def step(self, last: bool = False) -> None:
        beat(self.memory, self.now_ns)
        telegrams = self.desk.step(self.now_ns, T_NS + self.now_ns, last)
        self.left += [msgspec.json.decode(one.body, type=Alarm) for one in telegrams]

    def newest(self) -> str:
        return self.journal.alarms(1)[0].id

    def ask(self, until: str, **more: Any) -> "Future[Swept]":
        return self.desk.ask_all(AcknowledgeAll("ann", until, **more))

    def sweep(self, until: str, **more: Any) -> Swept:
        answer, steps = self.ask(until, **more), 0
        while not answer.done():
            self.step()
            steps += 1
            assert steps < 100
        return answer.result(0)

    def unseen(self) -> list[str]:
        return [alarm.source for alarm in reversed(self.journal.alarms(1000, "unacknowledged"))]

    def close(self) -> None:
        self.journal.close()


def room_in(folder: Path, alarms: Alarms, permit: PermitConfig) -> Iterator[Room]:
    config: Config = msgspec.structs.replace(some_config(folder), alarms=alarms, permit=permit)
    with some_orders(config) as (given, memory):
        made = Room(given, memory)
        yield made
        made.close()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    yield from room_in(tmp_path, Alarms(flood=None, on_delay_s={"blind": 60.0}, latch=("frozen",)), PermitConfig())


@pytest.fixture(autouse=True)
def pieces_of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "PIECE", 3)


def refuse(*_: Any) -> list[int]:
    raise sqlite3.OperationalError("database or disk is full")


def over(count: int, first: int = 0) -> list[EventRecord]:
    """So many alarms that are over, of every source in turn."""
    return [record("ended", event=first + i, source=SOURCES[i % 4], t_ns=first + i + 1) for i in range(count)]


class TestWhatIsAcknowledged:
    def test_every_alarm_up_to_the_one_that_was_seen_and_no_later_one(self, room: Room) -> None:
        room.tell(*over(10))
        seen = room.newest()
        room.tell(*over(2, first=10))
        swept = room.sweep(seen, verdict="false", reason="the lens was cleaned")
        assert (swept.refused, swept.acknowledged, swept.journaled) == (None, 10, True)
        assert room.unseen() == ["t2", "s2"]
        for alarm_id in swept.ids:
            last = room.journal.changes(alarm_id)[-1]
            assert (last.what, last.by, last.reason) == ("acknowledged", "ann", "the lens was cleaned")
            assert (last.alarm.acked, last.alarm.verdict, last.alarm.state) == (True, "false", "cleared")

    def test_those_of_one_source(self, room: Room) -> None:
        room.tell(*over(12))
        assert room.sweep(room.newest(), source="dark").acknowledged == 3
        assert room.unseen() == ["t2", "s2", "degraded"] * 3

    def test_those_behind_one_flood_alarm_and_itself(self, tmp_path: Path) -> None:
        for room in room_in(tmp_path, Alarms(flood=Flood(begins_above=2, ends_below=1)), PermitConfig()):
            room.tell(*over(8))
            [flood] = [alarm for alarm in room.journal.alarms(100) if alarm.source == "flood"]
            assert room.sweep(room.newest(), group=flood.id).acknowledged == 7
            assert room.unseen() == ["t2", "s2"]

    def test_one_that_waits_for_its_on_delay_is_in_no_list_and_not_acknowledged(self, room: Room) -> None:
        room.tell(record("began", source="blind"))
        room.tell(*over(4, first=2))
        seen = room.newest()
        assert room.sweep(seen).acknowledged == 4
        room.now_ns += 60 * 10**9
        room.step()
        assert room.unseen() == ["blind"]
        assert room.sweep(seen).acknowledged == 0, "it was raised after what was seen, though its event began before"
        assert room.unseen() == ["blind"]

    def test_open_alarms_stay_open_and_latched_ones_are_over(self, room: Room) -> None:
        room.tell(record("began"), record("ended", event=2, source="frozen"))
        assert [alarm.latched for alarm in room.journal.alarms(10)] == [True, False]
        assert room.sweep(room.newest()).acknowledged == 2
        assert [(alarm.source, alarm.state) for alarm in room.journal.alarms(10)] == [
            ("frozen", "cleared"),
            ("t2", "active"),
        ]
        assert [alarm.acked for alarm in room.desk.life.active] == [True]

    def test_an_alarm_that_is_cleared_in_the_same_step_is_not_opened_again(self, room: Room) -> None:
        room.tell(record("began"))
        answer = room.ask(room.newest())
        room.tell(record("ended", last_seq=20))
        assert answer.result(0).acknowledged == 1
        assert [one.what for one in room.journal.changes(room.newest())] == ["raised", "cleared", "acknowledged"]
        assert room.journal.open_entries() == []

    def test_one_that_someone_acknowledges_meanwhile_keeps_what_he_said(self, room: Room) -> None:
        room.tell(*over(4))
        [second] = [alarm.id for alarm in room.journal.alarms(4) if alarm.source == "s2"]
        room.desk.ask(second, Acknowledge("bob", "true"))
        assert room.sweep(room.newest(), verdict="false").acknowledged == 3
        assert [(one.what, one.by) for one in room.journal.changes(second)][2:] == [("acknowledged", "bob")]

    def test_said_again_it_changes_nothing(self, room: Room) -> None:
        room.tell(*over(5))
        seen = room.newest()
        room.sweep(seen)
        before = room.journal.newest()
        assert room.sweep(seen, verdict="true") == Swept(None, 0, [], True)
        assert room.journal.newest() == before

    def test_only_the_first_ids_are_told(self, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sweep, "IDS_MOST", 4)
        room.tell(*over(9))
        swept = room.sweep(room.newest())
        assert swept.acknowledged == 9
        assert list(swept.ids) == [alarm.id for alarm in reversed(room.journal.alarms(9))][:4]

    @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.lists(
            st.tuples(st.sampled_from((*SOURCES, "blind", "frozen")), st.sampled_from(("began", "ended", "seen")))
        ),
        st.integers(0, 20),
        st.sampled_from((None, "t2", "dark")),
    )
    def test_afterwards_none_waits_that_was_raised_up_to_then_and_all_others_are_as_they_were(
        self, tmp_path_factory: pytest.TempPathFactory, told: list[tuple[str, Any]], which: int, source: str | None
    ) -> None:
        config = Alarms(flood=Flood(begins_above=5, ends_below=2), on_delay_s={"blind": 60.0}, latch=("frozen",))
        for room in room_in(tmp_path_factory.mktemp("room"), config, PermitConfig()):
            for event, (one, what) in enumerate(told):
                phase = "ended" if what == "seen" else what
                room.tell(record(phase, event=event, source=one, t_ns=event + 1))
                if what == "seen" and room.journal.alarms(1):
                    room.desk.ask(room.newest(), Acknowledge("bob"))
            room.step()
            raised = room.journal.alarms(1000)[::-1]
            if not raised:
                continue
            until = raised[which % len(raised)].id
            swept = room.sweep(until, source=source)
            place = room.journal.place(until)
            assert room.journal.listed(1, Wanted("unacknowledged", source=source, until=place)) == []
            now = {alarm.id: alarm for alarm in room.journal.alarms(1000)}
            changed = [alarm.id for alarm in raised if now[alarm.id].acked != alarm.acked]
            up_to = raised[: which % len(raised) + 1]
            assert changed == [one.id for one in up_to if not one.acked and source in (None, one.source)]
            assert swept.acknowledged == len(changed)


class TestPieces:
    def test_a_new_alarm_leaves_between_two_pieces(self, room: Room) -> None:
        room.tell(*over(9))
        answer = room.ask(room.newest())
        room.step()
        room.left.clear()
        room.tell(record("began", event=20, source="dark"))
        assert not answer.done()
        assert [(alarm.source, alarm.rev) for alarm in room.left if alarm.rev == 1] == [("dark", 1)]

    def test_each_revision_is_in_the_journal_and_leaves_in_its_order(self, room: Room) -> None:
        room.tell(*over(10))
        room.sweep(room.newest())
        room.step()
        written = [(one.alarm.id, one.alarm.rev) for one in room.journal.changes_after(0, 100)]
        assert [(alarm.id, alarm.rev) for alarm in room.left] == written
        assert all(alarm.journaled for alarm in room.left)

    def test_a_process_that_is_killed_between_two_pieces_keeps_the_first_and_asked_again_does_the_rest(
        self, room: Room
    ) -> None:
        room.tell(*over(10))
        seen = room.newest()
        room.ask(seen)
        room.step()
        room.step()
        room.open()
        assert len(room.unseen()) == 4
        assert room.sweep(seen).acknowledged == 4
        assert sorted({(alarm.id, alarm.rev) for alarm in room.left}) == sorted(
            (one.alarm.id, one.alarm.rev) for one in room.journal.changes_after(0, 100)
        )

    def test_several_that_are_asked_for_are_done_one_after_the_other(self, room: Room) -> None:
        room.tell(*over(8))
        answers = [room.ask(room.newest(), source="dark"), room.ask(room.newest()), room.ask("nothing")]
        for _ in range(6):
            room.step()
        assert [answer.result(0).acknowledged for answer in answers] == [2, 6, 0]

    def test_it_ends_though_the_journal_should_never_show_what_was_done(self) -> None:
        class Forgetful:
            """A journal that goes on listing everything."""

            told = revisions_of(*(record("ended", event=event) for event in range(7)))

            def place(self, _: str) -> int:
                return len(self.told)

            def entries(self, most: int, wanted: Wanted) -> list[tuple[int, Entry]]:
                return [(i + 1, one.entry) for i, one in enumerate(self.told) if i >= wanted.after][:most]

        one, done = Sweep(AcknowledgeAll("ann", "the last")), 0
        for _ in range(5):
            _, revisions = one.step(Forgetful(), PLAIN, Life({}), {}, at())
            done += len(revisions)
        assert one.over
        assert done == one.swept.acknowledged == 14

    def test_who_asked_and_has_gone_stops_nothing(self, room: Room) -> None:
        room.tell(*over(2))
        assert room.ask(room.newest()).cancel()
        room.step()
        assert room.unseen() == []


class TestRefusals:
    def test_an_alarm_that_there_is_not(self, room: Room) -> None:
        room.tell(*over(1))
        refused = room.sweep("nothing").refused
        assert refused is not None
        assert (refused.kind, refused.why) == ("unknown", "there is no alarm 'nothing'")
        assert room.unseen() == ["t2"]

    def test_a_daemon_that_stops_says_how_many_are_acknowledged(self, room: Room) -> None:
        room.tell(*over(5))
        answer = room.ask(room.newest())
        room.step()
        room.step(last=True)
        refused = answer.result(0).refused
        assert refused is not None
        assert refused.why == "the daemon stops; 3 are acknowledged: ask again for the rest"

    def test_a_disk_that_refuses_ends_it_with_what_was_done(self, room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
        room.tell(*over(10))
        seen = room.newest()
        answer = room.ask(seen)
        room.step()
        with monkeypatch.context() as full:
            full.setattr(room.journal, "commit", refuse)
            room.step()
            room.step()
        swept = answer.result(0)
        assert swept.refused is not None
        assert swept.refused.why.endswith("disk is full; 6 are acknowledged: ask again for the rest")
        assert (swept.acknowledged, swept.journaled) == (6, False)
        assert room.desk.unacknowledged.total() == 4, "three of them are on no disk yet, and hold all the same"
        room.now_ns += RETRY_NS
        room.step()
        assert len(room.unseen()) == 4
        assert room.sweep(seen).acknowledged == 4

    def test_what_goes_beyond_its_bounds(self, room: Room) -> None:
        with pytest.raises(msgspec.ValidationError):
            room.ask("x" * 101)


class TestThePermitIsTold:
    def test_of_all_that_wait_and_of_what_is_acknowledged_at_once(self, room: Room) -> None:
        room.tell(*over(12))
        assert room.desk.unacknowledged == {"medium": 6, "high": 3, "degraded": 3}
        seen = room.newest()
        room.tell(record("ended", event=50, source="frozen"))
        room.sweep(seen)
        assert room.desk.unacknowledged == {"high": 1}
        room.open()
        assert room.desk.unacknowledged == {"high": 1}, "another process counts the same"

    def test_of_a_grave_alarm_behind_more_than_ten_thousand_others(self, room: Room) -> None:
        room.tell(record("ended", source="dark"), record("ended", event=2))
        room.journal._db.execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10050) "
            "INSERT INTO alarms SELECT printf('%016x-1', i), rev, state, acked, source, priority, raised_t_ns, "
            "acked_t_ns, cleared_t_ns, body, entry FROM n, alarms WHERE source = 't2'"
        )
        room.open()
        assert room.desk.unacknowledged == {"medium": 10_051, "high": 1}
        room.tell(*over(4, first=10))
        assert room.desk.unacknowledged == {"medium": 10_053, "high": 2, "degraded": 1}

    @pytest.mark.parametrize(
        ("back", "left"),
        [
            ({}, {}),
            ({"medium": "acknowledged"}, {"high": 3, "medium": 6}),
            ({"degraded": "acknowledged", "high": "layer_end"}, {"degraded": 3}),
        ],
    )
    def test_of_what_retention_removes_which_is_nothing_that_the_permit_waits_for(
        self, tmp_path: Path, back: Any, left: dict[str, int]
    ) -> None:
        config = Alarms(flood=None, keep_days=0.5)
        for room in room_in(tmp_path, config, PermitConfig(back=back)):
            room.tell(*over(12))
            room.step()
            assert room.desk.unacknowledged == {"medium": 6, "high": 3, "degraded": 3}
            room.now_ns += 86_400 * 10**9
            for _ in range(3):
                room.step()
            assert room.desk.unacknowledged == left
            assert sum(room.journal.unacknowledged().values()) == sum(left.values())
            room.open()
            assert room.desk.unacknowledged == left

    def test_of_nothing_twice_where_the_disk_refuses_what_is_then_removed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for room in room_in(tmp_path, Alarms(flood=None, keep_days=0.5), PermitConfig()):
            room.tell(*over(2))
            room.step()
            room.now_ns += 86_400 * 10**9
            room.desk.ask(room.newest(), Acknowledge("ann"))
            with monkeypatch.context() as full:
                full.setattr(room.journal, "commit", refuse)
                room.step()
            assert room.desk.unacknowledged == {"medium": 1}
            assert len(room.journal.alarms(10)) == 2, "what the journal does not know yet is not removed from it"
            room.now_ns += RETRY_NS
            for _ in range(3):
                room.step()
            assert room.journal.alarms(10) == []
            assert room.desk.unacknowledged == {}
