"""Limits are finite, fall as the rate grows, and carry an interval that knows of autocorrelation."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm

from calibration.charts import CalibrationError
from calibration.kde import bandwidth, kde_quantile, tail_root
from tests.calibration.limit_examples import ar1

Float64s = npt.NDArray[np.float64]

SCORES = arrays(
    np.float64, st.integers(20, 60), elements=st.floats(-1e6, 1e6, allow_subnormal=False) | st.sampled_from([0.0, 1.0])
)


@pytest.mark.parametrize("rate", [0.1, 0.01, 0.001])
def test_on_gaussian_scores_the_limit_is_the_normal_quantile_of_the_smoothed_density(rate: float) -> None:
    x = norm.ppf((np.arange(50_000) + 0.5) / 50_000)  # a Gaussian without the luck of a draw
    smoothed = norm.isf(rate) * np.sqrt(1 + bandwidth(x) ** 2)
    assert kde_quantile(x, rate, resamples=1).value == pytest.approx(smoothed, rel=2e-3)


def test_the_mean_normal_tail_beyond_the_limit_is_the_rate() -> None:
    x = np.random.default_rng(0).gamma(2.0, size=500)
    limit = kde_quantile(x, 0.02, resamples=5)
    assert norm.sf((limit.value - x) / bandwidth(x)).mean() == pytest.approx(0.02, rel=1e-9)


def test_silvermans_bandwidth_takes_the_smaller_spread() -> None:
    x = np.random.default_rng(0).normal(size=1000)
    wild = np.append(x, [1e4] * 3)
    assert bandwidth(x) == pytest.approx(0.9 * 1000**-0.2, rel=0.1)
    assert bandwidth(wild) == pytest.approx(bandwidth(x), rel=0.05)


@given(SCORES, st.floats(1e-9, 0.24), st.floats(1e-9, 0.24))
def test_a_limit_is_finite_above_the_median_and_falls_as_the_rate_grows(x: Float64s, one: float, other: float) -> None:
    rare, common = (kde_quantile(x, rate, resamples=3) for rate in sorted((one, other)))
    for limit in (rare, common):
        assert np.isfinite(limit[:3]).all()
        assert limit.low <= limit.value <= limit.high
        assert limit.value > np.median(x)
    assert rare.value >= common.value - 1e-9 * max(1.0, np.abs(x).max())


@given(SCORES, st.floats(1e-6, 0.24), st.floats(0.1, 10), st.floats(-100, 100))
def test_a_limit_moves_with_the_units_of_the_scores(x: Float64s, rate: float, factor: float, shift: float) -> None:
    width = bandwidth(x)
    moved = tail_root(x * factor + shift, width * factor, rate)
    size = factor * (np.abs(x).max() + 40 * width) + abs(shift)
    assert moved == pytest.approx(tail_root(x, width, rate) * factor + shift, abs=1e-8 * size)


@pytest.mark.parametrize("level", [0.0, 1.0, -3.5, 1e6])
def test_constant_scores_have_a_limit_just_above(level: float) -> None:
    quantile = kde_quantile(np.full(100, level), 0.01)
    assert level < quantile.value <= level + 1e-5 * max(abs(level), 1e-6)


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


def test_labels_for_other_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="30 scores need as many group labels, not 29"):
        kde_quantile(np.arange(30.0), 0.01, groups=np.zeros(29))


@pytest.mark.parametrize(("frames", "rate", "extrapolated"), [(1000, 0.01, False), (999, 0.01, True), (50, 0.1, True)])
def test_fewer_than_ten_expected_exceedances_are_called_extrapolated(
    frames: int, rate: float, extrapolated: bool
) -> None:
    assert kde_quantile(ar1(frames, 0.0), rate, resamples=2).extrapolated is extrapolated


def test_the_same_seed_gives_the_same_interval() -> None:
    x = ar1(300, 0.5)
    assert kde_quantile(x, 0.02, seed=4) == kde_quantile(x, 0.02, seed=4)
    assert kde_quantile(x, 0.02, seed=4).low != kde_quantile(x, 0.02, seed=5).low


def test_the_interval_covers_its_nominal_share_on_an_autocorrelated_stream() -> None:
    """AR(1) 0.9, 2000 frames, 60 streams: blocks of five times cover about 91 %, single frames about half."""
    covered = 0
    for seed in range(60):
        limit = kde_quantile(ar1(2000, 0.9, seed), 0.05, resamples=60)
        covered += limit.low <= norm.isf(0.05) * 1.01 <= limit.high
        assert limit.effective_frames < 300
    assert 46 <= covered <= 60


def test_groups_that_differ_as_wholes_widen_the_interval() -> None:
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 100)
    x = random.normal(size=2000) + random.normal(size=20)[groups]
    alike = kde_quantile(x[random.permutation(2000)], 0.02, groups=groups)
    apart = kde_quantile(x, 0.02, groups=groups)
    assert apart.value == pytest.approx(alike.value)
    assert apart.high - apart.low > 1.5 * (alike.high - alike.low)
    assert apart.effective_frames < 0.2 * alike.effective_frames
