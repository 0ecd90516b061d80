"""The recorder's process, `python -m monitor.recorder.process`: started beside the hot one, which never waits for it.

One thread follows and copies, in its turn; another compresses and writes, and a third the archive where there is one.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final

from models.scorer import Scorer
from monitor import bundle as bundles
from monitor import logs, orders
from monitor.bundle import Bundle, BundleError
from monitor.config import Config
from monitor.orders import Memory, Orders
from monitor.recorder.archive import Archive
from monitor.recorder.fates import Fates
from monitor.recorder.follower import Extent, Follower
from monitor.recorder.recording import About
from monitor.recorder.shelf import Shelf
from monitor.recorder.writer import Writer
from monitor.ring import Ring

NICE: Final = 5
"""Of all its threads. One that waits for the machine longer than the others would have them wait too: whoever holds the
interpreter's lock and is not given a core keeps it (`python -m tests.benchmarks.recorder_pauses`)."""

TURN_S: Final = 0.02
DRAIN_S: Final = 7.0
"""When told to stop, what waits is written for at most so long."""

COUNT_NS: Final = 10_000_000_000
"""Between two looks into the folder: files may be pinned, or taken away."""

_log = logging.getLogger("monitor.recorder")


def extent_of(config: Config) -> Extent:
    """How much of an event is kept."""
    given, rate_hz = config.recorder, config.input.rate_hz
    before, after = given.frames_before(rate_hz), given.frames_after(rate_hz)
    longest = max(round(given.longest_s * rate_hz), before + after + 1)
    return Extent(before, after, longest, round(given.memory_mib * 2**20), max(10**9, round(3e9 / rate_hz)))


def about_of(config: Config, bundle: Bundle) -> About:
    """What stands in all recordings."""
    held = bundle.manifest
    return About(config.camera, bundle.sha256, held.settings, held.charts, bundle.context_limits, config.input.rate_hz)


class Recorder:
    """The parts of the process."""

    def __init__(
        self, given: Orders, memory: Memory, bundle: Bundle, clocks: tuple[Callable[[], int], Callable[[], int]]
    ):
        config = given.config
        self._clock, wall_clock = clocks
        self._board = memory.recorder
        ring, place = Ring(memory.ring), config.recorder.place(config.journal)
        place.mkdir(parents=True, exist_ok=True)
        shelf = Shelf(place)
        if left := shelf.clean():
            _log.info("%d files that were half written are removed", left)
        self.fates = Fates(self._board)
        cursor = self.fates.go_on(memory.log, shelf)
        self.follower = Follower(ring, memory.log, memory.notes, extent_of(config), self.fates, cursor, bundle.memory)
        held = bundle.manifest
        scorer = Scorer(bundle.tensors, held.height, held.width)
        budget = round(config.recorder.mib * 2**20)
        self.writer = Writer(shelf, budget, about_of(config, bundle), scorer, self._board, self.fates, wall_clock)
        self.archive: Archive | None = None
        if config.recorder.archive:
            self.archive = Archive(ring, config.recorder, place, about_of(config, bundle), self._board, wall_clock)
        self._records = config.recorder.mib > 0
        self._next_count_ns = 0

    def turn(self, *, last: bool = False) -> None:
        """Copy what there is to copy, hand on what is whole."""
        now_ns = self._clock()
        self._board["beat_ns"][0], self._board["pid"][0] = now_ns, os.getpid()
        settled = self.follower.settled  # at the last turn: no score of these is half written
        if self._records:
            for take in self.follower.turn(now_ns, last=last, writing=self.writer.nbytes):
                self.writer.give(take)
            marks = [take.mark for take in self.writer.pending]
            self._board["cursor"][0] = min([*marks, self.follower.cursor])
        else:
            self.follower.watch(now_ns, last=last)
        if self.archive is not None:
            self.archive.turn(self.follower.settled if last else settled, now_ns, last=last)
        if now_ns >= self._next_count_ns:
            self._next_count_ns = now_ns + COUNT_NS
            self.writer.count()

    def close(self, thread: threading.Thread) -> None:
        """Write what there is, within DRAIN_S; count the rest."""
        self.turn(last=True)
        self.writer.finish()
        ends_ns = self._clock() + round(DRAIN_S * 1e9)
        thread.join(DRAIN_S)
        if self.archive is not None:
            self.archive.close(max(ends_ns - self._clock(), 0) / 1e9)
        left = [key for take in self.writer.pending for key in take.episodes]
        if left:
            _log.error("%d events could not be recorded before the daemon stopped", len(left))
            self.fates.give_up("stopping", left)


def run(given: Orders) -> int:
    """Record until told to stop, or until the supervisor is gone."""
    os.nice(NICE)
    config = given.config
    assert config.bundle is not None
    stopping = threading.Event()
    _stop_on_signal(stopping)
    memory, bundle = orders.open_memory(given), bundles.read(Path(config.bundle))
    if given.bundle is not None and bundle.sha256 != given.bundle.sha256:
        raise BundleError(f"{config.bundle}: was replaced while the daemon ran; restart the daemon to use it")
    recorder = Recorder(given, memory, bundle, (time.monotonic_ns, time.time_ns))
    thread = threading.Thread(target=_guarded, args=(recorder.writer.run,), name="write", daemon=True)
    thread.start()
    if recorder.archive is not None:
        recorder.archive.start(_guarded)
    while not stopping.wait(TURN_S) and os.getppid() == given.supervisor_pid:
        recorder.turn()
    recorder.close(thread)
    return 0


def main() -> int:
    """Exit status 0, or 2 with one line where the configuration cannot be carried out."""
    given = orders.receive()
    logs.set_up(given.config.log, "recorder")
    try:
        return run(given)
    except (BundleError, OSError) as error:
        sys.stderr.write(f"framewatch: {given.source}: {error}\n")
        return 2


def _guarded(body: Callable[[], None]) -> None:
    """A thread that dies of a bug takes the process with it: the supervisor starts another."""
    try:
        body()
    except BaseException:
        _log.critical("the thread %s failed; the process ends", threading.current_thread().name, exc_info=True)
        logging.shutdown()
        os._exit(70)  # EX_SOFTWARE


def _stop_on_signal(stopping: threading.Event) -> None:
    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor passes it on


if __name__ == "__main__":
    sys.exit(main())
