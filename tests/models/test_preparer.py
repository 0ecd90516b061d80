"""What the network sees: bins, one scale, and pools turned where they are to be."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from models.preparation import Preparation
from models.preparer import Preparer, binned, fit_preparation
from tests.models.pool_examples import everywhere, pools


@pytest.fixture(scope="module")
def preparer() -> Preparer:
    return Preparer(fit_preparation(everywhere(), align=True))


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


def test_a_place_in_binned_and_turned_frames_is_given_on_the_sensor() -> None:
    preparer = Preparer(fit_preparation(everywhere(), binning=2, align=True))
    for angle in np.linspace(0, 2 * np.pi, 9):
        frame = pools(angle, 2, -3)
        frame[0, 12:15, 40:43] = 255
        prepared = preparer(torch.from_numpy(frame))
        spot = prepared.x[0, 0].numpy().copy()
        spot[9:24, 9:24] = 0  # the pool, moved to the middle
        where = np.array([np.unravel_index(spot.argmax(), spot.shape)], np.int16)
        assert np.abs(preparer.places(where, prepared.pose)[0] - [13, 41]).max() <= 5


def test_bins_do_not_change_what_they_are_made_of() -> None:
    frames = torch.arange(2 * 8 * 8, dtype=torch.float32).view(2, 8, 8)
    before = frames.clone()
    binned(frames, 2).zero_()
    binned(frames, 1).zero_()
    assert torch.equal(frames, before)


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
