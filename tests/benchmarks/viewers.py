"""What lookers-on cost the frames: `python -m tests.benchmarks.viewers [--rate 5000] [--viewers 8]`.

Frames of a simulated melt pool go through the real daemon while nobody looks at the page, and while some viewers read
its live events and ask for history and map as the page does; in turns, so that what else the machine does falls on
both. Tells of each the 99 % age from received to judged, frames lost, and the processor time of both processes, and how
many times as much it is with viewers. One process reads for all viewers; its time is not the daemon's.
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np

from monitor.bench.children import Camera
from monitor.bench.daemon import Daemon, free_ports
from monitor.bench.producer import Opening, Order
from monitor.bench.subject import Subject, subject_of, trained
from monitor.bench.trial import Outcome, run_trial
from monitor.camera.publisher import frames_per_message_at
from monitor.config import Config, Http, Input, Log, Outputs

CAMERA = "bench"
WARM_S = 3.0
HISTORY_S, MAP_S = 15.0, 2.0
"""A page asks for history and map so often."""


class Measured(NamedTuple):
    """One turn."""

    p99_ms: float
    lost: int
    hot_s: float  # processor time a second
    side_s: float
    events: float  # that one viewer read, a second


def config_for(folder: Path, subject: Subject, rate_hz: float, endpoint: str) -> Config:
    alarms, permit, snapshot, page = free_ports(4)
    return Config(
        camera=CAMERA,
        journal=str(folder / "journal.db"),
        bundle=str(subject.bundle.path),
        input=Input(
            endpoint=endpoint,
            rate_hz=rate_hz,
            buffer_s=2.0,
            frames_per_message=frames_per_message_at(rate_hz),
        ),
        outputs=Outputs(*(f"tcp://127.0.0.1:{port}" for port in (alarms, permit, snapshot))),
        http=Http(port=page),
        log=Log(level="error"),
    )


def look(url: str, viewers: int) -> None:
    """Read as so many pages do until standard input ends; then say how many events each read."""
    closed, counts = threading.Event(), [0] * viewers

    def follow(index: int) -> None:
        with httpx.Client(trust_env=False, timeout=30) as client, client.stream("GET", f"{url}/api/v1/live") as answer:
            for line in answer.iter_lines():
                counts[index] += line.startswith("event:")
                if closed.is_set():
                    return

    def ask(path: str, every_s: float) -> None:
        with httpx.Client(trust_env=False, timeout=30) as client:
            while not closed.wait(every_s):
                client.get(f"{url}/api/v1/{path}").raise_for_status()

    threads = [threading.Thread(target=follow, args=(index,)) for index in range(viewers)]
    for _ in range(viewers):
        threads.append(threading.Thread(target=ask, args=("history?span_s=600&bins=2000", HISTORY_S)))
        threads.append(threading.Thread(target=ask, args=("map", MAP_S)))
    for thread in threads:
        thread.start()
    sys.stdin.read()
    closed.set()
    for thread in threads:
        thread.join()
    sys.stdout.write(f"{sum(counts) / max(viewers, 1)}\n")


@contextmanager
def looking(url: str, viewers: int) -> Iterator[list[float]]:
    """With so many viewers in a process of their own; what each has read is known at the end."""
    command = [sys.executable, "-m", "tests.benchmarks.viewers", "--look", url, "--viewers", str(viewers)]
    read: list[float] = []
    if not viewers:
        yield read
        return
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            time.sleep(WARM_S)
            yield read
            out, _ = process.communicate(b"", timeout=60)
            read.append(float(out))
        finally:
            process.kill()


def measure(daemon: Daemon, camera: Camera, url: str, rate_hz: float, seconds: float, viewers: int) -> Measured:
    with looking(url, viewers) as read:
        begun = time.monotonic()
        outcome = run_trial(daemon, camera, rate_hz, seconds)
        elapsed_s = time.monotonic() - begun
    trial = outcome.trial
    events = read[0] / (elapsed_s + WARM_S) if read else 0.0
    lost = trial.dropped + trial.lost_upstream
    return Measured(_p99_ms(outcome), lost, trial.cores_hot, trial.cores_side, events)


def _p99_ms(outcome: Outcome) -> float:
    return float(np.quantile(outcome.delays.received_to_judged, 0.99)) / 1e6


def report(without: list[Measured], watched: list[Measured], viewers: int) -> None:
    """Medians over the turns, their least and most, and the ratio of the medians."""
    say = sys.stdout.write
    say(f"| | nobody looks | {viewers} viewers | ratio |\n|---|---|---|---|\n")
    for name, field, digits in (
        ("age p99 ms", "p99_ms", 2),
        ("hot process, cores", "hot_s", 3),
        ("side process, cores", "side_s", 3),
    ):
        cells, medians = [], []
        for turns in (without, watched):
            values = [getattr(one, field) for one in turns]
            medians.append(float(np.median(values)))
            cells.append(f"{medians[-1]:.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})")
        ratio = medians[1] / medians[0] if medians[0] else float("nan")
        say(f"| {name} | {cells[0]} | {cells[1]} | {ratio:.2f} |\n")
    say(f"| frames lost | {sum(one.lost for one in without)} | {sum(one.lost for one in watched)} | |\n")
    say(f"| events a second, each viewer | | {np.median([one.events for one in watched]):.1f} | |\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rate", type=float, default=5000.0, help="frames a second: the highest that the machine holds"
    )
    parser.add_argument("--size", type=int, default=64, help="pixels a side")
    parser.add_argument("--viewers", type=int, default=8)
    parser.add_argument("--turns", type=int, default=5, help="with and without viewers, each")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each turn")
    parser.add_argument("--look", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.look:
        look(options.look, options.viewers)
        return 0
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        subject = subject_of(folder, trained(folder, options.size, "uint8", options.rate), [], "")
        camera = stack.enter_context(
            Camera(
                Opening(str(subject.bank), "tcp://127.0.0.1:*", CAMERA, options.rate, subject.context, subject.settings)
            )
        )
        config = config_for(folder, subject, options.rate, camera.endpoint)
        daemon = stack.enter_context(Daemon(config, subject.bundle))
        if not daemon.wait_until_ready():
            sys.exit("the daemon was never ready")
        camera.send(Order(options.rate, round(options.rate * WARM_S)), daemon.look)
        without, watched, url = list[Measured](), list[Measured](), f"http://127.0.0.1:{config.http.port}"
        for _ in range(options.turns):
            without.append(measure(daemon, camera, url, options.rate, options.seconds, 0))
            watched.append(measure(daemon, camera, url, options.rate, options.seconds, options.viewers))
    sys.stdout.write(
        f"{options.rate:,.0f} frames/s of {options.size} px, {options.turns} turns of {options.seconds:g} s\n\n"
    )
    report(without, watched, options.viewers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
