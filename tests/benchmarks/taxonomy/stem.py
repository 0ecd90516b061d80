"""Kinds among defects of the simulated electron microscope: `python -m tests.benchmarks.taxonomy.stem [--json FILE]`.

A bundle as the demonstration makes it (`framewatch demo --stem`), of runs of this benchmark's own; streams of images
with all six kinds of defect, as far apart as in the demonstration, and events with the bundle's own dead time. Nothing
in `models/taxonomy/` was chosen on this camera. Held against the truth by the default rule, and by Ward's tree cut into
as many groups as there are kinds, which nobody would know: it says how much is lost by the points.

`--from FILE` prints, and with --out writes, what an earlier run kept with --json; `--quick` is a smoke run.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Final

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import msgspec
import numpy as np
import numpy.typing as npt

from models.taxonomy.embedding import components
from models.taxonomy.tree import grow, labels_of, nodes_below
from monitor import bundle as bundles
from monitor.bundle import Bundle
from monitor.calibrate import calibrate
from monitor.camera.recordings import Recording
from monitor.camera.stem.defects import KINDS
from monitor.camera.stem.images import ScanImages, normal_frames
from monitor.demo import stem_scene
from tests.benchmarks.document import put, table
from tests.benchmarks.promise.figures import add_files, keep
from tests.benchmarks.taxonomy.events import SIDE_PX, Found, events_shown
from tests.benchmarks.taxonomy.figures import Way
from tests.benchmarks.taxonomy.measures import DEFAULT, WAYS, held_against_truth
from tests.benchmarks.taxonomy.tables import of_ways

PLACE: Final = "taxonomy-stem"
DEMO: Final = stem_scene(0.0)
TRAINING_SEED, STREAM_SEED = 70_000, 84_000
AS_MANY: Final = "Ward, cut into six"
ALL_WAYS: Final = (DEFAULT, "average, stable silhouette", "k-means, silhouette", AS_MANY)


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    frames: int
    shown: dict[str, list[int]]  # kind -> defects shown in each stream
    events: dict[str, list[int]]  # kind -> events of it; of false alarms too
    ways: list[Way]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_files(parser, Figures, PLACE)
    parser.add_argument("--bundle", type=Path, help="one made by this benchmark; where none is there, it is made there")
    parser.add_argument("--streams", type=int, default=3)
    parser.add_argument("--frames", type=int, default=60_000, help="of each stream")
    parser.add_argument("--quick", action="store_true", help="a smoke run, whose figures say nothing")
    options = parser.parse_args()
    found = options.kept
    if found is None:
        with tempfile.TemporaryDirectory() as folder:
            path = options.bundle or Path(folder) / "bundle"
            bundle = bundles.read(path) if path.is_dir() else calibrated(path)
            streams, frames = (1, 9000) if options.quick else (options.streams, options.frames)
            found = measured(bundle, streams, frames)
        keep(options.json, found)
    text = text_of(found)
    sys.stdout.write(f"{text}\n")
    if options.out:
        put(options.out, PLACE, text)


def calibrated(folder: Path) -> Bundle:
    def runs(first: int, count: int, frames: int) -> list[Recording]:
        seeds = range(first, first + count)
        return [Recording(f"run {seed}", normal_frames(frames, seed, SIDE_PX, SIDE_PX)) for seed in seeds]

    return calibrate(
        runs(TRAINING_SEED, DEMO.groups, DEMO.group_frames),
        DEMO.calibration,
        folder,
        stretches=runs(TRAINING_SEED + DEMO.groups, DEMO.stretches, DEMO.stretch_frames),
        events=DEMO.events,
        rate_hz=DEMO.rate_hz,
    )


def measured(bundle: Bundle, streams: int, frames: int) -> Figures:
    found = {
        seed: events_shown(bundle, ScanImages(SIDE_PX, SIDE_PX, seed, DEMO.anomaly_rate), frames, KINDS)
        for seed in range(STREAM_SEED, STREAM_SEED + streams)
    }
    names = sorted({kind for one in found.values() for kind in one.kinds.tolist()} | set(KINDS))
    return Figures(
        frames=frames,
        shown={kind: [one.begun[kind] for one in found.values()] for kind in KINDS},
        events={kind: [int((one.kinds == kind).sum()) for one in found.values()] for kind in names},
        ways=[
            Way(
                scene="STEM images",
                way=way,
                results=[held_against_truth(grouped(way, one), one.kinds, seed) for seed, one in found.items()],
            )
            for way in ALL_WAYS
        ],
    )


def grouped(way: str, found: Found) -> npt.NDArray[np.int64]:
    if way != AS_MANY:
        return WAYS[way](found.points)
    tree = grow(components(found.points))
    return labels_of(tree, nodes_below(tree, len(found.points) - len(KINDS)))


def text_of(figures: Figures) -> str:
    counts = [
        (kind, *(f"{shown} / {events}" for shown, events in zip(figures.shown.get(kind, none), events, strict=True)))
        for kind, events in figures.events.items()
        for none in [["-"] * len(events)]
    ]
    seeds = [f"seed {one.seed}" for one in figures.ways[0].results]
    told = f"Streams of {figures.frames:,} images. Defects shown / events found:\n"
    return f"{told}\n{table(('kind', *seeds), counts)}\n{of_ways(figures.ways)}"


if __name__ == "__main__":
    main()
