"""A simulated diffraction camera of a scanning transmission electron microscope: one sparse frame per probe position.

The convergent beam makes a disc of every reflection of a thin crystal, at its place in the reciprocal lattice. The
intensities are kinematic: structure factor, thickness, and the excitation error of every direction within the beam, so
that a tilt moves intensity from one side of the pattern to the other. Every direction keeps its electrons, whatever is
reflected out of it. Discs that overlap add up without interference; multiple and inelastic scattering are a smooth
background. The detector counts electrons, some hundred a frame, so most of its pixels hold zero.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from monitor.camera.publisher import Shot
from monitor.camera.recordings import SHORTEST_SIDE_PX
from monitor.camera.reel import Filmed, Piece, Reel
from monitor.camera.schedule import Event, Place, Schedule
from monitor.camera.stem.counting import SPACING, land, patterns_for
from monitor.camera.stem.discs import Discs, Optics, carbon, diffuse, mass_ratio, wavelength_pm
from monitor.camera.stem.reflections import GOLD_001, ZONES
from monitor.camera.stem.specimen import Specimen, diffuse_share

Floats = npt.NDArray[np.float32]
Counts = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

LONGEST_SIDE_PX: Final = 1024  # of a pattern

DURATIONS_FRAMES: Final = {
    "tilt": (20, 120),
    "second_phase": (15, 90),
    "amorphous": (20, 120),
    "hot_pixels": (30, 200),
}
"""Kind -> its shortest and longest duration."""

KINDS: Final = tuple(DURATIONS_FRAMES)
DETECTOR_FAULTS: Final = frozenset({"hot_pixels"})

PAUSE_FRAMES: Final = 64  # the probe flies back, blanked
SHOT_PIXELS: Final = 10_000_000  # at most in one shot, unless its frames are few
MOUNT_RAD: Final = math.radians(11.0)  # how the crystal lies on the detector, give or take

TILT_MRAD: Final = 9.0  # of a local orientation change of strength 1
GRAIN_SHARE: Final = 0.4  # of the electrons, at strength 1
GRAIN_NM: Final = 6.0
CARBON_SHARE: Final = 0.35
HOT_PIXELS: Final = 4
HOT_COUNTS: Final = 60.0  # mean a frame

STEADY_COUNT: Final = 100.0  # expected in a pixel: up to here 255 is 15 standard deviations away
MOST_ELECTRONS: Final = 50_000.0  # a frame: no sum of them passes 16 bits

Pair = tuple[float, float]


class Spot(NamedTuple):
    """Where a frame lies in the endless row of scans and pauses, and how many frames its line or pause still has."""

    layer: int
    column: int
    row: int
    left: int
    active: bool


class Scene(NamedTuple):
    """What one run has of its own: draws that hold from its first frame to its last."""

    rotation_rad: float
    dose: float
    camera_length: float
    centre_mrad: tuple[float, float]  # of the direct beam from the detector's middle: right, down


@dataclass
class Diffraction(Filmed):
    """The camera. `shots` goes on where it stopped; frame numbers count from 0 at the first shot ever.

    *electrons* is the mean number counted in a frame, *crystal* one of ZONES, *convergence_mrad* the beam's semi-angle,
    *span_mrad* the angle that the frame's shorter side shows, *edge_mrad* that over which a disc's edge fades, *scan*
    the probe positions along each side, *bits* 8 or 16 a pixel, *anomaly_rate* the chance of an anomaly to begin at a
    frame of normal operation. A frame's place is its scan column and row. Raises ValueError.
    """

    height: int = 128
    width: int = 128
    seed: int = 0
    anomaly_rate: float = 0.0
    kinds: tuple[str, ...] | None = None
    electrons: float = 500.0
    crystal: str = "Si [110]"
    beam_kv: float = 200.0
    convergence_mrad: float = 3.0
    span_mrad: float = 60.0
    edge_mrad: float = 0.0
    thickness_nm: float = 12.0
    scan: int = 256
    bits: int = 8
    _seq: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._check()
        self._rng = np.random.default_rng([self.seed, 0])
        events = np.random.default_rng([self.seed, 1])
        self._schedule = Schedule(DURATIONS_FRAMES, self.anomaly_rate, events, self.kinds)
        self.scene = _scene(np.random.default_rng([self.seed, 2]))
        self._specimen = Specimen(self.thickness_nm, np.random.default_rng([self.seed, 3]))
        self.optics = self._optics()
        self.discs = Discs(ZONES[self.crystal], MOUNT_RAD + self.scene.rotation_rad, self.optics)
        self._diffuse = diffuse(self.optics)
        self._dose = self.electrons * self.scene.dose
        brightest = self._dose * float(self.discs.expected(self.thickness_nm, np.zeros(2)).max())
        self._counter = np.uint8 if self.bits == 8 and brightest <= STEADY_COUNT else np.uint16
        self._shot_frames = max(SHOT_PIXELS // (self.height * self.width), SPACING)
        self._reel = Reel(self._film(), self._schedule.begun)

    def _film(self) -> Iterator[Piece]:
        while True:
            at = self._spot(self._seq)
            count = min(at.left, self._shot_frames)
            events, truths = self._schedule.over(self._seq, count, partial(self._place, at), quiet=not at.active)
            shot = self._expose(at, count, events)
            self._seq += count
            yield shot, truths

    def _expose(self, at: Spot, count: int, events: list[Event]) -> Shot:
        """The next *count* frames, all of one line or one pause."""
        counts = np.zeros((count + 1, self.height * self.width), self._counter)
        if at.active:
            self._illuminate(counts, at, [event for event in events if event.kind not in DETECTOR_FAULTS])
            for event in events:
                if event.kind in DETECTOR_FAULTS:
                    self._stick(counts, event)
        most = (1 << self.bits) - 1
        pixels = counts[:count] if np.iinfo(self._counter).max == most else np.minimum(counts[:count], most)
        pixels = pixels.astype(f"uint{self.bits}", copy=False).reshape(count, self.height, self.width)
        path = np.full((count, 2), (at.column, at.row), np.float32)
        if at.active:
            path[:, 0] += np.arange(count)
        return Shot(pixels, self.crystal, layer=at.layer, xy=path, active=at.active)

    def _illuminate(self, counts: Counts, at: Spot, events: list[Event]) -> None:
        """Adds the electrons of a shot to *counts*, each stretch of it by what is then in the beam."""
        count = len(counts) - 1
        normal = np.ones(count, np.bool_)
        for event in events:
            frames = event.frames(self._seq, count)
            normal[frames] = False
            held = np.zeros(count, np.bool_)
            held[frames] = True
            nodes = patterns_for(frames)
            land(counts, self._disturbed(event, at, nodes), nodes, held, self._rng)
        nodes = patterns_for(slice(0, count))
        land(counts, self._patterns(at, nodes), nodes, normal, self._rng)

    def _patterns(self, at: Spot, nodes: npt.NDArray[np.int64], extra_tilt_rad: Pair = (0.0, 0.0)) -> Floats:
        """Expected electrons of frames *nodes* (k,), counted from *at*: (k, pixels)."""
        columns = at.column + at.layer * self.scan + nodes  # each scan looks at the field beside the last
        local = self._specimen.at(np.stack([columns, np.full(len(nodes), at.row)], axis=1))
        patterns = np.empty((len(nodes), self.height * self.width), np.float32)
        tilts = local.tilt_rad + np.array(extra_tilt_rad)
        for pattern, thickness_nm, tilt_rad in zip(patterns, local.thickness_nm, tilts, strict=True):
            share = diffuse_share(thickness_nm)
            pattern[:] = self.discs.expected(thickness_nm, tilt_rad)
            pattern *= np.float32(self._dose * (1.0 - share))
            pattern += np.float32(self._dose * share) * self._diffuse
        return patterns

    def _disturbed(self, event: Event, at: Spot, nodes: npt.NDArray[np.int64]) -> Floats:
        """The same while *event* lasts."""
        turn = event.draws().uniform(0.0, 2.0 * math.pi)
        if event.kind == "tilt":
            tilt_rad = 1e-3 * TILT_MRAD * event.strength
            return self._patterns(at, nodes, (tilt_rad * math.cos(turn), tilt_rad * math.sin(turn)))
        if event.kind == "second_phase":
            share, other = GRAIN_SHARE, Discs(GOLD_001, turn, self.optics).expected(GRAIN_NM, np.zeros(2))
        else:
            share, other = CARBON_SHARE, carbon(self.optics)
        share *= event.strength
        return np.float32(1.0 - share) * self._patterns(at, nodes) + np.float32(self._dose * share) * other

    def _stick(self, counts: Counts, event: Event) -> None:
        """Adds what a few faulty pixels count by themselves."""
        frames = event.frames(self._seq, len(counts) - 1)
        places = event.draws().choice(counts.shape[1], HOT_PIXELS, replace=False)
        extra = self._rng.poisson(HOT_COUNTS * event.strength, (frames.stop - frames.start, HOT_PIXELS))
        room = np.iinfo(counts.dtype).max - counts[frames, places]
        counts[frames, places] += np.minimum(extra, room).astype(counts.dtype)

    def _spot(self, seq: int) -> Spot:
        layer, within = divmod(seq, self.scan**2 + PAUSE_FRAMES)
        if within < self.scan**2:
            row, column = divmod(within, self.scan)
            return Spot(layer, column, row, self.scan - column, True)
        return Spot(layer, self.scan - 1, self.scan - 1, self.scan**2 + PAUSE_FRAMES - within, False)

    def _place(self, at: Spot, frame: int) -> Place:
        """Where the probe is *frame* frames after *at*, as a Truth says it."""
        return Place(at.layer, (float(at.column + frame), float(at.row)), self.crystal)

    def _optics(self) -> Optics:
        scale = self.span_mrad / min(self.height, self.width) * self.scene.camera_length
        right, down = (offset / scale for offset in self.scene.centre_mrad)
        return Optics(
            height=self.height,
            width=self.width,
            wavelength_nm=1e-3 * wavelength_pm(self.beam_kv),
            heavier=mass_ratio(self.beam_kv),
            mrad_per_px=scale,
            centre_px=((self.width - 1) / 2 + right, (self.height - 1) / 2 + down),
            convergence_mrad=self.convergence_mrad,
            edge_mrad=self.edge_mrad,
        )

    def _check(self) -> None:
        for side in (self.height, self.width):
            if not SHORTEST_SIDE_PX <= side <= LONGEST_SIDE_PX:
                raise ValueError(f"a side of {side} pixels: {SHORTEST_SIDE_PX} to {LONGEST_SIDE_PX} are possible")
        if self.crystal not in ZONES:
            raise ValueError(f"no such crystal: {self.crystal}; there are {', '.join(ZONES)}")
        if self.bits not in (8, 16):
            raise ValueError(f"{self.bits} bits a pixel: 8 and 16 are possible")
        for what, value, least, most in (
            ("electrons a frame", self.electrons, 1.0, MOST_ELECTRONS),
            ("kV of beam voltage", self.beam_kv, 20.0, 1000.0),
            ("mrad along the shorter side", self.span_mrad, 10.0, 400.0),
            ("mrad of convergence at this span", self.convergence_mrad, self.span_mrad / 100, self.span_mrad / 8),
            ("mrad of a disc's edge at this convergence", self.edge_mrad, 0.0, self.convergence_mrad),
            ("nm of thickness", self.thickness_nm, 1.0, 100.0),
            ("scan positions a line", self.scan, 16, 4096),
        ):
            if not least <= value <= most:  # NaN too
                raise ValueError(f"{value} {what}: {least:g} to {most:g} are possible")


def _scene(rng: np.random.Generator) -> Scene:
    """How this run differs from others: how it was mounted, aligned and lit."""
    return Scene(
        rotation_rad=float(rng.normal(0.0, math.radians(0.5))),
        dose=float(np.exp(rng.normal(0.0, 0.03))),
        camera_length=float(np.exp(rng.normal(0.0, 0.002))),
        centre_mrad=(float(rng.normal(0.0, 0.2)), float(rng.normal(0.0, 0.2))),
    )


def normal_frames(count: int, seed: int, height: int = 128, width: int = 128, every: int = 1) -> Counts:
    """*count* patterns (count, height, width) of the sound crystal, each *every*-th of the camera's, without pauses.

    Of uint8. Raises ValueError for a size that the camera does not have.
    """
    shots = Diffraction(height, width, seed).shots()
    patterns = itertools.chain.from_iterable(shot.pixels for shot, _ in shots if shot.active)
    return np.fromiter(itertools.islice(patterns, 0, count * every, every), (np.uint8, (height, width)), count)
