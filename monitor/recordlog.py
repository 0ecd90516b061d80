"""A log of records of one kind, from the hot process to the side process, in shared memory.

The hot process appends and never waits. The side process reads what is there as often as it likes, each record once.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from monitor.shared import Arrays, Fields


class Position(NamedTuple):
    """How far the log was read: so many *records* of the hot process of *epoch*."""

    epoch: str
    records: int


START: Final = Position("", 0)


def fields(record: "np.dtype[np.void]", slots: int) -> Fields:
    """The arrays of a log that holds the latest *slots* - 1 of *record*."""
    return {"count": ("i8", (1,)), "epoch": ("S32", (1,)), "records": (record, (slots,))}


def begin(log: Arrays, epoch: str) -> None:
    """A hot process of *epoch* begins to write: what an earlier one left is no longer told."""
    log["count"][0] = 0  # first: no reader finds old records under the new epoch
    log["epoch"][0] = epoch.encode()


def append(log: Arrays, values: Sequence[Any]) -> None:
    """Add a record with *values*, in the order of its fields; the oldest gives way. Texts are cut to what it holds."""
    count, records = int(log["count"][0]), log["records"]
    records[count % len(records)] = tuple(value.encode() if isinstance(value, str) else value for value in values)
    log["count"][0] = count + 1  # last: a reader sees the record whole or not at all


def read(log: Arrays, position: Position) -> tuple[list[list[Any]], Position]:
    """The values of each record from *position* on, and the next position, which names their process.

    START, and a position of another process, begin with the oldest held.
    """
    epoch, end = _epoch(log), int(log["count"][0])
    records = log["records"]
    slots = len(records)
    start = max(position.records if position.epoch == epoch else 0, end - slots + 1)
    found = records[np.arange(start, end) % slots].tolist()
    if _epoch(log) != epoch:  # another process began just now
        return [], position
    # What was overwritten meanwhile, or is being, may be half of one record and half of another.
    torn = max(0, int(log["count"][0]) - slots + 1 - start)
    return [[_plain(value) for value in values] for values in found[torn:]], Position(epoch, end)


def _plain(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value  # a cut may split a character


def _epoch(log: Arrays) -> str:
    return bytes(log["epoch"][0]).decode()
