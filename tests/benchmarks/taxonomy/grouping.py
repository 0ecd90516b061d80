"""A whole grouping as the daemon runs it: `python -m tests.benchmarks.taxonomy.grouping [--json FILE]`.

`monitor.taxonomy.launcher.Launcher` starts `python -m monitor.taxonomy.group` on a real file with frames of simulated
anomalies of 64 px, of nine kinds and as the camera sends them, two of each anomaly, and a bundle that was
calibrated on other runs. That process reads the frames, has them seen by the network, grows and cuts the tree, writes
kinds, and makes the page. Its memory is the most that it ever had (ru_maxrss), its processor time is of one thread.
What takes longest in it, frames that become points and points that become kinds, is measured once more by the same
calls in another process.

`--from FILE` prints, and with --out writes, what an earlier run kept with --json; `--quick` is a smoke run.
"""

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from models.taxonomy.cut import find_kinds
from monitor import bundle as bundles
from monitor.bundle import Bundle
from monitor.camera.meltpool.camera import MeltPool
from monitor.taxonomy.config import Taxonomy
from monitor.taxonomy.group import embedded, settings_of
from monitor.taxonomy.launcher import QUIET, Task
from monitor.taxonomy.points import means_of
from monitor.taxonomy.records import Counts, Kept, Sample
from monitor.taxonomy.store import Store, Writing
from monitor.types import Pixels
from tests.benchmarks.document import put, table
from tests.benchmarks.promise.figures import add_files, keep
from tests.benchmarks.taxonomy import started
from tests.benchmarks.taxonomy.__main__ import DENSE_RATE, NINE
from tests.benchmarks.taxonomy.events import SIDE_PX, calibrated
from tests.benchmarks.taxonomy.started import Whole

PLACE: Final = "taxonomy-grouping"
CAMERA: Final = "melt"
SIZES: Final = (1000, 2000, 5000)
SEED: Final = 85_000
RUN_FRAMES: Final = 40_000
MIDDLE: Final = (0.4, 0.6)  # of an anomaly's time
AT_ONCE: Final = 100
PARTS: Final = "parts"
"""What a process of its own is told that measures the parts of a grouping."""


class Parts(msgspec.Struct, frozen=True):
    """Processor seconds of what takes longest in it."""

    embedding_s: float
    clustering_s: float
    coordinates: int


class Grouped(msgspec.Struct, frozen=True):
    events: int
    kinds: int
    whole: Whole
    parts: Parts


def main() -> None:
    if sys.argv[1:] == [PARTS]:
        task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
        sys.stdout.buffer.write(msgspec.json.encode(parts(task)))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_files(parser, list[Grouped], PLACE)
    parser.add_argument(
        "--bundle", type=Path, help="that of `tests.benchmarks.taxonomy`; where none is, it is made there"
    )
    parser.add_argument("--quick", action="store_true", help="a smoke run, whose figures say nothing")
    options = parser.parse_args()
    found = options.kept
    if found is None:
        with tempfile.TemporaryDirectory() as folder:
            sizes = (100,) if options.quick else SIZES
            found = measured(Path(folder), options.bundle or Path(folder) / "bundle", sizes)
        keep(options.json, found)
    text = text_of(found)
    sys.stdout.write(f"{text}\n")
    if options.out:
        put(options.out, PLACE, text)


def measured(folder: Path, path: Path, sizes: tuple[int, ...]) -> list[Grouped]:
    bundle = bundles.read(path) if path.is_dir() else calibrated(path)
    frames = anomalous(max(sizes))
    return [grouped(folder / f"{count}.kinds.db", bundle, frames[:count]) for count in sizes]


def anomalous(count: int) -> Pixels:
    """*count* frames (count, h, w) of the middle of anomalies of NINE kinds, in any order."""
    some: list[Pixels] = []
    for seed in itertools.count(SEED):
        some += _middles(MeltPool(SIDE_PX, SIDE_PX, seed=seed, anomaly_rate=DENSE_RATE, kinds=NINE), 100 * count)
        if sum(map(len, some)) >= count:
            break
    return np.random.default_rng(SEED).permutation(np.concatenate(some))[:count]


def _middles(camera: MeltPool, most: int) -> list[Pixels]:
    """Up to two frames of each anomaly of a run."""
    shots = list(camera.shots(min(RUN_FRAMES, most)))
    pixels = np.concatenate([shot.pixels for shot, _ in shots])
    active = np.concatenate([np.full(len(shot.pixels), shot.active) for shot, _ in shots])
    middles = []
    for truth in (truth for _, ended in shots for truth in ended):
        held = truth.first_seq + np.flatnonzero(active[truth.first_seq : truth.last_seq + 1])
        middles.append(pixels[np.unique(held[[int(at * len(held)) for at in MIDDLE]])] if len(held) else pixels[:0])
    return middles


def grouped(path: Path, bundle: Bundle, frames: Pixels) -> Grouped:
    settings = Taxonomy(samples=len(frames), mib=1024.0)
    task = Task(str(path), CAMERA, str(bundle.path), settings, 0)
    with closing(Store(path, CAMERA)) as store:
        fill(store, frames)
        whole = msgspec.json.decode(_alone(task, started.__name__), type=Whole)
        [done] = store.runs()
        assert done.points == len(frames)
        of_it = msgspec.json.decode(_alone(task, __spec__.name, PARTS), type=Parts)
        return Grouped(done.points, done.kinds, whole, of_it)


def fill(store: Store, frames: Pixels) -> None:
    """An event for each of *frames*."""
    for first in range(0, len(frames), AT_ONCE):
        kept = [_kept(first + row, pixels) for row, pixels in enumerate(frames[first : first + AT_ONCE], 1)]
        count = first + len(kept)
        store.write(Writing(kept, [], [], [], Counts(count + 1, count, 0)))


def _kept(number: int, pixels: Pixels) -> Kept:
    height, width = pixels.shape
    return Kept(
        Sample(
            id=number, epoch="benchmark", event=number, alarm=None, normal=False, kind=None, nearest=None,
            distance=None, t_ns=number, stream="s", seq=number, job="", layer=None, context="", x=None, y=None,
            source="t2", ratio=2.0, frames_over=3, height=height, width=width, dtype=pixels.dtype.name,
            nbytes=pixels.nbytes,
        ),
        pixels,
    )  # fmt: skip


def _alone(task: Task, *module: str) -> bytes:
    """What *module* tells of *task* in a process of its own."""
    given, env = msgspec.json.encode(task), {**os.environ, **QUIET}
    return subprocess.run(
        [sys.executable, "-m", *module], input=given, stdout=subprocess.PIPE, check=True, env=env
    ).stdout


def parts(task: Task) -> Parts:
    means = means_of(task)
    with closing(Store(Path(task.store), task.camera)) as store:
        samples = store.samples()
        began = time.process_time()
        points = embedded(store, means, samples).points
        seen = time.process_time()
        find_kinds(points, settings_of(task.settings))
    return Parts(seen - began, time.process_time() - seen, points.shape[1])


def text_of(found: list[Grouped]) -> str:
    header = (
        "events", "frames to points", "coordinates", "points to kinds", "whole process", "of one core",
        "memory, at the most", "kinds",
    )  # fmt: skip
    rows = [
        (
            f"{one.events:,}",
            f"{one.parts.embedding_s:.1f} s",
            str(one.parts.coordinates),
            f"{one.parts.clustering_s:.1f} s",
            f"{one.whole.wall_s:.1f} s",
            f"{one.whole.cpu_s:.1f} s",
            f"{one.whole.mib:.0f} MiB",
            str(one.kinds),
        )
        for one in found
    ]
    return table(header, rows)


if __name__ == "__main__":
    main()
