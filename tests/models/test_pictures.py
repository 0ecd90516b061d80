"""Frames as they are seen and drawn, without torch where compiled loops score: as the reconstruction has them."""

import numpy as np
import pytest

from models.architecture import Architecture
from models.reconstruction import reconstruct
from models.scorer import Scorer
from models.tiles import Tiling
from models.trained import scorer_of
from tests.models.step_examples import SMALL, Example, example

LOOPS, TORCH = SMALL, Architecture(latent=6, channels=(6, 10))


def peak_of(residual: np.ndarray, shown: Example) -> tuple[int, int]:
    """Where a window of the local chart has the largest mean square, by brute force: the pixel in its middle."""
    height, width = residual.shape
    window, stride = shown.parameters.window, shown.parameters.stride
    best, place = -1.0, (0, 0)
    for top in range(0, height, stride):
        for left in range(0, width, stride):
            inside = residual[top : top + window, left : left + window]
            if (mean := float(np.square(inside).mean())) > best:
                best, place = mean, ((top + min(top + window, height)) // 2, (left + min(left + window, width)) // 2)
            if left + window >= width:
                break
        if top + window >= height:
            break
    return place


@pytest.mark.parametrize("options", [{}, {"binning": 2}, {"align": True}, {"align": True, "binning": 2}])
@pytest.mark.parametrize("architecture", [LOOPS, TORCH], ids=["in loops", "in torch"])
def test_pictures_are_those_of_the_reconstruction(architecture: Architecture, options: dict[str, int]) -> None:
    shown = example((64, 70), count=70, architecture=architecture, **options)
    assert shown.scorer.is_compiled == (architecture is LOOPS)
    found, expected = shown.scorer.pictures(shown.frames), reconstruct(shown.scorer, shown.frames)
    unit = shown.trained.preparation.scale
    for one, other, tolerated in zip(found[:3], expected, (1e-4 * unit, 2e-3 * unit, 2e-3), strict=True):
        assert one.shape == other.shape
        apart = np.abs(one - other)
        assert np.mean(apart < tolerated) > 0.9999, "rounding decides which pixel a turned frame takes of two as near"


def test_the_scores_beside_them_are_those_of_the_frames() -> None:
    shown = example((64, 70), count=5)
    scores, found = shown.scorer(shown.frames), shown.scorer.pictures(shown.frames).scores
    assert np.array_equal(found.values, scores.values)
    assert np.array_equal(found.where, scores.where), "neither binned nor turned, pictures have the sensor's pixels"


@pytest.mark.parametrize("options", [{}, {"binning": 3}, {"align": True}, {"align": True, "binning": 2}])
def test_the_worst_spot_is_marked_in_the_pixels_of_the_pictures(options: dict[str, int]) -> None:
    shown = example((64, 70), count=20, **options)
    found = shown.scorer.pictures(shown.frames)
    for residual, where in zip(found.residual, found.scores.where, strict=True):
        assert tuple(where.tolist()) == peak_of(residual, shown)


@pytest.mark.parametrize("binning", [1, 2])
def test_a_spot_on_a_turned_frame_is_marked_where_it_was_turned_to(binning: int) -> None:
    shown = example(align=True, binning=binning, count=40)
    spotted, turned = shown.frames.copy(), 0
    spotted[:, 8:12, 48:52] = 255
    before, after = shown.scorer.pictures(shown.frames), shown.scorer.pictures(spotted)
    on_sensor = shown.scorer(spotted).where
    for index in range(len(spotted)):
        if not np.all(np.abs(on_sensor[index] - (10, 50)) <= 6):
            continue  # the spot turned the frame another way, and the pool's edge is the worst
        row, column = after.scores.where[index]
        new = np.unravel_index(np.argmax(after.seen[index]), after.seen[index].shape)
        assert max(abs(row - new[0]), abs(column - new[1])) <= 6
        turned += max(abs(int(row) - 10 // binning), abs(int(column) - 50 // binning)) > 8
    assert turned > 5, "most lie elsewhere than on the sensor"
    assert before.seen.shape == after.seen.shape


@pytest.mark.parametrize("binning", [1, 3])
def test_an_image_is_shown_whole_with_its_worst_spot(binning: int) -> None:
    shown = example((50, 50), count=4, binning=binning)
    scorer: Scorer = scorer_of(shown.trained, shown.parameters, tiling=Tiling(90, 121, 50, 8))
    images = np.random.default_rng(0).integers(90, 110, (2, 90, 121)).astype(np.uint8)
    images[1, 70:76, 100:106] = 255
    found, expected = scorer.pictures(images), reconstruct(scorer, images)
    for one, other in zip(found[:3], expected, strict=True):
        assert one == pytest.approx(other, abs=0.2)
    assert np.array_equal(found.scores.where, scorer(images).where)
    assert np.all(np.abs(found.scores.where[1] - (73, 103)) <= 6 * binning)
    assert found.scores.values == pytest.approx(scorer(images).values)


def test_frames_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="this scorer takes"):
        example(count=4).scorer.pictures(np.empty((1, 8, 8), np.uint8))
