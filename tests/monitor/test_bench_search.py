"""The search for the highest rate held, against rates that are known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.bench.search import confirmed, highest_held

LEAST_HZ, MOST_HZ = 10.0, 100_000.0
RATES = st.floats(LEAST_HZ, MOST_HZ)


@given(truth=RATES, start=st.floats(1.0, 1e6), resolution=st.floats(1.01, 2.0))
def test_the_rate_found_is_held_and_one_a_step_above_is_not(truth: float, start: float, resolution: float) -> None:
    tried: list[float] = []

    def held(rate_hz: float) -> bool:
        tried.append(rate_hz)
        return rate_hz <= truth

    found = highest_held(held, start, LEAST_HZ, MOST_HZ, resolution)
    assert found is not None
    assert found <= truth
    assert found in tried
    assert truth < found * resolution * (1 + 1e-9) or found == MOST_HZ
    assert all(LEAST_HZ <= rate_hz <= MOST_HZ for rate_hz in tried)
    assert len(tried) == len(set(tried)), "no rate is tried twice"


@given(start=RATES)
def test_where_nothing_is_held_nothing_is_found(start: float) -> None:
    assert highest_held(lambda rate_hz: False, start, LEAST_HZ, MOST_HZ) is None


@given(start=RATES)
def test_nothing_above_the_highest_rate_is_tried(start: float) -> None:
    assert highest_held(lambda rate_hz: True, start, LEAST_HZ, MOST_HZ) == MOST_HZ


@given(answers=st.lists(st.booleans(), max_size=60), start=RATES)
def test_it_ends_whatever_the_neighbours_make_of_the_answers(answers: list[bool], start: float) -> None:
    given_answers, tried = iter(answers), []

    def held(rate_hz: float) -> bool:
        tried.append(rate_hz)
        return next(given_answers, False)

    found = highest_held(held, start, LEAST_HZ, MOST_HZ)
    assert found is None or found in tried
    assert len(tried) < 60


@given(truth=RATES, rate=RATES)
def test_a_rate_that_is_not_confirmed_goes_down_by_tenths(truth: float, rate: float) -> None:
    found = confirmed(lambda rate_hz: rate_hz <= truth, rate, LEAST_HZ)
    if found is None:
        assert min(truth, rate) * 0.9 < LEAST_HZ
    else:
        assert found <= truth
        assert found == rate or found > truth * 0.89


@pytest.mark.parametrize(("least", "most", "step"), [(0.0, 1.0, 1.1), (2.0, 1.0, 1.1), (1.0, 2.0, 1.0)])
def test_a_search_that_could_not_end_is_refused(least: float, most: float, step: float) -> None:
    with pytest.raises(ValueError, match="no search from"):
        highest_held(lambda rate_hz: True, 1.0, least, most, step)
