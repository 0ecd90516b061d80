"""What the report says of a stream: how its promise was kept, how long it remembers, how soon a shift of it is seen."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from calibration import shifted
from calibration.action import ContextTails, joint_scores
from calibration.autocorrelation import correlogram
from calibration.budget import event_levels, joint_limit
from calibration.limits import ContextLimits, Limit
from calibration.seen_rates import rates
from calibration.segments import odd_frames, segments
from calibration.shifted import SHIFTS, Judging, Stream
from calibration.tails import Tail
from monitor.budget import FittedBudget
from monitor.manifest import Manifest
from monitor.report.data import Correlation, Delays, Promise, Segment

Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

LAGS_MIN: Final = 300
LAGS_MAX: Final = 5000
DEAD_TIMES: Final = 2  # that the lags reach over
T2: Final = "t2"


def promise_of(manifest: Manifest, limits: ContextLimits, stream: Stream) -> Promise | None:
    """The budget of *manifest* beside what the *stream* of held-out frames says of it; None: limits are per frame."""
    budget = manifest.budget
    if budget is None:
        return None
    tails = _tails(limits)
    joint = joint_scores(stream.scores, stream.contexts, tails)
    seen = rates(joint, stream.borders, budget.warning, budget.action, budget.rule, budget.block_frames, budget.rate_hz)
    memory = None if manifest.memory is None else manifest.memory.as_memory()
    judging = Judging(tails, manifest.charts.index(T2), memory, budget.action, budget.k, budget.n)
    extremes, share = np.array(budget.extremes), budget.per_hour * budget.hours / budget.blocks
    events = event_levels(extremes, budget.extremes_frames <= budget.block_frames)
    level = joint_limit(np.sort(extremes)[::-1], events, share)
    besides = 0.0 if manifest.rates is None else manifest.rates.per_hour
    return Promise(budget, seen, level, _delays(budget, stream, judging), besides)


def correlation_of(manifest: Manifest, joint: Float64s, borders: Indices) -> Correlation:
    """How long the held-out frames remember each other, by their *joint* scores (m,); stretches begin at *borders*."""
    budget = manifest.budget
    dead_time = 0 if budget is None else budget.block_frames
    lags = min(max(LAGS_MIN, DEAD_TIMES * dead_time), LAGS_MAX)
    rate_hz = np.nan if budget is None else budget.rate_hz
    return Correlation(correlogram(joint, borders, lags), rate_hz, dead_time)


def segments_of(
    charts: Sequence[str], names: Sequence[str], stream: Stream, joint: Float64s, source: npt.NDArray[np.uint8]
) -> list[Segment]:
    """The frames of *stream* that stand out, whose groups have *names*.

    *source* (m,) is the index of the chart that gave each *joint* score (m,).
    """
    found = segments(odd_frames(stream.scores, stream.contexts), joint, stream.borders)
    return [
        Segment(
            group=names[one.group],
            first=one.first,
            last=one.last,
            odd=one.odd,
            chart=charts[source[one.peak]],
            score=float(stream.scores[one.peak, source[one.peak]]),
            ratio=float(joint[one.peak]),
            share=one.share,
        )
        for one in found
    ]


def _delays(budget: FittedBudget, stream: Stream, judging: Judging) -> Delays:
    measured = {name: shifted.medians(runs) for name, runs in shifted.run_lengths(stream, judging).items()}
    p = stream.latents.shape[1]
    arl0 = budget.rate_hz * 3600 / budget.per_hour
    theory, notes = {}, []
    if budget.n <= shifted.WINDOW_MAX:
        theory[shifted.T2] = shifted.independent_t2(p, arl0, budget.k, budget.n)
    if judging.memory is not None:
        found = shifted.independent_mewma(p, judging.memory.chart.weights, arl0)
        if found is None:
            notes.append("For memories as long as these the theory is not computed.")
        else:
            theory[shifted.MEWMA] = found
    return Delays(SHIFTS, budget.rate_hz, measured, theory, notes)


def _tails(limits: ContextLimits) -> ContextTails:
    return ContextTails(_of(limits.pooled), {name: _of(own) for name, own in limits.own.items()})


def _of(limits: Sequence[Limit]) -> tuple[Tail, ...]:
    return tuple(limit.tail for limit in limits)
