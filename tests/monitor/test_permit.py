"""The permit falls at once and comes back only after quiet, whatever the order of things."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import Permit
from monitor.permit import PermitState, Seen, awaited, step
from monitor.types import State

S = 1_000_000_000
CONFIG = Permit(quiet_s=2.0, fall={})
GIVEN = PermitState(True, None, "")


def steps(config: Permit, moments: Sequence[tuple[State, Sequence[str], int]]) -> list[PermitState]:
    found, now = [], PermitState()
    for state, priorities, now_ns in moments:
        now = step(config, now, Seen(state, priorities, now_ns))
        found.append(now)
    return found


def test_nothing_is_permitted_before_the_first_look() -> None:
    assert not PermitState().given


@pytest.mark.parametrize("state", list(State))
def test_each_state_withholds_as_configured(state: State) -> None:
    after = step(CONFIG, GIVEN, Seen(state, [], 5 * S))
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
    after = step(CONFIG, GIVEN, Seen(State.OK, priorities, 5 * S))
    assert (after.given, after.why) == (why == "", why)


def test_an_event_left_open_goes_on_withholding_while_the_process_is_off() -> None:
    assert not step(CONFIG, GIVEN, Seen(State.IDLE, ["high"], 5 * S)).given


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
    assert step(Permit(quiet_s=0.0), PermitState(False, None, "x"), Seen(State.OK, [], 7)).given


def test_what_is_not_configured_to_withhold_does_not() -> None:
    lenient = Permit(withhold_states=(), withhold_priorities=(), quiet_s=0.0)
    assert all(step(lenient, GIVEN, Seen(state, ["critical"], 0)).given for state in State)


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
            state = step(config, state, Seen(State.IDLE, ["high"], (100 + second) * S))
        assert state.given is released
        assert not step(config, state, Seen(State.OK, ["high"], 130 * S)).given, "the process is on again"


HIGH = Permit(quiet_s=0.0, fall={}, back={"high": "acknowledged"})


def test_after_some_causes_someone_must_acknowledge_first() -> None:
    withheld = step(HIGH, GIVEN, Seen(State.OK, ["high"], 1 * S, logged=7, heard=5))
    over = step(HIGH, withheld, Seen(State.OK, [], 2 * S, logged=8, heard=6))
    assert (over.given, over.why) == (False, "waiting for someone to acknowledge: open event of priority high")
    unseen = step(HIGH, over, Seen(State.OK, [], 3 * S, logged=8, heard=8, unacknowledged=frozenset({"high"})))
    assert not unseen.given
    assert step(HIGH, unseen, Seen(State.OK, [], 4 * S, logged=8, heard=8)).given


def test_alarms_that_the_side_process_has_not_heard_of_are_not_taken_for_acknowledged() -> None:
    withheld = step(HIGH, GIVEN, Seen(State.OK, ["high"], 1 * S, logged=7, heard=6))
    assert not step(HIGH, withheld, Seen(State.OK, [], 2 * S, logged=7, heard=6)).given
    assert step(HIGH, withheld, Seen(State.OK, [], 2 * S, logged=7, heard=7)).given


def test_other_causes_come_back_by_quiet_alone() -> None:
    withheld = step(HIGH, GIVEN, Seen(State.OK, ["medium"], 1 * S, logged=7))
    assert step(HIGH, withheld, Seen(State.OK, [], 2 * S, logged=7, unacknowledged=frozenset({"medium"}))).given


def test_a_state_may_wait_for_an_acknowledgement_too() -> None:
    config = Permit(quiet_s=0.0, back={"blind": "acknowledged"})
    withheld = step(config, GIVEN, Seen(State.BLIND, [], 1 * S))
    waiting = step(config, withheld, Seen(State.OK, [], 2 * S, unacknowledged=frozenset({"blind"})))
    assert waiting.why == "waiting for someone to acknowledge: state blind"
    assert step(config, waiting, Seen(State.OK, [], 3 * S)).given


def test_a_cause_may_keep_it_until_the_layer_has_ended() -> None:
    config = Permit(quiet_s=0.0, back={"medium": "layer_end"})
    withheld = step(config, GIVEN, Seen(State.OK, ["medium"], 1 * S, layer_ends=3))
    over = step(config, withheld, Seen(State.OK, [], 2 * S, layer_ends=3))
    assert (over.given, over.why) == (False, "waiting for the layer's end after open event of priority medium")
    assert step(config, over, Seen(State.OK, [], 3 * S, layer_ends=4)).given


DRIFT = Permit(quiet_s=0.0, fall={"stale": "layer_end"}, layer_end_s=60.0)


def test_drift_withholds_it_from_the_layers_end_on_and_not_in_mid_vector() -> None:
    coming = step(DRIFT, GIVEN, Seen(State.STALE, [], 1 * S, layer_ends=3))
    assert coming.given
    assert step(DRIFT, coming, Seen(State.STALE, [], 60 * S, layer_ends=3)).given
    fallen = step(DRIFT, coming, Seen(State.STALE, [], 5 * S, layer_ends=4))
    assert (fallen.given, fallen.why) == (False, "state stale")


def test_where_no_layer_ends_it_waits_no_longer_than_configured() -> None:
    coming = step(DRIFT, GIVEN, Seen(State.STALE, [], 1 * S))
    assert not step(DRIFT, coming, Seen(State.STALE, [], 61 * S)).given


def test_what_waits_for_the_layers_end_gives_nothing_that_was_not_given() -> None:
    assert not step(DRIFT, PermitState(), Seen(State.STALE, [], 1 * S)).given


def test_a_cause_that_is_over_before_the_layers_end_never_withholds_it() -> None:
    coming = step(DRIFT, GIVEN, Seen(State.STALE, [], 1 * S, layer_ends=3))
    over = step(DRIFT, coming, Seen(State.OK, [], 2 * S, layer_ends=3))
    again = step(DRIFT, over, Seen(State.STALE, [], 3 * S, layer_ends=4))
    assert over.given
    assert again.given
    assert not step(DRIFT, again, Seen(State.STALE, [], 4 * S, layer_ends=5)).given


def test_another_cause_makes_it_fall_at_once_all_the_same() -> None:
    coming = step(DRIFT, GIVEN, Seen(State.STALE, [], 1 * S, layer_ends=3))
    assert step(DRIFT, coming, Seen(State.STALE, ["high"], 2 * S, layer_ends=3)).why == "open event of priority high"


def test_what_a_judging_process_before_this_one_withheld_waits_for_its_acknowledgement() -> None:
    waiting = step(HIGH, PermitState(), Seen(State.OK, [], 1 * S, unacknowledged=frozenset({"high"})))
    assert (waiting.given, waiting.why) == (False, "waiting for someone to acknowledge: open event of priority high")
    assert step(HIGH, waiting, Seen(State.OK, [], 2 * S)).given


def test_an_alarm_that_has_risen_since_counts_for_the_cause_that_it_began_as() -> None:
    config = Permit(quiet_s=0.0, fall={}, back={"medium": "acknowledged"})
    withheld = step(config, GIVEN, Seen(State.OK, ["medium"], 1 * S))
    assert not step(config, withheld, Seen(State.OK, [], 2 * S, unacknowledged=frozenset({"high"}))).given


@pytest.mark.parametrize("quiet_s", [0.0, 0.5])
def test_before_anybody_has_said_what_is_open_there_is_no_permit(quiet_s: float) -> None:
    config = Permit(quiet_s=quiet_s, withhold_states=())
    unknown = Seen(State.OK, [], 1 * S, alarms_known=False)
    waiting = step(config, step(config, PermitState(), unknown), unknown._replace(now_ns=9 * S))
    assert (waiting.given, waiting.why) == (False, "waiting for the process that keeps the alarms")
    after = step(config, waiting, Seen(State.OK, [], 9 * S))
    assert after.given is (quiet_s == 0), "the quiet time begins when it is known"
    assert step(config, after, Seen(State.OK, [], 10 * S)).given


def test_an_alarm_that_had_risen_before_a_restart_waits_for_its_acknowledgement_all_the_same() -> None:
    config = Permit(quiet_s=0.0, fall={}, back={"high": "acknowledged"})
    risen = Seen(State.OK, [], 1 * S, unacknowledged=frozenset({"critical"}))
    withheld = step(config, step(config, GIVEN, Seen(State.OK, ["high"], 0)), risen)
    again = step(config, PermitState(), risen)
    assert (withheld.given, again.given) == (False, False)
    assert again.why == withheld.why == "waiting for someone to acknowledge: open event of priority high"
    assert step(config, PermitState(), Seen(State.OK, [], 1 * S, unacknowledged=frozenset({"medium", "stop"}))).given


def test_without_a_layer_that_ends_it_comes_back_after_so_long() -> None:
    config = Permit(quiet_s=0.0, back={"medium": "layer_end"}, layer_end_s=60.0)
    withheld = step(config, GIVEN, Seen(State.OK, ["medium"], 1 * S))
    assert not step(config, withheld, Seen(State.IDLE, [], 60 * S)).given
    assert step(config, withheld, Seen(State.IDLE, [], 61 * S)).given


def test_alarms_of_a_cause_and_of_graver_ones_are_awaited_since_they_may_have_risen() -> None:
    config = Permit(back={"medium": "acknowledged", "degraded": "acknowledged", "low": "layer_end"})
    assert awaited(config) == {"medium", "high", "critical", "degraded"}
    assert awaited(Permit(back={"stop": "acknowledged"})) == {"stop"}
    assert awaited(Permit()) == set()


def test_a_stop_withholds_whatever_the_priorities_and_is_named_before_them() -> None:
    deaf = Permit(quiet_s=2.0, fall={}, withhold_priorities=())
    after = step(deaf, GIVEN, Seen(State.OK, ["critical", "stop"], 5 * S))
    assert (after.given, after.why) == (False, "scores over the stop limit")
    assert step(CONFIG, GIVEN, Seen(State.OK, ["high", "stop"], 5 * S)).why == "scores over the stop limit"


def test_a_stop_has_a_way_to_fall_and_a_way_back_of_its_own() -> None:
    config = Permit(quiet_s=0.0, fall={"stop": "layer_end"}, back={"stop": "acknowledged"})
    waiting = step(config, GIVEN, Seen(State.OK, ["stop"], 1 * S, layer_ends=3))
    assert waiting.given
    fallen = step(config, waiting, Seen(State.OK, ["stop"], 2 * S, layer_ends=4, logged=1))
    assert not fallen.given
    held = step(config, fallen, Seen(State.OK, [], 3 * S, 4, 2, 2, frozenset({"stop"})))
    assert held.why == "waiting for someone to acknowledge: scores over the stop limit"
    assert step(config, held, Seen(State.OK, [], 4 * S, 4, 2, 2)).given


def test_what_is_graver_than_a_priority_is_no_stop() -> None:
    """Each waits for its own alarms alone."""
    config = Permit(quiet_s=0.0, fall={}, back={"high": "acknowledged", "stop": "acknowledged"})
    fallen = step(config, GIVEN, Seen(State.OK, ["high"], 1 * S))
    back = step(config, fallen, Seen(State.OK, [], 2 * S, unacknowledged=frozenset({"critical"})))
    assert not back.given, "the priority may have risen"
    assert step(config, fallen, Seen(State.OK, [], 2 * S)).given
