from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_example import beat, record, some_config, some_orders

from monitor import eventlog, recordlog
from monitor.alarms.acts import Acknowledge
from monitor.alarms.alarm import Alarm
from monitor.desk import SETTLE_NS, Desk
from monitor.journal.store import Journal
from monitor.recorder import board
from monitor.recorder.board import Notice
from monitor.recorder.linking import PATIENCE_NS, Linker
from monitor.recorder.shelf import Shelf, name_of

NOW_NS, T_NS = 10**12, 1_795_000_000 * 10**9


class Office:
    """A desk with a real journal, and who links recordings to its alarms."""

    def __init__(self, folder: Path) -> None:
        self.config = some_config(folder)
        self._orders = some_orders(self.config)
        self.given, self.memory = self._orders.__enter__()
        self.shelf = Shelf(folder)
        self.journal = Journal(Path(self.config.journal), self.config.camera)
        self.now_ns = NOW_NS + SETTLE_NS
        self.begin()

    def begin(self) -> None:
        """A side process starts."""
        beat(self.memory, self.now_ns)
        self.desk = Desk(self.given, self.memory, self.journal, NOW_NS, T_NS)
        self.linker = Linker(self.memory.recorder, self.shelf, self.journal, self.desk.ask)

    def tell(self, *records: eventlog.EventRecord) -> None:
        for one in records:
            eventlog.append(self.memory.log, one)
        self.turn()

    def recorded(self, event: int, epoch: str = "hot-1") -> str:
        """The recorder has written an event's frames."""
        began_t_ns = record("began", event=event).t_ns
        name = name_of(began_t_ns, epoch, event)
        if not (self.shelf.folder / name).exists():
            self.shelf.put(name, lambda path: path.write_bytes(b"frames"))
        board.tell(self.memory.recorder, Notice(epoch, event, began_t_ns, name))
        self.turn()
        self.turn()
        return str(self.shelf.folder / name)

    def turn(self, later_ns: int = 10**9) -> None:
        self.now_ns += later_ns
        beat(self.memory, self.now_ns)
        self.desk.step(self.now_ns, T_NS)
        self.linker.tend(self.now_ns)

    def alarms(self) -> list[Alarm]:
        return self.journal.alarms(100)

    def close(self) -> None:
        self.journal.close()
        self._orders.__exit__(None, None, None)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.close()


def test_an_alarm_that_is_over_gets_its_path_in_a_new_revision(office: Office) -> None:
    office.tell(record("began"), record("ended", last_seq=20))
    path = office.recorded(1)
    (alarm,) = office.alarms()
    assert (alarm.recording, alarm.state, alarm.rev) == (path, "cleared", 3)
    assert [one.what for one in office.journal.changes(alarm.id)] == ["raised", "cleared", "recorded"]


def test_an_open_alarm_keeps_its_path_whatever_comes_after(office: Office) -> None:
    office.tell(record("began"))
    path = office.recorded(1)
    office.tell(record("grew", last_seq=40, frames_over=9))
    office.tell(record("ended", last_seq=50, frames_over=12))
    (alarm,) = office.alarms()
    assert (alarm.recording, alarm.state, alarm.last_seq) == (path, "cleared", 50)


def test_the_same_notice_heard_again_after_a_restart_changes_nothing(office: Office) -> None:
    office.tell(record("began"), record("ended", last_seq=20))
    office.recorded(1)
    office.begin()
    office.turn()
    office.turn()
    assert office.alarms()[0].rev == 3


def test_of_a_file_that_was_finished_while_no_side_process_ran_it_hears_later(office: Office) -> None:
    office.tell(record("began"), record("ended", last_seq=20))
    name = name_of(record("began").t_ns, "hot-1", 1)
    board.tell(office.memory.recorder, Notice("hot-1", 1, record("began").t_ns, name))
    office.begin()
    office.turn()
    office.turn()
    assert office.alarms()[0].recording == str(office.shelf.folder / name)


def test_an_alarm_that_went_on_with_another_event_is_found_by_either(office: Office) -> None:
    office.tell(record("began"))
    office.tell(record("grew", epoch="hot-2", event=5, last_seq=30))
    assert len(office.alarms()) == 1
    path = office.recorded(1)
    assert office.alarms()[0].recording == path
    later = office.recorded(5, "hot-2")
    assert office.alarms()[0].recording == later


def test_a_notice_waits_for_an_alarm_that_is_not_told_yet_but_not_for_ever(office: Office) -> None:
    path = office.recorded(7)
    office.tell(record("began", event=7))
    office.turn()
    office.turn()
    assert office.alarms()[0].recording == path
    office.recorded(8)
    office.turn(PATIENCE_NS)
    office.tell(record("began", event=8))
    office.turn()
    assert office.alarms()[0].recording is None


def test_what_a_person_found_true_is_pinned_whichever_comes_first(office: Office) -> None:
    office.tell(record("began", event=1), record("began", event=2, source="frozen"))
    first = Path(office.recorded(1)).name
    ids = {alarm.source: alarm.id for alarm in office.alarms()}
    for alarm_id in ids.values():
        office.desk.ask(alarm_id, Acknowledge("ann", "true"))
    office.turn()
    office.turn()
    second = Path(office.recorded(2)).name
    office.turn()
    pins = [office.shelf.pin_of(name) for name in (first, second)]
    assert [pin is not None and pin.reason for pin in pins] == [
        f"alarm {ids['t2']} was found true",
        f"alarm {ids['frozen']} was found true",
    ]
    assert pins[0] is not None
    assert pins[0].by == "ann"
    office.shelf.unpin(first)
    office.turn()
    assert office.shelf.pin_of(first) is None, "whoever takes a pin away is not contradicted"


def test_false_alarms_are_not_pinned(office: Office) -> None:
    office.tell(record("began"))
    name = Path(office.recorded(1)).name
    office.desk.ask(office.alarms()[0].id, Acknowledge("ann", "false"))
    office.turn()
    office.turn()
    assert office.shelf.pin_of(name) is None


def test_the_board_forgets_the_oldest_notices(office: Office) -> None:
    for event in range(board.NOTICES + 5):
        board.tell(office.memory.recorder, Notice("hot-1", event, 0, "x"))
    found, _ = board.news(office.memory.recorder, recordlog.START)
    assert [found[0].event, found[-1].event] == [6, board.NOTICES + 4]
