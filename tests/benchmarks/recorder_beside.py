"""What the recorder costs the frames: `python -m tests.benchmarks.recorder_beside [--rate 10000] [--size 64]`.

Two real daemons, one that records events and one that does not, each with a camera process that sends frames of a
simulated melt pool and now and then a black one, which is an event. They take turns, so that what else the machine does
falls on both; the one whose turn it is not judges nothing. Tells of each the delays of every single frame from received
to judged, frames lost, and processor time, and how many times as much it is with the recorder; and of the recorder how
many recordings were written, and how many frames of events' windows are missing, once all turns are over.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

os.environ.setdefault("GOMP_SPINCOUNT", "0")

import msgspec
import numpy as np

from monitor.bench.children import BenchError, Camera
from monitor.bench.daemon import Daemon
from monitor.bench.delays import quantiles
from monitor.bench.measure import ANY_PORT, CAMERA, Plan, config_of
from monitor.bench.producer import Opening, Order
from monitor.bench.subject import Subject, subject_of, trained
from monitor.bench.trial import run_trial
from monitor.recorder.board import Counts
from monitor.recorder.config import Recorder

WARM_S: Final = 3.0
PATIENCE_S: Final = 60.0
FIELDS: Final = (("p50 ms", 2), ("p99 ms", 2), ("p99.9 ms", 2), ("judging, cores", 3), ("recorder, cores", 3))


class Measured(NamedTuple):
    """One turn."""

    p50_ms: float
    p99_ms: float
    p999_ms: float
    cores_hot: float
    cores_recorder: float
    events: int
    lost: int  # dropped, or lost in the sockets


class Side:
    """A daemon and its camera."""

    def __init__(self, stack: ExitStack, folder: Path, subject: Subject, rate_hz: float, recorder: Recorder) -> None:
        folder.mkdir()
        opening = Opening(str(subject.bank), ANY_PORT, CAMERA, rate_hz, subject.context, subject.settings)
        self._camera = stack.enter_context(Camera(opening))
        config = config_of(Plan(), subject, self._camera.endpoint, folder, rate_hz)
        config = msgspec.structs.replace(config, recorder=recorder)
        self.daemon = stack.enter_context(Daemon(config, subject.bundle))
        if not (self.daemon.wait_until_ready() and self.daemon.wait_until_recording()):
            raise BenchError("the daemon did not get ready to receive frames")
        self._camera.send(Order(rate_hz, round(WARM_S * rate_hz)), self.daemon.look)

    def turn(self, rate_hz: float, seconds: float, every_s: float) -> Measured:
        outcome = run_trial(self.daemon, self._camera, rate_hz, seconds, round(every_s * rate_hz))
        trial, found = outcome.trial, quantiles(outcome.delays.received_to_judged)
        if found is None:
            raise BenchError("no frame was judged")
        lost = trial.dropped + trial.lost_upstream
        cores = trial.cores_hot, trial.cores_recorder
        return Measured(found.p50_ms, found.p99_ms, found.p999_ms, *cores, len(outcome.dark), lost)

    def recorded(self) -> Counts:
        """What the recorder has counted, once it has dealt with all events."""
        if self.daemon.wait_until(self.daemon.has_recorded_all, PATIENCE_S) is None:
            raise BenchError(f"not all events are recorded {PATIENCE_S:g} s after the last")
        return self.daemon.recorded()


def report(without: Sequence[Measured], beside: Sequence[Measured], counts: Counts) -> str:
    """Medians over the turns, their least and most, and the ratio of the medians."""
    lines = ["| | without | with the recorder | ratio |", "|---|---|---|---|"]
    for index, (name, digits) in enumerate(FIELDS):
        columns = [np.array([one[index] for one in turns]) for turns in (without, beside)]
        medians = [float(np.median(values)) for values in columns]
        cells = [f"{np.median(one):.{digits}f} ({one.min():.{digits}f} to {one.max():.{digits}f})" for one in columns]
        ratio = f"{medians[1] / medians[0]:.2f}" if medians[0] else ""
        lines.append(f"| {name} | {cells[0]} | {cells[1]} | {ratio} |")
    lines.append(f"| frames lost | {sum(one.lost for one in without)} | {sum(one.lost for one in beside)} | |")
    events, failed = sum(one.events for one in beside), sum(counts.failed.values())
    size = counts.nbytes / max(counts.recordings, 1) / 2**20
    return "\n".join(lines) + (
        f"\n\n{events} black frames: {counts.written} recordings of {size:.1f} MiB written, "
        f"{failed} events without one, {counts.missing} frames missing\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=10_000.0, help="frames a second")
    parser.add_argument("--size", type=int, default=64, help="pixels a side")
    parser.add_argument("--every", type=float, default=3.0, help="seconds between two events")
    parser.add_argument("--turns", type=int, default=5, help="of each")
    parser.add_argument("--seconds", type=float, default=12.0, help="of a turn")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        subject = subject_of(folder, trained(folder, options.size, "uint8", options.rate), [], "a simulated melt pool")
        alone = Side(stack, folder / "without", subject, options.rate, Recorder(mib=0))
        beside = Side(stack, folder / "with", subject, options.rate, Recorder(mib=8192))
        turns: dict[Side, list[Measured]] = {alone: [], beside: []}
        for _ in range(options.turns):
            for side, found in turns.items():
                found.append(side.turn(options.rate, options.seconds, options.every))
        counts = beside.recorded()
    sys.stdout.write(
        f"{options.rate:,.0f} frames/s of {options.size} px, an event every {options.every:g} s, "
        f"{options.turns} turns of {options.seconds:g} s each\n\n{report(turns[alone], turns[beside], counts)}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
