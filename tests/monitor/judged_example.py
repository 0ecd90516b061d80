"""A ring in shared memory with a camera that fills it and an engine that judges, as the follower finds it."""

from typing import Any

import numpy as np

from monitor.history.follower import Follower
from monitor.ledger import Ledger
from monitor.orders import BundleFacts, Memory, layout
from monitor.ring import Ring
from monitor.shared import lay_out, size_of
from monitor.wire.native import PLACE, WireLimits, decode, encode

LIMITS = {"t2": 50.0, "s2": 3.0}
NS = 1_000_000_000


class Judged:
    """Times are monotonic. Each message comes a microsecond after the one before."""

    def __init__(self, slots: int = 64, **facts: Any) -> None:
        parts = layout(len(LIMITS), slots, 2, 3, "uint8")
        self.memory = Memory(*lay_out(bytearray(size_of(*parts)), *parts))
        self.ring = Ring(self.memory.ring)
        self.ledger = Ledger(self.memory.ledger)
        self.bundle = BundleFacts("ab" * 32, LIMITS, extrapolated=False, created_ns=1, **facts)
        self._received_ns = 0

    def follower(self) -> Follower:
        return Follower(self.bundle, self.memory)

    def send(self, count: int, xy: Any = None, code: int = 0, **header: Any) -> tuple[int, int]:
        """One message of *count* frames, with positions *xy* (count, 2); returns where they lie."""
        places = None
        if xy is not None:
            places = np.ones(count, PLACE)
            places["x"], places["y"] = np.transpose(xy)
        pixels = np.zeros((count, 2, 3), np.uint8)
        parts = encode("cam", "s", self.ring.written, 5, pixels, places=places, **header)
        self._received_ns += 1000
        self.ledger.received += count
        return self.ring.write(decode(parts, WireLimits()), 0, count, code, self._received_ns)

    def judge(self, lo: int, hi: int, judged_ns: int, t2: Any = 10.0, s2: Any = 1.0, joint: Any = 0.5) -> None:
        """As the engine does: the charts' scores, the time, the joint score, and then the account."""
        self.write_scores(lo, hi, judged_ns, t2, s2, joint)
        self.ledger.judged += hi - lo
        self.ledger.publish()

    def write_scores(self, lo: int, hi: int, judged_ns: int, t2: Any = 10.0, s2: Any = 1.0, joint: Any = 0.5) -> None:
        values = [np.broadcast_to(np.asarray(one, np.float32), hi - lo) for one in (t2, s2, joint)]
        first = lo
        while lo < hi:
            end = self.ring.until_wrap(lo, hi)
            batch, piece = self.ring.view(lo, end), slice(lo - first, end - first)
            batch.t2[:], batch.s2[:] = values[0][piece], values[1][piece]
            batch.judged_ns[:] = judged_ns
            batch.joint[:] = values[2][piece]
            lo = end

    def show(self, count: int, judged_ns: int, t2: Any = 10.0, s2: Any = 1.0, joint: Any = 0.5, **message: Any) -> None:
        """A message that is judged at once."""
        self.judge(*self.send(count, **message), judged_ns, t2, s2, joint)
