"""The chart of rates: spatter is normal, more spatter is the defect.

A warning limit is exceeded now and then by frames that are in control. What is charted is how often: the exceedances of
a *unit*, which is a layer, or a window of judged frames where there are no layers, against the counts of units in
control. These spread more widely than a binomial's, since exceedances come in clusters and units differ
(`calibration.beta_binomial`): a binomial limit breaks its promise on them (Tarone 1979 tests for it).

A unit's score is its rarity, -log10 of the probability of as many exceedances or more in control. The limit on it comes
from the order of the calibration's own units where these are enough, and from the law where they are not.
"""

import itertools
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy

from calibration.autocorrelation import autocorrelation_time
from calibration.beta_binomial import (
    INTERVAL,
    UNITS_MIN,
    UnitLaw,
    fewest_beyond,
    fit_units,
    inflation,
    most_within,
    rarity,
    weighted_quantile,
)
from calibration.blocks import LEVEL, dependence
from calibration.charts import CalibrationError
from calibration.extremes import bound_of, level_of

Flags = npt.NDArray[np.bool_]
Float64s = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

Rows = npt.NDArray[np.void]
"""(m,) judged frames in order: a structured array with at least `seq`, `layer`, `job` and `joint`, as events have.

A negative `layer` is none; `job` may be a name or a number.
"""

Row = Any
"""One element of Rows, copied out of it."""

SHARE_MAX: Final = 0.1  # of units that may exceed a limit
ORDERED: Final = 10  # units that must be expected beyond a limit for their order alone to set it
SUSPECT: Final = 0.01  # units as rare as one that are to be expected among all: if fewer, the law does not hold it
LEAST: Final = 0.3  # of a limit: what every second unit exceeds is not rare
CONSERVATIVE: Final = 0.90

CONFORMAL: Final = "conformal quantile of units"
LAW: Final = "beta-binomial law of units"
PEAKS: Final = "peaks over threshold of units"

Reason = Literal["partial", "few_frames"]


class UnitRule(NamedTuple):
    """Where there are no layers, *window* judged frames are a unit. One of fewer than *frames_min* is not charted."""

    window: int
    frames_min: int


class Unit(NamedTuple):
    """A layer or a window: its first, last and most extreme judged frame, how many there are, how many exceed."""

    first: Row
    last: Row
    peak: Row
    frames: int
    exceedances: int
    partial: bool = True  # ended by something else than its own end

    @property
    def job(self) -> Any:
        return self.first["job"]

    @property
    def layer(self) -> int:
        return int(self.first["layer"])


def start(rule: UnitRule) -> Unit | None:
    """The state before the first frame: no unit is open. Raises ValueError for a rule that can chart no window."""
    if not 1 <= rule.frames_min <= rule.window:
        raise ValueError(f"units need 1 <= frames_min <= window, not {rule.frames_min} and {rule.window}")
    return None


def step(rule: UnitRule, unit: Unit | None, rows: Rows, over: Flags) -> tuple[Unit | None, list[Unit]]:
    """The unit that is open after the next *rows* (m,), and those that ended, however the stream is cut into batches.

    *over* (m,) are the frames over the warning limit. A unit ends where layer or job change, and a window once it is
    full.
    """
    finished: list[Unit] = []
    for first, last in itertools.pairwise(_borders(rows)):
        piece, flags = rows[first:last], over[first:last]
        layered = bool(piece["layer"][0] >= 0)
        if unit is not None and _apart(unit.last, piece[0]):
            finished.append(unit._replace(partial=unit.layer < 0))
            unit = None
        while len(piece):
            room = len(piece) if layered else rule.window - (unit.frames if unit else 0)
            unit = _grown(unit, piece[:room], flags[:room])
            piece, flags = piece[room:], flags[room:]
            if not layered and unit.frames == rule.window:
                finished.append(unit._replace(partial=False))
                unit = None
    return unit, finished


def reset(unit: Unit | None) -> list[Unit]:
    """The open unit, ended as partial: what follows is another stream."""
    return [] if unit is None else [unit]


def why_uncharted(rule: UnitRule, unit: Unit) -> Reason | None:
    """Why *unit* is counted but not charted; None where it is charted."""
    if unit.partial:
        return "partial"
    return "few_frames" if unit.frames < rule.frames_min else None


class RateLimit(NamedTuple):
    """A limit on the score of a unit. *low* and *high* bound the true one with 90 % confidence."""

    limit: float
    low: float
    high: float
    conservative: float  # above the true limit with 90 % confidence
    method: str
    share: float  # of units in control that may exceed the limit
    units: int
    effective_units: float  # independent units that say as much as these
    extrapolated_by: float  # times that these units are too few for the share; 1 where they support it
    suspects: tuple[int, ...]  # units that the law does not hold: for a person to look at, none was left out
    law: UnitLaw
    why: str  # one sentence

    @property
    def supported(self) -> bool:
        return self.extrapolated_by == 1.0


class CountLimit(NamedTuple):
    """The most exceedances that a unit of *frames* frames may have in control, with their 90 % interval."""

    most: int
    low: int
    high: int
    frames: int


class UnitScore(NamedTuple):
    """How rare a unit is among those in control, against the limit: what an alarm's peak says."""

    score: float
    limit: float

    @property
    def ratio(self) -> float:
        return self.score / self.limit

    @property
    def over(self) -> bool:
        return self.score > self.limit


def share_of(per_hour: float, unit_hours: float) -> float:
    """The share of units that may exceed their limit for *per_hour* false alarms: at most one in ten."""
    if not (per_hour > 0 and unit_hours > 0):
        raise ValueError(f"a budget needs events an hour and hours a unit above 0, not {per_hour} and {unit_hours}")
    return min(per_hour * unit_hours, SHARE_MAX)


def rate_limit(exceedances: npt.ArrayLike, frames: npt.ArrayLike, share: float) -> RateLimit:
    """The limit that *share* of new units in control exceed, from held-out units (u,) in the stream's order.

    Where ten units or more are to be expected beyond it, it is the conformal quantile of their scores
    (`calibration.extremes`): whatever law they follow. Where fewer are, it is that of the beta-binomial law, its
    uncertainty included, and never below the conformal quantile that ten units do support. Where the law does not hold
    the units themselves, their own highest scores may raise it. Raises CalibrationError for fewer than 8 units, for
    counts that are not whole, and where units are too short or too few for any of them to exceed such a limit (a chart
    that can never speak would be taken for one that watches), ValueError for a share outside (0, 0.1].
    """
    if not 0 < share <= SHARE_MAX:
        raise ValueError(f"a share of units must lie above 0 and at most at {SHARE_MAX}, not {share}")
    x, n = _checked(exceedances, frames)
    time = _autocorrelation_time(x / n)
    law = fit_units(x, n, time)
    scores = _scores(law, x, n)
    falling = np.sort(scores)[::-1]
    wanted = share * (len(x) + 1)
    suspects = _suspects(x, n, time, scores)
    method = CONFORMAL if wanted >= ORDERED else PEAKS if suspects else LAW
    limit = max(_limit(falling, share, method), LEAST)
    if rarity(law, law.frames, law.frames) <= limit:
        raise CalibrationError(f"no unit of {law.frames} frames could exceed its limit: give more or longer ones")
    if method == LAW:
        low, high, conservative = _law_bounds(law, share)
    else:
        low, high, conservative = (bound_of(falling, share, time, level) for level in (*INTERVAL, CONSERVATIVE))
    return RateLimit(
        limit=limit,
        low=min(low, limit),
        high=max(high, limit),
        conservative=max(conservative, limit),
        method=method,
        share=share,
        units=len(x),
        effective_units=len(x) / time,
        extrapolated_by=max(1.0, 1.0 / wanted),
        suspects=suspects,
        law=law,
        why=_why(law, wanted, len(x), time, suspects),
    )


def count_limit(found: RateLimit, frames: int) -> CountLimit:
    """What *found* means in exceedances of a unit of *frames* judged frames."""
    most, low, high = (most_within(found.law, score, frames) for score in (found.limit, found.low, found.high))
    return CountLimit(most, low, high, frames)


def judge(found: RateLimit, exceedances: int, frames: int) -> UnitScore:
    """The score of a finished unit. Raises ValueError for counts that no unit has."""
    if not 0 <= exceedances <= frames or frames < 1:
        raise ValueError(f"no unit of {frames} judged frames has {exceedances} exceedances")
    return UnitScore(rarity(found.law, exceedances, frames), found.limit)


def _borders(rows: Rows) -> list[int]:
    """Where each run of frames of one layer and job begins, and the end of the last."""
    layer, job = np.maximum(rows["layer"], -1), rows["job"]
    changes = np.flatnonzero((layer[1:] != layer[:-1]) | (job[1:] != job[:-1])) + 1
    return [0, *changes.tolist(), len(rows)] if len(rows) else []


def _apart(one: Row, other: Row) -> bool:
    return bool(max(one["layer"], -1) != max(other["layer"], -1) or one["job"] != other["job"])


def _grown(unit: Unit | None, rows: Rows, over: Flags) -> Unit:
    peak = rows[int(np.argmax(rows["joint"]))].copy()
    first, frames, exceedances = rows[0].copy(), 0, 0
    if unit is not None:
        first, frames, exceedances = unit.first, unit.frames, unit.exceedances
        peak = peak if peak["joint"] > unit.peak["joint"] else unit.peak
    return Unit(first, rows[-1].copy(), peak, frames + len(rows), exceedances + int(np.count_nonzero(over)))


def _checked(exceedances: npt.ArrayLike, frames: npt.ArrayLike) -> tuple[Counts, Counts]:
    x, n = np.asarray(exceedances, np.float64), np.asarray(frames, np.float64)
    if x.ndim != 1 or x.shape != n.shape:
        raise ValueError(f"exceedances and frames of units must be of one shape (u,), not {x.shape} and {n.shape}")
    if len(x) < UNITS_MIN:
        raise CalibrationError(f"{len(x)} units are too few: judge at least {UNITS_MIN} layers or windows")
    if not (np.isfinite(x).all() and np.isfinite(n).all()):
        raise CalibrationError("counts of units are not finite: leave those units out")
    if (x != np.round(x)).any() or (n != np.round(n)).any() or (x < 0).any() or (x > n).any() or (n < 1).any():
        raise CalibrationError("units need whole numbers, 0 <= exceedances <= frames and 1 <= frames: count them again")
    return x.astype(np.int64), n.astype(np.int64)


def _autocorrelation_time(rates: Float64s) -> float:
    """Of units in order, where they depend on each other at all; 1 where not."""
    if dependence(rates) >= LEVEL:
        return 1.0
    # Equal rates are ranked at random: by their places they would seem to rise together.
    ranks = scipy.stats.rankdata(rates) + np.random.default_rng(0).uniform(-0.4, 0.4, len(rates))
    return autocorrelation_time(ranks, np.array([0, len(ranks)]))


def _scores(law: UnitLaw, exceedances: Counts, frames: Counts) -> Float64s:
    pairs, place = np.unique(np.stack([exceedances, frames]), axis=1, return_inverse=True)
    scores = np.array([rarity(law, x, n) for x, n in pairs.T.tolist()])
    return scores[place.ravel()]


def _suspects(x: Counts, n: Counts, time: float, scores: Float64s) -> tuple[int, ...]:
    """Among the ten highest, the units that the law of all but the very highest does not hold.

    That one is left out of the judging law, not of the limit: of few units, it would widen the law until it fits.
    """
    highest = np.argsort(scores, kind="stable")[::-1][:10]
    law = fit_units(np.delete(x, highest[0]), np.delete(n, highest[0]), time)
    rare = highest[len(x) * 10.0 ** -_scores(law, x[highest], n[highest]) < SUSPECT]
    return tuple(sorted(rare.tolist()))


def _limit(falling: Float64s, share: float, method: str) -> float:
    if method == CONFORMAL:
        return level_of(falling, share)
    by_law = -float(np.log10(share))
    supported = ORDERED / (len(falling) + 1)
    if method == PEAKS:
        return max(by_law, level_of(falling, share))
    return max(by_law, level_of(falling, supported)) if supported <= SHARE_MAX else by_law


def _law_bounds(law: UnitLaw, share: float) -> tuple[float, float, float]:
    """Scores below and above the true limit: of counts on both sides of the quantiles that the laws have."""
    counts = fewest_beyond(law, share)
    low, high, conservative = (weighted_quantile(counts, law.weight, level) for level in (*INTERVAL, CONSERVATIVE))
    counts = np.minimum([low - 1, high, conservative], law.frames)
    below, above, surely_above = (rarity(law, count, law.frames) for count in counts.tolist())
    return below, above, surely_above


def _why(law: UnitLaw, wanted: float, units: int, time: float, suspects: tuple[int, ...]) -> str:
    """What a person should know of the limit, in one sentence."""
    mean, inflated = float(law.weight @ law.mean), float(inflation(law, np.array([law.frames]))[0])
    if wanted >= 1:
        told = f"about {wanted:.3g} of the {units} units that set it exceed the limit"
    else:
        told = f"extrapolated: {units} units are {1 / wanted:.3g} times too few"
    told += f"; {100 * mean:.3g} % of frames exceed, with {inflated:.3g} times the variance of a binomial"
    if suspects:
        told += f"; look at the {len(suspects)} that such a law does not let expect, from unit {suspects[0]} on"
    if time > 1:
        told += f"; neighbouring units are alike, and say as much as {units / time:.3g} independent ones"
    return told
