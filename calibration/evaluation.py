"""How well a detector told labelled frames apart, with the uncertainty that their number leaves."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import ndtri
from scipy.stats import beta, rankdata

Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]

CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A value with its 95 % interval; None where there was nothing to estimate it from."""

    value: float | None
    low: float
    high: float


class Counts(NamedTuple):
    """Frames by truth (anomalous, normal) and judgement (flagged, passed)."""

    anomalous_flagged: int
    anomalous_passed: int
    normal_flagged: int
    normal_passed: int


class Performance(NamedTuple):
    sensitivity: Estimate  # of anomalous frames, the share flagged
    precision: Estimate  # of flagged frames, the share anomalous; depends on how many of each were shown
    accuracy: Estimate  # of all frames, the share judged rightly; depends likewise
    false_alarm_rate: Estimate  # of normal frames, the share flagged
    f1: float | None  # no proportion, so no interval


def count(anomalous: Flags, flagged: Flags) -> Counts:
    """Counts over frames (n,) of which some are *anomalous* and some were *flagged*."""
    anomalous, flagged = np.asarray(anomalous, bool), np.asarray(flagged, bool)
    return Counts(
        int((anomalous & flagged).sum()),
        int((anomalous & ~flagged).sum()),
        int((~anomalous & flagged).sum()),
        int((~anomalous & ~flagged).sum()),
    )


def performance(counts: Counts) -> Performance:
    """What *counts* say; each frame counts as independent of the others, so runs of like frames are flattered."""
    hit, miss, false_alarm, passed = counts
    shown = 2 * hit + miss + false_alarm
    return Performance(
        sensitivity=proportion(hit, hit + miss),
        precision=proportion(hit, hit + false_alarm),
        accuracy=proportion(hit + passed, sum(counts)),
        false_alarm_rate=proportion(false_alarm, false_alarm + passed),
        f1=2 * hit / shown if shown else None,
    )


def proportion(successes: int, trials: int) -> Estimate:
    """Exact interval of a proportion. Clopper and Pearson 1934. Raises ValueError for counts that cannot be."""
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} is no proportion")
    if trials == 0:
        return Estimate(None, 0.0, 1.0)
    tail = (1 - CONFIDENCE) / 2
    low = float(beta.ppf(tail, successes, trials - successes + 1)) if successes else 0.0
    high = float(beta.isf(tail, successes + 1, trials - successes)) if successes < trials else 1.0
    return Estimate(successes / trials, low, high)


def auroc(normal: Floats, anomalous: Floats) -> Estimate:
    """Chance that an anomalous frame scores above a normal one, ties counting half, from scores (m,) and (n,).

    The interval is Newcombe's (2006, method 5): the areas whose Hanley-McNeil standard error puts them 1.96 of it
    from the value. Unlike an interval about the value it has a width at an area of 1, too. Infinite scores are fine,
    NaN raises ValueError.
    """
    m, n = len(normal), len(anomalous)
    scores = np.concatenate((normal, anomalous)).astype(np.float64)
    if np.isnan(scores).any():
        raise ValueError("scores that are not numbers cannot be ranked")
    if m == 0 or n == 0:
        return Estimate(None, 0.0, 1.0)
    area = float((rankdata(scores)[m:].sum() - n * (n + 1) / 2) / (m * n))
    return Estimate(area, 1 - _upper_area(1 - area, m, n), _upper_area(area, m, n))


def _upper_area(area: float, m: int, n: int) -> float:
    """The largest area that *area* does not contradict; 1 - the same of 1 - area is the smallest."""
    z = float(ndtri((1 + CONFIDENCE) / 2))

    def inside(candidate: float) -> float:
        return z * _area_sd(candidate, m, n) - (candidate - area)

    almost = 1 - 1e-12
    if area >= almost or inside(almost) > 0:
        return 1.0
    return float(brentq(inside, max(area, 1e-12), almost))


def _area_sd(area: float, m: int, n: int) -> float:
    """Standard error of an area. Hanley and McNeil 1982, both counts replaced by their mean after Newcombe 2006."""
    mean = (m + n) / 2
    others = (1 - area) / (2 - area) + area / (1 + area)
    return float(np.sqrt(area * (1 - area) * (1 + (mean - 1) * others) / (m * n)))
