"""What a calibration found, as the report shows it."""

import time
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from calibration.charts import local
from calibration.limits import ContextLimits, ContextScale, Limit
from calibration.spread import GroupSpread, group_spread, principal_plane
from calibration.tails import rarity
from models.scorer import CHARTS, Scorer, Scores
from models.sweep import LatentSweep
from models.training import Checkpoint
from monitor.bundle import Manifest
from monitor.camera.recordings import Recording
from monitor.report.data import JOINT, Chart, Example, Group, ReportData, Table

Float64s = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

LIMIT_HEAD = ("chart", "limit", "90 % interval", "median", "tail shape", "tail scale", "frames", "as independent")


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
    values = np.stack([getattr(scores, chart) for chart in CHARTS], axis=1).astype(np.float64)
    limits = _limits(manifest)
    contexts = np.array([one.context.encode() for one in held], np.bytes_)[groups]
    joint, _, of_frame = ContextScale(limits)(values, contexts)
    spread = group_spread(joint, groups, manifest.false_alarm_rate)
    return ReportData(
        title="Calibration report",
        camera=manifest.settings or "settings not stated",
        created=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(manifest.created_ns / 1e9)),
        false_alarm_rate=manifest.false_alarm_rate,
        settings=_settings(manifest),
        limits=_limit_table(limits),
        groups=_groups(manifest, np.column_stack((joint > 1.0, values > of_frame)), groups, spread),
        between_sd=spread.between_sd,
        within_sd=spread.within_sd,
        starts=[(int(np.argmax(groups == index)), name) for index, name in enumerate(_held_names(manifest))],
        charts=[_joint_chart(joint, limits.pooled), *_charts(values, limits.pooled, of_frame)],
        latents=principal_plane(scores.latent),
        examples=_examples(manifest, held, scorer, scores, joint, groups),
        history=history,
        sweep=sweep,
        effective_frames=min(limit.effective_frames for limit in limits.pooled),
        warnings=manifest.warnings,
    )


def _settings(manifest: Manifest) -> dict[str, str]:
    frames = {role: sum(one.frames for one in manifest.groups if one.role == role) for role in ("train", "limits")}
    camera = msgspec.structs.asdict(manifest.camera)
    return {
        "frame": f"{manifest.height} x {manifest.width} px, {manifest.dtype}",
        "training frames": str(frames["train"]),
        "held-out frames": str(frames["limits"]),
        "false-alarm rate asked for": f"{manifest.false_alarm_rate:g} per frame, over all charts",
        "camera settings": manifest.settings or "not stated",
        "contexts": ", ".join(manifest.contexts) if manifest.contexts else "any",
        "engine": f"{manifest.engine}, {manifest.precision}",
        **{name: _told(value) for name, value in manifest.training.items()},
        **{f"camera check, {name.replace('_', ' ')}": _told(value) for name, value in camera.items()},
        "bundle format": str(manifest.format),
        "framewatch": manifest.program,
    }


def _told(value: float | str) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


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
        f"{limit.low:.5g} to {limit.high:.5g}",
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


def _joint_chart(joint: Float64s, limits: Sequence[Limit]) -> Chart:
    """The joint score's chart, on the scale where its limit is 1."""
    low, high = (_on_joint_scale([getattr(limit, end) for limit in limits], limits) for end in ("low", "high"))
    return Chart(JOINT, joint, float(np.median(joint)), 1.0, min(low, 1.0), max(high, 1.0), np.ones(len(joint)))


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
    return [
        Chart(chart, values[:, index], limit.center, limit.value, limit.low, limit.high, of_frame[:, index])
        for index, (chart, limit) in enumerate(zip(CHARTS, limits, strict=True))
    ]


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
        shown = scorer.reconstruct(np.asarray(held[group].frames[number : number + 1]))
        row, column, window = _peak(manifest, scorer, scores.where[index], shown.residual)
        found.append(
            Example(
                label=label,
                where=f"frame {number} of {held[group].name}",
                original=shown.seen[0],
                reconstruction=shown.drawn[0],
                residual=shown.residual[0],
                scores={
                    JOINT: float(joint[index]),
                    **{chart: float(getattr(scores, chart)[index]) for chart in CHARTS},
                },
                peak=(row, column),
                window=window,
            )
        )
    return found


def _peak(
    manifest: Manifest, scorer: Scorer, where: npt.NDArray[np.int16], residual: npt.NDArray[np.float32]
) -> tuple[int, int, int]:
    """Row and column where `local` is largest in the *residual* (1, H, W) as it is shown, and its window's side."""
    window, stride, binning = (int(manifest.training[name]) for name in ("window_px", "stride_px", "binning"))
    if scorer.tiling is not None:
        return int(where[0]), int(where[1]), window * binning  # tiles are put together in the image's own pixels
    # Scores hold the place on the sensor; the frame shown may be turned and binned.
    _, [[row, column]] = local(residual, window, stride)
    return int(row), int(column), window
