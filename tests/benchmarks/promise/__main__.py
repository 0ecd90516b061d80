"""Whether limits keep the budget of false alarms that they promise: `python -m tests.benchmarks.promise`.

Limits are set on one stretch of a stream, for as many events an hour as 2, 3 or 10 in that stretch, and tried on long
fresh streams. Figures are events over the budget: their mean and spread over calibrations, how often the published
90 % interval holds the true limit (beside it that of a percentile bootstrap), and how often the conservative limit
raises more than the budget. With less than one event in the stretch the limit is extrapolated. A fifth of the stretch
fits the tails and sets no limit. The stream `floor` shows beside it what ranks would realise in the place of tails.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any, Final

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

from tests.benchmarks.promise.streams import Stream, fresh
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
FLOOR: Final = Stream("floor", 0.9, 200_000, 60 * MILLION, floor=3.6, charts=4, k=1, n=1)
EXPECTED: Final = (3.0, 10.0, 0.3)
EXPECTED_FLOOR: Final = 2.0
HEAD: Final = (
    f"{'stream':<12} {'events':>6} {'blocks':>6} {'frames':>6} {'promised':>8}  {'mean':>4} {'s.e.':>5}"
    f" {'90 % of limits':>15} {'covered':>8} {'bootstrap':>9} {'conservative over':>18}\n"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="few calibrations, shorter fresh streams")
    parser.add_argument("--calibrations", type=int, help="of every stream: 100, or 10 with --quick")
    parser.add_argument("--only", nargs="+", choices=[*STREAMS, FLOOR.name], help="these streams")
    parser.add_argument("--seed", type=int, default=CALIBRATION_SEED, help="of the first calibration")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    calibrations = options.calibrations or (10 if options.quick else 100)
    rows: list[dict[str, Any]] = []
    sys.stdout.write(HEAD)
    for name in options.only or [*STREAMS, FLOOR.name]:
        stream = STREAMS.get(name, FLOOR)
        stream = stream._replace(fresh=stream.fresh // 10) if options.quick else stream
        for row in figures(stream, calibrations, options.seed):
            rows.append(row)
            sys.stdout.write(line(row))
            sys.stdout.flush()
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


def figures(stream: Stream, calibrations: int, seed: int) -> list[dict[str, Any]]:
    """The figures of every budget on *stream*; of the floor also with ranks."""
    ahead = fresh(stream, FRESH_SEED + seed)
    expected = (EXPECTED_FLOOR,) if stream.name == FLOOR.name else EXPECTED
    done = trials(stream, ahead, expected, calibrations, seed)
    rows = [{"stream": stream.name, "expected": one} | summary(done[one]) for one in expected]
    if EXPECTED_FLOOR in expected:
        realised = by_ranks(stream, ahead, EXPECTED_FLOOR, calibrations, seed)
        rows[0]["mean_by_ranks"] = float(np.mean(realised))
    return rows


def line(row: dict[str, Any]) -> str:
    told = (
        f"{row['stream']:<12} {row['expected']:>6g} {row['blocks']:>6.0f} {row['block_frames']:>6.0f}"
        f" {row['promised']:>8.2f}  {row['mean']:>4.2f} {row['standard_error']:>5.2f}"
        f" {row['from']:>6.2f} to {row['to']:>5.2f} {row['covered']:>8.0%} {row['covered_by_bootstrap']:>9.0%}"
        f" {row['conservative_over']:>18.0%}"
    )
    return told + (f"   by ranks {row['mean_by_ranks']:.2f}\n" if "mean_by_ranks" in row else "\n")


if __name__ == "__main__":
    main()
