"""Frames that stand out are taken together as a person would, and counted within their group."""

import numpy as np
import pytest

from calibration.segments import odd_frames, segments

BORDERS = np.array([0, 100, 300])


def flagged(*frames: int) -> np.ndarray:
    odd = np.zeros(300, np.bool_)
    odd[list(frames)] = True
    return odd


def joint(**peaks: float) -> np.ndarray:
    scores = np.full(300, 0.1)
    for frame, score in peaks.items():
        scores[int(frame[1:])] = score
    return scores


def test_frames_near_each_other_are_one_segment_and_far_ones_are_two() -> None:
    found = segments(flagged(10, 12, 30, 51, 90), joint(f12=0.9, f51=0.5, f90=0.7), BORDERS)
    assert [(one.first, one.last, one.odd) for one in found] == [(10, 30, 3), (90, 90, 1), (51, 51, 1)]
    assert [one.peak for one in found] == [12, 90, 51]


def test_no_segment_reaches_into_another_group_and_frames_are_counted_in_their_own() -> None:
    first, second = segments(flagged(99, 100, 103), joint(f99=0.9, f103=0.5), BORDERS)
    assert (first.group, first.first, first.last, first.share) == (0, 99, 99, pytest.approx(0.01))
    assert (second.group, second.first, second.last, second.odd) == (1, 0, 3, 2)
    assert (second.share, second.peak) == (pytest.approx(0.02), 103)


def test_without_odd_frames_there_is_no_segment() -> None:
    assert segments(flagged(), joint(), BORDERS) == []


def test_a_context_that_is_unlike_the_others_does_not_stand_out_by_that() -> None:
    random = np.random.default_rng(0)
    contexts = np.repeat(["hatch", "contour"], [900, 100])
    scores = random.normal(size=(1000, 2)) + np.where(contexts == "contour", 40.0, 0.0)[:, None]
    scores[[7, 950], 1] += 20.0
    np.testing.assert_array_equal(np.flatnonzero(odd_frames(scores, contexts)), [7, 950])
