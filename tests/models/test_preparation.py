"""What the network sees: pools turned to one direction and moved to the middle, noise and all; bins; one scale."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.preparation import Preparation, Preparer, fit_preparation

GROUND, NOISE_SD = 10.0, 2.0


def pools(
    angles_rad: Any, row: float = 0.0, column: float = 0.0, side: int = 65, noise: float = 0.0, seed: int = 0
) -> npt.NDArray[np.uint8]:
    """Drops (n, side, side) with a sharp head in the middle, or beside it, and a tail towards each angle."""
    angles = np.atleast_1d(np.asarray(angles_rad, float))
    down, right = np.mgrid[:side, :side] - (side - 1) / 2.0
    down, right = down - row, right - column
    cosine, sine = np.cos(angles)[:, None, None], np.sin(angles)[:, None, None]
    along, across = right * cosine + down * sine, down * cosine - right * sine
    head = 160 * np.exp(-(along**2 + across**2) / 18)
    tail = np.where(along > 0, 120 * np.exp(-along / 9 - across**2 / 8), 0.0)
    random = np.random.default_rng(seed)
    return (GROUND + head + tail + random.normal(0, noise, head.shape)).clip(0, 255).astype(np.uint8)


def everywhere(count: int = 300, noise: float = NOISE_SD) -> npt.NDArray[np.uint8]:
    """Normal frames of a camera: all directions, a little wander."""
    random = np.random.default_rng(3)
    frames = [
        pools(angle, *random.normal(0, 1.0, 2), noise=noise, seed=seed)
        for seed, angle in enumerate(random.uniform(0, 2 * np.pi, count))
    ]
    return np.concatenate(frames)


@pytest.fixture(scope="module")
def preparer() -> Preparer:
    return Preparer(fit_preparation(everywhere(), align=True))


def turned(preparer: Preparer, frames: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    held = preparer.preparation
    x = preparer(torch.from_numpy(frames)).x[:, 0].numpy()
    return x * held.scale + held.shift  # pixel units above the ground


def test_pools_of_every_direction_look_the_same_once_turned(preparer: Preparer) -> None:
    seen = turned(preparer, pools(np.linspace(0, 2 * np.pi, 48, endpoint=False)))
    spread = np.abs(seen - np.median(seen, axis=0)).mean(axis=(1, 2))
    untouched = pools(np.linspace(0, 2 * np.pi, 48, endpoint=False)).astype(float)
    assert spread.max() < 0.5 * np.abs(untouched - np.median(untouched, axis=0)).mean(axis=(1, 2)).min()
    right = np.arange(65) - 32.0
    third = ((seen.clip(min=20) - 20) * right**3).sum(axis=(1, 2))
    assert (third > 0).all()


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 2 * np.pi), st.floats(-6, 6), st.floats(-6, 6))
def test_a_pool_is_found_where_it_is_and_moved_to_the_middle(
    preparer: Preparer, angle: float, row: float, column: float
) -> None:
    pose = preparer(torch.from_numpy(np.concatenate([pools(angle), pools(angle, row, column)]))).pose
    assert pose is not None
    assert np.abs((pose.angle_rad.numpy() - angle + np.pi) % (2 * np.pi) - np.pi).max() < 0.1
    assert float(pose.row[1] - pose.row[0]) == pytest.approx(row, abs=1.2)
    assert float(pose.column[1] - pose.column[0]) == pytest.approx(column, abs=1.2)


def test_noise_is_as_strong_after_every_turn(preparer: Preparer) -> None:
    angles = np.linspace(0, np.pi / 2, 7)
    for angle in angles:
        frames = np.concatenate([pools(angle, noise=NOISE_SD, seed=seed) for seed in range(60)])
        corner = turned(preparer, frames)[:, 4:14, 26:40]  # far from the pool, inside at every angle
        assert corner.std(axis=0).mean() == pytest.approx(np.hypot(NOISE_SD, 12**-0.5), rel=0.06)


def test_a_round_pool_is_left_unturned(preparer: Preparer) -> None:
    down, right = np.mgrid[:65, :65] - 32.0
    spot = (GROUND + 160 * np.exp(-(down**2 + right**2) / 30)).astype(np.uint8)[None]
    pose = preparer(torch.from_numpy(spot)).pose
    assert pose is not None
    assert float(pose.angle_rad) == 0.0
    assert preparer.preparation.alignment is not None
    np.testing.assert_allclose(turned(preparer, spot)[0], spot[0] - preparer.preparation.alignment.ground, atol=1e-3)


def test_frames_without_a_pool_stay_as_they_are(preparer: Preparer) -> None:
    dark = np.full((3, 65, 65), int(GROUND), np.uint8)
    assert preparer.preparation.alignment is not None
    np.testing.assert_allclose(turned(preparer, dark), dark - preparer.preparation.alignment.ground, atol=1e-3)


def test_a_place_in_what_the_network_sees_is_given_on_the_sensor(preparer: Preparer) -> None:
    for angle in np.linspace(0, 2 * np.pi, 9):
        frame = pools(angle, 2, -3)
        frame[0, 12:15, 40:43] = 255
        prepared = preparer(torch.from_numpy(frame))
        x = prepared.x[0, 0].numpy().copy()
        spot = np.abs(x - preparer(torch.from_numpy(pools(angle, 2, -3))).x[0, 0].numpy())
        where = np.array([np.unravel_index(spot.argmax(), spot.shape)], np.int16)
        assert np.abs(preparer.places(where, prepared.pose)[0] - [13, 41]).max() <= 3


@pytest.mark.parametrize(("height", "width", "binning"), [(40, 60, 2), (41, 63, 2), (50, 34, 3)])
def test_bins_are_means_and_those_at_the_edge_too(height: int, width: int, binning: int) -> None:
    frames = np.random.default_rng(1).integers(0, 255, (4, height, width), dtype=np.uint8)
    preparer = Preparer(Preparation(height, width, 0.0, 1.0, binning))
    x = preparer(torch.from_numpy(frames)).x
    assert tuple(x.shape) == (4, 1, *preparer.size)
    assert x[0, 0, 0, 1].item() == pytest.approx(frames[0, :binning, binning : 2 * binning].mean(), rel=1e-5)
    last = frames[0, (preparer.size[0] - 1) * binning :, (preparer.size[1] - 1) * binning :]
    assert x[0, 0, -1, -1].item() == pytest.approx(last.mean(), rel=1e-5)
    place = preparer.places(np.array([[0, 1], [preparer.size[0] - 1, 0]], np.int16), None)
    assert place[0].tolist() == [binning // 2, binning + binning // 2]
    assert place[1, 0] <= height - 1


def test_frames_are_left_alone_and_views_are_like_their_copies() -> None:
    frames = np.random.default_rng(1).integers(0, 255, (5, 30, 30), dtype=np.uint8)
    view = frames[::-2, 2:26, ::-1]
    preparer = Preparer(fit_preparation(view.copy(), align=True))
    loaded = torch.from_numpy(view.copy())
    before = loaded.clone()
    once, again = preparer(loaded).x, preparer(torch.from_numpy(view.copy())).x
    assert torch.equal(once, again)
    assert torch.equal(loaded, before)


def test_a_frame_that_is_not_finite_spoils_no_other(preparer: Preparer) -> None:
    frames = pools([0.3, 1.2, 2.5]).astype(np.float32)
    expected = preparer(torch.from_numpy(frames)).x
    frames[1, 5, 5] = np.nan
    found = preparer(torch.from_numpy(frames)).x
    assert torch.equal(found[[0, 2]], expected[[0, 2]])


def test_anomalous_frames_move_the_normalisation_little() -> None:
    clean = everywhere(100)
    spoilt = np.concatenate((clean, np.full((5, 65, 65), 255, np.uint8)))
    for align in (False, True):
        one, other = fit_preparation(clean, align=align), fit_preparation(spoilt, align=align)
        assert (one.shift, one.scale) == pytest.approx((other.shift, other.scale), rel=0.05)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (np.full((3, 16, 16), 9, np.uint8), (9.0, 1.0)),
        (np.stack([np.full((16, 16), level, np.uint16) for level in (10, 20, 30)]), (20.0, np.std([10, 20, 30]))),
    ],
)
def test_the_scale_is_never_zero(frames: npt.NDArray[Any], expected: tuple[float, float]) -> None:
    found = fit_preparation(frames)
    assert (found.shift, found.scale) == pytest.approx(expected)


def test_large_counts_keep_their_precision() -> None:
    frames = everywhere(20)
    far = fit_preparation((4_000_000 + frames.astype(np.float32)).astype(np.float32))
    near = fit_preparation(frames)
    assert far.shift - 4_000_000 == pytest.approx(near.shift, abs=1e-3)
    assert far.scale == pytest.approx(near.scale, rel=1e-6)


@pytest.mark.parametrize("align", [False, True])
def test_frames_that_are_not_finite_are_refused(align: bool) -> None:
    with pytest.raises(ValueError, match="not finite"):
        fit_preparation(np.full((4, 16, 16), np.nan, np.float32), align=align)
