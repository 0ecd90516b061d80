"""A simulated scanning transmission electron microscope: high-angle annular dark field images of a crystal.

Each image is incoherent: columns of atoms, as bright as their atomic numbers say, seen through probe, source size and
thermal vibration as Gaussians. The scan is what scans are: lines jitter sideways, the specimen drifts while an image
is taken and from one to the next. Electrons are counted, so the noise is Poisson's. A frame is one image; a series of
them on one area of the specimen is a layer; then the stage moves on with the beam blanked.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from monitor.camera.publisher import Shot
from monitor.camera.schedule import Event, Schedule, Truth
from monitor.camera.stem.crystal import CRYSTALS, Columns, Lattice
from monitor.camera.stem.defects import DURATIONS_FRAMES, Defect, defect_of, haze, with_defect

Floats = npt.NDArray[np.float64]
Image = npt.NDArray[np.float32]
Pixels = npt.NDArray[Any]

SHORTEST_SIDE_PX: Final = 16
LONGEST_SIDE_PX: Final = 2048
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
DRIFT_PM: Final = 4.0  # per image and axis
LINE_SLOW_PM: Final = 3.0  # lines lie too far left or right: hum and unrest that last over many lines,
LINE_FAST_PM: Final = 4.5  # and what is new in each
LINE_MEMORY: Final = 60.0
MEMORY_FRAMES: Final = 60.0  # of drift, current and focus: AR(1)s with this time constant
CURRENT: Final = 0.01  # relative standard deviation of the beam's current
FOCUS: Final = 0.015  # and of the probe's width
HAZE_FRAMES: Final = 15.0  # in which contamination grows to two thirds
THICKNESS: Final = 0.03  # of each of the waves that the specimen's thickness is made of
WAVES_NM: Final = (10.0, 14.0, 25.0, 40.0)

OFFSET: Final = 0.02  # dark level and its noise, as shares of full scale
DARK_NOISE: Final = 0.004

TILE_PX: Final = 64
REACH: Final = 4.0  # standard deviations: beyond it a column adds nothing
FARTHEST: Final = 6.0  # and here its tail ends: numbers too small for float32 to normalise cost ten times the time


class Scene(NamedTuple):
    """What one run has of its own: draws that hold from its first frame to its last."""

    rotation_rad: float  # the operator turns the scan to the crystal, never quite
    magnification: float
    focus: float
    dose: float
    unrest: float  # of the scan
    noise: float  # of the dark detector
    contrast: float
    waves: Floats  # (m, 3): of the thickness, wave vector along x and y in radians per pm, and phase


class Scan(NamedTuple):
    """Where the beam went in *n* images of *h* lines each. Lengths are picometres on the specimen."""

    middle_pm: Floats  # (n, 2): in the middle of the image
    drift_pm: Floats  # (n, 2): from its first line to its last
    lines_pm: Floats  # (n, h): how far right of its place the beam was on each line

    def part(self, images: slice) -> "Scan":
        return Scan._make(values[images] for values in self)


class Part(NamedTuple):
    """So many frames in one go, of images or of nothing."""

    area: int
    frames: int
    active: bool
    fresh: bool  # whether it is the first of its kind on its area


class Going(NamedTuple):
    """The anomaly that goes on: what it does to the specimen, and the truth about it."""

    defect: Defect
    truth: Truth


@dataclass
class ScanImages:
    """The camera. `shots` goes on where it stopped; frame numbers count from 0 at the first shot ever.

    *anomaly_rate* is the chance of an anomaly to begin at a normal image; *dose* counts electrons per pixel on the
    brightest column; *bits* is 8 or 16. Raises ValueError.
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
        self._walk = self._rng.standard_normal(4)  # drift x, drift y, current, focus; in standard deviations
        self._line = self._rng.standard_normal(1)
        self._going: dict[int, Going] = {}  # by the first frame; only one goes on at a time
        self._parts = _parts(min(SHOT_FRAMES, max(SHOT_PIXELS // (self.height * self.width), 1)))

    def shots(self, frames: int | None = None) -> Iterator[tuple[Shot, tuple[Truth, ...]]]:
        """*frames* frames (None: without end), some images at a time, with the anomalies that end in each."""
        end = None if frames is None else self._seq + frames
        while end is None or self._seq < end:
            part = next(self._parts)
            count = part.frames if end is None else min(part.frames, end - self._seq)
            last = self._seq + count == end
            events, ended = self._schedule.over(self._seq, count, quiet=not part.active, last=last)
            pixels, xy = self._take(part, count, events) if part.active else self._blank(count)
            truths = tuple(self._truth(event) for event in ended)
            self._seq += count
            yield Shot(pixels, context=self.crystal, layer=part.area, xy=xy, active=part.active), truths

    @property
    def unfinished(self) -> Truth | None:
        """The anomaly that was going on at the end of the last shot: as long as it would have lasted."""
        event = self._schedule.begun(self._seq)
        return self._truth(event) if event is not None else None

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

    def _take(self, part: Part, count: int, events: list[Event]) -> tuple[Pixels, Image]:
        """The next *count* images (count, height, width), and their places (count, 2) in nanometres."""
        if part.fresh:
            self._move_stage()
        scan, current, focus = self._scan(count)
        self._note(events, scan, part.area)
        signal = np.empty((count, self.height, self.width), np.float32)
        for held, event in _stretches(events, self._seq, count):
            signal[held] = self._signal(scan.part(held), focus[held], event, self._seq + held.start)
        signal *= (self.dose * self.scene.dose * current).astype(np.float32)[:, None, None]
        return self._detect(signal), (scan.middle_pm / 1000.0).astype(np.float32)

    def _blank(self, count: int) -> tuple[Pixels, Image]:
        """*count* frames with the beam blanked, and the place that is left (count, 2)."""
        nothing = np.zeros((count, self.height, self.width), np.float32)
        return self._detect(nothing), np.repeat(self._place_pm[None] / 1000.0, count, axis=0).astype(np.float32)

    def _move_stage(self) -> None:
        """To an area that no image has shown; the drift begins anew."""
        turn, distance_nm = self._rng.uniform(0.0, 2 * math.pi), self._rng.uniform(*STAGE_NM)
        self._place_pm = self._place_pm + 1000.0 * distance_nm * np.array([math.cos(turn), math.sin(turn)])
        self._walk = self._rng.standard_normal(4)

    def _scan(self, count: int) -> tuple[Scan, Floats, Floats]:
        """Where the beam goes in the next *count* images, and each one's current and probe width, both about 1."""
        walk = wander(self._rng, self._walk, count, MEMORY_FRAMES)
        self._walk = walk[-1]
        drift = DRIFT_PM * walk[:, :2]
        ends = self._place_pm + np.cumsum(drift, axis=0)
        self._place_pm = ends[-1]
        slow = wander(self._rng, self._line, count * self.height, LINE_MEMORY)
        self._line = slow[-1]
        lines = LINE_SLOW_PM * slow[:, 0] + LINE_FAST_PM * self._rng.standard_normal(count * self.height)
        scan = Scan(ends - drift / 2, drift, self.scene.unrest * lines.reshape(count, self.height))
        return scan, np.exp(CURRENT * walk[:, 2]), self.scene.focus * np.exp(FOCUS * walk[:, 3])

    def _note(self, events: list[Event], scan: Scan, area: int) -> None:
        """Keeps what the *events* that begin here do to the specimen, and the truth about them."""
        for event in events:
            if event.first_seq >= self._seq:
                middle = scan.middle_pm[event.first_seq - self._seq]
                truth = msgspec.structs.replace(
                    event.truth,
                    layer=area,
                    xy=(float(middle[0]) / 1000.0, float(middle[1]) / 1000.0),
                    context=self.crystal,
                )
                self._going = {event.first_seq: Going(defect_of(event, middle, self._field_pm), truth)}

    def _truth(self, event: Event) -> Truth:
        """The truth about *event*: as it was noted, but for its end."""
        return msgspec.structs.replace(self._going[event.first_seq].truth, last_seq=event.last_seq)

    def _signal(self, scan: Scan, focus: Floats, event: Event | None, first_seq: int) -> Image:
        """Images (n, height, width) without noise: 1 is the brightest column, well focused."""
        crystal = self._lattice.crystal
        defect = None if event is None else self._going[event.first_seq].defect
        columns = self._columns(scan, defect)
        shaken = self._rng.standard_normal((len(focus), len(columns.weight), 2))
        # As if each image froze the lattice at one moment: columns of many atoms hardly move.
        places = columns.xy_pm + shaken * (columns.vibration_pm / np.sqrt(columns.atoms))[:, None]
        variance = np.square(focus[:, None]) * PROBE_PM**2 + (SOURCE_PM**2 + columns.vibration_pm**2)
        peaks = columns.weight / crystal.brightest * SHARP_PM**2 / variance
        signal = project(places, peaks, np.sqrt(variance), scan, (self.height, self.width), self._pitch_pm)
        signal += np.float32(crystal.background)
        across, down = self._axes(scan.middle_pm.mean(axis=0))
        signal *= _thickness(self.scene.waves, across, down)
        if event is not None and defect is not None and defect.kind == "contamination":
            age = first_seq - event.first_seq + np.arange(1, len(focus) + 1)
            signal += haze(defect, 1.0 - np.exp(-age / HAZE_FRAMES), across, down, self._field_pm)
        return signal

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


def project(
    places_pm: Floats, peaks: Floats, widths_pm: Floats, scan: Scan, shape: tuple[int, int], pixel_pm: float
) -> Image:
    """Columns at *places_pm* (n, k, 2), Gaussians of *peaks* and *widths_pm* (n, k), as n images of *shape* (h, w).

    A sum of products of a row and a column factor, so a product of matrices, in tiles that few columns reach. What a
    line's displacement s does to a Gaussian is taken to second order of s over its width: to about a hundredth of the
    peak where s is a third of the width.
    """
    height, width = shape
    pitch = pixel_pm + scan.drift_pm[:, 1:] / height  # from line to line the specimen moves on
    late = (places_pm[:, :, 1] - scan.middle_pm[:, 1:]) / pitch
    rows = late + (height - 1) / 2
    across = places_pm[:, :, 0] - scan.middle_pm[:, :1] - scan.drift_pm[:, :1] * late / height
    marks = Marks(
        rows.astype(np.float32),
        (across / pixel_pm + (width - 1) / 2).astype(np.float32),
        (widths_pm / pitch).astype(np.float32),
        (widths_pm / pixel_pm).astype(np.float32),
        peaks.astype(np.float32),
    )
    lines = (scan.lines_pm / pixel_pm).astype(np.float32)
    images = np.empty((len(rows), height, width), np.float32)
    for top in range(0, height, TILE_PX):
        down = slice(top, min(top + TILE_PX, height))
        band = marks.reaching(marks.row, down, marks.tall)
        for left in range(0, width, TILE_PX):
            right = slice(left, min(left + TILE_PX, width))
            images[:, down, right] = _tile(band.reaching(band.column, right, band.wide), down, right, lines[:, down])
    return images


def detect(signal: Image, gain: float, dark_noise: float, bits: int, rng: np.random.Generator) -> Pixels:
    """Counts *signal*, the expected electrons of each pixel, and gives grey levels of *bits* bits.

    *gain* per electron and *dark_noise* (standard deviation) are shares of full scale.
    """
    full = (1 << bits) - 1
    grey: Image = rng.poisson(np.maximum(signal, 0.0)).astype(np.float32)
    grey *= np.float32(full * gain)
    grey += np.float32(full * dark_noise) * rng.standard_normal(signal.shape, np.float32)
    grey += np.float32(full * OFFSET + 0.5)  # the cast below cuts: with a half added, it rounds
    np.clip(grey, 0.0, full, out=grey)
    return grey.astype(np.uint8 if bits == 8 else np.uint16)


def wander(rng: np.random.Generator, before: Floats, count: int, memory: float) -> Floats:
    """*count* steps (count, k) of k AR(1)s of variance 1 that go on from *before* (k,)."""
    keep = math.exp(-1.0 / memory)
    steps = rng.standard_normal((count, len(before))) * math.sqrt(1.0 - keep**2)
    walk: Floats = lfilter([1.0], [1.0, -keep], steps, axis=0, zi=keep * before[None])[0]
    return walk


class Marks(NamedTuple):
    """Gaussians in *n* images, in pixels: each array is (n, k)."""

    row: Image
    column: Image
    tall: Image
    wide: Image
    peak: Image

    def reaching(self, middle: Image, pixels: slice, width: Image) -> "Marks":
        """Those that add something to *pixels* of any of the images, along the axis that *middle* is on."""
        far = REACH * width
        seen = ((middle > pixels.start - far) & (middle < pixels.stop + far)).any(axis=0)
        return Marks._make(values[:, seen] for values in self)


def _tile(marks: Marks, down: slice, right: slice, lines: Image) -> Image:
    """The part of the images that holds rows *down* and columns *right*; *lines* (n, rows) in pixels."""
    tall, wide = marks.tall[:, :, None], marks.wide[:, :, None]
    y = (np.arange(down.start, down.stop, dtype=np.float32) - marks.row[:, :, None]) / tall
    x = (np.arange(right.start, right.stop, dtype=np.float32) - marks.column[:, :, None]) / wide
    for t in (x, y):
        np.clip(t, -FARTHEST, FARTHEST, out=t)
    over_rows = marks.peak[:, :, None] * np.exp(-0.5 * y * y)
    over_columns = np.exp(-0.5 * x * x)
    slope = -x / wide * over_columns  # first and half the second derivative with respect to the displacement
    bend = 0.5 * (x * x - 1.0) / (wide * wide) * over_columns
    terms = np.swapaxes(over_rows, 1, 2) @ np.concatenate([over_columns, slope, bend], axis=2)
    still, slope, bend = np.split(terms, 3, axis=2)
    displaced = lines[:, :, None]
    tile: Image = still + displaced * (slope + displaced * bend)
    return tile


def _thickness(waves: Floats, across_pm: Floats, down_pm: Floats) -> Image:
    """The specimen's thickness (h, w) at *across_pm* (w,) and *down_pm* (h,), about 1: a sum of long waves."""
    x = waves[:, :1] * across_pm
    y = waves[:, 1:2] * down_pm + waves[:, 2:]
    sheet: Image = (1.0 + THICKNESS * (np.cos(y).T @ np.cos(x) - np.sin(y).T @ np.sin(x))).astype(np.float32)
    return sheet


def _scene(rng: np.random.Generator) -> Scene:
    """How this run differs from others: how the operator set the microscope, and what specimen it is."""
    turns = rng.uniform(0.0, 2 * math.pi, len(WAVES_NM))
    numbers = 2 * math.pi / (1000.0 * np.array(WAVES_NM))
    phases = rng.uniform(0.0, 2 * math.pi, len(WAVES_NM))
    return Scene(
        rotation_rad=float(rng.normal(0.0, math.radians(2.0))),
        magnification=float(np.exp(rng.normal(0.0, 0.003))),
        focus=float(np.exp(rng.normal(0.0, 0.03))),
        dose=float(np.exp(rng.normal(0.0, 0.05))),
        unrest=float(np.exp(rng.normal(0.0, 0.1))),
        noise=float(np.exp(rng.normal(0.0, 0.1))),
        contrast=float(np.exp(rng.normal(0.0, 0.03))),
        waves=np.stack([numbers * np.cos(turns), numbers * np.sin(turns), phases], axis=1),
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
