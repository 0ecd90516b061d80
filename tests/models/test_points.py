"""Frames become points by their residuals, or by an embedding of residuals or of frames."""

import numpy as np
import numpy.typing as npt
import pytest

from models.embeddings import Embedding
from models.points import points_by
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
