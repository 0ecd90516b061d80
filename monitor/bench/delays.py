"""When each frame was sent, received and judged: copied from the daemon's ring, which it does not disturb."""

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from monitor.ring import Ring

Times = npt.NDArray[np.int64]


class Delays(NamedTuple):
    """Of n judged frames, in their order: monotonic nanoseconds."""

    sent_ns: Times
    received_ns: Times
    judged_ns: Times

    @property
    def received_to_judged(self) -> Times:
        return self.judged_ns - self.received_ns

    @property
    def sent_to_judged(self) -> Times:
        return self.judged_ns - self.sent_ns


class Quantiles(msgspec.Struct, frozen=True):
    """Delays in milliseconds; *count* says of how many."""

    count: int
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float


class Watcher:
    """Copies what the ring tells of each frame once it is settled. Look more often than the ring wraps around."""

    def __init__(self, ring: Ring, in_flight: Callable[[], int]) -> None:
        """*in_flight*: frames that were received and are not settled yet, as the ledger has them."""
        self._ring = ring
        self._in_flight = in_flight
        self._next = ring.written
        self._parts: list[Delays] = []
        self.missed = 0  # frames that were overwritten before they were looked at

    def look(self) -> None:
        """Take in what was settled since the last look."""
        # Asked in this order: frames that come meanwhile make the end lie too early, never too late.
        written = self._ring.written
        end = written - self._in_flight()
        while self._next < end:
            lo = max(self._next, self._ring.oldest_intact())
            hi = self._ring.until_wrap(lo, max(end, lo))
            batch = self._ring.view(lo, hi)
            copied = Delays(batch.t_ns.copy(), batch.received_ns.copy(), batch.judged_ns.copy())
            torn = max(0, min(self._ring.oldest_intact(), hi) - lo)
            judged = np.flatnonzero(copied.judged_ns[torn:]) + torn
            self._parts.append(Delays(*(column[judged] for column in copied)))
            self.missed += lo - self._next + torn
            self._next = hi

    def take(self) -> Delays:
        """All judged frames since the last call, as of the last look."""
        parts, self._parts = self._parts, []
        empty: Any = np.empty(0, np.int64)
        return (
            Delays(*(np.concatenate((empty, *columns)) for columns in zip(*parts, strict=True)))
            if parts
            else (Delays(empty, empty, empty))
        )


def quantiles(delays_ns: npt.NDArray[np.integer[Any]]) -> Quantiles | None:
    """Median, 99 %, 99.9 % and the longest of *delays_ns* (n,); None of none. Each is a delay that occurred."""
    if len(delays_ns) == 0:
        return None
    found = np.quantile(delays_ns, (0.5, 0.99, 0.999, 1.0), method="inverted_cdf") / 1e6
    return Quantiles(len(delays_ns), *(float(one) for one in found))


class Growth(NamedTuple):
    """How much longer frames waited in the last third of a trial than in its first, in seconds."""

    median_s: float
    p90_s: float
    span_s: float  # between the middles of the two thirds


def growth(delays: Delays) -> Growth:
    """Of the delay from sent to judged; zero where there are too few frames to tell."""
    count = len(delays.sent_ns)
    if count < 6:
        return Growth(0.0, 0.0, 0.0)
    ages, third = delays.sent_to_judged / 1e9, count // 3
    first, last = (np.quantile(part, (0.5, 0.9)) for part in (ages[:third], ages[-third:]))
    span_s = float(np.median(delays.sent_ns[-third:]) - np.median(delays.sent_ns[:third])) / 1e9
    return Growth(float(last[0] - first[0]), float(last[1] - first[1]), span_s)
