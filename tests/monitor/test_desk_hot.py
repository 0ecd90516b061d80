"""What the desk of the side process makes of a hot process that loads, dies or stops: when it tells, and how long."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from daemon_example import beat, some_config, some_orders

from monitor.desk import SETTLE_NS, Desk
from monitor.journal.store import Journal
from monitor.notify import DIED_NS
from monitor.orders import Memory
from monitor.state import LOADING
from monitor.status import LOADING_NS
from monitor.types import State
from monitor.vitals import LOST_NS

NOW_NS = 10**12
SETTLED_NS = NOW_NS + SETTLE_NS
T_NS = 1_795_000_000 * 10**9


class Room(NamedTuple):
    """A desk, and the memory that it shares with the hot process."""

    desk: Desk
    memory: Memory


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    config = some_config(tmp_path)
    journal = Journal(Path(config.journal), config.camera)
    with some_orders(config) as (given, memory):
        beat(memory, NOW_NS)
        yield Room(Desk(given, memory, journal, NOW_NS), memory)
    journal.close()


def sources(desk: Desk) -> list[str]:
    return [alarm.source for alarm in desk.life.active]


def test_loops_that_compile_at_a_first_start_are_no_alarm(room: Room) -> None:
    desk, memory = room
    beat(memory, NOW_NS, State.STARTING, LOADING)
    assert desk.step(SETTLED_NS, T_NS) == []
    assert desk.step(NOW_NS + LOADING_NS, T_NS) == [], "nor a word in the place of the process that loads"
    desk.step(NOW_NS + LOADING_NS + 1, T_NS)
    assert sources(desk) == ["degraded"], "a start that hangs is told"


def test_the_alarm_of_a_hot_process_that_died_stays_until_it_judges_again(room: Room) -> None:
    desk, memory = room
    memory.vitals["hot_beat_ns"][0] = DIED_NS
    desk.step(SETTLED_NS, T_NS)
    for second in (1, 2, 100):  # the new one has begun, and compiles
        beat(memory, SETTLED_NS + min(second, 2) * 10**9, State.STARTING, LOADING)
        desk.step(SETTLED_NS + second * 10**9, T_NS)
        assert sources(desk) == ["degraded"]
    [alarm] = desk.life.active
    assert alarm.rev == 1, "told once"
    ready_ns = SETTLED_NS + 101 * 10**9
    beat(memory, ready_ns, State.STARTING, "waiting for the first frame")
    desk.step(ready_ns, T_NS)
    assert sources(desk) == []


def test_a_stop_in_order_is_no_alarm_however_long_the_recorder_takes(room: Room) -> None:
    desk, memory = room
    beat(memory, SETTLED_NS, State.STOPPING, "told to stop")
    memory.vitals["stop_by_ns"][0] = SETTLED_NS + 35 * 10**9
    assert desk.step(SETTLED_NS + 20 * 10**9, T_NS) == []
    assert desk.step(SETTLED_NS + 35 * 10**9, T_NS, last=True) == []


def test_a_stop_in_order_does_not_clear_the_alarm_of_a_hot_process_that_hangs(room: Room) -> None:
    desk, memory = room
    lost_ns = SETTLED_NS + LOST_NS + 1
    desk.step(lost_ns, T_NS)
    memory.vitals["stop_by_ns"][0] = lost_ns + 35 * 10**9
    desk.step(lost_ns + 10**9, T_NS, last=True)
    assert sources(desk) == ["degraded"]
