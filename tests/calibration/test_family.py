"""One call for every limit per frame: what each method lets through, which is chosen, what it says of itself."""

from collections.abc import Iterable
from functools import cache, partial
from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from calibration.bootstrap import Refits, refits
from calibration.budget import joint_score
from calibration.charts import CalibrationError, fit_latent, t2
from calibration.conformal import conformal_limit
from calibration.family import METHODS, QUANTILES, Fitted, Sample, choose, control_limit
from calibration.kde import kde_quantile
from calibration.pot import pot_quantile
from calibration.tails import fit_tail, rarity
from tests.calibration.limit_examples import ar1
from tests.calibration.test_hotelling import boiler

Float64s = npt.NDArray[np.float64]

LAWS = {
    "gaussian": stats.norm(),
    "chi-square": stats.chi2(32),
    "exponential": stats.expon(),  # so falls the joint score, the logarithm of a probability
    "log-normal": stats.lognorm(0.7),
    "student": stats.t(3),
}
RATE = 0.01


def shares(streams: Iterable[Float64s], law, methods: tuple[Fitted, ...]) -> dict[str, Float64s]:
    """Realised over nominal rate of each method, one for each of *streams*."""
    limits = [[QUANTILES[method](x, RATE) for method in methods] for x in streams]
    return dict(zip(methods, (law.sf(np.array(limits)) / RATE).T, strict=True))


@cache
def realised(name: str, beyond: int, repeats: int) -> dict[str, Float64s]:
    """`shares` of all methods, where *beyond* independent frames are expected over the limit."""
    law, m = LAWS[name], round(beyond / RATE)
    draws = (law.rvs(m, random_state=np.random.default_rng(seed)) for seed in range(repeats))
    return shares(draws, law, tuple(QUANTILES))


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize(("beyond", "repeats", "spread"), [(10, 150, 0.32), (30, 100, 0.18), (100, 60, 0.1)])
def test_on_independent_frames_the_chosen_limit_keeps_its_rate_whatever_the_law(
    name: str, beyond: int, repeats: int, spread: float
) -> None:
    found = realised(name, beyond, repeats)
    assert found["conformal"].mean() == pytest.approx(1.0, abs=0.08)
    assert found["conformal"].std() == pytest.approx(spread, rel=0.25)
    for other in ("kde", "pot"):
        assert 0.85 < found[other].mean() < 1.15
        assert found[other].std() > 0.65 * found["conformal"].std(), "no other method is much more certain"


@pytest.mark.parametrize(
    ("name", "of_gaussian"), [("gaussian", lambda z: z), ("exponential", lambda z: -stats.norm.logsf(z))]
)
@pytest.mark.parametrize(("beyond", "memory"), [(10, 0.5), (30, 0.5), (10, 0.9)])
def test_on_streams_with_a_memory_it_keeps_its_rate_too(name: str, of_gaussian, beyond: int, memory: float) -> None:
    m = round(beyond / RATE * (1 + memory) / (1 - memory))
    streams = (of_gaussian(ar1(m, memory, seed)) for seed in range(80))
    found = shares(streams, LAWS[name], ("conformal",))["conformal"]
    assert found.mean() == pytest.approx(1.0, abs=0.08)
    assert found.std() < 0.32 * (10 / beyond) ** 0.5


def test_smoothing_lets_through_too_little_of_a_light_tail_where_frames_are_few() -> None:
    found = realised("gaussian", 10, 150)
    assert found["kde"].mean() < 0.93 < found["conformal"].mean()


@pytest.mark.parametrize("name", LAWS)
def test_where_two_frames_are_expected_beyond_a_fitted_tail_is_less_often_far_too_high(name: str) -> None:
    found = realised(name, 2, 300)
    assert np.quantile(found["pot"], 0.05) > 1.3 * np.quantile(found["conformal"], 0.05)
    assert np.quantile(found["pot"], 0.95) < 1.3 * np.quantile(found["conformal"], 0.95)
    assert np.log(found["pot"]).std() < 0.85 * np.log(found["conformal"]).std()


@pytest.mark.parametrize(
    ("effective", "rate", "chosen"), [(1000, 0.01, "conformal"), (999, 0.01, "pot"), (20, 0.2, "pot")]
)
def test_the_choice_goes_by_the_independent_frames_expected_beyond(effective: float, rate: float, chosen: str) -> None:
    assert choose(effective, rate) == chosen


def test_the_choice_counts_independent_frames_not_frames() -> None:
    quick, slow = (control_limit(Sample(ar1(4000, memory)), 0.01, resamples=2) for memory in (0.0, 0.9))
    assert (quick.method, quick.extrapolated) == ("conformal", False)
    assert (slow.method, slow.extrapolated) == ("pot", True)
    assert slow.frames == quick.frames == 4000
    assert slow.effective_frames < 400 < 3000 < quick.effective_frames <= 4000


def test_each_method_is_the_one_that_it_is_named_after() -> None:
    x = ar1(1500, 0.0)
    limits = {name: control_limit(Sample(x), 0.02, name, resamples=1).value for name in get_args(Fitted)}
    assert limits == {
        "conformal": conformal_limit(x, 0.02).value,
        "pot": pot_quantile(x, 0.02),
        "kde": kde_quantile(x, 0.02),
    }
    assert control_limit(Sample(x), 0.02, resamples=1).value == limits["conformal"]


def test_no_limit_falls_where_one_method_takes_over_from_the_other() -> None:
    lower = 0
    for seed in range(30):
        sample = Sample(ar1(1000, 0.0, seed))
        effective = control_limit(sample, 0.1, resamples=0).effective_frames
        supported, beyond = (control_limit(sample, 10 / effective * x, resamples=0) for x in (1.0, 0.999))
        assert (supported.method, beyond.method) == ("conformal", "pot")
        assert beyond.value >= supported.value
        lower += pot_quantile(sample.scores, 9.99 / effective) < supported.value
    assert lower > 5, "the fitted tail alone would have fallen"


def calibrated(m: int = 300, k: int = 200, p: int = 3, c: int = 2, resamples: int = 60) -> tuple[Sample, Refits]:
    random = np.random.default_rng(0)
    training, held = random.normal(size=(k, p)), random.normal(size=(m, p))
    fit = fit_latent(training)
    others = random.gamma(3.0, size=(m, c - 1))
    scores = np.column_stack((t2(held, fit.whitening, fit.mean), others))
    tails = [fit_tail(chart) for chart in scores.T]
    sample = Sample(scores, partial(joint_score, tails=tails), None, (held - fit.mean) @ fit.whitening.T)
    return sample, refits(training, resamples=resamples)


def test_charts_are_joined_by_the_rarest_and_t2_is_resampled() -> None:
    sample, others = calibrated()
    joint = np.max([rarity(chart, fit_tail(chart)) for chart in sample.scores.T], axis=0)
    limit = control_limit(sample, 0.05, refits=others)
    assert limit.value == control_limit(Sample(joint), 0.05).value
    known = control_limit(sample, 0.05, resamples=60)
    assert known.value == limit.value
    assert limit.high - limit.low > known.high - known.low
    assert "mean and covariance of the latents as known" in known.why
    assert "as known" not in limit.why


def test_groups_that_differ_as_wholes_widen_the_interval() -> None:
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 100)
    x = random.normal(size=2000) + random.normal(size=20)[groups]
    alike = control_limit(Sample(x[random.permutation(2000)], groups=groups), 0.02, "conformal")
    apart = control_limit(Sample(x, groups=groups), 0.02, "conformal")
    assert apart.value == alike.value
    assert apart.high - apart.low > 1.5 * (alike.high - alike.low)
    assert apart.effective_frames < 0.2 * alike.effective_frames


@pytest.mark.parametrize(("m", "memory", "rate", "least"), [(2000, 0.0, 0.01, 0.82), (4000, 0.9, 0.05, 0.76)])
def test_the_interval_covers_about_its_nominal_share(m: int, memory: float, rate: float, least: float) -> None:
    limits = [control_limit(Sample(ar1(m, memory, seed)), rate, "conformal", resamples=60) for seed in range(100)]
    covered = np.mean([limit.low <= stats.norm.isf(rate) <= limit.high for limit in limits])
    assert least <= covered <= 0.98


def test_the_same_seed_gives_the_same_limit() -> None:
    x = Sample(ar1(400, 0.5))
    assert control_limit(x, 0.05, seed=1) == control_limit(x, 0.05, seed=1)
    assert control_limit(x, 0.05, seed=1).low != control_limit(x, 0.05, seed=2).low


def test_the_closed_forms_are_those_of_qcc_for_the_boiler() -> None:
    """qcc's documented limits for m = 25, p = 8 at confidence 0.999, and 0.9973^8."""
    z = boiler()
    fit = fit_latent(z)
    others = refits(z, resamples=2)
    sample = Sample(t2(z, fit.whitening, fit.mean))
    fresh = control_limit(sample, 0.001, "f", others)
    own = control_limit(sample._replace(held_out=False), 0.001, "beta", others)
    assert fresh.low == fresh.value == fresh.high == pytest.approx(70.02943, abs=5e-6)
    assert own.value == pytest.approx(17.41705, abs=5e-6)
    for limit in (fresh, own):
        assert limit.extrapolated
        assert limit.why.startswith(f"named: {limit.method} is never chosen, since")


def test_a_closed_form_sets_the_joint_limit_where_t2s_own_is() -> None:
    sample, others = calibrated(p=3, k=200)
    exact = control_limit(Sample(sample.scores[:, 0]), 0.01, "f", others).value
    assert exact == pytest.approx(11.82, abs=0.02)  # 3 (201)(199) / (200 * 197) times F(0.99; 3, 197) = 3.88
    assert control_limit(sample, 0.01, "f", others).value == rarity(exact, fit_tail(sample.scores[:, 0]))


SCORES = arrays(
    np.float64, st.integers(20, 80), elements=st.floats(-1e6, 1e6, allow_subnormal=False) | st.sampled_from([0.0, 1.0])
)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=50, deadline=None)
@given(SCORES, st.floats(0.05, 0.24), st.floats(1.0, 4.0), st.integers(0, 2))
def test_every_limit_is_finite_inside_its_interval_and_never_falls_as_the_rate_falls(
    method, x: Float64s, rate: float, factor: float, seed: int
) -> None:
    lenient = min(rate * factor, 0.249)
    others = refits(np.random.default_rng(seed).normal(size=(30, 4)), resamples=2)
    given = others if method in ("f", "beta") else None
    sample = Sample(x, held_out=method != "beta")
    one, other = (control_limit(sample, share, method, given, seed, 3) for share in (rate, lenient))
    assert one.value >= other.value - 1e-9 * max(1.0, np.abs(x).max())
    for limit in (one, other):
        assert np.isfinite([*limit[:3], limit.effective_frames]).all()
        assert limit.low <= limit.value <= limit.high
        assert 0 < limit.effective_frames <= limit.frames == len(x)
        assert limit.method != "auto"
        assert limit.why
        assert "\n" not in limit.why


@pytest.mark.parametrize("method", ["auto", "pot", "kde"])
@settings(max_examples=50, deadline=None)
@given(SCORES, st.floats(1e-9, 0.24), st.floats(1e-9, 0.24))
def test_far_beyond_the_frames_limits_are_finite_and_rise_too(method, x: Float64s, one: float, other: float) -> None:
    rare, common = (control_limit(Sample(x), rate, method, resamples=2) for rate in sorted((one, other)))
    assert np.isfinite([*rare[:3], *common[:3]]).all()
    assert rare.value >= common.value - 1e-9 * max(1.0, np.abs(x).max())


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(0, 20),
    st.integers(20, 60),
    st.floats(1e-6, 0.24),
    st.sampled_from(["auto", "pot", "kde"]),
)
def test_limits_with_latents_of_any_size_are_finite(p: int, more: int, m: int, rate: float, method) -> None:
    sample, others = calibrated(m, p + 2 + more, p, resamples=3)
    limit = control_limit(
        sample, rate, method, others._replace(means=others.means[:3], whitenings=others.whitenings[:3])
    )
    assert np.isfinite(limit[:3]).all()
    assert limit.low <= limit.value <= limit.high


@pytest.mark.parametrize("method", get_args(Fitted))
@pytest.mark.parametrize("level", [0.0, -3.5, 1e6])
def test_constant_scores_have_a_limit_beside_them(method, level: float) -> None:
    limit = control_limit(Sample(np.full(100, level)), 0.02, method)
    assert limit[:3] == pytest.approx((level,) * 3, rel=1e-4, abs=1e-4)


SAMPLE, REFITS = calibrated()


@pytest.mark.parametrize(
    ("sample", "method", "others", "says"),
    [
        (Sample(np.empty(0)), "auto", None, "0 held-out frames are too few: give at least 20"),
        (Sample(np.ones(1)), "auto", None, "1 held-out frames are too few"),
        (Sample(np.empty((0, 2)), SAMPLE.joint), "auto", REFITS, "0 held-out frames are too few"),
        (Sample(np.append(np.ones(50), np.nan)), "auto", None, "not finite"),
        (Sample(np.arange(50.0)), "conformal", None, "50 held-out scores are too few for a rate of 0.01: give 99"),
        (SAMPLE, "f", None, "f needs the frames that gave mean and covariance"),
        (SAMPLE, "beta", REFITS, "beta holds only for the frames that gave mean and covariance: name f"),
        (SAMPLE._replace(held_out=False), "auto", None, "hold others out, or name the method beta"),
        (SAMPLE._replace(held_out=False), "f", REFITS, "hold others out, or name the method beta"),
        (SAMPLE, "f", REFITS._replace(frames=4), "4 frames cannot fit a latent of 3: give at least 5"),
    ],
)
def test_samples_that_a_method_cannot_serve_are_refused_in_one_line(sample, method, others, says: str) -> None:
    with pytest.raises(CalibrationError, match=says) as caught:
        control_limit(sample, 0.01, method, others)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("sample", "rate", "method", "others", "says"),
    [
        (SAMPLE, 0.25, "auto", None, "rate must lie between"),
        (SAMPLE, float("nan"), "f", REFITS, "rate must lie between"),
        (SAMPLE, 0.01, "gamma", None, "no limit is called gamma: name one of auto, conformal, pot, kde, f, beta"),
        (SAMPLE._replace(joint=None), 0.01, "auto", None, "with a way to join them"),
        (SAMPLE._replace(groups=np.zeros(299)), 0.01, "auto", None, "300 scores need as many group labels, not 299"),
        (SAMPLE._replace(latents=None), 0.01, "auto", REFITS, r"held-out latents of shape \(300, 3\), not none"),
        (SAMPLE._replace(latents=np.ones((300, 2))), 0.01, "auto", REFITS, r"not those of shape \(300, 2\)"),
        (SAMPLE._replace(latents=np.ones((300, 3)) * 9), 0.01, "auto", REFITS, "is not T2: give them whitened"),
    ],
)
def test_arguments_that_do_not_belong_together_are_refused(sample, rate: float, method, others, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        control_limit(sample, rate, method, others)
