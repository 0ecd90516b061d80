"""Frames become points by their residuals, or by an embedding of residuals or of frames."""

import numpy as np
import numpy.typing as npt
import pytest

from models.embeddings import Embedding
from models.points import PIXEL_CELLS, latents_by, pixels, points_by
from models.taxonomy.embedding import embed
from tests.models.step_examples import example


def spy(of_residuals: bool) -> tuple[Embedding, list[npt.NDArray[np.floating]]]:
    """An embedding of the mean, and what it was given."""
    given: list[npt.NDArray[np.floating]] = []

    def mean(pictures: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        given.append(pictures)
        return pictures.mean(axis=(1, 2), dtype=np.float32)[:, None]

    return Embedding("texture", 1, of_residuals, mean, {}, {}), given


@pytest.mark.parametrize("align", [False, True])
def test_without_an_embedding_points_are_what_residuals_and_latents_make(align: bool) -> None:
    shown = example((64, 70), count=5, align=align)
    seen = shown.scorer.deviations(shown.frames)
    points = points_by(shown.scorer)(shown.frames)
    assert np.array_equal(points, embed(seen.latent, seen.residual, placed=align))


def test_an_embedding_is_given_residuals_or_the_frames_as_they_came() -> None:
    shown = example(count=5)
    for of_residuals in (True, False):
        embedding, given = spy(of_residuals)
        points_by(shown.scorer, embedding)(shown.frames)
        wanted = shown.scorer.deviations(shown.frames).residual if of_residuals else shown.frames
        assert np.array_equal(given[0], wanted)


@pytest.mark.parametrize("of_residuals", [True, False])
def test_a_frame_that_is_not_finite_is_nowhere_and_leaves_the_others_where_they_are(of_residuals: bool) -> None:
    shown = example(count=4)
    frames = shown.frames.astype(np.float32)
    embedding, _ = spy(of_residuals)
    points = points_by(shown.scorer, embedding)
    whole = points(frames)
    frames[2, 3, 3] = np.nan
    found = points(frames)
    assert np.isnan(found[2]).all()
    assert np.array_equal(np.delete(found, 2, axis=0), np.delete(whole, 2, axis=0))
    assert np.isnan(points(frames[2:3])).all()


def test_the_latent_alone_is_the_scorers() -> None:
    shown = example(count=5)
    frames = shown.frames.astype(np.float32)
    assert np.array_equal(latents_by(shown.scorer)(frames), shown.scorer.deviations(frames).latent)
    frames[2, 3, 3] = np.nan
    assert np.isnan(latents_by(shown.scorer)(frames)[2]).all()


@pytest.mark.parametrize(("height", "width"), [(20, 24), (64, 96), (70, 33)])
def test_pixels_are_averaged_over_cells_and_keep_the_mean(height: int, width: int) -> None:
    frames = np.random.default_rng(0).integers(0, 4096, (3, height, width)).astype(np.uint16)
    points = pixels(frames)
    assert points.shape == (3, min(height, PIXEL_CELLS) * min(width, PIXEL_CELLS))
    if height % PIXEL_CELLS == width % PIXEL_CELLS == 0 or max(height, width) <= PIXEL_CELLS:
        np.testing.assert_allclose(points.mean(axis=1), frames.mean(axis=(1, 2)), rtol=1e-5)


def test_pixels_that_are_not_finite_make_a_point_of_nan_and_leave_the_others() -> None:
    frames = np.ones((3, 20, 20), np.float32)
    frames[1, 4, 4] = np.inf
    found = pixels(frames)
    assert np.isnan(found[1]).all()
    assert (found[[0, 2]] == 1).all()
