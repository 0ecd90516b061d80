"""Judged frames out of the ring, for the page: their scores over time and over the layers of a job.

It touches no pixels and makes nobody wait. The engine judges in order, and of a frame's scores it writes the joint one
last: a frame that shows one is whole, and every frame before it is settled. Those behind it, which nobody has judged
yet, are looked at again next time.
"""

import threading
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from calibration.layout import distinct
from monitor import ledger
from monitor.history.layer_map import Frames, LayerMap
from monitor.history.pyramid import Pyramid
from monitor.orders import BundleFacts, Memory
from monitor.ring import NUMBERS, SCORES, Followed, Ring, text

PERIOD_S: Final = 0.1
PIECE: Final = 16_384
"""Frames read at a time: more at once cost less each, and what is read of so many stays in a processor's cache."""

JOINT: Final = "joint"
"""Beside the bundle's charts: the rarest of them on one scale, on which the limit is 1."""

FLOAT32_MAX: Final = float(np.finfo(np.float32).max)
"""Told in place of a score that is infinite or no number, as alarms tell it."""

AT_JOINT: Final = SCORES.index(JOINT)
AT_RECEIVED: Final = NUMBERS.index("received_ns")
AT_JUDGED: Final = NUMBERS.index("judged_ns")

Rows = slice | npt.NDArray[np.intp]


class _Read(NamedTuple):
    """Judged frames (n,) of one piece of the ring."""

    numbers: npt.NDArray[np.int64]  # (5, n), see `monitor.ring.NUMBERS`
    xy: npt.NDArray[np.float32]  # (2, n)
    scores: npt.NDArray[np.float32]  # (charts and the joint score, n)
    heads: npt.NDArray[np.intp]  # (m,) the first frame of each message
    job: npt.NDArray[np.bytes_]  # (m,) of each message, as is the context
    context: npt.NDArray[np.bytes_]

    def of_each(self, of_messages: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What each message has (..., m) as each frame has it."""
        frames = self.numbers.shape[1]
        return np.repeat(of_messages, np.diff(self.heads, append=frames), axis=-1)


class Follower:
    """What the page knows of the frames judged since this process started, and of those that the ring still held then.

    Used by one thread; `scores`, `map` and `missed` may be read by any.
    """

    def __init__(self, bundle: BundleFacts, memory: Memory) -> None:
        self._ring, self._ledger = Ring(memory.ring), memory.ledger
        self.charts = (*bundle.limits, JOINT)
        self._at_charts = [SCORES.index(chart) for chart in self.charts]
        self._pooled = _column(bundle.limits)
        self._own = {context.encode(): _column(limits) for context, limits in bundle.own_limits.items()}
        self.scores = Pyramid(len(self.charts))
        self.map = LayerMap()
        self._next = self._ring.oldest_intact()
        self._skipped = 0  # positions that were overwritten before they were read, since the last account
        self._seen = 0
        self._unseen: int | None = None  # judged frames from before the first look, which nobody counts as missed
        self.missed = 0  # judged frames that were overwritten before they were read

    def run(self, closed: threading.Event, clock: Callable[[], int]) -> None:
        """Follow until *closed*: the body of a thread. *clock* is the monotonic one."""
        self.step(clock())
        while not closed.wait(PERIOD_S):
            self.step(clock())

    def step(self, now_ns: int) -> None:
        """Take in what was judged since the last step, up to *now_ns* (monotonic)."""
        counted = ledger.read(self._ledger).judged  # before the ring is read, which shows all of them by now
        lo = self._first_kept(self._next)
        self._next, waiting, written = lo, False, self._ring.written
        while lo < written:
            hi = self._ring.until_wrap(lo, min(written, lo + PIECE))
            settled, some = self._read_piece(lo, hi)
            if some or not waiting:
                self._next, waiting = settled, settled < hi
            lo = hi
        self._count_missed(counted)
        self.scores.finish(now_ns)

    def _first_kept(self, lo: int) -> int:
        """*lo*, or the first position behind it that is not overwritten; those between are gone."""
        oldest = self._ring.oldest_intact()
        self._skipped += max(0, oldest - lo)
        return max(lo, oldest)

    def _read_piece(self, lo: int, hi: int) -> tuple[int, bool]:
        """Take in the judged frames of *lo* to *hi*: up to where all are settled, and whether any was judged or lost.

        If so, whatever waited before them is settled too.
        """
        while lo < hi:
            found = self._ring.follow(lo, hi)
            done = ~np.isnan(found.scores[AT_JOINT])  # looked at before anything else is read
            judged = np.flatnonzero(done)
            behind = int(judged[-1]) + 1 if len(judged) else 0
            waiting = np.flatnonzero((found.unjudged[behind:] == 0) & (found.fault[behind:] == 0))
            read = self._copy(found, judged) if len(judged) else None
            if self._ring.intact(lo):
                if read is not None:
                    self._take(read)
                return lo + behind + int(waiting[0]) if len(waiting) else hi, read is not None
            lo = min(self._first_kept(lo), hi)
        return hi, True

    def _copy(self, found: Followed, judged: npt.NDArray[np.intp]) -> _Read:
        first, last = int(judged[0]), int(judged[-1]) + 1
        rows: Rows = slice(first, last) if last - first == len(judged) else judged
        numbers, scores = found.numbers[:, rows].copy(), found.scores[:, rows].copy()
        # What frames of one message say of themselves is the same, and each message came at a time of its own.
        received_ns = numbers[AT_RECEIVED]
        heads = np.concatenate(([0], np.flatnonzero(received_ns[1:] != received_ns[:-1]) + 1))
        return _Read(
            numbers=numbers,
            xy=found.xy[:, rows].copy(),
            scores=scores if len(scores) == len(self.charts) else scores[self._at_charts],
            heads=heads,
            job=found.job[judged[heads]],
            context=found.context[judged[heads]] if self._own else np.empty(0, "S1"),
        )

    def _take(self, read: _Read) -> None:
        scores = read.scores
        if not np.isfinite(scores).all():
            np.nan_to_num(scores, copy=False, nan=FLOAT32_MAX, posinf=FLOAT32_MAX, neginf=-FLOAT32_MAX)
        limits = self._limits_of(read)
        over = scores > limits
        # In single precision a joint score that is just above its limit lies on it; the chart that it is of does not.
        over[-1] |= over[:-1].any(axis=0)
        self.scores.add(read.numbers[AT_JUDGED], scores, over, np.broadcast_to(limits, scores.shape))
        self._map(read, over[-1])
        self._seen += scores.shape[1]

    def _limits_of(self, read: _Read) -> npt.NDArray[np.float64]:
        """The limits of every frame (charts, n), or those of them all (charts, 1)."""
        contexts = distinct(read.context)
        if len(contexts) < 2:
            return self._own.get(contexts[0], self._pooled) if contexts else self._pooled
        return read.of_each(np.concatenate([self._own.get(one, self._pooled) for one in read.context.tolist()], axis=1))

    def _map(self, read: _Read, over: npt.NDArray[np.bool_]) -> None:
        seq, layer, judged_ns = (read.numbers[NUMBERS.index(name)] for name in ("seq", "layer", "judged_ns"))
        frames = Frames(seq, read.scores[-1], over, read.xy)
        jobs, low, high = distinct(read.job), int(layer.min()), int(layer.max())
        if len(jobs) == 1 and low == high:
            self.map.add(text(jobs[0]), low, frames, int(judged_ns[0]))
            return
        of_frames = read.of_each(read.job)
        for job in jobs:
            for number in np.unique(layer[of_frames == job]).tolist():
                rows = np.flatnonzero((of_frames == job) & (layer == number))
                part = Frames._make(column[..., rows] for column in frames)
                self.map.add(text(job), number, part, int(judged_ns[rows[0]]))

    def _count_missed(self, counted: int) -> None:
        """Of what was overwritten unread, some was dropped and never judged: *counted* frames were.

        The ledger tells how many more were judged than were seen. A batch that it had not counted yet when this
        process first looked makes that look larger by itself, without anything having been overwritten.
        """
        more = counted - self._seen - self.missed
        if self._unseen is None:
            self._unseen = more
        elif self._skipped:
            self.missed += min(self._skipped, max(0, more - self._unseen))
        else:
            self._unseen = max(self._unseen, more)
        self._skipped = 0


def _column(limits: dict[str, float]) -> npt.NDArray[np.float64]:
    """With that of the joint score, as a column (charts, 1)."""
    return np.array([[*limits.values(), 1.0]]).T
