"""Anomalies of the simulated melt pool: what can go wrong, for how long, and how it looks.

What disturbs the pool or adds light happens before the sensor and is as noisy as everything else; the two camera
faults happen after it.
"""

import math
from dataclasses import dataclass, replace
from typing import Final, Self

import msgspec
import numpy as np
import numpy.typing as npt

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


class Truth(msgspec.Struct, frozen=True):
    """One anomaly as it was simulated: frames *first_seq* to *last_seq*, both included."""

    kind: str
    first_seq: int
    last_seq: int
    strength: float  # about 1; 0.6 is slight, 1.4 is violent


@dataclass(frozen=True)
class Event:
    """One anomaly with what it looks like: *angle_rad* on the sensor, *place* in 0 to 1 where a place is needed."""

    kind: str
    first_seq: int
    last_seq: int
    strength: float
    angle_rad: float
    place: float

    @classmethod
    def draw(cls, rng: np.random.Generator, kinds: tuple[str, ...], first_seq: int) -> Self:
        """One of *kinds* that begins at *first_seq*."""
        kind = kinds[int(rng.integers(len(kinds)))]
        shortest, longest = DURATIONS_FRAMES[kind]
        return cls(
            kind=kind,
            first_seq=first_seq,
            last_seq=first_seq + int(rng.integers(shortest, longest, endpoint=True)) - 1,
            strength=round(float(rng.uniform(0.6, 1.4)), 3),
            angle_rad=float(rng.uniform(0.0, 2 * math.pi)),
            place=float(rng.random()),
        )

    def until(self, last_seq: int) -> Self:
        """The same anomaly, ending at *last_seq* at the latest."""
        return replace(self, last_seq=min(self.last_seq, last_seq))

    @property
    def truth(self) -> Truth:
        return Truth(self.kind, self.first_seq, self.last_seq, self.strength)


def frames_of(event: Event, first_seq: int, count: int) -> slice:
    """Which of the *count* frames from *first_seq* on the event holds: an empty slice, if none."""
    return slice(max(event.first_seq - first_seq, 0), max(min(event.last_seq + 1 - first_seq, count), 0))


def disturb(pools: Floats, event: Event, first_seq: int) -> None:
    """Changes size and brightness of the *pools* (n, 4: row, column, size, brightness) of the event, in place."""
    held = frames_of(event, first_seq, len(pools))
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
    held = frames_of(event, first_seq, len(pools))
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
    strength = event.strength
    if event.kind == "splash":
        turns = [event.angle_rad + lobe * (1.4 + event.place) for lobe in range(LOBES)]
        return [(150.0 * strength, 9.0 + 0.6 * age + 2.0 * i, turn, 4.0, 1.6) for i, turn in enumerate(turns)]
    if event.kind == "spatter":
        behind = ahead_rad + math.pi + 1.2 * (event.place - 0.5)  # most of it flies backwards
        return [(170.0 * strength * 0.9**age, 12.0 + 6.0 * age, behind, 1.6, 2.2)]
    if event.kind == "plume":
        swell = math.sin(math.pi * min((age + 3) / 10, 0.5))  # it takes some frames to build up
        sway = event.angle_rad + 0.3 * math.sin(age / 6.0)
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
