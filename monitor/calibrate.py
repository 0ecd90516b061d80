"""Recorded frames -> a trained, calibrated bundle: where models and calibration meet, offline.

Whole groups (runs, layers, sessions) are kept from training, and the limits are set on them alone: neighbouring frames
of one group are near-copies, so frames beside the training frames would make every limit too tight.
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import torch

import monitor
from calibration.bootstrap import refits
from calibration.camera import fit_camera
from calibration.charts import CalibrationError, ChartFit, fit
from calibration.memory import centers_of
from calibration.tails import FRAMES_MIN
from models.architecture import Architecture
from models.autoencoder import operations
from models.scorer import CPU, Scorer
from models.scores import Scores
from models.sweep import LatentSweep, beside_components, sweep_latent
from models.tensors import ChartParameters
from models.tiles import Tiling
from models.trained import Trained, scorer_of
from models.training import TrainingSettings, dimming_of, latents_and_residuals, train
from monitor import bundle as bundles
from monitor import device as devices
from monitor.bundle import Bundle
from monitor.camera.recordings import Recording
from monitor.cautions import about_faults, about_frames, about_limits
from monitor.config import Calibration, Events
from monitor.exclusion import Exclusion, of_recordings, without
from monitor.limits import Limiting, by_chart, contexts_of, set_limits
from monitor.manifest import CameraCheck, FittedLimit, Group, Manifest
from monitor.precision import Chosen, SetLimits, choose
from monitor.report import render
from monitor.reporting import describe
from monitor.split import Split, split, stopping_frames, with_stretches
from monitor.tiled import image_warnings, tails_of, tiles_of, tiling_of, without_pools
from monitor.types import Pixels, PixelType

Floats = npt.NDArray[np.floating[Any]]
Progress = Callable[[int, int, float, str], None]
"""Steps done, steps in all, loss, and which of the trainings in words: each begins anew."""

EVENTS: Final = Events()


class Fitted(NamedTuple):
    """Everything that a calibration found."""

    trained: Trained
    sweep: LatentSweep
    charts: ChartFit
    chosen: Chosen
    scores: Scores  # of the held-out frames, in order
    groups: npt.NDArray[np.int64]  # index of each held-out frame's group
    limiting: Limiting
    centers: dict[bytes, npt.NDArray[np.float64]]  # context -> mean of its whitened training latents
    warnings: tuple[str, ...]


def calibrate(
    recordings: Sequence[Recording],
    settings: Calibration,
    out: Path,
    *,
    camera_settings: str | None = None,
    contexts: tuple[str, ...] | None = None,
    stretches: Sequence[Recording] = (),
    events: Events = EVENTS,
    rate_hz: float | None = None,
    exclusions: Sequence[Exclusion] = (),
    device: str = CPU,
    progress: Progress = lambda done, steps, loss, what: None,
) -> Bundle:
    """Train, fit and write the bundle to *out*. Raises CalibrationError, BundleError or OSError in one line.

    *contexts* are admitted besides those of the *recordings*; where neither names any, all are. *stretches*
    are clean frames in the stream's own order that set the limits; without them groups of the *recordings* are held out
    for that. The limits keep to a budget for the rule of *events* at *rate_hz* judged frames a second; without a rate
    they are per frame. *exclusions* are held-out frames that a person marked as not normal: they set no limit. Limits
    are set on the scores of *device*; the network is trained on the processor.
    """
    bundles.require_writable(out)
    devices.require(device)
    whole = with_stretches(recordings, stretches) if stretches else split(recordings, settings.held_out)
    if stretches:
        require_unseen(groups_of(stretches, "limits"), groups_of(recordings, "train"))
    parts = whole._replace(limits=without(whole.limits, exclusions))
    height, width, _ = _frame_kind([*recordings, *stretches])
    tiling = tiling_of(settings, height, width)
    shown = parts.train
    if tiling is not None:
        settings, shown = without_pools(settings), tiles_of(parts.train, tiling, settings.seed)
    _check_counts(shown, parts.limits, settings)
    with _threads(settings.threads):
        fitted, limits_of = _fit(parts, shown, tiling, settings, events, rate_hz, device, progress)
        with_excluded = limits_of(whole.limits)[0] if exclusions else None
    manifest = _manifest(recordings, parts, settings, fitted, contexts or (), camera_settings)
    if with_excluded is not None:
        values = {
            chart: limit.value for chart, limit in zip(with_excluded.charts, with_excluded.limits.pooled, strict=True)
        }
        excluded = of_recordings(exclusions, whole.limits)
        manifest = msgspec.structs.replace(manifest, excluded=excluded, limits_with_excluded=values)
    report = render(
        describe(
            manifest,
            parts.limits,
            fitted.chosen.scorer,
            fitted.scores,
            fitted.limiting.values,
            fitted.groups,
            fitted.trained.history,
            fitted.sweep,
        )
    )
    return bundles.write(out, manifest, fitted.chosen.scorer.tensors(), report)


def _manifest(
    recordings: Sequence[Recording],
    parts: Split,
    settings: Calibration,
    fitted: Fitted,
    contexts: Sequence[str],
    camera_settings: str | None,
) -> Manifest:
    """What the bundle says of itself: *recordings* and *contexts* are admitted, *parts* were used."""
    height, width, dtype = _frame_kind(recordings)
    camera = fit_camera([recording.frames for recording in parts.train], dtype)
    warnings = (*fitted.warnings, *about_faults(parts.limits, camera))
    return Manifest(
        format=bundles.FORMAT,
        program=monitor.__version__,
        created_ns=time.time_ns(),
        height=height,
        width=width,
        dtype=dtype,
        settings=camera_settings,
        engine=devices.engine_of(fitted.chosen.scorer.device),
        precision=fitted.chosen.scorer.precision,
        precision_error=fitted.chosen.error,
        training=_training(settings, fitted),
        groups=_groups(parts),
        false_alarm_rate=settings.false_alarm_rate,
        budget=fitted.limiting.budget,
        memory=fitted.limiting.memory,
        rates=fitted.limiting.rates,
        drift=fitted.limiting.drift,
        limits=by_chart(fitted.limiting.charts, fitted.limiting.limits.pooled),
        context_limits=_by_context(recordings, contexts, fitted.limiting),
        camera=CameraCheck(*camera),
        warnings=warnings,
        context_means={name.decode(): tuple(mean.tolist()) for name, mean in fitted.centers.items()},
    )


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
    parts: Split,
    shown: Sequence[Recording],
    tiling: Tiling | None,
    settings: Calibration,
    events: Events,
    rate_hz: float | None,
    device: str,
    progress: Progress,
) -> tuple[Fitted, SetLimits]:
    """Everything from *parts*, and how limits are set; *shown* is what the network trains with: frames or tiles."""
    learned, stopping = stopping_frames(shown)
    rate = None if rate_hz is None else rate_hz * (1 if tiling is None else tiling.count)  # of what the network sees
    try:
        trained, sweep = _trained(learned, stopping, _how(settings)._replace(rate_hz=rate), settings.latent, progress)
    except ValueError as error:
        raise CalibrationError(str(error)) from None
    normal = learned, stopping
    charts = fit(lambda: chain.from_iterable(latents_and_residuals(trained, part) for part in normal))
    exact = scorer_of(trained, _parameters(charts), device, tiling)
    centers = _centers(parts.train, exact)
    resampled = None if tiling is not None else refits(_latents(trained, normal), seed=settings.seed)

    def limits_by(scorer: Scorer) -> SetLimits:
        tails = None
        if tiling is not None:
            tails = tails_of(scorer_of(trained, _parameters(charts), device, precision=scorer.precision), normal)
        return partial(
            set_limits,
            scorer=scorer,
            centers=centers,
            settings=settings,
            events=events,
            rate_hz=rate_hz,
            tails=tails,
            refits=resampled,
        )

    chosen = choose(settings.precision, exact, limits_by, parts.limits)
    limits, held, scores = chosen.limiting
    few = () if tiling is None else image_warnings(len(held.values), settings.false_alarm_rate)
    warnings = (
        *parts.warnings,
        *charts.notes,
        *limits.warnings,
        *about_limits(limits, settings.false_alarm_rate, held.contexts),
        *few,
        *about_frames(parts, limits.values, held.contexts),
    )
    return Fitted(trained, sweep, charts, chosen, scores, held.groups, limits, centers, warnings), chosen.set_limits


def _latents(trained: Trained, frames: Iterable[Pixels]) -> Floats:
    """Of the frames that gave mean and covariance (k, p), as the network gives them."""
    return np.concatenate([z for part in frames for z, _ in latents_and_residuals(trained, part)])


def _centers(recordings: Sequence[Recording], scorer: Scorer) -> dict[bytes, npt.NDArray[np.float64]]:
    """The mean of whitened latents in each context of *recordings*; nobody asks for it where there is one."""
    if len({one.context for one in recordings}) < 2:
        return {}
    latents = np.concatenate([scorer(one.frames).latent for one in recordings])
    return centers_of(latents, np.char.encode(contexts_of(recordings), "utf-8"))


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
    del how["architecture"], how["rate_hz"]
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
        **_tiles(fitted.chosen.scorer.tiling),
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


def _by_context(
    recordings: Sequence[Recording], named: Sequence[str], fitted: Limiting
) -> dict[str, dict[str, FittedLimit]] | None:
    """Each admitted context with its own limits, if it has any; None where none was ever named."""
    seen = {recording.context for recording in recordings} - ({""} if named else set())
    admitted = sorted(seen | set(named))
    own = {context: by_chart(fitted.charts, held) for context, held in fitted.limits.own.items()}
    return {context: own.get(context, {}) for context in admitted} if any(admitted) else None


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
    for other in recordings:
        if (other.frames.shape[1:], other.frames.dtype) != (frames.shape[1:], frames.dtype):
            raise CalibrationError(
                f"{other.name}: frames are {_kind(other)}, those of {recordings[0].name} {_kind(recordings[0])}; "
                "calibrate on frames of one size and type"
            )
    dtypes: dict[str, PixelType] = {"uint8": "uint8", "uint16": "uint16", "float32": "float32"}
    return frames.shape[1], frames.shape[2], dtypes[frames.dtype.name]


def _kind(recording: Recording) -> str:
    _, height, width = recording.frames.shape
    return f"{height}x{width} {recording.frames.dtype.name}"


def _groups(parts: Split) -> tuple[Group, ...]:
    return (*groups_of(parts.train, "train"), *groups_of(parts.limits, "limits"))


def require_unseen(groups: Sequence[Group], trained: Sequence[Group]) -> None:
    """Raises CalibrationError where one of *groups*, which are to set limits, *trained* the network: too tight ones."""
    known = {group.sha256: group.name for group in trained}
    for group in groups:
        if group.sha256 in known:
            raise CalibrationError(
                f"{group.name}: these frames trained the network, as {known[group.sha256]}; limits need frames that it "
                "has not seen"
            )


def groups_of(recordings: Sequence[Recording], role: str) -> tuple[Group, ...]:
    """*recordings* as the manifest holds them."""
    return tuple(
        Group(recording.name, len(recording.frames), role, digest(recording.frames), recording.context)
        for recording in recordings
    )


def digest(frames: Pixels) -> str:
    """sha256 of the pixels in C order."""
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(frame.tobytes())
    return digest.hexdigest()
