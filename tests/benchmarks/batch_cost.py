"""What a batch costs the engine beside its scoring, and how late the first one after a pause is.

    python -m tests.benchmarks.batch_cost --size 120 --pauses 0.2 1 5

Camera check, rows, memory chart, joint score, event rule, account, histograms and the watch over the promise, in
microseconds of processor time: the median batch, its scores known beforehand. Then the scorer itself on batches of
eight, one right after the other and after pauses.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "0")

import numpy as np
import torch

from models.scorer import Scorer, Scores
from monitor import blocklog, unitlog, vitals
from monitor.backlog import Backlog
from monitor.bundle import Bundle
from monitor.calibrate import calibrate
from monitor.camera.meltpool.camera import normal_frames
from monitor.camera.recordings import Recording
from monitor.config import Calibration, Config
from monitor.engine import Engine
from monitor.ingest import Ingest
from monitor.judge import Judge
from monitor.ledger import Ledger
from monitor.promise import witness_of
from monitor.recorder import notes
from monitor.ring import Ring
from monitor.score import load_scorer
from monitor.shared import lay_out, size_of
from monitor.types import Pixels
from monitor.wire.native import WireLimits, encode

RATE_HZ = 2000.0
BATCHES = (1, 4, 8, 32, 128)
TIMED = 300
SLOTS = 2048


class Known:
    """Answers with the scores that the first batch of each size had."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._scores: dict[int, Scores] = {}

    def __call__(self, frames: Pixels, _after_chunk: Callable[[], None]) -> Scores:
        if len(frames) not in self._scores:
            self._scores[len(frames)] = self._scorer(frames)
        return self._scores[len(frames)]


class Line:
    """Ingest, ring, backlog, engine and witness on one thread, fed with *frames* one after the other."""

    def __init__(self, bundle: Bundle, scorer: object, frames: Pixels, *, recorded: bool = False) -> None:
        """*recorded*: latents and notes are left for the recorder, as they are where there is one."""
        held, config = bundle.manifest, Config()
        memories = len(bundle.memory.seconds) if recorded and bundle.memory else 0
        fields = (
            Ring.fields(SLOTS, held.height, held.width, held.dtype, bundle.latent if recorded else 0),
            Ledger.fields(),
            vitals.fields(len(held.charts)),
            blocklog.fields(),
            unitlog.fields(),
            notes.fields(memories, bundle.latent),
        )
        ring, ledger, board, blocks, units, noted = lay_out(bytearray(size_of(*fields)), *fields)
        self._backlog = Backlog(Ring(ring), Ledger(ledger), max(BATCHES), 0)
        self._ingest = Ingest("cam", bundle.admission, WireLimits(), 10**12, self._backlog)
        limits, rule = bundle.context_limits, held.rule_for(config.events)
        judge = Judge(scorer, held.charts, limits, bundle.camera_limits, rule, bundle.memory)  # type: ignore[arg-type]  # a scorer or what is known of one
        self._witness = witness_of(config, held, "bench", board, blocks, units)
        clocks = time.monotonic_ns, time.time_ns
        book = notes.of_arrays(noted, SLOTS, 0)
        self._engine = Engine(self._backlog, judge, board, lambda changes: None, *clocks, self._witness, book)
        self._frames, self._seq = frames, 0

    def batch(self, count: int) -> tuple[float, float]:
        """Judge the next *count* frames: seconds of processor time, and by the clock."""
        first = self._seq % (len(self._frames) - count)
        pixels = self._frames[first : first + count]
        period_ns = round(1e9 / RATE_HZ)
        parts = encode("cam", "one", self._seq, self._seq * period_ns, pixels, dt_ns=period_ns)
        self._ingest.take(parts, time.monotonic_ns())
        self._seq += count
        processor, clock = time.thread_time(), time.perf_counter()
        claim = self._backlog.claim(1 << 62)
        assert claim is not None
        self._engine.judge_batch(*claim)
        self._witness.turn(time.monotonic_ns(), time.time_ns())
        return time.thread_time() - processor, time.perf_counter() - clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=120)
    parser.add_argument("--pauses", type=float, nargs="*", default=[0.2, 1.0, 5.0])
    options = parser.parse_args()
    side, say = options.size, sys.stdout.write
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        runs = [Recording(f"run {seed}", normal_frames(60, seed, side, side)) for seed in range(12)]
        clean = [Recording(f"clean {seed}", normal_frames(600, seed, side, side)) for seed in range(20, 26)]
        settings = Calibration(max_steps=200, memories_s=(20 / RATE_HZ,))
        bundle = calibrate(runs, settings, Path(name) / "bundle", stretches=clean, rate_hz=RATE_HZ)
    scorer, frames = load_scorer(bundle), normal_frames(256, 7, side, side)
    line, recorded = (Line(bundle, Known(scorer), frames, recorded=kept) for kept in (False, True))
    say(f"{side} px beside scoring\n| batch | us a batch | us a frame | us with the recorder |\n|---|---|---|---|\n")
    for count in BATCHES:
        found = np.array([[one.batch(count)[0] * 1e6 for one in (line, recorded)] for _ in range(TIMED + 20)])[20:]
        plain, kept = found.mean(axis=0)
        say(f"| {count} | {plain:.0f} | {plain / count:.1f} | {kept:.0f} |\n")
    whole = Line(bundle, scorer, frames)
    steady = [whole.batch(8)[1] * 1e3 for _ in range(100)][20:]
    say(f"\nbatches of 8 with scoring: median {np.median(steady):.2f} ms, 95 % {np.quantile(steady, 0.95):.2f}\n")
    for pause_s in options.pauses:
        firsts = []
        for _ in range(5):
            time.sleep(pause_s)
            firsts.append(whole.batch(8)[1] * 1e3)
            for _ in range(10):
                whole.batch(8)
        say(f"first after {pause_s:g} s: {np.median(firsts):.2f} ms ({min(firsts):.2f} to {max(firsts):.2f})\n")


if __name__ == "__main__":
    main()
