"""Recorded frames -> a trained, calibrated bundle: where models and calibration meet, offline.

Whole groups (runs, layers, sessions) are kept from training, and the limits are set on them alone: neighbouring frames
of one group are near-copies, so frames beside the training frames would make every limit too tight.
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

import monitor
from calibration.camera import fit_camera
from calibration.charts import CalibrationError, ChartFit, fit
from calibration.limits import ContextLimits, Limit, context_frames_needed, fit_context_limits
from calibration.suspects import suspects
from calibration.tails import FRAMES_MIN
from models.autoencoder import Architecture, operations
from models.scorer import CHARTS, Scorer, Scores
from models.sweep import LatentSweep, beside_components, sweep_latent
from models.tensors import ChartParameters
from models.tiles import Tiling
from models.training import Trained, TrainingSettings, dimming_of, latents_and_residuals, train
from monitor import bundle as bundles
from monitor.bundle import Bundle, CameraCheck, FittedLimit, Group, Manifest
from monitor.camera.recordings import Recording, constant_frames
from monitor.config import Calibration
from monitor.report import render
from monitor.reporting import describe
from monitor.split import Split, place, split, stopping_frames
from monitor.tiled import image_warnings, tails_of, tiles_of, tiling_of, without_pools
from monitor.types import Pixels, PixelType

Floats = npt.NDArray[np.floating[Any]]
Progress = Callable[[int, int, float, str], None]
"""Steps done, steps in all, loss, and which of the trainings in words: each begins anew."""

SUSPECT_SHARE = 0.005
"""Of the held-out frames that stand out: more, and a person is asked to look before trusting the limits."""


class Fitted(NamedTuple):
    """Everything that a calibration found."""

    trained: Trained
    sweep: LatentSweep
    charts: ChartFit
    scorer: Scorer
    scores: Scores  # of the held-out frames, in order
    groups: npt.NDArray[np.int64]  # index of each held-out frame's group
    limits: ContextLimits
    warnings: tuple[str, ...]


def calibrate(
    recordings: Sequence[Recording],
    settings: Calibration,
    out: Path,
    *,
    camera_settings: str | None = None,
    contexts: tuple[str, ...] | None = None,
    progress: Progress = lambda done, steps, loss, what: None,
) -> Bundle:
    """Train, fit and write the bundle to *out*. Raises CalibrationError, BundleError or OSError in one line.

    *contexts* are admitted besides those of the *recordings*; where neither names any, all are.
    """
    bundles.require_writable(out)
    parts = split(recordings, settings.held_out)
    height, width, dtype = _frame_kind(recordings)
    tiling = tiling_of(settings, height, width)
    shown = parts.train
    if tiling is not None:
        settings, shown = without_pools(settings), tiles_of(parts.train, tiling, settings.seed)
    _check_counts(shown, parts.limits, settings)
    with _threads(settings.threads):
        fitted = _fit(parts, shown, tiling, settings, progress)
    camera = fit_camera([recording.frames for recording in parts.train], dtype)
    manifest = Manifest(
        format=bundles.FORMAT,
        program=monitor.__version__,
        created_ns=time.time_ns(),
        height=height,
        width=width,
        dtype=dtype,
        settings=camera_settings,
        engine=f"torch {torch.__version__} cpu",
        precision="float32",
        training=_training(settings, fitted),
        groups=_groups(parts),
        false_alarm_rate=settings.false_alarm_rate,
        limits=_by_chart(fitted.limits.pooled),
        context_limits=_by_context(recordings, contexts or (), fitted.limits),
        camera=CameraCheck(*camera),
        warnings=fitted.warnings,
    )
    report = render(
        describe(
            manifest,
            parts.limits,
            fitted.scorer,
            fitted.scores,
            fitted.groups,
            fitted.trained.history,
            fitted.sweep,
        )
    )
    return bundles.write(out, manifest, fitted.scorer.tensors(), report)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """torch with *count* threads: the order in which they add up decides the last bits of the weights."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _fit(
    parts: Split, shown: Sequence[Recording], tiling: Tiling | None, settings: Calibration, progress: Progress
) -> Fitted:
    """Everything from *parts*; *shown* is what the network sees of those to train with: frames or tiles."""
    learned, stopping = stopping_frames(shown)
    try:
        trained, sweep = _trained(learned, stopping, _how(settings), settings.latent, progress)
    except ValueError as error:
        raise CalibrationError(str(error)) from None
    normal = learned, stopping
    charts = fit(lambda: chain.from_iterable(latents_and_residuals(trained, part) for part in normal))
    scorer = Scorer(trained, _parameters(charts), tiling=tiling)
    held = [scorer(recording.frames) for recording in parts.limits]
    scores = Scores(*map(np.concatenate, zip(*held, strict=True)))
    groups = np.repeat(np.arange(len(parts.limits)), [len(recording.frames) for recording in parts.limits])
    values = scores.values
    of = _contexts(parts.limits)
    tails = None if tiling is None else tails_of(Scorer(trained, _parameters(charts)), normal)
    limits = fit_context_limits(values, of, settings.false_alarm_rate, settings.seed, groups, tails=tails)
    few = () if tiling is None else image_warnings(len(values), settings.false_alarm_rate)
    warnings = (*parts.warnings, *charts.notes, *_limit_warnings(limits, of), *few, *_frame_warnings(parts, values, of))
    return Fitted(trained, sweep, charts, scorer, scores, groups, limits, warnings)


def _trained(
    learned: Pixels, stopping: Pixels, how: TrainingSettings, latent: int | Literal["auto"], progress: Progress
) -> tuple[Trained, LatentSweep]:
    """A network with *latent* latents, and what other sizes would have left."""

    def last(done: int, steps: int, loss: float) -> None:
        progress(done, steps, loss, "training")

    if latent == "auto":
        sweep = sweep_latent(learned, stopping, how, progress)
        how = how._replace(architecture=how.architecture._replace(latent=sweep.chosen))
        return train(learned, how, last, held=stopping), sweep
    how = how._replace(architecture=how.architecture._replace(latent=latent))
    trained = train(learned, how, last, held=stopping)
    return trained, beside_components(trained, learned, stopping, how.seed)


def _how(settings: Calibration) -> TrainingSettings:
    """What of the configuration the training needs to know, but for the latent."""
    network, shared = settings.network, TrainingSettings._fields
    made_of = Architecture(0, network.channels, network.stem_px, network.group, network.linear)
    given = {name: getattr(settings, name) for name in shared if name in settings.__struct_fields__}
    return TrainingSettings(architecture=made_of, **given)


def _training(settings: Calibration, fitted: Fitted) -> dict[str, bool | int | float | str]:
    """How the network was made, for the manifest and the report."""
    network, preparation, history = fitted.trained
    last = history[-1]
    how = _how(settings)._asdict()
    del how["architecture"]
    kept = min(history, key=lambda one: one.held) if not math.isnan(last.held) else last
    return {
        "latent": network.latent,
        "channels": " ".join(map(str, network.architecture.channels)),
        "stem_px": network.architecture.stem_px or "by size",
        "group": network.architecture.group or "all",
        "linear": network.architecture.linear,
        "operations": operations(network),
        **how,
        "binning": preparation.binning,
        "dimming": dimming_of(_how(settings), preparation),
        "orientation": "align" if preparation.alignment else settings.orientation.replace("auto", "none"),
        **_tiles(fitted.scorer.tiling),
        "held_out": settings.held_out,
        "threads": settings.threads,
        "steps": kept.step,
        "final_loss": kept.loss,
        "window_px": fitted.charts.window,
        "stride_px": fitted.charts.stride,
    }


def _tiles(tiling: Tiling | None) -> dict[str, int]:
    return {} if tiling is None else {"tile_px": tiling.side, "tile_overlap_px": tiling.overlap, "tiles": tiling.count}


def _parameters(charts: ChartFit) -> ChartParameters:
    return ChartParameters(
        charts.latent_mean,
        charts.whitening,
        charts.residual_scale,
        charts.offset_mean,
        charts.offset_sd,
        charts.window,
        charts.stride,
    )


def _by_chart(limits: Sequence[Limit]) -> dict[str, FittedLimit]:
    return {chart: FittedLimit.of(limit) for chart, limit in zip(CHARTS, limits, strict=True)}


def _by_context(
    recordings: Sequence[Recording], named: Sequence[str], limits: ContextLimits
) -> dict[str, dict[str, FittedLimit]] | None:
    """Each admitted context with its own limits, if it has any; None where none was ever named."""
    seen = {recording.context for recording in recordings} - ({""} if named else set())
    admitted = sorted(seen | set(named))
    own = {context: _by_chart(held) for context, held in limits.own.items()}
    return {context: own.get(context, {}) for context in admitted} if any(admitted) else None


def _contexts(recordings: Sequence[Recording]) -> npt.NDArray[np.str_]:
    """The context of each frame of all *recordings*."""
    return np.repeat([one.context for one in recordings], [len(one.frames) for one in recordings])


def _limit_warnings(limits: ContextLimits, contexts: npt.NDArray[np.str_]) -> list[str]:
    """What to know of the limits, which come from held-out frames of *contexts* (m,)."""
    found = []
    for context, (limit, *_) in {"": limits.pooled, **limits.own}.items():
        if limit.extrapolated:
            found.append(
                f"{limit.frames} held-out frames{context and f' of context {context}'} cannot support a rate of "
                f"{limit.rate:.2g}: the limits are extrapolated; {int(np.ceil(10 / limit.rate))} frames would support "
                "them"
            )
    counts = dict(zip(*np.unique(contexts, return_counts=True), strict=True))
    needed = context_frames_needed(limits.pooled[0].rate)
    few = [context for context in counts if context and context not in limits.own and len(counts) > 1]
    return found + [
        f"context {context} has the limits of all contexts pooled: its {counts[context]} held-out frames are too few "
        f"for limits of its own; give {needed} or more"
        for context in few
    ]


def _frame_warnings(parts: Split, values: Floats, contexts: npt.NDArray[np.str_]) -> list[str]:
    """Which frames to look at; *values* (m, charts) and *contexts* (m,) are of the held-out ones."""
    found = []
    odd = np.zeros(len(values), np.bool_)
    for context in np.unique(contexts):  # a context that is unlike the others does not stand out by that
        odd[contexts == context] = suspects(values[contexts == context])
    suspect = np.flatnonzero(odd)
    if len(suspect) > SUSPECT_SHARE * len(values):
        found.append(
            f"{len(suspect)} of {len(values)} held-out frames stand out from the others (the first is "
            f"{place(parts.limits, int(suspect[0]))}): look at them; if they are not normal the limits are too loose, "
            "so calibrate without them"
        )
    for recording in (*parts.train, *parts.limits):
        constant = constant_frames(recording.frames)
        if constant:
            found.append(
                f"{recording.name}: {len(constant)} frames are constant (the first is number {constant[0]}): was the "
                "camera covered? They were used as they are"
            )
    return found


def _check_counts(shown: Sequence[Recording], limits: Sequence[Recording], settings: Calibration) -> None:
    """Raises CalibrationError where too little is *shown* to the network, or too few frames set the *limits*."""
    latent = 1 if settings.latent == "auto" else settings.latent
    training = sum(len(recording.frames) for recording in shown)
    held = sum(len(recording.frames) for recording in limits)
    if training < latent + 2:
        raise CalibrationError(
            f"{training} training frames cannot fit a latent of {latent}: {latent + 2} are needed "
            f"besides {FRAMES_MIN} held-out ones; give more frames, or lower calibration.latent"
        )
    if held < FRAMES_MIN:
        # Each image gives many tiles to train on, so that more of the images may set the limits.
        hint = "" if settings.tile_px is None else ", or raise calibration.held_out: a few images give tiles enough"
        raise CalibrationError(f"{held} held-out frames are too few for a limit: give at least {FRAMES_MIN}{hint}")


def _frame_kind(recordings: Sequence[Recording]) -> tuple[int, int, PixelType]:
    frames = recordings[0].frames
    dtypes: dict[str, PixelType] = {"uint8": "uint8", "uint16": "uint16", "float32": "float32"}
    return frames.shape[1], frames.shape[2], dtypes[frames.dtype.name]


def _groups(parts: Split) -> tuple[Group, ...]:
    return tuple(
        Group(recording.name, len(recording.frames), role, digest(recording.frames), recording.context)
        for role, recordings in (("train", parts.train), ("limits", parts.limits))
        for recording in recordings
    )


def digest(frames: Pixels) -> str:
    """sha256 of the pixels in C order."""
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(frame.tobytes())
    return digest.hexdigest()
