"""Small generated frames for tests: a smooth bright blob that wanders, with noise; and what can be wrong with it."""

import numpy as np
import numpy.typing as npt

from monitor.camera.recordings import Recording
from monitor.config import Calibration

Frames = npt.NDArray[np.uint8]

LEVEL, PEAK, NOISE_SD = 24.0, 140.0, 4.0
SPOT = 90

QUICK = Calibration(latent=4, max_steps=250, false_alarm_rate=0.01)
"""A calibration of two seconds on `runs()`."""


def normal(count: int, seed: int, height: int = 32, width: int = 32) -> Frames:
    """*count* frames (count, height, width) of one run; each *seed* is a run of its own that moves in its own way."""
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 2 * np.pi, 4)
    t = np.arange(count)
    row = height * (0.5 + 0.12 * np.sin(t / 6 + phase[0]))
    column = width * (0.5 + 0.12 * np.sin(t / 4.3 + phase[1]))
    radius = min(height, width) * (0.16 + 0.02 * np.sin(t / 3.1 + phase[2]))
    peak = PEAK * (1 + 0.06 * np.sin(t / 8 + phase[3]))
    down = np.arange(height)[None, :, None] - row[:, None, None]
    across = np.arange(width)[None, None, :] - column[:, None, None]
    blob = np.exp(-(down**2 + across**2) / (2 * radius[:, None, None] ** 2))
    pixels = LEVEL + peak[:, None, None] * blob + rng.normal(0, NOISE_SD, (count, height, width))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def with_spot(frames: Frames, row: int = 5, column: int = 5, strength: int = SPOT) -> Frames:
    """A copy of *frames* with a bright spot of 3 x 3 pixels around (*row*, *column*): a spatter beside the blob."""
    changed = frames.astype(np.int64)
    changed[:, row - 1 : row + 2, column - 1 : column + 2] += strength
    return np.clip(changed, 0, 255).astype(np.uint8)


def brighter(frames: Frames, by: int = 40) -> Frames:
    """A copy of *frames*, every pixel brighter by as much."""
    return np.clip(frames.astype(np.int64) + by, 0, 255).astype(np.uint8)


def runs(count: int = 12, frames: int = 100) -> list[Recording]:
    """*count* groups of normal frames, each a run of its own."""
    return [Recording(f"run {seed}", normal(frames, seed)) for seed in range(count)]
