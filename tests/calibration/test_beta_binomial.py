"""The beta-binomial law of units, against scipy's, against brute force, and where few units say little."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import betabinom, binom

from calibration.beta_binomial import (
    UnitLaw,
    fewest_beyond,
    fit_units,
    inflation,
    most_within,
    rarity,
    weighted_quantile,
)

Float64s = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


def one_law(mean: float, inflated: float, frames: int) -> UnitLaw:
    return UnitLaw(np.array([mean]), np.array([inflated]), np.array([1.0]), frames)


def shape(mean: float, inflated: float, frames: int) -> tuple[float, float]:
    total = (frames - 1) / (inflated - 1) - 1
    return mean * total, (1 - mean) * total


def drawn(units: int, mean: float, inflated: float, frames: int, seed: int = 0) -> tuple[Counts, Counts]:
    random = np.random.default_rng(seed)
    return random.binomial(frames, random.beta(*shape(mean, inflated, frames), units)), np.full(units, frames)


def brute_force(x: Counts, frames: int) -> Callable[[Callable[[float, float], float]], float]:
    """The posterior mean of whatever is asked, on a fine grid over all laws that count."""
    weights: dict[tuple[float, float], float] = {}
    for angle in np.linspace(0.02, 0.35, 60):
        for shrinkage in 1 / frames + (1 - 1 / frames) * (np.arange(60) + 0.5) / 60:
            mean, inflated = float(np.sin(angle) ** 2), float(1 / shrinkage)
            weights[mean, inflated] = float(betabinom.logpmf(x, frames, *shape(mean, inflated, frames)).sum())
    largest = max(weights.values())
    total = sum(np.exp(weight - largest) for weight in weights.values())
    return lambda asked: sum(np.exp(weight - largest) * asked(*law) for law, weight in weights.items()) / total


@pytest.mark.parametrize("frames", [20, 100, 500, 3000])
@pytest.mark.parametrize(("mean", "inflated"), [(0.01, 1.01), (0.01, 3.0), (0.2, 8.0)])
def test_a_single_law_has_the_tail_of_scipys_probabilities(frames: int, mean: float, inflated: float) -> None:
    law, (a, b) = one_law(mean, inflated, 100), shape(mean, inflated, min(frames, 100))
    tails = np.cumsum(betabinom.pmf(np.arange(frames + 1), frames, a, b)[::-1])[::-1]
    for x in (1, 2, frames // 10, frames // 3, frames):
        if tails[x] > 1e-250:
            assert rarity(law, x, frames) == pytest.approx(-np.log10(tails[x]), rel=1e-6, abs=1e-9)


def test_a_unit_of_one_frame_exceeds_with_the_mean() -> None:
    assert rarity(one_law(0.01, 3.0, 100), 1, 1) == pytest.approx(2.0)


def test_no_exceedance_is_not_rare_and_all_of_them_are_finitely_rare() -> None:
    law = fit_units(np.zeros(10, np.int64), np.full(10, 500))
    assert rarity(law, 0, 500) == 0.0
    assert 5 < rarity(law, 100_000, 100_000) < np.inf


def test_the_posterior_is_that_of_a_fine_grid_of_all_laws() -> None:
    x, n = drawn(12, 0.02, 4.0, 200)
    law, exact = fit_units(x, n), brute_force(x, 200)
    assert law.weight @ law.mean == pytest.approx(exact(lambda mean, _: mean), rel=0.01)
    assert law.weight @ (1 / law.inflation) == pytest.approx(exact(lambda _, inflated: 1 / inflated), rel=0.01)
    tail = exact(
        lambda mean, inflated: float(betabinom.pmf(np.arange(15, 201), 200, *shape(mean, inflated, 200)).sum())
    )
    assert rarity(law, 15, 200) == pytest.approx(-np.log10(tail), abs=0.01)


@pytest.mark.parametrize(
    ("units", "mean", "inflated", "frames"),
    [(400, 0.01, 3.0, 500), (1000, 0.0015, 1.05, 1000), (200, 0.0104, 1.2, 20_000), (300, 0.002, 60.0, 20_000)],
)
def test_many_units_tell_mean_and_inflation(units: int, mean: float, inflated: float, frames: int) -> None:
    x, n = drawn(units, mean, inflated, frames)
    law = fit_units(x, n)
    assert law.weight @ law.mean == pytest.approx(mean, abs=4 * np.sqrt(mean * inflated / frames / units))
    assert 1 / inflation(law, n[:1])[0] == pytest.approx(1 / inflated, rel=4 * np.sqrt(3 / units))


def test_units_that_say_as_much_as_half_as_many_leave_the_law_as_uncertain() -> None:
    x, n = drawn(40, 0.02, 3.0, 500)
    once, twice = fit_units(x, n), fit_units(np.repeat(x, 2), np.repeat(n, 2), time=2.0)
    assert np.allclose(once.weight, twice.weight)
    assert np.allclose(once.mean, twice.mean)


def test_small_units_keep_the_inflation_and_large_ones_the_correlation() -> None:
    found = inflation(one_law(0.01, 5.0, 401), np.array([1, 101, 401, 801]))
    assert found[1:] == pytest.approx([5.0, 5.0, 9.0])
    assert found[0] == pytest.approx(2.0, rel=0.01)  # two frames that are always alike: the most there is


def test_laws_without_clusters_are_almost_binomial() -> None:
    frames, law = 1000, one_law(0.02, 1.001, 1000)
    assert rarity(law, 35, frames) == pytest.approx(-np.log10(binom.sf(34, frames, 0.02)), rel=0.01)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 2000), st.floats(0.31, 12.0), st.floats(0.001, 0.3), st.floats(1.01, 20.0))
def test_the_most_within_a_limit_is_the_last_that_is_not_rarer(
    frames: int, rare: float, mean: float, inflated: float
) -> None:
    law = one_law(mean, inflated, 500)
    most = most_within(law, rare, frames)
    assert rarity(law, most, frames) <= rare + 1e-6
    assert most == frames or rarity(law, most + 1, frames) > rare


def test_each_law_has_its_own_fewest_beyond() -> None:
    x, n = drawn(10, 0.02, 4.0, 200)
    law = fit_units(x, n)
    fewest = fewest_beyond(law, 0.01)
    for mean, inflated, count in list(zip(law.mean, law.inflation, fewest, strict=True))[::9]:
        tails = np.cumsum(betabinom.pmf(np.arange(201), 200, *shape(mean, inflated, 200))[::-1])[::-1]
        assert tails[count] < 0.01 <= tails[count - 1]


def test_quantiles_are_weighted() -> None:
    values, weight = np.array([5, 1, 3]), np.array([0.2, 0.5, 0.3])
    assert [weighted_quantile(values, weight, level) for level in (0.05, 0.49, 0.6, 0.85, 1.0)] == [1, 1, 3, 5, 5]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(60, 400)), min_size=2, max_size=12))
def test_whatever_the_units_the_law_is_finite_and_more_is_rarer(units: list[tuple[int, int]]) -> None:
    x, n = np.array(units).T
    law = fit_units(x, n)
    rare = [rarity(law, count, 200) for count in (0, 1, 5, 25, 100, 200)]
    assert np.isfinite([*law.mean, *law.inflation, *law.weight, *rare]).all()
    assert law.weight.sum() == pytest.approx(1.0)
    assert all(one < other + 1e-9 for one, other in pairwise(rare))
