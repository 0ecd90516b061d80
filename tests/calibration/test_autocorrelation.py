"""How long a stream remembers is known for known streams, and what is resampled stays inside its group."""

import numpy as np
import pytest

from calibration.autocorrelation import autocorrelation_time, block_resample, borders_of
from tests.calibration.limit_examples import ar1


@pytest.mark.parametrize(("phi", "expected"), [(0.0, 1.0), (0.5, 3.0), (0.9, 19.0)])
def test_the_autocorrelation_time_of_ar1_is_known(phi: float, expected: float) -> None:
    x = ar1(60_000, phi)
    assert autocorrelation_time(x, borders_of(np.zeros(len(x)))) == pytest.approx(expected, rel=0.15)


def test_one_wild_score_does_not_hide_the_memory_of_the_others() -> None:
    x = ar1(20_000, 0.9)
    x[77] = 1e9
    assert autocorrelation_time(x, borders_of(np.zeros(len(x)))) > 10


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
