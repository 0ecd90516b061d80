"""One scale for all charts: how rarely an in-control frame scores as high.

Charts have tails of different weight: how many in-control spreads a score lies above the median says little about how
rare it is. Ranks would say it, but only down to one over the number of frames, and with ties; a generalized Pareto
distribution over the highest scores goes on smoothly beyond the largest.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from calibration.charts import CalibrationError
from calibration.layout import laid_out

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]

SHARE: Final = 0.1  # of the scores: the tail that the distribution is fitted to
EXCESSES_WANTED: Final = 20  # where the share would leave fewer, it is larger, up to
SHARE_MAX: Final = 0.5
FAR_EXCESSES: Final = 30
FAR_PRIOR: Final = 100  # excesses that tell the shape as well as the prior: its variance is about one over their number
FRAMES_MIN: Final = 20
BODY_POINTS: Final = 65
LIGHTEST: Final = -0.3
HEAVIEST: Final = 0.5
"""The shape lies between them: above 0.5 a tail has no variance, and charts' tails are not lighter than a bell's."""

JOINED: Final = 1e-3
"""Share of a tail of negative shape from which on it falls exponentially: it would end somewhere, and everything beyond
be infinitely rare."""


SHAPELESS: Final = 1e-12
"""A tail of less shape is exponential to the last digits that matter, and its own formula loses them."""


class Tail(NamedTuple):
    """How often in-control scores exceed a value: by *body* up to its last value, by a Pareto tail beyond."""

    body: Float64s  # (k,) rising: values exceeded with probabilities that fall by equal factors from 1 to *share*
    share: float  # of the scores above the last of them
    shape: float
    scale: float


def far_tail(scores: Floats) -> Tail:
    """The tail of in-control *scores* (m,), for limits that lie beyond nearly all of them. Raises as `fit_tail` does.

    It is fitted to the thirty highest only: what recurs in one frame of a hundred or two (a melt pool's start at every
    vector) is no tail, and one that is fitted to it reaches far beyond anything that was ever seen. So few tell the
    shape badly (a standard deviation of 0.2), so it is drawn to that of an exponential tail: the posterior mean under a
    normal prior of standard deviation 0.1. And the tail falls no faster than exponentially: so few scores may look as
    if they ended somewhere, and a chart whose next score is then as good as impossible would drown all others.
    """
    return fit_tail(scores, FAR_EXCESSES / max(len(scores), 1), lightest=0.0, prior=FAR_PRIOR)


def fit_tail(scores: Floats, share: float = SHARE, lightest: float = LIGHTEST, prior: int = 0) -> Tail:
    """The tail of in-control *scores* (m,), by probability-weighted moments (Hosking and Wallis 1987).

    It is fitted to the highest *share* of them, or to the highest twenty, and to half of them at most. Its shape is at
    least *lightest*, and drawn to 0 with the weight of *prior* excesses. Raises
    CalibrationError for fewer than 20 scores and for scores that are not finite.
    """
    x = np.sort(np.asarray(scores, np.float64))
    if len(x) < FRAMES_MIN:
        raise CalibrationError(f"{x.size} held-out frames are too few: give at least {FRAMES_MIN}")
    share = min(max(share, EXCESSES_WANTED / len(x)), SHARE_MAX)
    if not np.isfinite(x).all():
        raise CalibrationError("held-out scores are not finite: remove the frames that gave them")
    body = np.quantile(x, 1.0 - np.geomspace(1.0, share, BODY_POINTS))
    excess = x[x > body[-1]] - body[-1]
    narrowest = max(1e-9 * float(np.abs(x).max()), 1e-12)  # as wide as rounding: of scores that take few values
    if len(excess) == 0 or excess.mean() <= narrowest:
        return Tail(body, share, 0.0, narrowest)
    mean = float(excess.mean())
    # E[X (1 - F)], by plotting positions of the sorted excesses.
    rest = 1.0 - (np.arange(len(excess)) + 0.65) / len(excess)
    weighted = float((excess * rest).mean())
    told = len(excess) / (len(excess) + prior)
    shape = told * float(np.clip(2.0 - mean / max(mean - 2.0 * weighted, 1e-12 * mean), lightest, HEAVIEST))
    return Tail(body, share, shape, mean * (1.0 - shape))


def rarity(scores: npt.ArrayLike, tail: Tail) -> Float64s:
    """-log10 of the share of in-control frames that score higher than each of *scores*, of any shape.

    It rises with the score and has no end; what is not a number is infinitely rare.
    """
    x = np.asarray(scores, np.float64)
    return Rarities([tail])(x.reshape(-1, 1)).reshape(x.shape)


class Tables(NamedTuple):
    """The tails of c charts, as compiled loops read them."""

    bodies: Float64s  # (c, BODY_POINTS) rising
    known: Float64s  # (c, BODY_POINTS) how rare they are
    laws: Float64s  # (c, 5) of the tail: where it begins, scale, shape; excess where it becomes exponential, rate there


def tables_of(tails: Sequence[Tail]) -> Tables:
    """*tails* side by side. Raises ValueError for a body of another number of values than BODY_POINTS."""
    bodies = np.array([tail.body for tail in tails]).reshape(len(tails), BODY_POINTS)
    known = np.array([_body_rarity(tail.share) for tail in tails]).reshape(len(tails), BODY_POINTS)
    return Tables(bodies, known, np.array([_law(tail) for tail in tails]).reshape(len(tails), 5))


class Rarities:
    """`rarity` of several charts' scores side by side, each by its own of *tails*."""

    def __init__(self, tails: Sequence[Tail]) -> None:
        self.tables = tables_of(tails)

    def __call__(self, scores: Float64s) -> Float64s:
        """The rarities (m, c) of *scores* (m, c), to the last bit those of `rarity`."""
        from calibration.compiled.memory import rarities

        rare = np.empty(scores.shape)
        rarities(laid_out(scores, np.float64), *self.tables, rare)
        return rare


def score_of(rare: float, tail: Tail) -> float:
    """The score whose `rarity` is *rare*."""
    known = _body_rarity(tail.share)
    if rare <= known[-1]:
        return float(np.interp(rare, known, tail.body))
    beyond = (rare - float(known[-1])) * np.log(10.0)
    if abs(tail.shape) < SHAPELESS:
        return float(tail.body[-1] + tail.scale * beyond)
    _end, slope = _join(tail.shape)
    held = min(beyond, -np.log(JOINED)) if tail.shape < 0.0 else beyond
    excess = np.expm1(tail.shape * held) / tail.shape + (beyond - held) / slope
    return float(tail.body[-1] + tail.scale * excess)


def _law(tail: Tail) -> tuple[float, ...]:
    shape = tail.shape if abs(tail.shape) >= SHAPELESS else 0.0
    return tail.body[-1], tail.scale, shape, *(_join(shape) if shape < 0.0 else (np.inf, 0.0))


def _join(shape: float) -> tuple[float, float]:
    """Excess from which a tail of negative *shape* falls exponentially, and its rate there."""
    end = float(np.expm1(-shape * np.log(JOINED)) / shape)
    return end, 1.0 / (1.0 + shape * end)


@lru_cache
def _body_rarity(share: float) -> Float64s:
    """The rarity of each of a body's values: (BODY_POINTS,), rising. Not to be changed."""
    return np.linspace(0.0, -np.log10(share), BODY_POINTS)
