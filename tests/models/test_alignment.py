"""Pools turned to one direction and moved to the middle, noise and all; whatever shows no pools is left alone."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.alignment import Aligner, fit_alignment, show_pools
from models.preparation import Alignment
from models.preparer import Preparer, fit_preparation
from monitor.camera.meltpool import camera as meltpool
from monitor.camera.stem import diffraction, images
from tests.models.pool_examples import GROUND, NOISE_SD, everywhere, pools


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
@given(st.floats(0, 2 * np.pi), st.floats(-3, 3), st.floats(-3, 3))
def test_a_pool_is_found_where_it_is_and_moved_to_the_middle(
    preparer: Preparer, angle: float, row: float, column: float
) -> None:
    pose = preparer(torch.from_numpy(np.concatenate([pools(angle), pools(angle, row, column)]))).pose
    assert pose is not None
    assert np.abs((pose.angle_rad.numpy() - angle + np.pi) % (2 * np.pi) - np.pi).max() < 0.1
    assert float(pose.row[1] - pose.row[0]) == pytest.approx(row, abs=1.2)
    assert float(pose.column[1] - pose.column[0]) == pytest.approx(column, abs=1.2)


def test_a_pool_that_strays_further_than_pools_do_is_not_brought_back(preparer: Preparer) -> None:
    frames = np.concatenate([pools(0.7), pools(0.7, 12, -16)])
    pose = preparer(torch.from_numpy(frames)).pose
    assert pose is not None
    assert preparer.preparation.alignment is not None
    alignment = preparer.preparation.alignment
    shift = np.hypot(pose.row.numpy() - alignment.row, pose.column.numpy() - alignment.column)
    assert shift[0] < alignment.reach
    assert shift[1] == pytest.approx(alignment.reach, rel=1e-4)
    seen = turned(preparer, frames)
    assert np.hypot(*(np.argwhere(seen[1] > 100).mean(axis=0) - 32)) > 5  # it shows beside the middle


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


@pytest.mark.parametrize("angle", [0.0, 0.9])
def test_a_tail_that_always_lies_in_one_place_is_not_taken_for_ground(angle: float) -> None:
    """A calibration of one scan direction: its pools must not leave dark tails beside those of another."""
    pattern = np.random.default_rng(5).normal(0, 3, (65, 1)).repeat(65, axis=1)  # rows differ, as sensors' do
    frames = np.concatenate([pools(angle, noise=NOISE_SD, seed=seed) for seed in range(40)]) + pattern
    ground = fit_alignment(frames.astype(np.float32)).ground
    assert np.abs(ground - (GROUND + pattern)).max() < 3 * NOISE_SD
    assert np.abs((ground - GROUND - pattern)[25:40, 25:40]).mean() < 1.2 * NOISE_SD


def test_a_frame_that_is_all_lit_still_gives_a_finite_ground() -> None:
    bright = np.random.default_rng(0).normal(200, 1, (10, 20, 24)).astype(np.float32)
    bright[:, :, ::2] += 50
    found = fit_alignment(bright)
    assert np.isfinite(found.ground).all()
    assert found.threshold > 0


POOLS = [(meltpool.normal_frames, 64, 11), (meltpool.normal_frames, 120, 11)]
OTHERS = [(images.normal_frames, 64, 1), (images.normal_frames, 128, 1), (diffraction.normal_frames, 96, 3)]


@pytest.mark.parametrize(("normal", "side", "every"), POOLS)
def test_simulated_pools_are_known_for_pools_and_are_binned_where_they_are_large(
    normal: Any, side: int, every: int
) -> None:
    frames = normal(100, 3, side, side, every)
    found = fit_preparation(frames, "auto", "auto")
    assert found.alignment is not None
    assert found.binning == max(side // 56, 1)
    assert found.alignment.ground.shape == found.size


@pytest.mark.parametrize(("normal", "side", "every"), OTHERS)
def test_what_shows_no_pools_is_left_as_it_is(normal: Any, side: int, every: int) -> None:
    found = fit_preparation(normal(30, 3, side, side, every), "auto", "auto")
    assert (found.binning, found.alignment) == (1, None)


@pytest.mark.parametrize(
    "frames",
    [
        np.full((5, 20, 20), 7.0),
        np.random.default_rng(0).normal(100, 3, (40, 32, 32)),
        np.concatenate([pools([0.5], noise=NOISE_SD), np.full((9, 65, 65), GROUND)]),  # a pool in one frame of ten
    ],
    ids=["constant", "noise", "rare"],
)
def test_frames_without_pools_show_none(frames: npt.NDArray[Any]) -> None:
    assert not show_pools(frames, fit_alignment(frames))


@pytest.mark.parametrize(("row", "whole"), [(0.0, True), (15.0, True), (29.0, False)])
def test_pools_that_the_edge_cuts_have_no_direction_to_turn_by(row: float, whole: bool) -> None:
    angles = np.random.default_rng(2).uniform(0, 2 * np.pi, 60)
    frames = np.concatenate([pools(angle, row=row, noise=NOISE_SD, seed=seed) for seed, angle in enumerate(angles)])
    assert show_pools(frames, fit_alignment(frames)) == whole


def test_round_pools_are_nothing_to_turn() -> None:
    down, right = np.mgrid[:65, :65] - 32.0
    random = np.random.default_rng(1)
    frames = GROUND + 160 * np.exp(-(down**2 + right**2) / 30) + random.normal(0, NOISE_SD, (50, 65, 65))
    assert not show_pools(frames, fit_alignment(frames))


def test_the_way_back_is_the_inverse_of_turning() -> None:
    frames = torch.from_numpy(pools([0.4, 2.0], 3, -5).astype(np.float32))
    align = Aligner(Alignment(np.full((65, 65), GROUND, np.float32), 10.0))
    turned, pose = align(frames.clone())
    seen = np.array([[32, 32], [40, 21]], np.int16)
    for index, (row, column) in enumerate(align.places(seen, pose).tolist()):
        assert float(turned[index, *seen[index]]) == pytest.approx(float(frames[index, row, column]) - GROUND, abs=1e-3)
