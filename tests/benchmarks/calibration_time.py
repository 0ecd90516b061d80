"""How long a calibration takes: `make calibration`.

Simulated melt pools of 120 px in ten groups, from frames in memory to the bundle and its report, on one and on two
threads of torch, beside principal components of the same size (with T2 and Q and the same limits) in the same run.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # torch's own number is set by calibrate

import msgspec
import numpy as np

from monitor.calibrate import calibrate
from monitor.camera.meltpool.camera import normal_frames
from monitor.camera.recordings import Recording
from monitor.config import Calibration
from tests.benchmarks.evaluate.methods import pca

GROUPS = 10
SIDE_PX = 120


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=5000)
    options = parser.parse_args()
    each = options.frames // GROUPS
    runs = [
        Recording(f"run {seed}", normal_frames(each, 300 + seed, SIDE_PX, SIDE_PX, every=7)) for seed in range(GROUPS)
    ]
    settings = Calibration()
    latent = settings.latent if isinstance(settings.latent, int) else 32
    held = round(GROUPS * settings.held_out)
    frames = [run.frames for run in runs]
    plain = seconds(lambda: pca(latent, 0.01).fit(frames[:-held], frames[-held:])(np.concatenate(frames[-held:])))
    sys.stdout.write(f"{options.frames:,} frames of {SIDE_PX} px in {GROUPS} groups, latent {latent}\n")
    sys.stdout.write(f"  principal components, fitted and limited  {plain:6.1f} s\n")
    for threads in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            of_threads = msgspec.structs.replace(settings, threads=threads)
            taken = seconds(lambda: calibrate(runs, of_threads, Path(folder) / "bundle"))  # noqa: B023  # called at once
        sys.stdout.write(
            f"  framewatch, {threads} thread{'s' * (threads > 1)}  {taken:6.1f} s, {taken / plain:.1f} times\n"
        )


if __name__ == "__main__":
    main()
