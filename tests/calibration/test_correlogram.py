"""How alike frames are by the time between them is known for known streams."""

import numpy as np
import pytest

from calibration.autocorrelation import correlogram
from tests.calibration.limit_examples import ar1


def whole(count: int) -> np.ndarray:
    return np.array([0, count])


def test_ar1_forgets_by_its_own_factor_at_every_frame() -> None:
    found = correlogram(ar1(60_000, 0.9), whole(60_000), 20)
    assert found.correlation[0] == pytest.approx(1.0)
    np.testing.assert_allclose(found.correlation, 0.9 ** np.arange(21), atol=0.04)  # of ranks: a little below
    np.testing.assert_array_equal(found.pairs, 60_000 - np.arange(21))


def test_what_stretches_differ_by_is_not_memory() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=4000) + np.repeat([0.0, 50.0, -30.0, 9.0], 1000)
    found = correlogram(x, np.arange(0, 4001, 1000), 50)
    assert np.abs(found.correlation[1:]).max() < 0.08
    assert found.pairs[50] == 4 * 950


def test_a_periodic_stream_is_seen_to_be_one() -> None:
    found = correlogram(np.sin(np.arange(5000) * np.pi / 20), whole(5000), 100)
    assert found.correlation[[20, 40]] == pytest.approx([-1.0, 1.0], abs=0.02)


@pytest.mark.parametrize(("count", "lags"), [(30, 15), (1, 0), (400, 100)])
def test_lags_that_a_stretch_hardly_holds_are_left_out(count: int, lags: int) -> None:
    assert len(correlogram(np.arange(count, dtype=float), whole(count), 100).correlation) == lags + 1


def test_equal_scores_have_no_correlation_but_a_picture() -> None:
    np.testing.assert_array_equal(correlogram(np.ones(50), whole(50), 5).correlation, np.zeros(6))
