"""Does anything grow? `make steady`, or with options:

    python -m tests.benchmarks.steady_state --frames 10000000

A producer process pushes small frames, flat out or at --rate, into the real daemon; memory, threads, open files, disk
and delay of both processes are sampled as the frames pass. What is larger in the last tenth of the samples than in the
first is told with its slope, and ends it with status 1 where it is more than chance makes it. The first twentieth, in
which the daemon warms up, is left out.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

os.environ.setdefault("GOMP_SPINCOUNT", "0")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import zmq
from daemon import CAMERA, Daemon
from frames import normal, runs

from monitor.calibrate import calibrate
from monitor.config import Calibration
from monitor.wire.native import encode

SIDE_PX = 32
BANK = 4096  # different frames
PER_MESSAGE = 64
SAMPLES = 100
RATE_HZ = 20_000  # for the ring's size and the budget
MIB = 2**20


class Measure(NamedTuple):
    """One thing that must not grow: how much more in the last tenth than in the first is chance."""

    name: str
    tolerated: float
    share: float = 0.0  # ... of what it is, if that is more


AGE: Final = "frame age p99 ms"
MEASURES: Final = (
    Measure("hot resident MiB", 4.0, 0.02),
    Measure("side resident MiB", 4.0, 0.03),
    Measure("hot threads", 0.0),
    Measure("side threads", 0.0),
    Measure("hot files", 0.0),
    Measure("side files", 1.0),  # the page's connections
    Measure("disk MiB", 4.0, 0.0),  # blocks of judged time are kept: 0.1 MiB an hour
    Measure(AGE, 5.0, 0.5),
)


class Growth(NamedTuple):
    """From the first tenth of the samples to the last."""

    first: float
    last: float
    slope: float  # a million frames

    def is_grown(self, measure: Measure) -> bool:
        return self.last - self.first > max(measure.tolerated, measure.share * self.first)


def growth(frames: np.ndarray, values: np.ndarray) -> Growth:
    """Of *values* (n,) sampled at *frames* (n,)."""
    tenth = max(1, len(values) // 10)
    slope = np.polyfit(frames / 1e6, values, 1)[0] if len(values) > 1 else 0.0
    return Growth(float(np.median(values[:tenth])), float(np.median(values[-tenth:])), float(slope))


def produce(endpoint: str, count: int, rate_hz: float) -> None:
    """Push *count* frames, flat out where *rate_hz* is 0."""
    bank = normal(BANK, 10**6, SIDE_PX, SIDE_PX)
    camera, header, *_ = encode(CAMERA, "steady", 10**9, 10**18, bank[:PER_MESSAGE], dt_ns=round(1e9 / RATE_HZ))
    before, rest = bytes(header).split(b"1000000000", 1)
    between, after = rest.split(b"1000000000000000000", 1)
    socket = zmq.Context.instance().socket(zmq.PUSH)
    socket.set_hwm(200)
    socket.connect(endpoint)
    begun = time.perf_counter()
    for seq in range(0, count, PER_MESSAGE):
        if rate_hz and (ahead_s := seq / rate_hz - (time.perf_counter() - begun)) > 0:
            time.sleep(ahead_s)
        first = seq % BANK
        told = b"%b%d%b%d%b" % (before, seq, between, time.time_ns(), after)
        socket.send_multipart([camera, told, bank[first : first + PER_MESSAGE]], copy=True)
    socket.close(linger=60_000)
    zmq.Context.instance().term()


def sample(daemon: Daemon) -> list[float]:
    """What MEASURES name, now."""
    pids = [daemon.child(name) for name in ("hot", "side")]
    status = [_status(pid) for pid in pids]
    disk = sum(path.stat().st_size for path in daemon.folder.iterdir() if path.is_file() and path != daemon.log)
    return [
        *(one["RssAnon"] / 1024 + one["RssFile"] / 1024 for one in status),
        *(one["Threads"] for one in status),
        *(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids),
        disk / MIB,
        daemon.heartbeats[-1].frame_age_p99_ms if daemon.heartbeats else 0.0,
    ]


def _status(pid: int) -> dict[str, float]:
    lines = (line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {key: float(value.split()[0]) for key, value in lines if key in ("RssAnon", "RssFile", "Threads")}


def watch(daemon: Daemon, count: int, alive: Callable[[], bool]) -> tuple[np.ndarray, np.ndarray]:
    """Samples until *count* frames have passed: (frames passed (n,), values (n, measures))."""
    passed: list[int] = []
    values: list[list[float]] = []
    wanted = 0.0
    while alive() or daemon.status().ledger.in_flight:
        daemon.listen(0.05)
        announced = daemon.status().ledger.announced
        if announced >= wanted:
            passed.append(announced)
            values.append(sample(daemon))
            wanted = announced + count / SAMPLES
    return np.array(passed), np.array(values)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=10_000_000)
    parser.add_argument("--rate", type=float, default=10_000.0, help="frames a second; 0: flat out")
    parser.add_argument("--produce", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.produce:
        produce(options.produce[0], int(options.produce[1]), float(options.produce[2]))
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Calibration(latent=4, max_steps=250, false_alarm_rate=0.001)
        bundle = calibrate(runs(), settings, folder / "bundle", rate_hz=RATE_HZ)
        given = {"rate_hz": RATE_HZ, "buffer_s": 1}
        with Daemon(folder, bundle.path, input=given, log={"level": "error"}) as daemon:
            daemon.wait_until_listening()
            arguments = [daemon.endpoint, str(options.frames), str(options.rate)]
            command = [sys.executable, "-m", "tests.benchmarks.steady_state", "--produce", *arguments]
            begun = time.monotonic()
            producer = subprocess.Popen(command)
            frames, values = watch(daemon, options.frames, lambda: producer.poll() is None)
            took_s, ledger = time.monotonic() - begun, daemon.status().ledger
            daemon.stop()
    return report(frames, values, ledger.judged, sum(ledger.dropped.values()), took_s)


def report(frames: np.ndarray, values: np.ndarray, judged: int, dropped: int, took_s: float) -> int:
    """Print what was measured; 1 where something grew."""
    say = sys.stdout.write
    say(f"{frames[-1]:,} frames in {took_s:.0f} s, {judged:,} judged, {dropped:,} dropped\n\n")
    say("| | first tenth | last tenth | a million frames | |\n|---|---|---|---|---|\n")
    warm, grown = len(frames) // 20, 0
    for index, measure in enumerate(MEASURES):
        found = growth(frames[warm:], values[warm:, index])
        # While frames are dropped their age is that of what the ring holds, whatever the daemon does.
        bad = found.is_grown(measure) and not (dropped and measure.name == AGE)
        grown += bad
        told = "GROWS" if bad else ""
        say(f"| {measure.name} | {found.first:.2f} | {found.last:.2f} | {found.slope:+.3f} | {told} |\n")
    return int(grown > 0)


if __name__ == "__main__":
    sys.exit(main())
