"""Anomalies of the simulated melt pool: what can go wrong, for how long, and how it looks.

Five change the melt itself (`disturb`), three add light beside it (`add_light`), two lie in the optics (`disturb`,
`fouling`); all these come before the sensor and are as noisy as everything else. Three are the sensor's own (`fail`).
"""

import math
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from monitor.camera.schedule import Event

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

DURATIONS_FRAMES: Final = {
    "spatter": (2, 8),
    "splash": (4, 15),
    "plume": (15, 60),
    "keyhole": (4, 20),
    "lack_of_fusion": (8, 40),
    "balling": (10, 40),
    "defocus": (150, 600),
    "fouling": (150, 600),
    "stripes": (2, 20),
    "rows_dropped": (2, 10),
    "frozen": (20, 60),
}
"""Kind -> its shortest and longest duration, in frames with the laser on: travel between vectors does not count."""

SETTLING_FRAMES: Final = {"keyhole": 4, "lack_of_fusion": 2, "balling": 3, "plume": 2}
"""Kind -> how long the melt is seen to differ once it is left alone again: what changes it ends so much before the
anomaly does. The deeper it was heated, the longer it takes; after that, the wander hides what is left."""

KINDS: Final = tuple(DURATIONS_FRAMES)
SENSOR_FAULTS: Final = frozenset({"stripes", "rows_dropped", "frozen"})
LIGHTS: Final = frozenset({"spatter", "splash", "plume"})

REFERENCE_SIDE_PX: Final = 120.0  # of the frames that the lengths below are given for

BEAD_MM: Final = 0.16  # spacing of the balls that a pool breaks up into: about its length (Plateau-Rayleigh)
BEAD_WATTS: Final = 1.0  # how deeply the absorbed power is modulated
DEFOCUS_PX: Final = 2.6  # blur that is added at the end of a drift
FOULED: Final = 0.6  # share of the light that the dirtiest spot of the window takes away at the end
STRIPE_GREY: Final = 14.0

PER_FRAME: Final = ("since_s", "ahead_rad", "away_mm", "watts", "brightness", "defocus_px")


@dataclass
class Weld:
    """What laser and melt do in n frames, each with the j moments that `heat` remembers. Changed in place."""

    first_seq: int
    begun_s: float  # when the first frame was exposed
    frame_s: float
    mm_per_s: float
    lit: bool  # whether the laser is on
    since_s: Doubles  # (n, j) when each of those moments was
    ahead_rad: Doubles  # (n,) direction of travel on the sensor
    away_mm: Doubles  # (n, j, 2) where the beam was, as (column, row) from the middle of the field of view
    watts: Doubles  # (n, j) absorbed
    brightness: Doubles  # (n,) factor of all light
    defocus_px: Doubles  # (n,) blur besides the lens's own, at the reference size

    def part(self, frames: slice) -> Self:
        """Some of the frames: their own arrays, seen from the same first frame."""
        held = {name: getattr(self, name)[frames] for name in PER_FRAME}
        begun_s = self.begun_s + frames.start * self.frame_s
        return replace(self, first_seq=self.first_seq + frames.start, begun_s=begun_s, **held)

    def while_it_lasted(self, event: Event) -> npt.NDArray[np.bool_]:
        """Which moments (n, j) the event changed: what it did to the melt is seen for a while after them."""
        begin = self.begun_s + (event.first_seq - self.first_seq - 0.5) * self.frame_s
        end = self.begun_s + (event.settles_seq - self.first_seq - 0.5) * self.frame_s
        return (self.since_s >= begin) & (self.since_s < end)


def disturb(weld: Weld, event: Event) -> None:
    """Changes *weld* as the event does: absorbed power, brightness, focus."""
    strength = event.strength
    held = event.frames(weld.first_seq, len(weld.watts))
    if event.kind == "keyhole":  # a deep cavity traps the beam and radiates from its hot walls
        weld.watts[weld.while_it_lasted(event)] *= 1.0 + 0.55 * strength
        weld.brightness[held] *= 1.0 + 0.5 * strength * weld.lit
    elif event.kind == "lack_of_fusion":  # the beam is weak, or there is no powder to take it
        weld.watts[weld.while_it_lasted(event)] *= 1.0 - 0.4 * strength
    elif event.kind == "balling":
        along_mm = weld.since_s * weld.mm_per_s + BEAD_MM * event.draws().random()
        beads = 1.0 + BEAD_WATTS * strength * np.cos(2 * np.pi * along_mm / BEAD_MM)
        weld.watts *= np.where(weld.while_it_lasted(event), np.maximum(beads, 0.0), 1.0)
    elif event.kind == "plume":  # vapour takes some of the beam
        weld.watts[weld.while_it_lasted(event)] *= 1.0 - 0.08 * strength
    elif event.kind == "defocus":
        weld.defocus_px[held] += DEFOCUS_PX * strength * _grown(event, weld.first_seq, held)


def fouling(event: Event, first_seq: int, count: int, shape: tuple[int, int]) -> Floats:
    """Share of the light (frames held, h, w) that passes a window that grows dirty beside the pool's place."""
    draws = event.draws()
    scale = min(shape) / REFERENCE_SIDE_PX
    turn, distance = draws.uniform(0.0, 2 * math.pi), draws.uniform(0.0, 8.0) * scale
    middle = ((shape[0] - 1) / 2 + distance * math.sin(turn), (shape[1] - 1) / 2 + distance * math.cos(turn))
    spot = blob(shape, middle, turn, 12.0 * scale, 1.5, FOULED * event.strength)
    grown = _grown(event, first_seq, event.frames(first_seq, count)).astype(np.float32)
    passed: Floats = np.maximum(1.0 - grown[:, None, None] * spot, np.float32(0.05))
    return passed


def add_light(light: Floats, weld: Weld, event: Event, per_grey: float) -> None:
    """Adds what glows beside the pool while the laser is on to *light* (n, h, w), in place.

    *per_grey* of it is one grey level.
    """
    if not weld.lit:
        return
    height, width = light.shape[1:]
    scale = min(height, width) / REFERENCE_SIDE_PX
    held = event.frames(weld.first_seq, len(light))
    for index in range(held.start, held.stop):
        age = weld.first_seq + index - event.first_seq
        for level, away_px, turn, radius_px, stretch, lean in _glows(event, age, float(weld.ahead_rad[index])):
            middle = (
                (height - 1) / 2 + away_px * scale * math.sin(turn),
                (width - 1) / 2 + away_px * scale * math.cos(turn),
            )
            light[index] += blob((height, width), middle, turn + lean, radius_px * scale, stretch, level * per_grey)


Glow = tuple[float, float, float, float, float, float]
"""Grey level, distance from the pool and direction, radius, how much longer than wide, and turned by how much."""


def _glows(event: Event, age: int, ahead_rad: float) -> list[Glow]:
    """The lights of the event *age* frames after it began."""
    strength, draws = event.strength, event.draws()
    if event.kind == "spatter":  # at metres per second a droplet crosses the frame within one exposure or two
        now = np.random.default_rng([event.seed, age])
        behind = ahead_rad + math.pi + now.normal(0.0, 0.7, int(now.integers(1, 4)))
        return [
            (60.0 * strength * now.uniform(0.5, 1.6), now.uniform(14.0, 52.0), turn, 0.9, now.uniform(2.0, 6.0), 0.0)
            for turn in behind
        ]
    if event.kind == "splash":
        lobes = int(draws.integers(3, 6))
        turns = draws.uniform(0.0, 2 * math.pi) + np.arange(lobes) * draws.uniform(1.1, 1.8)
        levels = 190.0 * strength * draws.uniform(0.4, 1.0, lobes) * math.exp(-age / 12.0)
        radii = draws.uniform(3.0, 6.0, lobes) + 0.15 * age
        aways = draws.uniform(7.0, 13.0, lobes) + 0.5 * age
        stretches, leans = draws.uniform(1.0, 1.8, lobes), draws.uniform(-0.6, 0.6, lobes)
        return list(zip(levels, aways, turns, radii, stretches, leans, strict=True))
    swell = math.sin(math.pi / 2 * min((age + 3) / 12, 1.0))  # a plume takes some frames to build up
    turn = draws.uniform(0.0, 2 * math.pi) + 0.25 * math.sin(age / 7.0)
    level = 34.0 * strength * swell
    return [(level, 13.0, turn, 9.0, 1.5, 0.3), (0.8 * level, 26.0, turn + 0.15, 14.0, 1.8, -0.2)]


def fail(pixels: Bytes, event: Event, first_seq: int, before: Bytes | None) -> None:
    """What a faulty sensor makes of *pixels* (n, h, w), frames *first_seq* on, in place; *before* them came one."""
    held = event.frames(first_seq, len(pixels))
    if event.kind == "frozen":
        shown = before if held.start == 0 else pixels[held.start - 1]
        if shown is not None:
            pixels[held] = shown
    elif event.kind == "rows_dropped":
        missing = max(round(event.strength * pixels.shape[1] / 8), 2)
        top = int(event.draws().random() * (pixels.shape[1] - missing))
        pixels[held, top : top + missing] = 0
    else:
        draws = event.draws()
        columns = np.arange(pixels.shape[2])
        wave = np.cos(2 * math.pi * columns / draws.uniform(5.0, 11.0) + draws.uniform(0.0, 6.3))
        stripes = STRIPE_GREY * event.strength * np.maximum(wave, 0.0)
        pixels[held] = np.minimum(pixels[held] + stripes, 255.0).astype(np.uint8)


def _grown(event: Event, first_seq: int, held: slice) -> Doubles:
    """How far a creeping change has come in each of the frames *held*: it grows from 0 to 1 over the first half."""
    frames = first_seq + np.arange(held.start, held.stop) - event.first_seq
    whole = max(event.last_seq - event.first_seq + 1, 2)
    return np.minimum((frames + 1) / (whole / 2), 1.0)


def blob(
    shape: tuple[int, int],
    middle: tuple[float, float],
    angle_rad: float,
    radius_px: float,
    stretch: float,
    grey: float,
) -> Floats:
    """A Gaussian spot in a frame of *shape*, *stretch* times as long along *angle_rad* as across."""
    down = np.arange(shape[0], dtype=np.float32)[:, None] - np.float32(middle[0])
    right = np.arange(shape[1], dtype=np.float32) - np.float32(middle[1])
    sine, cosine = np.float32(math.sin(angle_rad)), np.float32(math.cos(angle_rad))
    along = (right * cosine + down * sine) / np.float32(stretch)
    across = down * cosine - right * sine
    spot: Floats = np.float32(grey) * np.exp((along**2 + across**2) * np.float32(-0.5 / radius_px**2))
    return spot
