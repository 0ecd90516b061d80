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
    windows: tuple[int, int, int, int],
    first_row: Array,
    first_column: Array,
    poses: Array,
    sensor: tuple[int, int, int],
    charts: Array,
    where: Array,
) -> None:
    """t2, s2, offset and local of n frames into *charts* (4, n), and where local was largest into *where* (n, 2).

    *seen* and *drawn* (n, rows, columns, s * s) are patches; of *drawn* these are the bits, to be shifted left by
    *shift* to be those of float32, and *center* (rows, columns, s * s) is to be added. *inverse_scale* (rows, columns,
    s * s) is zero where patches reach beyond the frame. *latent* (n, p) is whitened. *offset*: mean and inverse
    standard deviation of the frame's mean residual. *windows*: s, the frame's height and width, a window's side.
    *first_row* and *first_column* are where windows begin. *poses* (n, 4) and *sensor* (binning, height and width) lead
    from a window back to the sensor.
    """
    stride, height, width, window = windows
    sums = np.empty((len(first_row), width + window), np.float32)
    squares, line = np.empty(seen.shape[2] * seen.shape[3], np.float32), np.empty(width, np.float32)
    best = np.empty((3, width), np.float32)
    shares = np.empty(width, np.float32)  # one over the columns of a window that begins here
    for column in range(width):
        shares[column] = 1.0 / min(window, width - column)
    for index in range(len(seen)):
        total, total_squares, begun, ended = 0.0, 0.0, 0, 0
        sums[:] = 0.0
        for cells in range(seen.shape[1]):
            one, other, mean_drawn, scale = (
                seen[index, cells].reshape(-1),
                drawn[index, cells].reshape(-1),
                center[cells].reshape(-1),
                inverse_scale[cells].reshape(-1),
            )
            if shift == 16:  # as a constant, sixteen are shifted at once
                mean, power = _residual(one, other, 16, mean_drawn, scale, squares)
            else:
                mean, power = _residual(one, other, 0, mean_drawn, scale, squares)
            total += mean
            total_squares += power
            for row in range(cells * stride, min((cells + 1) * stride, height)):
                _take(squares, row % stride, stride, line)
                while begun < len(first_row) and first_row[begun] <= row:
                    begun += 1
                while first_row[ended] + window <= row:
                    ended += 1
                for one in range(ended, begun):
                    _add(line, sums[one])
        local, at_row, at_column = _largest(sums, first_row, first_column, window, height, shares, best)
        mean = total / (height * width)
        charts[0, index] = _squared_length(latent[index])
        charts[1, index] = total_squares / (height * width) - mean * mean
        charts[2, index] = abs(mean - offset[0]) * offset[1]
        charts[3, index] = local if math.isfinite(total_squares) else total_squares
        down = (first_row[at_row] + min(first_row[at_row] + window, height)) // 2
        right = (first_column[at_column] + min(first_column[at_column] + window, width)) // 2
        _place(down, right, height, width, poses[index], sensor, where[index])


@inlined
def _residual(
    seen: Array, drawn: Array, shift: int, center: Array, inverse_scale: Array, squares: Array
) -> tuple[Any, Any]:
    """Sum and sum of squares of the scaled residual of a row of patches, and its squares."""
    total, power = np.float32(0.0), np.float32(0.0)
    for index in range(len(squares)):
        bits = np.uint32(drawn[index]) << np.uint32(shift)
        e = (seen[index] - center[index] - np.uint32(bits).view(np.float32)) * inverse_scale[index]
        square = e * e
        total += e
        power += square
        squares[index] = square
    return total, power


@inlined
def _take(squares: Array, row: int, stride: int, line: Array) -> None:
    """A row of the frame out of a row of patches."""
    if stride == 8:  # as constants, a stride's pixels move at once
        _cut(squares, row, 8, line)
    elif stride == 4:
        _cut(squares, row, 4, line)
    else:
        _cut(squares, row, stride, line)


@inlined
def _cut(squares: Array, row: int, stride: int, line: Array) -> None:
    whole = len(line) // stride
    for cell in range(whole):
        for offset in range(stride):
            line[cell * stride + offset] = squares[(cell * stride + row) * stride + offset]
    for column in range(whole * stride, len(line)):
        line[column] = squares[(whole * stride + row) * stride + column - whole * stride]


@inlined
def _add(line: Array, sums: Array) -> None:
    for column in range(len(line)):
        sums[column] += line[column]


@compiled
def _largest(
    sums: Array, first_row: Array, first_column: Array, window: int, height: int, shares: Array, best: Array
) -> tuple[Any, int, int]:
    """The largest mean over a window, and which; of equal ones the first.

    Means are taken at every column, since that is done sixteen at a time, and looked at where a window begins.
    """
    means, of_column, at_row = best[0], best[1], best[2]  # rows are exact in float32: there are fewer than 2**24
    of_column[:] = -1.0
    for row in range(len(first_row)):
        line, share = sums[row], np.float32(1.0 / min(window, height - first_row[row]))
        if window == 4:  # as a constant, all are added at once
            _slide(line, 4, means)
        elif window == 8:
            _slide(line, 8, means)
        else:
            _slide(line, window, means)
        at = np.float32(row)
        for column in range(len(means)):
            mean = means[column] * share * shares[column]
            more = mean > of_column[column]
            of_column[column] = mean if more else of_column[column]
            at_row[column] = at if more else at_row[column]
    most, at_column = first_column[0], 0
    for number in range(1, len(first_column)):
        column = first_column[number]
        if of_column[column] > of_column[most] or (
            of_column[column] == of_column[most] and at_row[column] < at_row[most]
        ):
            most, at_column = column, number
    return of_column[most], int(at_row[most]), at_column


@inlined
def _slide(line: Array, window: int, sums: Array) -> None:
    """Sums over *window* columns from each on; beyond the frame *line* is zero."""
    for column in range(len(sums)):
        total = np.float32(0.0)
        for offset in range(window):
            total += line[column + offset]
        sums[column] = total


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
