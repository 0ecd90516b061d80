"""How long a stream remembers is known for known streams, and what is resampled stays inside its group."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from calibration.autocorrelation import autocorrelation_time, block_resample, borders_of, within_stretches
from tests.calibration.limit_examples import ar1


@pytest.mark.parametrize(("phi", "expected"), [(0.0, 1.0), (0.5, 3.0), (0.9, 19.0)])
def test_the_autocorrelation_time_of_ar1_is_known(phi: float, expected: float) -> None:
    x = ar1(60_000, phi)
    assert autocorrelation_time(x, borders_of(np.zeros(len(x)))) == pytest.approx(expected, rel=0.15)


def test_one_wild_score_does_not_hide_the_memory_of_the_others() -> None:
    x = ar1(20_000, 0.9)
    x[77] = 1e9
    assert autocorrelation_time(x, borders_of(np.zeros(len(x)))) > 10


def test_equal_scores_do_not_remember_each_other_by_their_order() -> None:
    x = np.zeros(20_000)
    x[np.random.default_rng(0).integers(0, len(x), 200)] = 1.0
    assert autocorrelation_time(x, borders_of(x * 0)) < 1.2
    assert autocorrelation_time(np.full(500, 3.0), np.array([0, 500])) == 1.0


values = st.lists(st.sampled_from([-2.0, 0.0, 0.5, 3.0, 1e9]), min_size=1, max_size=9)


@given(st.lists(values, min_size=1, max_size=5))
def test_within_stretches_no_stretch_is_higher_than_another_and_order_stays(stretches: list[list[float]]) -> None:
    x = np.concatenate([np.array(one) for one in stretches])
    borders = np.cumsum([0, *map(len, stretches)])
    found = within_stretches(x, borders)
    parts = np.split(found, borders[1:-1])
    if len(stretches) == 1:
        assert np.array_equal(found, rankdata(x))
    else:
        assert [part.mean() for part in parts] == pytest.approx([0.0] * len(parts), abs=1e-9)
    for one, part in zip(stretches, parts, strict=True):
        assert np.array_equal(rankdata(np.round(part, 6)), rankdata(one))


def test_within_stretches_a_stream_remembers_as_long_as_its_stretches_do() -> None:
    shifts = np.repeat(np.random.default_rng(1).normal(0, 2, 30), 2000)
    borders = np.arange(0, 60_001, 2000)
    shifted = ar1(60_000, 0.5) + shifts
    assert autocorrelation_time(shifted, borders) > 100
    assert autocorrelation_time(within_stretches(shifted, borders), borders) == pytest.approx(3.0, rel=0.3)


def test_whole_groups_are_resampled_in_blocks_that_stay_inside_them() -> None:
    lengths = [50, 3, 30, 17]
    groups = np.repeat(["a", "b", "a", "c"], lengths)
    borders = borders_of(groups)
    assert borders.tolist() == [0, 50, 53, 83, 100]
    run = np.repeat(np.arange(4), lengths)
    random = np.random.default_rng(0)
    seen = np.zeros(100, int)
    for _ in range(400):
        indices = block_resample(borders, 8, random)
        times = np.bincount(run[indices], minlength=4) / lengths
        assert times.sum() == 4, "as many groups as there are, each whole"
        assert (times == times.astype(int)).all()
        seen += np.bincount(indices, minlength=100)
    assert seen == pytest.approx(np.full(100, 400), rel=0.6)  # no frame is favoured for its place
