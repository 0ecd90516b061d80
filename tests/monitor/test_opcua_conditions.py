"""Which alarms of a source are its condition, and which are branches of it."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from monitor.alarms.alarm import Alarm
from monitor.sinks.opcua.conditions import BRANCHES_MAX, Condition, Notice, follow, needs_attention
from monitor.types import Peak


def alarm(alarm_id: str, rev: int = 1, *, active: bool = True, acked: bool = False) -> Alarm:
    given: dict[str, Any] = {
        "camera": "camera", "stream": "s", "priority": "medium", "source": "local", "first_seq": 1, "last_seq": 9,
        "first_t_ns": 1, "raised_t_ns": 1, "frames_over": 3, "peak": Peak(5, 8.0, 2.0, 4.0), "pool": None,
        "where": None, "kind": None, "job": "", "layer": None, "context": "", "xy": None, "bundle": "",
    }  # fmt: skip
    return Alarm(id=alarm_id, rev=rev, state="active" if active else "cleared", acked=acked, **given)


def run(*alarms: Alarm) -> tuple[Condition, list[tuple[str, bool, bool]]]:
    """The condition after *alarms*, and what the last of them told: id, branch, retain."""
    condition, told = Condition(), list[Notice]()
    for one in alarms:
        condition, told = follow(condition, one)
    return condition, [(notice.alarm.id, notice.branch, notice.retain) for notice in told]


def test_one_alarm_is_the_condition_itself_until_it_is_over_and_acknowledged() -> None:
    raised, cleared = alarm("a"), alarm("a", 2, active=False)
    assert run(raised)[1] == [("a", False, True)]
    assert run(raised, cleared)[1] == [("a", False, True)]
    assert run(raised, cleared, alarm("a", 3, active=False, acked=True))[1] == [("a", False, False)]
    assert run(raised, alarm("a", 2, acked=True))[1] == [("a", False, True)], "acknowledged, but still there"


def test_an_alarm_that_still_needs_attention_becomes_a_branch_of_a_newer_one() -> None:
    assert run(alarm("a"), alarm("a", 2, active=False), alarm("b"))[1] == [("b", False, True), ("a", True, True)]


def test_one_that_needs_none_is_replaced() -> None:
    assert run(alarm("a"), alarm("a", 2, active=False, acked=True), alarm("b"))[1] == [("b", False, True)]


def test_the_condition_is_retained_until_its_last_branch_is_over() -> None:
    both = (alarm("a"), alarm("b"), alarm("b", 2, active=False, acked=True))
    assert run(*both)[1] == [("b", False, True)]
    condition, told = run(*both, alarm("a", 2, active=False, acked=True))
    assert told == [("a", True, False), ("b", False, False)]
    assert not any(notice.retain for notice in condition.notices)


def test_a_known_revision_tells_nothing_and_brings_back_nothing() -> None:
    assert run(alarm("a", 2), alarm("a", 1))[1] == []
    assert run(alarm("a", 2), alarm("a", 2))[1] == []
    over = (alarm("a"), alarm("b"), alarm("a", 2, active=False, acked=True))
    assert run(*over, alarm("a", 1))[1] == []


def test_the_order_in_which_open_alarms_come_again_does_not_matter() -> None:
    one, two = run(alarm("a"), alarm("b"))[0], run(alarm("b"), alarm("a"))[0]
    assert one.notices == two.notices


def test_an_older_alarm_that_comes_after_one_that_is_over_keeps_the_condition() -> None:
    _, told = run(alarm("b", active=False, acked=True), alarm("a"))
    assert told == [("a", True, True), ("b", False, True)]


def test_branches_that_nobody_acknowledges_are_let_go_at_last() -> None:
    many = [alarm(f"{number:04}", active=False) for number in range(BRANCHES_MAX + 2)]
    condition, told = run(*many)
    assert told[-1] == ("0000", True, False)
    assert len(condition.branches) == BRANCHES_MAX
    assert run(*many, alarm("0000", 2, active=False))[1] == [], "it does not come back"


steps = st.lists(st.tuples(st.sampled_from("abcd"), st.booleans(), st.booleans()), max_size=30)


@given(steps)
def test_what_clients_were_told_is_what_is_held(changes: list[tuple[str, bool, bool]]) -> None:
    """A client that keeps the last notice of each id, and drops those not retained, knows what a refresh would tell."""
    condition, shown, revs = Condition(), dict[tuple[str, bool], Notice](), dict[str, int]()
    for alarm_id, active, acked in changes:
        revs[alarm_id] = revs.get(alarm_id, 0) + 1
        condition, told = follow(condition, alarm(alarm_id, revs[alarm_id], active=active, acked=acked))
        for notice in told:
            key = (notice.alarm.id if notice.branch else "", notice.branch)
            shown[key] = notice
            if not notice.retain:
                del shown[key]
    retained = [notice for notice in condition.notices if notice.retain]
    assert sorted(shown.values(), key=str) == sorted(retained, key=str)
    assert all(needs_attention(branch) for branch in condition.branches.values())
