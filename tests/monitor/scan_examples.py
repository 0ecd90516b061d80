"""Small scans of a crystal for tests: a square lattice at any phase, with noise; larger than a tile."""

import numpy as np
import numpy.typing as npt

from monitor.camera.recordings import Recording
from monitor.config import Calibration

Scans = npt.NDArray[np.uint8]

HEIGHT, WIDTH, PITCH = 70, 90, 8.0

TILED = Calibration(
    tile_px=32,
    tile_overlap=0.25,
    latent=6,
    max_steps=150,
    held_out=0.7,
    false_alarm_rate=0.05,
    noise=0.0,
    precision="float32",
)
"""A calibration of a second or two on `scans`, whose limits rest on 28 of 40."""


def scans(count: int, seed: int, height: int = HEIGHT, width: int = WIDTH) -> Scans:
    """*count* scans (count, height, width), each with a phase and a brightness of its own."""
    random = np.random.default_rng(seed)
    phase, bright = random.uniform(0, 2 * np.pi, (2, count, 1, 1)), random.uniform(0.95, 1.05, (count, 1, 1))
    row, column = (2 * np.pi / PITCH * one for one in np.mgrid[:height, :width])
    atoms = (1 + np.cos(row + phase[0])) * (1 + np.cos(column + phase[1])) / 4
    pixels = 40 + 120 * bright * atoms + random.normal(0, 5, (count, height, width))
    return pixels.clip(0, 255).astype(np.uint8)


def with_spot(images: Scans, row: int, column: int) -> Scans:
    """A copy of *images* with a bright spot of 4 x 4 pixels whose upper left one is at (*row*, *column*)."""
    changed = images.copy()
    changed[:, row : row + 4, column : column + 4] = 230
    return changed


def sessions(count: int = 40, seed: int = 0) -> list[Recording]:
    """*count* scans, each a recording of its own."""
    return [Recording(f"scan {number}", image[None]) for number, image in enumerate(scans(count, seed))]
