"""Crops lie where they should, turn about their centre, and say what lies outside a frame."""

import numpy as np
import pytest

from models.invariant.crops import crops_at

FRAMES = np.random.default_rng(0).integers(0, 256, (3, 20, 30)).astype(np.uint8)


def test_a_crop_of_an_odd_side_holds_the_pixels_around_its_centre() -> None:
    found = crops_at(FRAMES, np.array([[10, 7], [5, 20], [14, 25]]), 9)
    assert found.dtype == np.float32
    assert found[0] == pytest.approx(FRAMES[0, 6:15, 3:12], abs=1e-3)
    assert found[1] == pytest.approx(FRAMES[1, 1:10, 16:25], abs=1e-3)
    assert found[2] == pytest.approx(FRAMES[2, 10:19, 21:30], abs=1e-3)


def test_a_centre_may_lie_between_pixels() -> None:
    found = crops_at(FRAMES[:1], np.array([[9.5, 6.5]]), 4)
    assert found[0] == pytest.approx(FRAMES[0, 8:12, 5:9], abs=1e-3)


def test_crops_of_one_place_at_quarter_turns_are_each_other_turned() -> None:
    centres = np.array([[10, 12]] * 3)
    frames = FRAMES[[0, 0, 0]]
    plain, quarter, half = crops_at(frames, centres, 7, np.array([0, np.pi / 2, np.pi]))
    assert quarter == pytest.approx(np.rot90(plain), abs=1e-2)
    assert half == pytest.approx(np.rot90(plain, 2), abs=1e-2)


@pytest.mark.parametrize("outside", ["zeros", "border"])
def test_what_lies_outside_a_frame_is_nothing_or_its_edge(outside: str) -> None:
    found = crops_at(FRAMES[:1], np.array([[0, 5]]), 5, outside=outside)  # type: ignore[arg-type]
    assert found[0, 2:] == pytest.approx(FRAMES[0, :3, 3:8], abs=1e-3)
    expected = FRAMES[0, 0, 3:8] if outside == "border" else np.zeros(5)
    assert found[0, :2] == pytest.approx(np.stack([expected, expected]), abs=1e-3)


def test_no_frames_give_no_crops() -> None:
    assert crops_at(FRAMES[:0], np.zeros((0, 2)), 5).shape == (0, 5, 5)


def test_frames_without_a_centre_or_an_angle_are_refused() -> None:
    with pytest.raises(ValueError, match="3 frames need as many"):
        crops_at(FRAMES, np.zeros((2, 2)), 5)
    with pytest.raises(ValueError, match="3 frames need as many"):
        crops_at(FRAMES, np.zeros((3, 2)), 5, np.zeros(2))
