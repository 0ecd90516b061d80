"""Takes into files, one at a time, in a thread of its own: what it does has time."""

import errno
import logging
import os
import queue
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from models.scorer import Scorer
from monitor.recorder.fates import Fates
from monitor.recorder.recording import About, PeakShown, beside, peak_of, write
from monitor.recorder.shelf import Shelf, ShelfError, name_of
from monitor.recorder.take import NO_ROOM, OVERWRITTEN, Episode, Take, count_missing
from monitor.shared import Arrays

PACKED: Final = 0.6
"""Of its size in memory a recording is expected to take so much on disk, until the first ones have shown."""

SPARE: Final = 1.25
"""On a full disk so many times the expected size gives way: the second try is the last."""

FULL: Final = (errno.ENOSPC, errno.EDQUOT)

_log = logging.getLogger("monitor.recorder")


class Writer:
    """Writes what it is given in its turn. `run` is the thread's; all else is that of who gives."""

    def __init__(
        self,
        shelf: Shelf,
        budget: int,
        about: About,
        scorer: Scorer | None,
        counts: Arrays,
        fates: Fates,
        wall_clock: Callable[[], int],
    ) -> None:
        """*budget* in bytes; *counts*: the board. Without a *scorer* there is no residual of the peak."""
        self._shelf, self._budget, self._about, self._scorer = shelf, budget, about, scorer
        self._board, self._fates, self._wall_clock = counts, fates, wall_clock
        self._waiting: queue.SimpleQueue[Take | None] = queue.SimpleQueue()
        self._pending: list[Take] = []
        self._packed = PACKED
        self._refused = ""

    @property
    def pending(self) -> list[Take]:
        """What was given and is not written."""
        return list(self._pending)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes."""
        return sum(take.nbytes for take in self.pending)

    def give(self, take: Take) -> None:
        """Have *take* written."""
        self._pending.append(take)
        self._waiting.put(take)

    def finish(self) -> None:
        """Let the thread end once it has written what it was given."""
        self._waiting.put(None)

    def run(self) -> None:
        """Write until `finish`."""
        while (take := self._waiting.get()) is not None:
            self.write(take)
            self._pending.remove(take)

    def write(self, take: Take) -> None:
        """Write *take*, or count why not."""
        found = count_missing(take.missing())
        self._board["missing"][0] += found.get(OVERWRITTEN, 0) + found.get(NO_ROOM, 0)
        if take.frames == 0:
            self._fail(take, NO_ROOM if NO_ROOM in found else "overwritten")
            return
        name = self._name(take)
        self._fates.begin(name, take.episodes, take.heard)
        if self._try(name, take):
            self._tell(take, name)
        self._fates.end()
        self.count()

    def _try(self, name: str, take: Take) -> bool:
        """Whether it is written; else it is counted why not."""
        try:
            self._put(name, take)
        except ShelfError as error:
            self._refuse("budget", f"{name} is not kept: {error} (recorder.mib)")
            self._fail(take, "budget")
            return False
        except (OSError, RuntimeError) as error:  # h5py has either
            self._refuse("disk", f"{name} cannot be written: {_reason(error)}")
            self._fail(take, "disk")
            return False
        self._refused = ""
        size = self._shelf.path(name).stat().st_size
        self._packed = 0.5 * self._packed + 0.5 * size / max(take.nbytes, 1)
        return True

    def count(self) -> None:
        """Put on the board what there is."""
        try:
            files, disk = self._shelf.files(), os.statvfs(self._shelf.folder)
        except OSError:
            return
        self._board["recordings"][0] = len(files)
        self._board["nbytes"][0] = sum(one.nbytes for one in files)
        pinned = [one.nbytes for one in files if one.pinned]
        self._board["pinned"][0], self._board["pinned_bytes"][0] = len(pinned), sum(pinned)
        self._board["disk_free"][0] = disk.f_bavail * disk.f_frsize
        self._board["disk"][0] = disk.f_blocks * disk.f_frsize

    def _put(self, name: str, take: Take) -> None:
        """Write the file, and make room for it within the budget once it is whole on disk, before it has its name.

        Where the disk is full the oldest recordings give way, and it is tried once more.
        """
        try:
            self._shelf.put(name, lambda path: self._fill(path, take), self._make_room)
        except OSError as error:
            if error.errno not in FULL:
                raise
            gone = self._shelf.give_way(round(SPARE * self._expected(take)))
            if not gone:
                raise
            _log.warning("the disk is full: %d old recordings are removed for %s", len(gone), name)
            self._shelf.put(name, lambda path: self._fill(path, take), self._make_room)

    def _expected(self, take: Take) -> int:
        """Bytes that it will take on disk, as far as one can know."""
        return round(self._packed * take.nbytes)

    def _name(self, take: Take) -> str:
        first = _first(take)
        key = first.record.epoch, first.record.event
        return name_of(first.began_t_ns, *key, self._fates.parts(key))

    def _tell(self, take: Take, name: str) -> None:
        self._fates.tell(name, {key: episode.began_t_ns for key, episode in take.episodes.items()}, take.heard)
        _log.info("%s: %d frames of %d event(s)", name, take.frames, len(take.episodes))

    def _make_room(self, nbytes: int) -> None:
        gone = self._shelf.make_room(nbytes, self._budget)
        if gone:
            _log.info("%d old recordings are removed for it: %s", len(gone), ", ".join(gone[:5]))

    def _fill(self, path: Path, take: Take) -> None:
        write(path, take, self._about, self._look(take), self._wall_clock())

    def _look(self, take: Take) -> PeakShown | None:
        """What the network makes of the peak frame."""
        found = peak_of(take, beside(take).positions)
        if found is None or self._scorer is None:
            return None
        left = found[1]
        for stretch in take.stretches:
            for block in stretch.blocks():
                if left < len(block):
                    seen = self._scorer.deviations(np.ascontiguousarray(block[left : left + 1]))
                    return PeakShown(seen.residual[0], seen.drawn[0])
                left -= len(block)
        return None

    def _fail(self, take: Take, reason: str) -> None:
        self._fates.give_up(reason, take.episodes)

    def _refuse(self, kind: str, why: str) -> None:
        """One line, however many recordings a full disk refuses."""
        if kind != self._refused:
            _log.error("%s", why)
        self._refused = kind


def _reason(error: OSError | RuntimeError) -> str:
    """Of an error of the system, or of HDF5, which puts the system's into a text of many words."""
    inside = re.search(r"error message = '([^']+)'", str(error))
    return inside[1] if inside else " ".join(str(getattr(error, "strerror", None) or error).split())


def _first(take: Take) -> Episode:
    """The event that a recording is named after."""
    return next(iter(take.episodes.values()))
