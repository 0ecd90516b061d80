import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sink_examples import T_NS, some_entry

from monitor.sinks.feed import Entry
from monitor.sinks.retry import (
    RETRY_AFTER_MAX_S,
    WORKING,
    Circuit,
    Policy,
    delay_s,
    failed,
    sheddable,
    trying,
)

DAY_S = 86_400.0
draws = st.floats(0.0, 1.0, exclude_max=True)
policies = st.builds(
    Policy,
    first_s=st.floats(0.01, 10.0),
    most_s=st.floats(10.0, 600.0),
    open_after=st.integers(1, 10),
)


def after(failures: int, policy: Policy = Policy(), now_s: float = 0.0) -> Circuit:  # noqa: B008  (a frozen value)
    circuit = WORKING
    for _ in range(failures):
        circuit = failed(circuit, policy, now_s, 0.5)
    return circuit


@given(policy=policies, failures=st.integers(1, 10_000), draw=draws)
def test_a_delay_is_never_longer_than_the_longest_nor_shorter_than_half_the_first(
    policy: Policy, failures: int, draw: float
) -> None:
    assert policy.first_s / 2 <= delay_s(policy, failures, draw) <= policy.most_s


@given(policy=policies, failures=st.integers(1, 100), draw=draws)
def test_delays_grow_until_they_are_longest(policy: Policy, failures: int, draw: float) -> None:
    assert delay_s(policy, failures, draw) <= delay_s(policy, failures + 1, draw)
    assert delay_s(policy, 100, 0.999) == pytest.approx(policy.most_s, rel=1e-3)


def test_chance_spreads_senders_over_half_of_a_delay() -> None:
    assert [delay_s(Policy(), 3, draw) for draw in (0.0, 0.5, 1.0)] == [2.0, 3.0, 4.0]


def test_a_circuit_opens_after_failures_in_a_row_and_is_half_open_while_it_is_tried() -> None:
    assert [after(failures).state for failures in range(7)] == ["closed"] * 5 + ["open"] * 2
    assert trying(after(5)).state == "half_open"
    assert trying(after(4)).state == "closed"
    assert failed(trying(after(5)), Policy(), 0.0, 0.5).state == "open"


@given(failures=st.integers(0, 50), asked_s=st.floats(0, 1e12), draw=draws)
def test_a_pause_that_was_asked_for_is_kept_within_bounds(failures: int, asked_s: float, draw: float) -> None:
    circuit = failed(after(failures), Policy(), 100.0, draw, asked_s)
    own_s = delay_s(Policy(), failures + 1, draw)
    assert circuit.due_s - 100.0 == pytest.approx(max(own_s, min(asked_s, RETRY_AFTER_MAX_S)))


histories = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3 * 86_400)), max_size=40)


def told(history: Sequence[tuple[int, int]]) -> list[Entry]:
    """Changes of a few alarms, by number of the alarm and age in seconds, the oldest first."""
    revs: dict[int, int] = {}
    entries = []
    for row, (number, age_s) in enumerate(sorted(history, key=lambda one: -one[1]), start=1):
        revs[number] = revs.get(number, 0) + 1
        entries.append(some_entry(row, T_NS - age_s * 10**9, number, revs[number]))
    return entries


@given(history=histories)
def test_the_newest_revision_of_every_alarm_always_goes(history: list[tuple[int, int]]) -> None:
    entries = told(history)
    shed = sheddable(entries, T_NS, DAY_S)
    newest = {entry.alarm.id: entry.row for entry in entries}
    assert not shed & set(newest.values())


@given(history=histories)
def test_nothing_young_is_shed_and_all_that_is_old_and_overtaken(history: list[tuple[int, int]]) -> None:
    entries = told(history)
    shed = sheddable(entries, T_NS, DAY_S)
    newest = {entry.alarm.id: entry.row for entry in entries}
    old = {entry.row for entry in entries if T_NS - entry.t_ns > DAY_S * 1e9}
    assert shed == old - set(newest.values())


def test_without_an_age_nothing_is_ever_shed() -> None:
    assert sheddable(told([(1, 10**6), (1, 10**5)]), T_NS, math.floor(1e8)) == frozenset()
