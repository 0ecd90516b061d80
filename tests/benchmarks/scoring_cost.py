"""What scoring a frame costs on the processor, and where it goes: `make scoring`, or

    python -m tests.benchmarks.scoring_cost --size 64 --size 120

Microseconds of one thread's processor time a frame, in batches of 64, the best of seven rounds: preparation, network
and statistics, all of them together, and beside them the same step as plain operations of torch. With a decoder in
bfloat16 too, where the processor has instructions for it.
"""

import argparse
import itertools
import os
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "0")

import numpy as np
import torch

from calibration import charts
from models import cpu
from models.architecture import Architecture
from models.autoencoder import fresh, operations
from models.cpu import CompiledPass, Pass
from models.cuda import CudaEngine
from models.plan import plan_of
from models.preparer import fit_preparation
from models.scorer import Scorer
from models.scores import Precision
from models.tensors import ChartParameters
from models.torch_pass import TorchPass
from models.trained import Trained, scorer_of, weights_of, whitened_network
from models.training import latents_and_residuals
from monitor.camera.meltpool.camera import normal_frames
from monitor.service import MALLOC

BATCH, ROUNDS, CALLS = 64, 7, 40
ALONE = (1, 5, 16, 32)
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


def made(side_px: int, stem_px: int, precision: Precision) -> tuple[Scorer, Any, Trained]:
    """A scorer of an untrained network, which costs what a trained one does; the same as operations of torch."""
    frames = normal_frames(300, 3, side_px, side_px)
    preparation = fit_preparation(frames, "auto", "auto")
    trained = Trained(fresh(*preparation.size, Architecture(stem_px=stem_px), 0), preparation, ())
    parameters = ChartParameters(*charts.fit(lambda: latents_and_residuals(trained, frames))[:7])
    scorer = scorer_of(trained, parameters, precision=precision)
    return scorer, CudaEngine(preparation, whitened_network(scorer.parts), parameters, precision, "cpu"), trained


def microseconds(call: Callable[[], object], frames: int = BATCH) -> float:
    """Of processor time a frame, of *call* on so many *frames*."""
    call()
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.thread_time()
        for _ in range(CALLS):
            call()
        best = min(best, time.thread_time() - begun)
    return best / CALLS / frames * 1e6


class Stopwatch:
    """Processor time that the calls of functions of a module take."""

    def __init__(self, *names: str) -> None:
        self.seconds = dict.fromkeys(names, 0.0)
        self._plain = {name: getattr(cpu, name) for name in names}
        for name in names:
            setattr(cpu, name, self._timed(name))

    def stop(self) -> None:
        for name, plain in self._plain.items():
            setattr(cpu, name, plain)

    def _timed(self, name: str) -> Callable[..., object]:
        def call(*given: object) -> object:
            begun = time.thread_time()
            found = self._plain[name](*given)
            self.seconds[name] += time.thread_time() - begun
            return found

        return call


def parts(scorer: Scorer, frames: np.ndarray) -> tuple[float, float]:
    """Microseconds a frame of preparation and statistics."""
    watch = Stopwatch("prepare", "score")
    for _ in range(CALLS):
        scorer(frames)
    watch.stop()
    return tuple(watch.seconds[name] / CALLS / len(frames) * 1e6 for name in ("prepare", "score"))  # type: ignore[return-value]  # two of them


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, action="append", help="side of the frames, px (default 64 and 120)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    say = sys.stdout.write
    say("| frames | stem | operations | decoder | preparation | network | statistics | together | torch | ratio |\n")
    say("|---|---|---|---|---|---|---|---|---|---|\n")
    precisions = PRECISIONS if cpu.has_bfloat16() else PRECISIONS[:1]
    for side_px, stem_px, precision in itertools.product(options.size or (64, 120), (4, 8), precisions):
        say(row(side_px, stem_px, precision))
    say("\n| network alone | " + " | ".join(map(str, ALONE)) + " |\n|---" + "|---" * len(ALONE) + "|\n")
    for side_px, stem_px in ((60, 4), (64, 8)):
        network = fresh(side_px, side_px, Architecture(stem_px=stem_px), 0)
        plan = plan_of(side_px, side_px, network.architecture, weights_of(network))
        for name, passes in (
            ("compiled loops", CompiledPass(plan, max(ALONE))),
            ("torch", TorchPass(network, "float32", max(ALONE))),
        ):
            say(alone(f"{name}, {side_px} px seen, stem {stem_px}", passes))


def alone(name: str, passes: Pass) -> str:
    """Microseconds a frame of the network alone, by frames a batch."""
    random, pixels = np.random.default_rng(0), passes.patch_px**2
    patches = random.normal(size=(max(ALONE), *passes.grid, pixels)).astype(np.float32)
    cells = (microseconds(lambda count=count: passes(patches[:count]), count) for count in ALONE)
    return f"| {name} | " + " | ".join(f"{cell:.0f}" for cell in cells) + " |\n"


def row(side_px: int, stem_px: int, precision: Precision) -> str:
    """One line of the table."""
    frames = normal_frames(BATCH, 1, side_px, side_px)
    scorer, plain, trained = made(side_px, stem_px, precision)
    whole, by_torch = microseconds(lambda: scorer(frames)), microseconds(lambda: plain(frames, lambda: None))
    before, after = parts(scorer, frames)
    cells = (before, whole - before - after, after, whole, by_torch, by_torch / whole)
    told = f"| {side_px} px | {stem_px} | {operations(trained.network) / 1e6:.2f} million | {precision} | "
    return told + " | ".join(f"{cell:.1f}" for cell in cells) + " |\n"


if __name__ == "__main__":
    # The C library reads these as a process starts.
    if any(os.environ.get(name) != value for name, value in MALLOC.items()):
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.benchmarks.scoring_cost", *sys.argv[1:]],
            {**os.environ, **MALLOC},
        )
    main()
