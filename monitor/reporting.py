"""What a calibration found, as the report shows it."""

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from calibration.limits import JointScale
from models.scorer import CHARTS, Scorer, Scores
from monitor.bundle import Manifest
from monitor.camera.recordings import Recording
from monitor.report import Chart, Example, Group, ReportData


def describe(
    manifest: Manifest,
    held: Sequence[Recording],
    scorer: Scorer,
    scores: Scores,
    groups: npt.NDArray[np.int64],
    losses: Sequence[float],
) -> ReportData:
    """The report's data; *scores* (m,) and *groups* (m,) are those of the frames of *held*, one after the other."""
    values = np.stack([getattr(scores, chart) for chart in CHARTS], axis=1).astype(np.float64)
    return ReportData(
        title="Calibration report",
        camera=manifest.settings or "settings not stated",
        created=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(manifest.created_ns / 1e9)),
        settings=_settings(manifest),
        groups=_groups(manifest, values, groups),
        losses=losses,
        charts=_charts(manifest, values, groups),
        examples=_examples(manifest, held, scorer, values, groups),
        warnings=manifest.warnings,
    )


def _settings(manifest: Manifest) -> dict[str, str]:
    frames = {role: sum(one.frames for one in manifest.groups if one.role == role) for role in ("train", "limits")}
    return {
        "frame": f"{manifest.height} x {manifest.width} px, {manifest.dtype}",
        "training frames": str(frames["train"]),
        "held-out frames": str(frames["limits"]),
        "false-alarm rate asked for": f"{manifest.false_alarm_rate:g} per frame, over all charts",
        "contexts": ", ".join(manifest.contexts) if manifest.contexts else "any",
        "engine": f"{manifest.engine}, {manifest.precision}",
        **{
            name: f"{value:.6g}" if isinstance(value, float) else str(value)
            for name, value in manifest.training.items()
        },
        "framewatch": manifest.program,
    }


def _told(value: float | str) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _groups(manifest: Manifest, values: npt.NDArray[np.float64], groups: npt.NDArray[np.int64]) -> list[Group]:
    limits = [limit.value for limit in manifest.limits.values()]
    found, held = [], 0
    for group in manifest.groups:
        shares = None
        if group.role == "limits":
            over = (values[groups == held] > limits).mean(axis=0)
            shares = dict(zip(CHARTS, over.tolist(), strict=True))
            held += 1
        found.append(Group(group.name, group.frames, "held-out" if shares else "train", shares or {}))
    return found


def _charts(manifest: Manifest, values: npt.NDArray[np.float64], groups: npt.NDArray[np.int64]) -> list[Chart]:
    starts = [(int(np.argmax(groups == index)), name) for index, name in enumerate(_held_names(manifest))]
    return [
        Chart(
            name=chart,
            scores=values[:, index],
            limit=limit.value,
            center=limit.center,
            limit_low=limit.low,
            limit_high=limit.high,
            boundaries=starts,
        )
        for index, (chart, limit) in enumerate(manifest.limits.items())
    ]


def _held_names(manifest: Manifest) -> list[str]:
    return [group.name for group in manifest.groups if group.role == "limits"]


def _examples(
    manifest: Manifest,
    held: Sequence[Recording],
    scorer: Scorer,
    values: npt.NDArray[np.float64],
    groups: npt.NDArray[np.int64],
) -> list[Example]:
    """The held-out frames with the smallest, the middle and the largest joint score."""
    joint_scores, _ = JointScale(manifest.fitted_limits)(values)
    order = np.argsort(joint_scores, kind="stable")
    first = np.concatenate(([0], np.cumsum([len(one.frames) for one in held])))
    found = []
    for label, index in (("best", order[0]), ("typical", order[len(order) // 2]), ("worst", order[-1])):
        group = int(groups[index])
        number = int(index - first[group])
        frame = np.asarray(held[group].frames[number : number + 1])
        shown = scorer.reconstruct(frame)
        found.append(
            Example(
                label=label,
                where=f"frame {number} of {held[group].name}",
                original=shown.seen[0],
                reconstruction=shown.drawn[0],
                residual=shown.residual[0],
                scores=dict(zip(CHARTS, values[index].tolist(), strict=True)),
            )
        )
    return found
