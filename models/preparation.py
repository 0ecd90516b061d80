"""Frames as they come from the camera -> frames as the network sees them: turned, binned, normalised.

A melt pool points along its scan vector, and vectors turn from layer to layer: a new direction is normal operation.
`align` turns every pool to one direction and moves it to the middle, by the moments of its image. It picks pixels and
mixes none, so that the noise of what is compared does not depend on the angle (an interpolation would cut its variance
to half at some angles and leave it at others).
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

Frames = npt.NDArray[Any]  # (m, h, w) of uint8, uint16 or float32
Float32s = npt.NDArray[np.float32]

CHUNK: Final = 256  # frames looked at together when a preparation is fitted
LOOKED_AT: Final = 2000  # frames that the ground is estimated from, spread over all
GROUND_QUANTILE: Final = 0.2  # of a pixel over the frames: dark, since the pool turns and wanders
THRESHOLD_SHARE: Final = 0.05  # of the way from the ground to the brightest: what is less is no pool
ROUND: Final = 1.1  # a pool less elongated than this has no direction worth turning by
LIGHT_CAP: Final = 8.0  # thresholds: what is brighter counts no more, so that the core does not outweigh the tail
COARSE_PX: Final = 64  # moments are taken from every n-th pixel, so that about as many are left along a side


class Alignment(NamedTuple):
    """What alignment needs to know of a camera: its fixed pattern, and what is brighter than any ground."""

    ground: Float32s  # (h, w), pixel units: subtracted before anything is turned
    threshold: float  # above the ground, pixel units: what the moments see


class Preparation(NamedTuple):
    """How frames of *height* x *width* become what the network sees; ValueError from `Preparer` where it can't be."""

    height: int
    width: int
    shift: float
    scale: float
    binning: int = 1
    alignment: Alignment | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns that the network sees."""
        return -(-self.height // self.binning), -(-self.width // self.binning)


class Pose(NamedTuple):
    """Where each of n pools is and where its tail points; all (n,)."""

    row: Tensor
    column: Tensor
    angle_rad: Tensor  # from the columns' axis towards the rows', 0 for pools that are round


class Prepared(NamedTuple):
    """Frames (n, 1, H, W) in normalised units, and the pose that each was turned from (None: as they came)."""

    x: Tensor
    pose: Pose | None


class Preparer:
    """Prepares frames on a device."""

    def __init__(self, preparation: Preparation, device: str | torch.device = "cpu") -> None:
        self.preparation = preparation
        self.size = preparation.size
        self._device = torch.device(device)
        height, width = preparation.height, preparation.width
        self._down = torch.arange(height, dtype=torch.float32, device=self._device) - (height - 1) / 2
        self._right = torch.arange(width, dtype=torch.float32, device=self._device) - (width - 1) / 2
        self._step = max(min(height, width) // COARSE_PX, 1)
        if preparation.alignment is not None:
            self._ground = torch.from_numpy(preparation.alignment.ground).to(self._device)
            self._monomials = _monomials(self._down[:: self._step], self._right[:: self._step])

    def __call__(self, loaded: Tensor) -> Prepared:
        """Prepares *loaded* (n, h, w) of any pixel type, which is left alone."""
        pose = None
        x = loaded.to(torch.float32, copy=True)
        if self.preparation.alignment is not None:
            x -= self._ground
            pose = self._pose(x)
            x = self._turned(x, pose)
        x = x.unsqueeze(1)
        if self.preparation.binning > 1:
            # The last bins may be cut by the edge, and take the mean of what they hold.
            x = F.avg_pool2d(x, self.preparation.binning, ceil_mode=True, count_include_pad=False)
        return Prepared(x.sub_(self.preparation.shift).mul_(1.0 / self.preparation.scale), pose)

    def places(self, where: npt.NDArray[np.int16], pose: Pose | None) -> npt.NDArray[np.int16]:
        """Pixels (n, 2) of what the network saw -> row and column (n, 2) on the sensor."""
        held = self.preparation
        if held.binning == 1 and pose is None:
            return where
        place = np.minimum(where * held.binning + held.binning // 2, [held.height - 1, held.width - 1])
        if pose is not None:
            down, right = (place - [(held.height - 1) / 2, (held.width - 1) / 2]).T
            sine, cosine = torch.sin(pose.angle_rad).cpu().numpy(), torch.cos(pose.angle_rad).cpu().numpy()
            middle = (held.height - 1) / 2 + pose.row.cpu().numpy(), (held.width - 1) / 2 + pose.column.cpu().numpy()
            turned = middle[0] + sine * right + cosine * down, middle[1] + cosine * right - sine * down
            place = np.clip(np.rint(np.stack(turned, axis=1)), 0, [held.height - 1, held.width - 1])
        return place.astype(np.int16)

    def _pose(self, above: Tensor) -> Pose:
        """The pose of each pool in *above* (n, h, w), frames less their ground: by image moments, Hu 1962.

        m_pq is the mean of x^p y^q weighted by the light: x, of the first index, counts columns to the right of the
        frame's middle, and y, of the second, rows below it.
        """
        threshold = self.preparation.alignment.threshold  # type: ignore[union-attr]  # asked by the caller
        step = self._step
        light = (above[:, ::step, ::step] - threshold).clamp_(0.0, LIGHT_CAP * threshold)
        sums = light.reshape(len(light), -1) @ self._monomials  # (n, 10)
        mass = sums[:, 0].clamp_min(torch.finfo(torch.float32).tiny)
        m01, m10, m02, m11, m20, m03, m12, m21, m30 = (sums[:, 1:] / mass[:, None]).unbind(1)
        down, across, right = m02 - m01 * m01, m11 - m10 * m01, m20 - m10 * m10
        angle = 0.5 * torch.atan2(2 * across, right - down)
        sine, cosine = torch.sin(angle), torch.cos(angle)
        # Third moment along the axis: the tail is the side that reaches further.
        third = (
            cosine**3 * (m30 - 3 * m10 * m20 + 2 * m10**3)
            + 3 * cosine**2 * sine * (m21 - 2 * m10 * m11 - m01 * m20 + 2 * m10 * m10 * m01)
            + 3 * cosine * sine**2 * (m12 - 2 * m01 * m11 - m10 * m02 + 2 * m10 * m01 * m01)
            + sine**3 * (m03 - 3 * m01 * m02 + 2 * m01**3)
        )
        angle = torch.where(third < 0, angle + torch.pi, angle)
        half = torch.hypot((right - down) / 2, across)
        mean = (right + down) / 2
        elongated = (mean + half > ROUND**2 * (mean - half)) & (sums[:, 0] > 0)
        angle = torch.where(elongated, angle, torch.zeros_like(angle))
        return Pose(*(torch.nan_to_num(one, 0.0, 0.0, 0.0) for one in (m01, m10, angle)))  # frames that are not finite

    def _turned(self, x: Tensor, pose: Pose) -> Tensor:
        """*x* (n, h, w) about each pool's middle, by picking the nearest pixel; dark where there is none."""
        count, height, width = x.shape
        sine, cosine = torch.sin(pose.angle_rad)[:, None], torch.cos(pose.angle_rad)[:, None]
        down, right = self._down, self._right
        row = (pose.row[:, None] + (height - 1) / 2 + cosine * down)[:, :, None] + (sine * right)[:, None]
        column = (pose.column[:, None] + (width - 1) / 2 - sine * down)[:, :, None] + (cosine * right)[:, None]
        row, column = row.round_(), column.round_()
        outside = (row < 0) | (row > height - 1) | (column < 0) | (column > width - 1)
        picked = (row * width + column).masked_fill_(outside, 0.0).to(torch.int64).view(count, -1)
        turned = x.view(count, -1).gather(1, picked).view(count, height, width)
        return turned.masked_fill_(outside, 0.0)


def fit_preparation(frames: Frames, binning: int = 1, align: bool = False) -> Preparation:
    """The preparation of frames like *frames* (m, h, w). Raises ValueError where a pixel is not finite."""
    _, height, width = frames.shape
    alignment = _fit_alignment(frames) if align else None
    plain = Preparation(height, width, 0.0, 1.0, binning, alignment)
    preparer = Preparer(plain)
    means, deviations = [], []
    for first in range(0, len(frames), CHUNK):
        x = preparer(torch.from_numpy(np.array(frames[first : first + CHUNK]))).x.flatten(1).double()
        means.append(x.mean(dim=1).numpy())
        deviations.append(x.std(dim=1, correction=0).numpy())
    shift, scale = _normalisation(np.concatenate(means), np.concatenate(deviations))
    return plain._replace(shift=shift, scale=scale)


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


def _fit_alignment(frames: Frames) -> Alignment:
    """Ground and threshold of melt-pool frames. The ground is cut where the pool always is: it is bright there."""
    some = np.asarray(frames[:: max(len(frames) // LOOKED_AT, 1)], np.float32)
    if not np.isfinite(some).all():
        raise ValueError("training frames hold pixels that are not finite: remove those frames")
    ground = np.quantile(some, GROUND_QUANTILE, axis=0).astype(np.float32)
    middle = float(np.median(ground))
    threshold = THRESHOLD_SHARE * (float(np.quantile(some, 0.999)) - middle)
    return Alignment(np.minimum(ground, middle + threshold).astype(np.float32), max(threshold, 1e-6))


def _monomials(down: Tensor, right: Tensor) -> Tensor:
    """x^p y^q of every pixel, for m00, m01, m10, m02, m11, m20, m03, m12, m21, m30: (h * w, 10)."""
    y, x = (grid.flatten() for grid in torch.meshgrid(down, right, indexing="ij"))
    return torch.stack((torch.ones_like(x), y, x, y * y, x * y, x * x, y**3, x * y * y, x * x * y, x**3), dim=1)
