"""The memory chart: an exponentially weighted mean of whitened latents, which sees a small lasting shift.

Z_t = l q_t + (1 - l) Z_(t-1), statistic (2 - l)/l Z'Z (Lowry, Woodall, Champ and Rigdon 1992), with q = W (z - mean)
whitened as `charts.fit_latent` does, so that S is the identity. In control, on independent Gaussian frames, the
statistic tends to a chi-square of p degrees of freedom. How long it runs is in `calibration.mewma_arl`; on streams,
whose frames are not independent, the limit comes from the chart's own block extremes instead.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from calibration.layout import laid_out

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Mewma(NamedTuple):
    """k memories of one chart.

    The statistic is divided by the variance that Z has in the long run, l/(2 - l), which is what run lengths and limits
    are tabled for; it starts low and grows into its law. With *exact_start* it is divided by the variance Z has by
    then, l/(2 - l) (1 - (1 - l)^(2t)): as quick from the first frame as later, but that variance is one of independent
    frames: on a stream with memory of its own, the frames after each reset would exceed the limit too often. So the
    default is the long run's.
    """

    weights: tuple[float, ...]  # (k,), l of each memory: how much a frame counts
    exact_start: bool = False


class MewmaState(NamedTuple):
    """What the chart remembers between batches. `start` makes the first."""

    memory: Float64s  # (k, p), Z
    taken: int  # frames since the start


def weight_for(seconds: float, frame_rate: float) -> float:
    """l = 1 - exp(-1/(seconds * frame_rate)): a frame's part in Z falls to 1/e after *seconds*.

    *frame_rate* in judged frames a second. The mean is that of about 2 * seconds * frame_rate independent frames.
    Raises ValueError for a memory or frame rate that is not above 0 and finite.
    """
    if not (np.isfinite([seconds, frame_rate]).all() and seconds > 0 and frame_rate > 0):
        raise ValueError(f"a memory needs seconds and frames a second above 0, not {seconds} and {frame_rate}")
    return -float(np.expm1(-1 / (seconds * frame_rate)))


def mewma(seconds: Sequence[float], frame_rate: float, *, exact_start: bool = False) -> Mewma:
    """A chart whose memories last *seconds* (k,), of a stream of *frame_rate* judged frames a second."""
    if len(seconds) == 0:
        raise ValueError("a memory chart needs at least one memory, in seconds")
    return Mewma(tuple(weight_for(memory, frame_rate) for memory in seconds), exact_start)


def start(chart: Mewma, p: int) -> MewmaState:
    """The state before the first frame, of latents of dimension *p*: every memory is at the in-control mean."""
    return MewmaState(np.zeros((len(chart.weights), p)), 0)


def step(
    chart: Mewma, state: MewmaState, q: Floats, skip: Flags | None = None, begin: Flags | None = None
) -> tuple[MewmaState, Float64s]:
    """Takes in the next whitened latents *q* (n, p) of a stream: (state, statistics (n, k)), one for each memory.

    However the stream is cut into batches, state and statistics are the same to the last bit. Frames in *skip* (n,) do
    not enter the memory and do not age it: their statistic stands still, as at gaps or while the process is off. At
    frames in *begin* (n,) the memory is emptied first, as at a change of context. A frame whose latent is not finite
    is infinitely far off, and is skipped. Raises ValueError for q of another dimension than the state's.
    """
    if q.ndim != 2 or q.shape[1] != state.memory.shape[1]:
        raise ValueError(f"latents must be of shape (n, {state.memory.shape[1]}), not {q.shape}")
    from calibration.compiled.memory import follow

    nowhere = np.zeros(len(q), np.bool_)
    skipped, begun = (nowhere if given is None else laid_out(given, np.bool_) for given in (skip, begin))
    memory, statistics = state.memory.copy(), np.empty((len(q), len(chart.weights)))
    weights = np.array(chart.weights)
    latents = laid_out(q, np.float64)
    taken = follow(latents, skipped, begun, weights, chart.exact_start, memory, state.taken, statistics)
    return MewmaState(memory, taken), statistics
