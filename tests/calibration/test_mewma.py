"""The memory chart: what it computes, however its stream is cut, and what it leaves out."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, kstest

from calibration.mewma import Mewma, MewmaState, mewma, start, step, weight_for

Float64s = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

CHART = mewma((0.001, 0.01, 0.5), 10_000.0)


def latents(n: int, p: int = 5, seed: int = 0) -> Float64s:
    return np.random.default_rng(seed).normal(size=(n, p))


def by_the_equation(chart: Mewma, q: Float64s, skip: Flags, begin: Flags) -> Float64s:
    """Frame by frame, as the chart's definition reads."""
    found = np.zeros((len(q), len(chart.weights)))
    for index, weight in enumerate(chart.weights):
        z, t = np.zeros(q.shape[1]), 0
        for frame, d in enumerate(q):
            if begin[frame]:
                z, t = np.zeros(q.shape[1]), 0
            if not skip[frame]:
                z, t = weight * d + (1 - weight) * z, t + 1
            variance = weight / (2 - weight)
            if chart.exact_start:
                variance *= 1 - (1 - weight) ** (2 * max(t, 1))
            found[frame, index] = z @ z / variance
    return found


def in_batches(
    chart: Mewma, q: Float64s, cuts: list[int], skip: Flags | None = None, begin: Flags | None = None
) -> tuple[MewmaState, Float64s]:
    state, found = start(chart, q.shape[1]), []
    for first, last in zip([0, *cuts], [*cuts, len(q)], strict=True):
        rows = slice(first, last)
        state, statistics = step(
            chart, state, q[rows], None if skip is None else skip[rows], None if begin is None else begin[rows]
        )
        found.append(statistics)
    return state, np.concatenate(found)


@pytest.mark.parametrize("exact_start", [False, True])
def test_the_statistic_is_that_of_the_equation(exact_start: bool) -> None:
    chart, q = CHART._replace(exact_start=exact_start), latents(300)
    random = np.random.default_rng(1)
    skip, begin = random.random(300) < 0.2, random.random(300) < 0.03
    _, found = step(chart, start(chart, 5), q, skip, begin)
    np.testing.assert_allclose(found, by_the_equation(chart, q, skip, begin), rtol=1e-12)


@settings(max_examples=80, deadline=None)
@given(st.data(), st.integers(1, 40), st.booleans(), st.sampled_from([np.float32, np.float64]))
def test_a_stream_cut_into_any_batches_gives_the_same_to_the_last_bit(data, p: int, exact: bool, kind) -> None:
    n = data.draw(st.integers(1, 90))
    q = latents(n, p, data.draw(st.integers(0, 9))).astype(kind)
    flags = st.lists(st.sampled_from([False, False, False, True]), min_size=n, max_size=n).map(np.array)
    skip, begin = data.draw(flags), data.draw(flags)
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=6)))
    chart = CHART._replace(exact_start=exact)
    whole, whole_statistics = step(chart, start(chart, p), q, skip, begin)
    state, statistics = in_batches(chart, q, cuts, skip, begin)
    assert state.memory.tobytes() == whole.memory.tobytes()
    assert state.taken == whole.taken
    assert statistics.tobytes() == whole_statistics.tobytes()


def test_frame_by_frame_is_as_all_at_once() -> None:
    q = latents(200, 32)
    np.testing.assert_array_equal(in_batches(CHART, q, list(range(1, 200)))[1], step(CHART, start(CHART, 32), q)[1])


def test_skipped_frames_neither_enter_nor_age_the_memory() -> None:
    q, skip = latents(50), np.zeros(50, bool)
    skip[[0, 10, 11, 49]] = True
    state, found = step(CHART, start(CHART, 5), q, skip)
    without, taken = step(CHART, start(CHART, 5), q[~skip])
    np.testing.assert_array_equal(found[~skip], taken)
    np.testing.assert_array_equal(state.memory, without.memory)
    assert state.taken == without.taken == 46
    assert (found[0] == 0).all()  # nothing seen yet
    np.testing.assert_array_equal(found[[10, 11, 49]], found[[9, 9, 48]])  # it stands still


def test_a_new_beginning_is_as_a_new_chart() -> None:
    q, begin = latents(60), np.zeros(60, bool)
    begin[[0, 25]] = True
    used, _ = step(CHART, start(CHART, 5), q + 3)
    _, found = step(CHART, used, q, begin=begin)
    np.testing.assert_array_equal(found[:25], step(CHART, start(CHART, 5), q[:25])[1])
    np.testing.assert_array_equal(found[25:], step(CHART, start(CHART, 5), q[25:])[1])


def test_a_frame_that_is_not_a_number_is_infinitely_far_and_leaves_the_memory_alone() -> None:
    q = latents(20)
    q[7, 2], q[8, 0] = np.nan, np.inf
    state, found = step(CHART, start(CHART, 5), q)
    assert np.isinf(found[[7, 8]]).all()
    assert np.isfinite(np.delete(found, [7, 8], axis=0)).all()
    assert state.taken == 18
    np.testing.assert_array_equal(state.memory, step(CHART, start(CHART, 5), np.delete(q, [7, 8], axis=0))[0].memory)


def test_neither_the_state_nor_the_latents_are_changed_in_place() -> None:
    q = latents(10)
    state, _ = step(CHART, start(CHART, 5), q)
    kept, before = state.memory.copy(), q.copy()
    step(CHART, state, q)
    np.testing.assert_array_equal(state.memory, kept)
    np.testing.assert_array_equal(q, before)
    assert state.memory.base is None, "a state must not keep a batch alive"


def test_no_frames_change_nothing() -> None:
    state, _ = step(CHART, start(CHART, 5), latents(3))
    after, statistics = step(CHART, state, np.zeros((0, 5)))
    assert statistics.shape == (0, 3)
    np.testing.assert_array_equal(after.memory, state.memory)
    after, statistics = step(CHART, state, latents(4), np.ones(4, bool))
    assert after.taken == state.taken == 3
    assert (statistics == statistics[0]).all()


def test_in_control_it_follows_the_chi_square_law() -> None:
    """In the long run; with the exact start from the first frame on."""
    p, weight, streams = 6, 0.1, 1500
    charts = Mewma((weight,)), Mewma((weight,), exact_start=True)
    early, late = np.zeros((2, streams)), np.zeros((2, streams))
    for stream in range(streams):
        q = latents(60, p, stream)
        for row, chart in enumerate(charts):
            statistics = step(chart, start(chart, p), q)[1][:, 0]
            early[row, stream], late[row, stream] = statistics[2], statistics[-1]
    assert kstest(late[0], chi2(p).cdf).pvalue > 0.01
    assert kstest(early[1], chi2(p).cdf).pvalue > 0.01
    assert early[0].mean() == pytest.approx(p * (1 - 0.9**6), rel=0.05)  # the default starts low


def test_a_small_lasting_shift_stands_out_in_the_long_memory_only() -> None:
    q = latents(4000, 8) + 0.3 / np.sqrt(8)
    _, found = step(CHART, start(CHART, 8), q)
    beyond = (found[1000:] > chi2.isf(1e-3, 8)).mean(axis=0)
    assert beyond[0] < 0.05
    assert beyond[2] == 1.0


def test_a_memory_in_seconds_fades_to_one_over_e_in_them() -> None:
    weight = weight_for(0.01, 10_000.0)
    assert (1 - weight) ** 100 == pytest.approx(np.exp(-1), rel=1e-12)
    assert weight == pytest.approx(0.00995, abs=1e-6)
    assert weight_for(3600.0, 120_000.0) == pytest.approx(1 / (3600 * 120_000), rel=1e-6)
    assert mewma((1.0, 10.0), 50.0).weights == (weight_for(1.0, 50.0), weight_for(10.0, 50.0))


def test_memories_frame_rates_and_latents_that_make_no_sense_are_refused() -> None:
    for seconds, rate in ((0.0, 100.0), (1.0, 0.0), (-1.0, 100.0), (float("nan"), 100.0), (1.0, float("inf"))):
        with pytest.raises(ValueError, match="above 0"):
            weight_for(seconds, rate)
    with pytest.raises(ValueError, match="at least one memory"):
        mewma((), 100.0)
    with pytest.raises(ValueError, match=r"must be of shape \(n, 5\), not \(3, 4\)"):
        step(CHART, start(CHART, 5), np.zeros((3, 4)))
