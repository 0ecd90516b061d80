"""The memory chart: an exponentially weighted mean of whitened latents, which sees a small lasting shift.

Z_t = l q_t + (1 - l) Z_(t-1), statistic (2 - l)/l Z'Z (Lowry, Woodall, Champ and Rigdon 1992), with q = W (z - mean)
whitened as `charts.fit_latent` does, so that S is the identity. In control, on independent Gaussian frames, the
statistic tends to a chi-square of p degrees of freedom. How long it runs is in `calibration.mewma_arl`; on streams,
whose frames are not independent, the limit comes from the chart's own block extremes instead.
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy

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
    latents: Float64s = q.astype(np.float64)
    finite: Flags = np.asarray(np.isfinite(latents).all(axis=1))
    taken = finite if skip is None else finite & ~skip
    if begin is None:
        state, statistics = _stretch(chart, state, latents, taken)
        statistics[~finite] = np.inf
        return state, statistics
    begins = np.flatnonzero(begin)
    statistics = np.empty((len(latents), len(chart.weights)))
    for first, last in itertools.pairwise([0, *begins.tolist(), len(latents)]):
        if first < last and begin[first]:
            state = start(chart, latents.shape[1])
        state, statistics[first:last] = _stretch(chart, state, latents[first:last], taken[first:last])
    statistics[~finite] = np.inf
    return state, statistics


def _stretch(chart: Mewma, state: MewmaState, q: Float64s, taken: Flags) -> tuple[MewmaState, Float64s]:
    """`step` without resets, on latents of which those *taken* are finite."""
    all_taken = bool(taken.all())
    entering = q if all_taken else q[taken]
    path = np.empty((len(entering) + 1, *state.memory.shape))  # each memory before the first frame, and after each
    path[0] = state.memory
    for index, weight in enumerate(chart.weights if len(entering) else ()):
        # A recursion frame by frame, in C: a product with powers of 1 - l would round by the length of the batch.
        held = (1.0 - weight) * state.memory[index : index + 1]
        path[1:, index], _ = scipy.signal.lfilter([weight], [1.0, weight - 1.0], entering, axis=0, zi=held)
    ages = state.taken + np.arange(len(path))
    statistics: Float64s = np.square(path).sum(axis=2) / _variance(chart, ages)
    state = MewmaState(path[-1].copy(), state.taken + len(entering))
    return state, statistics[1:] if all_taken else statistics[np.cumsum(taken)]


def _variance(chart: Mewma, ages: npt.NDArray[np.int64]) -> Float64s:
    """Of each coordinate of Z after as many frames as *ages* (n,): (n, k), or (k,); of an empty memory any will do."""
    weights = np.array(chart.weights)
    steady: Float64s = weights / (2.0 - weights)
    if not chart.exact_start:
        return steady
    exact: Float64s = steady * (1.0 - (1.0 - weights) ** (2 * np.maximum(ages, 1)[:, None]))
    return exact
