"""Stretches of time keep the extremes of what they hold."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.history.bins import Bins, coarser, of_frames

frames = st.lists(
    st.tuples(st.integers(0, 40), st.floats(-10, 10, width=32), st.floats(-10, 10, width=32)), min_size=1, max_size=80
)


def told(drawn: list[tuple[int, float, float]]) -> tuple[Bins, np.ndarray, np.ndarray, np.ndarray]:
    """Bins of frames with scores on two charts, the second of which has a limit that changes; and the raw columns."""
    number = np.sort(np.array([one[0] for one in drawn]))
    scores = np.array([one[1:] for one in drawn], np.float32).T
    limits = np.array([np.full(len(number), 3.0), np.where(number % 2, 1.0, 2.0)])
    return of_frames(number, scores, scores > limits, limits), number, scores, limits


def assert_true(bins: Bins, number: np.ndarray, scores: np.ndarray, limits: np.ndarray) -> None:
    assert bins.number.tolist() == np.unique(number).tolist()
    for column, which in enumerate(bins.number):
        rows = number == which
        assert bins.judged[column] == rows.sum()
        assert bins.low[:, column].tolist() == scores[:, rows].min(axis=1).tolist()
        assert bins.high[:, column].tolist() == scores[:, rows].max(axis=1).tolist()
        assert bins.ratio[:, column].tolist() == (scores / limits)[:, rows].max(axis=1).tolist()
        assert bins.over[:, column].tolist() == (scores > limits)[:, rows].sum(axis=1).tolist()
        assert bins.limit[:, column].tolist() == limits[:, rows][:, -1].tolist()


@given(frames)
def test_a_bin_holds_the_extremes_of_its_frames(drawn: list[tuple[int, float, float]]) -> None:
    assert_true(*told(drawn))


@given(frames, st.integers(1, 7))
def test_longer_bins_made_of_short_ones_hold_the_extremes_too(
    drawn: list[tuple[int, float, float]], factor: int
) -> None:
    bins, number, scores, limits = told(drawn)
    assert_true(coarser(bins, factor), number // factor, scores, limits)
