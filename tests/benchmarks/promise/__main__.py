"""Whether limits keep the budget of false alarms that they promise: `python -m tests.benchmarks.promise`.

Limits are set on one stretch of a stream, for as many events an hour as 2, 3 or 10 in that stretch, and tried on long
fresh streams. Figures are events over the budget: their mean and spread over calibrations, how often the published
90 % interval holds the true limit (beside it that of a percentile bootstrap), and how often the conservative limit
raises more than the budget. With less than one event in the stretch the limit is extrapolated. A fifth of the stretch
fits the tails and sets no limit. The stream `floor` shows beside it what ranks would realise in the place of tails.

With `--out docs/limits.md` table and picture are written there; `--from FILE` writes those of figures that `--json
FILE` kept, and measures nothing.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import msgspec
import numpy as np

from tests.benchmarks.document import put
from tests.benchmarks.promise.figures import OnStream, add_files, keep
from tests.benchmarks.promise.picture import draw
from tests.benchmarks.promise.streams import Stream, fresh
from tests.benchmarks.promise.tables import of_streams
from tests.benchmarks.promise.trials import CALIBRATION_SEED, FRESH_SEED, by_ranks, summary, trials

MILLION: Final = 1_000_000
STREAMS: Final = {
    stream.name: stream
    for stream in (
        Stream("AR(1) 0", 0.0, 200_000, 60 * MILLION, floor=2.4),
        Stream("AR(1) 0.9", 0.9, 200_000, 60 * MILLION, floor=2.4),
        Stream("AR(1) 0.99", 0.99, 400_000, 80 * MILLION, floor=2.6),
        Stream("AR(1) 0.999", 0.999, 2 * MILLION, 200 * MILLION, floor=2.8),
        Stream("periodic", 0.5, 400_000, 60 * MILLION, floor=2.4, period=1000),
    )
}
STOPS: Final = {
    stream.name: stream
    for stream in (
        Stream("stops 0", 0.0, 200_000, 600 * MILLION, floor=2.2, k=5, n=8),
        Stream("stops 0.9", 0.9, 200_000, 600 * MILLION, floor=2.6, k=5, n=8),
    )
}
"""By the rule for stops, which are asked for so seldom that no calibration has the hours."""

FLOOR: Final = Stream("floor", 0.9, 200_000, 60 * MILLION, floor=3.6, charts=4, k=1, n=1)
EXPECTED: Final = (3.0, 10.0, 0.3)
EXPECTED_STOPS: Final = (1.0, 0.1, 0.03)
EXPECTED_FLOOR: Final = 2.0
PLACE: Final = "promise-streams"
PLACE_OF_STOPS: Final = "promise-stops"
PICTURE: Final = Path("pictures", "promise.svg")  # beside the document
HEAD: Final = (
    f"{'stream':<12} {'events':>6} {'blocks':>6} {'frames':>6} {'promised':>8}  {'mean':>4} {'s.e.':>5}"
    f" {'90 % of limits':>15} {'covered':>8} {'bootstrap':>9} {'conservative over':>18}\n"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few calibrations, shorter fresh streams")
    parser.add_argument("--calibrations", type=int, help="of every stream: 200, or 10 with --quick")
    parser.add_argument("--only", nargs="+", choices=[*STREAMS, FLOOR.name, *STOPS], help="these streams")
    parser.add_argument("--stops", action="store_true", help="streams of the rule for stops, in a table of their own")
    parser.add_argument("--seed", type=int, default=CALIBRATION_SEED, help="of the first calibration")
    add_files(parser, list[OnStream], PLACE)
    options = parser.parse_args()
    calibrations = options.calibrations or (10 if options.quick else 200)
    if calibrations < 2:
        parser.error("--calibrations: a spread takes two of them")
    rows: list[OnStream] = []
    names = options.only or ([*STOPS] if options.stops else [*STREAMS, FLOOR.name])
    measured = measure(names, calibrations, options.seed, options.quick)
    sys.stdout.write(HEAD)
    for row in options.kept or measured:
        rows.append(row)
        sys.stdout.write(line(row))
        sys.stdout.flush()
        keep(options.json, rows)
    if options.out and options.stops:
        put(options.out, PLACE_OF_STOPS, of_streams(rows))
    elif options.out:
        written(rows, options.out)


def measure(names: list[str], calibrations: int, seed: int, quick: bool) -> Iterator[OnStream]:
    """The figures of every budget on each of the streams called *names*."""
    for name in names:
        stream = (STREAMS | STOPS).get(name, FLOOR)
        yield from figures(stream._replace(fresh=stream.fresh // 10) if quick else stream, calibrations, seed)


def figures(stream: Stream, calibrations: int, seed: int) -> list[OnStream]:
    """The figures of every budget on *stream*; of the floor also with ranks."""
    ahead = fresh(stream, FRESH_SEED + seed)
    expected = EXPECTED_STOPS if stream.name in STOPS else EXPECTED
    if stream.name == FLOOR.name:
        expected = (EXPECTED_FLOOR,)
    done = trials(stream, ahead, expected, calibrations, seed)
    rows = [summary(stream.name, one, done[one]) for one in expected]
    if stream.name != FLOOR.name:
        return rows
    ranked = by_ranks(stream, ahead, EXPECTED_FLOOR, calibrations, seed)
    return [msgspec.structs.replace(row, mean_by_ranks=float(np.mean(ranked))) for row in rows]


def line(row: OnStream) -> str:
    told = (
        f"{row.stream:<12} {row.expected:>6g} {row.blocks:>6.0f} {row.block_frames:>6.0f}"
        f" {row.promised:>8.2f}  {row.mean:>4.2f} {row.standard_error:>5.2f}"
        f" {row.low:>6.2f} to {row.high:>5.2f} {row.covered:>8.0%} {row.covered_by_bootstrap:>9.0%}"
        f" {row.conservative_over:>18.0%}"
    )
    return told + (f"   by ranks {row.mean_by_ranks:.2f}\n" if row.mean_by_ranks is not None else "\n")


def written(rows: list[OnStream], out: Path) -> None:
    """Puts the table of *rows* into the document *out*, and their picture beside it."""
    drawn = out.parent / PICTURE
    drawn.parent.mkdir(exist_ok=True)
    drawn.write_text(draw(rows))
    put(out, PLACE, f"![Events over the budget, of every stream and budget]({PICTURE})\n\n{of_streams(rows)}")


if __name__ == "__main__":
    main()
