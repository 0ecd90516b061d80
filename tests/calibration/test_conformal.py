"""Order-statistic limits: the rate they let through is known, whatever the scores' law."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, kstest

from calibration.charts import CalibrationError
from calibration.conformal import (
    conformal_limit,
    conformal_order,
    conservative_limit,
    conservative_order,
    false_alarm_interval,
    frames_needed,
)

SCORES = st.lists(st.floats(-1e9, 1e9) | st.sampled_from([0.0, 1.0]), min_size=30, max_size=120)
limits = pytest.mark.parametrize("limit", [conformal_limit, conservative_limit])


@pytest.mark.parametrize(
    ("m", "rate", "order"), [(99, 0.01, 99), (199, 0.01, 198), (1000, 0.0027, 999), (999, 0.001, 999), (100, 0.5, 51)]
)
def test_the_order_is_that_of_the_formula(m: int, rate: float, order: int) -> None:
    assert conformal_order(m, rate) == order


@settings(deadline=None)
@given(st.integers(1, 400), st.integers(1, 400))
def test_rounding_never_moves_the_order_where_the_formula_gives_a_whole_number(m: int, beyond: int) -> None:
    beyond = min(beyond, m)
    assert conformal_order(m, beyond / (m + 1)) == m + 1 - beyond


@pytest.mark.parametrize("law", ["exponential", "standard_cauchy", "uniform"])
def test_the_false_alarm_rate_given_the_calibration_is_exactly_beta(law: str) -> None:
    """For k of m held-out scores Beta(m+1-k, k): 3000 calibrations of 60 scores, whose rates the law's tail gives."""
    random, m, repeats = np.random.default_rng(0), 60, 3000
    scores = getattr(random, law)(size=(repeats, m))
    values = np.array([conformal_limit(row, 0.05).value for row in scores])
    tail = {"exponential": lambda x: np.exp(-x), "standard_cauchy": lambda x: 0.5 - np.arctan(x) / np.pi}
    rates = tail.get(law, lambda x: 1 - x)(values)
    order = conformal_order(m, 0.05)
    assert kstest(rates, beta(m + 1 - order, order).cdf).pvalue > 0.01
    low, high = false_alarm_interval(m, order)
    assert np.mean((low <= rates) & (rates <= high)) == pytest.approx(0.90, abs=0.02)
    assert rates.mean() == pytest.approx((m + 1 - order) / (m + 1), rel=0.05)


def test_a_conservative_limit_keeps_its_rate_in_at_least_nine_of_ten_calibrations() -> None:
    scores = np.random.default_rng(0).uniform(size=(3000, 200))
    rates = np.array([1 - conservative_limit(row, 0.03).value for row in scores])
    order = conservative_order(200, 0.03)
    assert beta.cdf(0.03, 201 - order, order) >= 0.9 > beta.cdf(0.03, 202 - order, order - 1)
    assert np.mean(rates <= 0.03) >= 0.89


@limits
@settings(deadline=None)
@given(SCORES, st.floats(0.1, 0.5), st.floats(1.0, 1.9))
def test_limits_are_scores_and_never_fall_as_the_rate_falls(limit, scores, rate: float, factor: float) -> None:
    x = np.array(scores)
    lenient, strict = limit(x, rate * factor), limit(x, rate)
    assert lenient.value <= strict.value
    assert strict.value in x
    assert lenient.rate_high >= strict.rate_high
    assert 0 <= strict.rate_low < strict.rate_high <= 1


@settings(deadline=None)
@given(SCORES, st.floats(0.05, 0.9))
def test_no_more_than_the_rate_of_its_own_scores_lie_above_however_many_are_tied(scores, rate: float) -> None:
    x = np.array(scores)
    assert np.mean(x > conformal_limit(x, rate).value) <= rate
    assert conformal_limit(np.round(x), rate).value == np.round(conformal_limit(x, rate).value)


@settings(deadline=None)
@given(SCORES)
def test_a_conservative_limit_is_never_below_the_other(scores) -> None:
    x = np.array(scores)
    assert conservative_limit(x, 0.2).value >= conformal_limit(x, 0.2).value
    assert conformal_limit(x, 0.2) == conformal_limit(x[::-1], 0.2)


@pytest.mark.parametrize("rate", [0.5, 0.1, 0.0027, 1e-4, 1 / 3])
def test_as_many_scores_are_asked_for_as_are_needed(rate: float) -> None:
    m = frames_needed(rate)
    assert conformal_order(m, rate) == m
    sure = frames_needed(rate, 0.9)
    assert conservative_order(sure, rate) == sure
    with pytest.raises(CalibrationError, match=f"too few to be sure of a rate of .*: give {sure}"):
        conservative_order(sure - 1, rate)


def test_too_few_scores_are_refused_with_the_number_that_would_do() -> None:
    with pytest.raises(CalibrationError, match=r"98 held-out scores are too few for a rate of 0\.01: give 99"):
        conformal_limit(np.arange(98.0), 0.01)
    with pytest.raises(CalibrationError, match="0 held-out scores are too few"):
        conformal_limit(np.array([]), 0.01)
    assert frames_needed(0.0027, 0.95) == 1109  # three over the rate: the rule of three


@limits
def test_scores_and_rates_that_make_no_sense_are_refused(limit) -> None:
    with pytest.raises(CalibrationError, match="not finite"):
        limit(np.array([0.0, np.nan] * 50), 0.1)
    with pytest.raises(ValueError, match="shape"):
        limit(np.zeros((50, 2)), 0.1)
    for rate in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match="rate must lie"):
            limit(np.arange(50.0), rate)
    with pytest.raises(ValueError, match="confidence must lie"):
        limit(np.arange(50.0), 0.1, 1.0)
    with pytest.raises(ValueError, match="no order 0"):
        false_alarm_interval(10, 0)
