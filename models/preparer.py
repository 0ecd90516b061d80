"""Frames as they come from the camera -> frames as the network sees them, and how a camera's are to be prepared."""

import math
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from models.alignment import Aligner, Pose, fit_alignment, show_pools
from models.preparation import Frames, Preparation

CHUNK: Final = 256  # frames looked at together when a preparation is fitted
LOOKED_AT: Final = 2000  # frames that the ground is estimated from, spread over all
LOOKED_AT_BYTES: Final = 2**28  # ... in float32, at most: large frames are fewer
POOL_SIDE_PX: Final = 56  # frames of pools are binned while their shorter side keeps as many pixels
BINNING_MAX: Final = 8


class Prepared(NamedTuple):
    """Frames (n, 1, H, W) in normalised units, and the pose that each was turned from (None: as they came)."""

    x: Tensor
    pose: Pose | None


class Preparer:
    """Prepares frames on a device."""

    def __init__(self, preparation: Preparation, device: str | torch.device = "cpu") -> None:
        self.preparation = preparation
        self.size = preparation.size
        self._align = None if preparation.alignment is None else Aligner(preparation.alignment, device)

    def __call__(self, loaded: Tensor) -> Prepared:
        """Prepares *loaded* (n, h, w) of any pixel type, which is left alone."""
        x, pose = binned(loaded, self.preparation.binning), None
        if self._align is not None:
            x, pose = self._align(x)
        x = x.sub_(self.preparation.shift).mul_(1.0 / self.preparation.scale)
        return Prepared(x.unsqueeze(1), pose)

    def places(self, where: npt.NDArray[np.int16], pose: Pose | None) -> npt.NDArray[np.int16]:
        """Pixels (n, 2) of what the network saw -> row and column (n, 2) on the sensor."""
        if self._align is not None and pose is not None:
            where = self._align.places(where, pose)
        binning = self.preparation.binning
        if binning == 1:
            return where
        last = np.array([self.preparation.height - 1, self.preparation.width - 1])
        place: npt.NDArray[np.int16] = np.minimum(where * binning + binning // 2, last).astype(np.int16)
        return place


def binned(frames: Tensor, binning: int) -> Tensor:
    """Means of *frames* (n, h, w) over squares of *binning* pixels a side -> (n, H, W) of float32, a copy.

    The last squares may be cut by the edge, and take the mean of what they hold.
    """
    x = frames.to(torch.float32, copy=True)
    if binning == 1:
        return x
    below, right = -x.shape[1] % binning, -x.shape[2] % binning
    if below or right:  # twice as slow
        return F.avg_pool2d(x.unsqueeze(1), binning, ceil_mode=True, count_include_pad=False)[:, 0]
    rows = x[:, 0::binning]
    for row in range(1, binning):
        rows = rows + x[:, row::binning]
    total = rows[:, :, 0::binning].clone()
    for column in range(1, binning):
        total += rows[:, :, column::binning]
    return total.mul_(1.0 / binning**2)


def fit_preparation(
    frames: Frames, binning: int | Literal["auto"] = 1, align: bool | Literal["auto"] = False
) -> Preparation:
    """The preparation of frames like *frames* (m, h, w). Raises ValueError where a pixel is not finite.

    `auto`: frames that show melt pools (`models.alignment.show_pools`) are aligned, and binned while their shorter side
    keeps POOL_SIDE_PX pixels; others are left as they are.
    """
    _, height, width = frames.shape
    most = min(LOOKED_AT, max(LOOKED_AT_BYTES // (4 * height * width), 1))
    some = frames[:: max(math.ceil(len(frames) / most), 1)]
    if not np.isfinite(some).all():
        raise ValueError("training frames hold pixels that are not finite: remove those frames")
    side = min(max(min(height, width) // POOL_SIDE_PX, 1), BINNING_MAX)
    tried = side if binning == "auto" else binning
    alignment = fit_alignment(_binned_all(some, tried)) if align else None
    if align == "auto" and alignment is not None and not show_pools(_binned_all(some, tried), alignment):
        alignment = None
    if binning == "auto" and alignment is None:
        tried = 1
    plain = Preparation(height, width, 0.0, 1.0, tried, alignment)
    preparer = Preparer(plain)
    means, deviations = [], []
    for first in range(0, len(frames), CHUNK):
        x = preparer(torch.from_numpy(np.array(frames[first : first + CHUNK]))).x.flatten(1).double()
        means.append(x.mean(dim=1).numpy())
        deviations.append(x.std(dim=1, correction=0).numpy())
    shift, scale = _normalisation(np.concatenate(means), np.concatenate(deviations))
    return plain._replace(shift=shift, scale=scale)


def _binned_all(frames: Frames, binning: int) -> npt.NDArray[np.float32]:
    chunks = (frames[first : first + CHUNK] for first in range(0, len(frames), CHUNK))
    return np.concatenate([binned(torch.from_numpy(np.array(chunk)), binning).numpy() for chunk in chunks])


def _normalisation(mean: npt.NDArray[np.float64], sd: npt.NDArray[np.float64]) -> tuple[float, float]:
    """(shift, scale): the medians over frames of a frame's mean and of its standard deviation; scale is never 0.

    Medians over frames, so that a few anomalous ones move neither; moments within a frame, since more than half of a
    melt-pool frame may be equally black and the median of its pixels says nothing of the pool.
    """
    if not np.isfinite(mean + sd).all():
        raise ValueError("training frames hold pixels that are not finite: remove those frames")
    for scale in (float(np.median(sd)), float(sd.max()), float(mean.std())):
        if scale > 0:
            return float(np.median(mean)), scale
    return float(np.median(mean)), 1.0  # identical constant frames: any scale serves
