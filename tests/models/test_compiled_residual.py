"""The compiled scores are those of `calibration.charts`, whatever the frame's size, the patches and the windows."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration import charts
from models.compiled.residual import score, window_shares
from models.cpu import in_patches, starts

OFFSET = 0.02, 0.1  # mean and standard deviation


def scores_of(
    residual: np.ndarray, stride: int, window: int, step: int, binning: int = 1, poses: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Of scaled residuals (n, H, W): charts (4, n) and places (n, 2)."""
    count, height, width = residual.shape
    scale = np.exp2(np.random.default_rng(0).integers(-2, 3, (height, width)))  # exact, as is its inverse
    grid = -(-height // stride), -(-width // stride)
    seen = np.stack([in_patches(grid, stride, one * scale) for one in residual])
    drawn = np.random.default_rng(2).integers(-1, 2, seen.shape).astype(np.float32)
    latent = np.random.default_rng(1).normal(size=(count, 5)).astype(np.float32)
    found, where = np.empty((4, count), np.float32), np.empty((count, 2), np.int16)
    windows = stride, height, width, window, math.gcd(window, step, stride)
    score(
        seen + drawn + 0.5,
        drawn.view(np.uint32),
        0,
        np.full(drawn.shape[1:], 0.5, np.float32),
        in_patches(grid, stride, 1 / scale),
        latent,
        (OFFSET[0], 1 / OFFSET[1]),
        windows,
        window_shares(starts(height, window, step), starts(width, window, step), windows),
        np.zeros((count, 4)) if poses is None else poses,
        (binning, height * binning, width * binning),
        found,
        where,
    )
    np.testing.assert_allclose(found[0], np.square(latent).sum(axis=1), rtol=1e-5)
    return found, where


@settings(max_examples=80, deadline=None)  # the first example compiles
@given(
    height=st.integers(16, 70),
    width=st.integers(16, 70),
    stride=st.sampled_from([1, 2, 4, 5, 8]),
    window=st.integers(1, 12),
    data=st.data(),
    seed=st.integers(0, 99),
)
def test_scores_are_those_of_the_formulas(
    height: int, width: int, stride: int, window: int, data: st.DataObject, seed: int
) -> None:
    step = data.draw(st.integers(1, window))
    residual = np.random.default_rng(seed).normal(0.1, 1.0, (3, height, width))
    (_, s2, offset, local), where = scores_of(residual, stride, window, step)
    np.testing.assert_allclose(s2, charts.s2(residual), rtol=1e-5)
    np.testing.assert_allclose(offset, charts.offset(residual, *OFFSET), rtol=1e-3, atol=1e-4)
    expected, place = charts.local(residual, window, step)
    np.testing.assert_allclose(local, expected, rtol=1e-5)
    np.testing.assert_array_equal(where, place)


def test_of_equal_windows_the_first_is_named() -> None:
    residual = np.zeros((1, 32, 32))
    residual[0, [4, 4, 20], [8, 24, 8]] = 1.0
    _, where = scores_of(residual, 4, 1, 1)
    assert where[0].tolist() == [4, 8]


@pytest.mark.parametrize("binning", [1, 2])
def test_the_place_is_the_one_on_the_sensor_before_turning(binning: int) -> None:
    residual = np.zeros((2, 33, 33))
    residual[:, 16, 26] = 5.0  # ten to the right of the middle
    poses = np.array([[0.0, 0.0, np.pi / 2, 3.0], [2.0, -1.0, 0.0, 3.0]])
    _, where = scores_of(residual, 4, 1, 1, binning, poses)
    expected = np.array([[26, 16], [18, 25]])  # ten below the middle; two below and one to the left
    assert np.array_equal(where, expected * binning + binning // 2)


@pytest.mark.parametrize("spoilt", [np.nan, np.inf])
def test_what_is_not_finite_shows_in_its_own_frame_only(spoilt: float) -> None:
    residual = np.random.default_rng(0).normal(size=(3, 40, 40))
    expected, _ = scores_of(residual, 4, 8, 4)
    residual[1, 17, 23] = spoilt
    found, _ = scores_of(residual, 4, 8, 4)
    assert not np.isfinite(found[1:, 1]).any()
    np.testing.assert_array_equal(found[:, [0, 2]], expected[:, [0, 2]])


def test_a_bright_mean_does_not_cost_the_variance_its_digits() -> None:
    residual = np.random.default_rng(0).normal(30.0, 0.1, (1, 576, 576)).astype(np.float32)
    (_, s2, _, _), _ = scores_of(residual, 4, 8, 4)
    assert s2[0] == pytest.approx(charts.s2(residual.astype(np.float64))[0], rel=2e-2)
