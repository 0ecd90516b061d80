"""How long the thread that follows the ring is held up by the one that writes the archive, with other work beside both.

`python -m tests.benchmarks.recorder_pauses [--beside 3] [--nice 19]`. Frames of 16 px come in at `--rate`, as in the
recorder's process a turn is due every 20 ms; busy loops at nice 0 want all cores. Tells of the longest pauses between
two turns, while rows are written and while a Parquet file is finished, and how many frames were not archived.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from calibration.limits import ContextLimits, fit_limits
from monitor.recorder import board
from monitor.recorder.archive import Archive
from monitor.recorder.config import Recorder
from monitor.recorder.process import NICE, TURN_S
from monitor.recorder.recording import About
from monitor.ring import Ring
from monitor.shared import lay_out, size_of

LATENT = 32
PATIENCE_S = 5.0  # with what is not written by then
BUSY = "while True: pass"


def stock(ring: Ring) -> None:
    """Slots whose frames are judged."""
    records, random = ring.records(0, ring.slots), np.random.default_rng(1)
    records["stream"], records["job"], records["context"] = b"s", b"part 7", b"hatch"
    records["seq"] = np.arange(ring.slots)
    for chart in ("t2", "s2", "joint"):
        records[chart] = random.random(ring.slots, np.float32)
    records["judged_ns"] = 1
    ring.latents(0, ring.slots)[:] = random.standard_normal((ring.slots, LATENT), np.float32)


def follow(archive: Archive, ring: Ring, rate_hz: float, seconds: float) -> list[float]:
    """Turns for so long; the pauses between them, in seconds."""
    begun = last = time.monotonic()
    pauses, never = [], threading.Event()
    while last - begun < seconds:
        never.wait(TURN_S)
        now = time.monotonic()
        pauses.append(now - last)
        last = now
        hi = int((now - begun) * rate_hz)
        ring.reserve(hi - ring.written)
        ring.commit(hi)
        archive.turn(hi, time.monotonic_ns())
    return pauses


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", type=int, default=3, help="busy loops")
    parser.add_argument("--rate", type=float, default=10_000.0, help="frames a second")
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--rows", type=int, default=150_000, help="frames a file")
    parser.add_argument("--buffer", type=float, default=2.0, help="seconds that the ring holds")
    parser.add_argument("--nice", type=int, default=NICE, help="of the thread that writes")
    options = parser.parse_args()
    fields = Ring.fields(round(options.buffer * options.rate), 16, 16, "uint8", LATENT), board.fields()
    arrays, counts = lay_out(bytearray(size_of(*fields)), *fields)
    ring = Ring(arrays)
    stock(ring)
    limits = ContextLimits(fit_limits(np.random.default_rng(2).random((2000, 2)), 0.01), {})
    about = About("cam", "0" * 64, None, ("t2", "s2"), limits, options.rate)
    loops = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(options.beside)]
    os.nice(NICE)

    def at_nice(body: Callable[[], None]) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), options.nice)
        body()

    try:
        with tempfile.TemporaryDirectory() as name:
            settings = Recorder(archive=True, archive_rows=options.rows)
            archive = Archive(ring, settings, Path(name), about, counts, time.time_ns)
            archive.start(at_nice)
            pauses = sorted(follow(archive, ring, options.rate, options.seconds))
            archive.close(PATIENCE_S)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    found = board.counts(counts)
    sys.stdout.write(
        f"writer at nice {options.nice}, {options.beside} busy loops: {len(pauses)} turns, pauses of "
        f"{pauses[len(pauses) // 2]:.3f} s (median), {pauses[-len(pauses) // 100]:.3f} s (99 %), "
        f"{pauses[-1]:.2f} s (longest); "
        f"{found.archived} frames archived, {found.archive_missing} not\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
