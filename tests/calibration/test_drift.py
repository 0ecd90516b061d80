"""Drift: the stated run length holds in control, a slow ramp is found in time, and no cut of the stream matters."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from limit_examples import ar1
from scipy.special import log_ndtr, ndtr, ndtri
from scipy.stats import kstest

from calibration.charts import CalibrationError
from calibration.drift import (
    BINS,
    HALVING,
    RECENT,
    SEED,
    SHIFTS,
    BlockMean,
    Drift,
    _drawn,
    begin,
    begin_blocks,
    block_values,
    drift_frames,
    levels_of,
    step,
)

Float64s = npt.NDArray[np.float64]
TRIPLED = np.log10(3.0)  # decades by which scores rise until false events come three times as often
RUN_LENGTH = 10_000.0


def rarity(z: Float64s) -> Float64s:
    return -log_ndtr(-z) / np.log(10)


def values(count: int, seed: int, shift: float = 0.0) -> Float64s:
    """Independent block values, in decades."""
    return np.random.default_rng(seed).gamma(20, HALVING / 20, count) + shift


def blocks_of(joint: Float64s, calibration: int, length: int) -> Float64s:
    """The values of all blocks of *length* frames, by the levels of the first *calibration* of them."""
    return block_values(begin_blocks(levels_of(joint[: calibration * length]), length), joint)[1]


def runs_until_stale(stream: Callable[[int], Float64s], runs: int, calibration: int, run_length: float) -> Float64s:
    """Blocks (runs,) until each of the streams is called stale, or ends."""
    found = []
    for seed in range(runs):
        x = stream(seed)
        drift = begin(x[:calibration], run_length)
        for first in range(calibration, len(x), 10):
            drift = step(drift, x[first : first + 10])
            if drift.stale:
                break
        found.append(drift.stale_since or drift.judged)
    return np.array(found, np.float64)


def same(one: Drift, other: Drift) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


# Blocks


def test_levels_are_exceeded_by_a_half_a_quarter_and_so_on() -> None:
    joint = np.random.default_rng(0).permutation(1 << 14).astype(float)
    shares = [(joint > level).mean() for level in levels_of(joint)]
    assert shares == [0.5**i for i in range(1, 11)]
    assert len(levels_of(joint[:100])) == 3  # one in eight of 100 are 12 frames, one in sixteen 6


def test_a_block_value_is_the_mean_rarity_in_whole_halvings() -> None:
    blocks = begin_blocks(np.array([1.0, 2.0, 3.0]), 4)
    _, found = block_values(blocks, np.array([0.0, 1.0, 1.5, 3.5, 2.5, 2.5, 2.5, 9.0, 9.0]))
    np.testing.assert_allclose(found, np.log10(2) * np.array([(0 + 0 + 1 + 3) / 4, (2 + 2 + 2 + 3) / 4]))


def test_scores_that_rise_by_decades_raise_the_value_by_as_many() -> None:
    joint = rarity(ar1(200_000, 0.0))
    levels = levels_of(joint)
    before, after = (block_values(begin_blocks(levels, len(joint)), joint + rise)[1][0] for rise in (0.0, HALVING))
    assert before == pytest.approx(HALVING, rel=0.01)  # 1/2 + 1/4 + ... levels of a frame
    assert after - before == pytest.approx(HALVING, rel=0.01)


@given(
    st.lists(st.sampled_from([0.0, 1.0, 2.0, 5.0, np.inf, np.nan]), max_size=40),
    st.integers(1, 7),
    st.sets(st.integers(1, 39)),
)
def test_blocks_are_the_same_in_any_cut_and_nan_is_left_out(joint: list[float], length: int, cuts: set[int]) -> None:
    whole = begin_blocks(np.array([0.5, 1.0, 2.0]), length)
    kept = np.array([score for score in joint if not np.isnan(score)])
    expected_state, expected = block_values(whole, kept)
    found: list[float] = []
    blocks: BlockMean = whole
    for part in np.split(np.array(joint), sorted(cut for cut in cuts if cut < len(joint))):
        blocks, part_values = block_values(blocks, part)
        found += part_values.tolist()
    assert found == expected.tolist()
    assert (blocks.frames, blocks.exceeded) == (expected_state.frames, expected_state.exceeded)


def test_blocks_are_longer_than_the_memory() -> None:
    frames = {phi: _drift_frames(ar1(60_000, phi)) for phi in (0.0, 0.9, 0.99)}
    assert 20 <= frames[0.0] <= 50
    assert 20 * 15 <= frames[0.9] <= 2 * 20 * 25  # the autocorrelation time is 19 frames
    assert frames[0.99] == 3000  # the time is 199 frames, and 20 blocks of 20 times do not fit


def _drift_frames(joint: Float64s) -> int:
    return drift_frames(joint, levels_of(joint), np.array([0, len(joint)]))


# The bets


@pytest.mark.parametrize("shift", SHIFTS)
def test_bets_have_mean_one(shift: float) -> None:
    p = (np.arange(1_000_000) + 0.5) / 1_000_000
    assert np.exp(shift * -ndtri(p) - shift**2 / 2).mean() == pytest.approx(1.0, abs=2e-3)


def test_evidence_is_the_sum_of_shiryaev_and_roberts() -> None:
    """By hand: above all of 20 blocks, then below all of 21."""
    first, second = (np.random.default_rng((SEED, block)).random() for block in (1, 2))
    high = np.array([first / 21, (21 + second) / 22])  # p-values against too high a block
    z = -ndtri([high, 1 - high])  # (2, 2) of shifts up and down, of both blocks
    e = np.exp(SHIFTS[:, None, None] * z - np.square(SHIFTS)[:, None, None] / 2)
    expected = ((1 + e[..., 0]) * e[..., 1]).mean() / 100
    # R_1 = e_1, since nothing was gathered before
    assert step(begin(np.linspace(0.2, 0.4, 20), 100.0), np.array([0.5, 0.1])).evidence == pytest.approx(expected)


def test_p_values_in_control_are_uniform_and_say_nothing_about_each_other() -> None:
    """Told from the evidence of one bet: its logarithm is linear in the normal score. Half of the values are ties."""
    x = np.maximum(values(3000, 3), HALVING)
    drift, scores = begin(x[:20], RUN_LENGTH**3), []
    for value in x[20:]:
        before, drift = drift.gathered[0, 0], step(drift, np.array([value]))
        gain = drift.gathered[0, 0] - np.logaddexp(0, before)
        scores.append((gain + SHIFTS[0] ** 2 / 2) / SHIFTS[0])
    assert kstest(ndtr(scores), "uniform").pvalue > 0.05
    assert abs(np.corrcoef(scores[1:], scores[:-1])[0, 1]) < 3 / np.sqrt(len(scores))


# In control


@pytest.mark.parametrize("calibration", [20, 200])
def test_false_alarms_come_no_sooner_than_stated(calibration: int) -> None:
    found = runs_until_stale(lambda seed: values(calibration + 240, seed), 120, calibration, 40.0)
    assert found.mean() > 40 + 2 * found.std() / np.sqrt(len(found))
    assert np.mean(found < 20) < 0.39  # of a geometric law with that mean


@pytest.mark.parametrize(("phi", "length", "runs"), [(0.0, 20, 60), (0.9, 380, 60), (0.99, 3980, 20)])
def test_streams_with_a_memory_keep_the_run_length_in_blocks_longer_than_it(phi: float, length: int, runs: int) -> None:
    found = runs_until_stale(lambda seed: blocks_of(ar1(110 * length, phi, seed), 20, length), runs, 20, 30.0)
    assert found.mean() > 30  # though every run ends after 90 blocks


def test_blocks_that_are_all_alike_are_no_drift() -> None:
    drift = step(begin(np.full(20, 0.3), RUN_LENGTH), np.full(500, 0.3))
    assert not drift.stale
    assert drift.shift == pytest.approx(0)
    assert drift.why == "joint scores are 1 times as rare as at calibration, after 500 blocks: no drift is shown"


def test_jobs_that_differ_by_what_is_tolerated_are_no_drift() -> None:
    """Levels of jobs of ten blocks, anywhere in a band of a tenth of a decade."""
    jobs = np.repeat(np.random.default_rng(1).uniform(0, 0.1, 60), 10)
    x = values(600, 4) / 4 + jobs
    strict, tolerant = (step(begin(x[:50], RUN_LENGTH, tolerated), x[50:]) for tolerated in (0.0, 0.1))
    assert strict.stale
    assert not tolerant.stale


# Out of control


@pytest.mark.parametrize(("phi", "length", "runs"), [(0.0, 20, 20), (0.9, 380, 10), (0.99, 3980, 3)])
@pytest.mark.parametrize(("calibration", "ramp"), [(20, 200), (60, 240)])
def test_a_slow_ramp_is_found_before_false_events_come_three_times_as_often(
    phi: float, length: int, runs: int, calibration: int, ramp: int
) -> None:
    def stream(seed: int) -> Float64s:
        joint = rarity(ar1((calibration + ramp) * length, phi, seed))
        rise = np.maximum(np.arange(len(joint)) - calibration * length, 0) / (ramp * length)
        return blocks_of(joint + TRIPLED * rise, calibration, length)

    assert runs_until_stale(stream, runs, calibration, RUN_LENGTH).max() < 0.7 * ramp


def test_a_ramp_of_two_thousand_blocks_is_found_though_it_becomes_what_is_known() -> None:
    def stream(seed: int) -> Float64s:
        return values(2020, seed) + TRIPLED * np.maximum(np.arange(2020) - 20, 0) / 2000

    assert runs_until_stale(stream, 3, 20, RUN_LENGTH).max() < 0.5 * 2000


def test_a_bell_that_moves_is_found_before_its_tail_is_three_times_as_high() -> None:
    """The bulk hardly moves: a quarter of a standard deviation triples what lies above 4.26 of them."""
    move = ndtri(3e-5) - ndtri(1e-5)

    def stream(seed: int) -> Float64s:
        z = ar1(1100 * 100, 0.0, seed)
        return blocks_of(z + move * np.maximum(np.arange(len(z)) - 100 * 100, 0) / (1000 * 100), 100, 100)

    assert runs_until_stale(stream, 3, 100, RUN_LENGTH).max() < 0.6 * 1000


@pytest.mark.parametrize("jump", [0.15, -0.15])
def test_a_jump_up_or_down_is_found_within_some_blocks_and_measured(jump: float) -> None:
    drift = step(begin(values(100, 5), RUN_LENGTH), values(200, 6))
    assert not drift.stale
    drift = step(drift, values(60, 7, jump))
    assert drift.stale_since is not None
    assert drift.stale_since < 230
    assert drift.evidence >= 1
    assert drift.shift == pytest.approx(jump, abs=0.03)
    assert "they have drifted since, as block 2" in drift.why


def test_scores_that_spread_without_moving_their_middle_are_found() -> None:
    length = 100
    z = ar1(400 * length, 0.0)
    z[100 * length :] *= 1.3
    assert runs_until_stale(lambda _: blocks_of(z, 100, length), 1, 100, RUN_LENGTH)[0] < 100


# State


@given(st.sets(st.integers(1, 39)), st.floats(0, 0.1), st.sampled_from([0.0, 0.1]))
def test_the_test_is_the_same_in_any_cut(cuts: set[int], jump: float, tolerated: float) -> None:
    x = np.append(values(20, 8), values(20, 9, jump))
    x[::7] = np.nan
    before = begin(values(30, 10), 500.0, tolerated)
    drift = before
    for part in np.split(x, sorted(cuts)):
        drift = step(drift, part)
    assert same(drift, step(before, x))
    assert same(drift, step(before, x[~np.isnan(x)]))
    assert before.known.sum() == 30  # the state that was stepped is as it was


def test_what_is_stale_stays_so_and_learns_nothing_more() -> None:
    stale = step(begin(values(50, 11), 100.0), values(50, 12, 0.3))
    later = step(stale, values(4000, 13))
    assert later.stale
    assert later.stale_since == stale.stale_since
    assert stale.stale_since is not None
    assert later.known.sum() == 50 + stale.stale_since - 1
    assert later.shift == pytest.approx(0, abs=4 * HALVING / np.sqrt(20 * RECENT))
    assert later.known.shape == (BINS,)


def test_evidence_has_no_end() -> None:
    drift = step(begin(values(20, 14), 1.0), np.full(2000, 1e6))
    assert np.isfinite(drift.evidence)
    with pytest.raises(ValueError, match="infinite"):
        step(drift, np.array([np.inf]))


@pytest.mark.parametrize(
    ("run_length", "tolerated"), [(0.5, 0.0), (np.nan, 0.0), (np.inf, 0.0), (100.0, -0.1), (100.0, np.nan)]
)
def test_promises_that_cannot_be_kept_are_refused(run_length: float, tolerated: float) -> None:
    with pytest.raises(ValueError, match="run length from 1"):
        begin(values(50, 0), run_length, tolerated)


def test_too_little_of_a_calibration_is_refused() -> None:
    with pytest.raises(CalibrationError, match="20 finite blocks"):
        begin(np.append(values(19, 0), np.nan), 100.0)
    with pytest.raises(CalibrationError, match="20 finite blocks"):
        begin(np.append(values(30, 0), np.inf), 100.0)
    with pytest.raises(CalibrationError, match="16 finite"):
        levels_of(np.arange(15.0))
    with pytest.raises(CalibrationError, match="at least 20"):
        drift_frames(np.arange(19.0), np.arange(2.0), np.array([0, 19]))


@pytest.mark.parametrize(("levels", "length"), [([2.0, 1.0], 5), ([1.0], 0), ([], 5)])
def test_blocks_that_measure_nothing_are_refused(levels: list[float], length: int) -> None:
    with pytest.raises(ValueError, match="levels that rise"):
        begin_blocks(np.array(levels), length)


def test_the_order_of_ties_is_drawn_from_the_number_of_the_block() -> None:
    for number in (1, 2, 70_000):
        assert _drawn(number) == np.random.default_rng((SEED, number)).random()
