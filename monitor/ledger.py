"""The account of every frame that a camera announced, and its one consistent copy in shared memory.

The hot process keeps the counters as Python integers and publishes them after every change. It fills the row that
no reader uses, then moves the version on to it: whoever dies half-way leaves the last row whole. Each row also
carries its version and a checksum, so that a machine that reorders writes cannot show half of one either.
"""

import struct
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from monitor.sequence import SequenceState, Verdict
from monitor.shared import Arrays, Fields
from monitor.types import TEXT_BYTES, Dropped, Unjudged
from monitor.wire.native import REASONS

COUNT_MAX = 2**62
"""Where `lost_upstream` stops: a peer that jumps to seq 2^63 again and again must not break the row of int64."""

READ_ATTEMPTS = 10_000  # one fails only while the writer publishes twice within it: a few microseconds of ten

_COUNTERS = 5 + len(Unjudged) + len(Dropped) + len(REASONS)
_BODY = struct.Struct(f"<q{_COUNTERS}q3q{TEXT_BYTES}s")  # version, counters, next_seq, last_heard_ns, ended, stream
_CHECK = struct.Struct("<I")
_ROW_BYTES = -(-(_BODY.size + _CHECK.size) // 64) * 64  # whole cache lines: the two rows share none


class LedgerSnapshot(NamedTuple):
    """The counters at one instant, and the stream that they follow."""

    announced: int
    lost_upstream: int
    received: int
    judged: int
    restarts: int
    unjudged: Mapping[Unjudged, int]
    dropped: Mapping[Dropped, int]
    rejected: Mapping[str, int]  # messages, by each of REASONS; all others count frames
    sequence: SequenceState

    @property
    def in_flight(self) -> int:
        return self.received - self.judged - sum(self.unjudged.values()) - sum(self.dropped.values())

    @property
    def closes(self) -> bool:
        """Whether every frame is accounted for, once."""
        in_order = self.received - self.unjudged[Unjudged.OUT_OF_ORDER]
        return self.in_flight >= 0 and self.announced == self.lost_upstream + in_order


class Ledger:
    """The counters of the hot process. Whoever changes them holds the backlog's lock, and publishes before leaving."""

    @staticmethod
    def fields() -> Fields:
        return {"version": (np.int64, (1,)), "rows": (np.uint8, (2, _ROW_BYTES))}

    def __init__(self, arrays: Arrays) -> None:
        """Go on from the row in *arrays*: frames in flight then were held by a process that died, so they are stale."""
        last = read(arrays)
        self.announced = last.announced
        self.lost_upstream = last.lost_upstream
        self.received = last.received
        self.judged = last.judged
        self.restarts = last.restarts
        self.unjudged = dict(last.unjudged)
        self.dropped = dict(last.dropped)
        self.rejected = dict(last.rejected)
        self.sequence = last.sequence
        self._stream = _stream_bytes(last.sequence.stream)
        self._version = arrays["version"].data
        self._rows = [row.data for row in arrays["rows"]]
        self._bodies = [row[: _BODY.size] for row in self._rows]
        self.dropped[Dropped.STALE] += last.in_flight
        self.publish()

    @property
    def in_flight(self) -> int:
        return self.received - self.judged - sum(self.unjudged.values()) - sum(self.dropped.values())

    def receive(self, verdict: Verdict, sequence: SequenceState) -> None:
        """Count an accepted message; frames out of order are done with, the new ones are now in flight."""
        if sequence.stream != self.sequence.stream:
            self._stream = _stream_bytes(sequence.stream)
        self.sequence = sequence
        self.announced += verdict.new
        self.received += verdict.new
        if verdict.lost:
            lost = min(verdict.lost, COUNT_MAX - self.lost_upstream)
            self.lost_upstream += lost
            self.announced += lost
        if verdict.out_of_order:
            self.received += verdict.out_of_order
            self.unjudged[Unjudged.OUT_OF_ORDER] += verdict.out_of_order
        self.restarts += verdict.restarted

    def publish(self) -> None:
        """Make the present counters the ones that every process reads."""
        version = self._version[0] + 1
        row, sequence = version % 2, self.sequence
        _BODY.pack_into(
            self._rows[row],
            0,
            version,
            self.announced,
            self.lost_upstream,
            self.received,
            self.judged,
            self.restarts,
            *self.unjudged.values(),
            *self.dropped.values(),
            *self.rejected.values(),
            sequence.next_seq,
            sequence.last_heard_ns,
            (sequence.stream is not None) + 2 * sequence.ended,
            self._stream,
        )
        _CHECK.pack_into(self._rows[row], _BODY.size, zlib.crc32(self._bodies[row]))
        self._version[0] = version


def read(arrays: Arrays) -> LedgerSnapshot:
    """The last published row, for any process; all zero before the first. A dead writer is no hindrance.

    Raises RuntimeError where the memory holds no whole row: something else wrote to it.
    """
    version, rows = arrays["version"].data, [row.data for row in arrays["rows"]]
    for _ in range(READ_ATTEMPTS):
        before = version[0]
        if before == 0:
            return _snapshot((0,) * (_COUNTERS + 4) + (b"",))
        copy = bytes(rows[before % 2])
        values = _BODY.unpack_from(copy)
        whole = _CHECK.unpack_from(copy, _BODY.size)[0] == zlib.crc32(copy[: _BODY.size])
        if whole and values[0] == before == version[0]:
            return _snapshot(values)
    raise RuntimeError("the ledger in shared memory holds no whole row")


def _snapshot(values: tuple[Any, ...]) -> LedgerSnapshot:
    _, announced, lost_upstream, received, judged, restarts, *rest = values
    *counts, next_seq, last_heard_ns, flags, stream = rest
    dropped_at, rejected_at = len(Unjudged), len(Unjudged) + len(Dropped)
    return LedgerSnapshot(
        announced,
        lost_upstream,
        received,
        judged,
        restarts,
        dict(zip(Unjudged, counts[:dropped_at], strict=True)),
        dict(zip(Dropped, counts[dropped_at:rejected_at], strict=True)),
        dict(zip(REASONS, counts[rejected_at:], strict=True)),
        SequenceState(stream.rstrip(b"\0").decode() if flags & 1 else None, next_seq, last_heard_ns, bool(flags & 2)),
    )


def _stream_bytes(stream: str | None) -> bytes:
    return (stream or "").encode()
