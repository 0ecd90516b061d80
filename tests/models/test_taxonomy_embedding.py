"""Points tell of what kind an anomaly is, and not how severe it is."""

import numpy as np
import numpy.typing as npt
import pytest

from models.taxonomy.embedding import CELLS, WINDOW_PX, components, dimensions, embed

LATENT, SIDE = 6, 40

Float64s = npt.NDArray[np.float64]


def frame(seed: int = 0, side: int = SIDE) -> tuple[Float64s, Float64s]:
    """A latent (1, p) and a residual (1, H, W) with a bright spot off the middle."""
    rng = np.random.default_rng(seed)
    residual = rng.normal(0, 0.5, (1, side, side))
    residual[0, 8:13, 20:24] += 12.0
    return rng.normal(0, 3.0, (1, LATENT)), residual


def test_a_more_severe_anomaly_of_the_same_kind_lies_nearby() -> None:
    latent, residual = frame()
    other, elsewhere = frame(seed=1)
    other_residual = -elsewhere[:, ::-1]
    mild, violent = embed(latent, residual), embed(3 * latent, 3 * residual)
    different = embed(other, other_residual)
    assert np.linalg.norm(mild - violent) < 0.3 * np.linalg.norm(mild - different)


@pytest.mark.parametrize(("height", "width"), [(40, 40), (33, 61), (12, 300), (3, 2)])
@pytest.mark.parametrize("placed", [True, False])
def test_points_have_as_many_coordinates_as_is_said_whatever_the_frames(height: int, width: int, placed: bool) -> None:
    rng = np.random.default_rng(0)
    points = embed(rng.normal(size=(3, LATENT)), rng.normal(size=(3, height, width)), placed=placed)
    assert points.shape == (3, dimensions(LATENT, height, width, placed=placed))
    assert points.dtype == np.float32
    assert np.isfinite(points).all()


def test_no_coordinate_outweighs_the_others() -> None:
    latent, residual = frame()
    for placed in (True, False):
        point = embed(1e6 * latent, 1e6 * residual, placed=placed)
        assert 1.0 < np.linalg.norm(point) < 3.0


def test_where_an_anomaly_lies_matters_only_where_frames_are_brought_to_one_place() -> None:
    latent, residual = frame()
    moved = np.roll(residual, (9, -7), axis=(1, 2))
    distances = {
        placed: float(np.linalg.norm(embed(latent, residual, placed=placed) - embed(latent, moved, placed=placed)))
        for placed in (True, False)
    }
    assert distances[True] > 1.0
    assert distances[False] < 0.5  # octaves are not blind to single pixels


def test_a_window_at_the_edge_of_the_frame_is_filled_up_with_zeros() -> None:
    latent, _ = frame()
    residual = np.zeros((1, SIDE, SIDE))
    residual[0, 0, 0] = 50.0
    window = embed(latent, residual, placed=False)[0, LATENT : LATENT + WINDOW_PX**2]
    assert np.count_nonzero(window) == 1


def test_noise_below_the_scale_leaves_the_places_alone() -> None:
    latent, residual = frame()
    quiet = np.clip(np.random.default_rng(3).normal(0, 0.5, residual.shape), -1.5, 1.5)
    points = embed(latent, np.where(np.abs(residual) > 5, residual, quiet))
    places = points[0, LATENT : LATENT + CELLS * CELLS]
    assert 1 <= np.count_nonzero(places) <= 12


def test_few_specks_and_a_broad_glow_differ_wherever_they_lie() -> None:
    latent, _ = frame()
    rng = np.random.default_rng(0)
    shown = np.zeros((4, SIDE, SIDE))
    for index in range(2):
        shown[index, rng.integers(SIDE), rng.integers(SIDE)] = 60.0
        row, column = rng.integers(5, 20, 2)
        shown[2 + index, row : row + 15, column : column + 15] = 4.0
    points = embed(np.repeat(latent, 4, axis=0), shown + rng.normal(0, 0.1, shown.shape))
    spread = points[:, LATENT + CELLS * CELLS :]
    within = max(np.linalg.norm(spread[0] - spread[1]), np.linalg.norm(spread[2] - spread[3]))
    assert np.linalg.norm(spread[0] - spread[2]) > 5 * within


def test_a_frame_that_is_not_finite_is_a_point_of_nan_and_leaves_its_neighbours_alone() -> None:
    latent, residual = (np.repeat(one, 3, axis=0) for one in frame())
    expected = embed(latent, residual)
    residual[1, 0, 0] = np.nan
    latent[2, 0] = np.inf
    points = embed(latent, residual)
    np.testing.assert_array_equal(points[0], expected[0])
    assert np.isnan(points[1:]).all()


def test_a_perfect_frame_has_zeros() -> None:
    assert not embed(np.zeros((1, LATENT)), np.zeros((1, SIDE, SIDE))).any()


def test_of_no_frames_there_are_no_points() -> None:
    points = embed(np.empty((0, LATENT)), np.empty((0, SIDE, SIDE)))
    assert points.shape == (0, dimensions(LATENT, SIDE, SIDE))


@pytest.mark.parametrize(("latent", "residual"), [((3, 2), (2, 4, 4)), ((3,), (3, 4, 4)), ((3, 2), (3, 16))])
def test_latents_and_residuals_that_do_not_match_are_refused(
    latent: tuple[int, ...], residual: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="of the same frames"):
        embed(np.zeros(latent), np.zeros(residual))


# Components


def test_all_components_keep_all_distances() -> None:
    points = np.random.default_rng(0).normal(size=(30, 5))
    kept = components(points, 1.0)
    assert kept.shape == (30, 5)
    for found, expected in ((kept, points),):
        np.testing.assert_allclose(
            np.linalg.norm(found[:, None] - found, axis=2), np.linalg.norm(expected[:, None] - expected, axis=2)
        )


def test_few_components_keep_what_points_share() -> None:
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 30)) * 3
    kept = components(plane + rng.normal(0, 0.3, plane.shape), 0.8)
    assert kept.shape == (200, 2)
    assert not np.allclose(kept.std(axis=0), 0)


@pytest.mark.parametrize("points", [np.empty((0, 4)), np.ones((1, 4)), np.full((7, 4), 1e3)])
def test_points_that_are_all_alike_have_one_coordinate(points: Float64s) -> None:
    np.testing.assert_array_equal(components(points), np.zeros((len(points), 1)))
