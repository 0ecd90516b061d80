"""The memory chart as the judge asks it: several memories, frozen where the stream is, and one score of them all.

Each context has memories of its own, about its own mean: while another context is judged, at gaps and while the process
is off they stand still. A latent that T2 alone finds strange enters no longer than the longest that is not (it is
winsorised): a short anomaly is told by the other charts, and must not be remembered as if it lasted; a lasting one adds
up all the same, however large. The score is the rarity (`calibration.tails`) of the most extreme memory.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from calibration import mewma
from calibration.layout import distinct, laid_out
from calibration.mewma import Mewma, MewmaState
from calibration.mewma_arl import ARL_MAX, mewma_limit
from calibration.tails import BODY_POINTS, SHARE, Rarities, Tail, fit_tail, rarity, tables_of

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]
Contexts = npt.NDArray[np.bytes_]

SHORTEST: Final = 5.0  # judged frames: a shorter memory says what single frames say
MEMORIES: Final = 125.0  # of the longest that the frames must hold: twenty blocks of five, beside those for the tails
FILLED: Final = 5.0  # memories that half of the stretches must last: in shorter ones a memory never fills
CENTER_FRAMES: Final = 50  # a latent dimension: fewer, and the mean of a context is not known well enough

RARITY_TAIL: Final = Tail(np.linspace(0.0, -math.log10(SHARE), BODY_POINTS), SHARE, 0.0, 1.0 / math.log(10.0))
"""The tail of a score that is a rarity already: it says the same of it."""

State = Mapping[bytes, MewmaState]
"""The memories by context; `{}` before the first frame."""


class MemoryChart(NamedTuple):
    """k memories of latents of dimension p, and how rare their statistics are in control."""

    seconds: tuple[float, ...]  # (k,) that each lasts
    chart: Mewma
    centers: Mapping[bytes, Float64s]  # context -> its in-control mean of whitened latents (p,); none: zeros
    strange: float  # T2 that no frame enters with more than
    tails: tuple[Tail, ...]  # (k,)


def memories_for(seconds: Sequence[float], rate_hz: float, borders: Indices) -> tuple[float, ...]:
    """Those of *seconds* that stretches which begin at *borders* can be calibrated for, at *rate_hz* frames a second.

    *borders* ends with the number of frames. Too long is a memory of which they do not hold 125, or that does not fill
    in half of them; too short is one of fewer than five frames.
    """
    lengths = np.diff(borders)
    longest = min(borders[-1] / MEMORIES, float(np.median(lengths)) / FILLED) if len(lengths) else 0.0
    return tuple(one for one in seconds if SHORTEST <= one * rate_hz <= longest)


def centers_of(q: Floats, contexts: Contexts) -> dict[bytes, Float64s]:
    """The mean of whitened in-control latents *q* (m, p) of each of *contexts* (m,) that has frames enough.

    Where there is one context the chart's own mean is its mean: none is given.
    """
    names, counts = np.unique(contexts, return_counts=True)
    if len(names) < 2:
        return {}
    enough = counts >= CENTER_FRAMES * q.shape[1]
    return {bytes(name): q[contexts == name].mean(axis=0, dtype=np.float64) for name in names[enough]}


def fit_memory(
    seconds: Sequence[float],
    rate_hz: float,
    centers: Mapping[bytes, Float64s],
    strange: float,
    q: Floats,
    t2: Floats,
    contexts: Contexts,
    borders: Indices,
    for_tails: Flags,
) -> tuple[MemoryChart, Float64s]:
    """The chart, and its scores (m,) of the held-out in-control frames that it is fitted to.

    Of the frames, in the stream's order, come *q* (m, p), *t2* (m,) and *contexts* (m,); stretches begin at *borders*.
    Those in *for_tails* (m,) fit the tails: to a tenth of them, since neighbours say the same. Raises CalibrationError
    like `fit_tail`.
    """
    chart = mewma.mewma(seconds, rate_hz)
    bare = MemoryChart(tuple(seconds), chart, centers, strange, ())
    statistics = np.concatenate(
        [
            _statistics(bare, {}, q[first:last], t2[first:last], contexts[first:last])[1]
            for first, last in itertools.pairwise(borders.tolist())
        ]
    )
    fitted = bare._replace(tails=tuple(fit_tail(memory, lightest=0.0) for memory in statistics[for_tails].T))
    return fitted, _rarest(fitted, statistics)


def step(memory: MemoryChart, state: State, q: Floats, t2: Floats, contexts: Contexts) -> tuple[State, Float64s]:
    """Takes in the next frames of a stream: (state, scores (n,)), however the stream is cut into batches.

    *q* (n, p) are whitened latents, *t2* (n,) their squared lengths, *contexts* (n,) what the frames show.
    """
    return Memory(memory)(state, q, t2, contexts)


class Memory:
    """`step` of one chart: made once, asked at every batch of frames."""

    def __init__(self, memory: MemoryChart) -> None:
        from calibration.compiled.memory import remember

        self._remember = remember
        self._chart = memory.chart
        self._centers = {name: laid_out(center, np.float64) for name, center in memory.centers.items()}
        self._strange = float(memory.strange)
        self._fixed = np.array(memory.chart.weights), memory.chart.exact_start, *tables_of(memory.tails)

    def __call__(self, state: State, q: Floats, t2: Floats, contexts: Contexts) -> tuple[State, Float64s]:
        names, known = distinct(contexts), dict(state)
        if len(names) == 1:
            known[names[0]], scores = self._of_one(names[0], state, q, t2)
            return known, scores
        scores = np.empty(len(q))
        for name in names:
            rows = contexts == name
            known[name], scores[rows] = self._of_one(name, state, q[rows], t2[rows])
        return known, scores

    def _of_one(self, context: bytes, state: State, q: Floats, t2: Floats) -> tuple[MewmaState, Float64s]:
        held = state.get(context) or mewma.start(self._chart, q.shape[1])
        center = self._centers.get(context)
        if center is None:
            center = np.zeros(q.shape[1])
        q, t2 = laid_out(q, q.dtype), laid_out(t2, t2.dtype)
        memory, scores = held.memory.copy(), np.empty(len(q))
        taken = self._remember(q, t2, center, self._strange, *self._fixed, memory, held.taken, scores)
        return MewmaState(memory, taken), scores


def independent_limit(memory: MemoryChart, p: int, arl0: float) -> float:
    """The score that independent Gaussian frames of *p* latents exceed once in *arl0* frames on average, or later.

    The textbook's limit (`calibration.mewma_arl`): each of k memories has its own for k times as long a run, and the
    highest of them holds for all. On frames that are not independent it is far too low. Raises ValueError where a
    memory is too long to integrate over.
    """
    weights = memory.chart.weights
    limits = [mewma_limit(p, weight, min(len(weights) * arl0, ARL_MAX)) for weight in weights]
    return max(float(rarity(h, tail)) for h, tail in zip(limits, memory.tails, strict=True))


def _statistics(memory: MemoryChart, state: State, q: Floats, t2: Floats, contexts: Contexts) -> tuple[State, Float64s]:
    statistics = np.empty((len(q), len(memory.chart.weights)))
    known = dict(state)
    # What is no number stays none: the chart leaves it out.
    lengths = np.where(np.isfinite(t2), np.maximum(t2, memory.strange), np.nan)
    shrink = np.sqrt(memory.strange / lengths)[:, None]
    names = dict.fromkeys(contexts.tolist())
    for name in names:
        rows = contexts == name if len(names) > 1 else slice(None)
        center = memory.centers.get(name)
        latents = shrink[rows] * (q[rows] if center is None else q[rows] - center)
        held = known.get(name) or mewma.start(memory.chart, q.shape[1])
        known[name], statistics[rows] = mewma.step(memory.chart, held, latents)
    return known, statistics


def _rarest(memory: MemoryChart, statistics: Float64s) -> Float64s:
    rarest: Float64s = Rarities(memory.tails)(statistics).max(axis=1)
    return rarest
