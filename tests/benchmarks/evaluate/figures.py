"""Scores of one split -> areas, shares and differences, with intervals over its blocks."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from calibration.evaluation import Estimate, area_of, auroc_by_blocks, block_interval, share_by_blocks
from tests.benchmarks.evaluate.methods import TOGETHER, Method, conformal_limit
from tests.benchmarks.evaluate.splits import NORMAL, Say, Shown, Split, require_apart

Floats = npt.NDArray[np.floating[Any]]

OWN_LIMITS: Final = "own limits"


class Judged(NamedTuple):
    """One score of one method for all frames of a split, and the limit that the calibration groups gave."""

    method: str
    score: str
    scores: Floats  # (n,)
    limit: float

    @property
    def flagged(self) -> npt.NDArray[np.bool_]:
        """Which frames are over the limit (n,)."""
        over: npt.NDArray[np.bool_] = self.scores > self.limit
        return over


def judge(split: Split, methods: Sequence[Method], say: Say) -> list[Judged]:
    """Every score of every method, all limited alike by conformal quantiles of the calibration groups.

    framewatch comes a second time with the limits of its bundle. Raises ValueError for a split that leaks.
    """
    require_apart(split)
    found: list[Judged] = []
    for method in methods:
        say(f"{split.name}: {method.name}")
        score = method.fit(split.train, split.calibration)
        held = score(np.concatenate(split.calibration))
        scores = score(split.shown.frames)
        found += [Judged(method.name, name, scores[name], conformal_limit(held[name], split.rate)) for name in scores]
        if method.own_limits:
            found.append(Judged(method.name, OWN_LIMITS, scores[TOGETHER], 1.0))
    return found


class Figures:
    """What can be said of one split's frames. *resamples* of the bootstrap over blocks make each interval."""

    def __init__(self, split: Split, resamples: int) -> None:
        self.split = split
        self.shown: Shown = split.shown
        self._resamples = resamples

    def area(self, one: Judged, kind: str | None = None) -> Estimate:
        """Area under the ROC curve of frames of *kind* (None: all) against normal ones."""
        held = self._of(kind)
        return auroc_by_blocks(
            one.scores[held], self.shown.anomalous[held], self.shown.blocks[held], self._even(held), self._resamples
        )

    def gain(self, one: Judged, other: Judged, kind: str | None = None) -> Estimate:
        """How much larger the area of *one* is than that of *other*, on the same frames."""
        held = self._of(kind)
        wrong, weigh = self.shown.anomalous[held], self._even(held)
        ours, theirs = area_of(one.scores[held], wrong), area_of(other.scores[held], wrong)

        def difference(weights: Floats) -> float:
            weighed = weigh(weights)
            return ours(weighed) - theirs(weighed)

        return block_interval(difference, self.shown.blocks[held], wrong, self._resamples)

    def sensitivity(self, one: Judged, kind: str | None = None) -> Estimate:
        """Of the anomalous frames of *kind*, the share over the limit."""
        return self._share(one, self._of(kind) & self.shown.anomalous)

    def false_alarms(self, one: Judged) -> Estimate:
        """Of the normal frames, the share over the limit."""
        return self._share(one, ~self.shown.anomalous)

    def above_partner(self, one: Judged, kind: str | None = None) -> Estimate:
        """Of the anomalous frames, the share that scores above the very normal frame they were made of; ties half."""
        if self.split.partners is None:
            raise ValueError(f"{self.split.name} has no partners")
        held = self._of(kind) & self.shown.anomalous
        above = one.scores[held] - one.scores[self.split.partners[held]]
        weigh, blocks = self._even(held), self.shown.blocks[held]
        wins = (above > 0) + 0.5 * (above == 0)
        if (wins == wins[0]).all():
            return share_by_blocks(wins > 0.5, blocks)

        def share(weights: Floats) -> float:
            return float(np.average(wins, weights=weigh(weights)))

        return block_interval(share, blocks, np.zeros(len(blocks), bool), self._resamples)

    def mixed(self, one: Judged, prevalence: float) -> tuple[Estimate, Estimate, Estimate]:
        """Accuracy, sensitivity and F1 a frame where *prevalence* of the frames are anomalous, all kinds alike."""
        everything = np.ones(len(self.shown.kinds), bool)
        weigh, wrong, flagged = self._even(everything), self.shown.anomalous, one.flagged

        def statistic(of: Callable[[float, float], float]) -> Estimate:
            def value(weights: Floats) -> float:
                weighed = weigh(weights)
                shares = [float(weighed[some & flagged].sum() / weighed[some].sum()) for some in (wrong, ~wrong)]
                return of(*shares)

            return block_interval(value, self.shown.blocks, wrong, self._resamples)

        return (
            statistic(lambda hit, alarm: prevalence * hit + (1 - prevalence) * (1 - alarm)),
            statistic(lambda hit, alarm: hit),
            statistic(lambda hit, alarm: f1(hit, alarm, prevalence)),
        )

    def _share(self, one: Judged, held: npt.NDArray[np.bool_]) -> Estimate:
        return share_by_blocks(one.flagged[held], self.shown.blocks[held], self._even(held), self._resamples)

    def _of(self, kind: str | None) -> npt.NDArray[np.bool_]:
        """Normal frames and those of *kind*."""
        if kind is None:
            return np.ones(len(self.shown.kinds), bool)
        held: npt.NDArray[np.bool_] = (self.shown.kinds == NORMAL) | (self.shown.kinds == kind)
        return held

    def _even(self, held: npt.NDArray[np.bool_]) -> Callable[[Floats], Floats]:
        """Weights under which every kind among the frames *held* counts the same, where the split wants it so."""
        if not self.split.even:
            return lambda weights: weights
        _, kind = np.unique(self.shown.kinds[held].astype(str), return_inverse=True)

        def weigh(weights: Floats) -> Floats:
            sums = np.bincount(kind, weights)[kind]
            return np.divide(weights, sums, out=np.zeros_like(weights), where=sums > 0)

        return weigh


def f1(sensitivity: float, false_alarms: float, prevalence: float) -> float:
    """Harmonic mean of precision and sensitivity where *prevalence* of the frames are anomalous."""
    hits = prevalence * sensitivity
    return 2 * hits / (hits + prevalence + (1 - prevalence) * false_alarms)
