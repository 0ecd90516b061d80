"""Finished blocks of judged frames, from the hot process to the side process, in shared memory.

Blocks carry their number, and the store takes each once.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from monitor import recordlog
from monitor.blockstore import Block
from monitor.recordlog import START, Position, begin
from monitor.shared import Arrays, Fields
from monitor.types import TEXT_BYTES

__all__ = ["RECORD", "SLOTS", "START", "Position", "append", "begin", "fields", "read"]

SLOTS: Final = 1024

RECORD: Final = np.dtype(
    [
        ("number", "<i8"),
        ("stream", f"S{TEXT_BYTES}"),
        ("job", f"S{TEXT_BYTES}"),
        ("first_seq", "<i8"),
        ("last_seq", "<i8"),
        ("t_ns", "<i8"),
        ("frames", "<i8"),
        ("judged_s", "<f8"),
        ("extreme", "<f8"),
        ("stop", "<f8"),  # not a number: there is no rule for stops
        ("rule", "S32"),
    ]
)


def fields() -> Fields:
    """The arrays of the log."""
    return recordlog.fields(RECORD, SLOTS)


def append(log: Arrays, blocks: Sequence[Block]) -> None:
    """Add *blocks*; the oldest give way."""
    for block in blocks:
        told = block._replace(stop=math.nan if block.stop is None else block.stop)
        recordlog.append(log, [getattr(told, name) for name in RECORD.names or ()])


def read(log: Arrays, position: Position, scale: str) -> tuple[list[Block], Position]:
    """Blocks from *position* on, all of joint scale *scale*, and the next position.

    START, and a position of another process, begin with the oldest held.
    """
    found, position = recordlog.read(log, position)
    blocks = [Block(position.epoch, number, scale, *rest) for number, *rest in found]
    return [one._replace(stop=None if math.isnan(one.stop or 0.0) else one.stop) for one in blocks], position
