"""Limits that raise alarms: the budget's own for one group, wider where groups differ, as rare for every chart."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.action import (
    LOWEST,
    ActionLimits,
    ContextTails,
    Demand,
    StopDemand,
    chart_limits,
    fit_action_limits,
    fit_tails,
    group_shift,
    joint_scores,
)
from calibration.blocks import block_extremes
from calibration.bootstrap import refits
from calibration.budget import budget_limit, for_tails, joint_score
from calibration.charts import CalibrationError
from calibration.scale import ContextScale, JointScale
from calibration.tails import far_tail, rarity

Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

RATE_HZ = 100.0
RESAMPLES = 2  # for the interval of a warning limit, which no test here looks at
DECADE = np.log(10.0)  # that an exponential score rises by where it is ten times as rare


class Stretches(NamedTuple):
    """Held-out scores (m, 2) of stretches recorded apart, of *groups* (m,)."""

    scores: Float64s
    groups: Indices
    contexts: npt.NDArray[np.str_]

    @property
    def hours(self) -> float:
        """That set the limit."""
        return 0.8 * len(self.scores) / RATE_HZ / 3600

    @property
    def for_tails(self) -> npt.NDArray[np.bool_]:
        return for_tails(self.groups, np.zeros_like(self.groups))


def stretches(shifts: npt.ArrayLike, frames: int, seed: int = 0) -> Stretches:
    """A stretch of so many *frames* for each of *shifts* (g,), by which its scores are rarer, in decades."""
    decades = np.asarray(shifts, np.float64)
    noise = np.random.default_rng(seed).exponential(size=(len(decades) * frames, 2))
    groups = np.repeat(np.arange(len(decades)), frames)
    return Stretches(noise + DECADE * decades[groups, None], groups, np.full(len(noise), ""))


def fit(
    held: Stretches,
    expected: float = 5.0,
    *,
    one_run: bool = False,
    warning_rate: float = 0.01,
    conservative: bool = False,
) -> ActionLimits:
    """Limits that single frames of *held* exceed *expected* times in the stretches that set them."""
    demand = Demand(expected / held.hours, RATE_HZ, 1, 1, warning_rate, conservative=conservative, resamples=RESAMPLES)
    runs = np.zeros_like(held.groups) if one_run else held.groups
    tails = fit_tails(held.scores[held.for_tails], held.contexts[held.for_tails], warning_rate)
    return fit_action_limits(held.scores, held.contexts, held.groups, runs, tails, held.for_tails, demand)


ALIKE = stretches(np.zeros(6), 3000)
UNLIKE = stretches([-0.4, -0.2, -0.1, 0.1, 0.2, 0.4], 3000)


@pytest.fixture(scope="module")
def fitted() -> ActionLimits:
    return fit(UNLIKE)


# For new runs, layers and sessions


def test_of_one_run_the_action_limit_is_the_budgets_own_however_many_stretches_it_has() -> None:
    found = fit(ALIKE, one_run=True)
    assert found.shift is None
    assert (found.action, found.low, found.high) == (found.budget.limit, found.budget.low, found.budget.high)
    assert found.budget == budget_limit(found.record, 5 / ALIKE.hours, RATE_HZ)
    assert found.frames == 0.8 * len(ALIKE.scores)


def test_groups_that_differ_widen_both_limits_by_what_a_new_one_may_lie_above_them(fitted: ActionLimits) -> None:
    """Shifts of standard deviation 0.29: nine in ten new groups lie below 1.6 of them, by Student's t of five."""
    assert fitted.shift is not None
    assert 0.25 < fitted.shift.high < 0.55
    assert 0.1 < fitted.shift.by < fitted.shift.high, "in the mean over new groups they need less than nine in ten do"
    assert fitted.shift.limit.groups == 6
    assert fitted.action == fitted.budget.limit + fitted.shift.by
    bare = fit(UNLIKE, one_run=True)
    assert fitted.warning == pytest.approx(bare.warning + fitted.shift.by)
    assert fitted.high - fitted.low > bare.high - bare.low


def test_groups_that_do_not_differ_hardly_widen_the_limits(fitted: ActionLimits) -> None:
    shift = fit(ALIKE).shift
    assert shift is not None
    assert fitted.shift is not None
    assert shift.by < 0.08 < fitted.shift.by / 2
    assert shift.high < 0.12


def test_on_groups_never_seen_the_budget_is_kept_on_average_and_broken_without_the_shift() -> None:
    """Four groups of a standard deviation of half a decade: few of the next ones may break the budget, not half."""
    events: dict[str, list[float]] = {"widened": [], "bare": []}
    broken: dict[str, list[float]] = {"widened": [], "bare": []}
    for seed in range(16):
        random = np.random.default_rng(seed)
        found = fit(held := stretches(random.normal(0, 0.5, 4), 2000, seed), 8.0)
        new = stretches(random.normal(0, 0.5, 60), 2000, 1000 + seed)
        joint = joint_scores(new.scores, new.contexts, found.tails).reshape(60, -1, found.budget.block_frames)
        budget = 8.0 * 2000 / RATE_HZ / 3600 / held.hours
        for name, limit in (("widened", found.action), ("bare", found.budget.limit)):
            counts = (joint > limit).any(axis=2).sum(axis=1)
            events[name].append(counts.mean() / budget)
            broken[name].append((counts > budget).mean())
    assert np.mean(events["widened"]) < 1.0
    assert np.mean(events["bare"]) > 1.3
    assert np.mean(broken["widened"]) < 0.2
    assert np.mean(broken["bare"]) > 0.3


@pytest.mark.parametrize("lengths", [(500,), (500, 19), (19, 19, 19)])
def test_a_shift_cannot_be_known_of_fewer_than_two_groups_of_twenty_frames(lengths: tuple[int, ...]) -> None:
    groups = np.repeat(np.arange(len(lengths)), lengths)
    assert group_shift(np.random.default_rng(0).exponential(size=len(groups)), groups, 0.01) is None


def test_own_limits_are_compared_at_a_rate_that_the_smallest_group_supports() -> None:
    found = group_shift(ALIKE.scores[:3400, 0], np.repeat([0, 1], [3000, 400]), 0.001)
    assert found is not None
    assert found.rate == 10 / 400
    assert "too few frames" not in found.limit.why


# Bounds and order


def test_bounds_surround_the_action_limit_and_the_conservative_one_is_higher(fitted: ActionLimits) -> None:
    assert fitted.low < fitted.action < fitted.high
    careful = fit(UNLIKE, conservative=True)
    assert careful.action > fitted.action
    assert careful.low <= careful.action <= careful.high
    assert careful.warning == fitted.warning


budgets = st.floats(1e-3, 1e4)


@settings(max_examples=20, deadline=None)
@given(one=budgets, other=budgets, careful=st.booleans())
def test_the_action_limit_falls_as_the_budget_grows(one: float, other: float, careful: bool) -> None:
    held = stretches([0.0, 0.3], 500)
    small, large = (fit(held, expected, conservative=careful) for expected in sorted((one, other)))
    assert small.action >= large.action - 1e-9
    assert small.low >= large.low - 1e-9
    assert small.high >= large.high - 1e-9
    for found in (small, large):
        assert found.low <= found.action <= found.high
        assert found.action >= LOWEST


@settings(max_examples=20, deadline=None)
@given(st.floats(1e-4, 0.1), st.floats(1e-4, 0.1))
def test_the_warning_limit_falls_as_its_rate_grows(one: float, other: float) -> None:
    held = stretches([0.0, 0.3], 500)
    rare, often = (fit(held, 0.1, one_run=True, warning_rate=rate) for rate in sorted((one, other)))
    assert rare.warning >= often.warning - 1e-9
    assert rare.action == often.action


@pytest.mark.parametrize("kind", ["constant", "few values", "heavy", "chart that is constant", "groups that are"])
def test_limits_are_numbers_whatever_the_scores(kind: str) -> None:
    held = stretches([0.0, 0.2, 0.4], 400)
    scores = {
        "constant": np.ones_like(held.scores),
        "few values": np.round(held.scores / 3),
        "heavy": np.exp(3 * held.scores),
        "chart that is constant": held.scores * [1.0, 0.0],
        "groups that are": np.column_stack((held.groups, held.groups)).astype(float),
    }[kind]
    odd = held._replace(scores=scores)
    found = fit(odd)
    assert np.isfinite([found.action, found.low, found.high, found.warning]).all()
    limits = chart_limits(found, odd.scores, odd.contexts)
    assert np.isfinite([limit[:5] for limit in limits.pooled]).all()
    assert found.low <= found.action <= found.high


@pytest.mark.parametrize(
    ("frames", "told"),
    [(200, "160 frames to set a limit are too few: give at least 200"), (80, "16 held-out frames are too few")],
)
def test_too_few_frames_are_refused_in_one_line(frames: int, told: str) -> None:
    with pytest.raises(CalibrationError, match=told) as caught:
        fit(stretches([0.0], frames))
    assert "\n" not in str(caught.value)


def test_that_mean_and_covariance_vary_by_chance_widens_the_bounds_and_moves_no_limit() -> None:
    """T2 of latents whose covariance rests on 50 frames, and on very many."""
    q = np.random.default_rng(0).standard_normal((8000, 4))
    held = Stretches(np.square(q).sum(axis=1)[:, None], np.zeros(8000, np.int64), np.full(8000, ""))
    tails = fit_tails(held.scores[held.for_tails], held.contexts[held.for_tails], 0.01)
    demand = Demand(5.0 / held.hours, RATE_HZ, 1, 1, 0.01, resamples=RESAMPLES)

    def fitted_to(training: int | None) -> ActionLimits:
        chance = None if training is None else refits(np.random.default_rng(1).standard_normal((training, 4)))
        given = held.scores, held.contexts, held.groups, held.groups, tails, held.for_tails, demand
        return fit_action_limits(*given, latents=q, refits=chance)

    few, many, none = map(fitted_to, (50, 20_000, None))
    assert few.action == many.action == none.action
    assert few.warning == none.warning
    assert few.high - few.low > 1.3 * (none.high - none.low)
    assert few.budget.conservative > none.budget.conservative
    assert many.high - many.low == pytest.approx(none.high - none.low, rel=0.05)


# Charts and contexts


def test_chart_limits_are_as_rare_as_the_joint_one(fitted: ActionLimits) -> None:
    limits = chart_limits(fitted, UNLIKE.scores, UNLIKE.contexts)
    assert not limits.own
    for limit, tail, chart in zip(limits.pooled, fitted.tails.pooled, UNLIKE.scores.T, strict=True):
        rare = [float(rarity(value, tail)) for value in (limit.value, limit.low, limit.high)]
        assert rare == pytest.approx([fitted.action, fitted.low, fitted.high])
        assert limit.center == np.median(chart)
        assert (limit.rate, limit.frames) == (10.0**-fitted.action, fitted.frames)
    joint = joint_scores(UNLIKE.scores, UNLIKE.contexts, fitted.tails)
    over = (UNLIKE.scores > [limit.value for limit in limits.pooled]).any(axis=1)
    assert np.array_equal(over, joint > fitted.action)
    assert np.array_equal(over, JointScale(limits.pooled)(UNLIKE.scores)[0] > 1)


def test_a_limit_beyond_what_was_recorded_says_that_it_is_extrapolated() -> None:
    for expected, extrapolated in ((5.0, False), (0.1, True)):
        found = fit(ALIKE, expected)
        assert {limit.extrapolated for limit in chart_limits(found, ALIKE.scores, ALIKE.contexts).pooled} == {
            extrapolated
        }


def in_contexts(frames: int = 8000) -> Stretches:
    """Four stretches in turns: hatch, whose scores are ten times as large, and contour; one of them begins in skin."""
    held = stretches(np.zeros(4), frames)
    contexts = np.where(held.groups % 2, "contour", "hatch")
    contexts[:frames] = np.where(np.arange(frames) % 20, "hatch", "skin")
    held.scores[contexts == "hatch"] *= 10.0
    return held._replace(contexts=contexts)


def test_contexts_with_frames_enough_have_tails_of_their_own() -> None:
    held = in_contexts()
    tails = fit_tails(held.scores[held.for_tails], held.contexts[held.for_tails], 0.01)
    assert set(tails.own) == {"hatch", "contour"}, "80 frames of skin support no rate of 0.01"
    contour = held.scores[held.for_tails & (held.contexts == "contour"), 1]
    assert np.array_equal(tails.of("contour")[1].body, far_tail(contour).body)
    assert tails.of("skin") is tails.of("never seen") is tails.pooled


def test_frames_without_a_context_have_the_pooled_tails_however_many_they_are() -> None:
    names = np.where(np.arange(len(ALIKE.scores)) % 2, "hatch", "")
    assert set(fit_tails(ALIKE.scores, names, 0.01).own) == {"hatch"}


@pytest.mark.parametrize("name", ["hatch", ""])
def test_the_only_context_has_the_pooled_tails(name: str) -> None:
    assert fit_tails(ALIKE.scores, np.full(len(ALIKE.scores), name), 0.01).own == {}


def test_frames_are_as_rare_as_they_are_in_their_own_context() -> None:
    held = in_contexts()
    found = fit(held, 8.0, one_run=True)
    joint = joint_scores(held.scores, held.contexts, found.tails)
    for name, charts in (("hatch", found.tails.own["hatch"]), ("skin", found.tails.pooled)):
        rows = held.contexts == name
        assert np.array_equal(joint[rows], joint_score(held.scores[rows], charts))
    limits = chart_limits(found, held.scores, held.contexts)
    of_hatch, of_contour = (limits.of(name)[0] for name in ("hatch", "contour"))
    assert of_hatch.value == pytest.approx(10 * of_contour.value, rel=0.5)
    assert of_hatch.center == np.median(held.scores[held.contexts == "hatch", 0])
    judged, _, _ = ContextScale(limits)(held.scores, held.contexts.astype("S"))
    assert np.array_equal(judged > 1, joint > found.action)


@given(st.lists(st.sampled_from(["hatch", "contour", "skin", ""]), min_size=1, max_size=50))
def test_joint_scores_do_not_depend_on_what_stands_beside_them(contexts: list[str]) -> None:
    tails = ContextTails(
        (far_tail(ALIKE.scores[:, 0]),),
        {"hatch": (far_tail(9 * ALIKE.scores[:, 0]),), "contour": (far_tail(ALIKE.scores[:, 0] - 1),)},
    )
    scores, names = ALIKE.scores[: len(contexts), :1], np.array(contexts)
    alone = [joint_scores(scores[i : i + 1], names[i : i + 1], tails)[0] for i in range(len(names))]
    assert np.array_equal(joint_scores(scores, names, tails), alone)


# Stops


def fit_stops(held: Stretches, expected: float, k: int = 2, n: int = 4) -> ActionLimits:
    """Limits that are exceeded *expected* times in the stretches that set them, by a tenth of that for stops."""
    per_hour = expected / held.hours
    stops = StopDemand(0.1 * per_hour, k, n)
    demand = Demand(per_hour, RATE_HZ, 1, 1, 0.01, stops=stops, resamples=RESAMPLES)
    tails = fit_tails(held.scores[held.for_tails], held.contexts[held.for_tails], 0.01)
    return fit_action_limits(held.scores, held.contexts, held.groups, held.groups, tails, held.for_tails, demand)


def test_the_stop_limit_keeps_a_budget_of_its_own_by_a_rule_of_its_own() -> None:
    new = stretches(np.zeros(60), 3000, seed=99)
    counts = []
    for seed in range(8):
        found = fit_stops(held := stretches(np.zeros(6), 3000, seed), 40.0)
        assert found.stops is not None
        joint = joint_scores(new.scores, new.contexts, found.tails)
        record = block_extremes(joint, 2, 4, found.stops.budget.block_frames, np.array([0, len(joint)]))
        counts.append((record.extremes > found.stops.limit).sum() / (4.0 * new.hours / 0.8 / held.hours))
    assert 0.6 < np.mean(counts) < 1.1, "the allowance for groups that differ keeps them below the budget"


def test_without_a_budget_of_stops_nothing_else_changes() -> None:
    bare, found = fit(ALIKE, 20.0), fit_stops(ALIKE, 20.0)
    assert bare.stops is None
    assert found.stops is not None
    assert (found.action, found.low, found.high, found.warning) == (bare.action, bare.low, bare.high, bare.warning)


def test_stops_are_allowed_for_groups_never_seen_as_alarms_are() -> None:
    found = fit_stops(UNLIKE, 20.0)
    assert found.stops is not None
    assert found.shift is not None
    assert found.stops.limit == pytest.approx(found.stops.budget.limit + found.shift.by)


def test_beyond_the_clean_hours_the_stop_limit_is_extrapolated_while_the_alarms_is_not() -> None:
    found = fit_stops(ALIKE, 5.0)
    assert found.stops is not None
    assert found.budget.supported
    assert found.stops.budget.extrapolated_by == pytest.approx(2.0, rel=0.05)


def test_too_few_frames_for_a_long_rule_set_no_stop_limit() -> None:
    found = fit_stops(stretches([0.0, 0.0], 300), 5.0, k=3, n=4)
    assert found.stops is None, "480 frames are less than twenty blocks of forty"
