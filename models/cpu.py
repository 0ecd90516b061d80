"""Scores on the processor: loops over pixels compiled, matrix products and convolutions by torch, all in one layout."""

import copy
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from models.autoencoder import Network
from models.compiled.prepare import prepare
from models.compiled.residual import score
from models.preparation import Preparation
from models.scores import Precision, Scores
from models.tensors import ChartParameters

CHUNK: Final = 128  # frames a pass: each call into torch costs the same few microseconds, however many they are


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 faster than float32; without instructions for it, it is far slower."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


class CpuEngine:
    """Scores frames, CHUNK at a time, for one caller at a time: its scratch memory is its own."""

    def __init__(
        self, preparation: Preparation, network: Network, charts: ChartParameters, precision: Precision = "float32"
    ) -> None:
        """*network* is folded: its code is whitened."""
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        self._drawing = drawing_in(precision, self._network)
        self._precision = torch.bfloat16 if precision == "bfloat16" else torch.float32
        held, (height, width), stride = preparation, preparation.size, network.stride
        alignment = held.alignment
        self._size, self._binning = (held.height, held.width), held.binning
        self._align = alignment is not None
        self._ground = np.zeros((height, width), np.float32) if alignment is None else alignment.ground
        light = (0.0,) * 4 if alignment is None else alignment[1:]
        self._light = np.array(light, np.float32)
        self._normal = np.array([held.shift, 1.0 / held.scale], np.float32)
        self._offset = float(charts.offset_mean), 1.0 / float(charts.offset_sd)
        self._windows = stride, height, width, charts.window
        self._first_row, self._first_column = (starts(side, charts.window, charts.stride) for side in (height, width))
        self._sensor = held.binning, held.height, held.width
        self._inverse_scale = in_patches(network.grid, stride, 1.0 / charts.residual_scale)
        self._sums = np.empty((4, held.width), np.float32)
        self._padded = np.zeros((height + 2, width + 2), np.float32)
        self._patches = torch.empty((CHUNK, *network.grid, stride**2))
        self._poses = np.zeros((CHUNK, 4))

    def __call__(self, frames: npt.NDArray[Any], after_chunk: Callable[[], None]) -> Scores:
        """Scores of *frames* (n, h, w), one or more; *after_chunk* is called after each chunk."""
        parts = []
        for first in range(0, len(frames), len(self._poses)):
            parts.append(self._score(_plain(frames[first : first + len(self._poses)])))
            after_chunk()
        return parts[0] if len(parts) == 1 else Scores(*map(np.concatenate, zip(*parts, strict=True)))

    @torch.inference_mode()
    def _score(self, frames: npt.NDArray[Any]) -> Scores:
        count = len(frames)
        patches, poses = self._patches[:count], self._poses[:count]
        prepare(
            frames,
            self._binning,
            self._ground,
            self._align,
            self._light,
            self._normal,
            self._network.stride,
            self._sums,
            self._padded,
            patches.numpy(),
            poses,
        )
        q = self._network.to_latent(self._network.features(patches))  # (n, p), whitened
        code = self._network.from_latent(q).to(self._precision)
        drawn = self._drawing.draw(code).float().contiguous()  # (n, a, b, s * s)
        charts, where = np.empty((4, count), np.float32), np.empty((count, 2), np.int16)
        latent: npt.NDArray[np.float32] = q.numpy()
        score(
            patches.numpy(),
            drawn.numpy(),
            self._inverse_scale,
            latent,
            self._offset,
            self._windows,
            self._first_row,
            self._first_column,
            poses,
            self._sensor,
            charts,
            where,
        )
        return Scores(latent, charts[0], charts[1], charts[2], charts[3], where)


def _plain(frames: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """*frames* as they lie, where that is how they lie in the ring: for all else another loop would be compiled."""
    if frames.flags.c_contiguous and frames.flags.writeable and frames.dtype.isnative:
        return frames
    return np.array(frames, frames.dtype.newbyteorder("="), order="C")


def starts(side: int, window: int, stride: int) -> npt.NDArray[np.int64]:
    """Where the windows along a side begin; the last one may be cut by the edge."""
    return np.arange(-(-max(side - window, 0) // stride) + 1) * stride


def in_patches(grid: tuple[int, int], side: int, pixels: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """*pixels* (H, W) in patches (a, b, s * s) of *side* s, *grid* (a, b) of them; zero where these reach beyond."""
    rows, columns = grid
    full = np.zeros((rows * side, columns * side), np.float32)
    full[: pixels.shape[0], : pixels.shape[1]] = pixels
    cells = full.reshape(rows, side, columns, side).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(cells.reshape(rows, columns, side**2))


def drawing_in(precision: Precision, network: Network) -> Network:
    """*network*, or a copy whose decoder draws in *precision*."""
    if precision == "float32":
        return network
    return copy.deepcopy(network).to(torch.bfloat16)
