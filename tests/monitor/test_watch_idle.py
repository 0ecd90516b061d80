"""When the process is off: told by the camera, and shown by what is settled."""

import os
from collections.abc import Iterator

import pytest
from frames import normal
from test_watch import Bench

from monitor.bundle import Bundle
from monitor.ledger import LedgerSnapshot
from monitor.sequence import SequenceState
from monitor.types import Dropped, Unjudged
from monitor.watch import Engaged, is_idle
from monitor.wire import native


@pytest.fixture
def bench(small_bundle: Bundle) -> Iterator[Bench]:
    made = Bench(small_bundle)
    yield made
    os.close(made.wake_fd)


def ledger_of(inactive: int, judged: int = 0, in_flight: int = 0) -> LedgerSnapshot:
    received = inactive + judged + in_flight
    unjudged = dict.fromkeys(Unjudged, 0) | {Unjudged.INACTIVE: inactive}
    return LedgerSnapshot(
        received, 0, received, judged, 0, unjudged, dict.fromkeys(Dropped, 0), {}, SequenceState(None, 0, 0, False)
    )


def idle_at(*turns: tuple[LedgerSnapshot, bool]) -> list[bool]:
    """At which of *turns*, each a ledger and whether the camera says that the process is off, it is."""
    engaged: Engaged | None = None
    found = []
    for ledger, off in turns:
        idle, engaged = is_idle(engaged, ledger, off=off)
        found.append(idle)
    return found


def test_inactive_frames_are_idle_though_some_are_always_in_flight() -> None:
    pause = [(ledger_of(50 * turn, judged=1000, in_flight=7), True) for turn in range(5)]
    assert idle_at((ledger_of(0, judged=1000), False), *pause) == [False, True, True, True, True, True]


def test_it_is_not_idle_before_all_that_came_while_the_process_was_on_is_settled() -> None:
    on = ledger_of(0, judged=10, in_flight=30)
    slow = [ledger_of(0, judged=10, in_flight=80), ledger_of(0, judged=10, in_flight=130)]
    through = [ledger_of(0, judged=40, in_flight=150), ledger_of(150, judged=40), ledger_of(200, judged=40)]
    turns = [(on, False), *((one, True) for one in (*slow, *through))]
    assert idle_at(*turns) == [False, False, False, False, True, True]


def test_it_is_not_idle_where_frames_are_judged_though_an_inactive_one_comes_last() -> None:
    turns = ((ledger_of(50 * turn, judged=2 * turn), True) for turn in range(1, 9))
    assert not any(idle_at((ledger_of(0, in_flight=2), False), *turns))


def test_a_camera_that_sends_inactive_frames_without_pause_is_idle_until_it_is_on_again(bench: Bench) -> None:
    bench.ready()
    bench.pass_time(0.5, frames=True)
    pause = [native.encode(bench.config.camera, "one", bench.seq + n, 0, normal(1, n), active=False) for n in range(20)]
    for parts in pause:
        while (claim := bench.backlog.claim(bench.now_ns)) is not None:
            bench.engine.judge_batch(*claim)
        bench.ingest.take(parts, bench.now_ns)  # in flight at the next turn
        bench.pass_time(0.05)
    bench.seq += len(pause)
    assert bench.said.state == "idle"
    bench.pass_time(0.3, frames=True)
    states = [one.state for one in bench.ear.heartbeats]
    changes = [state for state, before in zip(states, [None, *states], strict=False) if state != before]
    assert changes[-3:] == ["ok", "idle", "ok"]
    assert changes.count("idle") == 1
