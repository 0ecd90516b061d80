"""Frames that stand out are found where a fitted limit has risen with them, and clean frames are left in peace."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.kde import kde_quantile
from calibration.suspects import suspects


def some_scores(count: int = 4000, seed: int = 0) -> np.ndarray:
    """Columns as the charts have them: chi-square of four latents, a narrow Gaussian, a folded Gaussian."""
    rng = np.random.default_rng(seed)
    columns = rng.chisquare(4, count), rng.normal(1.0, 0.05, count), np.abs(rng.standard_normal(count))
    return np.stack(columns, axis=1)


def test_clean_frames_are_hardly_ever_suspect() -> None:
    assert suspects(some_scores()).mean() < 0.001


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
def test_anomalies_stand_out_though_the_limit_has_risen_with_them(share: float) -> None:
    scores = some_scores()
    anomalous = np.random.default_rng(1).random(len(scores)) < share
    scores[anomalous, 1] *= 2
    assert (suspects(scores) == anomalous).mean() > 0.999
    limit = kde_quantile(scores[:, 1], 0.0025)
    assert (scores[:, 1] > limit).mean() < 0.005


def test_one_column_is_enough() -> None:
    scores = some_scores(100)
    scores[7, 2] = 50.0
    assert np.flatnonzero(suspects(scores)).tolist() == [7]


def test_frames_that_are_all_alike_are_not_suspect() -> None:
    assert not suspects(np.ones((50, 4))).any()


@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-1e3, 1e3))
def test_the_unit_of_a_score_does_not_matter(scale: float, shift: float) -> None:
    scores = some_scores(200)
    scores[3, 0] = 500.0
    assert suspects(scores)[3]
    np.testing.assert_array_equal(suspects(scores * scale + shift), suspects(scores))
