"""Whether a grouping holds up the judging: frames' delays without and with one beside them, in turn.

    python -m tests.benchmarks.grouping_beside --bundle build/taxonomy --rate 2000 --events 5000 --runs 6

The daemon's two real processes, a camera process that sends frames of 64 px at a steady rate, and a file of kinds that
holds frames of simulated anomalies. Runs without and with a grouping take turns: for one with it the daemon is asked
over HTTP, as `framewatch taxonomy run` does, and starts the process itself. Delays are those of every single frame,
from its arrival at the daemon to its judgement, as the ring has them. `covered` is the share of the run that lay within
the grouping, up to when it had written its kinds; the page that it then makes goes on beside the rest.

The table ends with medians over the runs of each sort, and within which the single runs lay: a difference smaller than
that is noise.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

os.environ.setdefault("GOMP_SPINCOUNT", "0")

import httpx
import msgspec
import numpy as np

from monitor import bundle as bundles
from monitor.bench.children import BenchError, Camera
from monitor.bench.daemon import Daemon
from monitor.bench.delays import quantiles
from monitor.bench.measure import ANY_PORT, CAMERA, Plan, config_of
from monitor.bench.producer import Opening, Order
from monitor.bench.subject import subject_of
from monitor.bench.trial import Outcome, run_trial
from monitor.bundle import Bundle
from monitor.config import Config
from monitor.taxonomy.config import Taxonomy
from monitor.taxonomy.records import Run
from monitor.taxonomy.store import Store, beside
from monitor.web import token
from tests.benchmarks.taxonomy.events import calibrated
from tests.benchmarks.taxonomy.grouping import anomalous, fill

PATIENCE_S: Final = 300.0
WARM_S: Final = 3.0
ALONE, BESIDE = "alone", "beside a grouping"
QUANTILES: Final = ("p50_ms", "p99_ms", "p999_ms")


class Measured(NamedTuple):
    """One run."""

    sort: str
    frames: int
    lost: int  # dropped, or lost in the sockets
    p50_ms: float
    p99_ms: float
    p999_ms: float
    cores_hot: float
    covered: float  # share of the run that lay within a grouping


class Kinds:
    """The file of kinds of a daemon that runs, and who asks it over HTTP for a grouping."""

    def __init__(self, config: Config, daemon: Daemon) -> None:
        assert config.http.token_file is not None
        self._url = f"http://127.0.0.1:{config.http.port}/api/v1/taxonomy"
        self._headers = {"Authorization": f"Bearer {Path(config.http.token_file).read_text().splitlines()[-1]}"}
        self._path, self._daemon = beside(Path(config.journal)), daemon

    def ask(self) -> None:
        answer = httpx.post(f"{self._url}/run", json={"by": "benchmark"}, headers=self._headers)
        answer.raise_for_status()

    def wait(self) -> Run:
        """Until no grouping runs; the last one."""
        if self._daemon.wait_until(lambda: not self._seen()["running"], PATIENCE_S) is None:
            raise BenchError(f"the grouping is not over after {PATIENCE_S:g} s")
        if failed := self._seen()["failed"]:
            raise BenchError(f"nothing was grouped: {failed}")
        with closing(Store(self._path, CAMERA, read_only=True)) as store:
            return store.runs()[0]

    def _seen(self) -> dict[str, object]:
        found: dict[str, object] = httpx.get(self._url).raise_for_status().json()
        return found


def measured(daemon: Daemon, camera: Camera, kinds: Kinds, sort: str, rate_hz: float, seconds: float) -> Measured:
    if sort == BESIDE:
        kinds.ask()
    began_ns = time.time_ns()
    outcome = run_trial(daemon, camera, rate_hz, seconds)
    took_ns = time.time_ns() - began_ns
    written_ns = kinds.wait().t_ns if sort == BESIDE else began_ns
    return _measured(sort, outcome, min(max(written_ns - began_ns, 0) / took_ns, 1.0))


def _measured(sort: str, outcome: Outcome, covered: float) -> Measured:
    trial, found = outcome.trial, quantiles(outcome.delays.received_to_judged)
    if found is None:
        raise BenchError("no frame was judged")
    lost = trial.dropped + trial.lost_upstream
    return Measured(sort, found.count, lost, found.p50_ms, found.p99_ms, found.p999_ms, trial.cores_hot, covered)


def text_of(runs: Sequence[Measured]) -> str:
    lines = ["| run | | frames | lost | p50 | p99 | p99.9 | cores of judging | covered |", "|" + "---|" * 9]
    lines += [
        f"| {number} | {one.sort} | {one.frames:,} | {one.lost} | {one.p50_ms:.2f} ms | {one.p99_ms:.2f} ms | "
        f"{one.p999_ms:.2f} ms | {one.cores_hot:.2f} | {one.covered:.0%} |"
        for number, one in enumerate(runs, 1)
    ]
    for name in QUANTILES:
        values = {sort: [getattr(one, name) for one in runs if one.sort == sort] for sort in (ALONE, BESIDE)}
        alone, with_it = (np.array(values[sort]) for sort in (ALONE, BESIDE))
        lines.append(
            f"\n{name.removesuffix('_ms')}: {_spread(alone)} alone, {_spread(with_it)} beside a grouping: "
            f"{np.median(with_it) / np.median(alone):.2f} times as long"
        )
    return "\n".join(lines) + "\n"


def _spread(values: np.ndarray) -> str:
    return f"{np.median(values):.2f} ms ({values.min():.2f} to {values.max():.2f})"


def prepared(config: Config, folder: Path, events: int) -> Config:
    """*config* with a file of kinds that holds so many *events*, which are grouped when someone asks."""
    secret = folder / "http.token"
    token.write(secret)
    with closing(Store(beside(Path(config.journal)), CAMERA)) as store:
        fill(store, anomalous(events))
    return msgspec.structs.replace(
        config,
        http=msgspec.structs.replace(config.http, token_file=str(secret)),
        taxonomy=Taxonomy(samples=events, normals=0, mib=1024.0, period_s=None, every_events=None),
    )


def compare(folder: Path, bundle: Bundle, rate_hz: float, events: int, runs: int, seconds: float) -> None:
    subject = subject_of(folder, bundle, (), "a simulated melt pool")
    opening = Opening(str(subject.bank), ANY_PORT, CAMERA, rate_hz, subject.context, subject.settings)
    with Camera(opening) as camera:
        config = prepared(config_of(Plan(), subject, camera.endpoint, folder, rate_hz), folder, events)
        with Daemon(config, bundle) as daemon:
            if not daemon.wait_until_ready():
                raise BenchError("the daemon did not get ready to receive frames")
            camera.send(Order(rate_hz, round(WARM_S * rate_hz)), daemon.look)
            kinds = Kinds(config, daemon)
            kinds.ask()
            first = kinds.wait()  # finds the kinds, of which the daemon then tells; the others find them again
            told = f"{first.points:,} events, {first.kinds} kind(s), grouped in {first.seconds:.1f} s without frames"
            sys.stdout.write(f"{rate_hz:,.0f} frames/s of 64 px; {told}\n\n")
            found = [
                measured(daemon, camera, kinds, sort, rate_hz, seconds) for _ in range(runs) for sort in (ALONE, BESIDE)
            ]
    sys.stdout.write(text_of(found))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="of `tests.benchmarks.taxonomy`; where none is, it is made there")
    parser.add_argument("--rate", type=float, default=2000.0, help="frames a second")
    parser.add_argument("--events", type=int, default=5000, help="frames that are grouped")
    parser.add_argument("--runs", type=int, default=6, help="of each sort")
    parser.add_argument("--seconds", type=float, default=4.0, help="of a run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        path = options.bundle or Path(name) / "bundle"
        bundle = bundles.read(path) if path.is_dir() else calibrated(path)
        compare(Path(name), bundle, options.rate, options.events, options.runs, options.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
