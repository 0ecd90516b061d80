"""Each event is recorded, or counted as not recorded, once: in whatever order recorders are killed, and where."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import inf
from pathlib import Path

import msgspec
import pytest
from daemon_example import some_config
from hand_example import Hand
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recorder_example import failed

from monitor import eventlog, service
from monitor.bundle import Bundle
from monitor.config import Input
from monitor.orders import Orders, open_memory
from monitor.recorder import board, recording
from monitor.recorder.config import Recorder as Settings
from monitor.recorder.fates import Fates
from monitor.recorder.process import Recorder
from monitor.recorder.shelf import Shelf

BEFORE, AFTER = 10, 5
FAR, CLOSE = 20, 6  # frames around an event: windows that do not overlap, and that do


class Killed(BaseException):
    """Whatever was done is done, and nothing else."""


class Lives(Hand):
    """One recorder after the other on the same memory, without threads."""

    def __init__(self, orders: Orders, bundle: Bundle) -> None:
        super().__init__(open_memory(orders))
        self._orders, self._bundle = orders, bundle
        self._now_ns = 10**9
        self.shelf = Shelf(orders.config.recorder.place(orders.config.journal))
        self.kills_at: Counter[int] = Counter()
        self.start()

    def start(self) -> None:
        self._spared: float = inf  # recordings that are written before one is killed at
        self._turns = self._heard = 0
        clocks = (lambda: self._now_ns, self._wall_clock)
        self.recorder = Recorder(self._orders, self.memory, self._bundle, clocks)

    def _wall_clock(self) -> int:
        """It is asked while a recording is written."""
        if self._spared == 0:
            raise Killed
        self._spared -= 1
        return 10**18

    def turn(self, later_s: float = 0.02) -> None:
        for _ in range(2):  # what the first sees as judged, the second copies
            self._now_ns += round(later_s * 1e9)
            self.recorder.turn()
        self._turns += 1
        self._heard = self.events

    def write(self) -> None:
        self.recorder.writer.finish()
        self.recorder.writer.run()

    def kill(self) -> None:
        """While nothing is written: at all that was taken in and is not settled."""
        if self._turns:
            self.kills_at.update(set(range(1, self._heard + 1)) - self.recorded - self.given_up)
        self.start()

    def kill_while_it_writes(self, spared: int = 0) -> None:
        """At the recording after so many others, if there are as many."""
        self._spared = spared
        try:
            self.write()
        except Killed:
            self.kills_at.update(event for _, event in self.recorder.writer.pending[0].episodes)
            self.start()
        self._spared = inf

    @property
    def recorded(self) -> set[int]:
        return {one.event for one in board.news(self.memory.recorder, board.START)[0]}

    @property
    def given_up(self) -> set[int]:
        return {event for _, event in Fates(self.memory.recorder).given_up}

    @property
    def failed(self) -> dict[str, int]:
        return failed(self.memory.recorder)

    @property
    def cursor(self) -> int:
        return int(self.memory.recorder["cursor"][0])


@contextmanager
def some_lives(folder: Path, bundle: Bundle) -> Iterator[Lives]:
    recorder = Settings(before_frames=BEFORE, after_frames=AFTER, folder=str(folder / "kept"))
    given_input = Input(rate_hz=1000.0, buffer_s=0.2)
    config = msgspec.structs.replace(some_config(folder), bundle=str(bundle.path), recorder=recorder, input=given_input)
    orders = service.prepare(config, "framewatch.yaml", bundle)
    try:
        yield Lives(orders, bundle)
    finally:
        os.close(orders.memory_fd)
        os.close(orders.wake_fd)


@pytest.fixture
def lives(tmp_path: Path, small_bundle: Bundle) -> Iterator[Lives]:
    with some_lives(tmp_path, small_bundle) as made:
        yield made


def test_what_is_counted_while_another_recording_is_made_is_not_counted_after_a_kill(lives: Lives) -> None:
    lives.have_an_event(FAR)
    lives.show(2 * lives.ring.slots)
    lives.have_an_event(FAR)
    lives.turn()
    assert lives.failed == {"overwritten": 1}
    for _ in range(3):
        lives.kill_while_it_writes()
        lives.turn()
    assert lives.failed == {"overwritten": 1, "killed": 1}
    assert lives.cursor == 4
    assert lives.recorded == set()


def test_kills_at_different_recordings_cost_none(lives: Lives) -> None:
    for _ in range(3):
        lives.have_an_event(FAR)
    lives.turn()
    lives.kill_while_it_writes()
    lives.turn()
    lives.kill_while_it_writes(spared=1)
    lives.turn()
    lives.write()
    assert lives.failed == {}
    assert lives.recorded == {1, 2, 3}


def test_what_kills_it_twice_is_given_up_and_what_waits_behind_it_is_not(lives: Lives) -> None:
    for _ in range(3):
        lives.have_an_event(FAR)
    for _ in range(2):
        lives.turn()
        lives.kill_while_it_writes()
    lives.turn()
    lives.write()
    assert lives.failed == {"killed": 1}
    assert lives.recorded == {2, 3}


def test_what_kills_it_before_anything_is_written_is_given_up_too(lives: Lives) -> None:
    lives.have_an_event(FAR)
    lives.turn()
    lives.kill()
    lives.kill()
    assert lives.failed == {}, "the second had taken in nothing yet"
    lives.turn()
    lives.have_an_event(FAR)
    lives.kill()
    lives.turn()
    lives.write()
    assert lives.failed == {"killed": 1}
    assert lives.recorded == {2}, "it came since"


def test_layers_and_the_service_are_not_counted_as_events_that_were_killed(lives: Lives) -> None:
    record = eventlog.EventRecord("began", "hot-1", 7, "exceedance_rate", 1)
    for _ in range(3):
        eventlog.append(lives.memory.log, record)
        lives.memory.recorder["cursor"][0] = 0
        lives.recorder.turn()
        lives.memory.recorder["cursor"][0] = 0
        lives.kill()
    assert lives.failed == {}


def test_a_recording_that_was_finished_and_not_told_of_is_told_of_by_the_next(lives: Lives) -> None:
    for around in (CLOSE, CLOSE, CLOSE):
        lives.have_an_event(around)
    lives.turn()
    lives.write()
    (notice, *_) = board.news(lives.memory.recorder, board.START)[0]
    lives.memory.recorder["notice_count"][0] = 1  # as if it had been killed after the first of three
    lives.memory.recorder["written"][0] = 0
    lives.memory.recorder["cursor"][0] = 0
    lives.memory.recorder["writing"][0] = notice.name.encode()
    lives.show(2 * lives.ring.slots)
    lives.start()
    lives.turn()
    assert lives.recorded == {1, 2, 3}
    assert [one.name for one in board.news(lives.memory.recorder, board.START)[0]] == [notice.name] * 3
    assert board.counts(lives.memory.recorder).written == 1
    assert lives.failed == {}


def test_an_event_that_goes_on_after_its_recording_has_another_name_after_a_kill_and_no_count_if_it_fails(
    lives: Lives,
) -> None:
    lives.show(FAR)
    seq, first = lives.seq, lives.show(3)
    lives.tell("began", 1, seq, first)
    lives.show(FAR)
    lives.turn()
    lives.turn(later_s=11.0)
    lives.write()
    lives.start()
    later = lives.seq, lives.show(3)
    lives.tell("grew", 1, *later)
    lives.show(FAR)
    lives.turn()
    lives.turn(later_s=11.0)
    lives.write()
    assert [one.name[-5:] for one in lives.shelf.files()] == ["-2.h5", "_1.h5"]
    lives.start()
    lives.turn()
    lives.show(2 * lives.ring.slots)
    lives.tell("grew", 1, *later)
    lives.turn()
    assert lives.failed == {}, "it has recordings"


def test_records_that_were_lost_are_counted_once(lives: Lives) -> None:
    lives.have_an_event(FAR)
    lives.turn()
    for number in range(eventlog.SLOTS):
        eventlog.append(lives.memory.log, eventlog.EventRecord("began", "hot-1", 10 + number, "exceedance_rate", 1))
    lives.recorder.turn()
    before = dict(lives.failed)
    for _ in range(2):
        lives.memory.recorder["cursor"][0] = 0
        lives.start()
        lives.recorder.turn()
    assert lives.failed == before


DONE = st.lists(
    st.sampled_from(
        ["event", "close event", "overwrite", "turn", "write", "kill", "kill at a write", "kill at the next"]
    ),
    max_size=24,
)


def live(lives: Lives, steps: Sequence[str]) -> None:
    for step in steps:
        match step:
            case "event":
                lives.have_an_event(FAR)
            case "close event":
                lives.have_an_event(CLOSE)
            case "overwrite":
                lives.show(lives.ring.slots)
            case "turn":
                lives.turn()
            case "write":
                lives.write()
            case "kill":
                lives.kill()
            case "kill at a write":
                lives.kill_while_it_writes()
            case _:
                lives.kill_while_it_writes(spared=1)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=DONE)
def test_each_event_ends_once_whatever_the_order_of_kills(
    steps: list[str], small_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with some_lives(tmp_path_factory.mktemp("lives"), small_bundle) as lives:
        live(lives, steps)
        lives.show(FAR)
        lives.turn()
        lives.turn(later_s=11.0)
        lives.write()
        lives.turn()
        events = set(range(1, lives.events + 1))
        assert lives.recorded | lives.given_up == events
        assert not lives.recorded & lives.given_up
        assert sum(lives.failed.values()) == len(lives.given_up)
        assert lives.failed.get("killed", 0) == sum(kills >= 2 for kills in lives.kills_at.values())
        rows = [row for one in lives.shelf.files() for row in recording.tables(lives.shelf.path(one.name))["events"]]
        assert sorted(row["event"] for row in rows) == sorted(lives.recorded), "each in one file"
        assert lives.cursor == int(lives.memory.log["count"][0])
