"""What a residual says, by two kernels that read what was seen and drawn, and write no residual: for CUDA.

Triton compiles them at the first call. `models.step.Step` does the same in operations of torch, for machines without
Triton and as the reference that tests hold these to.
"""

from typing import Final

import torch
import triton
import triton.language as tl
from torch import Tensor

from models.cpu import starts

BLOCK: Final = 2048  # pixels that a program of `_sum` reads


@triton.jit  # type: ignore[untyped-decorator]
def _sum(seen, drawn, center, inverse_scale, sums, squares, pixels, blocks, block: tl.constexpr):  # type: ignore[no-untyped-def]
    """Sum and sum of squares of a block of a frame's scaled residual."""
    frame, number = tl.program_id(0).to(tl.int64), tl.program_id(1)
    at = number * block + tl.arange(0, block)
    there = at < pixels
    s = tl.load(seen + frame * pixels + at, mask=there, other=0.0)
    d = tl.load(drawn + frame * pixels + at, mask=there, other=0.0).to(tl.float32)
    e = (s - tl.load(center + at, mask=there, other=0.0) - d) * tl.load(inverse_scale + at, mask=there, other=0.0)
    tl.store(sums + frame * blocks + number, tl.sum(e, axis=0))
    tl.store(squares + frame * blocks + number, tl.sum(e * e, axis=0))


@triton.jit  # type: ignore[untyped-decorator]
def _largest(  # type: ignore[no-untyped-def]
    seen,
    drawn,
    center,
    inverse_scale,
    best,
    which,
    pixels,
    grid_columns,
    height,
    width,
    rows,
    columns,
    window: tl.constexpr,
    stride: tl.constexpr,
    side: tl.constexpr,
    columns_room: tl.constexpr,
    window_room: tl.constexpr,
):
    """The largest mean square over the windows of one row of them, and which; of equal ones the first."""
    frame, row = tl.program_id(0).to(tl.int64), tl.program_id(1)
    column, offset = tl.arange(0, columns_room), tl.arange(0, window_room)
    x = column[:, None] * stride + offset[None, :]
    there = (column[:, None] < columns) & (offset[None, :] < window) & (x < width)
    across = (x // side) * (side * side) + x % side  # where a column of pixels lies in patches
    top = row * stride
    bottom = tl.minimum(top + window, height)
    total = tl.zeros((columns_room, window_room), tl.float32)
    for y in range(top, bottom):
        at = (y // side) * (grid_columns * side * side) + (y % side) * side + across
        s = tl.load(seen + frame * pixels + at, mask=there, other=0.0)
        d = tl.load(drawn + frame * pixels + at, mask=there, other=0.0).to(tl.float32)
        c = tl.load(center + at, mask=there, other=0.0)
        e = (s - c - d) * tl.load(inverse_scale + at, mask=there, other=0.0)
        total += e * e
    counted = (bottom - top) * tl.maximum(tl.minimum(window, width - column * stride), 1)
    mean = tl.sum(total, axis=1) / counted.to(tl.float32)
    mean = tl.where(column < columns, mean, -1.0)
    value, index = tl.max(mean, axis=0, return_indices=True)
    tl.store(best + frame * rows + row, value)
    tl.store(which + frame * rows + row, index)


class Fused:
    """Statistics of residuals on the device of *inverse_scale* (a, b, s * s), in patches of *side* s.

    *center* (a, b, s * s) is to be added to what is drawn.
    """

    def __init__(
        self, center: Tensor, inverse_scale: Tensor, side: int, size: tuple[int, int], window: int, stride: int
    ) -> None:
        self._center = center
        self._inverse_scale, self._side, self._window, self._stride = inverse_scale, side, window, stride
        self._height, self._width = size
        self._rows, self._columns = (len(starts(length, window, stride)) for length in size)

    def try_out(self) -> None:
        """Compiles the kernels and runs them once; raises whatever Triton raises where it cannot."""
        with torch.cuda.device(self._inverse_scale.device):
            seen = torch.zeros((1, *self._inverse_scale.shape), device=self._inverse_scale.device)
            for drawn in (seen, seen.to(torch.bfloat16)):
                self(seen, drawn)
            torch.cuda.synchronize()

    def __call__(self, seen: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Mean, mean square, the largest mean square over a window and which, of patches (n, a, b, s * s).

        They are *seen*, and *drawn* less the center.
        """
        count, pixels = len(seen), self._inverse_scale.numel()
        blocks = triton.cdiv(pixels, BLOCK)
        sums, squares = seen.new_empty((2, count, blocks)).unbind()
        best = seen.new_empty((count, self._rows))
        which = torch.empty((count, self._rows), dtype=torch.int32, device=seen.device)
        _sum[(count, blocks)](seen, drawn, self._center, self._inverse_scale, sums, squares, pixels, blocks, BLOCK)
        _largest[(count, self._rows)](
            seen,
            drawn,
            self._center,
            self._inverse_scale,
            best,
            which,
            pixels,
            self._inverse_scale.shape[1],
            self._height,
            self._width,
            self._rows,
            self._columns,
            self._window,
            self._stride,
            self._side,
            triton.next_power_of_2(self._columns),
            triton.next_power_of_2(self._window),
        )
        local, row = best.max(1)
        # Among windows that are no numbers the one beyond the last may be named.
        column = which.gather(1, row[:, None])[:, 0].clamp(0, self._columns - 1)
        size = self._height * self._width
        return sums.sum(1) / size, squares.sum(1) / size, local, row * self._columns + column
