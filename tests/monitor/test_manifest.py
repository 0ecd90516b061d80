"""What a bundle holds its limits to: the event rule that they were set for; and that it is read as it was written."""

from typing import Any, TypeVar

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.action import ActionLimits, Demand, fit_action_limits, fit_tails
from calibration.budget import budget_limit, for_tails
from calibration.events import EventRule
from calibration.memory import MemoryChart, fit_memory
from calibration.tails import far_tail, rarity
from monitor.budget import FittedBudget
from monitor.bundle import Bundle
from monitor.config import Calibration, Events
from monitor.manifest import CLEAR_FRAMES, FittedMemory, FittedTail, Manifest, without_budget

DEMAND = Demand(per_hour=90.0, rate_hz=100.0, k=2, n=4, warning_rate=0.01)


def action_limits() -> ActionLimits:
    scores = np.random.default_rng(0).exponential(size=(6000, 2))
    runs, nowhere = np.repeat([0, 1, 2], 2000), np.full(6000, "")
    late = for_tails(runs, runs)
    tails = fit_tails(scores[late], nowhere[late], DEMAND.warning_rate)
    return fit_action_limits(scores, nowhere, runs, runs, tails, late, DEMAND)


FOUND = action_limits()
BUDGET = FittedBudget.of(FOUND, DEMAND)


@pytest.fixture
def with_budget(small_bundle: Bundle) -> Manifest:
    return msgspec.structs.replace(small_bundle.manifest, budget=BUDGET)


# The rule


@given(k=st.integers(1, 6), more=st.integers(0, 6), clear=st.integers(1, 10_000) | st.just("auto"))
def test_without_a_budget_any_rule_holds_as_the_configuration_has_it(
    small_bundle: Bundle, k: int, more: int, clear: int | str
) -> None:
    events = Events(k=k, n=k + more, clear_frames=clear)  # type: ignore[arg-type]
    assert small_bundle.manifest.budget is None
    rule = small_bundle.manifest.rule_for(events)
    assert rule == without_budget(events) == EventRule(k, k + more, CLEAR_FRAMES if clear == "auto" else clear)


def test_auto_is_the_block_of_the_budget(with_budget: Manifest) -> None:
    assert with_budget.rule_for(Events(k=2, n=4)) == EventRule(2, 4, FOUND.budget.block_frames)


def test_a_deadband_may_be_any_since_it_raises_nothing(with_budget: Manifest) -> None:
    assert with_budget.rule_for(Events(k=2, n=4, deadband=0.3)).deadband == 0.3


@pytest.mark.parametrize("longer", [0, 1, 1000])
def test_a_dead_time_as_long_as_the_block_or_longer_is_as_the_configuration_has_it(
    with_budget: Manifest, longer: int
) -> None:
    clear = BUDGET.block_frames + longer
    assert with_budget.rule_for(Events(k=2, n=4, clear_frames=clear)) == EventRule(2, 4, clear)


def test_a_shorter_dead_time_is_refused_since_one_event_would_count_as_several(with_budget: Manifest) -> None:
    shorter = BUDGET.block_frames - 1
    told = rf"^events.clear_frames: {shorter} frames are less than the {shorter + 1} within which .* or auto$"
    with pytest.raises(ValueError, match=told):
        with_budget.rule_for(Events(k=2, n=4, clear_frames=shorter))


@pytest.mark.parametrize(("k", "n"), [(1, 1), (2, 3), (2, 5), (3, 4), (4, 4)])
def test_another_rule_than_the_limits_were_set_for_is_refused(with_budget: Manifest, k: int, n: int) -> None:
    told = f"^events: the bundle's limits were set for 2 of 4 frames, not {k} of {n}; set .* or calibrate anew"
    with pytest.raises(ValueError, match=told) as caught:
        with_budget.rule_for(Events(k=k, n=n))
    assert "\n" not in str(caught.value)


# Values


T = TypeVar("T")


def through_json(value: T) -> T:
    return msgspec.json.decode(msgspec.json.encode(value), type=type(value))


def test_a_budget_is_written_as_it_was_found() -> None:
    assert through_json(BUDGET) == BUDGET
    assert (BUDGET.action, BUDGET.low, BUDGET.high, BUDGET.warning) == FOUND[:4]
    assert BUDGET.rule == EventRule(2, 4, FOUND.budget.block_frames)
    assert BUDGET.shift is not None
    assert FOUND.shift is not None
    assert (BUDGET.shift.by, BUDGET.shift.groups) == (FOUND.shift.by, 3)


def test_the_extremes_of_a_budget_set_its_limit_again() -> None:
    assert BUDGET.shift is not None
    record = FOUND.record._replace(extremes=np.array(through_json(BUDGET).extremes))
    again = budget_limit(record, BUDGET.asked_per_hour, BUDGET.rate_hz)
    assert again.limit + BUDGET.shift.by == BUDGET.action


def test_a_memory_chart_comes_back_as_it_was_written() -> None:
    q = np.random.default_rng(0).standard_normal((500, 2))
    names = np.full(500, "Füllung".encode())
    centers = {names[0]: np.array([0.1, 1 / 3])}
    chart, _ = fit_memory(
        (0.05, 0.1), 200.0, centers, 9.5, q, q[:, 0] ** 2, names, np.array([0, 500]), np.arange(500) >= 400
    )
    again: MemoryChart = through_json(FittedMemory.of(chart, 200.0)).as_memory()
    assert (again.seconds, again.chart, again.strange) == (chart.seconds, chart.chart, chart.strange)
    assert again.centers.keys() == {"Füllung".encode()}
    np.testing.assert_array_equal(again.centers["Füllung".encode()], [0.1, 1 / 3])
    for tail, other in zip(again.tails, chart.tails, strict=True):
        np.testing.assert_array_equal(tail.body, other.body)
        assert tail[1:] == other[1:]


def test_a_tail_says_the_same_when_it_was_written_and_read() -> None:
    tail = far_tail(np.random.default_rng(1).exponential(size=3000))
    again = through_json(FittedTail.of(tail)).as_tail()
    values = np.linspace(-1.0, 30.0, 200)
    np.testing.assert_array_equal(rarity(values, again), rarity(values, tail))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ""),
        ({"false_alarms_per_hour": 7.0}, "is 7, the bundle's limits keep to"),
        ({"false_alarms_per_hour": None}, "is null, the bundle's limits keep to"),
        ({"conservative": True}, "conservative is true, for the bundle's limits it was false"),
    ],
)
def test_what_a_configuration_asks_for_in_another_way_is_told(changes: dict[str, Any], told: str) -> None:
    same = {"false_alarms_per_hour": BUDGET.asked_per_hour, "conservative": BUDGET.conservative}
    assert told in BUDGET.other_than(Calibration(**(same | changes)))
    assert bool(BUDGET.other_than(Calibration(**(same | changes)))) == bool(told)
