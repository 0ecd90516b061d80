"""A recording in the making: stretches of frames copied out of the ring, and the events that they are about."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from monitor.eventlog import EventRecord
from monitor.recorder.notes import Note
from monitor.ring import RECORD, Ring
from monitor.types import Pixels

BLOCK_BYTES: Final = 1 << 20
"""Of pixels that are kept, and later compressed, together."""

OVERWRITTEN: Final = "overwritten"
NO_ROOM: Final = "memory"
LEFT_OUT: Final = "left_out"
NOT_IN_RING: Final = "not_in_ring"
"""Why frames of a window are not in a recording: the ring had overwritten them, there was no room in memory, the event
goes on for longer than is kept, or they never reached the ring (lost upstream, or of another size)."""

Key = tuple[str, int]
"""Epoch and number of an event."""

Records = npt.NDArray[np.void]


class Episode(NamedTuple):
    """An event, as far as it is known: its last record, and where its frames lie in the ring."""

    record: EventRecord
    first: int
    last: int
    peak: int  # -1: unknown
    ended: bool
    began_t_ns: int  # Unix, of its first record


class Missing(NamedTuple):
    """Positions *lo* to *hi* that were wanted and are not here."""

    lo: int
    hi: int
    why: str


def frames_a_block(frame_bytes: int) -> int:
    """How many frames of so many bytes are kept together."""
    return max(BLOCK_BYTES // max(frame_bytes, 1), 1)


class Stretch:
    """Frames from ring position *lo* on, as far as *end*, which may grow; copied as they come."""

    def __init__(self, ring: Ring, lo: int, end: int, note: Note | None) -> None:
        self.lo, self.end, self.copied, self.note = lo, end, lo, note
        self.missing: list[Missing] = []
        self._ring = ring
        self._each = frames_a_block(ring.pixels[0].nbytes)
        self._blocks: list[Pixels] = []
        self._filled = 0
        self._beside: list[tuple[npt.NDArray[np.int64], Records, npt.NDArray[np.float32]]] = []

    @property
    def complete(self) -> bool:
        """Whether all that is wanted was copied, or is gone."""
        return self.copied >= self.end

    @property
    def cut(self) -> bool:
        """Whether its first frames are missing."""
        return any(one.lo == self.lo for one in self.missing)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a frame."""
        return self._ring.height, self._ring.width

    @property
    def dtype(self) -> str:
        return self._ring.dtype

    @property
    def frame_bytes(self) -> int:
        return int(self._ring.pixels[0].nbytes)

    @property
    def nbytes(self) -> int:
        """Memory that its pixels take."""
        return self._filled * self.frame_bytes  # of a block's other pages the system has given none

    @property
    def frames(self) -> int:
        """How many there are."""
        return self._filled

    def copy(self, until: int) -> None:
        """Copy what is wanted of the frames before position *until*, which are all written."""
        ring = self._ring
        while self.copied < (hi := min(self.end, until)):
            oldest = ring.oldest_intact()
            if self.copied < oldest:
                self._miss(min(oldest, hi), OVERWRITTEN)
                continue
            room = self._each - self._filled % self._each
            self._take(self.copied, ring.until_wrap(self.copied, min(hi, self.copied + room)))

    def give_up(self, why: str) -> None:
        """Copy nothing more."""
        self._miss(self.end, why)

    def blocks(self) -> Iterator[Pixels]:
        """All frames (n, h, w), some at a time; every piece but the last is as long."""
        left = self._filled
        for block in self._blocks:
            if left:
                yield block[: min(left, self._each)]
            left -= min(left, self._each)

    def beside(self) -> tuple[npt.NDArray[np.int64], Records, npt.NDArray[np.float32]]:
        """Position, `RECORD` and latents of each frame."""
        none = np.empty(0, np.int64), np.empty(0, RECORD), self._ring.latents(0, 0)
        positions, records, latents = zip(none, *self._beside, strict=True)
        return np.concatenate(positions), np.concatenate(records), np.concatenate(latents)

    def _take(self, lo: int, hi: int) -> None:
        ring, place = self._ring, self._filled % self._each
        if place == 0:
            self._blocks.append(np.empty((self._each, ring.height, ring.width), ring.pixels.dtype))
        block = self._blocks[-1][place : place + hi - lo]
        block[:] = ring.view(lo, hi).pixels
        records, latents = ring.records(lo, hi).copy(), ring.latents(lo, hi).copy()
        torn = min(max(ring.oldest_intact() - lo, 0), hi - lo)
        if torn:  # overwritten while they were copied
            block[: hi - lo - torn] = block[torn:].copy()
            self.missing.append(Missing(lo, lo + torn, OVERWRITTEN))
            if place == 0 and torn == hi - lo:
                self._blocks.pop()
        self.copied = hi
        if torn < hi - lo:
            self._filled += hi - lo - torn
            self._beside.append((np.arange(lo + torn, hi), records[torn:], latents[torn:]))

    def _miss(self, hi: int, why: str) -> None:
        if hi > self.copied:
            self.missing.append(Missing(self.copied, hi, why))
            self.copied = hi


class Take:
    """What is to become one recording: the head, and of events that go on for long the peak's and the end's frames."""

    def __init__(self, head: Stretch, mark: int, since_ns: int) -> None:
        """*mark*: the event log's position of its first record; *since_ns*: monotonic, as of now."""
        self.head = head
        self.mark = mark
        self.changed_ns = since_ns  # when frames, or records of its events, came last
        self.episodes: dict[Key, Episode] = {}
        self.around: dict[str, Stretch] = {}  # the `peak` and the `end` of an event that outlasts the head
        self.scanned = head.lo  # frames before it were looked at for exceedances
        self.last = head.lo  # position of the last frame that was over a limit
        self.full = False  # the head grows no more
        self.heard = 0  # once it is whole: records of the event log before it are those that it speaks of

    @property
    def stretches(self) -> list[Stretch]:
        """In the order of their positions; they do not overlap."""
        return sorted((self.head, *self.around.values()), key=lambda one: one.lo)

    @property
    def nbytes(self) -> int:
        return sum(one.nbytes for one in self.stretches)

    @property
    def frames(self) -> int:
        return sum(one.frames for one in self.stretches)

    @property
    def hi(self) -> int:
        """The position after all that is wanted."""
        return max(one.end for one in self.stretches)

    @property
    def complete(self) -> bool:
        """Whether all frames that are wanted by now are here, or gone."""
        return all(one.complete for one in self.stretches)

    @property
    def over(self) -> bool:
        """Whether all its events are."""
        return all(one.ended for one in self.episodes.values())

    def missing(self) -> list[Missing]:
        """All that is wanted and not here, in order; with what is left out between the stretches."""
        found: list[Missing] = []
        before: Stretch | None = None
        for one in self.stretches:
            if before is not None and one.lo > before.end:
                found.append(Missing(before.end, one.lo, LEFT_OUT))
            found += one.missing
            before = one
        return sorted(found)


class Gap(NamedTuple):
    """Frames that are not in a recording: *first_seq* to *last_seq* of *stream*, for the reason *why*."""

    stream: str
    first_seq: int
    last_seq: int
    before: int  # which frame they belong: index into the recording's frames; their number: after the last
    why: str


def gaps(positions: npt.NDArray[np.int64], records: Records, missing: Sequence[Missing]) -> list[Gap]:
    """What is not there between the frames at *positions* (n,), and before and after them, with what lies beside them.

    Where it lies at an end, the numbers are counted on from the nearest frame: that many were wanted.
    """
    if len(positions) == 0:
        return []
    found = [_at_the_edge(one, 0, records[0], positions[0]) for one in missing if one.hi <= positions[0]]
    seq, stream = records["seq"], records["stream"]
    same = stream[1:] == stream[:-1]
    for index in np.flatnonzero((np.diff(positions) > 1) | (same & (np.diff(seq) > 1))).tolist():
        why = _why_between(missing, int(positions[index]), int(positions[index + 1]))
        last = int(seq[index + 1]) - 1 if same[index] else int(seq[index] + positions[index + 1] - positions[index] - 1)
        found.append(Gap(_text(stream[index]), int(seq[index]) + 1, last, index + 1, why))
    end = len(positions)
    found += [_at_the_edge(one, end, records[-1], positions[-1]) for one in missing if one.lo > positions[-1]]
    return found


def _why_between(missing: Sequence[Missing], lo: int, hi: int) -> str:
    """Of several reasons that of most frames."""
    frames: dict[str, int] = {}
    for one in missing:
        if lo < one.lo < hi:
            frames[one.why] = frames.get(one.why, 0) + one.hi - one.lo
    return max(frames, key=lambda why: frames[why]) if frames else NOT_IN_RING


def _at_the_edge(missing: Missing, before: int, nearest: Any, position: int) -> Gap:
    seq, away = int(nearest["seq"]), int(position)
    return Gap(_text(nearest["stream"]), seq + missing.lo - away, seq + missing.hi - 1 - away, before, missing.why)


def _text(value: Any) -> str:
    return bytes(value).decode(errors="replace")


def count_missing(missing: Sequence[Missing]) -> Mapping[str, int]:
    """How many positions are missing for each reason."""
    found: dict[str, int] = {}
    for one in missing:
        found[one.why] = found.get(one.why, 0) + one.hi - one.lo
    return found
