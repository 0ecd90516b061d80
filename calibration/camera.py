"""Camera faults, found before the network sees a frame: what a broken camera sends is no anomaly of the process.

Each check is exact, and cheap where nothing is wrong: a few columns of each frame tell where to look closer.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Frames = npt.NDArray[Any]  # (n, h, w) of uint8, uint16 or float32
Float64s = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FAULTS = ("frozen", "saturated", "dark", "rows_missing")
FROZEN, SATURATED, DARK, ROWS_MISSING = 1, 2, 3, 4  # codes; 0 is no fault

SATURATED_FRACTION_MIN = 0.2  # a hot pool or a bright crystal may clip: below that it is the process
SATURATED_TIMES_NORMAL = 3.0
DARK_SHARE = 0.1  # of the median normal spread
ROW_CONTRAST_MIN = 0.25  # optics blur the edge of an image over several rows: no step of a quarter from nothing
ROW_CONTRAST_TIMES_NORMAL = 1.5
FROZEN_REPEATS_MIN = 2  # one repeated frame is a hiccup of the driver
TOLERATED = 0.001  # share of normal frames that may lie beyond: more would be a camera that always alarms
CLIPPED_SHARE = 1e-4  # of all normal pixels exactly at the largest value: the sensor clips there
ADC_BITS = (10, 12, 14, 16)
SAMPLED_COLUMNS = 8
CHUNK = 256
SCATTERED = 61
"""Pixels of a frame that are compared with the frame before, to begin with: prime, so that they share no column."""
WORD = 8  # bytes
LANE = 255  # bytes of at most 1 that add up in a byte


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
    spreads, contrasts, shares = [], [], []
    level = _clipping_level(groups, np.dtype(dtype))
    state, longest = CameraState(), 0
    for chunk in _chunks(groups):
        low, high = _range(chunk)
        spreads.append(high - low)
        contrasts.append(_row_contrast(chunk, high - low))
        shares.append(_share_at(level, chunk, high))
        state, repeats = _repeats(state, chunk)
        longest = max(longest, int(repeats.max()))
    spread = np.concatenate(spreads)
    share = _rarely_above(np.concatenate(shares))
    contrast = _rarely_above(np.concatenate(contrasts))
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
    """
    codes = np.zeros(len(frames), np.uint8)
    if len(frames) == 0:
        return state, codes
    low, high = _range(frames)
    with np.errstate(invalid="ignore"):  # pixels that are not finite are no camera fault: they are refused elsewhere
        spread = high - low
        codes[_row_contrast(frames, spread) > limits.row_contrast] = ROWS_MISSING
    state, repeats = _repeats(state, frames)
    codes[repeats >= limits.frozen_repeats] = FROZEN
    codes[(spread < limits.dark_spread) | (spread == 0)] = DARK
    codes[_share_at(limits.saturated_level, frames, high) > limits.saturated_fraction] = SATURATED
    return state, codes


def _range(frames: Frames) -> tuple[Float64s, Float64s]:
    """Smallest and largest pixel of each frame."""
    flat = _flat(frames)
    return flat.min(axis=1).astype(np.float64), flat.max(axis=1).astype(np.float64)


def _row_contrast(frames: Frames, spread: Float64s) -> Float64s:
    """Largest spread of a row that touches a constant row, over the frame's spread (n,); 0 where no row is constant."""
    contrast = np.zeros(len(frames))
    constant = constant_rows(frames)
    if constant.any():
        touching = np.zeros(constant.shape, np.bool_)
        touching[:, 1:] |= constant[:, :-1]
        touching[:, :-1] |= constant[:, 1:]
        frame, row = np.nonzero(touching & ~constant)
        rows = frames[frame, row]  # (k, w)
        np.maximum.at(contrast, frame, (rows.max(axis=1).astype(np.float64) - rows.min(axis=1)) / spread[frame])
    return contrast


def constant_rows(frames: Frames) -> Flags:
    """Rows (n, h) of which all pixels are equal: those that look so in their middle are looked at as a whole."""
    constant = _even_in_the_middle(frames)
    places = np.flatnonzero(constant)
    if len(places):
        rows = frames[np.unravel_index(places, constant.shape)]  # (k, w)
        constant.reshape(-1)[places] = (rows == rows[:, :1]).all(axis=1)
    return constant


def _even_in_the_middle(frames: Frames) -> Flags:
    """Rows (n, h) that may be constant: eight bytes in the middle equal the next eight; of floats, a few columns."""
    row_bytes = frames.shape[2] * frames.itemsize
    if frames.dtype.kind == "f" or row_bytes < 2 * WORD or frames.strides[2] != frames.itemsize:
        sampled = _sampled(frames)
        even: Flags = (sampled == sampled[:, :, :1]).all(axis=2)
        return even
    middle = row_bytes // 2 // WORD * WORD
    pairs = frames.view(np.uint8)[:, :, middle - WORD : middle + WORD].view(np.uint64)  # (n, h, 2)
    alike: Flags = np.equal(pairs[:, :, 0], pairs[:, :, 1])
    return alike


def _share_at(level: float, frames: Frames, high: Float64s) -> Float64s:
    """Share of each frame's pixels exactly at *level* (n,); 0 where some are above it: such a frame is not clipped."""
    share = np.zeros(len(frames))
    reach = high == level
    if reach.any():
        flat = _flat(frames)
        share[reach] = count(flat == frames.dtype.type(level))[reach] / flat.shape[1]
    return share


def count(flags: Flags) -> npt.NDArray[np.int64]:
    """How many of *flags* (n, m) hold in each row: eight bytes at a time, a third of what numpy's own count takes."""
    rest = flags.shape[1] % 8
    if rest or flags.shape[1] == 0:
        plain: npt.NDArray[np.int64] = flags.sum(axis=1, dtype=np.int64)
        return plain
    words = np.ascontiguousarray(flags).view(np.uint64)  # (n, m / 8)
    lanes = np.add.reduceat(words, np.arange(0, words.shape[1], LANE), axis=1)
    counts: npt.NDArray[np.int64] = lanes.view(np.uint8).sum(axis=1, dtype=np.int64)
    return counts


def _repeats(state: CameraState, frames: Frames) -> tuple[CameraState, npt.NDArray[np.int64]]:
    """How many frames in a row, up to each (n,), were identical to the one before them."""
    same = _same_as_before(state.last, frames)
    if not same.any():
        return CameraState(frames[-1].copy()), np.zeros(len(frames), np.int64)
    index = np.arange(len(frames))
    fresh = np.maximum.accumulate(np.where(same, -1, index))  # the latest frame that was no repeat
    repeats = index - fresh + np.where(fresh < 0, state.repeats, 0)
    return CameraState(frames[-1].copy(), int(repeats[-1])), repeats


def _same_as_before(last: Frames | None, frames: Frames) -> Flags:
    same = np.zeros(len(frames), bool)
    if last is not None and last.shape == frames.shape[1:]:
        same[0] = np.array_equal(last, frames[0])
    flat = _flat(frames)
    few = flat[:, :: max(1, flat.shape[1] // SCATTERED)]
    for index in np.flatnonzero((few[1:] == few[:-1]).all(axis=1)).tolist():
        same[index + 1] = np.array_equal(frames[index + 1], frames[index])
    return same


def _flat(frames: Frames) -> Frames:
    return frames.reshape(len(frames), -1)


def _sampled(frames: Frames) -> Frames:
    """A few columns of each frame (n, h, c), as a view."""
    return frames[:, :, :: max(1, frames.shape[2] // SAMPLED_COLUMNS)]


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
