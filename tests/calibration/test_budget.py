"""The budget of false alarms: its events are the rule's; honest where hours are too few; fitted again from blocks."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from calibration.action import ActionLimits, Demand, fit_action_limits, fit_tails
from calibration.blocks import begin, block_extremes, step
from calibration.budget import BudgetLimit, budget_limit, for_tails, joint_score
from calibration.charts import CalibrationError
from calibration.events import EventRule, start
from calibration.events import step as judge
from calibration.tails import far_tail, score_of

Float64s = npt.NDArray[np.float64]
RATE_HZ = 100.0
FRAMES = 50_000
HOURS = FRAMES / RATE_HZ / 3600


def charts(seed: int = 0, frames: int = FRAMES, memory: float = 0.9) -> Float64s:
    noise = np.random.default_rng(seed).standard_normal((frames, 3))
    z = lfilter([np.sqrt(1 - memory**2)], [1, -memory], noise, axis=0)
    return np.stack([z[:, 0], np.exp(z[:, 1] / 2), 5 + 100 * np.logaddexp(0, z[:, 2])], axis=1)


def fit(scores: Float64s, expected: float, groups: npt.NDArray[np.int64] | None = None, **more: int) -> ActionLimits:
    """Limits that *expected* events of charts() exceed, by 2 of 3 frames."""
    nowhere, alike = np.full(len(scores), ""), np.zeros(len(scores), np.int64)
    labels = alike if groups is None else groups
    late = for_tails(labels, alike)
    tails = fit_tails(scores[late], nowhere[late], 0.001)
    demand = Demand(expected / HOURS, RATE_HZ, 2, 3, 0.001)
    return fit_action_limits(scores, nowhere, labels, alike, tails, late, demand, **more)


RECORD = step(begin(1, 1, 100), charts()[:, 0])  # blocks of a second


@pytest.fixture(scope="module")
def fitted() -> ActionLimits:
    return fit(charts(), 5)


def record_of(extremes: Float64s, block: int = 36) -> BudgetLimit:
    return budget_limit(step(begin(1, 1, block), np.repeat(extremes, block)), 1.0, RATE_HZ)


def test_the_rule_finds_at_the_charts_limits_the_events_of_the_joint_limit(fitted: ActionLimits) -> None:
    """About four events in the stretch that set the limit, with one block as the dead time."""
    scores = charts()[: FRAMES * 4 // 5]
    limits = [score_of(fitted.budget.limit, tail) for tail in fitted.tails.pooled]
    over = (scores > limits).any(axis=1)
    rows = np.zeros(len(over), [("seq", "i8"), ("joint", "f8")])
    rows["joint"] = np.where(over, 2.0, 0.5)
    rule = EventRule(2, 3, fitted.budget.block_frames)
    _, changes = judge(rule, start(rule), rows)
    assert 2 <= sum(change.phase == "began" for change in changes) <= 6
    joint = joint_score(scores, fitted.tails.pooled)
    assert np.array_equal(joint > fitted.budget.limit, over)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6))
def test_of_one_run_the_last_fifth_of_every_stretch_fits_the_tails(lengths: list[int]) -> None:
    groups = np.repeat(np.arange(len(lengths)), lengths)
    late = np.split(for_tails(groups, np.zeros_like(groups)), np.cumsum(lengths)[:-1])
    for length, part in zip(lengths, late, strict=True):
        assert abs(part.sum() - length / 5) <= 0.5
        assert part[length - part.sum() :].all()


def test_each_run_gives_another_fifth_to_the_tails_and_all_its_stretches_the_same() -> None:
    runs = np.repeat([7, 3, 8, 1, 4, 4, 9], 10)
    parts = for_tails(np.repeat(np.arange(7), 10), runs).reshape(7, 5, 2).all(axis=2)
    assert parts.sum() == 7
    assert parts.argmax(axis=1).tolist() == [4, 3, 2, 1, 0, 0, 4]


def test_the_last_fifth_of_every_stretch_fits_the_tails_and_the_rest_the_limit(fitted: ActionLimits) -> None:
    found = fit(charts(), 5, np.repeat([0, 1], [20_000, 30_000]))
    late = np.concatenate((np.arange(16_000, 20_000), np.arange(44_000, 50_000)))
    assert np.array_equal(found.tails.pooled[0].body, far_tail(charts()[late, 0]).body)
    assert len(found.record.extremes) == 40_000 // found.budget.block_frames
    assert fitted.budget.hours == pytest.approx(0.8 * HOURS, rel=0.02)


def test_layers_shorter_than_a_block_share_blocks() -> None:
    """Gaps every 100 frames: blocks hold whole layers, and the limit is nearly that of the stream in one piece."""
    layers = np.arange(FRAMES) // 100
    found, whole = (fit(charts(4), 8, groups, layer_frames=250).budget for groups in (layers, None))
    assert found.block_frames >= 250
    assert found.hours == pytest.approx(0.8 * HOURS, rel=0.02)
    assert found.low < whole.limit < found.high


def test_a_limit_is_fitted_again_without_frames(fitted: ActionLimits) -> None:
    assert budget_limit(fitted.record, 5 / HOURS, RATE_HZ) == fitted.budget


def test_more_blocks_turn_an_extrapolated_limit_into_a_supported_one(fitted: ActionLimits) -> None:
    rare = 0.5 / HOURS
    before = budget_limit(fitted.record, rare, RATE_HZ)
    joints = [joint_score(charts(seed), fitted.tails.pooled) for seed in range(5, 9)]
    length = fitted.budget.block_frames
    more = [block_extremes(joint, 2, 3, length, np.array([0, len(joint)])) for joint in joints]
    longer = fitted.record._replace(extremes=np.concatenate([one.extremes for one in (fitted.record, *more)]))
    after = budget_limit(longer, rare, RATE_HZ)
    assert not before.supported
    assert before.extrapolated_by == pytest.approx(2.5, rel=0.1)
    assert "2.5 times too short" in before.why
    assert before.method.startswith("peaks over threshold")
    assert after.supported
    assert after.method.startswith("conformal")
    assert after.high - after.low < before.high - before.low


def test_bounds_surround_the_limit_and_the_conservative_one_is_above_it(fitted: ActionLimits) -> None:
    found = fitted.budget
    assert found.low < found.limit < found.conservative < found.high
    expected = 5 / HOURS * found.hours * (1 + 1 / found.blocks)
    assert (
        found.why == f"about {expected:.3g} events exceed the limit in the {found.hours:.3g} judged hours that set it"
    )


@given(st.floats(0.01, 300.0))
def test_a_budget_that_blocks_allow_is_promised_as_it_is(per_hour: float) -> None:
    found = budget_limit(RECORD, per_hour, RATE_HZ)
    assert found.per_hour == per_hour
    assert "promises" not in found.why


def test_a_budget_of_more_than_one_block_in_ten_promises_fewer_events() -> None:
    """One event an hour of blocks of a second would be 1 in 3,600; 1,800 an hour are every second block."""
    found = budget_limit(RECORD, 1800.0, RATE_HZ)
    assert found.per_hour == pytest.approx(360.0)
    assert "it promises 360 events an hour, not 1.8e+03" in found.why
    assert found.limit == budget_limit(RECORD, 360.0, RATE_HZ).limit


def test_blocks_that_are_alike_count_as_fewer_and_widen_the_bounds() -> None:
    extremes = np.random.default_rng(0).exponential(size=400)
    alike = np.sort(extremes.reshape(20, 20), axis=0).ravel()  # the same values, in twenty rising levels
    one, other = record_of(extremes, 9000), record_of(alike, 9000)
    assert other.limit < one.limit, "neighbours over it are one event"
    assert other.effective_blocks < one.effective_blocks / 5
    assert other.high - other.low > one.high - one.low
    assert "neighbouring blocks are alike" in other.why
    assert "alike" not in one.why


def test_a_run_that_is_high_throughout_is_one_event_of_many() -> None:
    """Of forty runs of ten blocks one is high throughout: ten events are ten runs' worth, not that one's."""
    extremes = np.random.default_rng(0).exponential(size=(40, 10))
    extremes[7] += 20
    found = record_of(extremes.ravel(), 9000)
    over = extremes.ravel() > found.limit
    assert np.diff(np.concatenate(([False], over)).astype(int)).clip(0).sum() == pytest.approx(10, abs=1)
    assert over[70:80].all()
    long = budget_limit(begin(1, 1, 9000)._replace(extremes=extremes.ravel()), 1.0, RATE_HZ, dead_frames=4000)
    assert (extremes > long.limit).sum() == pytest.approx(10, abs=1), "of blocks longer than the dead time each is one"


def test_however_long_events_last_no_more_than_one_block_in_ten_is_over() -> None:
    """Of a stream that only rises any limit makes one event: ten an hour would let nearly all of it through."""
    rising = np.sort(np.random.default_rng(0).exponential(size=400))
    found = record_of(rising, 9000)
    assert found.capped
    assert np.mean(rising > found.limit) == pytest.approx(0.1, abs=0.003)
    assert found.low > np.quantile(rising, 0.5)
    assert "fewer than 10 events exceed the limit" in found.why
    assert "no more than one block in ten is let through" in found.why
    assert not record_of(np.random.default_rng(0).exponential(size=400), 9000).capped


budgets = st.floats(1e-3, 1e5)


@given(budgets, budgets)
def test_every_limit_falls_as_the_budget_grows(fitted: ActionLimits, one: float, other: float) -> None:
    small, large = (budget_limit(fitted.record, events, RATE_HZ) for events in sorted((one, other)))
    for name in ("limit", "low", "high", "conservative"):
        assert getattr(small, name) >= getattr(large, name) - 1e-9


def test_what_no_limit_can_rest_on_is_refused() -> None:
    with pytest.raises(CalibrationError, match="19 blocks are too few"):
        record_of(np.arange(19.0))
    with pytest.raises(CalibrationError, match="leave it out"):
        record_of(np.append(np.arange(30.0), np.inf))


@pytest.mark.parametrize(("per_hour", "rate_hz"), [(0.0, 100.0), (-1.0, 100.0), (1.0, 0.0), (float("nan"), 1.0)])
def test_a_budget_or_a_rate_of_nothing_is_refused(per_hour: float, rate_hz: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        budget_limit(step(begin(1, 1, 5), np.arange(200.0)), per_hour, rate_hz)
