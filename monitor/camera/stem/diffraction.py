"""A simulated diffraction camera of a scanning transmission electron microscope: one sparse frame per probe position.

The convergent beam makes a disc of every reflection of a thin crystal, at its place in the reciprocal lattice. The
intensities are kinematic: structure factor, thickness, and the excitation error of every direction within the beam, so
that a tilt moves intensity from one side of the pattern to the other. Every direction keeps its electrons, whatever is
reflected out of it. Discs that overlap add up without interference; multiple and inelastic scattering are a smooth
background. The detector counts electrons, some hundred a frame, so most of its pixels hold zero.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from monitor.camera.publisher import Shot
from monitor.camera.recordings import LONGEST_SIDE_PX, SHORTEST_SIDE_PX
from monitor.camera.schedule import Event, Schedule, Truth
from monitor.camera.stem.counting import SPACING, land, patterns_for
from monitor.camera.stem.specimen import CARBON_HALOES, CRYSTALS, GOLD, HALO_WIDTH, Crystal, Specimen, diffuse_share

Floats = npt.NDArray[np.float32]
Counts = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

DURATIONS_FRAMES: Final = {
    "tilt": (20, 120),
    "second_phase": (15, 90),
    "amorphous": (20, 120),
    "hot_pixels": (30, 200),
}
"""Kind -> its shortest and longest duration."""

KINDS: Final = tuple(DURATIONS_FRAMES)
DETECTOR_FAULTS: Final = frozenset({"hot_pixels"})

# CODATA 2018.
PLANCK_JS: Final = 6.62607015e-34
ELECTRON_KG: Final = 9.1093837015e-31
CHARGE_C: Final = 1.602176634e-19
LIGHT_M_PER_S: Final = 299792458.0

PAUSE_FRAMES: Final = 64  # the probe flies back, blanked
SHOT_PIXELS: Final = 10_000_000  # at most in one shot, unless its frames are few
MOUNT_RAD: Final = math.radians(11.0)  # how the crystal lies on the detector, give or take

DIFFUSE_MRAD: Final = 8.0  # where the background has fallen to a third

TILT_MRAD: Final = 9.0  # of a local orientation change of strength 1
GRAIN_SHARE: Final = 0.4  # of the electrons, at strength 1
GRAIN_NM: Final = 6.0
CARBON_SHARE: Final = 0.35
HOT_PIXELS: Final = 4
HOT_COUNTS: Final = 60.0  # mean a frame

WEAKEST: Final = 0.01  # of the strongest structure factor: a ten-thousandth in intensity
STEADY_COUNT: Final = 100.0  # expected in a pixel: up to here 255 is 15 standard deviations away
MOST_ELECTRONS: Final = 50_000.0  # a frame: no sum of them passes 16 bits

Pair = tuple[float, float]


class Place(NamedTuple):
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


class Optics(NamedTuple):
    """From the beam to the pixels: the same for everything that is in the beam."""

    height: int
    width: int
    wavelength_nm: float
    heavier: float  # the beam electron's mass over its rest mass
    mrad_per_px: float
    centre_px: tuple[float, float]  # column, row
    convergence_mrad: float  # semi-angle
    edge_mrad: float  # over which a disc's edge fades

    def angles_mrad(self) -> Floats:
        """Scattering angle of every pixel (pixels,)."""
        right = np.arange(self.width) - self.centre_px[0]
        down = np.arange(self.height)[:, None] - self.centre_px[1]
        angles: Floats = (self.mrad_per_px * np.hypot(right, down)).astype(np.float32).reshape(-1)
        return angles


def wavelength_pm(beam_kv: float) -> float:
    """Relativistic de Broglie wavelength: h / sqrt(2 m e U (1 + e U / 2 m c^2)). Reimer and Kohl 2008."""
    energy_j = CHARGE_C * 1e3 * beam_kv
    rest_j = ELECTRON_KG * LIGHT_M_PER_S**2
    return 1e12 * PLANCK_JS / math.sqrt(2.0 * ELECTRON_KG * energy_j * (1.0 + energy_j / (2.0 * rest_j)))


class Discs:
    """The convergent-beam pattern of *crystal*, turned by *rotation_rad*, as *optics* shows it.

    The beam is a bundle of beamlets one pixel apart. Reflected by g, the beamlet of direction a lands at lambda g + a
    with the intensity (pi t / xi)^2 sinc^2(s t), where xi = pi V / (lambda |F|) is the extinction distance and
    s = -lambda g^2 / 2 - g (a + tilt) the excitation error (Hirsch et al. 1965; Williams and Carter 2009).
    """

    def __init__(self, crystal: Crystal, rotation_rad: float, optics: Optics) -> None:
        self._optics = optics
        beyond_mrad = float(optics.angles_mrad().max()) + optics.convergence_mrad
        reflections = crystal.reflections(1e-3 * beyond_mrad / optics.wavelength_nm)
        strong = reflections.potential > WEAKEST * reflections.potential[1:].max()
        self.hkl = reflections.hkl[strong]  # (n, 3)
        cos, sin = math.cos(rotation_rad), math.sin(rotation_rad)
        self._per_nm = reflections.per_nm[strong] @ np.array([[cos, sin], [-sin, cos]])
        beamlets, self._aperture = _beamlets(optics)
        angles_rad = 1e-3 * optics.mrad_per_px * beamlets
        squared = np.square(self._per_nm).sum(axis=1)
        errors = -0.5 * optics.wavelength_nm * squared[:, None] - self._per_nm @ angles_rad.T
        self._errors_per_nm = errors.astype(np.float32)  # (n, beamlets)
        inverse_extinction = optics.heavier * optics.wavelength_nm / math.pi * reflections.potential[strong]
        self._amplitude = (math.pi * inverse_extinction).astype(np.float32)[:, None]
        self._landing = self._footprints(beamlets)

    @property
    def middles_px(self) -> npt.NDArray[np.float64]:
        """Where each disc's middle lies (n, 2): column, row."""
        shift_px = 1e3 * self._optics.wavelength_nm / self._optics.mrad_per_px * self._per_nm
        middles: npt.NDArray[np.float64] = shift_px + np.array(self._optics.centre_px)
        return middles

    def expected(self, thickness_nm: float, tilt_rad: npt.NDArray[np.float64]) -> Floats:
        """Chance of an electron on this detector to land on each pixel (pixels,); *tilt_rad* is right, down."""
        phase = self._errors_per_nm - (self._per_nm @ tilt_rad).astype(np.float32)[:, None]
        phase *= np.float32(math.pi * thickness_nm)
        phase += np.float32(1e-6)  # never exactly zero, and far below what can be seen
        intensity = np.sin(phase)
        intensity /= phase
        intensity *= self._amplitude * np.float32(thickness_nm)
        np.square(intensity, out=intensity)
        intensity[0] = 1.0  # the direct beam, before each direction's electrons are shared out
        intensity *= self._aperture / intensity.sum(axis=0)
        pattern: Floats = self._landing @ intensity.reshape(-1)
        pattern /= pattern.sum()
        return pattern

    def _footprints(self, beamlets: npt.NDArray[np.int64]) -> csr_matrix:
        """Matrix (pixels, n * beamlets): where on the detector each reflected beamlet lands.

        The point spread is a quadratic B-spline, which keeps the mean place and has a standard deviation of half a
        pixel wherever between pixels the beamlet lands.
        """
        height, width = self._optics.height, self._optics.width
        near = np.rint(self.middles_px)
        off = (self.middles_px - near)[:, :, None]
        taps = np.concatenate([0.5 * (0.5 - off) ** 2, 0.75 - off**2, 0.5 * (0.5 + off) ** 2], axis=2)
        places = (near[:, None, :] + beamlets).astype(np.int32)[..., None] + np.arange(-1, 2, dtype=np.int32)
        columns, rows = places[:, :, 0, None, :], places[:, :, 1, :, None]
        inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        weights = np.broadcast_to((taps[:, 1, :, None] * taps[:, 0, None, :])[:, None], inside.shape)
        pixels = (rows * width + columns)[inside]
        source = np.nonzero(inside.reshape(-1, 9))[0]
        shape = (height * width, len(near) * len(beamlets))
        return csr_matrix((weights[inside].astype(np.float32), (pixels, source)), shape)


def _beamlets(optics: Optics) -> tuple[npt.NDArray[np.int64], Floats]:
    """The beamlets' places in pixels from the beam's axis (n, 2: column, row), and how bright each is (n,)."""
    edge_px = max(optics.edge_mrad / optics.mrad_per_px, 1.0)
    radius_px = optics.convergence_mrad / optics.mrad_per_px
    reach = math.ceil(radius_px + edge_px)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    bright = np.clip((radius_px - np.hypot(rows, columns)) / edge_px + 0.5, 0.0, 1.0)
    lit = bright > 0.0
    return np.stack([columns[lit], rows[lit]], axis=1), bright[lit].astype(np.float32)


def diffuse(optics: Optics) -> Floats:
    """Thermal diffuse and inelastic background (pixels,), with the sum 1: a smooth fall with the angle."""
    pattern: Floats = (1.0 + np.square(optics.angles_mrad() / DIFFUSE_MRAD)) ** -1.5
    pattern /= pattern.sum()
    return pattern


def carbon_rings_mrad(wavelength_nm: float) -> tuple[float, ...]:
    """Where amorphous carbon has its haloes."""
    return tuple(1e3 * wavelength_nm / spacing_nm for spacing_nm, _ in CARBON_HALOES)


def carbon(optics: Optics) -> Floats:
    """The haloes of amorphous carbon (pixels,), with the sum 1, as wide as the material and the beam make them."""
    angles = optics.angles_mrad()
    pattern = np.zeros_like(angles)
    for radius, (_, height) in zip(carbon_rings_mrad(optics.wavelength_nm), CARBON_HALOES, strict=True):
        width = math.hypot(HALO_WIDTH * radius, optics.convergence_mrad / 2.0)
        pattern += height * np.exp(-0.5 * np.square((angles - radius) / width))
    pattern /= pattern.sum()
    return pattern


@dataclass
class Diffraction:
    """The camera. `shots` goes on where it stopped; frame numbers count from 0 at the first shot ever.

    *electrons* is the mean number counted in a frame, *span_mrad* the angle that the frame's shorter side shows,
    *scan* the probe positions along each side, *bits* 8 or 16 a pixel, *anomaly_rate* the chance of an anomaly to
    begin at a frame of normal operation. Raises ValueError.
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
        self.discs = Discs(CRYSTALS[self.crystal], MOUNT_RAD + self.scene.rotation_rad, self.optics)
        self._diffuse = diffuse(self.optics)
        self._dose = self.electrons * self.scene.dose
        brightest = self._dose * float(self.discs.expected(self.thickness_nm, np.zeros(2)).max())
        self._counter = np.uint8 if self.bits == 8 and brightest <= STEADY_COUNT else np.uint16
        self._shot_frames = max(SHOT_PIXELS // (self.height * self.width), SPACING)

    def shots(self, frames: int | None = None) -> Iterator[tuple[Shot, tuple[Truth, ...]]]:
        """*frames* frames (None: without end), a scan line or less at a time, with the anomalies that end in each."""
        end = None if frames is None else self._seq + frames
        while end is None or self._seq < end:
            at = self._place(self._seq)
            count = min(at.left, self._shot_frames, at.left if end is None else end - self._seq)
            last = self._seq + count == end
            events, ended = self._schedule.over(self._seq, count, quiet=not at.active, last=last)
            shot = self._expose(at, count, events)
            truths = tuple(self._truth(event) for event in ended)
            self._seq += count
            yield shot, truths

    @property
    def unfinished(self) -> Truth | None:
        """The anomaly that was going on at the end of the last shot: as long as it would have lasted."""
        event = self._schedule.begun(self._seq)
        return None if event is None else self._truth(event)

    def _expose(self, at: Place, count: int, events: list[Event]) -> Shot:
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

    def _illuminate(self, counts: Counts, at: Place, events: list[Event]) -> None:
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

    def _patterns(self, at: Place, nodes: npt.NDArray[np.int64], extra_tilt_rad: Pair = (0.0, 0.0)) -> Floats:
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

    def _disturbed(self, event: Event, at: Place, nodes: npt.NDArray[np.int64]) -> Floats:
        """The same while *event* lasts."""
        turn = event.draws().uniform(0.0, 2.0 * math.pi)
        if event.kind == "tilt":
            tilt_rad = 1e-3 * TILT_MRAD * event.strength
            return self._patterns(at, nodes, (tilt_rad * math.cos(turn), tilt_rad * math.sin(turn)))
        if event.kind == "second_phase":
            share, other = GRAIN_SHARE, Discs(GOLD, turn, self.optics).expected(GRAIN_NM, np.zeros(2))
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

    def _place(self, seq: int) -> Place:
        layer, within = divmod(seq, self.scan**2 + PAUSE_FRAMES)
        if within < self.scan**2:
            row, column = divmod(within, self.scan)
            return Place(layer, column, row, self.scan - column, True)
        return Place(layer, self.scan - 1, self.scan - 1, self.scan**2 + PAUSE_FRAMES - within, False)

    def _truth(self, event: Event) -> Truth:
        at = self._place(event.first_seq)
        xy = (float(at.column), float(at.row))
        return msgspec.structs.replace(event.truth, layer=at.layer, xy=xy, context=self.crystal)

    def _optics(self) -> Optics:
        scale = self.span_mrad / min(self.height, self.width) * self.scene.camera_length
        right, down = (offset / scale for offset in self.scene.centre_mrad)
        return Optics(
            height=self.height,
            width=self.width,
            wavelength_nm=1e-3 * wavelength_pm(self.beam_kv),
            heavier=1.0 + 1e3 * CHARGE_C * self.beam_kv / (ELECTRON_KG * LIGHT_M_PER_S**2),
            mrad_per_px=scale,
            centre_px=((self.width - 1) / 2 + right, (self.height - 1) / 2 + down),
            convergence_mrad=self.convergence_mrad,
            edge_mrad=self.edge_mrad,
        )

    def _check(self) -> None:
        for side in (self.height, self.width):
            if not SHORTEST_SIDE_PX <= side <= LONGEST_SIDE_PX:
                raise ValueError(f"a side of {side} pixels: {SHORTEST_SIDE_PX} to {LONGEST_SIDE_PX} are possible")
        if self.crystal not in CRYSTALS:
            raise ValueError(f"no such crystal: {self.crystal}; there are {', '.join(CRYSTALS)}")
        if self.kinds == ():
            raise ValueError(f"no kinds of anomaly: name some of {', '.join(KINDS)}")
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
