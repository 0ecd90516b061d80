"""How a new run fares under limits from a few runs: `python -m tests.benchmarks.unseen_groups`.

Runs differ by a log-normal factor on their scores, of so many times the standard deviation of log scores within a run.
Within a run scores are log-logistic, with a Pareto tail of shape 1/4, and AR(1). Limits are fitted as in calibration,
on the joint scale of the very scores, and asked of all runs there could be: the share of a run's frames over a limit
is known in closed form, so only calibrations are drawn. With `--out docs/limits.md` the table is written there.
"""

import argparse
import sys
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter
from scipy.special import log_ndtr, ndtri

from calibration.groups import limit_for_new_group, own_limits
from calibration.kde import bandwidth, tail_root
from calibration.tails import fit_tail, rarity, score_of
from tests.benchmarks.document import put
from tests.benchmarks.promise.figures import OnGroups, add_files, keep
from tests.benchmarks.promise.tables import of_groups

Floats = npt.NDArray[np.float64]

POWER = 4.0  # of the tail: a share v^-4 of frames scores above v
WITHIN = np.pi / np.sqrt(3) / POWER  # standard deviation of log scores
MEMORY = 0.9
FRESH = 4001
METHODS = ("pooled", "order statistics", "random effects")
BETWEEN = (0.0, 0.2, 0.5, 1.0)
GROUPS = (2, 3, 5, 9, 20, 40)
PLACE = "promise-groups"
HEAD = "between  groups  method            rate / asked          runs over  > twice  covered  predicted\n"


class Trials(NamedTuple):
    """What n calibrations let through in new runs."""

    rates: Floats  # (n,) mean over runs of the share of frames over the limit
    over_twice: Floats  # (n,) share of runs with more than twice the rate
    over: Floats  # (n,) share of runs with more than the rate
    covered: Floats  # (n,) whether the interval holds what 90 % of runs' own limits lie below; NaN for pooled
    predicted: Floats  # (n,) the mean rate that the limit itself predicts; NaN for pooled


def runs(count: int, frames: int, between: float, random: np.random.Generator) -> Floats:
    """Scores (count, frames) of runs whose factors differ by *between* standard deviations of log scores."""
    noise = random.standard_normal((count, frames))
    noise[:, 1:] *= np.sqrt(1 - MEMORY**2)
    z = lfilter([1], [1, -MEMORY], noise, axis=1)
    factors = np.exp(between * WITHIN * random.standard_normal((count, 1)))
    return np.asarray(factors * np.exp((log_ndtr(z) - log_ndtr(-z)) / POWER))


def rates_of_new_runs(limit: float, between: float) -> Floats:
    """The share of frames over *limit*, of runs at evenly spaced probabilities."""
    factors = np.exp(between * WITHIN * ndtri((np.arange(FRESH) + 0.5) / FRESH))
    return np.asarray(1 / (1 + (limit / factors) ** POWER))


def level_of_runs(between: float, rate: float, share: float = 0.9) -> float:
    """What *share* of runs' own limits lie below."""
    return float((1 / rate - 1) ** (1 / POWER) * np.exp(between * WITHIN * ndtri(share)))


def trials(groups: int, between: float, rate: float, frames: int, count: int, resamples: int) -> dict[str, Trials]:
    """*count* calibrations, each on *groups* runs of its own, by method."""
    truth = level_of_runs(between, rate)
    found: dict[str, list[tuple[float, ...]]] = {method: [] for method in METHODS}
    for seed in range(count):
        scores = runs(groups, frames, between, np.random.default_rng((seed, groups)))
        for method, (limit, low, high, predicted) in _limits(scores, rate, resamples):
            new = rates_of_new_runs(limit, between)
            covered = np.nan if np.isnan(low) else low <= truth <= high
            row = (new.mean(), (new > 2 * rate).mean(), (new > rate).mean(), covered, predicted)
            found[method].append(tuple(map(float, row)))
    return {method: Trials(*np.array(rows).T) for method, rows in found.items()}


def _limits(scores: Floats, rate: float, resamples: int) -> Iterator[tuple[str, tuple[float, float, float, float]]]:
    """Limit and interval in units of scores (g, m), and the mean rate predicted, by each method."""
    tail = fit_tail(scores.ravel())
    joint, labels = rarity(scores, tail).ravel(), np.repeat(np.arange(len(scores)), scores.shape[1])
    yield "pooled", (score_of(tail_root(joint, bandwidth(joint), rate), tail), np.nan, np.nan, np.nan)
    own = own_limits(joint, labels, rate, resamples=resamples)
    for method in ("order statistics", "random effects"):
        one = limit_for_new_group(own, method=method)
        low, high = (score_of(level, tail) if np.isfinite(level) else level for level in (one.low, one.high))
        yield method, (score_of(one.limit, tail), low, high, one.mean_rate)


def figures(method: str, groups: int, between: float, rate: float, found: Trials) -> OnGroups:
    """Rates as multiples of what was asked for: mean over calibrations, and their 10th and 90th percentile."""
    low, high = np.quantile(found.rates / rate, [0.1, 0.9])
    return OnGroups(
        method=method,
        groups=groups,
        between=between,
        calibrations=len(found.rates),
        mean=float(found.rates.mean() / rate),
        low=float(low),
        high=float(high),
        over=float(found.over.mean()),
        over_twice=float(found.over_twice.mean()),
        covered=None if method == "pooled" else float(found.covered.mean()),
        predicted=None if method == "pooled" else float(np.median(found.predicted) / rate),
    )


def row(one: OnGroups) -> str:
    told = f"{one.between:>7}  {one.groups:>6}  {one.method:<16}  {one.mean:5.2f} ({one.low:4.2f} to {one.high:5.2f})"
    told += f"  {one.over:6.1%}  {one.over_twice:7.1%}"
    if one.covered is not None and one.predicted is not None:
        told += f"  {one.covered:7.1%}  {one.predicted:9.2f}"
    return told + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=0.01, help="asked for, per frame")
    parser.add_argument("--frames", type=int, default=2000, help="of a run")
    parser.add_argument("--calibrations", type=int, default=200)
    parser.add_argument("--resamples", type=int, default=4)
    add_files(parser, list[OnGroups], PLACE)
    options = parser.parse_args()
    rows: list[OnGroups] = []
    sys.stdout.write(HEAD)
    for one in options.kept or measure(options):
        rows.append(one)
        sys.stdout.write(row(one))
        sys.stdout.flush()
    keep(options.json, rows)
    if options.out:
        put(options.out, PLACE, of_groups(rows))


def measure(options: argparse.Namespace) -> Iterator[OnGroups]:
    """The figures of every method, for every spread between runs and number of them."""
    for between in BETWEEN:
        for groups in GROUPS:
            found = trials(groups, between, options.rate, options.frames, options.calibrations, options.resamples)
            for method in METHODS:
                yield figures(method, groups, between, options.rate, found[method])


if __name__ == "__main__":
    main()
