"""Melt pools turned to one direction and moved to the middle, by the moments of their images.

A melt pool points along its scan vector, and vectors turn from layer to layer: a new direction is normal operation.
Pixels are picked and none are mixed, so that the noise of what is compared does not depend on the angle (an
interpolation would cut its variance to half at some angles and leave it at others).
"""

import math
import warnings
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy
import torch
import torch.nn.functional as F
from torch import Tensor

from models.preparation import LIGHT_CAP, ROUND, Alignment

Frames = npt.NDArray[Any]  # (m, h, w)
Float32s = npt.NDArray[np.float32]

GROUND_QUANTILE: Final = 0.2  # of a pixel over the frames: dark, since the pool turns and wanders
LIT_PX: Final = 5  # a side of the squares that are looked at for light, and its margin
LIT_SDS: Final = 4.0  # of such squares' means, robustly: what stands out more is the pool
MAD_TO_SD: Final = 1.4826  # of a Gaussian
THRESHOLD_SHARE: Final = 0.05  # of the way from the ground to the brightest: what is less is no pool

LOOKED_AT: Final = 200  # frames, spread over all, that tell whether a camera shows pools
ONE_REGION: Final = 0.9  # of the light lies in one region of a frame that shows a pool
SMALL: Final = 0.2  # of the frame is lit at most
STRAYING: Final = 0.99  # of the pools lie within the usual reach ...
REACH_TIMES: Final = 1.5  # ... times this, plus a pixel: what lies further is not brought back, ...
POOL_SDS: Final = 3.0  # ... but for what a turn moves: the spot stays, the pool's middle circles around it
WHOLE_SDS: Final = 2.0  # of a pool's length lie between its middle and the edge
MOSTLY: Final = 0.9  # of the frames show one pool
SOMETIMES: Final = 0.5  # of the frames show one that has a direction


class Pose(NamedTuple):
    """Where each of n pools is, where its tail points and how long it is; all (n,)."""

    row: Tensor
    column: Tensor
    angle_rad: Tensor  # from the columns' axis towards the rows', 0 for pools that are round
    length: Tensor  # standard deviation of its light along its axis, pixels


class Aligner:
    """Turns frames of one camera, on a device."""

    def __init__(self, alignment: Alignment, device: str | torch.device = "cpu") -> None:
        self._ground = torch.from_numpy(alignment.ground).to(device)
        self._threshold = alignment.threshold
        self._usual, self._reach = (alignment.row, alignment.column), alignment.reach
        height, width = alignment.ground.shape
        self._middle = (height - 1) / 2, (width - 1) / 2
        self._down = torch.arange(height, dtype=torch.float32, device=device) - self._middle[0]
        self._right = torch.arange(width, dtype=torch.float32, device=device) - self._middle[1]
        self._monomials = _monomials(self._down, self._right)

    def __call__(self, x: Tensor) -> tuple[Tensor, Pose]:
        """*x* (n, H, W) in pixel units, which is overwritten -> frames less their ground, turned, and their poses."""
        x -= self._ground
        pose = self._within_reach(self.pose(x))
        return self._turned(x, pose), pose

    def pose(self, above: Tensor) -> Pose:
        """The pose of each pool in *above* (n, H, W), frames less their ground: by image moments, Hu 1962.

        m_pq is the mean of x^p y^q weighted by the light: x, of the first index, counts columns to the right of the
        frame's middle, and y, of the second, rows below it.
        """
        light = (above - self._threshold).clamp_(0.0, LIGHT_CAP * self._threshold)
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
        found = m01, m10, angle, (mean + half).clamp_min(0.0).sqrt()
        return Pose(*(torch.nan_to_num(one, 0.0, 0.0, 0.0) for one in found))  # of frames that are not finite

    def _within_reach(self, pose: Pose) -> Pose:
        """*pose* with its place at most the reach away from the usual one: a pool that strays further shows it."""
        down, right = pose.row - self._usual[0], pose.column - self._usual[1]
        share = (self._reach / torch.hypot(down, right).clamp_min(1e-6)).clamp_max(1.0)
        return pose._replace(row=self._usual[0] + down * share, column=self._usual[1] + right * share)

    def places(self, where: npt.NDArray[np.int16], pose: Pose) -> npt.NDArray[np.int16]:
        """Pixels (n, 2) of turned frames -> row and column (n, 2) before they were turned."""
        down, right = (where - np.array(self._middle)).T
        row, column, angle, _ = (one.cpu().numpy() for one in pose)
        sine, cosine = np.sin(angle), np.cos(angle)
        before = np.stack((row + sine * right + cosine * down, column + cosine * right - sine * down), axis=1)
        last = np.array(self._ground.shape) - 1
        place: npt.NDArray[np.int16] = np.clip(np.rint(before + self._middle), 0, last).astype(np.int16)
        return place

    def _turned(self, x: Tensor, pose: Pose) -> Tensor:
        """*x* (n, H, W) about each pool's middle, by picking the nearest pixel; dark where there is none."""
        count, height, width = x.shape
        row, column, angle, _ = (one[:, None] for one in pose)
        sine, cosine = torch.sin(angle), torch.cos(angle)
        # One more row and column of darkness around the frame: what lies outside is picked from there.
        dark = F.pad(x, (1, 1, 1, 1))
        rows = (row + (self._middle[0] + 1) + cosine * self._down)[:, :, None] + (sine * self._right)[:, None]
        columns = (column + (self._middle[1] + 1) - sine * self._down)[:, :, None] + (cosine * self._right)[:, None]
        rows, columns = rows.round_().clamp_(0, height + 1), columns.round_().clamp_(0, width + 1)
        picked = rows.mul_(width + 2).add_(columns).to(torch.int64).view(count, -1)
        return dark.view(count, -1).gather(1, picked).view(count, height, width)


def fit_alignment(frames: Frames) -> Alignment:
    """The alignment of *frames* (m, H, W) that show melt pools."""
    x = np.asarray(frames, np.float32)
    ground = _unlit(np.quantile(x, GROUND_QUANTILE, axis=0))
    threshold = THRESHOLD_SHARE * (float(np.quantile(x, 0.999)) - float(np.median(ground)))
    plain = Alignment(ground, max(threshold, 1e-6))
    pose = Aligner(plain).pose(torch.from_numpy(x - ground))
    row, column = float(pose.row.median()), float(pose.column.median())
    strayed = torch.hypot(pose.row - row, pose.column - column).quantile(STRAYING)
    reach = max(REACH_TIMES * float(strayed) + 1.0, POOL_SDS * float(pose.length.median()))
    return plain._replace(row=row, column=column, reach=reach)


def show_pools(frames: Frames, alignment: Alignment) -> bool:
    """Whether *frames* (m, H, W) show what alignment is for: mostly one small lit region, and often an oblong one.

    And a whole one: where pools lie so near the edge that it cuts them, their direction cannot be told.
    """
    some = np.asarray(frames[:: max(math.ceil(len(frames) / LOOKED_AT), 1)], np.float32) - alignment.ground
    pools = [_is_one_pool(frame - alignment.threshold) for frame in some]
    pose = Aligner(alignment).pose(torch.from_numpy(some))
    oblong = float((pose.angle_rad != 0).double().mean())
    to_edge = min(
        side / 2 - abs(usual) for side, usual in zip(some.shape[1:], (alignment.row, alignment.column), strict=True)
    )
    whole = to_edge > WHOLE_SDS * float(pose.length.median())
    return bool(np.mean(pools) >= MOSTLY and oblong >= SOMETIMES and whole)


def _is_one_pool(light: Float32s) -> bool:
    lit = light > 0
    regions, count = scipy.ndimage.label(lit, np.ones((3, 3)))
    if count == 0 or lit.mean() > SMALL:
        return False
    masses = scipy.ndimage.sum_labels(light, regions, np.arange(1, count + 1))
    return bool(masses.max() >= ONE_REGION * masses.sum())


def _unlit(dark: npt.NDArray[np.floating[Any]]) -> Float32s:
    """*dark* (h, w), the darkest that pixels often are, with the rows' and columns' levels where the pool always is.

    Pools of one direction leave their tails in it: subtracted, these would be dark tails beside pools of another. Lit
    is what stands out of the sensor's levels around it; these are taken of pixels that are not lit, in two rounds.
    """
    ground = dark.astype(np.float64)
    lit = np.zeros(ground.shape, bool)
    levels = np.full(ground.shape, np.median(ground))
    for _ in range(2):
        excess = scipy.ndimage.uniform_filter(ground - levels, LIT_PX, mode="nearest")
        calm = excess[~lit] if not lit.all() else excess
        spread = MAD_TO_SD * np.median(np.abs(calm - np.median(calm)))
        lit = scipy.ndimage.binary_dilation(excess > np.median(calm) + max(LIT_SDS * spread, 1e-9), iterations=LIT_PX)
        levels = _levels(np.where(lit, np.nan, ground))
    return np.where(lit, levels, ground).astype(np.float32)


def _levels(unlit: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Median of *unlit* (h, w; NaN where lit), and what each row and then each column differs from it, added up."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a row without any unlit pixel has no level of its own
        middle = np.nan_to_num(np.nanmedian(unlit))
        rows = np.nan_to_num(np.nanmedian(unlit, axis=1, keepdims=True) - middle)
        columns = np.nan_to_num(np.nanmedian(unlit - middle - rows, axis=0, keepdims=True))
    return np.asarray(middle + rows + columns, np.float64)


def _monomials(down: Tensor, right: Tensor) -> Tensor:
    """x^p y^q of every pixel, for m00, m01, m10, m02, m11, m20, m03, m12, m21, m30: (h * w, 10)."""
    y, x = (grid.flatten() for grid in torch.meshgrid(down, right, indexing="ij"))
    return torch.stack((torch.ones_like(x), y, x, y * y, x * y, x * x, y**3, x * y * y, x * x * y, x**3), dim=1)
