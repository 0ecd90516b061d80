"""Scores over time in memory of a fixed size: fine bins of the last minutes, coarser ones of hours and of days.

Bins are counted by the monotonic clock, so that a wall clock that is set moves nothing. Every frame is in every level:
an answer comes from one of them, the finest that still has all that is asked for.
"""

import threading
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from monitor.history.bins import Bins, Float32s, Float64s, Int64s, coarser, of_frames

S_NS: Final = 1_000_000_000


class Resolution(NamedTuple):
    """How long a bin is, and how many are kept."""

    step_ns: int
    bins: int


LEVELS: Final = (
    Resolution(S_NS // 10, 6000),  # ten minutes
    Resolution(S_NS, 7200),  # two hours
    Resolution(10 * S_NS, 8640),  # a day
    Resolution(60 * S_NS, 10_080),  # a week
)
"""Each step divides the next. With six charts they take 7.7 MB together, however fast the camera is."""

WAITING_MOST: Final = 10
"""Coarse levels are written so much more seldom than the finest one, and before they are read."""

NO_BIN: Final = -(2**62)


class Span(NamedTuple):
    """An answer: b stretches that follow on each other, those without a judged frame too."""

    edges_ns: Int64s  # (b + 1,) monotonic
    judged: Int64s  # (b,)
    low: Float32s  # (c, b) infinite where nothing was judged
    high: Float32s  # (c, b) likewise, below
    ratio: Float64s  # (c, b) likewise, the highest in parts of its own frame's limit
    over: Int64s  # (c, b)
    limit: Float64s  # (c, b) NaN where nothing was judged


class Finished(NamedTuple):
    """Bins of the finest level to which nothing is added any more."""

    first: int  # number of the first
    span: Span


class Level:
    """The latest bins of one length. Bins come in the order of time."""

    def __init__(self, resolution: Resolution, charts: int) -> None:
        self.step_ns, self.size = resolution
        self._newest = -1
        self._number = np.full(self.size, NO_BIN)
        self._judged = np.zeros(self.size, np.int64)
        self._low = np.empty((charts, self.size), np.float32)
        self._high = np.empty((charts, self.size), np.float32)
        self._ratio = np.empty((charts, self.size))
        self._over = np.zeros((charts, self.size), np.int64)
        self._limit = np.empty((charts, self.size))

    @property
    def nbytes(self) -> int:
        arrays = self._number, self._judged, self._low, self._high, self._ratio, self._over, self._limit
        return sum(array.nbytes for array in arrays)

    @property
    def oldest(self) -> int:
        """No bin before is kept."""
        return self._newest - self.size + 1

    def add(self, bins: Bins) -> None:
        """Take in *bins*, whose numbers rise, from the newest on that is here."""
        self._newest = int(bins.number[-1])
        if bins.number[0] < self.oldest:
            kept = int(np.searchsorted(bins.number, self.oldest))
            bins = Bins._make(column[..., kept:] for column in bins)
        slots = bins.number % self.size
        fresh = self._number[slots] != bins.number
        self._number[slots] = bins.number
        self._judged[slots] = bins.judged + np.where(fresh, 0, self._judged[slots])
        self._over[:, slots] = bins.over + np.where(fresh, 0, self._over[:, slots])
        self._low[:, slots] = np.minimum(bins.low, np.where(fresh, np.inf, self._low[:, slots]))
        self._high[:, slots] = np.maximum(bins.high, np.where(fresh, -np.inf, self._high[:, slots]))
        self._ratio[:, slots] = np.maximum(bins.ratio, np.where(fresh, -np.inf, self._ratio[:, slots]))
        self._limit[:, slots] = bins.limit

    def cut(self, first_ns: int, last_ns: int, most: int) -> tuple[int, int, int]:
        """How a span is told in *most* stretches at most: (first bin, bins in each, how many).

        Stretches of several bins begin at multiples of their length: a span that moves on shows the same ones again.
        """
        last = -(-last_ns // self.step_ns)
        bins = max(1, -(-(last_ns - first_ns) // self.step_ns))
        width = 1 if bins <= most else -(-bins // (most - 1))
        first = (last - bins) // width * width
        return first, width, -(-(last - first) // width)

    def read(self, first: int, width: int, count: int) -> Span:
        """*count* stretches of *width* bins from *first* on."""
        numbers = np.arange(first, first + width * count)
        slots = numbers % self.size
        here = (self._number[slots] == numbers) & (numbers >= self.oldest)
        charts = len(self._low)

        def pieces(column: npt.NDArray[Any], empty: float) -> npt.NDArray[Any]:
            return np.where(here, column[..., slots], empty).reshape(*column.shape[:-1], count, width)

        last = np.where(here, np.arange(len(here)) % width, -1).reshape(count, width).max(axis=1)
        limits = self._limit[:, slots].reshape(charts, count, width)
        limit = np.where(last >= 0, np.take_along_axis(limits, last[None, :, None], axis=2)[..., 0], np.nan)
        return Span(
            (first + width * np.arange(count + 1)) * self.step_ns,
            pieces(self._judged, 0).sum(axis=1),
            pieces(self._low, np.inf).min(axis=2),
            pieces(self._high, -np.inf).max(axis=2),
            pieces(self._ratio, -np.inf).max(axis=2),
            pieces(self._over, 0).sum(axis=2),
            limit,
        )


class Pyramid:
    """All levels of some charts. One thread adds, any thread may ask."""

    def __init__(self, charts: int, levels: tuple[Resolution, ...] = LEVELS) -> None:
        self._finest, *self._coarse = (Level(one, charts) for one in levels)
        self._waiting: list[Bins] = []  # which the coarse levels have not taken in
        self._lock = threading.Lock()
        self._open = 0  # bins of the finest level before this one are finished

    @property
    def nbytes(self) -> int:
        return sum(level.nbytes for level in (self._finest, *self._coarse))

    def add(self, judged_ns: Int64s, scores: Float32s, over: npt.NDArray[np.bool_], limits: Float64s) -> None:
        """Frames (n,), at least one, in the order in which they were judged; *scores* and the rest are (c, n).

        What belongs into a bin that is finished counts in the one that is open: what was told of a bin stays true.
        """
        numbers = np.maximum.accumulate(np.maximum(judged_ns // self._finest.step_ns, self._open))
        bins = of_frames(numbers, scores, over, limits)
        with self._lock:
            self._open = max(self._open, int(numbers[-1]))
            self._finest.add(bins)
            self._waiting.append(bins)
            if len(self._waiting) >= WAITING_MOST:
                self._take_in()

    def finish(self, now_ns: int) -> None:
        """Say that all frames have been added that were judged before *now_ns* (monotonic)."""
        with self._lock:
            self._open = max(self._open, now_ns // self._finest.step_ns)

    @property
    def finished_ns(self) -> int:
        """Up to here (monotonic) all bins are finished."""
        return self._open * self._finest.step_ns

    def finished(self, after: int | None, most: int) -> Finished | None:
        """The bins that were finished since the one of number *after*, the latest *most*; None where there is none."""
        with self._lock:
            first = max(self._open - most, 0 if after is None else after + 1)
            if first >= self._open:
                return None
            return Finished(first, self._finest.read(first, 1, self._open - first))

    def span(self, first_ns: int, last_ns: int, most: int) -> Span:
        """What was judged between two monotonic times, in at most *most* stretches, two or more, of whole bins.

        They cover it up to its end, and from its beginning or less than a bin after it. Where part of it is not kept
        any more, the rest alone is told.
        """
        with self._lock:
            self._take_in()
            for level in (self._finest, *self._coarse):
                first, width, count = level.cut(first_ns, last_ns, most)
                if first >= level.oldest:
                    break
            return level.read(first, width, count)

    def _take_in(self) -> None:
        if not self._waiting:
            return
        bins = Bins._make(np.concatenate(columns, axis=-1) for columns in zip(*self._waiting, strict=True))
        self._waiting = []
        for level in self._coarse:
            level.add(coarser(bins, level.step_ns // self._finest.step_ns))
