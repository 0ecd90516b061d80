"""Limits of several charts together hold a rate, and so do those of each context."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from calibration.limits import Limit, context_frames_needed, fit_context_limits, fit_limits
from calibration.scale import JointScale
from calibration.tails import fit_tail
from tests.calibration.limit_examples import charts

Float64s = npt.NDArray[np.float64]


def test_with_tails_of_other_scores_only_the_limit_comes_from_the_held_out_ones() -> None:
    random = np.random.default_rng(0)
    others, held, fresh = (random.gamma(4.0, size=(count, 2)) for count in (5000, 40, 4000))
    tails = [fit_tail(chart) for chart in others.T]
    limits = fit_limits(held, 0.05, resamples=1, tails=tails)
    assert [limit.tail for limit in limits] == tails
    assert {limit.frames for limit in limits} == {40}
    joint, _ = JointScale(limits)(fresh)
    assert np.mean(joint > 1) == pytest.approx(0.05, abs=0.04)


def test_on_a_scale_of_their_own_few_scores_give_limits_that_hold() -> None:
    """Four charts, twenty images: a scale that is fitted to the scores that set the limit makes them look rarer."""
    random = np.random.default_rng(1)
    tails = [fit_tail(chart) for chart in random.exponential(size=(5000, 4)).T]
    fresh = random.exponential(size=(4000, 4))
    shares = np.zeros((60, 2))
    for repeat in range(len(shares)):
        held = random.exponential(size=(20, 4))
        for column, scale in enumerate((None, tails)):
            limits = fit_limits(held, 0.05, resamples=1, tails=scale)
            shares[repeat, column] = np.mean(JointScale(limits)(fresh)[0] > 1)
    assert shares[:, 1].mean() < 0.07
    assert shares[:, 1].mean() < shares[:, 0].mean()


def test_together_the_limits_flag_the_rate_not_each_a_share_of_it() -> None:
    flagged = []
    for seed in range(5):
        limits = fit_limits(charts(8000, seed), 0.01, resamples=5)
        values, _ = JointScale(limits)(charts(50_000, 100 + seed))
        flagged.append(float((values > 1).mean()))
    assert np.mean(flagged) == pytest.approx(0.01, rel=0.25)


def test_a_chart_is_over_its_own_limit_where_the_joint_score_says_so() -> None:
    limits = fit_limits(charts(3000, 0), 0.02, resamples=5)
    scores = charts(20_000, 1)
    over = scores > np.array([limit.value for limit in limits])
    values, source = JointScale(limits)(scores)
    np.testing.assert_array_equal(values > 1, over.any(axis=1))
    assert over[np.arange(len(scores)), source][values > 1].all()
    for limit in limits:
        assert limit.low <= limit.value <= limit.high
        assert limit.center < limit.value


@given(
    arrays(np.float64, st.tuples(st.integers(20, 60), st.just(2)), elements=st.floats(-1e6, 1e6, allow_subnormal=False))
)
def test_few_and_odd_scores_have_finite_limits(x: Float64s) -> None:
    for limit in fit_limits(x, 0.01, resamples=3):
        assert np.isfinite(limit[:4]).all()
        assert limit.low <= limit.value <= limit.high


def in_contexts(m: int, seed: int, loud: float = 3.0) -> tuple[Float64s, npt.NDArray[np.str_]]:
    """Charts of *m* frames, a quarter of which are contour: as normal as the others, but *loud* times as high."""
    contexts = np.where(np.arange(m) % 4 == 0, "contour", "hatch")
    return charts(m, seed) * np.where(contexts == "contour", loud, 1.0)[:, None], contexts


def over(limits: tuple[Limit, ...], scores: Float64s) -> float:
    return float((JointScale(limits)(scores)[0] > 1).mean())


def test_each_context_is_held_to_the_rate_where_pooled_limits_hold_none_to_it() -> None:
    rates, pooled = [], []
    for seed in range(5):
        limits = fit_context_limits(*in_contexts(8000, seed), 0.01, resamples=5)
        scores, contexts = in_contexts(50_000, 100 + seed)
        each = [(context, scores[contexts == context]) for context in ("contour", "hatch")]
        rates.append([over(limits.of(context), of_it) for context, of_it in each])
        pooled.append([over(limits.pooled, of_it) for _, of_it in each])
    assert np.mean(rates, axis=0) == pytest.approx([0.01, 0.01], rel=0.3)
    assert np.mean(pooled, axis=0)[0] > 0.025, "three quarters of the frames are spared at the cost of the others"
    assert np.mean(pooled, axis=0)[1] < 0.006


@pytest.mark.parametrize(("rate", "needed"), [(0.001, 10_000), (0.01, 1000), (0.1, 200), (0.2, 200)])
def test_limits_of_a_context_take_as_many_frames_as_support_the_rate(rate: float, needed: int) -> None:
    assert context_frames_needed(rate) == needed


def test_a_context_of_too_few_frames_has_the_pooled_limits() -> None:
    scores, contexts = in_contexts(4 * context_frames_needed(0.01), 0)
    assert set(fit_context_limits(scores, contexts, 0.01, resamples=1).own) == {"contour", "hatch"}
    fewer = fit_context_limits(scores[1:], contexts[1:], 0.01, resamples=1)
    assert set(fewer.own) == {"hatch"}
    assert fewer.of("contour") == fewer.of("never heard of") == fewer.pooled


def test_a_single_context_and_frames_without_one_have_the_pooled_limits() -> None:
    scores, contexts = in_contexts(8000, 0)
    assert fit_context_limits(scores, np.full(8000, "hatch"), 0.01, resamples=1).own == {}
    nameless = fit_context_limits(scores, np.where(contexts == "hatch", "", contexts), 0.01, resamples=1)
    assert set(nameless.own) == {"contour"}
    assert nameless.of("") == nameless.pooled


def test_own_limits_are_those_of_the_contexts_frames_alone() -> None:
    scores, contexts = in_contexts(8000, 0)
    groups = np.arange(8000) // 100
    limits = fit_context_limits(scores, contexts, 0.01, 3, groups, resamples=5)
    held = contexts == "contour"
    alone = fit_limits(scores[held], 0.01, 3, groups[held], resamples=5)
    for own, other in zip(limits.of("contour"), alone, strict=True):
        assert own[:-1] == other[:-1]
        np.testing.assert_array_equal(own.tail.body, other.tail.body)


@pytest.mark.parametrize("level", [0.0, 1.0, -3.5, 1e6])
def test_charts_that_never_vary_have_a_limit_just_above(level: float) -> None:
    (limit,) = fit_limits(np.full((100, 1), level), 0.01, resamples=3)
    assert level <= limit.value <= level + 1e-5 * max(abs(level), 1e-6)
    same, more = JointScale([limit])(np.array([[level], [level + 0.01 * max(abs(level), 1.0)]]))[0]
    assert same <= 1 < more
