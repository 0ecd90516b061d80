"""A backlog for tests, and what a camera offers it."""

import numpy as np

from monitor.backlog import Backlog
from monitor.ledger import Ledger, LedgerSnapshot, read
from monitor.ring import Codes, Ring
from monitor.sequence import step
from monitor.shared import Arrays, lay_out, size_of
from monitor.types import Message
from monitor.wire.native import WireLimits, decode, encode

SLOTS, BATCH, MAX_WAIT_NS = 8, 3, 1000


class Bench:
    """A backlog over fresh memory, and a camera that counts on."""

    def __init__(self, memory: tuple[Arrays, Arrays] | None = None, slots: int = SLOTS) -> None:
        layout = Ring.fields(slots, 2, 2, "uint8"), Ledger.fields()
        self.memory = memory or tuple(lay_out(bytearray(size_of(*layout)), *layout))
        self.ring = Ring(self.memory[0])
        self.backlog = Backlog(self.ring, Ledger(self.memory[1]), BATCH, MAX_WAIT_NS)
        self.sequence = self.backlog.ledger.sequence

    def offer(
        self,
        count: int,
        *,
        now_ns: int = 0,
        codes: Codes = 0,
        seq: int | None = None,
        side: int = 2,
        enters: bool = True,
    ) -> None:
        message = self.message(self.sequence.next_seq if seq is None else seq, count, side)
        self.sequence, verdict = step(self.sequence, message.header, now_ns, 10**9)
        self.backlog.offer(message, verdict, self.sequence, codes, now_ns, enters=enters)

    def message(self, seq: int, count: int, side: int) -> Message:
        return decode(encode("cam", "s", seq, 0, np.full((count, side, side), seq % 256, np.uint8)), WireLimits())

    def read(self) -> LedgerSnapshot:
        found = read(self.memory[1])
        assert found.closes
        return found
