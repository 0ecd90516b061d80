"""New limits for a trained network, without training: from a clean stretch, or from what a daemon has kept as it ran.

The old limits stay in the bundle's history, with who replaced them, when and why. Nothing is replaced before a person
has approved.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from calibration.action import SHIFT_RATE, group_shift, raised
from calibration.blocks import BlockExtremes
from calibration.budget import budget_limit
from calibration.charts import CalibrationError
from calibration.tails import score_of
from monitor import bundle as bundles
from monitor import device
from monitor.blockstore import Block
from monitor.budget import EventBudget, FittedBudget, FittedStops, GroupsShift
from monitor.budget import renewed as renewed_budget
from monitor.bundle import Bundle
from monitor.calibrate import groups_of, require_unseen
from monitor.camera.recordings import Recording
from monitor.cautions import about_faults, about_frames, about_limits
from monitor.config import Calibration, Config
from monitor.kept import Kept, kept_record, kept_stops
from monitor.limits import EXTRAPOLATED, INDEPENDENT, STOPS_EXTRAPOLATED, by_chart, set_limits
from monitor.manifest import Earlier, FittedLimit, Group, Manifest
from monitor.report import render
from monitor.report.history import renewed
from monitor.reporting import describe
from monitor.score import load_scorer, require_fit
from monitor.split import Split

OF_BUDGET: Final = (
    "action",
    "low",
    "high",
    "method",
    "per_hour",
    "conservative",
    "hours",
    "effective_blocks",
    "extrapolated_by",
)
"""What the history remembers of a budget."""


class Approval(NamedTuple):
    """Who replaces limits, and why."""

    by: str
    why: str


def from_stretches(
    bundle: Bundle, stretches: Sequence[Recording], config: Config, rate_hz: float, approval: Approval
) -> tuple[Manifest, str]:
    """The manifest of *bundle* with the limits that clean *stretches* set, and its report.

    Frames must be in the stream's order. Network, chart parameters and the means of contexts stay. Raises
    RecordingError where frames do not fit the bundle, CalibrationError where they are too few, lack a context, are
    images in tiles or have trained the network.
    """
    settings, held = config.calibration, bundle.manifest
    require_fit(bundle, stretches)
    device.require(config.engine.device)
    scorer = load_scorer(bundle, config.engine.device)
    if scorer.tiling is not None:
        raise CalibrationError("images that are judged as tiles have limits per image: calibrate anew")
    trained = tuple(group for group in held.groups if group.role == "train")
    groups = groups_of(stretches, "limits")
    require_unseen(groups, trained)
    _require_every_context(groups, trained)
    centers = {name.encode(): np.array(mean) for name, mean in held.context_means.items()}
    found, scored, scores = set_limits(stretches, scorer, centers, settings, config.events, rate_hz)
    if found.budget is None and held.budget is not None and settings.false_alarms_per_hour is not None:
        raise CalibrationError(
            f"{found.warnings[0]}, and the limits that hold now keep a budget: give longer stretches, or set "
            "calibration.false_alarms_per_hour: null"
        )
    warnings = (
        *found.warnings,
        *about_limits(found, settings.false_alarm_rate, scored.contexts),
        *about_frames(Split((), tuple(stretches), ()), found.values, scored.contexts),
        *about_faults(stretches, bundle.camera_limits),
    )
    now_ns = time.time_ns()
    manifest = msgspec.structs.replace(
        held,
        format=bundles.FORMAT,
        created_ns=now_ns,
        engine=device.engine_of(config.engine.device),
        groups=(*trained, *groups),
        false_alarm_rate=settings.false_alarm_rate,
        budget=found.budget,
        memory=found.memory,
        rates=found.rates,
        drift=found.drift,
        limits=by_chart(found.charts, found.limits.pooled),
        context_limits=None
        if held.context_limits is None
        else {context: by_chart(found.charts, found.limits.own.get(context, ())) for context in held.context_limits},
        warnings=warnings,
        excluded=(),
        limits_with_excluded={},
        history=(*held.history, earlier(held, approval, now_ns)),
    )
    report = render(describe(manifest, stretches, scorer, scores, found.values, scored.groups, (), None))
    return manifest, report


def write(bundle: Bundle, manifest: Manifest, report: str | None) -> Bundle:
    """Replace *bundle* by one with *manifest* and *report*."""
    return bundles.write(bundle.path, manifest, bundle.tensors, report)


def _require_every_context(groups: Sequence[Group], trained: Sequence[Group]) -> None:
    """Raises CalibrationError where *groups* lack a context that *trained* the network: no limit would speak for it."""
    missing = {group.context for group in trained if group.context} - {group.context for group in groups}
    if missing:
        raise CalibrationError(f"no stretch shows the context {min(missing)}: give one of each (--in CONTEXT PATH...)")


def from_blocks(
    bundle: Bundle, blocks: Sequence[Block], settings: Calibration, approval: Approval
) -> tuple[Manifest, str | None]:
    """The manifest of *bundle* with the limit set anew that keeps to the budget of *settings*, by *blocks*, which a
    daemon kept of all judged time.

    With it the report that the bundle has, headed by what holds now; None where it has none. The scale of the charts
    stays, so only the joint limit moves, and each chart's with it. The warning limit stays: the chart of rates counts
    by it. Raises CalibrationError for a bundle without a budget, and for too few blocks.
    """
    held = bundle.manifest
    before = held.budget
    if before is None:
        raise CalibrationError(f"{bundle.path}: its limits are per frame: recalibrate from a clean stretch")
    if any(limit.method == INDEPENDENT for limit in held.limits.values()):
        raise CalibrationError(
            f"{bundle.path}: a chart has the limit of independent frames, and kept blocks are in times of it: "
            "recalibrate from a clean stretch"
        )
    if settings.false_alarms_per_hour is None:
        raise CalibrationError("calibration.false_alarms_per_hour is null: a budget is what these limits keep to")
    kept = kept_record(before, blocks)
    shift = _shift(before, kept)
    stops = _stops_anew(bundle, before, blocks, settings, shift)
    changes = _anew(before, kept.record, settings.false_alarms_per_hour, kept.rate_hz, settings, shift)
    budget = msgspec.structs.replace(before, **changes, shift=shift, stops=stops)
    now_ns = time.time_ns()
    manifest = msgspec.structs.replace(
        held,
        format=bundles.FORMAT,
        created_ns=now_ns,
        budget=budget,
        limits=_moved(held.limits, budget),
        context_limits=None
        if held.context_limits is None
        else {context: _moved(own, budget) for context, own in held.context_limits.items()},
        warnings=_still_true(held.warnings, budget),
        history=(*held.history, earlier(held, approval, now_ns)),
    )
    before_report = bundles.read_report(bundle.path)
    return manifest, None if before_report is None else renewed(before_report, manifest)


def _anew(
    before: EventBudget,
    record: BlockExtremes,
    per_hour: float,
    rate_hz: float,
    settings: Calibration,
    shift: GroupsShift | None,
) -> dict[str, Any]:
    """What *record* makes of the budget *before*."""
    found = budget_limit(record, per_hour, rate_hz, before.block_frames)
    by, by_high = (shift.by, shift.high) if shift else (0.0, 0.0)
    limits = raised(found, by, by_high, conservative=settings.conservative)
    return renewed_budget(found, limits, per_hour, conservative=settings.conservative) | {
        "rate_hz": rate_hz,
        "extremes": tuple(record.kept.tolist()),
        "extremes_frames": record.block_frames,
    }


def _stops_anew(
    bundle: Bundle,
    before: FittedBudget,
    blocks: Sequence[Block],
    settings: Calibration,
    shift: GroupsShift | None,
) -> FittedStops | None:
    """The budget of false stops that *settings* ask for. Raises CalibrationError where *blocks* are too few for it."""
    per_hour, stops = settings.false_stops_per_hour, before.stops
    if per_hour is None:
        return None
    same = stops is not None and (stops.k, stops.n) == (settings.stop_k, settings.stop_n)
    kept = kept_stops(before, stops, blocks) if stops is not None and same else None
    if stops is None or kept is None:
        raise CalibrationError(
            f"{bundle.path}: too few of the blocks that the daemon kept know of stops by {settings.stop_k} of "
            f"{settings.stop_n} frames: recalibrate from a clean stretch, or leave calibration.false_stops_per_hour out"
        )
    return msgspec.structs.replace(stops, **_anew(stops, kept.record, per_hour, kept.rate_hz, settings, shift))


def earlier(held: Manifest, approval: Approval, now_ns: int) -> Earlier:
    """The limits of *held*, as its successor of *now_ns* (Unix) remembers them."""
    budget = held.budget
    return Earlier(
        created_ns=held.created_ns,
        replaced_ns=now_ns,
        by=approval.by,
        why=approval.why,
        limits={chart: limit.value for chart, limit in held.limits.items()},
        context_limits={
            context: {chart: limit.value for chart, limit in own.items()} for context, own in held.own_limits.items()
        },
        excluded=held.excluded,
        limits_with_excluded=held.limits_with_excluded,
        **({} if budget is None else {name: getattr(budget, name) for name in OF_BUDGET}),
    )


def _shift(before: FittedBudget, kept: Kept) -> GroupsShift | None:
    """What limits are raised by for a job never seen: by the jobs of the blocks, or as it was if that is more."""
    names, jobs = np.unique(kept.jobs, return_inverse=True)
    order = np.argsort(jobs, kind="stable")
    found = group_shift(kept.record.extremes[order], jobs[order], SHIFT_RATE) if len(names) > 1 else None
    if found is None or (before.shift is not None and before.shift.by > found.by):
        return before.shift
    return GroupsShift.of(found)


def _still_true(warnings: Sequence[str], budget: FittedBudget) -> tuple[str, ...]:
    """*warnings* of a calibration, but for what *budget* says anew of its own hours."""
    told = [warning for warning in warnings if not warning.endswith((EXTRAPOLATED, STOPS_EXTRAPOLATED))]
    if budget.extrapolated_by > 1:
        told.append(f"{budget.why}: {EXTRAPOLATED}")
    if budget.stops is not None and budget.stops.extrapolated_by > 1:
        told.append(f"{budget.stops.why}: {STOPS_EXTRAPOLATED}")
    return tuple(told)


def _moved(limits: Mapping[str, FittedLimit], budget: FittedBudget) -> dict[str, FittedLimit]:
    """*limits* of charts, moved to the joint limit of *budget*."""
    moved = {}
    frames = budget.blocks * budget.extremes_frames
    for chart, limit in limits.items():
        value, low, high = (score_of(at, limit.tail.as_tail()) for at in (budget.action, budget.low, budget.high))
        moved[chart] = msgspec.structs.replace(
            limit,
            value=value,
            low=low,
            high=high,
            rate=10.0**-budget.action,
            method=budget.method,
            frames=frames,
            effective_frames=frames * limit.effective_frames / limit.frames,  # frames are as alike as they were
            extrapolated=budget.extrapolated_by > 1.0,
        )
    return moved
