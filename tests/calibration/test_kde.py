"""Limits of a smoothed density are finite, fall as the rate grows, and move with the scores."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm

from calibration.charts import CalibrationError
from calibration.kde import bandwidth, kde_quantile, tail_root

Float64s = npt.NDArray[np.float64]

SCORES = arrays(
    np.float64, st.integers(20, 60), elements=st.floats(-1e6, 1e6, allow_subnormal=False) | st.sampled_from([0.0, 1.0])
)


@pytest.mark.parametrize("rate", [0.1, 0.01, 0.001])
def test_on_gaussian_scores_the_limit_is_the_normal_quantile_of_the_smoothed_density(rate: float) -> None:
    x = norm.ppf((np.arange(50_000) + 0.5) / 50_000)  # a Gaussian without the luck of a draw
    smoothed = norm.isf(rate) * np.sqrt(1 + bandwidth(x) ** 2)
    assert kde_quantile(x, rate) == pytest.approx(smoothed, rel=2e-3)


def test_the_mean_normal_tail_beyond_the_limit_is_the_rate() -> None:
    x = np.random.default_rng(0).gamma(2.0, size=500)
    limit = kde_quantile(x, 0.02)
    assert norm.sf((limit - x) / bandwidth(x)).mean() == pytest.approx(0.02, rel=1e-9)


def test_silvermans_bandwidth_takes_the_smaller_spread() -> None:
    x = np.random.default_rng(0).normal(size=1000)
    wild = np.append(x, [1e4] * 3)
    assert bandwidth(x) == pytest.approx(0.9 * 1000**-0.2, rel=0.1)
    assert bandwidth(wild) == pytest.approx(bandwidth(x), rel=0.05)


@given(SCORES, st.floats(1e-9, 0.24), st.floats(1e-9, 0.24))
def test_a_limit_is_finite_above_the_median_and_falls_as_the_rate_grows(x: Float64s, one: float, other: float) -> None:
    rare, common = (kde_quantile(x, rate) for rate in sorted((one, other)))
    assert np.isfinite(rare)
    assert min(rare, common) > np.median(x)
    assert rare >= common - 1e-9 * max(1.0, np.abs(x).max())


@given(SCORES, st.floats(1e-6, 0.24), st.floats(0.1, 10), st.floats(-100, 100))
def test_a_limit_moves_with_the_units_of_the_scores(x: Float64s, rate: float, factor: float, shift: float) -> None:
    width = bandwidth(x)
    moved = tail_root(x * factor + shift, width * factor, rate)
    size = factor * (np.abs(x).max() + 40 * width) + abs(shift)
    assert moved == pytest.approx(tail_root(x, width, rate) * factor + shift, abs=1e-8 * size)


@pytest.mark.parametrize("level", [0.0, 1.0, -3.5, 1e6])
def test_constant_scores_have_a_limit_just_above(level: float) -> None:
    quantile = kde_quantile(np.full(100, level), 0.01)
    assert level < quantile <= level + 1e-5 * max(abs(level), 1e-6)


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (np.arange(19.0), "give at least 20"),
        (np.append(np.arange(30.0), np.nan), "not finite"),
        (np.append(np.arange(30.0), np.inf), "not finite"),
    ],
)
def test_scores_without_a_limit_are_refused(x: Float64s, says: str) -> None:
    with pytest.raises(CalibrationError, match=says):
        kde_quantile(x, 0.01)


@pytest.mark.parametrize("rate", [0.0, -0.1, 0.25, 1.0, float("nan")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate must lie between"):
        kde_quantile(np.arange(30.0), rate)
