"""What a calibration found, as the report shows it."""

import math
import time
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from calibration.charts import local
from calibration.limits import ContextLimits, Limit
from calibration.scale import ContextScale
from calibration.spread import GroupSpread, group_spread, principal_plane
from calibration.tails import rarity
from models.scorer import CHARTS, Scorer, Scores
from models.sweep import LatentSweep
from models.training import Checkpoint
from monitor.bundle import Manifest
from monitor.camera.recordings import Recording
from monitor.report.data import JOINT, Chart, Example, Footing, Group, ReportData, Square, Table
from monitor.report.settings import camera_levels, in_words

Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

LIMIT_HEAD = ("chart", "limit", "90 % interval", "median", "tail shape", "tail scale", "frames", "independent frames")
UNKNOWN = "cannot be known"


def describe(
    manifest: Manifest,
    held: Sequence[Recording],
    scorer: Scorer,
    scores: Scores,
    groups: Indices,
    history: Sequence[Checkpoint],
    sweep: LatentSweep,
) -> ReportData:
    """The report's data; *scores* (m,) and *groups* (m,) are those of the frames of *held*, one after the other."""
    values = scores.values.astype(np.float64)
    limits = _limits(manifest)
    contexts = np.array([one.context.encode() for one in held], np.bytes_)[groups]
    joint, _, of_frame = ContextScale(limits)(values, contexts)
    spread = group_spread(joint, groups, manifest.false_alarm_rate)
    return ReportData(
        title="Calibration report",
        camera_settings=manifest.settings or "not stated",
        created=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(manifest.created_ns / 1e9)),
        false_alarm_rate=manifest.false_alarm_rate,
        settings=_settings(manifest),
        limits=_limit_table(limits),
        groups=_groups(manifest, np.column_stack((joint > 1.0, values > of_frame)), groups, spread),
        between_sd=spread.between_sd,
        within_sd=spread.within_sd,
        starts=[(int(np.argmax(groups == index)), name) for index, name in enumerate(_held_names(manifest))],
        charts=[_joint_chart(joint, limits), *_charts(values, limits.pooled, of_frame)],
        latents=principal_plane(scores.latent),
        examples=_examples(manifest, held, scorer, scores, joint, groups),
        history=history,
        sweep=sweep,
        footings=_footings(manifest, held, limits),
        turned=manifest.training["orientation"] == "align",
        binning=int(manifest.training["binning"]),
        warnings=manifest.warnings,
    )


def _settings(manifest: Manifest) -> dict[str, str]:
    frames = {role: sum(one.frames for one in manifest.groups if one.role == role) for role in ("train", "limits")}
    return {
        "frame": f"{manifest.height} x {manifest.width} px, {manifest.dtype}",
        "training frames": str(frames["train"]),
        "held-out frames": str(frames["limits"]),
        "false-alarm rate asked for": f"{manifest.false_alarm_rate:g} per frame, over all charts",
        "camera settings": manifest.settings or "not stated",
        "contexts": ", ".join(manifest.contexts) if manifest.contexts else "any",
        "engine": f"{manifest.engine}, {manifest.precision}",
        **in_words(manifest.training),
        **camera_levels(msgspec.structs.asdict(manifest.camera)),
        "bundle format": str(manifest.format),
        "framewatch": manifest.program,
    }


def _limits(manifest: Manifest) -> ContextLimits:
    own = {name: tuple(limit.as_limit() for limit in limits.values()) for name, limits in manifest.own_limits.items()}
    return ContextLimits(manifest.fitted_limits, own)


def _limit_table(limits: ContextLimits) -> Table:
    """Every limit: of all contexts together first, then those of contexts that have their own."""
    rows = [_limit_row(chart, limit) for chart, limit in zip(CHARTS, limits.pooled, strict=True)]
    for context, own in limits.own.items():
        rows += [_limit_row(f"{chart}, {context}", limit) for chart, limit in zip(CHARTS, own, strict=True)]
    return Table(LIMIT_HEAD, rows)


def _limit_row(chart: str, limit: Limit) -> tuple[str, ...]:
    return (
        chart,
        f"{limit.value:.5g}",
        UNKNOWN if limit.extrapolated else f"{limit.low:.5g} to {limit.high:.5g}",
        f"{limit.center:.5g}",
        f"{limit.tail.shape:.3g}",
        f"{limit.tail.scale:.3g}",
        f"{limit.frames:,}" + (", extrapolated" if limit.extrapolated else ""),
        f"{limit.effective_frames:,.0f}",
    )


def _groups(manifest: Manifest, over: npt.NDArray[np.bool_], groups: Indices, spread: GroupSpread) -> list[Group]:
    """Every group; *over* (m, 1 + charts) says of each held-out frame which limits it exceeds, the joint one first."""
    found, held = [], 0
    for group in manifest.groups:
        if group.role == "train":
            found.append(Group(group.name, group.frames, "train", group.context, group.sha256, {}, (), np.nan))
            continue
        shares = over[groups == held].mean(axis=0)
        found.append(
            Group(
                name=group.name,
                frames=group.frames,
                role="held-out",
                context=group.context,
                sha256=group.sha256,
                over=dict(zip((JOINT, *CHARTS), shares.tolist(), strict=True)),
                quantiles=tuple(spread.quantiles[held].tolist()),
                if_new=float(spread.if_new[held]),
            )
        )
        held += 1
    return found


def _joint_chart(joint: Float64s, limits: ContextLimits) -> Chart:
    """The joint score's chart, on the scale where its limit is 1: without interval where contexts have their own."""
    low, high = (math.nan, math.nan) if limits.own else _joint_interval(limits.pooled)
    extrapolated = not limits.own and _extrapolated(limits.pooled)
    return Chart(JOINT, joint, float(np.median(joint)), 1.0, low, high, np.ones(len(joint)), extrapolated)


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


def _charts(values: Float64s, limits: Sequence[Limit], of_frame: Float64s) -> list[Chart]:
    found = []
    for index, (chart, limit) in enumerate(zip(CHARTS, limits, strict=True)):
        low, high = (math.nan, math.nan) if limit.extrapolated else (limit.low, limit.high)
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
        shown = scorer.reconstruct(came)
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
                    **{chart: float(getattr(scores, chart)[index]) for chart in CHARTS},
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
