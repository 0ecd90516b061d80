"""From the scores of held-out frames to the limits of a bundle: by a false-alarm budget where they can keep one, else
per frame."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from calibration.action import (
    ActionLimits,
    ContextTails,
    Demand,
    StopDemand,
    chart_limits,
    fit_action_limits,
    fit_tails,
    frames_needed,
    joint_scores,
)
from calibration.autocorrelation import borders_of
from calibration.blocks import BLOCKS_MIN
from calibration.bootstrap import Refits
from calibration.budget import for_tails as tail_frames
from calibration.charts import CalibrationError
from calibration.drift_fit import fit_drift
from calibration.kde import kde_quantile
from calibration.limits import ContextLimits, Limit, fit_context_limits
from calibration.memory import RARITY_TAIL, MemoryChart, fit_memory, independent_limit, memories_for
from calibration.tails import FRAMES_MIN, Tail
from models.scorer import Scorer
from models.scores import CHARTS, Scores
from monitor.budget import FittedBudget
from monitor.camera.recordings import Recording
from monitor.config import Calibration, Events
from monitor.manifest import FittedDrift, FittedLimit, FittedMemory, FittedRates
from monitor.rate_fit import rates_of
from monitor.split import runs_of

Floats = npt.NDArray[np.floating[Any]]
Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Texts = npt.NDArray[np.str_]

MEMORY: Final = "mewma"
"""The chart that remembers; it comes after those of single frames."""


INDEPENDENT: Final = "run length of independent Gaussian frames"
"""The method of a textbook limit, which new blocks do not move."""

EXTRAPOLATED: Final = "the limits are extrapolated"
"""How a warning ends that no longer holds once the hours are enough."""

STOPS_EXTRAPOLATED: Final = "the stop limit is extrapolated"
"""... and one of the limit for stops."""


class Held(NamedTuple):
    """Held-out in-control frames, in the stream's order."""

    values: Floats  # (m, charts)
    latents: Floats  # (m, p), whitened
    groups: Indices  # (m,) stretches recorded apart, numbered in order
    runs: Indices  # (m,) what a group was part of: one run in several contexts is one
    contexts: Texts  # (m,)
    layer_frames: int = 1  # in half of the layers, where recordings state theirs


class Limiting(NamedTuple):
    """What was set, and the scores that it was set on, those of the memory chart included."""

    charts: tuple[str, ...]
    values: Float64s  # (m, charts)
    limits: ContextLimits
    budget: FittedBudget | None
    memory: FittedMemory | None
    rates: FittedRates | None
    drift: FittedDrift | None
    warnings: tuple[str, ...]


def set_limits(
    recordings: Sequence[Recording],
    scorer: Scorer,
    centers: Mapping[bytes, Float64s],
    settings: Calibration,
    events: Events,
    rate_hz: float | None,
    tails: Sequence[Tail] | None = None,
    refits: Refits | None = None,
) -> tuple[Limiting, Held, Scores]:
    """The limits that held-out *recordings* set, and the scores that they were set on.

    By the budget at *rate_hz* judged frames a second; per frame without a rate, and for images that are judged as
    tiles, which come with *tails* of other frames.
    """
    held, scores = held_of(recordings, scorer)
    if tails is not None or rate_hz is None:
        return per_frame(held, settings, tails, refits), held, scores
    return limiting(held, centers, settings, events, rate_hz, refits), held, scores


def by_chart(charts: Sequence[str], limits: Sequence[Limit]) -> dict[str, FittedLimit]:
    """*limits* of *charts* as the manifest holds them; none where there are none."""
    return {chart: FittedLimit.of(limit) for chart, limit in zip(charts, limits, strict=bool(limits))}


def held_of(recordings: Sequence[Recording], scorer: Scorer) -> tuple[Held, Scores]:
    """The frames of *recordings*, scored in their order."""
    parts = [scorer(recording.frames) for recording in recordings]
    scores = Scores(*map(np.concatenate, zip(*parts, strict=True)))
    counts = [len(recording.frames) for recording in recordings]
    names = runs_of(recordings)
    runs = np.array([names.index(name) for name in names])
    groups = np.repeat(np.arange(len(recordings)), counts)
    held = Held(
        scores.values,
        scores.latent,
        groups,
        np.repeat(runs, counts),
        contexts_of(recordings),
        _layer_frames(recordings),
    )
    return held, scores


def _layer_frames(recordings: Sequence[Recording]) -> int:
    counts: Counter[str] = Counter()
    for one in recordings:
        counts[one.layer] += len(one.frames)
    stated = [count for layer, count in counts.items() if layer]
    return int(np.median(stated)) if stated else 1


def contexts_of(recordings: Sequence[Recording]) -> Texts:
    """The context of each frame of all *recordings*."""
    return np.repeat([one.context for one in recordings], [len(one.frames) for one in recordings])


def per_frame(
    held: Held, settings: Calibration, tails: Sequence[Tail] | None = None, refits: Refits | None = None
) -> Limiting:
    """Limits that a share of single frames exceeds, on *tails* of other frames where they are given."""
    _require_variety(held.values, CHARTS)
    limits = fit_context_limits(
        held.values,
        held.contexts,
        settings.false_alarm_rate,
        settings.seed,
        held.groups,
        tails=tails,
        method=settings.limit,
        latents=held.latents,
        refits=refits,
    )
    return Limiting(CHARTS, held.values.astype(np.float64), limits, None, None, None, None, ())


def limiting(
    held: Held,
    centers: Mapping[bytes, Float64s],
    settings: Calibration,
    events: Events,
    rate_hz: float,
    refits: Refits | None = None,
) -> Limiting:
    """Limits that keep to the budget, with a memory chart where the frames support one; else per frame, with a warning.

    *centers* are the means of whitened latents of each context, of frames that set no limit. *rate_hz* are judged
    frames a second. *refits* say how T2 would have been by chance.
    """
    if settings.false_alarms_per_hour is None:
        return per_frame(held, settings, refits=refits)
    borders = borders_of(held.groups)
    for_tails = tail_frames(held.groups, held.runs)
    # For the shortest block and for every tail; `block_frames` refuses what is less.
    needed = max(frames_needed(events.n), FRAMES_MIN)
    if (~for_tails).sum() < needed or for_tails.sum() < FRAMES_MIN:
        return per_frame(held, settings, refits=refits)._replace(warnings=(_too_few(settings, len(for_tails), needed),))
    _require_variety(held.values[for_tails], CHARTS)
    values, memory, notes = _with_memory(held, centers, settings, rate_hz, borders, for_tails)
    tails = fit_tails(values[for_tails], held.contexts[for_tails], settings.false_alarm_rate)
    if memory is not None:
        tails = _remembering(tails)
    demand = _demand(settings, settings.false_alarms_per_hour, events, rate_hz)
    found = fit_action_limits(
        values,
        held.contexts,
        held.groups,
        held.runs,
        tails,
        for_tails,
        demand,
        held.layer_frames,
        seed=settings.seed,
        latents=held.latents,
        refits=refits,
    )
    joint = joint_scores(values, held.contexts, tails)
    rates, rate_notes = rates_of(joint, held.groups, held.runs, found.warning, demand)
    notes += rate_notes
    kept = ~for_tails & (joint <= found.action)
    drift = fit_drift(joint[kept], held.groups[kept], held.runs[kept])
    if drift is None:
        notes.append(f"{len(joint)} held-out frames are too few to watch for a drift of the scores")
    limits = chart_limits(found, values, held.contexts)
    if memory is not None and settings.mewma_limit == "independent":
        limits = _of_independent_frames(limits, memory, held.latents.shape[1], rate_hz * 3600 / demand.per_hour)
    return Limiting(
        charts=CHARTS if memory is None else (*CHARTS, MEMORY),
        values=values,
        limits=limits,
        budget=FittedBudget.of(found, demand),
        memory=None if memory is None else FittedMemory.of(memory, rate_hz),
        rates=rates,
        drift=None if drift is None else FittedDrift.of(drift),
        warnings=(*_budget_warnings(found, demand, held.layer_frames), *notes),
    )


def _remembering(tails: ContextTails) -> ContextTails:
    """*tails* whose last chart remembers: its scores are rarities already."""
    own = {name: (*charts[:-1], RARITY_TAIL) for name, charts in tails.own.items()}
    return tails._replace(pooled=(*tails.pooled[:-1], RARITY_TAIL), own=own)


def _require_variety(values: Floats, charts: Sequence[str]) -> None:
    """Raises CalibrationError where the scores (m, charts) are too few different ones for the tail of any law."""
    if len(values) < FRAMES_MIN:
        return  # told where the tails are fitted
    for chart, scores in zip(charts, np.asarray(values).T, strict=True):
        count = len(np.unique(scores))
        if count < FRAMES_MIN and np.isfinite(scores).all():
            raise CalibrationError(
                f"the {len(values)} held-out frames that set the scale have {count} different scores of the chart "
                f"{chart}: was the camera frozen or covered? Give frames that differ as they do in normal operation"
            )


def _demand(settings: Calibration, per_hour: float, events: Events, rate_hz: float) -> Demand:
    return Demand(
        per_hour=per_hour,
        rate_hz=rate_hz,
        k=events.k,
        n=events.n,
        warning_rate=settings.false_alarm_rate,
        method="auto" if settings.limit in ("f", "beta") else settings.limit,  # those two are of T2 alone
        conservative=settings.conservative,
        stops=None
        if settings.false_stops_per_hour is None
        else StopDemand(settings.false_stops_per_hour, settings.stop_k, settings.stop_n),
    )


def _of_independent_frames(limits: ContextLimits, memory: MemoryChart, p: int, arl0: float) -> ContextLimits:
    """*limits* with the textbook's for the chart that remembers. Raises CalibrationError where there is none."""
    try:
        value = independent_limit(memory, p, arl0)
    except ValueError as error:
        raise CalibrationError(f"calibration.mewma_limit: independent cannot be had: {error}") from None

    def moved(charts: Sequence[Limit]) -> tuple[Limit, ...]:
        last = charts[-1]._replace(value=value, low=value, high=value, method=INDEPENDENT, extrapolated=False)
        return (*charts[:-1], last)

    return ContextLimits(moved(limits.pooled), {name: moved(own) for name, own in limits.own.items()})


def _with_memory(
    held: Held,
    centers: Mapping[bytes, Float64s],
    settings: Calibration,
    rate_hz: float,
    borders: Indices,
    for_tails: npt.NDArray[np.bool_],
) -> tuple[Float64s, MemoryChart | None, list[str]]:
    """The scores with those of the memory chart beside them, the chart, and what to know of it."""
    values = held.values.astype(np.float64)
    seconds = memories_for(settings.memories_s, rate_hz, borders)
    left = [one for one in settings.memories_s if one not in seconds]
    notes = []
    if left:
        told = ", ".join(f"{one:g} s" for one in left)
        notes.append(
            f"the chart {MEMORY} has no memory of {told}: {len(for_tails)} held-out frames at {rate_hz:g} a second in "
            f"{len(borders) - 1} stretches are too few for it, or it holds fewer than five frames"
        )
    if not seconds:
        return values, None, notes
    without = [name for name in np.unique(held.contexts).tolist() if name.encode() not in centers]
    if without and len(np.unique(held.contexts)) > 1:
        notes.append(
            f"the chart {MEMORY} takes {', '.join(name or 'no context' for name in without)} about the mean of all "
            "contexts: too few frames of it trained the network"
        )
    t2 = values[:, CHARTS.index("t2")]
    strange = kde_quantile(t2[for_tails], settings.false_alarm_rate)
    contexts = np.char.encode(held.contexts, "utf-8")
    memory, scores = fit_memory(seconds, rate_hz, centers, strange, held.latents, t2, contexts, borders, for_tails)
    return np.column_stack((values, scores)), memory, notes


def _too_few(settings: Calibration, frames: int, needed: int) -> str:
    return (
        f"{frames} held-out frames cannot keep a budget of {settings.false_alarms_per_hour:g} false alarms an hour: "
        f"a fifth of each stretch sets the scale, and {needed} of the others are the least; what they can set is "
        "limits per frame (calibration.false_alarm_rate)"
    )


def _budget_warnings(found: ActionLimits, demand: Demand, layer_frames: int) -> list[str]:
    budget, shift = found.budget, found.shift
    told = []
    if not budget.supported:
        told.append(
            f"{budget.hours * 3600:.3g} s of held-out frames are {budget.extrapolated_by:.3g} times too short for "
            f"{budget.per_hour:.3g} false alarms an hour: {EXTRAPOLATED}"
        )
    if budget.per_hour < demand.per_hour or budget.capped:
        told.append(budget.why)
    if found.record.block_frames < layer_frames:
        told.append(
            f"blocks of {found.record.block_frames} frames are shorter than a layer of {layer_frames}: what recurs in "
            f"every layer may make them alike; {BLOCKS_MIN} layers, and a quarter more for what is cut off, would do"
        )
    told += _stop_warnings(found, demand)
    if shift is None:
        told.append("how a new run, layer or session differs cannot be known from one: the limits do not allow for it")
    return told


def _stop_warnings(found: ActionLimits, demand: Demand) -> list[str]:
    asked, stops = demand.of_stops, found.stops
    if asked is None:
        return []
    if stops is None:
        return [
            f"{found.frames} held-out frames are too few for stops by {asked.k} of {asked.n} frames "
            f"({frames_needed(asked.n)} are the least): every event of the charts withholds the permit"
        ]
    budget, told = stops.budget, []
    if not budget.supported:
        told.append(
            f"{budget.hours * 3600:.3g} s of held-out frames are {budget.extrapolated_by:.3g} times too short for "
            f"{budget.per_hour:.3g} false stops an hour: {STOPS_EXTRAPOLATED}"
        )
    if budget.per_hour < asked.per_hour or budget.capped:
        told.append(f"stops: {budget.why}")
    return told
