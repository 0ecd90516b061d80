"""A ring whose frames are judged by hand and an event log whose events are told by hand, for tests of the recorder."""

import numpy as np

from monitor import eventlog
from monitor.eventlog import EventRecord
from monitor.orders import Memory
from monitor.ring import Ring
from monitor.types import Peak
from monitor.wire import native
from monitor.wire.native import WireLimits, decode

OVER = 3
"""Frames of each event."""


class Hand:
    """Stands for camera, ingest and engine, without processes."""

    def __init__(self, memory: Memory) -> None:
        self.memory, self.ring = memory, Ring(memory.ring)
        self.seq = self.events = 0

    def show(self, count: int) -> int:
        """Frames whose pixels are their number, judged; the position of the first."""
        numbers = np.arange(self.seq, self.seq + count).astype(np.uint8)
        pixels = np.broadcast_to(numbers[:, None, None], (count, 32, 32))
        message = decode(native.encode("melt", "s", self.seq, 1000 * self.seq, pixels), WireLimits())
        first, hi = self.ring.write(message, 0, count, 0, 77)
        lo = first
        while lo < hi:
            end = self.ring.until_wrap(lo, hi)
            records = self.ring.records(lo, end)
            records["joint"], records["t2"], records["judged_ns"] = 0.5, 1.0, 5
            lo = end
        self.seq += count
        return first

    def have_an_event(self, around: int) -> None:
        """One that begins and ends, with so many frames *around* it."""
        self.show(around)
        seq, first = self.seq, self.show(OVER)
        self.show(around)
        self.events += 1
        self.tell("began", self.events, seq, first)
        self.tell("ended", self.events, seq, first)

    def tell(self, phase: eventlog.Phase, event: int, seq: int, position: int) -> None:
        """A record of an *event* whose first frame has this *seq* and lies at this *position*."""
        peak, t_ns = Peak(seq, 9.0, 3.0, 3.0), 10**18 + event * 10**9
        last = seq + OVER - 1
        eventlog.append(
            self.memory.log,
            EventRecord(phase, "hot-1", event, "t2", t_ns, "s", seq, last, peak=peak, position=position, mono_ns=5),
        )
