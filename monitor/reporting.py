"""What a calibration found, as the report shows it."""

import math
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from calibration.autocorrelation import borders_of
from calibration.charts import local
from calibration.limits import ContextLimits, Limit
from calibration.scale import ContextScale
from calibration.shifted import Stream
from calibration.spread import GroupSpread, group_spread, principal_plane
from calibration.tails import rarity
from models.reconstruction import reconstruct
from models.scorer import Scorer
from models.scores import Scores
from models.sweep import LatentSweep
from models.trained import Checkpoint
from monitor.camera.recordings import Recording
from monitor.limits import contexts_of
from monitor.manifest import Manifest
from monitor.report.data import JOINT, WARNING, Chart, Example, Footing, Group, ReportData, Square, Table
from monitor.report.gathering import correlation_of, promise_of, segments_of
from monitor.report.history import moment
from monitor.report.settings import camera_levels, in_words
from monitor.report.units import per_frame

Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

LIMIT_HEAD = (
    *("chart", "limit", "90 % interval", "by its frames", "frames above", "median"),
    *("tail shape", "tail scale", "frames", "independent frames"),
)
WITH_EXCLUDED = "limit, had nothing been excluded"
UNKNOWN = "cannot be known"


def describe(
    manifest: Manifest,
    held: Sequence[Recording],
    scorer: Scorer,
    scores: Scores,
    values: Float64s,
    groups: Indices,
    history: Sequence[Checkpoint],
    sweep: LatentSweep | None,
) -> ReportData:
    """The report's data; *scores* (m,) and *groups* (m,) are those of the frames of *held*, one after the other.

    *values* (m, charts) are what all charts of the *manifest* say of them, in its order. *history* and *sweep* are of
    the training, where there was one.
    """
    limits = _limits(manifest)
    contexts = np.array([one.context.encode() for one in held], np.bytes_)[groups]
    joint, source, of_frame = ContextScale(limits)(values, contexts)
    stream = Stream(values, scores.latent, contexts_of(held), borders_of(groups))
    spread = group_spread(joint, groups, manifest.false_alarm_rate)
    return ReportData(
        title="Calibration report",
        promise=promise_of(manifest, limits, stream),
        camera_settings=manifest.settings or "not stated",
        created=moment(manifest.created_ns),
        false_alarm_rate=manifest.false_alarm_rate,
        settings=_settings(manifest),
        limits=_limit_table(manifest, limits),
        groups=_groups(manifest, _over(manifest, joint, values, of_frame), groups, spread),
        between_sd=spread.between_sd,
        within_sd=spread.within_sd,
        segments=segments_of(manifest.charts, _held_names(manifest), stream, joint, source),
        correlation=correlation_of(manifest, joint, stream.borders),
        starts=[(int(np.argmax(groups == index)), name) for index, name in enumerate(_held_names(manifest))],
        charts=[_joint_chart(manifest, joint, limits), *_charts(manifest, values, limits.pooled, of_frame)],
        latents=principal_plane(scores.latent),
        examples=_examples(manifest, held, scorer, scores, values, joint, groups),
        history=history,
        sweep=sweep,
        footings=_footings(manifest, held, limits) if manifest.budget is None else [],
        turned=manifest.training["orientation"] == "align",
        binning=int(manifest.training["binning"]),
        earlier=manifest.history,
        warnings=manifest.warnings,
    )


def _settings(manifest: Manifest) -> dict[str, str]:
    frames = {role: sum(one.frames for one in manifest.groups if one.role == role) for role in ("train", "limits")}
    return {
        "frame": f"{manifest.height} x {manifest.width} px, {manifest.dtype}",
        "training frames": str(frames["train"]),
        "held-out frames": str(frames["limits"]),
        **_asked(manifest),
        "limits set by": ", ".join(dict.fromkeys(limit.method for limit in manifest.limits.values())),
        **_excluded(manifest),
        "camera settings": manifest.settings or "not stated",
        "contexts": ", ".join(manifest.contexts) if manifest.contexts else "any",
        "engine": manifest.engine,
        "decoder": _precision(manifest),
        **in_words(manifest.training),
        **camera_levels(msgspec.structs.asdict(manifest.camera)),
        "bundle format": str(manifest.format),
        "framewatch": manifest.program,
    }


def _precision(manifest: Manifest) -> str:
    if not manifest.precision_error:
        return manifest.precision
    chart, error = max(manifest.precision_error.items(), key=lambda item: item[1])
    return (
        f"{manifest.precision}: 99 % of held-out scores are moved by less than {100 * error:.2g} % of the way from "
        f"their mean to the limit (most in {chart})"
    )


def _asked(manifest: Manifest) -> dict[str, str]:
    """What limits were asked for."""
    budget, memory = manifest.budget, manifest.memory
    if budget is None:
        return {"false-alarm rate asked for": f"{manifest.false_alarm_rate:g} per frame, over all charts"}
    asked = {
        "false alarms asked for": f"{budget.asked_per_hour:g} a judged hour"
        + (", with 90 % confidence" if budget.conservative else ""),
        "event rule": f"{budget.k} of {budget.n} judged frames over the action limit; ended by {budget.block_frames:,} "
        "without",
        "judged frames a second": f"{budget.rate_hz:g}",
        "warning limit asked for": f"exceeded by {budget.warning_rate:g} of single frames, over all charts",
    }
    if memory is not None:
        asked["memories of the chart mewma"] = ", ".join(f"{seconds:g} s" for seconds in memory.seconds)
        asked["longest latent that enters them"] = f"that of t2 {memory.strange:.4g}; a longer one is shortened to it"
    return asked


def _excluded(manifest: Manifest) -> dict[str, str]:
    """Which held-out frames a person left out."""
    if not manifest.excluded:
        return {}
    told = "; ".join(f"{one.group}, frames {one.first} to {one.last}" for one in manifest.excluded)
    return {"held-out frames that a person marked as not normal: they set no limit": told}


def _limits(manifest: Manifest) -> ContextLimits:
    own = {name: tuple(limit.as_limit() for limit in limits.values()) for name, limits in manifest.own_limits.items()}
    return ContextLimits(manifest.fitted_limits, own)


def _limit_table(manifest: Manifest, limits: ContextLimits) -> Table:
    """Every limit: of all contexts together first, then those of contexts that have their own."""
    found = [(chart, limit) for chart, limit in zip(manifest.charts, limits.pooled, strict=True)]
    for context, own in limits.own.items():
        found += [(f"{chart}, {context}", limit) for chart, limit in zip(manifest.charts, own, strict=True)]
    rows = [_limit_row(name, limit, manifest.budget is not None) for name, limit in found]
    if not manifest.excluded:
        return Table(LIMIT_HEAD, rows)
    known = {name: f"{limit:.5g}" for name, limit in manifest.limits_with_excluded.items()}
    return Table((*LIMIT_HEAD, WITH_EXCLUDED), [(*row, known.get(row[0], "-")) for row in rows])


def _limit_row(name: str, limit: Limit, budgeted: bool) -> tuple[str, ...]:
    return (
        name,
        f"{limit.value:.5g}",
        f"{limit.low:.5g} to {limit.high:.5g}" if budgeted or not limit.extrapolated else UNKNOWN,
        "extrapolated" if limit.extrapolated else "supported",
        per_frame(limit.rate) if budgeted else f"{per_frame(limit.rate)}, any chart",
        f"{limit.center:.5g}",
        f"{limit.tail.shape:.3g}",
        f"{limit.tail.scale:.3g}",
        f"{limit.frames:,}",
        f"{limit.effective_frames:,.0f}",
    )


def _over(
    manifest: Manifest, joint: Float64s, values: Float64s, of_frame: Float64s
) -> dict[str, npt.NDArray[np.bool_]]:
    """Which limits each frame (m,) exceeds, by name."""
    over = {JOINT: joint > 1.0, **dict(zip(manifest.charts, (values > of_frame).T, strict=True))}
    budget = manifest.budget
    return over if budget is None else {WARNING: joint > budget.warning / budget.action, **over}


def _groups(
    manifest: Manifest, over: dict[str, npt.NDArray[np.bool_]], groups: Indices, spread: GroupSpread
) -> list[Group]:
    """Every group; *over* says of each limit which held-out frames (m,) exceed it."""
    found, held = [], 0
    for group in manifest.groups:
        if group.role == "train":
            found.append(Group(group.name, group.frames, "train", group.context, group.sha256, {}, (), np.nan))
            continue
        mine = groups == held
        found.append(
            Group(
                name=group.name,
                frames=group.frames,
                role="held-out",
                context=group.context,
                sha256=group.sha256,
                over={limit: float(frames[mine].mean()) for limit, frames in over.items()},
                quantiles=tuple(spread.quantiles[held].tolist()),
                if_new=float(spread.if_new[held]),
            )
        )
        held += 1
    return found


def _joint_chart(manifest: Manifest, joint: Float64s, limits: ContextLimits) -> Chart:
    """The joint score's chart, on the scale where its limit is 1: without interval where contexts have their own.

    By a budget there is one joint limit for all contexts.
    """
    middle, held, budget = float(np.median(joint)), np.ones(len(joint)), manifest.budget
    if budget is not None:
        low, high, warning = (level / budget.action for level in (budget.low, budget.high, budget.warning))
        return Chart(JOINT, joint, middle, 1.0, low, high, held, budget.extrapolated_by > 1.0, warning)
    low, high = (math.nan, math.nan) if limits.own else _joint_interval(limits.pooled)
    extrapolated = not limits.own and _extrapolated(limits.pooled)
    return Chart(JOINT, joint, middle, 1.0, low, high, held, extrapolated)


def _footings(manifest: Manifest, held: Sequence[Recording], limits: ContextLimits) -> list[Footing]:
    """What the limits of each context rest on that has its own, and those of all together where they hold."""
    if not limits.own:
        return [_footing("", limits.pooled)]
    found = [_footing(f"context {context}", own) for context, own in limits.own.items()]
    others = sorted({*(manifest.contexts or ()), *(one.context for one in held)} - limits.own.keys())
    if others:
        named = ", ".join(context or "frames without context" for context in others)
        found.append(_footing(f"the limits of all contexts together, which hold for {named}", limits.pooled))
    return found


def _footing(where: str, limits: Sequence[Limit]) -> Footing:
    independent = min(limit.effective_frames for limit in limits)
    return Footing(where, limits[0].frames, independent, *_joint_interval(limits))


def _extrapolated(limits: Sequence[Limit]) -> bool:
    return any(limit.extrapolated for limit in limits)


def _joint_interval(limits: Sequence[Limit]) -> tuple[float, float]:
    """The interval of *limits* on the scale where they are 1; NaN where they are extrapolated."""
    if _extrapolated(limits):
        return math.nan, math.nan
    low, high = (_on_joint_scale([getattr(limit, end) for limit in limits], limits) for end in ("low", "high"))
    return min(low, 1.0), max(high, 1.0)


def _on_joint_scale(scores: Sequence[float], limits: Sequence[Limit]) -> float:
    """Where the charts' *scores*, all as rare as each other, lie between themselves; a chart whose scores are all alike
    can't tell, so the middle one is asked."""
    return float(
        np.median(
            [
                float(rarity(score, limit.tail)) / float(rarity(limit.value, limit.tail))
                for score, limit in zip(scores, limits, strict=True)
            ]
        )
    )


def _charts(manifest: Manifest, values: Float64s, limits: Sequence[Limit], of_frame: Float64s) -> list[Chart]:
    found = []
    for index, (chart, limit) in enumerate(zip(manifest.charts, limits, strict=True)):
        known = manifest.budget is not None or not limit.extrapolated
        low, high = (limit.low, limit.high) if known else (math.nan, math.nan)
        scores, held = values[:, index], of_frame[:, index]
        found.append(Chart(chart, scores, limit.center, limit.value, low, high, held, limit.extrapolated))
    return found


def _held_names(manifest: Manifest) -> list[str]:
    return [group.name for group in manifest.groups if group.role != "train"]


def _examples(
    manifest: Manifest,
    held: Sequence[Recording],
    scorer: Scorer,
    scores: Scores,
    values: Float64s,
    joint: Float64s,
    groups: Indices,
) -> list[Example]:
    """The held-out frames with the smallest, the middle and the largest joint score."""
    order = np.argsort(joint, kind="stable")
    first = np.concatenate(([0], np.cumsum([len(one.frames) for one in held])))
    found = []
    for label, index in (("best", order[0]), ("typical", order[len(order) // 2]), ("worst", order[-1])):
        group = int(groups[index])
        number = int(index - first[group])
        came = np.array(held[group].frames[number : number + 1])
        shown = reconstruct(scorer, came)
        place, peak = _squares(manifest, scorer, scores.where[index], shown.residual)
        found.append(
            Example(
                label=label,
                where=f"frame {number} of {held[group].name}",
                came=came[0],
                seen=shown.seen[0],
                drawn=shown.drawn[0],
                residual=shown.residual[0],
                scores={
                    JOINT: float(joint[index]),
                    **dict(zip(manifest.charts, values[index].tolist(), strict=True)),
                },
                place=place,
                peak=peak,
            )
        )
    return found


def _squares(
    manifest: Manifest, scorer: Scorer, where: npt.NDArray[np.int16], residual: npt.NDArray[np.float32]
) -> tuple[Square, Square]:
    """Where `local` is largest: on the sensor, as the scores hold it, and in the *residual* (1, H, W) as shown."""
    window, stride, binning = (int(manifest.training[name]) for name in ("window_px", "stride_px", "binning"))
    place = Square(int(where[0]), int(where[1]), window * binning)
    if scorer.tiling is not None:
        return place, place  # tiles are put together in the image's own pixels
    # The frame shown may be turned and binned.
    _, [[row, column]] = local(residual, window, stride)
    return place, Square(int(row), int(column), window)
