"""Streams of charts that are in control and never alone in time: scores, and how often limits raise events on them."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

CHUNK: Final = 1 << 19  # frames made at once
TURN_FRAMES: Final = 40
TURN_RISE: Final = 1.5  # standard deviations that scores rise by, in the middle of a turn-around

CHARTS: Final[tuple[Callable[[Float64s], Float64s], ...]] = (
    lambda z: z,
    lambda z: np.exp(z / 2),
    lambda z: np.logaddexp(0.0, z),
    lambda z: z + 0.05 * z**3,
    lambda z: np.exp(z / 4),
)
"""Scores of tails of different weight, each from a normal stream of its own."""


class Stream(NamedTuple):
    """AR(1) of *memory*; with a *period*, a turn-around of TURN_FRAMES at each, when the scores of all charts rise."""

    name: str
    memory: float
    frames: int  # of a calibration
    fresh: int  # frames that its limits are tried on
    floor: float  # of the normal streams: limits lie above it
    charts: int = 5
    period: int = 0
    k: int = 3  # of n frames over a limit make an event
    n: int = 5


class Fresh(NamedTuple):
    """What limits need of a long stream: the frames where some chart is high."""

    frames: int  # of all the stream
    k: int
    n: int
    floor: Float64s  # (c,) where no chart is above its own, the frame is left out
    positions: Indices  # (q,)
    scores: Float64s  # (q, c), chart by chart in memory


def chunks(stream: Stream, frames: int, seed: int) -> Iterator[Float64s]:
    """The normal streams behind the charts, piece by piece: (CHUNK, c), the last one shorter."""
    random = np.random.default_rng([seed, round(1e6 * stream.memory), stream.period])
    last = random.standard_normal(stream.charts)
    noise = np.sqrt(1 - stream.memory**2)
    phase = np.arange(TURN_FRAMES) / TURN_FRAMES
    for first in range(0, frames, CHUNK):
        steps = random.standard_normal((min(CHUNK, frames - first), stream.charts))
        z, _ = lfilter([noise], [1, -stream.memory], steps, axis=0, zi=stream.memory * last[None])
        last = z[-1].copy()
        if stream.period:
            place = (np.arange(first, first + len(z)) + stream.period // 2) % stream.period
            turning = place < TURN_FRAMES
            z[turning] += TURN_RISE * np.sin(np.pi * phase[place[turning]])[:, None]
        yield z


def scored(z: Float64s) -> Float64s:
    """The scores (m, c) of c charts."""
    return np.stack([chart(column) for chart, column in zip(CHARTS, z.T, strict=False)]).T


def calibration(stream: Stream, seed: int) -> Float64s:
    """Held-out scores (m, c) of a stretch to set limits on."""
    return scored(np.concatenate(list(chunks(stream, stream.frames, seed))))


def fresh(stream: Stream, seed: int) -> Fresh:
    """A long stream, where the normal stream of some chart is above the floor in k of n frames."""
    k, n = stream.k, stream.n
    positions, kept = [], []
    first = 0
    for z in chunks(stream, stream.fresh, seed):
        high = np.flatnonzero(z.max(axis=1) > stream.floor)
        positions.append(first + high)
        kept.append(z[high])
        first += len(z)
    places = np.concatenate(positions)
    together = np.flatnonzero(places[k - 1 :] - places[: len(places) - k + 1] < n)
    needed = np.unique(together[:, None] + np.arange(k))
    edge = scored(np.full((1, stream.charts), stream.floor))[0]
    return Fresh(first, k, n, edge, places[needed], scored(np.concatenate(kept)[needed]))


def events(fresh: Fresh, limits: Float64s, clear_frames: int) -> int:
    """Events that *limits* (c,) raise on a fresh stream, by the rule of `calibration.events`.

    Limits below the floor are taken to lie there: the true number is larger still.
    """
    k, n = fresh.k, fresh.n
    floored = np.maximum(limits, fresh.floor)
    exceeds = np.zeros(len(fresh.positions), np.bool_)
    for chart, limit in zip(fresh.scores.T, floored, strict=True):
        exceeds |= chart > limit
    over = fresh.positions[exceeds]
    first, now = over[: max(len(over) - k + 1, 0)], over[k - 1 :]
    recognised = now - first < n
    begins, ends = now[recognised], first[recognised] + n - 1
    return int(len(begins) > 0) + int((begins[1:] > ends[:-1] + clear_frames).sum())
