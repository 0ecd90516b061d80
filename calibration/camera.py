"""Camera faults, found before the network sees a frame: what a broken camera sends is no anomaly of the process.

Each check is exact. All are made in one pass over a frame (`calibration.compiled.pixels`).
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from calibration.layout import laid_out

Frames = npt.NDArray[Any]  # (n, h, w) of uint8, uint16 or float32
Float64s = npt.NDArray[np.float64]

FAULTS = ("frozen", "saturated", "dark", "rows_missing")
FROZEN, SATURATED, DARK, ROWS_MISSING = 1, 2, 3, 4  # codes; 0 is no fault
CODES = (FROZEN, SATURATED, DARK, ROWS_MISSING)

SATURATED_FRACTION_MIN = 0.2  # a hot pool or a bright crystal may clip: below that it is the process
SATURATED_TIMES_NORMAL = 3.0
DARK_SHARE = 0.1  # of the median normal spread
ROW_CONTRAST_MIN = 0.25  # optics blur the edge of an image over several rows: no step of a quarter from nothing
ROW_CONTRAST_TIMES_NORMAL = 1.5
FROZEN_REPEATS_MIN = 2  # one repeated frame is a hiccup of the driver
TOLERATED = 0.001  # share of normal frames that may lie beyond: more would be a camera that always alarms
CLIPPED_SHARE = 1e-4  # of all normal pixels exactly at the largest value: the sensor clips there
ADC_BITS = (10, 12, 14, 16)
CHUNK = 256


class CameraLimits(NamedTuple):
    """Beyond which a frame is the camera's fault. Levels and spreads are pixel values, all are finite."""

    dark_spread: float  # max - min of a frame below this, or 0: no image
    saturated_level: float  # pixels exactly here are clipped
    saturated_fraction: float  # of the pixels
    row_contrast: float  # of a row beside constant rows, over the frame's spread
    frozen_repeats: int = FROZEN_REPEATS_MIN  # consecutive repeats of one frame, the one that makes the fault included


class CameraState(NamedTuple):
    """The last frame seen, a copy, and how often in a row it repeated the one before."""

    last: Frames | None = None
    repeats: int = 0


def fit_camera(groups: Sequence[Frames], dtype: npt.DTypeLike) -> CameraLimits:
    """Limits from *groups* of normal frames (m, h, w) of a camera that sends *dtype*. Raises ValueError without frames.

    No limit fires on more than a thousandth of these frames.
    """
    if not any(map(len, groups)):
        raise ValueError("camera limits need normal frames: give some")
    measured = []
    level = _clipping_level(groups, np.dtype(dtype))
    state, longest = CameraState(), 0
    for chunk in _chunks(groups):
        state, found, repeated = _measure(level, state, chunk)
        measured.append(found)
        longest = max(longest, int(repeated.max()))
    spread, contrasts, shares = np.concatenate(measured, axis=1)
    share, contrast = _rarely_above(shares), _rarely_above(contrasts)
    return CameraLimits(
        dark_spread=min(DARK_SHARE * float(np.median(spread)), -_rarely_above(-spread)),
        saturated_level=level,
        # where normal frames are half white already, half of the way to all white
        saturated_fraction=min(
            max(SATURATED_FRACTION_MIN, SATURATED_TIMES_NORMAL * share), max(share, (1 + share) / 2)
        ),
        row_contrast=max(ROW_CONTRAST_MIN, ROW_CONTRAST_TIMES_NORMAL * contrast),
        frozen_repeats=max(FROZEN_REPEATS_MIN, longest + 1 + (longest > 0)),
    )


def check(limits: CameraLimits, state: CameraState, frames: Frames) -> tuple[CameraState, npt.NDArray[np.uint8]]:
    """Fault codes (n,) of the next *frames* of a stream, however it is cut into batches; 0 is no fault.

    Where several hold, the one that explains the others: a white or black image repeats itself without being frozen.
    Pixels that are not finite are no camera fault: they are refused elsewhere.
    """
    from calibration.compiled.pixels import find_faults

    codes = np.zeros(len(frames), np.uint8)
    if len(frames) == 0:
        return state, codes
    frames = laid_out(frames, frames.dtype)
    last, follows = _before(state, frames)
    repeats = find_faults(frames, last, follows, state.repeats, *limits, CODES, codes)
    return CameraState(frames[-1].copy(), repeats), codes


def _measure(level: float, state: CameraState, frames: Frames) -> tuple[CameraState, Float64s, npt.NDArray[np.int64]]:
    """Of the next *frames*: (3, n) spread, contrast of rows, share at *level*; and the repeats up to each (n,)."""
    from calibration.compiled.pixels import measure

    found, repeated = np.empty((3, len(frames))), np.empty(len(frames), np.int64)
    frames = laid_out(frames, frames.dtype)
    last, follows = _before(state, frames)
    measure(frames, last, follows, state.repeats, level, found, repeated)
    return CameraState(frames[-1].copy(), int(repeated[-1])), found, repeated


def _before(state: CameraState, frames: Frames) -> tuple[Frames, bool]:
    """The frame (h, w) before *frames*, and whether there is one."""
    return (frames[0], False) if state.last is None else (state.last, True)


def _chunks(groups: Sequence[Frames]) -> Iterator[Frames]:
    for frames in groups:
        for first in range(0, len(frames), CHUNK):
            yield frames[first : first + CHUNK]


def _clipping_level(groups: Sequence[Frames], dtype: np.dtype[Any]) -> float:
    """Where the sensor clips: the value that normal pixels pile up at, else the full scale of the camera's converter.

    Counts thin out towards the largest value, except where the sensor clips.
    """
    peak = max(chunk.max() for chunk in _chunks(groups))
    lowest = min(chunk.min() for chunk in _chunks(groups))
    below = max(frame[frame < peak].max(initial=lowest) for chunk in _chunks(groups) for frame in chunk)
    piled, before = (sum(int(np.count_nonzero(chunk == value)) for chunk in _chunks(groups)) for value in (peak, below))
    if peak > below and piled > max(before, CLIPPED_SHARE * sum(frames.size for frames in groups)):
        return float(peak)
    if dtype.kind == "f":
        return float(np.finfo(dtype).max)
    full_scales = [2**bits - 1 for bits in ADC_BITS if dtype.itemsize > 1]
    return float(min((full for full in full_scales if full >= peak), default=np.iinfo(dtype).max))


def _rarely_above(values: Float64s) -> float:
    """A value of *values* that at most a thousandth of them exceed."""
    return float(np.quantile(values, 1 - TOLERATED, method="higher"))
