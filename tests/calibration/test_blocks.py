"""Block extremes: the statistic is the event rule's own, whatever the batches, and blocks grow past what is alike."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from calibration.blocks import (
    BLOCKS_MIN,
    BlockExtremes,
    begin,
    block_extremes,
    block_frames,
    dependence,
    event_statistic,
    gap,
    step,
)
from calibration.charts import CalibrationError
from calibration.events import EventRule, start
from calibration.events import step as judge

Float64s = npt.NDArray[np.float64]
LIMIT = 3.0
levels = st.lists(st.sampled_from([0.0, 1.0, 2.0, LIMIT, float(np.nextafter(LIMIT, 4)), 5.0]), max_size=40)
rules = st.tuples(st.integers(1, 4), st.integers(0, 3)).map(lambda pair: (pair[0], sum(pair)))


def ar(memory: float, frames: int, seed: int = 0) -> Float64s:
    noise = np.random.default_rng(seed).standard_normal(frames)
    return np.asarray(lfilter([np.sqrt(1 - memory**2)], [1, -memory], noise))


def borders(*lengths: int) -> npt.NDArray[np.int64]:
    return np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)


def same(one: BlockExtremes, other: BlockExtremes) -> bool:
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one, other, strict=True))


@given(levels, rules)
def test_it_is_the_kth_largest_of_the_window(joint: list[float], rule: tuple[int, int]) -> None:
    k, n = rule
    found = event_statistic(np.array(joint), k, n)
    for i, value in enumerate(found):
        window = sorted(joint[max(0, i - n + 1) : i + 1], reverse=True)
        assert value == (window[k - 1] if len(window) >= k else -np.inf)


@given(levels, rules, st.integers(1, 6))
def test_events_of_the_rule_at_a_limit_are_those_of_the_statistic(
    joint: list[float], rule: tuple[int, int], clear_frames: int
) -> None:
    """Begun and ended at the very frames; a frame at the limit is not over."""
    k, n = rule
    over = np.flatnonzero(event_statistic(np.array(joint), k, n) > LIMIT)
    begins = over[np.diff(over, prepend=-len(joint) - 99) > clear_frames]
    lasts = over[np.diff(over, append=2 * len(joint) + 99) > clear_frames]
    event_rule = EventRule(k, n, clear_frames)
    state, told = start(event_rule), []
    for i, score in enumerate(joint):
        row = np.array([(i, score / LIMIT)], [("seq", "i8"), ("joint", "f8")])
        state, changes = judge(event_rule, state, row)
        told += [(change.phase, i) for change in changes if change.phase != "grew"]
    assert [i for phase, i in told if phase == "began"] == begins.tolist()
    ends = [last + clear_frames for last in lasts.tolist() if last + clear_frames < len(joint)]
    assert [i for phase, i in told if phase == "ended"] == ends


@given(st.lists(levels, min_size=1, max_size=4), rules)
def test_windows_do_not_reach_across_gaps(stretches: list[list[float]], rule: tuple[int, int]) -> None:
    whole = event_statistic(np.concatenate([*stretches]), *rule, borders(*map(len, stretches)))
    assert np.array_equal(whole, np.concatenate([event_statistic(np.array(one), *rule) for one in stretches]))


@given(st.integers(1, 60), st.data())
def test_of_a_long_stretch_it_is_the_kth_largest_of_each_window(n: int, data: st.DataObject) -> None:
    k, seed = data.draw(st.integers(1, n)), data.draw(st.integers(0, 99))
    joint = np.round(np.random.default_rng(seed).exponential(1.0, 300), data.draw(st.integers(0, 3)))
    joint[::17] = np.inf
    padded = np.concatenate((np.full(n - 1, -np.inf), joint))
    windows = np.lib.stride_tricks.sliding_window_view(padded, n)
    assert np.array_equal(event_statistic(joint, k, n), np.sort(windows, axis=1)[:, n - k])


def test_a_score_that_is_no_number_counts_as_infinite() -> None:
    joint = ar(0.5, 100)
    joint[[3, 50, 51]] = np.nan
    assert np.array_equal(event_statistic(joint, 2, 4), event_statistic(np.nan_to_num(joint, nan=np.inf), 2, 4))


@given(st.lists(levels, min_size=1, max_size=5), rules, st.integers(1, 9))
def test_any_batches_give_the_same_record(batches: list[list[float]], rule: tuple[int, int], length: int) -> None:
    record = begin(*rule, length)
    for batch in batches:
        record = step(record, np.array(batch))
    joint = np.concatenate([np.array(batch) for batch in batches])
    statistic = event_statistic(joint, *rule)
    whole = len(joint) // length
    assert np.array_equal(record.extremes, statistic[: whole * length].reshape(whole, length).max(axis=1))
    assert (record.frames, record.highest) == (len(joint) % length, max(statistic[whole * length :], default=-np.inf))
    assert same(record, step(begin(*rule, length), joint))


def test_blocks_run_on_over_a_gap_and_windows_do_not() -> None:
    record = step(gap(step(begin(2, 2, 4), np.array([1.0, 1.0, 9.0]))), np.array([9.0, 0.0, 5.0, 7.0]))
    assert record.extremes.tolist() == [1.0]
    assert (record.frames, record.highest) == (3, 5.0)


@pytest.mark.parametrize(("k", "n", "frames"), [(0, 1, 5), (3, 2, 5), (1, 1, 0)])
def test_an_impossible_rule_is_refused(k: int, n: int, frames: int) -> None:
    with pytest.raises(ValueError, match="1 <= k <= n"):
        begin(k, n, frames)


def test_blocks_are_longer_than_the_memory_and_than_a_layer() -> None:
    joint = ar(0.9, 40_000)
    frames = block_frames(joint, 1, 1, borders(40_000))
    assert 60 <= frames <= 400  # the autocorrelation time is 19
    assert block_frames(joint, 1, 1, borders(40_000), layer_frames=700) >= 700


def test_blocks_double_until_a_periodic_stream_is_alike() -> None:
    """Every 500 frames a turn-around of 20: frames themselves hardly remember it."""
    joint = ar(0.0, 200_000)
    joint[np.arange(len(joint)) % 500 < 20] += 3.0
    frames = block_frames(joint, 1, 1, borders(len(joint)))
    assert frames >= 250
    record = block_extremes(joint, 1, 1, frames, borders(len(joint)))
    assert dependence(record.extremes) >= 0.01


def test_that_stretches_differ_as_wholes_makes_no_block_longer() -> None:
    """Twenty runs, some of them higher than others: what is rare in one of them is no event of its neighbour."""
    joint, cuts = ar(0.5, 60_000), borders(*[3000] * 20)
    shifted = joint + np.repeat(np.random.default_rng(3).normal(0, 2, 20), 3000)
    alike = block_frames(joint, 1, 1, cuts)
    assert alike <= block_frames(shifted, 1, 1, cuts) <= 2 * alike
    assert dependence(block_extremes(shifted, 1, 1, alike, cuts).extremes) < 1e-4
    assert block_frames(shifted, 1, 1, borders(len(joint))) > 10 * alike, "as one stretch they are its memory"


def test_many_short_stretches_make_no_block_longer() -> None:
    """Eighty layers of a few blocks each: less the mean of so few, even independent ones are each other's opposites."""
    joint = ar(0.5, 64_000) + np.repeat(np.random.default_rng(4).normal(0, 2, 80), 800)
    cuts = borders(*[800] * 80)
    assert block_frames(joint, 2, 3, cuts, layer_frames=200) == 200
    for length in (100, 200, 400):
        assert dependence(block_extremes(joint, 2, 3, length, cuts).extremes, cuts // length) >= 0.01, length


def test_blocks_double_until_those_within_stretches_are_alike() -> None:
    """A turn-around every 500 frames, in three stretches one above the other."""
    joint = ar(0.0, 120_000) + np.repeat([0.0, 3.0, 6.0], 40_000)
    joint[np.arange(len(joint)) % 500 < 20] += 3.0
    assert 250 <= block_frames(joint, 1, 1, borders(40_000, 40_000, 40_000)) <= 2000


def test_the_test_for_dependence_is_wrong_as_rarely_as_it_says() -> None:
    random = np.random.default_rng(1)
    assert np.mean([dependence(random.gumbel(size=100)) < 0.05 for _ in range(1000)]) < 0.07
    few = borders(*[4] * 25)
    assert np.mean([dependence(random.gumbel(size=100), few) < 0.05 for _ in range(1000)]) < 0.07
    assert dependence(ar(0.8, 400), borders(*[8] * 50)) < 1e-4, "what stretches of a few blocks remember is found"
    assert dependence(ar(0.6, 200)) < 1e-4
    assert dependence(np.tile([1.0, 2.0, 1.0, 0.0], 30)) < 1e-4
    assert dependence(np.ones(50)) == 1.0


def test_blocks_stay_where_too_few_would_be_left() -> None:
    frames = block_frames(ar(0.9995, 4000), 1, 1, borders(4000))
    assert 4000 // frames >= BLOCKS_MIN


def test_a_stretch_of_few_blocks_is_refused() -> None:
    with pytest.raises(CalibrationError, match="give at least 2000"):
        block_frames(ar(0.0, 1000), 1, 1, borders(1000), layer_frames=100)
