"""Follows the event log and copies frames around events out of the ring: those before at once, later ones as they come.

It waits for nothing and holds nobody up. Frames are copied once they are judged, so that their scores come with them;
unless the ring would overwrite them before.
"""

import logging
from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np

from calibration.memory import MemoryChart
from monitor import eventlog
from monitor.eventlog import EventRecord
from monitor.recorder import notes
from monitor.recorder.fates import Fates, is_recorded
from monitor.recorder.notes import Note
from monitor.recorder.remembering import after, judged_of
from monitor.recorder.take import NO_ROOM, OVERWRITTEN, Episode, Key, Stretch, Take
from monitor.ring import Ring
from monitor.shared import Arrays

QUIET_NS: Final = 10_000_000_000
"""A recording with all frames wanted by now waits so long for an open event to go on; what comes later is another."""

URGENT: Final = 0.75
"""Share of the ring behind the writer from which on frames are copied whether they are judged or not."""

KNOWN_MOST: Final = 4096
FAR: Final = 2**62

_log = logging.getLogger("monitor.recorder")


class Extent(NamedTuple):
    """How much is kept, in frames; and bytes of pixels that may wait in memory."""

    before: int
    after: int
    longest: int
    memory: int
    silent_ns: int = 1_000_000_000  # without a new frame for so long none is waited for: the camera has paused


class Follower:
    """Used by one thread. *fates* is told why an event will have no recording."""

    def __init__(
        self,
        ring: Ring,
        log: Arrays,
        noted: Arrays,  # what the chart that remembers held
        extent: Extent,
        fates: Fates,
        cursor: int = 0,
        chart: MemoryChart | None = None,  # the chart that remembers
    ) -> None:
        self._ring, self._log, self._noted, self._extent = ring, log, noted, extent
        self._chart = chart
        self._fates = fates
        self._position = cursor
        self._takes: list[Take] = []
        # Events that are done with: up to which position they are recorded, -1 of those that will not be.
        self._known: dict[Key, int] = dict.fromkeys(fates.recorded, ring.written) | dict.fromkeys(fates.given_up, -1)
        self._written, self._settled = -1, ring.oldest_intact()  # nothing was looked at yet
        self._written_ns = 0
        self._held = 0  # bytes that the writer has still
        self._told_full = False

    @property
    def cursor(self) -> int:
        """Records of the event log before it speak of no recording in the making."""
        return min((take.mark for take in self._takes), default=self._position)

    @property
    def settled(self) -> int:
        """Frames before this position were judged, or never will be."""
        return self._settled

    def watch(self, now_ns: int, *, last: bool = False) -> None:
        """Only see how far frames are settled."""
        if self._ring.written != self._written:
            self._written, self._written_ns = self._ring.written, now_ns
        self._settle(now_ns, last)

    def turn(self, now_ns: int, *, last: bool = False, writing: int = 0) -> list[Take]:
        """Take in what has happened, and return what is whole. *writing*: bytes that wait to be written.

        The *last* turn waits for nothing more: all is returned.
        """
        self._held = writing
        records = self._listen()
        if self._ring.written != self._written:
            self._written, self._written_ns = self._ring.written, now_ns
        ready = self._settle(now_ns, last)
        for position, record in records:
            if is_recorded(record):
                self._hear(record, position, now_ns)
                for take in self._takes:  # before the next one: it shares a recording with a window that overlaps
                    self._extend(take, ready)
        for take in self._takes:
            self._extend(take, ready)
            for stretch in take.stretches:
                self._copy(take, stretch, ready, now_ns)
        done = [take for take in self._takes if last or self._whole(take, now_ns)]
        self._takes = [take for take in self._takes if take not in done]
        for take in done:
            for stretch in take.stretches:
                stretch.end = min(stretch.end, max(stretch.copied, stretch.lo))
            take.heard = self._position
            self._remember(take.episodes, take.hi)
        return done

    def _listen(self) -> list[tuple[int, EventRecord]]:
        """Records of the event log that are new, with their positions there."""
        records, end = eventlog.placed(self._log, self._position)
        lost = self._fates.hear(self._position, [at for at, _ in records], end)
        self._position = end
        if lost:
            _log.error("%d event records were overwritten before they were read", lost)
            self._fates.lost(lost)
        return records

    def _settle(self, now_ns: int, last: bool) -> int:
        """Up to where frames may be copied: settled already at the last turn, so that no score is half written."""
        ready = self._settled
        if last or now_ns - self._written_ns > self._extent.silent_ns:
            self._settled = self._written
            return self._settled
        self._settled = settled_until(self._ring, max(ready, self._ring.oldest_intact()), self._written)
        return max(ready, self._written - int(URGENT * self._ring.slots))

    def _hear(self, record: EventRecord, position: int, now_ns: int) -> None:
        key = record.epoch, record.event
        for take in self._takes:
            for other, episode in take.episodes.items():  # a process that died ends its events by itself
                if other[0] != record.epoch and not episode.ended:
                    take.episodes[other] = episode._replace(ended=True)
        if self._fates.is_told(key, position):  # by an earlier process
            return
        known = next((take for take in self._takes if key in take.episodes), None)
        if known is not None:
            self._go_on(known, key, record, now_ns)
        elif key not in self._known or (record.phase == "grew" and self._known[key] >= 0):
            self._begin(key, record, position, now_ns)

    def _go_on(self, take: Take, key: Key, record: EventRecord, now_ns: int) -> None:
        before = take.episodes[key]
        found = self._locate(record)
        peak = found.peak if found is not None and _ratio(record) >= _ratio(before.record) else before.peak
        last = max(found.last, before.last) if found is not None else before.last
        moved = peak != before.peak
        take.episodes[key] = before._replace(record=record, last=last, peak=peak, ended=record.phase == "ended")
        take.last, take.changed_ns = max(take.last, last), now_ns
        if take.full and moved:
            self._add_around(take, "peak", peak)
        if take.full and record.phase == "ended":
            self._add_around(take, "end", last)

    def _begin(self, key: Key, record: EventRecord, mark: int, now_ns: int) -> None:
        episode = self._locate(record)
        if episode is None:
            _log.warning("event %d of %s: none of its frames is left in the ring", record.event, record.source)
            self._give_up(key, OVERWRITTEN)
            return
        lo = max(episode.first - self._extent.before, self._known.get(key, 0), 0)
        latest = self._takes[-1] if self._takes else None
        if latest is not None and lo <= latest.head.end and not latest.full:
            latest.episodes[key], latest.changed_ns = episode, now_ns
            latest.last = max(latest.last, episode.last)
            return
        if latest is not None:
            lo = max(lo, latest.hi)  # those before lie in the recording before
        end = max(episode.last + self._extent.after + 1, lo + 1)
        if not self._has_room((end - lo) * self._ring.pixels[0].nbytes):
            self._give_up(key, NO_ROOM)
            return
        take = Take(self._stretch(lo, min(end, lo + self._extent.longest)), mark, now_ns)
        take.episodes[key], take.last = episode, episode.last
        self._takes.append(take)

    def _give_up(self, key: Key, why: str) -> None:
        self._fates.give_up(why, [key])
        self._remember([key], -1)

    def _stretch(self, lo: int, end: int) -> Stretch:
        return Stretch(self._ring, lo, end, self._note_at(lo))

    def _note_at(self, position: int) -> Note | None:
        """What the chart that remembers held there: the note before it, and what was judged since."""
        note = None if self._chart is None else notes.before(self._noted, position)
        ring = self._ring
        if note is None or self._chart is None or position > min(self._settled, ring.written):
            return None
        while note.position < position:
            hi = ring.until_wrap(note.position, position)
            if not ring.intact(note.position):
                return None
            seen = judged_of(ring.records(note.position, hi), ring.latents(note.position, hi))
            if not ring.intact(note.position):
                return None
            note = after(self._chart, note, seen)[0]
        return note

    def _extend(self, take: Take, ready: int) -> None:
        """Let the head grow with the event: the frames themselves say that they are over a limit."""
        if take.full:
            return
        lo = max(take.scanned, self._ring.oldest_intact())
        while not take.over and lo < ready:
            hi = self._ring.until_wrap(lo, ready)
            seen = self._ring.records(lo, hi)
            over = np.flatnonzero((seen["joint"] > 1) | (seen["fault"] > 0))
            if len(over):
                take.last = max(take.last, lo + int(over[-1]))
            lo = hi
        take.scanned = max(take.scanned, ready)
        end, most = take.last + self._extent.after + 1, take.head.lo + self._extent.longest
        most = min(most, self._next_begins(take))
        take.head.end = max(take.head.end, min(end, most))
        if end > most:
            take.full = True
            for episode in list(take.episodes.values()):
                if episode.peak >= take.head.end:
                    self._add_around(take, "peak", episode.peak)
                if episode.ended:
                    self._add_around(take, "end", episode.last)

    def _add_around(self, take: Take, what: str, position: int) -> None:
        """The frames around *position* too, as far as no other stretch has them."""
        take.around.pop(what, None)
        lo = max(position - self._extent.before, *(one.end for one in take.stretches), 0)
        if (end := min(position + self._extent.after + 1, self._next_begins(take))) > lo:
            take.around[what] = self._stretch(lo, end)

    def _next_begins(self, take: Take) -> int:
        """Where the recording after *take* begins: no frame is in two."""
        later = (one.head.lo for one in self._takes if one.head.lo > take.head.lo)
        return min(later, default=FAR)

    def _copy(self, take: Take, stretch: Stretch, ready: int, now_ns: int) -> None:
        before, each = stretch.copied, self._ring.pixels[0].nbytes
        wanted = max(min(stretch.end, ready) - before, 0) * each
        if wanted and not self._has_room(wanted):
            stretch.copy(min(ready, before + self._room() // each))
            stretch.give_up(NO_ROOM)
            take.full = True
            return
        stretch.copy(ready)
        if stretch.copied > before:
            take.changed_ns = now_ns

    def _whole(self, take: Take, now_ns: int) -> bool:
        silent = now_ns - self._written_ns > self._extent.silent_ns
        quiet = now_ns - take.changed_ns > QUIET_NS or self._told_full  # where room is short, nothing is waited for
        return (take.complete or silent) and (take.over or quiet)

    def _room(self) -> int:
        return max(self._extent.memory - self._held - sum(take.nbytes for take in self._takes), 0)

    def _has_room(self, nbytes: int) -> bool:
        room = self._room()
        if nbytes <= room:
            self._told_full = False
            return True
        if not self._told_full:
            self._told_full = True
            _log.warning(
                "%.0f MiB of frames wait to be written, no more may (recorder.memory_mib): some are not recorded",
                (self._extent.memory - room) / 2**20,
            )
        return False

    def _locate(self, record: EventRecord) -> Episode | None:
        """Where the frames of an event lie; None where the ring holds none of them."""
        ring, oldest = self._ring, self._ring.oldest_intact()
        peak = record.position
        if peak < 0 or record.peak is None:  # a camera fault
            last = find(ring, record.stream, record.last_seq, oldest, ring.written)
            if last is None:
                return None
            first = find(ring, record.stream, record.first_seq, last - (record.last_seq - record.first_seq), last + 1)
            first = last - (record.last_seq - record.first_seq) if first is None else first
            return Episode(record, max(first, 0), last, -1, record.phase == "ended", record.t_ns)
        reach = peak - (record.peak.seq - record.first_seq), peak + record.last_seq - record.peak.seq
        found = find(ring, record.stream, record.first_seq, reach[0], peak + 1)
        last = find(ring, record.stream, record.last_seq, peak, reach[1] + 1)
        if max(peak, last or 0) < oldest:
            return None
        first = max(reach[0] if found is None else found, 0)
        return Episode(record, first, peak if last is None else last, peak, record.phase == "ended", record.t_ns)

    def _remember(self, keys: Iterable[Key], hi: int) -> None:
        for key in keys:
            self._known[key] = hi
        while len(self._known) > KNOWN_MOST:
            del self._known[next(iter(self._known))]


def find(ring: Ring, stream: str, seq: int, lo: int, hi: int) -> int | None:
    """The position of frame *seq* of *stream* among those from *lo* up to *hi* that the ring holds; the latest."""
    lo, hi, name = max(lo, ring.oldest_intact()), min(hi, ring.written), stream.encode()
    found = None
    while lo < hi:
        end = ring.until_wrap(lo, hi)
        records = ring.records(lo, end)
        for index in np.flatnonzero(records["seq"] == seq).tolist():
            if records["stream"][index] == name:
                found = lo + index
        lo = end
    return found


def settled_until(ring: Ring, lo: int, hi: int) -> int:
    """The position up to which frames from *lo* on are judged, or never will be; at most *hi*.

    Frames are judged in order: what lies before a judged one is settled, whatever became of it.
    """
    settled = lo
    while lo < hi:
        end = ring.until_wrap(lo, hi)
        records = ring.records(lo, end)
        judged = np.flatnonzero(records["judged_ns"] > 0)
        if len(judged):
            settled = lo + int(judged[-1]) + 1
        if settled >= lo:
            rest = records[settled - lo :]
            waiting = np.flatnonzero((rest["unjudged"] == 0) & (rest["fault"] == 0))
            settled += int(waiting[0]) if len(waiting) else len(rest)
        lo = end
    return settled


def _ratio(record: EventRecord) -> float:
    return 0.0 if record.peak is None else record.peak.ratio
