from pathlib import Path

import msgspec
import pytest
from daemon_example import beat, count_frames, judge_frames, some_config, some_orders

from monitor.notify import DIED_NS
from monitor.orders import Memory, Orders, Promise
from monitor.state import LOADING
from monitor.status import (
    LOADING_NS,
    LOST_WHY,
    START_NS,
    STOPPING_NS,
    ChartStatus,
    DriftStatus,
    hot_answers,
    hot_lost,
    look,
    state_of,
)
from monitor.types import State
from monitor.vitals import LOST_NS, read_text, write_text

STARTED_NS = 10**12


@pytest.mark.parametrize(
    ("beat_ns", "now_ns", "lost"),
    [
        (0, STARTED_NS + START_NS, False),  # still importing
        (0, STARTED_NS + START_NS + 1, True),
        (STARTED_NS, STARTED_NS + LOST_NS, False),
        (STARTED_NS, STARTED_NS + LOST_NS + 1, True),
        (STARTED_NS - 10**11, STARTED_NS, True),  # died before this process started
    ],
)
def test_the_hot_process_is_lost_when_its_beat_is_old(tmp_path: Path, beat_ns: int, now_ns: int, lost: bool) -> None:
    with some_orders(some_config(tmp_path)) as (_, memory):
        memory.vitals["hot_beat_ns"][0] = beat_ns
        assert hot_lost(memory.vitals, now_ns, STARTED_NS) is lost


def test_a_hot_process_that_was_told_to_stop_is_not_lost_but_gives_no_permit(tmp_path: Path) -> None:
    with some_orders(some_config(tmp_path)) as (given, memory):
        beat(memory, STARTED_NS, State.STOPPING)
        memory.vitals["permit"][0] = 1
        status = look(given, memory, [], STARTED_NS + LOST_NS + 1, 5, STARTED_NS)
        assert (status.state, status.permit) == (State.STOPPING, False)
        assert not hot_lost(memory.vitals, STARTED_NS + STOPPING_NS, STARTED_NS)
        assert hot_lost(memory.vitals, STARTED_NS + STOPPING_NS + 1, STARTED_NS)


def test_a_hot_process_whose_loops_compile_is_starting_until_that_takes_too_long(tmp_path: Path) -> None:
    with some_orders(some_config(tmp_path)) as (given, memory):
        beat(memory, STARTED_NS, State.STARTING, LOADING)
        status = look(given, memory, [], STARTED_NS + LOADING_NS, 5, STARTED_NS)
        assert (status.state, status.why) == (State.STARTING, LOADING)
        assert (status.permit, status.permit_why) == (False, "state starting")
        assert not hot_answers(memory.vitals, STARTED_NS), "it judges nothing yet"
        assert hot_lost(memory.vitals, STARTED_NS + LOADING_NS + 1, STARTED_NS)


def test_a_hot_process_that_hangs_once_it_waits_for_frames_is_lost(tmp_path: Path) -> None:
    with some_orders(some_config(tmp_path)) as (_, memory):
        beat(memory, STARTED_NS, State.STARTING, "waiting for the first frame")
        assert hot_answers(memory.vitals, STARTED_NS + LOST_NS)
        assert hot_lost(memory.vitals, STARTED_NS + LOST_NS + 1, STARTED_NS)


@pytest.mark.parametrize(("state", "why"), [(State.OK, ""), (State.STARTING, LOADING)])
@pytest.mark.parametrize("up_s", [1, 86_400])
def test_a_hot_process_that_died_is_lost_however_far_it_had_come(
    tmp_path: Path, state: State, why: str, up_s: int
) -> None:
    """Even where the machine itself has not been up for as long as loading may take."""
    with some_orders(some_config(tmp_path)) as (_, memory):
        beat(memory, DIED_NS, state, why)
        assert hot_lost(memory.vitals, up_s * 10**9, STARTED_NS)


def test_while_all_are_to_stop_a_silent_hot_process_is_stopping_and_gives_no_permit(tmp_path: Path) -> None:
    stop_by_ns = STARTED_NS + 35 * 10**9
    with some_orders(some_config(tmp_path)) as (given, memory):
        beat(memory, STARTED_NS)  # ok, with a permit: it hangs before it can say that it stops
        memory.vitals["stop_by_ns"][0] = stop_by_ns
        status = look(given, memory, [], stop_by_ns, 5, STARTED_NS)
        assert (status.state, status.why) == (State.STOPPING, "told to stop")
        assert (status.permit, status.permit_why) == (False, "state stopping")
        assert not hot_lost(memory.vitals, stop_by_ns, STARTED_NS)
        assert not hot_answers(memory.vitals, stop_by_ns), "one that was lost before is not back"
        assert state_of(memory.vitals, stop_by_ns + 1, STARTED_NS) == (State.DEGRADED, LOST_WHY)


def test_a_status_tells_what_memory_holds(tmp_path: Path) -> None:
    with some_orders(some_config(tmp_path)) as (given, memory):
        beat(memory, STARTED_NS, State.IDLE, "the laser is off")
        count_frames(memory)
        judge_frames(memory)
        status = look(given, memory, [], STARTED_NS, 5, STARTED_NS)
    assert (status.state, status.why, status.t_ns) == (State.IDLE, "the laser is off", 5)
    assert status.charts == [ChartStatus("t2", 50.0, 12.5, 7), ChartStatus("s2", 3.0, 4.5, 1)]
    ledger = status.ledger
    assert ledger.announced == ledger.lost_upstream + ledger.received
    assert ledger.received == (
        ledger.judged + sum(ledger.unjudged.values()) + sum(ledger.dropped.values()) + ledger.in_flight
    )
    assert ledger.in_flight == 5


def test_the_limits_shown_are_those_of_the_context_that_was_judged_last(tmp_path: Path) -> None:
    with some_orders(some_config(tmp_path)) as (given, memory):
        judge_frames(memory)
        assert given.bundle is not None
        facts = msgspec.structs.replace(given.bundle, own_limits={"contour": {"t2": 20.0, "s2": 1.5}})
        given = msgspec.structs.replace(given, bundle=facts)
        seen = {}
        for context in ("", "hatch", "contour"):
            memory.vitals["context"][0] = context.encode()
            status = look(given, memory, [], STARTED_NS, 5, STARTED_NS)
            seen[status.context] = [(chart.name, chart.limit) for chart in status.charts]
    pooled = [("t2", 50.0), ("s2", 3.0)]
    assert seen == {"": pooled, "hatch": pooled, "contour": [("t2", 20.0), ("s2", 1.5)]}


def promised(given: Orders, memory: Memory, *, drift: bool = True) -> Orders:
    """*given* with a bundle that keeps to a budget, of which the scores have drifted."""
    memory.vitals["drift_evidence"][0], memory.vitals["drift_shift"][0] = 1.5, 0.25
    write_text(memory.vitals, "drift_why", "they have drifted")
    assert given.bundle is not None
    promise = Promise(1.0, False, 2.5, 1.0, 100.0, 0.3, "it is well", "ab" * 32, drift)
    return msgspec.structs.replace(given, bundle=msgspec.structs.replace(given.bundle, promise=promise))


def test_judged_time_is_told_whatever_the_limits_are(tmp_path: Path) -> None:
    with some_orders(some_config(tmp_path)) as (given, memory):
        memory.vitals["judged_s"][0] = 61.5
        status = look(given, memory, [], STARTED_NS, 5, STARTED_NS)
    assert (status.judged_s, status.promise, status.drift) == (61.5, None, None)


def test_a_drift_is_told_where_one_is_watched_for(tmp_path: Path) -> None:
    with some_orders(some_config(tmp_path)) as (given, memory):
        seen = [
            look(promised(given, memory, drift=one), memory, [], STARTED_NS, 5, STARTED_NS) for one in (True, False)
        ]
    assert [status.drift for status in seen] == [DriftStatus(1.5, 0.25, "they have drifted"), None]


def test_a_lost_hot_process_is_degraded_and_gives_no_permit(tmp_path: Path) -> None:
    with some_orders(some_config(tmp_path)) as (given, memory):
        beat(memory, STARTED_NS)
        memory.vitals["coverage"][0] = 1.0
        assert look(given, memory, [], STARTED_NS, 5, STARTED_NS).permit
        status = look(given, memory, [], STARTED_NS + LOST_NS + 1, 5, STARTED_NS)
    assert (status.state, status.why, status.permit, status.coverage) == (State.DEGRADED, LOST_WHY, False, 0.0)


def test_before_the_first_beat_it_is_starting(tmp_path: Path) -> None:
    with some_orders(some_config(tmp_path), bundle=False) as (given, memory):
        status = look(given, memory, [], STARTED_NS, 5, STARTED_NS)
    assert (status.state, status.permit, status.bundle, status.charts) == (State.STARTING, False, None, [])


def test_a_long_text_is_cut_between_letters(tmp_path: Path) -> None:
    with some_orders(some_config(tmp_path)) as (_, memory):
        write_text(memory.vitals, "side_why", "x" + "é" * 200)
        assert read_text(memory.vitals, "side_why") == "x" + "é" * 127
