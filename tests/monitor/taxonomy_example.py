"""Samples, kinds and a ring with frames, for the tests of the kinds of anomaly."""

from pathlib import Path
from typing import Any

import numpy as np

from monitor.eventlog import EventRecord
from monitor.ring import Ring
from monitor.shared import lay_out, size_of
from monitor.taxonomy.records import Counts, Kept, KindRow, Sample
from monitor.taxonomy.store import Store, Writing, beside
from monitor.types import Peak, Pixels
from monitor.wire.native import WireLimits, decode, encode

T_NS = 1_795_000_000 * 10**9
SIDE = 4

_SAMPLE = Sample(
    id=1, epoch="hot-1", event=1, alarm=None, normal=False, kind=None, nearest=None, distance=None, t_ns=T_NS,
    stream="s", seq=11, job="part", layer=3, context="hatch", x=1.5, y=2.5, source="t2", ratio=1.2, frames_over=3,
    height=SIDE, width=SIDE, dtype="uint8", nbytes=SIDE * SIDE,
)  # fmt: skip


def kept(number: int, pixels: Pixels | None = None, **more: Any) -> Kept:
    """The sample of event *number*."""
    frame = np.full((SIDE, SIDE), number % 256, np.uint8) if pixels is None else pixels
    height, width = frame.shape
    shape = {"height": height, "width": width, "dtype": frame.dtype.name, "nbytes": frame.nbytes}
    return Kept(_SAMPLE._replace(**{"id": number, "event": number, **shape, **more}), frame)


def written(new: list[Kept], next_id: int | None = None, **more: Any) -> Writing:
    given = {"anew": [], "grown": [], "dropped": [], **more}
    events = sum(not one.sample.normal for one in new)
    counts = Counts(next_id or max((one.sample.id for one in new), default=0) + 1, events, 0)
    return Writing(new, given["anew"], given["grown"], given["dropped"], counts)


def kind_row(number: int, members: tuple[int, ...] = (), **more: Any) -> KindRow:
    row = KindRow(
        number, "alive", "", (), None, None, None, "ab" * 32, np.array([1.0, 2.0]), 0.5, frozenset(members), T_NS,
        T_NS, T_NS, 0, False,
    )  # fmt: skip
    return row._replace(**more)


def put(store: Store, *kinds: KindRow) -> None:
    """Write *kinds*, and make them those of their members."""
    with store.transaction():
        store.put_kinds(kinds, max(kind.id for kind in kinds) + 1)
        store.assign((kind.id, kind.id, 0.5, member) for kind in kinds for member in sorted(kind.members))


def store_of(folder: Path, camera: str = "melt") -> Store:
    """The file beside `daemon_example.some_config`'s journal."""
    return Store(beside(folder / "journal.db"), camera)


def ring_of(slots: int, side: int = SIDE) -> Ring:
    fields = Ring.fields(slots, side, side, "uint8")
    return Ring(lay_out(bytearray(size_of(fields)), fields)[0])


def show(ring: Ring, seq: int, count: int = 1, **header: Any) -> int:
    """Write frames whose pixels are their own sequence number; the position of the first."""
    pixels = np.broadcast_to(
        np.arange(seq, seq + count, dtype=np.uint8)[:, None, None], (count, ring.height, ring.width)
    )
    message = decode(encode("melt", "s", seq, 1000 * seq, pixels, **header), WireLimits())
    return ring.write(message, 0, count, 0, 77)[0]


def of_frame(
    ring: Ring, seq: int, phase: Any = "began", event: int = 1, ratio: float = 1.2, **more: Any
) -> EventRecord:
    """A record of an event whose peak is frame *seq*, which is put into *ring*."""
    return EventRecord(
        phase, "hot-1", event, more.pop("source", "t2"), T_NS, stream="s", first_seq=seq, last_seq=seq,
        frames_over=more.pop("frames_over", 3), peak=Peak(seq, 50 * ratio, 50.0, ratio),
        position=more.pop("position", None) if "position" in more else show(ring, seq), bundle="ab" * 32, **more,
    )  # fmt: skip
