"""How often normal frames of each context are over the limits, pooled and of their own: simulated melt pools.

    python tests/benchmarks/contexts.py [--rate 0.01] [--side 32]

One network is trained on some runs. Limits are fitted on few and on many others, drawn again and again from a store of
them, and asked of runs that neither has seen. A rate is the mean over the draws; beside it their 10th and 90th
percentile.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from calibration.limits import Limit, fit_limits
from calibration.scale import JointScale
from monitor.calibrate import calibrate
from monitor.camera.meltpool.camera import normal_in_context
from monitor.camera.recordings import Recording
from monitor.config import Calibration
from monitor.score import load_scorer

FRAMES, EVERY = 40, 30  # of a run: one frame in so many, so that they cover a layer
TRAINED, STORED, FRESH = 60, 160, 200  # runs
HELD_OUT = (5, 10, 20, 40, 80)  # runs that set limits
DRAWS = 40

Floats = npt.NDArray[np.float64]


class Scored(NamedTuple):
    """Scores of frames of many runs, one run after the other."""

    values: Floats  # (n, charts)
    contexts: npt.NDArray[np.str_]  # (n,)
    runs: npt.NDArray[np.int64]  # (n,)

    def of(self, runs: npt.NDArray[np.int64], context: str = "") -> "Scored":
        """Those of some *runs*, and of one *context* where one is named."""
        held = np.isin(self.runs, runs) & ((self.contexts == context) if context else True)
        return Scored(self.values[held], self.contexts[held], self.runs[held])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rate", type=float, default=0.01, help="asked for, per frame")
    parser.add_argument("--side", type=int, default=32, help="pixels")
    options = parser.parse_args()
    store, fresh = scored(options.side)
    sys.stdout.write(f"{'held-out runs':>13}  {'context':<8} {'frames':>6}   pooled limits             own limits\n")
    for count in HELD_OUT:
        for context in np.unique(store.contexts).tolist():
            sys.stdout.write(row(store, fresh.of(np.unique(fresh.runs), context), count, context, options.rate) + "\n")


def scored(side: int) -> tuple[Scored, Scored]:
    """Runs to set limits on and runs to ask them of, through a network that knows neither."""
    trained = [
        Recording(f"run {seed} {context}", frames[contexts == context], context)
        for seed in range(TRAINED)
        for frames, contexts in [normal_in_context(FRAMES, seed, side, side, EVERY)]
        for context in np.unique(contexts).tolist()
    ]
    with tempfile.TemporaryDirectory() as folder:
        settings = Calibration(latent=16, max_steps=400, false_alarm_rate=0.01)
        scorer = load_scorer(calibrate(trained, settings, Path(folder) / "bundle"))
    parts = []
    for first, count in ((10_000, STORED), (20_000, FRESH)):
        values, contexts = [], []
        for seed in range(first, first + count):
            frames, shown = normal_in_context(FRAMES, seed, side, side, EVERY)
            scores = scorer(frames)
            values.append(scores.values)
            contexts.append(shown)
        parts.append(Scored(np.concatenate(values), np.concatenate(contexts), np.repeat(np.arange(count), FRAMES)))
    return parts[0], parts[1]


def row(store: Scored, fresh: Scored, count: int, context: str, rate: float) -> str:
    """Rates over the limits among *fresh* frames of *context*, with limits of *count* runs of the store."""
    rates: list[tuple[float, float]] = []
    for draw in range(DRAWS):
        runs = np.random.default_rng(draw).choice(STORED, count, replace=False)
        fitted = [
            fit_limits(held.values, rate, groups=held.runs, resamples=1)
            for held in (store.of(runs), store.of(runs, context))
        ]
        rates.append((over(fresh, fitted[0]), over(fresh, fitted[1])))
    frames = len(store.of(np.arange(count), context).values)
    told = [
        f"{mean:7.2%} ({low:6.2%} to {high:6.2%})"
        for mean, (low, high) in ((one.mean(), np.quantile(one, [0.1, 0.9])) for one in np.array(rates).T)
    ]
    return f"{count:>13}  {context:<8} {frames:>6}  {'  '.join(told)}"


def over(fresh: Scored, limits: tuple[Limit, ...]) -> float:
    return float((JointScale(limits)(fresh.values)[0] > 1).mean())


if __name__ == "__main__":
    main()
