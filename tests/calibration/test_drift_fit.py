"""What a drift is watched with: blocks longer than the stream's memory, and as much as runs may differ by."""

import numpy as np
import numpy.typing as npt
import pytest
from limit_examples import ar1
from scipy.special import log_ndtr

from calibration import drift as drifts
from calibration.blocks import BLOCKS_MIN
from calibration.charts import CalibrationError
from calibration.drift import begin_blocks, block_values
from calibration.drift_fit import BAND, TOLERATED_MOST, DriftFit, fit_drift

Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

RUN = 3000  # frames


def rare(count: int, seed: int) -> Float64s:
    """Joint scores of independent in-control frames, in decades."""
    return np.random.default_rng(seed).exponential(1 / np.log(10), count)


def runs_of(count: int) -> Indices:
    return np.repeat(np.arange(count), RUN)


def fitted(joint: Float64s, runs: Indices | None = None) -> DriftFit:
    one = np.zeros(len(joint), np.int64)
    found = fit_drift(joint, one if runs is None else runs, one if runs is None else runs)
    assert found is not None
    return found


def test_the_blocks_are_those_of_the_frames_by_its_own_levels() -> None:
    joint = rare(5000, 0)
    found = fitted(joint)
    values = block_values(begin_blocks(found.levels, found.block_frames), joint)[1]
    np.testing.assert_array_equal(found.values, values)
    assert len(values) == 5000 // found.block_frames >= BLOCKS_MIN
    assert found.values.mean() == pytest.approx(drifts.HALVING, rel=0.1), "a half, a quarter, ... of all levels"


def test_frames_that_remember_are_taken_together_in_longer_blocks() -> None:
    remembered = -log_ndtr(-ar1(40_000, 0.95, 1)) / np.log(10)
    assert fitted(remembered).block_frames > 5 * fitted(rare(40_000, 1)).block_frames


def test_one_run_says_nothing_of_how_runs_differ() -> None:
    assert fitted(rare(5000, 0)).tolerated == 0.0


def test_runs_that_are_alike_need_no_tolerance() -> None:
    found = [fitted(rare(6 * RUN, seed), runs_of(6)).tolerated for seed in range(10)]
    assert np.median(found) < 0.01


@pytest.mark.parametrize("spread", [0.01, 0.03])
def test_runs_that_differ_are_tolerated_as_nine_in_ten_of_them_do(spread: float) -> None:
    found = []
    for seed in range(10):
        levels = np.random.default_rng(100 + seed).normal(0, spread, 12)
        joint = rare(12 * RUN, seed) + np.maximum(levels + 3 * spread, 0)[runs_of(12)]
        found.append(fitted(joint, runs_of(12)).tolerated)
    assert np.median(found) == pytest.approx(BAND * spread, rel=0.5)
    assert max(found) <= TOLERATED_MOST


def test_no_more_is_tolerated_than_a_slow_ramp_can_be_found_beside() -> None:
    joint = rare(6 * RUN, 1) + np.linspace(0, 2, 6)[runs_of(6)]
    assert fitted(joint, runs_of(6)).tolerated == TOLERATED_MOST


def test_runs_of_several_stretches_are_one() -> None:
    joint = rare(6 * RUN, 1) + np.array([0, 0, 0, 0.5, 0.5, 0.5])[runs_of(6)]
    stretches = runs_of(6)
    alike = fit_drift(joint, stretches, np.zeros(len(joint), np.int64))
    assert alike is not None
    assert alike.tolerated == 0.0
    by_halves = fit_drift(joint, stretches, (stretches >= 3).astype(np.int64))
    assert by_halves is not None
    assert by_halves.tolerated > 0.05


@pytest.mark.parametrize("count", [0, 1, 15, 19])
def test_too_few_frames_cannot_be_watched(count: int) -> None:
    joint, one = rare(count, 0), np.zeros(count, np.int64)
    assert fit_drift(joint, one, one) is None


def test_scores_that_are_not_finite_are_refused() -> None:
    joint, one = rare(500, 0), np.zeros(500, np.int64)
    joint[17] = np.inf
    with pytest.raises(CalibrationError, match="finite"):
        fit_drift(joint, one, one)


def test_what_is_watched_with_it_is_in_control_where_nothing_changed() -> None:
    joint = rare(6000, 2)
    found = fitted(joint)
    watch = drifts.begin(found.values, 10_000.0, found.tolerated)
    _, fresh = block_values(begin_blocks(found.levels, found.block_frames), rare(20_000, 3))
    assert not drifts.step(watch, fresh).stale
    _, moved = block_values(begin_blocks(found.levels, found.block_frames), rare(20_000, 3) + 0.3)
    assert drifts.step(watch, moved).stale
