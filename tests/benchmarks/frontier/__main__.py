"""Accuracy per arithmetic operation, for networks of many architectures: `python -m tests.benchmarks.frontier`.

Trains and calibrates every network, judges all on the same frames, times them in turn once no training runs, and writes
tables between the markers of docs/networks.md and a picture of each data set beside it; `training-...` compares ways
of training the default network instead. With `--json FILE` trainings are kept as they are done, and a second run goes
on from those that today's sources made. Recorded frames come from the folder that FRAMEWATCH_DATA names; without it
their tables are left as they are.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

from monitor.service import MALLOC
from tests.benchmarks.document import put, with_places
from tests.benchmarks.evaluate.__main__ import heading
from tests.benchmarks.evaluate.splits import Frames, MissingDataError, Say, Split
from tests.benchmarks.frontier import lessons, studies
from tests.benchmarks.frontier.networks import DEFAULT, OF_MELT_POOLS, OF_RECORDED, OF_STEM_IMAGES, QUICK, Candidate
from tests.benchmarks.frontier.picture import draw
from tests.benchmarks.frontier.points import Point
from tests.benchmarks.frontier.sweep import ROOMS, Memory, Trained, fingerprint, point, trained
from tests.benchmarks.frontier.tables import by_latent, by_training, every_network, spread
from tests.benchmarks.frontier.timing import ROUNDS, ROUNDS_QUICK, frame_times

TIMED_FRAMES: Final = 256
PICTURES: Final = "pictures"


class DataSet(NamedTuple):
    """How to make its split (quickly or not), and which networks are compared on it, also in a smoke run."""

    split: Callable[[bool], Split]
    networks: tuple[Candidate, ...]
    quick: tuple[Candidate, ...]


class Swept(NamedTuple):
    """One comparison when all its networks are trained."""

    name: str
    heading: str
    frames: Frames  # a few, to time with
    networks: list[Trained]


ARCHITECTURES: Final = {
    "melt-pool": DataSet(studies.melt_pool, OF_MELT_POOLS, QUICK),
    "stem-images": DataSet(studies.stem_images, OF_STEM_IMAGES, QUICK),
    "stem-sto": DataSet(studies.stem_sto, OF_RECORDED, QUICK),
}
TRAININGS: Final = {
    "training-melt-pool": DataSet(studies.melt_pool, lessons.OF_MELT_POOLS, lessons.QUICK),
    "training-stem-images": DataSet(studies.stem_images, lessons.OF_STEM_IMAGES, lessons.QUICK),
}
COMPARISONS: Final = ARCHITECTURES | TRAININGS


def swept(name: str, memory: Memory, quick: bool, say: Say) -> Swept:
    """Every network of one comparison, trained and judged. Raises MissingDataError."""
    data_set = COMPARISONS[name]
    split = data_set.split(quick)
    head = heading(split)
    say(head)
    networks = trained(split, head, data_set.quick if quick else data_set.networks, memory, quick, say)
    return Swept(name, head, np.concatenate(split.train)[:TIMED_FRAMES], networks)


def timed(one: Swept, rounds: int) -> list[Point]:
    """The networks of *one* with their times, taken in a process whose memory is set as the daemon's is."""
    os.environ.update(MALLOC)  # the C library reads these as a process starts
    settings = {network.candidate.name: network.settings for network in one.networks}
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        times = process.submit(frame_times, settings, one.frames, rounds).result()
    height, width = one.frames.shape[1:]
    return [point(network, height, width, times[network.candidate.name]) for network in one.networks]


def of_architectures(one: Swept, points: Sequence[Point], picture: str) -> str:
    """What stands between the markers of a comparison of architectures."""
    return (
        f"{_introduced(one)}\n\n![AUROC against operations, {one.name}]({picture})\n\n"
        f"{every_network(points)}\n**AUROC of the default's charts, by size of the latent**\n\n{by_latent(points)}"
    )


def of_trainings(one: Swept) -> str:
    """What stands between the markers of a comparison of trainings."""
    return f"{_introduced(one)}\n\n{by_training(one.networks)}"


def _introduced(one: Swept) -> str:
    (default,) = (network for network in one.networks if network.candidate.name == DEFAULT)
    return f"{one.heading}.\n\n{spread(default.values)}"


def written(one: Swept, out: Path | None, quick: bool) -> None:
    """Puts *one* between its markers in the document *out*, with a picture beside it; prints it where there is none."""
    if one.name in TRAININGS:
        text = of_trainings(one)
    else:
        points, picture = timed(one, ROUNDS_QUICK if quick else ROUNDS), f"{PICTURES}/frontier-{one.name}.svg"
        text = of_architectures(one, points, picture)
        if out:
            drawn = out.parent / picture
            drawn.parent.mkdir(exist_ok=True)
            drawn.write_text(draw(points, one.name))
    if out:
        put(out, one.name, text)
    else:
        sys.stdout.write(f"## {one.name}\n\n{text}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=COMPARISONS, help="may be given several times")
    parser.add_argument("--quick", action="store_true", help="a smoke run: few networks, frames and steps")
    parser.add_argument("--out", type=with_places(), help="a document with markers for the tables")
    parser.add_argument("--json", type=Path, help="trainings that are done; a run goes on from them")
    options = parser.parse_args()
    begun = time.monotonic()

    def say(line: str) -> None:
        sys.stderr.write(f"{time.monotonic() - begun:6.0f} s  {line}\n")

    memory, done = Memory(options.json, fingerprint(ROOMS)), []
    for name in options.only or COMPARISONS:
        try:
            done.append(swept(name, memory, options.quick, say))
        except MissingDataError as missing:
            say(f"{name}: skipped, {missing}")
    for one in done:
        say(f"{one.name}: {'tables' if one.name in TRAININGS else 'times'}")
        written(one, options.out, options.quick)


if __name__ == "__main__":
    main()
