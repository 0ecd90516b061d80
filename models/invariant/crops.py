"""Crops of frames around places, as they are or turned about them."""

from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from models.preparation import Frames

Floats = npt.NDArray[np.floating[Any]]
Float32s = npt.NDArray[np.float32]

Outside = Literal["zeros", "border"]
"""What lies outside a frame: nothing, as it should be of residuals, or its edge over and over."""

CHUNK: Final = 256  # crops cut at a time


def crops_at(
    frames: Frames, centres: Floats, side: int, angles: Floats | None = None, outside: Outside = "border"
) -> Float32s:
    """Squares of *side* pixels of *frames* (n, h, w) around *centres* (n, 2) [row, column]: (n, side, side).

    Pixel units, bilinear between pixels: around a whole pixel those of an even side are means of four. Each is turned
    about its centre by one of *angles* (n,), radians, if given. Raises ValueError where lengths differ.
    """
    count = len(frames)
    if len(centres) != count or (angles is not None and len(angles) != count):
        raise ValueError(f"{count} frames need as many centres and angles")
    found = np.empty((count, side, side), np.float32)
    for first in range(0, count, CHUNK):
        part = slice(first, first + CHUNK)
        x = torch.from_numpy(np.array(frames[part], np.float32))[:, None]
        turns = np.zeros(len(x)) if angles is None else np.asarray(angles[part], np.float64)
        grid = _grid(x.shape[2:], np.asarray(centres[part], np.float64), turns, side)
        found[part] = F.grid_sample(x, grid, padding_mode=outside, align_corners=False)[:, 0].numpy()
    return found


def _grid(size: torch.Size, centres: Floats, angles: Floats, side: int) -> Tensor:
    """Where each crop's pixels lie (n, side, side, 2), x and y in half frames from the middle."""
    line = np.arange(side) - (side - 1) / 2
    y, x = np.meshgrid(line, line, indexing="ij")
    cos, sin = (trig(angles)[:, None, None] for trig in (np.cos, np.sin))
    row = centres[:, 0, None, None] + sin * x + cos * y
    column = centres[:, 1, None, None] + cos * x - sin * y
    half_way = np.stack(((2 * column + 1) / size[1] - 1, (2 * row + 1) / size[0] - 1), axis=-1)
    return torch.from_numpy(half_way.astype(np.float32))
