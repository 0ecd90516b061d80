"""The common scale of charts: rare is rare, whatever the chart's unit and the weight of its tail."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from calibration.charts import CalibrationError
from calibration.tails import BODY_POINTS, HEAVIEST, LIGHTEST, Rarities, Tail, far_tail, fit_tail, rarity, score_of

KINDS = {
    "gaussian": stats.norm(),
    "exponential": stats.expon(),
    "chi-square": stats.chi2(8),
    "lognormal": stats.lognorm(0.7),
    "student": stats.t(6),
    "bounded": stats.beta(2, 5),
}


def drawn(kind: str, count: int = 20_000, seed: int = 0) -> npt.NDArray[np.float64]:
    return KINDS[kind].rvs(count, random_state=np.random.default_rng(seed))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rare", [0.5, 1.0, 2.0, 3.0])
def test_rarity_is_minus_the_logarithm_of_the_tail(kind: str, rare: float) -> None:
    value = KINDS[kind].isf(10.0**-rare)
    found = [float(rarity(value, fit_tail(drawn(kind, seed=seed)))) for seed in range(6)]
    assert np.mean(found) == pytest.approx(rare, abs=0.12 if rare < 2.5 else 0.35)


def test_frames_of_all_charts_are_equally_often_rare() -> None:
    """On new frames one in a thousand is at 3, whether its chart's tail is light or heavy."""
    for kind in ("gaussian", "chi-square", "lognormal", "student"):
        tail = fit_tail(drawn(kind, 50_000))  # as many as make the shape sure
        share = float((rarity(drawn(kind, 200_000, seed=1), tail) > 3.0).mean())
        assert 0.0005 < share < 0.0018, kind


def test_it_goes_on_beyond_the_largest_score_that_was_seen() -> None:
    tail = fit_tail(drawn("gaussian", 2000))
    values = np.array([6.0, 7.0, 20.0, 1e6])
    rare = rarity(values, tail)
    assert (np.diff(rare) > 0).all()
    assert rare[0] > 4.0
    assert np.isfinite(rare).all()


tails = st.builds(
    Tail,
    # Scores are float32: none is as small as the subnormal numbers, between which no slope is finite.
    st.lists(st.floats(-1e3, 1e3, width=32), min_size=65, max_size=65, unique=True).map(
        lambda body: np.sort(np.array(body))
    ),
    st.just(0.1),
    st.floats(LIGHTEST, HEAVIEST),
    st.floats(1e-2, 1e3),
)


@settings(max_examples=80, deadline=None)
@given(tails, st.floats(-2e3, 2e3, width=32), st.floats(0, 50, width=32))
def test_rarity_never_falls_and_score_of_undoes_it(tail: Tail, score: float, more: float) -> None:
    assert rarity(score + more, tail) >= rarity(score, tail)
    rare = float(rarity(max(score, tail.body[0]), tail))
    assert rarity(score_of(rare, tail), tail) == pytest.approx(rare, abs=1e-6)


@pytest.mark.parametrize("kind", ["student", "lognormal", "gaussian"])
def test_units_do_not_matter(kind: str) -> None:
    x = drawn(kind, 3000)
    values = np.quantile(x, [0.2, 0.8, 0.99, 1.0])
    np.testing.assert_allclose(rarity(values, fit_tail(x)), rarity(1e4 * values + 7, fit_tail(1e4 * x + 7)), rtol=1e-6)


def test_a_score_of_few_values_has_a_tail_too() -> None:
    tail = fit_tail(np.repeat([1.0, 2.0], 300))
    assert float(rarity(2.5, tail)) > 10
    assert float(rarity(1.0, tail)) < 1.0
    constant = fit_tail(np.full(400, 3.0))
    assert float(rarity(4.0, constant)) > 10


def test_what_is_not_a_number_is_infinitely_rare() -> None:
    assert rarity(np.array([np.nan, np.inf]), fit_tail(drawn("gaussian", 500))).tolist() == [np.inf, np.inf]


# Of limits far out


def with_starts(count: int, seed: int = 0) -> npt.NDArray[np.float64]:
    """Scores of which one in two hundred is of a frame at a vector's start, all of them at about one height."""
    random = np.random.default_rng(seed)
    x = random.normal(size=count)
    starts = random.random(count) < 0.005
    x[starts] = 12.0 + 0.3 * random.normal(size=starts.sum())
    return x


def test_a_rare_mode_that_recurs_at_one_height_does_not_stretch_the_tail() -> None:
    """One frame in a million lies a little above the mode, not far beyond all that was ever seen.

    The mode must hold more than thirty of the scores: else it is in the tail all the same.
    """
    scores = with_starts(100_000)
    near, far = fit_tail(scores), far_tail(scores)
    assert far.share < 0.005
    assert 12.0 < score_of(6.0, far) < 16.0
    assert score_of(6.0, near) > 30.0
    assert float(rarity(14.0, far)) > float(rarity(14.0, near)) + 1.0


def test_a_far_tail_is_right_within_the_mode() -> None:
    again = rarity(with_starts(200_000, seed=1), far_tail(with_starts(100_000)))
    for rare in (1.0, 3.0):
        assert (again > rare).mean() == pytest.approx(10.0**-rare, rel=0.35)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [60, 900, 20_000])
def test_a_far_tail_is_never_lighter_than_exponential(kind: str, count: int) -> None:
    tail = far_tail(drawn(kind, count))
    assert 0.0 <= tail.shape <= HEAVIEST
    beyond = tail.body[-1] + tail.scale * np.linspace(0.0, 40.0, 50)
    assert (np.diff(rarity(beyond, tail), 2) <= 1e-9).all(), "each further step is no rarer than the one before"


@pytest.mark.parametrize(("count", "share"), [(30, 0.5), (100, 0.3), (10_000, 0.003)])
def test_a_far_tail_is_fitted_to_the_thirty_highest_scores_and_half_of_them_at_most(count: int, share: float) -> None:
    assert far_tail(drawn("gaussian", count)).share == pytest.approx(share)


def test_too_few_scores_and_scores_that_are_not_finite_are_refused() -> None:
    with pytest.raises(CalibrationError, match="19 held-out frames are too few: give at least 20"):
        fit_tail(np.arange(19.0))
    with pytest.raises(CalibrationError, match="not finite"):
        fit_tail(np.r_[np.arange(300.0), np.nan])


def test_charts_side_by_side_have_the_rarities_that_each_has_alone() -> None:
    tails = [
        *(fit_tail(drawn(kind)) for kind in KINDS),
        Tail(np.linspace(0.0, 1.0, 65), 0.1, 0.0, 1.0),
        Tail(np.linspace(0.0, 1.0, 65), 0.1, -0.3, 0.2),
    ]
    scores = np.column_stack([np.linspace(-1.0, 4.0, 40) * tail.body[-1] for tail in tails])
    scores[3], scores[5], scores[7] = np.nan, np.inf, -np.inf
    alone = np.column_stack([rarity(scores[:, index], tail) for index, tail in enumerate(tails)])
    np.testing.assert_array_equal(Rarities(tails)(scores), alone)
    np.testing.assert_array_equal(Rarities(tails)(scores[:1]), alone[:1])


@pytest.mark.parametrize("shape", [-5e-324, 5e-324, -1e-300, 1e-14, -1e-11])
def test_a_tail_of_next_to_no_shape_is_exponential(shape: float) -> None:
    plain = Tail(np.arange(float(BODY_POINTS)), 0.1, 0.0, 1.0)
    bent = plain._replace(shape=shape)
    for score in (62.0, 70.0, 90.0):
        assert float(rarity(score, bent)) == pytest.approx(float(rarity(score, plain)), rel=1e-9)
        assert score_of(float(rarity(score, bent)), bent) == pytest.approx(score, rel=1e-9)


def by_the_formulas(scores: np.ndarray, tail: Tail) -> np.ndarray:
    """-log10 of the survival function: a body between its values, a Pareto tail that ends in an exponential one."""
    body = np.interp(scores, tail.body, np.linspace(0.0, -np.log10(tail.share), BODY_POINTS))
    excess = np.maximum(scores - tail.body[-1], 0.0) / tail.scale
    if tail.shape == 0.0:
        beyond = excess
    elif tail.shape > 0.0:
        beyond = np.log1p(tail.shape * excess) / tail.shape
    else:
        end = (0.001**-tail.shape - 1) / tail.shape  # what a thousandth of the tail lies above
        rest = np.maximum(excess - end, 0.0) / (1 + tail.shape * end)
        beyond = np.log1p(tail.shape * np.minimum(excess, end)) / tail.shape + rest
    return np.where(np.isnan(scores), np.inf, body + beyond / np.log(10.0))


@given(
    steps=st.lists(st.sampled_from([0.0, 1e-6, 0.1, 1.0, 50.0]), min_size=BODY_POINTS, max_size=BODY_POINTS),
    share=st.floats(0.001, 0.5),
    shape=st.sampled_from([0.0, 1e-6, 0.2, HEAVIEST, -1e-6, -0.1, LIGHTEST]),
    scale=st.floats(1e-3, 1e3),
    scores=st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=20),
)
def test_rarities_are_those_of_the_formulas(
    steps: list[float], share: float, shape: float, scale: float, scores: list[float]
) -> None:
    tail = Tail(np.cumsum(steps), share, shape, scale)
    asked = np.array([*scores, *tail.body[::8], tail.body[-1] + scale])
    np.testing.assert_allclose(rarity(asked, tail), by_the_formulas(asked, tail), rtol=1e-12, atol=1e-12)


def test_rarities_keep_the_shape_of_the_scores_and_a_body_of_another_size_is_refused() -> None:
    tail = fit_tail(drawn("gaussian"))
    for shape in ((), (0,), (3,), (2, 3)):
        assert rarity(np.ones(shape), tail).shape == shape
    with pytest.raises(ValueError, match="reshape"):
        rarity(1.0, tail._replace(body=tail.body[1:]))
