"""A simulated scanning transmission electron microscope: high-angle annular dark field images of a crystal.

Each image is incoherent: columns of atoms, as bright as their atomic numbers say, seen through probe, source size and
thermal vibration as Gaussians. The scan is what scans are: lines jitter sideways, the specimen drifts while an image
is taken and from one to the next. Electrons are counted, so the noise is Poisson's. A frame is one image; a series of
them on one area of the specimen is a layer; then the stage moves on with the beam blanked.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from monitor.camera.publisher import Shot
from monitor.camera.recordings import SHORTEST_SIDE_PX
from monitor.camera.reel import Filmed, Piece, Reel
from monitor.camera.schedule import Event, Place, Schedule
from monitor.camera.stem.crystal import CRYSTALS, Columns, Lattice
from monitor.camera.stem.defects import DURATIONS_FRAMES, Defect, defect_of, haze, with_defect
from monitor.camera.stem.projection import REACH, Scan, project
from monitor.camera.stem.waves import Waves
from monitor.camera.wander import Wander

Floats = npt.NDArray[np.float64]
Image = npt.NDArray[np.float32]
Pixels = npt.NDArray[Any]

LONGEST_SIDE_PX: Final = 2048  # of an image
PIXELS_PM: Final = (2.0, 100.0)  # what a pixel may be on the specimen
DOSES: Final = (1.0, 100_000.0)

FRAMES_PER_AREA: Final = 240
PAUSE_FRAMES: Final = 20  # while the stage moves
SHOT_FRAMES: Final = 32
SHOT_PIXELS: Final = 1 << 17  # frames of this size and above come alone
STAGE_NM: Final = (40.0, 200.0)  # how far it moves

PROBE_PM: Final = 40.0  # standard deviations: of the probe,
SOURCE_PM: Final = 45.0  # and of the image of the source, which blurs what the lenses would resolve
SHARP_PM: Final = math.hypot(PROBE_PM, SOURCE_PM)

# Wander: standard deviation and memory of each part. Of the frames', memory in frames; of the lines', in lines.
DRIFT_PM: Final = ((4.0, 60.0),)  # from one image to the next, each axis
CURRENT: Final = ((0.01, 60.0),)  # relative, of the beam
FOCUS: Final = ((0.015, 60.0),)  # relative, of the probe's width
LINES_PM: Final = ((3.0, 60.0), (4.5, 0.0))  # too far left or right: hum over many lines, and what is new in each

HAZE_FRAMES: Final = 15.0  # in which contamination grows to two thirds
THICKNESS: Final = 0.03  # of each of the waves that the specimen's thickness is made of
WAVES_NM: Final = (10.0, 14.0, 25.0, 40.0)

OFFSET: Final = 0.02  # dark level and its noise, as shares of full scale
DARK_NOISE: Final = 0.004


class Scene(NamedTuple):
    """What one run has of its own: draws that hold from its first frame to its last."""

    rotation_rad: float  # the operator turns the scan to the crystal, never quite
    magnification: float
    focus: float
    dose: float
    unrest: float  # of the scan
    noise: float  # of the dark detector
    contrast: float
    waves: Waves  # of the thickness; lengths in picometres


class Part(NamedTuple):
    """So many frames in one go, of images or of nothing."""

    area: int
    frames: int
    active: bool
    fresh: bool  # whether it is the first of its kind on its area


class Path(NamedTuple):
    """Where the beam goes in *n* images, and how it is."""

    scan: Scan
    current: Floats  # (n,): about 1
    focus: Floats  # (n,): the probe's width, about 1


@dataclass
class ScanImages(Filmed):
    """The camera. `shots` goes on where it stopped; frame numbers count from 0 at the first shot ever.

    *anomaly_rate* is the chance of an anomaly to begin at a normal image, *crystal* one of CRYSTALS, *pixel_pm* a
    pixel's side on the specimen; *dose* counts electrons per pixel on the brightest column; *bits* is 8 or 16 a pixel.
    A frame's place is that of its middle on the specimen, in nanometres. Raises ValueError.
    """

    height: int = 64
    width: int = 64
    seed: int = 0
    anomaly_rate: float = 0.0
    kinds: tuple[str, ...] | None = None
    crystal: str = "SrTiO3"
    pixel_pm: float = 20.0
    dose: float = 60.0
    bits: int = 8
    _seq: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._refuse_nonsense()
        self._rng, events, scene = (np.random.default_rng([self.seed, part]) for part in range(3))
        self._schedule = Schedule(DURATIONS_FRAMES, self.anomaly_rate, events, self.kinds)
        self.scene = _scene(scene)
        self._lattice = Lattice(CRYSTALS[self.crystal], self.scene.rotation_rad)
        self._pitch_pm = self.pixel_pm * self.scene.magnification
        self._field_pm = self._pitch_pm * np.array([self.width, self.height])
        self._place_pm = self._rng.uniform(-1e5, 1e5, 2)  # where the next image begins
        self._lines = Wander(self._rng, (LINES_PM,))
        self._reel = Reel(self._film(), self._schedule.begun)

    def _film(self) -> Iterator[Piece]:
        for part in _parts(min(SHOT_FRAMES, max(SHOT_PIXELS // (self.height * self.width), 1))):
            path = self._scan(part)
            place = partial(self._at, part, path)
            events, truths = self._schedule.over(self._seq, part.frames, place, quiet=not part.active)
            pixels = self._take(path, events) if part.active else self._blank(part.frames)
            self._seq += part.frames
            xy = (path.scan.middle_pm / 1000.0).astype(np.float32)
            yield Shot(pixels, context=self.crystal, layer=part.area, xy=xy, active=part.active), truths

    def _refuse_nonsense(self) -> None:
        for side in (self.height, self.width):
            if not SHORTEST_SIDE_PX <= side <= LONGEST_SIDE_PX:
                raise ValueError(f"a side of {side} pixels: {SHORTEST_SIDE_PX} to {LONGEST_SIDE_PX} are possible")
        if self.crystal not in CRYSTALS:
            raise ValueError(f"no such crystal: {self.crystal}; there are {', '.join(CRYSTALS)}")
        if not PIXELS_PM[0] <= self.pixel_pm <= PIXELS_PM[1]:  # NaN too
            raise ValueError(f"pixels of {self.pixel_pm} pm: {PIXELS_PM[0]:g} to {PIXELS_PM[1]:g} are possible")
        if not DOSES[0] <= self.dose <= DOSES[1]:
            raise ValueError(f"{self.dose} electrons a pixel: {DOSES[0]:g} to {DOSES[1]:g} are possible")
        if self.bits not in (8, 16):
            raise ValueError(f"{self.bits} bits a pixel: 8 or 16 are possible")

    def _scan(self, part: Part) -> Path:
        """Where the beam goes, or rests while it is blanked, in the images of *part*."""
        count = part.frames
        if not part.active:
            still, steady = np.zeros((count, 2)), np.ones(count)
            return Path(Scan(self._place_pm + still, still, np.zeros((count, self.height))), steady, steady)
        if part.fresh:
            self._move_stage()
        right, down, current, focus = self._walk.next(count)
        drift = np.stack([right, down], axis=1)
        ends = self._place_pm + np.cumsum(drift, axis=0)
        self._place_pm = ends[-1]
        lines = self.scene.unrest * self._lines.next(count * self.height).reshape(count, self.height)
        return Path(Scan(ends - drift / 2, drift, lines), np.exp(current), self.scene.focus * np.exp(focus))

    def _move_stage(self) -> None:
        """To an area that no image has shown; the drift begins anew."""
        turn, distance_nm = self._rng.uniform(0.0, 2 * math.pi), self._rng.uniform(*STAGE_NM)
        self._place_pm = self._place_pm + 1000.0 * distance_nm * np.array([math.cos(turn), math.sin(turn)])
        self._walk = Wander(self._rng, (DRIFT_PM, DRIFT_PM, CURRENT, FOCUS))

    def _at(self, part: Part, path: Path, frame: int) -> Place:
        """Where an image is taken, as a Truth says it."""
        x, y = (float(value) / 1000.0 for value in path.scan.middle_pm[frame])
        return Place(part.area, (x, y), self.crystal)

    def _take(self, path: Path, events: list[Event]) -> Pixels:
        """The images (n, height, width) along *path*."""
        count = len(path.focus)
        signal = np.empty((count, self.height, self.width), np.float32)
        for held, event in _stretches(events, self._seq, count):
            signal[held] = self._signal(path.scan.part(held), path.focus[held], event, self._seq + held.start)
        signal *= (self.dose * self.scene.dose * path.current).astype(np.float32)[:, None, None]
        return self._detect(signal)

    def _blank(self, count: int) -> Pixels:
        """*count* frames with the beam blanked."""
        return self._detect(np.zeros((count, self.height, self.width), np.float32))

    def _signal(self, scan: Scan, focus: Floats, event: Event | None, first_seq: int) -> Image:
        """Images (n, height, width) without noise: 1 is the brightest column, well focused."""
        crystal = self._lattice.crystal
        defect = None if event is None else self._defect(event)
        columns = self._columns(scan, defect)
        shaken = self._rng.standard_normal((len(focus), len(columns.weight), 2))
        # As if each image froze the lattice at one moment: columns of many atoms hardly move.
        places = columns.xy_pm + shaken * (columns.vibration_pm / np.sqrt(columns.atoms))[:, None]
        variance = np.square(focus[:, None]) * PROBE_PM**2 + (SOURCE_PM**2 + columns.vibration_pm**2)
        peaks = columns.weight / crystal.brightest * SHARP_PM**2 / variance
        signal = project(places, peaks, np.sqrt(variance), scan, (self.height, self.width), self._pitch_pm)
        signal += np.float32(crystal.background)
        across, down = self._axes(scan.middle_pm.mean(axis=0))
        signal *= (1.0 + THICKNESS * self.scene.waves.over(across, down)).astype(np.float32)
        if event is not None and defect is not None and defect.kind == "contamination":
            age = first_seq - event.first_seq + np.arange(1, len(focus) + 1)
            signal += haze(defect, 1.0 - np.exp(-age / HAZE_FRAMES), across, down, self._field_pm)
        return signal

    def _defect(self, event: Event) -> Defect:
        """The defect that *event* is: the same in each of its frames, near the middle of its first."""
        return defect_of(event, 1000.0 * np.array(event.place.xy), self._field_pm)

    def _columns(self, scan: Scan, defect: Defect | None) -> Columns:
        """The columns that the images may show, with what is wrong with them."""
        margin_pm = self._field_pm / 2 + 2 * REACH * SHARP_PM + max(self._lattice.crystal.cell_pm)
        low, high = scan.middle_pm.min(axis=0) - margin_pm, scan.middle_pm.max(axis=0) + margin_pm
        columns = self._lattice.within(low, high)
        return columns if defect is None else with_defect(columns, defect, self._lattice)

    def _axes(self, middle_pm: Floats) -> tuple[Floats, Floats]:
        """The places on the specimen of a field's pixel columns (width,) and rows (height,)."""
        across = middle_pm[0] + self._pitch_pm * (np.arange(self.width) - (self.width - 1) / 2)
        down = middle_pm[1] + self._pitch_pm * (np.arange(self.height) - (self.height - 1) / 2)
        return across, down

    def _detect(self, signal: Image) -> Pixels:
        """The frames that a detector gives for *signal*, in electrons."""
        gain = self.scene.contrast / (self.dose * self._lattice.crystal.headroom)
        return detect(signal, gain, DARK_NOISE * self.scene.noise, self.bits, self._rng)


def detect(signal: Image, gain: float, dark_noise: float, bits: int, rng: np.random.Generator) -> Pixels:
    """Counts *signal* (n, h, w), the expected electrons of each pixel; grey levels (n, h, w) of *bits* bits, 8 or 16.

    *gain* per electron and *dark_noise* (standard deviation) are shares of full scale.
    """
    full = (1 << bits) - 1
    grey: Image = rng.poisson(np.maximum(signal, 0.0)).astype(np.float32)
    grey *= np.float32(full * gain)
    grey += np.float32(full * dark_noise) * rng.standard_normal(signal.shape, np.float32)
    grey += np.float32(full * OFFSET + 0.5)  # the cast below cuts: with a half added, it rounds
    np.clip(grey, 0.0, full, out=grey)
    return grey.astype(np.uint8 if bits == 8 else np.uint16)


def _scene(rng: np.random.Generator) -> Scene:
    """How this run differs from others: how the operator set the microscope, and what specimen it is."""
    return Scene(
        rotation_rad=float(rng.normal(0.0, math.radians(2.0))),
        magnification=float(np.exp(rng.normal(0.0, 0.003))),
        focus=float(np.exp(rng.normal(0.0, 0.03))),
        dose=float(np.exp(rng.normal(0.0, 0.05))),
        unrest=float(np.exp(rng.normal(0.0, 0.1))),
        noise=float(np.exp(rng.normal(0.0, 0.1))),
        contrast=float(np.exp(rng.normal(0.0, 0.03))),
        waves=Waves.drawn(1000.0 * np.array(WAVES_NM), rng),
    )


def _parts(longest: int) -> Iterator[Part]:
    """The work, without end: a series of images on one area, a pause, the next area."""
    area = 0
    while True:
        for frames, active in ((FRAMES_PER_AREA, True), (PAUSE_FRAMES, False)):
            for first in range(0, frames, longest):
                yield Part(area, min(longest, frames - first), active, first == 0)
        area += 1


def _stretches(events: list[Event], first_seq: int, count: int) -> Iterator[tuple[slice, Event | None]]:
    """The *count* images from *first_seq* on, cut where an event begins or ends, each part with its event."""
    at = 0
    for event in events:
        held = event.frames(first_seq, count)
        if held.start > at:
            yield slice(at, held.start), None
        yield held, event
        at = held.stop
    if at < count:
        yield slice(at, count), None


def normal_frames(count: int, seed: int, height: int = 64, width: int = 64, every: int = 1) -> Pixels:
    """*count* images (count, height, width) of a sound crystal, each *every*-th of the camera's, without the pauses.

    Of uint8. Raises ValueError for a size that the camera does not have.
    """
    shots = ScanImages(height, width, seed).shots()
    images = itertools.chain.from_iterable(shot.pixels for shot, _ in shots if shot.active)
    return np.fromiter(itertools.islice(images, 0, count * every, every), (np.uint8, (height, width)), count)
