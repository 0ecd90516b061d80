"""Limits for groups never seen: exact where order says it, honest where a model is assumed, and kept by new groups."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from calibration.charts import CalibrationError
from calibration.groups import GroupLimit, Method, OwnLimits, groups_needed, limit_for_new_group, own_limits
from calibration.pot import pot_quantile
from tests.benchmarks.unseen_groups import METHODS, figures, rates_of_new_runs, row, runs, trials

Float64s = npt.NDArray[np.float64]
RATE = 0.01
BOTH: tuple[Method, ...] = ("order statistics", "random effects")


def own(values: Float64s, variance: float = 0.0) -> OwnLimits:
    return OwnLimits(values, np.full(len(values), variance), RATE)


def joint(groups: int, frames: int, memory: float = 0.0, seed: int = 0) -> tuple[Float64s, npt.NDArray[np.int64]]:
    """Scores with an exponential tail of one decade, as on the joint scale; each group lies one above the last."""
    noise = np.random.default_rng(seed).standard_normal((groups, frames))
    z = lfilter([np.sqrt(1 - memory**2)], [1, -memory], noise, axis=1)
    ranks = z.argsort(axis=1).argsort(axis=1)
    scores = -np.log10(1 - (ranks + 0.5) / frames) + np.arange(groups)[:, None]
    return scores.ravel(), np.repeat(np.arange(groups), frames)


def bound(limit: GroupLimit) -> bool:
    return limit.low <= limit.limit <= limit.high


@pytest.mark.parametrize("groups", [1, 2, 5, 9, 12])
def test_of_exchangeable_groups_the_confidence_reached_is_exact(groups: int) -> None:
    """Whatever the law of own limits; here a heavy one. One group alone reaches no confidence."""
    random = np.random.default_rng(1)
    found = [limit_for_new_group(own(random.pareto(1.0, groups)), method="order statistics") for _ in range(150)]
    if groups == 1:
        assert all(np.isnan(one.confidence) and not one.supported for one in found)
        return
    below = np.mean([random.pareto(1.0, 100) < one.limit for one in found])
    assert found[0].confidence == pytest.approx(groups / (groups + 1))
    assert below == pytest.approx(found[0].confidence, abs=0.04)
    assert found[0].supported == (groups >= 9)
    assert all(map(bound, found))


def test_nine_groups_are_enough_for_ninety_percent_and_nineteen_take_the_second_largest() -> None:
    assert groups_needed(0.9) == 9
    assert groups_needed(0.95) == 19
    values = np.random.default_rng(2).standard_normal(19)
    assert limit_for_new_group(own(values)).limit == np.sort(values)[-2]


@pytest.mark.parametrize("variance", [0.0, 1.0])
@pytest.mark.parametrize("groups", [2, 5, 20])
def test_new_groups_keep_to_the_model_at_its_confidence(groups: int, variance: float) -> None:
    """Own limits with errors of a known variance, of groups that differ by 1; a new group's own limit has no error."""
    random = np.random.default_rng(3)
    kept, covered = [], []
    for _ in range(150):
        values = random.standard_normal(groups) + np.sqrt(variance) * random.standard_normal(groups)
        found = limit_for_new_group(own(values, variance), method="random effects")
        kept.append(random.standard_normal(50) < found.limit)
        covered.append(found.low <= 1.2816 <= found.high)
    assert 0.86 < np.mean(kept) < 0.96
    assert np.mean(covered) >= 0.84


def test_fewer_groups_than_nine_are_taken_by_the_model_and_say_that_it_is_assumed() -> None:
    values = np.random.default_rng(4).standard_normal(9)
    few, enough = limit_for_new_group(own(values[:8])), limit_for_new_group(own(values))
    assert (few.method, few.supported) == ("random effects", False)
    assert few.why.startswith("assumed, not shown")
    assert (enough.method, enough.supported) == ("order statistics", True)
    told = limit_for_new_group(own(values[:5]), method="order statistics")
    assert "probability 83%: 9 groups are needed for 90%" in told.why
    assert not told.supported


def test_one_group_sets_its_own_limit_and_is_told_to_be_no_promise() -> None:
    scores, labels = joint(1, 3000)
    found = limit_for_new_group(own_limits(scores, labels, RATE))
    assert found.limit == pytest.approx(2.0, abs=0.1)
    assert bound(found)
    assert found.low < found.high
    assert "only group" in found.why
    assert np.isnan([found.confidence, found.mean_rate, found.over_twice]).all()


def test_own_limits_are_those_that_each_group_exceeds_at_the_rate() -> None:
    scores, labels = joint(4, 3000)
    found = own_limits(scores, labels, RATE)
    assert found.values - np.arange(4) == pytest.approx(2.0, abs=0.1)
    assert found.decade == pytest.approx(1.0, abs=0.1)
    assert found.thin == 0


def test_the_sampling_variance_is_that_of_fresh_stretches_of_the_same_group() -> None:
    """Of correlated frames; twice as many halve it."""
    random = np.random.default_rng(5)
    noise = np.asarray(lfilter([np.sqrt(1 - 0.81)], [1, -0.9], random.standard_normal((300, 4000)), axis=1))
    drawn = np.var([pot_quantile(one, RATE) for one in noise])
    found = own_limits(noise[:6].ravel(), np.repeat(np.arange(6), 4000), RATE).variances
    assert 0.5 * drawn < found.mean() < 1.6 * drawn
    uneven = own_limits(noise[0], np.repeat([0, 1, 2], [2000, 1000, 1000]), RATE).variances
    assert uneven[1] == pytest.approx(2 * uneven[0])
    assert uneven[1] == uneven[2]


def test_stretches_of_one_label_are_one_group() -> None:
    scores, labels = joint(2, 1000)
    mixed = np.concatenate([np.arange(500), np.arange(1000, 2000), np.arange(500, 1000)])
    assert own_limits(scores[mixed], labels[mixed], RATE).values == pytest.approx(
        own_limits(scores, labels, RATE).values
    )


def test_groups_that_are_too_short_for_the_rate_support_nothing() -> None:
    scores, labels = joint(9, 200)
    found = limit_for_new_group(own_limits(scores, labels, RATE))
    assert not found.supported
    assert "9 of 9 groups have too few frames for 0.01" in found.why


def test_limits_of_a_budget_are_taken_as_they_are() -> None:
    """Own limits that another rule set, with errors of their own: a group that knows little weighs little."""
    values, variances = np.array([4.0, 4.2, 9.0]), np.array([0.01, 0.01, 25.0])
    found = limit_for_new_group(OwnLimits(values, variances, RATE))
    assert found.limit < limit_for_new_group(own(values)).limit
    assert 1.9 < found.effective_groups < 3


@pytest.mark.parametrize("method", BOTH)
def test_a_bad_group_lifts_what_is_foretold_in_the_mean_and_the_why_says_so(method: Method) -> None:
    alike = limit_for_new_group(own(np.linspace(2.0, 2.01, 12)), method=method)
    assert alike.mean_rate == pytest.approx(RATE, rel=0.1)
    assert alike.over_twice < 1e-6
    apart = limit_for_new_group(own(np.linspace(0.0, 6.0, 6)), method=method)
    assert apart.mean_rate > RATE
    assert "worst groups" in apart.why
    assert 0.05 < apart.over_twice < 0.2


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=12), st.floats(0, 2), st.sampled_from(BOTH))
def test_a_limit_lies_in_its_interval_moves_with_its_groups_and_rises_with_confidence(
    values: list[float], variance: float, method: Method
) -> None:
    levels = np.array(values)
    found = limit_for_new_group(own(levels, variance), method=method)
    assert np.isfinite(found.limit)
    assert bound(found)
    shifted = limit_for_new_group(own(levels + 3, variance), method=method)
    assert shifted.limit == pytest.approx(found.limit + 3, abs=1e-3)
    stretched = limit_for_new_group(own(3 * levels, 9 * variance), method=method)
    assert stretched.limit == pytest.approx(3 * found.limit, abs=1e-3)
    assert limit_for_new_group(own(levels, variance), 0.95, method).limit >= found.limit


@pytest.mark.parametrize("method", BOTH)
def test_groups_that_are_all_alike_have_their_common_limit(method: Method) -> None:
    found = limit_for_new_group(own(np.full(9, 2.5)), method=method)
    assert found.limit == pytest.approx(2.5)
    assert bound(found)


def test_bad_input_is_refused_in_one_line() -> None:
    scores, labels = joint(2, 100)
    with pytest.raises(ValueError, match="one shape"):
        own_limits(scores, labels[:-1], RATE)
    with pytest.raises(ValueError, match="rate must lie"):
        own_limits(scores, labels, 0.1)
    with pytest.raises(CalibrationError, match="group 1 has 5 held-out frames, too few"):
        own_limits(scores[:105], labels[:105], RATE)
    with pytest.raises(CalibrationError, match="not finite"):
        own_limits(np.append(scores[1:], np.inf), labels, RATE)
    with pytest.raises(ValueError, match="confidence"):
        limit_for_new_group(own(np.ones(3)), 1.0)
    with pytest.raises(ValueError, match="0 own limits"):
        limit_for_new_group(own(np.empty(0)))
    with pytest.raises(CalibrationError, match="leave the group out"):
        limit_for_new_group(own(np.array([1.0, np.inf])))
    with pytest.raises(CalibrationError, match="variance"):
        limit_for_new_group(own(np.array([1.0, 2.0]), -1.0))


def test_new_runs_break_the_pooled_limit_of_a_few_runs_that_differ_and_keep_the_others() -> None:
    found = trials(3, 1.0, RATE, 1000, 30, 4)
    pooled, ordered, modelled = (found[method] for method in METHODS)
    assert pooled.rates.mean() > 2 * RATE
    assert pooled.over_twice.mean() > 0.2
    assert modelled.rates.mean() < 0.5 * pooled.rates.mean()
    assert modelled.over.mean() < 0.2 < 0.5 * pooled.over.mean()
    assert modelled.over_twice.mean() < 0.5 * pooled.over_twice.mean()
    assert ordered.over.mean() == pytest.approx(1 / 4, abs=0.12)
    assert modelled.covered.mean() >= 0.75
    assert row(figures("pooled", 3, 1.0, RATE, pooled)).split()[:3] == ["1.0", "3", "pooled"]


def test_the_benchmark_knows_in_closed_form_what_new_runs_let_through() -> None:
    scores = runs(6000, 30, 0.5, np.random.default_rng(0))
    assert (scores > 2.5).mean() == pytest.approx(rates_of_new_runs(2.5, 0.5).mean(), rel=0.1)
