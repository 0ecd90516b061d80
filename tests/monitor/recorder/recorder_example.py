"""Ring, engine, event log and recorder in one process, no threads and no sockets: frames go in, recordings come out."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from frames import QUICK, normal

from calibration.events import EventRule
from monitor import eventlog, vitals
from monitor.backlog import Backlog
from monitor.bundle import Bundle
from monitor.calibrate import calibrate
from monitor.camera.recordings import Recording
from monitor.config import Events
from monitor.engine import Engine
from monitor.eventlog import EventRecord
from monitor.handover import Handover
from monitor.ingest import Ingest
from monitor.judge import Judge
from monitor.ledger import Ledger
from monitor.recorder import board, notes
from monitor.recorder.fates import Fates
from monitor.recorder.follower import Extent, Follower
from monitor.recorder.recording import About
from monitor.recorder.shelf import Shelf
from monitor.recorder.take import Take
from monitor.recorder.writer import Writer
from monitor.ring import Ring
from monitor.score import load_scorer
from monitor.shared import Arrays, lay_out, size_of
from monitor.types import Peak, Pixels
from monitor.wire import native
from monitor.wire.native import WireLimits, decode

T_NS = 1_795_000_000 * 10**9
RULE = EventRule(k=2, n=3, clear_frames=10)
EXTENT = Extent(before=10, after=5, longest=200, memory=2**26)
SIDE = 16


class Clock:
    """Nanoseconds that pass only when told to."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000

    def __call__(self) -> int:
        return self.now_ns


def as_type(frames: Pixels, dtype: str) -> Pixels:
    """The same picture as another camera sends it."""
    return (frames * np.float64({"uint8": 1, "uint16": 200, "float32": 0.5}[dtype])).astype(dtype)


def remembering_bundle(folder: Path, dtype: str = "uint8") -> Bundle:
    """A bundle with the chart that remembers, for frames as `as_type(frames.normal(...), dtype)` makes them."""
    settings = msgspec.structs.replace(QUICK, memories_s=(0.1,), false_alarms_per_hour=60.0)
    recordings = [Recording(f"run {seed}", as_type(normal(100, seed), dtype)) for seed in range(8)]
    stretches = [Recording(f"stretch {seed}", as_type(normal(700, 40 + seed), dtype)) for seed in range(3)]
    return calibrate(
        recordings,
        settings,
        folder / "bundle",
        contexts=("hatch", "contour"),
        stretches=stretches,
        events=Events(k=RULE.k, n=RULE.n),
        rate_hz=100.0,
    )


class Plant:
    """A real engine with *bundle*, and a recorder that writes to *folder*. *counts* is the board."""

    def __init__(
        self, bundle: Bundle, folder: Path, wake_fd: int, extent: Extent = EXTENT, slots: int = 512, mib: float = 64.0
    ) -> None:
        held = bundle.manifest
        memories = len(bundle.memory.seconds) if bundle.memory is not None else 0
        fields = (
            Ring.fields(slots, held.height, held.width, held.dtype, bundle.latent),
            Ledger.fields(),
            vitals.fields(len(held.charts)),
            eventlog.fields(),
            board.fields(),
            notes.fields(memories, bundle.latent),
        )
        ring, account, self.vitals, self.log, self.counts, self.noted = lay_out(bytearray(size_of(*fields)), *fields)
        self.ring, self.clock = Ring(ring), Clock()
        self.backlog = Backlog(self.ring, Ledger(account), 128, 0)
        self.ingest = Ingest("cam", bundle.admission, WireLimits(), 10**12, self.backlog)
        self.handover = Handover(
            self.log, wake_fd, "hot-1", bundle.sha256, held.charts, self.ring, self.clock, lambda: T_NS + self.clock()
        )
        judge = Judge(
            load_scorer(bundle), held.charts, bundle.context_limits, bundle.camera_limits, RULE, bundle.memory
        )
        book = notes.of_arrays(self.noted, self.ring.slots, self.ring.written)
        report = self.handover.report
        self.engine = Engine(
            self.backlog, judge, self.vitals, report, self.clock, lambda: T_NS + self.clock(), None, book
        )
        self.fates = Fates(self.counts)
        self.follower = Follower(self.ring, self.log, self.noted, extent, self.fates, chart=bundle.memory)
        self.about = About("cam", bundle.sha256, held.settings, held.charts, bundle.context_limits, 1000.0)
        self.shelf = Shelf(folder)
        self.scorer = load_scorer(bundle)
        self.writer = self.write_on(self.shelf, round(mib * 2**20))
        self.seq = 0

    def write_on(self, shelf: Shelf, budget: int = 2**26) -> Writer:
        return Writer(shelf, budget, self.about, self.scorer, self.counts, self.fates, lambda: T_NS)

    def send(self, frames: Pixels, *, stream: str = "one", **header: Any) -> None:
        """The camera sends *frames* in one message, a millisecond apart, and they are judged."""
        facts = {"context": "hatch", **header}
        parts = native.encode("cam", stream, self.seq, T_NS + self.seq * 10**6, frames, dt_ns=10**6, **facts)
        self.ingest.take(parts, self.clock())
        self.seq += len(frames)
        self.judge()

    def judge(self) -> None:
        while (claim := self.backlog.claim(self.clock())) is not None:
            self.engine.judge_batch(*claim)

    def turn(self, later_s: float = 0.02, *, last: bool = False) -> list[Take]:
        """The recorder's next turn, and the one after it: what the first sees as judged, the second copies."""
        done = []
        for _ in range(2):
            self.clock.now_ns += round(later_s * 1e9)
            done += self.follower.turn(self.clock(), last=last)
        return done

    def record(self, **how: Any) -> list[str]:
        """Write what is whole by now; the names of all recordings, oldest first."""
        for take in self.turn(**how):
            self.writer.write(take)
        return [one.name for one in self.shelf.files()]


@contextmanager
def plant(bundle: Bundle, folder: Path, **more: Any) -> Iterator[Plant]:
    """A `Plant` with a bell of its own."""
    wake_fd = os.eventfd(0)
    try:
        folder.mkdir(exist_ok=True)
        yield Plant(bundle, folder, wake_fd, **more)
    finally:
        os.close(wake_fd)


class Film:
    """A ring without an engine, whose frames are judged by hand, with an event log and who follows it."""

    def __init__(self, extent: Extent = EXTENT, slots: int = 256, latent: int = 2) -> None:
        fields = (
            Ring.fields(slots, SIDE, SIDE, "uint8", latent),
            eventlog.fields(),
            notes.fields(0, 0),
            board.fields(),
        )
        ring, self.log, self.noted, self.counts = lay_out(bytearray(size_of(*fields)), *fields)
        self.ring, self.seq, self.now_ns = Ring(ring), 0, 10**9
        self.follower = self.follow(extent)

    def follow(self, extent: Extent = EXTENT, cursor: int = 0) -> Follower:
        return Follower(self.ring, self.log, self.noted, extent, Fates(self.counts), cursor)

    def show(self, count: int, *, over: bool = False, judged: bool = True, skip: int = 0, stream: str = "s") -> int:
        """Write frames whose pixels are their own number, after *skip* that were lost; the position of the first."""
        self.seq += skip
        numbers = np.arange(self.seq, self.seq + count).astype(np.uint8)
        pixels = np.broadcast_to(numbers[:, None, None], (count, SIDE, SIDE))
        message = decode(native.encode("cam", stream, self.seq, 1000 * self.seq, pixels), WireLimits())
        first = self.ring.write(message, 0, count, 0, 77)[0]
        self.seq += count
        if judged:
            self.judge(first, first + count, over=over)
        return first

    def judge(self, lo: int, hi: int, *, over: bool = False) -> None:
        for position in range(lo, hi):
            records = self.ring.records(position, position + 1)
            records["joint"], records["t2"], records["judged_ns"] = (2.0 if over else 0.5), 1.0, 5
            self.ring.latents(position, position + 1)[:] = position

    def tell(self, phase: Any, first: int, last: int, event: int = 1, **more: Any) -> EventRecord:
        """A record of an event whose frames lie from position *first* to *last*."""
        peak = more.pop("peak", first)
        ratio = more.pop("ratio", 2.0)
        seqs = [int(self.ring.records(one, one + 1)["seq"][0]) for one in (first, last, peak)]
        told = EventRecord(
            phase, more.pop("epoch", "hot-1"), event, more.pop("source", "t2"), T_NS + event, stream="s",
            first_seq=seqs[0], last_seq=seqs[1], frames_over=last - first + 1,
            peak=Peak(seqs[2], 50 * ratio, 50.0, ratio), position=more.pop("position", peak), **more,
        )  # fmt: skip
        eventlog.append(self.log, told)
        return told

    def turn(self, later_s: float = 0.02, **more: Any) -> list[Take]:
        """Two turns of the follower, as of `Plant`."""
        done = []
        for _ in range(2):
            self.now_ns += round(later_s * 1e9)
            done += self.follower.turn(self.now_ns, **more)
        return done


def seqs(take: Take) -> list[int]:
    """The numbers of a take's frames, in order; each frame shows its own."""
    found = []
    for stretch in take.stretches:
        _, records, latents = stretch.beside()
        pixels = np.concatenate([*stretch.blocks(), np.empty((0, SIDE, SIDE), np.uint8)])
        assert np.array_equal(pixels[:, 0, 0], records["seq"].astype(np.uint8))
        assert (pixels == pixels[:, :1, :1]).all()
        assert len(latents) == len(records)
        found += records["seq"].tolist()
    return found


def failed(counts: Arrays) -> dict[str, int]:
    return {reason: count for reason, count in board.counts(counts).failed.items() if count}


def fill(ballast: Path, free: int) -> None:
    """Leave *free* bytes beside it."""
    ballast.unlink(missing_ok=True)
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    os.truncate(ballast, ballast.stat().st_size - free)
