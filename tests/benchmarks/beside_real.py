"""Simulated melt pools beside real ones: `python -m tests.benchmarks.beside_real --out FILE.png`.

Reads the frames of `meltpool-nist` (docs/data.md) from the folder that FRAMEWATCH_DATA names. Prints the distributions
of a pool's area, length, width, peak and light for each real run and for simulated runs, and how far they overlap;
draws a picture in which the rows alternate. The lens, beam and exposure of the simulation were fitted to the last 30
frames of the first run; the second run is what it has not seen.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from monitor.camera.meltpool.camera import MeltPool
from monitor.camera.recordings import read

Frames = npt.NDArray[np.uint8]
Table = npt.NDArray[np.float64]

FEATURES = ("area px", "length px", "width px", "peak grey", "light grey")
THRESHOLD = 80  # grey: about the liquidus
GROUND = 15  # grey: what is darker is no light of the pool
LONG_FRAMES = 35  # a real run has 42 or 45
PER_ROW, ROWS = 10, 3


def real_runs(data: Path) -> list[Frames]:
    """The two runs of normal frames; the number in a file's name is the frame's number in the build."""
    names = sorted((data / "meltpool-nist" / "normal").iterdir())
    frames = read(str(data / "meltpool-nist" / "normal")).frames
    numbers = np.array([int("".join(filter(str.isdigit, name.stem))) for name in names])
    return [frames[numbers < 100], frames[numbers > 200]]


def simulated(seeds: range, frames: int = 600, every: int = 3) -> tuple[Frames, list[Frames]]:
    """Hatch frames of several simulated runs, and their long vectors whole."""
    vectors = [vector for seed in seeds for vector in _vectors(MeltPool(120, 120, seed), frames)]
    return np.concatenate([one[1::every] for one in vectors]), [one for one in vectors if len(one) >= LONG_FRAMES]


def _vectors(pool: MeltPool, frames: int) -> Iterator[Frames]:
    """The hatch vectors among the next frames: what lies between two times with the laser off."""
    lit = groupby((shot for shot, _ in pool.shots(frames)), lambda shot: shot.active and shot.context == "hatch")
    for hatched, shots in lit:
        pixels = np.concatenate([shot.pixels for shot in shots])
        if hatched and len(pixels) > 3:
            yield pixels


def measured(frames: Frames) -> Table:
    """FEATURES of each frame: (n, 5). Length and width are four standard deviations of what is over the threshold."""
    rows, columns = np.mgrid[: frames.shape[1], : frames.shape[2]]
    found = []
    for frame in frames:
        over = frame > THRESHOLD
        axes = np.sqrt(np.linalg.eigvalsh(np.cov(np.stack([rows[over], columns[over]])))) * 4
        light = np.clip(frame.astype(float) - GROUND, 0, None).sum()
        found.append((over.sum(), axes[1], axes[0], frame.max(), light))
    return np.array(found, float)


def overlap(one: Table, other: Table) -> float:
    """Shared area of two distributions, 0 to 1, in twelve bins over both."""
    edges = np.linspace(min(one.min(), other.min()), max(one.max(), other.max()) + 1e-9, 13)
    shares = (np.histogram(values, edges)[0] / len(values) for values in (one, other))
    return float(np.minimum(*shares).sum())


def correlation(areas: Table, lag: int) -> float:
    """Autocorrelation of one stretch of areas, whole."""
    return float(np.corrcoef(areas[lag:], areas[:-lag])[0, 1])


def picture(real: Frames, made: Frames, seed: int = 3) -> Image.Image:
    """Rows of real and of simulated frames in turn, each picked at random."""
    rng = np.random.default_rng(seed)
    rows = []
    for frames in (real, made) * ROWS:
        picked = frames[np.sort(rng.choice(len(frames), PER_ROW, replace=False))]
        rows.append(np.hstack([np.pad(frame, 1, constant_values=90) for frame in picked]))
    return Image.fromarray(np.vstack(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="the picture; real frames are not ours to publish")
    parser.add_argument("--runs", type=int, default=24)
    options = parser.parse_args()
    say = sys.stdout.write
    if "FRAMEWATCH_DATA" not in os.environ:
        sys.exit("FRAMEWATCH_DATA is not set: it names the folder with meltpool-nist, see docs/data.md")
    runs = real_runs(Path(os.environ["FRAMEWATCH_DATA"]))
    made, vectors = simulated(range(options.runs))
    tables = [measured(frames) for frames in (*runs, made)]
    say(
        f"median (5 to 95 %)   run 1, {len(runs[0])} frames   run 2, {len(runs[1])}   "
        f"simulated, {len(made)}   overlap\n"
    )
    for column, name in enumerate(FEATURES):
        cells = []
        for table in tables:
            low, middle, high = np.percentile(table[:, column], [5, 50, 95])
            cells.append(f"{middle:7.5g} ({low:.5g} to {high:.5g})")
        shared = overlap(np.concatenate(tables[:2])[:, column], tables[2][:, column])
        say(f"{name:<12}{'   '.join(cells)}   {shared:.2f}\n")
    made_areas = [(frames > THRESHOLD).sum(axis=(1, 2)).astype(float) for frames in vectors]
    for lag in (1, 5):
        real = ", ".join(f"{correlation(table[:, 0], lag):.2f}" for table in tables[:2])
        low, middle, high = np.percentile([correlation(one, lag) for one in made_areas], [5, 50, 95])
        say(f"autocorrelation of area at lag {lag}: runs 1 and 2 {real}; ")
        say(f"{len(made_areas)} simulated vectors {middle:.2f} ({low:.2f} to {high:.2f})\n")
    if options.out:
        picture(np.concatenate(runs), made).resize((122 * PER_ROW * 2, 122 * 2 * ROWS * 2), 0).save(options.out)
        say(f"{options.out}\n")


if __name__ == "__main__":
    main()
