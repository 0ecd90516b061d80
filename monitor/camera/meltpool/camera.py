"""A simulated melt-pool camera, coaxial with the laser: seeded, repeatable, with anomalies whose truth is known.

The pool is the temperature field of a moving point source (Rosenthal 1946), softened at its centre, through a
steep response that saturates in the core: a sharp bright head with a tail that fades behind it. Size, brightness and
place wander slowly; the part is scanned in vectors of fixed length, back and forth, layer by layer, each layer's
direction turned by 67 degrees, with a dark pause for recoating between layers. Lengths on the sensor scale with the
frame, so that frames of every size show the same scene.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter
from scipy.special import ndtri

from monitor.camera.meltpool.anomalies import CAMERA_FAULTS, DURATIONS_FRAMES, KINDS, add_light, disturb
from monitor.camera.publisher import Shot
from monitor.camera.recordings import LONGEST_SIDE_PX, SHORTEST_SIDE_PX
from monitor.camera.schedule import Event, Schedule, Truth

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

VECTOR_FRAMES: Final = 50  # along one scan vector
VECTORS_PER_LAYER: Final = 8  # a thin wall: many layers, so many directions, in few frames
PAUSE_FRAMES: Final = 40  # recoating, with the laser off: far shorter than in life
VECTOR_MM: Final = 5.0
HATCH_MM: Final = 0.1
LAYER_TURN_RAD: Final = math.radians(67.0)

REFERENCE_SIDE_PX: Final = 120.0  # of the frames that the lengths below are given for
CORE_PX: Final = 5.0  # softening of the point source: the head's radius
TAIL_PX: Final = 5.0  # 2 alpha / v of Rosenthal's solution: how wide the tail opens behind the head
STEEPNESS: Final = 3  # grey level over temperature, as a power
PEAK_GREY: Final = 600.0  # of the core, before the sensor saturates
OFFSET_GREY: Final = 4.0
READ_NOISE_GREY: Final = 0.8
GREY_PER_ELECTRON: Final = 0.05  # shot noise: variance in grey levels per grey level

MEMORY_FRAMES: Final = 200.0  # of the wander: an AR(1) with this time constant
WANDER_PX: Final = 0.5  # standard deviation of the pool's place, per axis, at the reference size
WANDER_SIZE: Final = 0.03  # relative standard deviations
WANDER_BRIGHTNESS: Final = 0.04
FLICKER: Final = 0.015  # of brightness, from frame to frame

BLOCK_PIXELS: Final = 1 << 16
"""Frames are computed in blocks of about this many pixels, whose intermediate results stay in the cache."""

_NORMAL_QUANTILES: Final = ndtri((np.arange(65536) + 0.5) / 65536).astype(np.float32)
_ROW_PATTERN_SEED: Final = 4711  # the pattern belongs to the camera: it is the same in every run


class Scene(NamedTuple):
    """What one run has of its own: draws that hold from its first frame to its last."""

    brightness: float
    core: float
    noise: float
    first_angle_rad: float


@dataclass(frozen=True)
class Vector:
    """One scan vector, or one pause. *xy* is (n, 2) in millimetres from the part's centre."""

    layer: int
    angle_rad: float
    active: bool
    xy: Floats


@dataclass
class MeltPool:
    """The camera. `shots` goes on where it stopped; frame numbers count from 0 at the first shot ever.

    *anomaly_rate* is the chance of an anomaly to begin at a frame of normal welding. Raises ValueError.
    """

    height: int = 64
    width: int = 64
    seed: int = 0
    anomaly_rate: float = 0.0
    kinds: tuple[str, ...] = KINDS
    _seq: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        for side in (self.height, self.width):
            if not SHORTEST_SIDE_PX <= side <= LONGEST_SIDE_PX:
                raise ValueError(f"a side of {side} pixels: {SHORTEST_SIDE_PX} to {LONGEST_SIDE_PX} are possible")
        self._rng = np.random.default_rng([self.seed, 0])
        events = np.random.default_rng([self.seed, 1])
        self._schedule = Schedule(DURATIONS_FRAMES, self.anomaly_rate, events, self.kinds)
        self.scene = _scene(np.random.default_rng([self.seed, 2]))
        self._scale = min(self.height, self.width) / REFERENCE_SIDE_PX
        rows = np.random.default_rng(_ROW_PATTERN_SEED).normal(0.0, 1.6, LONGEST_SIDE_PX)
        self._background = np.maximum(OFFSET_GREY + rows[: self.height], 0.5).astype(np.float32)[:, None]
        self._wander = self._rng.standard_normal(4)  # row, column, size, brightness, in standard deviations
        self._last: Bytes | None = None
        self._vectors = _vectors(self.scene.first_angle_rad)

    def shots(self, frames: int | None = None) -> Iterator[tuple[Shot, tuple[Truth, ...]]]:
        """*frames* frames (None: without end), a scan vector at a time, with the anomalies that end in each."""
        end = None if frames is None else self._seq + frames
        while end is None or self._seq < end:
            vector = next(self._vectors)
            count = len(vector.xy) if end is None else min(len(vector.xy), end - self._seq)
            last = self._seq + count == end
            events, ended = self._schedule.over(self._seq, count, quiet=not vector.active, last=last)
            pixels = self._expose(vector, count, events)
            self._seq += count
            shot = Shot(pixels, layer=vector.layer, xy=vector.xy[:count], active=vector.active)
            yield shot, tuple(event.truth for event in ended)

    @property
    def unfinished(self) -> Truth | None:
        """The anomaly that was going on at the end of the last shot: as long as it would have lasted."""
        event = self._schedule.begun(self._seq)
        return event.truth if event is not None else None

    def _expose(self, vector: Vector, count: int, events: list[Event]) -> Bytes:
        """The next *count* frames (count, height, width)."""
        pools = self._pools(count)
        lights = [event for event in events if event.kind not in CAMERA_FAULTS]
        for event in lights:
            disturb(pools, event, self._seq)
        pixels = np.empty((count, self.height, self.width), np.uint8)
        block = max(BLOCK_PIXELS // (self.height * self.width), 1)
        for first in range(0, count, block):
            some = pools[first : first + block]
            signal = np.zeros((len(some), self.height, self.width), np.float32)
            if vector.active:
                self._add_pools(signal, some, vector.angle_rad)
                for event in lights:
                    add_light(signal, some, event, self._seq + first, self._scale, vector.angle_rad)
            pixels[first : first + block] = self._digitise(signal)
        for event in events:
            if event.kind in CAMERA_FAULTS:
                self._fail(pixels, event)
        self._last = pixels[-1].copy()
        return pixels

    def _pools(self, count: int) -> Floats:
        """Row, column, size and brightness of the pool in each of *count* frames: (count, 4)."""
        keep = math.exp(-1.0 / MEMORY_FRAMES)
        steps = self._rng.standard_normal((count, 4)) * math.sqrt(1.0 - keep**2)
        walk, final = lfilter([1.0], [1.0, -keep], steps, axis=0, zi=keep * self._wander[None])
        self._wander = final[0] / keep
        pools = np.empty((count, 4), np.float32)
        pools[:, 0] = (self.height - 1) / 2 + WANDER_PX * self._scale * walk[:, 0]
        pools[:, 1] = (self.width - 1) / 2 + WANDER_PX * self._scale * walk[:, 1]
        pools[:, 2] = np.exp(WANDER_SIZE * walk[:, 2])
        flicker = FLICKER * self._rng.standard_normal(count)
        pools[:, 3] = self.scene.brightness * np.exp(WANDER_BRIGHTNESS * walk[:, 3] + flicker)
        return pools

    def _add_pools(self, signal: Floats, pools: Floats, angle_rad: float) -> None:
        """Adds each frame's pool, moving towards *angle_rad* (from the columns' axis), to *signal*."""
        row, column, size, brightness = (pools[:, i, None, None] for i in range(4))
        inverse = 1.0 / (size * np.float32(self._scale))
        down = (np.arange(self.height, dtype=np.float32)[:, None] - row) * inverse
        right = (np.arange(self.width, dtype=np.float32) - column) * inverse
        ahead = right * np.float32(math.cos(angle_rad)) + down * np.float32(math.sin(angle_rad))
        core = np.float32(CORE_PX * self.scene.core)
        distance = np.sqrt(right * right + (down * down + core * core))
        ahead += distance
        ahead -= core
        ahead *= np.float32(-STEEPNESS / TAIL_PX)
        np.exp(ahead, out=ahead)  # exp(-(r + x) v / 2 alpha) ^ steepness
        nearness = np.divide(core, distance, out=distance)
        for _ in range(STEEPNESS):  # (core / r) ^ steepness; three products are quicker than one power
            ahead *= nearness
        ahead *= brightness * np.float32(PEAK_GREY)
        signal += ahead

    def _digitise(self, signal: Floats) -> Bytes:
        """*signal* with the camera's background, shot and read noise, as it comes out of the sensor."""
        draws = np.frombuffer(self._rng.bytes(2 * signal.size), np.uint16).reshape(signal.shape)
        noise = _NORMAL_QUANTILES[draws]
        variance = signal * np.float32(GREY_PER_ELECTRON)
        variance += np.float32((READ_NOISE_GREY * self.scene.noise) ** 2)
        noise *= np.sqrt(variance, out=variance)
        noise += signal
        noise += self._background + np.float32(0.5)  # the cast below cuts: with a half added, it rounds
        np.clip(noise, 0.0, 255.0, out=noise)
        pixels: Bytes = noise.astype(np.uint8)
        return pixels

    def _fail(self, pixels: Bytes, event: Event) -> None:
        """What a faulty camera makes of *pixels*, in place."""
        rows = event.frames(self._seq, len(pixels))
        if event.kind == "frozen":
            before = self._last if rows.start == 0 else pixels[rows.start - 1]
            if before is not None:
                pixels[rows] = before
        else:
            missing = max(round(event.strength * self.height / 8), 2)
            top = int(event.draws().random() * (self.height - missing))
            pixels[rows, top : top + missing] = 0


def normal_frames(count: int, seed: int, height: int = 64, width: int = 64) -> Bytes:
    """*count* frames (count, height, width) of normal welding, without the pauses: a group to calibrate with."""
    frames = np.empty((count, height, width), np.uint8)
    filled = 0
    for shot, _ in MeltPool(height, width, seed).shots():
        if shot.active:
            taken = shot.pixels[: count - filled]
            frames[filled : filled + len(taken)] = taken
            filled += len(taken)
        if filled == count:
            break
    return frames


def _scene(rng: np.random.Generator) -> Scene:
    """How this run differs from others: laser power, focus, temperature of the sensor, first direction."""
    return Scene(
        brightness=float(np.exp(rng.normal(0.0, 0.04))),
        core=float(np.exp(rng.normal(0.0, 0.02))),
        noise=float(np.exp(rng.normal(0.0, 0.05))),
        first_angle_rad=float(rng.uniform(0.0, 2 * math.pi)),
    )


def _vectors(first_angle_rad: float) -> Iterator[Vector]:
    """The scan, without end: back and forth across the part, a pause, the next layer."""
    along = (np.arange(VECTOR_FRAMES, dtype=np.float32) / (VECTOR_FRAMES - 1) - 0.5) * VECTOR_MM
    layer = 0
    while True:
        angle = first_angle_rad + layer * LAYER_TURN_RAD
        forth = np.array([math.cos(angle), math.sin(angle)], np.float32)
        side = np.array([-forth[1], forth[0]])
        place = np.zeros(2, np.float32)
        for number in range(VECTORS_PER_LAYER):
            sign = 1.0 if number % 2 == 0 else -1.0
            hatch = np.float32((number - (VECTORS_PER_LAYER - 1) / 2) * HATCH_MM)
            xy = (np.float32(sign) * along[:, None] * forth + hatch * side).astype(np.float32)
            place = xy[-1]
            yield Vector(layer, angle if sign > 0 else angle + math.pi, True, xy)
        yield Vector(layer, angle, False, np.repeat(place[None], PAUSE_FRAMES, axis=0))
        layer += 1
