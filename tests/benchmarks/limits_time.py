"""How long limits take that hold their intervals, and how much memory: `python -m tests.benchmarks.limits_time`.

Held-out frames of a stream that remembers (AR(1) 0.9) in twenty runs: latents, T2 of them, three other charts, and the
memory chart. Mean and covariance come from as many training latents. In the same run, limits without the chance in
mean and covariance: what the intervals cost is the ratio.
"""

import argparse
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Final

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from calibration.bootstrap import refits
from calibration.charts import t2
from monitor.config import Calibration, Events
from monitor.limits import Held, limiting, per_frame

RUNS: Final = 20
MEMORY: Final = 0.9
RATE_HZ: Final = 1000.0
SETTINGS: Final = Calibration(false_alarms_per_hour=600.0, memories_s=(0.01, 0.1))
EVENTS: Final = Events(k=2, n=3)


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def stream(frames: int, columns: int, seed: int) -> npt.NDArray[np.float64]:
    """So many columns (frames, columns) of a normal stream that remembers."""
    steps = np.random.default_rng(seed).standard_normal((frames, columns))
    return np.asarray(lfilter([np.sqrt(1 - MEMORY**2)], [1, -MEMORY], steps, axis=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=50_000)
    parser.add_argument("--latent", type=int, default=32)
    options = parser.parse_args()
    frames, p = options.frames, options.latent
    trained, latents = stream(frames, p, 1), stream(frames, p, 2)
    own_t2 = t2(latents, np.eye(p), np.zeros(p))
    values = np.column_stack((own_t2, np.exp(stream(frames, 3, 3) / 2))).astype(np.float32)
    runs = np.arange(frames) * RUNS // frames
    held = Held(values, latents.astype(np.float32), runs, runs, np.full(frames, ""))
    again = refits(trained, runs)
    times = {
        "mean and covariance, resampled": seconds(lambda: refits(trained, runs)),
        "limits, mean and covariance taken as known": seconds(lambda: limiting(held, {}, SETTINGS, EVENTS, RATE_HZ)),
        "limits, with the chance in them": seconds(lambda: limiting(held, {}, SETTINGS, EVENTS, RATE_HZ, again)),
        "limits per frame, with the chance in them": seconds(lambda: per_frame(held, SETTINGS, refits=again)),
    }
    known = times["limits, mean and covariance taken as known"]
    sys.stdout.write(f"{frames:,} held-out frames in {RUNS} runs, {p} latents, one thread\n")
    for name, taken in times.items():
        sys.stdout.write(f"  {name:<44} {taken:6.1f} s, {taken / known:.1f} times\n")
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(f"  most memory at once, libraries and frames included {peak_mib:,.0f} MiB\n")


if __name__ == "__main__":
    main()
