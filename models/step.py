"""Frames as a tensor on any device -> one tensor of all that their scores say, in operations of torch.

Nothing in it asks the host and no shape depends on a pixel, so that all of it can be captured as a CUDA graph.
"""

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.alignment import Pose
from models.autoencoder import Network
from models.cpu import in_patches, starts
from models.drawing import TensorDrawing
from models.preparation import Preparation
from models.preparer import Preparer
from models.scores import CHARTS, Precision, Scores
from models.tensors import ChartParameters

if TYPE_CHECKING:  # Triton, which it is written in, takes long to load, and comes with torch's CUDA builds alone
    from models.fused import Fused

POSE: Final = len(Pose._fields)


class Statistics(NamedTuple):
    """What the scaled residual of n frames says; all (n,)."""

    mean: Tensor
    power: Tensor  # mean square
    local: Tensor  # the largest mean square over a window
    peak: Tensor  # which: row of windows times their columns, plus column


class Step:
    """Frames (n, h, w) of uint8, uint16 or float32 -> (n, columns) of float32, for `scores` to take apart."""

    def __init__(
        self,
        preparation: Preparation,
        network: Network,
        charts: ChartParameters,
        precision: Precision = "float32",
        device: str | torch.device = "cpu",
    ) -> None:
        """*network* is folded: its code is whitened."""
        self.device = torch.device(device)
        (height, width), window, stride = preparation.size, charts.window, charts.stride
        self._prepare = Preparer(preparation, self.device)
        self._network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        self._draw = TensorDrawing(self._network, precision)
        self._aligned = preparation.alignment is not None
        self._latent, self._pixels = network.latent, height * width
        self._offset = float(charts.offset_mean), 1.0 / float(charts.offset_sd)
        inverse = torch.from_numpy(in_patches(network.grid, network.stride, 1.0 / charts.residual_scale))
        self._inverse_scale = inverse.to(self.device)
        rows, self._row_centres = _windows(height, window, stride)
        columns, self._column_centres = _windows(width, window, stride)
        self._row_windows = rows.to(self.device)  # (r, h)
        self._column_windows = columns.T.contiguous().to(self.device)  # (w, c)
        self._fused: Fused | None = None
        if self.device.type == "cuda":
            self._fused = _fused(
                self._draw.center, self._inverse_scale, network.stride, (height, width), window, stride
            )

    @property
    def fused(self) -> bool:
        """Whether residuals are looked at by kernels of their own, or by operations of torch."""
        return self._fused is not None

    @property
    def columns(self) -> int:
        """Of what a frame gives: latent, charts, the peak, and the pose of a frame that was turned."""
        return self._latent + len(CHARTS) + 1 + POSE * self._aligned

    @torch.inference_mode()
    def __call__(self, frames: Tensor) -> Tensor:
        """All that is said of *frames*, which are on the device and left alone."""
        x, pose = self._prepare(frames)
        seen = self._network.patches(x).contiguous()  # (n, a, b, s * s)
        q = self._network.to_latent(self._network.features(seen))  # (n, p), whitened
        mean, power, local, peak = self._statistics(seen, self._draw(q))
        about, inverse_sd = self._offset
        charts = (
            q.square().sum(1),
            power - mean.square(),
            (mean - about).abs() * inverse_sd,
            torch.where(power.isfinite(), local, power),
        )
        last = (peak.float(), *(pose or ()))  # exact: there are fewer than 2**24 windows
        return torch.cat((q, torch.stack((*charts, *last), dim=1)), dim=1)

    def scores(self, packed: npt.NDArray[np.float32]) -> Scores:
        """The scores in *packed* (n, columns), a copy of which became of n frames."""
        latent, rest = packed[:, : self._latent].copy(), packed[:, self._latent :].T.copy()
        peak = rest[len(CHARTS)].astype(np.int64)
        row, column = np.divmod(peak, len(self._column_centres))
        where = np.stack((self._row_centres[row], self._column_centres[column]), axis=1)
        pose = Pose(*map(torch.from_numpy, rest[len(CHARTS) + 1 :])) if self._aligned else None
        return Scores(latent, rest[0], rest[1], rest[2], rest[3], self._prepare.places(where, pose))

    def _statistics(self, seen: Tensor, drawn: Tensor) -> Statistics:
        """Of patches (n, a, b, s * s) as they are *seen*, and *drawn* less the center, in either precision."""
        if self._fused is not None:
            return Statistics(*self._fused(seen, drawn.contiguous()))
        e = (seen - self._draw.center).sub_(drawn).mul_(self._inverse_scale)
        squares = e.square()
        mean, power = (one.flatten(1).sum(1) / self._pixels for one in (e, squares))
        smooth = self._row_windows @ (self._network.pixels(squares)[:, 0] @ self._column_windows)  # (n, r, c)
        local, peak = smooth.flatten(1).max(1)
        return Statistics(mean, power, local, peak)


def _fused(
    center: Tensor, inverse_scale: Tensor, side: int, size: tuple[int, int], window: int, stride: int
) -> "Fused | None":
    """The kernels for residuals, or None where the machine lacks what compiles them: torch's operations serve as well.

    Those write residuals to the device's memory and read them again.
    """
    try:
        from models.fused import Fused

        fused = Fused(center, inverse_scale, side, size, window, stride)
        fused.try_out()
    except Exception:  # of the import, the compiler, the linker, the driver: Triton has no common one
        return None
    return fused


def _windows(side: int, window: int, stride: int) -> tuple[Tensor, npt.NDArray[np.int16]]:
    """Means over the windows along a side, as a matrix (windows, side), and the pixel in the middle of each."""
    first = starts(side, window, stride)
    last = np.minimum(first + window, side)
    pixel: npt.NDArray[Any] = np.arange(side)
    inside = (pixel >= first[:, None]) & (pixel < last[:, None])
    means = torch.from_numpy(np.float32(inside / (last - first)[:, None]))
    return means, ((first + last) // 2).astype(np.int16)
