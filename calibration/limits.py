"""Limits of single charts, by context where contexts differ."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from calibration.bootstrap import RESAMPLES, Refits
from calibration.budget import joint_score
from calibration.family import Method, Sample, control_limit
from calibration.kde import EXCEEDANCES_MIN
from calibration.tails import EXCESSES_WANTED, SHARE, Tail, fit_tail, score_of

Floats = npt.NDArray[np.floating[Any]]

CONTEXT_FRAMES_MIN: Final = round(
    EXCESSES_WANTED / SHARE
)  # fewer, and a tail is no longer fitted to the highest scores alone


class Limit(NamedTuple):
    """An upper limit on one chart's score. *low* and *high* bound it with 90 % confidence."""

    value: float
    low: float
    high: float
    center: float  # in-control median
    rate: float  # share of in-control frames meant to lie above the limit of any chart, per frame
    method: str
    frames: int
    effective_frames: float
    extrapolated: bool
    tail: Tail  # of in-control scores: the scale that charts are compared on


class ContextLimits(NamedTuple):
    """Limits of c charts by context, which is what a frame shows: *own* where it has some, *pooled* for any other."""

    pooled: tuple[Limit, ...]  # of the frames of all contexts together
    own: Mapping[str, tuple[Limit, ...]]

    def of(self, context: str) -> tuple[Limit, ...]:
        """The limits that hold for frames of *context*."""
        return self.own.get(context, self.pooled)


def fit_limits(
    scores: Floats,
    rate: float,
    seed: int = 0,
    groups: npt.ArrayLike | None = None,
    resamples: int = RESAMPLES,
    tails: Sequence[Tail] | None = None,
    method: Method = "auto",
    latents: Floats | None = None,
    refits: Refits | None = None,
) -> tuple[Limit, ...]:
    """The limits of c charts, from held-out in-control *scores* (m, c): together they flag *rate* of the frames.

    A frame's joint score is the rarity of its most extreme chart (`calibration.tails`); its `control_limit` by *method*
    is the limit, and each chart's own limit is the score that is as rare. So no chart is given a share of the rate that
    it does not need because another one speaks at the same frames. With *tails* of other in-control scores (c,) those
    are the scale that charts are compared on, and only the limit comes from *scores*. With whitened *latents* (m, p)
    and *refits* of those that trained, the interval is that of the whole calibration. Raises as `control_limit` does.
    """
    x = np.asarray(scores, np.float64)
    tails = [fit_tail(chart) for chart in x.T] if tails is None else tails
    sample = Sample(x, partial(joint_score, tails=tails), groups, latents)
    whole = control_limit(sample, rate, method, refits, seed, resamples)
    return tuple(
        Limit(
            value=score_of(whole.value, tail),
            low=score_of(whole.low, tail),
            high=score_of(whole.high, tail),
            center=float(np.median(chart)),
            rate=rate,
            method=f"{whole.method} of the rarest chart",
            frames=whole.frames,
            effective_frames=whole.effective_frames,
            extrapolated=whole.extrapolated,
            tail=tail,
        )
        for chart, tail in zip(x.T, tails, strict=True)
    )


def context_frames_needed(rate: float) -> int:
    """Held-out frames of a context that are enough for limits of its own at *rate*.

    As many as support the rate: an extrapolated limit from few flags far more than it says (of 200 independent frames
    at a rate of 0.001, twelve times as many), and the pooled one rests on more. And as many as fill a tail.
    """
    return max(math.ceil(EXCEEDANCES_MIN / rate - 1e-9), CONTEXT_FRAMES_MIN)


def fit_context_limits(
    scores: Floats,
    contexts: npt.NDArray[np.str_],
    rate: float,
    seed: int = 0,
    groups: npt.ArrayLike | None = None,
    resamples: int = RESAMPLES,
    tails: Sequence[Tail] | None = None,
    method: Method = "auto",
    latents: Floats | None = None,
    refits: Refits | None = None,
) -> ContextLimits:
    """The limits of c charts from *scores* (m, c), together and for each of *contexts* (m,) with frames enough.

    How many that is, says `context_frames_needed`.
    Frames of no context (an empty one) have the pooled limits, and so does a context that is the only one: they are
    its own. In the pooled limits each context weighs as much as it has frames. Raises as `fit_limits` does.
    """
    x = np.asarray(scores, np.float64)
    labels = np.zeros(len(x)) if groups is None else np.asarray(groups)
    names, counts = np.unique(contexts, return_counts=True)
    needed = context_frames_needed(rate)
    enough = [str(name) for name, count in zip(names, counts, strict=True) if name and count >= needed]
    pooled = fit_limits(x, rate, seed, labels, resamples, tails, method, latents, refits)
    own = {}
    for name in enough if len(names) > 1 else ():
        held = contexts == name
        its = None if latents is None else latents[held]
        own[name] = fit_limits(x[held], rate, seed, labels[held], resamples, tails, method, its, refits)
    return ContextLimits(pooled, own)
