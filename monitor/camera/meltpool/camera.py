"""A simulated melt-pool camera, coaxial with the laser: seeded, repeatable, with anomalies whose truth is known.

Each frame is computed from where the laser was and what it gave over the last milliseconds: heat conduction (`heat`),
Planck radiance behind a band filter (`radiance`), lens (`lens`), sensor (`monitor.camera.sensor`). So vectors begin
cold and end hot, turn-arounds meet their own heat, and contours look unlike hatches without anyone having drawn them.
Absorption, brightness and place wander slowly. The field of view is the same whatever the frame's size.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from monitor.camera.meltpool.alloys import ALLOYS
from monitor.camera.meltpool.anomalies import (
    DURATIONS_FRAMES,
    LIGHTS,
    REFERENCE_SIDE_PX,
    SENSOR_FAULTS,
    SETTLING_FRAMES,
    Weld,
    add_light,
    disturb,
    fail,
    fouling,
)
from monitor.camera.meltpool.heat import past, rise
from monitor.camera.meltpool.lens import Lens
from monitor.camera.meltpool.outline import BRACKET
from monitor.camera.meltpool.radiance import Glow, Optics
from monitor.camera.meltpool.scan import CONTEXTS, HATCH, Path, Strategy, at, layer_path, stretches
from monitor.camera.publisher import Shot
from monitor.camera.recordings import LONGEST_WHOLE_PX, SHORTEST_SIDE_PX
from monitor.camera.reel import Filmed, Piece, Reel
from monitor.camera.schedule import Event, Place, Schedule, Truth
from monitor.camera.sensor import Exposed, Sensor, read_out
from monitor.camera.wander import Wander

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

FIELD_MM: Final = 0.96  # of view, along the shorter side
SPOT_MM: Final = 0.0245  # standard deviation of the beam
ABSORPTION: Final = 0.24  # share of the power that the surface takes
STRATEGY: Final = Strategy(BRACKET)
OPTICS: Final = Optics()
PREHEAT_K: Final = 353.0
FRAME_S: Final = 1e-4

SHARP_PX: Final = 1.17  # of the lens, at the reference size
VEIL: Final = 0.2
VEIL_PX: Final = 5.3
ELECTRONS_PER_GREY: Final = 25.0

PAUSE_FRAMES: Final = 20  # after a layer, with the laser off; then keep-alives only
LEG_FRAMES: Final = 40
"""At most so many frames are computed before the first of them leaves: at 120 px 10 to 20 ms. A contour has 230."""

# Wander of the process: standard deviation and memory in seconds of each part, summed; 0 s is from frame to frame.
ABSORPTION_WANDER: Final = ((0.02, 0.3), (0.015, 0.006), (0.004, 0.0))
BRIGHTNESS_WANDER: Final = ((0.02, 0.3), (0.006, 0.0))
PLACE_WANDER_PX: Final = ((0.15, 0.03), (0.08, 0.0))  # each axis, at the reference size

BLOCK_PIXELS: Final = 1 << 17
"""Frames are computed in blocks of about this many pixels, whose intermediate results stay in the cache."""


class Scene(NamedTuple):
    """What one run has of its own: draws that hold from its first frame to its last."""

    absorption: float
    brightness: float
    focus: float
    noise: float
    off_centre_px: tuple[float, float]  # row and column, at the reference size
    first_angle_rad: float


class Leg(NamedTuple):
    """Consecutive frames on one vector or on the way to one, LEG_FRAMES at most; times count from the layer's start."""

    path: Path
    layer: int
    context: str
    active: bool
    times_s: Doubles  # (n,)
    xy_mm: Doubles  # (n, 2)
    ahead_rad: Doubles  # (n,)
    recoating: bool = False
    pause_s: float = 0.0

    def place(self, frame: int) -> Place:
        """Where the process was at one of its frames, as a Truth says it."""
        x, y = (round(float(value), 3) for value in self.xy_mm[frame])
        return Place(self.layer, (x, y), self.context)


class Take(NamedTuple):
    """The frames of a leg before they are read out: what `Readout` needs for them, again and again if need be."""

    exposed: Exposed
    facts: Shot  # without pixels
    faults: tuple[Event, ...]  # of the sensor
    truths: tuple[Truth, ...]  # of the anomalies that are over by its end
    first_seq: int


class Readout:
    """Reads takes out, with fresh noise each time; a frozen sensor shows the last frame that it gave."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._last: Bytes | None = None

    def __call__(self, take: Take) -> Shot:
        pixels = read_out(take.exposed, self._rng)
        for event in take.faults:
            fail(pixels, event, take.first_seq, self._last)
        self._last = pixels[-1].copy()
        return take.facts._replace(pixels=pixels)


@dataclass
class MeltPool(Filmed):
    """The camera. `shots` goes on where it stopped; frame numbers count from 0 at the first shot ever.

    *anomaly_rate* is the chance of an anomaly to begin at a frame of normal welding. *frame_s* is the camera's own
    pace, whatever the rate its frames are played at; *recoat_s* is how long only keep-alives come between two layers,
    much shorter than in life. Raises ValueError.
    """

    height: int = 64
    width: int = 64
    seed: int = 0
    anomaly_rate: float = 0.0
    kinds: tuple[str, ...] | None = None
    alloy: str = "IN625"
    strategy: Strategy = STRATEGY
    optics: Optics = OPTICS
    frame_s: float = FRAME_S
    recoat_s: float = 0.3
    _seq: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        for side in (self.height, self.width):
            if not SHORTEST_SIDE_PX <= side <= LONGEST_WHOLE_PX:
                raise ValueError(f"a side of {side} pixels: {SHORTEST_SIDE_PX} to {LONGEST_WHOLE_PX} are possible")
        if self.alloy not in ALLOYS:
            raise ValueError(f"no such alloy: {self.alloy}; there are {', '.join(ALLOYS)}")
        wander, events, noise, scene = (np.random.default_rng([self.seed, part]) for part in range(4))
        self._schedule = Schedule(DURATIONS_FRAMES, self.anomaly_rate, events, self.kinds, settling=SETTLING_FRAMES)
        self.readout = Readout(noise)
        self.scene = _scene(scene)
        shorter = min(self.height, self.width)
        self._scale = shorter / REFERENCE_SIDE_PX
        self._pixel_mm = FIELD_MM / shorter
        self._rows_mm, self._columns_mm = (
            self._pixel_mm * (np.arange(side, dtype=float) - (side - 1) / 2) for side in (self.height, self.width)
        )
        fastest = max(self.strategy.hatch.mm_per_s, self.strategy.contour.mm_per_s)
        self._past = past(ALLOYS[self.alloy], SPOT_MM, fastest)
        self._glow = Glow(self.optics, ALLOYS[self.alloy].boiling_k)
        sharp_px = SHARP_PX * self.scene.focus * self._scale
        self._lens = Lens(self.height, self.width, sharp_px, VEIL, VEIL_PX * self._scale)
        self._sensor = Sensor(self.height, self.width, electrons_per_grey=ELECTRONS_PER_GREY)
        quantities = ABSORPTION_WANDER, BRIGHTNESS_WANDER, PLACE_WANDER_PX, PLACE_WANDER_PX
        self._wander = Wander(wander, quantities, self.frame_s)
        self._legs = self._scan()
        self._reel = Reel(self._film(), self._schedule.begun)

    def takes(self) -> Iterator[Take]:
        """The film without end, not yet read out: for a camera that shows it in its own way, instead of `shots`."""
        for leg in self._legs:
            first, count = self._seq, len(leg.times_s)
            events, truths = self._schedule.over(first, count, leg.place, begin=leg.active, quiet=leg.recoating)
            faults = tuple(event for event in events if event.kind in SENSOR_FAULTS)
            self._seq += count
            yield Take(self._expose(leg, first, events), self._facts(leg), faults, truths, first)

    def _film(self) -> Iterator[Piece]:
        for take in self.takes():
            yield self.readout(take), take.truths

    def _facts(self, leg: Leg) -> Shot:
        return Shot(
            np.empty((0, self.height, self.width), np.uint8),
            context=leg.context,
            job=f"build {self.seed}",
            layer=leg.layer,
            xy=leg.xy_mm.astype(np.float32),
            active=leg.active,
            pause_s=leg.pause_s,
        )

    def _expose(self, leg: Leg, first: int, events: list[Event]) -> Exposed:
        """The frames (n, height, width) of *leg*, from the *first* one on, before they are read out."""
        weld = self._weld(leg, first)
        for event in events:
            disturb(weld, event)
        count = len(leg.times_s)
        shape = (count, self.height, self.width)
        exposed = Exposed(np.empty(shape, np.int16), np.empty(shape, np.int16))
        block = max(BLOCK_PIXELS // (self.height * self.width), 1)
        for start in range(0, count, block):
            held = slice(start, start + block)
            part = self._sensor.expose(self._picture(weld.part(held), events), self.scene.noise)
            exposed.level[held], exposed.deviation[held] = part
        return exposed

    def _weld(self, leg: Leg, first: int) -> Weld:
        """Where the beam was and what the surface took of it, with the wander of this machine."""
        count = len(leg.times_s)
        # The pause after a layer looks back on contours.
        beam = self.strategy.hatch if leg.context == CONTEXTS[HATCH] else self.strategy.contour
        absorption, brightness, row, column = self._wander.next(count)
        since_s = leg.times_s[:, None] - self._past.lags_s
        xy_mm, watts = at(leg.path, since_s)
        away_mm = xy_mm - leg.xy_mm[:, None]
        off_row, off_column = self.scene.off_centre_px
        away_mm[..., 0] += (self._scale * self._pixel_mm * (off_column + column))[:, None]
        away_mm[..., 1] += (self._scale * self._pixel_mm * (off_row + row))[:, None]
        return Weld(
            first_seq=first,
            since_s=since_s,
            begun_s=float(leg.times_s[0]),
            frame_s=self.frame_s,
            mm_per_s=beam.mm_per_s,
            lit=leg.active,
            ahead_rad=leg.ahead_rad,
            away_mm=away_mm,
            watts=watts * (ABSORPTION * self.scene.absorption * np.exp(absorption))[:, None],
            brightness=self.scene.brightness * np.exp(brightness),
            defocus_px=np.zeros(count),
        )

    def _picture(self, weld: Weld, events: list[Event]) -> Floats:
        """Electrons (n, height, width) that the sensor collects."""
        kelvin = rise(self._past, weld.away_mm, weld.watts, self._rows_mm, self._columns_mm)
        kelvin += np.float32(PREHEAT_K)
        light = self._glow(kelvin)
        light *= weld.brightness.astype(np.float32)[:, None, None]
        light = self._focus(light, weld.defocus_px)
        for event in events:
            held = event.frames(weld.first_seq, len(light))
            if event.kind in LIGHTS:
                add_light(light, weld, event, ELECTRONS_PER_GREY)
            elif event.kind == "fouling" and held.start < held.stop:
                light[held] *= fouling(event, weld.first_seq, len(light), (self.height, self.width))
        return light

    def _focus(self, light: Floats, defocus_px: Doubles) -> Floats:
        if not defocus_px.any():
            return self._lens(light)
        return np.concatenate(
            [self._lens(one[None], px * self._scale) for one, px in zip(light, defocus_px, strict=True)]
        )

    def _scan(self) -> Iterator[Leg]:
        """The scan, without end: layer by layer, with a pause for recoating after each."""
        for layer in itertools.count():
            path = layer_path(self.strategy, layer, self.scene.first_angle_rad)
            pause_s = self.recoat_s if layer else 0.0
            for stretch in stretches(path, self.frame_s):
                for first in range(0, len(stretch.times_s), LEG_FRAMES):
                    held = slice(first, first + LEG_FRAMES)
                    times_s, xy_mm, ahead_rad = stretch.times_s[held], stretch.xy_mm[held], stretch.ahead_rad[held]
                    leg = Leg(path, layer, stretch.context, stretch.active, times_s, xy_mm, ahead_rad)
                    yield leg._replace(pause_s=pause_s)
                    pause_s = 0.0
            times_s = stretch.times_s[-1] + self.frame_s * np.arange(1, PAUSE_FRAMES + 1)
            still = np.repeat(stretch.xy_mm[-1:], PAUSE_FRAMES, axis=0)
            yield Leg(path, layer, "", False, times_s, still, np.zeros(PAUSE_FRAMES), recoating=True)


def _scene(rng: np.random.Generator) -> Scene:
    """How this run differs from others: powder, window, focus, sensor, alignment, first direction."""
    return Scene(
        absorption=float(np.exp(rng.normal(0.0, 0.03))),
        brightness=float(np.exp(rng.normal(0.0, 0.06))),
        focus=float(np.exp(rng.normal(0.0, 0.06))),
        noise=float(np.exp(rng.normal(0.0, 0.1))),
        off_centre_px=(float(rng.normal(0.0, 0.8)), float(rng.normal(0.0, 0.8))),
        first_angle_rad=float(rng.uniform(0.0, 2 * math.pi)),
    )


def normal_frames(count: int, seed: int, height: int = 64, width: int = 64, every: int = 1) -> Bytes:
    """*count* frames (count, height, width) of normal welding, without the pauses: of a camera *every* times slower.

    It sees the same scan as the run's own camera, one frame in so many, with other random numbers.
    """
    return normal_in_context(count, seed, height, width, every)[0]


def normal_in_context(
    count: int, seed: int, height: int = 64, width: int = 64, every: int = 1
) -> tuple[Bytes, npt.NDArray[np.str_]]:
    """The same frames, and the context (count,) of each."""
    pool = MeltPool(height, width, seed, frame_s=every * FRAME_S)
    shots = (shot for shot, _ in pool.shots() if shot.active)
    frames, contexts = np.empty((count, height, width), np.uint8), np.empty(count, f"U{max(map(len, CONTEXTS))}")
    filled = 0
    while filled < count:
        shot = next(shots)
        held = slice(filled, min(filled + len(shot.pixels), count))
        frames[held] = shot.pixels[: held.stop - held.start]
        contexts[held] = shot.context
        filled = held.stop
    return frames, contexts
