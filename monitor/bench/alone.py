"""What is measured without the daemon, each in a process of its own: what it is asked, and what it answers.

Apart from the measuring itself, so that only those processes load torch.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

NAIVE_SIDE_MAX_PX: Final = 576
"""Larger frames the naive loop is spared: its linear layers alone would take gigabytes."""


class ScoringOrder(msgspec.Struct, frozen=True):
    """To `scoring`: frames of the *bank* (.npy), so many at a time."""

    bundle: str
    bank: str
    device: str
    threads: int
    batches: list[int]
    seconds: float  # for each


class ScoringRow(msgspec.Struct, frozen=True):
    """One way of scoring alone. *cpu_frames_per_s*: by processor time, so without what neighbours took."""

    backend: str
    batch: int
    frames_per_s: float
    cpu_frames_per_s: float


class Scored(msgspec.Struct, frozen=True):
    """From `scoring`; its first backend is the daemon's."""

    operations: int  # multiply-adds of the network for one frame
    rows: list[ScoringRow]

    def as_the_daemon(self, batch: int) -> ScoringRow:
        """The row of the daemon's backend at its batch size."""
        return next(row for row in self.rows if row.batch == batch)


class NaiveOrder(msgspec.Struct, frozen=True):
    """To `naive`: frames come to *endpoint*, where it listens, one a message."""

    endpoint: str
    height: int
    width: int
    threads: int
    batches: list[int]
    seconds: float  # for each


class NaiveRow(msgspec.Struct, frozen=True):
    """Frames a second of the naive loop, so many frames at a time."""

    batch: int
    frames_per_s: float


class Passed(msgspec.Struct, frozen=True):
    """From `naive`."""

    rows: list[NaiveRow]


class CeilingsOrder(msgspec.Struct, frozen=True):
    """To `ceilings`."""

    device: str
    threads: int
    seconds: float  # for each


class Ceilings(msgspec.Struct, frozen=True):
    """From `ceilings`: of this machine, with as many threads as the daemon has."""

    float32_multiply_adds_per_s: float
    bfloat16_multiply_adds_per_s: float
    copied_bytes_per_s: float  # each read once and written once; with a GPU, copied to it


def best(rows: Sequence[NaiveRow]) -> float | None:
    """The most frames a second of the naive loop; None where it was not measured."""
    return max((row.frames_per_s for row in rows), default=None)
