"""A long session through the running daemon, judged against its truth: `make session`, or with options:

    python -m tests.benchmarks.session --frames 1000000 --rate 3000 [--stem] [--folder bench/session]

The demonstration's own way (calibrate on simulated runs, daemon, camera, summary), for as many frames as one likes and
with the camera of another run than any it was calibrated on. Ends with status 0 where every frame is accounted for.
"""

import argparse
import sys
from pathlib import Path

from monitor.demo import Scene, show, stem_scene


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--stem", action="store_true")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=7_000_000)
    parser.add_argument("--folder", type=Path, default=Path("bench/session"))
    options = parser.parse_args()
    seconds = options.frames / options.rate
    scene = stem_scene(seconds) if options.stem else Scene(seconds)
    folder = options.folder / ("stem" if options.stem else "meltpool")
    return show(scene._replace(rate_hz=options.rate, side_px=options.size, seed=options.seed, folder=folder))


if __name__ == "__main__":
    sys.exit(main())
