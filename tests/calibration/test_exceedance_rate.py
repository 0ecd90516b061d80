"""The chart of rates: units however the stream is cut, a limit that holds on clusters, and its summaries."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.stats import beta, betabinom, binom, norm

from calibration.beta_binomial import rate_of
from calibration.charts import CalibrationError
from calibration.exceedance_rate import (
    CONFORMAL,
    LAW,
    PEAKS,
    RateLimit,
    Unit,
    UnitRule,
    count_limit,
    judge,
    rate_limit,
    reset,
    share_of,
    start,
    step,
    why_uncharted,
)

Float64s = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Rows = npt.NDArray[np.void]
ROW = np.dtype([("seq", "i8"), ("layer", "i8"), ("job", "S8"), ("joint", "f8")])
RULE = UnitRule(window=4, frames_min=3)


class Counted(NamedTuple):
    """A unit in plain numbers."""

    job: bytes
    layer: int
    first: int
    last: int
    peak: int
    frames: int
    exceedances: int
    partial: bool


def counted(unit: Unit) -> Counted:
    seqs = (int(row["seq"]) for row in (unit.first, unit.last, unit.peak))
    return Counted(unit.job, max(unit.layer, -1), *seqs, unit.frames, unit.exceedances, unit.partial)


def rows_of(places: Sequence[tuple[int, bytes]], joint: Sequence[float]) -> Rows:
    rows = np.zeros(len(places), ROW)
    rows["seq"] = 100 + np.arange(len(places))
    rows["joint"] = joint
    if places:
        rows["layer"], rows["job"] = zip(*places, strict=True)
    return rows


def reference(rows: Rows) -> list[Counted]:
    """All units, the open one as partial, by the definition: frame by frame."""
    units: list[Counted] = []
    members: list[int] = []

    def end(partial: bool) -> None:
        if members:
            of_unit = rows[members]
            peak = members[int(np.argmax(of_unit["joint"]))]
            seqs = (int(rows["seq"][i]) for i in (members[0], members[-1], peak))
            layer, over = max(int(of_unit["layer"][0]), -1), int((of_unit["joint"] > 1).sum())
            units.append(Counted(of_unit["job"][0], layer, *seqs, len(members), over, partial))
            members.clear()

    for i in range(len(rows)):
        layers = np.maximum(rows["layer"][[i - 1, i]], -1)
        if members and (layers[0] != layers[1] or rows["job"][i] != rows["job"][i - 1]):
            end(partial=bool(layers[0] < 0))
        members.append(i)
        if layers[1] < 0 and len(members) == RULE.window:
            end(partial=False)
    end(partial=True)
    return units


def units_of(rows: Rows, cuts: Sequence[int] = ()) -> list[Unit]:
    unit, found = start(RULE), []
    for batch in np.split(rows, cuts):
        unit, finished = step(RULE, unit, batch, batch["joint"] > 1)
        found += finished
    return found + reset(unit)


PLACES = st.lists(
    st.tuples(st.sampled_from([-2, -1, -1, 0, 1, 2]), st.sampled_from([b"a", b"a", b"b"]), st.integers(1, 9)),
    max_size=12,
).map(lambda runs: [(layer, job) for layer, job, length in runs for _ in range(length)])


@settings(deadline=None)
@given(PLACES, st.data())
def test_any_cutting_gives_the_units_of_the_frame_by_frame_reference(
    places: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    joint = data.draw(st.lists(st.sampled_from([0.5, 1.0, 1.5, 3.0]), min_size=len(places), max_size=len(places)))
    rows = rows_of(places, joint)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=8)))
    units = units_of(rows, cuts)
    assert [counted(unit) for unit in units] == reference(rows)
    assert sum(unit.frames for unit in units) == len(rows)


def test_units_that_are_partial_or_small_are_not_charted_and_say_why() -> None:
    places = [(0, b"a")] * 3 + [(1, b"a")] * 2 + [(-1, b"a")] * 5 + [(2, b"b")] * 3
    units = units_of(rows_of(places, [0.0] * 13))
    assert [why_uncharted(RULE, unit) for unit in units] == [None, "few_frames", None, "partial", "partial"]
    assert [unit.frames for unit in units] == [3, 2, 4, 1, 3]


@pytest.mark.parametrize("rule", [UnitRule(0, 1), UnitRule(10, 11), UnitRule(10, 0)])
def test_a_rule_that_charts_no_window_is_refused(rule: UnitRule) -> None:
    with pytest.raises(ValueError, match="1 <= frames_min <= window"):
        start(rule)


def shape(mean: float, inflated: float, frames: int) -> tuple[float, float]:
    total = (frames - 1) / (inflated - 1) - 1
    return mean * total, (1 - mean) * total


def beyond(mean: float, inflated: float, frames: int) -> Float64s:
    """The probability (frames + 2,) of so many exceedances or more."""
    pmf = betabinom.pmf(np.arange(frames + 1), frames, *shape(mean, inflated, frames))
    return np.append(np.cumsum(pmf[::-1])[::-1], 0.0)


def drawn(units: int, mean: float = 0.01, inflated: float = 3.0, frames: int = 500, seed: int = 0) -> Counts:
    random = np.random.default_rng(seed)
    return np.asarray(random.binomial(frames, random.beta(*shape(mean, inflated, frames), units)))


def limit_on(x: npt.ArrayLike, share: float = 0.01, frames: int = 500) -> RateLimit:
    return rate_limit(x, np.full(np.shape(x), frames), share)


def binomial_most(x: Counts, share: float, frames: int) -> int:
    return int(binom.isf(share, frames, max(x.mean(), 0.01) / frames))


@pytest.mark.parametrize(("units", "share"), [(8, 0.05), (30, 0.01), (120, 0.1)])
def test_over_calibrations_the_share_is_kept_where_a_binomial_limit_breaks_it(units: int, share: float) -> None:
    """Counts of three times the variance of a binomial: by the law (8 and 30 units), and by the order of units."""
    tail, realised, of_binomial = beyond(0.01, 3.0, 500), [], []
    for seed in range(30):
        x = drawn(units, seed=seed)
        realised.append(tail[count_limit(limit_on(x, share), 500).most + 1] / share)
        of_binomial.append(tail[binomial_most(x, share, 500) + 1] / share)
    error = np.std(realised) / np.sqrt(len(realised))
    assert 0.8 - 3 * error < np.mean(realised) < 1.1 + 3 * error
    assert np.mean(of_binomial) > 1.7
    assert np.mean(realised) < np.mean(of_binomial) / 1.7


def clusters(units: int, random: np.random.Generator, memory: float = 0.9, rate: float = 0.01) -> Counts:
    """Frames of 500 over a level that an AR(1) stream exceeds at *rate*."""
    noise = random.standard_normal((units, 500 + 100))
    z = lfilter([np.sqrt(1 - memory**2)], [1, -memory], noise, axis=1)[:, 100:]
    return np.asarray((z > norm.isf(rate)).sum(axis=1))


def test_clusters_of_an_autocorrelated_stream_keep_to_the_share() -> None:
    """AR(1) of 0.9: a binomial limit for one unit in a hundred would be exceeded by one in twenty, or more."""
    random = np.random.default_rng(0)
    new = np.concatenate([clusters(1000, random) for _ in range(5)])
    realised, of_binomial = [], []
    for _ in range(30):
        x = clusters(30, random)
        realised.append((new > count_limit(limit_on(x), 500).most).mean())
        of_binomial.append((new > binomial_most(x, 0.01, 500)).mean())
    error = np.std(realised) / np.sqrt(len(realised))
    assert 0.004 - 3 * error < np.mean(realised) < 0.01 + 3 * error
    assert np.mean(of_binomial) > 0.05


@pytest.mark.parametrize(("frames", "found"), [(500, 0.05), (2000, 0.25), (5000, 0.7)])
def test_a_doubled_rate_is_the_surer_found_the_more_frames_a_layer_has(frames: int, found: float) -> None:
    """1 % of frames in control, three times the variance of a binomial, one false alarm in a hundred layers."""
    doubled = beyond(0.02, 3.0, frames)
    limits = [count_limit(limit_on(drawn(50, frames=frames, seed=seed), frames=frames), frames) for seed in range(10)]
    assert np.mean([doubled[limit.most + 1] for limit in limits]) > found


@pytest.mark.parametrize(
    ("units", "share", "method", "supported"),
    [(30, 0.01, LAW, False), (200, 0.01, LAW, True), (200, 0.05, CONFORMAL, True)],
)
def test_units_set_the_limit_by_their_order_once_ten_are_expected_beyond_it(
    units: int, share: float, method: str, supported: bool
) -> None:
    found = limit_on(drawn(units), share)
    assert (found.method, found.supported, found.units) == (method, supported, units)
    assert ("extrapolated" in found.why) == (not supported)
    assert 0 < found.low <= found.limit <= found.high
    assert found.limit <= found.conservative <= found.high


def test_the_interval_holds_the_true_limit() -> None:
    """In nine of ten calibrations: in 27 of 30, less three standard errors."""
    true = int(np.argmax(beyond(0.01, 3.0, 500) < 0.01)) - 1
    limits = [count_limit(limit_on(drawn(20, seed=seed)), 500) for seed in range(30)]
    assert sum(limit.low <= true <= limit.high for limit in limits) >= 23


def test_more_units_narrow_the_interval() -> None:
    few, many = (limit_on(drawn(units)) for units in (10, 400))
    assert many.high - many.low < (few.high - few.low) / 2


SOME, MANY, SPOILT = limit_on(drawn(20)), limit_on(drawn(300)), limit_on([*drawn(25), 400])


@pytest.mark.parametrize("x", [drawn(20), drawn(150), drawn(300), [*drawn(25), 400]])
def test_the_limit_falls_as_the_share_grows_whatever_sets_it(x: npt.ArrayLike) -> None:
    limits = [limit_on(x, share).limit for share in np.geomspace(1e-4, 0.1, 8)]
    assert (np.diff(limits) <= 1e-9).all()


@pytest.mark.parametrize("units", [10, 25, 80])
def test_a_unit_that_the_law_cannot_hold_is_named_however_few_there_are(units: int) -> None:
    found = limit_on([*drawn(units), 90])
    assert found.suspects == (units,)
    assert found.method == PEAKS
    assert f"look at the 1 that such a law does not let expect, from unit {units} on" in found.why
    assert found.limit >= 2.0
    assert SOME.suspects == MANY.suspects == ()


def test_units_in_control_are_hardly_ever_suspected() -> None:
    """Once in a hundred calibrations, by what a suspect is."""
    assert sum(bool(limit_on(drawn(12, seed=seed)).suspects) for seed in range(40)) <= 2


def test_neighbours_that_are_alike_say_less() -> None:
    x = np.sort(drawn(60))
    alike, mixed = limit_on(x), limit_on(np.random.default_rng(0).permutation(x))
    assert alike.effective_units < mixed.effective_units / 3
    assert alike.high > mixed.high
    assert "neighbouring units are alike" in alike.why
    assert "alike" not in mixed.why


def test_no_exceedance_at_all_still_gives_a_limit_of_a_few() -> None:
    """And the more units without any, the fewer: after 90, any exceedance is rarer than one unit in a hundred."""
    limits = [count_limit(limit_on(np.zeros(units)), 500) for units in (8, 20, 30, 90)]
    most = [limit.most for limit in limits]
    assert most == sorted(most, reverse=True)
    assert 2 <= most[0] <= 6
    assert most[-1] == 0
    assert all(limit.low <= limit.most <= limit.high for limit in limits)


def test_more_frames_may_have_more_exceedances_at_a_lower_rate() -> None:
    frames = (50, 250, 500, 1000, 5000)
    most = [count_limit(SOME, n).most for n in frames]
    assert most == sorted(most)
    rates = np.array(most) / frames
    assert (np.diff(rates[:3]) < 0).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 3000), st.data())
def test_a_unit_is_over_just_beyond_the_most_it_may_have(frames: int, data: st.DataObject) -> None:
    found = data.draw(st.sampled_from([SOME, MANY, SPOILT]))
    most = count_limit(found, frames).most
    score = judge(found, most, frames)
    assert not score.over
    assert score.ratio <= 1
    if most < frames:
        beyond_it = judge(found, most + 1, frames)
        assert beyond_it.over
        assert beyond_it.ratio > 1
        assert np.isfinite(beyond_it.score)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(40, 300)), min_size=8, max_size=40), st.floats(1e-5, 0.1))
def test_whatever_the_units_the_limit_is_finite(units: list[tuple[int, int]], share: float) -> None:
    try:
        found = rate_limit(*np.array(units).T, share)
    except CalibrationError:  # of units that are too short: see below
        return
    bounds = [found.limit, found.low, found.high, found.conservative, found.effective_units, found.extrapolated_by]
    assert np.isfinite(bounds).all()
    assert 0 <= found.low <= found.limit <= found.conservative
    assert found.limit <= found.high


@pytest.mark.parametrize(
    ("x", "frames", "told"),
    [
        ([1.0] * 7, [100.0] * 7, "7 units are too few: judge at least 8"),
        ([1.0] * 8 + [np.nan], [100.0] * 9, "not finite: leave those units out"),
        ([1.0] * 9, [100.0] * 8 + [np.inf], "not finite"),
        ([1.5] * 8, [100.0] * 8, "whole numbers"),
        ([101.0] * 8, [100.0] * 8, "whole numbers"),
        ([-1.0] * 8, [100.0] * 8, "whole numbers"),
        ([0.0] * 8, [0.0] * 8, "whole numbers"),
    ],
)
def test_what_no_limit_can_rest_on_is_refused(x: list[float], frames: list[float], told: str) -> None:
    with pytest.raises(CalibrationError, match=told):
        rate_limit(x, frames, 0.01)


def test_units_too_short_to_be_ever_out_of_control_are_refused() -> None:
    with pytest.raises(CalibrationError, match="no unit of 5 frames could exceed its limit: give more or longer"):
        limit_on([0, 5] * 5, 0.001, frames=5)


def test_questions_without_an_answer_are_refused() -> None:
    for share in (0.0, -1.0, 0.2, float("nan")):
        with pytest.raises(ValueError, match="share of units"):
            limit_on(drawn(20), share)
    with pytest.raises(ValueError, match="one shape"):
        rate_limit(np.ones(9), np.ones(8), 0.01)
    with pytest.raises(ValueError, match="no unit of 5 judged frames has 6"):
        judge(SOME, 6, 5)
    with pytest.raises(ValueError, match="above 0"):
        share_of(1.0, 0.0)


def test_a_budget_of_events_an_hour_is_a_share_of_units_up_to_one_in_ten() -> None:
    assert share_of(0.1, 1 / 60) == pytest.approx(1 / 600)
    assert share_of(100.0, 1 / 60) == 0.1


def unit(layer: int, exceedances: int, job: bytes = b"a", frames: int = 500, partial: bool = False) -> Unit:
    row = rows_of([(layer, job)], [0.5])[0]
    return Unit(row, row, row, frames, exceedances, partial)


BIG_RULE = UnitRule(500, 100)


def test_the_interval_of_a_rate_covers_it_in_nine_jobs_of_ten_despite_clusters() -> None:
    """Of 20 layers each; Clopper and Pearson's, which takes frames for independent, does in fewer than eight of ten."""
    law = limit_on(drawn(100)).law
    rates = [rate_of(law, drawn(20, seed=seed).tolist(), [500] * 20) for seed in range(100, 300)]
    assert 0.83 < np.mean([rate.low < 0.01 < rate.high for rate in rates]) < 0.97
    assert all(rate.low < rate.rate < rate.high for rate in rates)
    x, n = np.array([(rate.exceedances, rate.frames) for rate in rates]).T
    assert np.mean((beta.ppf(0.05, x, n - x + 1) < 0.01) & (beta.ppf(0.95, x + 1, n - x) > 0.01)) < 0.8


def test_units_wilder_than_the_law_widen_their_own_interval() -> None:
    law = limit_on(drawn(100)).law
    calm, wild = (rate_of(law, x, [500] * 10) for x in ([10] * 10, [0, 20] * 5))
    assert wild.rate == calm.rate
    assert wild.high - wild.low > 1.2 * (calm.high - calm.low)


@pytest.mark.parametrize(("hits", "low", "high"), [(0, 0.0, None), (500, None, 1.0)])
def test_rates_of_none_and_all_have_one_sided_bounds(hits: int, low: float | None, high: float | None) -> None:
    rate = rate_of(SOME.law, [hits], [500])
    assert rate.low == low if low is not None else 0.9 < rate.low < 1
    assert rate.high == high if high is not None else 0 < rate.high < 0.1
