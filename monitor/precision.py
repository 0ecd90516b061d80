"""In which precision a bundle's decoder draws: in bfloat16 where that is quicker and the scores hardly tell."""

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from models.scorer import Scorer
from models.scores import CHARTS, Precision, Scores
from monitor.camera.recordings import Recording
from monitor.limits import Held, Limiting, held_of

TOLERATED: Final = 0.01
"""Of the way from a chart's in-control mean to its limit, that rounding may move a score."""

RARELY: Final = 0.01
"""Of the held-out frames, whose scores rounding moves by more than is said."""

Floats = npt.NDArray[np.floating[Any]]
SetLimits = Callable[[Sequence[Recording]], tuple[Limiting, Held, Scores]]


class Chosen(NamedTuple):
    """What a bundle will score with, and the limits that were set on its scores."""

    scorer: Scorer
    set_limits: SetLimits
    limiting: tuple[Limiting, Held, Scores]
    error: dict[str, float]  # see `errors`; none in float32


def choose(
    wanted: Literal["auto"] | Precision,
    exact: Scorer,
    limits_by: Callable[[Scorer], SetLimits],
    recordings: Sequence[Recording],
) -> Chosen:
    """The scorer whose limits *recordings* set: *exact*, which is in float32, or the same in what is *wanted*.

    `auto` takes bfloat16 where the scorer gains by it and rounding moves no chart's scores by more than is tolerated.
    """
    if wanted == "float32" or (wanted == "auto" and not exact.gains_by_bfloat16):
        return _with(exact, limits_by, recordings)
    rounded = _with(exact.in_precision("bfloat16"), limits_by, recordings)
    limiting, held, _ = rounded.limiting
    limits = [limit.value for limit in limiting.limits.pooled]
    error = errors(held_of(recordings, exact)[0].values, held.values, limits)
    if wanted == "auto" and not all(0 <= one <= TOLERATED for one in error.values()):
        return _with(exact, limits_by, recordings)
    return rounded._replace(error=error)


def errors(exact: Floats, rounded: Floats, limits: Sequence[float]) -> dict[str, float]:
    """Chart -> how far rounding moves its scores, as a share of the way from the in-control mean to the *limits*.

    *exact* and *rounded* are the scores (m, charts) of the same in-control frames. 99 % of them move by less.
    """
    moved = np.quantile(np.abs(rounded - exact), 1 - RARELY, axis=0)
    mean = exact.mean(axis=0, dtype=np.float64)
    return {chart: float(moved[index] / (limits[index] - mean[index])) for index, chart in enumerate(CHARTS)}


def _with(scorer: Scorer, limits_by: Callable[[Scorer], SetLimits], recordings: Sequence[Recording]) -> Chosen:
    set_limits = limits_by(scorer)
    return Chosen(scorer, set_limits, set_limits(recordings), {})
