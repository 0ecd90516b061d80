"""Upper limits per frame, by five methods behind one call: which one the frames can support, and how well they tell it.

| method | formula | where it holds |
|---|---|---|
| `conformal` | order statistic (`calibration.conformal`) | any law, where enough frames lie beyond |
| `pot` | peaks over threshold (`calibration.pot`) | the far tail, extrapolated |
| `kde` | smoothed density (`calibration.kde`) | smooth scores, where enough frames lie beyond |
| `f`, `beta` | closed form (`calibration.hotelling`) | T2 of independent Gaussian frames, sample covariance |

Left to itself the choice falls on `conformal` where ten independent frames are expected beyond the limit, and on `pot`
where fewer are. The closed forms are never chosen, since the covariance is shrunk and frames are not Gaussian; who
names one has it. With the limit comes a bootstrap interval, of the whole calibration where the training latents are
given (`calibration.bootstrap`), otherwise of the held-out frames alone. Nominally of 90 %, it covers 86 to 91 % on
independent frames with twenty beyond the limit, and 76 to 86 % where frames remember (AR(1) 0.9) or two lie beyond.
"""

from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any, Final, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from calibration.autocorrelation import BLOCK_TIMES, BLOCKS_MIN, autocorrelation_time, block_resample, borders_of
from calibration.bootstrap import RESAMPLES, Refits, interval
from calibration.charts import CalibrationError, t2
from calibration.conformal import conformal_limit
from calibration.hotelling import phase1_limit, phase2_limit
from calibration.kde import EXCEEDANCES_MIN, RATE_MAX, kde_quantile
from calibration.pot import pot_quantile
from calibration.tails import FRAMES_MIN

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Quantile = Callable[[Float64s, float], float]
Joint = Callable[[Float64s], Float64s]
"""Scores of c charts (m, c) -> the joint score (m,), which rises with each of them."""

Fitted = Literal["conformal", "pot", "kde"]
ClosedForm = Literal["f", "beta"]
Method = Literal["auto"] | Fitted | ClosedForm

METHODS: Final = ("auto", *get_args(Fitted), *get_args(ClosedForm))
ROUNDING: Final = 1e-9
OTHER_LATENTS: Final = 0.05  # of T2: reduced precision explains less


class Sample(NamedTuple):
    """In-control frames that a limit is fitted to, in the stream's order."""

    scores: Floats  # (m, c) of charts, T2 first; or (m,) of one, or joint already
    joint: Joint | None = None  # how the scores of c charts become one, as `calibration.budget.joint_score` does
    groups: npt.ArrayLike | None = None  # (m,) labels of runs recorded apart
    latents: Floats | None = None  # (m, p) whitened, of squared length T2; needed only for resampling T2
    held_out: bool = True  # False: the very frames that gave mean and covariance


class ControlLimit(NamedTuple):
    """What a share of in-control frames scores above. *low* and *high* bound it with 90 % confidence."""

    value: float  # on the scale of the joint score
    low: float
    high: float
    method: str  # never "auto"
    frames: int
    effective_frames: float  # independent frames that say as much as these
    extrapolated: bool  # too few frames for the rate: the value rests on the shape of some law
    why: str  # one sentence


def control_limit(
    sample: Sample,
    rate: float,
    method: Method = "auto",
    refits: Refits | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> ControlLimit:
    """The limit that *rate* of in-control frames exceed, from *sample*; always finite, and it falls as *rate* grows.

    With *refits* (as many resamples as they hold) the interval is that of the whole calibration: each resample whitens
    the latents anew, takes T2 and the joint score from there, and the frames in circular blocks of five autocorrelation
    times (Politis and Romano 1992), whole groups first. Without them mean and covariance are taken as known. The closed
    forms need *refits* for k and p; they have no interval, and set the joint limit where T2's own is. Raises
    CalibrationError for fewer than 20 frames, scores that are not finite, and methods that do not suit the sample;
    ValueError for a rate outside (0, 0.25), an unknown method, and arrays that do not belong together.
    """
    if not 0 < rate < RATE_MAX:
        raise ValueError(f"rate must lie between 0 and {RATE_MAX}, not {rate}")
    if method not in METHODS:
        raise ValueError(f"no limit is called {method}: name one of {', '.join(METHODS)}")
    borders = _checked(sample, refits, method)
    joint = _joint(sample, sample.scores)
    time = autocorrelation_time(joint, borders)
    effective = len(joint) / time
    if method == "f" or method == "beta":
        value = _closed_form(sample, refits, rate, method)
        low = high = value
        chosen: Fitted | ClosedForm = method
    else:
        chosen = choose(effective, rate) if method == "auto" else method
        quantile = _guarded(effective) if method == "auto" and chosen == "pot" else QUANTILES[chosen]
        value = quantile(joint, rate)
        streams = _resampled(sample, joint, refits, borders, time, seed, resamples)
        low, high = interval(value, np.array([quantile(x, rate) for x in streams]))
    return ControlLimit(
        value=value,
        low=low,
        high=high,
        method=chosen,
        frames=len(joint),
        effective_frames=effective,
        extrapolated=effective * rate < EXCEEDANCES_MIN - ROUNDING,
        why=_why(chosen, method != "auto", effective * rate, refits is not None),
    )


def choose(effective_frames: float, rate: float) -> Fitted:
    """`conformal` where ten of so many independent frames are expected beyond the limit, `pot` where fewer are.

    Measured on Gaussian, chi-square, exponential, log-normal and Student scores: `tests/calibration/test_family.py`.
    """
    return "conformal" if effective_frames * rate >= EXCEEDANCES_MIN - ROUNDING else "pot"


def _order_statistic(x: Float64s, rate: float) -> float:
    return conformal_limit(x, rate).value


QUANTILES: Final[dict[Fitted, Quantile]] = {
    "conformal": _order_statistic,
    "pot": pot_quantile,
    "kde": kde_quantile,
}


RESTS_ON: Final[dict[Fitted, str]] = {
    "conformal": "an order statistic, right whatever law scores follow",
    "pot": "a Pareto tail fitted to the highest scores",
    "kde": "the tail of a smoothed density",
}


def _guarded(effective_frames: float) -> Quantile:
    """Peaks over threshold, never below the order statistic at the smallest rate that the frames support.

    Otherwise a limit could fall where, as its rate falls, one method takes over from the other.
    """
    supported = EXCEEDANCES_MIN / effective_frames

    def quantile(x: Float64s, rate: float) -> float:
        beyond = pot_quantile(x, rate)
        return max(beyond, _order_statistic(x, supported)) if supported < RATE_MAX else beyond

    return quantile


def _checked(sample: Sample, refits: Refits | None, method: Method) -> Indices:
    """Where the groups of *sample* begin, and m; raises as `control_limit` does."""
    scores = np.asarray(sample.scores)
    m = len(scores)
    if scores.ndim != (1 if sample.joint is None else 2):
        raise ValueError(f"scores are (m,), or (m, c) with a way to join them, not {scores.shape}")
    if m < FRAMES_MIN:
        raise CalibrationError(f"{m} held-out frames are too few: give at least {FRAMES_MIN}")
    if not np.isfinite(scores).all():
        raise CalibrationError("held-out scores are not finite: remove the frames that gave them")
    borders = borders_of(np.zeros(m) if sample.groups is None else np.asarray(sample.groups))
    if borders[-1] != m:
        raise ValueError(f"{m} scores need as many group labels, not {borders[-1]}")
    if sample.held_out and method == "beta":
        raise CalibrationError("beta holds only for the frames that gave mean and covariance: name f for held-out ones")
    if not sample.held_out and method != "beta":
        raise CalibrationError("these frames gave mean and covariance: hold others out, or name the method beta")
    if refits is not None and method not in get_args(ClosedForm):
        _check_latents(sample, refits)
    return borders


def _check_latents(sample: Sample, refits: Refits) -> None:
    """Raises ValueError for latents that are not those of the frames, or not whitened."""
    latents, (m, p) = sample.latents, (len(sample.scores), refits.means.shape[1])
    if latents is None or latents.shape != (m, p):
        given = "none" if latents is None else f"those of shape {latents.shape}"
        raise ValueError(f"resampling T2 takes held-out latents of shape ({m}, {p}), not {given}")
    known = np.median(sample.scores.reshape(m, -1)[:, 0])
    if not abs(np.median(np.square(latents, dtype=np.float64).sum(axis=1)) - known) <= OTHER_LATENTS * known:
        raise ValueError("the squared length of the held-out latents is not T2: give them whitened")


def _joint(sample: Sample, scores: Floats) -> Float64s:
    x = np.asarray(scores, np.float64)
    return x if sample.joint is None else sample.joint(x)


def _resampled(
    sample: Sample,
    joint: Float64s,
    refits: Refits | None,
    borders: Indices,
    time: float,
    seed: int,
    resamples: int,
) -> Iterator[Float64s]:
    """Joint scores (m,) as other calibrations would have had them."""
    random = np.random.default_rng((seed, 0))
    block = int(np.clip(np.ceil(BLOCK_TIMES * time), 1, max(1, len(joint) // BLOCKS_MIN)))
    streams = repeat(joint, resamples) if refits is None else _whitened_anew(sample, refits)
    for again in streams:
        yield again[block_resample(borders, block, random)]


def _whitened_anew(sample: Sample, refits: Refits) -> Iterator[Float64s]:
    """The joint score (m,) with the T2 of each of *refits*; the other charts stay as they are."""
    latents: Float64s = np.asarray(sample.latents, np.float64)
    scores = np.array(sample.scores, np.float64)
    for mean, whitening in zip(refits.means, refits.whitenings, strict=True):
        scores.reshape(len(scores), -1)[:, 0] = t2(latents, whitening, mean)
        yield _joint(sample, scores)


def _closed_form(sample: Sample, refits: Refits | None, rate: float, method: ClosedForm) -> float:
    """The limit of T2 in closed form, as joint score: the highest where the frames' scales differ."""
    if refits is None:
        raise CalibrationError(f"{method} needs the frames that gave mean and covariance: give the training latents")
    limit = (phase2_limit if method == "f" else phase1_limit)(refits.frames, refits.means.shape[1], rate)
    alone = np.full(np.shape(sample.scores), -np.inf)
    alone.reshape(len(alone), -1)[:, 0] = limit
    return float(_joint(sample, alone).max())


def _why(method: Fitted | ClosedForm, named: bool, beyond: float, refitted: bool) -> str:
    """What a person should know of the limit, in one sentence; *beyond* independent frames are expected over it."""
    if method == "f" or method == "beta":
        return (
            f"named: {method} is never chosen, since it takes frames to be independent and Gaussian and the covariance "
            "to be unshrunk; it is of T2 alone, the other charts' limits are as rare, and a formula has no interval"
        )
    if beyond >= EXCEEDANCES_MIN - ROUNDING:
        seen = f"about {beyond:.3g} independent frames lie beyond it"
    else:
        seen = f"extrapolated, since only {beyond:.2g} independent frames are expected beyond it, not {EXCEEDANCES_MIN}"
    known = "" if refitted else "; the interval takes mean and covariance of the latents as known"
    return f"{'named' if named else 'chosen'}: {RESTS_ON[method]}; {seen}{known}"
