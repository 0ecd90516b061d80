"""What the supervisor hands to the processes that it starts, and what they find in shared memory."""

import sys
from typing import NamedTuple

import msgspec

from monitor import blocklog, eventlog, unitlog, vitals
from monitor.config import Config
from monitor.ledger import Ledger
from monitor.manifest import FittedRates
from monitor.recorder import board, notes
from monitor.ring import Ring
from monitor.shared import Arrays, Fields, attach
from monitor.taxonomy import table
from monitor.types import PixelType


class Promise(msgspec.Struct, frozen=True):
    """The false-alarm budget of a bundle, in numbers that the page and /metrics show."""

    per_hour: float
    conservative: bool
    hours: float  # of clean stream that set the limits
    extrapolated_by: float
    rate_hz: float
    dead_time_s: float
    why: str
    scale: str  # names the scale of joint scores
    drift: bool  # whether a drift of the scores is watched for


class StopPromise(msgspec.Struct, frozen=True):
    """The budget of false stops of a bundle."""

    per_hour: float
    rule: str  # k of n judged frames
    hours: float  # of clean stream that set the limit
    extrapolated_by: float
    dead_time_s: float
    why: str


class BundleFacts(msgspec.Struct, frozen=True):
    """What the side process needs to know of the bundle."""

    sha256: str
    limits: dict[str, float]  # chart -> upper control limit, of all contexts pooled
    extrapolated: bool  # any limit rests on too few frames for its rate
    created_ns: int  # Unix nanoseconds
    promise: Promise | None = None  # the false-alarm budget; None: the limits are per frame
    own_limits: dict[str, dict[str, float]] = {}  # context -> chart -> limit, of contexts that have their own
    rates: FittedRates | None = None  # the chart of rates; None: there is none
    stops: StopPromise | None = None  # None: events of the charts withhold the permit by their priority
    latent: int = 0  # size of the latents that the ring keeps; 0: none, since nothing is recorded
    memories: int = 0  # of the chart that remembers, of which notes are kept; 0: none likewise

    def limits_of(self, context: str) -> dict[str, float]:
        """Chart -> the limit that holds for frames of *context*."""
        return self.own_limits.get(context, self.limits)


class Orders(msgspec.Struct, frozen=True):
    """One start of the daemon. Sent to each process on its standard input, so that nothing shows in its arguments."""

    config: Config
    source: str  # the configuration file, for messages
    supervisor_pid: int  # whose death ends the process
    memory_fd: int
    wake_fd: int  # an eventfd: the hot process rings it when it has logged something, or the permit or state changed
    boot: str  # new at each start of the supervisor: positions in the event log mean nothing to another boot
    slots: int
    height: int
    width: int
    dtype: PixelType
    bundle: BundleFacts | None
    embedding: str | None = None  # sha256 of the file of `taxonomy.embedding`; None: there is none


class Memory(NamedTuple):
    """The parts of the shared memory."""

    vitals: Arrays
    ledger: Arrays
    log: Arrays
    blocks: Arrays
    units: Arrays
    kinds: Arrays
    recorder: Arrays
    notes: Arrays
    ring: Arrays


def layout(
    charts: int, slots: int, height: int, width: int, dtype: PixelType, latent: int = 0, memories: int = 0
) -> tuple[Fields, ...]:
    """The fields of every part of the shared memory, in order. *latent* and *memories* as `BundleFacts` has them."""
    return (
        vitals.fields(charts),
        Ledger.fields(),
        eventlog.fields(),
        blocklog.fields(),
        unitlog.fields(),
        table.fields(),
        board.fields(),
        notes.fields(memories, latent),
        Ring.fields(slots, height, width, dtype, latent),
    )


def open_memory(orders: Orders, *, read_only: bool = False) -> Memory:
    """The shared memory that *orders* name."""
    facts = orders.bundle
    kept = (len(facts.limits), facts.latent, facts.memories) if facts else (0, 0, 0)
    shape = orders.slots, orders.height, orders.width, orders.dtype
    return Memory(*attach(orders.memory_fd, *layout(kept[0], *shape, *kept[1:]), read_only=read_only))


def receive() -> Orders:
    """The orders from standard input."""
    return msgspec.json.decode(sys.stdin.buffer.read(), type=Orders)
