"""Frames that stand out, taken together to segments that a person can look at and leave out."""

import itertools
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from calibration.suspects import suspects

Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

APART: Final = 20
"""Frames between two that stand out, up to which they are of one segment: what caused them need not show in each."""


class Segment(NamedTuple):
    """Frames *first* to *last* of a group, counted from 0 in it."""

    group: int
    first: int
    last: int
    odd: int  # frames among them that stand out
    peak: int  # the frame with the largest joint score among those, counted over all frames
    share: float  # of the group's frames: those of the segment


def odd_frames(scores: Floats, contexts: npt.NDArray[Any]) -> Flags:
    """Which frames (m,) stand out from those of their context, by their *scores* (m, c).

    A context that is unlike the others does not stand out by that.
    """
    odd = np.zeros(len(scores), np.bool_)
    for context in np.unique(contexts):
        odd[contexts == context] = suspects(scores[contexts == context])
    return odd


def segments(odd: Flags, joint: Floats, borders: Indices, apart: int = APART) -> list[Segment]:
    """The segments of frames that are *odd* (m,), the one with the largest *joint* score (m,) first.

    Groups begin at *borders*, which end with m; no segment reaches over one.
    """
    found = []
    for group, (first, last) in enumerate(itertools.pairwise(borders.tolist())):
        frames = np.flatnonzero(odd[first:last])
        if not len(frames):
            continue
        for part in np.split(frames, np.flatnonzero(np.diff(frames) > apart) + 1):
            begin, end = int(part[0]), int(part[-1])
            peak = first + int(part[joint[first + part].argmax()])
            found.append(Segment(group, begin, end, len(part), peak, (end - begin + 1) / (last - first)))
    return sorted(found, key=lambda segment: -joint[segment.peak])
