"""What is measured: a bundle, and frames that it admits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from monitor.bundle import Bundle
from monitor.camera.recordings import Recording, RecordingError
from monitor.config import Calibration
from monitor.types import PixelType

BANK_BYTES: Final = 16 * 2**20
BANK_FRAMES: Final = (32, 4000)
"""Fewest and most frames of the bank, whatever they weigh."""

TRAINING: Final = (12, 40)
CLEAN: Final = (6, 300)
"""Runs and frames of each: just as many as let limits keep a budget, so that what a frame costs is all of it."""

STEPS: Final = 60
MEMORY_FRAMES: Final = 8
RATE_HZ: Final = 1000.0
BANK_SEED: Final = 10**6
GREY_LEVELS: Final = 16
"""Simulated frames have 8 bits; those of a camera with more take the upper ones of twelve."""


class Subject(NamedTuple):
    """A bundle at a path, a bank of frames (.npy) for it, and the words that its admission asks for."""

    bundle: Bundle
    bank: Path
    told: str  # where bundle and frames come from, for people
    context: str
    settings: str

    @property
    def frame_bytes(self) -> int:
        held = self.bundle.manifest
        return held.height * held.width * np.dtype(held.dtype).itemsize


def simulated(count: int, seed: int, height: int, width: int, dtype: PixelType) -> npt.NDArray[Any]:
    """*count* frames of a simulated melt pool, of any size and type."""
    from monitor.camera.meltpool.camera import normal_frames

    frames = normal_frames(count, seed, height, width)
    return frames if dtype == "uint8" else frames.astype(dtype) * np.array(GREY_LEVELS, dtype)


def bank_frames(height: int, width: int, dtype: PixelType) -> int:
    """How many frames a bank holds."""
    fits = BANK_BYTES // (height * width * np.dtype(dtype).itemsize)
    return min(max(fits, BANK_FRAMES[0]), BANK_FRAMES[1])


def trained(folder: Path, side_px: int, dtype: PixelType, rate_hz: float = RATE_HZ) -> Bundle:
    """A bundle trained in seconds on a simulated melt pool: it costs what any costs at that rate, and finds little.

    Raises ValueError where the side is none that a network can have.
    """
    from monitor.calibrate import calibrate

    def runs(first: int, runs: int, frames: int) -> list[Recording]:
        return [
            Recording(f"run {seed}", simulated(frames, seed, side_px, side_px, dtype))
            for seed in range(first, first + runs)
        ]

    settings = Calibration(max_steps=STEPS, memories_s=(MEMORY_FRAMES / rate_hz,))
    return calibrate(runs(0, *TRAINING), settings, folder / "bundle", stretches=runs(100, *CLEAN), rate_hz=rate_hz)


def subject_of(folder: Path, bundle: Bundle, recordings: Sequence[Recording], told: str) -> Subject:
    """*bundle* with a bank of its own in *folder*: frames of *recordings*, or of a simulated melt pool.

    Raises RecordingError where the recordings are not of the bundle's size and type, or too few.
    """
    from monitor.score import require_fit

    held = bundle.manifest
    require_fit(bundle, recordings)
    count = bank_frames(held.height, held.width, held.dtype)
    if recordings:
        frames = np.concatenate([one.frames[:count] for one in recordings])[:count]
        if len(frames) < 2:
            raise RecordingError(f"{recordings[0].name}: one frame alone would be a camera that is frozen; give two")
    else:
        frames = simulated(count, BANK_SEED, held.height, held.width, held.dtype)
    bank = folder / "bank.npy"
    np.save(bank, frames)
    contexts = sorted(held.contexts or ("",), reverse=True)  # one with a name, where there is one
    context = next((one.context for one in recordings if one.context), contexts[0])
    return Subject(bundle, bank, told, context, held.settings or "")
