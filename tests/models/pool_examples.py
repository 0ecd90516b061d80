"""Drops that look like melt pools, of any direction, for tests."""

from typing import Any

import numpy as np
import numpy.typing as npt

GROUND, NOISE_SD = 10.0, 2.0


def pools(
    angles_rad: Any, row: float = 0.0, column: float = 0.0, side: int = 65, noise: float = 0.0, seed: int = 0
) -> npt.NDArray[np.uint8]:
    """Drops (n, side, side) with a sharp head in the middle, or beside it, and a tail towards each angle."""
    angles = np.atleast_1d(np.asarray(angles_rad, float))
    down, right = np.mgrid[:side, :side] - (side - 1) / 2.0
    down, right = down - row, right - column
    cosine, sine = np.cos(angles)[:, None, None], np.sin(angles)[:, None, None]
    along, across = right * cosine + down * sine, down * cosine - right * sine
    head = 160 * np.exp(-(along**2 + across**2) / 18)
    tail = np.where(along > 0, 120 * np.exp(-along / 9 - across**2 / 8), 0.0)
    random = np.random.default_rng(seed)
    return (GROUND + head + tail + random.normal(0, noise, head.shape)).clip(0, 255).astype(np.uint8)


def everywhere(count: int = 300, noise: float = NOISE_SD) -> npt.NDArray[np.uint8]:
    """Normal frames of a camera: all directions, a little wander."""
    random = np.random.default_rng(3)
    frames = [
        pools(angle, *random.normal(0, 1.0, 2), noise=noise, seed=seed)
        for seed, angle in enumerate(random.uniform(0, 2 * np.pi, count))
    ]
    return np.concatenate(frames)
