"""How well a detector told labelled frames apart, with the uncertainty that their number leaves."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy
from scipy.special import ndtri

Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]
Labels = npt.NDArray[Any]

CONFIDENCE = 0.95
RESAMPLES = 400
SEED = 0

Weigh = Callable[[Floats], Floats]
"""How often each frame was drawn (n,) -> how much it counts (n,)."""


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
    low = float(scipy.stats.beta.ppf(tail, successes, trials - successes + 1)) if successes else 0.0
    high = float(scipy.stats.beta.isf(tail, successes + 1, trials - successes)) if successes < trials else 1.0
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
    area = float((scipy.stats.rankdata(scores)[m:].sum() - n * (n + 1) / 2) / (m * n))
    return Estimate(area, 1 - _upper_area(1 - area, m, n), _upper_area(area, m, n))


def _upper_area(area: float, m: int, n: int) -> float:
    """The largest area that *area* does not contradict; 1 - the same of 1 - area is the smallest."""
    z = float(ndtri((1 + CONFIDENCE) / 2))

    def inside(candidate: float) -> float:
        return z * _area_sd(candidate, m, n) - (candidate - area)

    almost = 1 - 1e-12
    if area >= almost or inside(almost) > 0:
        return 1.0
    return float(scipy.optimize.brentq(inside, max(area, 1e-12), almost))


def _area_sd(area: float, m: int, n: int) -> float:
    """Standard error of an area. Hanley and McNeil 1982, both counts replaced by their mean after Newcombe 2006."""
    mean = (m + n) / 2
    others = (1 - area) / (2 - area) + area / (1 + area)
    return float(np.sqrt(area * (1 - area) * (1 + (mean - 1) * others) / (m * n)))


def block_weights(blocks: Labels, anomalous: Flags, resamples: int = RESAMPLES, seed: int = SEED) -> Iterator[Floats]:
    """How often each frame was drawn (n,), in *resamples* bootstrap samples of whole *blocks*, labels (n,).

    Frames of one block (a run, a scene, crops that share pixels) say the same thing, so they come or stay away
    together (cluster bootstrap; Davison and Hinkley 1997, 3.8). Blocks that hold only normal frames, only
    *anomalous* ones (n,), or both are drawn each among their like, so no sample lacks a class. The same seed gives
    the same samples: differences between detectors on the same frames are paired.
    """
    names, block = np.unique(blocks, return_inverse=True)
    holds = np.zeros((len(names), 2), bool)
    holds[block, np.asarray(anomalous, np.int64)] = True
    alike = [np.flatnonzero((holds == which).all(axis=1)) for which in ((True, False), (False, True), (True, True))]
    random = np.random.default_rng(seed)
    for _ in range(resamples):
        drawn = np.concatenate([random.choice(some, len(some)) for some in alike if len(some)])
        yield np.bincount(drawn, minlength=len(names))[block].astype(np.float64)


def block_interval(
    statistic: Callable[[Floats], float],
    blocks: Labels,
    anomalous: Flags,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Estimate:
    """*statistic* of frames that all count once, with its percentile interval over resampled *blocks* (n,).

    It gets the weights (n,) of `block_weights`. Where it is not a number in some samples, these are left out. With
    few blocks (less than about ten of a class) such intervals are too narrow; where a class has one block only, nothing
    is known of others, and the interval is infinite. ValueError without frames.
    """
    if len(blocks) == 0:
        raise ValueError("no frames to estimate anything from")
    value = statistic(np.ones(len(blocks)))
    if any(len(np.unique(some)) == 1 for some in (blocks[~anomalous], blocks[anomalous])):
        return Estimate(value, -np.inf, np.inf)
    again = np.array([statistic(weights) for weights in block_weights(blocks, anomalous, resamples, seed)])
    again = again[~np.isnan(again)]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(again, [tail, 1 - tail]) if len(again) else (value, value)
    return Estimate(value, min(float(low), value), max(float(high), value))


def auroc_by_blocks(
    scores: Floats,
    anomalous: Flags,
    blocks: Labels,
    weigh: Weigh = lambda weights: weights,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Area as in `auroc` for frames that come in *blocks* (n,), with an interval over blocks; *weigh* sets what counts.

    Where the classes are told apart without an error the bootstrap has nothing to vary: the interval is then that of
    `auroc` for one frame a block. Where a class has one block only it is 0 to 1.
    """
    anomalous = np.asarray(anomalous, bool)
    area = area_of(scores, anomalous)
    value = area(weigh(np.ones(len(blocks))))
    if value in (0.0, 1.0):
        _, low, high = auroc(np.zeros(len(np.unique(blocks[~anomalous]))), np.ones(len(np.unique(blocks[anomalous]))))
        return Estimate(1.0, low, high) if value else Estimate(0.0, 1 - high, 1 - low)
    found = block_interval(lambda weights: area(weigh(weights)), blocks, anomalous, resamples)
    return Estimate(value, max(found.low, 0.0), min(found.high, 1.0))


def area_of(scores: Floats, anomalous: Flags) -> Callable[[Floats], float]:
    """The area under the ROC curve as a function of the frames' weights (n,), ties counting half.

    NaN where a class has no weight. Raises ValueError for scores (n,) that are NaN.
    """
    if np.isnan(scores).any():
        raise ValueError("scores that are not numbers cannot be ranked")
    _, rank = np.unique(scores, return_inverse=True)
    ranks = int(np.max(rank)) + 1

    def area(weights: Floats) -> float:
        wrong = np.bincount(rank[anomalous], weights[anomalous], minlength=ranks)
        sound = np.bincount(rank[~anomalous], weights[~anomalous], minlength=ranks)
        below = np.cumsum(sound) - sound / 2
        pairs = float(wrong.sum() * sound.sum())
        # Rounded, so that weights that are no whole numbers leave a perfect area perfect.
        return round(float(wrong @ below) / pairs, 12) if pairs else float("nan")

    return area


def share_by_blocks(
    flagged: Flags, blocks: Labels, weigh: Weigh = lambda weights: weights, resamples: int = RESAMPLES
) -> Estimate:
    """Share of frames that were *flagged* (n,), with an interval over *blocks* (n,); *weigh* sets what counts.

    Where all frames agree, the interval is that of `proportion` for one frame a block. Where there is one block only
    it is 0 to 1.
    """
    flagged = np.asarray(flagged, bool)
    if len(flagged) == 0:
        return proportion(0, 0)
    if flagged.all() or not flagged.any():
        count_blocks = len(np.unique(blocks))
        return proportion(count_blocks if flagged.any() else 0, count_blocks)

    def share(weights: Floats) -> float:
        weights = weigh(weights)
        total = float(weights.sum())
        return float(weights[flagged].sum()) / total if total else float("nan")

    value, low, high = block_interval(share, blocks, np.zeros(len(blocks), bool), resamples)
    return Estimate(value, max(low, 0.0), min(high, 1.0))
