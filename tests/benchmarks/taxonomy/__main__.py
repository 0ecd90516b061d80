"""How well the kinds of anomalies are found: `python -m tests.benchmarks.taxonomy [--json FILE] [--out DOCUMENT]`.

Simulated melt pools, a network that was calibrated on other runs, and events as the daemon finds them. No stream here
was looked at while the method was made.

Sessions: long streams of six kinds, two of them rare: one begins in 20,000 frames that could begin one. Scenes: events
of dense streams of nine kinds (an anomaly every two hundred frames or so, a dead time of 30 frames), of which some
kinds are taken, balanced or with rare ones of five to eight events. Identities: dense streams of six kinds, clustered
50 times while they come, with room for 300 events. Naming: the later half of a dense stream's events, by kinds found in
the earlier.

`--from FILE` prints, and with --out writes, what an earlier run kept with --json; `--quick` is a smoke run.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import msgspec
import numpy as np

from monitor import bundle as bundles
from monitor.bundle import Bundle
from tests.benchmarks.document import put
from tests.benchmarks.promise.figures import add_files, keep
from tests.benchmarks.taxonomy import cost
from tests.benchmarks.taxonomy.events import Found, calibrated, events_of
from tests.benchmarks.taxonomy.figures import Cost, Figures, Lasting, OnEvents, Way
from tests.benchmarks.taxonomy.measures import DEFAULT, ROOM, WAYS, held_against_truth, lasting, naming, scene
from tests.benchmarks.taxonomy.tables import of_cost, of_lasting, of_naming, of_sessions, of_ways

PLACES: Final = ("taxonomy-sessions", "taxonomy-scenes", "taxonomy-lasting", "taxonomy-naming", "taxonomy-cost")

SIX: Final = ("plume", "splash", "stripes", "spatter", "keyhole", "balling")
NINE: Final = (*SIX, "defocus", "fouling", "rows_dropped")
RARE: Final = 2  # of the six, others in each session
RARE_EVERY: Final = 20_000  # frames
COMMON: Final = 20  # times as often

SESSION_SEED, SCENE_SEED, LASTING_SEED = 81_000, 82_000, 83_000
DENSE_RATE: Final = 0.03
DENSE_DEAD_FRAMES: Final = 30
RUNS, AWAY = 50, range(20, 35)

SCENES: Final = (
    ("six kinds", SIX, 0),
    ("six, two of them rare", SIX, 2),
    ("nine kinds", NINE, 0),
    ("nine, three of them rare", NINE, 3),
    ("three kinds", SIX[:3], 0),
    ("one kind", (), 0),
)
OTHERS_ON: Final = ("six kinds", "six, two of them rare", "nine kinds")


class Size(msgspec.Struct, frozen=True, kw_only=True):
    streams: int
    session_frames: int
    dense_frames: int
    lasting_frames: int


FULL: Final = Size(streams=5, session_frames=240_000, dense_frames=80_000, lasting_frames=120_000)
QUICK: Final = Size(streams=1, session_frames=20_000, dense_frames=15_000, lasting_frames=20_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_files(parser, Figures, *PLACES)
    parser.add_argument("--bundle", type=Path, help="one made by this benchmark; where none is there, it is made there")
    parser.add_argument("--quick", action="store_true", help="a smoke run, whose figures say nothing")
    options = parser.parse_args()
    found = options.kept
    if found is None:
        with tempfile.TemporaryDirectory() as folder:
            path = options.bundle or Path(folder) / "bundle"
            bundle = bundles.read(path) if path.is_dir() else calibrated(path)
            found = measured(bundle, QUICK if options.quick else FULL)
        keep(options.json, found)
    for place, text in texts(found).items():
        sys.stdout.write(f"{text}\n")
        if options.out:
            put(options.out, place, text)


def texts(figures: Figures) -> dict[str, str]:
    """What stands at each of PLACES."""
    written = of_sessions(figures), of_ways(figures.scenes), of_lasting(figures), of_naming(figures), of_cost(figures)
    return dict(zip(PLACES, written, strict=True))


def measured(bundle: Bundle, size: Size) -> Figures:
    dense = {
        seed: events_of(bundle, seed, size.dense_frames, DENSE_RATE, NINE, DENSE_DEAD_FRAMES)
        for seed in range(SCENE_SEED, SCENE_SEED + size.streams)
    }
    sessions = {
        seed: session(bundle, seed, size.session_frames) for seed in range(SESSION_SEED, SESSION_SEED + size.streams)
    }
    return Figures(
        session_frames=size.session_frames,
        shown={kind: [found.begun[kind] for found in sessions.values()] for kind in SIX},
        sessions=[
            Way(scene="sessions", way=way, results=[_held(way, found, seed) for seed, found in sessions.items()])
            for way in WAYS
        ],
        scenes=[way for name, kinds, rare in SCENES for way in scenes(dense, name, kinds, rare)],
        lasting=[identities(bundle, LASTING_SEED + index, size, index) for index in range(size.streams)],
        naming=[naming(found, SIX, seed) for seed, found in dense.items()],
        cost=[_cost(task) for task in cost.TASKS],
        naming_us=cost.naming_us(),
        embedding_ms=cost.embedding_ms(),
    )


def _held(way: str, found: Found, seed: int) -> OnEvents:
    return held_against_truth(WAYS[way](found.points), found.kinds, seed)


def session(bundle: Bundle, seed: int, frames: int) -> Found:
    """A long stream of six kinds; which of them are rare goes round with the seed."""
    rare = np.roll(SIX, seed - SESSION_SEED)[:RARE].tolist()
    kinds = tuple(kind for kind in SIX for _ in range(1 if kind in rare else COMMON))
    return events_of(bundle, seed, frames, len(kinds) / RARE_EVERY, kinds)


def scenes(dense: dict[int, Found], name: str, kinds: tuple[str, ...], rare: int) -> list[Way]:
    parts: dict[int, Found] = {}
    for index, (seed, found) in enumerate(dense.items()):
        # Of one kind, another in each stream.
        names = kinds or (NINE[index % len(NINE)],)
        rares = np.roll(names, index)[:rare].tolist()
        parts[seed] = scene(found, names, rares, np.random.default_rng(seed))
    ways = WAYS if name in OTHERS_ON else (DEFAULT,)
    return [
        Way(scene=name, way=way, results=[_held(way, found, seed) for seed, found in parts.items()]) for way in ways
    ]


def identities(bundle: Bundle, seed: int, size: Size, index: int) -> Lasting:
    found = events_of(bundle, seed, size.lasting_frames, DENSE_RATE, SIX, DENSE_DEAD_FRAMES)
    return lasting(found, seed, RUNS, ROOM, SIX[index % len(SIX)], AWAY)


def _cost(task: str) -> Cost:
    """In a process of its own, whose memory is only this."""
    command = [sys.executable, "-m", "tests.benchmarks.taxonomy.cost", task]
    return msgspec.json.decode(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout, type=Cost)


if __name__ == "__main__":
    main()
