"""Electrons landing on the pixels of a counting detector while the pattern they come from slowly changes.

An expected pattern is given every SPACING frames, and between two of them it is their linear mixture. Electrons are
the points of a Poisson process over pixels and time, so each given pattern is drawn by itself: how many electrons of
it each pixel gets in all, and for each of them the frame, by a triangle that is widest at the pattern's own frame. The
sum is exactly Poisson in every pixel of every frame, and costs no step per frame.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

_WORD_BITS: Final = 16
_SPACING_BITS: Final = 6
SPACING: Final = 1 << _SPACING_BITS
"""Frames between two expected patterns."""


def patterns_for(frames: slice) -> npt.NDArray[np.int64]:
    """The frames (k,) whose expected patterns the frames *frames* of a shot need: multiples of SPACING."""
    return np.arange(frames.start // SPACING, -(-frames.stop // SPACING) + 1) * SPACING


def land(
    counts: npt.NDArray[Any],
    expected: npt.NDArray[np.floating[Any]],
    at: npt.NDArray[np.int64],
    wanted: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> None:
    """Adds electrons to *counts* (n + 1, pixels), of unsigned integers that wrap; its last row is rubbish.

    *expected* (k, pixels) are the electrons a frame at the frames *at* (k,), which `patterns_for` gave; only frames
    *wanted* (n,) get any.
    """
    one = counts.dtype.type(1)
    flat, pixels = counts.reshape(-1), np.arange(counts.shape[1])
    for pattern, frame in zip(expected, at, strict=True):
        pixel = np.repeat(pixels, rng.poisson(pattern * SPACING))
        reached = np.arange(frame - SPACING, frame + SPACING)
        seen = (reached >= 0) & (reached < len(wanted))
        seen[seen] = wanted[reached[seen]]
        begins = np.where(seen, reached, len(wanted)) * counts.shape[1]
        pixel += begins[_triangular(len(pixel), rng)]
        np.add.at(flat, pixel, one)


def _triangular(count: int, rng: np.random.Generator) -> npt.NDArray[np.uint32]:
    """*count* numbers from 0 to 2 SPACING - 1, the middle ones most often: the sum of two uniform ones, cut."""
    words = np.frombuffer(rng.bytes(4 * count), np.uint32)
    sums: npt.NDArray[np.uint32] = (words & 0xFFFF) + (words >> _WORD_BITS)
    sums >>= _WORD_BITS - _SPACING_BITS
    return sums
