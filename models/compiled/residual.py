"""What a frame's residual says, in one pass over it: the scores of `calibration.charts`, without a residual image."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from models.compiled import compiled, inlined

Array = npt.NDArray[Any]


@compiled
def score(
    seen: Array,
    drawn: Array,
    shift: int,
    center: Array,
    inverse_scale: Array,
    latent: Array,
    offset: tuple[float, float],
    windows: tuple[int, int, int, int, int],
    shares: Array,
    poses: Array,
    sensor: tuple[int, int, int],
    charts: Array,
    where: Array,
) -> None:
    """t2, s2, offset and local of n frames into *charts* (4, n), and where local was largest into *where* (n, 2).

    *seen* and *drawn* (n, rows, columns, s * s) are patches; of *drawn* these are the bits, to be shifted left by
    *shift* to be those of float32, and *center* (rows, columns, s * s) is to be added. *inverse_scale* (rows, columns,
    s * s) is zero where patches reach beyond the frame. *latent* (n, p) is whitened. *offset*: mean and inverse
    standard deviation of the frame's mean residual. *windows*: s, the frame's height and width, a window's side, and
    how many rows there are in the strips that patches and windows consist of; *shares* is what `window_shares` says of
    them. *poses* (n, 4) and *sensor* (binning, height and width) lead from a window back to the sensor.
    """
    stride, height, width, window, high = windows
    rows, columns = seen.shape[1], seen.shape[2]
    squares = np.zeros(columns * stride**2 + high * stride, np.float32)
    # Beyond the patches all is zero, and a window that begins at a row's end goes on in nothing but this.
    strips = np.zeros((rows * stride // high + window // high, columns * stride + window), np.float32)
    sums = np.zeros((3, max(strips.size, len(squares))), np.float32)
    for index in range(len(seen)):
        total, total_squares = 0.0, 0.0
        for row in range(rows):
            one, other, mean_drawn, scale = (
                seen[index, row].reshape(-1),
                drawn[index, row].reshape(-1),
                center[row].reshape(-1),
                inverse_scale[row].reshape(-1),
            )
            if shift == 16:  # as a constant, sixteen are shifted at once
                mean, power = _residual(one, other, 16, mean_drawn, scale, squares)
            else:
                mean, power = _residual(one, other, 0, mean_drawn, scale, squares)
            total += mean
            total_squares += power
            _add_up(squares, high, stride, columns, sums[0])
            _lay(sums[0], high, stride, columns, strips[row * stride // high :])
        local, at_row, left = _largest(strips, window, high, shares, sums)
        mean = total / (height * width)
        charts[0, index] = _squared_length(latent[index])
        charts[1, index] = total_squares / (height * width) - mean * mean
        charts[2, index] = abs(mean - offset[0]) * offset[1]
        charts[3, index] = local if math.isfinite(total_squares) else total_squares
        top = at_row * high
        down, right = (top + min(top + window, height)) // 2, (left + min(left + window, width)) // 2
        _place(down, right, height, width, poses[index], sensor, where[index])


def window_shares(first_row: Array, first_column: Array, windows: tuple[int, int, int, int, int]) -> Array:
    """One over the pixels of the window that begins with a strip at a column, zero where none does: see `score`.

    *first_row* and *first_column*: where windows begin, the last of which may be cut by the edge.
    """
    stride, height, width, window, high = windows
    rows, columns = -(-height // stride) * stride, -(-width // stride) * stride
    shares = np.zeros((rows // high, columns + window), np.float32)
    inside = np.outer(np.minimum(window, height - first_row), np.minimum(window, width - first_column))
    shares[np.ix_(first_row // high, first_column)] = 1.0 / inside
    return shares


@inlined
def _residual(
    seen: Array, drawn: Array, shift: int, center: Array, inverse_scale: Array, squares: Array
) -> tuple[Any, Any]:
    """Sum and sum of squares of the scaled residual of a row of patches, and its squares."""
    total, power = np.float32(0.0), np.float32(0.0)
    for index in range(len(seen)):
        bits = np.uint32(drawn[index]) << np.uint32(shift)
        e = (seen[index] - center[index] - np.uint32(bits).view(np.float32)) * inverse_scale[index]
        square = e * e
        total += e
        power += square
        squares[index] = square
    return total, power


# The loops below go over whole rows of patches, or all strips, in one: so they are done sixteen at a time, though some
# of what they add up is not taken then. What their inner loops count is a constant in the usual cases.


@inlined
def _add_up(squares: Array, high: int, stride: int, columns: int, sums: Array) -> None:
    """To each pixel of a row of patches those below it in its strip, where it is at the top of one."""
    count = columns * stride**2
    if high == 2 and stride == 8:
        _add_apart(squares, 2, 8, count, sums)
    elif high == 2 and stride == 4:
        _add_apart(squares, 2, 4, count, sums)
    elif high == 4 and stride == 8:
        _add_apart(squares, 4, 8, count, sums)
    elif high == 4 and stride == 4:
        _add_apart(squares, 4, 4, count, sums)
    else:
        _add_apart(squares, high, stride, count, sums)


@inlined
def _add_apart(values: Array, several: int, apart: int, count: int, sums: Array) -> None:
    """Sums of *several* values that lie *apart*, from each of *count* on."""
    for at in range(count):
        total = np.float32(0.0)
        for one in range(several):
            total += values[at + one * apart]
        sums[at] = total


@inlined
def _lay(sums: Array, high: int, stride: int, columns: int, strips: Array) -> None:
    """The strips of a row of patches."""
    for strip in range(stride // high):
        if stride == 8:  # as constants, a stride's pixels move at once
            _cut(sums, strip * high, 8, columns, strips[strip])
        elif stride == 4:
            _cut(sums, strip * high, 4, columns, strips[strip])
        else:
            _cut(sums, strip * high, stride, columns, strips[strip])


@inlined
def _cut(patches: Array, row: int, stride: int, columns: int, line: Array) -> None:
    for cell in range(columns):
        for offset in range(stride):
            line[cell * stride + offset] = patches[(cell * stride + row) * stride + offset]


@compiled
def _largest(strips: Array, window: int, high: int, shares: Array, sums: Array) -> tuple[Any, int, int]:
    """The largest mean over a window, its first strip and its first column; of equal ones the first."""
    down, whole, means, pitch, count = sums[0], sums[1], sums[2], strips.shape[1], shares.size
    given, share = strips.reshape(-1), shares.reshape(-1)
    if window // high == 2:
        _add_apart(given, 2, pitch, count, down)
    else:
        _add_apart(given, window // high, pitch, count, down)
    down[count : count + window] = 0.0
    if window == 4:
        _add_apart(down, 4, 1, count, whole)
    elif window == 8:
        _add_apart(down, 8, 1, count, whole)
    else:
        _add_apart(down, window, 1, count, whole)
    for at in range(count):
        means[at] = whole[at] * share[at]
    # As integers, since no sixteen floats are compared at once that may be no numbers. None is negative.
    bits = means.view(np.int32)
    most = bits[0]
    for at in range(count):
        most = max(most, bits[at])
    first = np.int32(count)
    for at in range(count):
        first = min(first, np.int32(at) if bits[at] == most else np.int32(count))
    return means[first], first // pitch, first % pitch


@compiled
def _squared_length(latent: Array) -> Any:
    total = np.float32(0.0)
    for one in range(len(latent)):
        total += latent[one] * latent[one]
    return total


@compiled
def _place(
    row: int, column: int, height: int, width: int, pose: Array, sensor: tuple[int, int, int], where: Array
) -> None:
    """A pixel of a turned, binned frame on the sensor: see `models.alignment.Aligner.places`."""
    down, right = row - (height - 1) / 2, column - (width - 1) / 2
    sine, cosine = math.sin(pose[2]), math.cos(pose[2])
    before_row = round(pose[0] + sine * right + cosine * down + (height - 1) / 2)
    before_column = round(pose[1] + cosine * right - sine * down + (width - 1) / 2)
    binning, full_height, full_width = sensor
    middle = binning // 2
    where[0] = min(min(max(before_row, 0), height - 1) * binning + middle, full_height - 1)
    where[1] = min(min(max(before_column, 0), width - 1) * binning + middle, full_width - 1)
