"""Levels from few extremes: right in the mean, bounded as often as said, whether there is an event to count or none."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.extremes import bound_of, cluster_levels, level_of

BLOCKS = 400
Float64s = npt.NDArray[np.float64]


def falling(seed: int, blocks: int = BLOCKS) -> Float64s:
    return np.sort(np.random.default_rng(seed).exponential(size=blocks))[::-1]


@pytest.mark.parametrize("events", [0.2, 0.7, 1.0, 1.6, 2.0, 3.3, 10.0, 40.0])
def test_the_share_is_right_in_the_mean(events: float) -> None:
    share = events / BLOCKS
    found = np.array([np.exp(-level_of(falling(seed), share)) for seed in range(1500)]) / share
    error = found.std() / np.sqrt(len(found))
    assert found.mean() < 1 + 4 * error
    assert found.mean() > (1 - 4 * error if events >= 1 else 0.8)  # nearer the largest extreme than one is never below


@pytest.mark.parametrize("events", [0.2, 0.7, 1.6, 3.0, 10.0, 40.0])
@pytest.mark.parametrize("confidence", [0.05, 0.9, 0.95])
def test_bounds_hold_as_often_as_said(events: float, confidence: float) -> None:
    share = events / BLOCKS
    true = -np.log(share)
    above = np.mean([bound_of(falling(seed), share, 1.0, confidence) >= true for seed in range(1500)])
    assert confidence - 0.02 < above < confidence + 0.04


def test_bounds_of_extremes_that_come_in_pairs_hold_too() -> None:
    """Each extreme twice is half as many: taken for independent, they would be too sure."""
    share = 10 / BLOCKS
    true = -np.log(share)
    pairs = [np.repeat(falling(seed, BLOCKS // 2), 2) for seed in range(800)]
    held = np.mean([bound_of(x, share, 2.0, 0.05) < true <= bound_of(x, share, 2.0, 0.95) for x in pairs])
    sure = np.mean([bound_of(x, share, 1.0, 0.05) < true <= bound_of(x, share, 1.0, 0.95) for x in pairs])
    assert held == pytest.approx(0.9, abs=0.03)
    assert sure < 0.82


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0, 4.0, np.nan]), max_size=12))
def test_levels_of_clusters_are_where_so_many_stand_apart(extremes: list[float]) -> None:
    x = np.array(extremes)

    def apart(level: float) -> int:
        return int((np.diff(np.concatenate(([0], x >= level, [0])).astype(int)) == 1).sum())

    found = cluster_levels(x).tolist()
    assert found == sorted(found, reverse=True)
    for number in range(1, len(x) + 1):
        reached = [level for level in set(extremes) if apart(level) >= number]
        assert found[number - 1 : number] == ([max(reached)] if reached else [])


def test_of_extremes_that_come_in_clusters_as_many_clusters_are_over() -> None:
    """Runs of five alike: a level that ten blocks exceed is one that two events do."""
    x = np.repeat(np.random.default_rng(1).exponential(size=100), 5)
    ordered = np.sort(x)[::-1]
    by_blocks, by_clusters = (level_of(ordered, 10 / 501, levels) for levels in (None, cluster_levels(x)))
    assert len(np.unique(x[x > by_blocks])) <= 2
    assert len(np.unique(x[x >= by_clusters])) == pytest.approx(10, abs=1)
    assert level_of(ordered, 0.001, cluster_levels(x)) == level_of(ordered, 0.001), "no event to count: by the tail"


def test_where_events_are_whole_it_is_the_conformal_order_statistic() -> None:
    x = falling(0, 99)
    assert level_of(x, 0.05) == pytest.approx(x[4])  # ceil(100 * 0.95) = 95th of 99


shares = st.floats(1e-5, 0.1)


@given(st.integers(0, 50), st.integers(20, 300), shares, shares)
def test_levels_and_bounds_fall_as_the_share_grows(seed: int, blocks: int, one: float, other: float) -> None:
    x, (small, large) = falling(seed, blocks), sorted((one, other))
    assert level_of(x, small) >= level_of(x, large) - 1e-9
    for confidence in (0.05, 0.9, 0.95):
        assert bound_of(x, small, 1.0, confidence) >= bound_of(x, large, 1.0, confidence) - 1e-9


@given(st.integers(0, 50), st.integers(20, 300), shares, st.floats(1.0, 30.0))
def test_bounds_are_in_order_however_few_blocks_count(seed: int, blocks: int, share: float, time: float) -> None:
    low, middle, high = (bound_of(falling(seed, blocks), share, time, level) for level in (0.05, 0.9, 0.95))
    assert np.isfinite([low, high]).all()
    assert low <= middle <= high


def test_extremes_that_are_all_alike_have_that_level() -> None:
    assert level_of(np.ones(30), 0.001) == level_of(np.ones(30), 0.1) == bound_of(np.ones(30), 0.01, 1.0, 0.95) == 1.0
