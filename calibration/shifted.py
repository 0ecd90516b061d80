"""How long a small lasting shift goes on before it raises an event: measured on held-out frames, not computed.

From some frame on, whitened latents are moved by a vector of a given length, the shift in standard deviations
(Mahalanobis distance); every chart that depends on the latent is asked again, the others stay as they were, and the
event rule runs as it does on a stream. So the frames keep the memory and the tails that they have. Where a stretch ends
without an event, the run is censored, and the median is that of Kaplan and Meier (1958).
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy
from scipy.special import ndtri

from calibration import memory as memories
from calibration.action import ContextTails, joint_scores
from calibration.blocks import event_statistic
from calibration.memory import MemoryChart
from calibration.mewma_arl import ARL_MAX, ARL_MIN, mewma_arl, mewma_limit
from calibration.runlength import run_length_quantile

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

SHIFTS: Final = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 5.0, 8.0, 12.0, 16.0, 24.0)
RUNS: Final = 100
RUNS_MIN: Final = 30
FRAMES_MOST: Final = 1_000_000  # judged anew in all: a second or two
MEMORIES: Final = 10  # that a run is to last where its stretch allows it
CONFIDENCE: Final = 0.90
WINDOW_MAX: Final = 10  # of the rule: the chain of its exceedances has 2^(n-1) states
REACH: Final = 30.0  # of a memory whose run lengths are computed (`mewma_arl`): it takes a second

ALL: Final = "all charts"
T2: Final = "t2"
MEWMA: Final = "mewma"


class Stream(NamedTuple):
    """Held-out in-control frames in order; stretches begin at *borders*, which end with m."""

    scores: Float64s  # (m, c)
    latents: Floats  # (m, p), whitened
    contexts: npt.NDArray[np.str_]  # (m,)
    borders: Indices


class Judging(NamedTuple):
    """How frames are judged: *t2* is the column of the chart T2; the memory chart, where there is one, is the last."""

    tails: ContextTails
    t2: int
    memory: MemoryChart | None
    action: float  # joint limit, on the scale of `tails.rarity`
    k: int
    n: int


class Runs(NamedTuple):
    """Frames (s, r) until the first event, at s shifts from r starts; not *seen* (s, r): the stretch ended before."""

    frames: Indices
    seen: Flags


class Median(NamedTuple):
    """Frames by which half of the runs raised an event, with 90 % interval. Infinite: they were not watched so long."""

    frames: float
    low: float
    high: float
    unseen: int  # runs that ended without an event
    runs: int
    watched: float  # frames that half of those without one could be watched; 0 where there are none


def run_lengths(
    stream: Stream, judging: Judging, shifts: Sequence[float] = SHIFTS, runs: int = RUNS, seed: int = 0
) -> dict[str, Runs]:
    """How long *shifts* (s,) go on before an event: with all charts, and with T2 and the memory chart each alone.

    Each of *runs* begins in the first half of a stretch and has a direction of its own, the same for every shift. The
    memory chart begins as the frames before have left it. Fewer runs are made where its memory is long.
    """
    random = np.random.default_rng(seed)
    places = list(_places(stream, judging.memory, _fitting(runs, len(shifts), judging.memory), len(shifts), random))
    names = [ALL, T2] if judging.memory is None else [ALL, T2, MEWMA]
    frames = {name: np.empty((len(shifts), len(places)), np.int64) for name in names}
    seen = {name: np.empty((len(shifts), len(places)), np.bool_) for name in names}
    unmoved = _unmoved(stream, judging)
    directions = random.normal(size=(len(places), stream.latents.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    for run, (place, direction) in enumerate(zip(places, directions, strict=True)):
        for row, shift in enumerate(shifts):
            for name, joint in _moved(stream, judging, unmoved, place, shift * direction).items():
                over = event_statistic(joint, judging.k, judging.n) > judging.action
                seen[name][row, run] = over.any()
                frames[name][row, run] = over.argmax() + 1 if over.any() else len(over)
    return {name: Runs(frames[name], seen[name]) for name in names}


def medians(found: Runs) -> list[Median]:
    """The median of each shift's runs."""
    return [_median(frames, seen) for frames, seen in zip(found.frames, found.seen, strict=True)]


def independent_t2(p: int, arl0: float, k: int, n: int, shifts: Sequence[float] = SHIFTS) -> Float64s:
    """Frames (s,) by which T2 of dimension *p* raises an event in half of the cases, of independent Gaussian frames.

    Its limit is that of an event every *arl0* in-control frames on average. Raises ValueError for a rule of more than
    10 frames and for an *arl0* that no limit has.
    """
    if not 1 <= k <= n <= WINDOW_MAX:
        raise ValueError(f"run lengths are computed for rules of at most {WINDOW_MAX} frames, not {k} of {n}")
    if not arl0 > k:
        raise ValueError(f"events of {k} frames cannot come every {arl0:g} frames")
    low, high = -300.0, 0.0  # of the logarithm of the share of frames over
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _rule_arl(10.0**middle, k, n) > arl0 else (low, middle)
    limit = float(scipy.stats.ncx2.isf(10.0**low, p, 0.0))
    over = [float(scipy.stats.ncx2.sf(limit, p, shift**2)) for shift in shifts]
    return run_length_quantile(0.5, np.array([_rule_arl(share, k, n) for share in over]))


def independent_mewma(
    p: int, weights: Sequence[float], arl0: float, shifts: Sequence[float] = SHIFTS
) -> Float64s | None:
    """Frames (s,) until the quickest of memories of *weights* exceeds its limit, on average, without the event rule.

    For independent Gaussian frames of dimension *p* and limits that are each exceeded every *arl0* in-control frames on
    average. None where no memory is short enough to be computed in a second or two.
    """
    if not ARL_MIN <= arl0 <= ARL_MAX:
        return None
    highest = float(scipy.stats.chi2.isf(0.5 / arl0, p))  # no limit is above it: see `mewma_arl.mewma_limit`
    short = [weight for weight in weights if highest <= REACH**2 * weight * (2 - weight)]
    found = [mewma_arl(p, weight, mewma_limit(p, weight, arl0), shifts) for weight in short]
    return np.minimum.reduce(found) if found else None


class _Place(NamedTuple):
    first: int
    last: int
    state: memories.State  # of the memory chart before the first frame


def _fitting(runs: int, shifts: int, memory: MemoryChart | None) -> int:
    """How many of *runs* can be watched for several memories."""
    if memory is None:
        return runs
    longest = -1.0 / float(np.log1p(-min(memory.chart.weights)))
    return min(runs, max(RUNS_MIN, int(FRAMES_MOST / (shifts * MEMORIES * longest))))


def _places(
    stream: Stream, memory: MemoryChart | None, runs: int, shifts: int, random: np.random.Generator
) -> Iterator[_Place]:
    """Where runs begin, spread over the first halves of all stretches, and where each ends."""
    stretches = list(itertools.pairwise(stream.borders.tolist()))
    early = np.concatenate([np.arange(first, first + (last - first + 1) // 2) for first, last in stretches])
    step = len(early) / runs
    starts = np.unique(early[((np.arange(runs) + random.random(runs)) * step).astype(np.int64)])
    watched = max(FRAMES_MOST // (runs * shifts), 1)
    encoded = np.char.encode(stream.contexts, "utf-8")
    for first, last in stretches:
        state: memories.State = {}
        reached = first
        for start in starts[(starts >= first) & (starts < last)].tolist():
            if memory is not None:
                before = slice(reached, start)
                q, t2 = stream.latents[before], _t2(stream.latents[before])
                state, _ = memories.step(memory, state, q, t2, encoded[before])
                reached = start
            yield _Place(start, min(last, start + watched), state)


def _unmoved(stream: Stream, judging: Judging) -> Float64s:
    """The rarity (m,) of the most extreme of the charts that no shift of the latents moves."""
    charts = stream.scores.shape[1] - (judging.memory is not None)
    others = [chart for chart in range(charts) if chart != judging.t2]
    return joint_scores(stream.scores[:, others], stream.contexts, _tails_of(judging.tails, others))


def _moved(stream: Stream, judging: Judging, unmoved: Float64s, place: _Place, by: Float64s) -> dict[str, Float64s]:
    """The joint scores from *place* on with latents moved *by* a vector (p,): of all charts, and of each that moves."""
    rows = slice(place.first, place.last)
    q = stream.latents[rows] + by
    t2, contexts = _t2(q), stream.contexts[rows]
    found = {T2: joint_scores(t2[:, None], contexts, _tails_of(judging.tails, [judging.t2]))}
    if judging.memory is not None:
        encoded = np.char.encode(contexts, "utf-8")
        _, scores = memories.step(judging.memory, place.state, q, t2, encoded)
        found[MEWMA] = joint_scores(scores[:, None], contexts, _tails_of(judging.tails, [-1]))
    return {ALL: np.maximum.reduce([unmoved[rows], *found.values()]), **found}


def _tails_of(tails: ContextTails, charts: Sequence[int]) -> ContextTails:
    own = {name: tuple(given[chart] for chart in charts) for name, given in tails.own.items()}
    return ContextTails(tuple(tails.pooled[chart] for chart in charts), own)


def _t2(q: Floats) -> Float64s:
    squares: Float64s = np.square(q, dtype=np.float64)
    return np.asarray(squares.sum(axis=1))


def _median(frames: Indices, seen: Flags) -> Median:
    """Kaplan and Meier 1958; the interval of Brookmeyer and Crowley 1982, on the scale of log(-log)."""
    times, place = np.unique(frames, return_inverse=True)
    ended = np.bincount(place, seen, len(times))
    left = np.bincount(place, minlength=len(times))
    at_risk = left[::-1].cumsum()[::-1]
    lasting = np.cumprod(1 - ended / at_risk)  # share of runs without an event after each of the times
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(ended / (at_risk * (at_risk - ended)))
        reach = float(ndtri((1 + CONFIDENCE) / 2)) * np.sqrt(greenwood) / np.abs(np.log(lasting))
        lowest, highest = lasting ** np.exp(reach), lasting ** np.exp(-reach)
    nobody = lasting == 0
    bounds = (lasting, np.where(nobody, 0.0, lowest), np.where(nobody, 0.0, highest))
    middle, low, high = (_when(times, np.where(np.isnan(bound), 1.0, bound)) for bound in bounds)
    watched = 0.0 if seen.all() else float(np.median(frames[~seen]))
    return Median(middle, low, high, int((~seen).sum()), len(seen), watched)


def _when(times: Indices, lasting: Float64s) -> float:
    """The first of *times* at which half of the runs or fewer are left."""
    half = lasting <= 0.5
    return float(times[half.argmax()]) if half.any() else np.inf


def _rule_arl(share: float, k: int, n: int) -> float:
    """Frames until k of the last n independent ones are over, each with probability *share*.

    A chain whose states are the last n - 1 frames, of which fewer than k are over.
    """
    if k == 1:
        return 1 / share if share > 0 else np.inf
    states = [state for state in range(1 << (n - 1)) if state.bit_count() < k]
    index = {state: row for row, state in enumerate(states)}
    chain = np.eye(len(states))
    for state, row in index.items():
        for over, chance in ((0, 1 - share), (1, share)):
            if state.bit_count() + over < k:
                chain[row, index[((state << 1) | over) & ((1 << (n - 1)) - 1)]] -= chance
    if np.linalg.cond(chain) > 1e14:
        return np.inf
    return float(np.linalg.solve(chain, np.ones(len(states)))[index[0]])
