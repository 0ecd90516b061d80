"""The one scale on which charts are compared, as the judge asks it at every batch of frames."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from calibration.layout import distinct, laid_out
from calibration.limits import ContextLimits, Limit
from calibration.tails import rarity, score_of, tables_of

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]

ABOVE_ONE: Final = float(np.nextafter(1.0, 2.0))


class JointScale:
    """All charts on one scale. Made once, since it is asked at every batch of frames.

    The joint score is the largest rarity of a score over that of its chart's limit: above 1 is an exceedance. A score
    that is not a number counts as infinite: what cannot be judged is not normal.
    """

    def __init__(self, limits: Sequence[Limit]) -> None:
        from calibration.compiled.memory import joint_scores

        self._joint_scores = joint_scores
        self.values = np.array([limit.value for limit in limits])
        self._tables = tables_of([limit.tail for limit in limits])
        self._at_limit = np.array([float(rarity(limit.value, limit.tail)) for limit in limits])

    def __call__(self, scores: Floats) -> tuple[Float64s, npt.NDArray[np.uint8]]:
        """Joint scores (m,) of *scores* (m, c), and the index of the chart that each comes from (m,)."""
        joint, source = np.empty(len(scores)), np.empty(len(scores), np.uint8)
        x = laid_out(scores, np.float64)
        self._joint_scores(x, self.values, self._at_limit, ABOVE_ONE, *self._tables, joint, source)
        return joint, source


def times(limits: ContextLimits, ratio: float) -> ContextLimits:
    """*limits* moved to where the joint score is *ratio*: so many times as many decades rare as they are."""

    def moved(charts: Sequence[Limit]) -> tuple[Limit, ...]:
        decades = [ratio * float(rarity(one.value, one.tail)) for one in charts]
        return tuple(one._replace(value=score_of(at, one.tail)) for one, at in zip(charts, decades, strict=True))

    return ContextLimits(moved(limits.pooled), {context: moved(own) for context, own in limits.own.items()})


class ContextScale:
    """A joint scale for each context, made once and asked at every batch."""

    def __init__(self, limits: ContextLimits) -> None:
        self._pooled = JointScale(limits.pooled)
        self._own = {context.encode(): JointScale(own) for context, own in limits.own.items()}

    def __call__(
        self, scores: Floats, contexts: npt.NDArray[np.bytes_]
    ) -> tuple[Float64s, npt.NDArray[np.uint8], Float64s]:
        """Joint scores (m,) of *scores* (m, c), the charts they come from (m,), and the limits that held (m, c).

        *contexts* (m,) are UTF-8, as frames bring them.
        """
        found, values = distinct(contexts) if self._own else [], np.empty(scores.shape)
        if len(found) < 2:
            scale = self._own.get(found[0], self._pooled) if found else self._pooled
            values[:] = scale.values
            return *scale(scores), values
        joint, source = np.empty(len(scores)), np.empty(len(scores), np.uint8)
        for context in found:
            rows, scale = contexts == context, self._own.get(context, self._pooled)
            joint[rows], source[rows] = scale(scores[rows])
            values[rows] = scale.values
        return joint, source, values
