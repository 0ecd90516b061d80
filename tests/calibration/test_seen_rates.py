"""What held-out frames did at the limits is counted as the event rule counts it."""

import math

import numpy as np
import pytest

from calibration import events
from calibration.events import EventRule
from calibration.seen_rates import event_count, falling, rates, times_as_many


def stream(count: int, over: dict[int, float]) -> np.ndarray:
    joint = np.full(count, 0.2)
    for frame, score in over.items():
        joint[frame] = score
    return joint


def test_frames_blocks_and_events_are_counted_each_in_their_way() -> None:
    joint = stream(1000, {100: 5.0, 101: 5.0, 150: 5.0, 400: 3.5, 700: 5.0, 701: 4.5})
    found = rates(joint, np.array([0, 1000]), 3.0, 4.0, EventRule(2, 3, 100), 100, 1000.0)
    assert (found.over_warning, found.over_action) == (6, 5)
    assert found.warning.value == pytest.approx(0.006)
    assert (found.blocks, found.blocks_over) == (10, 2)
    assert found.events == 2
    assert found.hours == pytest.approx(1 / 3600)
    assert found.per_hour.value == pytest.approx(7200)
    low, high = found.per_hour.low, found.per_hour.high
    assert (low / 3600, high / 3600) == pytest.approx((0.2422, 7.2247), abs=1e-3)  # Garwood 1936, for two events


def test_shares_of_frames_that_come_in_bursts_are_less_sure_than_those_of_single_ones() -> None:
    random = np.random.default_rng(0)
    single = np.where(random.random(20_000) < 0.01, 5.0, 0.0)
    bursts = np.repeat(np.where(random.random(400) < 0.01, 5.0, 0.0), 50)
    borders, rule = np.array([0, 20_000]), EventRule(1, 1, 50)
    widths = [
        (found.warning.high - found.warning.low) / found.warning.value
        for found in (rates(joint, borders, 4.0, 4.5, rule, 50, 100.0) for joint in (single, bursts))
        if found.warning.value
    ]
    assert widths[1] > 3 * widths[0]


@pytest.mark.parametrize("seed", range(5))
def test_events_are_counted_as_the_event_rule_tells_them(seed: int) -> None:
    over = np.random.default_rng(seed).random(3000) < 0.02
    rows = np.zeros(3000, np.dtype([("seq", "<i8"), ("joint", "<f8")]))
    rows["joint"] = np.where(over, 2.0, 0.0)
    rule = EventRule(1, 1, 40)
    state, _ = events.step(rule, events.start(rule), rows)
    assert event_count(over, np.array([0, 3000]), 40) == state.next_number


def test_no_event_goes_on_into_another_stretch() -> None:
    over = np.zeros(20, np.bool_)
    over[[9, 10]] = True
    assert event_count(over, np.array([0, 20]), 5) == 1
    assert event_count(over, np.array([0, 10, 20]), 5) == 2


def test_the_tail_of_exponential_extremes_is_found_and_tells_how_many_more() -> None:
    extremes = np.random.default_rng(0).exponential(0.5, 20_000)
    tail = falling(extremes)
    assert tail.spread == pytest.approx(0.5, rel=0.4)  # of thirty excesses
    assert np.exp(-tail.threshold / 0.5) == pytest.approx(tail.share, rel=0.3)
    assert times_as_many(extremes, 0.0) == 1.0
    assert times_as_many(extremes, 1.0) == pytest.approx(math.exp(1.0 / tail.spread))
    assert times_as_many(extremes, -1.0) == pytest.approx(1 / times_as_many(extremes, 1.0))


def test_extremes_that_are_all_alike_tell_nothing() -> None:
    assert math.isnan(times_as_many(np.full(40, 2.0), 1.0))
