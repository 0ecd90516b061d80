"""Anomalies of the simulated melt pool: what can go wrong, for how long, and how it looks.

What disturbs the pool or adds light happens before the sensor and is as noisy as everything else; the two camera
faults happen after it.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from monitor.camera.schedule import Event

Floats = npt.NDArray[np.float32]

DURATIONS_FRAMES: Final = {
    "splash": (3, 12),
    "spatter": (2, 6),
    "plume": (15, 50),
    "dim": (5, 30),
    "keyhole": (3, 10),
    "frozen": (20, 60),
    "rows_dropped": (2, 10),
}
"""Kind -> its shortest and longest duration."""

KINDS: Final = tuple(DURATIONS_FRAMES)
CAMERA_FAULTS: Final = frozenset({"frozen", "rows_dropped"})

LOBES: Final = 3


def disturb(pools: Floats, event: Event, first_seq: int) -> None:
    """Changes size and brightness of the *pools* (n, 4: row, column, size, brightness) of the event, in place."""
    held = event.frames(first_seq, len(pools))
    if event.kind == "dim":
        pools[held, 2] *= 1.0 - 0.2 * event.strength
        pools[held, 3] *= 1.0 - 0.55 * event.strength
    elif event.kind == "keyhole":
        pools[held, 2] *= 1.0 + 0.3 * event.strength
        pools[held, 3] *= 1.0 + 0.9 * event.strength


def add_light(signal: Floats, pools: Floats, event: Event, first_seq: int, scale: float, ahead_rad: float) -> None:
    """Adds what glows beside the pool to *signal* (n, h, w), in place. *scale* is sensor pixels per reference pixel.

    A splash throws lobes around the pool, spatter flies away from it, a plume rises over a part of the frame.
    """
    held = event.frames(first_seq, len(pools))
    for index in range(held.start, held.stop):
        age = first_seq + index - event.first_seq
        row, column = float(pools[index, 0]), float(pools[index, 1])
        for grey, distance_px, angle, radius_px, stretch in _glows(event, age, ahead_rad):
            middle = (
                row + distance_px * scale * math.sin(angle),
                column + distance_px * scale * math.cos(angle),
            )
            signal[index] += _blob(signal.shape[1:], middle, angle, radius_px * scale, stretch, grey)


Glow = tuple[float, float, float, float, float]
"""Grey level, distance from the pool and direction, radius, and how much longer it is than wide."""


def _glows(event: Event, age: int, ahead_rad: float) -> list[Glow]:
    """The lights of the event *age* frames after it began."""
    strength, draws = event.strength, event.draws()
    turn, place = draws.uniform(0.0, 2 * math.pi), draws.random()
    if event.kind == "splash":
        turns = [turn + lobe * (1.4 + place) for lobe in range(LOBES)]
        return [(150.0 * strength, 9.0 + 0.6 * age + 2.0 * i, turned, 4.0, 1.6) for i, turned in enumerate(turns)]
    if event.kind == "spatter":
        behind = ahead_rad + math.pi + 1.2 * (place - 0.5)  # most of it flies backwards
        return [(170.0 * strength * 0.9**age, 12.0 + 6.0 * age, behind, 1.6, 2.2)]
    if event.kind == "plume":
        swell = math.sin(math.pi * min((age + 3) / 10, 0.5))  # it takes some frames to build up
        sway = turn + 0.3 * math.sin(age / 6.0)
        return [(45.0 * strength * swell, 18.0, sway, 15.0, 1.7)]
    return []


def _blob(
    shape: tuple[int, ...],
    middle: tuple[float, float],
    angle_rad: float,
    radius_px: float,
    stretch: float,
    grey: float,
) -> Floats:
    """A Gaussian spot in a frame of *shape*, *stretch* times as long along *angle_rad* as across."""
    down = np.arange(shape[0], dtype=np.float32)[:, None] - middle[0]
    right = np.arange(shape[1], dtype=np.float32) - middle[1]
    along = (right * math.cos(angle_rad) + down * math.sin(angle_rad)) / stretch
    across = down * math.cos(angle_rad) - right * math.sin(angle_rad)
    blob: Floats = (grey * np.exp(-(along**2 + across**2) / (2 * radius_px**2))).astype(np.float32)
    return blob
