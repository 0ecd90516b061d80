"""Whether anomalies that differ by their angle alone become one kind: `python -m tests.benchmarks.turned_kinds`.

Frames of 64 px that nobody brings to one direction, with a bright pair, a dipole or a triangle on them, each anywhere
and turned by chance. An embedding is learned from 120 of them by `framewatch taxonomy learn`, and 120 others are
grouped as a daemon does it, out of a file of kinds: by residuals as they are, and by the embedding. Then what a point
costs, one frame at a time, in one thread: processor time, with the residual where the embedding is made of it.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import numpy.typing as npt
from sklearn.metrics import adjusted_rand_score

from models.points import points_by
from monitor import cli
from monitor.bundle import Bundle
from monitor.calibrate import calibrate
from monitor.camera.recordings import Recording
from monitor.config import Calibration
from monitor.score import load_scorer
from monitor.taxonomy import embedding as files
from monitor.taxonomy.config import Taxonomy
from monitor.taxonomy.group import group
from monitor.taxonomy.launcher import Task
from tests.frames import normal
from tests.models.turned_glyphs import SPOTS, glyphs
from tests.monitor.taxonomy_example import kept, store_of, written

SIDE_PX: Final = 64
SHAPE_PX: Final = 24
EACH: Final = 40
STRENGTH: Final = 60.0  # grey values of a spot's middle
RUNS, RUN_FRAMES = 12, 100
SETTINGS: Final = Calibration(latent=8, max_steps=600, false_alarm_rate=0.01, orientation="none")
COST_FRAMES: Final = 60

Frames = npt.NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--network", help="a backbone whose cost is measured too, of torchvision")
    parser.add_argument("--weights", help="its file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = [Recording(f"run {seed}", normal(RUN_FRAMES, seed, SIDE_PX, SIDE_PX)) for seed in range(RUNS)]
        bundle = calibrate(runs, SETTINGS, folder / "bundle")
        (folder / "framewatch.yaml").write_text("camera: melt\nbundle: bundle\njournal: journal.db\n")
        say("| seed | points by | kinds told | too few | adjusted Rand index | what the rule says |")
        say("| --- | --- | --- | --- | --- | --- |")
        for seed in range(options.seeds):
            compare(folder, bundle, seed, options.steps)
        say("\n| points by | processor time a frame, median (nine in ten) |\n| --- | --- |")
        learn(folder, "texture.safetensors", "texture")
        if options.network:
            given = ["--network", options.network, "--weights", options.weights]
            learn(folder, "backbone.safetensors", "backbone", *given)
        for one in ("", "invariant", "texture", *(["backbone"] if options.network else [])):
            say(f"| {one or 'residuals as they are'} | {cost(bundle, folder, one)} |")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def compare(folder: Path, bundle: Bundle, seed: int, steps: int) -> None:
    np.save(folder / "events.npy", anomalies(2 * seed)[0])
    learn(folder, "invariant.safetensors", "invariant", "--steps", str(steps), "--seed", str(seed))
    frames, truth = anomalies(2 * seed + 1)
    for name, embedding in (("residuals as they are", None), ("invariant", str(folder / "invariant.safetensors"))):
        with tempfile.TemporaryDirectory() as other, closing(store_of(Path(other))) as store:
            store.write(written([kept(number + 1, frame) for number, frame in enumerate(frames)]))
            path = Path(other) / "journal.kinds.db"
            run = group(Task(str(path), "melt", str(bundle.path), Taxonomy(embedding=embedding), 0))
            kinds = [one.kind if one.kind is not None else -one.id for one in store.samples("normal = 0")]
        few, index = sum(kind < 0 for kind in kinds), adjusted_rand_score(truth, kinds)
        say(f"| {seed} | {name} | {run.kinds} of {len(SPOTS)} | {few} | {index:.2f} | {run.why} |")


def learn(folder: Path, file: str, what: str, *more: str) -> None:
    """By the command itself, quietly."""
    out = sys.stdout
    with open(os.devnull, "w") as sys.stdout:
        given = ["--config", str(folder / "framewatch.yaml"), "--out", str(folder / file), "--embedding", what]
        status = cli.main(["taxonomy", "learn", *given, "--from", str(folder / "events.npy"), "--json", *more])
    sys.stdout = out
    assert status == 0


def anomalies(seed: int) -> tuple[Frames, npt.NDArray[np.int64]]:
    """Frames (n, h, w) with a shape on each, and which it is, mixed."""
    shapes, kinds = glyphs(EACH, SHAPE_PX, seed, noise=0.0)
    rng = np.random.default_rng(1000 + seed)
    frames = np.concatenate([normal(1, 10_000 * (seed + 1) + index, SIDE_PX, SIDE_PX) for index in range(len(shapes))])
    shown = frames.astype(np.float64)
    for frame, shape in zip(shown, shapes, strict=True):
        row, column = rng.integers(0, SIDE_PX - SHAPE_PX, 2)
        frame[row : row + SHAPE_PX, column : column + SHAPE_PX] += STRENGTH * shape
    order = rng.permutation(len(shown))
    return np.clip(shown, 0, 255).astype(np.uint8)[order], kinds[order]


def cost(bundle: Bundle, folder: Path, what: str) -> str:
    embedding = files.read(folder / f"{what}.safetensors").embedding if what else None
    points: Callable[[Frames], npt.NDArray[np.float32]] = points_by(load_scorer(bundle), embedding)
    frames, took_s = anomalies(0)[0], []
    for index in range(COST_FRAMES + 5):
        began_s = time.process_time()
        points(frames[index : index + 1])
        took_s.append(time.process_time() - began_s)
    median_ms, most_ms = 1e3 * np.quantile(took_s[5:], (0.5, 0.9))
    return f"{median_ms:.1f} ms ({most_ms:.1f})"


if __name__ == "__main__":
    main()
