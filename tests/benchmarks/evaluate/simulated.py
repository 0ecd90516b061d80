"""Splits of simulated frames: a seed is a run, seeds that are judged were never learned from."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from monitor.camera.meltpool import anomalies
from monitor.camera.meltpool import camera as meltpool
from monitor.camera.schedule import Truth
from monitor.camera.simulate import Simulated
from monitor.camera.stem import images
from monitor.config import Calibration
from tests.benchmarks.evaluate.splits import NORMAL, Frames, Shown, Split, shown

SIDE_PX: Final = 64
PER_EVENT: Final = 8  # frames of one anomaly, at most, evenly over its time: they say much the same
EVERY: Final = 12  # of the normal frames of a judged run, one in so many
LOOKS_NORMAL: Final = "frozen"  # its frames are normal ones, repeated: only the frame before tells, so the camera check


class Study(NamedTuple):
    """How much of a camera is shown."""

    train_seeds: range
    limit_seeds: range
    judged_seeds: range
    frames: int  # of each run learned from
    every: int  # ... each so many frames of the camera
    judged: int  # frames of each judged run
    anomaly_rate: float
    steps: int


# A layer is about 1,600 frames: 20 frames of each run, every 180th, lie in its first three.
MELT_POOL: Final = Study(range(200), range(200, 400), range(2000, 2040), 20, 180, 4000, 0.006, 4000)
MELT_POOL_QUICK: Final = Study(range(12), range(12, 18), range(1000, 1003), 20, 180, 1500, 0.006, 60)
STEM: Final = Study(range(80), range(80, 110), range(1000, 1020), 30, 8, 1500, 0.01, 2500)
STEM_QUICK: Final = Study(range(8), range(8, 12), range(1000, 1002), 20, 4, 600, 0.02, 60)
SANITY: Final = Study(range(100), range(100, 200), range(2000, 2020), 20, 180, 0, 0.0, 2000)
SANITY_QUICK: Final = Study(range(12), range(12, 18), range(1000, 1003), 20, 180, 0, 0.0, 60)


def melt_pool(quick: bool) -> Iterator[Split]:
    """Melt pools at 64 px, with every kind of anomaly but `frozen`, whose frames are normal ones."""
    study = MELT_POOL_QUICK if quick else MELT_POOL
    yield _split("simulated melt pools", study, meltpool.normal_frames, _melt_pool_with_anomalies)


def stem_images(quick: bool) -> Iterator[Split]:
    """Annular dark-field images of SrTiO3 at 64 px, with every kind of defect."""
    yield _split("simulated STEM images", STEM_QUICK if quick else STEM, images.normal_frames, _stem_with_anomalies)


def _melt_pool_with_anomalies(seed: int, rate: float) -> Simulated:
    kinds = tuple(kind for kind in anomalies.KINDS if kind != LOOKS_NORMAL)
    return meltpool.MeltPool(SIDE_PX, SIDE_PX, seed, rate, kinds)


def _stem_with_anomalies(seed: int, rate: float) -> Simulated:
    return images.ScanImages(SIDE_PX, SIDE_PX, seed, rate)


def _split(
    name: str,
    study: Study,
    normal: Callable[[int, int, int, int, int], Frames],
    camera: Callable[[int, float], Simulated],
) -> Split:
    def learned(seeds: range) -> list[Frames]:
        return [normal(study.frames, seed, SIDE_PX, SIDE_PX, study.every) for seed in seeds]

    runs = [run(camera(seed, study.anomaly_rate), study.judged) for seed in study.judged_seeds]
    parts = [
        (kind, frames, np.full(len(frames), seed))
        for seed, one in zip(study.judged_seeds, runs, strict=True)
        for kind, frames in one.items()
    ]
    return Split(
        name,
        learned(study.train_seeds),
        learned(study.limit_seeds),
        _kinds_in_order(shown(parts)),
        Calibration(max_steps=study.steps),
        0.01,
    )


def run(camera: Simulated, frames: int) -> dict[str, Frames]:
    """Kind -> frames of one run while the process is on, as its truth names them; thinned out."""
    pixels: list[Frames] = []
    active: list[npt.NDArray[np.bool_]] = []
    truths: list[Truth] = []
    for shot, ended in camera.shots(frames):
        pixels.append(shot.pixels)
        active.append(np.full(len(shot.pixels), shot.active))
        truths += ended
    if camera.unfinished and camera.unfinished.first_seq not in {truth.first_seq for truth in truths}:
        truths.append(camera.unfinished)  # as long as it would have lasted: frames that were not taken do not matter
    all_pixels, chosen = np.concatenate(pixels), chosen_of(truths, np.concatenate(active))
    return {kind: all_pixels[indices] for kind, indices in chosen.items()}


def chosen_of(truths: list[Truth], active: npt.NDArray[np.bool_]) -> dict[str, npt.NDArray[np.int64]]:
    """Kind -> indices among the *active* frames (n,) of one run: some of each anomaly, and one in EVERY of the rest."""
    free = active.copy()
    chosen: dict[str, list[npt.NDArray[np.int64]]] = {}
    for truth in truths:
        held = truth.first_seq + np.flatnonzero(active[truth.first_seq : truth.last_seq + 1])
        free[truth.first_seq : truth.last_seq + 1] = False
        if len(held):
            spread = np.linspace(0, len(held) - 1, min(PER_EVENT, len(held))).round().astype(np.int64)
            chosen.setdefault(truth.kind, []).append(held[spread])
    return {NORMAL: np.flatnonzero(free)[::EVERY]} | {kind: np.concatenate(some) for kind, some in chosen.items()}


def _kinds_in_order(all_frames: Shown) -> Shown:
    """Normal frames first, then kind by kind; runs in order within each."""
    order = np.argsort(all_frames.kinds.astype(str), kind="stable")
    return Shown(*(column[order] for column in all_frames))


def sanity(quick: bool) -> Iterator[Split]:
    """Frames that no anomaly detector may call normal, made of normal ones of runs that were not learned from."""
    study = SANITY_QUICK if quick else SANITY
    for name, normal, every in (
        ("melt pools", meltpool.normal_frames, study.every),
        ("STEM images", images.normal_frames, STEM.every),
    ):
        groups = {
            role: [normal(study.frames, seed, SIDE_PX, SIDE_PX, every) for seed in seeds]
            for role, seeds in (("train", study.train_seeds), ("limits", study.limit_seeds))
        }
        parts: list[tuple[str, Frames, npt.NDArray[np.int64]]] = []
        for seed in study.judged_seeds:
            frames = normal(study.frames, seed, SIDE_PX, SIDE_PX, every)
            parts += [(kind, altered, np.full(len(frames), seed)) for kind, altered in alterations(frames).items()]
        yield Split(
            f"altered {name}",
            groups["train"],
            groups["limits"],
            _kinds_in_order(shown(parts)),
            Calibration(max_steps=study.steps),
            0.01,
        )


def alterations(frames: Frames) -> dict[str, Frames]:
    """What is wrong -> uint8 *frames* (n, h, w) with it; also the frames as they are, under NORMAL."""
    grey = frames.astype(np.float64)
    height, width = frames.shape[1:]
    changed = {
        NORMAL: grey,
        "1.3 times as bright": 1.3 * grey,
        "0.7 times as bright": 0.7 * grey,
        "inverted": 255.0 - grey,
        "20 grey levels brighter": grey + 20.0,
        "shifted by half a frame": np.roll(grey, (height // 2, width // 2), axis=(1, 2)),
        "shifted out": far_field(grey),
        "dark": np.zeros_like(grey),
    }
    return {kind: np.clip(altered, 0, 255).astype(np.uint8) for kind, altered in changed.items()}


def far_field(frames: Frames) -> Frames:
    """*frames* (n, h, w) shifted diagonally by three quarters of a side; what comes in is as bright as the edge."""
    height, width = frames.shape[1:]
    down, right = 3 * height // 4, 3 * width // 4
    edge = np.median(np.concatenate([frames[:, 0], frames[:, -1], frames[:, :, 0], frames[:, :, -1]], axis=1), axis=1)
    shifted = np.broadcast_to(edge[:, None, None], frames.shape).copy()
    shifted[:, down:, right:] = frames[:, : height - down, : width - right]
    return shifted
