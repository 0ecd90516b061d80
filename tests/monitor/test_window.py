"""What HTTP shows beside the desk at work: reading holds up no writing, and where it fails nothing else does."""

import asyncio
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from daemon_example import beat, record, some_config, some_orders

from monitor import eventlog
from monitor.desk import Desk
from monitor.journal.reader import Reader
from monitor.journal.store import Journal, JournalError
from monitor.sinks.dispatch import Dispatch
from monitor.web.pictures import NoPictureError
from monitor.web.window import DAY_NS, Window

PATIENCE_S = 10.0


class Room:
    """A window over a desk whose journal holds one alarm."""

    def __init__(self, folder: Path) -> None:
        config = some_config(folder)
        self._orders = some_orders(config)
        given, self.memory = self._orders.__enter__()
        self.now_ns = time.monotonic_ns()
        beat(self.memory, self.now_ns)
        self.journal = Journal(Path(config.journal), config.camera)
        self.reader = Reader(Path(config.journal), config.camera)
        self.desk = Desk(given, self.memory, self.journal, self.now_ns, time.time_ns())
        self.window = Window(given, self.memory, self.desk, self.reader, Dispatch(self.journal, []))
        eventlog.append(self.memory.log, record("began", t_ns=time.time_ns()))
        self.desk.step(self.now_ns, time.time_ns())

    def close(self) -> None:
        self.reader.close()
        self.journal.close()
        self._orders.__exit__(None, None, None)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    made.close()


def test_lists_histories_and_figures_do_not_wait_for_a_commit(room: Room) -> None:
    window, now_t_ns = room.window, time.time_ns()
    with room.journal._lock, room.journal._transaction(), ThreadPoolExecutor(1) as others:
        [alarm] = others.submit(window.alarms, 10, None).result(PATIENCE_S)
        assert len(others.submit(window.history, alarm.id).result(PATIENCE_S)) == 1
        assert others.submit(window.figures, now_t_ns - DAY_NS, now_t_ns).result(PATIENCE_S).alarms == 1
        body, _ = others.submit(window.metrics, "").result(PATIENCE_S)
    assert b'framewatch_alarms_unacknowledged{camera="melt"} 1.0' in body


def test_a_commit_does_not_wait_for_who_reads(room: Room) -> None:
    with room.reader.snapshot(), ThreadPoolExecutor(1) as desk:
        assert len(room.reader.alarms(10)) == 1
        eventlog.append(room.memory.log, record("began", event=2, source="dark"))
        desk.submit(room.desk.step, room.now_ns + 1, time.time_ns()).result(PATIENCE_S)
        assert room.desk.why(room.now_ns + 1) == ""
        assert len(room.journal.alarms(10)) == 2


def test_a_journal_that_cannot_be_read_is_told_in_one_line_and_costs_the_metrics_nothing_else(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    room.reader.close()
    with pytest.raises(JournalError, match=r"^journal: [^\n]* cannot be read: [^\n]*$"):
        room.window.alarms(10, None)
    with caplog.at_level(logging.ERROR):
        scrapes = [room.window.metrics("")[0] for _ in range(2)]
    for body in scrapes:
        assert b"framewatch_alarms_active" in body
        assert b"framewatch_alarms_per_hour" not in body
    assert len(caplog.records) == 1, "once a minute, not at every scrape"


@pytest.mark.parametrize(
    ("of_it", "why"),
    [
        ({}, "frame 11, the peak of this alarm, is in the ring no more, and was neither kept nor recorded"),
        ({"source": "degraded", "peak": None}, "an alarm of source degraded is about no frame"),
        (None, "there is no such alarm"),
    ],
)
def test_why_an_alarm_has_no_picture_is_told_in_one_line(
    room: Room, monkeypatch: pytest.MonkeyPatch, of_it: dict[str, object] | None, why: str
) -> None:
    async def nothing(*_: object) -> bytes:
        return b""

    monkeypatch.setattr(room.window.viewer, "ask", nothing)  # the ring holds none
    [alarm] = room.window.alarms(10, None)
    if of_it:
        monkeypatch.setattr(room.window, "_alarm", lambda _: msgspec.structs.replace(alarm, **of_it))
    with pytest.raises(NoPictureError, match=f"^{why}$"):
        asyncio.run(room.window.picture("another" if of_it is None else alarm.id))
