"""Finished units of the chart of rates, from the hot process to the side process, in shared memory."""

from typing import Final, NamedTuple

import numpy as np

from monitor import recordlog
from monitor.recordlog import Position
from monitor.shared import Arrays, Fields
from monitor.types import TEXT_BYTES

SLOTS: Final = 10_240
"""More than the side process keeps: one that is restarted finds them all again."""

WHY_BYTES: Final = 16

RECORD: Final = np.dtype(
    [
        ("stream", f"S{TEXT_BYTES}"),
        ("job", f"S{TEXT_BYTES}"),
        ("layer", "<i8"),
        ("first_seq", "<i8"),
        ("last_seq", "<i8"),
        ("frames", "<i8"),
        ("exceedances", "<i8"),
        ("score", "<f8"),
        ("limit", "<f8"),
        ("why", f"S{WHY_BYTES}"),
    ]
)


class FinishedUnit(NamedTuple):
    """A layer, or a window of judged frames, as the chart of rates found it."""

    stream: str
    job: str
    layer: int  # -1: a window
    first_seq: int
    last_seq: int
    frames: int  # judged
    exceedances: int  # of the warning limit
    score: float  # nan where it is not charted
    limit: float
    why: str  # it is not charted; empty: it is

    @property
    def over(self) -> bool:
        return self.score > self.limit


def fields() -> Fields:
    """The arrays of the log."""
    return recordlog.fields(RECORD, SLOTS)


def append(log: Arrays, unit: FinishedUnit) -> None:
    """Add *unit*; the oldest gives way."""
    recordlog.append(log, unit)


def read(log: Arrays, position: Position) -> tuple[list[FinishedUnit], Position]:
    """Units from *position* on, and the next position."""
    found, position = recordlog.read(log, position)
    return [FinishedUnit(*values) for values in found], position
