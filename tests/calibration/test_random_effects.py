"""What a new group may be like: Student's t and its tolerance factors without errors, less spread with them."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import t

from calibration.random_effects import (
    BetweenGroups,
    between_groups,
    mean_rate,
    prediction_bound,
    quantile_interval,
    share_above,
)

Float64s = npt.NDArray[np.float64]


def values(groups: int, seed: int = 0) -> Float64s:
    """Of mean 0 and standard deviation 1, exactly."""
    drawn = np.random.default_rng(seed).standard_normal(groups)
    return np.asarray((drawn - drawn.mean()) / drawn.std(ddof=1))


def normal(center: float, sd: float) -> BetweenGroups:
    return BetweenGroups(np.array([sd]), np.array([center]), np.array([0.0]), sd, 1.0)


@pytest.mark.parametrize("groups", [2, 3, 9, 40])
def test_without_errors_a_new_group_follows_students_t(groups: int) -> None:
    between = between_groups(values(groups), np.zeros(groups))
    factor = t.ppf(0.9, groups - 1) * np.sqrt(1 + 1 / groups)
    assert prediction_bound(between, 0.9) == pytest.approx(factor, rel=1e-3)
    assert share_above(between, factor) == pytest.approx(0.1, rel=1e-3)
    assert between.moment_sd == pytest.approx(1.0)
    assert between.effective_groups == pytest.approx(groups)


@pytest.mark.parametrize(("groups", "factor"), [(2, 20.581), (3, 6.155), (5, 3.407), (10, 2.355), (20, 1.926)])
def test_the_upper_end_is_the_one_sided_tolerance_factor(groups: int, factor: float) -> None:
    """Factors for 90 % of a normal law with 95 % confidence, as tabulated (Hahn and Meeker 1991)."""
    between = between_groups(values(groups), np.zeros(groups))
    assert quantile_interval(between, 0.9, 0.9)[1] == pytest.approx(factor, rel=2e-3)


def test_the_moment_estimate_subtracts_the_errors() -> None:
    assert between_groups(values(12), np.full(12, 0.3)).moment_sd == pytest.approx(np.sqrt(0.7))
    assert between_groups(values(12), np.full(12, 1.5)).moment_sd == 0.0


def test_differences_that_errors_explain_are_not_taken_for_those_of_groups() -> None:
    bounds = [prediction_bound(between_groups(values(6), np.full(6, v)), 0.9) for v in (0.0, 0.3, 1.0, 5.0)]
    assert bounds[0] > bounds[1] > bounds[2]
    assert bounds[3] == pytest.approx(1.2816 * np.sqrt(5 / 6), rel=0.1)  # of the center alone


def test_a_group_that_knows_little_weighs_little() -> None:
    between = between_groups(np.array([0.0, 0.1, -0.1, 30.0]), np.array([0.01, 0.01, 0.01, 1e4]))
    assert prediction_bound(between, 0.9) < 2
    assert 2.9 < between.effective_groups < 3.2


@pytest.mark.parametrize("sd", [0.01, 0.3, 1.0, 4.0])
@pytest.mark.parametrize("limit", [-1.0, 0.5, 3.0])
def test_the_mean_rate_is_that_of_groups_drawn(sd: float, limit: float) -> None:
    own = 0.2 + sd * np.random.default_rng(0).standard_normal(400_000)
    drawn = np.minimum(1.0, 0.01 * 10 ** ((own - limit) / 0.7)).mean()
    assert mean_rate(normal(0.2, sd), limit, 0.01, 0.7) == pytest.approx(drawn, rel=0.03)


def test_the_mean_rate_stays_a_share_however_far_groups_lie_apart() -> None:
    for apart in (1.0, 1e3, 1e6, 1e9):
        between = between_groups(np.array([-apart, apart]), np.zeros(2))
        assert 0 < mean_rate(between, 0.0, 0.01, 1e-3) <= 1


def test_one_group_has_no_between() -> None:
    with pytest.raises(ValueError, match="two values or more"):
        between_groups(np.ones(1), np.ones(1))
