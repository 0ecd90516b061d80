"""What the desk shows to who joins late: with the changes that leave afterwards it is what everybody else knows."""

import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from daemon_example import beat, record, some_config, some_orders
from hypothesis import given, settings
from hypothesis import strategies as st
from table_example import Table

from monitor import desk as desks
from monitor import eventlog
from monitor.alarms.acts import Acknowledge
from monitor.desk import SETTLE_NS, Desk
from monitor.journal.outbox import RETRY_NS
from monitor.journal.store import Journal, Written
from monitor.orders import Memory
from monitor.snapshots.page import Snapshot, page_of
from monitor.snapshots.request import Request, RequestError
from monitor.types import State

NOW_NS = 10**12
T_NS = 1_795_000_000 * 10**9


class Disk(Journal):
    """A journal whose disk can be full."""

    full = False

    def commit(self, written: Written) -> list[int]:
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")
        return super().commit(written)


class Office:
    """A desk with its memory and its disk, and all that has left: one list a step."""

    def __init__(self, desk: Desk, memory: Memory, disk: Disk) -> None:
        self.desk, self.memory, self.disk = desk, memory, disk
        self.now_ns = NOW_NS + SETTLE_NS
        self.left: list[list[bytes]] = []

    def tell(self, phase: eventlog.Phase, event: int) -> None:
        source = ("t2", "s2", "frozen")[event % 3]
        more = {"last_seq": 10 + len(self.left), "frames_over": 3 + len(self.left)}
        eventlog.append(self.memory.log, record(phase, event, source=source, **more))

    def acknowledge(self, nth: int) -> None:
        known = sorted({msgspec.json.decode(body)["id"] for bodies in self.left for body in bodies})
        if known:
            self.desk.ask(known[nth % len(known)], Acknowledge("ann"))

    def step(self, later_ns: int = 1) -> None:
        self.now_ns += later_ns
        beat(self.memory, self.now_ns)
        telegrams = self.desk.step(self.now_ns, T_NS + self.now_ns)
        self.left.append([one.body for one in telegrams])

    def show(self, **asked: str) -> Snapshot:
        waiting = self.desk.show(Request(**asked))
        self.step()
        return waiting.result(0)


class Opened:
    """An office in a folder of its own."""

    def __enter__(self) -> Office:
        self._folder = tempfile.TemporaryDirectory()
        config = some_config(Path(self._folder.name))
        self._orders = some_orders(config)
        given, memory = self._orders.__enter__()
        self._disk = Disk(Path(config.journal), config.camera)
        return Office(Desk(given, memory, self._disk, NOW_NS), memory, self._disk)

    def __exit__(self, *_: object) -> None:
        self._disk.close()
        self._orders.__exit__(None, None, None)
        self._folder.cleanup()


@pytest.fixture
def office() -> Iterator[Office]:
    with Opened() as made:
        yield made


def keys(snapshot: Snapshot) -> list[tuple[str, int, str, bool]]:
    return [(one.source, one.rev, one.state, one.journaled) for one in snapshot.alarms]


def test_it_shows_what_is_open_and_what_nobody_has_acknowledged_and_says_of_when(office: Office) -> None:
    for event in (1, 2):
        office.tell("began", event)
    office.tell("ended", 1)
    shown = office.show()
    assert keys(shown) == [("frozen", 1, "active", True), ("s2", 2, "cleared", True)]
    assert (shown.camera, shown.state, shown.t_ns, shown.more) == ("melt", State.OK, T_NS + office.now_ns, False)
    assert keys(office.show(state="active")) == [("frozen", 1, "active", True)]
    office.acknowledge(0)
    assert keys(office.show(state="unacknowledged")) == [("frozen", 1, "active", True)]


def test_what_a_full_disk_refuses_is_shown_as_it_left(office: Office) -> None:
    """An alarm that the journal has otherwise, and two that it has not at all."""
    for event, phase in ((1, "began"), (1, "ended")):
        office.tell(phase, event)
    office.step()
    office.disk.full = True
    office.acknowledge(0)
    for event in (2, 3):
        office.tell("began", event)
    office.tell("ended", 3)
    assert keys(office.show()) == [("t2", 2, "cleared", False), ("frozen", 1, "active", False)]
    assert [one.acked for one in office.disk.cleared_unseen(None, 9)] == [False], "the journal does not know"
    office.disk.full = False
    office.step(RETRY_NS)
    assert keys(office.show()) == [("t2", 2, "cleared", True), ("frozen", 1, "active", True)]


def test_pages_go_on_where_the_last_one_ended(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desks, "MOST", 2)
    monkeypatch.setattr(desks, "page_of", lambda *given: page_of(*given, most=2))
    for event in range(1, 6):
        office.tell("began", event)
        office.tell("ended", event)
    office.step()
    office.disk.full = True
    office.tell("began", 6)
    shown = [office.show()]
    while shown[-1].more:
        shown.append(office.show(before=shown[-1].alarms[-1].id))
    assert [len(one.alarms) for one in shown] == [2, 2, 2]
    ids = [alarm.id for one in shown for alarm in one.alarms]
    assert ids == sorted(set(ids), reverse=True)


def test_a_journal_that_cannot_be_read_is_told_and_what_is_active_is_known_all_the_same(office: Office) -> None:
    office.tell("began", 2)
    office.step()
    office.disk._db.execute("ALTER TABLE alarms RENAME TO elsewhere")
    waiting = office.desk.show(Request())
    office.step()
    with pytest.raises(RequestError, match="the journal cannot be read") as refused:
        waiting.result(0)
    assert refused.value.reason == "unavailable"
    assert keys(office.show(state="active")) == [("frozen", 1, "active", True)]


def test_who_asked_and_has_gone_stops_nothing(office: Office) -> None:
    assert office.desk.show(Request()).cancel()
    assert keys(office.show()) == []


ACTIONS = st.one_of(
    st.tuples(st.just("event"), st.integers(0, 2)),  # begins, grows or ends: whichever can be
    st.tuples(st.just("over"), st.just(0)),  # begins and ends at once
    st.tuples(st.just("acknowledge"), st.integers(0, 3)),
    st.tuples(st.sampled_from(["full", "room"]), st.just(0)),
    st.tuples(st.just("join"), st.integers(0, 5)),  # so many steps before it asks
)


@settings(max_examples=50)
@given(st.lists(ACTIONS, min_size=5, max_size=30))
def test_whoever_joins_whenever_ends_with_the_table_of_who_was_there_from_the_first(
    actions: list[tuple[str, int]],
) -> None:
    """What a late one heard before it asked, it applies after the snapshot."""
    with Opened() as office:
        joined: list[tuple[int, Snapshot]] = []
        open_, last = set[int](), 2
        for what, number in actions:
            if what == "event":
                phase: eventlog.Phase = "ended" if len(office.left) % 3 == 0 else "grew"
                office.tell(phase if number in open_ else "began", number)
                open_ = open_ - {number} if number in open_ and phase == "ended" else open_ | {number}
            elif what == "over":
                last += 1
                office.tell("began", last)
                office.tell("ended", last)
            elif what == "acknowledge":
                office.acknowledge(number)
            elif what in ("full", "room"):
                office.disk.full = what == "full"
            if what == "join":
                since = max(0, len(office.left) - number)
                joined.append((since, office.show()))
            else:
                office.step(RETRY_NS if what == "room" else 1)
        whole = Table()
        for bodies in office.left:
            whole.hear(*bodies)
        for since, shown in joined:
            table = Table()
            table.show(*(msgspec.json.encode(one) for one in shown.alarms))
            for bodies in office.left[since:]:
                table.hear(*bodies)
            assert table.alarms == whole.alarms
