"""Which frame is shown: of those judged since the last one, that with the worst score, copied whole out of the ring."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from monitor.ring import FrameBatch, Ring
from monitor.viewer.speech import Wanted

LOOKED_BACK: Final = 256  # frames, when nobody has looked before

Ints = npt.NDArray[np.int64]


class Picked(NamedTuple):
    """One frame (1, h, w) with its record, all of it copied."""

    position: int
    frame: FrameBatch


class Picker:
    """Goes through *ring* and never makes its writer wait. For one thread."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._next = 0  # the first position that was not looked at when it was judged

    def pick(self, *, anew: bool = False) -> Picked | None:
        """The worst frame judged since the last call, or *anew* of the latest; of equal ones the newest.

        None where none was judged that can still be read. A frame that is overwritten while it is copied gives way to
        the worst of those that are left.
        """
        ring, last = self._ring, self._ring.written
        if anew:
            self._next = max(last - LOOKED_BACK, 0)
        positions, joint = self._judged(max(self._next, ring.oldest_intact()), last)
        if len(positions) == 0:
            return None
        self._next = int(positions[-1]) + 1  # frames are judged in their order: those before it were, or never will be
        order = np.lexsort((positions, joint))[::-1].tolist()
        for index in order:
            position = int(positions[index])
            if ring.intact(position) and (found := copied(ring, position)) is not None:
                return found
        return None

    def _judged(self, first: int, last: int) -> tuple[Ints, npt.NDArray[np.float32]]:
        """Positions from *first* up to *last* of frames that were judged, and their joint scores."""
        ring = self._ring
        positions, scores = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
        while first < last:
            end = ring.until_wrap(first, last)
            batch = ring.view(first, end)
            # The place is what is written last of a frame's scores: where it is there, they are.
            judged = np.flatnonzero(batch.where[:, 0] >= 0)
            joint = np.nan_to_num(batch.joint[judged], nan=np.inf, posinf=np.inf)
            whole = judged + first >= ring.oldest_intact()
            positions.append(judged[whole] + first)
            scores.append(joint[whole])
            first = end
        return np.concatenate(positions), np.concatenate(scores)


def copied(ring: Ring, position: int) -> Picked | None:
    """The frame at *position*; None where it was overwritten meanwhile."""
    found = FrameBatch._make(column.copy() for column in ring.view(position, position + 1))
    return Picked(position, found) if ring.intact(position) else None


def find(ring: Ring, stream: str, seq: int) -> Picked | None:
    """The newest frame *seq* of *stream* that the ring still holds."""
    last = ring.written
    first = max(ring.oldest_intact(), last - ring.slots, 0)
    places: list[int] = []
    name = stream.encode()
    for lo, hi in _pieces(ring, first, last):
        batch = ring.view(lo, hi)
        places += (np.flatnonzero((batch.seq == seq) & (batch.stream == name)) + lo).tolist()
    for position in reversed(places):
        found = copied(ring, position)
        if found is not None and int(found.frame.seq[0]) == seq and bytes(found.frame.stream[0]) == name:
            return found
    return None


def among(ring: Ring, wanted: Wanted) -> Picked | None:
    """Of the frames of an event that the ring still holds, the one that shows it best."""
    last = ring.written
    first = max(ring.oldest_intact(), last - ring.slots, 0)
    views = [ring.view(lo, hi) for lo, hi in _pieces(ring, first, last)]
    if not views:
        return None
    stream, seq, fault, joint = (
        np.concatenate([getattr(view, name) for view in views]) for name in ("stream", "seq", "fault", "joint")
    )
    of_stream = np.flatnonzero(stream == wanted.stream.encode())
    best = best_first(wanted, seq[of_stream], fault[of_stream], joint[of_stream])
    for position in (of_stream[best] + first).tolist():
        if ring.intact(position) and (found := copied(ring, position)) is not None:
            return found
    return None


def best_first(wanted: Wanted, seq: Ints, fault: npt.NDArray[np.uint8], joint: npt.NDArray[np.floating[Any]]) -> Ints:
    """Which of the frames (n,) of a stream show an event, the best one first: the one that is wanted, then of a fault
    the others at fault as they came, and else the others that were judged, the worst score first.
    """
    within = (seq >= wanted.first_seq) & (seq <= wanted.last_seq)
    rest = within & ((fault == wanted.fault) if wanted.fault else ~np.isnan(joint))
    order = np.lexsort((seq, seq if wanted.fault else -joint, seq != wanted.seq))
    found: Ints = order[(rest | (seq == wanted.seq))[order]]
    return found


def _pieces(ring: Ring, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Positions from *first* up to *last*, as they lie in one piece each."""
    while first < last:
        end = ring.until_wrap(first, last)
        yield first, end
        first = end
