"""What 5,000 points of 32 coordinates cost: run by the benchmark in a process of its own, for its memory."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from models.taxonomy.cut import find_kinds
from models.taxonomy.embedding import embed
from models.taxonomy.naming import Extent, Namer
from models.taxonomy.tree import LINKAGES, grow
from tests.benchmarks.taxonomy.figures import Cost

POINTS, DIMENSIONS, KINDS = 5000, 32, 9
TREE = "tree"
TASKS = (*(f"{TREE}, {linkage}" for linkage in LINKAGES), "kinds, by the default rule")


def points() -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = 2.0 * rng.standard_normal((KINDS, DIMENSIONS))
    found: np.ndarray = centres[rng.integers(KINDS, size=POINTS)] + rng.standard_normal((POINTS, DIMENSIONS))
    return found


def peak_mib() -> float:
    """The most memory that this process has had; `getrusage` would count what its parent had when it was started."""
    [peak] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return float(peak.split()[1]) / 1024


def measured(task: str) -> Cost:
    x, before = points(), peak_mib()
    began = time.process_time()
    if task.startswith(TREE):
        grow(x, task.removeprefix(f"{TREE}, "))  # type: ignore[arg-type]  # one of LINKAGES
    else:
        find_kinds(x)
    return Cost(what=task, seconds=time.process_time() - began, mib=peak_mib(), of_which_before=before)


def naming_us() -> float:
    """Microseconds to name one event by 20 kinds."""
    rng = np.random.default_rng(0)
    namer = Namer([Extent(rng.standard_normal(DIMENSIONS), 1.0) for _ in range(20)])
    event = rng.standard_normal((1, DIMENSIONS))
    return 1e6 * _each(lambda: namer(event), 2000)


def embedding_ms() -> float:
    """Milliseconds to make a point of a frame of 64 x 64 and 16 latents."""
    rng = np.random.default_rng(0)
    latent, residual = rng.standard_normal((1, 16)), rng.standard_normal((1, 64, 64))
    return 1e3 * _each(lambda: embed(latent, residual), 200)


def _each(work: Callable[[], object], times: int) -> float:
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(measured(sys.argv[1])))
