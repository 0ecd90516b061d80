"""The permit falls at once and comes back only after quiet, whatever the order of things."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import Permit
from monitor.permit import PermitState, step
from monitor.types import State

S = 1_000_000_000
CONFIG = Permit(quiet_s=2.0)
GIVEN = PermitState(True, None, "")


def steps(config: Permit, moments: Sequence[tuple[State, Sequence[str], int]]) -> list[PermitState]:
    found, now = [], PermitState()
    for state, priorities, now_ns in moments:
        now = step(config, now, state, priorities, now_ns)
        found.append(now)
    return found


def test_nothing_is_permitted_before_the_first_look() -> None:
    assert not PermitState().given


@pytest.mark.parametrize("state", list(State))
def test_each_state_withholds_as_configured(state: State) -> None:
    after = step(CONFIG, GIVEN, state, [], 5 * S)
    if state in (State.OK, State.IDLE):
        assert after.given
    else:
        assert after == PermitState(False, None, f"state {state.value}")


@pytest.mark.parametrize(
    ("priorities", "why"),
    [
        ([], ""),
        (["low"], ""),
        (["low", "low"], ""),
        (["medium"], "open event of priority medium"),
        (["low", "high"], "open event of priority high"),
        (["critical"], "open event of priority critical"),
    ],
)
def test_open_events_withhold_by_priority(priorities: list[str], why: str) -> None:
    after = step(CONFIG, GIVEN, State.OK, priorities, 5 * S)
    assert (after.given, after.why) == (why == "", why)


def test_an_event_left_open_goes_on_withholding_while_the_process_is_off() -> None:
    assert not step(CONFIG, GIVEN, State.IDLE, ["high"], 5 * S).given


def test_it_returns_after_the_quiet_time_and_says_that_it_waits() -> None:
    found = steps(
        CONFIG,
        [
            (State.STARTING, [], 0),
            (State.OK, [], 1 * S),
            (State.OK, [], 3 * S - 1),
            (State.OK, [], 3 * S),
        ],
    )
    assert [one.given for one in found] == [False, False, False, True]
    assert [one.why for one in found] == ["state starting", "waiting for 2 s of quiet", "waiting for 2 s of quiet", ""]


def test_quiet_starts_anew_after_every_reason() -> None:
    found = steps(
        CONFIG,
        [
            (State.OK, [], 0),
            (State.OK, ["high"], 2 * S - 1),
            (State.OK, [], 2 * S),
            (State.OK, [], 4 * S - 1),
            (State.OK, [], 4 * S),
        ],
    )
    assert [one.given for one in found] == [False, False, False, False, True]


def test_without_a_quiet_time_it_returns_at_once() -> None:
    assert step(Permit(quiet_s=0.0), PermitState(False, None, "x"), State.OK, [], 7).given


def test_what_is_not_configured_to_withhold_does_not() -> None:
    lenient = Permit(withhold_states=(), withhold_priorities=(), quiet_s=0.0)
    assert all(step(lenient, GIVEN, state, ["critical"], 0).given for state in State)


MOMENTS = st.lists(
    st.tuples(
        st.sampled_from(State),
        st.lists(st.sampled_from(["low", "medium", "high", "critical"]), max_size=2),
        st.integers(0, 3 * S),  # since the moment before
    ),
    min_size=1,
    max_size=30,
)


@given(moments=MOMENTS)
def test_it_falls_at_once_and_returns_only_after_quiet(
    moments: list[tuple[State, list[str], int]],
) -> None:
    now_ns, timed = 0, []
    for state, priorities, since_ns in moments:
        now_ns += since_ns
        timed.append((state, priorities, now_ns))
    found = steps(CONFIG, timed)
    withheld = [
        state in CONFIG.withhold_states or any(one in CONFIG.withhold_priorities for one in priorities)
        for state, priorities, _ in timed
    ]
    for reason, after in zip(withheld, found, strict=True):
        assert not (reason and after.given)
        assert (after.why == "") == after.given, "whoever withholds it says why"
    for index, (before, after) in enumerate(pairwise([PermitState(), *found])):
        if before.given:
            assert after.given or withheld[index], "it falls for a reason"
        elif after.given:
            quiet = next((back for back in range(index, -1, -1) if withheld[back]), -1) + 1
            assert timed[index][2] - timed[quiet][2] >= CONFIG.quiet_s * S


def test_in_idle_open_events_withhold_for_as_long_as_the_configuration_says() -> None:
    for release_s, released in ((None, False), (60.0, False), (10.0, True)):
        config = Permit(quiet_s=1.0, idle_release_s=release_s)
        state = PermitState()
        for second in range(20):
            state = step(config, state, State.IDLE, ["high"], (100 + second) * S)
        assert state.given is released
        assert not step(config, state, State.OK, ["high"], 130 * S).given, "the process is on again"
