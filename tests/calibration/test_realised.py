"""The realised rate of false events: an exact interval, unknown verdicts as bounds, no judgement before it is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from calibration.realised import JobEvents, hours_needed, over_all, poisson_interval, realised, tally

counts = st.integers(0, 200)
spans = st.floats(0.0, 1e5)
budgets = st.floats(1e-3, 1e3)


def job(hours: float, false: int = 0, unknown: int = 0, true: int = 0) -> JobEvents:
    return JobEvents("a", hours, true, false, unknown)


# The interval


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [(0, 0.0, 2.996), (1, 0.0513, 4.744), (2, 0.355, 6.296), (5, 1.970, 10.513), (10, 5.425, 16.962)],
)
def test_intervals_are_those_of_the_tables(count: int, low: float, high: float) -> None:
    assert poisson_interval(count) == pytest.approx((low, high), abs=6e-4)


@given(counts, st.floats(0.01, 0.99))
def test_at_the_ends_a_tail_of_the_poisson_law_is_left(count: int, confidence: float) -> None:
    low, high = poisson_interval(count, confidence)
    assert poisson.cdf(count, high) == pytest.approx((1 - confidence) / 2)
    assert poisson.sf(count - 1, low) == pytest.approx((1 - confidence) / 2 if count else 1.0)


@pytest.mark.parametrize("mean", [0.3, 1.0, 4.0, 20.0])
def test_the_true_rate_lies_inside_at_least_as_often_as_said(mean: float) -> None:
    numbers = np.arange(200)
    inside = [low <= mean <= high for low, high in map(poisson_interval, numbers.tolist())]
    assert poisson.pmf(numbers, mean)[inside].sum() >= 0.9


def test_three_hours_over_the_budget_without_an_event_show_it() -> None:
    assert hours_needed(1.0) == pytest.approx(-math.log(0.05))
    assert hours_needed(0.1) == pytest.approx(30, rel=0.01)
    assert hours_needed(1.0, 2) == pytest.approx(6.296, abs=1e-3)


# Jobs


def test_events_are_counted_by_job_and_verdict_and_what_nobody_said_is_unknown() -> None:
    said = [("b", "false", 1), ("a", "true", 1), ("b", None, 1), ("b", "unknown", 1), ("b", "false", 1)]
    jobs = tally(said, {"a": 2.0, "b": 0.5, "c": 1.0})  # type: ignore[arg-type]
    assert jobs == [JobEvents("a", 2.0, true=1), JobEvents("b", 0.5, false=2, unknown=2), JobEvents("c", 1.0)]
    assert over_all(jobs) == JobEvents(None, 3.5, true=1, false=2, unknown=2)
    assert over_all([]) == JobEvents(None, 0.0)


def test_events_without_hours_and_words_that_are_no_verdict_are_refused() -> None:
    with pytest.raises(ValueError, match="give its hours too"):
        tally([("b", "true", 1)], {"a": 1.0})
    with pytest.raises(ValueError, match="not 'maybe'"):
        tally([("a", "maybe", 1)], {"a": 1.0})  # type: ignore[list-item]


# The judgement


@pytest.mark.parametrize(
    ("events", "judgement"),
    [
        (job(2.9), "not yet known"),
        (job(3.0), "kept"),
        (job(3.0, true=50), "kept"),
        (job(4.0, unknown=1), "not yet known"),
        (job(5.0, unknown=1), "kept"),
        (job(1.0, false=4), "broken"),  # at least 1.37 with 95 % confidence
        (job(1.0, false=3), "not yet known"),  # at least 0.82
        (job(1.0, false=3, unknown=5), "not yet known"),
        (job(1.0, false=4, unknown=5), "broken"),
        (job(0.0), "not yet known"),
        (job(0.0, false=1), "not yet known"),
    ],
)
def test_a_budget_of_one_an_hour_is_judged_where_no_doubt_is_left(events: JobEvents, judgement: str) -> None:
    assert realised(events, 1.0).judgement == judgement


def test_no_hours_know_nothing() -> None:
    found = realised(job(0.0), 2.0)
    assert found.fewest == found.most == (0, None, 0.0, math.inf)
    assert found.hours_to_know == pytest.approx(1.498, abs=1e-3)
    assert found.why == (
        "no false events in 0 judged hours for a budget of 2 an hour: not yet known; "
        "1.5 more without a false event would show it kept"
    )


def test_the_sentence_tells_bounds_and_what_is_unknown() -> None:
    assert realised(job(12.0, false=1, unknown=1), 0.1).why == (
        "1 false event and 1 unknown in 12 judged hours, between 0.00427 and 0.525 an hour, "
        "for a budget of 0.1 an hour: not yet known; 51 more without a false event would show it kept"
    )
    assert realised(job(10.0, false=20), 0.1).why.endswith("for a budget of 0.1 an hour: broken")


@given(spans, counts, counts, budgets)
def test_waiting_as_long_as_told_without_an_event_shows_the_budget(
    hours: float, false: int, unknown: int, budget: float
) -> None:
    events = job(hours, false, unknown)
    found = realised(events, budget)
    assert found.hours_to_know >= 0
    assert (found.hours_to_know > 0) == (found.judgement == "not yet known")
    if found.hours_to_know:
        later = realised(events._replace(hours=(hours + found.hours_to_know) * (1 + 1e-9)), budget)
        assert later.judgement == "kept"


@given(spans, counts, counts, budgets)
def test_unknown_events_only_widen_what_is_known(hours: float, false: int, unknown: int, budget: float) -> None:
    found, known = realised(job(hours, false, unknown), budget), realised(job(hours, false), budget)
    assert found.fewest == known.fewest == known.most
    assert found.most.high >= known.most.high
    assert not any(math.isnan(end) for rate in (found.fewest, found.most) for end in (rate.low, rate.high))


@given(counts, st.floats(0.1, 1e4), budgets)
def test_a_judgement_once_found_holds_for_a_budget_further_away(false: int, hours: float, budget: float) -> None:
    found = realised(job(hours, false), budget).judgement
    if found == "kept":
        assert realised(job(hours, false), 2 * budget).judgement == "kept"
    if found == "broken":
        assert realised(job(hours, false), budget / 2).judgement == "broken"


@pytest.mark.parametrize(
    ("events", "budget"),
    [
        (job(1.0), 0.0),
        (job(1.0), math.nan),
        (job(-1.0), 1.0),
        (job(math.nan), 1.0),
        (job(math.inf), 1.0),
        (job(1.0, false=-1), 1.0),
        (job(1.0, unknown=-1), 1.0),
    ],
)
def test_numbers_that_make_no_rate_are_refused(events: JobEvents, budget: float) -> None:
    with pytest.raises(ValueError, match="not"):
        realised(events, budget)


@pytest.mark.parametrize(("count", "confidence"), [(-1, 0.9), (1, 0.0), (1, 1.0)])
def test_intervals_of_nothing_are_refused(count: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="a count from 0"):
        poisson_interval(count, confidence)
