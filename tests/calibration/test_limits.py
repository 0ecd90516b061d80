"""Limits are finite, fall as the rate grows, and carry an interval that knows of autocorrelation."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.signal import lfilter
from scipy.stats import norm

from calibration.charts import CalibrationError
from calibration.limits import (
    ContextLimits,
    ContextScale,
    JointScale,
    Limit,
    _borders,
    autocorrelation_time,
    bandwidth,
    block_resample,
    context_frames_needed,
    fit_context_limits,
    fit_limits,
    kde_quantile,
    tail_root,
)
from calibration.tails import Tail, fit_tail

Float64s = npt.NDArray[np.float64]

SCORES = arrays(
    np.float64, st.integers(20, 60), elements=st.floats(-1e6, 1e6, allow_subnormal=False) | st.sampled_from([0.0, 1.0])
)


def ar1(m: int, phi: float, seed: int = 0) -> Float64s:
    random = np.random.default_rng(seed)
    noise = random.normal(size=m) * np.sqrt(1 - phi**2)
    noise[0] = random.normal()
    return lfilter([1], [1, -phi], noise)


@pytest.mark.parametrize("rate", [0.1, 0.01, 0.001])
def test_on_gaussian_scores_the_limit_is_the_normal_quantile_of_the_smoothed_density(rate: float) -> None:
    x = norm.ppf((np.arange(50_000) + 0.5) / 50_000)  # a Gaussian without the luck of a draw
    smoothed = norm.isf(rate) * np.sqrt(1 + bandwidth(x) ** 2)
    assert kde_quantile(x, rate, resamples=1).value == pytest.approx(smoothed, rel=2e-3)


def test_the_mean_normal_tail_beyond_the_limit_is_the_rate() -> None:
    x = np.random.default_rng(0).gamma(2.0, size=500)
    limit = kde_quantile(x, 0.02, resamples=5)
    assert norm.sf((limit.value - x) / bandwidth(x)).mean() == pytest.approx(0.02, rel=1e-9)


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
    (limit,) = fit_limits(np.full((100, 1), level), 0.01, resamples=3)
    assert level <= limit.value <= level + 1e-5 * max(abs(level), 1e-6)
    same, more = JointScale([limit])(np.array([[level], [level + 0.01 * max(abs(level), 1.0)]]))[0]
    assert same <= 1 < more


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


@pytest.mark.parametrize(("phi", "expected"), [(0.0, 1.0), (0.5, 3.0), (0.9, 19.0)])
def test_the_autocorrelation_time_of_ar1_is_known(phi: float, expected: float) -> None:
    x = ar1(60_000, phi)
    assert autocorrelation_time(x, _borders(np.zeros(len(x)))) == pytest.approx(expected, rel=0.15)


def test_one_wild_score_does_not_hide_the_memory_of_the_others() -> None:
    x = ar1(20_000, 0.9)
    x[77] = 1e9
    assert autocorrelation_time(x, _borders(np.zeros(len(x)))) > 10


def test_the_interval_covers_its_nominal_share_on_an_autocorrelated_stream() -> None:
    """AR(1) 0.9, 2000 frames, 60 streams: blocks of five times cover about 91 %, single frames about half."""
    covered = 0
    for seed in range(60):
        limit = kde_quantile(ar1(2000, 0.9, seed), 0.05, resamples=60)
        covered += limit.low <= norm.isf(0.05) * 1.01 <= limit.high
        assert limit.effective_frames < 300
    assert 46 <= covered <= 60


def test_whole_groups_are_resampled_in_blocks_that_stay_inside_them() -> None:
    lengths = [50, 3, 30, 17]
    groups = np.repeat(["a", "b", "a", "c"], lengths)
    borders = _borders(groups)
    assert borders.tolist() == [0, 50, 53, 83, 100]
    run = np.repeat(np.arange(4), lengths)
    random = np.random.default_rng(0)
    seen = np.zeros(100, int)
    for _ in range(400):
        indices = block_resample(borders, 8, random)
        times = np.bincount(run[indices], minlength=4) / lengths
        assert times.sum() == 4, "as many groups as there are, each whole"
        assert (times == times.astype(int)).all()
        seen += np.bincount(indices, minlength=100)
    assert seen == pytest.approx(np.full(100, 400), rel=0.6)  # no frame is favoured for its place


def test_groups_that_differ_as_wholes_widen_the_interval() -> None:
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 100)
    x = random.normal(size=2000) + random.normal(size=20)[groups]
    alike = kde_quantile(x[random.permutation(2000)], 0.02, groups=groups)
    apart = kde_quantile(x, 0.02, groups=groups)
    assert apart.value == pytest.approx(alike.value)
    assert apart.high - apart.low > 1.5 * (alike.high - alike.low)
    assert apart.effective_frames < 0.2 * alike.effective_frames


# the joint scale


def exponential_limit(rate: float, scale: float = 1.0) -> Limit:
    """Of a chart whose in-control scores fall off exponentially: the score that *rate* of them exceed."""
    body = -scale * np.log(np.linspace(1.0, 0.1, 65))
    value = -scale * np.log(rate)
    tail = Tail(body, 0.1, 0.0, scale)
    return Limit(value, value, value, scale * np.log(2), rate, "known", 100, 100.0, extrapolated=False, tail=tail)


def test_the_joint_score_is_that_of_the_rarest_chart_whatever_its_unit() -> None:
    limits = [exponential_limit(0.01), exponential_limit(0.01, scale=1000.0)]
    at = -np.log(0.01)
    scores = np.array([[at / 2, 1.0], [at, 1000.0], [1.0, 1500 * at], [2 * at, 1500 * at]])
    values, source = JointScale(limits)(scores)
    assert values == pytest.approx([0.5, 1.0, 1.5, 2.0], abs=0.02)
    assert source.tolist() == [0, 0, 1, 0]
    assert source.dtype == np.uint8


@given(st.floats(1e-6, 0.05), st.floats(1e-3, 1e3))
def test_at_its_limit_a_score_does_not_exceed_and_beyond_it_does(rate: float, scale: float) -> None:
    limit = exponential_limit(rate, scale)
    at, beyond = JointScale([limit])(np.array([[limit.value], [np.nextafter(limit.value, np.inf)]]))[0]
    assert at <= 1 < beyond


def test_a_score_that_is_no_number_is_an_exceedance() -> None:
    values, source = JointScale([exponential_limit(0.01)] * 2)(np.array([[np.nan, 0.0], [0.0, np.inf]]))
    assert values.tolist() == [np.inf, np.inf]
    assert source.tolist() == [0, 1]


def test_no_frames_have_no_joint_scores() -> None:
    values, source = JointScale([exponential_limit(0.01)] * 2)(np.empty((0, 2)))
    assert len(values) == len(source) == 0


# limits of several charts together


def charts(m: int, seed: int) -> Float64s:
    """Three charts, two of which say nearly the same, with tails of different weight."""
    random = np.random.default_rng(seed)
    shared = random.normal(size=m)
    return np.stack([shared**2, np.exp(shared + 0.1 * random.normal(size=m)), random.standard_t(6, m)], axis=1)


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


# limits by context


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


LIMITS_OF = ContextLimits(
    pooled=(exponential_limit(0.01), exponential_limit(0.01)),
    own={"hatch": (exponential_limit(0.1),) * 2, "contour": (exponential_limit(0.001), exponential_limit(0.01, 7.0))},
)


@given(st.lists(st.sampled_from(["hatch", "contour", "skin", ""]), max_size=12), st.integers(0, 9))
def test_a_batch_of_any_contexts_is_judged_frame_by_frame_as_each_alone(names: list[str], seed: int) -> None:
    scores = np.random.default_rng(seed).exponential(3.0, (len(names), 2))
    joint, source, values = ContextScale(LIMITS_OF)(scores, np.array(names, "S128"))
    assert (joint.shape, source.shape, values.shape) == ((len(names),), (len(names),), scores.shape)
    assert source.dtype == np.uint8
    for index, name in enumerate(names):
        limits = LIMITS_OF.of(name)
        alone, chart = JointScale(limits)(scores[index : index + 1])
        assert (joint[index], source[index]) == (alone[0], chart[0])
        assert values[index].tolist() == [limit.value for limit in limits]


def test_contexts_are_told_apart_by_every_letter() -> None:
    own = {"schräg": LIMITS_OF.of("hatch")}
    _, _, values = ContextScale(ContextLimits(LIMITS_OF.pooled, own))(
        np.zeros((2, 2)), np.array([name.encode() for name in ("schräg", "schrag")], "S128")
    )
    assert values[:, 0].tolist() == [own["schräg"][0].value, LIMITS_OF.pooled[0].value]
