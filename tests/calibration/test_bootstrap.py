"""Resamples of mean and covariance: centred on the fit, as wide as fits really scatter, never singular."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.signal import lfilter
from sklearn.covariance import ledoit_wolf

from calibration.bootstrap import Refits, block_moments, interval, refits, shrunk_fit
from calibration.charts import CalibrationError, fit_latent, t2
from calibration.family import Sample, control_limit

Float64s = npt.NDArray[np.float64]


def latents(k: int, p: int, seed: int = 0, memory: float = 0.0) -> Float64s:
    random = np.random.default_rng(seed)
    noise = random.normal(size=(k, p)) * np.sqrt(1 - memory**2)
    stream: Float64s = lfilter([1], [1, -memory], noise, axis=0)
    return stream


def mixed(k: int, p: int, seed: int = 0) -> Float64s:
    """Correlated coordinates of different size, far from the origin."""
    return latents(k, p, seed) @ np.random.default_rng(99).normal(size=(p, p)) + 100


@pytest.mark.parametrize(("k", "p"), [(40, 12), (500, 5), (300, 1)])
def test_block_sums_give_the_mean_and_covariance_of_ledoit_and_wolf(k: int, p: int) -> None:
    z = mixed(k, p)
    mean, lower = shrunk_fit(block_moments(z - 100, np.array([0, 7, k // 2, k])).sum(axis=0), k)
    np.testing.assert_allclose(mean + 100, z.mean(axis=0), rtol=1e-12)
    covariance = ledoit_wolf(z)[0]
    np.testing.assert_allclose(lower @ lower.T, covariance, atol=2e-6 * np.trace(covariance))


def test_weights_count_frames_as_often_as_whole_numbers_repeat_them() -> None:
    z = mixed(120, 4) - 100
    cuts = np.arange(0, 121, 20)
    times = np.array([3, 0, 1, 2, 0, 0])
    repeated = np.repeat(z, np.repeat(times, 20), axis=0)
    mean, lower = shrunk_fit(np.tensordot(times, block_moments(z, cuts), 1), 120)
    np.testing.assert_allclose(mean, repeated.mean(axis=0), rtol=1e-9)
    covariance = ledoit_wolf(repeated)[0]
    np.testing.assert_allclose(lower @ lower.T, covariance, atol=2e-6 * np.trace(covariance))


def test_resamples_scatter_about_the_fit_as_means_and_variances_of_new_frames_do() -> None:
    found = refits(latents(2000, 3) * [1, 2, 3] + 100, resamples=400)
    assert found.frames == 2000
    assert np.abs(found.means.mean(axis=0)).max() < 0.01
    assert found.means.std(axis=0) == pytest.approx(np.full(3, 2000**-0.5), rel=0.15)
    scales = np.diagonal(found.whitenings, axis1=1, axis2=2)
    assert scales.mean() == pytest.approx(1.0, abs=0.01)
    assert scales.std(axis=0) == pytest.approx(np.full(3, 4000**-0.5), rel=0.2)  # of 1 / sd of Gaussian frames


def test_a_stream_with_a_memory_tells_its_mean_as_well_as_fewer_independent_frames() -> None:
    found = refits(latents(20_000, 2, memory=0.9), resamples=200)
    assert found.means.std(axis=0) == pytest.approx(np.full(2, (19 / 20_000) ** 0.5), rel=0.3)


def test_groups_that_differ_as_wholes_widen_the_scatter() -> None:
    groups = np.repeat(np.arange(10), 100)
    apart = latents(1000, 3) + latents(10, 3, 1)[groups]
    alike = apart[np.random.default_rng(0).permutation(1000)]
    one, other = (refits(z, groups).means.std() for z in (alike, apart))
    assert other > 3 * one


def test_more_groups_than_blocks_are_taken_several_together() -> None:
    found = refits(latents(3000, 2), np.arange(3000), resamples=100)
    assert found.means.std(axis=0) == pytest.approx(np.full(2, 3000**-0.5), rel=0.3)


def test_the_same_seed_gives_the_same_resamples() -> None:
    z = mixed(60, 4)
    for one, other in zip(refits(z, seed=3), refits(z, seed=3), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (refits(z, seed=3).means != refits(z, seed=4).means).any()


def test_the_whole_calibrations_interval_covers_what_such_calibrations_give_on_average() -> None:
    """p = 8, 100 training frames, 1000 held out, 60 calibrations: their own frames alone would cover about half."""
    values, whole, known = [], [], []
    for seed in range(60):
        training, held = latents(100, 8, seed), latents(1000, 8, 1000 + seed)
        fit = fit_latent(training)
        q = (held - fit.mean) @ fit.whitening.T
        sample = Sample(t2(held, fit.whitening, fit.mean), latents=q)
        limit = control_limit(sample, 0.02, refits=refits(training, resamples=60))
        values.append(limit.value)
        whole.append((limit.low, limit.high))
        known.append(control_limit(sample, 0.02, resamples=60)[1:3])
    covered, without = (
        np.mean([low <= np.mean(values) <= high for low, high in intervals]) for intervals in (whole, known)
    )
    assert 0.8 <= covered <= 1.0
    assert without < 0.75


def test_without_spread_in_the_training_the_resampled_t2_is_the_old_one() -> None:
    """A fit that is resampled to itself moves nothing: the interval is that of the frames alone."""
    q = latents(300, 3)
    sample = Sample(np.square(q).sum(axis=1), latents=q)
    same = Refits(100, np.zeros((50, 3)), np.tile(np.eye(3), (50, 1, 1)))
    assert control_limit(sample, 0.05, refits=same)[:3] == control_limit(sample, 0.05, resamples=50)[:3]


@settings(max_examples=60, deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(6, 30), st.integers(1, 4)), elements=st.sampled_from([0.0, 1.0, -1e6])))
def test_latents_of_few_values_are_resampled_to_finite_fits_or_refused(z: Float64s) -> None:
    try:
        found = refits(z, np.arange(len(z)) // 5, resamples=3)
    except CalibrationError:
        assert (z == z[0]).all()
    else:
        assert np.isfinite(found.means).all()
        assert np.isfinite(found.whitenings).all()


@pytest.mark.parametrize(
    ("z", "says"),
    [
        (np.zeros((5, 4)), "5 frames cannot fit a latent of 4: give at least 6 frames"),
        (np.zeros((0, 4)), "0 frames cannot fit a latent of 4"),
        (np.ones((1, 1)), "1 frames cannot fit a latent of 1: give at least 3 frames"),
        (np.full((50, 4), 7.0), "look alike to the network"),
        (np.full((50, 4), np.nan), "not finite"),
    ],
)
def test_training_that_fits_no_covariance_is_refused(z: Float64s, says: str) -> None:
    with pytest.raises(CalibrationError, match=says):
        refits(z)


def test_labels_of_other_frames_and_flat_latents_are_refused() -> None:
    with pytest.raises(ValueError, match="60 training frames need as many group labels, not 59"):
        refits(latents(60, 2), np.zeros(59))
    with pytest.raises(ValueError, match=r"shape \(k, p\)"):
        refits(np.arange(60.0))


def test_an_interval_lies_about_the_value_wherever_resamples_lie() -> None:
    again = np.random.default_rng(0).exponential(size=2000) + 7
    low, high = interval(1.0, again)
    assert (low, high) == pytest.approx((1 - np.log(1.9), 1 + np.log(10)), abs=0.15)  # quantiles of an exponential


def test_few_resamples_give_a_students_interval_and_one_gives_none() -> None:
    low, high = interval(2.0, np.array([1.0, 2.0, 3.0]))
    assert (low, high) == pytest.approx((2 - 2.920, 2 + 2.920), abs=1e-3)  # t table: 95 %, two degrees of freedom
    assert interval(2.0, np.array([5.0])) == interval(2.0, np.empty(0)) == (2.0, 2.0)
