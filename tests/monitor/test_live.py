"""What sinks are told of this moment: changes at once, and what is due."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_example import beat, some_config, some_orders

from monitor.live import HEARTBEAT_NS, Live
from monitor.orders import Memory, Orders
from monitor.state import LOADING
from monitor.status import LOST_WHY
from monitor.types import State
from monitor.vitals import LOST_NS
from monitor.voice import Heartbeat, Permit

NOW_NS, T_NS = 10**12, 1_795_000_000 * 10**9


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[tuple[Orders, Memory]]:
    with some_orders(some_config(tmp_path)) as made:
        beat(made[1], NOW_NS)
        yield made


def test_at_first_both_are_told(daemon: tuple[Orders, Memory]) -> None:
    daemon[1].vitals["permit_n"][0] = 7
    permit, heartbeat = Live(*daemon).step(NOW_NS, T_NS)
    assert isinstance(permit, Permit)
    assert isinstance(heartbeat, Heartbeat)
    assert (permit.permit, permit.n, permit.epoch, permit.t_ns) == (True, 7, "hot-1", T_NS)
    assert (heartbeat.state, heartbeat.t_ns) == (State.OK, T_NS)


def test_a_permit_is_told_again_when_it_is_due_and_at_once_where_it_changed(daemon: tuple[Orders, Memory]) -> None:
    live = Live(*daemon)
    live.step(NOW_NS, T_NS)
    assert live.step(NOW_NS + 99_000_000, T_NS) == []
    assert [one.permit for one in live.step(NOW_NS + 100_000_000, T_NS) if isinstance(one, Permit)] == [True]
    beat(daemon[1], NOW_NS, State.BLIND)
    permit, heartbeat = live.step(NOW_NS + 101_000_000, T_NS)
    assert isinstance(permit, Permit)
    assert isinstance(heartbeat, Heartbeat)
    assert (permit.permit, heartbeat.state) == (False, State.BLIND)


def test_a_heartbeat_is_told_every_second(daemon: tuple[Orders, Memory]) -> None:
    live = Live(*daemon)
    told = []
    for tenth in range(30):
        beat(daemon[1], NOW_NS + tenth * HEARTBEAT_NS // 10)
        told += live.step(NOW_NS + tenth * HEARTBEAT_NS // 10, T_NS)
    assert sum(isinstance(one, Heartbeat) for one in told) == 3
    assert sum(isinstance(one, Permit) for one in told) == 30


def test_a_judging_process_that_does_not_answer_gives_no_permit(daemon: tuple[Orders, Memory]) -> None:
    permit, heartbeat = Live(*daemon).step(NOW_NS + LOST_NS + 1, T_NS)
    assert isinstance(permit, Permit)
    assert isinstance(heartbeat, Heartbeat)
    assert (permit.permit, permit.why) == (False, LOST_WHY)
    assert (heartbeat.state, heartbeat.why, heartbeat.coverage) == (State.DEGRADED, LOST_WHY, 0.0)


def test_a_judging_process_that_loads_or_is_to_stop_gives_no_permit_and_is_not_lost(
    daemon: tuple[Orders, Memory],
) -> None:
    live, memory = Live(*daemon), daemon[1]
    late_ns = NOW_NS + LOST_NS + 1
    beat(memory, NOW_NS, State.STARTING, LOADING)
    memory.vitals["permit"][0] = 1
    permit, heartbeat = live.step(late_ns, T_NS)
    assert isinstance(permit, Permit)
    assert isinstance(heartbeat, Heartbeat)
    assert (permit.permit, heartbeat.state) == (False, State.STARTING)
    beat(memory, NOW_NS)
    memory.vitals["stop_by_ns"][0] = late_ns + 1
    [heartbeat] = live.step(late_ns + 1, T_NS)
    assert isinstance(heartbeat, Heartbeat)
    assert heartbeat.state == State.STOPPING


def test_a_permit_whose_number_stands_still_is_not_given_for_longer_than_its_ttl(daemon: tuple[Orders, Memory]) -> None:
    given, memory = daemon
    live, ttl_ns = Live(*daemon), given.config.permit.ttl_ms * 1_000_000
    assert ttl_ns < LOST_NS, "the beat alone would show it too late"

    def permits_at(now_ns: int) -> list[tuple[bool, str]]:
        return [(one.permit, one.why) for one in live.step(now_ns, T_NS) if isinstance(one, Permit)]

    assert permits_at(NOW_NS) == [(True, "")]
    assert permits_at(NOW_NS + ttl_ns) == [(True, "")]
    assert permits_at(NOW_NS + ttl_ns + 1) == [(False, LOST_WHY)], "at once, and not when the next one is due"
    memory.vitals["permit_n"][0] += 1
    assert permits_at(NOW_NS + ttl_ns + 2) == [(True, "")]
