"""The compiled preparation is the one that torch does, pixel by pixel."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pool_examples import everywhere

from models.alignment import fit_alignment
from models.architecture import Architecture
from models.autoencoder import build
from models.compiled.prepare import prepare
from models.cpu import light_of
from models.preparation import Preparation
from models.preparer import Preparer, binned

DTYPES = ("uint8", "uint16", "float32")


def compiled(preparation: Preparation, frames: npt.NDArray[Any], stride: int) -> tuple[npt.NDArray[Any], ...]:
    """Patches (n, a, b, s * s) and poses (n, 4)."""
    (height, width), alignment = preparation.size, preparation.alignment
    patches = np.full((len(frames), -(-height // stride), -(-width // stride), stride**2), np.nan, np.float32)
    poses = np.zeros((len(frames), 4))
    prepare(
        frames,
        preparation.binning,
        np.zeros((height, width), np.float32) if alignment is None else alignment.ground,
        alignment is not None,
        light_of(alignment),
        np.array([preparation.shift, 1.0 / preparation.scale], np.float32),
        stride,
        np.empty((4, frames.shape[2]), np.float32),
        np.zeros((height + 2, width + 2), np.float32),
        patches,
        poses,
    )
    return patches, poses


def by_torch(preparation: Preparation, frames: npt.NDArray[Any], stride: int) -> tuple[npt.NDArray[Any], ...]:
    x, pose = Preparer(preparation)(torch.from_numpy(frames))
    network = build(*preparation.size, Architecture(latent=1, channels=(2, 2), stem_px=stride))
    poses = np.zeros((len(frames), 4)) if pose is None else torch.stack(pose, dim=1).numpy()
    return network.patches(x).numpy(), poses


@settings(max_examples=60, deadline=None)  # the first example compiles
@given(
    height=st.integers(33, 90),
    width=st.integers(33, 90),
    binning=st.integers(1, 2),
    stride=st.sampled_from([1, 2, 3, 4, 8]),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 99),
)
def test_frames_that_are_left_as_they_lie_are_torchs(
    height: int, width: int, binning: int, stride: int, dtype: str, seed: int
) -> None:
    preparation = Preparation(height, width, 60.0, 31.0, binning)
    stride = min(stride, min(preparation.size) // 4)
    frames = np.random.default_rng(seed).integers(0, 255, (3, height, width)).astype(dtype)
    found, poses = compiled(preparation, frames, stride)
    expected, _ = by_torch(preparation, frames, stride)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-5)
    assert not poses.any()


@pytest.mark.parametrize("binning", [3, 5, 8])
@pytest.mark.parametrize("side", [128, 131])
def test_larger_squares_and_those_cut_by_the_edge_are_torchs(binning: int, side: int) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (2, side, side + 1), dtype=np.uint8)
    preparation = Preparation(side, side + 1, 60.0, 31.0, binning)
    np.testing.assert_allclose(
        compiled(preparation, frames, 4)[0], by_torch(preparation, frames, 4)[0], rtol=1e-6, atol=1e-5
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("binning", "stride"), [(1, 4), (2, 4), (2, 8), (1, 5)])
def test_pools_are_turned_as_torch_turns_them(binning: int, stride: int, dtype: str) -> None:
    frames = everywhere(60).astype(dtype)
    alignment = fit_alignment(binned(torch.from_numpy(frames), binning).numpy())
    preparation = Preparation(*frames.shape[1:], 3.0, 12.0, binning, alignment)
    found, poses = compiled(preparation, frames, stride)
    expected, pose = by_torch(preparation, frames, stride)
    np.testing.assert_allclose(poses[:, :2], pose[:, :2], atol=2e-3)
    np.testing.assert_allclose(np.exp(1j * poses[:, 2]), np.exp(1j * pose[:, 2]), atol=2e-4)
    np.testing.assert_allclose(poses[:, 3], pose[:, 3], rtol=1e-4)
    # A pixel half-way between two may be picked from either side, as the last bit of the angle falls.
    assert (np.abs(found - expected) > 1e-4).mean() < 1e-3
    assert np.isfinite(found).all()


def test_a_dark_frame_is_left_as_it_came() -> None:
    frames = everywhere(40)
    alignment = fit_alignment(frames.astype(np.float32))
    preparation = Preparation(*frames.shape[1:], 3.0, 12.0, 1, alignment)
    dark = np.zeros((1, *frames.shape[1:]), np.uint8)
    found, poses = compiled(preparation, dark, 4)
    expected, pose = by_torch(preparation, dark, 4)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(poses, pose, atol=1e-6)


@pytest.mark.parametrize("spoilt", [np.nan, np.inf])
def test_what_is_not_finite_stays_so_and_spoils_no_other_frame(spoilt: float) -> None:
    frames = everywhere(40).astype(np.float32)
    alignment = fit_alignment(frames)
    preparation = Preparation(*frames.shape[1:], 3.0, 12.0, 1, alignment)
    expected, _ = compiled(preparation, frames, 4)
    row, column = (side // 2 for side in frames.shape[1:])
    frames[1, row, column] = spoilt
    found, poses = compiled(preparation, frames, 4)
    assert not np.isfinite(found[1]).all()
    assert np.isfinite(poses).all()
    np.testing.assert_array_equal(np.delete(found, 1, axis=0), np.delete(expected, 1, axis=0))
