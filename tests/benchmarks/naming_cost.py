"""What naming an event costs in the engine's thread, beside scoring a frame:

    python -m tests.benchmarks.naming_cost --size 64 --size 120

Processor time of one thread, the best of seven rounds, as a multiple of what one frame of a batch of 64 costs to be
scored: how the frame deviates, its point, the nearest of 10 and of 64 kinds, and all of it as the handover calls it.
Frames of melt pools, which are brought to one place and direction.
"""

import argparse
import sys
from functools import partial

import numpy as np

from models.taxonomy.embedding import embed
from models.taxonomy.naming import Extent, Namer
from monitor.camera.meltpool.camera import normal_frames
from monitor.shared import lay_out, size_of
from monitor.taxonomy import table as tables
from monitor.taxonomy.naming import EventNamer
from monitor.taxonomy.table import Table
from tests.benchmarks.scoring_cost import BATCH, made, microseconds

KINDS = 10, 64
BUNDLE = "00" * 32


def measure(side_px: int) -> dict[str, float]:
    """Microseconds of each step, by its name."""
    scorer, _, _ = made(side_px, 8, "float32")
    frames = normal_frames(BATCH, 5, side_px, side_px)
    placed = scorer.parts.preparation.alignment is not None
    deviations = scorer.deviations(frames[:1])
    point = embed(*deviations, placed=placed)
    found = {
        "scoring a frame": microseconds(lambda: scorer(frames)),
        "deviations": microseconds(lambda: scorer.deviations(frames[:1]), 1),
        "point": microseconds(lambda: embed(*deviations, placed=placed), 1),
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, action="append", help="side of a frame, px")
    for side_px in parser.parse_args().size or (64, 120):
        found = measure(side_px)
        unit_us = found["scoring a frame"]
        told = [f"{name} {us / unit_us:.1f}x ({us:.0f} us)" for name, us in found.items()]
        sys.stdout.write(f"{side_px} px: {' · '.join(told)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
