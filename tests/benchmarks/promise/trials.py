"""One budget tried on many calibrations of a stream: what the limits realise, and what they say of themselves."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from calibration.action import ActionLimits, Demand, fit_action_limits, fit_tails
from calibration.blocks import BlockExtremes, block_extremes, block_frames
from calibration.budget import budget_limit, for_tails
from calibration.extremes import level_of
from calibration.tails import Tail, score_of
from tests.benchmarks.promise.figures import OnStream
from tests.benchmarks.promise.streams import Fresh, Stream, calibration, events

RATE_HZ: Final = 1000.0
RESAMPLES: Final = 200
CALIBRATION_SEED, FRESH_SEED = 1_000, 900_000_000
WARNING_RATE, WARNING_RESAMPLES = 0.001, 2  # of the warning limit, of which nothing is asked here

Float64s = npt.NDArray[np.float64]


class Trial(NamedTuple):
    """Events an hour over those promised, at each limit of one calibration."""

    limit: float
    low: float
    high: float
    conservative: float
    bootstrap: tuple[float, float]  # at the ends of a percentile interval from resampled blocks
    promised: float  # events an hour over the budget asked for
    blocks: int
    block_frames: int
    extrapolated_by: float
    allowed: float  # events on the fresh stream: as many as the truth rests on


def trials(
    stream: Stream, ahead: Fresh, expected: tuple[float, ...], calibrations: int, seed: int
) -> dict[float, list[Trial]]:
    """Trials of budgets of which *expected* events make up one calibration: by the budget."""
    found: dict[float, list[Trial]] = {one: [] for one in expected}
    for number in range(calibrations):
        scores = calibration(stream, seed + number)
        hours = len(scores) / RATE_HZ / 3600
        demand = Demand(expected[0] / hours, RATE_HZ, stream.k, stream.n, WARNING_RATE, resamples=WARNING_RESAMPLES)
        fitted = fit(scores, demand)
        for one in expected:
            found[one].append(trial(fitted, one / hours, ahead, seed + number))
    return found


def fit(scores: Float64s, demand: Demand) -> ActionLimits:
    """The limits from *scores* (m, c) of one stretch, of one context and one run; its last fifth fits the tails."""
    nowhere, alike = np.full(len(scores), ""), np.zeros(len(scores), np.int64)
    late = for_tails(alike, alike)
    tails = fit_tails(scores[late], nowhere[late], demand.warning_rate)
    return fit_action_limits(scores, nowhere, alike, alike, tails, late, demand)


def scores_at(limit: float, tails: Sequence[Tail]) -> Float64s:
    """Each chart's score (c,) that is as rare as the joint *limit*."""
    return np.array([score_of(limit, tail) for tail in tails])


def trial(fitted: ActionLimits, per_hour: float, ahead: Fresh, seed: int) -> Trial:
    """The limits of a budget of *per_hour*, from the block extremes of a calibration, on a stream *ahead*."""
    joint, tails = budget_limit(fitted.record, per_hour, RATE_HZ), fitted.tails.pooled
    allowed = joint.per_hour * ahead.frames / RATE_HZ / 3600

    def realised(limit: float) -> float:
        return events(ahead, scores_at(limit, tails), joint.block_frames) / allowed

    if (scores_at(joint.limit, tails) < ahead.floor).any():
        raise ValueError(f"the limits {scores_at(joint.limit, tails)} lie below {ahead.floor}: lower it")
    low, high = bootstrap(fitted.record, joint.per_hour, seed)
    return Trial(
        limit=realised(joint.limit),
        low=realised(joint.low),
        high=realised(joint.high),
        conservative=realised(joint.conservative),
        bootstrap=(realised(low), realised(high)),
        promised=joint.per_hour / per_hour,
        blocks=joint.blocks,
        block_frames=joint.block_frames,
        extrapolated_by=joint.extrapolated_by,
        allowed=allowed,
    )


def bootstrap(record: BlockExtremes, per_hour: float, seed: int) -> tuple[float, float]:
    """A 90 % percentile interval of the limit from resampled block extremes, to compare with."""
    falling, random = np.sort(record.kept)[::-1], np.random.default_rng(seed)
    share = per_hour * record.block_frames / RATE_HZ / 3600
    draws = random.integers(0, len(falling), (RESAMPLES, len(falling)))
    times = [np.bincount(drawn, minlength=len(falling)) for drawn in draws]
    again = [level_of(np.repeat(falling, counts), share) for counts in times]
    low, high = np.quantile(again, [0.05, 0.95])
    return float(low), float(high)


def by_ranks(stream: Stream, ahead: Fresh, expected: float, calibrations: int, seed: int) -> list[float]:
    """Events over the budget of *expected* a calibration, were charts compared by the ranks of its own frames.

    The highest score of every chart has the same rank: limits can lie there, or one rank below.
    """
    realised = []
    for number in range(calibrations):
        scores = calibration(stream, seed + number)
        borders = np.array([0, len(scores)])
        joint = np.argsort(np.argsort(scores, axis=0), axis=0).max(axis=1)
        frames = block_frames(joint, stream.k, stream.n, borders)
        extremes = block_extremes(joint, stream.k, stream.n, frames, borders)
        falling = np.sort(extremes.extremes)[::-1]
        limits = np.sort(scores, axis=0)[int(falling[round(expected) - 1])]
        count = events(ahead, limits, extremes.block_frames)
        realised.append(count / (expected * ahead.frames / len(scores)))
    return realised


def summary(stream: str, expected: float, done: list[Trial]) -> OnStream:
    """Figures of many trials of a budget of which *expected* events make up one calibration."""
    limit = np.array([one.limit for one in done])
    conservative = np.array([one.conservative for one in done])
    return OnStream(
        stream=stream,
        expected=expected,
        calibrations=len(done),
        blocks=float(np.median([one.blocks for one in done])),
        block_frames=float(np.median([one.block_frames for one in done])),
        block_frames_max=max(one.block_frames for one in done),
        promised=float(np.mean([one.promised for one in done])),
        extrapolated_by=float(np.median([one.extrapolated_by for one in done])),
        allowed=float(np.mean([one.allowed for one in done])),
        mean=float(limit.mean()),
        standard_error=_error(limit),
        low=float(np.quantile(limit, 0.05)),
        high=float(np.quantile(limit, 0.95)),
        covered=float(np.mean([one.high <= 1 <= one.low for one in done])),
        covered_by_bootstrap=float(np.mean([one.bootstrap[1] <= 1 <= one.bootstrap[0] for one in done])),
        conservative_mean=float(conservative.mean()),
        conservative_standard_error=_error(conservative),
        conservative_low=float(np.quantile(conservative, 0.05)),
        conservative_high=float(np.quantile(conservative, 0.95)),
        conservative_over=float((conservative > 1).mean()),
    )


def _error(values: Float64s) -> float:
    """The standard error of the mean of *values*."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))
