"""What is shown of held-out frames: the density behind the limit, groups beside each other, the plane of latents."""

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.stats import gaussian_kde

from calibration.kde import bandwidth, kde_quantile
from calibration.spread import group_spread, kernel_density, principal_plane

RATE = 0.02


def exponential(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).exponential(1.0, count)


# Density


def test_the_density_is_that_of_gaussian_kernels() -> None:
    scores, at = exponential(400), np.linspace(-1, 8, 50)
    reference = gaussian_kde(scores, bandwidth(scores) / scores.std(ddof=1))
    np.testing.assert_allclose(kernel_density(scores, at), reference(at), rtol=1e-6, atol=1e-12)


def test_the_density_holds_the_rate_above_its_limit() -> None:
    scores = exponential(3000)
    limit = kde_quantile(scores, RATE)
    above = np.linspace(limit, scores.max() + 2, 4000)
    assert trapezoid(kernel_density(scores, above), above) == pytest.approx(RATE, rel=1e-3)


def test_scores_that_are_all_alike_have_a_density_at_their_place_alone() -> None:
    density = kernel_density(np.full(50, 3.0), np.array([2.0, 3.0, 4.0]))
    assert density[1] > 1e3
    assert density[0] == density[2] == 0


# Groups


def test_groups_that_are_alike_differ_little_and_break_the_others_limit_about_as_often_as_asked() -> None:
    groups = np.repeat(np.arange(10), 2000)
    spread = group_spread(exponential(20_000), groups, RATE)
    np.testing.assert_allclose(spread.quantiles.mean(axis=0), [0.0513, 0.693, 2.996], rtol=0.05)
    assert spread.within_sd == pytest.approx(1.0, rel=0.03)
    assert spread.between_sd < 0.05
    assert spread.if_new.mean() == pytest.approx(RATE, rel=0.2)


def test_a_group_unlike_the_others_shows_in_its_share_over_their_limit() -> None:
    scores, groups = exponential(5000), np.repeat(np.arange(5), 1000)
    scores[groups == 3] += 3.0
    spread = group_spread(scores, groups, RATE)
    assert spread.if_new[3] > 10 * RATE
    assert spread.if_new[[0, 1, 2, 4]].max() < RATE  # they are judged by a limit that the odd group has raised
    assert spread.between_sd == pytest.approx(3.0 / np.sqrt(5), rel=0.05)
    assert spread.within_sd == pytest.approx(1.0, rel=0.05)


def test_one_group_tells_nothing_of_the_spread_between_groups() -> None:
    spread = group_spread(exponential(100), np.zeros(100, np.int64), RATE)
    assert np.isnan([spread.between_sd, *spread.if_new]).all()
    assert np.isfinite(spread.quantiles).all()


def test_groups_may_be_of_a_single_frame() -> None:
    spread = group_spread(exponential(30), np.arange(30), RATE)
    assert spread.quantiles.shape == (30, 3)
    assert set(spread.if_new) <= {0.0, 1.0}
    assert spread.within_sd == 0.0


# Latents


def test_the_plane_shows_the_axes_of_most_variance_and_where_zero_lies() -> None:
    q = np.random.default_rng(0).normal(size=(5000, 6)) * [1, 1, 5, 1, 3, 1] + [0, 0, 7, 0, -2, 0]
    plane = principal_plane(q)
    assert plane.points.shape == (5000, 2)
    np.testing.assert_allclose(plane.points.std(axis=0), [5, 3], rtol=0.05)
    np.testing.assert_allclose(plane.shares, [25 / 38, 9 / 38], rtol=0.05)
    np.testing.assert_allclose(plane.origin, [-7, 2], atol=0.2)


@pytest.mark.parametrize(("size", "shares"), [(1, (1.0, 0.0)), (2, None)])
def test_small_latents_have_a_plane_too(size: int, shares: tuple[float, float] | None) -> None:
    plane = principal_plane(np.random.default_rng(0).normal(size=(50, size)))
    assert plane.points.shape == (50, 2)
    assert sum(plane.shares) == pytest.approx(1.0)
    if shares:
        assert plane.shares == pytest.approx(shares)
        assert (plane.points[:, 1] == 0).all()


def test_latents_that_do_not_vary_have_no_variance_to_share() -> None:
    plane = principal_plane(np.full((10, 3), 2.0))
    assert plane.shares == (0.0, 0.0)
    assert (plane.points == 0).all()
    assert np.linalg.norm(plane.origin) <= np.sqrt(12) + 1e-9
