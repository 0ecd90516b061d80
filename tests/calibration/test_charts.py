"""The chart formulas against hand-made numbers, and fits that stay finite and honest on awkward frames."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2
from sklearn.covariance import ledoit_wolf

from calibration import charts
from calibration.charts import CalibrationError, ResidualMoments, fit, fit_latent, fit_offset, window_for

Float64s = npt.NDArray[np.float64]


def gaussian(m: int, p: int, seed: int = 0) -> Float64s:
    random = np.random.default_rng(seed)
    return random.normal(size=(m, p)) @ random.normal(size=(p, p)) + random.normal(size=p)


# formulas


def test_t2_is_the_mahalanobis_distance_squared() -> None:
    covariance = np.array([[4.0, 1.0], [1.0, 2.0]])
    whitening = np.linalg.inv(np.linalg.cholesky(covariance))
    z, mean = np.array([[3.0, 1.0], [1.0, -1.0]]), np.array([1.0, -1.0])
    expected = [float(d @ np.linalg.solve(covariance, d)) for d in z - mean]
    assert charts.t2(z, whitening, mean) == pytest.approx(expected)


def test_a_uniform_change_of_brightness_shows_in_offset_and_not_in_s2() -> None:
    e = np.random.default_rng(0).normal(0, 0.02, (3, 8, 9))
    assert charts.s2(e + 0.05) == pytest.approx(charts.s2(e))
    assert charts.s2(e) == pytest.approx(e.reshape(3, -1).var(axis=1))
    mean = e.mean(axis=(1, 2))
    assert charts.offset(e + 0.05, 0.01, 0.02) == pytest.approx(np.abs(mean + 0.05 - 0.01) / 0.02)
    assert charts.offset(e - 0.05, 0.0, 0.02) == pytest.approx(np.abs(mean - 0.05) / 0.02)


def test_local_finds_a_spot_and_says_where() -> None:
    e = np.zeros((3, 12, 16))
    e[0, 4:8, 8:12] = 2.0  # exactly one window of 4 at stride 2
    e[1, 11, 15] = 3.0  # the last corner
    values, where = charts.local(e, 4, 2)
    assert values == pytest.approx([4.0, 9 / 16, 0.0])
    assert where.tolist() == [[6, 10], [10, 14], [2, 2]]
    assert where.dtype == np.int16


def test_local_sees_the_edge_that_the_stride_does_not_reach() -> None:
    e = np.zeros((1, 11, 11))
    e[0, 10, 10] = 3.0
    values, where = charts.local(e, 4, 2)
    assert values == pytest.approx([9 / 9])  # a window of 3 x 3 is left of the last one
    assert where.tolist() == [[9, 9]]


@pytest.mark.parametrize(
    ("height", "width", "expected"), [(120, 120, (8, 4)), (64, 64, (4, 2)), (16, 500, (2, 1)), (576, 576, (40, 20))]
)
def test_the_window_is_about_seven_percent_of_the_smaller_side(
    height: int, width: int, expected: tuple[int, int]
) -> None:
    assert window_for(height, width) == expected


@given(st.integers(16, 576), st.integers(16, 576))
def test_the_window_fits_the_frame_and_halves_into_its_stride(height: int, width: int) -> None:
    window, stride = window_for(height, width)
    assert window == 2 * stride
    assert 0 < window <= max(2, 0.1 * min(height, width))


# latents


def test_whitening_inverts_the_covariance_of_clean_latents() -> None:
    z = gaussian(20_000, 3)
    found = fit_latent(z)
    covariance = np.linalg.inv(found.whitening.T @ found.whitening)
    assert covariance == pytest.approx(ledoit_wolf(z)[0], rel=0.05, abs=0.05)
    assert found.mean == pytest.approx(z.mean(axis=0), abs=0.05)
    assert charts.t2(z, found.whitening, found.mean).mean() == pytest.approx(3, rel=0.03)
    assert found.notes == ()


def test_clean_t2_follows_chi_squared_where_frames_are_many() -> None:
    z = gaussian(20_000, 4)
    found = fit_latent(z)
    over = charts.t2(z, found.whitening, found.mean) > chi2.isf(0.01, 4)
    assert over.mean() == pytest.approx(0.01, abs=0.003)


@pytest.mark.parametrize("share", [0.01, 0.03, 0.05])
def test_a_cluster_of_anomalies_does_not_hide_behind_the_covariance(share: float) -> None:
    m, p = 2000, 32
    clean = gaussian(m, p)
    anomalies = int(share * m)
    spoilt = clean.copy()
    spoilt[:anomalies] += 8 * clean.std(axis=0)  # one tight direction
    found, reference = fit_latent(spoilt), fit_latent(clean)
    scores = charts.t2(spoilt, found.whitening, found.mean)
    assert scores[:anomalies].min() > np.quantile(scores[anomalies:], 0.99)
    usual = charts.t2(clean[anomalies:], reference.whitening, reference.mean)
    assert np.median(scores[anomalies:]) == pytest.approx(np.median(usual), rel=0.1)


def test_a_rare_state_that_recurs_all_along_is_in_control() -> None:
    """Two frames in a hundred are far from the others, in every stretch: T2 must know them."""
    z = gaussian(4000, 16)
    recurring = np.arange(0, 4000, 50)
    z[recurring] += 15 * z.std(axis=0)
    found = fit_latent(z)
    scores = charts.t2(z, found.whitening, found.mean)
    assert scores[recurring].mean() < 8 * np.median(scores)
    spell = z.copy()
    spell[:80] = z[recurring] + 30 * z.std(axis=0)
    found = fit_latent(spell)
    scores = charts.t2(spell, found.whitening, found.mean)
    assert scores[:80].min() > 20 * np.median(scores)


@pytest.mark.parametrize("dead", ["one", "most", "rarely alive"])
def test_dead_latents_leave_the_fit_finite(dead: str) -> None:
    z = gaussian(300, 6)
    if dead == "one":
        z[:, 2] = 1.5
    elif dead == "most":
        z[:, 1:] = 0.0
    else:
        z[5:, 3] = 0.0
    found = fit_latent(z)
    scores = charts.t2(np.vstack((z, z + 1)), found.whitening, found.mean)
    assert np.isfinite(scores).all()
    assert (scores >= 0).all()


def test_hardly_more_frames_than_latents_is_borne_and_noted() -> None:
    found = fit_latent(gaussian(34, 32))
    assert np.isfinite(found.whitening).all()
    assert "34 frames for a latent of 32 are few: 1600" in found.notes[0]


@pytest.mark.parametrize(
    ("z", "says"),
    [
        (gaussian(33, 32), "give at least 34 frames"),
        (gaussian(5, 8), "give at least 10 frames"),
        (np.full((50, 3), np.nan), "not finite"),
        (np.full((50, 3), 7.25), "give frames that differ"),
    ],
)
def test_latents_without_a_covariance_are_refused_in_one_line(z: Float64s, says: str) -> None:
    with pytest.raises(CalibrationError, match=says) as refusal:
        fit_latent(z)
    assert "\n" not in str(refusal.value)


# residuals


def test_the_residual_scale_follows_each_pixel_where_frames_are_many() -> None:
    true = np.linspace(0.5, 2.0, 30).reshape(5, 6)
    e = np.random.default_rng(0).normal(0, 1, (20_000, 5, 6)) * true
    assert scale_of(e) == pytest.approx(true, rel=0.03)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_the_residual_scale_does_not_depend_on_the_chunks(sizes: list[int]) -> None:
    e = np.random.default_rng(0).normal(0, 1, (sum(sizes), 4, 3)).astype(np.float32)
    assert scale_of(*np.split(e, np.cumsum(sizes)[:-1])) == pytest.approx(scale_of(e), rel=1e-12)


def test_no_pixel_is_scaled_by_nothing() -> None:
    e = np.random.default_rng(0).normal(0, 1, (5000, 4, 4))
    e[:, 0, 0] = 0.0
    found = scale_of(e)
    overall = float(np.sqrt(np.square(e).mean()))
    assert found[0, 0] == pytest.approx(0.1 * overall, rel=1e-6)
    assert (scale_of(np.zeros((7, 4, 4))) == 1).all()


def test_few_frames_lean_on_the_whole_frame() -> None:
    e = np.zeros((10, 2, 2))
    e[:, 0, 0] = 2.0  # mean square 4 here, 1 over the frame: ten frames weigh as much as the frame's own estimate
    assert scale_of(e)[0, 0] == pytest.approx(np.sqrt((4 + 1) / 2))


def test_without_frames_there_is_no_scale() -> None:
    with pytest.raises(CalibrationError, match="give calibration frames"):
        ResidualMoments(4, 4).scale()


@pytest.mark.parametrize("level", [0.0, 0.37])
def test_the_spread_of_the_offset_is_never_zero(level: float) -> None:
    assert fit_offset(np.full(30, level)) == (level, 1.0)
    mostly = np.full(30, level)
    mostly[:5] += 0.1
    assert fit_offset(mostly)[1] > 0


def test_the_offset_bears_a_few_wild_frames() -> None:
    means = np.random.default_rng(0).normal(0.2, 0.01, 1000)
    means[:40] = 5.0
    assert fit_offset(means) == pytest.approx((0.2, 0.01), rel=0.1)


# all together


def test_the_whole_fit_is_that_of_its_parts_and_ignores_the_chunks() -> None:
    z = gaussian(300, 4)
    e = np.random.default_rng(1).normal(0.01, 0.5, (300, 20, 24)).astype(np.float32)
    e[:6] *= 30  # two per cent of wild frames
    found = fit(lambda: chunks(z, e, 64))
    assert np.array_equal(found.latent_mean, fit_latent(z).mean)
    assert found.residual_scale == pytest.approx(np.full((20, 24), 0.5), rel=0.3)
    assert float(np.sqrt(np.square(found.residual_scale).mean())) == pytest.approx(0.5, rel=0.03)
    assert (found.offset_mean, found.offset_sd) == pytest.approx((0.02, 1 / np.sqrt(480)), rel=0.5)
    assert (found.window, found.stride) == window_for(20, 24)
    again = fit(lambda: chunks(z, e, 300))
    for one, other in zip(found[:-1], again[:-1], strict=True):
        assert one == pytest.approx(other)


def test_a_fit_without_frames_is_refused() -> None:
    with pytest.raises(CalibrationError, match="no calibration frames"):
        fit(lambda: ())


def scale_of(*parts: npt.NDArray[np.floating]) -> Float64s:
    moments = ResidualMoments(*parts[0].shape[1:])
    for part in parts:
        moments.add(part)
    return moments.scale()


def chunks(z: Float64s, e: npt.NDArray[np.float32], size: int) -> Iterator[tuple[Float64s, npt.NDArray[np.float32]]]:
    for first in range(0, len(z), size):
        yield z[first : first + size], e[first : first + size]
