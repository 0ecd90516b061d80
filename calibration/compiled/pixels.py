"""What `calibration.camera` asks of the pixels of each frame, in one pass over them while they are near.

A comparison with what is no number is false: such pixels are no camera fault.
"""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from calibration.compiled import compiled, inlined

Array = npt.NDArray[Any]

AT_ONCE: Final = 64  # pixels that are counted in bytes, of which a processor adds dozens in one step


@compiled
def find_faults(
    frames: Array,
    last: Array,
    follows: bool,
    repeats: int,
    dark_spread: float,
    saturated_level: float,
    saturated_fraction: float,
    row_contrast: float,
    frozen_repeats: int,
    told: tuple[int, int, int, int],
    codes: Array,
) -> int:
    """The *codes* (n,) of *frames* (n, h, w), zeros before, and how often the last of them repeats those before.

    *last* (h, w) is the frame before, where one *follows* on the other, and repeated those before it *repeats* times.
    The limits are those of `camera.CameraLimits`, the codes *told* of are frozen, saturated, dark and rows_missing.
    """
    frozen, saturated, dark, rows_missing = told
    for index in range(len(frames)):
        frame = frames[index]
        before = frames[index - 1] if index > 0 else last
        repeats = repeats + 1 if (index > 0 or follows) and _same(frame, before) else 0
        low, high = _range(frame)
        spread = high - low
        if high == saturated_level and _share_at(frame, high) > saturated_fraction:
            codes[index] = saturated
        elif spread < dark_spread or spread == 0.0:
            codes[index] = dark
        elif repeats >= frozen_repeats:
            codes[index] = frozen
        elif _row_contrast(frame, spread) > row_contrast:
            codes[index] = rows_missing
    return repeats


@compiled
def measure(
    frames: Array, last: Array, follows: bool, repeats: int, saturated_level: float, found: Array, repeated: Array
) -> None:
    """Spread, row contrast and share at *saturated_level* of *frames* (n, h, w) into *found* (3, n), as limits see it.

    Into *repeated* (n,), how many frames in a row, up to each, were identical to the one before them; see
    `find_faults` for the rest.
    """
    for index in range(len(frames)):
        frame = frames[index]
        before = frames[index - 1] if index > 0 else last
        repeats = repeats + 1 if (index > 0 or follows) and _same(frame, before) else 0
        low, high = _range(frame)
        found[0, index] = high - low
        found[1, index] = _row_contrast(frame, high - low)
        found[2, index] = _share_at(frame, high) if high == saturated_level else 0.0
        repeated[index] = repeats


@inlined
def _range(values: Any) -> Any:
    """The smallest and the largest of *values*; neither is a number where one of them is none."""
    flat = values.reshape(-1)
    low, high, none = flat[0], flat[0], 0
    for index in range(len(flat)):
        low, high = min(low, flat[index]), max(high, flat[index])
    for index in range(len(flat)):  # of integers never, which the compiler knows
        none |= flat[index] != flat[index]
    return (math.nan, math.nan) if none else (np.float64(low), np.float64(high))


@inlined
def _row_contrast(frame: Any, spread: Any) -> Any:
    """Largest spread of a row that touches a constant row, over the *spread* of the frame; 0 where none is constant."""
    contrast, before = 0.0, False
    for row in range(len(frame)):
        constant = _constant(frame[row])
        if row > 0 and constant != before:
            low, high = _range(frame[row - 1] if constant else frame[row])
            contrast = max(contrast, (high - low) / spread)
        before = constant
    return contrast


@inlined
def _constant(row: Any) -> Any:
    column = 0
    while column < len(row) and row[column] == row[0]:  # nearly always it ends after a few
        column += 1
    return column == len(row)


@inlined
def _share_at(frame: Any, level: Any) -> Any:
    flat = frame.reshape(-1)
    value, whole = flat.dtype.type(level), len(flat) // AT_ONCE * AT_ONCE
    count: Any = 0
    for first in range(0, whole, AT_ONCE):
        part, some = flat[first : first + AT_ONCE], np.uint8(0)
        for index in range(AT_ONCE):
            some = np.uint8(some + np.uint8(part[index] == value))
        count += some
    for index in range(whole, len(flat)):
        count += flat[index] == value
    return count / len(flat)


@inlined
def _same(frame: Any, other: Any) -> Any:
    if frame.shape != other.shape:
        return False
    for row in range(len(frame)):
        others = 0
        for column in range(frame.shape[1]):
            others |= frame[row, column] != other[row, column]
        if others:
            return False
    return True
