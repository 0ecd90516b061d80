"""The losses are what they are named after, and never lead training out of bounds."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from models.losses import COUNT_MIN, bounded_mean, divergence, poisson, sparsity, squared

COUNTS = (0.0, 0.25, 1.0, 2.0, 7.0, 200.0)


def frames(values: Tensor | list[float]) -> Tensor:
    """One frame of one pixel for each of *values*, (n, 1, 1, 1)."""
    return torch.as_tensor(values, dtype=torch.float64).reshape(-1, 1, 1, 1)


def deviance(expected: Tensor, count: float) -> Tensor:
    """Poisson deviance of *count* at each of *expected* (n,) -> (n,)."""
    return poisson(frames(expected), frames([count]).expand(len(expected), 1, 1, 1), shift=0.0, scale=1.0)


def slope(expected: Tensor, count: float) -> Tensor:
    expected = expected.clone().requires_grad_()
    deviance(expected, count).sum().backward()
    assert expected.grad is not None
    return expected.grad


# Squared residual


def test_the_squared_loss_is_the_mean_over_a_frames_pixels() -> None:
    x = torch.zeros(2, 1, 2, 2)
    x_hat = torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 4.0]]).reshape(2, 1, 2, 2)
    assert squared(x_hat, x).tolist() == [1.0, 4.0]


# Poisson deviance


@pytest.mark.parametrize("count", [0, 1, 2, 7, 200])
def test_the_deviance_is_twice_the_likelihood_that_is_lost(count: int) -> None:
    expected = np.concatenate((np.linspace(COUNT_MIN, 20, 50), [100.0, 200.0, 1000.0]))
    lost = stats.poisson.logpmf(count, count) - stats.poisson.logpmf(count, expected)
    assert deviance(torch.from_numpy(expected), count).numpy() == pytest.approx(2 * lost, rel=1e-9, abs=1e-9)


def test_counts_are_what_the_normalised_pixels_stand_for() -> None:
    counts, expected = torch.tensor([3.0, 0.0, 9.0]), torch.tensor([4.0, 1.0, 2.0])
    shift, scale = 5.0, 2.5
    normalised = ((one - shift) / scale for one in (expected, counts))
    found = poisson(*(frames(one) for one in normalised), shift=shift, scale=scale)
    wanted = poisson(frames(expected), frames(counts), shift=0.0, scale=1.0)
    assert found.numpy() == pytest.approx(wanted.numpy(), rel=1e-6)


@pytest.mark.parametrize("count", COUNTS)
def test_value_and_slope_pass_smoothly_into_the_expansion(count: float) -> None:
    sides = torch.tensor([COUNT_MIN - 1e-9, COUNT_MIN + 1e-9], dtype=torch.float64)
    value, lean = deviance(sides, count), slope(sides, count)
    assert float(value[0]) == pytest.approx(float(value[1]), abs=1e-5)
    assert float(lean[0]) == pytest.approx(float(lean[1]), abs=1e-4)
    assert float(lean[1]) == pytest.approx(2 * (1 - count / COUNT_MIN), abs=1e-4)


@pytest.mark.parametrize("count", COUNTS)
def test_the_deviance_is_convex_and_least_at_the_counts(count: float) -> None:
    expected = torch.linspace(-20, 20, 4001, dtype=torch.float64)
    assert (slope(expected, count).diff() >= -1e-9).all()
    best = deviance(torch.tensor([count], dtype=torch.float64), count)
    assert (deviance(expected, count) >= best - 1e-12).all()


@pytest.mark.parametrize("count", COUNTS)
def test_less_than_no_counts_is_pushed_back(count: float) -> None:
    lean = slope(torch.tensor([-100.0, -5.0, -0.01], dtype=torch.float64), count)
    assert (lean < 0).all()
    assert lean.isfinite().all()


def test_pixels_without_counts_and_dark_noise_have_a_finite_slope() -> None:
    x_hat = torch.tensor([-3.0, 0.0, 0.2, 1.0, 5000.0]).reshape(5, 1, 1, 1).requires_grad_()
    for dark in (0.0, -4.0):
        error = poisson(x_hat, torch.full_like(x_hat, dark), shift=0.0, scale=1.0)
        assert error[3:].tolist() == [2.0, 10_000.0]  # 2 m
        (lean,) = torch.autograd.grad(error.sum(), x_hat)
        assert lean[3:].flatten().tolist() == [2.0, 2.0]
        assert lean.isfinite().all()


@given(st.floats(0, 65_535), st.floats(-1e-3, 1e-3))
def test_rounding_never_takes_the_deviance_below_zero(count: float, off: float) -> None:
    x = torch.full((1, 1, 4, 4), count)
    assert float(poisson(x * (1 + off), x, shift=0.0, scale=1.0)) >= 0


# Penalties on the latent


def test_sparsity_does_not_depend_on_the_scale_of_a_latent() -> None:
    z = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    scales = torch.tensor([1e-6, 1e-2, 1.0, 30.0, 1e4, 1e8])
    assert float(sparsity(z * scales)) == pytest.approx(float(sparsity(z)), rel=1e-5)


def test_sparsity_runs_from_one_frame_only_to_all_alike() -> None:
    alone, alike = torch.zeros(16, 3), torch.full((16, 3), -2.0)
    alone[[2, 2, 9], [0, 1, 2]] = 5.0
    assert float(sparsity(alone)) == pytest.approx(1 / 4)
    assert float(sparsity(alike)) == pytest.approx(1.0)


@given(st.integers(1, 40), st.integers(1, 8), st.integers(0, 1000))
def test_sparsity_stays_within_its_bounds(batch: int, latent: int, seed: int) -> None:
    z = torch.randn(batch, latent, generator=torch.Generator().manual_seed(seed)) ** 5
    assert batch**-0.5 - 1e-5 <= float(sparsity(z)) <= 1 + 1e-5


def test_a_latent_that_is_never_used_has_no_slope() -> None:
    z = torch.zeros(8, 2, requires_grad=True)
    sparsity(z).backward()
    assert z.grad is not None
    assert (z.grad == 0).all()


def test_the_divergence_is_that_of_normal_distributions() -> None:
    random = torch.Generator().manual_seed(3)
    mean, log_variance = (torch.randn(20, 5, generator=random, dtype=torch.float64) for _ in range(2))
    posterior = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    unit = torch.distributions.Normal(torch.zeros(5, dtype=torch.float64), 1.0)
    expected = torch.distributions.kl_divergence(posterior, unit).sum(dim=1)
    assert divergence(mean, log_variance).numpy() == pytest.approx(expected.numpy())
    assert float(divergence(torch.zeros(1, 5), torch.zeros(1, 5))) == 0


def test_the_divergence_is_the_mean_logarithm_of_the_likelihood_ratio() -> None:
    random = np.random.default_rng(0)
    drawn = 0.7 + 0.5 * random.normal(size=200_000)
    sampled = np.mean(stats.norm.logpdf(drawn, 0.7, 0.5) - stats.norm.logpdf(drawn))
    found = float(divergence(torch.tensor([[0.7]]), torch.tensor([[0.25]]).log()))
    assert found == pytest.approx(sampled, abs=0.01)


# The bounded mean


def test_a_wild_frame_pulls_no_harder_than_three_ordinary_ones() -> None:
    errors = torch.tensor([1.0, 1.0, 1.0, 1000.0], requires_grad=True)
    bounded_mean(errors).backward()
    assert float(bounded_mean(errors).detach()) == pytest.approx((3 * 1 + 3) / 4)
    assert errors.grad is not None
    assert errors.grad.tolist() == pytest.approx([0.25, 0.25, 0.25, 0.25 * 3 / 1000])


@pytest.mark.parametrize("errors", [[1.0, 2.0, 3.0], [5.0], [0.0, 0.0, 0.0]])
def test_ordinary_frames_have_their_plain_mean(errors: list[float]) -> None:
    assert float(bounded_mean(torch.tensor(errors))) == pytest.approx(np.mean(errors))


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=20))
def test_the_bounded_mean_is_at_most_the_mean_and_in_its_unit(errors: list[float]) -> None:
    found = float(bounded_mean(torch.tensor(errors)))
    assert 0 < found <= np.mean(errors) * (1 + 1e-5)
    assert float(bounded_mean(1000 * torch.tensor(errors))) == pytest.approx(1000 * found, rel=1e-4)
