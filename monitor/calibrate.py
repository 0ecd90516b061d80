"""Recorded frames -> a trained, calibrated bundle: where models and calibration meet, offline.

Whole groups (runs, layers, sessions) are kept from training, and the limits are set on them alone: neighbouring frames
of one group are near-copies, so frames beside the training frames would make every limit too tight.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

import monitor
from calibration.camera import fit_camera
from calibration.charts import CalibrationError, ChartFit, fit
from calibration.limits import Limit, fit_limits
from calibration.suspects import suspects
from calibration.tails import FRAMES_MIN
from models.scorer import CHARTS, ChartParameters, Scorer, Scores
from models.training import Trained, TrainingSettings, latents_and_residuals, train
from monitor import bundle as bundles
from monitor.bundle import Bundle, CameraCheck, FittedLimit, Group, Manifest
from monitor.camera.recordings import Recording, constant_frames
from monitor.config import Calibration
from monitor.report import render
from monitor.reporting import describe
from monitor.types import Pixels, PixelType

Progress = Callable[[int, int, float], None]
"""Steps done, steps in all, loss."""

SUSPECT_SHARE = 0.005
"""Of the held-out frames that stand out: more, and a person is asked to look before trusting the limits."""


GROUPS_ENOUGH = 9
"""The largest of G group limits is broken by a new group with probability 1 / (G + 1): nine make that 10 %."""


class Split(NamedTuple):
    """Which frames train the network and fit the charts, and which set the limits."""

    train: tuple[Recording, ...]
    limits: tuple[Recording, ...]
    warnings: tuple[str, ...]


class Fitted(NamedTuple):
    """Everything that a calibration found."""

    trained: Trained
    charts: ChartFit
    scorer: Scorer
    scores: Scores  # of the held-out frames, in order
    groups: npt.NDArray[np.int64]  # index of each held-out frame's group
    limits: tuple[Limit, ...]
    warnings: tuple[str, ...]


def split(recordings: Sequence[Recording], held_out: float) -> Split:
    """Keep the last *held_out* share of the groups from training; of a single group, its last frames."""
    if len(recordings) == 1:
        name, frames = recordings[0]
        cut = int(len(frames) * (1 - held_out))
        warning = (
            f"there is one group only ({name}): its limits say nothing of how another run, layer or session will look. "
            "Give each as a path of its own"
        )
        train_part, limit_part = frames[:cut], frames[cut:]
        return Split((Recording(name, train_part),), (Recording(name, limit_part),), (warning,))
    kept = min(max(1, round(len(recordings) * held_out)), len(recordings) - 1)
    held = tuple(recordings[-kept:])
    warnings: tuple[str, ...] = ()
    if kept < GROUPS_ENOUGH:
        warnings = (
            f"the limits rest on {kept} held-out group{'s' if kept > 1 else ''}, pooled: a new one that differs from "
            "them as they differ from each other is over the limits more often than the rate says; give at least nine",
        )
    return Split(tuple(recordings[:-kept]), held, warnings)


def calibrate(
    recordings: Sequence[Recording],
    settings: Calibration,
    out: Path,
    *,
    camera_settings: str | None = None,
    contexts: tuple[str, ...] | None = None,
    progress: Progress = lambda done, steps, loss: None,
) -> Bundle:
    """Train, fit and write the bundle to *out*. Raises CalibrationError, BundleError or OSError in one line."""
    bundles.require_writable(out)
    parts = split(recordings, settings.held_out)
    _check_counts(parts, settings)
    height, width, dtype = _frame_kind(recordings)
    normal = np.concatenate([recording.frames for recording in parts.train])
    with _threads(settings.threads):
        fitted = _fit(normal, parts, settings, progress)
    camera = fit_camera(normal, dtype)
    manifest = Manifest(
        format=bundles.FORMAT,
        program=monitor.__version__,
        created_ns=time.time_ns(),
        height=height,
        width=width,
        dtype=dtype,
        settings=camera_settings,
        contexts=contexts,
        engine=f"torch {torch.__version__} cpu",
        precision="float32",
        training={
            "latent": settings.latent,
            "epochs": settings.epochs,
            "max_steps": settings.max_steps,
            "seed": settings.seed,
            "binning": settings.binning,
            "orientation": settings.orientation,
            "threads": settings.threads,
            "loss": fitted.trained.losses[-1],
            "window_px": fitted.charts.window,
            "stride_px": fitted.charts.stride,
        },
        groups=_groups(parts),
        false_alarm_rate=settings.false_alarm_rate,
        limits={chart: FittedLimit.of(limit) for chart, limit in zip(CHARTS, fitted.limits, strict=True)},
        camera=CameraCheck(*camera),
        warnings=fitted.warnings,
    )
    report = render(
        describe(manifest, parts.limits, fitted.scorer, fitted.scores, fitted.groups, fitted.trained.losses)
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


def _fit(normal: Pixels, parts: Split, settings: Calibration, progress: Progress) -> Fitted:
    try:
        trained = train(
            normal,
            TrainingSettings(
                latent=settings.latent,
                epochs=settings.epochs,
                seed=settings.seed,
                max_steps=settings.max_steps,
                binning=settings.binning,
                orientation=settings.orientation,
            ),
            progress,
        )
    except ValueError as error:
        raise CalibrationError(str(error)) from None
    charts = fit(lambda: latents_and_residuals(trained, normal))
    scorer = Scorer(trained, _parameters(charts))
    held = np.concatenate([recording.frames for recording in parts.limits])
    scores = scorer(held)
    groups = np.repeat(np.arange(len(parts.limits)), [len(recording.frames) for recording in parts.limits])
    values = np.stack([getattr(scores, chart) for chart in CHARTS], axis=1)
    limits = fit_limits(values, settings.false_alarm_rate, settings.seed, groups=groups)
    warnings = (*parts.warnings, *charts.notes, *_warnings(parts, scores, limits))
    return Fitted(trained, charts, scorer, scores, groups, limits, warnings)


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


def _warnings(parts: Split, scores: Scores, limits: Sequence[Limit]) -> list[str]:
    found = []
    if any(limit.extrapolated for limit in limits):
        limit = limits[0]
        found.append(
            f"{limit.frames} held-out frames cannot support a rate of {limit.rate:.2g}: the limits are "
            f"extrapolated; {int(np.ceil(10 / limit.rate))} frames would support them"
        )
    suspect = np.flatnonzero(suspects(np.stack([getattr(scores, chart) for chart in CHARTS], axis=1)))
    if len(suspect) > SUSPECT_SHARE * len(scores.t2):
        found.append(
            f"{len(suspect)} of {len(scores.t2)} held-out frames stand out from the others (the first is "
            f"{_place(parts.limits, int(suspect[0]))}): look at them; if they are not normal the limits are too loose, "
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


def _place(recordings: Sequence[Recording], index: int) -> str:
    """Which frame of which recording is number *index* of all."""
    for name, frames in recordings:
        if index < len(frames):
            return f"frame {index} of {name}"
        index -= len(frames)
    raise IndexError(index)


def _check_counts(parts: Split, settings: Calibration) -> None:
    training = sum(len(recording.frames) for recording in parts.train)
    held = sum(len(recording.frames) for recording in parts.limits)
    if training < settings.latent + 2:
        raise CalibrationError(
            f"{training} training frames cannot fit a latent of {settings.latent}: {settings.latent + 2} are needed "
            f"besides {FRAMES_MIN} held-out ones; give more frames, or lower calibration.latent"
        )
    if held < FRAMES_MIN:
        raise CalibrationError(f"{held} held-out frames are too few for a limit: give at least {FRAMES_MIN}")


def _frame_kind(recordings: Sequence[Recording]) -> tuple[int, int, PixelType]:
    frames = recordings[0].frames
    dtypes: dict[str, PixelType] = {"uint8": "uint8", "uint16": "uint16", "float32": "float32"}
    return frames.shape[1], frames.shape[2], dtypes[frames.dtype.name]


def _groups(parts: Split) -> tuple[Group, ...]:
    return tuple(
        Group(recording.name, len(recording.frames), role, digest(recording.frames))
        for role, recordings in (("train", parts.train), ("limits", parts.limits))
        for recording in recordings
    )


def digest(frames: Pixels) -> str:
    """sha256 of the pixels in C order."""
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(frame.tobytes())
    return digest.hexdigest()
