"""Frames as they come -> patches as the network sees them: binned, turned, normalised. As `models.preparation` says."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from models.compiled import compiled, inlined

Array = npt.NDArray[Any]


@compiled
def prepare(
    frames: Array,
    binning: int,
    ground: Array,
    align: bool,
    light: Array,
    normal: Array,
    stride: int,
    sums: Array,
    padded: Array,
    patches: Array,
    poses: Array,
) -> None:
    """*frames* (n, h, w) -> *patches* (n, rows, columns, s * s) and *poses* (n, 4): row, column, angle, length.

    *ground* (H, W) is what is subtracted of binned pixels; *light* is what `models.cpu.light_of` says; *normal*:
    shift and the inverse of the scale; *stride* is s. *sums* (4, at least w) and *padded* (H + 2, W + 2), whose border
    is dark, are scratch.
    """
    height, width = ground.shape
    scaled = np.empty(padded.shape, np.float32)
    straight, picked = np.arange(width).astype(np.uint32), np.empty(width, np.int32)
    for index in range(len(frames)):
        _bin(frames[index], binning, ground, sums[0], padded)
        if align:
            _pose(padded, light, sums, poses[index])
        _normalise(padded, normal, scaled)
        if align:
            _turn(scaled, poses[index], stride, picked, patches[index])
        else:
            for row in range(height):
                _lay(scaled[row + 1, 1:], straight, row, stride, patches[index])
        _repeat_edges(height, width, stride, patches[index])


@compiled
def _bin(frame: Array, binning: int, ground: Array, sums: Array, padded: Array) -> None:
    """Means over squares, the last of which may be cut by the edge, less the ground."""
    height, width = ground.shape
    full = frame.shape[1] // binning
    for row in range(height):
        top, bottom = row * binning, min((row + 1) * binning, frame.shape[0])
        out, below = padded[row + 1], ground[row]
        if binning == 1:
            for column in range(width):
                out[column + 1] = np.float32(frame[top, column]) - below[column]
            continue
        for column in range(frame.shape[1]):
            sums[column] = np.float32(frame[top, column])
        for line in range(top + 1, bottom):
            for column in range(frame.shape[1]):
                sums[column] += np.float32(frame[line, column])
        share = np.float32(1.0 / ((bottom - top) * binning))
        if binning == 2:  # written out, it is done sixteen at a time
            for column in range(full):
                out[column + 1] = (sums[2 * column] + sums[2 * column + 1]) * share - below[column]
        else:
            for column in range(full):
                total = np.float32(0.0)
                for offset in range(binning):
                    total += sums[column * binning + offset]
                out[column + 1] = total * share - below[column]
        if full < width:
            total = np.float32(0.0)
            for column in range(full * binning, frame.shape[1]):
                total += sums[column]
            cut = (bottom - top) * (frame.shape[1] - full * binning)
            out[width] = total / np.float32(cut) - below[full]


@compiled
def _pose(padded: Array, light: Array, sums: Array, pose: Array) -> None:
    """Where the pool is and where its tail points, by image moments: see `models.alignment.Aligner.pose`."""
    height, width = padded.shape[0] - 2, padded.shape[1] - 2
    threshold = light[0]
    cap = light[4]
    s0, s1, s2, s3 = sums[0], sums[1], sums[2], sums[3]
    sums[:] = 0.0
    for row in range(height):
        y = np.float32(row - (height - 1) / 2)
        y2 = y * y
        y3 = y2 * y
        line = padded[row + 1]
        for column in range(width):
            lit = line[column + 1] - threshold
            lit = np.float32(0.0) if lit < 0 else lit
            lit = cap if lit > cap else lit
            s0[column] += lit
            s1[column] += lit * y
            s2[column] += lit * y2
            s3[column] += lit * y3
    m00 = m01 = m02 = m03 = m10 = m11 = m12 = m20 = m21 = m30 = 0.0
    for column in range(width):
        x = column - (width - 1) / 2
        m00 += s0[column]
        m01 += s1[column]
        m02 += s2[column]
        m03 += s3[column]
        m10 += s0[column] * x
        m11 += s1[column] * x
        m12 += s2[column] * x
        m20 += s0[column] * x * x
        m21 += s1[column] * x * x
        m30 += s0[column] * x * x * x
    if not (m00 > 0.0 and math.isfinite(m00)):  # dark, or with pixels that are not finite: left as it came
        pose[:] = 0.0
        _bring_within_reach(light, pose)
        return
    m01, m02, m03, m10, m11 = m01 / m00, m02 / m00, m03 / m00, m10 / m00, m11 / m00
    m12, m20, m21, m30 = m12 / m00, m20 / m00, m21 / m00, m30 / m00
    down, across, right = m02 - m01 * m01, m11 - m10 * m01, m20 - m10 * m10
    angle = 0.5 * math.atan2(2 * across, right - down)
    sine, cosine = math.sin(angle), math.cos(angle)
    third = (
        cosine**3 * (m30 - 3 * m10 * m20 + 2 * m10**3)
        + 3 * cosine**2 * sine * (m21 - 2 * m10 * m11 - m01 * m20 + 2 * m10 * m10 * m01)
        + 3 * cosine * sine**2 * (m12 - 2 * m01 * m11 - m10 * m02 + 2 * m10 * m01 * m01)
        + sine**3 * (m03 - 3 * m01 * m02 + 2 * m01**3)
    )
    if third < 0:
        angle += math.pi
    half, mean = math.hypot((right - down) / 2, across), (right + down) / 2
    if not mean + half > light[5] * (mean - half):
        angle = 0.0
    pose[0], pose[1], pose[2], pose[3] = m01, m10, angle, math.sqrt(max(mean + half, 0.0))
    _bring_within_reach(light, pose)


@compiled
def _bring_within_reach(light: Array, pose: Array) -> None:
    """A pool that strays further than the reach from its usual place is brought back by no more: it shows it."""
    down, right = pose[0] - light[1], pose[1] - light[2]
    share = min(light[3] / max(math.hypot(down, right), 1e-6), 1.0)
    pose[0], pose[1] = light[1] + down * share, light[2] + right * share


@compiled
def _normalise(padded: Array, normal: Array, scaled: Array) -> None:
    shift, inverse = normal[0], normal[1]
    pixels, out = padded.reshape(-1), scaled.reshape(-1)
    for index in range(len(pixels)):
        out[index] = (pixels[index] - shift) * inverse


@compiled
def _turn(scaled: Array, pose: Array, stride: int, picked: Array, patches: Array) -> None:
    """The nearest pixel of each place about the pool's middle; the dark border where there is none."""
    height, width = scaled.shape[0] - 2, scaled.shape[1] - 2
    sine, cosine = np.float32(math.sin(pose[2])), np.float32(math.cos(pose[2]))
    top, left = np.float32(pose[0] + (height + 1) / 2), np.float32(pose[1] + (width + 1) / 2)
    row_last, column_last = np.float32(height + 1), np.float32(width + 1)
    pixels, wide, middle = scaled.reshape(-1), np.float32(width + 2), np.float32((width - 1) / 2)
    places = picked.view(np.uint32)  # none is negative, and numba need not look for that
    for row in range(height):
        y = np.float32(row - (height - 1) / 2)
        first_row, first_column = top + cosine * y, left - sine * y
        for column in range(width):  # in 32 bits, signed: of these, eight are converted at once
            x = np.float32(np.int32(column)) - middle
            from_row, from_column = first_row + sine * x, first_column + cosine * x
            from_row = np.float32(0.0) if from_row < 0 else from_row
            from_row = row_last if from_row > row_last else from_row
            from_column = np.float32(0.0) if from_column < 0 else from_column
            from_column = column_last if from_column > column_last else from_column
            picked[column] = np.int32(np.rint(from_row) * wide + np.rint(from_column))  # exact: below 2**24
        _lay(pixels, places, row, stride, patches)


@inlined
def _lay(pixels: Array, picked: Array, row: int, stride: int, patches: Array) -> None:
    """A row of the frame, of *pixels* those *picked* (w,), to its place in *patches* (rows, columns, s * s)."""
    cells = patches[row // stride]
    if stride == 8:  # as constants, a stride's pixels move at once
        _cut(pixels, picked, row % 8 * 8, 8, cells)
    elif stride == 4:
        _cut(pixels, picked, row % 4 * 4, 4, cells)
    else:
        _cut(pixels, picked, row % stride * stride, stride, cells)


@inlined
def _cut(pixels: Array, picked: Array, first: int, stride: int, cells: Array) -> None:
    whole = len(picked) // stride
    for cell in range(whole):
        for offset in range(stride):
            cells[cell, first + offset] = pixels[picked[cell * stride + offset]]
    for column in range(whole * stride, len(picked)):
        cells[whole, first + column - whole * stride] = pixels[picked[column]]


@compiled
def _repeat_edges(height: int, width: int, stride: int, patches: Array) -> None:
    """The last row and column again, until the patches are full."""
    last_row, last_column = patches.shape[0] - 1, patches.shape[1] - 1
    rows, columns = height - last_row * stride, width - last_column * stride  # of the last patches, that hold pixels
    if columns < stride:
        for row in range(patches.shape[0]):
            cell = patches[row, last_column]
            for line in range(stride):
                for column in range(columns, stride):
                    cell[line * stride + column] = cell[line * stride + columns - 1]
    for line in range(rows, stride):
        for column in range(patches.shape[1]):
            cell = patches[last_row, column]
            for offset in range(stride):
                cell[line * stride + offset] = cell[(rows - 1) * stride + offset]
