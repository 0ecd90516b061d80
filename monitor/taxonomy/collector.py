"""Which frames are kept of what the charts found: copied out of the ring at once, written later and a few at a time."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeVar

import numpy as np

from models.taxonomy import reservoir
from models.taxonomy.reservoir import UNNAMED, Bounds, Item, Reservoir
from monitor.alarms.book import family
from monitor.alarms.life import Revision
from monitor.eventlog import EventRecord
from monitor.ring import FrameBatch, Ring, text
from monitor.taxonomy.config import Taxonomy
from monitor.taxonomy.records import Kept, Key, Sample
from monitor.taxonomy.store import Store, Writing
from monitor.types import Peak, Pixels

PIECE: Final = 4
"""Samples written at a time, for which an alarm may wait: 0.3 ms for frames of 64 px, and more for large ones."""

WAITING_MOST: Final = 256
"""Events whose frames wait in memory; of those beyond, no frame is kept."""

OPEN_MOST: Final = 1024
"""Events that are remembered; the end of one may have been overwritten in the log."""

NO_FRAME: Final = -1.0
"""Ratio of an event of which no frame could be copied yet."""

NORMAL_NS: Final = 10_000_000_000
"""Between two looks for a normal frame."""

LOOKED_BACK: Final = 256  # frames, for one that is judged

NORMAL_SHARE: Final = 1 / 8
"""Of all bytes, for normal frames."""


Value = TypeVar("Value")


class Collector:
    """Copies frames of events out of *ring*, and keeps a fair sample of them in *store*. Used by one thread."""

    def __init__(self, ring: Ring, store: Store, settings: Taxonomy) -> None:
        self._ring = ring
        self._store = store
        nbytes = round(settings.mib * 2**20)
        normals = round(nbytes * NORMAL_SHARE)
        self._bounds = {False: Bounds(settings.samples, nbytes - normals), True: Bounds(settings.normals, normals)}
        self._copied: dict[Key, float] = {}  # of events that go on, ratio of the frame that was copied
        self._offered: dict[Key, None] = {}  # events that were counted, whether their frames have stayed or not
        self._lost: dict[Key, None] = {}  # events that ended without a frame
        self._waiting: dict[Key, Kept] = {}  # to be written, by event
        self._grown: dict[Key, int] = {}
        self._alarms: dict[Key, str] = {}  # of what waits
        self._normal: Kept | None = None
        self._next_normal_ns = 0
        self.counts = store.counts()
        self._reservoirs: dict[bool, Reservoir] = {}
        self._dropped: set[int] = set()  # by narrower bounds, from the file still to be
        self.reload()

    def held(self, *, normal: bool) -> int:
        """How many samples there are."""
        return reservoir.usage(self._reservoirs[normal]).items

    def reload(self) -> None:
        """Take the kinds of all samples from the file, where a grouping has changed them."""
        for normal, bounds in self._bounds.items():
            items = (_item(one.id, one.kind, one.nbytes) for one in self._store.held(normal=normal))
            self._reservoirs[normal], dropped = reservoir.within_bounds(reservoir.holding(bounds, items))
            self._dropped |= set(dropped)

    def see(self, records: Iterable[EventRecord], t_ns: int) -> None:
        """Copy what frames of events *records* speak of that are more extreme than those copied before."""
        for record in records:
            if record.position >= 0 and record.peak is not None and family(record.source) == "charts":
                self._see(record, record.peak, t_ns)

    def _see(self, record: EventRecord, peak: Peak, t_ns: int) -> None:
        key = record.epoch, record.event
        ratio = self._copied.get(key, NO_FRAME)
        if peak.ratio > ratio and len(self._waiting) < WAITING_MOST:
            pixels = self._copy(record.position, peak.seq, record.stream)
            if pixels is not None:
                ratio = peak.ratio
                self._waiting[key] = Kept(_of_event(record, peak, pixels, t_ns), pixels)
        if key in self._waiting:
            sample = self._waiting[key].sample
            frames_over = max(sample.frames_over, record.frames_over)
            self._waiting[key] = self._waiting[key]._replace(sample=sample._replace(frames_over=frames_over))
        else:
            _remember(self._grown, key, record.frames_over)
        _remember(self._copied, key, ratio)
        if record.phase == "ended":
            del self._copied[key]
            if ratio == NO_FRAME:
                _remember(self._lost, key, None)

    def _copy(self, position: int, seq: int, stream: str) -> Pixels | None:
        """The frame at *position* while the ring holds it; None where it is gone, or too large to be kept."""
        ring = self._ring
        if not ring.intact(position) or position >= ring.written:
            return None
        found = ring.view(position, position + 1)
        if found.pixels.nbytes > self._bounds[False].nbytes:
            return None
        pixels = found.pixels[0].copy()
        is_it = int(found.seq[0]) == seq and text(found.stream[0]) == stream
        return pixels if is_it and ring.intact(position) else None

    def frame_of(self, record: EventRecord) -> Pixels | None:
        """The peak frame of *record*, also of one that no sample is of; None where it is gone."""
        if record.position < 0 or record.peak is None:
            return None
        kept = self._waiting.get((record.epoch, record.event))
        if kept is not None and (kept.sample.seq, kept.sample.stream) == (record.peak.seq, record.stream):
            return kept.pixels
        return self._copy(record.position, record.peak.seq, record.stream)

    def name(self, key: Key, kind: int | None) -> None:
        """Of what kind the event of *key* is, where its frame still waits to be written."""
        if key in self._waiting:
            kept = self._waiting[key]
            self._waiting[key] = kept._replace(sample=kept.sample._replace(kind=kind))

    def follow(self, revisions: Sequence[Revision]) -> None:
        """Learn which alarms the events raised whose frames wait."""
        for one in revisions:
            key = one.entry.epoch, one.entry.event
            if key in self._waiting:
                self._alarms[key] = one.alarm.id

    def waiting(self, alarm: str, stream: str, seq: int) -> Kept | None:
        """What waits to be written of an *alarm*, or frame *seq* of *stream*. Any thread may ask."""
        held = list(self._waiting.items())  # a copy: the thread that writes goes on
        frames = [one for _, one in held if (one.sample.stream, one.sample.seq) == (stream, seq)]
        return next(iter([*frames, *(one for key, one in held if self._alarms.get(key) == alarm)]), None)

    def look_for_normal(self, mono_ns: int, t_ns: int) -> None:
        """Now and then, copy the latest judged frame that is within its limits."""
        if mono_ns < self._next_normal_ns or self._bounds[True].items == 0:
            return
        self._next_normal_ns = mono_ns + NORMAL_NS
        ring = self._ring
        last = ring.written
        first = max(ring.oldest_intact(), last - LOOKED_BACK, last - 1 - (last - 1) % ring.slots)  # in one piece
        if first >= last:
            return
        batch = ring.view(first, last)
        normal = np.flatnonzero((batch.judged_ns > 0) & (batch.joint < 1) & (batch.fault == 0))
        if len(normal) == 0 or batch.pixels[0].nbytes > self._bounds[True].nbytes:
            return
        row = int(normal[-1])
        pixels = batch.pixels[row].copy()
        sample = _of_normal(batch, row, pixels, t_ns)
        if ring.intact(first + row):
            self._normal = Kept(sample, pixels)

    def write(self, *, last: bool = False) -> bool:
        """Write some of what waits, or at the *last* all of it; whether anything was. Raises sqlite3.Error.

        Where the disk refuses, it all goes on waiting.
        """
        wrote = False
        while self._write_piece():
            wrote = True
            if not last:
                break
        return wrote

    def _write_piece(self) -> bool:
        keys = list(self._waiting)[:PIECE]
        grown = {key: frames for key, frames in self._grown.items() if key not in self._waiting}
        if not (keys or grown or self._lost or self._normal or self._dropped):
            return False
        before = self._reservoirs, self.counts
        try:
            self._store.write(self._writing(keys, grown))
        except sqlite3.Error:
            self._reservoirs, self.counts = before
            raise
        for key in grown:
            del self._grown[key]
        for key in keys:
            del self._waiting[key]
            self._grown.pop(key, None)
            self._alarms.pop(key, None)
            _remember(self._offered, key, None)
        self._normal, self._dropped, self._lost = None, set(), {}
        return True

    def _writing(self, keys: Sequence[Key], grown: Mapping[Key, int]) -> Writing:
        """What becomes of the events of *keys* and of the normal frame: new, changed, or passed over."""
        new: list[Kept] = []
        anew: list[Kept] = []
        dropped = set(self._dropped)
        self._reservoirs = dict(self._reservoirs)
        for key in keys:
            kept = self._waiting[key]
            kept = kept._replace(sample=kept.sample._replace(alarm=self._alarms.get(key)))
            if self._store.id_of(key) is not None:
                anew.append(kept)
                continue
            if key in self._offered:  # it had its turn
                continue
            self.counts = self.counts._replace(events=self.counts.events + 1)
            new.append(self._entered(kept, dropped))
        missed = sum(self._store.id_of(key) is None and key not in self._offered for key in self._lost)
        self.counts = self.counts._replace(events=self.counts.events + missed, missed=self.counts.missed + missed)
        if self._normal is not None:
            new.append(self._entered(self._normal, dropped))
        stay = [one for one in new if one.sample.id not in dropped]
        passed = [one.sample for one in new if one.sample.id in dropped]
        gone = sorted(dropped - {one.id for one in passed})
        return Writing(stay, anew, list(grown.items()), gone, self.counts, passed)

    def _entered(self, kept: Kept, dropped: set[int]) -> Kept:
        """*kept* with an id, and its place in the reservoir; what goes for it is added to *dropped*."""
        number = self.counts.next_id
        self.counts = self.counts._replace(next_id=number + 1)
        sample = kept.sample._replace(id=number)
        item = _item(number, sample.kind, sample.nbytes)
        self._reservoirs[sample.normal], gone = reservoir.add(self._reservoirs[sample.normal], item)
        dropped |= set(gone)
        return kept._replace(sample=sample)


def _remember(known: dict[Key, Value], key: Key, value: Value) -> None:
    """Among the latest OPEN_MOST."""
    known[key] = value
    while len(known) > OPEN_MOST:
        del known[next(iter(known))]


def _item(number: int, kind: int | None, nbytes: int) -> Item:
    return Item(number, UNNAMED if kind is None else kind, nbytes)


def _of_event(record: EventRecord, peak: Peak, pixels: Pixels, t_ns: int) -> Sample:
    x, y = record.xy if record.xy is not None else (None, None)
    kind = record.kind.id if record.kind is not None and record.kind.id > 0 else None
    return Sample(
        id=0, epoch=record.epoch, event=record.event, alarm=None, normal=False, kind=kind, nearest=None, distance=None,
        t_ns=t_ns, stream=record.stream, seq=peak.seq, job=record.job, layer=record.layer, context=record.context,
        x=x, y=y, source=record.source, ratio=peak.ratio, frames_over=record.frames_over, height=pixels.shape[0],
        width=pixels.shape[1], dtype=pixels.dtype.name, nbytes=pixels.nbytes,
    )  # fmt: skip


def _of_normal(batch: FrameBatch, row: int, pixels: Pixels, t_ns: int) -> Sample:
    x, y = (None if np.isnan(value) else float(value) for value in batch.xy[row])
    layer = int(batch.layer[row])
    return Sample(
        id=0, epoch="", event=None, alarm=None, normal=True, kind=None, nearest=None, distance=None, t_ns=t_ns,
        stream=text(batch.stream[row]), seq=int(batch.seq[row]), job=text(batch.job[row]),
        layer=None if layer < 0 else layer, context=text(batch.context[row]), x=x, y=y, source="",
        ratio=float(batch.joint[row]), frames_over=0, height=pixels.shape[0], width=pixels.shape[1],
        dtype=pixels.dtype.name, nbytes=pixels.nbytes,
    )  # fmt: skip
