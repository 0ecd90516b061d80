"""Limits beyond the scores seen: what they let through on light and heavy tails, beside the smoothed quantile's."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from calibration.autocorrelation import block_resample
from calibration.charts import CalibrationError
from calibration.kde import bandwidth, tail_root
from calibration.pot import excesses_for, fit_peaks, pot_quantile, quantile

LIGHT = {"gaussian": stats.norm(), "chi-square": stats.chi2(32), "exponential": stats.expon()}
HEAVY = {"lognormal": stats.lognorm(0.7), "student 6": stats.t(6), "student 3": stats.t(3)}
SCORES = arrays(np.float64, st.integers(20, 300), elements=st.floats(-1e6, 1e6, allow_subnormal=False))


def decades_off(law, rate: float, m: int = 3138, repeats: int = 40) -> npt.NDArray[np.float64]:
    """log10 of realised over nominal rate, (2,): medians of the Pareto quantile and of the kernel density's."""
    off = np.zeros((repeats, 2))
    for repeat in range(repeats):
        x = law.rvs(m, random_state=np.random.default_rng(repeat))
        off[repeat] = np.log10(law.sf([pot_quantile(x, rate), tail_root(x, bandwidth(x), rate)]) / rate)
    middle: npt.NDArray[np.float64] = np.median(off, axis=0)
    return middle


@pytest.mark.parametrize("name", [*LIGHT, *HEAVY])
def test_within_the_scores_it_keeps_its_rate(name: str) -> None:
    assert abs(decades_off((LIGHT | HEAVY)[name], 0.003)[0]) < 0.1


@pytest.mark.parametrize("name", HEAVY)
def test_on_a_heavy_tail_it_goes_on_where_the_smoothed_quantile_only_guesses(name: str) -> None:
    """m = 3138, rate 1e-5: a thirtieth of a score is expected beyond."""
    pareto, kernel = decades_off(HEAVY[name], 1e-5)
    assert abs(pareto) < 0.3
    assert kernel > 0.8


@pytest.mark.parametrize("name", LIGHT)
def test_on_a_light_tail_it_is_no_further_off_than_the_smoothed_quantile(name: str) -> None:
    pareto, kernel = decades_off(LIGHT[name], 1e-5)
    assert abs(pareto) < 0.7
    assert abs(pareto) < kernel


def test_a_second_population_in_the_tail_is_followed_where_scores_are_many() -> None:
    """3 % of frames from a wider law: a threshold at a tenth would mix both in one shape."""
    random = np.random.default_rng(0)
    wider = random.random(50_000) < 0.03
    x = np.where(wider, 4 + random.gamma(4.0, 1.5, 50_000), random.normal(size=50_000))
    limit = pot_quantile(x, 1e-5)
    assert 0.03 * stats.gamma(4, scale=1.5).sf(limit - 4) == pytest.approx(1e-5, rel=2.0)


@settings(max_examples=60, deadline=None)
@given(SCORES, st.lists(st.floats(1e-12, 0.99), min_size=2, max_size=8))
def test_limits_are_finite_and_never_fall_as_the_rate_falls(x: npt.NDArray[np.float64], rates: list[float]) -> None:
    peaks = fit_peaks(x)
    found = [quantile(peaks, rate) for rate in sorted(rates, reverse=True)]
    assert np.isfinite(found).all()
    assert (np.diff(found) >= -1e-9 * np.abs(x).max()).all()


@pytest.mark.parametrize("m", [20, 200, 5000])
def test_nothing_jumps_where_the_tail_begins(m: int) -> None:
    peaks = fit_peaks(np.random.default_rng(0).normal(size=m))
    below, above = quantile(peaks, peaks.share * (1 - 1e-9)), quantile(peaks, peaks.share * (1 + 1e-9))
    assert below >= above
    assert above == pytest.approx(below, abs=0.3 if m == 20 else 0.05)


def test_block_resamples_of_a_stream_give_an_interval_about_the_limit() -> None:
    random = np.random.default_rng(0)
    x = random.exponential(size=2000)
    borders = np.array([0, len(x)])
    again = [pot_quantile(x[block_resample(borders, 10, random)], 1e-4) for _ in range(60)]
    low, high = np.quantile(again, [0.05, 0.95])
    assert low < pot_quantile(x, 1e-4) < high
    assert low < -np.log(1e-4) < high


def test_units_and_order_do_not_matter() -> None:
    x = np.random.default_rng(0).standard_t(4, size=3000)
    limit = pot_quantile(x, 1e-5)
    assert pot_quantile(x[::-1], 1e-5) == limit
    assert pot_quantile(1e4 * x + 7, 1e-5) == pytest.approx(1e4 * limit + 7, rel=1e-9)


def test_constant_scores_have_a_limit_beside_them() -> None:
    assert pot_quantile(np.full(100, 3.0), 1e-6) == pytest.approx(3.0, abs=1e-6)


def test_the_share_of_excesses_falls_while_their_number_rises() -> None:
    m = np.array([20, 200, 1000, 10_000, 1_000_000])
    excesses = np.array([excesses_for(int(count)) for count in m])
    assert excesses.tolist() == [20, 20, 51, 209, 3808]
    assert (np.diff(excesses / m) < 0).all()


def test_scores_and_rates_that_make_no_sense_are_refused() -> None:
    with pytest.raises(CalibrationError, match="19 held-out scores are too few: give at least 20"):
        pot_quantile(np.arange(19.0), 0.01)
    with pytest.raises(CalibrationError, match="not finite"):
        pot_quantile(np.r_[np.arange(300.0), np.nan], 0.01)
    for rate in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match="rate must lie"):
            pot_quantile(np.arange(300.0), rate)
