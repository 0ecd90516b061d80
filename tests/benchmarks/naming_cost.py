"""What naming an event costs in the engine's thread, beside scoring a frame:

    python -m tests.benchmarks.naming_cost --size 64 --size 120

Processor time of one thread, the best of seven rounds, as a multiple of what one frame of a batch of 64 costs to be
scored: how the frame deviates, its point, the nearest of 10 and of 64 kinds, and all of it as the handover calls it.
Frames of melt pools, which are brought to one place and direction.

    python -m tests.benchmarks.naming_cost --tiled 512 --tiled 1024

Scan images that are seen as tiles of 64 px, which share 8: as a multiple of what scoring an image costs, how it
deviates where nobody says at which tile, and where the place of its local score is known.
"""

import argparse
import sys
from functools import partial

import numpy as np

from calibration import charts
from models.architecture import Architecture
from models.autoencoder import fresh
from models.preparer import fit_preparation
from models.taxonomy.embedding import embed
from models.taxonomy.naming import Extent, Namer
from models.tensors import ChartParameters
from models.tiles import Tiling, random_tiles
from models.trained import Trained, scorer_of
from models.training import latents_and_residuals
from monitor.camera.meltpool.camera import normal_frames
from monitor.camera.stem.images import normal_frames as scans
from monitor.shared import lay_out, size_of
from monitor.taxonomy import table as tables
from monitor.taxonomy.naming import EventNamer
from monitor.taxonomy.table import Table
from tests.benchmarks.scoring_cost import BATCH, made, microseconds

KINDS = 10, 64
TILE_PX, OVERLAP_PX = 64, 8
BUNDLE = "00" * 32


def measure(side_px: int) -> dict[str, float]:
    """Microseconds of each step, by its name."""
    scorer, _, _ = made(side_px, 8, "float32")
    frames = normal_frames(BATCH, 5, side_px, side_px)
    placed = scorer.parts.preparation.alignment is not None
    deviations = scorer.deviations(frames[:1])
    point = embed(deviations.latent, deviations.residual, placed=placed)
    found = {
        "scoring a frame": microseconds(lambda: scorer(frames)),
        "deviations": microseconds(lambda: scorer.deviations(frames[:1]), 1),
        "point": microseconds(lambda: embed(deviations.latent, deviations.residual, placed=placed), 1),
    }
    for count in KINDS:
        centres = point + np.random.default_rng(0).normal(0, 0.1, (count, point.shape[1])).astype(np.float32)
        (arrays,) = lay_out(bytearray(size_of(tables.fields())), tables.fields())
        ids, radii = tuple(range(count)), np.full(count, 1e9)
        tables.write(arrays, Table(BUNDLE, ids, ("splash",) * count, (None,) * count, centres, radii))
        nearest, namer = Namer([Extent(one.astype(float), 1e9) for one in centres]), EventNamer(scorer, arrays, BUNDLE)
        assert namer(frames[0]) is not None
        found[f"nearest of {count}"] = microseconds(partial(nearest, point), 1)
        found[f"an event, {count} kinds"] = microseconds(partial(namer, frames[0]), 1)
    return found


def measure_tiled(side_px: int) -> dict[str, float]:
    """Microseconds of each step on an image, by its name."""
    images = scans(2, 5, side_px, side_px)
    tiling = Tiling(side_px, side_px, TILE_PX, OVERLAP_PX)
    tiles = random_tiles(images, TILE_PX, 300)
    trained = Trained(fresh(TILE_PX, TILE_PX, Architecture(), 0), fit_preparation(tiles), ())
    parameters = ChartParameters(*charts.fit(lambda: latents_and_residuals(trained, tiles))[:7])
    scorer = scorer_of(trained, parameters, tiling=tiling)
    where = scorer(images[:1]).where
    return {
        "scoring an image": microseconds(lambda: scorer(images[:1]), 1),
        "deviations": microseconds(lambda: scorer.deviations(images[:1]), 1),
        "deviations, place known": microseconds(lambda: scorer.deviations(images[:1], where), 1),
    }


def shown(side_px: int, found: dict[str, float]) -> None:
    unit_us = next(iter(found.values()))
    told = [f"{name} {us / unit_us:.3g}x ({us:.0f} us)" for name, us in found.items()]
    sys.stdout.write(f"{side_px} px: {' · '.join(told)}\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, action="append", help="side of a frame, px")
    parser.add_argument("--tiled", type=int, action="append", default=[], help="side of an image of tiles, px")
    options = parser.parse_args()
    for side_px in options.size or (() if options.tiled else (64, 120)):
        shown(side_px, measure(side_px))
    for side_px in options.tiled:
        shown(side_px, measure_tiled(side_px))
    return 0


if __name__ == "__main__":
    sys.exit(main())
