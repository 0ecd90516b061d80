"""What the daemon's processes tell each other at every moment, in shared memory: state, beats, histograms.

The ledger has a snapshot of its own (`ledger.py`), since its numbers must close; these need not agree to the frame.
Each array has one writer. Times are CLOCK_MONOTONIC nanoseconds, which all processes of a machine share.
"""

from bisect import bisect_left
from typing import Final, get_args

import numpy as np
import numpy.typing as npt

from monitor.shared import Arrays, Fields
from monitor.snapshots.request import REASONS
from monitor.types import TEXT_BYTES, Cause, Priority, State

PRIORITIES: Final[tuple[Priority, ...]] = get_args(Priority)
"""From least to most urgent."""

CAUSES: Final[tuple[str, ...]] = get_args(Cause)

BEAT_NS: Final = 100_000_000
"""How often each process says that it moves."""

LOST_NS: Final = 700_000_000
"""A beat older than this means that the process is dead or hung: the other must say so within a second."""

STATES: Final = tuple(State)

DOORS: Final = ("input", "alarms", "permit", "snapshot")
"""Sockets that the daemon binds, and that may ask for keys."""

SNAPSHOTS: Final = ("answered", *REASONS)
"""What became of a request for a snapshot."""

AGE_BOUNDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
DELAY_BOUNDS: Final = AGE_BOUNDS
SCORE_BOUNDS: Final = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
BATCH_BOUNDS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
FALL_BOUNDS: Final = AGE_BOUNDS

HISTOGRAMS: Final = {
    "age": AGE_BOUNDS,
    "delay": DELAY_BOUNDS,
    "score": SCORE_BOUNDS,
    "batch": BATCH_BOUNDS,
    "fall": FALL_BOUNDS,
}
"""Name -> upper bounds of its buckets (seconds; frames for `batch`)."""

_BOUNDS: Final = {name: np.array(bounds) for name, bounds in HISTOGRAMS.items()}


def fields(charts: int) -> Fields:
    """The arrays of the vitals for *charts* charts."""
    laid: dict[str, tuple[str, tuple[int, ...]]] = {
        # Written by the supervisor.
        "boot": ("S32", (1,)),
        "stop_by_ns": ("i8", (1,)),  # 0 until a stop is ordered: by when all processes have ended
        # Written by the hot process: its heartbeat thread, then its engine.
        "hot_pid": ("i8", (1,)),
        "hot_beat_ns": ("i8", (1,)),
        "epoch": ("S32", (1,)),
        "state": ("i8", (1,)),
        "why": ("S256", (1,)),
        "permit": ("i8", (1,)),
        "permit_why": ("S256", (1,)),
        "permit_n": ("i8", (1,)),  # of the last one that was said
        "last_seq": ("i8", (1,)),
        "refused_input": ("i8", (1,)),  # peers that the door of a socket refused, since the supervisor started
        "refused_permit": ("i8", (1,)),
        "context": (f"S{TEXT_BYTES}", (1,)),  # of the frame judged last, as are the scores
        "coverage": ("f8", (1,)),
        "age_p99_ms": ("f8", (1,)),
        "engine_beat_ns": ("i8", (1,)),
        "judged_ns": ("i8", (1,)),
        "judged_s": ("f8", (1,)),  # since the supervisor started
        "drift_evidence": ("f8", (1,)),
        "drift_shift": ("f8", (1,)),  # decades
        "drift_why": ("S256", (1,)),  # empty: none is shown
        "exceedances": ("i8", (max(charts, 1),)),
        "chart_score": ("f8", (max(charts, 1),)),
        # Written by the side process.
        "side_pid": ("i8", (1,)),
        "side_beat_ns": ("i8", (1,)),
        "active_alarms": ("i8", (1,)),
        "open_causes": ("i8", (len(CAUSES),)),  # alarms about frames
        "heard": ("i8", (1,)),  # records of the event log whose alarms the next one knows
        "unacknowledged": ("i8", (len(CAUSES),)),
        "side_why": ("S256", (1,)),
        "refused_alarms": ("i8", (1,)),
        "refused_snapshot": ("i8", (1,)),
        "snapshots": ("i8", (len(SNAPSHOTS),)),  # what became of each request, since the supervisor started
    }
    for name, bounds in HISTOGRAMS.items():
        laid[f"{name}_counts"] = ("i8", (len(bounds) + 1,))
        laid[f"{name}_sum"] = ("f8", (1,))
    return laid


def open_causes(arrays: Arrays) -> tuple[str, ...]:
    """What withholds the permit of the alarms about frames that the side process knows to be open."""
    return tuple(cause for cause, count in zip(CAUSES, arrays["open_causes"].tolist(), strict=True) if count)


def unacknowledged(arrays: Arrays) -> frozenset[str]:
    """Causes of which an alarm waits for a person, as the side process knows them."""
    return frozenset(cause for cause, count in zip(CAUSES, arrays["unacknowledged"].tolist(), strict=True) if count)


def observe_one(arrays: Arrays, histogram: str, value: float) -> None:
    """Count *value* into the buckets of *histogram*; a bound belongs to the bucket below it, as in Prometheus."""
    arrays[f"{histogram}_counts"][bisect_left(HISTOGRAMS[histogram], value)] += 1
    arrays[f"{histogram}_sum"] += value


class Histogram:
    """One of the HISTOGRAMS in *arrays*, for who counts many values at every batch."""

    def __init__(self, arrays: Arrays, name: str) -> None:
        from calibration.compiled.stream import count_since

        self._count_since = count_since
        self._bounds, self._edges = _BOUNDS[name], HISTOGRAMS[name]
        self._counts, self._total = arrays[f"{name}_counts"], arrays[f"{name}_sum"]
        self.since(np.empty(0, np.int64), 0)  # compiled now and not at the first frames

    def since(self, times_ns: npt.NDArray[np.int64], now_ns: int, least_ns: int = 0) -> int:
        """Count the seconds from *times_ns* (n,) to *now_ns*, less the least of them and of *least_ns*: returned."""
        return self._count_since(times_ns, now_ns, least_ns, self._bounds, self._counts, self._total)

    def one(self, value: float) -> None:
        """Count one *value*."""
        self._counts[bisect_left(self._edges, value)] += 1
        self._total[0] += value


def quantile(counts: npt.NDArray[np.int64], bounds: tuple[float, ...], q: float) -> float:
    """The upper bound of the bucket that holds quantile *q* of what was counted; 0 where nothing was."""
    total = int(counts.sum())
    if total == 0:
        return 0.0
    bucket = int(np.searchsorted(np.cumsum(counts), q * total))
    return bounds[min(bucket, len(bounds) - 1)]


def read_text(arrays: Arrays, name: str) -> str:
    """A text of the vitals, which another process may be writing."""
    return bytes(arrays[name][0]).decode(errors="replace")


def write_text(arrays: Arrays, name: str, text: str) -> None:
    """Set a text of the vitals, cut to what fits."""
    data = text.encode()[: arrays[name].dtype.itemsize]
    arrays[name][0] = data.decode(errors="ignore").encode()
