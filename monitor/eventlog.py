"""What the hot process hands to the side process: a log of event records in shared memory.

The hot process appends and never waits. The side process reads from a position that it keeps in its journal, in the
same transaction as what it made of the records: whichever of the two is killed, each record is applied exactly once.
"""

from typing import Final, Literal

import msgspec
import numpy as np

from monitor.shared import Arrays, Fields
from monitor.types import Kind, Peak, Pool

SLOTS: Final = 2048
SLOT_BYTES: Final = 4096

SERVICE_SETTLED: Final = "service"
"""The source of a `settled` record that speaks only of conditions of the service: those need no judged frame."""

Phase = Literal["began", "grew", "ended", "settled", "named"]


class EventRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One moment in the life of an event, with all that is known of it by then.

    `settled` belongs to no event: the hot process of this *epoch* has judged enough frames to say that whatever an
    earlier epoch left open, and this one has not seen again, is over. `named` is the side process's own, and in no log:
    it says of an event what *kind* it is, also when it is over.
    """

    phase: Phase
    epoch: str  # of the hot process
    event: int  # counts up within the epoch
    source: str
    t_ns: int  # Unix nanoseconds, the daemon's clock
    stream: str = ""
    first_seq: int = 0
    last_seq: int = 0
    first_t_ns: int = 0  # sender's clock
    frames_over: int = 0
    peak: Peak | None = None
    pool: Pool | None = None
    where: tuple[int, int] | None = None
    kind: Kind | None = None
    job: str = ""
    layer: int | None = None
    context: str = ""
    xy: tuple[float, float] | None = None
    bundle: str = ""
    why: str = ""
    mono_ns: int = 0  # monotonic, of this boot of the machine: when it was written; 0: only now, by whoever reads it
    began_ns: int = 0  # of this clock: when the event began
    position: int = -1  # in the ring, of the peak frame of what the charts found; -1: there is none


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(EventRecord)


def fields() -> Fields:
    """The arrays of the log."""
    return {"count": ("i8", (1,)), "sizes": ("i4", (SLOTS,)), "records": ("u1", (SLOTS, SLOT_BYTES))}


def append(log: Arrays, record: EventRecord) -> None:
    """Add *record*. One writer at a time: the caller holds the lock of the hot process's writers."""
    data = _encoder.encode(record)
    if len(data) > SLOT_BYTES:  # texts are bounded on the wire, so only a bug comes here
        raise ValueError(f"an event record of {len(data)} bytes is larger than {SLOT_BYTES}")
    position = int(log["count"][0])
    slot = position % SLOTS
    log["records"][slot, : len(data)] = np.frombuffer(data, np.uint8)
    log["sizes"][slot] = len(data)
    log["count"][0] = position + 1  # last: a reader sees the record whole or not at all


def read(log: Arrays, position: int) -> tuple[list[EventRecord], int, int]:
    """Records from *position* on: (records, next position, how many were lost).

    Lost is what had already been overwritten, and what does not decode: a reader that died of one bad record would
    die of it again at each start.
    """
    found, end = placed(log, position)
    return [record for _, record in found], end, max(end - position, 0) - len(found)


def placed(log: Arrays, position: int) -> tuple[list[tuple[int, EventRecord]], int]:
    """Likewise, each with its own position; and the next one."""
    end = int(log["count"][0])
    start = max(position, end - SLOTS)
    found = [bytes(log["records"][i % SLOTS, : log["sizes"][i % SLOTS]]) for i in range(start, end)]
    # What the writer overwrote while we copied may be torn: the writer is at most one record into its next slot.
    torn = max(0, int(log["count"][0]) + 1 - SLOTS - start)
    decoded = ((at, _decode(data)) for at, data in enumerate(found[torn:], start + torn))
    return [(at, record) for at, record in decoded if record is not None], end


def _decode(data: bytes) -> EventRecord | None:
    try:
        return _decoder.decode(data)
    except msgspec.DecodeError:
        return None
