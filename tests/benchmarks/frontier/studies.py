"""What the networks of the sweep learn from and are judged on: seeds that `make evaluate` never shows."""

from collections.abc import Callable
from typing import Final

import numpy as np

from monitor.camera.meltpool import anomalies
from monitor.camera.meltpool import camera as meltpool
from monitor.camera.simulate import Simulated
from monitor.camera.stem import images
from monitor.config import Calibration
from tests.benchmarks.evaluate import recorded
from tests.benchmarks.evaluate.simulated import LOOKS_NORMAL, Study, run
from tests.benchmarks.evaluate.splits import Frames, Split, shown

RATE: Final = 0.01
EPOCHS: Final = 60  # passes at most: of the recorded frames that is less than the steps
POOL_PX, STEM_PX = 120, 64

MELT_POOL: Final = Study(range(5000, 5120), range(5200, 5280), range(6000, 6030), 20, 180, 4000, 0.015, 700)
MELT_POOL_QUICK: Final = Study(range(5000, 5012), range(5200, 5206), range(6000, 6002), 20, 60, 1500, 0.02, 30)
STEM: Final = Study(range(5000, 5080), range(5200, 5250), range(6000, 6025), 30, 8, 1500, 0.02, 600)
STEM_QUICK: Final = Study(range(5000, 5008), range(5200, 5204), range(6000, 6002), 20, 4, 600, 0.03, 30)
RECORDED_STEPS, RECORDED_STEPS_QUICK = 600, 30

Normal = Callable[[int, int, int, int, int], Frames]
Camera = Callable[[int, float], Simulated]


def melt_pool(quick: bool) -> Split:
    """Melt pools of 120 px, binned by two and aligned, with every kind of anomaly but `frozen`."""
    study = MELT_POOL_QUICK if quick else MELT_POOL
    settings = Calibration(epochs=EPOCHS, max_steps=study.steps, binning=2, orientation="align")
    kinds = tuple(kind for kind in anomalies.KINDS if kind != LOOKS_NORMAL)

    def camera(seed: int, rate: float) -> Simulated:
        return meltpool.MeltPool(POOL_PX, POOL_PX, seed, rate, kinds)

    return simulated("simulated melt pools", study, POOL_PX, meltpool.normal_frames, camera, settings)


def stem_images(quick: bool) -> Split:
    """Annular dark-field images of SrTiO3 at 64 px, with every kind of defect."""
    study = STEM_QUICK if quick else STEM

    def camera(seed: int, rate: float) -> Simulated:
        return images.ScanImages(STEM_PX, STEM_PX, seed, rate)

    settings = Calibration(epochs=EPOCHS, max_steps=study.steps, binning=1, orientation="none")
    return simulated("simulated STEM images", study, STEM_PX, images.normal_frames, camera, settings)


def stem_sto(quick: bool) -> Split:
    """The recorded micrograph as `make evaluate` has it, trained for fewer steps. Raises MissingDataError."""
    (split,) = recorded.stem_sto(quick)
    steps = RECORDED_STEPS_QUICK if quick else RECORDED_STEPS
    settings = Calibration(epochs=EPOCHS, max_steps=steps, binning=1, orientation="none")
    return split._replace(settings=settings)


def simulated(name: str, study: Study, side_px: int, normal: Normal, camera: Camera, settings: Calibration) -> Split:
    """Runs of one simulated camera: those of some seeds train, of others set limits, of yet others are judged."""

    def learned(seeds: range) -> list[Frames]:
        return [normal(study.frames, seed, side_px, side_px, study.every) for seed in seeds]

    parts = [
        (kind, frames, np.full(len(frames), seed))
        for seed in study.judged_seeds
        for kind, frames in run(camera(seed, study.anomaly_rate), study.judged).items()
    ]
    parts.sort(key=lambda part: part[0])  # NORMAL first, then kind by kind; runs stay in order
    return Split(name, learned(study.train_seeds), learned(study.limit_seeds), shown(parts), settings, RATE)
